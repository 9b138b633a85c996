//! The notation of types: what oslo.config prints for them, so that a table of options made from
//! Python can be read as it is.

use std::fmt;
use std::str::FromStr;

use crate::{StringType, Type};

/// The text names no known type, or an argument that the type doesn't have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an option type: {text:?}, at byte {at}")]
pub struct TypeTextError {
    /// The whole text.
    pub text: String,
    /// Where reading stopped.
    pub at: usize,
}

impl FromStr for Type {
    type Err = TypeTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut reader = Reader { text, at: 0 };
        let ty = reader.ty().filter(|_| reader.at == text.len());
        ty.ok_or_else(|| TypeTextError { text: text.to_owned(), at: reader.at })
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

/// One `name=value` between the parentheses.
enum Argument {
    Number(String),
    Flag(bool),
    Words(Vec<String>),
    Type(Type),
}

impl Reader<'_> {
    fn ty(&mut self) -> Option<Type> {
        let name = self.word();
        let mut arguments = Vec::new();
        if self.skip("(") {
            while !self.skip(")") {
                let key = self.word();
                self.skip("=").then_some(())?;
                arguments.push((key, self.argument()?));
                self.skip(", ");
            }
        }
        build(&name, arguments)
    }

    fn argument(&mut self) -> Option<Argument> {
        if self.skip("[") {
            let mut words = Vec::new();
            while !self.skip("]") {
                self.skip("'").then_some(())?;
                let end = self.rest().find('\'')?;
                words.push(self.rest()[..end].to_owned());
                self.at += end + 1;
                self.skip(", ");
            }
            return Some(Argument::Words(words));
        }
        if self.rest().starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            let end = self.rest().find([',', ')']).unwrap_or(self.rest().len());
            let number = self.rest()[..end].to_owned();
            self.at += end;
            return Some(Argument::Number(number));
        }
        for (word, flag) in [("True", true), ("False", false)] {
            if self.skip(word) {
                return Some(Argument::Flag(flag));
            }
        }
        self.ty().map(Argument::Type)
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn word(&mut self) -> String {
        let end = self.rest().find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest().len());
        let word = self.rest()[..end].to_owned();
        self.at += end;
        word
    }
}

fn build(name: &str, arguments: Vec<(String, Argument)>) -> Option<Type> {
    let mut ty = match name {
        "String" | "MultiString" => Type::string(),
        "Boolean" => Type::Boolean,
        "Integer" => Type::integer(),
        "Float" => Type::Float { min: None, max: None },
        "Port" => Type::Port,
        "List" => Type::list(),
        "Dict" => Type::Dict { value: Box::new(Type::string()), bounds: false },
        "IPAddress" => Type::IpAddress,
        "Hostname" => Type::Hostname,
        "HostAddress" => Type::HostAddress,
        "URI" => Type::Uri { max_length: None, schemes: Vec::new() },
        _ => return None,
    };
    for (key, argument) in arguments {
        set(&mut ty, &key, argument)?;
    }
    Some(ty)
}

fn set(ty: &mut Type, key: &str, argument: Argument) -> Option<()> {
    match (ty, key, argument) {
        (Type::String(string), "choices", Argument::Words(words)) => string.choices = words,
        (Type::String(string), "ignore_case", Argument::Flag(flag)) => string.ignore_case = flag,
        (Type::String(string), "quotes", Argument::Flag(flag)) => string.quotes = flag,
        (
            Type::String(StringType { max_length, .. }) | Type::Uri { max_length, .. },
            "max_length",
            Argument::Number(n),
        ) => {
            *max_length = Some(n.parse().ok()?);
        }
        (Type::Integer { min, .. }, "min", Argument::Number(n)) => *min = Some(n.parse().ok()?),
        (Type::Integer { max, .. }, "max", Argument::Number(n)) => *max = Some(n.parse().ok()?),
        (Type::Float { min, .. }, "min", Argument::Number(n)) => *min = Some(n.parse().ok()?),
        (Type::Float { max, .. }, "max", Argument::Number(n)) => *max = Some(n.parse().ok()?),
        (Type::List { item, .. }, "item", Argument::Type(ty)) => **item = ty,
        (Type::Dict { value, .. }, "value", Argument::Type(ty)) => **value = ty,
        (Type::List { bounds, .. } | Type::Dict { bounds, .. }, "bounds", Argument::Flag(flag)) => *bounds = flag,
        (Type::Uri { schemes, .. }, "schemes", Argument::Words(words)) => *schemes = words,
        _ => return None,
    }
    Some(())
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut arguments = Vec::new();
        let name = match self {
            Self::String(string) => {
                add_words(&mut arguments, "choices", &string.choices);
                add_flag(&mut arguments, "ignore_case", string.ignore_case);
                add_flag(&mut arguments, "quotes", string.quotes);
                add(&mut arguments, "max_length", string.max_length.as_ref());
                "String"
            }
            Self::Boolean => "Boolean",
            Self::Integer { min, max } => {
                add(&mut arguments, "min", min.as_ref());
                add(&mut arguments, "max", max.as_ref());
                "Integer"
            }
            Self::Float { min, max } => {
                add(&mut arguments, "min", min.as_ref());
                add(&mut arguments, "max", max.as_ref());
                "Float"
            }
            Self::Port => "Port",
            Self::List { item, bounds } => {
                add_flag(&mut arguments, "bounds", *bounds);
                add(&mut arguments, "item", Some(item));
                "List"
            }
            Self::Dict { value, bounds } => {
                add_flag(&mut arguments, "bounds", *bounds);
                add(&mut arguments, "value", Some(value));
                "Dict"
            }
            Self::IpAddress => "IPAddress",
            Self::Hostname => "Hostname",
            Self::HostAddress => "HostAddress",
            Self::Uri { max_length, schemes } => {
                add(&mut arguments, "max_length", max_length.as_ref());
                add_words(&mut arguments, "schemes", schemes);
                "URI"
            }
        };
        f.write_str(name)?;
        if arguments.is_empty() { Ok(()) } else { write!(f, "({})", arguments.join(", ")) }
    }
}

fn add(arguments: &mut Vec<String>, key: &str, value: Option<&impl fmt::Display>) {
    arguments.extend(value.map(|value| format!("{key}={value}")));
}

fn add_flag(arguments: &mut Vec<String>, key: &str, flag: bool) {
    if flag {
        arguments.push(format!("{key}=True"));
    }
}

fn add_words(arguments: &mut Vec<String>, key: &str, words: &[String]) {
    if !words.is_empty() {
        let words: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
        arguments.push(format!("{key}=[{}]", words.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notation_is_read_and_written_alike() {
        for text in [
            "String",
            "String(choices=['a', ''], ignore_case=True)",
            "Integer(min=-1, max=9223372036854775807)",
            "Float(min=0, max=4.5)",
            "Dict(value=List(bounds=True, item=String))",
            "URI(max_length=1024, schemes=['http', 'https'])",
            "HostAddress",
        ] {
            assert_eq!(text.parse::<Type>().map(|ty| ty.to_string()).as_deref(), Ok(text));
        }
    }

    #[test]
    fn unknown_types_and_arguments_are_refused() {
        for text in [
            "",
            "Str",
            "String(",
            "String(min=1)",
            "Integer(min=x)",
            "List(item=Nope)",
            "Boolean x",
            "String(choices=['a)",
        ] {
            assert!(text.parse::<Type>().is_err(), "{text}");
        }
    }
}
