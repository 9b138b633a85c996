"""Request values that depend on time or on a secret of this run, so a replay has to compute them."""

import base64
import hashlib
import hmac
import re
import secrets
import time
from urllib.parse import quote


def totp(secret: str, windows_ago=0) -> str:
    """The six digits of RFC 6238 for a base32 secret, `windows_ago` × 30 s in the past."""
    counter = int(time.time()) // 30 - windows_ago
    digest = hmac.new(base64.b32decode(secret), counter.to_bytes(8, "big"), hashlib.sha1).digest()
    at = digest[-1] & 15
    return f"{(int.from_bytes(digest[at : at + 4], 'big') & 0x7FFFFFFF) % 10**6:06d}"


def ec2_v2(secret: str, credentials: dict) -> str:
    """AWS signature version 2, HMAC-SHA256, for an ec2tokens body."""
    host = credentials["host"].split(":")[0]
    # The server adds the method to what was signed.
    params = {**credentials["params"], "SignatureMethod": "HmacSHA256"}
    query = "&".join(f"{quote(k, safe='')}={quote(v, safe='-_~')}" for k, v in sorted(params.items()))
    text = "\n".join((credentials["verb"], host, credentials["path"], query))
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def s3(secret: str, token: str) -> str:
    """AWS S3 signature version 1 over the base64 token of an s3tokens body."""
    text = base64.urlsafe_b64decode(token)
    return base64.b64encode(hmac.new(secret.encode(), text, hashlib.sha1).digest()).decode()


def oauth1(method, url, recorded: str, consumer_secret: str, token_secret="") -> str:
    """An Authorization header like the recorded one, with nonce, time and signature of its own.

    A recorded time before 2020 was chosen to be too old and is kept.
    """
    fields = dict(re.findall(r'(\w+)="([^"]*)"', recorded))
    fields.pop("oauth_signature")
    fields["oauth_nonce"] = secrets.token_hex(12)
    if int(fields["oauth_timestamp"]) > 1577836800:
        fields["oauth_timestamp"] = str(int(time.time()))

    def escape(text):
        return quote(text, safe="-._~")

    pairs = "&".join(f"{escape(k)}={escape(v)}" for k, v in sorted(fields.items()))
    text = "&".join(escape(p) for p in (method.upper(), url, pairs))
    key = f"{escape(consumer_secret)}&{escape(token_secret)}"
    digest = hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()
    fields["oauth_signature"] = escape(base64.b64encode(digest).decode())
    return "OAuth " + ", ".join(f'{k}="{v}"' for k, v in fields.items())
