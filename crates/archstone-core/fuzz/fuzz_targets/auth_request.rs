//! Any JSON as a login: it is taken apart or refused.
//! See CONTRIBUTING.md for how to run it.
#![no_main]

use archstone_core::auth::{AuthRequest, RequestedScope};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|text: &[u8]| {
    let Ok(Value::Object(auth)) = serde_json::from_slice::<Value>(text) else { return };
    let Ok(request) = AuthRequest::parse(&auth) else { return };
    for (position, (name, payload)) in request.methods.iter().enumerate() {
        assert_eq!(auth["identity"][name].as_object(), Some(payload));
        assert!(request.methods[..position].iter().all(|(earlier, _)| earlier != name));
    }
    assert_eq!(request.scope == RequestedScope::Default, !auth.contains_key("scope"));
});
