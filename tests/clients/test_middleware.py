"""A service behind keystonemiddleware.auth_token, as nova or glance run it."""

import json
import socketserver
import threading
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import pytest
from keystonemiddleware import auth_token

from tests.support import http


def service(environ, start_response):
    """Answers with what the middleware found out about the caller."""
    seen = {k: v for k, v in environ.items() if k.startswith("HTTP_X_") and isinstance(v, str)}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Threading(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


def middleware(server, **options):
    return auth_token.AuthProtocol(
        service,
        {
            "www_authenticate_uri": f"{server.url}/v3",
            "auth_url": server.url,
            "auth_type": "password",
            "username": "nova",
            "password": "service-pw",
            "user_domain_id": "default",
            "project_name": "admin",
            "project_domain_id": "default",
            "token_cache_time": -1,
            **options,
        },
    )


@pytest.fixture(scope="module")
def admin(server):
    """Makes the service's user; a function that sends requests as admin."""
    token = http.admin_token(server.url)

    def send(method, path, body=None):
        reply = http.send(server.url, method, path, {"X-Auth-Token": token}, body)
        assert reply.status < 300, reply.text
        return reply.json() if reply.body else None

    send.token = token
    send.roles = {r["name"]: r["id"] for r in send("GET", "/v3/roles")["roles"]}
    send.project = send("GET", "/v3/projects?name=admin")["projects"][0]["id"]
    nova = send("POST", "/v3/users", {"user": {"name": "nova", "password": "service-pw"}})["user"]["id"]
    send("PUT", f"/v3/projects/{send.project}/users/{nova}/roles/{send.roles['service']}")
    return send


@pytest.fixture(scope="module")
def guarded(server, admin):
    """The URL of the service."""
    with Threading(("127.0.0.1", 0), Quiet) as listener:
        listener.set_app(middleware(server))
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listener.server_port}"
        listener.shutdown()


@pytest.fixture
def user(admin, request):
    name = f"end-user-{request.node.name}"[:60]
    made = admin("POST", "/v3/users", {"user": {"name": name, "password": "pw", "email": "e@x"}})["user"]
    admin("PUT", f"/v3/projects/{admin.project}/users/{made['id']}/roles/{admin.roles['member']}")
    return made


def login(server, user, admin):
    reply = http.password_login(server.url, user["name"], "pw", {"project": {"id": admin.project}})
    assert reply.status == 201, reply.text
    return reply.header("X-Subject-Token")


def test_the_service_learns_who_calls(server, guarded, admin, user):
    reply = http.send(guarded, "GET", "/servers", {"X-Auth-Token": login(server, user, admin)})
    assert reply.status == 200, reply.text
    seen = reply.json()
    assert seen["HTTP_X_IDENTITY_STATUS"] == "Confirmed"
    assert seen["HTTP_X_USER_ID"] == user["id"]
    assert seen["HTTP_X_PROJECT_ID"] == admin.project
    assert seen["HTTP_X_PROJECT_NAME"] == "admin"
    assert set(seen["HTTP_X_ROLES"].split(",")) == {"member", "reader"}
    assert json.loads(seen["HTTP_X_SERVICE_CATALOG"])[0]["type"] == "identity"


@pytest.mark.parametrize("token", [None, "garbage", "gAAAAA" + "x" * 200])
def test_without_a_valid_token_401(guarded, token):
    reply = http.send(guarded, "GET", "/servers", {"X-Auth-Token": token} if token else {})
    assert reply.status == 401
    assert "Keystone uri=" in reply.header("WWW-Authenticate")


def test_a_revoked_token_is_refused(server, guarded, admin, user):
    token = login(server, user, admin)
    assert http.send(guarded, "GET", "/", {"X-Auth-Token": token}).status == 200
    headers = {"X-Auth-Token": admin.token, "X-Subject-Token": token}
    assert http.send(server.url, "DELETE", "/v3/auth/tokens", headers).status == 204
    assert http.send(guarded, "GET", "/", {"X-Auth-Token": token}).status == 401


def test_a_service_token_comes_along(server, guarded, admin, user):
    service_token = http.password_login(
        server.url, "nova", "service-pw", {"project": {"id": admin.project}}
    ).header("X-Subject-Token")
    headers = {"X-Auth-Token": login(server, user, admin), "X-Service-Token": service_token}
    seen = http.send(guarded, "GET", "/", headers).json()
    assert seen["HTTP_X_SERVICE_IDENTITY_STATUS"] == "Confirmed"
    assert "service" in seen["HTTP_X_SERVICE_ROLES"].split(",")


def test_the_service_logs_in_anew_when_its_own_token_dies(server, guarded, admin, user):
    nova = admin("GET", "/v3/users?name=nova")["users"][0]["id"]
    assert http.send(guarded, "GET", "/", {"X-Auth-Token": login(server, user, admin)}).status == 200
    # A password change revokes every token of the user.
    admin("PATCH", f"/v3/users/{nova}", {"user": {"password": "service-pw"}})
    import time

    time.sleep(1.02 - time.time() % 1)
    assert http.send(guarded, "GET", "/", {"X-Auth-Token": login(server, user, admin)}).status == 200
