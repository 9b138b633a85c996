//! Audit ids: what revocation names a token by.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::Error;

/// 16 random bytes (those of a version 4 UUID), shown as 22 characters of URL-safe base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AuditId(pub [u8; 16]);

impl AuditId {
    /// Reads the 22 characters.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut bytes = [0; 16];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(16) => Ok(Self(bytes)),
            _ => Err(Error::Malformed("audit id")),
        }
    }
}

impl fmt::Display for AuditId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 22];
        let written = URL_SAFE_NO_PAD.encode_slice(self.0, &mut text).unwrap_or(0);
        f.write_str(std::str::from_utf8(&text[..written]).unwrap_or_default())
    }
}

/// A token's own audit id and, after a rescope, that of the first token of its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AuditIds {
    /// This token's.
    pub id: AuditId,
    /// The chain's root; none for the token that started the chain.
    pub parent: Option<AuditId>,
}

impl AuditIds {
    /// The id that a revocation of the whole chain names: the root's, which is the token's own if it has no parent.
    pub fn chain(&self) -> AuditId {
        self.parent.unwrap_or(self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_agree() {
        let id = AuditId::parse("WLOyWDm1RBiS-O6CXGAxEw").unwrap();
        assert_eq!(id.0[..4], [0x58, 0xb3, 0xb2, 0x58]);
        assert_eq!(id.to_string(), "WLOyWDm1RBiS-O6CXGAxEw");
    }

    #[test]
    fn only_canonical_text_is_read() {
        for bad in [
            "",
            "WLOyWDm1RBiS-O6CXGAxE",
            "WLOyWDm1RBiS-O6CXGAxEx",
            "WLOyWDm1RBiS-O6CXGAxEw==",
            "WLOyWDm1RBiS+O6CXGAxEw",
        ] {
            assert!(AuditId::parse(bad).is_err(), "{bad}");
        }
    }
}
