//! What holds for a domain that sets nothing itself.

use serde_json::{Map, Value};

use super::options::invalid;
use super::{DomainConfig, Groups, Part};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::id::DomainId;

/// The group of which everybody may read how passwords must look.
pub const SECURITY_COMPLIANCE: &str = "security_compliance";

/// What everybody may read of it.
const PASSWORD_RULES: [&str; 2] = ["password_regex", "password_regex_description"];

impl DomainConfig {
    /// The values of `keystone.conf` for the options that a domain may set, but for the secrets: 403.
    ///
    /// An option of a driver that is not part of the program has none; asked for alone, it is 404.
    pub fn get_defaults(&self, _: &Allowed, part: &Part) -> Result<Groups> {
        self.known.check_part(part)?;
        if let Part::Option { group, option } = part
            && self.known.is_secret(group, option)
        {
            return Err(invalid(format!("the default of the option {option} of the group {group} is not shown")));
        }
        let mut defaults = Groups::new();
        for (group, options) in self.known.open() {
            if part.group().is_some_and(|wanted| wanted != group) {
                continue;
            }
            let wanted = options.iter().filter(|option| part.option().is_none_or(|wanted| wanted == **option));
            let values = wanted.filter_map(|option| Some(((*option).to_owned(), self.default_of(group, option)?)));
            defaults.insert(group.to_owned(), values.collect::<Map<_, _>>());
        }
        match part {
            Part::Option { group, option } if defaults.values().all(Map::is_empty) => {
                Err(Error::not_found("a default", format!("the option {option} of the group {group}")))
            }
            _ => Ok(defaults),
        }
    }

    /// How passwords must look, which is the same for all domains and told for the default domain only: 403 for
    /// another domain, and for any other option of the group.
    pub fn get_password_rules(&self, _: &Allowed, id: &DomainId, option: Option<&str>) -> Result<Groups> {
        if **id != *self.foundation.config.identity.default_domain_id {
            return Err(invalid("security compliance can be read of the default domain only"));
        }
        if let Some(option) = option
            && !PASSWORD_RULES.contains(&option)
        {
            return Err(invalid(format!("of security compliance, only {} can be read", PASSWORD_RULES.join(" and "))));
        }
        let rules = PASSWORD_RULES.iter().filter(|rule| option.is_none_or(|wanted| wanted == **rule));
        let rules = rules.map(|rule| {
            let value = self.default_of(SECURITY_COMPLIANCE, rule).unwrap_or(Value::Null);
            ((*rule).to_owned(), value)
        });
        Ok(Groups::from([(SECURITY_COMPLIANCE.to_owned(), rules.collect())]))
    }

    fn default_of(&self, group: &str, option: &str) -> Option<Value> {
        self.foundation.config.open_value(group, option).cloned()
    }
}
