"""The database goes away under load and comes back: clear errors meanwhile, recovery by itself."""

import shutil
import tempfile
import threading
import time
from pathlib import Path

import pytest

from tests.support import http
from tests.support.private import OwnDatabase, services
from tests.support.servers import PROGRAMS


class Load(threading.Thread):
    """Validates and logs in without pause, and remembers each (time, what, status, body)."""

    def __init__(self, url, token):
        super().__init__(daemon=True)
        self.url, self.token = url, token
        self.seen = []
        self.go_on = True

    def run(self):
        while self.go_on:
            for what in ("validate", "login"):
                started = time.monotonic()
                try:
                    if what == "login":
                        reply = http.password_login(self.url)
                    else:
                        headers = {"X-Auth-Token": self.token, "X-Subject-Token": self.token}
                        reply = http.send(self.url, "GET", "/v3/auth/tokens", headers, timeout=40)
                    self.seen.append((started, what, reply.status, reply.text))
                except OSError as error:
                    self.seen.append((started, what, 0, repr(error)))


@pytest.mark.parametrize("kind", ["Mariadb", "Postgresql"])
def test_recovers_when_the_database_comes_back(program, kind):
    if program == "keystone":
        pytest.skip("uwsgi hangs up on what Keystone does not catch")
    module = services()
    parent = Path(tempfile.mkdtemp(prefix="archstone-db-stops-"))
    parent.chmod(0o755)
    service = getattr(module, kind)(parent)
    try:
        service.await_ready()
        with PROGRAMS[program](database=OwnDatabase(service)) as server:
            token = http.admin_token(server.url)
            loads = [Load(server.url, token) for _ in range(4)]
            for load in loads:
                load.start()
            time.sleep(1)
            service.stop()
            stopped = time.monotonic()
            time.sleep(3)
            back = time.monotonic()
            service.start()
            service.await_ready()
            until = time.monotonic() + 30
            while http.password_login(server.url).status != 201:
                assert time.monotonic() < until, "does not recover:\n" + server.log_tail()
                time.sleep(0.2)
            recovered = time.monotonic()
            time.sleep(1)
            for load in loads:
                load.go_on = False
            for load in loads:
                load.join(60)
            seen = sorted(s for load in loads for s in load.seen)
            during = [s for s in seen if stopped + 0.5 < s[0] < back]
            after = [s for s in seen if s[0] > recovered]
            assert during and after
            # A token is never called invalid because the database is away.
            assert {s[2] for s in during} <= {503, 504}, sorted({(s[1], s[2], s[3][:150]) for s in during})
            assert any(word in server.log_text().lower() for word in ("database", "connect"))
            assert {s[2] for s in after} <= {200, 201}, sorted({(s[1], s[2], s[3][:150]) for s in after})
    finally:
        service.stop()
        shutil.rmtree(parent, ignore_errors=True)
