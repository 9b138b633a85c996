"""Odd queries: every list, with filters that match, that don't, that make no sense."""

LISTS = {
    "/v3/users": ["name", "domain_id", "enabled", "password_expires_at", "email", "idp_id", "unique_id", "protocol_id"],
    "/v3/groups": ["name", "domain_id", "description"],
    "/v3/groups/${g}/users": ["name", "enabled", "password_expires_at"],
    "/v3/users/${u}/groups": ["name"],
    "/v3/users/${u}/projects": ["name", "enabled"],
    "/v3/projects": ["name", "domain_id", "enabled", "parent_id", "is_domain", "tags", "tags-any", "not-tags", "not-tags-any"],
    "/v3/domains": ["name", "enabled"],
    "/v3/roles": ["name", "domain_id"],
    "/v3/services": ["name", "type"],
    "/v3/endpoints": ["interface", "service_id", "region_id"],
    "/v3/regions": ["parent_region_id"],
    "/v3/credentials": ["user_id", "type"],
    "/v3/OS-EP-FILTER/endpoint_groups": ["name"],
    "/v3/users/${u}/application_credentials": ["name"],
    "/v3/users/${u}/access_rules": ["service", "path", "method"],
}
VALUES = {
    "domain_id": ["${d}", "default", "nowhere", "", "x" * 65],
    "enabled": ["true", "false", "0", "1", "", "xyz", "False", "TRUE"],
    "is_domain": ["true", "false", "0", "", "xyz"],
    "parent_id": ["${p}", "${d}", "nowhere", ""],
    "password_expires_at": ["lt:2030-01-01T00:00:00Z", "gt:2020-01-01T00:00:00Z", "2030-01-01T00:00:00Z", "xx:1", "lt:", "5"],
    "tags": ["one", "one,two", "nothing", ""],
    "tags-any": ["one,nothing", ""],
    "not-tags": ["one", "one,two"],
    "not-tags-any": ["one,nothing"],
    "service_id": ["${s}", "nowhere", ""],
    "region_id": ["region-one", "nowhere", ""],
    "parent_region_id": ["region-one", "nowhere", ""],
    "interface": ["public", "publicURL", "", "x" * 300],
    "user_id": ["${u}", "nobody", ""],
    "type": ["cert", "compute", "", "x" * 300],
    "service": ["compute", "x"],
    "name": ["u", "p", "g", "U", "%20u%20", "", "%", "x" * 300, "%C3%BC", "%00"],
}
PLAIN = ["?limit=100", "?limit=x", "?limit=-1", "?marker=nowhere", "?sort_key=name", "?sort_dir=up", "?fields=x", "?x=y", "?&&", "?limit"]
INEXACT = ["name__contains=u", "name__icontains=U", "name__startswith=u", "name__istartswith=P", "name__endswith=f", "name__nothing=u", "name__contains=", "name__contains=_"]

ASSIGNMENTS = [
    "effective",
    "effective=0",
    "include_names",
    "include_names&effective",
    "include_subtree",
    "scope.project.id=${p}",
    "scope.project.id=${p}&effective",
    "scope.project.id=${p}&effective&include_names",
    "scope.project.id=${p}&include_subtree",
    "scope.project.id=${p}&include_subtree&effective",
    "scope.project.id=${p}&include_subtree&include_names&effective",
    "scope.project.id=${p_child}&effective",
    "scope.project.id=${p_leaf}&effective&include_names",
    "scope.project.id=${d}",
    "scope.project.id=nowhere",
    "scope.project.id=nowhere&effective",
    "scope.project.id=",
    "scope.domain.id=${d}",
    "scope.domain.id=${d}&effective",
    "scope.domain.id=${d}&effective&include_names",
    "scope.domain.id=${d}&scope.OS-INHERIT:inherited_to=projects",
    "scope.domain.id=${d}&scope.OS-INHERIT:inherited_to=projects&effective",
    "scope.domain.id=nowhere",
    "scope.project.id=${p}&scope.domain.id=${d}",
    "scope.project.id=${p}&scope.system=all",
    "scope.system=all",
    "scope.system=all&effective",
    "scope.system=all&include_names",
    "scope.system=x",
    "scope.OS-INHERIT:inherited_to=projects",
    "scope.OS-INHERIT:inherited_to=x",
    "scope.OS-INHERIT:inherited_to=projects&effective",
    "user.id=${u}",
    "user.id=${u}&effective",
    "user.id=${u}&effective&include_names",
    "user.id=${u}&scope.project.id=${p_child}&effective",
    "user.id=${u}&scope.domain.id=${d}&effective",
    "user.id=${u}&scope.system=all&effective",
    "user.id=${u_two}&effective",
    "user.id=${u_two}&scope.project.id=${p}&effective",
    "user.id=nobody",
    "user.id=nobody&effective",
    "user.id=",
    "group.id=${g}",
    "group.id=${g}&effective",
    "group.id=${g}&include_names",
    "group.id=${g}&scope.OS-INHERIT:inherited_to=projects",
    "group.id=${g}&user.id=${u}",
    "role.id=${r}",
    "role.id=${r_implied}",
    "role.id=${r_implied}&effective",
    "role.id=${r_domain}&effective",
    "role.id=${role_reader}&effective&include_names",
    "role.id=nothing",
    "role.id=${r}&user.id=${u}&scope.project.id=${p}",
    "role.id=${r_implied}&user.id=${u}&scope.project.id=${p}&effective",
    "limit=1",
    "x=y",
]
PROJECT = ["parents_as_list", "parents_as_ids", "subtree_as_list", "subtree_as_ids", "parents_as_list&parents_as_ids", "subtree_as_list&subtree_as_ids", "parents_as_ids&subtree_as_ids", "parents_as_ids=0", "include_limits"]


def lists():
    for path, filters in LISTS.items():
        yield f"GET {path}"
        yield f"HEAD {path}"
        for query in PLAIN:
            yield f"GET {path}{query}"
        for name in filters:
            yield f"GET {path}?{name}"
            for value in VALUES.get(name, ["x", ""]):
                yield f"GET {path}?{name}={value}"
        if "name" in filters:
            for query in INEXACT:
                yield f"GET {path}?{query}"
            yield f"GET {path}?name=u&name=p"
            yield f"GET {path}?name=u&enabled=true&limit=100"


STEPS = [
    *lists(),
    *(f"GET /v3/role_assignments?{query}" for query in ASSIGNMENTS),
    *(f"GET /v3/projects/{id}?{query}" for id in ("${p}", "${p_leaf}", "${d}") for query in PROJECT),
    "GET /v3/projects/%3C%3Ckeystone.domain.root%3E%3E",
    "GET /v3/domains/%3C%3Ckeystone.domain.root%3E%3E",
    "GET /v3/projects?domain_id=%3C%3Ckeystone.domain.root%3E%3E",
    "GET /v3/nothing",
    "GET /v3/users/",
    "GET /v3//users",
    "GET /v3/users/a/b/c",
    "PUT /v3/users",
    "DELETE /v3/users",
    "PATCH /v3/auth/tokens",
]
