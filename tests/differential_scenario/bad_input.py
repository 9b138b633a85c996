"""Bad input on every route: made of the table of routes and the schemas.

A missing body, wrong types, unknown attributes, values that are too long, references to what does not exist, a caller
without rights, and nobody. What is sent names things of the world, but changes nothing that a later step rests on.
"""

import csv
import json
import re

from tests.golden.scope import FEATURES
from tests.support.servers import ROOT

SCHEMAS = ROOT / "crates" / "archstone" / "schemas"
ROUTES = ROOT / "tests" / "reference" / "routes.tsv"

# What stands for the parts of a path.
THINGS = {
    "user_id": "u",
    "group_id": "g",
    "project_id": "p",
    "domain_id": "d",
    "role_id": "r",
    "prior_role_id": "r",
    "implied_role_id": "r_implied",
    "service_id": "s",
    "endpoint_id": "e",
    "region_id": "region",
    "credential_id": "c",
    "endpoint_group_id": "eg",
    "application_credential_id": "ac",
    "access_rule_id": "rule",
    "value": "tag",
    "group": "ldap",
    "option": "url",
}
# Bodies that are right, with a place for a name that nothing else has.
RIGHT = {
    "identity.user_create_request": {"user": {"name": "{name}", "domain_id": "${d}"}},
    "identity.user_update_request": {"user": {"description": "{name}"}},
    "identity.group_create_request_body": {"group": {"name": "{name}", "domain_id": "${d}"}},
    "identity.group_update_request_body": {"group": {"description": "{name}"}},
    "resource.project_create_request_body": {"project": {"name": "{name}", "domain_id": "${d}"}},
    "resource.project_update_request_body": {"project": {"description": "{name}"}},
    "resource.domain_create_request_body": {"domain": {"name": "{name}", "enabled": False}},
    "resource.domain_update_request_body": {"domain": {"description": "{name}"}},
    "assignment.role_create_request_body": {"role": {"name": "{name}"}},
    "assignment.role_update_request_body": {"role": {"description": "{name}"}},
    "catalog.region_create_request_body": {"region": {"id": "{name}"}},
    "catalog.region_update_request_body": {"region": {"description": "{name}"}},
    "catalog.service_create_request_body": {"service": {"type": "{name}"}},
    "catalog.service_update_request_body": {"service": {"name": "{name}"}},
    "catalog.endpoint_create_request_body": {
        "endpoint": {"service_id": "${s}", "interface": "public", "url": "http://{name}"}
    },
    "catalog.endpoint_update_request_body": {"endpoint": {"url": "http://{name}"}},
    "catalog.endpoint_group_create_request_body": {"endpoint_group": {"name": "{name}", "filters": {"interface": "admin"}}},
    "catalog.endpoint_group_update_request_body": {"endpoint_group": {"description": "{name}"}},
    "credential.create_request_body": {"credential": {"user_id": "${u}", "type": "cert", "blob": "{name}"}},
    "credential.update_request_body": {"credential": {"blob": "{name}"}},
    "application_credential.application_credential_create_request_body": {"application_credential": {"name": "{name}"}},
    "password_change": {"user": {"original_password": "wrong", "password": "{name}"}},
}
WRONG = [5, None, [], {}, "", "<repeat x 300 times>", "nowhere at all"]
BODIES = [b"", b"{", b"[]", b"null", b"5", b'"x"', b"{}", b'{"x": {}}', b'{"a": 1, "a": 2}']


def built(path):
    return not any(feature.path and re.search(feature.path, path) for feature in FEATURES.values())


def routes():
    with open(ROUTES, newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            names = re.findall(r"\{(\w+)\}", row["path"])
            # A HEAD is a GET, and queries.py asks it of each list.
            if row["method"] != "HEAD" and row["path"].startswith("/v3/") and built(row["path"]) and all(name in THINGS for name in names):
                if "/auth/tokens" not in row["path"] and "/OS-SIMPLE-CERT" not in row["path"]:
                    yield row, names


def filled(path, names, unknown=None):
    for name in names:
        thing = THINGS[name]
        known = thing if name in ("value", "group", "option") else f"${{{thing}}}"
        path = path.replace(f"{{{name}}}", f"no-{thing}" if name == unknown else known)
    return path


def schemas():
    found = {}
    for path in sorted(SCHEMAS.glob("*.json")):
        found.update(json.loads(path.read_text())["schemas"])
    return found


def named(value, name):
    return json.loads(json.dumps(value).replace("{name}", name))


def with_body(method, path, right, schema, count):
    """Everything that can be wrong with a body; `count` makes names that differ."""
    request = f"{method} {path}"
    for raw in BODIES:
        yield {"request": request, "raw": raw.decode(), "headers": {"Content-Type": "application/json"}}
    yield {"request": request, "raw": json.dumps(named(right, count())), "headers": {"Content-Type": "text/plain"}}
    yield {"request": request, "raw": json.dumps(named(right, count()))}
    ((kind, inner),) = right.items()
    for other in (None, [], "x", 5, {}):
        yield {"request": request, "body": {kind: other}}
    yield {"request": request, "body": {**named(right, count()), "unknown": 1}}
    yield {"request": request, "body": {kind: {**named(inner, count()), "unknown": {"a": [1]}}}}
    yield {"request": request, "body": {kind: {**named(inner, count()), "id": "0" * 32}}}
    for required in inner:
        body = named(inner, count())
        del body[required]
        yield {"request": request, "body": {kind: body}}
    for attribute in schema.get("properties", {}).get(kind, {}).get("properties", {}):
        for value in WRONG:
            yield {"request": request, "body": {kind: {**named(inner, count()), attribute: value}}}


def steps():
    numbers = iter(range(1_000_000))

    def count():
        return f"bad-{next(numbers)}"

    known = schemas()
    for row, names in routes():
        method, path = row["method"], filled(row["path"], names)
        right = RIGHT.get(row["body_schema"])
        body = {"body": named(right, count())} if right else {}
        for who in ("none", "nobody", "reader"):
            # Deletions by somebody who may: not here. Those who may not, may not.
            yield {"request": f"{method} {path}", "as": who, **body}
        for name in names:
            for who in ("admin", "nobody"):
                yield {"request": f"{method} {filled(row['path'], names, unknown=name)}", "as": who, **body}
        if right:
            yield from with_body(method, path, right, known.get(row["body_schema"], {}), count)
