"""The servers that are measured: Python Keystone, Archstone, and the bare server."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request

from .cloud import ARCHSTONE, BENCH
from .process import ROOT, TARGET, BenchError, accepts, call, discovers, free_port, start, stop, wait_for


class Server:
    """A server that answers at `url`, and an administrator's token for it."""

    def __init__(self, name, process, url):
        self.name, self.process, self.url = name, process, url
        self.token = ""


def reference_venv(given):
    if given:
        return given
    venv = TARGET / "bench" / "venv"
    requirements = ROOT / "bench" / "requirements.txt"
    stamp = venv / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        print("installing Python Keystone from PyPI", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin" / "pip"), "install", "-q", "-r", str(requirements)], check=True)
        shutil.copy(requirements, stamp)
    return venv


@contextlib.contextmanager
def reference(cloud, database, venv, processes):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    # uWSGI's HTTP router, which would keep the clients' connections, sends a reply in two segments and waits for the
    # first one's acknowledgement: 48 ms for what takes the workers 5. So they speak HTTP themselves, a connection each.
    command = [venv / "bin" / "uwsgi", "--master", "--die-on-term", "--http-socket", f"127.0.0.1:{port}"]
    command += ["--module", "keystone.wsgi.api:application", "--processes", processes, "--lazy-apps"]
    command += ["--enable-threads", "--thunder-lock", "--buffer-size", "65535", "--disable-logging", "--listen", "100"]
    environment = {**os.environ, "OS_KEYSTONE_CONFIG_FILES": str(database.config), "VIRTUAL_ENV": str(venv)}
    log = cloud.folder / "uwsgi.log"
    process = start(command, log, environment)
    try:
        wait_for(lambda: discovers(url), "Python Keystone", process, log)
        # Each worker loads the program at its first request.
        for _ in range(10 * processes):
            discovers(url)
        server = Server("reference", process, url)
        server.token = login(url, cloud.password)
        yield server
    finally:
        stop(process)


def archstone_command(database, port):
    return [ARCHSTONE, "serve", "--config-file", database.config, "--listen", f"127.0.0.1:{port}"]


@contextlib.contextmanager
def archstone(cloud, database, options=(), prefix=(), patience=20):
    """`options` are of the `[archstone]` section; `prefix` is the beginning of the command line."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log = cloud.folder / f"archstone-{database.name}.log"
    environment = {**os.environ, **{f"OS_ARCHSTONE__{name.upper()}": str(value) for name, value in options}}
    process = start([*prefix, *archstone_command(database, port)], log, environment)
    try:
        wait_for(lambda: discovers(url), "Archstone", process, log, patience, 0.02)
        server = Server(f"archstone, {database.kind}", process, url)
        server.token = login(url, cloud.password)
        yield server
    finally:
        stop(process)


@contextlib.contextmanager
def wire(cloud, recording):
    port = free_port()
    log = cloud.folder / "wire.log"
    process = start([BENCH, "wire", "--file", recording, "--listen", f"127.0.0.1:{port}"], log)
    try:
        wait_for(lambda: accepts(port), "the bare server", process, log, 10)
        server = Server("wire", process, f"http://127.0.0.1:{port}")
        # It asks nobody who they are; the request has the same bytes all the same.
        server.token = recording.with_suffix(".caller").read_text()
        yield server
    finally:
        stop(process)


def record(cloud, server, tokens, name):
    """What `server` answers about the first of these tokens, for the bare server to answer."""
    recording = cloud.folder / f"{name}.recording"
    command = [BENCH, "record", "--url", server.url, "--tokens", tokens, "--output", recording]
    call(command, cloud.folder / "record.log", {**os.environ, "OS_PASSWORD": cloud.password})
    recording.with_suffix(".caller").write_text(server.token)
    return recording


def login(url, password):
    """A token of the administrator."""
    domain = {"id": "default"}
    identity = {"methods": ["password"], "password": {"user": {"name": "admin", "domain": domain, "password": password}}}
    scope = {"project": {"name": "admin", "domain": domain}}
    body = json.dumps({"auth": {"identity": identity, "scope": scope}}).encode()
    request = urllib.request.Request(f"{url}/v3/auth/tokens", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as reply:
            return reply.headers["X-Subject-Token"]
    except OSError as error:
        raise BenchError(f"logging in at {url}: {error}") from error


def flush_memcached(port):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(b"flush_all\r\n")
        if connection.recv(100) != b"OK\r\n":
            raise BenchError("memcached was not flushed")
