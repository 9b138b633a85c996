"""Requests at the same moment have the outcome that they have one after the other, on two nodes of one cloud.

Each race is first run in every order, one request after the other, and what was answered and what is left is noted.
Then it is run at once, several times: the outcome must be one of those.
"""

import itertools
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import http
from tests.support.servers import PROGRAMS

ROUNDS = 8
CONF = {
    "identity": {"password_hash_rounds": 4},
    "DEFAULT": {"max_db_limit": 100000, "transport_url": "fake://"},
}


class Cloud:
    """Two nodes; every other request of a race goes to the second."""

    def __init__(self, nodes):
        self.urls = [node.url for node in nodes]
        self.nodes = nodes
        self.token = http.admin_token(self.urls[0])
        self.roles = {role["name"]: role["id"] for role in self.get("/v3/roles")["roles"]}

    def send(self, method, path, body=None, token=None, node=0):
        return http.send(self.urls[node], method, path, {"X-Auth-Token": token or self.token}, body)

    def get(self, path):
        reply = self.send("GET", path)
        assert reply.status == 200, f"GET {path}: {reply.status} {reply.text}"
        return reply.json()

    def create(self, kind, path=None, **attributes):
        """The id of a new thing."""
        reply = self.send("POST", path or f"/v3/{kind}s", {kind: attributes})
        assert reply.status == 201, f"{kind}: {reply.status} {reply.text}"
        return reply.json()[kind]["id"]

    def count(self, path, *names):
        """Of which of these names, in the order asked for, the list holds how many."""
        entries = next(value for key, value in self.get(path).items() if key not in ("links", "truncated"))
        found = [entry["name"] for entry in entries]
        return tuple(found.count(name) for name in names)

    def one_after_the_other(self, calls):
        return [self.send(*call) for call in calls]

    def at_once(self, calls):
        barrier = threading.Barrier(len(calls))

        def run(number, call):
            barrier.wait(30)
            return self.send(*call, node=number % len(self.urls))

        with ThreadPoolExecutor(len(calls)) as pool:
            return [task.result(60) for task in [pool.submit(run, *item) for item in enumerate(calls)]]


@pytest.fixture(scope="module")
def cloud(program, db):
    first = PROGRAMS[program](db=db, conf=CONF)
    second = None
    try:
        first.prepare().start()
        second = twin(program, first)
        yield Cloud([first, second])
    finally:
        if second:
            second.close()
        first.close()


def twin(program, first):
    """Another node on the same database and keys."""
    folder = first.folder / "twin"
    folder.mkdir()
    for name in ("fernet-keys", "credential-keys"):
        (folder / name).symlink_to(first.folder / name)
    return PROGRAMS[program](database=first.database, folder=folder, conf=CONF, bootstrap=False).start()


def unique(text="race"):
    return f"{text}-{uuid.uuid4().hex[:12]}"


def outcome(replies, calls, left, refusals_alike=False):
    """The answers, those of equal requests in no order, and what is left."""
    answers = {}
    for call, reply in zip(calls, replies):
        refused = refusals_alike and 400 <= reply.status < 500
        answers.setdefault(repr(call), []).append("refused" if refused else reply.status)
    # The calls of each round are others, but in the same order.
    return [sorted(statuses) for statuses in answers.values()], left


def orders(calls):
    """Every order of the calls, but those that only swap equal ones."""
    seen = set()
    for order in itertools.permutations(range(len(calls))):
        key = tuple(repr(calls[number]) for number in order)
        if key not in seen:
            seen.add(key)
            yield order


def check(cloud, race, rounds=ROUNDS, refusals_alike=False):
    """`race` makes fresh things, and returns the calls and a function that tells what is left of it.

    `refusals_alike` is for a caller who is ended meanwhile: whether that is noticed at the door (401, 404) or later
    (400) depends on the moment.
    """
    calls, _ = race(cloud)
    allowed = []
    for order in orders(calls):
        calls, left = race(cloud)
        replies = [None] * len(calls)
        for number in order:
            replies[number] = cloud.send(*calls[number])
        allowed.append(outcome(replies, calls, left(), refusals_alike))
    for _ in range(rounds):
        calls, left = race(cloud)
        replies = cloud.at_once(calls)
        found = outcome(replies, calls, left(), refusals_alike)
        texts = [f"{call[0]} {call[1]}: {reply.status} {reply.text[:300]}" for call, reply in zip(calls, replies)]
        assert found in allowed, "\n".join([f"{found} is none of {allowed}", *texts])


# -- the same, many times --

SAME_NAME = {
    "user": lambda cloud: {},
    "group": lambda cloud: {},
    "project": lambda cloud: {},
    "domain": lambda cloud: {"enabled": False},
    "role": lambda cloud: {},
}


@pytest.mark.parametrize("kind", SAME_NAME)
def test_of_many_creations_of_one_name_one_succeeds(cloud, kind):
    def race(cloud):
        name = unique()
        call = ("POST", f"/v3/{kind}s", {kind: {"name": name, **SAME_NAME[kind](cloud)}})
        return [call] * 4, lambda: cloud.count(f"/v3/{kind}s?name={name}", name)

    check(cloud, race)


@pytest.mark.parametrize("kind", SAME_NAME)
def test_of_two_that_take_one_name_one_gets_it(cloud, kind):
    def race(cloud):
        old, new = [unique() for _ in range(2)], unique()
        ids = [cloud.create(kind, name=name, **SAME_NAME[kind](cloud)) for name in old]
        calls = [("PATCH", f"/v3/{kind}s/{id}", {kind: {"name": new}}) for id in ids]
        return calls, lambda: sorted(cloud.get(f"/v3/{kind}s/{id}")[kind]["name"] == new for id in ids)

    check(cloud, race)


def test_of_many_creations_of_one_region_one_succeeds(cloud):
    def race(cloud):
        name = unique()
        return [("POST", "/v3/regions", {"region": {"id": name}})] * 4, lambda: cloud.send(
            "GET", f"/v3/regions/{name}"
        ).status

    check(cloud, race)


def test_of_many_creations_of_one_explicit_domain_one_succeeds(cloud):
    def race(cloud):
        id = uuid.uuid4().hex
        calls = [
            ("POST", "/v3/domains", {"domain": {"name": unique(), "explicit_domain_id": id, "enabled": False}})
            for _ in range(2)
        ]
        return calls, lambda: cloud.send("GET", f"/v3/domains/{id}").status

    check(cloud, race)


def grants(cloud):
    """A grant of each kind, on fresh things: the path, and how a list of assignments finds it."""
    user, group = cloud.create("user", name=unique()), cloud.create("group", name=unique())
    project = cloud.create("project", name=unique())
    domain = cloud.create("domain", name=unique(), enabled=False)
    role = cloud.roles["reader"]
    for actor, id in (("user", user), ("group", group)):
        for place, where in ((f"projects/{project}", "project"), (f"domains/{domain}", "domain")):
            yield f"/v3/{place}/{actor}s/{id}/roles/{role}", f"{actor}.id={id}"
            yield f"/v3/OS-INHERIT/{place}/{actor}s/{id}/roles/{role}/inherited_to_projects", f"{actor}.id={id}"
        yield f"/v3/system/{actor}s/{id}/roles/{role}", f"{actor}.id={id}"


@pytest.mark.parametrize("number", range(10))
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_many_grants_or_revocations_are_one(cloud, number, method):
    def race(cloud):
        path, found_by = list(grants(cloud))[number]
        if method == "DELETE":
            assert cloud.send("PUT", path).status == 204
        return [(method, path)] * 4, lambda: len(cloud.get(f"/v3/role_assignments?{found_by}")["role_assignments"])

    check(cloud, race, rounds=3)


def application_credential(cloud):
    """A user's own token, and the body of an application credential for it."""
    user, project = cloud.create("user", name=(name := unique()), password="pw"), cloud.create("project", name=unique())
    cloud.send("PUT", f"/v3/projects/{project}/users/{user}/roles/{cloud.roles['member']}")
    token = http.password_login(cloud.urls[0], name, "pw", {"project": {"id": project}}).header("X-Subject-Token")
    return user, project, token


def test_of_many_application_credentials_of_one_name_one_is_made(cloud):
    def race(cloud):
        user, _, token = application_credential(cloud)
        path = f"/v3/users/{user}/application_credentials"
        call = ("POST", path, {"application_credential": {"name": "one"}}, token)
        return [call] * 4, lambda: cloud.count(path, "one")

    check(cloud, race)


@pytest.mark.parametrize("kind", ["user", "group", "project", "domain", "role", "service", "endpoint", "region"])
def test_of_many_deletions_one_succeeds(cloud, kind):
    def race(cloud):
        if kind == "endpoint":
            service = cloud.create("service", type="race")
            id = cloud.create(kind, service_id=service, interface="public", url="http://race")
        elif kind == "service":
            id = cloud.create(kind, type="race")
        elif kind == "region":
            id = cloud.create(kind)
        else:
            id = cloud.create(kind, name=unique(), **SAME_NAME[kind](cloud))
        return [("DELETE", f"/v3/{kind}s/{id}")] * 4, lambda: cloud.send("GET", f"/v3/{kind}s/{id}").status

    check(cloud, race)


def test_many_tags_and_members_of_one_name_are_one(cloud):
    def race(cloud):
        user, group = cloud.create("user", name=unique()), cloud.create("group", name=unique())
        project = cloud.create("project", name=unique())
        calls = [("PUT", f"/v3/groups/{group}/users/{user}")] * 3 + [("PUT", f"/v3/projects/{project}/tags/t")] * 3
        return calls, lambda: (
            len(cloud.get(f"/v3/groups/{group}/users")["users"]),
            tuple(cloud.get(f"/v3/projects/{project}/tags")["tags"]),
        )

    # Six calls have twenty orders; equal ones do not count.
    check(cloud, race, rounds=4)


# -- two that have to do with each other --


def gone_or(cloud, path):
    return lambda: cloud.send("GET", path).status


def assignments(cloud, **of):
    query = "&".join(f"{name.replace('_', '.')}={id}" for name, id in of.items())
    return len(cloud.get(f"/v3/role_assignments?{query}")["role_assignments"])


@pytest.mark.parametrize("deleted", ["user", "group", "project", "domain", "role"])
@pytest.mark.parametrize("number", range(6))
def test_what_is_deleted_while_granted_leaves_no_grant(cloud, deleted, number):
    def race(cloud):
        ids = {
            "user": cloud.create("user", name=unique()),
            "group": cloud.create("group", name=unique()),
            "project": cloud.create("project", name=unique()),
            "domain": cloud.create("domain", name=unique(), enabled=False),
            "role": cloud.create("role", name=unique()),
        }
        place = [("projects", "project"), ("domains", "domain"), ("system", None)][number // 2]
        actor = ["user", "group"][number % 2]
        where = f"{place[0]}/{ids[place[1]]}" if place[1] else place[0]
        if deleted not in (actor, place[1], "role"):
            pytest.skip("it has no part in this grant")
        grant = f"/v3/{where}/{actor}s/{ids[actor]}/roles/{ids['role']}"
        calls = [("PUT", grant), ("DELETE", f"/v3/{deleted}s/{ids[deleted]}")]
        return calls, lambda: assignments(cloud, **{f"{actor}_id": ids[actor]})

    check(cloud, race)


def test_user_deleted_while_logging_in_has_no_token(cloud):
    def race(cloud):
        name = unique()
        user = cloud.create("user", name=name, password="pw")
        identity = {"methods": ["password"], "password": {"user": {"id": user, "password": "pw"}}}
        calls = [("POST", "/v3/auth/tokens", {"auth": {"identity": identity}}), ("DELETE", f"/v3/users/{user}")]
        return calls, gone_or(cloud, f"/v3/users/{user}")

    check(cloud, race)


def test_token_issued_while_its_user_is_deleted_is_dead(cloud):
    for _ in range(ROUNDS):
        name = unique()
        user = cloud.create("user", name=name, password="pw")
        identity = {"methods": ["password"], "password": {"user": {"id": user, "password": "pw"}}}
        replies = cloud.at_once(
            [("POST", "/v3/auth/tokens", {"auth": {"identity": identity}})] * 3 + [("DELETE", f"/v3/users/{user}")]
        )
        assert replies[-1].status == 204
        for reply in replies[:-1]:
            assert reply.status in (201, 401), reply.text
            if token := reply.header("X-Subject-Token"):
                for url in cloud.urls:
                    found = http.send(url, "GET", "/v3/auth/tokens", {"X-Auth-Token": cloud.token, "X-Subject-Token": token})
                    assert found.status == 404, found.text


def test_of_two_changes_of_a_password_one_succeeds(cloud):
    def race(cloud):
        user = cloud.create("user", name=unique(), password="old")
        calls = [
            ("POST", f"/v3/users/{user}/password", {"user": {"original_password": "old", "password": new}})
            for new in ("one", "two")
        ]

        def left():
            def works(password):
                identity = {"methods": ["password"], "password": {"user": {"id": user, "password": password}}}
                return http.send(cloud.urls[0], "POST", "/v3/auth/tokens", body={"auth": {"identity": identity}}).status

            return tuple(works(password) for password in ("old", "one", "two"))

        return calls, left

    check(cloud, race)


def test_an_own_and_an_administrators_change_of_a_password(cloud):
    def race(cloud):
        user = cloud.create("user", name=unique(), password="old")
        calls = [
            ("POST", f"/v3/users/{user}/password", {"user": {"original_password": "old", "password": "one"}}),
            ("PATCH", f"/v3/users/{user}", {"user": {"password": "two"}}),
        ]

        def left():
            def works(password):
                identity = {"methods": ["password"], "password": {"user": {"id": user, "password": password}}}
                return http.send(cloud.urls[0], "POST", "/v3/auth/tokens", body={"auth": {"identity": identity}}).status

            return tuple(works(password) for password in ("old", "one", "two"))

        return calls, left

    check(cloud, race)


def test_two_updates_of_a_user_keep_both_changes(cloud):
    def race(cloud):
        user = cloud.create("user", name=unique())
        calls = [("PATCH", f"/v3/users/{user}", {"user": {attribute: "x"}}) for attribute in ("one", "two")]

        def left():
            found = cloud.get(f"/v3/users/{user}")["user"]
            return found.get("one"), found.get("two")

        return calls, left

    check(cloud, race)


@pytest.mark.parametrize("kind", ["project", "role", "group", "service"])
def test_two_updates_keep_both_changes(cloud, kind):
    def race(cloud):
        id = cloud.create(kind, **({"type": "race"} if kind == "service" else {"name": unique()}))
        calls = [("PATCH", f"/v3/{kind}s/{id}", {kind: {attribute: "x"}}) for attribute in ("one", "two")]

        def left():
            found = cloud.get(f"/v3/{kind}s/{id}")[kind]
            return found.get("one"), found.get("two")

        return calls, left

    check(cloud, race)


@pytest.mark.parametrize("kind", ["user", "group", "project", "role", "service", "endpoint", "region"])
def test_update_of_what_is_deleted(cloud, kind):
    def race(cloud):
        body = {"description": "x"}
        if kind == "endpoint":
            service = cloud.create("service", type="race")
            id = cloud.create(kind, service_id=service, interface="public", url="http://race")
            body = {"url": "http://other"}
        elif kind == "service":
            id, body = cloud.create(kind, type="race"), {"type": "other"}
        elif kind == "region":
            id = cloud.create(kind)
        else:
            id = cloud.create(kind, name=unique())
        calls = [("PATCH", f"/v3/{kind}s/{id}", {kind: body}), ("DELETE", f"/v3/{kind}s/{id}")]
        return calls, gone_or(cloud, f"/v3/{kind}s/{id}")

    check(cloud, race)


@pytest.mark.parametrize("kind", ["user", "group", "project"])
def test_what_is_created_in_a_domain_that_is_deleted_is_not_left(cloud, kind):
    def race(cloud):
        domain, name = cloud.create("domain", name=unique(), enabled=False), unique()
        # No project is made in a disabled domain: 400 either way.
        calls = [("POST", f"/v3/{kind}s", {kind: {"name": name, "domain_id": domain}}), ("DELETE", f"/v3/domains/{domain}")]
        return calls, lambda: cloud.count(f"/v3/{kind}s?name={name}", name)

    check(cloud, race)


def test_project_made_below_one_that_is_deleted(cloud):
    def race(cloud):
        parent, name = cloud.create("project", name=unique()), unique()
        calls = [("POST", "/v3/projects", {"project": {"name": name, "parent_id": parent}}), ("DELETE", f"/v3/projects/{parent}")]
        return calls, lambda: (cloud.count(f"/v3/projects?name={name}", name), cloud.send("GET", f"/v3/projects/{parent}").status)

    check(cloud, race)


def test_project_made_below_one_that_is_disabled(cloud):
    def race(cloud):
        parent, name = cloud.create("project", name=unique()), unique()
        calls = [
            ("POST", "/v3/projects", {"project": {"name": name, "parent_id": parent}}),
            ("PATCH", f"/v3/projects/{parent}", {"project": {"enabled": False}}),
        ]
        return calls, lambda: (
            cloud.count(f"/v3/projects?name={name}", name),
            cloud.get(f"/v3/projects/{parent}")["project"]["enabled"],
        )

    check(cloud, race)


@pytest.mark.parametrize("deleted", ["user", "group"])
def test_member_added_while_deleted(cloud, deleted):
    def race(cloud):
        ids = {"user": cloud.create("user", name=unique()), "group": cloud.create("group", name=unique())}
        calls = [
            ("PUT", f"/v3/groups/{ids['group']}/users/{ids['user']}"),
            ("DELETE", f"/v3/{deleted}s/{ids[deleted]}"),
        ]
        return calls, gone_or(cloud, f"/v3/{deleted}s/{ids[deleted]}")

    check(cloud, race)


def test_tag_added_while_its_project_is_deleted(cloud):
    def race(cloud):
        project = cloud.create("project", name=unique())
        calls = [("PUT", f"/v3/projects/{project}/tags/t"), ("DELETE", f"/v3/projects/{project}")]
        return calls, gone_or(cloud, f"/v3/projects/{project}")

    check(cloud, race)


@pytest.mark.parametrize("deleted", ["prior", "implied"])
def test_implication_made_while_its_role_is_deleted(cloud, deleted):
    def race(cloud):
        ids = {"prior": cloud.create("role", name=unique()), "implied": cloud.create("role", name=unique())}
        calls = [
            ("PUT", f"/v3/roles/{ids['prior']}/implies/{ids['implied']}"),
            ("DELETE", f"/v3/roles/{ids[deleted]}"),
        ]
        return calls, lambda: len([
            entry for entry in cloud.get("/v3/role_inferences")["role_inferences"] if entry["prior_role"]["id"] == ids["prior"]
        ])

    check(cloud, race)


@pytest.mark.parametrize("deleted", ["service", "region"])
def test_endpoint_made_while_what_it_needs_is_deleted(cloud, deleted):
    def race(cloud):
        ids = {"service": cloud.create("service", type="race"), "region": cloud.create("region")}
        endpoint = {
            "service_id": ids["service"],
            "region_id": ids["region"],
            "interface": "public",
            "url": "http://race",
        }
        calls = [("POST", "/v3/endpoints", {"endpoint": endpoint}), ("DELETE", f"/v3/{deleted}s/{ids[deleted]}")]
        return calls, lambda: len(cloud.get(f"/v3/endpoints?service_id={ids['service']}")["endpoints"])

    check(cloud, race)


def test_region_made_below_one_that_is_deleted(cloud):
    def race(cloud):
        parent, id = cloud.create("region"), unique()
        calls = [
            ("POST", "/v3/regions", {"region": {"id": id, "parent_region_id": parent}}),
            ("DELETE", f"/v3/regions/{parent}"),
        ]
        return calls, lambda: (
            cloud.send("GET", f"/v3/regions/{parent}").status,
            cloud.send("GET", f"/v3/regions/{id}").status,
        )

    check(cloud, race)


@pytest.mark.parametrize("deleted", ["user", "project", "grant"])
def test_application_credential_made_while_what_it_needs_is_deleted(cloud, deleted):
    def race(cloud):
        user, project, token = application_credential(cloud)
        path = f"/v3/users/{user}/application_credentials"
        grant = f"projects/{project}/users/{user}/roles/{cloud.roles['member']}"
        ends = {"user": f"users/{user}", "project": f"projects/{project}", "grant": grant}[deleted]
        calls = [("POST", path, {"application_credential": {"name": "one"}}, token), ("DELETE", f"/v3/{ends}")]
        return calls, gone_or(cloud, f"/v3/users/{user}")

    check(cloud, race, refusals_alike=True)


# -- lists --


def test_lists_are_whole_while_others_delete_and_create(cloud):
    domain = cloud.create("domain", name=unique())
    stay = {cloud.create("user", name=unique("stay"), domain_id=domain) for _ in range(20)}
    go = [cloud.create("user", name=unique("go"), domain_id=domain) for _ in range(30)]
    over = threading.Event()

    def list_all(node):
        rounds = 0
        while not over.is_set() or rounds == 0:
            rounds += 1
            for query in ("", "&limit=7"):
                seen, marker = [], ""
                while True:
                    reply = cloud.send("GET", f"/v3/users?domain_id={domain}{query}{marker}", node=node)
                    if reply.status == 404 and marker:
                        break  # the marker was deleted: the reference's answer, too
                    assert reply.status == 200, reply.text
                    page = [user["id"] for user in reply.json()["users"]]
                    assert all(user["name"] for user in reply.json()["users"]), reply.text
                    seen += page
                    if not query or not reply.json()["links"]["next"] or not page:
                        assert stay <= set(seen)
                        break
                    marker = f"&marker={page[-1]}"
                assert len(seen) == len(set(seen))
            entries = cloud.send("GET", "/v3/role_assignments?include_names", node=node)
            assert entries.status == 200, entries.text

    def change(node):
        for number, user in enumerate(go[node::2]):
            assert cloud.send("DELETE", f"/v3/users/{user}", node=node).status == 204
            new = cloud.create("user", name=unique("new"), domain_id=domain)
            role = cloud.roles["reader"]
            assert cloud.send("PUT", f"/v3/domains/{domain}/users/{new}/roles/{role}", node=node).status == 204
            if number % 2:
                assert cloud.send("DELETE", f"/v3/users/{new}", node=node).status == 204

    with ThreadPoolExecutor(4) as pool:
        lists = [pool.submit(list_all, node) for node in (0, 1)]
        for change in [pool.submit(change, node) for node in (0, 1)]:
            change.result(120)
        over.set()
        for one in lists:
            one.result(60)


# -- afterwards --

ORPHANS = {
    "users without a name": 'SELECT id FROM {user} WHERE id NOT IN (SELECT user_id FROM local_user)',
    "names without a user": 'SELECT user_id FROM local_user WHERE user_id NOT IN (SELECT id FROM {user})',
    "passwords without a user": "SELECT id FROM password WHERE local_user_id NOT IN (SELECT id FROM local_user)",
    "users without a domain": "SELECT id FROM {user} WHERE domain_id NOT IN (SELECT id FROM project WHERE is_domain = {true})",
    "groups without a domain": "SELECT id FROM {group} WHERE domain_id NOT IN (SELECT id FROM project WHERE is_domain = {true})",
    "projects without a parent": "SELECT id FROM project WHERE parent_id NOT IN (SELECT id FROM project)",
    "members without a user": "SELECT user_id FROM user_group_membership WHERE user_id NOT IN (SELECT id FROM {user})",
    "members without a group": "SELECT group_id FROM user_group_membership WHERE group_id NOT IN (SELECT id FROM {group})",
    "tags without a project": "SELECT project_id FROM project_tag WHERE project_id NOT IN (SELECT id FROM project)",
    "assignments without a role": "SELECT role_id FROM assignment WHERE role_id NOT IN (SELECT id FROM role)",
    "assignments without a target": "SELECT target_id FROM assignment WHERE target_id NOT IN (SELECT id FROM project)",
    "assignments without an actor": "SELECT actor_id FROM assignment WHERE actor_id NOT IN (SELECT id FROM {user}) AND actor_id NOT IN (SELECT id FROM {group})",
    "system assignments without an actor": "SELECT actor_id FROM system_assignment WHERE actor_id NOT IN (SELECT id FROM {user}) AND actor_id NOT IN (SELECT id FROM {group})",
    "system assignments without a role": "SELECT role_id FROM system_assignment WHERE role_id NOT IN (SELECT id FROM role)",
    "implications without a role": "SELECT prior_role_id FROM implied_role WHERE prior_role_id NOT IN (SELECT id FROM role) OR implied_role_id NOT IN (SELECT id FROM role)",
    "endpoints without a service": "SELECT id FROM endpoint WHERE service_id NOT IN (SELECT id FROM service)",
    "endpoints without a region": "SELECT id FROM endpoint WHERE region_id NOT IN (SELECT id FROM region)",
    "regions without a parent": "SELECT id FROM region WHERE parent_region_id NOT IN (SELECT id FROM region)",
    "application credentials without a user": "SELECT id FROM application_credential WHERE user_id NOT IN (SELECT id FROM {user})",
}


def test_nothing_half_written_is_left(cloud):
    database = cloud.nodes[0].database
    quote = "`" if database.kind == "mysql" else '"'
    words = {name: f"{quote}{name}{quote}" for name in ("user", "group")}
    words["true"] = "true" if database.kind == "postgresql" else "1"
    connection = database.connect(database.name)
    try:
        cursor = connection.cursor()
        found = {}
        for what, statement in ORPHANS.items():
            cursor.execute(statement.format(**words))
            if rows := cursor.fetchall():
                found[what] = rows
        assert found == {}
    finally:
        connection.close()


def test_no_node_met_an_error(cloud):
    for node in cloud.nodes:
        errors = [line for line in node.log_text().splitlines() if " ERROR " in line or "panicked" in line]
        assert errors == []
