//! Which options a domain may set.

use std::collections::{BTreeMap, BTreeSet};

use super::Part;
use crate::config::{self, DomainConfigSection};
use crate::error::{Error, Result};

/// The options of identity drivers, each named, so that a new option is never open to domains by chance.
const OPEN: [(&str, &[&str]); 2] = [
    ("identity", &["driver", "list_limit"]),
    (
        "ldap",
        &[
            "alias_dereferencing",
            "auth_pool_connection_lifetime",
            "auth_pool_size",
            "chase_referrals",
            "debug_level",
            "group_additional_attribute_mapping",
            "group_attribute_ignore",
            "group_desc_attribute",
            "group_filter",
            "group_id_attribute",
            "group_member_attribute",
            "group_members_are_ids",
            "group_name_attribute",
            "group_objectclass",
            "group_tree_dn",
            "page_size",
            "pool_connection_lifetime",
            "pool_connection_timeout",
            "pool_retry_delay",
            "pool_retry_max",
            "pool_size",
            "query_scope",
            "suffix",
            "tls_cacertdir",
            "tls_cacertfile",
            "tls_req_cert",
            "url",
            "use_auth_pool",
            "use_pool",
            "use_tls",
            "user",
            "user_additional_attribute_mapping",
            "user_attribute_ignore",
            "user_default_project_id_attribute",
            "user_description_attribute",
            "user_enabled_attribute",
            "user_enabled_default",
            "user_enabled_emulation",
            "user_enabled_emulation_dn",
            "user_enabled_emulation_use_group_config",
            "user_enabled_invert",
            "user_enabled_mask",
            "user_filter",
            "user_id_attribute",
            "user_mail_attribute",
            "user_name_attribute",
            "user_objectclass",
            "user_pass_attribute",
            "user_tree_dn",
        ],
    ),
];

const SECRET: (&str, &str) = ("ldap", "password");

/// The options that a domain may set, and which of them are secrets.
#[derive(Debug)]
pub(super) struct KnownOptions {
    /// Group, option, whether it is a secret.
    groups: BTreeMap<String, BTreeMap<String, bool>>,
}

impl KnownOptions {
    /// The built-in ones, and those that the configuration adds to them.
    ///
    /// The reference lets an added list *replace* the built-in list of its group, so that adding a secret to `[ldap]`
    /// would make `password` none. What the option's name says is done here.
    pub(super) fn new(section: &DomainConfigSection) -> KnownOptions {
        let mut known = KnownOptions { groups: BTreeMap::new() };
        for (group, options) in OPEN {
            for option in options {
                known.add(group, option, false);
            }
        }
        known.add(SECRET.0, SECRET.1, true);
        for (group, options) in &section.additional_whitelisted_options {
            for option in options {
                known.add(group, option, config::is_secret(group, option));
            }
        }
        for (group, options) in &section.additional_sensitive_options {
            for option in options {
                known.add(group, option, true);
            }
        }
        known
    }

    /// Once a secret, always a secret.
    fn add(&mut self, group: &str, option: &str, secret: bool) {
        let known = self.groups.entry(group.to_owned()).or_default().entry(option.to_owned()).or_default();
        *known |= secret;
    }

    pub(super) fn is_secret(&self, group: &str, option: &str) -> bool {
        self.groups.get(group).and_then(|options| options.get(option)).is_some_and(|secret| *secret)
    }

    /// The options that are no secrets, by group.
    pub(super) fn open(&self) -> impl Iterator<Item = (&str, BTreeSet<&str>)> {
        self.groups.iter().map(|(group, options)| {
            let open = options.iter().filter(|(_, secret)| !**secret).map(|(option, _)| option.as_str());
            (group.as_str(), open.collect())
        })
    }

    /// 403 for a group or an option that no domain can have.
    pub(super) fn check_part(&self, part: &Part) -> Result<()> {
        match (part.group(), part.option()) {
            (None, _) => Ok(()),
            (Some(group), None) => self.require_group(group).map(|_| ()),
            (Some(group), Some(option)) => self.check_option(group, option),
        }
    }

    /// 403 for an option that no domain can have.
    pub(super) fn check_option(&self, group: &str, option: &str) -> Result<()> {
        if self.require_group(group)?.contains_key(option) {
            return Ok(());
        }
        Err(invalid(format!("the option {option} of the group {group} cannot be set for a domain")))
    }

    fn require_group(&self, group: &str) -> Result<&BTreeMap<String, bool>> {
        self.groups.get(group).ok_or_else(|| invalid(format!("the group {group} cannot be set for a domain")))
    }
}

/// 403, the reference's status for a domain configuration that cannot be.
pub(super) fn invalid(reason: impl std::fmt::Display) -> Error {
    Error::forbidden_open(format!("Invalid domain configuration: {reason}."))
}
