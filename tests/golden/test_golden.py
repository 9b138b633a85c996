"""Every recorded exchange, file by file, against the program under test."""

import pytest

from tests.golden.accepted import ACCEPTED, ON_ANOTHER_DATABASE
from tests.golden.replay import FILES, SERVERS, Run, build, server_of
from tests.golden.scope import FEATURES
from tests.support.databases import available


class Replays:
    """The server of the recording at hand, and which of its files were replayed on it."""

    def __init__(self, program):
        self.program = program
        self.recorded = self.server = None

    def outcomes(self, file):
        """Replay this file, after the earlier ones of its server; its outcomes."""
        recorded = server_of(file)
        if recorded is not self.recorded:
            self.close()
            self.server = build(self.program, recorded)
            self.server.prepare().start()
            self.recorded, self.run, self.done = recorded, Run(self.server.url, self.program), {}
        names = recorded["files_in_order"]
        for name in names[: names.index(file) + 1]:
            if name not in self.done:
                self.done[name] = self.run.replay_file(name)
        return self.done[file]

    def close(self):
        if self.server:
            self.server.close()
        self.recorded = self.server = None


@pytest.fixture(scope="module")
def replays(program):
    replays = Replays(program)
    yield replays
    replays.close()


def database_of(recorded) -> str:
    return recorded.get("database.connection", "sqlite").split("+")[0]


@pytest.mark.parametrize(
    "file",
    [
        # One worker takes all files of a server, in order.
        pytest.param(file, marks=pytest.mark.xdist_group(f"golden-{number}"))
        for number, recorded in enumerate(SERVERS)
        for file in recorded["files_in_order"]
        if available(database_of(recorded))
    ],
)
def test_answers_as_recorded(replays, file):
    outcomes = replays.outcomes(file)
    different = [o.line() for o in outcomes if o.verdict == "differs"]
    assert not different, f"{len(different)} of {len(outcomes)} steps differ:\n" + "\n".join(different)


def test_tables_name_recorded_steps_only():
    """A misspelt file or a step that is not there would silently do nothing."""
    named = {f for feature in FEATURES.values() for f in feature.files}
    named |= {f for feature in FEATURES.values() for f, _ in feature.steps} | {f for f, _ in ACCEPTED}
    named |= {f for _, f, _ in ON_ANOTHER_DATABASE}
    assert named <= set(FILES)
    assert all(reason.strip() for reason in [*ACCEPTED.values(), *ON_ANOTHER_DATABASE.values()])
