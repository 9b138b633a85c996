//! What a client of Amazon's S3 API signs: a text that the service makes of the request, and hands on in base64
//! (`keystone.api.s3tokens`).

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::{Map, Value};

use super::signature::{base64_sha1, version_4_mac};
use super::{is_same, refused, signature_of};
use crate::error::Result;
use crate::id::hex;

/// The services whose requests are signed so.
const SERVICES: [&str; 3] = ["s3", "iam", "sts"];

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// 401 unless this secret signed the text in `token`.
pub(super) fn check(secret: &str, request: &Map<String, Value>) -> Result<()> {
    let text = request.get("token").and_then(Value::as_str).ok_or_else(|| refused("no text that was signed"))?;
    let text = decode(text).ok_or_else(|| refused("what was signed is not in base64"))?;
    let given = signature_of(request)?;
    if is_same(given, &sign(secret, &text)?) {
        Ok(())
    } else {
        Err(refused("the signature is not that of the EC2 key"))
    }
}

pub(super) fn sign(secret: &str, text: &[u8]) -> Result<String> {
    if !text.starts_with(b"AWS4") {
        return Ok(base64_sha1(secret, text));
    }
    let malformed = || refused("what was signed is no text of S3 signatures of version 4");
    let lines = std::str::from_utf8(text).map_err(|_| malformed())?;
    let ["AWS4-HMAC-SHA256", _, scope, _] = lines.split('\n').collect::<Vec<_>>()[..] else { return Err(malformed()) };
    let [day, region, service, "aws4_request"] = scope.split('/').collect::<Vec<_>>()[..] else {
        return Err(malformed());
    };
    if !SERVICES.contains(&service) {
        return Err(refused("what was signed is for a service that S3 signatures are not for"));
    }
    Ok(hex(&version_4_mac(secret, [day, region, service], text)))
}

/// Base64 of both alphabets; what is of neither is passed over, as Python does it.
fn decode(text: &str) -> Option<Vec<u8>> {
    let standard: String = text
        .chars()
        .filter_map(|c| match c {
            '-' => Some('+'),
            '_' => Some('/'),
            'A'..='Z' | 'a'..='z' | '0'..='9' | '+' | '/' | '=' => Some(c),
            _ => None,
        })
        .collect();
    BASE64.decode(standard).ok()
}
