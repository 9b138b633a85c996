//! Which options exist.

use std::collections::BTreeMap;

use crate::{Type, Value};

/// One option.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "independent properties, as oslo.config has them")]
pub struct Opt {
    /// The section, lower case, or `DEFAULT`.
    pub group: String,
    /// The name in files: with underscores, never dashes.
    pub name: String,
    /// The type, for a multi-valued option that of each value.
    pub ty: Type,
    /// Whether every assignment adds a value instead of replacing the earlier one.
    pub multi: bool,
    /// The value when nothing sets it.
    pub default: DefaultValue,
    /// Older `(group, name)` pairs under which it is still found, best first.
    pub deprecated_names: Vec<(String, String)>,
    /// Whether a reload may change it.
    pub mutable: bool,
    /// Whether its value must not be shown.
    pub secret: bool,
    /// Whether the reference announces its removal.
    pub deprecated_for_removal: bool,
}

/// A default, in one of the two ways in which Python code states it.
#[derive(Debug, Clone, PartialEq)]
pub enum DefaultValue {
    /// Text that is interpolated and converted like text from a file.
    Text(String),
    /// A value that is taken as it is.
    Value(Value),
}

impl Opt {
    /// An option that is unset by default. Dashes in `name` become underscores.
    pub fn new(group: &str, name: &str, ty: Type) -> Self {
        Self {
            group: group.to_owned(),
            name: name.replace('-', "_"),
            ty,
            multi: false,
            default: DefaultValue::Value(Value::None),
            deprecated_names: Vec::new(),
            mutable: false,
            secret: false,
            deprecated_for_removal: false,
        }
    }

    /// Adds an older name.
    pub fn add_deprecated_name(&mut self, group: &str, name: &str) {
        let pair = (normalize_group(group), name.to_owned());
        if !self.deprecated_names.contains(&pair) {
            self.deprecated_names.push(pair);
        }
    }

    /// The environment variable that sets it: `OS_<GROUP>__<NAME>`.
    pub fn env_name(&self) -> String {
        format!("OS_{}__{}", self.group.to_uppercase(), self.name.to_uppercase())
    }
}

/// The options known, by group and name.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    groups: BTreeMap<String, BTreeMap<String, Opt>>,
    any_group: Vec<String>,
}

impl Schema {
    /// Adds an option, or replaces the one of the same group and name. Older names with dashes are also
    /// found with underscores, after all others.
    pub fn add(&mut self, mut opt: Opt) {
        for (group, name) in opt.deprecated_names.clone() {
            opt.add_deprecated_name(&group, &name.replace('-', "_"));
        }
        self.groups.entry(opt.group.clone()).or_default().insert(opt.name.clone(), opt);
    }

    /// Adds the options of one group of another schema.
    pub fn extend_group(&mut self, other: &Self, group: &str) {
        let options = other.groups.get(group).cloned().unwrap_or_default();
        self.groups.entry(group.to_owned()).or_default().extend(options);
    }

    /// Makes `name` known in every group. For options whose group is named by data that a schema
    /// can't know, as `[<protocol>] remote_id_attribute`; they are read with
    /// [`crate::Settings::raw`].
    pub fn add_in_any_group(&mut self, name: &str) {
        self.any_group.push(name.to_owned());
    }

    /// The option of that group and name; older names are not looked at.
    pub fn get(&self, group: &str, name: &str) -> Option<&Opt> {
        self.groups.get(group)?.get(name)
    }

    /// All options, by group and name.
    pub fn options(&self) -> impl Iterator<Item = &Opt> {
        self.groups.values().flat_map(BTreeMap::values)
    }

    /// The names of all groups.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// The names of a group's options; none for an unknown group.
    pub fn names(&self, group: &str) -> impl Iterator<Item = &str> {
        self.groups.get(group).into_iter().flat_map(BTreeMap::keys).map(String::as_str)
    }

    pub(crate) fn has_group(&self, group: &str) -> bool {
        self.groups.contains_key(group)
    }

    pub(crate) fn is_known_in_any_group(&self, name: &str) -> bool {
        self.any_group.iter().any(|known| known == name)
    }

    /// The option that has, or once had, that name.
    pub(crate) fn get_by_any_name(&self, group: &str, name: &str) -> Option<&Opt> {
        let older = |opt: &&Opt| opt.deprecated_names.iter().any(|(g, n)| g == group && n == name);
        self.get(group, name).or_else(|| self.options().find(older))
    }
}

/// Sections are compared in lower case, but for `DEFAULT`, which is written just so.
pub(crate) fn normalize_group(name: &str) -> String {
    if name == "DEFAULT" { name.to_owned() } else { name.to_lowercase() }
}
