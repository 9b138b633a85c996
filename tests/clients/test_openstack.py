"""The real `openstack` command, as an operator types it."""

import pytest

from tests.clients.command import Openstack


@pytest.fixture
def openstack(server, monkeypatch):
    return Openstack(server.url, monkeypatch)


def test_token(openstack):
    issued = openstack("token issue")
    assert set(issued) == {"expires", "id", "project_id", "user_id"}
    openstack("token revoke", issued["id"])


@pytest.mark.parametrize(
    "variables",
    [
        {"OS_PROJECT_NAME": None, "OS_PROJECT_DOMAIN_NAME": None, "OS_SYSTEM_SCOPE": "all"},
        {"OS_PROJECT_NAME": None, "OS_PROJECT_DOMAIN_NAME": None},
    ],
    ids=["system scope", "unscoped"],
)
def test_token_of_other_scopes(server, monkeypatch, variables):
    issued = Openstack(server.url, monkeypatch, **variables)("token issue")
    assert "project_id" not in issued


def test_wrong_password(server, monkeypatch):
    code, _, err = Openstack(server.url, monkeypatch, OS_PASSWORD="wrong").run("token", "issue")
    assert code != 0
    assert "401" in err


def test_domains(openstack):
    made = openstack("domain create", "--description", "d", "os-d")
    assert openstack("domain show", "os-d")["id"] == made["id"]
    openstack("domain set", "--disable", "os-d")
    assert not openstack("domain show", "os-d")["enabled"]
    assert "os-d" in {d["Name"] for d in openstack("domain list")}
    openstack("domain delete", "os-d")


def test_projects(openstack):
    made = openstack("project create", "--domain", "default", "--description", "d", "os-p")
    openstack("project set", "--name", "os-p2", "--property", "colour=red", made["id"])
    shown = openstack("project show", "os-p2")
    assert (shown["id"], shown["description"]) == (made["id"], "d")
    child = openstack("project create", "--parent", "os-p2", "os-child")
    assert child["parent_id"] == made["id"]
    assert {"os-p2", "os-child"} <= {p["Name"] for p in openstack("project list")}
    openstack("project delete", "os-child")
    openstack("project delete", "os-p2")


def test_users_and_groups(openstack):
    user = openstack("user create", "--domain", "default", "--password", "pw", "--email", "a@b", "os-u")
    openstack("user set", "--description", "d", "--enable", "os-u")
    assert openstack("user show", "os-u")["email"] == "a@b"
    group = openstack("group create", "--description", "g", "os-g")
    openstack("group add user", "os-g", "os-u")
    assert [u["ID"] for u in openstack("user list", "--group", "os-g")] == [user["id"]]
    assert [g["ID"] for g in openstack("group list", "--user", "os-u")] == [group["id"]]
    assert "os-u in group os-g" in openstack("group contains user", "os-g", "os-u")
    openstack("group remove user", "os-g", "os-u")
    openstack("group delete", "os-g")
    openstack("user delete", "os-u")


def test_a_user_changes_the_password(server, openstack, monkeypatch):
    openstack("user create", "--password", "one", "os-pw")
    mine = Openstack(
        server.url, monkeypatch, OS_USERNAME="os-pw", OS_PASSWORD="one", OS_PROJECT_NAME=None, OS_PROJECT_DOMAIN_NAME=None
    )
    mine("user password set", "--original-password", "one", "--password", "two")
    monkeypatch.setenv("OS_PASSWORD", "two")
    assert mine("token issue")["id"]


def test_roles_and_assignments(openstack):
    openstack("role create", "os-r")
    openstack("project create", "os-rp")
    openstack("user create", "--password", "pw", "os-ru")
    openstack("role add", "--project", "os-rp", "--user", "os-ru", "os-r")
    openstack("role add", "--system", "all", "--user", "os-ru", "reader")
    openstack("role add", "--domain", "default", "--user", "os-ru", "--inherited", "member")
    rows = openstack("role assignment list", "--user", "os-ru", "--names")
    assert {r["Role"] for r in rows} == {"os-r", "member"} | ({"reader"} & {r["Role"] for r in rows})
    effective = openstack("role assignment list", "--user", "os-ru", "--project", "os-rp", "--effective", "--names")
    assert {r["Role"] for r in effective} == {"os-r", "member", "reader"}
    openstack("role remove", "--project", "os-rp", "--user", "os-ru", "os-r")
    for kind, name in (("role", "os-r"), ("user", "os-ru"), ("project", "os-rp")):
        openstack(f"{kind} delete", name)


def test_catalog(openstack):
    openstack("region create", "os-region")
    service = openstack("service create", "--name", "os-nova", "--description", "d", "compute")
    endpoint = openstack(
        "endpoint create", "--region", "os-region", "os-nova", "public", "http://nova/v2.1/$(project_id)s"
    )
    project = openstack("token issue")["project_id"]
    shown = openstack("catalog show", "os-nova")
    assert shown["endpoints"][0]["url"] == f"http://nova/v2.1/{project}"
    assert {"keystone", "os-nova"} == {s["Name"] for s in openstack("catalog list")}
    openstack("endpoint set", "--url", "http://nova/v3", "--disable", endpoint["id"])
    assert not openstack("endpoint show", endpoint["id"])["enabled"]
    assert len(openstack("endpoint list", "--service", "os-nova")) == 1
    openstack("service set", "--type", "compute2", service["id"])
    openstack("endpoint delete", endpoint["id"])
    openstack("service delete", "os-nova")
    openstack("region delete", "os-region")


def test_what_is_not_there(openstack):
    code, _, err = openstack.run("user", "show", "nobody-of-this-name")
    assert code == 1
    assert "nobody-of-this-name" in err
