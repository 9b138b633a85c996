"""`[catalog] driver = templated`: the catalog is a file."""

import time

import pytest

from tests.support import http
from tests.support.databases import Database
from tests.support.servers import Archstone

pytestmark = pytest.mark.skipif(
    "config.getoption('--program') == 'keystone'", reason="Keystone 30 has no templated catalog any more"
)

FILE = """
# what was in etc/default_catalog.templates
catalog.RegionOne.identity.publicURL = http://localhost:$(public_port)s/v3
catalog.RegionOne.identity.name = keystone
catalog.RegionOne.object_store.publicURL = http://one/AUTH_$(tenant_id)s
catalog.RegionTwo.object_store.publicURL = http://two/AUTH_$(tenant_id)s
catalog.RegionTwo.object_store.name = swift
catalog.RegionTwo.object_store.id = 0e7a1d3cb6f94d53a5c8a2a9e6d0b1f2
"""
STORE = "0e7a1d3cb6f94d53a5c8a2a9e6d0b1f2"


class OnFile(Archstone):
    def __init__(self, **options):
        conf = {"identity": {"password_hash_rounds": 5}, "catalog": {"driver": "templated", "template_file": "catalog"}}
        super().__init__(conf=conf, **options)
        self.write(FILE)

    def write(self, text):
        (self.config.parent / "catalog").write_text(text)


@pytest.fixture(scope="module")
def cloud(db, tmp_path_factory):
    with Database(db, tmp_path_factory.mktemp("db")) as database, OnFile(database=database) as server:
        yield server


@pytest.fixture(scope="module")
def token(cloud):
    return http.admin_token(cloud.url)


def get(cloud, token, path):
    reply = http.send(cloud.url, "GET", path, {"X-Auth-Token": token})
    assert reply.status == 200, f"{path}: {reply.status} {reply.text}"
    return reply.json()


def test_a_token_has_the_catalog_of_the_file(cloud, token):
    body = http.password_login(cloud.url).json()["token"]
    project = body["project"]["id"]

    def endpoint(region, service, url):
        identity = f"{region}-{service}-public"
        return {"id": identity, "interface": "public", "region": region, "region_id": region, "url": url}

    stores = [
        endpoint("RegionOne", "object-store", f"http://one/AUTH_{project}"),
        endpoint("RegionTwo", "object-store", f"http://two/AUTH_{project}"),
    ]
    identity = [endpoint("RegionOne", "identity", f"http://localhost:{cloud.port}/v3")]
    expected = [
        {"id": "identity", "type": "identity", "name": "keystone", "endpoints": identity},
        {"id": STORE, "type": "object-store", "name": "swift", "endpoints": stores},
    ]
    assert body["catalog"] == expected
    assert get(cloud, token, "/v3/auth/catalog")["catalog"] == expected


def test_lists_show_the_file(cloud, token):
    regions = get(cloud, token, "/v3/regions")["regions"]
    assert [region["id"] for region in regions] == ["RegionOne", "RegionTwo"]
    services = get(cloud, token, "/v3/services?type=object-store")["services"]
    assert [(s["id"], s["name"], s["description"], s["enabled"]) for s in services] == [(STORE, "swift", "", True)]
    endpoints = get(cloud, token, "/v3/endpoints?region_id=RegionTwo&interface=public")["endpoints"]
    assert [e["id"] for e in endpoints] == ["RegionTwo-object-store-public"]
    assert get(cloud, token, "/v3/endpoints?interface=admin")["endpoints"] == []
    one = get(cloud, token, "/v3/endpoints/RegionTwo-object-store-public")["endpoint"]
    assert (one["service_id"], one["url"]) == (STORE, "http://two/AUTH_$(tenant_id)s")
    assert get(cloud, token, "/v3/regions/RegionOne")["region"]["parent_region_id"] is None
    assert http.send(cloud.url, "GET", "/v3/services/no", {"X-Auth-Token": token}).status == 404


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v3/regions", {"region": {"id": "new"}}),
        ("PUT", "/v3/regions/new", {"region": {}}),
        ("PATCH", "/v3/regions/RegionOne", {"region": {"description": "d"}}),
        ("DELETE", "/v3/regions/RegionOne", None),
        ("POST", "/v3/services", {"service": {"type": "dns"}}),
        ("PATCH", "/v3/services/identity", {"service": {"name": "n"}}),
        ("DELETE", "/v3/services/identity", None),
        ("POST", "/v3/endpoints", {"endpoint": {"service_id": "identity", "interface": "admin", "url": "http://a"}}),
        ("PATCH", "/v3/endpoints/RegionOne-identity-public", {"endpoint": {"url": "http://a"}}),
        ("DELETE", "/v3/endpoints/RegionOne-identity-public", None),
        ("GET", "/v3/OS-EP-FILTER/endpoint_groups", None),
        ("POST", "/v3/OS-EP-FILTER/endpoint_groups", {"endpoint_group": {"name": "n", "filters": {"interface": "public"}}}),
    ],
)
def test_nobody_changes_it(cloud, token, method, path, body):
    assert http.send(cloud.url, method, path, body=body).status == 401
    reply = http.send(cloud.url, method, path, {"X-Auth-Token": token}, body)
    assert (reply.status, reply.json()["error"]["title"]) == (501, "Not Implemented")


def test_limits_and_policies_are_for_services_of_the_file(cloud, token):
    limit = {"service_id": STORE, "region_id": "RegionTwo", "resource_name": "r", "default_limit": 5}
    reply = http.send(cloud.url, "POST", "/v3/registered_limits", {"X-Auth-Token": token}, {"registered_limits": [limit]})
    assert reply.status == 201, reply.text
    unknown = {"registered_limits": [{**limit, "service_id": "0" * 32}]}
    assert http.send(cloud.url, "POST", "/v3/registered_limits", {"X-Auth-Token": token}, unknown).status == 400
    body = {"policy": {"type": "t", "blob": "b"}}
    policy = http.send(cloud.url, "POST", "/v3/policies", {"X-Auth-Token": token}, body).json()["policy"]["id"]
    path = f"/v3/policies/{policy}/OS-ENDPOINT-POLICY/services/{STORE}/regions/RegionTwo"
    assert http.send(cloud.url, "PUT", path, {"X-Auth-Token": token}).status == 204
    found = get(cloud, token, "/v3/endpoints/RegionTwo-object-store-public/OS-ENDPOINT-POLICY/policy")
    assert found["policy"]["id"] == policy


def urls(cloud, token):
    """As the cached token shows them."""
    headers = {"X-Auth-Token": token, "X-Subject-Token": token}
    catalog = http.send(cloud.url, "GET", "/v3/auth/tokens", headers).json()["token"]["catalog"]
    return [endpoint["url"] for service in catalog for endpoint in service["endpoints"]]


def wait_for(what):
    until = time.monotonic() + 20
    while not what():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_a_change_counts_and_a_broken_file_does_not(cloud, token):
    try:
        cloud.write("catalog.RegionOne.dns.publicURL = http://dns\n")
        wait_for(lambda: urls(cloud, token) == ["http://dns"])
        cloud.write("catalog.RegionOne.dns.publicURL\n")
        wait_for(lambda: "catalog not reloaded" in cloud.log_text())
        assert urls(cloud, token) == ["http://dns"]
    finally:
        cloud.write(FILE)
    wait_for(lambda: len(urls(cloud, token)) == 3)


def test_all_that_is_wrong_is_told_with_its_line():
    server = OnFile(bootstrap=False)
    try:
        server.prepare()
        assert server.manage("config", "check").returncode == 0
        server.write("x\ncatalog.R.a.publicURL\ncatalog.R.a.publicURL = http://h/$(nothing)s\n")
        done = server.manage("config", "check", check=False)
        assert done.returncode == 1
        file = server.config.parent / "catalog"
        for line, word in ((1, "warning"), (2, "problem"), (3, "problem")):
            assert f"{word}: {file}:{line}: " in done.stdout, done.stdout
        with pytest.raises(RuntimeError) as ended:
            server.start()
        assert f"{file}:2: " in str(ended.value) and f"{file}:3: " in str(ended.value)
    finally:
        server.close()
