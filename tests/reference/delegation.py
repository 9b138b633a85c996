"""What tokens may do that stand for less than their user: each kind of token × each route that matters.

    dev/record-delegation.py             # start Python Keystone and record its answers
    dev/record-delegation.py --check     # start Archstone and compare

A giver has a role on two projects and tokens of every kind for the first of them; a taker and, one trust
further, a third user act for the giver. All of it exists twice, for a giver who is a member and for one who
is an administrator: whom no policy stops, only what a delegated token may not do can stop.

Recorded are only statuses, one for each kind of token. Where the reference is wrong, WRONG has the right
answer and says why.
"""

import itertools
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.golden import signatures
from tests.golden.scope import FEATURES
from tests.reference.authorization import ABSENT, PASSWORD, Request, World
from tests.support import http

RECORDING = Path(__file__).with_name("delegation.json")
# Of the server: tokens by EC2 keys need their method.
CONF = {
    "identity": {"password_hash_rounds": 5},
    "auth": {"methods": "password,token,application_credential,ec2credential"},
}

ROLES = ("member", "admin")
KINDS = (
    "password",
    "unscoped",
    "rescoped",
    "restricted app credential",
    "unrestricted app credential",
    "app credential with access rules",
    "trust",
    "trust as the trustor",
    "redelegated trust",
    "ec2 key",
)
COLUMNS = tuple(f"{role}: {kind}" for role in ROLES for kind in KINDS)

APP_CREDENTIALS = tuple(kind for kind in KINDS if "app credential" in kind)
TRUSTS = tuple(kind for kind in KINDS if "trust" in kind)
DELEGATED = (*APP_CREDENTIALS, *TRUSTS, "ec2 key")


class Giver:
    """A user with one role on two projects, what belongs to it, and those who act for it."""

    def __init__(self, world: "Delegations", role: str):
        self.world, self.role = world, role
        self.here, self.there = world.create("project"), world.create("project")
        self.id, self.taker, self.third, self.bystander = (world.new_user() for _ in range(4))
        for project in (self.here, self.there):
            world.call("PUT", f"/v3/projects/{project}/users/{self.id}/roles/{world.roles[role]}")
        self.token = world.login(self.id, {"project": {"id": self.here}})
        self.tokens = {kind: self.new_token(kind) for kind in KINDS}
        self.credential = self.new_credential()
        self.ec2 = self.new_ec2()
        self.app_credential = self.new_app_credential()[0]
        self.access_rule = self.as_giver("GET", f"/v3/users/{self.id}/access_rules")["access_rules"][0]["id"]
        self.foreign_trust = self.new_trust(trustee_user_id=self.bystander)

    def as_giver(self, method, path, body=None) -> dict:
        return self.world.as_token(self.token, method, path, body)

    def new_token(self, kind) -> str:
        login, as_trustor = self.world.login, {"impersonation": True, "allow_redelegation": True}
        here = {"project": {"id": self.here}}
        if kind == "password":
            return login(self.id, here)
        if kind == "unscoped":
            return login(self.id)
        if kind == "rescoped":
            return self.world.login_by({"methods": ["token"], "token": {"id": login(self.id)}}, here)
        if kind == "trust":
            return login(self.taker, by(self.new_trust()))
        if kind == "trust as the trustor":
            return login(self.taker, by(self.new_trust(**as_trustor)))
        if kind == "redelegated trust":
            first = login(self.taker, by(self.new_trust(**as_trustor)))
            second = self.trust(trustee_user_id=self.third, **as_trustor)
            made = self.world.as_token(first, "POST", "/v3/OS-TRUST/trusts", second)["trust"]["id"]
            return login(self.third, by(made))
        if kind == "ec2 key":
            return self.world.login_by_signature(self.new_ec2())
        credential, secret = self.new_app_credential(kind)
        proof = {"id": credential, "secret": secret}
        return self.world.login_by({"methods": ["application_credential"], "application_credential": proof})

    def new_app_credential(self, kind="app credential with access rules") -> tuple[str, str]:
        body = {"name": self.world.unique("app"), "unrestricted": kind.startswith("unrestricted")}
        if "access rules" in kind:
            body["access_rules"] = [{"service": "identity", "method": "GET", "path": "/v3/**"}]
        path = f"/v3/users/{self.id}/application_credentials"
        made = self.as_giver("POST", path, {"application_credential": body})["application_credential"]
        return made["id"], made["secret"]

    def trust(self, **changes) -> dict:
        body = {
            "trustor_user_id": self.id,
            "trustee_user_id": self.taker,
            "project_id": self.here,
            "impersonation": False,
            "roles": [{"name": self.role}],
        }
        return {"trust": {**body, **changes}}

    def new_trust(self, **changes) -> str:
        return self.as_giver("POST", "/v3/OS-TRUST/trusts", self.trust(**changes))["trust"]["id"]

    def new_credential(self) -> str:
        body = {"credential": {"type": "cert", "blob": "x", "user_id": self.id, "project_id": self.here}}
        return self.world.call("POST", "/v3/credentials", body)["credential"]["id"]

    def new_ec2(self) -> dict:
        path = f"/v3/users/{self.id}/credentials/OS-EC2"
        return self.world.call("POST", path, {"tenant_id": self.here})["credential"]


def by(trust) -> dict:
    return {"OS-TRUST:trust": {"id": trust}}


class Delegations(World):
    """The givers, and what World can do."""

    def __init__(self, url: str, patient=False):
        self.url, self.patient = url, patient
        self.admin = http.admin_token(url)
        self.numbers = itertools.count()
        self.roles = {role["name"]: role["id"] for role in self.call("GET", "/v3/roles")["roles"]}
        self.givers = {role: Giver(self, role) for role in ROLES}

    def new_user(self) -> str:
        return self.create("user", domain_id="default", password=PASSWORD)

    def as_token(self, token, method, path, body=None) -> dict:
        reply = self.send(method, path, {"X-Auth-Token": token}, body)
        if reply.status >= 300:
            raise RuntimeError(f"preparing by {method} {path}: {reply.status} {reply.text[:300]}")
        return reply.json() if reply.body else {}

    def login_by(self, identity, scope=None) -> str:
        auth = {"identity": identity, **({"scope": scope} if scope else {})}
        return self.subject("/v3/auth/tokens", {"auth": auth}, None)

    def login_by_signature(self, key) -> str:
        signed = {
            "access": key["access"],
            "host": "localhost",
            "verb": "GET",
            "path": "/",
            "params": {"SignatureVersion": "2", "SignatureMethod": "HmacSHA256", "AWSAccessKeyId": key["access"]},
        }
        signed["params"]["Timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        signed["signature"] = signatures.ec2_v2(key["secret"], signed)
        return self.subject("/v3/ec2tokens", {"credentials": signed}, self.admin)

    def subject(self, path, body, token) -> str:
        reply = self.send("POST", path, {"X-Auth-Token": token} if token else {}, body)
        if reply.status >= 300:
            raise RuntimeError(f"login by {path}: {reply.status} {reply.text[:300]}")
        return reply.header("X-Subject-Token")

    def ask(self, case: "Case", column: str) -> int:
        role, kind = column.split(": ")
        giver = self.givers[role]
        request = case.make(giver, kind)
        token = giver.new_token(kind) if case.suicidal else giver.tokens[kind]
        if case.suicidal:
            request.headers = {name: token if value == OWN else value for name, value in request.headers.items()}
        headers = {"X-Auth-Token": token, **request.headers}
        return self.send(case.method, request.path, headers, request.body).status


@dataclass
class Case:
    """One request to one route, made for each token anew."""

    route: str
    name: str
    make: Callable[[Giver, str], Request]
    # Is about the token that asks, and may end it: each gets a new one.
    suicidal: bool = False

    @property
    def method(self) -> str:
        return self.route.split(" ", 1)[0]

    @property
    def title(self) -> str:
        return f"{self.route} ({self.name})"


# Stands for the token that asks.
OWN = "own"
CASES: list[Case] = []


def case(route, name, make, **options):
    def request(giver, kind) -> Request:
        made = make(giver, kind)
        if isinstance(made, Request):
            return made
        return Request(*made) if isinstance(made, tuple) else Request(made)

    CASES.append(Case(route, name, request, **options))


def actor(giver, kind) -> str:
    """Who a token stands for."""
    return giver.taker if kind == "trust" else giver.id


def tokens():
    about_itself = lambda g, k: Request("/v3/auth/tokens", headers={"X-Subject-Token": OWN})  # noqa: E731
    case("GET /v3/auth/tokens", "itself", about_itself, suicidal=True)
    case("HEAD /v3/auth/tokens", "itself", about_itself, suicidal=True)
    case("DELETE /v3/auth/tokens", "itself", about_itself, suicidal=True)
    about_another = lambda g, k: Request("/v3/auth/tokens", headers={"X-Subject-Token": g.token})  # noqa: E731
    case("GET /v3/auth/tokens", "the giver's", about_another)
    for what in ("catalog", "projects", "domains", "system"):
        case(f"GET /v3/auth/{what}", "own", lambda g, k, what=what: f"/v3/auth/{what}")
    scopes = {
        "nothing": lambda g: {"unscoped": {}},
        "no scope named": lambda g: None,
        "the same project": lambda g: {"project": {"id": g.here}},
        "another project": lambda g: {"project": {"id": g.there}},
        "the domain": lambda g: {"domain": {"id": "default"}},
        "the system": lambda g: {"system": {"all": True}},
        "a trust": lambda g: by(g.foreign_trust),
    }
    for name, scope in scopes.items():

        def rescope(giver, kind, scope=scope):
            auth = {"identity": {"methods": ["token"], "token": {"id": giver.tokens[kind]}}}
            wanted = scope(giver)
            return "/v3/auth/tokens", {"auth": {**auth, **({"scope": wanted} if wanted else {})}}

        case("POST /v3/auth/tokens", f"rescoped to {name}", rescope)


def trusts():
    every, one = "/v3/OS-TRUST/trusts", "/v3/OS-TRUST/trusts/{trust_id}"
    role = lambda giver, name: {"roles": [{"id": giver.world.roles[name]}]}  # noqa: E731
    trusts = {
        "of the same": lambda g: {},
        "as the trustor": lambda g: {"impersonation": True},
        "for another project": lambda g: {"project_id": g.there, "impersonation": True},
        "for no project": lambda g: {"project_id": None, "roles": []},
        "of a lesser role": lambda g: {**role(g, "reader"), "impersonation": True},
        "of a greater role": lambda g: {**role(g, "service"), "impersonation": True},
        "to be handed on": lambda g: {"allow_redelegation": True, "impersonation": True},
        "with a number of uses": lambda g: {"remaining_uses": 1},
    }
    for name, changes in trusts.items():

        def make(giver, kind, changes=changes):
            trustee = giver.world.new_user()
            body = giver.trust(trustor_user_id=actor(giver, kind), trustee_user_id=trustee, **changes(giver))
            return every, body

        case(f"POST {every}", name, make)
    other = lambda g, k: (every, g.trust(trustor_user_id=g.bystander, trustee_user_id=g.id))  # noqa: E731
    case(f"POST {every}", "of somebody else", other)

    def forged(giver, kind):
        changes = {"trustor_user_id": actor(giver, kind), "trustee_user_id": giver.world.new_user()}
        return every, giver.trust(redelegated_trust_id=giver.foreign_trust, **changes)

    case(f"POST {every}", "by way of another", forged)
    case(f"GET {every}", "all", lambda g, k: every)
    case(f"GET {every}", "given", lambda g, k: f"{every}?trustor_user_id={actor(g, k)}")
    case(f"GET {every}", "got", lambda g, k: f"{every}?trustee_user_id={actor(g, k)}")
    case(f"GET {every}", "of the giver", lambda g, k: f"{every}?trustor_user_id={g.id}")
    for name, trust in {"of the giver": lambda g: g.foreign_trust, "absent": lambda g: ABSENT}.items():
        case(f"GET {one}", name, lambda g, k, trust=trust: f"{every}/{trust(g)}")
        case(f"GET {one}/roles", name, lambda g, k, trust=trust: f"{every}/{trust(g)}/roles")
        path = lambda g, k, trust=trust: f"{every}/{trust(g)}/roles/{g.world.roles[g.role]}"  # noqa: E731
        case(f"GET {one}/roles/{{role_id}}", name, path)
    case(f"DELETE {one}", "of the giver", lambda g, k: f"{every}/{g.new_trust()}")


def app_credentials():
    every = "/v3/users/{user_id}/application_credentials"
    path = lambda g: f"/v3/users/{g.id}/application_credentials"  # noqa: E731

    def make(giver, kind, **more):
        return path(giver), {"application_credential": {"name": giver.world.unique("made"), **more}}

    case(f"POST {every}", "of the giver", make)
    case(f"POST {every}", "unrestricted", lambda g, k: make(g, k, unrestricted=True))
    own = lambda g, k: (f"/v3/users/{actor(g, k)}/application_credentials", make(g, k)[1])  # noqa: E731
    case(f"POST {every}", "of whom it stands for", own)
    case(f"GET {every}", "of the giver", lambda g, k: path(g))
    case(f"GET {every}/{{id}}", "of the giver", lambda g, k: f"{path(g)}/{g.app_credential}")
    case(f"DELETE {every}/{{id}}", "of the giver", lambda g, k: f"{path(g)}/{g.new_app_credential()[0]}")
    rules = "/v3/users/{user_id}/access_rules"
    case(f"GET {rules}", "of the giver", lambda g, k: f"/v3/users/{g.id}/access_rules")
    case(f"GET {rules}/{{id}}", "of the giver", lambda g, k: f"/v3/users/{g.id}/access_rules/{g.access_rule}")
    case(f"DELETE {rules}/{{id}}", "of the giver, in use", lambda g, k: f"/v3/users/{g.id}/access_rules/{g.access_rule}")


def credentials():
    every, one = "/v3/credentials", "/v3/credentials/{credential_id}"
    for kind, blob in {
        "cert": "x",
        "totp": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "ec2": json.dumps({"access": "a", "secret": "s"}),
    }.items():

        def make(giver, _, kind=kind, blob=blob):
            blob = blob.replace('"a"', json.dumps(giver.world.unique("access")))
            body = {"type": kind, "blob": blob, "user_id": giver.id, "project_id": giver.here}
            return every, {"credential": body}

        case(f"POST {every}", kind, make)
    case(f"GET {every}", "all", lambda g, k: every)
    case(f"GET {every}", "of the giver", lambda g, k: f"{every}?user_id={g.id}")
    case(f"GET {one}", "of the giver", lambda g, k: f"{every}/{g.credential}")
    case(f"PATCH {one}", "of the giver", lambda g, k: (f"{every}/{g.credential}", {"credential": {"blob": "y"}}))
    case(f"DELETE {one}", "of the giver", lambda g, k: f"{every}/{g.new_credential()}")
    keys = "/v3/users/{user_id}/credentials/OS-EC2"
    path = lambda g: f"/v3/users/{g.id}/credentials/OS-EC2"  # noqa: E731
    case(f"POST {keys}", "for the project", lambda g, k: (path(g), {"tenant_id": g.here}))
    case(f"POST {keys}", "for another project", lambda g, k: (path(g), {"tenant_id": g.there}))
    case(f"GET {keys}", "of the giver", lambda g, k: path(g))
    case(f"GET {keys}/{{access}}", "of the giver", lambda g, k: f"{path(g)}/{g.ec2['access']}")
    case(f"DELETE {keys}/{{access}}", "of the giver", lambda g, k: f"{path(g)}/{g.new_ec2()['access']}")


def the_rest():
    """What a policy alone decides: a delegated token has the roles that it was given, and no more."""
    change = {"user": {"description": "changed"}}
    case("GET /v3/users/{user_id}", "the giver", lambda g, k: f"/v3/users/{g.id}")
    case("GET /v3/users/{user_id}", "somebody else", lambda g, k: f"/v3/users/{g.bystander}")
    case("PATCH /v3/users/{user_id}", "the giver", lambda g, k: (f"/v3/users/{g.id}", change))
    case("GET /v3/users/{user_id}/projects", "the giver", lambda g, k: f"/v3/users/{g.id}/projects")
    case("GET /v3/users/{user_id}/groups", "the giver", lambda g, k: f"/v3/users/{g.id}/groups")
    case("GET /v3/projects/{project_id}", "the same", lambda g, k: f"/v3/projects/{g.here}")
    case("GET /v3/projects/{project_id}", "another", lambda g, k: f"/v3/projects/{g.there}")
    case("GET /v3/users", "all", lambda g, k: "/v3/users")
    case("GET /v3/role_assignments", "all", lambda g, k: "/v3/role_assignments")
    case("POST /v3/users", "new", lambda g, k: ("/v3/users", {"user": {"name": g.world.unique("user")}}))
    grant = lambda g, k: f"/v3/projects/{g.there}/users/{g.world.new_user()}/roles/{g.world.roles['reader']}"  # noqa: E731
    case("PUT /v3/projects/{project_id}/users/{user_id}/roles/{role_id}", "another project", grant)
    system = lambda g, k: f"/v3/system/users/{g.world.new_user()}/roles/{g.world.roles['reader']}"  # noqa: E731
    case("PUT /v3/system/users/{user_id}/roles/{role_id}", "new", system)
    case("DELETE /v3/users/{user_id}/tokens", "somebody else", lambda g, k: f"/v3/users/{g.bystander}/tokens")
    body = {"user": {"original_password": "not it", "password": PASSWORD}}
    case("POST /v3/users/{user_id}/password", "of the giver", lambda g, k: (f"/v3/users/{g.id}/password", body))


for add in (tokens, trusts, app_credentials, credentials, the_rest):
    add()


@dataclass(frozen=True)
class Wrong:
    """Answers of the reference that are not kept; docs/compatibility.md names them too."""

    status: int
    why: str
    kinds: tuple[str, ...]
    roles: tuple[str, ...] = ROLES


BY_TRUST = ("trust as the trustor", "redelegated trust")
WRONG: dict[str, Wrong] = {
    "POST /v3/OS-TRUST/trusts (for another project)": Wrong(
        403, "OSSA-2014-018: what is handed on leaves the project of the trust", BY_TRUST
    ),
    "POST /v3/OS-TRUST/trusts (for no project)": Wrong(
        403, "OSSA-2014-018: what is handed on is not what was given", BY_TRUST
    ),
    "POST /v3/OS-TRUST/trusts (by way of another)": Wrong(
        403, "a chain that nobody made is believed", ("password", "unscoped", "rescoped", *BY_TRUST)
    ),
}


@dataclass(frozen=True)
class Advisory:
    """What must not be possible any more: each of these tokens gets one of these statuses from each of these cases."""

    flaw: str
    kinds: tuple[str, ...]
    cases: str
    statuses: tuple[int, ...] = (403,)
    roles: tuple[str, ...] = ROLES


# A request that access rules do not allow is refused before anything else, with 401; one about a trust that
# does not exist with 404, by whatever token.
REFUSED = (401, 403)
ADVISORIES: dict[str, Advisory] = {
    "OSSA-2013-032": Advisory(
        "an EC2 key made by a trust's token escapes the trust",
        TRUSTS,
        r"POST /v3/(credentials \(ec2\)|users/.*/OS-EC2 .*)",
    ),
    "OSSA-2014-018 CVE-2014-3476": Advisory(
        "a trust's token makes a delegation that reaches beyond the trust",
        (*TRUSTS, "ec2 key"),
        r"POST /v3/(OS-TRUST/trusts \((for .*|of a greater role|by way of another|of somebody else)\)"
        r"|users/.*/application_credentials .*)",
        (403, 404),
    ),
    "OSSA-2019-006 OSSA-2020-004 CVE-2020-12689": Advisory(
        "a delegated token reads or makes keys that carry all roles of its user",
        DELEGATED,
        r"(POST|PATCH|DELETE) /v3/(credentials|users/.*/credentials/OS-EC2).*|GET /v3/.*(OS-EC2|{credential_id}).*",
        REFUSED,
    ),
    "OSSA-2026-005 CVE-2026-33551": Advisory(
        "a restricted application credential makes EC2 keys with all roles of its user",
        ("restricted app credential", "app credential with access rules"),
        r"POST /v3/(credentials \(ec2\)|users/.*/OS-EC2 .*)",
        REFUSED,
    ),
    "CVE-2026-43000": Advisory(
        "an application credential makes, lists or deletes trusts",
        APP_CREDENTIALS,
        r"(GET|POST|DELETE) /v3/OS-TRUST/.*(?<!absent\))",
        REFUSED,
    ),
    "lp:2144966": Advisory(
        "a token by an application credential is rescoped, even to the system",
        DELEGATED,
        r"POST /v3/auth/tokens \(rescoped to .*\)",
        REFUSED,
    ),
    "lp:2149775 lp:2150089": Advisory(
        "a delegated token reads or changes the secrets of its user",
        (*TRUSTS, "ec2 key"),
        r"(GET|POST|DELETE|PATCH) /v3/users/.*/(application_credentials|access_rules|credentials/OS-EC2).*"
        r"|.*/v3/credentials/.*",
    ),
    "910ebab06": Advisory("a token by an EC2 key is accepted by the Identity API at all", ("ec2 key",), ".*"),
}


def expected(recorded: dict) -> dict[str, dict[str, int]]:
    """What Archstone shall answer, by case and column."""
    wanted = {}
    for title, statuses in recorded.items():
        wanted[title] = dict(zip(COLUMNS, statuses, strict=True))
        if rule := WRONG.get(title):
            wanted[title].update({f"{role}: {kind}": rule.status for role in rule.roles for kind in rule.kinds})
    return wanted


def observe(url, only=None, patient=False, progress=lambda text: None) -> dict[str, list[int]]:
    """The statuses by case, in the order of COLUMNS. The server must be freshly bootstrapped."""
    world = Delegations(url, patient)
    found = {}
    for one in CASES:
        if not only or re.search(only, one.title):
            progress(one.title)
            found[one.title] = [world.ask(one, column) for column in COLUMNS]
    return found


def differences(wanted: dict, found: dict[str, list[int]]) -> list[str]:
    """One line for each token that was answered otherwise."""
    return [
        f"{title} by {column}: {got} instead of {wanted.get(title, {}).get(column)}"
        for title, statuses in found.items()
        for column, got in zip(COLUMNS, statuses, strict=True)
        if wanted.get(title, {}).get(column) != got
    ]


def left_out(title) -> str | None:
    """The feature that Archstone does not have yet and this case belongs to, or None."""
    path = title.split(" ", 2)[1]
    return next((name for name, feature in FEATURES.items() if feature.path and re.search(feature.path, path)), None)


def load() -> dict[str, list[int]]:
    return json.loads(RECORDING.read_text())["cases"]


def save(found):
    lines = ",\n".join(f" {json.dumps(title)}: {json.dumps(statuses)}" for title, statuses in found.items())
    head = json.dumps({"reference": "keystone 30.0.0", "columns": COLUMNS})
    RECORDING.write_text(f"{head[:-1]},\n\"cases\": {{\n{lines}\n}}}}\n")
