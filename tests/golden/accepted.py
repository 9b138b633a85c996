"""Differences between Archstone and the recordings that are meant, each with its reason.

docs/compatibility.md lists them. A step named here is replayed, and must still differ.
"""

ACCEPTED: dict[tuple[str, int], str] = {
    ("middleware", 27): "NaN is not JSON: 400, where Python reads and writes it and other clients break",
    ("mfa_totp_receipts", 8): "the passcode was used before: one that was seen cannot be used again",
    ("mfa_totp_receipts", 9): "as above",
    ("users", 67): "a negative limit is no limit, where Python cuts that many entries off the end",
}

# Steps recorded on SQLite that another database cannot answer so: Python Keystone ends in an exception there, and a 500.
ON_ANOTHER_DATABASE: dict[tuple[str, str, int], str] = {
    ("mysql", "middleware", 22): "utf8mb3, which Keystone's guide leads to, has no characters beyond U+FFFF: 400",
    ("postgresql", "middleware", 23): "text has no NUL: 400",
}


def accepted(db: str | None, file: str, number: int) -> str | None:
    """Why this step may differ; `db` is the database, if it is another than the recorded one."""
    return ACCEPTED.get((file, number)) or ON_ANOTHER_DATABASE.get((db, file, number))
