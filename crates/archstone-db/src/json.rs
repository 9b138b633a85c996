//! JSON text as Python's `json.dumps` writes it.

use std::fmt::Write as _;

use serde_json::{Number, Value};

/// What the reference stores in `extra` and other JSON columns: ASCII only (`\uXXXX`, surrogate pairs), `", "`
/// between items and `": "` after names, so that rows look alike whoever wrote them.
pub fn json_text(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (index, (name, member)) in members.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_string(out, name);
                out.push_str(": ");
                write_value(out, member);
            }
            out.push('}');
        }
    }
}

fn write_number(out: &mut String, number: &Number) {
    match number.as_f64() {
        Some(float) if number.is_f64() => out.push_str(&python_float(float)),
        _ => out.push_str(&number.to_string()),
    }
}

/// Python's `repr`: the shortest digits, with an exponent from 1e16 on and below 1e-4.
fn python_float(float: f64) -> String {
    if float == 0.0 || (1e-4..1e16).contains(&float.abs()) {
        return format!("{float:?}");
    }
    let text = format!("{float:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = match exponent.strip_prefix('-') {
                Some(exponent) => ('-', exponent),
                None => ('+', exponent),
            };
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text,
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}").expect("writing to a String does not fail");
                }
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // Expected texts are what CPython 3.11's json.dumps gives for the same values.
    #[test]
    fn text_is_what_python_writes() {
        for (value, text) in [
            (json!({}), "{}"),
            (json!({"a": [1, -2, true, null], "b": {}}), r#"{"a": [1, -2, true, null], "b": {}}"#),
            (json!("é😀\u{7f}\u{1}\n\"\\/"), r#""\u00e9\ud83d\ude00\u007f\u0001\n\"\\/""#),
            (json!(1.0), "1.0"),
            (json!(1e16), "1e+16"),
            (json!(1.5e300), "1.5e+300"),
            (json!(123_456_789.125), "123456789.125"),
            (json!(0.0001), "0.0001"),
            (json!(0.00001), "1e-05"),
            (json!(-0.0), "-0.0"),
            (json!(u64::MAX), "18446744073709551615"),
        ] {
            assert_eq!(json_text(&value), text);
        }
    }
}
