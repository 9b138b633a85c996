//! From a schema and sources to one value per option.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::interpolate::interpolate;
use crate::python::str_of;
use crate::schema::normalize_group;
use crate::suggest::nearest;
use crate::{DefaultValue, Opt, Origin, Schema, Sources, Value};

/// Most bytes that references may add to one value. Without it, forty lines that each name the one before twice
/// would fill the memory.
const MAX_INSERTED: usize = 1 << 20;

type Key = (String, String);

/// The values of all options of a schema, and what was wrong with what was given.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    values: BTreeMap<Key, Setting>,
    raw: BTreeMap<Key, (String, Origin)>,
    /// Options whose value can't be used. Their [`Setting`] holds the default.
    pub invalid: Vec<Invalid>,
    /// Names that are in no schema.
    pub unknown: Vec<Unknown>,
    /// Options that were set by an older name.
    pub deprecated: Vec<Deprecated>,
}

/// An option's value and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The converted value; a [`Value::List`] for multi-valued options (unset: [`Value::None`]).
    pub value: Value,
    /// Where it came from; for multi-valued options the last assignment.
    pub origin: Origin,
}

/// A value that does not fit its option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// The option's group.
    pub group: String,
    /// The option's name.
    pub name: String,
    /// Where the value stands.
    pub origin: Origin,
    /// Why it does not fit; holds the value only if the option isn't secret.
    pub reason: String,
}

/// A name that nothing knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The name.
    pub name: UnknownName,
    /// Where it stands.
    pub origin: Origin,
    /// The known name nearest to it, if one is near.
    pub nearest: Option<String>,
}

/// What kind of name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnknownName {
    /// A section, with all that it holds.
    Group(String),
    /// An option in a known section.
    Option {
        /// The section.
        group: String,
        /// The option.
        name: String,
    },
}

/// A value set by an older name of its option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deprecated {
    /// Group and name used.
    pub old: (String, String),
    /// Group and name to use.
    pub new: (String, String),
    /// Where it stands.
    pub origin: Origin,
}

impl Settings {
    /// The setting of an option of the schema; `None` for an option that isn't in it.
    pub fn get(&self, group: &str, name: &str) -> Option<&Setting> {
        self.values.get(&(group.to_owned(), name.to_owned()))
    }

    /// The last text given for a name made known by [`Schema::add_in_any_group`], not interpolated.
    pub fn raw(&self, group: &str, name: &str) -> Option<&(String, Origin)> {
        self.raw.get(&(group.to_owned(), name.to_owned()))
    }

    /// All names of [`Settings::raw`].
    pub fn raw_names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.raw.keys().map(|(group, name)| (group.as_str(), name.as_str()))
    }

    /// All options that something other than the schema set, by group and name.
    pub fn given(&self) -> impl Iterator<Item = (&str, &str, &Setting)> {
        let given = self.values.iter().filter(|(_, setting)| setting.origin != Origin::Default);
        given.map(|((group, name), setting)| (group.as_str(), name.as_str(), setting))
    }
}

impl Schema {
    /// Finds, interpolates and converts the value of every option.
    ///
    /// Later files win over earlier ones, the environment over files, a current name over an older
    /// one in the same file. Multi-valued options collect from all files, earlier files first.
    pub fn resolve(&self, sources: &Sources) -> Settings {
        let mut resolver = Resolver {
            schema: self,
            files: sources.files.iter().map(|(path, ini)| File::new(path, ini)).collect(),
            environment: &sources.environment,
            outcomes: BTreeMap::new(),
            settings: Settings::default(),
        };
        for opt in self.options() {
            // Errors are kept in the settings.
            let _: Result<Value, String> = resolver.value(opt);
        }
        resolver.report_names();
        resolver.settings
    }
}

/// A file's assignments by normalized group and name, in file order.
struct File<'a> {
    path: &'a Arc<str>,
    ini: &'a crate::Ini,
    values: BTreeMap<Key, Vec<(&'a str, u32)>>,
}

impl<'a> File<'a> {
    fn new(path: &'a Arc<str>, ini: &'a crate::Ini) -> Self {
        let mut values: BTreeMap<Key, Vec<_>> = BTreeMap::new();
        for assignment in &ini.assignments {
            let key = (normalize_group(&assignment.section), assignment.key.clone());
            values.entry(key).or_default().push((assignment.value.as_str(), assignment.line));
        }
        Self { path, ini, values }
    }

    fn origin(&self, line: u32) -> Origin {
        Origin::File { path: self.path.clone(), line }
    }
}

/// Texts found for an option, with the place of each.
type Found<'a> = Vec<(&'a str, Origin)>;

enum Outcome {
    /// Being computed: meeting it again means that the value refers to itself.
    UnderWay,
    Done(Result<Value, String>),
}

struct Resolver<'a> {
    schema: &'a Schema,
    files: Vec<File<'a>>,
    environment: &'a BTreeMap<String, String>,
    outcomes: BTreeMap<Key, Outcome>,
    settings: Settings,
}

impl<'a> Resolver<'a> {
    /// The value of an option; an error says why it has none.
    fn value(&mut self, opt: &Opt) -> Result<Value, String> {
        let key = (opt.group.clone(), opt.name.clone());
        match self.outcomes.get(&key) {
            Some(Outcome::Done(outcome)) => return outcome.clone(),
            Some(Outcome::UnderWay) => return Err("the value refers to itself".to_owned()),
            None => self.outcomes.insert(key.clone(), Outcome::UnderWay),
        };
        let found = self.find(opt);
        let outcome = if found.is_empty() { self.default(opt) } else { self.convert_all(opt, &found) };
        let origin = found.last().map_or(Origin::Default, |(_, origin)| origin.clone());
        let setting = match &outcome {
            Ok(value) => Setting { value: value.clone(), origin },
            Err(reason) => {
                let (group, name) = key.clone();
                self.settings.invalid.push(Invalid { group, name, origin, reason: reason.clone() });
                Setting { value: self.default(opt).unwrap_or(Value::None), origin: Origin::Default }
            }
        };
        self.settings.values.insert(key.clone(), setting);
        self.outcomes.insert(key, Outcome::Done(outcome.clone()));
        outcome
    }

    /// All texts for a multi-valued option, the winning one for others; empty if nothing sets it.
    fn find(&mut self, opt: &Opt) -> Found<'a> {
        let variable = opt.env_name();
        if let Some(text) = self.environment.get(&variable) {
            return vec![(text.as_str(), Origin::Environment(variable))];
        }
        let current = (opt.group.clone(), opt.name.clone());
        let names: Vec<&Key> = std::iter::once(&current).chain(&opt.deprecated_names).collect();
        let mut found: Found<'a> = Vec::new();
        for file in self.files.iter().rev() {
            for (index, &name) in names.iter().enumerate() {
                let Some(texts) = file.values.get(name) else {
                    continue;
                };
                let texts: Found<'a> = texts.iter().map(|&(text, line)| (text, file.origin(line))).collect();
                if let (true, Some((_, origin))) = (index > 0, texts.last()) {
                    let (old, new) = (name.clone(), current.clone());
                    self.settings.deprecated.push(Deprecated { old, new, origin: origin.clone() });
                }
                if !opt.multi {
                    return texts.into_iter().next_back().into_iter().collect();
                }
                found.splice(0..0, texts);
            }
        }
        found
    }

    fn convert_all(&mut self, opt: &Opt, found: &Found<'_>) -> Result<Value, String> {
        let mut values = Vec::with_capacity(found.len());
        for (text, _) in found {
            values.push(self.convert(opt, text)?);
        }
        if opt.multi {
            return Ok(Value::List(values));
        }
        Ok(values.pop().unwrap_or(Value::None))
    }

    fn default(&mut self, opt: &Opt) -> Result<Value, String> {
        match &opt.default {
            DefaultValue::Text(text) => self.convert(opt, text),
            DefaultValue::Value(value) => Ok(value.clone()),
        }
    }

    fn convert(&mut self, opt: &Opt, text: &str) -> Result<Value, String> {
        let mut inserted = 0;
        let whole = interpolate(text, |name| {
            let value = self.reference(opt, name)?;
            inserted += value.len();
            if inserted > MAX_INSERTED { Err("references make the value too long".to_owned()) } else { Ok(value) }
        })?;
        // Shown as written, not as interpolated: what it refers to may be secret.
        opt.ty
            .convert(&whole)
            .map_err(|error| if opt.secret { error.expected } else { format!("{}, found {text:?}", error.expected) })
    }

    /// What `$name` in a value of `opt` stands for.
    fn reference(&mut self, opt: &Opt, name: &str) -> Result<String, String> {
        let schema = self.schema;
        let target = match name.split_once('.') {
            Some((group, name)) => schema.get_by_any_name(group, name).filter(|_| group != "DEFAULT"),
            None => schema.get_by_any_name(&opt.group, name).or_else(|| schema.get_by_any_name("DEFAULT", name)),
        };
        // The text around the reference may be a secret, so only a whole name is shown.
        let shown = if opt.secret { "a name".to_owned() } else { format!("${name}") };
        let Some(target) = target else {
            let hint = if name.starts_with("DEFAULT.") { "; write options of [DEFAULT] without it" } else { "" };
            return Err(format!("{shown} refers to no option{hint} (write $$ for a dollar sign)"));
        };
        match self.value(target) {
            Ok(value) => Ok(str_of(&value)),
            Err(reason) => Err(format!("{shown} can't be inserted: {reason}")),
        }
    }

    /// Finds the names that no option has.
    fn report_names(&mut self) {
        for file in std::mem::take(&mut self.files) {
            self.report_groups(&file);
            for ((group, name), texts) in &file.values {
                let Some(&(text, line)) = texts.last() else {
                    continue;
                };
                let origin = file.origin(line);
                if self.schema.get_by_any_name(group, name).is_some() {
                    continue;
                }
                if self.schema.is_known_in_any_group(name) {
                    self.settings.raw.insert((group.clone(), name.clone()), (text.to_owned(), origin));
                } else if self.schema.has_group(group) {
                    self.report_option(group, name, origin);
                }
            }
        }
        for variable in self.environment.keys() {
            self.report_variable(variable);
        }
        self.settings.unknown.sort_by(|a, b| a.origin.cmp(&b.origin));
    }

    /// A section is unknown if neither it nor anything in it is known.
    fn report_groups(&mut self, file: &File<'_>) {
        let mut seen = BTreeSet::new();
        for (section, line) in &file.ini.sections {
            let group = normalize_group(section);
            let holds_known = |(g, name): &Key| {
                *g == group
                    && (self.schema.is_known_in_any_group(name) || self.schema.get_by_any_name(g, name).is_some())
            };
            if self.schema.has_group(&group) || file.values.keys().any(holds_known) || !seen.insert(group.clone()) {
                continue;
            }
            self.settings.unknown.push(Unknown {
                nearest: nearest(&group, self.schema.groups()).map(str::to_owned),
                name: UnknownName::Group(section.clone()),
                origin: file.origin(*line),
            });
        }
    }

    fn report_option(&mut self, group: &str, name: &str, origin: Origin) {
        let near = nearest(name, self.schema.names(group)).map(str::to_owned);
        // A right name in the wrong section is a common slip.
        let elsewhere = || {
            let mut others = self.schema.options().filter(|opt| opt.name == name);
            let first = others.next().filter(|_| others.next().is_none());
            first.map(|opt| format!("[{}] {}", opt.group, opt.name))
        };
        self.settings.unknown.push(Unknown {
            nearest: near.or_else(elsewhere),
            name: UnknownName::Option { group: group.to_owned(), name: name.to_owned() },
            origin,
        });
    }

    /// Variables of other services look alike, so only those for a group of this schema are reported.
    fn report_variable(&mut self, variable: &str) {
        let known = |group: &&str| variable.starts_with(&format!("OS_{}__", group.to_uppercase()));
        let Some(group) = self.schema.groups().filter(known).max_by_key(|group| group.len()) else {
            return;
        };
        let name = variable["OS___".len() + group.len()..].to_lowercase();
        // Names are compared as they stand: Linux tells variables apart by case.
        if self.schema.options().any(|opt| opt.env_name() == variable) {
            return;
        }
        self.report_option(group, &name, Origin::Environment(variable.to_owned()));
    }
}

#[cfg(test)]
mod tests;
