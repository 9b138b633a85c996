"""The files that Python Keystone's SAML identity provider wants, made for a test."""

import datetime
from importlib.util import find_spec
from pathlib import Path

IDP = "https://ks/v3/OS-FEDERATION/saml2"


def packaged_callback_template() -> Path:
    package = Path(find_spec("keystone").origin).parent
    places = (package.parents[2] / ".." / "etc" / "keystone", package.parents[3] / "etc" / "keystone")
    return next((p / "sso_callback_template.html" for p in places if (p / "sso_callback_template.html").exists()))


def make_files(folder: Path) -> dict:
    """A self-signed certificate, its key and a metadata document; as options of [saml]."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "ks")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "saml.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    )
    (folder / "saml.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "saml.xml").write_text(
        '<ns0:EntityDescriptor xmlns:ns0="urn:oasis:names:tc:SAML:2.0:metadata" '
        f'entityID="{IDP}/idp"><ns0:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">'
        f'<ns0:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:URI" Location="{IDP}/sso"/>'
        "</ns0:IDPSSODescriptor></ns0:EntityDescriptor>"
    )
    return {
        "certfile": folder / "saml.pem",
        "keyfile": folder / "saml.key",
        "idp_metadata_path": folder / "saml.xml",
    }
