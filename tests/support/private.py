"""Servers of databases that a test starts for itself, and may stop, pause and kill."""

import importlib.machinery
import importlib.util
from urllib.parse import urlsplit

from tests.support.servers import ROOT


def services():
    """dev/services as a module."""
    loader = importlib.machinery.SourceFileLoader("services", str(ROOT / "dev" / "services"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("services", loader))
    loader.exec_module(module)
    return module


class OwnDatabase:
    """A database on a server that a test may stop; it is made unless another node of a cluster has it already."""

    def __init__(self, service, made=False):
        where = urlsplit(service.url())
        self.kind = where.scheme
        scheme = {"mysql": "mysql+pymysql", "postgresql": "postgresql+psycopg2"}[where.scheme]
        self.url = f"{scheme}://{where.username}:{where.password}@{where.hostname}:{where.port}/keystone"
        self.login = {"host": where.hostname, "port": where.port, "user": where.username, "password": where.password}
        if not made:
            self.execute("CREATE DATABASE keystone", database=None)

    def execute(self, statement, database="keystone"):
        """One statement by itself; what it returned."""
        if self.kind == "mysql":
            import pymysql

            connection = pymysql.connect(**self.login, database=database, autocommit=True, read_timeout=30)
        else:
            import psycopg2

            connection = psycopg2.connect(**self.login, dbname=database or "postgres")
            connection.autocommit = True
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def close(self):
        pass
