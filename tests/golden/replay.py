"""Sends recorded steps to a server, in their order, and compares each answer."""

import base64
import json
import re
import shutil
import time
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from tests.golden import signatures
from tests.golden.accepted import accepted
from tests.golden.compare import Compare, Difference, Ids, compare_headers, substitute
from tests.golden.scope import left_out
from tests.support import http
from tests.support.servers import PROGRAMS, Server

RECORDINGS = Path(__file__).resolve().parents[1] / "reference" / "golden"
SERVERS = json.loads((RECORDINGS / "_servers.json").read_text())["servers"]
FILES = [name for server in SERVERS for name in server["files_in_order"]]

# Names that the recorder bound outside the recorded steps.
EARLIER_NAMES = {
    ("projects", "prev"): "p1a",
    ("variant_token_expiry_rescope_limits", "old"): "sc",
}
# The headers of a proxy, as `build` configures them, by the web server's variable that says the same.
PROXY_HEADERS = {
    "REMOTE_USER": "X-Remote-User",
    "REMOTE_DOMAIN": "X-Remote-Domain",
    "SCRIPT_NAME": "X-Forwarded-Prefix",
}
# Seconds to let pass before a step: a lock, a token or a window has to run out.
WAITS = {
    ("variant_security_compliance", 20): 3.2,
    ("variant_token_expiry_rescope_limits", 6): 4.2,
    ("variant_token_expiry_rescope_limits", 11): 12.5,
}
# In this file tokens live for three seconds: the recorder logged in afresh before each step.
FRESH_ADMIN = {"variant_token_expiry_rescope_limits"}
# Pages cut from a list in the order of random ids: another run shows other items. Their number counts.
PAGES = {
    "variant_list_limit_public_endpoint_debug": ("users", "groups", "projects"),
    "variant_max_db_limit_only": ("users", "groups", "projects"),
}


# The recorder kept only the newest entries of these lists.
NEWEST_ONLY = {("revoke_events", 6), ("revoke_events", 10)}
# Ids whose case the recorder changed: by the folder they stand in.
UPPER_CASE = {"users": "u", "projects": "pj"}
# Python Keystone signs these with the program xmlsec1.
NEEDS_XMLSEC = {("federation", 59), ("federation", 60)}
TOKEN = re.compile(r"gAAAA[\w\-=]{40,}|eyJ[\w\-.]+")
# What may revoke tokens; later tokens must be of a later second.
REVOKING = re.compile(r"^(DELETE|PATCH) |^POST /v3/users/[^/]+/password$")


@dataclass
class Outcome:
    """What became of one step: 'same', 'differs', 'accepted' or 'skipped', and why."""

    file: str
    step: dict
    verdict: str
    detail: str = ""

    def line(self) -> str:
        s = self.step
        return f"{self.file} {s['n']} {s['method']} {s['path']} [{s['name']}]  {self.detail}"


@dataclass
class Run:
    """One server's state of the replay."""

    url: str
    program: str
    # The database, if it is another than the recorded one.
    db: str | None = None
    ids: Ids = field(init=False)
    roles: dict = field(default_factory=dict)

    def __post_init__(self):
        self.ids = Ids(self.url)

    def replay_file(self, name: str, on_outcome=lambda outcome: None) -> list[Outcome]:
        recording = json.loads((RECORDINGS / f"{name}.json").read_text())
        self.bindings = self.role_ids()
        self.secrets = {}
        self.has_window = False
        self.mutated_at = 0.0
        outcomes = []
        for step in recording["steps"]:
            outcome = self.play(name, step)
            outcomes.append(outcome)
            on_outcome(outcome)
        return outcomes

    def role_ids(self) -> dict:
        if not self.roles:
            token = http.admin_token(self.url)
            reply = http.send(self.url, "GET", "/v3/roles", {"X-Auth-Token": token})
            # Where listing them is forbidden, those of the token must do.
            if reply.status != 200:
                reply = http.send(self.url, "GET", "/v3/auth/tokens", {"X-Auth-Token": token, "X-Subject-Token": token})
            body = reply.json()
            roles = body["roles"] if "roles" in body else body["token"]["roles"]
            self.roles = {f"role_{r['name']}": r["id"] for r in roles}
        return dict(self.roles)

    def play(self, file: str, step: dict) -> Outcome:
        if feature := left_out(file, step) if self.program == "archstone" else None:
            return Outcome(file, step, "skipped", feature)
        if self.program == "keystone" and (file, step["n"]) in NEEDS_XMLSEC and not shutil.which("xmlsec1"):
            return Outcome(file, step, "skipped", "xmlsec1 is not installed")
        for name in names_in(step):
            earlier = EARLIER_NAMES.get((file, name))
            if name not in self.bindings and earlier in self.bindings:
                self.bindings[name] = self.bindings[earlier]
        missing = [n for n in names_in(step) if n not in self.bindings and n != "req_id"]
        if missing:
            return Outcome(file, step, "skipped", f"needs ${{{missing[0]}}} of a step that was left out")
        self.wait_before(file, step)
        try:
            reply = self.send(file, step)
        except (OSError, HTTPException) as error:
            # uwsgi closes the connection on an exception that Python let escape.
            if self.program == "keystone" and "uncaught_python_exception" in step:
                return Outcome(file, step, "same")
            return Outcome(file, step, "differs", f"no answer: {error!r}")
        if REVOKING.match(f"{step['method']} {step['path']}") and reply.status < 400:
            self.mutated_at = time.time()
        reason = accepted(self.db, file, step["n"]) if self.program == "archstone" else None
        try:
            self.check(file, step, reply)
        except Difference as difference:
            detail = f"expected {step['status']} got {reply.status} | {difference}"
            if reply.status >= 400 and reply.status != step["status"]:
                detail += f" | {' '.join(reply.text[:200].split())}"
            if reason:
                return Outcome(file, step, "accepted", reason)
            return Outcome(file, step, "differs", detail)
        if reason:
            return Outcome(file, step, "differs", "is listed in accepted.py, but does not differ")
        return Outcome(file, step, "same")

    def wait_before(self, file, step):
        if wait := WAITS.get((file, step["n"])):
            time.sleep(wait)
        if file in FRESH_ADMIN and step["n"] > 5:
            self.bindings["admin_token"] = http.admin_token(self.url)
        # Revocation counts in whole seconds: a token of the second in which something was revoked
        # is revoked too. The recorder waited as well.
        logs_in = step["path"].startswith("/v3/auth/tokens") and step["method"] == "POST"
        if logs_in and step["status"] < 300 and int(self.mutated_at) == int(time.time()):
            time.sleep(int(time.time()) + 1.02 - time.time())

    def send(self, file, step) -> http.Reply:
        path = substitute(step["path"], self.bindings)
        path = re.sub(
            r"/(users|projects)/(?=[0-9A-F]*[A-F])[0-9A-F]{32}",
            lambda m: f"/{m[1]}/{self.bindings[UPPER_CASE[m[1]]].upper()}",
            path,
        )
        headers = substitute(step["request_headers"], {**self.bindings, "req_id": "req-" + "1" * 8 + "-1111" * 3 + "-" + "1" * 12})
        body = substitute(step.get("request_body"), self.bindings)
        if "request_body_raw" in step:
            body = self.raw_body(step)
        elif "request_body" in step:
            body = self.computed_body(file, step, body)
            body = json.dumps(body).encode()
        # The recorder's client sent this one where none is recorded.
        if not any(k.lower() == "accept" for k in headers):
            headers["Accept"] = "application/json"
        if "Authorization" in headers:
            headers["Authorization"] = self.authorization(step, headers["Authorization"], path)
        if "wsgi_environ" in step:
            environ = {k: certificate() if k == "SSL_CLIENT_CERT" else v for k, v in step["wsgi_environ"].items()}
            if self.program == "archstone":
                # What the reference learns from its web server, a trusted proxy tells us.
                headers.update({PROXY_HEADERS[name]: value for name, value in environ.items() if name in PROXY_HEADERS})
            else:
                headers["X-Test-Environ"] = base64.b64encode(json.dumps(environ).encode()).decode()
        return http.send(self.url, step["method"], path, headers, body)

    def raw_body(self, step) -> bytes:
        raw = step["request_body_raw"]
        if step["name"] == "invalid utf8 body":
            return b'{"a":"\xff\xfe"} '[:12]
        if match := re.fullmatch(r"<(\d+) bytes>", raw):
            frame = b'{"x":"%s"}'
            return frame % (b"x" * (int(match[1]) - len(frame) + 2))
        return substitute(raw, self.bindings).encode()

    def computed_body(self, file, step, body):
        """The body with passcodes and signatures of this moment."""
        self.remember_secrets(step, body)
        text = json.dumps(body)
        if '"passcode"' in text:
            self.wait_for_window()
            ago = {"previous window accepted": 1, "two windows ago refused": 3}.get(step["name"], 0)
            if body["auth"]["identity"]["totp"]["user"]["passcode"] != "000000":
                code = signatures.totp(self.secrets["totp"], ago)
                body["auth"]["identity"]["totp"]["user"]["passcode"] = code
        signed = body.get("credentials", body.get("ec2Credentials"))
        if isinstance(signed, dict) and signed.get("signature", "bad") != "bad":
            secret = self.bindings["sk"]
            if "token" in signed or step["path"].endswith("s3tokens"):
                signed["signature"] = signatures.s3(secret, signed.get("token", ""))
            else:
                signed["signature"] = signatures.ec2_v2(secret, signed)
        return body

    def wait_for_window(self):
        """All passcodes of a recording are of one window: for the first, wait until it is young enough."""
        if not self.has_window and time.time() % 30 > 15:
            time.sleep(30.1 - time.time() % 30)
        self.has_window = True

    def remember_secrets(self, step, body):
        credential = body.get("credential") if isinstance(body, dict) else None
        if isinstance(credential, dict) and credential.get("type") == "totp":
            self.secrets["totp"] = credential["blob"]

    def authorization(self, step, recorded, path) -> str:
        if recorded.startswith("Basic "):
            name, secret = base64.b64decode(recorded[6:]).decode().split(":", 1)
            # The recorder had put the application credential's id where its name stood.
            name = self.bindings["ac"] if re.fullmatch("[0-9a-f]{32}", name) else name
            return "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()
        consumer_secret, token_secret = self.bindings["cs"], ""
        if "oauth_token=" in recorded:
            token_secret = self.bindings["as"] if f'"{self.bindings.get("at")}"' in recorded else self.bindings["rs"]
        if step["name"].endswith("bad signature"):
            consumer_secret = "bad"
        if step["name"].endswith("bad secret"):
            token_secret = "bad"
        return signatures.oauth1(step["method"], self.url + path, recorded, consumer_secret, token_secret)

    def check(self, file, step, reply):
        """Raise Difference unless the answer is the recorded one."""
        if "uncaught_python_exception" in step:
            return self.check_uncaught(reply)
        self.save(step, reply)
        if reply.status != step["status"]:
            raise Difference("status", step["status"], reply.status)
        compare = Compare(self.ids, set(self.bindings.values()))
        expected_headers = substitute(step["response_headers"], {**self.bindings})
        compare_headers(compare, expected_headers, reply)
        if "response_body_text" in step:
            self.check_text(compare, substitute(step["response_body_text"], self.bindings), reply)
            return
        expected = substitute(step["response_body"], self.bindings)
        if expected is None:
            if reply.body.strip():
                raise Difference("body", None, reply.text[:80])
            return
        try:
            got = reply.json()
        except ValueError:
            raise Difference("body", expected, f"(not JSON) {reply.text[:80]}") from None
        expected, got = self.without_page_items(file, step, expected, got)
        ids = self.ids.copy()
        Compare(ids, compare.exact).value("body", expected, got)
        self.ids.adopt(ids)
        self.check_mentions(step, reply)

    def check_uncaught(self, reply):
        """Where Python let an exception escape, a proper JSON error is due."""
        if self.program == "keystone":
            if reply.status != 500:
                raise Difference("status", 500, reply.status)
            return
        if not 400 <= reply.status <= 500:
            raise Difference("status", "(4xx or 500 with a JSON error)", reply.status)
        try:
            code = reply.json()["error"]["code"]
        except (ValueError, KeyError, TypeError):
            raise Difference("body", "(a JSON error)", reply.text[:80]) from None
        if code != reply.status:
            raise Difference("body.error.code", reply.status, code)

    def check_text(self, compare, expected, reply):
        got = reply.text
        if expected.startswith("oauth_token="):
            compare.value("body", dict(parse_qsl(expected)), dict(parse_qsl(got)))
            return
        # The recordings keep only the beginning of pages and XML documents; attributes may vary.
        if expected.startswith("<ns0:"):
            if not re.match(r"<(\?xml[^>]*>\s*<)?(\w+:)?" + expected[5:].split(" ")[0], got):
                raise Difference("body", expected, got[:80])
            return
        if not got.startswith(expected.split("${")[0]):
            raise Difference("body", expected, got[:80])

    def without_page_items(self, file, step, expected, got):
        """For a page in the order of random ids: how many items, and the shape of its links.

        Where a page starts behind a marker, even the number of items is chance.
        """
        if (file, step["n"]) in NEWEST_ONLY:
            return expected, {**got, "events": got["events"][-len(expected["events"]) :]}
        query = dict(parse_qsl(urlsplit(step["path"]).query))
        keys = ("users", "groups", "projects", "domains") if "limit" in query else PAGES.get(file, ())
        for key in keys:
            if step["method"] != "GET" or not isinstance(expected.get(key), list) or not isinstance(got.get(key), list):
                continue
            pages = []
            for body in (expected, got):
                links = {k: v and re.sub(r"marker=\w+", "marker=M", v) for k, v in body["links"].items()}
                page = {**body, key: len(body[key]), "links": links}
                if "marker" in query:
                    page = {"links": {k: v for k, v in links.items() if k != "next"}}
                pages.append(page)
            return pages
        return expected, got

    def check_mentions(self, step, reply):
        """Texts are our own, but name what they are about.

        Where the input is at fault, one of the names or ids of the recorded text at least; it dumps
        whole bodies. Elsewhere every id, but not the words: "domain" or "token" are prose, too. And
        no token: the reference repeats those it does not find, ours stay secret.
        """
        wanted = step.get("message_mentions") or []
        error = reply.json().get("error") if wanted else None
        text = error.get("message", "") if isinstance(error, dict) else reply.text
        if step["status"] == 400:
            wanted = substitute(wanted, self.bindings)
            if wanted and not any(mention in text for mention in wanted):
                raise Difference("error.message (must mention one of)", wanted, text)
            return
        for mention in substitute([w for w in wanted if w.startswith("${")], self.bindings):
            is_token = TOKEN.fullmatch(mention)
            if is_token and mention in text and self.program == "archstone":
                raise Difference("error.message (must not repeat the token)", "(no token)", text)
            if not is_token and mention not in text:
                raise Difference("error.message (must mention)", mention, text)

    def save(self, step, reply):
        try:
            body = reply.json() if reply.body else None
        except ValueError:
            body = None
        for name, where in step.get("save", {}).items():
            value = body
            for part in where.split("."):
                try:
                    value = value[int(part)] if isinstance(value, list) else value[part]
                except (KeyError, IndexError, TypeError):
                    value = None
            if value is not None:
                self.bindings[name] = value
        for name, header in step.get("save_headers", {}).items():
            if value := reply.header(header):
                self.bindings[name] = value
        if step.get("response_body_text", "").startswith("oauth_token=") and reply.status < 300:
            recorded, given = dict(parse_qsl(step["response_body_text"])), dict(parse_qsl(reply.text))
            for key, value in recorded.items():
                if value.startswith("${") and key in given:
                    self.bindings[value[2:-1]] = given[key]


def names_in(step) -> list[str]:
    parts = json.dumps([step.get(k) for k in ("path", "request_headers", "request_body", "request_body_raw")])
    return re.findall(r"\$\{(\w+)\}", parts)


_certificate = None


def certificate() -> str:
    """The client certificate of the OAuth 2 recordings, made anew."""
    global _certificate
    if _certificate is None:
        import datetime

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import NameOID as Oid

        fields = [
            (Oid.COUNTRY_NAME, "JP"),
            (Oid.ORGANIZATION_NAME, "org"),
            (Oid.ORGANIZATIONAL_UNIT_NAME, "unit"),
            (Oid.COMMON_NAME, "go2-u"),
            (Oid.USER_ID, "uid1"),
            (Oid.DOMAIN_COMPONENT, "default"),
            (Oid.EMAIL_ADDRESS, "a@b.c"),
        ]
        name = x509.Name([x509.NameAttribute(oid, value) for oid, value in fields])
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .sign(key, hashes.SHA256())
        )
        _certificate = made.public_bytes(serialization.Encoding.PEM).decode()
    return _certificate


def server_of(file: str) -> dict:
    """The recorded server on which this file was made."""
    return next(s for s in SERVERS if file in s["files_in_order"])


def build(program: str, recorded: dict, db: str | None = None, **options) -> Server:
    """A server configured as the recorded one, not yet started."""
    conf = {section: dict(values) for section, values in recorded["conf"].items() if isinstance(values, dict)}
    if "saml" in conf:
        conf["federation"].pop("sso_callback_template", None)
        conf["saml"] = {k: v for k, v in conf["saml"].items() if "," not in k}
    if program == "archstone":
        conf.setdefault("archstone", {}).update(
            trusted_proxies="127.0.0.1",
            remote_user_header=PROXY_HEADERS["REMOTE_USER"],
            remote_domain_header=PROXY_HEADERS["REMOTE_DOMAIN"],
        )
    wanted = recorded.get("database.connection", "sqlite").split("+")[0].split(",")[0]
    server = PROGRAMS[program](db=db or wanted, conf=conf, policy=recorded.get("policy.yaml"), **options)
    if program == "keystone" and "federation" in conf:
        from tests.golden import saml

        server.sections["federation"]["sso_callback_template"] = saml.packaged_callback_template()
        server.sections["saml"].update(saml.make_files(server.folder))
        server.rewrite_config()
    return server


def replay(program: str, recorded: dict, files=None, db=None, on_outcome=lambda outcome: None):
    """Start a fresh server as recorded and replay its files; yields (file, outcomes)."""
    wanted = [f for f in recorded["files_in_order"] if files is None or f in files]
    with build(program, recorded, db) as server:
        run = Run(server.url, program, db)
        for file in wanted:
            yield file, run.replay_file(file, on_outcome)
