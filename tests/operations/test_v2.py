"""The Identity API v2.0, for clients of old: its shapes, and whom it knows."""

import pytest

from tests.golden import signatures
from tests.support import http
from tests.support.servers import Archstone

pytestmark = pytest.mark.skipif("config.getoption('--program') == 'keystone'", reason="Keystone has no v2.0 any more")


@pytest.fixture(scope="module")
def cloud(program):
    proxy = {"trusted_proxies": "127.0.0.1", "remote_user_header": "X-Remote-User"}
    conf = {"identity": {"password_hash_rounds": 5}, "v2": {"enabled": True}, "archstone": proxy}
    with Archstone(conf=conf) as server:
        yield Cloud(server)


class Cloud:
    """alice is member of the tenants `one` and `two`; eve and the project `far` are of another domain."""

    def __init__(self, server):
        self.server, self.url = server, server.url
        self.admin = http.admin_token(server.url)
        self.roles = {r["name"]: r["id"] for r in self.v3("GET", "/roles")["roles"]}
        self.other = self.v3("POST", "/domains", {"domain": {"name": "other"}})["domain"]["id"]
        self.one, self.two = self.project("one"), self.project("two")
        self.far = self.project("far", domain_id=self.other)
        self.alice, self.eve = self.user("alice"), self.user("eve", domain_id=self.other)
        for user in (self.alice, self.eve):
            for project in (self.one, self.two, self.far):
                self.grant(user, project)
        self.v3("PUT", f"/domains/default/users/{self.alice}/roles/{self.roles['member']}")

    def v3(self, method, path, body=None, token=None):
        reply = http.send(self.url, method, f"/v3{path}", {"X-Auth-Token": token or self.admin}, body)
        assert reply.status < 300, f"{method} {path}: {reply.status} {reply.text}"
        return reply.json() if reply.body else None

    def project(self, name, **more):
        return self.v3("POST", "/projects", {"project": {"name": name, "description": f"of {name}", **more}})["project"]["id"]

    def user(self, name, **more):
        return self.v3("POST", "/users", {"user": {"name": name, "password": "pw", **more}})["user"]["id"]

    def grant(self, user, project):
        self.v3("PUT", f"/projects/{project}/users/{user}/roles/{self.roles['member']}")

    def v3_token(self, user, scope):
        identity = {"methods": ["password"], "password": {"user": {"id": user, "password": "pw"}}}
        body = {"auth": {"identity": identity, "scope": scope}}
        reply = http.send(self.url, "POST", "/v3/auth/tokens", body=body)
        assert reply.status == 201, reply.text
        return reply.header("X-Subject-Token")

    def send(self, method, path, body=None, token=None):
        headers = {"X-Auth-Token": token} if token else {}
        return http.send(self.url, method, f"/v2.0{path}", headers, body)

    def login(self, **auth):
        return self.send("POST", "/tokens", {"auth": auth})

    def token(self, **auth):
        reply = self.login(**auth)
        assert reply.status == 200, reply.text
        return reply.json()["access"]["token"]["id"]

    def show(self, token):
        return self.send("GET", f"/tokens/{token}", token=self.admin)


ALICE = {"username": "alice", "password": "pw"}


def test_off_unless_switched_on(server):
    for method, path in (("GET", ""), ("POST", "/tokens"), ("GET", "/tokens/x"), ("GET", "/tenants"), ("POST", "/ec2tokens")):
        assert http.send(server.url, method, f"/v2.0{path}").status == 404


def test_version(cloud):
    version = cloud.send("GET", "").json()["version"]
    assert (version["id"], version["links"][0]["href"]) == ("v2.0", f"{cloud.url}/v2.0/")


def test_a_login_without_a_tenant_has_no_scope(cloud):
    access = cloud.login(passwordCredentials=ALICE).json()["access"]
    assert set(access["token"]) == {"id", "expires", "issued_at", "audit_ids"}
    user = {"id": cloud.alice, "name": "alice", "username": "alice", "roles": [], "roles_links": []}
    assert access["user"] == user
    assert access["serviceCatalog"] == []
    assert access["metadata"] == {"is_admin": 0, "roles": []}


@pytest.mark.parametrize("by", ["tenantId", "tenantName"])
def test_a_login_for_a_tenant(cloud, by):
    name = cloud.one if by == "tenantId" else "one"
    access = cloud.login(passwordCredentials=ALICE, **{by: name}).json()["access"]
    assert access["token"]["tenant"] == {"id": cloud.one, "name": "one", "description": "of one", "enabled": True}
    assert sorted(role["name"] for role in access["user"]["roles"]) == ["member", "reader"]
    assert cloud.roles["member"] in access["metadata"]["roles"]
    (identity,) = access["serviceCatalog"]
    assert (identity["type"], identity["name"], identity["endpoints_links"]) == ("identity", "keystone", [])
    (endpoint,) = identity["endpoints"]
    url = f"{cloud.url}/v3"
    assert endpoint.pop("id")
    assert endpoint == {"region": "RegionOne", "publicURL": url, "internalURL": url, "adminURL": url}


def test_a_token_is_a_login_too_and_keeps_its_end(cloud):
    first = cloud.login(passwordCredentials={"userId": cloud.alice, "password": "pw"}).json()["access"]["token"]
    second = cloud.login(token={"id": first["id"]}, tenantName="two").json()["access"]["token"]
    assert (second["tenant"]["id"], second["expires"]) == (cloud.two, first["expires"])
    assert second["audit_ids"][1] == first["audit_ids"][0]


def test_whom_the_proxy_has_authenticated_needs_no_password(cloud):
    def login(name, **auth):
        return http.send(cloud.url, "POST", "/v2.0/tokens", {"X-Remote-User": name}, {"auth": auth})

    access = login("alice", tenantName="one").json()["access"]
    assert (access["user"]["id"], access["token"]["tenant"]["id"]) == (cloud.alice, cloud.one)
    assert login("nobody", tenantName="one").status == 401
    # Whoever is of another domain is nobody here.
    assert login("eve").status == 401
    assert login("alice", passwordCredentials={"username": "admin", "password": "adminpw"}).json()["access"]["user"]["name"] == "alice"
    assert login("alice", token={"id": cloud.admin}).json()["access"]["user"]["name"] == "admin"


def test_logins_that_fail(cloud):
    wrong = {**ALICE, "password": "wrong"}
    assert cloud.login(passwordCredentials=wrong).status == 401
    assert cloud.login(passwordCredentials={"username": "nobody", "password": "pw"}).status == 401
    assert cloud.login(passwordCredentials=ALICE, tenantName="nowhere").status == 401
    assert cloud.login(passwordCredentials=ALICE, tenantName="admin").status == 401
    assert cloud.login(token={"id": "gAAAA"}).status in (401, 404)
    assert cloud.login().status == 400
    assert cloud.send("POST", "/tokens", {}).status == 400
    assert cloud.send("POST", "/tokens", {"auth": []}).status == 400
    assert cloud.login(passwordCredentials={"username": "x" * 65536, "password": "pw\0"}).status == 401


def test_who_is_of_another_domain_is_unknown(cloud):
    assert cloud.login(passwordCredentials={"username": "eve", "password": "pw"}).status == 401
    assert cloud.login(passwordCredentials={"userId": cloud.eve, "password": "pw"}).status == 401
    assert cloud.login(passwordCredentials={"userId": cloud.eve, "password": "pw"}, tenantId=cloud.one).status == 401
    assert cloud.login(passwordCredentials=ALICE, tenantId=cloud.far).status == 401
    assert cloud.login(passwordCredentials=ALICE, tenantName="far").status == 401
    eve = cloud.v3_token(cloud.eve, {"project": {"id": cloud.one}})
    assert cloud.show(eve).status == 401
    assert cloud.send("GET", "/tenants", token=eve).status == 401
    assert cloud.login(token={"id": eve}).status == 401


@pytest.mark.parametrize("scope", ["domain", "system", "far"])
def test_tokens_of_another_scope_are_not_shown(cloud, scope):
    if scope == "system":
        cloud.v3("PUT", f"/system/users/{cloud.alice}/roles/{cloud.roles['member']}")
    scope = {
        "domain": {"domain": {"id": "default"}},
        "system": {"system": {"all": True}},
        "far": {"project": {"id": cloud.far}},
    }[scope]
    token = cloud.v3_token(cloud.alice, scope)
    for method in ("GET", "HEAD", "DELETE"):
        assert cloud.send(method, f"/tokens/{token}", token=cloud.admin).status == 401
    subject = {"X-Auth-Token": cloud.admin, "X-Subject-Token": token}
    assert http.send(cloud.url, "GET", "/v3/auth/tokens", subject).status == 200


def test_tokens_are_shown_to_services(cloud):
    token = cloud.token(passwordCredentials=ALICE, tenantId=cloud.one)
    shown = cloud.show(token)
    assert shown.status == 200
    access = shown.json()["access"]
    assert (access["token"]["id"], access["token"]["tenant"]["id"]) == (token, cloud.one)
    assert cloud.send("HEAD", f"/tokens/{token}", token=cloud.admin).status == 200
    assert cloud.send("GET", f"/tokens/{token}?belongsTo={cloud.one}", token=cloud.admin).status == 200
    assert cloud.send("GET", f"/tokens/{token}?belongsTo={cloud.two}", token=cloud.admin).status == 401
    other = cloud.user("mallory")
    cloud.grant(other, cloud.two)
    stranger = cloud.v3_token(other, {"project": {"id": cloud.two}})
    for method in ("GET", "HEAD", "DELETE"):
        assert cloud.send(method, f"/tokens/{token}").status == 401
        assert cloud.send(method, f"/tokens/{token}", token=stranger).status == 403
    assert cloud.show("gAAAA").status == 404
    assert token not in cloud.server.log_text()


def test_a_revoked_token_is_gone(cloud):
    token = cloud.token(passwordCredentials=ALICE, tenantId=cloud.one)
    assert cloud.send("DELETE", f"/tokens/{token}", token=cloud.admin).status == 204
    assert cloud.show(token).status == 404
    assert cloud.send("DELETE", f"/tokens/{token}", token=cloud.admin).status == 404
    assert token not in cloud.server.log_text()


def test_tenants_are_those_of_the_default_domain(cloud):
    token = cloud.token(passwordCredentials=ALICE)
    body = cloud.send("GET", "/tenants", token=token).json()
    assert body["tenants_links"] == []
    names = {one["name"]: one for one in body["tenants"]}
    assert set(names) == {"one", "two"}
    assert names["one"] == {"id": cloud.one, "name": "one", "description": "of one", "enabled": True}
    (first,) = cloud.send("GET", "/tenants?limit=1", token=token).json()["tenants"]
    (second,) = cloud.send("GET", f"/tenants?marker={first['id']}", token=token).json()["tenants"]
    assert {first["name"], second["name"]} == {"one", "two"}
    assert cloud.send("GET", "/tenants?limit=x", token=token).status == 400
    assert cloud.send("GET", "/tenants?marker=x", token=token).status == 400
    assert cloud.send("GET", "/tenants").status == 401


def test_signatures_of_ec2_keys(cloud):
    token = cloud.v3_token(cloud.alice, {"project": {"id": cloud.one}})
    path = f"/users/{cloud.alice}/credentials/OS-EC2"
    key = cloud.v3("POST", path, {"tenant_id": cloud.one}, token)["credential"]
    request = {"access": key["access"], "host": "ec2", "verb": "GET", "path": "/", "params": {"SignatureVersion": "2"}}
    body = {"ec2Credentials": {**request, "signature": signatures.ec2_v2(key["secret"], request)}}
    assert cloud.send("POST", "/ec2tokens", body).status == 401
    assert cloud.send("POST", "/ec2tokens", body, token).status == 403
    access = cloud.send("POST", "/ec2tokens", body, cloud.admin).json()["access"]
    assert (access["user"]["id"], access["token"]["tenant"]["id"]) == (cloud.alice, cloud.one)
    ec2 = access["token"]["id"]
    assert cloud.show(ec2).status == 200
    assert cloud.send("GET", "/tenants", token=ec2).status == 403
    assert cloud.login(token={"id": ec2}, tenantId=cloud.two).status == 403


def test_delegated_tokens_are_not_shown(cloud):
    token = cloud.v3_token(cloud.alice, {"project": {"id": cloud.one}})
    path = f"/users/{cloud.alice}/application_credentials"
    made = cloud.v3("POST", path, {"application_credential": {"name": "a"}}, token)["application_credential"]
    identity = {"methods": ["application_credential"]}
    identity["application_credential"] = {"id": made["id"], "secret": made["secret"]}
    reply = http.send(cloud.url, "POST", "/v3/auth/tokens", body={"auth": {"identity": identity}})
    token = reply.header("X-Subject-Token")
    assert cloud.show(token).status == 401
    assert cloud.send("GET", "/tenants", token=token).status == 401
    assert cloud.login(token={"id": token}).status == 403


def test_ossa_2014_022_a_trust_gives_no_token_for_another_tenant(cloud):
    alice = cloud.v3_token(cloud.alice, {"project": {"id": cloud.one}})
    bob = cloud.user("bob")
    trust = {"trustor_user_id": cloud.alice, "trustee_user_id": bob, "project_id": cloud.one}
    trust |= {"impersonation": True, "roles": [{"name": "member"}]}
    trust = cloud.v3("POST", "/OS-TRUST/trusts", {"trust": trust}, alice)["trust"]["id"]
    token = cloud.v3_token(bob, {"OS-TRUST:trust": {"id": trust}})
    for tenant in ({}, {"tenantId": cloud.one}, {"tenantId": cloud.two}):
        assert cloud.login(token={"id": token}, **tenant).status == 403
    bobs = {"username": "bob", "password": "pw"}
    assert cloud.login(passwordCredentials=bobs, trust_id=trust, tenantId=cloud.two).status == 400
    assert cloud.login(passwordCredentials=bobs, tenantId=cloud.two).status == 401
    assert cloud.show(token).status == 401
    assert cloud.send("GET", "/tenants", token=token).status == 401
    assert cloud.send("DELETE", f"/tokens/{token}", token=cloud.admin).status == 401
