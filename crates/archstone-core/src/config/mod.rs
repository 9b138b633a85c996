//! The configuration: which options exist, what they are set to, and what is wrong with them.
//!
//! [`Given`] reads the files that the command line names. [`Config::load`] makes typed fields of them
//! and says everything that is wrong at once. [`check_environment`] looks at what the configuration
//! names: key repositories, policy files.
//!
//! **Invariant:** a file written for Keystone never stops the program for what it merely carries along:
//! unknown names, and even wrong values of options that have no effect here, are warnings.
//!
//! **Invariant:** no option is read and then ignored in silence: `support.rs` says of each what becomes
//! of it, and a test compares that with the fields.

mod check;
mod field;
mod files;
mod memory_size;
mod network;
mod options;
mod report;
mod sections;
mod support;

use std::path::{Path, PathBuf};

use oslo_config::{Origin, Schema, Settings, Sources, UnknownName};

pub use check::check_environment;
pub use field::Secret;
pub use files::{Given, Named};
pub use memory_size::MemorySize;
pub use network::Network;
pub(crate) use options::is_secret;
pub use report::{Level, Problem, Warning};
pub use sections::*;

use support::{Verdict, support};

/// What an examination found. With problems, the fields concerned have their defaults.
#[derive(Debug, Clone)]
pub struct Examined {
    /// The configuration as far as it could be read.
    pub config: Config,
    /// In the order of the files.
    pub problems: Vec<Problem>,
    /// In the order of the files.
    pub warnings: Vec<Warning>,
}

impl Examined {
    /// The configuration, unless it has problems.
    ///
    /// # Errors
    /// All problems, in the order of the files.
    pub fn finish(mut self) -> Result<(Config, Vec<Warning>), Vec<Problem>> {
        self.problems.sort();
        if self.problems.is_empty() { Ok((self.config, self.warnings)) } else { Err(self.problems) }
    }
}

impl Config {
    /// Makes the configuration of what was given.
    pub fn load(given: &Given) -> Result<(Self, Vec<Warning>), Vec<Problem>> {
        Self::examine(given).finish()
    }

    /// Reads what was given and says everything that there is to say about it.
    pub fn examine(given: &Given) -> Examined {
        let schema = options::schema(&given.sources);
        let settings = schema.resolve(&given.sources);
        let defaults = schema.resolve(&Sources::default());
        let mut problems = given.problems.clone();
        let mut warnings = Vec::new();
        for (origin, kind) in given.sources.parse_errors() {
            problems.push(Problem::new(&origin, kind.to_string()));
        }
        judge_invalid(&settings, &mut problems, &mut warnings);
        judge_support(&settings, &defaults, &mut problems, &mut warnings);
        warn_of_names(&schema, &settings, &mut warnings);
        let (mut config, field_problems) = Self::read(&settings, &defaults);
        config.search_dirs.clone_from(&given.search_dirs);
        problems.extend(field_problems);
        problems.extend(check::check_values(&config));
        problems.sort();
        problems.dedup();
        warnings.sort();
        Examined { config, problems, warnings }
    }

    /// The configuration of one text; for tests.
    pub fn from_text(text: &str) -> Result<Self, Vec<Problem>> {
        Self::load(&Given::from_text("test.conf", text)).map(|(config, _)| config)
    }

    /// The value of an option that is no secret, whatever becomes of it here; none for an option that does not exist.
    pub fn open_value(&self, group: &str, name: &str) -> Option<&serde_json::Value> {
        self.open_values.get(&(group.to_owned(), name.to_owned()))
    }

    /// Where an option was set.
    pub fn origin(&self, group: &str, name: &str) -> Origin {
        self.origins.get(&(group.to_owned(), name.to_owned())).cloned().unwrap_or(Origin::Default)
    }

    /// The path of a file that the configuration names: beside its own files, then in the usual places.
    /// `None` if it is nowhere.
    pub fn find_file(&self, name: &Path) -> Option<PathBuf> {
        if name.is_absolute() {
            return name.exists().then(|| name.to_path_buf());
        }
        self.search_dirs.iter().map(|dir| dir.join(name)).find(|path| path.exists())
    }
}

impl Default for Config {
    fn default() -> Self {
        let defaults = options::schema(&Sources::default()).resolve(&Sources::default());
        Self::read(&defaults, &defaults).0
    }
}

fn judge_invalid(settings: &Settings, problems: &mut Vec<Problem>, warnings: &mut Vec<Warning>) {
    for invalid in &settings.invalid {
        let text = format!("[{}] {}: {}", invalid.group, invalid.name, invalid.reason);
        if support(&invalid.group, &invalid.name).is_none_or(support::Support::needs_value) {
            problems.push(Problem::new(&invalid.origin, text));
        } else {
            warnings.push(Warning::new(&invalid.origin, Level::Warning, text));
        }
    }
}

fn judge_support(settings: &Settings, defaults: &Settings, problems: &mut Vec<Problem>, warnings: &mut Vec<Warning>) {
    for (group, name, setting) in settings.given() {
        let (Some(support), Some(default)) = (support(group, name), defaults.get(group, name)) else {
            continue;
        };
        match support.judge(setting, default) {
            Verdict::Nothing => {}
            Verdict::Note(text) => warnings.push(warning(&setting.origin, Level::Note, group, name, &text)),
            Verdict::Warning(text) => warnings.push(warning(&setting.origin, Level::Warning, group, name, &text)),
            Verdict::Problem(text) => problems.push(Problem::new(&setting.origin, format!("[{group}] {name} {text}"))),
        }
    }
    for (group, name) in settings.raw_names() {
        if let (Some(support::Support::NotBuilt(feature)), Some((_, origin))) =
            (support(group, name), settings.raw(group, name))
        {
            let text = format!("has no effect: {feature} is not built yet");
            warnings.push(warning(origin, Level::Warning, group, name, &text));
        }
    }
}

fn warn_of_names(schema: &Schema, settings: &Settings, warnings: &mut Vec<Warning>) {
    for unknown in &settings.unknown {
        let hint = unknown.nearest.as_ref().map_or(String::new(), |nearest| format!("; did you mean {nearest}?"));
        let text = match &unknown.name {
            UnknownName::Group(group) => format!("section [{group}] is not known and has no effect{hint}"),
            UnknownName::Option { group, name } => format!("[{group}] {name} is not known and has no effect{hint}"),
        };
        warnings.push(Warning::new(&unknown.origin, Level::Warning, text));
    }
    for deprecated in &settings.deprecated {
        let ((old_group, old), (group, name)) = (&deprecated.old, &deprecated.new);
        let text = format!("is an older name of [{group}] {name}");
        warnings.push(warning(&deprecated.origin, Level::Warning, old_group, old, &text));
    }
    for (group, name, setting) in settings.given() {
        if schema.get(group, name).is_some_and(|opt| opt.deprecated_for_removal) {
            let text = "is deprecated and will be removed from Keystone";
            warnings.push(warning(&setting.origin, Level::Warning, group, name, text));
        }
    }
}

fn warning(origin: &Origin, level: Level, group: &str, name: &str, text: &str) -> Warning {
    Warning::new(origin, level, format!("[{group}] {name} {text}"))
}

#[cfg(test)]
mod tests;
