"""Figures, how they compare, and how both are shown."""

import contextlib
import os
import pathlib
import platform
import statistics


class Series:
    """The slices of one server in one situation."""

    def __init__(self, server, situation):
        self.server, self.situation, self.slices = server, situation, []

    def add(self, measured):
        self.slices.append(measured)

    def each(self, figure):
        take = {
            "throughput": lambda one: one["phase"]["per_second"],
            "bytes": lambda one: one["phase"]["body_bytes_per_second"],
            "p99": lambda one: one["phase"]["ms"]["p99"],
        }[figure]
        return [take(one) for one in self.slices]

    def median(self, figure):
        return statistics.median(self.each(figure))

    def as_json(self):
        return {
            "server": self.server,
            "situation": self.situation,
            "per_second": self.median("throughput"),
            "megabytes_per_second": self.median("bytes") / 1e6,
            "p50_ms": statistics.median(one["phase"]["ms"]["p50"] for one in self.slices),
            "p99_ms": self.median("p99"),
            "slices": self.slices,
        }

    def __str__(self):
        # What goes on beside is shown once: what a slice had of it does not differ much.
        last = self.slices[-1]
        beside = "".join(f", {one['kind']} {one['per_second']:.1f}/s" for one in last["beside"])
        cores = f", cores: {last['generator_cores']:.2f} generator"
        cores += f", {last['server_cores']:.2f} server" if "server_cores" in last else ""
        cores += f", {last['all_cores']:.2f} all"
        rate, p99 = self.median("throughput"), self.median("p99")
        return f"  {self.server:<22} {self.situation:<28} {rate:>11,.1f}/s  p99 {p99:>9.3f} ms{cores}{beside}"


class Row:
    """A row of the table: what was measured, and what it has to reach."""

    def __init__(self, name, title):
        self.name, self.title = name, title
        self.series, self.comparisons, self.notes, self.data, self.error = [], [], [], {}, None

    def compare(self, figure, ours, theirs, at_least=None, at_most=None):
        """The median of the ratios of slices that were measured next to each other."""
        one, other = ours.each(figure), theirs.each(figure)
        if len(one) == len(other):
            times = statistics.median(a / b for a, b in zip(one, other))
        else:
            times = statistics.median(one) / statistics.median(other)
        against = theirs.server if theirs.server != ours.server else theirs.situation
        what = f"{figure}, {ours.server}" + (f", {ours.situation}" if against == theirs.situation else "")
        self.judge(what, f"× {against}", times, at_least, at_most)

    def judge(self, what, unit, value, at_least=None, at_most=None):
        self.comparisons.append(
            {"what": what, "unit": unit, "value": value, "at_least": at_least, "at_most": at_most}
        )

    def as_json(self):
        return {
            "name": self.name,
            "title": self.title,
            "error": self.error,
            "comparisons": [{**one, "met": is_met(one)} for one in self.comparisons],
            "notes": self.notes,
            "figures": [series.as_json() for series in self.series if series.slices],
            **self.data,
        }


def is_met(comparison, leniency=1):
    """Whether the bar is met, or was not missed by more than `leniency` times."""
    value, at_least, at_most = (comparison[key] for key in ("value", "at_least", "at_most"))
    if at_least is not None and value < at_least / leniency:
        return False
    return at_most is None or value <= at_most * leniency


def table(rows):
    lines = []
    for row in rows:
        if row.error:
            lines.append(f"{row.name:<12} not measured: {row.error.splitlines()[0]}")
        for one in row.comparisons:
            bar = "" if one["at_least"] is None else f"at least {one['at_least']:g}"
            bar = bar if one["at_most"] is None else f"at most {one['at_most']:g}"
            verdict = "" if not bar else "met" if is_met(one) else "MISSED"
            value = f"{one['value']:.2f} {one['unit']}"
            lines.append(f"{row.name:<12} {one['what']:<66} {value:<34} {bar:<15} {verdict}")
    return "\n".join(line.rstrip() for line in lines)


def machine():
    model = platform.processor()
    with contextlib.suppress(OSError):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "kernel": platform.release(),
        "load_before": os.getloadavg()[0],
    }
