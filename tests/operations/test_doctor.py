"""`archstone doctor`: what it finds in a cloud that is well, and in one that is not."""

import json

import pytest

from tests.support.servers import Archstone

pytestmark = pytest.mark.skipif("config.getoption('--program') == 'keystone'", reason="its answers are our own")


@pytest.fixture(scope="module")
def cloud(db):
    server = Archstone(db=db, conf={"identity": {"password_hash_rounds": 5}})
    try:
        # What the tests set for notifications has no effect here, and the doctor says so.
        del server.sections["oslo_messaging_notifications"]
        server.sections["DEFAULT"].clear()
        server.rewrite_config()
        server.prepare()
        # The tests make these folders before there are keys in them.
        for name in ("fernet-keys", "credential-keys"):
            (server.folder / name).chmod(0o700)
        yield server
    finally:
        server.close()


def findings(server, *arguments, code):
    done = server.manage("doctor", "--format", "json", *arguments, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return {finding["check"]: finding for finding in json.loads(done.stdout)}


def symptoms(found):
    return {check for check, finding in found.items() if finding["state"] == "symptom"}


def test_a_cloud_that_is_well(cloud):
    sqlite = cloud.database.kind == "sqlite"
    found = findings(cloud, code=int(sqlite))
    assert symptoms(found) == ({"database_connection_is_not_SQLite"} if sqlite else set())
    assert not [check for check, finding in found.items() if finding["state"] == "unknown"]
    assert found["caching_disabled"]["state"] == "not applicable"
    for check in ("database_schema", "database_clock", "default_domain", "keys_in_Fernet_key_repository"):
        assert found[check]["state"] == "ok"


def test_triggers_or_the_bound(cloud):
    assert "foreign_write_bound, 1 s" in findings(cloud, code=int(cloud.database.kind == "sqlite"))["writes_of_other_programs"]["finding"]
    cloud.manage("db", "triggers", "install")
    assert "count at once" in findings(cloud, code=int(cloud.database.kind == "sqlite"))["writes_of_other_programs"]["finding"]
    cloud.manage("db", "triggers", "remove")


def test_what_is_wrong_is_told_with_what_to_do(cloud):
    cloud.sections["DEFAULT"].update(admin_token="s3cr3t", insecure_debug=True)
    cloud.sections["identity"]["default_domain_id"] = "nowhere"
    cloud.rewrite_config()
    (cloud.folder / "fernet-keys" / "0").chmod(0o644)
    try:
        found = findings(cloud, code=1)
        expected = {"admin_token", "insecure_debug", "default_domain", "usability_of_Fernet_key_repository"}
        assert expected <= symptoms(found)
        assert all(found[check]["advice"] for check in symptoms(found))
        text = cloud.manage("doctor", check=False)
        assert text.returncode == 1 and "s3cr3t" not in text.stdout + text.stderr
        assert all(check in text.stdout for check in found)
        summary = text.stdout.splitlines()[-1]
        assert summary.startswith(f"{len(symptoms(found))} symptoms, 0 unknown, ")
    finally:
        del cloud.sections["identity"]["default_domain_id"]
        cloud.sections["DEFAULT"].clear()
        cloud.rewrite_config()
        (cloud.folder / "fernet-keys" / "0").chmod(0o600)
