"""Each program accepts what the other wrote, while both run, on each database."""

import hashlib
import json
import re
import time
from types import SimpleNamespace

import pytest

from tests.golden import signatures
from tests.golden.compare import Compare, Difference, Ids
from tests.support import http
from tests.support.servers import Archstone, Keystone

SCOPES = {
    "unscoped": {"unscoped": {}},
    "project": {"project": {"name": "admin", "domain": {"id": "default"}}},
    "domain": {"domain": {"id": "default"}},
    "system": {"system": {"all": True}},
}
OTHER = {"keystone": "archstone", "archstone": "keystone"}


# Seconds for which Archstone may answer from memory after a foreign program wrote: [archstone] foreign_write_bound.
FOREIGN_WRITE_BOUND = 1.0


@pytest.fixture(scope="module", params=["made by keystone", "made by archstone"])
def pair(request, program, db):
    """Both programs on one database, which one of them made and bootstrapped."""
    conf = {"identity": {"password_hash_rounds": 5}}
    kinds = {"keystone": Keystone, "archstone": Archstone if program == "archstone" else Keystone}
    maker = kinds[request.param.split()[-1]](db=db, conf=conf)
    servers = {}
    try:
        maker.prepare()
        for name, kind in kinds.items():
            other = kind(database=maker.database, folder=maker.folder, conf=conf)
            if name == "archstone" and program == "keystone":
                other.log = other.folder / "second.log"
            if name == "archstone" and kind is Archstone:
                # On a schema that is Keystone's this only adds Archstone's own tables.
                other.manage("db_sync")
                # Both ways of noticing what Keystone writes: told by triggers, or within the bound.
                if request.param == "made by archstone":
                    other.manage("db", "triggers", "install")
                other.write_bound = 0 if request.param == "made by archstone" else FOREIGN_WRITE_BOUND
            servers[name] = other.start()
        grant_domain_role(servers["keystone"].url)
        yield SimpleNamespace(**servers, of=servers)
        for name, server in servers.items():
            server.stop()
            assert not errors_in(server.log_text()), f"{name} logged errors"
    finally:
        for server in servers.values():
            server.stop()
        maker.close()


def errors_in(log: str) -> list[str]:
    lines = log.splitlines()
    # Keystone logs some of its 403s with a traceback: the lines of such a record begin with the same time.
    refusals = {line[:23] for line in lines if "keystone.exception.Forbidden" in line}
    errors = [line for line in lines if re.search(r"\b(ERROR|CRITICAL|Traceback|panicked)\b", line)]
    return [line for line in errors if line[:23] not in refusals]


def grant_domain_role(url):
    token = http.admin_token(url)
    headers = {"X-Auth-Token": token}
    roles = {r["name"]: r["id"] for r in http.send(url, "GET", "/v3/roles", headers).json()["roles"]}
    users = http.send(url, "GET", "/v3/users?name=admin", headers).json()["users"]
    path = f"/v3/domains/default/users/{users[0]['id']}/roles/{roles['admin']}"
    assert http.send(url, "PUT", path, headers).status == 204


def login(server, **options) -> str:
    reply = http.password_login(server.url, **options)
    assert reply.status == 201, reply.text
    return reply.header("X-Subject-Token")


def validate(server, subject, token=None) -> http.Reply:
    headers = {"X-Auth-Token": token or subject, "X-Subject-Token": subject}
    return http.send(server.url, "GET", "/v3/auth/tokens", headers)


def becomes(status, server, ask):
    """Whether ask() answers with this status: at once, or at Archstone within the bound that it promises."""
    bound = getattr(server, "write_bound", 0)
    wait = bound + 0.5 if bound else 0
    until = time.monotonic() + wait
    while ask().status != status:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def next_second():
    """Wait: revocation counts in whole seconds, so a later token must be of a later one."""
    time.sleep(1.02 - time.time() % 1)


class Admin:
    """Requests to one server as the bootstrap administrator."""

    def __init__(self, server):
        self.url = server.url
        self.token = login(server)

    def __call__(self, method, path, body=None, status=None):
        reply = http.send(self.url, method, path, {"X-Auth-Token": self.token}, body)
        if status:
            assert reply.status == status, f"{method} {path}: {reply.status} {reply.text}"
        return reply.json() if reply.body else None

    def role(self, name):
        return next(r["id"] for r in self("GET", f"/v3/roles?name={name}", status=200)["roles"])


@pytest.fixture(params=["keystone", "archstone"])
def here(pair, request):
    """The program on which something is written; the other has to see it."""
    return pair.of[request.param]


@pytest.fixture
def there(pair, here):
    return pair.archstone if here is pair.keystone else pair.keystone


@pytest.mark.parametrize("scope", SCOPES)
def test_token_is_the_same_at_the_other(here, there, scope):
    reply = http.password_login(here.url, scope=SCOPES[scope])
    assert reply.status == 201, reply.text
    token = reply.header("X-Subject-Token")
    answer = validate(there, token)
    assert answer.status == 200, answer.text
    try:
        # Ids and times are the very same here, so nothing but the order of lists may differ.
        Compare(Strict(there.url), set()).value("body", reply.json(), answer.json())
    except Difference as difference:
        pytest.fail(str(difference))
    head = {"X-Auth-Token": token, "X-Subject-Token": token}
    assert http.send(there.url, "HEAD", "/v3/auth/tokens", head).status == 200


class Strict(Ids):
    def pair(self, recorded, here):
        return recorded == here


def test_rescoped_at_the_other(here, there):
    first = login(here, scope=SCOPES["unscoped"])
    body = {"auth": {"identity": {"methods": ["token"], "token": {"id": first}}, "scope": SCOPES["project"]}}
    second = http.send(there.url, "POST", "/v3/auth/tokens", body=body)
    assert second.status == 201, second.text
    answer = validate(here, second.header("X-Subject-Token"))
    assert answer.status == 200
    parent = validate(here, first).json()["token"]["audit_ids"][0]
    assert answer.json()["token"]["audit_ids"][1] == parent
    assert sorted(answer.json()["token"]["methods"]) == ["password", "token"]


def make_user(admin, name):
    user = admin("POST", "/v3/users", {"user": {"name": name, "password": "first-pw"}}, 201)["user"]
    project = admin("POST", "/v3/projects", {"project": {"name": f"{name}-p"}}, 201)["project"]
    admin("PUT", f"/v3/projects/{project['id']}/users/{user['id']}/roles/{admin.role('member')}", status=204)
    return SimpleNamespace(id=user["id"], name=name, project=project["id"], scope={"project": {"id": project["id"]}})


@pytest.fixture
def user(here):
    """A user made by the one program, with role member on a project."""
    return make_user(Admin(here), f"u-{time.time_ns()}")


def test_user_of_one_logs_in_at_the_other(here, there, user):
    token = login(there, name=user.name, password="first-pw", scope=user.scope)
    body = validate(here, token).json()["token"]
    assert sorted(r["name"] for r in body["roles"]) == ["member", "reader"]
    listed = Admin(there)("GET", f"/v3/users?name={user.name}", status=200)["users"]
    assert [u["id"] for u in listed] == [user.id]


def test_user_made_by_one_reads_alike_at_the_other(here, there, user):
    bodies = []
    for server in (here, there):
        body = Admin(server)("GET", f"/v3/users/{user.id}", status=200)["user"]
        body.pop("links")
        bodies.append(body)
    assert bodies[0] == bodies[1]


def test_password_of_one_opens_the_other(here, there, user):
    change = {"user": {"original_password": "first-pw", "password": "second-pw"}}
    assert http.send(there.url, "POST", f"/v3/users/{user.id}/password", body=change).status == 204
    next_second()
    assert http.password_login(here.url, name=user.name, password="first-pw", scope=None).status == 401
    assert http.password_login(here.url, name=user.name, password="second-pw", scope=None).status == 201


def test_revoked_at_one_is_dead_at_the_other(here, there, user):
    admin = Admin(here)
    token = login(there, name=user.name, password="first-pw", scope=user.scope)
    assert validate(there, token).status == 200
    headers = {"X-Auth-Token": admin.token, "X-Subject-Token": token}
    assert http.send(here.url, "DELETE", "/v3/auth/tokens", headers).status == 204
    assert becomes(404, there, lambda: validate(there, token, token=login(there)))


def test_password_change_at_one_kills_tokens_at_the_other(here, there, user):
    token = login(there, name=user.name, password="first-pw", scope=user.scope)
    change = {"user": {"original_password": "first-pw", "password": "second-pw"}}
    assert http.send(here.url, "POST", f"/v3/users/{user.id}/password", body=change).status == 204
    assert becomes(404, there, lambda: validate(there, token, token=login(there)))


def test_disabled_at_one_is_refused_at_the_other(here, there, user):
    admin = Admin(here)
    token = login(there, name=user.name, password="first-pw", scope=user.scope)
    admin("PATCH", f"/v3/users/{user.id}", {"user": {"enabled": False}}, 200)
    assert becomes(404, there, lambda: validate(there, token, token=login(there)))
    assert becomes(401, there, lambda: http.password_login(there.url, user.name, "first-pw", None))


def test_role_taken_at_one_is_gone_at_the_other(here, there, user):
    admin = Admin(here)
    token = login(there, name=user.name, password="first-pw", scope=user.scope)
    admin("DELETE", f"/v3/projects/{user.project}/users/{user.id}/roles/{admin.role('member')}", status=204)
    assert becomes(404, there, lambda: validate(there, token, token=login(there)))
    assert becomes(401, there, lambda: http.password_login(there.url, user.name, "first-pw", user.scope))


def test_project_disabled_at_one_closes_the_other(here, there, user):
    admin = Admin(here)
    token = login(there, name=user.name, password="first-pw", scope=user.scope)
    admin("PATCH", f"/v3/projects/{user.project}", {"project": {"enabled": False}}, 200)
    assert becomes(404, there, lambda: validate(there, token, token=login(there)))
    admin("PATCH", f"/v3/projects/{user.project}", {"project": {"enabled": True}}, 200)
    assert becomes(200, there, lambda: validate(there, token, token=login(there)))


def test_group_role_of_one_counts_at_the_other(here, there, user):
    admin = Admin(here)
    group = admin("POST", "/v3/groups", {"group": {"name": f"g-{user.id[:8]}"}}, 201)["group"]["id"]
    admin("PUT", f"/v3/groups/{group}/users/{user.id}", status=204)
    admin("PUT", f"/v3/projects/{user.project}/groups/{group}/roles/{admin.role('manager')}", status=204)
    token = login(there, name=user.name, password="first-pw", scope=user.scope)
    assert "manager" in {r["name"] for r in validate(there, token).json()["token"]["roles"]}
    found = Admin(there)("GET", f"/v3/role_assignments?group.id={group}", status=200)["role_assignments"]
    assert [a["scope"]["project"]["id"] for a in found] == [user.project]


def test_catalog_of_one_is_the_catalog_of_the_other(here, there):
    admin = Admin(here)
    service = admin("POST", "/v3/services", {"service": {"type": "compute", "name": "nova"}}, 201)["service"]["id"]
    url = "http://nova:8774/v2.1/%(project_id)s"
    endpoint = {"service_id": service, "interface": "public", "region_id": "RegionOne", "url": url}
    admin("POST", "/v3/endpoints", {"endpoint": endpoint}, 201)
    if here.program == "keystone":
        time.sleep(FOREIGN_WRITE_BOUND)
    catalogs = [Admin(s)("GET", "/v3/auth/catalog", status=200)["catalog"] for s in (here, there)]
    Compare(Strict(there.url), set()).value("catalog", *catalogs)
    assert "compute" in {s["type"] for s in catalogs[0]}
    admin("DELETE", f"/v3/services/{service}", status=204)


def test_deleted_at_one_is_unknown_at_the_other(here, there, user):
    token = login(there, name=user.name, password="first-pw", scope=user.scope)
    admin = Admin(here)
    admin("DELETE", f"/v3/users/{user.id}", status=204)
    token_there = login(there)
    assert becomes(404, there, lambda: http.send(there.url, "GET", f"/v3/users/{user.id}", {"X-Auth-Token": token_there}))
    assert becomes(404, there, lambda: validate(there, token, token=login(there)))


def test_keys_rotated_under_both(pair):
    old = {name: login(server) for name, server in pair.of.items()}
    pair.archstone.manage(*rotate_arguments(pair.archstone, "fernet_rotate"))
    for name, server in pair.of.items():
        other = pair.of[OTHER[name]]
        assert validate(other, old[name]).status == 200
        assert validate(other, login(server)).status == 200


def rotate_arguments(server, command):
    import os

    return (command, "--keystone-user", str(os.getuid()), "--keystone-group", str(os.getgid()))


def make_credentials(admin, user) -> list[str]:
    """One of each kind, an EC2 key changed once; their ids."""
    keys = {"access": f"key-{user.id}", "secret": "sécret"}
    ids = []
    for kind, blob in (("ec2", json.dumps(keys)), ("totp", "GEZDGNBVGY3TQOJQ"), ("cert", "not json é")):
        new = {"type": kind, "blob": blob, "user_id": user.id, "project_id": user.project, "note": "é"}
        ids.append(admin("POST", "/v3/credentials", {"credential": new}, 201)["credential"]["id"])
    changed = {"credential": {"blob": json.dumps({**keys, "secret": "other"})}}
    ids.append(admin("POST", f"/v3/users/{user.id}/credentials/OS-EC2", {"tenant_id": user.project}, 201)["credential"])
    ids[-1] = hashlib.sha256(ids[-1]["access"].encode()).hexdigest()
    admin("PATCH", f"/v3/credentials/{ids[0]}", changed, 200)
    return ids


def test_secrets_of_one_open_at_the_other(here, there, user):
    ids = make_credentials(Admin(here), user)
    bodies = []
    for server in (here, there):
        admin = Admin(server)
        shown = [admin("GET", f"/v3/credentials/{id}", status=200)["credential"] for id in ids]
        listed = admin("GET", f"/v3/credentials?user_id={user.id}", status=200)["credentials"]
        legacy = admin("GET", f"/v3/users/{user.id}/credentials/OS-EC2", status=200)["credentials"]
        for one in (*shown, *listed, *legacy):
            one.pop("links")
            if one.get("type") == "ec2":
                one["blob"] = json.loads(one["blob"])
        by_id = sorted(listed, key=lambda one: one["id"])
        bodies.append((shown, by_id, sorted(legacy, key=lambda one: one["access"])))
    assert bodies[0] == bodies[1]
    assert sorted(one["id"] for one in bodies[0][1]) == sorted(ids)


def test_ec2_key_of_one_signs_in_at_the_other(here, there, user):
    admin = Admin(here)
    key = admin("POST", f"/v3/users/{user.id}/credentials/OS-EC2", {"tenant_id": user.project}, 201)["credential"]
    params = {"SignatureVersion": "2", "AWSAccessKeyId": key["access"], "Action": "Describe é"}
    request = {"access": key["access"], "host": "ec2:8773", "verb": "GET", "path": "/", "params": params}
    request["signature"] = signatures.ec2_v2(key["secret"], request)
    headers = {"X-Auth-Token": login(there)}
    reply = http.send(there.url, "POST", "/v3/ec2tokens", headers, {"credentials": request})
    assert reply.status == 200, reply.text
    body = validate(here, reply.header("X-Subject-Token"), token=admin.token).json()["token"]
    assert (body["methods"], body["user"]["id"]) == (["ec2credential"], user.id)


def as_user(server, token, method, path, body=None, status=200):
    reply = http.send(server.url, method, path, {"X-Auth-Token": token}, body)
    assert reply.status == status, f"{server.program}: {method} {path}: {reply.status} {reply.text}"
    return reply.json() if reply.body else None


def new_trust(server, token, trustor, trustee, **more):
    body = {
        "trustor_user_id": trustor.id,
        "trustee_user_id": trustee.id,
        "project_id": trustor.project,
        "impersonation": True,
        "roles": [{"name": "member"}],
        "expires_at": "2031-02-03T04:05:06.000000Z",
        **more,
    }
    return as_user(server, token, "POST", "/v3/OS-TRUST/trusts", {"trust": body}, 201)["trust"]


def by_trust(server, user, trust):
    return http.password_login(server.url, user.name, "first-pw", {"OS-TRUST:trust": {"id": trust["id"]}})


@pytest.fixture
def trustee(here, user):
    return make_user(Admin(here), f"{user.name}-trustee")


def test_trust_of_one_reads_alike_at_the_other(here, there, user, trustee):
    token = login(here, name=user.name, password="first-pw", scope=user.scope)
    trust = new_trust(here, token, user, trustee, allow_redelegation=True, note={"n": 1})
    shown = [as_user(s, token, "GET", f"/v3/OS-TRUST/trusts/{trust['id']}")["trust"] for s in (here, there)]
    listed = [as_user(s, token, "GET", f"/v3/OS-TRUST/trusts?trustor_user_id={user.id}")["trusts"] for s in (here, there)]
    for pair in (shown, [one[0] for one in listed]):
        for trust in pair:
            for links in ("links", "roles_links"):
                trust.pop(links, None)
            for role in trust.get("roles", ()):
                role.pop("links")
        assert pair[0] == pair[1]


@pytest.mark.parametrize("impersonation", [True, False])
def test_trust_token_is_the_same_at_the_other(here, there, user, trustee, impersonation):
    token = login(here, name=user.name, password="first-pw", scope=user.scope)
    trust = new_trust(here, token, user, trustee, impersonation=impersonation)
    # A trust of the one, a token by it of the other, and back.
    for issuer, reader in ((there, here), (here, there)):
        issued = by_trust(issuer, trustee, trust)
        assert issued.status == 201, issued.text
        answer = validate(reader, issued.header("X-Subject-Token"), login(reader))
        assert answer.status == 200, answer.text
        try:
            Compare(Strict(reader.url), set()).value("body", issued.json(), answer.json())
        except Difference as difference:
            pytest.fail(str(difference))
        assert answer.json()["token"]["user"]["id"] == (user if impersonation else trustee).id


def test_trust_handed_on_at_the_other(here, there, user, trustee):
    third = make_user(Admin(here), f"{user.name}-third")
    token = login(here, name=user.name, password="first-pw", scope=user.scope)
    first = new_trust(here, token, user, trustee, allow_redelegation=True)
    middle = by_trust(there, trustee, first).header("X-Subject-Token")
    second = new_trust(there, middle, user, third)
    assert (second["redelegated_trust_id"], second["redelegation_count"]) == (first["id"], 0)
    issued = by_trust(here, third, second)
    assert issued.status == 201, issued.text
    dead = issued.header("X-Subject-Token")
    assert validate(there, dead, login(there)).status == 200
    as_user(here, token, "DELETE", f"/v3/OS-TRUST/trusts/{first['id']}", status=204)
    assert becomes(404, there, lambda: validate(there, dead, login(there)))
    assert becomes(401, there, lambda: by_trust(there, third, second))


def test_uses_of_a_trust_are_counted_together(here, there, user, trustee):
    token = login(here, name=user.name, password="first-pw", scope=user.scope)
    trust = new_trust(here, token, user, trustee, remaining_uses=2)
    assert [by_trust(server, trustee, trust).status for server in (here, there, here)] == [201, 201, 401]


def test_trustor_without_the_role_at_one_ends_the_trust_at_the_other(here, there, user, trustee):
    admin = Admin(here)
    token = login(here, name=user.name, password="first-pw", scope=user.scope)
    trust = new_trust(here, token, user, trustee)
    issued = by_trust(there, trustee, trust).header("X-Subject-Token")
    assert validate(there, issued, login(there)).status == 200
    admin("DELETE", f"/v3/projects/{user.project}/users/{user.id}/roles/{admin.role('member')}", status=204)
    assert becomes(403, there, lambda: validate(there, issued, login(there)))


def test_trust_flush_of_one_leaves_the_living_to_the_other(here, there, user, trustee):
    token = login(here, name=user.name, password="first-pw", scope=user.scope)
    dead = new_trust(here, token, user, trustee)
    alive = new_trust(here, token, user, trustee, impersonation=False)
    as_user(here, token, "DELETE", f"/v3/OS-TRUST/trusts/{dead['id']}", status=204)
    there.manage("trust_flush", "--trustor-user-id", user.id)
    # What was deleted no longer stands in the way of one that is the same.
    again = new_trust(here, token, user, trustee)
    found = as_user(there, token, "GET", f"/v3/OS-TRUST/trusts?trustor_user_id={user.id}")["trusts"]
    assert {trust["id"] for trust in found} == {alive["id"], again["id"]}
    assert there.manage("trust_flush", "--date", "2031-13-01", check=False).returncode == 1
