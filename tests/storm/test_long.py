"""The revocation test for minutes, while nodes are paused and killed, databases stop, and a cluster falls apart.

What may fail while something is down may fail with 5xx or without an answer; no answer is wrong; and when all is back, all
answer again. Run by `dev/test --long`.
"""

import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from tests.storm.storm import Nodes, Storm, assert_right, errors_between
from tests.support.databases import Database
from tests.support.galera import Galera, provider
from tests.support.private import OwnDatabase, services
from tests.support.servers import Keystone

pytestmark = pytest.mark.long

# Within so many seconds of the end of a trouble all is as it was.
RECOVERS_WITHIN = 12


@pytest.fixture
def parent(program):
    if program == "keystone":
        pytest.skip("a test of Archstone's memory")
    # Not pytest's own folders: the databases run as users of their own, who may not enter those.
    parent = Path(tempfile.mkdtemp(prefix="archstone-storm-"))
    parent.chmod(0o755)
    yield parent
    shutil.rmtree(parent, ignore_errors=True)


def durable(module, kind):
    """A server that keeps what it has committed when it is killed (though not when the machine is)."""
    options = {
        "Mariadb": ["--innodb-flush-log-at-trx-commit=2", "--innodb-doublewrite=1"],
        "Postgresql": ["-c", "synchronous_commit=on", "-c", "full_page_writes=on"],
    }

    class Durable(getattr(module, kind)):
        def serve(self):
            return [*super().serve(), *options[kind]]

    return Durable


class Troubles:
    """Things that are broken and mended while a storm goes on, one after the other."""

    def __init__(self, storm):
        self.storm = storm
        self.calm = []
        self.mended = 0

    def during(self, seconds, name, breaks, mends, calm=8):
        """Leaves everything in peace for a while, then breaks something for so long."""
        time.sleep(RECOVERS_WITHIN + calm)
        self.calm.append((name, self.mended + (RECOVERS_WITHIN if self.mended else 0), int(self.storm.now())))
        print(f"{self.storm.now():.0f} s: {name}", flush=True)
        breaks()
        time.sleep(seconds)
        mends()
        self.mended = int(self.storm.now()) + 1

    def finish(self):
        report = self.storm.finish()
        assert_right(self.storm, report)
        self.calm.append(("the end", self.mended + RECOVERS_WITHIN, int(report["seconds"])))
        for before, begin, end in self.calm:
            assert begin < end
            assert not errors_between(report, begin, end), (before, report["errors"])
            nodes = {entry[1] for entry in report["timeline"] if begin <= entry[0] < end and entry[2]}
            assert nodes == {0, 1, 2}, f"before {before} only {nodes} answered"
        refusals = [e for e in report["errors"] if e["failure"]["text"][:1] == "4"]
        assert not refusals, refusals
        return report


def restart_node(node):
    node.process.wait()
    node.start()


def node_troubles(troubles, nodes):
    pause, go_on = signal.SIGSTOP, signal.SIGCONT
    node = nodes[1]
    troubles.during(8, "a node is paused", lambda: node.process.send_signal(pause), lambda: node.process.send_signal(go_on))
    # Shorter than anybody's patience: what was asked meanwhile is answered.
    troubles.during(2, "a short pause", lambda: node.process.send_signal(pause), lambda: node.process.send_signal(go_on))
    troubles.during(2, "a node is killed", nodes[2].process.kill, lambda: restart_node(nodes[2]))


@pytest.mark.parametrize("kind", ["Mariadb", "Postgresql"])
def test_troubles(parent, kind):
    service = durable(services(), kind)(parent)
    try:
        service.await_ready()
        with Nodes([OwnDatabase(service)] * 3) as nodes, Storm(nodes, 190, faults=True, seed=7) as storm:
            troubles = Troubles(storm)
            node_troubles(troubles, nodes)

            def start():
                service.process.wait()
                service.start()
                service.await_ready()

            troubles.during(2, "the database is restarted", service.stop, start)
            # PostgreSQL's processes do not all go with the first; SIGQUIT is its way to crash.
            crash = signal.SIGKILL if kind == "Mariadb" else signal.SIGQUIT
            troubles.during(2, "the database crashes", lambda: service.process.send_signal(crash), start)
            if kind == "Mariadb":
                pause, go_on = signal.SIGSTOP, signal.SIGCONT
                process = service.process
                troubles.during(
                    7, "the database is paused", lambda: process.send_signal(pause), lambda: process.send_signal(go_on)
                )
            troubles.finish()
    finally:
        service.stop()


@pytest.fixture
def galera(parent):
    if provider() is None:
        pytest.fail("Galera is not installed (apt-get install galera-4 rsync)")
    cluster = Galera(parent)
    try:
        yield cluster
    finally:
        cluster.stop()


def databases(cluster):
    made = []
    for node in cluster.nodes:
        made.append(OwnDatabase(node, made=bool(made)))
    return made


def test_galera_in_peace(galera):
    with Nodes(databases(galera)) as nodes, Storm(nodes, 60, seed=11, pause=10) as storm:
        assert_right(storm, storm.finish())


def test_galera_node_that_lags_waits_or_fails(galera):
    """One node applies nothing: what others commit it does not have, and must not answer without."""
    with Nodes(databases(galera)) as nodes, Storm(nodes, 40, seed=13, faults=True) as storm:
        import pymysql

        lagging = pymysql.connect(**nodes[2].database.login, autocommit=True)
        for _ in range(4):
            time.sleep(4)
            with lagging.cursor() as cursor:
                cursor.execute("FLUSH TABLES WITH READ LOCK")
                time.sleep(3)
                cursor.execute("UNLOCK TABLES")
        lagging.close()
        report = storm.finish()
        assert_right(storm, report)
        assert not errors_between(report, 32, 40), report["errors"]


def test_galera_falls_apart(galera):
    with Nodes(databases(galera)) as nodes, Storm(nodes, 190, faults=True, seed=17) as storm:
        troubles = Troubles(storm)
        pause, go_on = signal.SIGSTOP, signal.SIGCONT
        node_troubles(troubles, nodes)
        troubles.during(
            6, "a Galera node is paused", lambda: galera[2].send_signal(pause), lambda: galera[2].send_signal(go_on)
        )

        def isolate(how):
            galera[1].execute(f"SET GLOBAL wsrep_provider_options = 'gmcast.isolate={how}'")

        def rejoin():
            isolate(0)
            galera.await_all_synced()

        troubles.during(8, "a Galera node is cut off", lambda: isolate(1), rejoin)

        def start_again():
            galera.restart(galera[0])
            galera.await_all_synced()

        troubles.during(2, "a Galera node is restarted", galera[0].stop, start_again)
        troubles.finish()


def test_beside_python_keystone_with_triggers(parent, db):
    """Keystone writes too, and knows nothing of the clock."""
    if db == "sqlite":
        pytest.skip("Keystone's writes get in each other's way on SQLite")
    with Database(db, parent) as database, Nodes([database] * 2) as nodes:
        nodes[0].manage("db", "triggers", "install")
        nodes_again(nodes)
        keystone = Keystone(database=database, folder=nodes[0].folder, conf={"identity": {"password_hash_rounds": 4}})
        try:
            keystone.start()
            with Storm(nodes, 60, seed=19, writes_only=[keystone, keystone, keystone], writers=2) as storm:
                assert_right(storm, storm.finish())
        finally:
            keystone.stop()


def nodes_again(nodes):
    """So that they see the triggers from the start."""
    for node in nodes.nodes:
        node.stop()
        node.start()
