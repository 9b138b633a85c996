"""Secrets that are kept for users: who reaches them, and what signatures by EC2 keys get."""

import json
import time
from types import SimpleNamespace

import pytest

from tests.golden import signatures
from tests.support import http
from tests.support.servers import PROGRAMS


class As:
    """Requests with one token."""

    def __init__(self, server, token):
        self.url, self.token = server.url, token

    def __call__(self, method, path, body=None, status=None):
        reply = http.send(self.url, method, path, {"X-Auth-Token": self.token}, body)
        if status:
            assert reply.status == status, f"{method} {path}: {reply.status} {reply.text}"
        return reply


@pytest.fixture(scope="module")
def admin(server):
    return As(server, http.admin_token(server.url))


def make_user(server, admin, name):
    """A user with the role member on a project, its token, and the kinds of credentials."""
    user = admin("POST", "/v3/users", {"user": {"name": name, "password": "pw"}}, 201).json()["user"]["id"]
    project = admin("POST", "/v3/projects", {"project": {"name": name}}, 201).json()["project"]["id"]
    role = admin("GET", "/v3/roles?name=member").json()["roles"][0]["id"]
    admin("PUT", f"/v3/projects/{project}/users/{user}/roles/{role}", status=204)
    reply = http.password_login(server.url, name, "pw", {"project": {"id": project}})
    own = As(server, reply.header("X-Subject-Token"))
    key = own("POST", f"/v3/users/{user}/credentials/OS-EC2", {"tenant_id": project}, 201).json()["credential"]
    totp = {"type": "totp", "blob": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "user_id": user}
    totp = own("POST", "/v3/credentials", {"credential": totp}, 201).json()["credential"]["id"]
    return SimpleNamespace(id=user, project=project, own=own, key=key, totp=totp)


@pytest.fixture(scope="module")
def alice(server, admin):
    return make_user(server, admin, "alice")


@pytest.fixture(scope="module")
def bob(server, admin):
    return make_user(server, admin, "bob")


def app_credential_token(server, user, unrestricted):
    path = f"/v3/users/{user.id}/application_credentials"
    new = {"name": f"app {unrestricted}", "unrestricted": unrestricted}
    made = user.own("POST", path, {"application_credential": new}, 201).json()["application_credential"]
    method = {"id": made["id"], "secret": made["secret"]}
    auth = {"identity": {"methods": ["application_credential"], "application_credential": method}}
    reply = http.send(server.url, "POST", "/v3/auth/tokens", body={"auth": auth})
    assert reply.status == 201, reply.text
    return As(server, reply.header("X-Subject-Token"))


def signed(key, **params):
    params = {"SignatureVersion": "2", "AWSAccessKeyId": key["access"], **params}
    request = {"access": key["access"], "host": "ec2", "verb": "GET", "path": "/", "params": params}
    return {"credentials": {**request, "signature": signatures.ec2_v2(key["secret"], request)}}


def test_ossa_2019_006_a_list_shows_only_the_own(alice, bob):
    listed = alice.own("GET", "/v3/credentials", status=200).json()["credentials"]
    assert {one["user_id"] for one in listed} == {alice.id}
    assert len(listed) == 2
    assert alice.own("GET", f"/v3/credentials?user_id={bob.id}", status=200).json()["credentials"] == []


def test_secrets_of_others_are_out_of_reach(alice, bob):
    path = f"/v3/credentials/{bob.totp}"
    alice.own("GET", path, status=403)
    alice.own("PATCH", path, {"credential": {"blob": "x"}}, 403)
    alice.own("DELETE", path, status=403)
    alice.own("GET", f"/v3/users/{bob.id}/credentials/OS-EC2", status=403)
    for user in (alice, bob):
        path = f"/v3/users/{user.id}/credentials/OS-EC2/{bob.key['access']}"
        alice.own("GET", path, status=403)
        alice.own("DELETE", path, status=403)
    alice.own("POST", f"/v3/users/{bob.id}/credentials/OS-EC2", {"tenant_id": alice.project}, 403)
    new = {"type": "totp", "blob": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "user_id": bob.id}
    alice.own("POST", "/v3/credentials", {"credential": new}, 403)


def test_cve_2020_12691_a_credential_changes_neither_owner_nor_project(alice, bob):
    for change in ({"user_id": bob.id}, {"project_id": bob.project}, {"type": "cert"}):
        body = {"credential": {"blob": "x", **change}}
        alice.own("PATCH", f"/v3/credentials/{alice.totp}", body, 400)


@pytest.mark.parametrize("unrestricted", [False, True])
def test_ossa_2026_005_an_application_credential_reaches_no_secrets(server, alice, unrestricted):
    token = app_credential_token(server, alice, unrestricted)
    ec2 = f"/v3/users/{alice.id}/credentials/OS-EC2"
    token("POST", ec2, {"tenant_id": alice.project}, 403)
    token("GET", ec2, status=403)
    token("GET", f"{ec2}/{alice.key['access']}", status=403)
    token("DELETE", f"{ec2}/{alice.key['access']}", status=403)
    blob = '{"access": "mine", "secret": "mine"}'
    new = {"type": "ec2", "blob": blob, "user_id": alice.id, "project_id": alice.project}
    token("POST", "/v3/credentials", {"credential": new}, 403)
    assert token("GET", "/v3/credentials", status=200).json()["credentials"] == []
    for method, body in (("GET", None), ("PATCH", {"credential": {"blob": "x"}}), ("DELETE", None)):
        token(method, f"/v3/credentials/{alice.totp}", body, 403)


def test_ossa_2025_002_only_services_exchange_signatures(server, admin, alice, bob):
    body = signed(alice.key)
    assert http.send(server.url, "POST", "/v3/ec2tokens", body=body).status == 401
    assert http.send(server.url, "POST", "/v3/s3tokens", body=body).status == 401
    for user in (alice, bob):
        user.own("POST", "/v3/ec2tokens", body, 403)
        user.own("POST", "/v3/s3tokens", body, 403)
    admin("POST", "/v3/ec2tokens", body, 200)


def test_ossa_2020_003_an_old_signature_gets_nothing(admin, alice):
    def stamp(ago):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - ago))

    admin("POST", "/v3/ec2tokens", signed(alice.key, Timestamp=stamp(14 * 60)), 200)
    admin("POST", "/v3/ec2tokens", signed(alice.key, Timestamp=stamp(16 * 60)), 401)
    admin("POST", "/v3/ec2tokens", signed(alice.key, Timestamp="soon"), 401)


def test_a_token_by_an_ec2_key_cannot_be_used_here(server, admin, alice):
    token = admin("POST", "/v3/ec2tokens", signed(alice.key), 200).header("X-Subject-Token")
    for method, path in (("GET", "/v3"), ("GET", "/v3/credentials"), ("POST", "/v3/auth/tokens")):
        As(server, token)(method, path, status=403)
    auth = {"identity": {"methods": ["token"], "token": {"id": token}}}
    assert http.send(server.url, "POST", "/v3/auth/tokens", body={"auth": auth}).status == 403


def test_without_its_method_there_are_no_tokens_by_ec2_keys(program):
    conf = {"identity": {"password_hash_rounds": 5}, "auth": {"methods": "password,token"}}
    with PROGRAMS[program](conf=conf) as server:
        admin = As(server, http.admin_token(server.url))
        for path in ("/v3/ec2tokens", "/v3/s3tokens"):
            admin("POST", path, signed({"access": "a", "secret": "b"}), 503)


def trust_token(server, admin, alice, role):
    """The admin trusts alice with a role on its project; her token by that."""
    me = http.password_login(server.url).json()["token"]
    roles = [{"name": role}]
    trust = {"trustor_user_id": me["user"]["id"], "trustee_user_id": alice.id, "impersonation": False}
    trust |= {"project_id": me["project"]["id"], "roles": roles}
    trust = admin("POST", "/v3/OS-TRUST/trusts", {"trust": trust}, 201).json()["trust"]
    scope = {"OS-TRUST:trust": {"id": trust["id"]}}
    reply = http.password_login(server.url, "alice", "pw", scope)
    assert reply.status == 201, reply.text
    return As(server, reply.header("X-Subject-Token")), trust


def test_ossa_2013_032_a_trust_reaches_no_secrets(server, admin, alice):
    token, _ = trust_token(server, admin, alice, "admin")
    assert token("GET", "/v3/credentials", status=200).json()["credentials"] == []
    token("GET", f"/v3/credentials/{alice.totp}", status=403)
    token("POST", f"/v3/users/{alice.id}/credentials/OS-EC2", {"tenant_id": alice.project}, 403)
    new = {"type": "ec2", "blob": '{"access": "x"}', "user_id": alice.id, "project_id": alice.project}
    token("POST", "/v3/credentials", {"credential": new}, 403)


def test_lp_2150089_the_old_ways_come_back_only_for_ec2_keys_of_administrators(program):
    name = "allow_insecure_admin_trust_cross_project_credentials_access"
    conf = {"identity": {"password_hash_rounds": 5}, "security_compliance": {name: True}}
    with PROGRAMS[program](conf=conf) as server:
        admin = As(server, http.admin_token(server.url))
        alice = make_user(server, admin, "alice")
        member, _ = trust_token(server, admin, alice, "member")
        token, trust = trust_token(server, admin, alice, "admin")
        keys = {"access": "mine", "secret": "secret"}
        new = {"type": "ec2", "blob": json.dumps(keys), "user_id": alice.id, "project_id": trust["project_id"]}
        member("POST", "/v3/credentials", {"credential": new}, 403)
        made = token("POST", "/v3/credentials", {"credential": new}, 201).json()["credential"]
        assert json.loads(made["blob"]) == {**keys, "trust_id": trust["id"]}
        token("GET", f"/v3/credentials/{alice.totp}", status=403)
        # It stays what it is, and gets what the trust gives.
        token("PATCH", f"/v3/credentials/{made['id']}", {"credential": {"blob": new["blob"]}}, 400)
        body = admin("POST", "/v3/ec2tokens", signed(keys), 200).json()["token"]
        assert (body["OS-TRUST:trust"]["id"], body["user"]["id"]) == (trust["id"], alice.id)
        assert body["methods"] == ["ec2credential"]
        admin("DELETE", f"/v3/OS-TRUST/trusts/{trust['id']}", status=204)
        admin("POST", "/v3/ec2tokens", signed(keys), 404)


HOSTILE = [
    {"credentials": []},
    {"credentials": "x"},
    {"credentials": {"access": None, "signature": "x"}},
    {"credentials": {"access": ["x"], "signature": "x"}},
    {"credentials": {"access": "x" * 65536, "signature": "x"}},
    {"credentials": {"access": "\0", "signature": "x"}},
    {"credential": {"access": "KEY"}},
    {"credentials": {"access": "KEY", "signature": 1, "params": {}}},
    {"credentials": {"access": "KEY", "signature": "x", "params": []}},
    {"credentials": {"access": "KEY", "signature": "x", "params": {"SignatureVersion": "2", "a": [{}]}}},
    {"credentials": {"access": "KEY", "signature": "x", "params": {"SignatureVersion": "1"}, "host": 1}},
    {"credentials": {"access": "KEY", "signature": "\0", "params": {}, "headers": {"Authorization": 1}}},
    {"credentials": {"access": "KEY", "signature": "x", "params": {}, "headers": {"Authorization": "AWS4-HMAC-SHA256"}}},
    {"credentials": {"access": "KEY", "signature": "x", "token": "é"}},
    {"credentials": {"access": "KEY", "signature": "x", "token": {}}},
    {"credentials": {"access": "KEY", "signature": "é", "token": "QVdTNA=="}},
]


@pytest.mark.parametrize("path", ["/v3/ec2tokens", "/v3/s3tokens"])
@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_what_no_honest_service_sends(server, admin, alice, program, number, path):
    if program == "keystone":
        pytest.skip("the reference has uncaught exceptions")
    body = json.loads(json.dumps(HOSTILE[number]).replace("KEY", alice.key["access"]))
    reply = admin("POST", path, body)
    assert reply.status in (400, 401, 404), reply.text
    assert reply.json()["error"]["code"] == reply.status
    assert "panicked" not in server.log_text()


@pytest.mark.parametrize("blob", ["", "[]", "null", "1", '{"access": null}', '{"access": {}}', '{"access"', "\0"])
def test_what_is_no_ec2_key_is_not_stored(alice, blob):
    new = {"type": "ec2", "blob": blob, "user_id": alice.id, "project_id": alice.project}
    alice.own("POST", "/v3/credentials", {"credential": new}, 400)
    listed = alice.own("GET", f"/v3/users/{alice.id}/credentials/OS-EC2", status=200).json()["credentials"]
    assert [one["access"] for one in listed] == [alice.key["access"]]


def shown(user):
    return {credential["user_id"] for credential in user.own("GET", "/v3/credentials", status=200).json()["credentials"]}


def test_a_list_has_what_the_rule_of_one_shows(server, alice, bob):
    """Also where that is more than the own ones, which alone are read as long as it is not."""
    file = server.folder / "policy.yaml"
    before = file.read_text()
    assert shown(alice) == {alice.id}
    rules = [
        ("'%s':%%(target.credential.user_id)s" % bob.id, {bob.id}),
        ("not user_id:%(target.credential.user_id)s and role:member", {bob.id}),
        ("project_id:%(target.credential.project_id)s", {alice.id}),
        ("user_id:%(target.credential.user_id)s", {alice.id}),
        ("role:member", {alice.id, bob.id}),
    ]
    try:
        for rule, expected in rules:
            time.sleep(1.1)
            file.write_text(json.dumps({"identity:get_credential": rule}))
            until = time.monotonic() + 10
            # Others may have credentials too.
            while (seen := shown(alice) & {alice.id, bob.id}) != expected and time.monotonic() < until:
                time.sleep(0.1)
            assert seen == expected, rule
    finally:
        time.sleep(1.1)
        file.write_text(before)
        time.sleep(1.5)
