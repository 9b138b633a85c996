//! Every recorded token, receipt, credential and id: read as the reference reads it, written to the same bytes.

#![expect(clippy::unwrap_used, reason = "helpers outside the test functions fail the test too")]

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use keystone_token::{
    AuditId, AuditIds, Federated, Key, KeyRing, MethodMap, Payload, Receipt, Scope, Token, TokenFormat, UnixMicros,
    credential, jws, public_id, resource_uuid, totp,
};
use serde_json::Value;

const ISSUED: u64 = 1_700_000_000;
const EXPIRES: i64 = 1_700_003_600;

struct Vectors {
    json: Value,
    ring: KeyRing,
    format: TokenFormat,
    iv: [u8; 16],
}

fn vectors() -> Vectors {
    let json: Value = serde_json::from_str(include_str!("data/tokens.json")).unwrap();
    let methods: Vec<&str> = json["auth_methods"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect();
    Vectors {
        ring: KeyRing::new(vec![Key::parse(json["fernet_key"].as_str().unwrap()).unwrap()]).unwrap(),
        format: TokenFormat {
            methods: MethodMap::new(&methods),
            default_domain_id: json["default_domain_id"].as_str().unwrap().to_owned(),
        },
        iv: unhex(json["fernet_iv_hex"].as_str().unwrap()).try_into().unwrap(),
        json,
    }
}

fn list<'a>(json: &'a Value, key: &str) -> &'a [Value] {
    let items = json[key].as_array().unwrap();
    assert!(!items.is_empty());
    items
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
}

fn string(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn methods(value: &Value) -> Vec<Arc<str>> {
    value.as_array().unwrap().iter().map(|m| Arc::from(m.as_str().unwrap())).collect()
}

/// The payload of a vector's `input` or `decoded`: both use the same names.
fn payload(v: &Value) -> Payload {
    assert!(matches!(v["expires_at"].as_str(), None | Some("2023-11-14T23:13:20.000000Z")));
    let audit: Vec<AuditId> =
        list(v, "audit_ids").iter().map(|id| AuditId::parse(id.as_str().unwrap()).unwrap()).collect();
    let audit_ids = AuditIds { id: audit[0], parent: audit.get(1).copied() };
    let user = string(&v["user_id"]).unwrap();
    Payload {
        scope: match (string(&v["system"]), string(&v["domain_id"]), string(&v["project_id"])) {
            (None, None, None) => Scope::Unscoped,
            (Some(_), None, None) => Scope::System,
            (None, Some(id), None) => Scope::Domain(id),
            (None, None, Some(id)) => Scope::Project(id),
            scopes => panic!("{scopes:?}"),
        },
        trust_id: string(&v["trust_id"]),
        federated: string(&v["identity_provider_id"]).map(|idp_id| Federated {
            group_ids: v["federated_group_ids"].as_array().unwrap().iter().map(|g| string(&g["id"]).unwrap()).collect(),
            idp_id,
            protocol_id: string(&v["protocol_id"]).unwrap(),
        }),
        access_token_id: string(&v["access_token_id"]),
        app_cred_id: string(&v["app_cred_id"]),
        thumbprint: string(&v["thumbprint"]),
        ..Payload::new(user, methods(&v["methods"]), UnixMicros::from_seconds(EXPIRES), audit_ids)
    }
}

#[test]
fn fernet_tokens_are_read_as_the_reference_reads_them() {
    let v = vectors();
    for case in list(&v.json, "fernet_tokens") {
        let token = v.format.open(&v.ring, case["token"].as_str().unwrap()).unwrap();
        let expected = Token { payload: payload(&case["decoded"]), issued_at: 1_700_000_000 };
        assert_eq!(token, expected, "{}", case["name"]);
    }
}

#[test]
fn fernet_tokens_are_written_to_the_same_bytes() {
    let v = vectors();
    let mut written = 0;
    for case in list(&v.json, "fernet_tokens").iter().filter(|case| case.get("input").is_some()) {
        let payload = payload(&case["input"]);
        assert_eq!(
            v.format.encode(&payload).unwrap(),
            unhex(case["msgpack_hex"].as_str().unwrap()),
            "{}",
            case["name"]
        );
        assert_eq!(v.format.seal(&v.ring, &payload, ISSUED, v.iv).unwrap(), case["token"].as_str().unwrap());
        written += 1;
    }
    assert_eq!(written, list(&v.json, "fernet_tokens").len() - 1, "all but the one of an older msgpack");
}

#[test]
fn receipts_agree_both_ways() {
    let v = vectors();
    for case in list(&v.json, "fernet_receipts") {
        let text = case["receipt"].as_str().unwrap();
        let (receipt, issued_at) = Receipt::open(&v.ring, &v.format.methods, text).unwrap();
        let expected = |v: &Value| Receipt {
            user_id: string(&v["user_id"]).unwrap(),
            methods: methods(&v["methods"]),
            expires_at: UnixMicros::from_seconds(EXPIRES),
        };
        assert_eq!((receipt, issued_at), (expected(&case["decoded"]), 1_700_000_000));
        assert_eq!(expected(&case["input"]).seal(&v.ring, &v.format.methods, ISSUED, v.iv).unwrap(), text);
    }
}

#[test]
fn a_token_is_no_receipt_nor_a_receipt_a_token() {
    let v = vectors();
    let token = v.json["fernet_tokens"][0]["token"].as_str().unwrap();
    let receipt = v.json["fernet_receipts"][0]["receipt"].as_str().unwrap();
    assert!(Receipt::open(&v.ring, &v.format.methods, token).is_err());
    assert!(v.format.open(&v.ring, receipt).is_err());
}

#[test]
fn method_bits_agree_both_ways() {
    let v = vectors();
    for case in list(&v.json, "method_int_examples") {
        let names = methods(&case["methods"]);
        let bits = case["int"].as_u64().unwrap();
        assert_eq!(v.format.methods.decode(bits), methods(&case["back"]));
        // The reference adds the bit of a method named twice to itself, which reads as the next method.
        let expected = if names.len() == 2 && names[0] == names[1] { bits / 2 } else { bits };
        assert_eq!(v.format.methods.encode(&names), expected, "{names:?}");
    }
}

#[test]
fn credentials_agree_both_ways() {
    let v = vectors();
    for case in list(&v.json, "credentials") {
        let key = Key::parse(case["key_text"].as_str().unwrap()).unwrap();
        assert_eq!(key.hash(), case["key_hash_sha1_hex"].as_str().unwrap());
        let ring = KeyRing::new(vec![key]).unwrap();
        let (kind, blob) = (case["type"].as_str().unwrap(), case["api_blob"].as_str().unwrap());
        let encrypted = case["encrypted_blob"].as_str().unwrap();
        assert_eq!(&*credential::decrypt(&ring, kind, encrypted).unwrap(), blob);
        assert_eq!(credential::encrypt(&ring, kind, blob, ISSUED, v.iv).unwrap(), encrypted);
    }
}

#[test]
fn jws_tokens_are_verified_and_signed() {
    let v = vectors();
    for case in list(&v.json, "jws_tokens") {
        let name = &case["name"];
        let algorithm = jws::Algorithm::from_name(case["algorithm"].as_str().unwrap()).unwrap();
        let public = jws::VerifyingKey::from_pem(case["public_pem"].as_str().unwrap()).unwrap();
        assert_eq!(public.algorithm(), algorithm);
        let text = case["token"].as_str().unwrap();
        let expected = Token { payload: payload(&case["decoded"]), issued_at: 1_700_000_000 };
        let verify = |text: &str, key: &jws::VerifyingKey| {
            jws::verify(text, std::slice::from_ref(key), &[algorithm], &v.format.methods, 1_700_000_000)
        };
        assert_eq!(verify(text, &public).as_ref(), Ok(&expected), "{name}");

        let private = jws::SigningKey::from_pem(algorithm, case["private_pem"].as_str().unwrap()).unwrap();
        let ours = jws::sign(&private, &expected.payload, ISSUED, &SystemRandom::new()).unwrap();
        assert_eq!(verify(&ours, &public).as_ref(), Ok(&expected), "{name}");
        let unsigned = |token: &str| token.rsplit_once('.').unwrap().0.to_owned();
        assert_eq!(unsigned(&ours), unsigned(text), "{name}");
        if algorithm == jws::Algorithm::EdDsa {
            assert_eq!(ours, text);
        }
        assert_eq!(private.public_pem().unwrap(), case["public_pem"].as_str().unwrap());
        assert_eq!(*private.to_pem().unwrap(), case["private_pem"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn ids_are_derived_as_the_reference_derives_them() {
    let json: Value = serde_json::from_str(include_str!("data/misc.json")).unwrap();
    for case in list(&json, "id_mapping_sha256_public_id") {
        let part = |name: &str| case[name].as_str().unwrap();
        assert_eq!(public_id(part("domain_id"), part("entity_type"), part("local_id")), part("public_id"));
    }
    for case in list(&json["cadf_resource_uuid"], "cases") {
        assert_eq!(resource_uuid(case["in"].as_str().unwrap()).unwrap(), case["out"].as_str().unwrap());
    }
}

#[test]
fn passcodes_are_those_of_the_reference() {
    let json: Value = serde_json::from_str(include_str!("data/misc.json")).unwrap();
    for case in list(&json["totp"], "vectors") {
        let seed = totp::Seed::parse(case["base32_secret"].as_str().unwrap());
        let window = case["unix_time"].as_u64().unwrap() / totp::PERIOD;
        match &case["passcodes_current_and_2_previous_windows"] {
            Value::Array(codes) => {
                let codes: Vec<_> = codes.iter().map(|code| code.as_str().unwrap().as_bytes()).collect();
                let seed = seed.unwrap();
                assert_eq!(codes, [seed.passcode(window), seed.passcode(window - 1), seed.passcode(window - 2)]);
            }
            _ => assert!(seed.is_none()),
        }
    }
}
