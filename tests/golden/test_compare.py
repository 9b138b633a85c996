"""The comparison must see what clients would see, and only overlook what differs between runs."""

import pytest

from tests.golden.compare import Compare, Difference, Ids

A, B, C, D = (c * 32 for c in "abcd")
HERE = "http://127.0.0.1:5000"


def differs(expected, got, exact=()):
    try:
        Compare(Ids(HERE), set(exact)).value("body", expected, got)
    except Difference as difference:
        return str(difference)
    return None


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ({"id": A, "self": f"http://127.0.0.1:25000/v3/users/{A}"}, {"id": B, "self": f"{HERE}/v3/users/{B}"}),
        ({"expires_at": "2026-11-22T06:33:43.000000Z"}, {"expires_at": "2026-11-22T09:00:00.000000Z"}),
        ([{"id": A, "n": 1}, {"id": B, "n": 2}], [{"id": D, "n": 2}, {"id": C, "n": 1}]),
        ({"message": "<redacted>"}, {"message": "any text"}),
        ({A: {B: None}}, {C: {D: None}}),
    ],
)
def test_overlooks(expected, got):
    assert differs(expected, got) is None


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ({"a": 1}, {"a": True}),
        ({"a": None}, {}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"id": A, "user_id": A}, {"id": B, "user_id": C}),
        ({"id": A, "user_id": B}, {"id": C, "user_id": C}),
        ({"expires_at": "2030-01-01T00:00:00Z"}, {"expires_at": "2030-01-02T00:00:00Z"}),
        ({"expires_at": "2026-11-22T06:33:43.000000Z"}, {"expires_at": "2026-11-22T06:33:43Z"}),
        ({"audit_ids": ["a" * 22, "b" * 22]}, {"audit_ids": ["c" * 22, "c" * 22]}),
        ([1, 2], [1, 2, 2]),
        ({"self": "http://127.0.0.1:25000/v3"}, {"self": "http://127.0.0.1:5001/v3"}),
        ({"self": "https://127.0.0.1:25000/v3"}, {"self": f"{HERE}/v3"}),
    ],
)
def test_sees(expected, got):
    assert differs(expected, got)


def test_a_bound_id_must_be_that_id():
    assert differs({"id": A}, {"id": B}, exact=[A])
