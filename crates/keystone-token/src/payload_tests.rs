use super::*;
use crate::AuditId;

fn format() -> TokenFormat {
    TokenFormat { methods: MethodMap::new(&["password", "token"]), default_domain_id: "default".to_owned() }
}

fn payload() -> Payload {
    let audit_ids = AuditIds { id: AuditId([1; 16]), parent: None };
    Payload::new("u".to_owned(), vec!["password".into()], UnixMicros::from_seconds(1_700_000_000), audit_ids)
}

fn id() -> String {
    "aaaabbbbccccddddeeeeffff00001111".to_owned()
}

#[test]
fn a_payload_that_would_lose_a_restriction_is_refused() {
    let federated = Federated { group_ids: Vec::new(), idp_id: "i".to_owned(), protocol_id: "p".to_owned() };
    let scoped = Payload { scope: Scope::Project("p".to_owned()), ..payload() };
    for lossy in [
        Payload { app_cred_id: Some(id()), trust_id: Some(id()), ..scoped.clone() },
        Payload { app_cred_id: Some(id()), thumbprint: Some(id()), ..scoped.clone() },
        Payload { app_cred_id: Some(id()), federated: Some(federated.clone()), ..scoped.clone() },
        Payload { app_cred_id: Some(id()), ..payload() },
        Payload { trust_id: Some(id()), ..payload() },
        Payload { access_token_id: Some(id()), scope: Scope::System, ..payload() },
        Payload { thumbprint: Some(id()), scope: Scope::System, ..payload() },
        Payload { federated: Some(federated), scope: Scope::System, ..payload() },
        Payload { trust_id: Some("not a uuid".to_owned()), ..scoped },
        Payload { scope: Scope::Domain("not a uuid".to_owned()), ..payload() },
    ] {
        assert!(matches!(format().encode(&lossy), Err(Error::Unrepresentable(_))), "{lossy:?}");
    }
}

#[test]
fn trailing_bytes_and_extra_fields_are_refused() {
    let mut bytes = format().encode(&payload()).unwrap();
    bytes.push(0xc0);
    assert_eq!(format().decode(&bytes), Err(Error::Payload("trailing bytes")));
    bytes[0] += 1;
    assert_eq!(format().decode(&bytes), Err(Error::Payload("wrong number of fields")));
}

#[test]
fn odd_types_are_refused() {
    let good = format().encode(&payload()).unwrap();
    assert_eq!(good[..6], [0x95, 0, 0x92, 0xc2, 0xa1, b'u']);
    let altered = |position: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[position] = byte;
        bytes
    };
    for bad in [
        altered(0, 0x85),
        altered(1, 11),
        altered(1, 0xff),
        altered(3, 0xc3),
        altered(3, 0xc0),
        altered(4, 0x01),
        altered(5, 0xff),
        altered(6, 0xff),
        altered(7, 0xca),
        altered(16, 0x93),
        altered(17, 0x01),
        vec![0xdd, 0xff, 0xff, 0xff, 0xff],
        Vec::new(),
    ] {
        assert!(matches!(format().decode(&bad), Err(Error::Payload(_))), "{bad:02x?}");
    }
}

#[test]
fn plain_domain_tokens_hold_a_uuid_or_the_default_domain() {
    let in_domain = Payload { scope: Scope::Domain("default".to_owned()), ..payload() };
    let bytes = format().encode(&in_domain).unwrap();
    assert_eq!(format().decode(&bytes).unwrap(), in_domain);
    let elsewhere = TokenFormat { default_domain_id: "other".to_owned(), ..format() };
    assert!(elsewhere.decode(&bytes).is_err());
}
