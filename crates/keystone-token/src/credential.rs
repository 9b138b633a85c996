//! Credential blobs as the database stores them: Fernet text whose padding is kept.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::error::Error;
use crate::fernet::KeyRing;

/// The credential type whose blob is written as a JSON string before it is encrypted.
const EC2: &str = "ec2";

/// Encrypts a blob. `time` is seconds since the epoch; `iv` must be random. Store it with the primary key's
/// [`hash`](crate::Key::hash).
pub fn encrypt(ring: &KeyRing, kind: &str, blob: &str, time: u64, iv: [u8; 16]) -> Result<String, Error> {
    if kind == EC2 {
        let text = Zeroizing::new(json_string(blob));
        return ring.seal_padded(text.as_bytes(), time, iv);
    }
    ring.seal_padded(blob.as_bytes(), time, iv)
}

/// Decrypts a blob.
///
/// An `ec2` blob whose plaintext is a JSON object, not a string, is returned as it is: very old rows were not doubly
/// encoded.
pub fn decrypt(ring: &KeyRing, kind: &str, encrypted: &str) -> Result<Zeroizing<String>, Error> {
    let text = plaintext(ring, encrypted)?;
    if kind != EC2 {
        return Ok(text);
    }
    match serde_json::from_str(&text) {
        Ok(serde_json::Value::String(blob)) => Ok(Zeroizing::new(blob)),
        Ok(serde_json::Value::Object(_)) => Ok(text),
        _ => Err(Error::Payload("ec2 blob is not JSON")),
    }
}

/// Encrypts anew with the primary key what any key of the ring encrypted, whatever its type.
pub fn reencrypt(ring: &KeyRing, encrypted: &str, time: u64, iv: [u8; 16]) -> Result<String, Error> {
    ring.seal_padded(plaintext(ring, encrypted)?.as_bytes(), time, iv)
}

fn plaintext(ring: &KeyRing, encrypted: &str) -> Result<Zeroizing<String>, Error> {
    let bytes = Zeroizing::new(ring.open_padded(encrypted)?.0);
    let text = std::str::from_utf8(&bytes).map_err(|_| Error::Payload("blob is not UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// JSON in ASCII, as Python's `json.dumps` writes it, so that both programs encrypt the same bytes.
fn json_string(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 16);
    for c in serde_json::Value::from(text).to_string().chars() {
        if c.is_ascii() {
            json.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(json, "\\u{unit:04x}");
            }
        }
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Key, NULL_KEY_TEXT};

    #[test]
    fn ec2_blobs_are_json_in_ascii() {
        assert_eq!(json_string("é\"\n\u{1f600}"), r#""\u00e9\"\n\ud83d\ude00""#);
    }

    #[test]
    fn blobs_come_back_in_every_type() {
        let ring = KeyRing::new(vec![Key::parse(NULL_KEY_TEXT).unwrap()]).unwrap();
        for kind in ["ec2", "totp"] {
            let sealed = encrypt(&ring, kind, "{\"é\": 1}", 9, [3; 16]).unwrap();
            assert_eq!(&*decrypt(&ring, kind, &sealed).unwrap(), "{\"é\": 1}");
            let again = reencrypt(&ring, &sealed, 10, [4; 16]).unwrap();
            assert_eq!(&*decrypt(&ring, kind, &again).unwrap(), "{\"é\": 1}");
        }
    }

    #[test]
    fn ec2_blobs_of_old_rows_are_read_as_they_are() {
        let ring = KeyRing::new(vec![Key::parse(NULL_KEY_TEXT).unwrap()]).unwrap();
        let old = encrypt(&ring, "cert", "{\"access\": \"a\"}", 9, [3; 16]).unwrap();
        assert_eq!(&*decrypt(&ring, "ec2", &old).unwrap(), "{\"access\": \"a\"}");
        let broken = encrypt(&ring, "cert", "not json", 9, [3; 16]).unwrap();
        assert!(decrypt(&ring, "ec2", &broken).is_err());
    }
}
