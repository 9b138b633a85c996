"""Several nodes on one database, and the load that looks for answers from before a write (`archstone-bench storm`)."""

import json
import subprocess
import time

from tests.support.servers import Archstone, archstone_binary

CONF = {
    "identity": {"password_hash_rounds": 4},
    # Nothing but the clock is to tell of a write.
    "archstone": {"foreign_write_bound": 3600},
    "database": {"max_retries": 2, "retry_interval": 1},
}


class Node(Archstone):
    """One of several in a folder."""

    def __init__(self, number, **options):
        self.program = f"node{number}"
        super().__init__(**options)


class Nodes:
    """Nodes with one set of keys, on one database or each on its own node of a cluster."""

    def __init__(self, databases, conf=CONF):
        self.nodes = []
        for number, database in enumerate(databases):
            folder = self.nodes[0].folder if self.nodes else None
            self.nodes.append(Node(number, database=database, folder=folder, conf=conf))

    def __enter__(self):
        try:
            self.nodes[0].prepare()
            for node in self.nodes:
                node.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for node in reversed(self.nodes):
            node.close()

    def __getitem__(self, number):
        return self.nodes[number]

    def logs(self):
        return "".join(f"== {node.program}\n{node.log_tail()}" for node in self.nodes)


class Storm:
    """A run of the load."""

    def __init__(self, nodes, seconds, *, seed=1, faults=False, writes_only=(), **options):
        self.nodes, self.seconds, self.faults = nodes, seconds, faults
        command = [str(archstone_binary().parent / "archstone-bench"), "storm", "--password", "adminpw"]
        for node in nodes:
            command += ["--url", node.url]
        for server in writes_only:
            command += ["--write-url", server.url]
        for name, value in {"seconds": seconds, "seed": seed, **options}.items():
            command += [f"--{name.replace('_', '-')}", str(value)]
        if faults:
            command.append("--faults")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "begun\n":
            raise AssertionError(f"the storm did not begin: {self.process.communicate()[1]}\n{self.logs()}")
        self.begun = time.monotonic()

    def logs(self):
        return self.nodes.logs() if hasattr(self.nodes, "logs") else ""

    def now(self):
        """Seconds since it began, as the report counts them."""
        return time.monotonic() - self.begun

    def finish(self) -> dict:
        """The report, when it is over."""
        out, self.errors = self.process.communicate(timeout=self.seconds + 120)
        try:
            return json.loads(out)
        except ValueError:
            raise AssertionError(f"no report: {out}{self.errors}\n{self.logs()}") from None

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def summary(report) -> str:
    names = ("seconds", "validations", "valid", "refused", "writes", "stale", "wrongly_refused", "cells_lost", "seed")
    return ", ".join(f"{name} {report[name]}" for name in names)


def assert_right(storm, report):
    """No answer was wrong; and but for faults, there were no errors."""
    print(summary(report))
    assert report["stale"] == 0, json.dumps(report["cases"], indent=1)
    assert report["wrongly_refused"] == 0, json.dumps(report["cases"], indent=1)
    assert storm.process.returncode == 0, storm.errors
    assert report["valid"] > 100 and report["refused"] > 100 and report["writes"] > 20, summary(report)


def errors_between(report, begin, end) -> list:
    """Seconds of the timeline in which any node failed."""
    return [entry for entry in report["timeline"] if begin <= entry[0] < end and entry[3]]
