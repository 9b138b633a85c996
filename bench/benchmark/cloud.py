"""The data: one set of keys, and databases that hold the same seeded cloud each.

Whatever the database, users, projects and their tokens are the same, so that a token can be asked of every server.
"""

import os
import pwd
import secrets
import signal
import time

from .process import TARGET, BenchError, accepts, call, free_port, program, start, stop, wait_for

BENCH = TARGET / "release" / "archstone-bench"
ARCHSTONE = TARGET / "release" / "archstone"

# Ten users too many, because one in a hundred is disabled: a thousand users have a thousand projects for a home.
USERS, PROJECTS = 10_000, 1_010
USER_PASSWORD = "seedpw"
PEOPLE = ["--users", USERS, "--projects", PROJECTS, "--assignments", 12_000, "--groups", 100, "--password-of-one-in", 1]
# Beside bootstrap's identity service: a catalog of ten services of three endpoints each.
USUAL_CATALOG = ["--endpoints", 27, "--regions", 1]
LARGE_CATALOG = ["--endpoints", 6_000, "--regions", 100]


class Database:
    """An empty database of one of the three kinds."""

    def __init__(self, kind, name, url):
        self.kind, self.name, self.url = kind, name, url
        # Python Keystone has made the schema; else Archstone has.
        self.config = None


class Cloud:
    def __init__(self, folder, stack, arguments):
        self.folder, self.stack, self.arguments = folder, stack, arguments
        self.password = secrets.token_hex(16)
        self.database_password = secrets.token_hex(16)
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.started_at = int(time.time())
        self.servers, self.databases, self.files = {}, {}, {}

    # Servers of data, started when first asked for.

    def _server(self, kind, begin):
        if kind not in self.servers:
            self.servers[kind] = begin()
        return self.servers[kind]

    def _keep(self, name, command, port, how=signal.SIGTERM):
        log = self.folder / f"{name}.log"
        process = start(command, log)
        self.stack.callback(stop, process, how)
        wait_for(lambda: accepts(port), name, process, log)

    def mariadb(self):
        def begin():
            port, data, socket = free_port(), self.folder / "mariadb", self.folder / "mariadb.sock"
            owner = [f"--user={self.user}"]
            install = [program("mariadb-install-db"), "--no-defaults", f"--datadir={data}", "--skip-test-db", *owner]
            call([*install, "--auth-root-authentication-method=normal"], self.folder / "mariadb-install.log")
            command = [program("mariadbd"), "--no-defaults", f"--datadir={data}", f"--socket={socket}", *owner]
            command += [f"--port={port}", "--bind-address=127.0.0.1", "--innodb-buffer-pool-size=512M"]
            self._keep("mariadb", [*command, "--skip-name-resolve"], port)
            self._mariadb_client(f"CREATE USER keystone@127.0.0.1 IDENTIFIED BY '{self.database_password}';")
            return port

        return self._server("mariadb", begin)

    def _mariadb_client(self, statements):
        client = [program("mariadb"), "--no-defaults", f"--socket={self.folder / 'mariadb.sock'}", "-u", "root"]
        call(client, self.folder / "mariadb-client.log", text=statements.encode())

    def postgresql(self):
        def begin():
            port, data = free_port(), self.folder / "postgresql"
            # It refuses to be root.
            prefix = []
            data.mkdir(mode=0o700)
            if os.geteuid() == 0:
                entry = pwd.getpwnam("postgres")
                os.chown(data, entry.pw_uid, entry.pw_gid)
                self.folder.chmod(0o755)
                prefix = [program("setpriv"), "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
            secret = data.with_suffix(".password")
            secret.write_text(self.database_password)
            secret.chmod(0o644)
            install = [program("initdb"), f"--pgdata={data / 'data'}", "--username=keystone", f"--pwfile={secret}"]
            install += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
            call([*prefix, *install], self.folder / "postgresql-install.log")
            command = [program("postgres"), "-D", data / "data", "-h", "127.0.0.1", "-p", port, "-k", data]
            # "Fast": roll back and end, rather than wait for the clients to go.
            self._keep("postgresql", [*prefix, *command], port, signal.SIGINT)
            return port

        return self._server("postgresql", begin)

    def memcached(self):
        def begin():
            port = free_port()
            self._keep("memcached", [program("memcached"), "-l", "127.0.0.1", "-p", port, "-U", 0, "-u", self.user], port)
            return port

        return self._server("memcached", begin)

    # Databases, filled when first asked for.

    def database(self, kind, name, by=None, catalog=None):
        """A database with the cloud in it. `by` is the keystone-manage that makes and bootstraps it, Archstone's unless
        given; `catalog` is the usual one unless given."""
        key = f"{name}-{kind}"
        if key not in self.databases:
            self.databases[key] = self._make(kind, key, by or [ARCHSTONE], catalog or USUAL_CATALOG)
        return self.databases[key]

    def _make(self, kind, key, manage, catalog):
        place = key.replace("-", "_")
        if kind == "sqlite":
            url = f"sqlite:///{self.folder / key}.db"
        elif kind == "mariadb":
            port = self.mariadb()
            self._mariadb_client(
                f"CREATE DATABASE {place} CHARACTER SET utf8mb3; GRANT ALL ON {place}.* TO keystone@127.0.0.1;"
            )
            url = f"mysql+pymysql://keystone:{self.database_password}@127.0.0.1:{port}/{place}"
        elif kind == "postgresql":
            # One for all: a second would need a client to make it.
            url = f"postgresql+psycopg2://keystone:{self.database_password}@127.0.0.1:{self.postgresql()}/postgres"
            if any(other.kind == kind for other in self.databases.values()):
                raise BenchError("there is only one PostgreSQL database")
        else:
            raise BenchError(f"no such database: {kind}")
        database = Database(kind, key, url)
        database.config = self._configure(key, url)
        self._fill(database, manage, catalog)
        return database

    def _configure(self, name, url):
        config = self.folder / f"{name}.conf"
        config.write_text(
            f"""[DEFAULT]
log_file = {self.folder}/{name}.server.log
max_db_limit = {10 * USERS}
[database]
connection = {url}
{self._cache(url)}[fernet_tokens]
key_repository = {self.folder}/fernet
[fernet_receipts]
key_repository = {self.folder}/fernet
[credential]
key_repository = {self.folder}/credential
"""
        )
        return config

    def _cache(self, url):
        """The cache of Python Keystone, which runs on MariaDB; Archstone has none outside itself."""
        if "reference" not in self.arguments.only or not url.startswith("mysql"):
            return ""
        # `dogpile.cache.memcached` is what oslo.cache advises for fewer than a hundred servers.
        servers = f"memcache_servers = 127.0.0.1:{self.memcached()}"
        return f"[cache]\nenabled = true\nbackend = dogpile.cache.memcached\n{servers}\n"

    def _fill(self, database, manage, catalog):
        log = self.folder / "manage.log"

        def run(*command, environment=None):
            call([*manage, "--config-file", database.config, *command], log, environment)

        owner = ["--keystone-user", self.user, "--keystone-group", self.user]
        if not (self.folder / "fernet").exists():
            run("fernet_setup", *owner)
            run("credential_setup", *owner)
        run("db_sync")
        endpoint = "http://127.0.0.1:5000/v3"
        urls = [item for kind in ("admin", "public", "internal") for item in (f"--bootstrap-{kind}-url", endpoint)]
        secret = {**os.environ, "OS_BOOTSTRAP_PASSWORD": self.password}
        run("bootstrap", "--bootstrap-region-id", "RegionOne", *urls, environment=secret)
        # Our own tables come beside those of Python Keystone's schema.
        call([ARCHSTONE, "--config-file", database.config, "db_sync"], log)
        rounds = ["--password-rounds", 12, "--password", USER_PASSWORD]
        call([BENCH, "seed", "--connection", database.url, *PEOPLE, *catalog, *rounds], log)

    def install_triggers(self, database):
        """So that a foreign write holds at once, and nothing is loaded again for nothing."""
        call([ARCHSTONE, "--config-file", database.config, "db", "triggers", "install"], self.folder / "manage.log")

    def add_revocations(self, database, count, first=0):
        command = [BENCH, "revocations", "--connection", database.url, "--count", count, "--first", first]
        call([*command, "--at", int(time.time())], self.folder / "manage.log")

    # Tokens, which are good for every database.

    def tokens(self, name, count, of_users=1_000):
        """A file of tokens that were issued half an hour ago, as most that are validated in a cloud."""
        if name not in self.files:
            path = self.folder / f"{name}.tokens"
            command = [BENCH, "seal", "--keys", self.folder / "fernet", "--count", count, "--of-users", of_users, *PEOPLE]
            times = ["--issued-at", self.started_at - 1_800, "--lifetime", 5_400]
            call([*command, *times, "--output", path], self.folder / "manage.log")
            self.files[name] = path
        return self.files[name]
