"""Fixtures for all tests here. Archstone is the program under test.

`--program keystone` runs the same tests against Python Keystone, which proves the tests.
"""

import pytest

from tests.support.databases import KINDS, available
from tests.support.servers import PROGRAMS, archstone_binary


def pytest_addoption(parser):
    parser.addoption("--program", choices=tuple(PROGRAMS), default="archstone")
    parser.addoption("--long", action="store_true", help="also the tests that take minutes each")


def pytest_sessionstart(session):
    if session.config.getoption("--program") == "archstone" and not archstone_binary().exists():
        pytest.exit(f"{archstone_binary()} is missing: cargo build first", 2)


@pytest.fixture(scope="session")
def program(pytestconfig) -> str:
    return pytestconfig.getoption("--program")


@pytest.fixture(scope="module")
def server(program):
    """A fresh, bootstrapped service on SQLite for one file of tests."""
    with PROGRAMS[program](conf={"identity": {"password_hash_rounds": 5}}) as running:
        yield running


def pytest_generate_tests(metafunc):
    # Outside dev/services only SQLite is at hand; dev/test always has all three.
    if "db" in metafunc.fixturenames:
        metafunc.parametrize("db", [k for k in KINDS if available(k)], scope="module")


def pytest_collection_modifyitems(config, items):
    """Leave out what takes long, unless asked for.

    Keep together, on one worker, the tests that share a server: those of one file and parameters.
    """
    if not config.getoption("--long"):
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("long")])
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    for item in items:
        if item.get_closest_marker("xdist_group"):
            continue
        parameters = getattr(item, "callspec", None)
        shared = [str(parameters.params[n]) for n in ("db", "pair") if parameters and n in parameters.params]
        item.add_marker(pytest.mark.xdist_group("-".join([item.path.stem, *shared])))
