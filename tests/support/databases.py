"""A fresh, empty database of each kind.

MariaDB and PostgreSQL are reached by the administrator URLs that `dev/services` exports:
ARCHSTONE_TEST_MYSQL_URL and ARCHSTONE_TEST_POSTGRESQL_URL.
"""

import os
import uuid
from pathlib import Path
from urllib.parse import urlsplit

KINDS = ("sqlite", "mysql", "postgresql")
VARIABLES = {"mysql": "ARCHSTONE_TEST_MYSQL_URL", "postgresql": "ARCHSTONE_TEST_POSTGRESQL_URL"}


class NotAvailable(RuntimeError):
    """The database server for this kind was not started."""


def available(kind: str) -> bool:
    return kind == "sqlite" or bool(os.environ.get(VARIABLES[kind]))


class Database:
    """An empty database; `url` is written as `[database] connection` wants it. Dropped by close()."""

    def __init__(self, kind: str, folder: Path):
        self.kind = kind
        self.name = "t" + uuid.uuid4().hex[:16]
        if kind == "sqlite":
            self.path = Path(folder) / f"{self.name}.db"
            self.url = f"sqlite:///{self.path}"
            return
        if not available(kind):
            raise NotAvailable(f"{VARIABLES[kind]} is not set: run this under dev/services")
        self.admin = urlsplit(os.environ[VARIABLES[kind]])
        user = self.admin.username + (f":{self.admin.password}" if self.admin.password else "")
        place = f"{user}@{self.admin.hostname}:{self.admin.port}/{self.name}"
        if kind == "mysql":
            # What Keystone's own installation guide leads to, and what was recorded.
            self.execute(f"CREATE DATABASE {self.name} CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci")
            self.url = f"mysql+pymysql://{place}"
        else:
            self.execute(f"CREATE DATABASE {self.name}")
            self.url = f"postgresql+psycopg2://{place}"

    def connect(self, database: str | None = None):
        """A DB-API connection: to this database, or to the one named."""
        if self.kind == "sqlite":
            import sqlite3

            return sqlite3.connect(self.path, timeout=30)
        login = {"host": self.admin.hostname, "port": self.admin.port, "user": self.admin.username}
        if self.kind == "mysql":
            import pymysql

            return pymysql.connect(
                **login, password=self.admin.password or "", database=database, autocommit=True
            )
        import psycopg2

        connection = psycopg2.connect(**login, password=self.admin.password, dbname=database or "postgres")
        connection.autocommit = True
        return connection

    def execute(self, statement: str):
        connection = self.connect()
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()

    def close(self):
        if self.kind == "sqlite":
            for path in self.path.parent.glob(self.path.name + "*"):
                path.unlink()
        elif self.kind == "mysql":
            self.execute(f"DROP DATABASE IF EXISTS {self.name}")
        else:
            self.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
