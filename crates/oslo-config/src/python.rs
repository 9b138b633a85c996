//! The few rules of Python's own types that show through in configuration values.

use std::fmt::Write as _;

use crate::Value;

/// Python's idea of white space: Unicode's, and the four separators U+001C to U+001F.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

pub(crate) fn strip_start(text: &str) -> &str {
    text.trim_start_matches(is_space)
}

pub(crate) fn strip_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// `int(text)`. `Ok(None)`: an integer, but one that 64 bits cannot hold.
pub(crate) fn parse_int(text: &str) -> Result<Option<i64>, ()> {
    let digits = ascii_digits(strip_number(text));
    let (sign, digits) = match digits.as_bytes().first() {
        Some(b'-') => ("-", &digits[1..]),
        Some(b'+') => ("", &digits[1..]),
        _ => ("", digits.as_str()),
    };
    let plain = without_underscores(digits).ok_or(())?;
    if plain.is_empty() || !plain.bytes().all(|b| b.is_ascii_digit()) {
        return Err(());
    }
    // Only overflow can be wrong now.
    Ok(format!("{sign}{plain}").parse().ok())
}

/// Numbers in ASCII text may be surrounded by the white space of C only.
fn strip_number(text: &str) -> &str {
    if text.is_ascii() { text.trim_matches(['\t', '\n', '\x0b', '\x0c', '\r', ' ']) } else { strip(text) }
}

/// `float(text)`; infinities and NaN included, as Python reads them.
pub(crate) fn parse_float(text: &str) -> Option<f64> {
    let plain = without_underscores(&ascii_digits(strip_number(text)))?;
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let word = ["inf", "infinity", "nan"].iter().any(|w| unsigned.eq_ignore_ascii_case(w));
    let number = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !word && !number {
        return None;
    }
    plain.parse().ok()
}

/// Underscores are allowed between two digits only.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| at.and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_digit);
    for (i, _) in text.match_indices('_') {
        if !digit(i.checked_sub(1)) || !digit(Some(i + 1)) {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

/// Python reads the decimal digits of every script; these are the ones of the Unicode planes in use.
fn ascii_digits(text: &str) -> String {
    const ZEROS: [u32; 37] = [
        0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0de6, 0x0e50,
        0x0ed0, 0x0f20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90, 0x1b50, 0x1bb0, 0x1c40, 0x1c50,
        0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10, 0x1d7ce,
    ];
    let ascii = |c: char| {
        let code = u32::from(c);
        let zero = ZEROS.iter().rev().find(|&&zero| (zero..zero + 10).contains(&code));
        zero.and_then(|zero| char::from_digit(code - zero, 10)).unwrap_or(c)
    };
    text.chars().map(ascii).collect()
}

/// `str(value)`, as oslo.config inserts a value into another one; an unset value is empty.
pub(crate) fn str_of(value: &Value) -> String {
    match value {
        Value::None => String::new(),
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

fn repr(value: &Value) -> String {
    match value {
        Value::None => "None".to_owned(),
        Value::String(text) => repr_str(text),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => repr_float(*number),
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(repr).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Dict(pairs) => {
            let pairs: Vec<_> =
                pairs.iter().map(|(key, value)| format!("{}: {}", repr_str(key), repr(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

fn repr_str(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => write!(out, "\\x{:02x}", u32::from(c)).expect("a String takes all that is written"),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

fn repr_float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    // Both languages print the shortest digits that read back; they differ in when an exponent is used.
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{number}");
    if plain.contains('.') { plain } else { plain + ".0" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_python_reads_them() {
        let good = [("1_000", 1000), ("+5", 5), ("-0", 0), ("007", 7), ("٣", 3), ("９", 9)];
        for (text, number) in good {
            assert_eq!(parse_int(text), Ok(Some(number)), "{text}");
        }
        for text in ["", "1__0", "_1", "1_", "0x10", "1e3", "1.0", "--1", "+", "1 2"] {
            assert_eq!(parse_int(text), Err(()), "{text}");
        }
        assert_eq!(parse_int("12345678901234567890"), Ok(None));
    }

    #[test]
    fn floats_are_read_as_python_reads_them() {
        let good = [("1_0.5", 10.5), (".5", 0.5), ("5.", 5.0), ("1e5", 1e5), ("-Infinity", f64::NEG_INFINITY)];
        for (text, number) in good {
            assert_eq!(parse_float(text), Some(number), "{text}");
        }
        for text in ["1__0", "_1", "0x1p3", "infi", "e5", ".", "1e", "1.5.5"] {
            assert_eq!(parse_float(text), None, "{text}");
        }
        assert!(parse_float("+nan").is_some_and(f64::is_nan));
    }

    #[test]
    fn values_print_as_python_prints_them() {
        let list = Value::List(vec![Value::String("it's".into()), Value::Float(1e22), Value::Float(0.1), Value::None]);
        assert_eq!(str_of(&list), "[\"it's\", 1e+22, 0.1, None]");
        assert_eq!(str_of(&Value::Dict(vec![("k".into(), Value::Bool(true))])), "{'k': True}");
        assert_eq!(str_of(&Value::Float(0.00001)), "1e-05");
        assert_eq!(str_of(&Value::Float(0.0001)), "0.0001");
        assert_eq!(str_of(&Value::Float(1e15)), "1000000000000000.0");
        assert_eq!(str_of(&Value::None), "");
    }
}
