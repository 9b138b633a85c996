//! From an option's value to a Rust field.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use oslo_config::{Origin, Settings, Value};
use zeroize::Zeroizing;

use super::report::Problem;

/// A configured secret. `Debug` shows nothing of it, and its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret itself; for use, not for show.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A type that a configuration field may have.
pub(crate) trait Field: Sized {
    /// Converts, or says what the value must be instead.
    fn from_value(value: &Value) -> Result<Self, String>;
}

impl<T: Field> Field for Option<T> {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::None => Ok(None),
            // `key =` unsets a text in effect: the reference tests such options for truth.
            Value::String(text) if text.is_empty() => Ok(None),
            value => T::from_value(value).map(Some),
        }
    }
}

impl Field for String {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) => Ok(text.clone()),
            _ => Err("must be set".to_owned()),
        }
    }
}

impl Field for Secret {
    fn from_value(value: &Value) -> Result<Self, String> {
        String::from_value(value).map(Self::new)
    }
}

impl Field for PathBuf {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::String(text) if !text.is_empty() => Ok(Self::from(text)),
            _ => Err("must be a path".to_owned()),
        }
    }
}

impl Field for bool {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Bool(flag) => Ok(*flag),
            _ => Err("must be set".to_owned()),
        }
    }
}

impl Field for f64 {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            #[expect(clippy::cast_precision_loss, reason = "nobody tells 2^53 seconds from one more")]
            Value::Int(number) => Ok(*number as Self),
            Value::Float(number) if number.is_finite() => Ok(*number),
            _ => Err("must be a finite number".to_owned()),
        }
    }
}

macro_rules! whole_numbers {
    ($($number:ty)*) => {$(
        impl Field for $number {
            fn from_value(value: &Value) -> Result<Self, String> {
                match value {
                    Value::Int(number) => Self::try_from(*number)
                        .map_err(|_range| format!("must be between {} and {}", Self::MIN, Self::MAX)),
                    _ => Err("must be set".to_owned()),
                }
            }
        }
    )*};
}

whole_numbers!(i64 u32 u64 usize);

/// An unset list is empty.
impl<T: Field> Field for Vec<T> {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::List(items) => items.iter().map(T::from_value).collect(),
            Value::None => Ok(Self::new()),
            _ => Err("must be a list".to_owned()),
        }
    }
}

/// An unset mapping is empty.
impl<T: Field> Field for BTreeMap<String, T> {
    fn from_value(value: &Value) -> Result<Self, String> {
        match value {
            Value::Dict(pairs) => pairs.iter().map(|(key, value)| Ok((key.clone(), T::from_value(value)?))).collect(),
            Value::None => Ok(Self::new()),
            _ => Err("must be key:value pairs".to_owned()),
        }
    }
}

/// Reads fields and keeps what was wrong with them.
pub(crate) struct Reader<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) defaults: &'a Settings,
    pub(crate) problems: Vec<Problem>,
}

impl Reader<'_> {
    /// The field's value; its default if the configured one does not fit.
    pub(crate) fn field<T: Field>(&mut self, group: &str, name: &str) -> T {
        if let Some(setting) = self.settings.get(group, name) {
            match T::from_value(&setting.value) {
                Ok(value) => return value,
                Err(reason) => self.problem(&setting.origin, group, name, &reason),
            }
        }
        let default = self.defaults.get(group, name).map(|setting| T::from_value(&setting.value));
        match default {
            Some(Ok(value)) => value,
            _ => unreachable!("a test reads every field's default, and [{group}] {name} has none that fits"),
        }
    }

    pub(crate) fn problem(&mut self, origin: &Origin, group: &str, name: &str, reason: &str) {
        self.problems.push(Problem::new(origin, format!("[{group}] {name} {reason}")));
    }
}

/// Defines an enum of the words that an option may have.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// The word in the configuration.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl $crate::config::field::Field for $name {
            fn from_value(value: &oslo_config::Value) -> Result<Self, String> {
                match value {
                    $(oslo_config::Value::String(word) if word == $word => Ok(Self::$variant),)+
                    _ => Err(format!("must be one of: {}", [$($word),+].join(", "))),
                }
            }
        }
    };
}
pub(crate) use words;
