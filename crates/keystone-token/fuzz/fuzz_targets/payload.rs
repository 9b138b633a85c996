//! Any bytes as the payload of an authentic token, and any text as a token: no panic, and what is read can be written.
#![no_main]

use std::sync::LazyLock;

use keystone_token::{Key, KeyRing, MethodMap, NULL_KEY_TEXT, Receipt, TokenFormat, jws};
use libfuzzer_sys::fuzz_target;

static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    KeyRing::new(vec![Key::parse(NULL_KEY_TEXT).expect("the null key is a key")]).expect("one key")
});
static FORMAT: LazyLock<TokenFormat> = LazyLock::new(|| TokenFormat {
    methods: MethodMap::new(&["external", "password", "token"]),
    default_domain_id: "default".to_owned(),
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok(payload) = FORMAT.decode(bytes) {
        FORMAT.encode(&payload).expect("what was read can be written");
    }
    let sealed = RING.seal(bytes, 1, [0; 16]).expect("sealing cannot fail");
    let _ = Receipt::open(&RING, &FORMAT.methods, &sealed);
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(FORMAT.open(&RING, text).is_err());
        let _ = jws::verify(text, &[], &jws::Algorithm::ALL, &FORMAT.methods, 0);
    }
});
