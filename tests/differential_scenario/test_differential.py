"""Python Keystone and Archstone answer the scenario alike, each on a fresh SQLite database of its own.

The calls take Python Keystone some minutes, so one database is enough here; the recordings are replayed on all three.
"""

import json

import pytest

from tests.differential import NO_ANSWER, Client, compare
from tests.differential_scenario import STEPS
from tests.differential_scenario.accepted import ACCEPTED
from tests.golden.compare import Difference, Ids
from tests.support.servers import PROGRAMS

CONF = {"identity": {"password_hash_rounds": 5}, "auth": {"methods": "password,token,application_credential"}}


@pytest.fixture(scope="module")
def played(program):
    """The differences that nobody has accepted, the entries of the list that were of use, and our server.

    On SQLite only: it is about requests, and Python takes minutes for them.
    """
    if program != "archstone":
        pytest.skip("it compares the two programs")
    servers, found, used = [], [], set()
    try:
        for kind in PROGRAMS.values():
            servers.append(kind(conf=CONF))
            servers[-1].prepare().start()
        theirs, ours = (Client(server.url) for server in servers)
        ids = Ids(ours.url, theirs.url)
        for number, step in enumerate(STEPS, 1):
            replies = theirs.play(step), ours.play(step)
            title = step if isinstance(step, str) else step.get("request") or f"login {step['login']}"
            try:
                if replies[1].body == NO_ANSWER:
                    raise Difference("answer", "one", "none")
                trial = ids.copy()
                compare(trial, *replies)
                ids.adopt(trial)
            except Difference as difference:
                accepted = next((one for one in ACCEPTED if one.fits(title, step, *replies)), None)
                if accepted and replies[1].body != NO_ANSWER:
                    used.add(accepted.reason)
                    continue
                sent = "" if isinstance(step, str) else json.dumps(step, ensure_ascii=False)[:300]
                answers = "\n".join(f"      {reply.status} {reply.text[:300]}" for reply in replies)
                found.append(f"{number} {title}\n    {difference}\n    {sent}\n{answers}")
        yield found, used, servers[1]
    finally:
        for server in servers:
            server.close()


def test_answers_are_alike(played):
    found, _, _ = played
    assert not found, f"{len(found)} of {len(STEPS)} calls differ:\n" + "\n".join(found)


def test_each_accepted_difference_is_there(played):
    _, used, _ = played
    assert {one.reason for one in ACCEPTED} - used == set()


def test_archstone_never_failed(played):
    _, _, server = played
    assert [line for line in server.log_text().splitlines() if " ERROR " in line or "panicked" in line] == []
