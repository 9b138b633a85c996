//! What a client of Amazon's EC2 API signs, in all versions of the signature (`keystoneclient.contrib.ec2.utils`).
//!
//! A request comes as the service that got it tells it: `verb`, `host`, `path`, `params`, `headers`, `body_hash`.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{Algorithm, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, Key, sign};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::id::hex;

const V4: &str = "AWS4-HMAC-SHA256";

/// Everything but the characters that RFC 3986 does not reserve.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A request as the service tells it.
pub(super) struct Request<'a> {
    request: &'a Map<String, Value>,
    params: BTreeMap<&'a str, String>,
}

impl<'a> Request<'a> {
    pub(super) fn new(request: &'a Map<String, Value>) -> Result<Request<'a>> {
        let params = request.get("params").and_then(Value::as_object).ok_or_else(|| refused("it has no params"))?;
        let params = params
            .iter()
            .map(|(name, value)| Ok((name.as_str(), text(value).ok_or_else(|| refused("a parameter is no text"))?)))
            .collect::<Result<_>>()?;
        Ok(Request { request, params })
    }

    /// The signature that this secret makes of the request, as if it were for this host.
    pub(super) fn sign(&self, secret: &str, host: &str) -> Result<String> {
        let version = self.request.get("params").and_then(|params| params.get("SignatureVersion"));
        match version.and_then(Value::as_str) {
            Some("0") => self.version_0(secret),
            Some("1") => Ok(self.version_1(secret)),
            Some("2") => self.version_2(secret, host),
            _ if self.is_version_4() => self.version_4(secret),
            _ => Err(refused("it is of no known signature version")),
        }
    }

    fn version_0(&self, secret: &str) -> Result<String> {
        let text = format!("{}{}", self.param("Action")?, self.param("Timestamp")?);
        Ok(base64(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret, &text))
    }

    fn version_1(&self, secret: &str) -> String {
        let mut params: Vec<_> = self.params.iter().collect();
        params.sort_by_key(|(name, _)| name.to_lowercase());
        let text: String = params.into_iter().flat_map(|(name, value)| [*name, value.as_str()]).collect();
        base64(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret, &text)
    }

    fn version_2(&self, secret: &str, host: &str) -> Result<String> {
        // Whatever the client says: this is the method by which it is verified.
        let mut params = self.params.clone();
        params.insert("SignatureMethod", "HmacSHA256".to_owned());
        let text = [self.member("verb")?, host, self.member("path")?, &canonical_query(&params)].join("\n");
        Ok(base64(HMAC_SHA256, secret, &text))
    }

    fn is_version_4(&self) -> bool {
        match self.header("Authorization") {
            Some(authorization) => authorization.starts_with(V4),
            None => self.params.get("X-Amz-Algorithm").is_some_and(|algorithm| algorithm == V4),
        }
    }

    fn version_4(&self, secret: &str) -> Result<String> {
        let verb = self.member("verb")?.to_uppercase();
        let signed_headers = self.version_4_field("SignedHeaders")?;
        // The parameters of a POST are in its body.
        let query = if verb == "POST" { String::new() } else { canonical_query(&self.params) };
        let headers = self.canonical_headers(&signed_headers);
        let canonical =
            [&verb, self.member("path")?, &query, &headers, &signed_headers, self.member("body_hash")?].join("\n");

        let credential = self.version_4_field("Credential")?;
        let (_, scope) = credential.split_once('/').ok_or_else(|| refused("its credential has no scope"))?;
        let [day, region, service] = scope.splitn(4, '/').take(3).collect::<Vec<_>>()[..] else {
            return Err(refused("its credential has no whole scope"));
        };
        let moment = self.version_4_date().ok_or_else(|| refused("it has no X-Amz-Date"))?;
        if !moment.starts_with(day) {
            return Err(refused("its date is not that of its credential"));
        }
        let hash = hex(digest(&SHA256, canonical.as_bytes()).as_ref());
        let string_to_sign = [V4, moment, scope, &hash].join("\n");
        Ok(hex(&version_4_mac(secret, [day, region, service], string_to_sign.as_bytes())))
    }

    /// When a request of version 4 says that it was signed; it is part of what is signed.
    fn version_4_date(&self) -> Option<&str> {
        const NAME: &str = "X-Amz-Date";
        self.header(NAME).or_else(|| self.params.get(NAME).map(String::as_str))
    }

    /// A field of the header `Authorization`, or the parameter that stands for it.
    fn version_4_field(&self, name: &str) -> Result<String> {
        let Some(authorization) = self.header("Authorization") else {
            return self.param(&format!("X-Amz-{name}")).map(str::to_owned);
        };
        let (_, rest) = authorization.split_once(&format!("{name}=")).unwrap_or_default();
        Ok(rest.split(',').next().unwrap_or_default().to_owned())
    }

    /// A line for each signed header. Those that the service does not tell are left out.
    fn canonical_headers(&self, signed: &str) -> String {
        let headers: BTreeMap<String, &str> = self
            .headers()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.to_lowercase().trim().to_owned(), value.as_str()?.trim())))
            .collect();
        // Boto signed the host without its port before 2.9.3.
        let strips_port = headers.get("user-agent").is_some_and(|agent| is_old_boto(agent));
        let lines: Vec<String> = signed
            .split(';')
            .filter_map(|name| {
                let value = *headers.get(name)?;
                let cut = strips_port && name == "host";
                Some(format!("{name}:{}", if cut { value.split(':').next().unwrap_or_default() } else { value }))
            })
            .collect();
        lines.join("\n") + "\n"
    }

    fn headers(&self) -> Option<&'a Map<String, Value>> {
        self.request.get("headers").and_then(Value::as_object)
    }

    /// A header of exactly this name.
    fn header(&self, name: &str) -> Option<&'a str> {
        self.headers()?.get(name)?.as_str()
    }

    fn param(&self, name: &str) -> Result<&str> {
        self.params.get(name).map(String::as_str).ok_or_else(|| refused(&format!("it has no parameter {name}")))
    }

    fn member(&self, name: &str) -> Result<&'a str> {
        let member = self.request.get(name).and_then(Value::as_str);
        member.ok_or_else(|| refused(&format!("it has no {name}")))
    }
}

/// The code of version 4 over a text, for a day, a region and a service.
pub(super) fn version_4_mac(secret: &str, scope: [&str; 3], text: &[u8]) -> Vec<u8> {
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.into_iter().chain(["aws4_request"]) {
        key = mac(HMAC_SHA256, &key, part.as_bytes());
    }
    mac(HMAC_SHA256, &key, text)
}

/// The code that S3 used before version 4, in base64.
pub(super) fn base64_sha1(secret: &str, text: &[u8]) -> String {
    STANDARD.encode(mac(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes(), text))
}

fn base64(algorithm: Algorithm, secret: &str, text: &str) -> String {
    STANDARD.encode(mac(algorithm, secret.as_bytes(), text.as_bytes()))
}

fn mac(algorithm: Algorithm, key: &[u8], text: &[u8]) -> Vec<u8> {
    sign(&Key::new(algorithm, key), text).as_ref().to_vec()
}

fn canonical_query(params: &BTreeMap<&str, String>) -> String {
    let pairs = params
        .iter()
        .map(|(name, value)| format!("{}={}", utf8_percent_encode(name, ESCAPED), utf8_percent_encode(value, ESCAPED)));
    pairs.collect::<Vec<_>>().join("&")
}

fn is_old_boto(agent: &str) -> bool {
    let version = agent.strip_prefix("Boto/2.").map(str::as_bytes);
    matches!(version, Some([b'0'..=b'9', b'.', b'0'..=b'2', ..]))
}

/// A parameter as Python writes it as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        Value::Null => Some("None".to_owned()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn refused(reason: &str) -> Error {
    Error::unauthorized(format!("the signature of the request cannot be verified: {reason}"))
}
