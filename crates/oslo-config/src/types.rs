//! Option types: from text to a typed value.

use crate::{host, python, uri};

/// A converted value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Unset, or an empty number.
    None,
    /// Text, host, URI.
    String(String),
    /// `true`, `false`.
    Bool(bool),
    /// Integer or port.
    Int(i64),
    /// Floating point; may be infinite or NaN, as in Python.
    Float(f64),
    /// A list, or the values of a multi-valued option.
    List(Vec<Value>),
    /// Key-value pairs in the order written; keys are distinct.
    Dict(Vec<(String, Value)>),
}

/// What a value must look like. [`std::str::FromStr`] reads and `Display` writes the notation of
/// oslo.config's own `repr`, for example `List(item=String(choices=['a', 'b']))`.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// Text.
    String(StringType),
    /// `true/1/on/yes` or `false/0/off/no` in any case.
    Boolean,
    /// A whole number; empty text is [`Value::None`].
    Integer {
        /// Smallest value allowed.
        min: Option<i64>,
        /// Largest value allowed.
        max: Option<i64>,
    },
    /// A number; empty text is [`Value::None`].
    Float {
        /// Smallest value allowed.
        min: Option<f64>,
        /// Largest value allowed.
        max: Option<f64>,
    },
    /// 0 to 65535.
    Port,
    /// Items separated by commas.
    List {
        /// Type of each item. A part that is no valid item is joined with the next one.
        item: Box<Type>,
        /// Whether the text stands in `[` and `]`.
        bounds: bool,
    },
    /// `key:value` pairs separated by commas.
    Dict {
        /// Type of each value. A part that is no valid value is joined with the next one.
        value: Box<Type>,
        /// Whether the text stands in `{` and `}`.
        bounds: bool,
    },
    /// IPv4 or IPv6 address.
    IpAddress,
    /// A DNS name.
    Hostname,
    /// An address or a DNS name.
    HostAddress,
    /// A URI with a scheme and a host.
    Uri {
        /// Longest text allowed, in characters.
        max_length: Option<usize>,
        /// Schemes allowed; empty: all.
        schemes: Vec<String>,
    },
}

/// Restrictions of [`Type::String`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StringType {
    /// Values allowed; empty: all.
    pub choices: Vec<String>,
    /// Whether `choices` are compared without regard to case. The value keeps its own.
    pub ignore_case: bool,
    /// Whether outer quotes are removed, and an unclosed quote refused.
    pub quotes: bool,
    /// Longest text allowed, in characters.
    pub max_length: Option<usize>,
}

/// What was expected instead. Never holds the value: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{expected}")]
pub struct TypeError {
    /// For example `expected a whole number`.
    pub expected: String,
}

fn expected<T>(what: impl Into<String>) -> Result<T, TypeError> {
    Err(TypeError { expected: what.into() })
}

impl Type {
    /// Text without restrictions.
    pub fn string() -> Self {
        Self::String(StringType::default())
    }

    /// Integer without bounds.
    pub fn integer() -> Self {
        Self::Integer { min: None, max: None }
    }

    /// Comma-separated text.
    pub fn list() -> Self {
        Self::List { item: Box::new(Self::string()), bounds: false }
    }

    /// Reads `text` as oslo.config's type of the same name does.
    pub fn convert(&self, text: &str) -> Result<Value, TypeError> {
        match self {
            Self::String(restrictions) => restrictions.convert(text),
            Self::Boolean => convert_bool(text),
            Self::Integer { min, max } => convert_int(text, *min, *max),
            Self::Port => convert_int(text, Some(0), Some(65535)),
            Self::Float { min, max } => convert_float(text, *min, *max),
            Self::List { item, bounds } => convert_list(text, item, *bounds),
            Self::Dict { value, bounds } => convert_dict(text, value, *bounds),
            Self::IpAddress => host::check_ip(text).map(|()| Value::String(text.to_owned())),
            Self::Hostname => host::check_hostname(text).map(Value::String),
            Self::HostAddress => host::check_host_address(text).map(Value::String),
            Self::Uri { max_length, schemes } => {
                uri::check(text, schemes)?;
                check_length(text, *max_length)?;
                Ok(Value::String(text.to_owned()))
            }
        }
    }
}

impl StringType {
    fn convert(&self, text: &str) -> Result<Value, TypeError> {
        let mut text = text;
        if self.quotes && text.starts_with(['"', '\'']) {
            let quote = &text[..1];
            match text[1..].strip_suffix(quote) {
                Some(inner) => text = inner,
                None => return expected("quote is not closed"),
            }
        }
        check_length(text, self.max_length)?;
        let same = |choice: &String| {
            if self.ignore_case { choice.to_lowercase() == text.to_lowercase() } else { choice == text }
        };
        if !self.choices.is_empty() && !self.choices.iter().any(same) {
            return expected(format!("expected one of: {}", self.choices.join(", ")));
        }
        Ok(Value::String(text.to_owned()))
    }
}

fn check_length(text: &str, max: Option<usize>) -> Result<(), TypeError> {
    match max {
        Some(max) if text.chars().count() > max => expected(format!("expected at most {max} characters")),
        _ => Ok(()),
    }
}

fn convert_bool(text: &str) -> Result<Value, TypeError> {
    match text.to_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(Value::Bool(true)),
        "false" | "0" | "off" | "no" => Ok(Value::Bool(false)),
        _ => expected("expected true or false"),
    }
}

fn convert_int(text: &str, min: Option<i64>, max: Option<i64>) -> Result<Value, TypeError> {
    if python::strip(text).is_empty() {
        return Ok(Value::None);
    }
    match python::parse_int(text) {
        Err(()) => expected("expected a whole number"),
        Ok(None) => expected("expected a whole number of at most 64 bits"),
        Ok(Some(number)) => {
            check_range(number, min, max)?;
            Ok(Value::Int(number))
        }
    }
}

fn convert_float(text: &str, min: Option<f64>, max: Option<f64>) -> Result<Value, TypeError> {
    if python::strip(text).is_empty() {
        return Ok(Value::None);
    }
    match python::parse_float(text) {
        None => expected("expected a number"),
        Some(number) => {
            check_range(number, min, max)?;
            Ok(Value::Float(number))
        }
    }
}

fn check_range<T: Copy + PartialOrd + std::fmt::Display>(
    number: T,
    min: Option<T>,
    max: Option<T>,
) -> Result<(), TypeError> {
    match (min, max) {
        (Some(min), _) if number < min => expected(format!("expected at least {min}")),
        (_, Some(max)) if number > max => expected(format!("expected at most {max}")),
        _ => Ok(()),
    }
}

fn convert_list(text: &str, item: &Type, bounds: bool) -> Result<Value, TypeError> {
    let mut text = python::strip(text).trim_end_matches(',');
    if bounds {
        text = inside(text, '[', ']')?;
    }
    if text.is_empty() {
        return Ok(Value::List(Vec::new()));
    }
    let items = join_until_valid(text, |part| item.convert(python::strip(part)))?;
    Ok(Value::List(items))
}

fn convert_dict(text: &str, value: &Type, bounds: bool) -> Result<Value, TypeError> {
    let mut text = python::strip(text);
    if bounds {
        text = inside(text, '{', '}')?;
    }
    if text.is_empty() {
        return Ok(Value::Dict(Vec::new()));
    }
    let pairs = join_until_valid(text, |part| {
        let Some((key, text)) = part.split_once(':') else {
            return expected("expected key:value pairs separated by commas");
        };
        Ok((python::strip(key).to_owned(), value.convert(python::strip(text))?))
    })?;
    for (index, (key, _)) in pairs.iter().enumerate() {
        if key.is_empty() {
            return expected("expected a key before each colon");
        }
        if pairs[..index].iter().any(|(earlier, _)| earlier == key) {
            return expected("expected each key once");
        }
    }
    Ok(Value::Dict(pairs))
}

fn inside(text: &str, open: char, close: char) -> Result<&str, TypeError> {
    let Some(rest) = text.strip_prefix(open) else {
        return expected(format!("expected `{open}` at the start"));
    };
    match rest.strip_suffix(close) {
        Some(inner) => Ok(inner),
        None => expected(format!("expected `{close}` at the end")),
    }
}

/// Reads comma-separated parts; a part that does not convert is tried again joined with its successor,
/// because an item may itself contain commas.
fn join_until_valid<T>(text: &str, convert: impl Fn(&str) -> Result<T, TypeError>) -> Result<Vec<T>, TypeError> {
    let mut converted = Vec::new();
    let mut start = 0;
    while start <= text.len() {
        let mut end = start;
        loop {
            end = text[end..].find(',').map_or(text.len(), |at| end + at);
            match convert(&text[start..end]) {
                Ok(item) => {
                    converted.push(item);
                    break;
                }
                Err(error) if end == text.len() => return Err(error),
                Err(_) => end += 1,
            }
        }
        start = end + 1;
    }
    Ok(converted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(items: &[&str]) -> Value {
        Value::List(items.iter().map(|&item| Value::String(item.to_owned())).collect())
    }

    #[test]
    fn booleans_have_eight_spellings() {
        for text in ["true", "1", "On", "YES"] {
            assert_eq!(Type::Boolean.convert(text), Ok(Value::Bool(true)));
        }
        for text in ["False", "0", "off", "no"] {
            assert_eq!(Type::Boolean.convert(text), Ok(Value::Bool(false)));
        }
        for text in ["", "2", " true", "t", "enabled"] {
            assert!(Type::Boolean.convert(text).is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_keep_their_bounds_and_may_be_empty() {
        let percent = Type::Integer { min: Some(0), max: Some(100) };
        assert_eq!(percent.convert("100"), Ok(Value::Int(100)));
        assert_eq!(percent.convert("101").unwrap_err().expected, "expected at most 100");
        assert_eq!(percent.convert("-1").unwrap_err().expected, "expected at least 0");
        assert_eq!(percent.convert(" "), Ok(Value::None));
        assert!(Type::Port.convert("65536").is_err());
        assert_eq!(Type::Float { min: Some(0.0), max: None }.convert("1e2"), Ok(Value::Float(100.0)));
    }

    #[test]
    fn lists_split_at_commas_and_lose_trailing_ones() {
        assert_eq!(Type::list().convert(" a, b ,,c,, "), Ok(strings(&["a", "b", "", "c"])));
        assert_eq!(Type::list().convert("\na,\nb"), Ok(strings(&["a", "b"])));
        assert_eq!(Type::list().convert(",,"), Ok(strings(&[])));
        assert_eq!(Type::list().convert(",a"), Ok(strings(&["", "a"])));
    }

    #[test]
    fn quoted_list_items_may_hold_commas() {
        let quoted = Type::String(StringType { quotes: true, ..StringType::default() });
        let list = Type::List { item: Box::new(quoted), bounds: false };
        assert_eq!(list.convert("\"a,b\",c"), Ok(strings(&["a,b", "c"])));
        assert!(list.convert("\"a,b").is_err());
    }

    #[test]
    fn dict_of_lists_joins_parts_until_they_close() {
        let value = Type::List { item: Box::new(Type::string()), bounds: true };
        let dict = Type::Dict { value: Box::new(value), bounds: false };
        let expected = vec![("a".to_owned(), strings(&["1", "2"])), ("b".to_owned(), strings(&["3"]))];
        assert_eq!(dict.convert("a:[1,2],b:[3]"), Ok(Value::Dict(expected)));
        assert!(dict.convert("a:b").is_err());
    }

    #[test]
    fn dict_refuses_missing_empty_and_repeated_keys() {
        let dict = Type::Dict { value: Box::new(Type::string()), bounds: false };
        assert_eq!(dict.convert(""), Ok(Value::Dict(Vec::new())));
        for text in ["a", ":x", "a:1,a:2", "a:b,c"] {
            assert!(dict.convert(text).is_err(), "{text}");
        }
    }

    #[test]
    fn choices_may_ignore_case_and_keep_the_spelling() {
        let choices = vec!["Days".to_owned()];
        let strict = Type::String(StringType { choices: choices.clone(), ..StringType::default() });
        let loose = Type::String(StringType { choices, ignore_case: true, ..StringType::default() });
        assert!(strict.convert("days").is_err());
        assert_eq!(loose.convert("days"), Ok(Value::String("days".into())));
    }

    #[test]
    fn error_text_never_holds_the_value() {
        let dict = Type::Dict { value: Box::new(Type::integer()), bounds: false };
        let types = [
            Type::Boolean,
            Type::integer(),
            Type::Port,
            dict,
            Type::Hostname,
            Type::Uri { max_length: None, schemes: vec![] },
        ];
        for ty in types {
            let error = ty.convert("hunter2_:secret").unwrap_err();
            assert!(!error.expected.contains("hunter2"), "{ty:?}: {error}");
        }
    }
}
