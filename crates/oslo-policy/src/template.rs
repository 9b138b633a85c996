//! The right side of a check: text with `%(key)s` filled in from the target, as Python's `%` operator does it.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::python::{repr_of, str_of};

/// A compiled right side.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Template {
    Literal(String),
    /// Exactly one `%(key)s`: the usual case, rendered without copying.
    Key(Key),
    Parts(Vec<Part>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Part {
    Text(String),
    Str(Key),
    Repr(Key),
}

/// A target attribute, by its flat name and by the steps into nested objects.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    name: String,
    steps: Vec<String>,
}

/// A right side with its values in place.
#[derive(Debug)]
pub(crate) struct Rendered<'a> {
    pub(crate) text: Cow<'a, str>,
    /// Whether one of the values was null. Null reads as `None`, which must not be taken for a value.
    pub(crate) from_null: bool,
    /// Whether any value was filled in at all.
    pub(crate) substituted: bool,
}

impl Key {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), steps: name.split('.').map(str::to_owned).collect() }
    }

    /// The attribute in a target that may be flat (`{"target.user.id": …}`) or nested. Objects are no values: the
    /// reference flattens the target before it looks.
    fn find<'a>(&self, target: &'a Map<String, Value>) -> Option<&'a Value> {
        let found = target.get(&self.name).or_else(|| {
            let (last, path) = self.steps.split_last()?;
            let mut map = target;
            for step in path {
                map = map.get(step)?.as_object()?;
            }
            map.get(last)
        });
        found.filter(|value| !value.is_object())
    }
}

impl Template {
    /// Whether nothing of the target is filled in.
    pub(crate) fn is_literal(&self) -> bool {
        matches!(self, Template::Literal(_))
    }

    /// Whether it is the target's attribute of this name and nothing else.
    pub(crate) fn is_key(&self, name: &str) -> bool {
        matches!(self, Template::Key(key) if key.name == name)
    }

    /// Compiles a right side; the error says which part Python's `%` operator would refuse.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            literal.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                literal.push('%');
                rest = after;
                continue;
            }
            let (key, conversion, after) = read_placeholder(rest)?;
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(if conversion == 's' { Part::Str(Key::new(key)) } else { Part::Repr(Key::new(key)) });
            rest = after;
        }
        literal.push_str(rest);
        if parts.is_empty() {
            return Ok(Self::Literal(literal));
        }
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(match <[Part; 1]>::try_from(parts) {
            Ok([Part::Str(key)]) => Self::Key(key),
            Ok(single) => Self::Parts(single.into()),
            Err(parts) => Self::Parts(parts),
        })
    }

    /// The text for this target; `None` if it lacks an attribute.
    pub(crate) fn render<'a>(&'a self, target: &'a Map<String, Value>) -> Option<Rendered<'a>> {
        match self {
            Self::Literal(text) => Some(Rendered { text: Cow::Borrowed(text), from_null: false, substituted: false }),
            Self::Key(key) => {
                let value = key.find(target)?;
                Some(Rendered { text: str_of(value), from_null: value.is_null(), substituted: true })
            }
            Self::Parts(parts) => {
                let mut text = String::new();
                let mut from_null = false;
                for part in parts {
                    match part {
                        Part::Text(literal) => text.push_str(literal),
                        Part::Str(key) => {
                            let value = key.find(target)?;
                            from_null |= value.is_null();
                            text.push_str(&str_of(value));
                        }
                        Part::Repr(key) => {
                            let value = key.find(target)?;
                            from_null |= value.is_null();
                            text.push_str(&repr_of(value));
                        }
                    }
                }
                Some(Rendered { text: Cow::Owned(text), from_null, substituted: true })
            }
        }
    }
}

/// Reads `(key)s` after a percent sign: the key, the conversion letter, and what follows.
fn read_placeholder(text: &str) -> Result<(&str, char, &str), String> {
    let inner = text.strip_prefix('(').ok_or("a percent sign is not followed by (name)s")?;
    // Python counts parentheses inside the name.
    let mut depth = 1_usize;
    let close = inner.char_indices().find_map(|(at, c)| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    });
    let close = close.ok_or("%( is not closed")?;
    let after = &inner[close + 1..];
    match after.chars().next() {
        Some(conversion @ ('s' | 'r')) => Ok((&inner[..close], conversion, &after[1..])),
        Some(other) => Err(format!("%({}){other} is not supported, only s and r are", &inner[..close])),
        None => Err(format!("%({}) lacks its s", &inner[..close])),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(template: &str, target: &Value) -> Option<String> {
        let template = Template::parse(template).unwrap();
        template.render(target.as_object().unwrap()).map(|rendered| rendered.text.into_owned())
    }

    #[test]
    fn attributes_are_found_flat_and_nested() {
        let target = json!({"user_id": "u1", "target.user.id": "flat", "target": {"group": {"id": 5, "tags": ["x"]}}});
        assert_eq!(render("%(user_id)s", &target).unwrap(), "u1");
        assert_eq!(render("%(target.user.id)s", &target).unwrap(), "flat");
        assert_eq!(render("<%(target.group.id)s>", &target).unwrap(), "<5>");
        assert_eq!(render("%(target.group.tags)s%(user_id)r", &target).unwrap(), "['x']'u1'");
        assert_eq!(render("100%%", &target).unwrap(), "100%");
        assert_eq!(render("%(target.group)s", &target), None);
        assert_eq!(render("%(absent)s", &target), None);
    }

    #[test]
    fn what_python_cannot_format_is_refused() {
        for text in ["100%", "%s", "%(a", "%(a)", "%(a)x", "%(a)5s"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
