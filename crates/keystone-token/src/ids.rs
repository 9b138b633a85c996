//! Ids and how they are packed or derived.

use aws_lc_rs::digest::{SHA256, digest};
use uuid::Uuid;

use crate::Error;

/// The namespace in which audit events name what has no UUID of its own.
const RESOURCE_NAMESPACE: Uuid = Uuid::from_u128(0x4332_ecab_770b_4288_a680_b9ac_a3b1_b153);

/// The 16 bytes of an id that Python's `uuid.UUID()` reads as hexadecimal: 32 digits of either case once `urn:`, `uuid:`,
/// dashes and surrounding braces are removed.
///
/// Python also lets through what its integer parser tolerates (`0x`, `_`, spaces, full-width digits). Such ids come back
/// from a token as another id, so they are not UUIDs here and are packed as text, which both programs read back unchanged.
pub fn parse_uuid(id: &str) -> Option<[u8; 16]> {
    if id.len() == 32 {
        return hex16(id.as_bytes());
    }
    let stripped = id.replace("urn:", "").replace("uuid:", "");
    let digits: Vec<u8> = stripped.trim_matches(['{', '}']).bytes().filter(|b| *b != b'-').collect();
    hex16(&digits)
}

fn hex16(digits: &[u8]) -> Option<[u8; 16]> {
    if digits.len() != 32 {
        return None;
    }
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)].into());
        text.push(DIGITS[usize::from(byte & 15)].into());
    }
    text
}

/// The public id of an entity that lives in a directory: hexadecimal SHA-256 of domain id, entity type (`user` or
/// `group`) and local id, joined without a separator.
pub fn public_id(domain_id: &str, entity_type: &str, local_id: &str) -> String {
    hex(digest(&SHA256, [domain_id, entity_type, local_id].concat().as_bytes()).as_ref())
}

/// The id of an `ec2` credential: hexadecimal SHA-256 of its access key.
pub fn access_key_id(access: &str) -> String {
    hex(digest(&SHA256, access.as_bytes()).as_ref())
}

/// The id under which an audit event names a resource: itself if it is a UUID, else the UUID derived from it. Ids of more
/// than 64 characters have none.
pub fn resource_uuid(id: &str) -> Result<String, Error> {
    if parse_uuid(id).is_some() {
        return Ok(id.to_owned());
    }
    if id.chars().count() > 64 {
        return Err(Error::Unrepresentable("resource id longer than 64 characters"));
    }
    Ok(Uuid::new_v5(&RESOURCE_NAMESPACE, id.as_bytes()).as_simple().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_read_in_every_hexadecimal_spelling() {
        let bytes = parse_uuid("5ba3a3f2a4c54c3d9e0c1f2d3b4a5968");
        assert_eq!(bytes.map(|b| hex(&b)).as_deref(), Some("5ba3a3f2a4c54c3d9e0c1f2d3b4a5968"));
        for same in [
            "5BA3a3f2a4c54c3d9e0c1f2d3b4a5968",
            "5ba3a3f2-a4c5-4c3d-9e0c-1f2d3b4a5968",
            "{5ba3a3f2a4c54c3d9e0c1f2d3b4a5968}",
            "}}5ba3a3f2a4c54c3d9e0c1f2d3b4a5968{",
            "urn:uuid:5ba3a3f2a4c54c3d9e0c1f2d3b4a5968",
            "urn:5ba3auuid:3f2a4c54c3d9e0c1f2d3b4a5968",
            "5-b-a3a3f2a4c54c3d9e0c1f2d3b4a5968--",
        ] {
            assert_eq!(parse_uuid(same), bytes, "{same}");
        }
    }

    #[test]
    fn ids_that_would_come_back_as_another_id_are_text() {
        for text in [
            "",
            "default",
            "0x5ba3a3f2a4c54c3d9e0c1f2d3b4a59",
            "5ba3a3f2_a4c54c3d9e0c1f2d3b4a596",
            "+5ba3a3f2a4c54c3d9e0c1f2d3b4a596",
            " 5ba3a3f2a4c54c3d9e0c1f2d3b4a596",
            "\u{ff15}ba3a3f2a4c54c3d9e0c1f2d3b4a5968",
            "5b{a3a3f2a4c54c3d9e0c1f2d3b4a5968",
            "3f1c3f1c3f1c3f1c3f1c3f1c3f1c3f1c3f1c3f1c3f1c3f1c3f1c3f1c3f1c3f1c",
        ] {
            assert_eq!(parse_uuid(text), None, "{text}");
        }
    }

    #[test]
    fn resource_ids_over_64_characters_are_refused() {
        assert!(resource_uuid(&"é".repeat(64)).is_ok());
        assert!(resource_uuid(&"é".repeat(65)).is_err());
    }
}
