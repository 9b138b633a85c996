"""One HTTP exchange, sent exactly as asked: no default headers, no redirects, no retries."""

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The header's values joined by commas, or None if it was not sent."""
        values = [v for k, v in self.headers if k.lower() == name.lower()]
        return ",".join(values) if values else None

    def json(self):
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


def send(base_url, method, path, headers=None, body=None, timeout=60.0) -> Reply:
    """Send one request on a connection of its own.

    `body` may be bytes (sent as they are) or anything JSON can hold.
    A relative `path` is taken as given, percent signs and double slashes included.
    """
    headers = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        if not any(k.lower() == "content-type" for k in headers):
            headers["Content-Type"] = "application/json"
    where = urlsplit(base_url)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=timeout)
    try:
        own_host = any(k.lower() == "host" for k in headers)
        connection.putrequest(method, path, skip_host=own_host, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body is not None or method in ("POST", "PUT", "PATCH"):
            connection.putheader("Content-Length", str(len(body or b"")))
        connection.endheaders(body)
        response = connection.getresponse()
        return Reply(response.status, response.getheaders(), response.read())
    finally:
        connection.close()


def password_login(base_url, name="admin", password="adminpw", scope="admin project") -> Reply:
    """Log in by password; `scope` is 'admin project', None, or a scope object as the API takes it."""
    user = {"name": name, "domain": {"id": "default"}, "password": password}
    auth = {"identity": {"methods": ["password"], "password": {"user": user}}}
    if scope == "admin project":
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    if scope is not None:
        auth["scope"] = scope
    return send(base_url, "POST", "/v3/auth/tokens", body={"auth": auth})


def admin_token(base_url) -> str:
    reply = password_login(base_url)
    if reply.status != 201:
        raise RuntimeError(f"admin login at {base_url}: {reply.status} {reply.text[:300]}")
    return reply.header("X-Subject-Token")
