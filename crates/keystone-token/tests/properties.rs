//! What must hold for every payload and every damaged text.

#![expect(clippy::unwrap_used, reason = "helpers outside the test functions fail the test too")]

use std::sync::{Arc, LazyLock};

use aws_lc_rs::rand::SystemRandom;
use keystone_token::{
    AuditId, AuditIds, Error, Federated, Key, KeyRing, MethodMap, NULL_KEY_TEXT, Payload, Receipt, Scope, TokenFormat,
    UnixMicros, jws,
};
use proptest::prelude::*;

const NAMES: [&str; 4] = ["external", "password", "token", "mapped"];

static RING: LazyLock<KeyRing> = LazyLock::new(|| KeyRing::new(vec![Key::parse(NULL_KEY_TEXT).unwrap()]).unwrap());
static FORMAT: LazyLock<TokenFormat> =
    LazyLock::new(|| TokenFormat { methods: MethodMap::new(&NAMES), default_domain_id: "default".to_owned() });
static SIGNER: LazyLock<jws::SigningKey> = LazyLock::new(|| jws::SigningKey::generate(jws::Algorithm::EdDsa).unwrap());

fn uuid() -> impl Strategy<Value = String> {
    "[0-9a-f]{32}"
}

fn id() -> impl Strategy<Value = String> {
    // Text that spells a UUID in another way would come back in the usual one.
    prop_oneof![uuid(), "[a-zé]{0,31}", "[0-9a-f]{64}"]
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        Just(Scope::Unscoped),
        Just(Scope::System),
        id().prop_map(Scope::Project),
        uuid().prop_map(Scope::Domain),
        Just(Scope::Domain("default".to_owned())),
    ]
}

fn federated() -> impl Strategy<Value = Federated> {
    (prop::collection::vec(id(), 0..20), id(), "[a-z0-9é]{0,300}")
        .prop_map(|(group_ids, idp_id, protocol_id)| Federated { group_ids, idp_id, protocol_id })
}

prop_compose! {
    fn payload()(
        user_id in id(),
        methods in prop::sample::subsequence(&NAMES[..], 0..=NAMES.len()),
        scope in scope(),
        seconds in 0..4_000_000_000_i64,
        audit in any::<([u8; 16], Option<[u8; 16]>)>(),
        kind in 0..6,
        special in uuid(),
        federated in federated(),
    ) -> Payload {
        let audit_ids = AuditIds { id: AuditId(audit.0), parent: audit.1.map(AuditId) };
        let methods = methods.into_iter().rev().map(Arc::from).collect();
        let mut payload = Payload::new(user_id, methods, UnixMicros::from_seconds(seconds), audit_ids);
        payload.scope = scope;
        match kind {
            1 => payload.trust_id = Some(special),
            2 => payload.federated = Some(federated),
            3 => payload.access_token_id = Some(special),
            4 => payload.app_cred_id = Some(special),
            5 => payload.thumbprint = Some(special),
            _ => {}
        }
        payload
    }
}

/// What may not be read: all but the text itself.
fn damaged(text: &str, at: prop::sample::Index, with: u8) -> Vec<String> {
    let at = at.index(text.len());
    let with = char::from(with & 0x7f);
    let mut replaced: Vec<char> = text.chars().collect();
    replaced[at] = with;
    let replaced: String = replaced.into_iter().collect();
    let mut texts =
        vec![text[..at].to_owned(), format!("{}{with}{}", &text[..at], &text[at..]), format!("{text}{with}")];
    texts.push(replaced);
    texts.retain(|damaged| damaged != text);
    texts
}

proptest! {
    #[test]
    fn fernet_tokens_round_trip(payload in payload(), issued in 0..4_000_000_000_u64, iv: [u8; 16]) {
        match FORMAT.seal(&RING, &payload, issued, iv) {
            Ok(text) => {
                let token = FORMAT.open(&RING, &text).unwrap();
                prop_assert_eq!(token.payload, payload);
                prop_assert_eq!(token.issued_at, i64::try_from(issued).unwrap());
            }
            Err(error) => prop_assert!(matches!(error, Error::Unrepresentable(_))),
        }
    }

    #[test]
    fn damaged_fernet_tokens_are_refused(
        payload in payload(), iv: [u8; 16], at: prop::sample::Index, with: u8,
    ) {
        if let Ok(text) = FORMAT.seal(&RING, &payload, 1, iv) {
            for damaged in damaged(&text, at, with) {
                prop_assert!(FORMAT.open(&RING, &damaged).is_err(), "{}", damaged);
            }
        }
    }

    #[test]
    fn jws_tokens_round_trip(payload in payload(), issued in 0..4_000_000_000_u64) {
        let key = jws::VerifyingKey::from_pem(&SIGNER.public_pem().unwrap()).unwrap();
        let text = jws::sign(&SIGNER, &payload, issued, &SystemRandom::new()).unwrap();
        let now = i64::try_from(issued).unwrap();
        let token = jws::verify(&text, &[key], &[jws::Algorithm::EdDsa], &FORMAT.methods, now).unwrap();
        prop_assert_eq!(token.payload, payload);
        prop_assert_eq!(token.issued_at, now);
    }

    #[test]
    fn damaged_jws_tokens_are_refused(payload in payload(), at: prop::sample::Index, with: u8) {
        let keys = [jws::VerifyingKey::from_pem(&SIGNER.public_pem().unwrap()).unwrap()];
        let text = jws::sign(&SIGNER, &payload, 1, &SystemRandom::new()).unwrap();
        for damaged in damaged(&text, at, with) {
            prop_assert!(jws::verify(&damaged, &keys, &[jws::Algorithm::EdDsa], &FORMAT.methods, 2).is_err());
        }
    }

    #[test]
    fn any_authentic_bytes_are_read_without_panic(bytes: Vec<u8>, head in 0..11_u8) {
        let versioned: Vec<u8> = [0x90 | (head % 5 + 5), head].into_iter().chain(bytes.iter().copied()).collect();
        for payload in [&bytes, &versioned] {
            let text = RING.seal(payload, 1, [0; 16]).unwrap();
            if let Ok(token) = FORMAT.open(&RING, &text) {
                prop_assert!(FORMAT.encode(&token.payload).is_ok());
            }
            let _ = Receipt::open(&RING, &FORMAT.methods, &text);
        }
    }

    #[test]
    fn any_text_is_refused_without_panic(text: String) {
        prop_assert!(RING.open(&text).is_err());
        prop_assert!(jws::verify(&text, &[], &jws::Algorithm::ALL, &FORMAT.methods, 0).is_err());
    }
}
