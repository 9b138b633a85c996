//! What a JWS token may not get away with.

#![expect(clippy::unwrap_used, reason = "helpers outside the test functions fail the test too")]

use aws_lc_rs::rand::SystemRandom;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystone_token::jws::{Algorithm, SigningKey, VerifyingKey, sign, verify};
use keystone_token::{AuditId, AuditIds, Error, MethodMap, Payload, Token, UnixMicros};

fn payload() -> Payload {
    let audit_ids = AuditIds { id: AuditId([1; 16]), parent: None };
    Payload::new("u".to_owned(), vec!["password".into()], UnixMicros::from_seconds(2000), audit_ids)
}

fn read(token: &str, key: &SigningKey, accepted: &[Algorithm]) -> Result<Token, Error> {
    let public = VerifyingKey::from_pem(&key.public_pem().unwrap()).unwrap();
    verify(token, &[public], accepted, &MethodMap::new(&["password"]), 1000)
}

fn signed(key: &SigningKey, issued_at: u64) -> String {
    sign(key, &payload(), issued_at, &SystemRandom::new()).unwrap()
}

#[test]
fn generated_keys_of_every_algorithm_work_after_a_round_trip_through_pem() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(algorithm).unwrap();
        let again = SigningKey::from_pem(algorithm, &key.to_pem().unwrap()).unwrap();
        assert!(read(&signed(&again, 1000), &key, &[algorithm]).is_ok(), "{algorithm:?}");
    }
}

#[test]
fn a_key_of_another_algorithm_is_refused() {
    let pem = SigningKey::generate(Algorithm::Es384).unwrap().to_pem().unwrap();
    for other in [Algorithm::Es256, Algorithm::Es512, Algorithm::EdDsa] {
        assert!(SigningKey::from_pem(other, &pem).is_err());
    }
    assert!(VerifyingKey::from_pem(&pem).is_err(), "a private key is no public key");
    assert!(SigningKey::from_pem(Algorithm::Es256, "").is_err());
}

#[test]
fn another_key_or_an_algorithm_not_accepted_does_not_authenticate() {
    let [ours, theirs] = [(); 2].map(|()| SigningKey::generate(Algorithm::Es256).unwrap());
    let token = signed(&ours, 1000);
    assert_eq!(read(&token, &theirs, &[Algorithm::Es256]), Err(Error::Unauthentic));
    assert_eq!(read(&token, &ours, &[Algorithm::Es384]), Err(Error::Unauthentic));
}

#[test]
fn tokens_from_the_future_are_refused() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    assert_eq!(read(&signed(&key, 1001), &key, &Algorithm::ALL), Err(Error::Immature));
}

#[test]
fn unsigned_and_extended_headers_are_refused() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let token = signed(&key, 1000);
    let parts: Vec<&str> = token.split('.').collect();
    for header in [
        r#"{"alg":"none","typ":"JWT"}"#,
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"alg":"EdDSA","typ":"JWT","crit":["x"]}"#,
        r#"{"alg":"EdDSA","typ":"JWT","b64":false}"#,
        r#"{"typ":"JWT"}"#,
        "[]",
        "",
    ] {
        let header = URL_SAFE_NO_PAD.encode(header);
        for signature in [parts[2], ""] {
            assert!(read(&format!("{header}.{}.{signature}", parts[1]), &key, &Algorithm::ALL).is_err());
        }
    }
    for spelling in [format!("{token}="), format!("{token}\n"), format!(".{token}"), format!("{token}.")] {
        assert!(read(&spelling, &key, &Algorithm::ALL).is_err());
    }
}

#[test]
fn private_keys_are_never_shown() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    assert_eq!(format!("{key:?}"), "SigningKey { algorithm: EdDsa, .. }");
}
