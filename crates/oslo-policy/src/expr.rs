//! A rule as it was written: the tree of checks, and its canonical text.

use std::fmt;

/// A parsed rule. Its `Display` is the canonical text of oslo.policy (`@`, `!`, `(a:b and c:d)`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// `@` or nothing: everybody.
    Always,
    /// `!`, or text that could not be understood: nobody.
    Never,
    /// `rule:name`: what another rule says.
    Rule(String),
    /// `role:name`: a role of the token, without regard to case.
    Role(String),
    /// `kind:text`: a literal or a credential (`kind`) compared with text that may hold `%(attribute)s`.
    Match {
        /// The literal, or the dotted path of the credential.
        kind: String,
        /// The text compared with it.
        text: String,
    },
    /// `http:…` or `https:…`: what a remote server says. The whole URL, with its scheme.
    Remote(String),
    /// `not a`
    Not(Box<Expr>),
    /// `a and b`
    And(Vec<Expr>),
    /// `a or b`
    Or(Vec<Expr>),
}

impl Expr {
    /// The names of the rules that this one refers to, in order of appearance.
    pub fn references(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.collect_references(&mut names);
        names
    }

    fn collect_references<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::Rule(name) => names.push(name),
            Self::Not(inner) => inner.collect_references(names),
            Self::And(items) | Self::Or(items) => {
                for item in items {
                    item.collect_references(names);
                }
            }
            Self::Always | Self::Never | Self::Role(_) | Self::Match { .. } | Self::Remote(_) => {}
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut joined = |items: &[Self], word: &str| {
            f.write_str("(")?;
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    f.write_str(word)?;
                }
                write!(f, "{item}")?;
            }
            f.write_str(")")
        };
        match self {
            Self::And(items) => joined(items, " and "),
            Self::Or(items) => joined(items, " or "),
            Self::Always => f.write_str("@"),
            Self::Never => f.write_str("!"),
            Self::Rule(name) => write!(f, "rule:{name}"),
            Self::Role(name) => write!(f, "role:{name}"),
            Self::Match { kind, text } => write!(f, "{kind}:{text}"),
            Self::Remote(url) => f.write_str(url),
            Self::Not(inner) => write!(f, "not {inner}"),
        }
    }
}
