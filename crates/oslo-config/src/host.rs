//! Host names and addresses.

use std::net::IpAddr;

use crate::TypeError;

pub(crate) fn check_ip(text: &str) -> Result<(), TypeError> {
    match text.parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(error("expected an IPv4 or IPv6 address")),
    }
}

/// Returns the name without its trailing dot.
pub(crate) fn check_hostname(text: &str) -> Result<String, TypeError> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // A last label of digits alone is a mistyped address.
    let top = name.rsplit('.').next().unwrap_or_default();
    let named = top.bytes().any(|b| b.is_ascii_alphabetic() || b == b'-');
    if text.chars().count() > 253 || !named || !name.split('.').all(label) {
        return Err(error("expected a host name"));
    }
    Ok(name.to_owned())
}

pub(crate) fn check_host_address(text: &str) -> Result<String, TypeError> {
    if check_ip(text).is_ok() {
        return Ok(text.to_owned());
    }
    check_hostname(text).map_err(|_name| error("expected an IP address or a host name"))
}

fn error(expected: &str) -> TypeError {
    TypeError { expected: expected.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_follow_the_dns_rules() {
        for good in ["localhost", "a.b-c.d1", "3com.example", "x."] {
            assert!(check_hostname(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in ["", ".", "a..b", "-a", "a-", "a_b", "10.0.0.256", "10", "ä", long.as_str()] {
            assert!(check_hostname(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn host_address_is_an_address_or_a_name() {
        for good in ["::1", "127.0.0.1", "db.example."] {
            assert!(check_host_address(good).is_ok(), "{good}");
        }
        for bad in ["127.0.0.999", "[::1]", "fe80::1%eth0", "01.2.3.4"] {
            assert!(check_host_address(bad).is_err(), "{bad}");
        }
    }
}
