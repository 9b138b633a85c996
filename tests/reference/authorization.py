"""Who may do what: every route, asked by every kind of caller.

    dev/record-authorization.py                       # start Python Keystone and record its answers
    dev/record-authorization.py --check               # start Archstone and compare
    dev/record-authorization.py --check --url URL     # compare a server that was just bootstrapped

A persona is a user of the domain "own" with one role on its project, on the domain or on the system.
A case is one well-formed request: about objects of the same domain ("own"), of another domain
("other"), about the persona itself ("self"), or about something that does not exist ("absent").
Recorded are only statuses, one per persona.
"""

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.golden import signatures
from tests.golden.scope import FEATURES
from tests.reference import extensions
from tests.support import http

# Answers of Archstone that differ from the recording on purpose, by route, case and persona.
# docs/compatibility.md has the reasons.
ACCEPTED: dict[tuple[str, str, str], int] = {
    # The reference looks an absent limit up before it asks the policy, but only to change or delete it.
    (f"{method} /v3/limits/{{limit_id}}", "absent", persona): 403
    for method in ("PATCH", "DELETE")
    for persona in (
        *("no role", "service project", "reader project", "member project", "manager project"),
        *("reader domain", "member domain", "manager domain", "admin domain"),
        *("reader system", "member system", "manager system"),
    )
}

RECORDING = Path(__file__).with_name("authorization.json")
ABSENT = "0123456789abcdef0123456789abcdef"
PASSWORD = "persona-password-1"

ROLES = ("reader", "member", "manager", "admin")
SCOPES = ("project", "domain", "system")
PERSONAS = (
    "no token",
    "no role",
    "service project",
    *(f"{role} {scope}" for scope in SCOPES for role in ROLES),
)


@dataclass
class Request:
    path: str
    body: dict | None = None
    headers: dict = field(default_factory=dict)


@dataclass
class Case:
    """One request to one route; `make` builds it, with fresh objects where it would use them up."""

    route: str
    name: str
    make: Callable[["World", str], Request]
    # Depends on who asks, so that it is built for each persona.
    personal: bool = False
    # Revokes the token that asks.
    suicidal: bool = False

    @property
    def method(self) -> str:
        return self.route.split(" ", 1)[0]


class World:
    """Two domains with the same things in them, and a user for each persona."""

    def __init__(self, url: str, patient: bool = False):
        self.url = url
        # Whether a 5xx is asked again: Python Keystone on a busy machine has one now and then.
        self.patient = patient
        self.admin = http.admin_token(url)
        self.numbers = itertools.count()
        self.roles = {role["name"]: role["id"] for role in self.call("GET", "/v3/roles")["roles"]}
        self.domain, self.project, self.user, self.group, self.domain_role = {}, {}, {}, {}, {}
        for where in ("own", "other"):
            self.domain[where] = self.create("domain")
            self.project[where] = self.create("project", domain_id=self.domain[where])
            self.user[where] = self.create("user", domain_id=self.domain[where], password=PASSWORD)
            self.group[where] = self.create("group", domain_id=self.domain[where])
            self.domain_role[where] = self.create("role", domain_id=self.domain[where])
            self.call("PUT", f"/v3/projects/{self.project[where]}/users/{self.user[where]}/roles/{self.roles['reader']}")
            self.call("PUT", f"/v3/projects/{self.project[where]}/tags/blue")
            self.call("PUT", f"/v3/groups/{self.group[where]}/users/{self.user[where]}")
        self.region = self.create("region")
        self.service = self.create("service", type="test")
        self.endpoint = self.create_endpoint()
        self.persona_ids = {name: self.make_persona(name) for name in PERSONAS if name != "no token"}
        self.tokens = {name: self.login_persona(name) for name in PERSONAS}

    def send(self, method, path, headers, body=None) -> http.Reply:
        reply = http.send(self.url, method, path, headers, body)
        for _ in range(3 if self.patient else 0):
            if reply.status < 500:
                break
            time.sleep(1)
            reply = http.send(self.url, method, path, headers, body)
        return reply

    # -- as the bootstrapped admin --

    def call(self, method, path, body=None) -> dict:
        reply = self.send(method, path, {"X-Auth-Token": self.admin}, body)
        if reply.status >= 300:
            raise RuntimeError(f"preparing by {method} {path}: {reply.status} {reply.text[:300]}")
        return reply.json() if reply.body else {}

    def unique(self, kind) -> str:
        return f"{kind}-{next(self.numbers)}"

    def create(self, kind, **attributes) -> str:
        named = {} if kind == "region" else {"name": self.unique(kind)}
        return self.call("POST", f"/v3/{kind}s", {kind: {**named, **attributes}})[kind]["id"]

    def create_endpoint(self) -> str:
        return self.create("endpoint", **self.endpoint_body())

    def endpoint_body(self) -> dict:
        return {"service_id": self.service, "region_id": self.region, "interface": "public", "url": "http://x"}

    def fresh_user(self, where) -> str:
        return self.create("user", domain_id=self.domain[where], password=PASSWORD)

    def create_credential(self, user) -> str:
        new = {"type": "cert", "blob": "x", "user_id": user}
        return self.call("POST", "/v3/credentials", {"credential": new})["credential"]["id"]

    def create_key(self, user, where="own") -> dict:
        path = f"/v3/users/{user}/credentials/OS-EC2"
        return self.call("POST", path, {"tenant_id": self.project[where]})["credential"]

    # -- personas --

    def make_persona(self, name) -> str:
        user = self.create("user", domain_id=self.domain["own"], password=PASSWORD)
        if name != "no role":
            role, scope = name.split()
            on = {
                "project": f"/v3/projects/{self.project['own']}",
                "domain": f"/v3/domains/{self.domain['own']}",
                "system": "/v3/system",
            }[scope]
            self.call("PUT", f"{on}/users/{user}/roles/{self.roles[role]}")
        return user

    def login_persona(self, name) -> str | None:
        if name == "no token":
            return None
        scopes = {
            "project": {"project": {"id": self.project["own"]}},
            "domain": {"domain": {"id": self.domain["own"]}},
            "system": {"system": {"all": True}},
        }
        return self.login(self.persona_ids[name], scopes.get(name.split()[-1]))

    def login(self, user, scope=None) -> str:
        auth = {"identity": {"methods": ["password"], "password": {"user": {"id": user, "password": PASSWORD}}}}
        if scope:
            auth["scope"] = scope
        reply = http.send(self.url, "POST", "/v3/auth/tokens", body={"auth": auth})
        if reply.status != 201:
            raise RuntimeError(f"login of {user}: {reply.status} {reply.text[:300]}")
        return reply.header("X-Subject-Token")

    # -- asking --

    def status(self, persona, request: Request, method) -> int:
        headers = dict(request.headers)
        if self.tokens[persona]:
            headers["X-Auth-Token"] = self.tokens[persona]
        return self.send(method, request.path, headers, request.body).status

    def revive(self, persona):
        """Log in again after the persona's tokens were revoked: events count by the second."""
        time.sleep(1.1)
        self.tokens[persona] = self.login_persona(persona)


def observe(url, only=None, patient=False, progress=lambda text: None) -> dict[str, dict[str, list[int]]]:
    """The statuses by route and case, in the order of PERSONAS. The server must be freshly bootstrapped."""
    world = World(url, patient)
    found: dict[str, dict[str, list[int]]] = {}
    for case in CASES:
        if only and not re.search(only, f"{case.route} {case.name}"):
            continue
        progress(f"{case.route} ({case.name})")
        found.setdefault(case.route, {})[case.name] = [*ask_all(world, case)]
    return found


def ask_all(world: World, case: Case) -> Iterator[int]:
    request = None
    for persona in PERSONAS:
        if request is None or case.personal:
            request = case.make(world, persona)
        status = world.status(persona, request, case.method)
        yield status
        if status < 300 and case.method in ("POST", "DELETE"):
            request = None
        if status < 300 and case.suicidal and world.tokens[persona]:
            world.revive(persona)


def differences(expected, found) -> list[str]:
    """One line for each persona that was answered otherwise."""
    lines = []
    for route, cases in found.items():
        for name, statuses in cases.items():
            recorded = expected.get(route, {}).get(name)
            if recorded is None:
                lines.append(f"{route} ({name}): not recorded")
                continue
            for persona, want, got in zip(PERSONAS, recorded, statuses, strict=True):
                want = ACCEPTED.get((route, name, persona), want)
                if want != got:
                    lines.append(f"{route} ({name}) by {persona}: {got} instead of {want}")
    return lines


def left_out(route) -> str | None:
    """The feature that Archstone does not have yet and this route belongs to, or None."""
    path = route.split(" ", 1)[1]
    return next((name for name, feature in FEATURES.items() if feature.path and re.search(feature.path, path)), None)


def load() -> dict:
    return json.loads(RECORDING.read_text())["routes"]


def save(found, path=RECORDING):
    """Writes what was found, and keeps what was recorded of other cases that still exist."""
    known = load() if path.exists() else {}
    merged: dict[str, dict[str, list[int]]] = {}
    for one in CASES:
        statuses = found.get(one.route, {}).get(one.name) or known.get(one.route, {}).get(one.name)
        if statuses:
            merged.setdefault(one.route, {})[one.name] = statuses
    routes = ",\n".join(
        f" {json.dumps(route)}: {{\n"
        + ",\n".join(f"  {json.dumps(name)}: {json.dumps(statuses)}" for name, statuses in cases.items())
        + "}"
        for route, cases in merged.items()
    )
    head = json.dumps({"reference": "keystone 30.0.0", "personas": PERSONAS}, indent=0).replace("\n", "")
    path.write_text(f"{head[:-1]},\n\"routes\": {{\n{routes}\n}}}}\n")


# -- the cases --

CASES: list[Case] = []


def case(route, name, make, **options):
    """Adds a case; `make` gives a path, or a path and a body, or a Request."""

    def request(world, persona) -> Request:
        made = make(world, persona)
        if isinstance(made, Request):
            return made
        return Request(*made) if isinstance(made, tuple) else Request(made)

    CASES.append(Case(route, name, request, **options))


def read(route, name, make, **options):
    """A case for GET; the first one of a route for HEAD too, which shares GET's handler."""
    case(f"GET {route}", name, make, **options)
    if not any(known.route == f"HEAD {route}" for known in CASES):
        case(f"HEAD {route}", name, make, **options)


def own_and_other(add, route, make, **options):
    """The same about both domains; `make` takes the world and the name of the domain."""
    for where in ("own", "other"):
        add(route, where, lambda w, _, where=where: make(w, where), **options)


def discovery_and_auth():
    read("/", "public", lambda w, p: "/")
    read("/v3", "public", lambda w, p: "/v3")
    for what in ("catalog", "domains", "projects", "system"):
        read(f"/v3/auth/{what}", "self", lambda w, p, what=what: f"/v3/auth/{what}")

    def about(token):
        return Request("/v3/auth/tokens", headers={"X-Subject-Token": token})

    read("/v3/auth/tokens", "self", lambda w, p: about(w.tokens[p] or "none"), personal=True)
    case("DELETE /v3/auth/tokens", "self", lambda w, p: about(w.tokens[p] or "none"), personal=True, suicidal=True)
    own_and_other(read, "/v3/auth/tokens", lambda w, where: about(w.login(w.user[where])))
    own_and_other(case, "DELETE /v3/auth/tokens", lambda w, where: about(w.login(w.user[where])))
    read("/v3/auth/tokens", "absent", lambda w, p: about("gAAAAABnonsense"))
    case("DELETE /v3/auth/tokens", "absent", lambda w, p: about("gAAAAABnonsense"))

    def rescope(scope):
        def make(world, persona):
            auth = {"identity": {"methods": ["token"], "token": {"id": world.tokens[persona] or "none"}}}
            made = scope(world)
            return "/v3/auth/tokens", {"auth": {**auth, "scope": made} if made else auth}

        return make

    for name, scope in {
        "rescope to nothing": lambda w: "unscoped",
        "rescope to own project": lambda w: {"project": {"id": w.project["own"]}},
        "rescope to own domain": lambda w: {"domain": {"id": w.domain["own"]}},
        "rescope to other project": lambda w: {"project": {"id": w.project["other"]}},
        "rescope to system": lambda w: {"system": {"all": True}},
    }.items():
        case("POST /v3/auth/tokens", name, rescope(scope), personal=True)


def users():
    one = "/v3/users/{user_id}"
    read("/v3/users", "all", lambda w, p: "/v3/users")
    own_and_other(read, "/v3/users", lambda w, where: f"/v3/users?domain_id={w.domain[where]}")
    own_and_other(
        case,
        "POST /v3/users",
        lambda w, where: ("/v3/users", {"user": {"name": w.unique("user"), "domain_id": w.domain[where]}}),
    )
    case("POST /v3/users", "no domain", lambda w, p: ("/v3/users", {"user": {"name": w.unique("user")}}))
    for suffix in ("", "/groups", "/projects"):
        route = one + suffix
        own_and_other(read, route, lambda w, where, suffix=suffix: f"/v3/users/{w.user[where]}{suffix}")
        read(route, "absent", lambda w, p, suffix=suffix: f"/v3/users/{ABSENT}{suffix}")
        read(
            route,
            "self",
            lambda w, p, suffix=suffix: f"/v3/users/{w.persona_ids.get(p, ABSENT)}{suffix}",
            personal=True,
        )
    change = {"user": {"description": "changed"}}
    own_and_other(case, f"PATCH {one}", lambda w, where: (f"/v3/users/{w.user[where]}", change))
    case(f"PATCH {one}", "self", lambda w, p: (f"/v3/users/{w.persona_ids.get(p, ABSENT)}", change), personal=True)
    case(f"PATCH {one}", "absent", lambda w, p: (f"/v3/users/{ABSENT}", change))
    own_and_other(case, f"DELETE {one}", lambda w, where: f"/v3/users/{w.fresh_user(where)}")
    case(f"DELETE {one}", "absent", lambda w, p: f"/v3/users/{ABSENT}")

    def password(world, where):
        body = {"user": {"original_password": PASSWORD, "password": f"{PASSWORD}-new"}}
        return f"/v3/users/{world.fresh_user(where)}/password", body

    own_and_other(case, f"POST {one}/password", password)


def groups():
    one, member = "/v3/groups/{group_id}", "/v3/groups/{group_id}/users/{user_id}"
    read("/v3/groups", "all", lambda w, p: "/v3/groups")
    own_and_other(read, "/v3/groups", lambda w, where: f"/v3/groups?domain_id={w.domain[where]}")
    own_and_other(
        case,
        "POST /v3/groups",
        lambda w, where: ("/v3/groups", {"group": {"name": w.unique("group"), "domain_id": w.domain[where]}}),
    )
    case("POST /v3/groups", "no domain", lambda w, p: ("/v3/groups", {"group": {"name": w.unique("group")}}))
    own_and_other(read, one, lambda w, where: f"/v3/groups/{w.group[where]}")
    read(one, "absent", lambda w, p: f"/v3/groups/{ABSENT}")
    own_and_other(read, f"{one}/users", lambda w, where: f"/v3/groups/{w.group[where]}/users")
    change = {"group": {"description": "changed"}}
    own_and_other(case, f"PATCH {one}", lambda w, where: (f"/v3/groups/{w.group[where]}", change))
    case(f"PATCH {one}", "absent", lambda w, p: (f"/v3/groups/{ABSENT}", change))
    own_and_other(
        case, f"DELETE {one}", lambda w, where: f"/v3/groups/{w.create('group', domain_id=w.domain[where])}"
    )
    case(f"DELETE {one}", "absent", lambda w, p: f"/v3/groups/{ABSENT}")

    own_and_other(read, member, lambda w, where: f"/v3/groups/{w.group[where]}/users/{w.user[where]}")
    read(member, "own group, other user", lambda w, p: f"/v3/groups/{w.group['own']}/users/{w.user['other']}")
    read(member, "absent", lambda w, p: f"/v3/groups/{w.group['own']}/users/{ABSENT}")
    own_and_other(case, f"PUT {member}", lambda w, where: f"/v3/groups/{w.group[where]}/users/{w.user[where]}")
    mixed = "own group, other user"
    case(f"PUT {member}", mixed, lambda w, p: f"/v3/groups/{w.group['own']}/users/{w.user['other']}")

    def joined(world, where):
        path = f"/v3/groups/{world.group[where]}/users/{world.fresh_user(where)}"
        world.call("PUT", path)
        return path

    own_and_other(case, f"DELETE {member}", joined)


def domains():
    one = "/v3/domains/{domain_id}"
    read("/v3/domains", "all", lambda w, p: "/v3/domains")
    case("POST /v3/domains", "new", lambda w, p: ("/v3/domains", {"domain": {"name": w.unique("domain")}}))
    own_and_other(read, one, lambda w, where: f"/v3/domains/{w.domain[where]}")
    read(one, "absent", lambda w, p: f"/v3/domains/{ABSENT}")
    change = {"domain": {"description": "changed"}}
    own_and_other(case, f"PATCH {one}", lambda w, where: (f"/v3/domains/{w.domain[where]}", change))
    case(f"PATCH {one}", "absent", lambda w, p: (f"/v3/domains/{ABSENT}", change))
    case(f"DELETE {one}", "other", lambda w, p: f"/v3/domains/{w.create('domain', enabled=False)}")
    case(f"DELETE {one}", "absent", lambda w, p: f"/v3/domains/{ABSENT}")


def projects():
    one, tags, tag = ("/v3/projects/{project_id}" + suffix for suffix in ("", "/tags", "/tags/{value}"))
    read("/v3/projects", "all", lambda w, p: "/v3/projects")
    own_and_other(read, "/v3/projects", lambda w, where: f"/v3/projects?domain_id={w.domain[where]}")
    own_and_other(
        case,
        "POST /v3/projects",
        lambda w, where: ("/v3/projects", {"project": {"name": w.unique("project"), "domain_id": w.domain[where]}}),
    )
    case("POST /v3/projects", "no domain", lambda w, p: ("/v3/projects", {"project": {"name": w.unique("project")}}))
    case(
        "POST /v3/projects",
        "acting as domain",
        lambda w, p: ("/v3/projects", {"project": {"name": w.unique("project"), "is_domain": True}}),
    )
    fresh = lambda w, where: w.create("project", domain_id=w.domain[where])  # noqa: E731
    change = {"project": {"description": "changed"}}
    # The project of a persona with a role on it is "self"; "own" is another one of the same domain.
    targets = {
        "self": lambda w: w.project["own"],
        "own": lambda w: w.project.setdefault("own, another", fresh(w, "own")),
        "other": lambda w: w.project["other"],
        "own domain as project": lambda w: w.domain["own"],
        "other domain as project": lambda w: w.domain["other"],
        "absent": lambda w: ABSENT,
    }
    for name, target in targets.items():
        read(one, name, lambda w, p, target=target: f"/v3/projects/{target(w)}")
        read(tags, name, lambda w, p, target=target: f"/v3/projects/{target(w)}/tags")
        read(tag, name, lambda w, p, target=target: f"/v3/projects/{target(w)}/tags/blue")
        case(f"PATCH {one}", name, lambda w, p, target=target: (f"/v3/projects/{target(w)}", change))
        case(f"PUT {tags}", name, lambda w, p, target=target: (f"/v3/projects/{target(w)}/tags", {"tags": ["blue"]}))
        # A tag that is there already is 400.
        new_tag = lambda w, p, target=target: f"/v3/projects/{target(w)}/tags/{w.unique('tag')}"  # noqa: E731
        case(f"PUT {tag}", name, new_tag, personal=True)

    def tagged(world, where):
        project = fresh(world, where)
        world.call("PUT", f"/v3/projects/{project}/tags/blue")
        return project

    own_and_other(case, f"DELETE {tags}", lambda w, where: f"/v3/projects/{tagged(w, where)}/tags")
    own_and_other(case, f"DELETE {tag}", lambda w, where: f"/v3/projects/{tagged(w, where)}/tags/blue")
    own_and_other(case, f"DELETE {one}", lambda w, where: f"/v3/projects/{fresh(w, where)}")
    case(f"DELETE {one}", "absent", lambda w, p: f"/v3/projects/{ABSENT}")


def roles():
    one = "/v3/roles/{role_id}"
    read("/v3/roles", "all", lambda w, p: "/v3/roles")
    own_and_other(read, "/v3/roles", lambda w, where: f"/v3/roles?domain_id={w.domain[where]}")
    read("/v3/role_inferences", "all", lambda w, p: "/v3/role_inferences")
    case("POST /v3/roles", "global", lambda w, p: ("/v3/roles", {"role": {"name": w.unique("role")}}))
    own_and_other(
        case,
        "POST /v3/roles",
        lambda w, where: ("/v3/roles", {"role": {"name": w.unique("role"), "domain_id": w.domain[where]}}),
    )
    change = {"role": {"description": "changed"}}
    own_and_other(read, one, lambda w, where: f"/v3/roles/{w.domain_role[where]}")
    own_and_other(case, f"PATCH {one}", lambda w, where: (f"/v3/roles/{w.domain_role[where]}", change))
    own_and_other(case, f"DELETE {one}", lambda w, where: f"/v3/roles/{w.create('role', domain_id=w.domain[where])}")
    for name in ("member", "admin"):
        read(one, name, lambda w, p, name=name: f"/v3/roles/{w.roles[name]}")
    read(one, "absent", lambda w, p: f"/v3/roles/{ABSENT}")
    case(f"PATCH {one}", "global", lambda w, p: (f"/v3/roles/{w.create('role')}", change))
    case(f"PATCH {one}", "absent", lambda w, p: (f"/v3/roles/{ABSENT}", change))
    case(f"DELETE {one}", "global", lambda w, p: f"/v3/roles/{w.create('role')}")
    case(f"DELETE {one}", "absent", lambda w, p: f"/v3/roles/{ABSENT}")

    implied = "/v3/roles/{prior_role_id}/implies/{implied_role_id}"
    fixed = lambda w: f"/v3/roles/{w.roles['admin']}/implies/{w.roles['manager']}"  # noqa: E731
    read("/v3/roles/{prior_role_id}/implies", "global", lambda w, p: f"/v3/roles/{w.roles['admin']}/implies")
    read("/v3/roles/{prior_role_id}/implies", "absent", lambda w, p: f"/v3/roles/{ABSENT}/implies")
    read(implied, "global", lambda w, p: fixed(w))
    read(implied, "absent", lambda w, p: f"/v3/roles/{w.roles['reader']}/implies/{w.roles['admin']}")

    def pair(world):
        return f"/v3/roles/{world.create('role')}/implies/{world.create('role')}"

    def implication(world, _):
        path = pair(world)
        world.call("PUT", path)
        return path

    case(f"PUT {implied}", "global", lambda w, p: pair(w), personal=True)
    case(f"DELETE {implied}", "global", implication)


def grants():
    """Roles of users and groups on projects, domains and the system, direct and inherited."""
    for actor in ("user", "group"):
        holder = getter(actor)
        for on in ("project", "domain"):
            held_on = getter(on)

            def path(world, actor_where, on_where, role, ending="", actor=actor, on=on, holder=holder, held_on=held_on):
                base = "/v3/OS-INHERIT" if ending else "/v3"
                where = f"{base}/{on}s/{held_on(world, on_where)}/{actor}s/{holder(world, actor_where)}/roles"
                return f"{where}/{role}{ending}" if role else f"{where}{ending}"

            template = f"/v3/{on}s/{{{on}_id}}/{actor}s/{{{actor}_id}}/roles"
            inherited = template.replace("/v3", "/v3/OS-INHERIT")
            places = {
                "own": ("own", "own"),
                "other": ("other", "other"),
                f"own {on}, other {actor}": ("other", "own"),
                f"other {on}, own {actor}": ("own", "other"),
                f"absent {actor}": ("absent", "own"),
                f"absent {on}": ("own", "absent"),
            }
            for name, (actor_where, on_where) in places.items():
                at = (actor_where, on_where)
                read(template, name, lambda w, p, at=at, path=path: path(w, *at, None))
                if on == "domain":
                    ending = "/inherited_to_projects"
                    read(f"{inherited}{ending}", name, lambda w, p, at=at, path=path, e=ending: path(w, *at, None, e))
                grant_cases(f"{template}/{{role_id}}", name, at, path, "")
                if "absent" not in at:
                    ending = "/inherited_to_projects"
                    grant_cases(f"{inherited}/{{role_id}}{ending}", name, at, path, ending)


def getter(kind):
    return lambda world, where: ABSENT if where == "absent" else getattr(world, kind)[where]


def grant_cases(one, name, at, path, ending):
    kinds = {"member": lambda w: w.roles["member"]}
    if at[0] == at[1]:
        kinds["admin"] = lambda w: w.roles["admin"]
        if not ending:
            kinds["domain role"] = lambda w: w.domain_role[at[0]]
    if at == ("own", "own"):
        kinds["absent role"] = lambda w: ABSENT
    for kind, role in kinds.items():
        full = f"{name}, {kind}"

        def target(world, _, role=role):
            return path(world, *at, role(world), ending)

        def granted(world, _, role=role, kind=kind):
            made = path(world, *at, role(world), ending)
            if "absent" not in at and kind != "absent role":
                world.call("PUT", made)
            return made

        if kind != "admin":
            read(one, full, granted)
        case(f"PUT {one}", full, target)
        case(f"DELETE {one}", full, granted)


def system_grants():
    for actor in ("user", "group"):
        holder = getter(actor)
        base = f"/v3/system/{actor}s/{{{actor}_id}}/roles"
        for name in ("own", "other", "absent"):
            path = lambda w, role=None, name=name, actor=actor, holder=holder: (  # noqa: E731
                f"/v3/system/{actor}s/{holder(w, name)}/roles" + (f"/{w.roles[role]}" if role else "")
            )

            def granted(world, _, path=path, name=name):
                made = path(world, "member")
                if name != "absent":
                    world.call("PUT", made)
                return made

            read(base, name, lambda w, p, path=path: path(w))
            read(f"{base}/{{role_id}}", name, granted)
            case(f"PUT {base}/{{role_id}}", name, lambda w, p, path=path: path(w, "member"))
            case(f"DELETE {base}/{{role_id}}", name, granted)


def role_assignments():
    base = "/v3/role_assignments"
    for name, query in {
        "all": lambda w: "",
        "names": lambda w: "?include_names",
        "effective": lambda w: "?effective",
        "own domain": lambda w: f"?scope.domain.id={w.domain['own']}",
        "other domain": lambda w: f"?scope.domain.id={w.domain['other']}",
        "own project": lambda w: f"?scope.project.id={w.project['own']}",
        "other project": lambda w: f"?scope.project.id={w.project['other']}",
        "own tree": lambda w: f"?scope.project.id={w.project['own']}&include_subtree",
        "other tree": lambda w: f"?scope.project.id={w.project['other']}&include_subtree",
        "no tree": lambda w: "?include_subtree",
        "own user": lambda w: f"?user.id={w.user['own']}",
        "other user": lambda w: f"?user.id={w.user['other']}",
        "system": lambda w: "?scope.system=all",
    }.items():
        read(base, name, lambda w, p, query=query: base + query(w))


def catalog():
    for kind, body in {
        "region": lambda w: {"description": "new"},
        "service": lambda w: {"name": w.unique("service"), "type": "test"},
        "endpoint": lambda w: w.endpoint_body(),
    }.items():
        every, one = f"/v3/{kind}s", f"/v3/{kind}s/{{{kind}_id}}"
        change = {kind: {"url": "http://y"} if kind == "endpoint" else {"description": "changed"}}
        read(every, "all", lambda w, p, every=every: every)
        case(f"POST {every}", "new", lambda w, p, every=every, kind=kind, body=body: (every, {kind: body(w)}))
        read(one, "global", lambda w, p, every=every, kind=kind: f"{every}/{getattr(w, kind)}")
        read(one, "absent", lambda w, p, every=every: f"{every}/{ABSENT}")
        case(
            f"PATCH {one}",
            "global",
            lambda w, p, every=every, kind=kind, change=change: (f"{every}/{getattr(w, kind)}", change),
        )
        case(f"PATCH {one}", "absent", lambda w, p, every=every, change=change: (f"{every}/{ABSENT}", change))
        case(
            f"DELETE {one}",
            "global",
            lambda w, p, every=every, kind=kind, body=body: f"{every}/{w.create(kind, **body(w))}",
        )
        case(f"DELETE {one}", "absent", lambda w, p, every=every: f"{every}/{ABSENT}")
    case(
        "PUT /v3/regions/{region_id}",
        "new",
        lambda w, p: (f"/v3/regions/{w.unique('region')}", {"region": {"description": "new"}}),
        personal=True,
    )


def credentials():
    every, one = "/v3/credentials", "/v3/credentials/{credential_id}"
    change = {"credential": {"blob": "changed"}}
    # Whose: a user of the own or the other domain, or the persona.
    whose = {
        "own": (lambda w, p: w.user["own"], {}),
        "other": (lambda w, p: w.user["other"], {}),
        "self": (lambda w, p: w.persona_ids.get(p, w.user["own"]), {"personal": True}),
    }

    def new(user, kind):
        return {"credential": {"type": kind, "blob": "x", "user_id": user}}

    read(every, "all", lambda w, p: every)
    for name, (user, options) in whose.items():
        read(every, name, lambda w, p, user=user: f"{every}?user_id={user(w, p)}", **options)
        case(f"POST {every}", name, lambda w, p, user=user: (every, new(user(w, p), "cert")), **options)
        read(one, name, lambda w, p, user=user: f"{every}/{w.create_credential(user(w, p))}", **options)
        case(
            f"PATCH {one}",
            name,
            lambda w, p, user=user: (f"{every}/{w.create_credential(user(w, p))}", change),
            **options,
        )
        case(f"DELETE {one}", name, lambda w, p, user=user: f"{every}/{w.create_credential(user(w, p))}", **options)
    read(one, "absent", lambda w, p: f"{every}/{ABSENT}")
    case(f"PATCH {one}", "absent", lambda w, p: (f"{every}/{ABSENT}", change))
    case(f"DELETE {one}", "absent", lambda w, p: f"{every}/{ABSENT}")

    keys, key = "/v3/users/{user_id}/credentials/OS-EC2", "/v3/users/{user_id}/credentials/OS-EC2/{credential_id}"

    def path(user, access=None):
        return f"/v3/users/{user}/credentials/OS-EC2" + (f"/{access}" if access else "")

    def path_of_new(world, user):
        return path(user, world.create_key(user)["access"])

    for name, (user, options) in whose.items():
        read(keys, name, lambda w, p, user=user: path(user(w, p)), **options)
        case(
            f"POST {keys}",
            name,
            lambda w, p, user=user: (path(user(w, p)), {"tenant_id": w.project["own"]}),
            **options,
        )
        read(key, name, lambda w, p, user=user: path_of_new(w, user(w, p)), **options)
        case(f"DELETE {key}", name, lambda w, p, user=user: path_of_new(w, user(w, p)), **options)
    read(keys, "absent", lambda w, p: path(ABSENT))
    case(f"POST {keys}", "absent", lambda w, p: (path(ABSENT), {"tenant_id": w.project["own"]}))
    case(f"POST {keys}", "absent project", lambda w, p: (path(w.user["own"]), {"tenant_id": ABSENT}))
    read(key, "absent", lambda w, p: path(w.user["own"], ABSENT))
    case(f"DELETE {key}", "absent", lambda w, p: path(w.user["own"], ABSENT))

    def signed_by_new_key(world):
        made = world.create_key(world.user["own"])
        request = {"access": made["access"], "host": "h", "verb": "GET", "path": "/"}
        request["params"] = {"SignatureVersion": "2"}
        return {"credentials": {**request, "signature": signatures.ec2_v2(made["secret"], request)}}

    case("POST /v3/ec2tokens", "own", lambda w, p: ("/v3/ec2tokens", signed_by_new_key(w)))
    for route in ("/v3/ec2tokens", "/v3/s3tokens"):
        absent = {"credentials": {"access": ABSENT, "signature": "x", "token": "eA=="}}
        case(f"POST {route}", "absent", lambda w, p, route=route, absent=absent: (route, absent))


def revocation():
    """Last, because it ends the tokens of the users it is about."""
    one = "/v3/users/{user_id}/tokens"
    own_and_other(case, f"DELETE {one}", lambda w, where: f"/v3/users/{w.user[where]}/tokens")
    case(f"DELETE {one}", "absent", lambda w, p: f"/v3/users/{ABSENT}/tokens")
    case(
        f"DELETE {one}",
        "self",
        lambda w, p: f"/v3/users/{w.persona_ids.get(p, ABSENT)}/tokens",
        personal=True,
        suicidal=True,
    )


for add in (
    *(discovery_and_auth, users, groups, domains, projects, roles, grants, system_grants, role_assignments),
    *(catalog, credentials, lambda: extensions.add_all(case, read), revocation),
):
    add()
