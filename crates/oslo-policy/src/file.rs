//! Policy files: the YAML (or JSON) text of `policy.yaml`, `policy.json` and `policy.d/*` to parsed rules.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_yaml_ng::Value;

use crate::expr::Expr;
use crate::parse::{Parsed, parse_list, parse_text};

/// The rules of one policy file.
#[derive(Debug, Clone, Default)]
pub struct RuleFile {
    /// Where the text came from, for messages; usually a path.
    pub origin: String,
    /// The rules in the order of the file; of a name given twice, only the last.
    pub rules: Vec<FileRule>,
    /// What is wrong with the file as a whole, in words for an operator.
    pub faults: Vec<String>,
}

/// A rule of a policy file.
#[derive(Debug, Clone)]
pub struct FileRule {
    /// The name, such as `identity:get_user`.
    pub name: String,
    /// The rule and the faults of its text.
    pub parsed: Parsed,
}

/// A policy file that is no YAML, or whose top level does not map names to rules.
#[derive(Debug, thiserror::Error)]
#[error("reading policy file {origin}: {reason}")]
pub struct FileError {
    origin: String,
    reason: String,
}

impl RuleFile {
    /// Parses the text of a file. Only text that holds no names and rules at all is an error; a rule that makes no
    /// sense denies, with a fault.
    pub fn parse(origin: &str, text: &str) -> Result<Self, FileError> {
        let document: Document = match serde_yaml_ng::from_str(text) {
            Ok(document) => document,
            // JSON with tabs is no YAML.
            Err(error) => serde_json::from_str(text)
                .map_err(|_| FileError { origin: origin.to_owned(), reason: error.to_string() })?,
        };
        let mut file = Self { origin: origin.to_owned(), ..Self::default() };
        for (key, value) in document.0 {
            let Value::String(name) = key else {
                file.faults.push(format!("the key {} is no rule name; it is ignored", describe(&key)));
                continue;
            };
            if let Some(earlier) = file.rules.iter().position(|rule| rule.name == name) {
                file.faults.push(format!("{name} is given twice; the last one counts"));
                file.rules.remove(earlier);
            }
            file.rules.push(FileRule { name, parsed: parse_value(&value) });
        }
        Ok(file)
    }
}

fn parse_value(value: &Value) -> Parsed {
    match value {
        Value::String(text) => parse_text(text),
        Value::Sequence(items) => parse_sequence(items),
        // The reference takes a missing value for an empty rule.
        Value::Null => Parsed {
            expr: Expr::Always,
            faults: vec!["has no value, which allows everybody; write \"\" if that is meant, \"!\" to deny".to_owned()],
        },
        // The reference reads an unquoted `!` as a missing value and allows everybody; certainly not what was meant.
        Value::Tagged(_) => denied("an unquoted ! is a tag in YAML; write \"!\"; it denies".to_owned()),
        other => denied(format!("{} is no rule; it denies", describe(other))),
    }
}

fn parse_sequence(items: &[Value]) -> Parsed {
    let mut faults = Vec::new();
    let mut text_of = |item: &Value| match item {
        Value::String(text) => text.clone(),
        other => {
            faults.push(format!("{} in a list is no check; it denies", describe(other)));
            "!".to_owned()
        }
    };
    let lists: Vec<Vec<String>> = items
        .iter()
        .map(|item| match item {
            // The reference skips empty items.
            Value::String(text) if text.is_empty() => Vec::new(),
            Value::Sequence(inner) => inner.iter().map(&mut text_of).collect(),
            other => vec![text_of(other)],
        })
        .collect();
    let mut parsed = parse_list(&lists);
    faults.append(&mut parsed.faults);
    Parsed { expr: parsed.expr, faults }
}

fn denied(fault: String) -> Parsed {
    Parsed { expr: Expr::Never, faults: vec![fault] }
}

fn describe(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("{text:?}"),
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
        Value::Tagged(_) => "a tagged value".to_owned(),
    }
}

/// The top level of a file, in order and with names given twice: a plain map would refuse those.
struct Document(Vec<(Value, Value)>);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping of rule names to rules")
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document(Vec::new()))
    }

    fn visit_none<E>(self) -> Result<Document, E> {
        Ok(Document(Vec::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Document(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<(String, String, usize)> {
        let file = RuleFile::parse("test", text).unwrap();
        file.rules.into_iter().map(|r| (r.name, r.parsed.expr.to_string(), r.parsed.faults.len())).collect()
    }

    fn rule(text: &str) -> (String, usize) {
        let (_, expr, faults) = rules(text).remove(0);
        (expr, faults)
    }

    #[test]
    fn yaml_and_json_are_read() {
        let expected = vec![
            ("identity:get_user".to_owned(), "role:reader".to_owned(), 0),
            ("owner".to_owned(), "((a:1 and b:2) or c:3)".to_owned(), 0),
        ];
        assert_eq!(rules("# mine\n\"identity:get_user\": role:reader\nowner: [[a:1, b:2], c:3]\n"), expected);
        assert_eq!(
            rules("{\n\t\"identity:get_user\": \"role:reader\",\n\t\"owner\": [[\"a:1\", \"b:2\"], \"c:3\"]}"),
            expected
        );
        assert_eq!(rules(""), Vec::new());
        assert_eq!(rules("# nothing\n---\n"), Vec::new());
    }

    #[test]
    fn values_that_are_no_rules_deny() {
        assert_eq!(rule("a: '!'"), ("!".to_owned(), 0));
        assert_eq!(rule("a: \"\""), ("@".to_owned(), 0));
        assert_eq!(rule("a: []"), ("@".to_owned(), 0));
        assert_eq!(rule("a: ''"), ("@".to_owned(), 0));
        assert_eq!(rule("a:"), ("@".to_owned(), 1));
        for text in ["a: !", "a: true", "a: 0", "a: {b: c}", "a: ['', 5]", "a: [[null]]", "a: !!x y"] {
            assert_eq!(rule(text), ("!".to_owned(), 1), "{text}");
        }
    }

    #[test]
    fn last_of_two_counts_and_is_reported() {
        let file = RuleFile::parse("test", "a: b:1\nc: d:1\na: b:2\n7: x:y\n").unwrap();
        assert_eq!(file.rules.iter().map(|r| r.parsed.expr.to_string()).collect::<Vec<_>>(), ["d:1", "b:2"]);
        assert_eq!(file.faults.len(), 2);
    }

    #[test]
    fn what_is_no_mapping_is_an_error() {
        for text in ["- a", "just text", "a: [", "a: b: c", "5"] {
            assert!(RuleFile::parse("p.yaml", text).unwrap_err().to_string().contains("p.yaml"), "{text}");
        }
    }
}
