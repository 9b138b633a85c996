//! What was given: file texts in order, and the environment.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::Ini;

/// Where a value came from. Displays as `path:line`, `environment variable NAME`, or `default`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nothing set it.
    Default,
    /// An environment variable.
    Environment(String),
    /// A file; line 0 stands for the file as a whole.
    File {
        /// As it was named to [`Sources::add_text`].
        path: Arc<str>,
        /// From 1.
        line: u32,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::File { path, line: 0 } => f.write_str(path),
            Self::File { path, line } => write!(f, "{path}:{line}"),
        }
    }
}

/// Parsed files, in the order in which they were named (a later one wins), and the environment, which
/// wins over all files.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    pub(crate) files: Vec<(Arc<str>, Ini)>,
    pub(crate) environment: BTreeMap<String, String>,
}

impl Sources {
    /// Adds a file's text under the name that messages shall show.
    pub fn add_text(&mut self, path: &str, text: &str) {
        self.files.push((path.into(), Ini::parse(text)));
    }

    /// Adds environment variables; those not of the form `OS_<GROUP>__<OPTION>` are passed over.
    pub fn add_environment(&mut self, variables: impl IntoIterator<Item = (String, String)>) {
        let ours = |name: &str| name.strip_prefix("OS_").is_some_and(|rest| rest.contains("__"));
        self.environment.extend(variables.into_iter().filter(|(name, _)| ours(name)));
    }

    /// Every syntax error of every file.
    pub fn parse_errors(&self) -> impl Iterator<Item = (Origin, crate::ParseErrorKind)> {
        self.files.iter().flat_map(|(path, ini)| {
            ini.errors.iter().map(|error| (Origin::File { path: path.clone(), line: error.line }, error.kind))
        })
    }
}
