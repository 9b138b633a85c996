//! What a proxy in front is believed: where the client is, and whom the proxy has authenticated.
//!
//! **Invariant:** only a proxy of `[archstone] trusted_proxies` is believed. From anybody else these headers are nothing:
//! they can be written by whoever can open a connection.

use std::net::IpAddr;

use archstone_core::auth::ExternalUser;
use archstone_core::config::Config;
use http::header::HeaderName;
use http::request::Parts;

use super::app::Peer;

pub(super) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address at the other end of the connection.
pub(crate) fn peer_address(request: &Parts) -> Option<IpAddr> {
    request.extensions.get::<Peer>()?.address.map(|address| address.ip().to_canonical())
}

/// Whether the request came by a proxy that is believed.
pub(crate) fn from_trusted_proxy(config: &Config, request: &Parts) -> bool {
    peer_address(request).is_some_and(|peer| is_trusted(config, peer))
}

/// The client's address: the last one on the way that is no trusted proxy. A proxy adds to `X-Forwarded-For` who asked
/// it, so that it is read from the end, and only as far as it is written by those who are trusted.
pub(crate) fn source_address(config: &Config, request: &Parts) -> Option<IpAddr> {
    let mut client = peer_address(request)?;
    let values = request.headers.get_all(FORWARDED_FOR).iter().rev();
    for value in values {
        // A part that is no text says nothing of those before it.
        let Ok(text) = value.to_str() else { break };
        for hop in text.rsplit(',') {
            if !is_trusted(config, client) {
                return Some(client);
            }
            match parse_address(hop.trim()) {
                Some(address) => client = address,
                None => return Some(client),
            }
        }
    }
    Some(client)
}

/// The user that the proxy has authenticated, if `[archstone] remote_user_header` says where it tells that. A header that
/// comes twice is not believed: one of them may be the client's own.
pub(crate) fn external_user(config: &Config, request: &Parts) -> Option<ExternalUser> {
    let options = &config.archstone;
    let user_header = options.remote_user_header.as_deref()?;
    if !request.headers.contains_key(user_header) {
        return None;
    }
    if !from_trusted_proxy(config, request) {
        tracing::warn!(header = user_header, "ignoring a header of somebody who is no trusted proxy");
        return None;
    }
    let name = only_value(request, user_header)?;
    let domain = match options.remote_domain_header.as_deref() {
        Some(header) if request.headers.contains_key(header) => Some(only_value(request, header)?),
        _ => None,
    };
    Some(ExternalUser { name, domain: domain.filter(|domain| !domain.is_empty()) }).filter(|user| !user.name.is_empty())
}

fn only_value(request: &Parts, header: &str) -> Option<String> {
    let mut values = request.headers.get_all(header).iter();
    let value = values.next()?;
    if values.next().is_some() {
        tracing::warn!(header, "ignoring a header that came more than once");
        return None;
    }
    // Names are UTF-8 here, which a header may carry as any bytes.
    std::str::from_utf8(value.as_bytes()).ok().map(|text| text.trim().to_owned())
}

fn is_trusted(config: &Config, address: IpAddr) -> bool {
    config.archstone.trusted_proxies.iter().any(|network| network.contains(address))
}

/// `192.0.2.1`, `2001:db8::1`, and as some proxies write them: with a port, the latter then in brackets.
fn parse_address(text: &str) -> Option<IpAddr> {
    let address = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0.parse().ok()?,
        None => match text.parse() {
            Ok(address) => address,
            Err(_) => text.rsplit_once(':')?.0.parse::<std::net::Ipv4Addr>().ok()?.into(),
        },
    };
    Some(IpAddr::to_canonical(&address))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const TRUSTING: &str = "[archstone]\ntrusted_proxies = 10.0.0.0/8, 2001:db8::5\nremote_user_header = X-Remote-User\n\
                            remote_domain_header = X-Remote-Domain";

    fn parts(peer: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        parts.extensions.insert(Peer { address: Some(std::net::SocketAddr::new(peer.parse().unwrap(), 1234)) });
        parts
    }

    fn source(config: &str, peer: &str, forwarded: &[&str]) -> String {
        let headers: Vec<_> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
        source_address(&Config::from_text(config).unwrap(), &parts(peer, &headers)).unwrap().to_string()
    }

    fn external(config: &str, peer: &str, headers: &[(&str, &str)]) -> Option<ExternalUser> {
        external_user(&Config::from_text(config).unwrap(), &parts(peer, headers))
    }

    #[test]
    fn a_client_cannot_say_where_it_is() {
        assert_eq!(source("", "192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(source(TRUSTING, "192.0.2.1", &["198.51.100.1"]), "192.0.2.1");
        assert_eq!(source(TRUSTING, "10.0.0.1", &["198.51.100.1, 192.0.2.7"]), "192.0.2.7");
        assert_eq!(source(TRUSTING, "10.0.0.1", &["198.51.100.1", "192.0.2.7"]), "192.0.2.7");
    }

    #[test]
    fn trusted_proxies_say_where_a_client_is() {
        assert_eq!(source(TRUSTING, "10.0.0.1", &["192.0.2.7, 10.1.1.1"]), "192.0.2.7");
        assert_eq!(source(TRUSTING, "::ffff:10.0.0.1", &["192.0.2.7:4711, 2001:db8::5"]), "192.0.2.7");
        assert_eq!(source(TRUSTING, "10.0.0.1", &["[2001:db8::9]:80"]), "2001:db8::9");
        assert_eq!(source(TRUSTING, "10.0.0.1", &["10.2.2.2"]), "10.2.2.2");
        assert_eq!(source(TRUSTING, "10.0.0.1", &["192.0.2.7, unknown"]), "10.0.0.1");
        assert_eq!(source(TRUSTING, "10.0.0.1", &[""]), "10.0.0.1");
        assert_eq!(source(TRUSTING, "10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn only_a_trusted_proxy_says_who_a_client_is() {
        let user = [("x-remote-user", "cook")];
        let cook = ExternalUser { name: "cook".to_owned(), domain: None };
        assert_eq!(external(TRUSTING, "10.0.0.1", &user), Some(cook.clone()));
        assert_eq!(external(TRUSTING, "192.0.2.1", &user), None);
        assert_eq!(external("[archstone]\ntrusted_proxies = 10.0.0.1", "10.0.0.1", &user), None);
        // Not by way of what a client says of its own address.
        assert_eq!(external(TRUSTING, "192.0.2.1", &[user[0], ("x-forwarded-for", "10.0.0.1")]), None);
        let with_domain = [user[0], ("x-remote-domain", "kitchen")];
        let of_kitchen = ExternalUser { domain: Some("kitchen".to_owned()), ..cook };
        assert_eq!(external(TRUSTING, "10.0.0.1", &with_domain), Some(of_kitchen));
    }

    #[test]
    fn a_header_that_comes_twice_or_is_empty_names_nobody() {
        let user = ("x-remote-user", "cook");
        assert_eq!(external(TRUSTING, "10.0.0.1", &[user, ("x-remote-user", "admin")]), None);
        let domains = [("x-remote-domain", "kitchen"), ("x-remote-domain", "Default")];
        assert_eq!(external(TRUSTING, "10.0.0.1", &[user, domains[0], domains[1]]), None);
        assert_eq!(external(TRUSTING, "10.0.0.1", &[("x-remote-user", " ")]), None);
        assert_eq!(external(TRUSTING, "10.0.0.1", &[]), None);
    }
}
