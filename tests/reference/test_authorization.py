"""Every persona gets from every route what Python Keystone gave it; see authorization.py."""

import pytest

from tests.reference.authorization import ACCEPTED, CASES, World, ask_all, differences, left_out, load

RECORDED = load()


@pytest.fixture(scope="module")
def world(server):
    return World(server.url)


# In the order of the cases: the last ones end tokens.
@pytest.mark.parametrize("route", dict.fromkeys(case.route for case in CASES))
def test_each_persona_is_answered_as_recorded(world, route, program):
    if program == "archstone" and left_out(route):
        pytest.skip(f"{left_out(route)} is not there yet")
    found = {case.name: [*ask_all(world, case)] for case in CASES if case.route == route}
    assert differences(RECORDED, {route: found}) == []


def test_recording_has_every_case():
    assert {route: set(cases) for route, cases in RECORDED.items()} == {
        route: {case.name for case in CASES if case.route == route} for route in {case.route for case in CASES}
    }


def test_accepted_differences_are_recorded_otherwise():
    for (route, name, _), _ in ACCEPTED.items():
        assert name in RECORDED[route]
