//! A range of network addresses, as options and tables name it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use oslo_config::Value;

use super::field::Field;

/// All addresses that begin with the same bits: `192.0.2.0/24`, `2001:db8::/64`. A single address has all bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// With zeroes behind the prefix.
    address: IpAddr,
    prefix: u32,
}

impl Network {
    /// The network of this address, with a prefix of so many bits for either family.
    pub fn around(address: IpAddr, ipv4_prefix: u32, ipv6_prefix: u32) -> Network {
        // The address of an IPv4 client of an IPv6 socket is that of the client.
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let prefix = ipv4_prefix.min(32);
                let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
                Network { address: Ipv4Addr::from_bits(address.to_bits() & mask).into(), prefix }
            }
            IpAddr::V6(address) => {
                let prefix = ipv6_prefix.min(128);
                let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
                Network { address: Ipv6Addr::from_bits(address.to_bits() & mask).into(), prefix }
            }
        }
    }

    /// Whether this address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        Network::around(address, self.prefix, self.prefix) == *self
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Network, ()> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix.parse::<u32>().map_err(drop)?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(drop)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        if prefix > longest {
            return Err(());
        }
        Ok(Network::around(address, prefix, prefix))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl Field for Network {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
        .ok_or_else(|| {
            "must name addresses or networks, for example 10.0.0.5, 192.0.2.0/24 or 2001:db8::/64".to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        network.parse::<Network>().unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn a_network_has_the_addresses_of_its_prefix() {
        assert!(contains("192.0.2.7/24", "192.0.2.255") && !contains("192.0.2.0/24", "192.0.3.0"));
        assert!(contains("10.0.0.5", "10.0.0.5") && !contains("10.0.0.5", "10.0.0.4"));
        assert!(contains("10.0.0.5", "::ffff:10.0.0.5"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1") && !contains("2001:db8::/32", "2001:db9::"));
        assert!(contains("0.0.0.0/0", "1.2.3.4") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("::/0", "::1"));
    }

    #[test]
    fn addresses_of_one_place_share_a_network() {
        let around = |address: &str| Network::around(address.parse().unwrap(), 24, 64).to_string();
        assert_eq!(around("198.51.100.23"), "198.51.100.0/24");
        assert_eq!(around("::ffff:198.51.100.23"), "198.51.100.0/24");
        assert_eq!(around("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    }

    #[test]
    fn other_texts_are_no_networks() {
        for text in ["", "proxy", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
