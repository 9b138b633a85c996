"""Differences between Archstone and the recordings that are meant, each with its reason.

docs/compatibility.md lists them. A step named here is replayed, and must still differ.
"""

ACCEPTED: dict[tuple[str, int], str] = {
    ("middleware", 27): "NaN is not JSON: 400, where Python reads and writes it and other clients break",
    ("mfa_totp_receipts", 8): "the passcode was used before: one that was seen cannot be used again",
    ("mfa_totp_receipts", 9): "as above",
    ("users", 67): "a negative limit is no limit, where Python cuts that many entries off the end",
}
