"""What Archstone does not do yet, so that its recorded steps are left out. May only shrink.

A step that needs a value which a left-out step would have given is left out with it.
"""

import json
import re
from dataclasses import dataclass, field


@dataclass
class Feature:
    """Steps of one feature: whole `files`, steps whose path matches, or whose body or headers do."""

    reason: str
    files: set[str] = field(default_factory=set)
    path: str | None = None
    body: str | None = None
    steps: set[tuple[str, int]] = field(default_factory=set)

    def covers(self, file: str, step: dict) -> bool:
        sent = json.dumps(step.get("request_body"))
        return (
            file in self.files
            or (file, step["n"]) in self.steps
            or bool(self.path and re.search(self.path, step["path"]))
            or bool(self.body and re.search(self.body, sent))
        )


LATER = "comes with the rest of the Identity v3 API"

FEATURES = {
    "OAuth 1.0a": Feature(LATER, {"oauth1"}, "/OS-OAUTH1/"),
    "OAuth 2.0": Feature(LATER, {"oauth2"}, "/OS-OAUTH2/"),
    "federation": Feature(
        LATER,
        {"federation"},
        # Not the old names of auth/projects and auth/domains.
        "/OS-FEDERATION/(?!projects|domains)",
        # Lists an event that the steps of federation left.
        steps={("revoke_events", 6)},
    ),
}


def left_out(file: str, step: dict) -> str | None:
    """The feature for which this step is left out, or None."""
    return next((name for name, feature in FEATURES.items() if feature.covers(file, step)), None)
