//! What is wrong with a set of rules, in words for an operator.

use std::fmt;

/// How grave a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth tidying up; nothing is wrong.
    Note,
    /// A rule says what it hardly means to say.
    Error,
}

/// A problem with one rule, or with one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, or nothing for the built-in defaults.
    pub origin: Option<String>,
    /// The rule; nothing if the file as a whole is meant.
    pub rule: Option<String>,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// The kinds of problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProblemKind {
    /// The text makes no sense, wholly or in part.
    Malformed(String),
    /// No operation asks for this name and no rule refers to it: probably misspelt, and without any effect.
    UnknownName {
        /// The name that was perhaps meant.
        nearest: Option<String>,
    },
    /// `rule:name` refers to nothing; it denies.
    UndefinedReference {
        /// The name referred to.
        name: String,
        /// The name that was perhaps meant.
        nearest: Option<String>,
    },
    /// The rule depends on itself by way of this reference; it denies.
    Cycle {
        /// The name referred to.
        name: String,
    },
    /// The chain of references is too long to follow; it denies.
    TooDeep {
        /// The name referred to.
        name: String,
    },
    /// The name was replaced by another.
    Renamed {
        /// The name to use.
        to: String,
    },
    /// The rule equals the default.
    Redundant,
}

impl Problem {
    /// Whether something is wrong, or merely worth knowing.
    pub fn severity(&self) -> Severity {
        match self.kind {
            ProblemKind::Redundant | ProblemKind::Renamed { .. } => Severity::Note,
            _ => Severity::Error,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.origin.as_deref().unwrap_or("built-in defaults"))?;
        if let Some(rule) = &self.rule {
            write!(f, ": {rule}")?;
        }
        f.write_str(": ")?;
        let suggest = |f: &mut fmt::Formatter<'_>, nearest: &Option<String>| match nearest {
            Some(nearest) => write!(f, "; did you mean {nearest}?"),
            None => Ok(()),
        };
        match &self.kind {
            ProblemKind::Malformed(fault) => f.write_str(fault),
            ProblemKind::UnknownName { nearest } => {
                f.write_str("no operation has this name and no rule refers to it, so it has no effect")?;
                suggest(f, nearest)
            }
            ProblemKind::UndefinedReference { name, nearest } => {
                write!(f, "rule:{name} refers to a rule that does not exist, so it denies")?;
                suggest(f, nearest)
            }
            ProblemKind::Cycle { name } => write!(f, "rule:{name} leads back to this rule, so it denies"),
            ProblemKind::TooDeep { name } => {
                write!(f, "rule:{name} starts a chain of references that is too long, so it denies")
            }
            ProblemKind::Renamed { to } => write!(f, "the name is out of date; use {to}"),
            ProblemKind::Redundant => f.write_str("equals the default and can be left out"),
        }
    }
}

/// The known name that differs least from `name`, if any is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let limit = (name.chars().count() / 4).min(4);
    known
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= limit * 4)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// Levenshtein's distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, d) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_name_is_suggested() {
        let known = ["identity:get_user", "identity:get_group", "owner"];
        let near = |name| nearest(name, known.into_iter());
        assert_eq!(near("identity:get_usr").as_deref(), Some("identity:get_user"));
        assert_eq!(near("ownr").as_deref(), Some("owner"));
        assert_eq!(near("something_else"), None);
    }
}
