//! Whatever a stranger sends, reading it does not panic.

use archstone_core::config::Config;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Uri};
use proptest::prelude::*;

use super::app::{Peer, initiator, parse_body};
use super::base_url::base_url;
use super::proxy::external_user;
use super::query::Query;

const HEADERS: [&str; 8] = [
    "host",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-prefix",
    "content-type",
    "x-openstack-request-id",
];

/// Bytes that a header may have, among them those that its readers look for.
fn value() -> impl Strategy<Value = HeaderValue> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "(for|proto|host|=|;|,|\"|\\[|\\]|:|/|/v3|https|::1|127\\.0\\.0\\.1|application/json| )*"
            .prop_map(String::into_bytes),
    ];
    bytes.prop_filter_map("no header", |bytes| HeaderValue::from_bytes(&bytes).ok())
}

fn parts(path: &str, headers: Vec<(usize, HeaderValue)>) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.uri = path.parse::<Uri>().unwrap_or_default();
    parts.extensions.insert(Peer { address: Some((std::net::Ipv6Addr::LOCALHOST, 1).into()) });
    for (position, value) in headers {
        parts.headers.append(HeaderName::from_static(HEADERS[position]), value);
    }
    parts
}

proptest! {
    #[test]
    fn any_header_is_read_or_passed_over(
        headers in prop::collection::vec((0..HEADERS.len(), value()), 0..6),
        path in "/[!-~]{0,20}",
        body in prop::collection::vec(any::<u8>(), 0..40),
        believed in any::<bool>(),
    ) {
        let text = format!(
            "[oslo_middleware]\nenable_proxy_headers_parsing = {believed}\n[archstone]\ntrusted_proxies = ::1\n\
             remote_user_header = x-forwarded-host"
        );
        let config = Config::from_text(&text).unwrap();
        let parts = parts(&path, headers);
        prop_assert!(base_url(&config, &parts).starts_with("http"));
        initiator(&config, &parts, "req-1");
        external_user(&config, &parts);
        if let Ok(body) = parse_body(&parts, &Bytes::from(body)) {
            prop_assert!(body.is_object());
        }
    }

    #[test]
    fn any_query_is_read(text in "([a-z_.]{0,8}|[!-~]|%[0-9a-fA-F]{0,2}|&|=|limit|marker|sort_key|name__icontains|\u{e9})*") {
        let query = Query::parse(Some(&text));
        query.to_object();
        query.list(&["name"], Some(3), 1000).ok();
    }
}
