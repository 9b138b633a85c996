"""Differences of the scenario that are meant: which calls, and why. docs/compatibility.md tells of each.

The first that fits counts. One that fits no difference any more fails the test.
"""

import json
import re
from dataclasses import dataclass

from tests.support.http import Reply


@dataclass
class Accepted:
    """Calls whose answers may differ."""

    reason: str
    request: str
    body: str = ""
    statuses: set[tuple[int, int]] | None = None

    def fits(self, request: str, step, theirs: Reply, ours: Reply) -> bool:
        return (
            (self.statuses is None or (theirs.status, ours.status) in self.statuses)
            and bool(re.search(self.request, request))
            and bool(re.search(self.body, json.dumps(step, ensure_ascii=False)))
        )


# Where Python lets an exception escape, we refuse what was asked, with a body that says why.
ESCAPED = {(500, status) for status in (400, 401, 403, 404, 409, 413)}

ACCEPTED = [
    Accepted("some bad input lets a Python exception escape: 500", "", statuses=ESCAPED),
    Accepted("some odd queries let a Python exception escape: 500, where the list is meant", r"^GET .*\?", statuses={(500, 200)}),
    Accepted("an empty blob of a credential lets a Python exception escape: 500", "^PATCH /v3/credentials", '"blob": ""', {(500, 200)}),
    Accepted("texts that people read are our own", r"^GET /v3/limits/model"),
    Accepted("a negative limit is no limit, where Python cuts that many entries off the end", r"[?&]limit=-1"),
    Accepted("password_expires_at looks at the current password, not at former ones", r"password_expires_at=(lt|gt):20"),
    Accepted(
        "GET /v3/auth/system lists the system also for who has a role there by a group, and can log in to it",
        r"^GET /v3/auth/system",
    ),
    Accepted(
        "the database refuses words for enabled which the schema lets through: 400 instead of 500, or of what follows",
        r"^PATCH ",
        '"enabled": ""',
    ),
]
