"""The rows: each starts the servers it needs, and stops them.

Two figures that are compared closely are measured in turn, in short slices, and the median of the slices' ratios counts:
the machine differs from itself a minute later.
"""

import contextlib
import json
import os
import resource
import statistics
import subprocess
import time

from . import servers
from .cloud import BENCH, LARGE_CATALOG, USER_PASSWORD, USERS
from .instructions import count_instructions
from .process import BenchError, busy_seconds, cpu_seconds, discovers, free_port, resident_mib, start, stop
from .report import Row, Series

ROWS, QUICK = {}, ["hot", "tokens", "revocations", "rescope", "start"]
# How much `curve` has of them; the reference stops where a slice would take minutes.
CURVE, REFERENCE_CURVE = [0, 100, 1_000, 10_000, 100_000], 10_000


def row(name, title):
    def register(measure):
        ROWS[name] = (title, measure)
        return measure

    return register


class Bench:
    """What the rows share: the cloud, the sizes of slices, the reference, which is started once."""

    def __init__(self, arguments, cloud, stack):
        self.arguments, self.cloud, self.stack = arguments, cloud, stack
        self.rounds, self.seconds, self.warmup = (3, 1.0, 0.3) if arguments.quick else (5, 2.0, 0.5)
        self.venv = arguments.venv
        self._reference = None
        self._others = 0

    def wants(self, *names):
        return all(name in self.arguments.only for name in names)

    @contextlib.contextmanager
    def archstone(self, kind="sqlite", name="archstone", catalog=None, **options):
        database = self.cloud.database(kind, name, catalog=catalog)
        self.cloud.install_triggers(database)
        with servers.archstone(self.cloud, database, **options) as server:
            yield server

    def reference(self):
        if self._reference is None or self._reference.process.poll() is not None:
            self.venv = servers.reference_venv(self.venv)
            manage = [self.venv / "bin" / "keystone-manage"]
            database = self.cloud.database("mariadb", "reference", by=manage)
            context = servers.reference(self.cloud, database, self.venv, self.arguments.processes)
            self._reference = self.stack.enter_context(context)
        return self._reference

    def wire(self, server, tokens, name):
        """The bare server that answers what `server` answers."""
        return servers.wire(self.cloud, servers.record(self.cloud, server, tokens, name))

    def tokens(self):
        return self.cloud.tokens("many", 10_000)

    def others(self, count):
        """Options that name so many tokens of others than the one that is validated: no two slices the same."""
        tokens = self.cloud.tokens("others", 10_000)
        first = self._others + 1
        self._others = (self._others + count) % 9_000
        return ["--others", tokens, "--first-other", first, "--how-many-others", count]

    def slice(self, server, ask, *options, subjects=1, concurrency=20, seconds=None, warmup=None, tokens=None):
        seconds = self.seconds if seconds is None else seconds
        warmup = self.warmup if warmup is None else warmup
        command = [BENCH, "slice", ask, "--url", server.url, "--tokens", tokens or self.tokens(), "--subjects", subjects]
        command += ["--concurrency", concurrency, "--seconds", seconds, "--warmup", warmup, "--password", USER_PASSWORD]
        environment = {**os.environ, "OS_TOKEN": server.token}
        before, used, busy, began = children_cpu(), cpu_seconds(server.process.pid), busy_seconds(), time.monotonic()
        try:
            done = subprocess.run(
                list(map(str, [*command, *options])), capture_output=True, text=True, env=environment, timeout=seconds + 150
            )
        except subprocess.TimeoutExpired:
            raise BenchError(f"{server.name}: a slice of {seconds} s took {seconds + 150}") from None
        if done.returncode != 0:
            raise BenchError(f"{server.name}, {ask}: {done.stderr.strip()}")
        took = time.monotonic() - began
        measured = json.loads(done.stdout)
        measured["generator_cores"] = (children_cpu() - before) / took
        measured["all_cores"] = (busy_seconds() - busy) / took
        # uWSGI's work is done by its children.
        if server.name != "reference":
            measured["server_cores"] = (cpu_seconds(server.process.pid) - used) / took
        return measured

    def in_turn(self, row, situations, rounds=None):
        """`situations` are (server, what it is in, how a slice of it is measured); one slice of each, again and again."""
        all_series = [Series(server.name, what) for server, what, _ in situations]
        row.series += all_series
        for _ in range(rounds or self.rounds):
            for series, (_, _, measure) in zip(all_series, situations):
                series.add(measure())
        return all_series

    def against_reference(self, row, figure, ours, what, at_least, ask, *options, **sizes):
        """The reference answers a hundredth of the requests; one longer slice of it is enough."""
        if not self.wants("reference"):
            return None
        server = self.reference()
        sizes = {"seconds": 3 if self.arguments.quick else 5, **sizes}
        series = Series(server.name, what)
        row.series.append(series)
        series.add(self.slice(server, ask, *options, **sizes))
        if ours:
            row.compare(figure, ours, series, at_least=at_least)
        return series


def children_cpu():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@row("hot", "hot validation, 20 connections, SQLite")
def hot(bench, row):
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(bench.archstone()) if bench.wants("archstone") else None
        measured = [ours] if ours else []
        if bench.wants("wire"):
            measured.append(stack.enter_context(bench.wire(ours or bench.reference(), bench.tokens(), "hot")))
        situations = [(server, "hot", lambda server=server: bench.slice(server, "validate")) for server in measured]
        series = bench.in_turn(row, situations)
        if ours and bench.wants("wire"):
            row.compare("throughput", series[0], series[1], at_least=0.8)
            row.compare("p99", series[0], series[1], at_most=1.5)
        bench.against_reference(row, "throughput", series[0] if ours else None, "hot", 150, "validate")


@row("strict", "the same, MariaDB and PostgreSQL: the clock is read over the network for each answer")
def strict(bench, row):
    if not bench.wants("archstone", "wire"):
        return
    with contextlib.ExitStack() as stack:
        ours = [stack.enter_context(bench.archstone(kind)) for kind in ("mariadb", "postgresql")]
        wire = stack.enter_context(bench.wire(ours[0], bench.tokens(), "strict"))
        situations = [(server, "hot", lambda server=server: bench.slice(server, "validate")) for server in [wire, *ours]]
        theirs, *series = bench.in_turn(row, situations)
        for one in series:
            row.compare("throughput", one, theirs, at_least=0.6)
            row.compare("p99", one, theirs)


@row("tokens", "10,000 distinct tokens of 1,000 users in 1,000 projects, warm, SQLite")
def tokens(bench, row):
    if not bench.wants("archstone"):
        return
    with bench.archstone() as server:
        bench.slice(server, "validate", "--requests", 10_000, subjects=10_000, seconds=60, warmup=0)
        one, many = bench.in_turn(
            row,
            [
                (server, "one token", lambda: bench.slice(server, "validate")),
                (server, "10,000 tokens", lambda: bench.slice(server, "validate", subjects=10_000)),
            ],
        )
        row.compare("throughput", many, one, at_least=0.7)


@row("cold", "the same, everything cold: each token once, a freshly started server, MariaDB")
def cold(bench, row):
    once = {"subjects": 10_000, "seconds": 5 if bench.arguments.quick else 15, "warmup": 0}
    ours = None
    if bench.wants("archstone"):
        ours = Series("archstone, mariadb", "each token once")
        row.series.append(ours)
        for _ in range(1 if bench.arguments.quick else 3):
            with bench.archstone("mariadb") as server:
                ours.add(bench.slice(server, "validate", "--requests", 10_000, **once))
    if bench.wants("reference"):
        bench.reference()
        servers.flush_memcached(bench.cloud.memcached())
        bench.against_reference(
            row, "throughput", ours, "each token once", 25, "validate", "--requests", 10_000, **once
        )


@row("revocations", "hot validation with 100,000 revocation events, and while 10 more tokens a second are revoked, MariaDB")
def revocations(bench, row):
    if not bench.wants("archstone"):
        return
    full = bench.cloud.database("mariadb", "events")
    bench.cloud.add_revocations(full, 100_000)
    with bench.archstone("mariadb") as empty, bench.archstone("mariadb", "events") as full:

        def revoking():
            return bench.slice(full, "validate", "--revoke", 10, *bench.others(100))

        none, many, more = bench.in_turn(
            row,
            [
                (empty, "no event", lambda: bench.slice(empty, "validate")),
                (full, "100,000 events", lambda: bench.slice(full, "validate")),
                (full, "100,000 events, 10 more/s", revoking),
            ],
        )
        row.compare("throughput", many, none, at_least=0.97)
        row.compare("throughput", more, none, at_least=0.9)
        row.compare("p99", more, none)


@row("writes", "hot validation while 50 writes a second to other users run, MariaDB")
def writes(bench, row):
    if not bench.wants("archstone"):
        return
    with bench.archstone("mariadb") as server:
        quiet, busy = bench.in_turn(
            row,
            [
                (server, "quiet", lambda: bench.slice(server, "validate")),
                (server, "50 writes/s", lambda: bench.slice(server, "validate", "--change", 50, *bench.others(900))),
            ],
        )
        row.compare("throughput", busy, quiet, at_least=0.9)
        row.compare("p99", busy, quiet)


@row("hashing", "p99 of hot validation while every core hashes passwords, SQLite")
def hashing(bench, row):
    if not bench.wants("archstone"):
        return
    logins = 2 * (os.cpu_count() or 1)
    # Otherwise a user who comes again would not be hashed for.
    with bench.archstone(options=[("remember_verified_password_for", 0)]) as server:

        def busy():
            return bench.slice(server, "validate", "--logins", logins, *bench.others(500))

        quiet, busy = bench.in_turn(
            row,
            [
                (server, "quiet", lambda: bench.slice(server, "validate")),
                (server, f"{logins} logins at a time", busy),
            ],
        )
        row.compare("p99", busy, quiet, at_most=3)
        row.compare("throughput", busy, quiet)


@row("protocol", "200 issues and validations in series, 1,000 issues and 10 s of validations by 20 at once, MariaDB")
def protocol(bench, row):
    rates = {}
    if bench.wants("archstone"):
        with bench.archstone("mariadb") as server:
            rates["archstone"] = whole_load(bench, row, server)
    if bench.wants("reference"):
        rates["reference"] = whole_load(bench, row, bench.reference())
    if len(rates) == 2:
        for phase, rate in rates["archstone"].items():
            at_least = 30 if phase == "concurrent validate" else None
            row.judge(f"{phase}, throughput, archstone", "× reference", rate / rates["reference"][phase], at_least)


def whole_load(bench, row, server):
    output = bench.cloud.folder / f"load-{server.name.split(',')[0]}.json"
    command = [BENCH, "load", "--url", server.url, "--output", output]
    command += ["--serial", 20, "--issues", 40, "--seconds", 3] if bench.arguments.quick else []
    environment = {**os.environ, "OS_PASSWORD": bench.cloud.password}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise BenchError(f"{server.name}: {done.stderr.strip()}")
    print(done.stdout, flush=True)
    phases = json.loads(output.read_text())["phases"]
    row.data[server.name] = phases
    return {phase["name"]: phase["per_second"] for phase in phases}


def issue(bench, row, ask, what, at_least):
    ours = None
    if bench.wants("archstone"):
        with bench.archstone("mariadb") as server:
            (ours,) = bench.in_turn(row, [(server, what, lambda: bench.slice(server, ask))])
    bench.against_reference(row, "throughput", ours, what, at_least, ask)


@row("rescope", "issue by token, MariaDB")
def rescope(bench, row):
    issue(bench, row, "rescope", "issue by token", 100)


@row("login", "issue by password of a service user that logs in again and again, MariaDB")
def login(bench, row):
    issue(bench, row, "login", "issue by password", 200)


@row("users", "list of 10,000 users, MariaDB")
def users(bench, row):
    # Bootstrap has made one more.
    options, sizes = ["--path", "/v3/users", "--entries", USERS + 1], {"concurrency": os.cpu_count()}
    ours = None
    if bench.wants("archstone"):
        with bench.archstone("mariadb") as server:
            (ours,) = bench.in_turn(
                row, [(server, "list", lambda: bench.slice(server, "list", *options, **sizes))]
            )
    bench.against_reference(row, "throughput", ours, "list", 30, "list", *options, warmup=0, **sizes)


@row("catalog", "validation with a catalog of 100 regions × 20 services × 3, SQLite")
def catalog(bench, row):
    if not bench.wants("archstone", "wire"):
        return
    with bench.archstone(name="catalog", catalog=LARGE_CATALOG) as server:
        with bench.wire(server, bench.tokens(), "catalog") as wire:
            situations = [(one, "6,000 endpoints", lambda one=one: bench.slice(one, "validate")) for one in (server, wire)]
            ours, theirs = bench.in_turn(row, situations)
            row.compare("bytes", ours, theirs, at_least=0.7)


@row("memory", "memory after start, and with 100,000 tokens in the cache, SQLite")
def memory(bench, row):
    if not bench.wants("archstone"):
        return
    count = 10_000 if bench.arguments.quick else 100_000
    with bench.archstone() as server:
        # The users who are enabled, ten tokens each; the keys are there once a database is.
        tokens = bench.cloud.tokens("memory", count, USERS)
        row.judge("after start and one login", "MiB", resident_mib(server.process.pid), at_most=40)
        series = Series(server.name, f"{count:,} tokens, first time"), Series(server.name, "again")
        row.series += series
        for one in series:
            sizes = {"subjects": count, "seconds": 300, "warmup": 0, "tokens": tokens}
            one.add(bench.slice(server, "validate", "--requests", count, **sizes))
        row.judge(f"with {count:,} tokens", "MiB", resident_mib(server.process.pid), at_most=250)
        # Were they not in memory, they would not be answered faster.
        row.compare("throughput", series[1], series[0])


@row("start", "start to first answer, SQLite")
def start_time(bench, row):
    if not bench.wants("archstone"):
        return
    cloud = bench.cloud
    database = cloud.database("sqlite", "archstone")
    taken = []
    for _ in range(5):
        port = free_port()
        began = time.monotonic()
        process = start(servers.archstone_command(database, port), cloud.folder / "start.log")
        try:
            while not discovers(f"http://127.0.0.1:{port}"):
                if process.poll() is not None or time.monotonic() > began + 20:
                    raise BenchError("Archstone did not start")
                time.sleep(0.001)
            taken.append((time.monotonic() - began) * 1000)
        finally:
            stop(process)
    row.data["start_ms"] = taken
    row.judge("start to first answer", "ms", statistics.median(taken), at_most=100)


@row("instructions", "instructions of one warm validation, SQLite")
def instructions(bench, row):
    if not bench.wants("archstone"):
        return
    counted = count_instructions(bench)
    row.data["instructions"] = counted
    row.judge("instructions of a validation", "thousand", counted["per_validation"] / 1000)


@row("curve", "hot validation by the number of revocation events, quiet and while 2 more a second are made, MariaDB")
def curve(bench, row):
    points = row.data["curve"] = []
    with contextlib.ExitStack() as stack:
        measured = []
        if bench.wants("archstone"):
            # A database of its own; the reference's is slow from now on, so this row is the last.
            server = stack.enter_context(bench.archstone("mariadb", "curve"))
            measured.append((server, bench.cloud.database("mariadb", "curve"), 3, bench.seconds))
        if bench.wants("reference"):
            measured.append((bench.reference(), bench.cloud.database("mariadb", "reference"), 1, 4.0))
        there = 0
        for count in CURVE:
            for server, database, rounds, seconds in measured:
                if server.name == "reference" and count > REFERENCE_CURVE:
                    continue
                if count > there:
                    bench.cloud.add_revocations(database, count - there, there)
                    if server.name == "reference":
                        servers.flush_memcached(bench.cloud.memcached())

                def quiet():
                    return bench.slice(server, "validate", seconds=seconds)

                def more():
                    return bench.slice(server, "validate", "--revoke", 2, *bench.others(40), seconds=seconds)

                situations = [(server, f"{count:,} events", quiet), (server, f"{count:,} events, 2 more/s", more)]
                for series, pace in zip(bench.in_turn(row, situations, rounds), (0, 2)):
                    rate, p99 = series.median("throughput"), series.median("p99")
                    point = {"server": server.name, "events": count, "more_per_second": pace}
                    points.append({**point, "per_second": rate, "p99_ms": p99})
            there = count


def measure(bench, name):
    """Measures a row; what goes wrong is noted in it."""
    title, measure_row = ROWS[name]
    result = Row(name, title)
    print(f"\n{name}: {title}", flush=True)
    began = time.monotonic()
    try:
        measure_row(bench, result)
    except (BenchError, OSError, ValueError, subprocess.SubprocessError) as error:
        result.error = str(error) or type(error).__name__
        print(f"  not measured: {result.error}")
    for series in result.series:
        if series.slices:
            print(series)
    for note in result.notes:
        print(f"  {note}")
    result.data["seconds"] = round(time.monotonic() - began, 1)
    print(f"  ({result.data['seconds']} s)", flush=True)
    return result
