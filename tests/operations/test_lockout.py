"""Who is locked out, idle or has an expired password: `/v3/users/{id}/lockout` and `archstone report`."""

import json
import re
import uuid
from datetime import date, datetime, timedelta

import pytest

from tests.support import http
from tests.support.databases import Database
from tests.support.servers import Archstone

pytestmark = pytest.mark.skipif("config.getoption('--program') == 'keystone'", reason="Keystone has neither")

COMPLIANCE = {
    "lockout_failure_attempts": 3,
    "lockout_duration": 1800,
    "password_expires_days": 10,
    "disable_user_account_days_inactive": 30,
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Cloud:
    def __init__(self, server):
        self.server, self.url = server, server.url
        # The administrator must outlive all that this file does to others.
        self.admin = http.admin_token(server.url)

    def send(self, method, path, body=None, token=None):
        return http.send(self.url, method, path, {"X-Auth-Token": token or self.admin}, body)

    def user(self):
        body = {"user": {"name": "u" + uuid.uuid4().hex, "password": "pw"}}
        reply = self.send("POST", "/v3/users", body)
        assert reply.status == 201, reply.text
        return reply.json()["user"]

    def login(self, user, password="pw"):
        return http.password_login(self.url, user["name"], password, scope=None)

    def lock(self, user):
        for _ in range(COMPLIANCE["lockout_failure_attempts"]):
            assert self.login(user, "wrong").status == 401
        assert self.login(user).status == 401

    def lockout(self, user):
        reply = self.send("GET", f"/v3/users/{user['id']}/lockout")
        assert reply.status == 200, reply.text
        return reply.json()["lockout"]

    def sql(self, statement):
        database = self.server.database
        connection = database.connect(None if database.kind == "sqlite" else database.name)
        try:
            connection.cursor().execute(statement)
            connection.commit()
        finally:
            connection.close()

    def report(self, *arguments, user):
        """What the report says of this user, and the line of its table."""
        rows = json.loads(self.server.manage("report", *arguments, "--format", "json").stdout)
        head, *lines = self.server.manage("report", *arguments).stdout.splitlines()
        assert len(lines) == len(rows)
        assert head.split()[:3] == ["id", "name", "domain_id"]
        row = next((row for row in rows if row["id"] == user["id"]), None)
        line = next((line.split() for line in lines if line.startswith(user["id"])), None)
        assert (row is None) == (line is None)
        return row, line


@pytest.fixture(scope="module")
def cloud(db, tmp_path_factory):
    conf = {"identity": {"password_hash_rounds": 5}, "security_compliance": COMPLIANCE}
    with Database(db, tmp_path_factory.mktemp("db")) as database, Archstone(database=database, conf=conf) as server:
        yield Cloud(server)


def test_a_lock_is_shown_and_taken_away(cloud):
    user = cloud.user()
    lockout = cloud.lockout(user)
    link = f"{cloud.url}/v3/users/{user['id']}/lockout"
    assert lockout == {"user_id": user["id"], "locked": False, "locked_until": None, "failed_logins": [], "links": {"self": link}}
    cloud.login(user, "wrong")
    lockout = cloud.lockout(user)
    assert (lockout["locked"], [failed["failures"] for failed in lockout["failed_logins"]]) == (False, [1])
    cloud.lock(user)
    lockout = cloud.lockout(user)
    assert lockout["locked"] and TIME.fullmatch(lockout["locked_until"])
    (failed,) = lockout["failed_logins"]
    assert (failed["factor"], failed["network"], failed["locked"]) == ("password", "127.0.0.0/24", True)
    assert failed["locked_until"] == lockout["locked_until"]
    assert cloud.send("DELETE", f"/v3/users/{user['id']}/lockout").status == 204
    assert cloud.lockout(user)["failed_logins"] == []
    assert cloud.login(user).status == 201
    # There is nothing to take away, and that is fine.
    assert cloud.send("DELETE", f"/v3/users/{user['id']}/lockout").status == 204


def test_locks_are_for_those_who_may_change_the_user(cloud):
    user = cloud.user()
    own = cloud.login(user).header("X-Subject-Token")
    path = f"/v3/users/{user['id']}/lockout"
    for method in ("GET", "DELETE"):
        assert http.send(cloud.url, method, path).status == 401
        assert cloud.send(method, path, token=own).status == 403
        # Who may not ask is not told who exists.
        assert cloud.send(method, "/v3/users/nobody/lockout", token=own).status == 403
        assert cloud.send(method, "/v3/users/nobody/lockout").status == 404
    for method in ("POST", "PUT", "PATCH"):
        assert cloud.send(method, path, {}).status == 405


def test_report_of_locked_users(cloud):
    locked, other = cloud.user(), cloud.user()
    cloud.lock(locked)
    row, line = cloud.report("locked", user=locked)
    assert TIME.fullmatch(row.pop("locked_until"))
    assert row == {"id": locked["id"], "name": locked["name"], "domain_id": "default", "networks": ["127.0.0.0/24"]}
    assert line[1:3] == [locked["name"], "default"] and line[4:] == ["127.0.0.0/24"]
    assert cloud.report("locked", user=other) == (None, None)
    cloud.send("DELETE", f"/v3/users/{locked['id']}/lockout")
    assert cloud.report("locked", user=locked) == (None, None)


def test_report_of_expiring_passwords(cloud):
    user = cloud.user()
    expires_at = datetime.fromisoformat(user["password_expires_at"])
    assert cloud.report("expiring", user=user) == (None, None)
    assert cloud.report("expiring", "--within", "9", user=user) == (None, None)
    row, line = cloud.report("expiring", "--within", "10", user=user)
    assert (row["expired"], line[-1]) == (False, "no")
    assert datetime.fromisoformat(row["expires_at"][:-1]).replace(microsecond=0) == expires_at.replace(microsecond=0)
    local = f"(SELECT id FROM local_user WHERE user_id = '{user['id']}')"
    cloud.sql(f"UPDATE password SET expires_at_int = 1000000, expires_at = '2020-01-01' WHERE local_user_id IN {local}")
    row, line = cloud.report("expiring", user=user)
    assert (row["expired"], line[-1], row["name"], row["domain_id"]) == (True, "yes", user["name"], "default")


def test_report_of_idle_users(cloud):
    user = cloud.user()

    def idle_for(days):
        quoted = '"user"' if cloud.server.database.kind != "mysql" else "`user`"
        cloud.sql(f"UPDATE {quoted} SET last_active_at = '{date.today() - timedelta(days=days)}' WHERE id = '{user['id']}'")

    assert cloud.report("inactive", user=user) == (None, None)
    idle_for(25)
    assert cloud.report("inactive", user=user) == (None, None)
    row, line = cloud.report("inactive", "--within", "7", user=user)
    assert (row["inactive"], line[-1]) == (False, "no")
    idle_for(40)
    row, line = cloud.report("inactive", user=user)
    assert (row["inactive"], line[-1]) == (True, "yes")
    assert TIME.fullmatch(row["inactive_at"])
    assert cloud.login(user).status == 401


def test_a_report_that_does_not_exist_is_refused(cloud):
    for arguments in (["sleeping"], ["locked", "--within", "3"], ["expiring", "--within", "-1"], ["expiring", "--format", "xml"], []):
        done = cloud.server.manage("report", *arguments, check=False)
        assert (done.returncode, done.stdout) == (2, ""), arguments
