"""keystoneauth's plugins, with which services and SDKs log in."""

import pytest
from keystoneauth1 import exceptions, session
from keystoneauth1.identity import generic, v3

from tests.support import http


@pytest.fixture
def url(server):
    return f"{server.url}/v3"


def password(url, **scope):
    return v3.Password(url, username="admin", password="adminpw", user_domain_id="default", **scope)


@pytest.mark.parametrize(
    "scope",
    [
        {"project_name": "admin", "project_domain_id": "default"},
        {"system_scope": "all"},
        {"unscoped": True},
        {},
    ],
    ids=["project", "system", "unscoped", "nothing asked"],
)
def test_password(url, scope):
    auth = password(url, **scope)
    access = auth.get_access(session.Session(auth=auth))
    assert access.username == "admin"
    assert access.project_scoped == ("project_name" in scope)
    assert access.system_scoped == ("system_scope" in scope)
    assert access.expires > access.issued


def test_token_plugin_rescopes(url):
    unscoped = password(url, unscoped=True)
    token = unscoped.get_token(session.Session())
    auth = v3.Token(url, token, project_name="admin", project_domain_name="Default")
    access = auth.get_access(session.Session())
    assert "admin" in access.role_names
    assert access.audit_chain_id == unscoped.get_access(session.Session()).audit_id


def test_endpoint_from_the_catalog(url, server):
    auth = password(url, project_name="admin", project_domain_id="default")
    client = session.Session(auth=auth)
    assert client.get_endpoint(service_type="identity", interface="public") == url
    listed = client.get("/projects", endpoint_filter={"service_type": "identity", "version": "3"})
    assert [p["name"] for p in listed.json()["projects"]] == ["admin"]


def test_discovery_from_the_unversioned_url(server):
    auth = generic.Password(
        server.url,
        username="admin",
        password="adminpw",
        user_domain_id="default",
        project_name="admin",
        project_domain_id="default",
    )
    assert auth.get_token(session.Session())
    data = session.Session(auth=auth).get_endpoint_data(service_type="identity")
    assert data.api_version == (3, 14)


def test_wrong_password_is_unauthorized(url):
    auth = v3.Password(url, username="admin", password="no", user_domain_id="default", unscoped=True)
    with pytest.raises(exceptions.Unauthorized):
        auth.get_token(session.Session())


def test_a_session_logs_in_again_when_its_token_is_revoked(url, server):
    auth = password(url, project_name="admin", project_domain_id="default")
    client = session.Session(auth=auth)
    first = client.get_token()
    # Wait for the next second: revocation counts in whole seconds.
    headers = {"X-Auth-Token": http.admin_token(server.url), "X-Subject-Token": first}
    assert http.send(server.url, "DELETE", "/v3/auth/tokens", headers).status == 204
    assert client.get(f"{url}/users").status_code == 200
    assert client.get_token() != first
