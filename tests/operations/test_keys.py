"""The commands that make and rotate keys, and what they leave for the other program.

With `--program keystone` the first half runs against keystone-manage, which proves it.
"""

import base64
import hashlib
import os
import random
import signal
import stat
import subprocess
import time

import pytest
from cryptography import fernet
from cryptography.hazmat.primitives import serialization

from tests.support import http
from tests.support.servers import PROGRAMS, Archstone, Keystone

OWNER = ("--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid()))


@pytest.fixture(scope="module")
def commands(program):
    """A configured program that is not running, with a database."""
    server = PROGRAMS[program](bootstrap=False)
    server.manage("db_sync")
    yield server
    server.close()


@pytest.fixture
def keys(commands, tmp_path):
    """A folder for keys, which the configuration names for tokens, receipts and credentials."""
    folder = tmp_path / "keys"
    for section in ("fernet_tokens", "fernet_receipts", "credential"):
        commands.sections[section]["key_repository"] = folder
    commands.rewrite_config()
    return folder


def names(folder):
    return sorted((path.name for path in folder.iterdir()), key=lambda name: (len(name), name))


def exit_code(server, *arguments):
    return server.manage(*arguments, check=False).returncode


def test_setup_and_rotation(commands, keys):
    commands.manage("fernet_setup", *OWNER)
    assert names(keys) == ["0", "1"]
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    for path in keys.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert len(base64.urlsafe_b64decode(path.read_text())) == 32
    staged = (keys / "0").read_text()
    commands.manage("fernet_setup", *OWNER)
    assert (keys / "0").read_text() == staged
    commands.manage("fernet_rotate", *OWNER)
    assert (keys / "2").read_text() == staged
    commands.manage("token_rotate", *OWNER)
    assert names(keys) == ["0", "2", "3"]


def test_owner_is_required_of_root(commands, keys):
    expected = 2 if os.geteuid() == 0 else 0
    assert exit_code(commands, "fernet_setup") == expected
    assert exit_code(commands, "fernet_setup", *OWNER[:2]) == expected
    assert exit_code(commands, "fernet_setup", "--keystone-user", "nobody-of-this-name", *OWNER[2:]) == 1


def test_credential_keys_rotate_only_when_no_credential_needs_the_old_one(commands, keys):
    commands.manage("credential_setup", *OWNER)
    primary = (keys / "1").read_bytes()
    add_credential(commands, "c1", b"first", primary)
    assert exit_code(commands, "credential_rotate", *OWNER) == 0
    assert names(keys) == ["0", "1", "2"]
    assert exit_code(commands, "credential_rotate", *OWNER) == 1
    assert names(keys) == ["0", "1", "2"]

    commands.manage("credential_migrate", *OWNER)
    primary = (keys / "2").read_bytes()
    blob, key_hash = stored_credential(commands, "c1")
    assert key_hash == hashlib.sha1(primary).hexdigest()
    assert fernet.Fernet(primary).decrypt(blob.encode()) == b"first"
    assert exit_code(commands, "credential_rotate", *OWNER) == 0
    assert names(keys) == ["0", "2", "3"]


def add_credential(server, name, blob, key):
    encrypted = fernet.Fernet(key).encrypt(blob).decode()
    columns = "(id, user_id, type, extra, encrypted_blob, key_hash)"
    statement = f"INSERT INTO credential {columns} VALUES (?, 'u', 'totp', '{{}}', ?, ?)"
    with connect(server) as connection:
        connection.execute(statement, (name, encrypted, hashlib.sha1(key).hexdigest()))


def stored_credential(server, name):
    with connect(server) as connection:
        return connection.execute("SELECT encrypted_blob, key_hash FROM credential WHERE id = ?", (name,)).fetchone()


def connect(server):
    import sqlite3

    return sqlite3.connect(server.database.url.removeprefix("sqlite:///"))


@pytest.mark.parametrize("algorithm", ["ES256", "ES384", "ES512", "EdDSA"])
def test_jws_keypair_is_readable_and_kept(commands, algorithm):
    for name in ("private.pem", "public.pem"):
        (commands.folder / name).unlink(missing_ok=True)
    commands.sections["jwt_tokens"]["jws_algorithm"] = algorithm
    commands.sections["jwt_tokens"]["jws_accepted_algorithms"] = algorithm
    commands.rewrite_config()
    commands.manage("create_jws_keypair", *OWNER)
    private = (commands.folder / "private.pem").read_bytes()
    public = (commands.folder / "public.pem").read_bytes()
    key = serialization.load_pem_private_key(private, None)
    ours = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert public == ours

    assert exit_code(commands, "create_jws_keypair", *OWNER) == 1
    assert (commands.folder / "private.pem").read_bytes() == private
    commands.manage("create_jws_keypair", "--force", *OWNER)
    assert (commands.folder / "private.pem").read_bytes() != private


# -- Archstone alone --


@pytest.fixture
def archstone_only(program):
    if program != "archstone":
        pytest.skip("about Archstone")


def test_both_programs_rotate_one_repository(archstone_only, commands, keys):
    commands.manage("fernet_setup", *OWNER)
    keystone = Keystone(folder=commands.folder, database=commands.database, conf=commands.sections)
    keystone.manage("fernet_rotate", *OWNER)
    assert names(keys) == ["0", "1", "2"]
    commands.manage("fernet_rotate", *OWNER)
    keystone.manage("fernet_rotate", *OWNER)
    assert names(keys) == ["0", "3", "4"]


def test_repository_out_of_reach_is_a_failure(archstone_only, commands, keys):
    assert exit_code(commands, "fernet_rotate", *OWNER) == 1
    # Its exit code is the reference's.
    assert exit_code(commands, "credential_rotate", *OWNER) == 0
    assert not keys.exists()
    keys.write_text("a file in the way")
    assert exit_code(commands, "fernet_setup", *OWNER) == 1


def test_killed_rotation_leaves_a_primary_key(archstone_only, commands, keys):
    commands.manage("fernet_setup", *OWNER)
    fate = random.Random(7)
    for _ in range(20):
        process = subprocess.Popen(
            [*commands.manage_command(), "fernet_rotate", *OWNER],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=commands.environment(),
        )
        time.sleep(fate.uniform(0.01, 0.06))
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        numbered = [name for name in names(keys) if name.isdecimal()]
        for name in numbered:
            fernet.Fernet((keys / name).read_bytes())
        assert max(map(int, numbered)) > 0
    commands.manage("fernet_rotate", *OWNER)
    commands.manage("fernet_rotate", *OWNER)
    assert len(names(keys)) == 3 and names(keys)[0] == "0"


def test_running_server_follows_its_keys(archstone_only):
    with Archstone() as server:
        token = login(server)
        assert validates(server, login(server), token)
        server.manage("fernet_rotate", *OWNER)
        assert validates(server, login(server), token), "its key still decrypts"
        for _ in range(2):
            server.manage("fernet_rotate", *OWNER)
        time.sleep(1.5)
        assert not validates(server, login(server), token), "its key is gone"


def login(server):
    reply = http.password_login(server.url)
    assert reply.status == 201, reply.text
    return reply.header("X-Subject-Token")


def validates(server, caller, subject):
    headers = {"X-Auth-Token": caller, "X-Subject-Token": subject}
    return http.send(server.url, "GET", "/v3/auth/tokens", headers).status == 200
