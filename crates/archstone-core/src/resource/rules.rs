//! What a project or domain must be like before it is stored (`keystone.resource.core`).

use archstone_db::Tx;
use serde_json::Value;

use super::{IMMUTABLE, Project, ProjectPatch, sql};
use crate::config::{Config, EnforcementModel, UrlSafe};
use crate::error::{Error, Result};

/// What stands for a domain that is only made up for federated users. No domain may be called so.
const FEDERATED: &str = "federated";

/// The characters that RFC 3986 reserves.
const URL_RESERVED: &str = ":/?#[]@!$&'()*+,;=";

/// 400 for a name that a URL cannot carry as it is, if the configuration forbids such names.
pub(super) fn check_url_safe(setting: UrlSafe, kind: &str, name: &str) -> Result<()> {
    let unsafe_characters: String = name.chars().filter(|&c| URL_RESERVED.contains(c)).collect();
    if setting == UrlSafe::Off || unsafe_characters.is_empty() {
        return Ok(());
    }
    Err(Error::bad_request(format!(
        "A {kind} name may not have the characters {unsafe_characters}, which are reserved in URLs."
    )))
}

/// 400 for the name that stands for the domain of federated users. (The reference lets an exception escape.)
pub(super) fn check_not_federated(config: &Config, id: &str, name: &str) -> Result<()> {
    let reserved = config.federation.federated_domain_name.to_lowercase();
    let reserved = if reserved.is_empty() { FEDERATED.to_owned() } else { reserved };
    if name.to_lowercase() == reserved {
        return Err(Error::bad_request(format!("A domain cannot be named {name}: the name is reserved.")));
    }
    if id.to_lowercase() == reserved {
        return Err(Error::bad_request(format!("A domain cannot have the id {id}: it is reserved.")));
    }
    Ok(())
}

/// Checks the place of a new project in the tree.
pub(super) async fn check_place(tx: &mut Tx<'_>, config: &Config, project: &Project) -> Result<()> {
    if project.is_domain {
        check_not_federated(config, &project.id, &project.name)?;
        return match &project.parent_id {
            Some(_) => Err(Error::bad_request("A project that acts as a domain cannot have a parent.")),
            None => Ok(()),
        };
    }
    let domain_id = project.domain_id.as_deref().unwrap_or_default();
    let parent_id = project.parent_id.as_deref().unwrap_or_default();
    // Neither is deleted or disabled before the commit. What is above them is not either: none is disabled while
    // something below it is enabled.
    sql::hold_project(&mut *tx, domain_id).await?;
    sql::hold_project(&mut *tx, parent_id).await?;
    // An unknown domain or parent is the client's mistake about the new project: 400, not 404.
    let domain = sql::get_project(&mut *tx, domain_id).await?.filter(|found| found.is_domain && found.id == *domain_id);
    let Some(domain) = domain else {
        return Err(Error::bad_request(format!("Could not find domain: {domain_id}.")));
    };
    let above = sql::ancestry(&mut *tx, parent_id).await?;
    let Some(parent) = above.first() else {
        return Err(Error::bad_request(format!("Could not find project: {parent_id}.")));
    };
    let parents_domain = if parent.is_domain { Some(&*parent.id) } else { parent.domain_id.as_deref() };
    if parents_domain != Some(&*domain.id) {
        return Err(Error::bad_request(format!(
            "Cannot create a project in the domain {domain_id} below the parent {parent_id}, which is of another domain."
        )));
    }
    if let Some(disabled) = above.iter().find(|project| !project.enabled) {
        return Err(Error::bad_request(format!(
            "Cannot create a project in a branch that has a disabled project: {}.",
            disabled.id
        )));
    }
    // The reference counts the project itself, and allows one level more than configured because domains became
    // projects at some time.
    if above.len() + 1 > deepest(config) + 1 {
        return Err(Error::forbidden_open(format!(
            "The branch of the project {parent_id} has reached the greatest depth."
        )));
    }
    Ok(())
}

fn deepest(config: &Config) -> usize {
    let configured = config.default.max_project_tree_depth;
    match config.unified_limit.enforcement_model {
        EnforcementModel::Flat => configured,
        // A project and its children, below the domain.
        EnforcementModel::StrictTwoLevel => configured.min(2),
    }
}

/// 403 for a change of what is immutable, unless it only makes it mutable
/// (`keystone.common.resource_options.options.immutable`).
pub(super) fn check_immutable_update(original: &Project, patch: &ProjectPatch) -> Result<()> {
    if !original.is_immutable() || patch.only_makes_mutable() {
        return Ok(());
    }
    let kind = if original.is_domain { "domain" } else { "project" };
    Err(Error::forbidden_open(format!(
        "Cannot update the {kind} {}: it is immutable. Set its option {IMMUTABLE} to false first.",
        original.id
    )))
}

/// Whether a value of the option unsets it or makes the resource mutable.
pub(super) fn makes_mutable(value: Option<&Value>) -> bool {
    matches!(value, Some(Value::Null | Value::Bool(false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    // Of the reference's own function for the same names.
    #[test]
    fn reserved_characters_are_not_safe_in_names() {
        for (name, safe) in [
            ("plain", true),
            ("a b", true),
            ("a/b", false),
            ("a?b", false),
            ("a:b", false),
            ("é", true),
            ("a;b", false),
            ("a%b", true),
            ("a&b", false),
        ] {
            assert_eq!(check_url_safe(UrlSafe::New, "project", name).is_ok(), safe, "{name}");
            assert!(check_url_safe(UrlSafe::Off, "project", name).is_ok());
        }
    }
}
