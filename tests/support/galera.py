"""A Galera cluster of three MariaDB nodes on this machine, from Debian's packages mariadb-server and galera-4."""

import shutil
import subprocess
import time
from pathlib import Path

from tests.support.private import services

PROVIDERS = ("/usr/lib/galera/libgalera_smm.so", "/usr/lib/libgalera_smm.so", "/usr/lib64/galera-4/libgalera_smm.so")
LOGIN = PASSWORD = "archstone"
def provider() -> str | None:
    """Galera's library, if it is installed."""
    return next((path for path in PROVIDERS if Path(path).exists()), None)


def connect(port):
    import pymysql

    login = {"host": "127.0.0.1", "port": port, "user": LOGIN, "password": PASSWORD}
    return pymysql.connect(**login, autocommit=True, connect_timeout=5, read_timeout=20)


def await_login(port, seconds=30):
    """A server listens before it knows its users."""
    until = time.monotonic() + seconds
    while True:
        try:
            return connect(port).close()
        except Exception:  # noqa: BLE001 — whatever the driver says of a server that is not there yet
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


class GaleraNode:
    """One server of the cluster. When it joins it gets what it has not from the others (IST, or by rsync all of it)."""

    def __init__(self, module, folder: Path, number: int, ports, user):
        self.module, self.folder, self.number, self.user = module, folder, number, user
        self.port, self.group_port, self.transfer_port, self.state_port = ports
        self.log = folder.parent / f"{folder.name}.log"
        self.process = None

    def serve(self, peers):
        options = ";".join(
            [
                f"gmcast.listen_addr=tcp://127.0.0.1:{self.group_port}",
                f"ist.recv_addr=127.0.0.1:{self.transfer_port}",
                # Half of the usual: who does not answer is put out of the cluster after these.
                "evs.suspect_timeout=PT3S",
                "evs.inactive_timeout=PT8S",
                "gcache.size=64M",
            ]
        )
        return [
            *self.module.as_user(self.user),
            *(self.module.program("mariadbd"), "--no-defaults", f"--datadir={self.folder}/data"),
            *(f"--socket={self.folder}/mysql.sock", f"--pid-file={self.folder}/pid"),
            *("--bind-address=127.0.0.1", f"--port={self.port}", "--skip-name-resolve", "--max-connections=500"),
            *("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-autoinc-lock-mode=2"),
            *("--binlog-format=ROW", "--wsrep-on=ON", f"--wsrep-provider={provider()}"),
            *(f"--wsrep-cluster-address=gcomm://{','.join(peers)}", "--wsrep-cluster-name=storm"),
            f"--wsrep-sst-receive-address=127.0.0.1:{self.state_port}",
            *(f"--wsrep-node-name=node{self.number}", f"--wsrep-node-address=127.0.0.1:{self.group_port}"),
            # So many writes of others are applied at once: they lag, and their order of work differs from that of commits.
            *("--wsrep-slave-threads=4", "--wsrep-sst-method=rsync", f"--wsrep-provider-options={options}"),
        ]

    def start(self, peers):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.serve(peers), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder, start_new_session=True
            )

    def url(self):
        return f"mysql://{LOGIN}:{PASSWORD}@127.0.0.1:{self.port}/mysql"

    def execute(self, statement):
        connection = connect(self.port)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def status(self, name):
        rows = self.execute(f"SHOW STATUS LIKE '{name}'")
        return rows[0][1] if rows else None

    def is_synced(self, size) -> bool:
        try:
            return self.status("wsrep_local_state_comment") == "Synced" and self.status("wsrep_cluster_size") == str(size)
        except Exception:  # noqa: BLE001 — whatever the driver says of a server that is not there yet
            return False

    def stop(self, wait=30):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(wait)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def send_signal(self, number):
        self.process.send_signal(number)


class Galera:
    """Three nodes, each a multi-master of the same data."""

    def __init__(self, parent: Path, size=3):
        self.module = module = services()
        self.user = module.Mariadb.user
        self.size = size

        class Seed(module.Mariadb):
            name = "galera-seed"

        seed = Seed(parent)
        seed.await_ready()
        await_login(seed.port)
        seed.stop()
        self.nodes = []
        for number in range(size):
            folder = module.owned_folder(parent / f"galera-{number}", self.user)
            shutil.copytree(seed.folder / "data", folder / "data")
            if shutil.os.geteuid() == 0:
                subprocess.run(["chown", "-R", f"{self.user}:", str(folder)], check=True)
            ports = [module.free_port() for _ in range(4)]
            self.nodes.append(GaleraNode(module, folder, number, ports, self.user))
        try:
            for number, node in enumerate(self.nodes):
                node.start(self.peers() if number else [])
                self.await_synced(node, number + 1)
            self.await_all_synced()
        except BaseException:
            self.stop()
            raise

    def peers(self):
        return [f"127.0.0.1:{node.group_port}" for node in self.nodes]

    def await_synced(self, node, size, seconds=60):
        until = time.monotonic() + seconds
        while not node.is_synced(size):
            if node.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"Galera node {node.number} does not join:\n{node.log.read_text()[-6000:]}")
            time.sleep(0.2)

    def await_all_synced(self, seconds=60):
        for node in self.nodes:
            self.await_synced(node, self.size, seconds)

    def restart(self, node):
        node.start(self.peers())

    def stop(self):
        for node in reversed(self.nodes):
            node.stop()

    def __getitem__(self, number):
        return self.nodes[number]
