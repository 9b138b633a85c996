//! Signatures as the reference verifies them (`vectors.json`, made with its verifiers).

use serde_json::{Map, Value};

use super::{check_request, s3, without_port};
use crate::credential::ec2_id;
use crate::error::ErrorKind;

fn vectors(kind: &str) -> Vec<Map<String, Value>> {
    let all: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    all[kind].as_array().unwrap().iter().map(|vector| vector.as_object().unwrap().clone()).collect()
}

fn text<'a>(vector: &'a Map<String, Value>, name: &str) -> &'a str {
    vector[name].as_str().unwrap()
}

/// The request of a vector, with a signature.
fn signed(vector: &Map<String, Value>, signature: &str) -> Map<String, Value> {
    let mut request = vector["credentials"].as_object().unwrap().clone();
    request.insert("signature".to_owned(), Value::from(signature));
    request
}

#[test]
fn each_version_of_the_signature_is_verified() {
    let vectors = vectors("ec2_signatures");
    assert_eq!(vectors.len(), 13);
    for vector in vectors {
        let (name, secret, signature) = (text(&vector, "name"), text(&vector, "secret"), text(&vector, "signature"));
        let outcome = check_request(secret, &signed(&vector, signature)).map_err(|error| error.kind);
        if signature.starts_with("raises") {
            assert_eq!(outcome, Err(ErrorKind::Unauthorized), "{name}");
            continue;
        }
        assert_eq!(outcome, Ok(()), "{name}");
        assert!(check_request("another secret", &signed(&vector, signature)).is_err(), "{name}");
        assert!(check_request(secret, &signed(&vector, "")).is_err(), "{name}");
        let mut changed = signed(&vector, signature);
        changed["params"]["Action"] = Value::from("DeleteAll");
        changed.insert("body_hash".to_owned(), Value::from("another body"));
        assert!(check_request(secret, &changed).is_err(), "{name}");
    }
}

#[test]
fn a_host_with_a_port_may_have_been_signed_without() {
    let mut vector = vectors("ec2_signatures").into_iter().find(|vector| text(vector, "name") == "v2").unwrap();
    let (secret, signature) = (text(&vector, "secret").to_owned(), text(&vector, "signature").to_owned());
    for (host, fits) in [("127.0.0.1:8773", true), ("127.0.0.2:8773", false), ("127.0.0.1.:8773", false)] {
        vector["credentials"]["host"] = Value::from(host);
        assert_eq!(check_request(&secret, &signed(&vector, &signature)).is_ok(), fits, "{host}");
    }
    assert_eq!(without_port("EC2.example:8773").as_deref(), Some("ec2.example"));
    assert_eq!(without_port("[::1]:8773").as_deref(), Some("::1"));
    assert_eq!(without_port("ec2.example"), None);
}

#[test]
fn s3_signatures_are_verified_for_the_services_that_they_are_for() {
    let vectors = vectors("s3_signatures");
    assert_eq!(vectors.len(), 6);
    for vector in vectors {
        let (name, secret, signature) = (text(&vector, "name"), text(&vector, "secret"), text(&vector, "signature"));
        let token = text(&vector, "token_field_urlsafe_b64");
        let request = |token: &str, signature: &str| {
            Map::from_iter([("token".to_owned(), token.into()), ("signature".to_owned(), signature.into())])
        };
        let is_good = !signature.starts_with("raises");
        assert_eq!(s3::check(secret, &request(token, signature)).is_ok(), is_good, "{name}");
        assert!(s3::check("another secret", &request(token, signature)).is_err(), "{name}");
        assert!(s3::check(secret, &request("AAAA", signature)).is_err(), "{name}");
        assert!(s3::check(secret, &request("not base64!", signature)).is_err(), "{name}");
    }
}

#[test]
fn requests_that_lack_something_are_refused() {
    let vector = vectors("ec2_signatures").into_iter().find(|vector| text(vector, "name").starts_with("v4 header GET"));
    let vector = vector.unwrap();
    let whole = signed(&vector, text(&vector, "signature"));
    for name in ["signature", "params", "verb", "path", "headers", "body_hash"] {
        for broken in [Value::Null, Value::from(1), Value::from("x"), serde_json::json!({})] {
            let mut request = whole.clone();
            request.insert(name.to_owned(), broken);
            assert!(check_request(text(&vector, "secret"), &request).is_err(), "{name}");
        }
    }
    for authorization in ["AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=a", "AWS4-HMAC-SHA256 Credential=a/20110909"]
    {
        let mut request = whole.clone();
        request["headers"]["Authorization"] = Value::from(authorization);
        assert!(check_request(text(&vector, "secret"), &request).is_err(), "{authorization}");
    }
}

#[test]
fn ids_are_hashes_of_access_keys() {
    for vector in vectors("ec2_credential_ids") {
        assert_eq!(&*ec2_id(text(&vector, "access")), text(&vector, "credential_id_sha256_hex"));
    }
}
