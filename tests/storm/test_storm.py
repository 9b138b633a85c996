"""The revocation test: no node answers from before a write, on whichever node that was made, not once."""

import pytest

from tests.storm.storm import Nodes, Storm, assert_right
from tests.support.databases import Database

# What makes the clock stand still, without a word in the program: its movements are thrown away.
STANDS_STILL = {
    "sqlite": [
        """CREATE TRIGGER broken_clock AFTER UPDATE ON archstone_clock
           BEGIN UPDATE archstone_clock SET tick = OLD.tick WHERE writer = OLD.writer; END""",
        "CREATE TRIGGER broken_change BEFORE INSERT ON archstone_change BEGIN SELECT RAISE(IGNORE); END",
    ],
    "mysql": [
        "CREATE TRIGGER broken_clock BEFORE UPDATE ON archstone_clock FOR EACH ROW SET NEW.tick = OLD.tick",
        # A place of its own for each; nobody will look for it.
        "CREATE TRIGGER broken_change BEFORE INSERT ON archstone_change FOR EACH ROW SET NEW.tick = -RAND() * 1e15",
    ],
    "postgresql": [
        """CREATE FUNCTION broken_clock() RETURNS trigger LANGUAGE plpgsql AS
           'BEGIN NEW.tick := OLD.tick; RETURN NEW; END'""",
        "CREATE TRIGGER broken_clock BEFORE UPDATE ON archstone_clock FOR EACH ROW EXECUTE FUNCTION broken_clock()",
        "CREATE FUNCTION broken_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER broken_change BEFORE INSERT ON archstone_change FOR EACH ROW EXECUTE FUNCTION broken_change()",
    ],
}


@pytest.fixture
def nodes(program, db, tmp_path):
    if program == "keystone":
        pytest.skip("a test of Archstone's memory")
    database = Database(db, tmp_path)
    try:
        with Nodes([database] * 3) as running:
            yield running
    finally:
        database.close()


def break_clock(database, db):
    connection = database.connect(None if db == "sqlite" else database.name)
    for statement in STANDS_STILL[db]:
        connection.cursor().execute(statement)
    connection.commit()
    connection.close()


def test_no_answer_is_from_before_a_write(nodes):
    with Storm(nodes, 8) as storm:
        assert_right(storm, storm.finish())


def test_a_clock_that_stands_still_is_found_out(nodes, db):
    # Once it has begun: who was given a role a moment ago could not even log in.
    with Storm(nodes, 6) as storm:
        break_clock(nodes[0].database, db)
        report = storm.finish()
    assert report["stale"] > 10, report
    assert storm.process.returncode == 1
    case = report["cases"][0]
    assert case["why"] and case["last_writes"][-1]["what"]
