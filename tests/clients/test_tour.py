"""Every identity command of the `openstack` client, on every database."""

import json
from importlib.metadata import entry_points

import pytest

from tests.clients.command import Openstack, Session
from tests.support.servers import PROGRAMS

# Federation and OAuth are issues of their own.
LEFT_OUT = ("access token", "consumer", "federation", "identity provider", "mapping", "request token", "service provider")


@pytest.fixture(scope="module")
def cloud(program, db):
    with PROGRAMS[program](db=db, conf={"identity": {"password_hash_rounds": 5}}) as running:
        yield running


@pytest.fixture
def openstack(cloud, monkeypatch):
    return Session(cloud.url, monkeypatch)


def is_of(command, families) -> bool:
    return any(command == family or command.startswith(f"{family} ") for family in families)


def test_every_command(cloud, openstack, monkeypatch, tmp_path):
    known = {entry.name.replace("_", " ") for entry in entry_points(group="openstack.identity.v3")}
    domains(openstack)
    projects(openstack)
    users(openstack)
    groups(openstack)
    roles(openstack)
    catalog(openstack)
    endpoint_filters(openstack, tmp_path)
    credentials(openstack)
    application_credentials(openstack)
    policies(openstack, tmp_path)
    limits(openstack)
    trusts(openstack)
    tokens(openstack)
    own_password(cloud, openstack, monkeypatch)
    assert {command for command in known - openstack.commands if not is_of(command, LEFT_OUT)} == set()
    assert {family for family in LEFT_OUT if not any(is_of(command, [family]) for command in known)} == set()


def ids(rows):
    return {row["ID"] for row in rows}


def domains(openstack):
    made = openstack("domain create", "--description", "d", "t-domain")
    openstack("domain set", "--name", "t-domain2", "--disable", "t-domain")
    shown = openstack("domain show", "t-domain2")
    assert (shown["id"], shown["enabled"], shown["description"]) == (made["id"], False, "d")
    assert made["id"] in ids(openstack("domain list"))
    openstack("domain delete", "t-domain2")
    assert made["id"] not in ids(openstack("domain list"))


def projects(openstack):
    made = openstack("project create", "--description", "d", "--tag", "red", "--property", "colour=red", "t-project")
    child = openstack("project create", "--parent", "t-project", "t-child")
    assert child["parent_id"] == made["id"]
    openstack("project set", "--name", "t-project2", "--tag", "blue", made["id"])
    assert set(openstack("project show", "t-project2")["tags"]) == {"red", "blue"}
    assert ids(openstack("project list", "--tags", "blue")) == {made["id"]}
    assert ids(openstack("project list", "--parent", made["id"])) == {child["id"]}
    openstack("project delete", "t-child", "t-project2")
    assert made["id"] not in ids(openstack("project list"))


def users(openstack):
    made = openstack("user create", "--password", "pw", "--email", "a@b", "--ignore-lockout-failure-attempts", "t-user")
    assert made["options"] == {"ignore_lockout_failure_attempts": True}
    openstack("user set", "--name", "t-user2", "--disable", "--email", "c@d", "t-user")
    shown = openstack("user show", "t-user2")
    assert (shown["id"], shown["enabled"], shown["email"]) == (made["id"], False, "c@d")
    assert made["id"] in ids(openstack("user list", "--long"))
    openstack("user delete", "t-user2")
    assert made["id"] not in ids(openstack("user list"))


def groups(openstack):
    made = openstack("group create", "--description", "d", "t-group")
    user = openstack("user create", "t-member")
    openstack("group set", "--name", "t-group2", "t-group")
    assert openstack("group show", "t-group2")["id"] == made["id"]
    openstack("group add user", "t-group2", "t-member")
    assert "t-member in group t-group2" in openstack("group contains user", "t-group2", "t-member")
    assert ids(openstack("user list", "--group", "t-group2")) == {user["id"]}
    assert ids(openstack("group list", "--user", "t-member")) == {made["id"]}
    openstack("group remove user", "t-group2", "t-member")
    assert openstack("user list", "--group", "t-group2") == []
    openstack("group delete", "t-group2")
    openstack("user delete", "t-member")


def roles(openstack):
    made = openstack("role create", "--description", "d", "t-role")
    other = openstack("role create", "t-implied")
    openstack("role set", "--name", "t-role2", "t-role")
    assert openstack("role show", "t-role2")["id"] == made["id"]
    assert made["id"] in ids(openstack("role list"))
    openstack("implied role create", "--implied-role", "t-implied", "t-role2")
    pairs = {(row["Prior Role ID"], row["Implied Role ID"]) for row in openstack("implied role list")}
    assert (made["id"], other["id"]) in pairs
    user = openstack("user create", "t-assigned")
    for target in (["--project", "admin"], ["--domain", "default"], ["--system", "all"]):
        openstack("role add", *target, "--user", "t-assigned", "t-role2")
        rows = openstack("role assignment list", *target, "--user", "t-assigned")
        assert [(row["Role"], row["User"]) for row in rows] == [(made["id"], user["id"])]
        named = openstack("role assignment list", *target, "--user", "t-assigned", "--names")
        assert [row["Role"] for row in named] == ["t-role2"]
        openstack("role remove", *target, "--user", "t-assigned", "t-role2")
    openstack("user delete", "t-assigned")
    openstack("implied role delete", "--implied-role", "t-implied", "t-role2")
    openstack("role delete", "t-implied", "t-role2")


def catalog(openstack):
    openstack("region create", "--description", "d", "t-region")
    openstack("region create", "--parent-region", "t-region", "t-inner")
    openstack("region set", "--description", "e", "t-inner")
    assert openstack("region show", "t-inner")["parent_region"] == "t-region"
    assert {"t-region", "t-inner"} <= {row["Region"] for row in openstack("region list")}
    service = openstack("service create", "--name", "t-service", "t-type")
    openstack("service set", "--description", "d", "t-service")
    assert openstack("service show", "t-service")["description"] == "d"
    assert service["id"] in ids(openstack("service list", "--long"))
    url = "http://service/$(project_id)s"
    endpoint = openstack("endpoint create", "--region", "t-region", "t-service", "public", url)
    openstack("endpoint set", "--url", f"{url}/more", endpoint["id"])
    assert openstack("endpoint show", endpoint["id"])["url"] == f"{url}/more"
    assert ids(openstack("endpoint list", "--service", "t-service")) == {endpoint["id"]}
    # Those of the token that the session began with.
    assert openstack("catalog show", "keystone")["type"] == "identity"
    assert [row["Name"] for row in openstack("catalog list")] == ["keystone"]
    openstack("endpoint delete", endpoint["id"])
    openstack("service delete", "t-service")
    openstack("region delete", "t-inner", "t-region")


def endpoint_filters(openstack, folder):
    openstack("service create", "--name", "t-filtered", "t-type")
    endpoint = openstack("endpoint create", "t-filtered", "internal", "http://service")
    openstack("project create", "t-filter")
    openstack("endpoint add project", endpoint["id"], "t-filter")
    assert ids(openstack("endpoint list", "--project", "t-filter")) == {endpoint["id"]}
    openstack("endpoint remove project", endpoint["id"], "t-filter")
    filters = folder / "filters.json"
    filters.write_text(json.dumps({"interface": "internal"}))
    group = openstack("endpoint group create", "--description", "d", "t-filters", str(filters))
    openstack("endpoint group set", "--name", "t-filters2", "--filters", str(filters), group["id"])
    assert openstack("endpoint group show", "t-filters2")["filters"] == {"interface": "internal"}
    assert ids(openstack("endpoint group list")) == {group["id"]}
    openstack("endpoint group add project", group["id"], "t-filter")
    assert ids(openstack("endpoint group list", "--project", "t-filter")) == {group["id"]}
    openstack("endpoint group remove project", group["id"], "t-filter")
    openstack("endpoint group delete", group["id"])
    openstack("endpoint delete", endpoint["id"])
    openstack("service delete", "t-filtered")
    openstack("project delete", "t-filter")


def credentials(openstack):
    user = openstack("user create", "t-owner")
    made = openstack("credential create", "--type", "cert", "--project", "admin", "t-owner", "some data")
    assert openstack("credential show", made["id"])["blob"] == "some data"
    assert made["id"] in ids(openstack("credential list", "--user", "t-owner"))
    # The API lets nothing but the data be changed, and the client must send the rest along.
    code, _, err = openstack.run("credential", "set", "--user", "t-owner", "--type", "x", "--data", "y", made["id"])
    openstack.commands.add("credential set")
    assert (code, "400" in err) == (1, True), err
    openstack("credential delete", made["id"])
    assert made["id"] not in ids(openstack("credential list"))

    made = openstack("ec2 credentials create", "--user", "t-owner", "--project", "admin")
    assert made["user_id"] == user["id"]
    shown = openstack("ec2 credentials show", "--user", "t-owner", made["access"])
    assert shown["secret"] == made["secret"]
    assert [row["Access"] for row in openstack("ec2 credentials list", "--user", "t-owner")] == [made["access"]]
    openstack("ec2 credentials delete", "--user", "t-owner", made["access"])
    assert openstack("ec2 credentials list", "--user", "t-owner") == []
    openstack("user delete", "t-owner")


def application_credentials(openstack):
    rules = json.dumps([{"path": "/v2.1/servers", "method": "GET", "service": "compute"}])
    made = openstack(
        "application credential create",
        *("--role", "admin", "--secret", "s", "--expiration", "2099-01-01T00:00:00", "--access-rules", rules, "t-app"),
    )
    shown = openstack("application credential show", "t-app")
    assert (shown["ID"], shown.get("Secret")) == (made["ID"], None)
    assert ids(openstack("application credential list")) == {made["ID"]}
    (rule,) = openstack("access rule list")
    assert openstack("access rule show", rule["ID"])["Path"] == "/v2.1/servers"
    openstack("application credential delete", "t-app")
    openstack("access rule delete", rule["ID"])
    assert openstack("access rule list") == []


def policies(openstack, folder):
    rules = folder / "rules.json"
    rules.write_text(json.dumps({"a": "role:a"}))
    made = openstack("policy create", "--type", "application/json", str(rules))
    openstack("policy set", "--type", "text/plain", made["id"])
    assert openstack("policy show", made["id"])["type"] == "text/plain"
    assert ids(openstack("policy list")) == {made["id"]}
    openstack("policy delete", made["id"])
    assert openstack("policy list") == []


def limits(openstack):
    openstack("service create", "--name", "t-limited", "t-type")
    openstack("project create", "t-limit")
    default = openstack(
        "registered limit create", "--service", "t-limited", "--default-limit", "10", "--region", "RegionOne", "things"
    )
    openstack("registered limit set", "--default-limit", "20", default["id"])
    assert openstack("registered limit show", default["id"])["default_limit"] == 20
    assert ids(openstack("registered limit list")) == {default["id"]}
    own = openstack(
        "limit create",
        *("--project", "t-limit", "--service", "t-limited", "--region", "RegionOne", "--resource-limit", "5", "things"),
    )
    openstack("limit set", "--resource-limit", "6", own["id"])
    assert openstack("limit show", own["id"])["resource_limit"] == 6
    assert ids(openstack("limit list", "--project", "t-limit")) == {own["id"]}
    openstack("limit delete", own["id"])
    openstack("registered limit delete", default["id"])
    openstack("project delete", "t-limit")
    openstack("service delete", "t-limited")


def trusts(openstack):
    openstack("user create", "t-trustee")
    made = openstack("trust create", "--project", "admin", "--role", "member", "admin", "t-trustee")
    assert openstack("trust show", made["id"])["id"] == made["id"]
    assert ids(openstack("trust list", "--trustor", "admin")) == {made["id"]}
    openstack("trust delete", made["id"])
    assert openstack("trust list", "--trustor", "admin") == []
    openstack("user delete", "t-trustee")


def tokens(openstack):
    openstack("token revoke", openstack("token issue")["id"])


def own_password(cloud, openstack, monkeypatch):
    openstack("user create", "--password", "one", "t-self")
    settings = {"OS_USERNAME": "t-self", "OS_PROJECT_NAME": None, "OS_PROJECT_DOMAIN_NAME": None}
    mine = Openstack(cloud.url, monkeypatch, OS_PASSWORD="one", **settings)
    mine("user password set", "--original-password", "one", "--password", "two")
    openstack.commands |= mine.commands
    assert Openstack(cloud.url, monkeypatch, OS_PASSWORD="two", **settings)("token issue")["id"]
