//! Prints what reading a project-scoped token costs: `cargo run --release -p keystone-token --example decode_cost`.

use std::hint::black_box;
use std::time::Instant;

use keystone_token::{AuditId, AuditIds, Error, Key, KeyRing, MethodMap, Payload, Scope, TokenFormat, UnixMicros};

fn main() -> Result<(), Error> {
    const ROUNDS: u32 = 200_000;
    let texts = ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", keystone_token::NULL_KEY_TEXT];
    let ring = KeyRing::new(texts.map(Key::parse).into_iter().collect::<Result<_, _>>()?)?;
    let format = TokenFormat {
        methods: MethodMap::new(&["external", "password", "token"]),
        default_domain_id: "default".to_owned(),
    };
    let id = "5ba3a3f2a4c54c3d9e0c1f2d3b4a5968".to_owned();
    let audit_ids = AuditIds { id: AuditId([1; 16]), parent: None };
    let mut payload =
        Payload::new(id.clone(), vec!["password".into()], UnixMicros::from_seconds(1_700_000_000), audit_ids);
    payload.scope = Scope::Project(id);
    let token = format.seal(&ring, &payload, 1_700_000_000, [7; 16])?;

    let start = Instant::now();
    for _ in 0..ROUNDS {
        black_box(format.open(&ring, black_box(&token))?);
    }
    println!("open: {:.2} µs", start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
    let start = Instant::now();
    for _ in 0..ROUNDS {
        black_box(format.seal(&ring, black_box(&payload), 1_700_000_000, [7; 16])?);
    }
    println!("seal: {:.2} µs", start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
    Ok(())
}
