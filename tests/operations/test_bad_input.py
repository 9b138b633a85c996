"""What no honest client sends: each gets a proper error, changes nothing, and leaks nothing."""

import base64
import json
import socket
from http.client import RemoteDisconnected

import pytest

from tests.support import http

LOGIN = {
    "auth": {
        "identity": {
            "methods": ["password"],
            "password": {"user": {"name": "admin", "domain": {"id": "default"}, "password": "adminpw"}},
        },
        "scope": {"project": {"name": "admin", "domain": {"id": "default"}}},
    }
}


@pytest.fixture(scope="module")
def token(server):
    return http.admin_token(server.url)


@pytest.fixture(autouse=True)
def still_well(server):
    """After each test the service answers, has not died of it, and shows no trace of a crash."""
    yield
    assert http.send(server.url, "GET", "/v3").status == 200
    assert "panicked" not in server.log_text()


def send(server, *arguments, **options) -> http.Reply:
    """As http.send; where Python lets an exception escape, uwsgi hangs up and there is nothing to compare."""
    try:
        return http.send(server.url, *arguments, **options)
    except RemoteDisconnected:
        if server.program == "keystone":
            pytest.skip("the reference does not answer")
        raise


def assert_error(reply, *statuses):
    """One of these statuses, with the body that every Identity error has."""
    assert reply.status in statuses, f"{reply.status} {reply.text[:300]}"
    error = reply.json()["error"]
    assert error["code"] == reply.status
    assert set(error) >= {"code", "message", "title"}
    assert "Traceback" not in reply.text


def login_with(**changes):
    body = json.loads(json.dumps(LOGIN))
    for path, value in changes.items():
        at = body["auth"]
        *parents, last = path.split("__")
        for part in parents:
            at = at[part]
        at[last] = value
    return body


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[1]",
        b'"auth"',
        b"null1",
        b'{"auth": ',
        b'{"auth": {}} trailing',
        b"\xff\xfe{}",
        b'{"auth": "\xc3\x28"}',
        b"[" * 20_000,
        b'{"a":' * 20_000,
    ],
    ids=["cut", "array", "string", "word", "cut value", "trailing", "utf-16 mark", "bad utf-8", "deep array", "deep object"],
)
def test_malformed_json(server, body):
    reply = send(server, "POST", "/v3/auth/tokens", {"Content-Type": "application/json"}, body)
    assert_error(reply, 400)


@pytest.mark.parametrize(
    "body",
    [
        {"auth": None},
        {"auth": []},
        {"auth": {}},
        {"auth": {"identity": {}}},
        {"auth": {"identity": {"methods": "password"}}},
        {"auth": {"identity": {"methods": [1]}}},
        {"auth": {"identity": {"methods": ["password"], "password": {}}}},
        {"auth": {"identity": {"methods": ["password"], "password": {"user": 5}}}},
        {"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": 5, "password": "x"}}}}},
        {"auth": {"identity": {"methods": ["token"], "token": {"id": 5}}}},
        login_with(scope=5),
        login_with(scope__project=[]),
        login_with(scope__project={"id": 5}),
        login_with(identity__password__user__password=None),
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_wrong_types(server, body):
    assert_error(http.send(server.url, "POST", "/v3/auth/tokens", body=body), 400)


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (login_with(identity__methods=["nonsense"]), (400,)),
        (login_with(identity__methods=["nonsense"], identity__nonsense={}), (401,)),
        (login_with(identity__methods=[]), (401,)),
        (login_with(identity__methods=["password", "password"]), (201, 401)),
        (login_with(identity__password__user__password="wrong"), (401,)),
        (login_with(identity__password__user__name="nobody"), (401,)),
        (login_with(identity__password__user__domain={"id": "nowhere"}), (401,)),
        (login_with(identity__password__user__domain={}), (400,)),
        (login_with(identity__password__user__name="x" * 65_536), (401, 400)),
        (login_with(identity__password__user__password="x" * 65_536), (401, 400)),
        (login_with(identity__password__user__name="a\0b"), (401, 400)),
        (login_with(identity__password__user__password="a\0b"), (401, 400)),
        (login_with(scope={"project": {"id": "nowhere"}}), (401,)),
        (login_with(scope={"project": {"id": "a"}, "domain": {"id": "default"}}), (400,)),
        (login_with(scope={"project": {"id": "a"}, "system": {"all": True}}), (400,)),
        (login_with(scope={"system": {"all": True}, "domain": {"id": "default"}}), (400,)),
    ],
    ids=lambda value: json.dumps(value)[-70:] if isinstance(value, dict) else "",
)
def test_refused_logins(server, body, statuses):
    reply = http.send(server.url, "POST", "/v3/auth/tokens", body=body)
    if reply.status == 201 and 201 in statuses:
        # Naming a method twice is naming it once.
        assert reply.json()["token"]["methods"] == ["password"]
        return
    assert_error(reply, *statuses)
    if reply.status == 401:
        assert reply.header("WWW-Authenticate") == f'Keystone uri="{server.url}/v3"'


def mutations(token: str):
    raw = token + "=" * (-len(token) % 4)
    data = bytearray(base64.urlsafe_b64decode(raw))
    yield "empty", ""
    yield "one character", "g"
    yield "cut by one", token[:-1]
    yield "first half", token[: len(token) // 2]
    yield "twice", token + token
    places = {"version": 0, "time": 8, "IV": 9, "IV's end": 24, "text": 25, "text's end": -33, "signature": -32, "last": -1}
    for place, position in places.items():
        flipped = bytearray(data)
        flipped[position] ^= 1
        yield f"{place} flipped", base64.urlsafe_b64encode(bytes(flipped)).decode().rstrip("=")
    yield "no signature", base64.urlsafe_b64encode(bytes(data[:-32])).decode()
    yield "not base64", token[:20] + "!" + token[21:]
    yield "percent signs", "%67" + token[1:]
    yield "with blanks inside", token[:30] + " " + token[30:]
    yield "very long", "g" * 6_000
    yield "latin letters", "ünïcödé"


@pytest.mark.parametrize("name", [name for name, _ in mutations("gAAAA" + "A" * 179)])
def test_a_token_changed_in_any_way_is_no_token(server, token, name):
    changed = dict(mutations(token))[name].encode("utf-8").decode("latin-1")
    reply = http.send(server.url, "GET", "/v3/projects", {"X-Auth-Token": changed})
    assert_error(reply, 401)
    if name != "empty":
        headers = {"X-Auth-Token": token, "X-Subject-Token": changed}
        assert_error(http.send(server.url, "GET", "/v3/auth/tokens", headers), 404)


def test_token_of_a_dropped_key(server, token):
    from cryptography.fernet import Fernet

    foreign = Fernet(Fernet.generate_key()).encrypt(b"\x93\x00\xc4\x10").decode()
    headers = {"X-Auth-Token": token, "X-Subject-Token": foreign}
    assert_error(http.send(server.url, "GET", "/v3/auth/tokens", headers), 404)


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x90", b"\x93\x00", b"\x96\x63\xc4\x01a", b"\xdd\xff\xff\xff\xff", b"\x81" * 5_000])
def test_payload_of_our_own_key_that_is_no_token(server, token, payload):
    """Whoever holds the keys still cannot crash the service."""
    from cryptography.fernet import Fernet

    keys = server.folder / "fernet-keys"
    newest = max(keys.iterdir(), key=lambda path: int(path.name))
    made = Fernet(newest.read_bytes()).encrypt(payload).decode().rstrip("=")
    headers = {"X-Auth-Token": token, "X-Subject-Token": made}
    reply = send(server, "GET", "/v3/auth/tokens", headers)
    assert reply.status in (404, 401, 400), reply.text


def registered(**changes):
    return {"service_id": "0" * 32, "resource_name": "r", "default_limit": 1, **changes}


def limit():
    return {"service_id": "0" * 32, "resource_name": "r", "resource_limit": 1}


@pytest.mark.parametrize(
    ("path", "body", "statuses"),
    [
        ("/v3/users", {"user": {"name": "x" * 65_536, "password": "p"}}, (400,)),
        ("/v3/users", {"user": {"name": "a\0b"}}, (400, 201)),
        ("/v3/users", {"user": {"name": ""}}, (400,)),
        ("/v3/users", {"user": {"name": "   "}}, (400,)),
        ("/v3/users", {"user": {}}, (400,)),
        ("/v3/users", {}, (400,)),
        ("/v3/users", {"user": []}, (400,)),
        ("/v3/users", {"user": {"name": "n", "enabled": "maybe"}}, (400,)),
        ("/v3/users", {"user": {"name": "n", "options": {"nonsense": 1}}}, (400,)),
        ("/v3/users", {"user": {"name": "n", "domain_id": "no such domain"}}, (400, 404)),
        ("/v3/projects", {"project": {"name": "x" * 65}}, (400,)),
        ("/v3/projects", {"project": {"name": "n", "parent_id": "nowhere"}}, (404, 400)),
        ("/v3/groups", {"group": {"name": {"a": 1}}}, (400,)),
        ("/v3/roles", {"role": {"name": "x" * 65_536}}, (400,)),
        ("/v3/domains", {"domain": {"name": None}}, (400,)),
        ("/v3/regions", {"region": {"id": "x" * 256}}, (400,)),
        ("/v3/services", {"service": {"type": 5}}, (400,)),
        ("/v3/endpoints", {"endpoint": {"service_id": "nowhere", "interface": "public", "url": "http://a"}}, (400, 404)),
        ("/v3/endpoints", {"endpoint": {"service_id": "a", "interface": "sideways", "url": "http://a"}}, (400,)),
        ("/v3/OS-EP-FILTER/endpoint_groups", {"endpoint_group": {"name": "n", "filters": {}}}, (400,)),
        ("/v3/OS-EP-FILTER/endpoint_groups", {"endpoint_group": {"name": "n", "filters": {"enabled": True}}}, (400,)),
        ("/v3/OS-EP-FILTER/endpoint_groups", {"endpoint_group": {"name": "x" * 65_536, "filters": {"interface": "public"}}}, (400,)),
        ("/v3/OS-EP-FILTER/endpoint_groups", {"endpoint_group": {"name": "a\0b", "filters": {"interface": "public"}}}, (400, 201)),
        ("/v3/OS-EP-FILTER/endpoint_groups", {"endpoint_group": []}, (400,)),
        ("/v3/policies", {"policy": {"type": "x" * 65_536, "blob": "b"}}, (400,)),
        ("/v3/policies", {"policy": {"type": "t", "blob": {"a": 1}}}, (400,)),
        ("/v3/policies", {"policy": {"type": "t\0", "blob": "b\0"}}, (400, 201)),
        ("/v3/policies", {"policy": "p"}, (400,)),
        ("/v3/registered_limits", {"registered_limits": {}}, (400,)),
        ("/v3/registered_limits", {"registered_limits": [registered(default_limit=1.5)]}, (400,)),
        ("/v3/registered_limits", {"registered_limits": [registered(default_limit=True)]}, (400,)),
        ("/v3/registered_limits", {"registered_limits": [registered(resource_name="x" * 65_536)]}, (400,)),
        ("/v3/registered_limits", {"registered_limits": [registered(region_id="a\0b")]}, (400,)),
        ("/v3/registered_limits", {"registered_limits": [registered()] * 500}, (400,)),
        ("/v3/limits", {"limits": [{**limit(), "project_id": None}]}, (400,)),
        ("/v3/limits", {"limits": [{**limit(), "domain_id": None}]}, (400,)),
        ("/v3/limits", {"limits": [{**limit(), "project_id": "a/../b"}]}, (400,)),
        ("/v3/limits", {"limits": [{**limit(), "domain_id": "0" * 32}] * 500}, (400,)),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_refused_resources(server, token, path, body, statuses):
    before = count(server, token, path)
    reply = http.send(server.url, "POST", path, {"X-Auth-Token": token}, body)
    if reply.status == 201 and 201 in statuses:
        made = next(iter(reply.json().values()))["id"]
        http.send(server.url, "DELETE", f"{path}/{made}", {"X-Auth-Token": token})
        return
    assert_error(reply, *statuses)
    assert count(server, token, path) == before, "something was written"


def count(server, token, path):
    reply = http.send(server.url, "GET", path, {"X-Auth-Token": token})
    return len(reply.json()[path.rsplit("/", 1)[-1]])


@pytest.fixture(scope="module")
def trust(server, token):
    """What makes a good trust of the administrator: changed by one thing, it is a bad one."""
    headers = {"X-Auth-Token": token, "X-Subject-Token": token}
    shown = http.send(server.url, "GET", "/v3/auth/tokens", headers).json()["token"]
    return {
        "trustor_user_id": shown["user"]["id"],
        "trustee_user_id": shown["user"]["id"],
        "project_id": shown["project"]["id"],
        "impersonation": False,
        "roles": [{"name": "admin"}],
    }


@pytest.mark.parametrize(
    ("changes", "statuses"),
    [
        ({"trustor_user_id": None}, (400,)),
        ({"trustor_user_id": 5}, (400,)),
        ({"trustor_user_id": "nobody"}, (403,)),
        ({"trustor_user_id": "x" * 65_536}, (403, 400)),
        ({"trustor_user_id": "a\0b"}, (403, 400)),
        ({"trustee_user_id": None}, (400,)),
        ({"trustee_user_id": []}, (400,)),
        ({"trustee_user_id": "nobody"}, (404, 403)),
        ({"trustee_user_id": "x" * 65_536}, (404, 403, 400)),
        ({"trustee_user_id": "a\0b"}, (404, 403, 400)),
        ({"project_id": 5}, (400,)),
        ({"project_id": "nowhere"}, (404, 403)),
        ({"project_id": "x" * 65_536}, (404, 403, 400)),
        ({"project_id": "a\0b"}, (404, 403, 400)),
        ({"impersonation": None}, (400,)),
        ({"impersonation": "maybe"}, (400,)),
        ({"roles": {}}, (400,)),
        ({"roles": []}, (403,)),
        ({"roles": [5]}, (400,)),
        ({"roles": [{}]}, (400,)),
        ({"roles": [{"id": "a", "name": "b"}]}, (400,)),
        ({"roles": [{"id": "0" * 32}]}, (404, 403)),
        ({"roles": [{"id": "x" * 65_536}]}, (400,)),
        ({"roles": [{"id": "a\0b"}]}, (400,)),
        ({"roles": [{"name": "x" * 65_536}]}, (400,)),
        ({"roles": [{"name": "a\0b"}]}, (404, 403, 400)),
        ({"roles": [{"name": "no such role"}]}, (404, 403)),
        ({"expires_at": 5}, (400,)),
        ({"expires_at": "tomorrow"}, (400,)),
        ({"expires_at": "2001-01-01T00:00:00.000000Z"}, (400,)),
        ({"expires_at": "99999-01-01T00:00:00.000000Z"}, (400,)),
        ({"expires_at": "2" * 65_536}, (400,)),
        ({"remaining_uses": 0}, (400,)),
        ({"remaining_uses": -1}, (400,)),
        ({"remaining_uses": "3"}, (400,)),
        ({"remaining_uses": 1.5}, (400,)),
        ({"remaining_uses": True}, (400,)),
        ({"remaining_uses": 2**70}, (400,)),
        ({"allow_redelegation": "yes"}, (400,)),
        ({"redelegation_count": -1}, (400,)),
        ({"redelegation_count": "1"}, (400,)),
        ({"redelegation_count": 2**70}, (400, 403)),
        ({"allow_redelegation": True, "redelegation_count": 1_000_000}, (403,)),
        ({"allow_redelegation": True, "remaining_uses": 3}, (400,)),
        ({"redelegated_trust_id": "0" * 32}, (403,)),
        ({"redelegated_trust_id": "x" * 65_536}, (403, 400)),
        ({"redelegated_trust_id": "a\0b"}, (403, 400)),
        ({"redelegated_trust_id": 5}, (400,)),
        ({"deleted_at": "2001-01-01T00:00:00.000000Z"}, (400,)),
    ],
    ids=lambda value: json.dumps(value)[:60] if isinstance(value, dict) else "",
)
def test_refused_trusts(server, token, trust, changes, statuses):
    before = trusts(server, token)
    reply = http.send(server.url, "POST", "/v3/OS-TRUST/trusts", {"X-Auth-Token": token}, {"trust": {**trust, **changes}})
    assert_error(reply, *statuses)
    assert trusts(server, token) == before, "something was written"


def trusts(server, token):
    return http.send(server.url, "GET", "/v3/OS-TRUST/trusts", {"X-Auth-Token": token}).json()["trusts"]


@pytest.mark.parametrize("body", [None, {}, [], {"trust": None}, {"trust": []}, {"trust": {}}, {"trusts": {}}, {"trust": {}, "x": 1}])
def test_what_is_no_trust(server, token, body):
    assert_error(http.send(server.url, "POST", "/v3/OS-TRUST/trusts", {"X-Auth-Token": token}, body), 400)


@pytest.mark.parametrize("query", ["trustor_user_id=%00", "trustor_user_id=" + "x" * 3_000, "trustee_user_id=%ff", "trustor_user_id=&x=y", "nonsense=1"])
def test_odd_lists_of_trusts(server, token, query):
    reply = send(server, "GET", f"/v3/OS-TRUST/trusts?{query}", {"X-Auth-Token": token})
    assert reply.status in (200, 400, 403), reply.text
    if reply.status == 200:
        assert reply.json()["trusts"] == []


@pytest.mark.parametrize("place", ["/v3/OS-TRUST/trusts/{}", "/v3/OS-TRUST/trusts/{}/roles", "/v3/OS-TRUST/trusts/{}/roles/admin"])
@pytest.mark.parametrize("trust_id", ["nothing", "%00", "x" * 3_000, "%ff%fe"])
def test_trusts_that_do_not_exist(server, token, place, trust_id):
    assert_error(send(server, "GET", place.format(trust_id), {"X-Auth-Token": token}), 404, 403, 400)


@pytest.mark.parametrize("trust_id", ["nothing", "a\0b", "x" * 65_536, 5, None, [], {}])
def test_logins_by_a_trust_that_does_not_exist(server, trust_id):
    assert_error(http.send(server.url, "POST", "/v3/auth/tokens", body=login_with(scope={"OS-TRUST:trust": {"id": trust_id}})), 401, 403, 404, 400)


@pytest.mark.parametrize(
    "query",
    ["?limit=abc", "?limit=-5", "?marker=" + "x" * 3_000, "?name=%00", "?name=%ff%fe", "?enabled=perhaps", "?name__regex=(((", "?&&&==", "?name__contains=%25%25"],
)
def test_odd_queries(server, token, query):
    reply = send(server, "GET", f"/v3/users{query}", {"X-Auth-Token": token})
    assert reply.status < 500, reply.text
    if reply.status >= 400:
        assert_error(reply, 400, 404)


def test_a_body_over_the_limit(server):
    body = b'{"auth": "' + b"x" * 120_000 + b'"}'
    reply = http.send(server.url, "POST", "/v3/auth/tokens", {"Content-Type": "application/json"}, body)
    assert reply.status == 413


def test_a_body_over_the_limit_that_does_not_say_its_length(server, program):
    if program == "keystone":
        pytest.skip("uwsgi does not read chunked bodies")
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(
            b"POST /v3/auth/tokens HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        chunk = b"%x\r\n%s\r\n" % (16_384, b" " * 16_384)
        try:
            for _ in range(20):
                connection.sendall(chunk)
            connection.sendall(b"0\r\n\r\n")
        except OSError:
            pass  # it may hang up before we are done
        assert b" 413 " in connection.recv(4_096).split(b"\r\n")[0]


def test_huge_headers(server, program):
    try:
        reply = http.send(server.url, "GET", "/v3", {"X-Filler": "x" * 1_000_000})
    except OSError:
        return  # hung up, as is its right
    assert reply.status in (400, 413, 431)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\0\0\0\0\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /v3 HTTP/9.9\r\n\r\n",
        b"GET /v3/users/%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /v3/users/\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"POST /v3/auth/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v3/auth/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["zeros", "no path", "future", "bad percent", "raw bytes", "negative", "both lengths", "TLS hello"],
)
def test_what_is_hardly_http(server, program, request_bytes):
    if program == "keystone":
        pytest.skip("this is a test of our own listener")
    with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
        connection.sendall(request_bytes)
        connection.settimeout(3)
        try:
            answer = connection.recv(4_096)
        except TimeoutError:
            answer = b""
    assert not answer or int(answer.split(b" ")[1]) in range(400, 500), answer[:200]


def test_methods_that_no_route_has(server, token):
    for method in ("TRACE", "PROPFIND", "NONSENSE"):
        reply = http.send(server.url, method, "/v3/users", {"X-Auth-Token": token})
        assert reply.status in (400, 404, 405, 501), f"{method}: {reply.status}"


def test_no_secret_is_logged(server, program):
    """Runs last in this file: by now every kind of login and error has been through."""
    secret = "s3cr3t-" + "q" * 20
    http.password_login(server.url, password=secret)
    token = http.admin_token(server.url)
    body = {"user": {"name": "logs", "password": secret}}
    made = http.send(server.url, "POST", "/v3/users", {"X-Auth-Token": token}, body).json()["user"]["id"]
    change = {"user": {"original_password": secret, "password": secret + "2"}}
    http.send(server.url, "POST", f"/v3/users/{made}/password", body=change)
    http.send(server.url, "POST", "/v3/auth/tokens", {"Content-Type": "application/json"}, secret.encode())
    log = server.log_text()
    assert secret not in log
    assert token not in log
    assert "adminpw" not in log
    for key in (server.folder / "fernet-keys").iterdir():
        assert key.read_text() not in log
