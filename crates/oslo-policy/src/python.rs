//! The few conversions of Python that policy matching rests on: `str()`, `repr()` and literals.
//!
//! The language compares *texts*: `True:%(enabled)s` holds because Python's `str(True)` is `True`.
//! So every value of a token or a target is compared by the text that Python would give it.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Number, Value};

/// The text that Python's `str()` gives a JSON value.
pub(crate) fn str_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed("None"),
        Value::Bool(true) => Cow::Borrowed("True"),
        Value::Bool(false) => Cow::Borrowed("False"),
        _ => Cow::Owned(repr_of(value)),
    }
}

/// The text that Python's `repr()` gives a JSON value.
pub(crate) fn repr_of(value: &Value) -> String {
    let mut out = String::new();
    write_repr(value, &mut out);
    out
}

fn write_repr(value: &Value, out: &mut String) {
    match value {
        Value::Null | Value::Bool(_) => out.push_str(&str_of(value)),
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::String(text) => write_quoted(text, out),
        Value::Array(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push_str(", ");
                }
                write_repr(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push('{');
            for (n, (key, item)) in map.iter().enumerate() {
                if n > 0 {
                    out.push_str(", ");
                }
                write_quoted(key, out);
                out.push_str(": ");
                write_repr(item, out);
            }
            out.push('}');
        }
    }
}

fn write_quoted(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => float_text(float),
        _ => number.to_string(),
    }
}

/// Python writes the shortest digits that read back the same, and turns to exponents below 1e-4 and from 1e16.
pub(crate) fn float_text(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if float != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{float}");
    if plain.contains('.') { plain } else { format!("{plain}.0") }
}

/// What Python makes of the left side of a check such as `token.project.id:…` or `'member':…`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// A literal; its `str()`.
    Literal(String),
    /// No literal: the dotted path of a credential.
    Path(Vec<String>),
    /// Not an expression (the reference raises an exception when it gets there), or a literal that this
    /// implementation does not read (tuples, sets, escapes beyond the common ones).
    Invalid,
}

/// Reads the left side of a check as `ast.literal_eval` followed by a split at the dots does.
pub(crate) fn read_kind(text: &str) -> Kind {
    let trimmed = text.trim_start_matches([' ', '\t']).trim_end();
    match trimmed {
        "None" | "True" | "False" => return Kind::Literal(trimmed.to_owned()),
        "" => return Kind::Invalid,
        _ => {}
    }
    if let Some(literal) = quoted(trimmed) {
        return Kind::Literal(literal);
    }
    if let Some(literal) = numeric(trimmed) {
        return Kind::Literal(literal);
    }
    if is_expression(trimmed) { Kind::Path(text.split('.').map(str::to_owned).collect()) } else { Kind::Invalid }
}

/// The content of a quoted string with Python's common escapes.
fn quoted(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let inner = text.get(1..)?.strip_suffix(quote)?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.push(match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                escaped @ ('\\' | '\'' | '"') => escaped,
                _ => return None,
            }),
            '\n' | '\r' => return None,
            c if c == quote => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

/// Python's text of a decimal integer or float literal with at most one sign.
fn numeric(text: &str) -> Option<String> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let plausible = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && digits.bytes().any(|b| b.is_ascii_digit())
        && !digits.starts_with(['+', '-', 'e', 'E']);
    if !plausible {
        return None;
    }
    let sign = if negative { "-" } else { "" };
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        let significant = digits.trim_start_matches('0');
        return match (significant.is_empty(), significant.len() == digits.len()) {
            (true, _) => Some("0".to_owned()),
            (false, true) => Some(format!("{sign}{digits}")),
            // 01 is an error in Python 3.
            (false, false) => None,
        };
    }
    let float: f64 = digits.parse().ok()?;
    Some(format!("{sign}{}", float_text(float)))
}

const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

/// Whether the text is names or integers, joined by dots and single arithmetic signs: what credential names look
/// like. Python accepts more (calls, subscripts); nobody names a credential so.
fn is_expression(text: &str) -> bool {
    text.split(['-', '+', '/', '*', '%', '@', '|', '&', '^', ',']).all(is_operand)
}

fn is_operand(text: &str) -> bool {
    let mut segments = text.split('.');
    let first = segments.next().unwrap_or_default();
    let integer = !first.is_empty()
        && first.bytes().all(|b| b.is_ascii_digit())
        && (first == "0" || !first.starts_with('0'))
        && !text.contains('.');
    integer || ((is_name(first) || matches!(first, "None" | "True" | "False")) && segments.all(is_name))
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_')
        && !KEYWORDS.contains(&text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_read_as_python_writes_them() {
        for (value, text) in [
            (json!(null), "None"),
            (json!(true), "True"),
            (json!(7), "7"),
            (json!(1.0), "1.0"),
            (json!(1e16), "1e+16"),
            (json!(123_456_789.5), "123456789.5"),
            (json!(0.00001), "1e-05"),
            (json!(-0.0), "-0.0"),
            (json!("it's"), "it's"),
            (json!(["a", "it's", null, [1]]), "['a', \"it's\", None, [1]]"),
            (json!({"a": true}), "{'a': True}"),
            (json!(["\n\u{1}'\""]), "['\\n\\x01\\'\"']"),
        ] {
            assert_eq!(str_of(&value), text);
        }
    }

    #[test]
    fn left_sides_are_literals_paths_or_errors() {
        let path = |text: &str| Kind::Path(text.split('.').map(str::to_owned).collect());
        let literal = |text: &str| Kind::Literal(text.to_owned());
        for (text, kind) in [
            ("None", literal("None")),
            ("'Member'", literal("Member")),
            ("\"it's\"", literal("it's")),
            ("'it\\'s'", literal("it's")),
            ("-1", literal("-1")),
            ("1e3", literal("1000.0")),
            ("00", literal("0")),
            ("user_id", path("user_id")),
            ("token.project.domain.id", path("token.project.domain.id")),
            ("user-id", path("user-id")),
            ("1-2", path("1-2")),
            ("None.x", path("None.x")),
            (" role", path(" role")),
            ("", Kind::Invalid),
            ("2fa", Kind::Invalid),
            ("class", Kind::Invalid),
            ("a.is", Kind::Invalid),
            ("a.0", Kind::Invalid),
            ("a..b", Kind::Invalid),
            ("01", Kind::Invalid),
            ("'a", Kind::Invalid),
            ("'a'b'", Kind::Invalid),
        ] {
            assert_eq!(read_kind(text), kind, "{text:?}");
        }
    }
}
