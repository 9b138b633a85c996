"""Starting, stopping, and telling what is wrong before anything starts."""

import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from tests.support import http
from tests.support.servers import Archstone, archstone_binary, free_port

pytestmark = pytest.mark.usefixtures("archstone_only")


@pytest.fixture(scope="module")
def archstone_only(program):
    if program != "archstone":
        pytest.skip("these are about Archstone's own commands")


def test_sigterm_finishes_what_is_under_way():
    with Archstone() as server:
        body = b'{"auth": {"identity": {"methods": []}}}'
        with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
            connection.sendall(
                b"POST /v3/auth/tokens HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body[:10])
            )
            time.sleep(0.3)
            process = server.process
            process.send_signal(signal.SIGTERM)
            refused_soon(server.port)
            connection.sendall(body[10:])
            answer = connection.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 401 "), answer[:200]
        assert process.wait(15) == 0


def refused_soon(port, seconds=5.0):
    """New connections are refused while the old one is still being served."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    pytest.fail("still accepts connections after SIGTERM")


def test_sigterm_while_idle_exits_0():
    with Archstone() as server:
        started = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started < 5


class Dev:
    """`archstone dev` in a folder, until it answers."""

    def __init__(self, folder, port):
        self.port = port
        started = time.monotonic()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
        self.process = subprocess.Popen(
            [archstone_binary(), "dev", "--listen", f"127.0.0.1:{port}"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines = []
        threading.Thread(target=self.read, daemon=True).start()
        self.url = f"http://127.0.0.1:{port}"
        while True:
            try:
                if http.send(self.url, "GET", "/v3", timeout=2).status == 200:
                    break
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() - started > 30:
                self.process.kill()
                pytest.fail(f"archstone dev did not start:\n{''.join(self.lines)}")
            time.sleep(0.01)
        self.seconds = time.monotonic() - started

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(15) == 0


def test_dev_starts_from_nothing_and_again(tmp_path):
    port = free_port()
    first = Dev(tmp_path, port)
    openrc = sorted(tmp_path.rglob("*openrc*"))
    assert openrc, "no openrc was written"
    assert str(openrc[0].name) in "".join(first.lines)
    script = f". '{openrc[0]}' && env"
    variables = dict(
        line.split("=", 1)
        for line in subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
        if line.startswith("OS_")
    )
    scope = {"project": {"name": variables["OS_PROJECT_NAME"], "domain": {"id": "default"}}}
    reply = http.password_login(first.url, variables["OS_USERNAME"], variables["OS_PASSWORD"], scope)
    assert reply.status == 201, reply.text
    assert variables["OS_AUTH_URL"].startswith(first.url)
    token = reply.header("X-Subject-Token")
    first.stop()

    second = Dev(tmp_path, port)
    assert second.seconds < 1.0 or os.environ.get("CI_SLOW"), f"the second start took {second.seconds:.2f} s"
    headers = {"X-Auth-Token": token, "X-Subject-Token": token}
    assert http.send(second.url, "GET", "/v3/auth/tokens", headers).status == 200
    second.stop()


def test_secrets_of_dev_are_for_their_owner_only(tmp_path):
    server = Dev(tmp_path, free_port())
    server.stop()
    secret = [p for p in tmp_path.rglob("*") if p.is_file() and ("key" in p.parent.name or "openrc" in p.name)]
    assert secret
    for path in secret:
        assert path.stat().st_mode & 0o077 == 0, f"{path} can be read by others"


def check(tmp_path, text, *, environment=None):
    path = tmp_path / "keystone.conf"
    path.write_text(text)
    return path, subprocess.run(
        [archstone_binary(), "--config-file", path, "config", "check"],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, **(environment or {})},
    )


def test_config_check_reports_every_problem_with_its_line(tmp_path):
    path, done = check(
        tmp_path,
        "[DEFAULT]\n"
        "max_param_size = many\n"
        "[token]\n"
        "expiration = soon\n"
        "[database]\n"
        "connection = sqlite:////tmp/x.db\n",
    )
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"{path}:2" in said and "max_param_size" in said
    assert f"{path}:4" in said and "expiration" in said


def test_config_check_warns_of_unknown_names_and_accepts(tmp_path):
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    (folder / "0").write_text("A" * 43 + "=")
    path, done = check(
        tmp_path,
        f"[token]\nexpirations = 5\n[nonsense]\na = b\n[database]\nconnection = sqlite:////{tmp_path}/x.db\n"
        f"[fernet_tokens]\nkey_repository = {folder}\n[fernet_receipts]\nkey_repository = {folder}\n"
        f"[credential]\nkey_repository = {folder}\n",
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "expirations" in said and "expiration" in said.replace("expirations", "")
    assert "nonsense" in said


def test_serve_does_not_start_on_a_bad_configuration(tmp_path):
    path = tmp_path / "keystone.conf"
    path.write_text("[token]\nexpiration = soon\n")
    done = subprocess.run(
        [archstone_binary(), "--config-file", path, "serve", "--listen", f"127.0.0.1:{free_port()}"],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode != 0
    assert f"{path}:2" in done.stdout + done.stderr


def test_serve_without_a_schema_says_what_to_do():
    server = Archstone()
    try:
        server.make_keys()
        with pytest.raises(RuntimeError) as failure:
            server.start(wait=20)
        assert "sync" in str(failure.value)
    finally:
        server.close()
