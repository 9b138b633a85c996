"""Is an answer the recorded one, but for what must differ between two runs?

Times, tokens, nonces and generated ids differ; an id must then differ in the same way
everywhere. Lists are compared as bags, because the reference has no ORDER BY.
"""

import datetime
import json
import re

# Lists whose order means something: a token before its parent, mapping rules first to last.
ORDERED_LISTS = {"audit_ids", "rules", "local", "remote"}
REDACTED = re.compile(r"^<redacted[^>]*>$")

VOLATILE = re.compile(
    r"(?P<token>gAAAA[A-Za-z0-9_\-]{40,}={0,2}|eyJ[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+\.[A-Za-z0-9_\-]+)"
    r"|(?P<request>req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
    r"|(?P<id>(?<![0-9a-f])(?:[0-9a-f]{64}|[0-9a-f]{32})(?![0-9a-f]))"
    r"|(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{6})?Z?)"
    r"|(?P<base>https?://127\.0\.0\.1:25\d\d\d(?!\d))"
)
# Times of the recording, or of a run; others were chosen by the client and must be the same.
RECORDED = datetime.date(2026, 11, 22)
AUDIT_ID = re.compile(r"^[A-Za-z0-9_\-]{22}$")
# Fields with random text, and what it looks like.
RANDOM = {
    "secret": re.compile(r"^[A-Za-z0-9_\-]{86}$"),
    "oauth_verifier": re.compile(r"^[A-Za-z0-9]{8}$"),
    "x5t#S256": re.compile(r"^[A-Za-z0-9_\-]{43}=$"),
}


class Ids:
    """Which recorded id stands for which id of this run, learnt on the way; one to one."""

    def __init__(self, base_url="", recorded_url=None):
        self.base_url = base_url
        self.recorded_url = recorded_url
        self.here = {}
        self.recorded = {}

    def copy(self):
        other = Ids(self.base_url, self.recorded_url)
        other.here, other.recorded = dict(self.here), dict(self.recorded)
        return other

    def adopt(self, other):
        self.here, self.recorded = other.here, other.recorded

    def pair(self, recorded, here) -> bool:
        if recorded == here:
            return True
        if self.here.get(recorded, here) != here or self.recorded.get(here, recorded) != recorded:
            return False
        self.here[recorded], self.recorded[here] = here, recorded
        return True


class Difference(Exception):
    """The first place at which two answers differ."""

    def __init__(self, where, expected, got):
        self.where, self.expected, self.got = where, expected, got
        super().__init__(f"{where}: expected {short(expected)}, got {short(got)}")


def short(value, limit=110):
    text = value if isinstance(value, str) and value.startswith("(") else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[:limit] + "…"


def substitute(value, bindings):
    """Replace `${x}` in every string (keys too) by what it stands for in this run; expand repeats."""
    if isinstance(value, str):
        value = re.sub(r"<repeat (.) (\d+) times>", lambda m: m[1] * int(m[2]), value)
        return re.sub(r"\$\{(\w+)\}", lambda m: bindings.get(m[1], m[0]), value)
    if isinstance(value, list):
        return [substitute(v, bindings) for v in value]
    if isinstance(value, dict):
        return {substitute(k, bindings): substitute(v, bindings) for k, v in value.items()}
    return value


class Compare:
    """Compares answers of one run; `exact` are the values that bindings gave."""

    def __init__(self, ids: Ids, exact: set[str]):
        self.ids, self.exact = ids, exact

    def value(self, where, expected, got):
        """Raise Difference unless `got` is `expected` but for what may differ."""
        if isinstance(expected, str) and isinstance(got, str):
            return self.text(where, expected, got)
        if isinstance(expected, dict) and isinstance(got, dict):
            return self.object(where, expected, got)
        if isinstance(expected, list) and isinstance(got, list):
            return self.list(where, expected, got)
        if isinstance(expected, float) and isinstance(got, float) and expected != expected and got != got:
            return None  # NaN is NaN here
        if type(expected) is not type(got) or expected != got:
            raise Difference(where, expected, got)

    def object(self, where, expected, got):
        # Ids can be keys too (the *_as_ids trees), so names are paired before values.
        left = dict(got)
        pairs = []
        for key, value in expected.items():
            if key in left:
                pairs.append((key, value, left.pop(key)))
        for key, value in expected.items():
            if key in got:
                continue
            match = next((k for k in left if self.same(key, k) and self.same(value, left[k])), None)
            if match is None:
                raise Difference(f"{where}.{key}", value, "(absent)")
            self.text(where, key, match)
            pairs.append((key, value, left.pop(match)))
        if left:
            key = next(iter(left))
            raise Difference(f"{where}.{key}", "(absent)", left[key])
        for key, value, actual in pairs:
            self.value(f"{where}.{key}", value, actual)

    def list(self, where, expected, got):
        if len(expected) != len(got):
            names = [short(names_of(v), 160) for v in (expected, got)]
            raise Difference(f"{where} (length)", f"({len(expected)}) {names[0]}", f"({len(got)}) {names[1]}")
        if where.rsplit(".", 1)[-1] in ORDERED_LISTS:
            for n, (e, g) in enumerate(zip(expected, got, strict=True)):
                self.value(f"{where}.{n}", e, g)
            return
        ids = self.ids.copy()
        left = list(got)
        # Those that can be told apart by what is known already go first, so that the rest pairs well.
        for n, e in sorted(enumerate(expected), key=lambda pair: -self.known(pair[1])):
            match = next((i for i, g in enumerate(left) if Compare(ids, self.exact).same(e, g)), None)
            if match is None:
                like = max(left, key=lambda g: likeness(e, g))
                Compare(ids, self.exact).value(f"{where}.{n}", e, like)
                raise Difference(f"{where}.{n}", e, "(no such item)")
            Compare(ids, self.exact).value(where, e, left.pop(match))
        self.ids.adopt(ids)

    def known(self, value) -> int:
        text = json.dumps(value)
        return sum(1 for m in VOLATILE.finditer(text) if m.lastgroup == "id" and m[0] in self.ids.here) + sum(
            1 for x in self.exact if x in text
        )

    def same(self, expected, got) -> bool:
        try:
            Compare(self.ids.copy(), self.exact).value("", expected, got)
        except Difference:
            return False
        return True

    def text(self, where, expected, got):
        if expected == got or REDACTED.match(expected):
            return
        name = where.rsplit(".", 2)
        if {"audit_ids", "audit_id", "audit_chain_id"} & set(name[-2:]) and AUDIT_ID.match(expected) and AUDIT_ID.match(got):
            if not self.ids.pair(expected, got):
                raise Difference(f"{where} (another id than before)", expected, got)
            return
        random = RANDOM.get(name[-1])
        if random and expected not in self.exact and random.match(expected) and random.match(got):
            return
        pieces, rest = split(expected), split(got)
        if len(pieces) != len(rest):
            raise Difference(where, expected, got)
        for (kind, e), (actual_kind, g) in zip(pieces, rest, strict=True):
            if not self.piece(kind, e, actual_kind, g):
                raise Difference(where, expected, got)

    def piece(self, kind, expected, actual_kind, got) -> bool:
        if kind == "base":
            if self.ids.recorded_url and expected.replace("https:", "http:") != self.ids.recorded_url:
                return got == expected
            return got == expected or got.replace("https:", "http:") == self.ids.base_url and got[:5] == expected[:5]
        if expected == got:
            return True
        if kind != actual_kind or expected in self.exact:
            return False
        if kind == "time":
            return of_the_run(expected) and len(expected) == len(got)
        if kind == "id":
            return self.ids.pair(expected, got)
        return kind in ("token", "request")


def of_the_run(time: str) -> bool:
    day = datetime.date.fromisoformat(time[:10])
    return any(abs((day - d).days) <= 2 for d in (RECORDED, datetime.datetime.now(datetime.UTC).date()))


def split(text):
    """The text as (kind, piece): kind is 'text' or the name of a group of VOLATILE."""
    pieces, at = [], 0
    for match in LIVE.finditer(text):
        if match.start() > at:
            pieces.append(("text", text[at : match.start()]))
        pieces.append((match.lastgroup, match[0]))
        at = match.end()
    if at < len(text):
        pieces.append(("text", text[at:]))
    return pieces


# In answers of this run the base URL has another port.
LIVE = re.compile(VOLATILE.pattern.replace("25\\d\\d\\d", "\\d{4,5}"))


def names_of(items):
    return sorted(str(i.get("name") or i.get("id") or i.get("type")) if isinstance(i, dict) else str(i) for i in items)


def likeness(expected, got) -> int:
    if isinstance(expected, dict) and isinstance(got, dict):
        return sum(3 if expected[k] == got.get(k) else 1 for k in expected if k in got)
    return int(expected == got)


HEADERS = (
    *("Content-Type", "X-Subject-Token", "Vary", "x-openstack-request-id", "WWW-Authenticate", "Allow", "Location"),
    *("X-sp-url", "X-auth-url", "Openstack-Auth-Receipt", "Access-Control-Allow-Origin"),
    *("Access-Control-Allow-Credentials", "Access-Control-Expose-Headers", "Access-Control-Max-Age"),
    *("Access-Control-Allow-Methods", "Access-Control-Allow-Headers"),
)


def compare_headers(compare: Compare, expected: dict, reply):
    """Each header that was recorded must be there alike; of those we know, no other may be."""
    expected = {k.lower(): v for k, v in expected.items()}
    for name in HEADERS:
        want, have = expected.get(name.lower()), reply.header(name)
        if want is None and have is None:
            continue
        if want is None or have is None:
            raise Difference(f"header {name}", want or "(absent)", have or "(absent)")
        if name == "Allow":
            want, have = (sorted(p.strip() for p in v.split(",")) for v in (want, have))
        if want != "${req_id}" or not have.startswith("req-"):
            compare.value(f"header {name}", want, have)
