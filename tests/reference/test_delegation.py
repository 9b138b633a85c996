"""Every kind of token gets from each case what Python Keystone gave it, or what is right; see delegation.py."""

import re

import pytest

from tests.reference.delegation import (
    ADVISORIES,
    CASES,
    COLUMNS,
    CONF,
    DELEGATED,
    KINDS,
    ROLES,
    WRONG,
    Delegations,
    differences,
    expected,
    left_out,
    load,
)
from tests.support.servers import PROGRAMS

RECORDED = load()


@pytest.fixture(scope="module")
def world(program):
    with PROGRAMS[program](conf=CONF) as server:
        yield Delegations(server.url)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_each_token_is_answered_as_it_should_be(world, case, program):
    if program == "archstone" and left_out(case.title):
        pytest.skip(f"{left_out(case.title)} is not there yet")
    found = {case.title: [world.ask(case, column) for column in COLUMNS]}
    wanted = expected(RECORDED) if program == "archstone" else expected_as_recorded()
    assert differences(wanted, found) == []


def expected_as_recorded():
    return {title: dict(zip(COLUMNS, statuses, strict=True)) for title, statuses in RECORDED.items()}


def matching(advisory):
    return [case for case in CASES if re.fullmatch(advisory.cases, case.title)]


@pytest.mark.parametrize("name", ADVISORIES)
def test_advisory(name):
    """What the matrix expects leaves none of them open; that it is so, the test above has asked."""
    advisory = ADVISORIES[name]
    cases = matching(advisory)
    assert cases, advisory.cases
    wanted = expected(RECORDED)
    for case in cases:
        for column in (f"{role}: {kind}" for role in advisory.roles for kind in advisory.kinds):
            assert wanted[case.title][column] in advisory.statuses, f"{case.title} by {column}"


def test_recording_has_every_case():
    assert list(RECORDED) == [case.title for case in CASES]
    assert all(len(statuses) == len(COLUMNS) for statuses in RECORDED.values())


def test_what_is_wrong_is_recorded_otherwise():
    for title, rule in WRONG.items():
        recorded = dict(zip(COLUMNS, RECORDED[title], strict=True))
        for column in (f"{role}: {kind}" for role in rule.roles for kind in rule.kinds):
            assert recorded[column] != rule.status, f"{title} by {column}"


def test_no_delegated_token_gets_more_than_its_user():
    """A delegated token may be refused what its user is not, never the other way round."""
    wanted = expected(RECORDED)
    more = [
        f"{title} by {role}: {kind}"
        for title, by_column in wanted.items()
        for role in ROLES
        for kind in DELEGATED
        if by_column[f"{role}: {kind}"] < 300 <= by_column[f"{role}: password"]
    ]
    assert more == [], KINDS
