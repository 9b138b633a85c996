//! What is in the secret of an EC2 credential: a JSON object with the keys, and the delegation that it is bound to.

use archstone_db::json_text;
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::authz::Delegation;
use crate::error::{Error, Result};
use crate::id::{AccessTokenId, ApplicationCredentialId, CredentialId, TrustId, hex};

const TRUST: &str = "trust_id";
const APPLICATION_CREDENTIAL: &str = "app_cred_id";
const ACCESS_TOKEN: &str = "access_token_id";

/// What an update may neither set nor change nor take away.
const BOUND: [&str; 4] = [TRUST, APPLICATION_CREDENTIAL, ACCESS_TOKEN, "access_id"];

/// What an EC2 credential's secret says.
pub struct Ec2Blob {
    /// The public half.
    pub access: Option<String>,
    /// The half that signs.
    pub secret: Option<Zeroizing<String>>,
    /// The trust that a token by this key is bound to.
    pub trust_id: Option<TrustId>,
    /// The application credential that a token by this key is bound to.
    pub application_credential_id: Option<ApplicationCredentialId>,
    /// The OAuth 1 access token that a token by this key is bound to.
    pub access_token_id: Option<AccessTokenId>,
}

impl Ec2Blob {
    pub(super) fn parse(text: &str) -> Option<Ec2Blob> {
        let Ok(Value::Object(mut blob)) = serde_json::from_str(text) else { return None };
        let mut take = |name: &str| match blob.remove(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text),
            _ => None,
        };
        Some(Ec2Blob {
            access: take("access"),
            secret: take("secret").map(Zeroizing::new),
            trust_id: take(TRUST).map(TrustId::from),
            application_credential_id: take(APPLICATION_CREDENTIAL).map(ApplicationCredentialId::from),
            access_token_id: take(ACCESS_TOKEN).map(AccessTokenId::from),
        })
    }
}

/// The id of the credential with this access key.
pub fn ec2_id(access: &str) -> CredentialId {
    CredentialId::from(hex(digest(&SHA256, access.as_bytes()).as_ref()))
}

/// The access key of a new EC2 credential, and its secret with the delegation that made it.
pub(super) fn prepare(text: Zeroizing<String>, delegation: Option<&Delegation>) -> Result<(String, Zeroizing<String>)> {
    let (access, mut blob) = parse(&text)?;
    let bound = match delegation {
        Some(Delegation::Trust(id)) => (TRUST, &**id),
        Some(Delegation::ApplicationCredential { id, .. }) => (APPLICATION_CREDENTIAL, &**id),
        Some(Delegation::OAuth1(id)) => (ACCESS_TOKEN, &**id),
        None | Some(Delegation::None) => return Ok((access, text)),
        // There is nothing by which a token by this key could be held to the delegation.
        Some(other) => {
            return Err(Error::forbidden(format!("a token by {} cannot make EC2 credentials", other.describe())));
        }
    };
    blob.insert(bound.0.to_owned(), Value::from(bound.1));
    Ok((access, Zeroizing::new(json_text(&Value::Object(blob)))))
}

/// 400 if the new secret has no access key, or another delegation than the old one.
pub(super) fn check_update(old: &str, new: &str) -> Result<()> {
    let (_, new) = parse(new)?;
    let old = match serde_json::from_str(old) {
        Ok(Value::Object(old)) => old,
        _ => Map::new(),
    };
    let get = |blob: &Map<String, Value>, name: &str| blob.get(name).filter(|value| !value.is_null()).cloned();
    match BOUND.iter().find(|name| get(&old, name) != get(&new, name)) {
        Some(name) => {
            Err(Error::bad_request(format!("The attribute {name} of a credential's blob cannot be changed.")))
        }
        None => Ok(()),
    }
}

fn parse(text: &str) -> Result<(String, Map<String, Value>)> {
    let refused = || {
        Error::bad_request("The blob of an ec2 credential must be a JSON object with the attribute access, a string.")
    };
    let Ok(Value::Object(blob)) = serde_json::from_str(text) else { return Err(refused()) };
    match blob.get("access") {
        Some(Value::String(access)) => Ok((access.clone(), blob)),
        _ => Err(refused()),
    }
}

/// The secret out of its encrypted form, which is JSON text as a JSON string. One that is an object instead was stored
/// by an update, or long ago; it is shown as the reference's JSON library writes it. `None` for anything else.
pub(super) fn decode(text: &str) -> Option<Zeroizing<String>> {
    match serde_json::from_str(text).ok()? {
        Value::String(blob) => Some(Zeroizing::new(blob)),
        object @ Value::Object(_) => Some(Zeroizing::new(json_text(&object))),
        _ => None,
    }
}
