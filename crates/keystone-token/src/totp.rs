//! Time-based one-time passwords (RFC 6238) as `keystone.auth.plugins.totp` makes them: HMAC-SHA-1, six digits, a window
//! of 30 seconds.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// Seconds for which a passcode is the current one.
pub const PERIOD: u64 = 30;

/// Shorter seeds are refused, as by the library that the reference uses.
const MIN_BYTES: usize = 16;

/// The secret that passcodes are made of.
pub struct Seed(Zeroizing<Vec<u8>>);

impl Seed {
    /// Out of the blob of a credential: base32 in upper case, whose padding may be left out. `None` for what is not, and
    /// for fewer than 128 bits.
    pub fn parse(blob: &str) -> Option<Seed> {
        decode_base32(blob).filter(|bytes| bytes.len() >= MIN_BYTES).map(Seed)
    }

    /// The passcode of a window: six digits.
    pub fn passcode(&self, window: u64) -> [u8; 6] {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &window.to_be_bytes());
        let tag = tag.as_ref();
        let offset = tag.last().map_or(0, |last| usize::from(last & 15));
        let four = tag.iter().skip(offset).take(4).fold(0, |number, byte| number << 8 | u32::from(*byte));
        let mut number = four & 0x7fff_ffff;
        let mut digits = [b'0'; 6];
        for digit in digits.iter_mut().rev() {
            *digit += u8::try_from(number % 10).unwrap_or(0);
            number /= 10;
        }
        digits
    }

    /// The latest of `window` and so many before it whose passcode this is. Takes the same time whichever it is, also
    /// none.
    pub fn window_of(&self, passcode: &str, window: u64, previous: u64) -> Option<u64> {
        let mut found = None;
        for window in window.saturating_sub(previous)..=window {
            if verify_slices_are_equal(&self.passcode(window), passcode.as_bytes()).is_ok() {
                found = Some(window);
            }
        }
        found
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(..)")
    }
}

/// Python's `base64.b32decode` of the text with its padding completed: what is left over of the last bits does not
/// count.
fn decode_base32(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len().next_multiple_of(8) - digits.len();
    if !matches!(padding, 0 | 1 | 3 | 4 | 6) {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() * 5 / 8));
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u32::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).unwrap_or(0));
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_6238_vectors() {
        let seed = Seed::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(seed.passcode(seconds / PERIOD), code.as_bytes(), "{seconds}");
        }
    }

    #[test]
    fn only_the_wanted_windows_count() {
        let seed = Seed::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        let code = String::from_utf8(seed.passcode(100).to_vec()).unwrap();
        assert_eq!(seed.window_of(&code, 100, 0), Some(100));
        assert_eq!(seed.window_of(&code, 101, 1), Some(100));
        assert_eq!(seed.window_of(&code, 102, 1), None);
        assert_eq!(seed.window_of(&code, 99, 1), None);
        assert_eq!(seed.window_of(&code[..5], 100, 0), None);
        assert_eq!(seed.window_of("", 0, 10), None);
    }

    #[test]
    fn a_seed_is_base32_of_at_least_128_bits() {
        let bytes = |text: &str| decode_base32(text).map(|bytes| bytes.to_vec());
        assert_eq!(bytes("MFRGG==="), bytes("MFRGG"));
        assert_eq!(bytes("MFRGG").as_deref(), Some(&b"abc"[..]));
        for bad in ["mfrgg", "A", "ABC", "MFR GG", "MFRG1", "MF=GG", "MFRGG===========", "\u{e9}"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
        assert!(Seed::parse("JBSWY3DPEHPK3PXP").is_none());
        assert!(Seed::parse("").is_none());
    }
}
