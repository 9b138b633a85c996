//! JWS tokens: the payload as JSON claims, signed with an asymmetric key.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::signature::KeyPair as _;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, ParsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::audit::{AuditId, AuditIds};
use crate::error::Error;
use crate::methods::MethodMap;
use crate::payload::{Federated, Payload, Scope, Token};
use crate::time::UnixMicros;

/// A signature algorithm that `[jwt_tokens] jws_algorithm` may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// ECDSA, P-256, SHA-256: the default.
    Es256,
    /// ECDSA, P-384, SHA-384.
    Es384,
    /// ECDSA, P-521, SHA-512.
    Es512,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Es256, Self::Es384, Self::Es512, Self::EdDsa];

    /// The name in the configuration and in the header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// By its exact name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Es256 => &signature::ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &signature::ECDSA_P384_SHA384_FIXED,
            Self::Es512 => &signature::ECDSA_P521_SHA512_FIXED,
            Self::EdDsa => &signature::ED25519,
        }
    }

    /// `None` for Ed25519, whose keys are of another kind.
    fn ecdsa(self) -> Option<&'static EcdsaSigningAlgorithm> {
        match self {
            Self::Es256 => Some(&signature::ECDSA_P256_SHA256_FIXED_SIGNING),
            Self::Es384 => Some(&signature::ECDSA_P384_SHA384_FIXED_SIGNING),
            Self::Es512 => Some(&signature::ECDSA_P521_SHA512_FIXED_SIGNING),
            Self::EdDsa => None,
        }
    }
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A private key. Held in the cryptographic library's own structure, which wipes it; never shown.
pub struct SigningKey {
    algorithm: Algorithm,
    pair: Pair,
}

impl SigningKey {
    /// A new random key.
    pub fn generate(algorithm: Algorithm) -> Result<Self, Error> {
        let pair = match algorithm.ecdsa() {
            Some(ecdsa) => Pair::Ecdsa(EcdsaKeyPair::generate(ecdsa).map_err(|_| Error::Crypto)?),
            None => Pair::Ed25519(Ed25519KeyPair::generate().map_err(|_| Error::Crypto)?),
        };
        Ok(Self { algorithm, pair })
    }

    /// Reads a PEM file: unencrypted PKCS #8, or SEC 1 (`EC PRIVATE KEY`). The key must be one for the algorithm.
    pub fn from_pem(algorithm: Algorithm, pem: &str) -> Result<Self, Error> {
        const ERROR: Error = Error::Key("not a private key of the configured algorithm");
        let der = match pem_section(pem, "PRIVATE KEY") {
            Some(der) => der,
            None => pem_section(pem, "EC PRIVATE KEY").ok_or(Error::Key("no unencrypted private key in PEM"))?,
        };
        let pair = match algorithm.ecdsa() {
            Some(ecdsa) => EcdsaKeyPair::from_private_key_der(ecdsa, &der).map(Pair::Ecdsa),
            None => Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Pair::Ed25519),
        };
        Ok(Self { algorithm, pair: pair.map_err(|_| ERROR)? })
    }

    /// The key as a PKCS #8 PEM file.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, Error> {
        let document = match &self.pair {
            Pair::Ecdsa(pair) => pair.to_pkcs8v1(),
            Pair::Ed25519(pair) => pair.to_pkcs8v1(),
        };
        Ok(pem_text("PRIVATE KEY", document.map_err(|_| Error::Crypto)?.as_ref()))
    }

    /// Its public half as a `SubjectPublicKeyInfo` PEM file.
    pub fn public_pem(&self) -> Result<String, Error> {
        let der: Result<PublicKeyX509Der<'_>, _> = match &self.pair {
            Pair::Ecdsa(pair) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
        };
        Ok(String::clone(&pem_text("PUBLIC KEY", der.map_err(|_| Error::Crypto)?.as_ref())))
    }

    fn sign(&self, message: &[u8], rng: &dyn SecureRandom) -> Result<Vec<u8>, Error> {
        let signature = match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(rng, message).map_err(|_| Error::Crypto)?,
            Pair::Ed25519(pair) => pair.try_sign(message).map_err(|_| Error::Crypto)?,
        };
        Ok(signature.as_ref().to_vec())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// A public key; what it can verify follows from its type.
#[derive(Debug)]
pub struct VerifyingKey {
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    /// Reads a `SubjectPublicKeyInfo` PEM file holding a key for one of the four algorithms.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let der = pem_section(pem, "PUBLIC KEY").ok_or(Error::Key("no public key in PEM"))?;
        Algorithm::ALL
            .into_iter()
            .find_map(|algorithm| {
                let key = ParsedPublicKey::new(algorithm.verification(), &*der).ok()?;
                Some(Self { algorithm, key })
            })
            .ok_or(Error::Key("not a public key of a supported algorithm"))
    }

    /// The algorithm that it verifies.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// Signs a token. `issued_at` is seconds since the epoch. The Ed25519 signature of the same claims is always the same,
/// an ECDSA signature never.
pub fn sign(key: &SigningKey, payload: &Payload, issued_at: u64, rng: &dyn SecureRandom) -> Result<String, Error> {
    let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, key.algorithm.name());
    let mut token = URL_SAFE_NO_PAD.encode(header);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(claims(payload, issued_at), &mut token);
    let signature = key.sign(token.as_bytes(), rng)?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Ok(token)
}

/// Verifies a token against every key whose algorithm is accepted. `now` is seconds since the epoch: a token from the
/// future is refused as in the reference. Whether it has expired is the caller's question.
pub fn verify(
    token: &str,
    keys: &[VerifyingKey],
    accepted: &[Algorithm],
    methods: &MethodMap,
    now: i64,
) -> Result<Token, Error> {
    let (message, signature) = token.rsplit_once('.').ok_or(NOT_JWS)?;
    let (header, claims) = message.split_once('.').ok_or(NOT_JWS)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Error::Malformed("not canonical base64"));
    let signature = decode(signature)?;
    let claims = decode(claims)?;
    let algorithm = algorithm_of(&decode(header)?)?;
    if !accepted.contains(&algorithm) {
        return Err(Error::Unauthentic);
    }
    let authentic = keys
        .iter()
        .filter(|key| key.algorithm == algorithm)
        .any(|key| key.key.verify_sig(message.as_bytes(), &signature).is_ok());
    if !authentic {
        return Err(Error::Unauthentic);
    }
    let token = read_claims(&claims, methods)?;
    if token.issued_at > now { Err(Error::Immature) } else { Ok(token) }
}

const NOT_JWS: Error = Error::Malformed("not a compact JWS");

fn algorithm_of(header: &[u8]) -> Result<Algorithm, Error> {
    let header: Map<String, Value> = serde_json::from_slice(header).map_err(|_| Error::Malformed("JWS header"))?;
    // Extensions that must be understood, and the unencoded payload, are not understood here.
    if header.contains_key("crit") || header.contains_key("b64") {
        return Err(Error::Malformed("JWS header"));
    }
    // An unknown algorithm ("none" among them) is like a key that is not here.
    header.get("alg").and_then(Value::as_str).and_then(Algorithm::from_name).ok_or(Error::Unauthentic)
}

/// In the reference's order, so that the same key, claims and deterministic algorithm give the same text.
fn claims(payload: &Payload, issued_at: u64) -> String {
    let mut text = String::from("{");
    let mut claim = |name: &str, value: Value| {
        if !value.is_null() {
            let separator = if text.len() > 1 { "," } else { "" };
            // Writing to a String cannot fail.
            let _ = write!(text, "{separator}\"{name}\":{value}");
        }
    };
    let methods: Vec<&str> = payload.methods.iter().map(|m| &**m).collect();
    let mut audit_ids = vec![payload.audit_ids.id.to_string()];
    audit_ids.extend(payload.audit_ids.parent.map(|id| id.to_string()));
    claim("sub", json!(payload.user_id));
    claim("iat", json!(issued_at));
    claim("exp", json!(payload.expires_at.seconds()));
    claim("openstack_methods", json!(methods));
    claim("openstack_audit_ids", json!(audit_ids));
    claim("openstack_system", if payload.scope == Scope::System { json!("all") } else { Value::Null });
    claim("openstack_domain_id", json!(payload.domain_id()));
    claim("openstack_project_id", json!(payload.project_id()));
    claim("openstack_trust_id", json!(payload.trust_id));
    if let Some(federated) = &payload.federated {
        let groups: Vec<Value> = federated.group_ids.iter().map(|id| json!({ "id": id })).collect();
        claim("openstack_group_ids", json!(groups));
        claim("openstack_idp_id", json!(federated.idp_id));
        claim("openstack_protocol_id", json!(federated.protocol_id));
    }
    claim("openstack_access_token_id", json!(payload.access_token_id));
    claim("openstack_app_cred_id", json!(payload.app_cred_id));
    claim("openstack_thumbprint", json!(payload.thumbprint));
    text.push('}');
    text
}

fn read_claims(json: &[u8], methods: &MethodMap) -> Result<Token, Error> {
    let claims: Map<String, Value> = serde_json::from_slice(json).map_err(|_| Error::Payload("claims are not JSON"))?;
    let text = |name: &'static str| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(value)) => Ok(Some(value.clone())),
        Some(_) => Err(Error::Payload(name)),
    };
    let seconds = |name: &'static str| {
        claims.get(name).and_then(Value::as_u64).and_then(UnixMicros::checked_seconds).ok_or(Error::Payload(name))
    };
    let texts = |name: &'static str| {
        let list = claims.get(name).and_then(Value::as_array).ok_or(Error::Payload(name))?;
        list.iter().map(|v| v.as_str().ok_or(Error::Payload(name))).collect::<Result<Vec<&str>, Error>>()
    };
    let audit_ids = match *texts("openstack_audit_ids")?.as_slice() {
        [id] => AuditIds { id: AuditId::parse(id)?, parent: None },
        [id, parent] => AuditIds { id: AuditId::parse(id)?, parent: Some(AuditId::parse(parent)?) },
        _ => return Err(Error::Payload("openstack_audit_ids")),
    };
    let names: Vec<Arc<str>> = texts("openstack_methods")?.into_iter().map(|m| methods.intern(m)).collect();
    let user_id = text("sub")?.ok_or(Error::Payload("sub"))?;
    let mut payload = Payload::new(user_id, names, UnixMicros::from_seconds(seconds("exp")?), audit_ids);
    payload.scope = match (text("openstack_system")?, text("openstack_domain_id")?, text("openstack_project_id")?) {
        (None, None, None) => Scope::Unscoped,
        (Some(system), None, None) if system == "all" => Scope::System,
        (None, Some(domain), None) => Scope::Domain(domain),
        (None, None, Some(project)) => Scope::Project(project),
        _ => return Err(Error::Payload("scope")),
    };
    payload.federated = match (text("openstack_idp_id")?, text("openstack_protocol_id")?) {
        (None, None) => None,
        (Some(idp_id), Some(protocol_id)) => {
            Some(Federated { group_ids: group_ids(claims.get("openstack_group_ids"))?, idp_id, protocol_id })
        }
        _ => return Err(Error::Payload("openstack_idp_id")),
    };
    payload.trust_id = text("openstack_trust_id")?;
    payload.access_token_id = text("openstack_access_token_id")?;
    payload.app_cred_id = text("openstack_app_cred_id")?;
    payload.thumbprint = text("openstack_thumbprint")?;
    Ok(Token { payload, issued_at: seconds("iat")? })
}

fn group_ids(claim: Option<&Value>) -> Result<Vec<String>, Error> {
    const ERROR: Error = Error::Payload("openstack_group_ids");
    match claim {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(groups)) => {
            groups.iter().map(|g| g.get("id").and_then(Value::as_str).map(str::to_owned).ok_or(ERROR)).collect()
        }
        Some(_) => Err(ERROR),
    }
}

/// The bytes between the first `BEGIN` and `END` lines of that label.
fn pem_section(pem: &str, label: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, rest) = pem.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let base64: Zeroizing<Vec<u8>> = Zeroizing::new(body.bytes().filter(|b| !b.is_ascii_whitespace()).collect());
    STANDARD.decode(&*base64).ok().map(Zeroizing::new)
}

fn pem_text(label: &str, der: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(der));
    let mut pem = Zeroizing::new(format!("-----BEGIN {label}-----\n"));
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    // Writing to a String cannot fail.
    let _ = writeln!(pem, "-----END {label}-----");
    pem
}
