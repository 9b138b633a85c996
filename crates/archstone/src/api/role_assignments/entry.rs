//! How an entry of a list of assignments is shown.

use std::collections::HashMap;
use std::fmt;

use archstone_core::assignment::{Actor, GrantTarget, Named, Names, RoleAssignment};
use archstone_core::id::DomainId;
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::json;

use crate::http::Text;

/// An entry as it is shown.
pub(super) struct Entry<'a> {
    /// `http://host:5000/v3`
    pub(super) api: &'a str,
    pub(super) assignment: &'a RoleAssignment,
    /// None where the list is to have none.
    pub(super) names: Option<&'a Names>,
}

impl Entry<'_> {
    /// As JSON; it is always shown.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<bool> {
        serde_json::to_writer(out, self)?;
        Ok(true)
    }
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Entry { assignment, names, .. } = *self;
        let role = names.map(|names| (names.roles.get(&assignment.role_id), &names.domains));
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("links", &Links(self))?;
        out.serialize_entry("role", &Thing { id: &assignment.role_id, lookup: role, owner: OwnerOf::Role })?;
        out.serialize_entry("scope", &Where(self))?;
        let (kind, id, found) = match &assignment.actor {
            Actor::User(id) => ("user", &**id, names.map(|names| names.users.get(id))),
            Actor::Group(id) => ("group", &**id, names.map(|names| names.groups.get(id))),
        };
        let lookup = found.zip(names.map(|names| &names.domains));
        out.serialize_entry(kind, &Thing { id, lookup, owner: OwnerOf::Actor })?;
        out.end()
    }
}

struct Where<'a>(&'a Entry<'a>);

impl Serialize for Where<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Entry { assignment, names, .. } = *self.0;
        let mut out = serializer.serialize_map(None)?;
        match &assignment.target {
            GrantTarget::Project(id) => {
                let lookup = names.map(|names| (names.projects.get(id), &names.domains));
                out.serialize_entry("project", &Thing { id, lookup, owner: OwnerOf::Actor })?;
            }
            GrantTarget::Domain(id) => {
                let name = names.and_then(|names| names.domains.get(id)).map(String::as_str);
                out.serialize_entry("domain", &Domain { id, name })?;
            }
            GrantTarget::System => out.serialize_entry("system", &json!({"all": true}))?,
        }
        if assignment.inherited || assignment.source.target.is_some() {
            out.serialize_entry("OS-INHERIT:inherited_to", "projects")?;
        }
        out.end()
    }
}

/// A domain that something is assigned on, or that owns something.
#[derive(Serialize)]
struct Domain<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

/// How something without a domain is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OwnerOf {
    /// A user, a group or a project: one that is not known any more has empty names.
    Actor,
    /// A role: a global one has no domain.
    Role,
}

/// An id, and if names are asked for the name and the domain.
struct Thing<'a> {
    id: &'a str,
    lookup: Option<(Option<&'a Named>, &'a HashMap<DomainId, String>)>,
    owner: OwnerOf,
}

impl Serialize for Thing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("id", self.id)?;
        if let Some((found, domains)) = self.lookup {
            out.serialize_entry("name", found.map_or("", |found| found.name.as_str()))?;
            let domain = found.and_then(|found| found.domain_id.as_ref());
            if domain.is_some() || self.owner == OwnerOf::Actor {
                let name = domain.and_then(|domain| domains.get(domain)).map_or("", String::as_str);
                let id: &str = domain.map_or("", |domain| domain);
                out.serialize_entry("domain", &Domain { id, name: Some(name) })?;
            }
        }
        out.end()
    }
}

/// Links to the grant that an entry follows from, and to what made it follow.
struct Links<'a>(&'a Entry<'a>);

impl Serialize for Links<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Entry { api, assignment, .. } = *self.0;
        let source = &assignment.source;
        let mut out = serializer.serialize_map(None)?;
        out.serialize_entry("assignment", &Text(format_args!("{api}{}", GrantPath(assignment))))?;
        if let Some(group) = &source.group {
            let user = assignment.actor.id();
            out.serialize_entry("membership", &Text(format_args!("{api}/groups/{group}/users/{user}")))?;
        }
        if let Some(prior) = &source.prior_role {
            // The reference's own link, which leads nowhere and names the two the wrong way round.
            let role = &assignment.role_id;
            out.serialize_entry("prior_role", &Text(format_args!("{api}/prior_role/{role}/implies/{prior}")))?;
        }
        out.end()
    }
}

/// Where the grant is that an assignment is or follows from.
struct GrantPath<'a>(&'a RoleAssignment);

impl fmt::Display for GrantPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RoleAssignment { role_id, actor, target, inherited, source } = self.0;
        let is_inherited = *inherited || source.target.is_some();
        if is_inherited {
            f.write_str("/OS-INHERIT")?;
        }
        match source.target.as_ref().unwrap_or(target) {
            GrantTarget::Project(id) => write!(f, "/projects/{id}")?,
            GrantTarget::Domain(id) => write!(f, "/domains/{id}")?,
            GrantTarget::System => f.write_str("/system")?,
        }
        match (&source.group, actor) {
            (Some(group), _) => write!(f, "/groups/{group}")?,
            (None, Actor::User(id)) => write!(f, "/users/{id}")?,
            (None, Actor::Group(id)) => write!(f, "/groups/{id}")?,
        }
        write!(f, "/roles/{}", source.prior_role.as_ref().unwrap_or(role_id))?;
        if is_inherited { f.write_str("/inherited_to_projects") } else { Ok(()) }
    }
}
