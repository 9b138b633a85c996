//! URIs as oslo.config checks them: a scheme and an authority must be there, and scheme, host and path
//! must be well formed by a mild reading of RFC 3986. Port range, query and fragment are not looked at.

use std::net::Ipv6Addr;

use crate::TypeError;

pub(crate) fn check(text: &str, schemes: &[String]) -> Result<(), TypeError> {
    let error = |expected: &str| Err(TypeError { expected: expected.to_owned() });
    let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return error("expected a URI that starts with a scheme, as in https://host/");
    };
    if !schemes.is_empty() && !schemes.iter().any(|allowed| allowed == scheme) {
        return error(&format!("expected a URI with one of the schemes: {}", schemes.join(", ")));
    }
    let Some(rest) = rest.strip_prefix("//") else {
        return error("expected a URI with a host, as in https://host/");
    };
    let authority_end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(authority_end);
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    if !is_authority(authority) {
        return error("expected a URI with a valid host");
    }
    // The reference escapes a path before it looks at it, which leaves only the brackets to refuse.
    if path.contains(['[', ']']) {
        return error("expected a URI with a valid path");
    }
    Ok(())
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b))
}

fn is_authority(text: &str) -> bool {
    if text.is_empty() {
        return false;
    }
    let (userinfo, host_and_port) = match text.split_once('@') {
        Some((userinfo, rest)) => (Some(userinfo), rest),
        None => (None, text),
    };
    if userinfo.is_some_and(|user| user.is_empty() || !made_of(user, |b| is_name_byte(b) || b == b':')) {
        return false;
    }
    let host_end = match host_and_port.find(']') {
        Some(bracket) => bracket + 1,
        None => host_and_port.find(':').unwrap_or(host_and_port.len()),
    };
    let (host, port) = host_and_port.split_at(host_end);
    is_host(host) && is_port(port)
}

fn is_port(text: &str) -> bool {
    let digits = text.strip_prefix(':').unwrap_or(text);
    (text.is_empty() || text.starts_with(':')) && digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit())
}

fn is_host(host: &str) -> bool {
    if let Some(literal) = host.strip_prefix('[') {
        let Some(literal) = literal.strip_suffix(']') else {
            return false;
        };
        let (address, zone) = match literal.split_once("%25") {
            Some((address, zone)) => (address, Some(zone)),
            None => (literal, None),
        };
        let zone_ok = zone.is_none_or(|zone| {
            !zone.is_empty() && made_of(zone, |b| b.is_ascii_alphanumeric() || b"._~-".contains(&b))
        });
        return (is_ipv6(address) && zone_ok) || is_future(literal);
    }
    if looks_like_ipv4(host) {
        return host.split('.').all(|part| part.parse::<u8>().is_ok());
    }
    made_of(host, is_name_byte)
}

/// The octets of an embedded IPv4 address may exceed 255, as in the grammar of the RFC's appendix.
fn is_ipv6(address: &str) -> bool {
    match address.rsplit_once(':') {
        Some((start, last)) if looks_like_ipv4(last) => format!("{start}:0.0.0.0").parse::<Ipv6Addr>().is_ok(),
        _ => address.parse::<Ipv6Addr>().is_ok(),
    }
}

/// `v7.whatever`: an address format that does not exist yet, but has its place in the RFC.
fn is_future(literal: &str) -> bool {
    let Some((version, address)) = literal.strip_prefix('v').and_then(|rest| rest.split_once('.')) else {
        return false;
    };
    let plain = |b: u8| b != b'%' && (is_name_byte(b) || b == b':');
    !version.is_empty()
        && version.bytes().all(|b| b.is_ascii_hexdigit())
        && !address.is_empty()
        && address.bytes().all(plain)
}

fn looks_like_ipv4(host: &str) -> bool {
    let part = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    host.split('.').count() == 4 && host.split('.').all(part)
}

/// Unreserved characters, sub-delimiters, and the `%` of an escape.
fn is_name_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"._~-!$&'()*+,;=%".contains(&b)
}

/// All bytes allowed, and each `%` followed by two hexadecimal digits.
fn made_of(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let escape = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    bytes.iter().enumerate().all(|(at, &b)| allowed(b) && (b != b'%' || escape(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheme_host_and_path_are_checked() {
        for good in [
            "http://localhost:5000",
            "https://user:pw@h/p%20q?x#y",
            "http://[::1]:5000/v3",
            "http://[fe80::1%25eth0]/",
            "x+y-z.1://1.2.3.4",
            "http://h:",
            "http://h:99999/",
            "http://h?bad query is not looked at",
            "http://h/a b",
        ] {
            assert_eq!(check(good, &[]), Ok(()), "{good}");
        }
        for bad in [
            "",
            "localhost",
            "localhost:5000",
            "http:/h",
            "http://",
            "http:///p",
            "1http://h",
            "http://h/[x]",
            "http://1.2.3.256/",
            "http://[::1",
            "http://[:::1]/",
            "http://h:x/",
            "http://ä/",
            "http://@h/",
        ] {
            assert!(check(bad, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn scheme_may_be_restricted() {
        let schemes = ["http".to_owned(), "https".to_owned()];
        assert!(check("https://h", &schemes).is_ok());
        assert!(check("ftp://h", &schemes).is_err());
    }
}
