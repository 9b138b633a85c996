"""What the rest of the scenario is about: one of everything, and callers of several kinds."""


def make(kind, bound, path=None, /, **attributes):
    """A thing that is created; `${bound}` is its id from then on."""
    return {"request": f"POST {path or f'/v3/{kind}s'}", "body": {kind: attributes}, "save": {bound: f"{kind}.id"}}


def put(path):
    return {"request": f"PUT {path}"}


CALLERS = [
    {"login": "reader", "user": "${u_reader}", "password": "pw", "project": "${p}"},
    {"login": "manager", "user": "${u_manager}", "password": "pw", "domain": "${d}"},
    {"login": "nobody", "user": "${u_nobody}", "password": "pw"},
]

STEPS = [
    make("domain", "d", name="d", description="the first"),
    make("domain", "d2", name="d2"),
    make("domain", "d_off", name="d-off", enabled=False),
    make("project", "p", name="p", domain_id="${d}", tags=["one", "two"]),
    make("project", "p_child", name="p-child", domain_id="${d}", parent_id="${p}", tags=["two"]),
    make("project", "p_leaf", name="p-leaf", domain_id="${d}", parent_id="${p_child}"),
    make("project", "p2", name="P", domain_id="${d2}", description="of another domain"),
    make("project", "p_off", name="p-off", domain_id="${d}", enabled=False),
    make("project", "p_fixed", name="p-fixed", domain_id="${d}", options={"immutable": True}),
    make("user", "u", name="u", domain_id="${d}", password="pw", email="u@example.org", default_project_id="${p}"),
    make("user", "u_two", name="u-two", domain_id="${d}", description="", enabled=True),
    make("user", "u_off", name="u-off", domain_id="${d}", password="pw", enabled=False),
    make("user", "u_reader", name="u-reader", domain_id="${d}", password="pw"),
    make("user", "u_manager", name="u-manager", domain_id="${d}", password="pw"),
    make("user", "u_nobody", name="u-nobody", domain_id="${d2}", password="pw"),
    make("group", "g", name="g", domain_id="${d}", description="a group"),
    make("group", "g2", name="G", domain_id="${d2}"),
    make("role", "r", name="r", description="a role"),
    make("role", "r_implied", name="r-implied"),
    make("role", "r_domain", name="r-domain", domain_id="${d}"),
    make("region", "region", id="region-one", description="the first"),
    make("region", "region_child", id="region-two", parent_region_id="region-one"),
    make("service", "s", type="compute", name="nova", description="computes"),
    make("service", "s_off", type="volume", name="cinder", enabled=False),
    make("endpoint", "e", service_id="${s}", interface="public", url="http://one/%(project_id)s", region_id="region-one"),
    make("endpoint", "e_two", service_id="${s}", interface="admin", url="http://two", region_id="region-two"),
    make("endpoint", "e_off", service_id="${s}", interface="internal", url="http://three", enabled=False),
    make("endpoint_group", "eg", "/v3/OS-EP-FILTER/endpoint_groups", name="eg", filters={"interface": "public"}),
    make("credential", "c", user_id="${u}", type="cert", blob="a certificate", project_id="${p}"),
    put("/v3/groups/${g}/users/${u}"),
    put("/v3/groups/${g}/users/${u_two}"),
    put("/v3/roles/${r}/implies/${r_implied}"),
    put("/v3/projects/${p}/users/${u}/roles/${r}"),
    put("/v3/projects/${p}/users/${u_reader}/roles/${role_reader}"),
    put("/v3/domains/${d}/users/${u_manager}/roles/${role_manager}"),
    put("/v3/domains/${d}/groups/${g}/roles/${r}"),
    put("/v3/projects/${p_child}/groups/${g}/roles/${role_member}"),
    put("/v3/OS-INHERIT/domains/${d}/users/${u_two}/roles/${role_reader}/inherited_to_projects"),
    put("/v3/OS-INHERIT/projects/${p}/groups/${g}/roles/${r}/inherited_to_projects"),
    put("/v3/projects/${p}/users/${u}/roles/${r_domain}"),
    put("/v3/system/users/${u_two}/roles/${role_reader}"),
    put("/v3/system/groups/${g}/roles/${r}"),
    {"login": "own", "user": "${u}", "password": "pw", "project": "${p}", "save": {"own_user": "token.user.id"}},
    {
        "request": "POST /v3/users/${u}/application_credentials",
        "as": "own",
        "body": {
            "application_credential": {
                "name": "ac",
                "access_rules": [{"path": "/v2/servers", "method": "GET", "service": "compute"}],
            }
        },
        "save": {"ac": "application_credential.id", "rule": "application_credential.access_rules.0.id"},
    },
    *CALLERS,
]
