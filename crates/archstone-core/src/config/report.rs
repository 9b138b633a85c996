//! What is said about a configuration: problems stop the program, warnings do not.

use std::fmt;

use oslo_config::Origin;

/// A mistake that must be put right before the program starts. Displays as `place: text`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where the cause stands.
    pub origin: Origin,
    /// What is wrong; never holds a secret.
    pub text: String,
}

/// Something that the operator should know. Displays as `place: text`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// Where the cause stands.
    pub origin: Origin,
    /// How much it matters.
    pub level: Level,
    /// What there is to know; never holds a secret.
    pub text: String,
}

/// How much a [`Warning`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The setting has no effect here, and needs none.
    Note,
    /// The setting does not do what its author expects.
    Warning,
}

impl Problem {
    pub(crate) fn new(origin: &Origin, text: impl Into<String>) -> Self {
        Self { origin: origin.clone(), text: text.into() }
    }
}

impl Warning {
    pub(crate) fn new(origin: &Origin, level: Level, text: impl Into<String>) -> Self {
        Self { origin: origin.clone(), level, text: text.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, &self.origin, &self.text)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, &self.origin, &self.text)
    }
}

fn write(f: &mut fmt::Formatter<'_>, origin: &Origin, text: &str) -> fmt::Result {
    match origin {
        Origin::Default => f.write_str(text),
        origin => write!(f, "{origin}: {text}"),
    }
}
