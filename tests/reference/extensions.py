"""Cases of authorization.py about what stands beside the core: delegation, limits, filters, policies."""

ABSENT = "0123456789abcdef0123456789abcdef"


class Beside:
    """Objects for the cases, made as the user whom they belong to where only that one may."""

    def __init__(self, world):
        self.world = world
        self.kept = {}

    def keep(self, name, make):
        """Made once, for cases that only look."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]

    def token(self, where):
        """A token of the user of a domain, with its role on the project of the domain."""
        scope = {"project": {"id": self.world.project[where]}}
        return self.keep(f"token {where}", lambda: self.world.login(self.world.user[where], scope))

    def post(self, path, body, token=None):
        headers = {"X-Auth-Token": token or self.world.admin}
        reply = self.world.send("POST", path, headers, body)
        if reply.status >= 300:
            raise RuntimeError(f"preparing by POST {path}: {reply.status} {reply.text[:300]}")
        return next(value for value in reply.json().values() if isinstance(value, (dict, list)))

    def application_credential(self, user, token):
        """Path of an application credential, and of its access rule."""
        rule = {"path": f"/{self.world.unique('rule')}", "method": "GET", "service": "compute"}
        body = {"application_credential": {"name": self.world.unique("app"), "access_rules": [rule]}}
        made = self.post(f"/v3/users/{user}/application_credentials", body, token)
        mine = f"/v3/users/{user}"
        return f"{mine}/application_credentials/{made['id']}", f"{mine}/access_rules/{made['access_rules'][0]['id']}"

    def free_access_rule(self, user, token):
        """Path of an access rule that no application credential has any more."""
        made, rule = self.application_credential(user, token)
        self.world.send("DELETE", made, {"X-Auth-Token": token})
        return rule

    def trust(self, where, trustee):
        """A trust that the user of a domain gives, with the role that it has."""
        body = {
            "trustor_user_id": self.world.user[where],
            "trustee_user_id": trustee,
            "impersonation": False,
            "project_id": self.world.project[where],
            "roles": [{"id": self.world.roles["reader"]}],
            # One that is just like another is refused.
            "expires_at": f"2099-01-01T00:{next(self.world.numbers) // 60 % 60:02}:{next(self.world.numbers) % 60:02}Z",
        }
        return "/v3/OS-TRUST/trusts/" + self.post("/v3/OS-TRUST/trusts", {"trust": body}, self.token(where))["id"]

    def registered_limit(self):
        body = {"service_id": self.world.service, "resource_name": self.world.unique("r"), "default_limit": 10}
        return self.post("/v3/registered_limits", {"registered_limits": [body]})[0]

    def limit_body(self, holder):
        registered = self.registered_limit()
        same = {name: registered[name] for name in ("service_id", "resource_name")}
        return {"limits": [{**same, **holder, "resource_limit": 5}]}

    def limit(self, holder):
        return "/v3/limits/" + self.post("/v3/limits", self.limit_body(holder))[0]["id"]

    def endpoint_group(self):
        return "/v3/OS-EP-FILTER/endpoint_groups/" + self.post(*endpoint_group(self.world))["id"]

    def policy(self):
        return "/v3/policies/" + self.post("/v3/policies", POLICY)["id"]

    def put(self, path):
        self.world.call("PUT", path)
        return path


POLICY = {"policy": {"type": "application/json", "blob": "{}"}}
CONFIG = {"config": {"identity": {"driver": "sql"}}}


def endpoint_group(world):
    group = {"name": world.unique("group"), "filters": {"interface": "public"}}
    return "/v3/OS-EP-FILTER/endpoint_groups", {"endpoint_group": group}


class Cases:
    """Adds cases whose `make` takes what stands beside the world, and a place or a persona."""

    def __init__(self, case, read):
        self._case, self._read = case, read

    @staticmethod
    def _beside(world):
        if not hasattr(world, "beside"):
            world.beside = Beside(world)
        return world.beside

    def case(self, route, name, make, **options):
        self._case(route, name, lambda w, p: make(self._beside(w), p), **options)

    def read(self, route, name, make, **options):
        self._read(route, name, lambda w, p: make(self._beside(w), p), **options)

    def places(self, add, route, make, **options):
        """The same about the things of both domains."""
        for where in ("own", "other"):
            add(route, where, lambda b, _, where=where: make(b, where), **options)

    def everything(self, every, one, change, body, made, kind):
        """List, create, show, change and delete what belongs to nobody."""
        self.read(every, "all", lambda b, p: every)
        self.case(f"POST {every}", "new", lambda b, p: body(b))
        self.read(one, "global", lambda b, p: b.keep(kind, lambda: made(b)))
        self.read(one, "absent", lambda b, p: f"{every}/{ABSENT}")
        self.case(f"PATCH {one}", "global", lambda b, p: (b.keep(kind, lambda: made(b)), change))
        self.case(f"PATCH {one}", "absent", lambda b, p: (f"{every}/{ABSENT}", change))
        self.case(f"DELETE {one}", "global", lambda b, p: made(b))
        self.case(f"DELETE {one}", "absent", lambda b, p: f"{every}/{ABSENT}")


def domain_configuration(add):
    base = "/v3/domains/{domain_id}/config"

    def configured(beside, where, ending=""):
        path = f"/v3/domains/{beside.world.domain[where]}/config"
        beside.world.call("PUT", path, CONFIG)
        return path + ending

    for template, ending in (("", ""), ("/{group}", "/identity"), ("/{group}/{option}", "/identity/driver")):
        body = {"config": {"driver": "sql"}} if "option" in template else CONFIG
        add.places(add.read, base + template, lambda b, where, ending=ending: configured(b, where, ending))
        add.places(
            add.case,
            f"PATCH {base}{template}",
            lambda b, where, ending=ending, body=body: (configured(b, where, ending), body),
        )
        add.places(add.case, f"DELETE {base}{template}", lambda b, where, ending=ending: configured(b, where, ending))
        default = f"/v3/domains/config{template}/default"
        add.read(default, "global", lambda b, p, ending=ending: f"/v3/domains/config{ending}/default")
    add.places(add.case, f"PUT {base}", lambda b, where: (configured(b, where), CONFIG))
    for method, body in (("GET", None), ("PUT", CONFIG), ("PATCH", CONFIG), ("DELETE", None)):
        add.case(f"{method} {base}", "absent", lambda b, p, body=body: (f"/v3/domains/{ABSENT}/config", body))
    rules = "/v3/domains/default/config/security_compliance"
    add.read(f"{base}/{{group}}", "password rules", lambda b, p: rules)
    add.read(f"{base}/{{group}}/{{option}}", "password rules", lambda b, p: f"{rules}/password_regex")


def revocation_events(add):
    add.read("/v3/OS-REVOKE/events", "all", lambda b, p: "/v3/OS-REVOKE/events")
    for path in ("/v3/OS-SIMPLE-CERT/ca", "/v3/OS-SIMPLE-CERT/certificates", "/v3/auth/tokens/OS-PKI/revoked"):
        add.read(path, "public", lambda b, p, path=path: path)


def application_credentials(add):
    every, rules = "/v3/users/{user_id}/application_credentials", "/v3/users/{user_id}/access_rules"
    one, rule = f"{every}/{{application_credential_id}}", f"{rules}/{{access_rule_id}}"

    def path(beside, user):
        return f"/v3/users/{user}/application_credentials"

    def theirs(beside, where):
        return beside.application_credential(beside.world.user[where], beside.token(where))

    def mine(beside, persona):
        """Nothing for those who can have none, whose token has another scope than a project's."""
        user = beside.world.persona_ids.get(persona, ABSENT)
        if persona == "no token" or persona.endswith(("domain", "system")):
            return f"{path(beside, user)}/{ABSENT}", f"/v3/users/{user}/access_rules/{ABSENT}"
        return beside.application_credential(user, beside.world.tokens[persona])

    def free_rule(beside, persona):
        made, rule = mine(beside, persona)
        if not made.endswith(ABSENT):
            beside.world.send("DELETE", made, {"X-Auth-Token": beside.world.tokens[persona]})
        return rule

    def new(beside):
        return {"application_credential": {"name": beside.world.unique("app")}}

    add.places(add.read, every, lambda b, where: path(b, b.world.user[where]))
    add.read(every, "self", lambda b, p: path(b, b.world.persona_ids.get(p, ABSENT)), personal=True)
    add.places(add.case, f"POST {every}", lambda b, where: (path(b, b.world.user[where]), new(b)))
    add.case(
        f"POST {every}", "self", lambda b, p: (path(b, b.world.persona_ids.get(p, ABSENT)), new(b)), personal=True
    )
    add.places(add.read, one, lambda b, where: theirs(b, where)[0])
    add.places(add.case, f"DELETE {one}", lambda b, where: theirs(b, where)[0])
    add.read(one, "self", lambda b, p: mine(b, p)[0], personal=True)
    add.case(f"DELETE {one}", "self", lambda b, p: mine(b, p)[0], personal=True)
    add.read(one, "absent", lambda b, p: f"{path(b, b.world.user['own'])}/{ABSENT}")
    add.places(add.read, rules, lambda b, where: f"/v3/users/{b.world.user[where]}/access_rules")
    add.read(rules, "self", lambda b, p: f"/v3/users/{b.world.persona_ids.get(p, ABSENT)}/access_rules", personal=True)
    add.places(add.read, rule, lambda b, where: theirs(b, where)[1])
    add.read(rule, "self", lambda b, p: mine(b, p)[1], personal=True)
    add.places(
        add.case, f"DELETE {rule}", lambda b, where: b.free_access_rule(b.world.user[where], b.token(where))
    )
    add.case(f"DELETE {rule}", "self", free_rule, personal=True)


def trusts(add):
    every, one = "/v3/OS-TRUST/trusts", "/v3/OS-TRUST/trusts/{trust_id}"

    def theirs(beside, where):
        return beside.trust(where, beside.world.user["other" if where == "own" else "own"])

    def given_to(beside, persona):
        return beside.trust("own", beside.world.persona_ids.get(persona, beside.world.user["other"]))

    def new(beside, trustor):
        body = {"trustor_user_id": trustor, "trustee_user_id": beside.world.user["own"], "impersonation": False}
        return every, {"trust": {**body, "roles": []}}

    def role(beside):
        return beside.world.roles["reader"]

    add.read(every, "all", lambda b, p: every)
    for side in ("trustor", "trustee"):
        for where in ("own", "other"):
            add.read(
                every,
                f"{side} {where}",
                lambda b, p, side=side, where=where: f"{every}?{side}_user_id={b.world.user[where]}",
            )
        add.read(
            every,
            f"{side} self",
            lambda b, p, side=side: f"{every}?{side}_user_id={b.world.persona_ids.get(p, ABSENT)}",
            personal=True,
        )
    add.places(add.case, f"POST {every}", lambda b, where: new(b, b.world.user[where]))
    add.case(f"POST {every}", "self", lambda b, p: new(b, b.world.persona_ids.get(p, ABSENT)), personal=True)
    for ending, template in (("", ""), ("/roles", "/roles"), (role, "/roles/{role_id}")):
        end = (lambda b, e=ending: f"/roles/{e(b)}") if callable(ending) else (lambda b, e=ending: e)
        add.places(add.read, one + template, lambda b, where, end=end: theirs(b, where) + end(b))
        add.read(one + template, "trustee", lambda b, p, end=end: given_to(b, p) + end(b), personal=True)
        add.read(one + template, "absent", lambda b, p, end=end: f"{every}/{ABSENT}" + end(b))
    add.places(add.case, f"DELETE {one}", theirs)
    add.case(f"DELETE {one}", "trustee", given_to, personal=True)
    add.case(f"DELETE {one}", "absent", lambda b, p: f"{every}/{ABSENT}")


def registered_limits(add):
    every, one = "/v3/registered_limits", "/v3/registered_limits/{registered_limit_id}"

    def body(beside):
        new = {"service_id": beside.world.service, "resource_name": beside.world.unique("r"), "default_limit": 10}
        return every, {"registered_limits": [new]}

    change = {"registered_limit": {"default_limit": 11}}
    add.everything(every, one, change, body, lambda b: f"{every}/{b.registered_limit()['id']}", "registered limit")


def limits(add):
    every, one = "/v3/limits", "/v3/limits/{limit_id}"
    holders = {
        f"{where} {kind}": lambda b, where=where, kind=kind: {f"{kind}_id": getattr(b.world, kind)[where]}
        for where in ("own", "other")
        for kind in ("project", "domain")
    }
    change = {"limit": {"resource_limit": 6}}
    add.read(every, "all", lambda b, p: every)
    add.read("/v3/limits/model", "public", lambda b, p: "/v3/limits/model")
    for name, holder in holders.items():
        add.case(f"POST {every}", name, lambda b, p, holder=holder: (every, b.limit_body(holder(b))))
        kept = lambda b, name=name, holder=holder: b.keep(f"limit {name}", lambda: b.limit(holder(b)))  # noqa: E731
        add.read(one, name, lambda b, p, kept=kept: kept(b))
        add.case(f"PATCH {one}", name, lambda b, p, kept=kept: (kept(b), change))
        add.case(f"DELETE {one}", name, lambda b, p, holder=holder: b.limit(holder(b)))
    for method, sent in (("GET", None), ("PATCH", change), ("DELETE", None)):
        add.case(f"{method} {one}", "absent", lambda b, p, sent=sent: (f"{every}/{ABSENT}", sent))


def endpoint_filters(add):
    base = "/v3/OS-EP-FILTER"
    every, one = f"{base}/endpoint_groups", f"{base}/endpoint_groups/{{endpoint_group_id}}"
    change = {"endpoint_group": {"description": "changed"}}
    add.everything(every, one, change, lambda b: endpoint_group(b.world), Beside.endpoint_group, "endpoint group")
    group = lambda b: b.keep("endpoint group", b.endpoint_group)  # noqa: E731
    for what in ("endpoints", "projects"):
        add.read(f"{one}/{what}", "global", lambda b, p, what=what: f"{group(b)}/{what}")
    of_endpoint = f"{base}/endpoints/{{endpoint_id}}/projects"
    add.read(of_endpoint, "global", lambda b, p: f"{base}/endpoints/{b.world.endpoint}/projects")
    member, project = f"{one}/projects/{{project_id}}", f"{base}/projects/{{project_id}}"

    def endpoint_path(beside, where):
        return f"{base}/projects/{beside.world.project[where]}/endpoints/{beside.world.endpoint}"

    for what in ("endpoint_groups", "endpoints"):
        add.places(
            add.read,
            f"{project}/{what}",
            lambda b, where, what=what: f"{base}/projects/{b.world.project[where]}/{what}",
        )
    in_group = lambda b, where: f"{b.endpoint_group()}/projects/{b.world.project[where]}"  # noqa: E731
    add.places(add.read, member, lambda b, where: b.put(in_group(b, where)))
    # A second time is 409.
    for where in ("own", "other"):
        add.case(f"PUT {member}", where, lambda b, p, where=where: in_group(b, where), personal=True)
    add.places(add.case, f"DELETE {member}", lambda b, where: b.put(in_group(b, where)))

    def associated(beside, where):
        path = f"{base}/projects/{beside.world.project[where]}/endpoints/{beside.world.create_endpoint()}"
        return beside.put(path)

    route = f"{project}/endpoints/{{endpoint_id}}"
    add.places(add.read, route, associated)
    for where in ("own", "other"):
        add.case(
            f"PUT {route}",
            where,
            lambda b, p, where=where: f"{base}/projects/{b.world.project[where]}/endpoints/{b.world.create_endpoint()}",
            personal=True,
        )
    add.places(add.case, f"DELETE {route}", associated)


def policies(add):
    every, one = "/v3/policies", "/v3/policies/{policy_id}"
    change = {"policy": {"type": "text/plain"}}
    add.everything(every, one, change, lambda b: (every, POLICY), Beside.policy, "policy")
    policy = lambda b: b.keep("policy", b.policy)  # noqa: E731
    add.read(f"{one}/OS-ENDPOINT-POLICY/endpoints", "global", lambda b, p: f"{policy(b)}/OS-ENDPOINT-POLICY/endpoints")
    associations = {
        "endpoints/{endpoint_id}": lambda b: f"endpoints/{b.world.endpoint}",
        "services/{service_id}": lambda b: f"services/{b.world.service}",
        "services/{service_id}/regions/{region_id}": lambda b: f"services/{b.world.service}/regions/{b.world.region}",
    }
    for template, ending in associations.items():
        route = f"{one}/OS-ENDPOINT-POLICY/{template}"
        full = lambda b, ending=ending: f"{policy(b)}/OS-ENDPOINT-POLICY/{ending(b)}"  # noqa: E731
        add.case(f"PUT {route}", "global", lambda b, p, full=full: full(b))
        add.read(route, "global", lambda b, p, full=full: b.put(full(b)))
        add.case(f"DELETE {route}", "global", lambda b, p, full=full: b.put(full(b)))
    add.read(
        "/v3/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy",
        "global",
        lambda b, p: (b.put(f"{policy(b)}/OS-ENDPOINT-POLICY/endpoints/{b.world.endpoint}"), path_of_policy(b))[1],
    )


def path_of_policy(beside):
    return f"/v3/endpoints/{beside.world.endpoint}/OS-ENDPOINT-POLICY/policy"


def add_all(case, read):
    add = Cases(case, read)
    for family in (
        *(domain_configuration, revocation_events, application_credentials, trusts),
        *(registered_limits, limits, endpoint_filters, policies),
    ):
        family(add)
