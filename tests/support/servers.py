"""Start Python Keystone or Archstone with a configuration, and stop it again.

Both are given the same folder layout: keystone.conf, policy.yaml, fernet-keys/, credential-keys/,
jws-keys/{private,public}/, so that two servers can be put on one folder and one database.
"""

import base64
import ctypes
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support import http
from tests.support.databases import Database

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
DEFAULT_METHODS = "external,password,token,oauth1,mapped,application_credential"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def die_with_parent():
    """In a child: end when the tests are killed, for then nobody is left to stop it."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def archstone_binary() -> Path:
    """The program under test: ARCHSTONE_BIN, or what cargo built here."""
    if os.environ.get("ARCHSTONE_BIN"):
        return Path(os.environ["ARCHSTONE_BIN"])
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "debug" / "archstone"


def write_ini(path: Path, sections: dict):
    lines = []
    for section, options in sections.items():
        lines.append(f"[{section}]")
        for name, value in options.items():
            for one in value if isinstance(value, list) else [value]:
                text = str(one).lower() if isinstance(one, bool) else str(one)
                # A dollar sign would start an interpolation.
                lines.append(f"{name} = {text.replace('$', '$$')}")
        lines.append("")
    path.write_text("\n".join(lines))


class Server:
    """One identity service on 127.0.0.1, with everything it needs in one folder.

    `conf` holds further options by section; `policy` rules for policy.yaml. To share a database
    or keys with another server, give its `database` and `folder`.
    """

    program = ""

    def __init__(self, *, database=None, db="sqlite", conf=None, policy=None, port=None, folder=None, bootstrap=True):
        self.own_folder = folder is None
        self.folder = Path(folder or tempfile.mkdtemp(prefix=f"archstone-test-{self.program}-"))
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.own_database = database is None
        self.database = database or Database(db, self.folder)
        self.bootstrap_wanted = bootstrap
        self.process = None
        self.log = self.folder / f"{self.program}.log"
        self.config = self.folder / f"{self.program}-conf" / "keystone.conf"
        self.config.parent.mkdir(exist_ok=True)
        sections = {
            "DEFAULT": {"transport_url": "fake://", "default_publisher_id": "host1"},
            "database": {"connection": self.database.url},
            "fernet_tokens": {"key_repository": self.folder / "fernet-keys"},
            "fernet_receipts": {"key_repository": self.folder / "fernet-keys"},
            "credential": {"key_repository": self.folder / "credential-keys"},
            "jwt_tokens": {
                "jws_private_key_repository": self.folder / "jws-keys/private",
                "jws_public_key_repository": self.folder / "jws-keys/public",
            },
            "oslo_policy": {"policy_file": self.folder / "policy.yaml"},
            "oslo_messaging_notifications": {"driver": "log"},
        }
        for section, options in (conf or {}).items():
            sections.setdefault(section, {}).update(options)
        self.sections = sections
        self.rewrite_config()
        import yaml

        (self.folder / "policy.yaml").write_text(yaml.safe_dump(policy or {}))

    def rewrite_config(self):
        write_ini(self.config, self.sections)

    # -- the commands, which both programs spell alike --

    def manage(self, *arguments, check=True, env=None) -> subprocess.CompletedProcess:
        done = subprocess.run(
            [*self.manage_command(), *arguments],
            env={**self.environment(), **(env or {})},
            capture_output=True,
            text=True,
            timeout=180,
            cwd=self.folder,
        )
        with open(self.folder / f"{self.program}-manage.log", "a") as log:
            log.write(f"$ {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        if check and done.returncode:
            raise RuntimeError(
                f"{self.program} {' '.join(arguments)}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
            )
        return done

    def prepare(self):
        """Schema, keys and bootstrap, as an operator does it once."""
        self.manage("db_sync")
        self.make_keys()
        if self.bootstrap_wanted:
            self.bootstrap()
        return self

    def make_keys(self):
        owner = ("--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid()))
        for name, command in (("fernet-keys", "fernet_setup"), ("credential-keys", "credential_setup")):
            if not (self.folder / name / "0").exists():
                (self.folder / name).mkdir(exist_ok=True)
                self.manage(command, *owner)
        if self.sections.get("token", {}).get("provider") == "jws":
            make_jws_keys(self.folder / "jws-keys")

    def bootstrap(self):
        """Create admin with password adminpw; password rules of the configuration do not apply yet."""
        url = f"{self.url}/v3"
        plain = {k: v for k, v in self.sections.items() if k not in ("security_compliance", "identity")}
        plain["DEFAULT"] = {k: v for k, v in plain["DEFAULT"].items() if k != "strict_password_check"}
        plain["identity"] = {"password_hash_rounds": 5}
        write_ini(self.config, plain)
        try:
            self.bootstrap_at(url)
        finally:
            self.rewrite_config()

    def bootstrap_at(self, url):
        self.manage(
            "bootstrap",
            *("--bootstrap-username", "admin", "--bootstrap-password", "adminpw"),
            *("--bootstrap-region-id", "RegionOne"),
            *("--bootstrap-admin-url", url, "--bootstrap-public-url", url, "--bootstrap-internal-url", url),
        )

    # -- running --

    def start(self, wait=60.0):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.serve_command(),
                env=self.environment(),
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        self.await_ready(wait)
        return self

    def await_ready(self, wait=60.0):
        until = time.monotonic() + wait
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.program} ended at start, {self.process.returncode}:\n{self.log_tail()}")
            try:
                if http.send(self.url, "GET", "/v3", timeout=10).status == 200:
                    return
            except OSError:
                pass
            if time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"{self.program} did not answer within {wait} s:\n{self.log_tail()}")
            time.sleep(0.05)

    def log_text(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def log_tail(self) -> str:
        return self.log_text()[-4000:]

    def stop(self, wait=20.0) -> int | None:
        """Ask it to end, and make it; the exit code, or None if it was not running."""
        if self.process is None:
            return None
        process, self.process = self.process, None
        if process.poll() is None:
            os.killpg(process.pid, self.stop_signal)
            try:
                process.wait(wait)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return process.returncode

    def close(self):
        self.stop()
        if self.own_database:
            self.database.close()
        if self.own_folder and not os.environ.get("ARCHSTONE_TEST_KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        try:
            return self.prepare().start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()

    stop_signal = signal.SIGTERM

    def environment(self) -> dict:
        keep = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
        return {**keep, "HOME": str(self.folder / "home"), "PYTHONPATH": str(ROOT)}


class Keystone(Server):
    """Python Keystone 30 under uwsgi, one process unless `processes` says more."""

    program = "keystone"
    # uwsgi reloads on SIGTERM unless told otherwise; SIGINT ends it at once.
    stop_signal = signal.SIGINT

    def __init__(self, *, processes=1, **options):
        super().__init__(**options)
        self.processes = processes
        # The CORS middleware reads only oslo.config's default places for "keystone".
        home = self.folder / "home" / ".keystone"
        home.mkdir(parents=True, exist_ok=True)
        write_ini(home / "keystone.conf", {"cors": self.sections.get("cors", {})})

    def manage_command(self):
        return [str(BIN / "keystone-manage"), "--config-file", str(self.config)]

    def make_keys(self):
        # As fernet_setup does it, without three seconds of imports for each.
        for name in ("fernet-keys", "credential-keys"):
            folder = self.folder / name
            folder.mkdir(mode=0o700, exist_ok=True)
            for number in ("0", "1"):
                if not (folder / "0").exists() or number == "1" and not (folder / "1").exists():
                    path = folder / number
                    path.touch(0o600)
                    path.write_bytes(base64.urlsafe_b64encode(secrets.token_bytes(32)))
        if self.sections.get("token", {}).get("provider") == "jws":
            make_jws_keys(self.folder / "jws-keys")

    def environment(self):
        return {**super().environment(), "OS_KEYSTONE_CONFIG_DIR": str(self.config.parent)}

    def serve_command(self):
        return [
            str(BIN / "uwsgi"),
            *("--http-socket", f"127.0.0.1:{self.port}", "--listen", "100"),
            *("--module", "tests.support.keystone_wsgi:application"),
            *("--master", "--processes", str(self.processes), "--die-on-term"),
            *("--buffer-size", "65535", "--disable-logging", "--need-app", "--lazy-apps"),
            # It closes the connection after each answer, and so must say it.
            *("--add-header", "Connection: close"),
        ]


class Archstone(Server):
    """The program under test."""

    program = "archstone"

    def manage_command(self):
        return [str(archstone_binary()), "--config-file", str(self.config)]

    def serve_command(self):
        return [
            *(str(archstone_binary()), "--config-file", str(self.config)),
            *("serve", "--listen", f"127.0.0.1:{self.port}"),
        ]


PROGRAMS = {"keystone": Keystone, "archstone": Archstone}


def make_jws_keys(folder: Path):
    """An ES256 pair, as create_jws_keypair writes it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    for name in ("private", "public"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "private" / "private.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "public" / "public.pem").write_bytes(
        key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
