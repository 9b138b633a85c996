//! What a domain sets otherwise than `keystone.conf`: the options of its identity driver
//! (`keystone.resource.core.DomainConfigManager`).
//!
//! **Invariant:** an option that is a secret is stored, and given to a driver, but no answer and no line of the log has
//! it; see [`options`].
//!
//! Deleting a domain deletes its configuration, see [`cascade`](crate::cascade).

mod change;
mod defaults;
mod options;
mod request;
mod secrets;
mod sql;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use archstone_db::Tx;
use serde_json::{Map, Value};

use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::foundation::Foundation;
use crate::id::{DomainId, ProjectId};
use crate::resource::Resource;

use options::KnownOptions;

pub use change::Created;
pub use defaults::SECURITY_COMPLIANCE;

/// Options by their group: `{"ldap": {"url": …}}`.
pub type Groups = BTreeMap<String, Map<String, Value>>;

/// The part of a configuration that a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// One group.
    Group(String),
    /// One option of a group.
    Option {
        /// The group.
        group: String,
        /// The option.
        option: String,
    },
}

impl Part {
    /// The group, unless all are meant.
    pub(crate) fn group(&self) -> Option<&str> {
        match self {
            Part::Whole => None,
            Part::Group(group) | Part::Option { group, .. } => Some(group),
        }
    }

    /// The option, if one is meant.
    pub(crate) fn option(&self) -> Option<&str> {
        match self {
            Part::Option { option, .. } => Some(option),
            _ => None,
        }
    }
}

/// The door of domain configurations.
#[derive(Clone)]
pub struct DomainConfig {
    foundation: Foundation,
    resource: Resource,
    known: Arc<KnownOptions>,
}

impl DomainConfig {
    /// A door onto this foundation.
    pub fn new(foundation: Foundation, resource: Resource) -> DomainConfig {
        let known = Arc::new(KnownOptions::new(&foundation.config.domain_config));
        DomainConfig { foundation, resource, known }
    }

    /// What the domain has set, without its secrets. 403 for a part that no domain can have, 404 for a part that this
    /// one has not, and for an unknown domain.
    pub async fn get_config(&self, _: &Allowed, id: &DomainId, part: &Part) -> Result<Groups> {
        self.known.check_part(part)?;
        if self.resource.get_domain(id).await?.is_none() {
            return Err(Error::not_found("domain", id));
        }
        let stored = sql::list(&self.foundation.db, id, part).await?;
        let shown = self.shown(stored.open);
        if shown.is_empty() { Err(nothing_set(id, part)) } else { Ok(shown) }
    }

    /// What the domain has set as its identity driver needs it: with the secrets, which also stand in the places that
    /// name them (`ldap://%(password)s`). A place that cannot be filled stays as it is, and is named in the log.
    pub async fn config_for_driver(&self, _: &Allowed, id: &DomainId) -> Result<Groups> {
        let stored = sql::list(&self.foundation.db, id, &Part::Whole).await?;
        let (filled, unfilled) = secrets::fill(stored);
        for place in unfilled {
            place.warn(id);
        }
        Ok(filled)
    }

    /// Stored options that may be shown. One that was stored before it became a secret stays hidden.
    fn shown(&self, open: Groups) -> Groups {
        let mut shown = open;
        for (group, options) in &mut shown {
            options.retain(|option, _| !self.known.is_secret(group, option));
        }
        shown.retain(|_, options| !options.is_empty());
        shown
    }

    async fn require_domain(&self, tx: &mut Tx<'_>, id: &DomainId) -> Result<()> {
        let found = self.resource.get_project_in(tx, &ProjectId::from(&**id)).await?;
        match found {
            Some(found) if found.is_domain && *found.id == **id => Ok(()),
            _ => Err(Error::not_found("domain", id)),
        }
    }
}

/// 404 for a part that the domain has not set.
fn nothing_set(id: &DomainId, part: &Part) -> Error {
    let what = match part {
        Part::Whole => "any option".to_owned(),
        Part::Group(group) => format!("the group {group}"),
        Part::Option { group, option } => format!("the option {option} of the group {group}"),
    };
    Error::not_found("a domain configuration", format!("{what}, of the domain {id}"))
}
