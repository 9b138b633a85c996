"""Send one scenario to Python Keystone and to Archstone, each on a fresh database, and compare.

    python -m tests.differential SCENARIO.yaml [--db mysql] [--set section.option=value] [-v]
    python -m tests.differential SCENARIO.yaml --only keystone    # just show its answers

A scenario is a YAML or JSON list of steps, or a Python file that defines STEPS. A step:

    - GET /v3/users?name=x                      # as the bootstrap admin, project scope
    - {request: POST /v3/users, body: {user: {name: u, password: pw}}, save: {u: user.id}}
    - {login: ut, user: "${u}", password: pw, project: "${p}"}       # or domain:, or system: true
    - {request: GET /v3/users/${u}, as: ut}     # as: none, system, or a token saved by a login
    - {request: PATCH /v3/users/${u}, headers: {X-A: b}, raw: '{bad'}

`save` binds paths of the answer's body, `save_headers` its headers. ${admin_id}, ${admin_project},
${role_admin} … are bound from the start. Bodies may use "<repeat x 300 times>".
Compared are status, headers and the whole body, but for ids, times, tokens and message texts.
"""

import argparse
import json
import re
import runpy
import sys
import time
from pathlib import Path

from tests.golden.compare import Compare, Difference, Ids, compare_headers, substitute, HEADERS
from tests.support import http
from tests.support.servers import PROGRAMS

NO_ANSWER = b"no answer"
REVOKING = re.compile(r"^(DELETE|PATCH) |^POST /v3/users/[^/]+/password$")


def load(path: Path) -> list:
    if path.suffix == ".py":
        return runpy.run_path(str(path))["STEPS"]
    import yaml

    return yaml.safe_load(path.read_text())


class Client:
    """One server's side of the scenario."""

    def __init__(self, url):
        self.url = url
        reply = http.password_login(url)
        if reply.status != 201:
            raise RuntimeError(f"admin login at {url}: {reply.status} {reply.text[:300]}")
        body = reply.json()["token"]
        self.bindings = {
            "admin": reply.header("X-Subject-Token"),
            "admin_id": body["user"]["id"],
            "admin_project": body["project"]["id"],
        }
        headers = {"X-Auth-Token": self.bindings["admin"]}
        for role in http.send(url, "GET", "/v3/roles", headers).json().get("roles", body["roles"]):
            self.bindings[f"role_{role['name']}"] = role["id"]
        self.mutated_at = 0

    def play(self, step) -> http.Reply:
        if isinstance(step, str):
            step = {"request": step}
        if "login" in step:
            return self.login(step)
        method, path = substitute(step["request"], self.bindings).split(" ", 1)
        headers = substitute(step.get("headers", {}), self.bindings)
        token = self.token(step.get("as", "admin"))
        if token:
            headers.setdefault("X-Auth-Token", token)
        body = substitute(step.get("body"), self.bindings)
        if "raw" in step:
            body = substitute(step["raw"], self.bindings).encode()
        try:
            reply = http.send(self.url, method, path, headers, body)
        except ConnectionResetError:
            # uwsgi ends so where an exception escapes before the first byte.
            reply = http.Reply(500, [], NO_ANSWER)
        if REVOKING.match(f"{method} {path}"):
            self.mutated_at = int(time.time())
        self.save(step, reply)
        return reply

    def token(self, name):
        if name == "none":
            return None
        if name == "system" and "system" not in self.bindings:
            reply = http.password_login(self.url, scope={"system": {"all": True}})
            self.bindings["system"] = reply.header("X-Subject-Token") or ""
        return self.bindings.get(name, "")

    def login(self, step) -> http.Reply:
        # Revocation counts in whole seconds; see tests/golden/replay.py.
        if self.mutated_at == int(time.time()):
            time.sleep(1.02 - time.time() % 1)
        step = {k: substitute(v, self.bindings) for k, v in step.items()}
        who = {"id": step["user"]} if re.fullmatch("[0-9a-f]{32}|[0-9a-f]{64}", step["user"]) else None
        who = who or {"name": step["user"], "domain": {"id": step.get("user_domain", "default")}}
        identity = {"methods": ["password"], "password": {"user": {**who, "password": step["password"]}}}
        auth = {"identity": identity}
        for scope in ("project", "domain"):
            if scope in step:
                auth["scope"] = {scope: {"id": step[scope]}}
        if step.get("system"):
            auth["scope"] = {"system": {"all": True}}
        reply = http.send(self.url, "POST", "/v3/auth/tokens", body={"auth": auth})
        self.bindings[step["login"]] = reply.header("X-Subject-Token") or ""
        self.save(step, reply)
        return reply

    def save(self, step, reply):
        for name, where in step.get("save", {}).items():
            try:
                value = reply.json()
                for part in where.split("."):
                    value = value[int(part)] if isinstance(value, list) else value[part]
                self.bindings[name] = value
            except (ValueError, LookupError, TypeError):
                self.bindings.pop(name, None)
        for name, header in step.get("save_headers", {}).items():
            self.bindings[name] = reply.header(header) or ""


def compare(ids: Ids, theirs: http.Reply, ours: http.Reply):
    """Raise Difference unless our answer is theirs."""
    if theirs.status != ours.status:
        raise Difference("status", theirs.status, f"({ours.status}) {ours.text[:200]}")
    check = Compare(ids, set())
    compare_headers(check, {h: v for h in HEADERS if (v := theirs.header(h)) is not None}, ours)
    bodies = []
    for reply in (theirs, ours):
        try:
            body = reply.json() if reply.body.strip() else None
        except ValueError:
            body = reply.text[:60]
        if isinstance(body, dict) and isinstance(body.get("error"), dict):
            body["error"]["message"] = "<redacted>"
        bodies.append(body)
    check.value("body", *bodies)


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.differential", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", type=Path)
    parser.add_argument("--db", choices=("sqlite", "mysql", "postgresql"), default="sqlite")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.OPTION=VALUE")
    parser.add_argument("--only", choices=tuple(PROGRAMS), help="show one program's answers instead of comparing")
    parser.add_argument("--verbose", "-v", action="store_true")
    arguments = parser.parse_args()

    conf: dict = {"identity": {"password_hash_rounds": 5}}
    for setting in arguments.set:
        name, _, value = setting.partition("=")
        section, _, option = name.partition(".")
        conf.setdefault(section, {})[option] = value
    steps = load(arguments.scenario)

    servers = {}
    different = 0
    try:
        for program in [arguments.only] if arguments.only else PROGRAMS:
            servers[program] = PROGRAMS[program](db=arguments.db, conf=conf)
            servers[program].prepare().start()
        clients = {name: Client(server.url) for name, server in servers.items()}
        ids = Ids(*(c.url for c in reversed(clients.values())))
        for number, step in enumerate(steps, 1):
            replies = {name: client.play(step) for name, client in clients.items()}
            title = step if isinstance(step, str) else step.get("request") or f"login {step['login']}"
            if arguments.only or arguments.verbose:
                for name, reply in replies.items():
                    print(f"{number} {title}\n    {name}: {reply.status} {reply.text[:2000]}")
            if arguments.only:
                continue
            try:
                trial = ids.copy()
                compare(trial, *replies.values())
                ids.adopt(trial)
            except Difference as difference:
                different += 1
                print(f"{number} {title}\n    {difference}")
                if not arguments.verbose:
                    for name, reply in replies.items():
                        print(f"    {name}: {reply.status} {reply.text[:400]}")
    finally:
        for server in servers.values():
            server.close()
    if not arguments.only:
        print(f"{len(steps)} steps, {different} differ")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
