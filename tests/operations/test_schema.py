"""The schema that `db_sync` makes is Python Keystone's, and each program accepts the other's."""

import re

import pytest

from tests.support.servers import Archstone, Keystone

pytestmark = pytest.mark.usefixtures("archstone_only")

EXPAND_HEAD, CONTRACT_HEAD = "742c857f1dfb", "c88cdce8f248"
OURS = "archstone_"

# One row for each thing that a database knows about its schema; the first column is the table.
POSTGRESQL = [
    """SELECT table_name, ordinal_position, column_name, udt_name, character_maximum_length, numeric_precision,
              is_nullable, column_default, collation_name
       FROM information_schema.columns WHERE table_schema = 'public'""",
    """SELECT conrelid::regclass::text, conname, contype::text, pg_get_constraintdef(oid)
       FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT typname, enumlabel, enumsortorder FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid",
    "SELECT sequencename, data_type::text, start_value, increment_by FROM pg_sequences",
    "SELECT event_object_table, trigger_name FROM information_schema.triggers",
]


@pytest.fixture(scope="module")
def archstone_only(program):
    if program != "archstone":
        pytest.skip("it compares the two programs")


def rows(server, statement):
    connection = server.database.connect(server.database.name)
    try:
        cursor = connection.cursor()
        cursor.execute(statement)
        return [tuple(row) for row in cursor.fetchall()]
    finally:
        connection.close()


def described(server) -> set:
    """Everything about the schema but our own tables and indexes, so that two can be compared."""
    kind = server.database.kind
    if kind == "postgresql":
        found = {(number, *row) for number, statement in enumerate(POSTGRESQL) for row in rows(server, statement)}
    elif kind == "mysql":
        # By lines: in which order it makes the indexes of a table differs from one run of db_sync to the next.
        found = {
            (name, line.strip().rstrip(","))
            for (name,) in rows(server, "SHOW TABLES")
            for line in rows(server, f"SHOW CREATE TABLE `{name}`")[0][1].splitlines()
        }
        found |= {("trigger", *row) for row in rows(server, "SHOW TRIGGERS")}
    else:
        # As the statements were written: only blanks differ.
        found = {
            (kind, table, name, re.sub(r"\s+", " ", re.sub(r"\s*([(),])\s*", r"\1", sql)))
            for kind, table, name, sql in rows(
                server, "SELECT type, tbl_name, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
            )
        }
    ours = (OURS, "ix_" + OURS, f"KEY `ix_{OURS}")
    return {row for row in found if not any(str(cell).startswith(ours) for cell in row)}


def seeds(server):
    projects = rows(server, "SELECT id, name, extra, description, enabled, domain_id, parent_id, is_domain FROM project")
    return sorted(rows(server, "SELECT version_num FROM alembic_version")), projects


@pytest.fixture(scope="module")
def pair(db):
    """Two databases: one made by each program."""
    archstone, keystone = Archstone(db=db, bootstrap=False), Keystone(db=db, bootstrap=False)
    try:
        for server in (archstone, keystone):
            server.manage("db_sync")
        yield archstone, keystone
    finally:
        for server in (archstone, keystone):
            server.database.close()


def test_schema_is_the_references(pair):
    archstone, keystone = map(described, pair)
    assert archstone - keystone == set()
    assert keystone - archstone == set()
    assert len({row[1] for row in archstone}) >= 49


def test_rows_made_with_the_schema_are_the_references(pair):
    archstone, keystone = map(seeds, pair)
    assert archstone == keystone
    assert archstone[0] == [(EXPAND_HEAD,), (CONTRACT_HEAD,)]


def test_each_accepts_what_the_other_made(pair):
    archstone, keystone = pair
    before = described(archstone)
    ours = Keystone(database=archstone.database, bootstrap=False)
    assert ours.manage("db_sync", "--check", check=False).returncode == 0
    ours.manage("db_sync")
    assert described(archstone) == before
    theirs = Archstone(database=keystone.database, bootstrap=False)
    # Only our own tables are missing.
    assert theirs.manage("db_sync", "--check", check=False).returncode == 2
    theirs.manage("db_sync")
    assert theirs.manage("db_sync", "--check", check=False).returncode == 0
    assert theirs.manage("db_version").stdout.strip() == EXPAND_HEAD
    assert keystone.manage("db_sync", "--check", check=False).returncode == 0


def test_check_of_an_empty_database_asks_for_expand(db):
    server = Archstone(db=db, bootstrap=False)
    try:
        assert server.manage("db_sync", "--check", check=False).returncode == 2
        assert server.manage("db_sync", "--contract", check=False).returncode == 1
        assert server.manage("db_version").stdout.strip() == "None"
    finally:
        server.database.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (f"UPDATE alembic_version SET version_num = 'e8725d6fa226' WHERE version_num = '{EXPAND_HEAD}'", "older"),
        (f"UPDATE alembic_version SET version_num = 'feedfacecafe' WHERE version_num = '{EXPAND_HEAD}'", "feedfacecafe"),
        ("DROP TABLE policy_association", "policy_association"),
        ("UPDATE archstone_version SET version = 99", "99"),
    ],
    ids=["older", "newer", "partial", "newer own tables"],
)
def test_other_schemas_are_refused_with_what_was_found(db, change, said):
    server = Archstone(db=db, bootstrap=False)
    try:
        server.manage("db_sync")
        connection = server.database.connect(server.database.name)
        connection.cursor().execute(change)
        connection.commit()
        connection.close()
        done = server.manage("db_sync", check=False)
        assert done.returncode == 1
        assert said in done.stderr
    finally:
        server.database.close()
