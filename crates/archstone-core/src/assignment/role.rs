//! Rules of roles and of what they imply (`keystone.assignment.core.RoleManager`).

use archstone_db::Tx;
use serde_json::{Map, Value};

use super::{Assignment, IMMUTABLE, Role, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::freshness::Ref;
use crate::id::{DomainId, RoleId};
use crate::list::{Filter, ListQuery, Page};

/// What an update changes: `None` leaves an attribute as it is.
#[derive(Clone, Debug, Default)]
pub struct RolePatch {
    /// A new name.
    pub name: Option<String>,
    /// A new description, or none any more.
    pub description: Option<Option<String>>,
    /// Only what it is already.
    pub domain_id: Option<Option<DomainId>>,
    /// Options to set, or to unset with a null.
    pub options: Option<Map<String, Value>>,
    /// Attributes to add or replace.
    pub extra: Map<String, Value>,
}

impl RolePatch {
    /// Whether it says nothing but that the option `immutable` goes.
    fn only_makes_mutable(&self) -> bool {
        let alone =
            self.name.is_none() && self.description.is_none() && self.domain_id.is_none() && self.extra.is_empty();
        let option = self.options.as_ref().and_then(|options| options.get(IMMUTABLE));
        alone && matches!(option, Some(Value::Null | Value::Bool(false)))
    }
}

impl Assignment {
    /// The role of this id, or 404.
    pub async fn require_role(&self, _: &Allowed, id: &RoleId) -> Result<Role> {
        self.get_role(id).await?.ok_or_else(|| Error::not_found("role", id))
    }

    /// The role of this id, for those who check by themselves who may know.
    pub(crate) async fn get_role(&self, id: &RoleId) -> Result<Option<Role>> {
        sql::get_role(&self.foundation.db, id).await
    }

    /// The role of this id, within a transaction.
    pub(crate) async fn get_role_in(&self, tx: &mut Tx<'_>, id: &RoleId) -> Result<Option<Role>> {
        sql::get_role(tx, id).await
    }

    /// Has a role for itself until the transaction ends, so that nobody grants it while it is deleted.
    pub(crate) async fn take_role_in(&self, tx: &mut Tx<'_>, id: &RoleId) -> Result<()> {
        sql::take_role(tx, id).await
    }

    /// Keeps a role until the transaction ends. 404 if there is none.
    pub(crate) async fn hold_role_in(&self, tx: &mut Tx<'_>, id: &RoleId) -> Result<()> {
        if sql::hold_role(tx, id).await? { Ok(()) } else { Err(Error::not_found("role", id)) }
    }

    /// The role of this id, of which policy targets are made ([`Role::target`]). It needs no [`Allowed`] because it is
    /// what one is made of: not for anybody's eyes.
    pub async fn role_for_target(&self, id: &RoleId) -> Result<Option<Role>> {
        self.get_role(id).await
    }

    /// The roles of these ids that exist, in the order of their ids.
    pub(crate) async fn get_roles(&self, ids: &[RoleId]) -> Result<Vec<Role>> {
        sql::get_roles(&self.foundation.db, ids).await
    }

    /// The role of this name in a domain, or among the global ones.
    pub async fn get_role_by_name(&self, _: &Allowed, name: &str, domain: Option<&DomainId>) -> Result<Option<Role>> {
        sql::get_role_by_name(&self.foundation.db, name, domain).await
    }

    /// The roles of these names, those of domains among them.
    pub(crate) async fn list_roles_of_names(&self, _: &Allowed, names: &[&str]) -> Result<Vec<Role>> {
        sql::list_roles_of_names(&self.foundation.db, names).await
    }

    /// The roles of the domain that the query names, or else the global ones; and the filters that are left to the
    /// caller.
    pub async fn list_roles(&self, _: &Allowed, query: &ListQuery) -> Result<(Page<Role>, Vec<Filter>)> {
        sql::list_roles(&self.foundation.db, query).await
    }

    /// Makes a role. 409 if its name is taken where it belongs, 400 for a description that is too long.
    ///
    /// Whether there is such a domain is not asked: the reference does not ask either, and clients make roles first.
    pub async fn create_role(&self, allowed: &Allowed, mut role: Role) -> Result<Role> {
        check_lengths(&role)?;
        // A null means that the option is not set.
        role.options.retain(|_, value| !value.is_null());
        let new = &role;
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    sql::insert_role(tx, new).await?;
                    tx.touch(Ref::Roles.into());
                    Ok::<_, Error>(())
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("role", "created", &*role.id, allowed));
        Ok(role)
    }

    /// Changes a role. 404 if there is none, 403 if it is immutable and the change is anything but to end that, 400
    /// for another domain, 409 for a name that is taken.
    pub async fn update_role(&self, allowed: &Allowed, id: &RoleId, patch: &RolePatch) -> Result<Role> {
        let updated = self
            .foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    sql::take_role(tx, id).await?;
                    let role = sql::get_role(&mut *tx, id).await?.ok_or_else(|| Error::not_found("role", id))?;
                    let role = changed(role, patch)?;
                    sql::update_role(tx, &role).await?;
                    tx.touch(Ref::Roles.into());
                    Ok::<_, Error>(role)
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("role", "updated", &**id, allowed));
        Ok(updated)
    }

    /// Deletes a role with its grants, and what it implies or is implied by; part of a greater deletion. The actors
    /// need no touch: whatever depends on a role depends on [`Ref::Roles`].
    pub(crate) async fn delete_role_in(&self, tx: &mut Tx<'_>, id: &RoleId) -> Result<()> {
        sql::delete_grants_of_role(tx, id).await?;
        sql::delete_role(tx, id).await?;
        tx.touch(Ref::Roles.into());
        Ok(())
    }

    /// The roles that one implies directly, in the order of their ids. 404 if there is no such role.
    pub async fn list_implied_roles(&self, allowed: &Allowed, prior: &RoleId) -> Result<(Role, Vec<Role>)> {
        let role = self.require_role(allowed, prior).await?;
        let graph = self.role_graph().await?;
        let implied = graph.implied.get(prior).map(Vec::as_slice).unwrap_or_default();
        Ok((role, self.get_roles(implied).await?))
    }

    /// Both roles of an implication. 404 if there is no such role, or no such implication.
    pub async fn require_implied_role(
        &self,
        allowed: &Allowed,
        prior: &RoleId,
        implied: &RoleId,
    ) -> Result<(Role, Role)> {
        let (prior, implied) = (self.require_role(allowed, prior).await?, self.require_role(allowed, implied).await?);
        if !sql::has_implied_role(&self.foundation.db, &prior.id, &implied.id).await? {
            return Err(Error::not_found("implied role", format!("{} implies {}", prior.id, implied.id)));
        }
        Ok((prior, implied))
    }

    /// All roles and what each implies, for those who show them all.
    pub async fn list_role_inferences(&self, _: &Allowed) -> Result<RoleInferences> {
        let graph = self.role_graph().await?;
        let named = |id: &RoleId| graph.roles.get(id).map(|node| (id.clone(), node.name.clone()));
        let mut inferences: RoleInferences = graph
            .implied
            .iter()
            .filter_map(|(prior, implied)| Some((named(prior)?, implied.iter().filter_map(named).collect())))
            .collect();
        inferences.sort();
        Ok(inferences)
    }

    /// Makes one role imply another. 404 if there is no such role, 403 if the implied one may not be implied, or
    /// belongs to a domain while the prior one does not; 409 if it is implied already. A circle is allowed: it ends
    /// where it began.
    pub async fn create_implied_role(&self, allowed: &Allowed, prior: &RoleId, implied: &RoleId) -> Result<()> {
        let prohibited = &self.foundation.config.assignment.prohibited_implied_role;
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    self.hold_role_in(tx, implied).await?;
                    self.hold_role_in(tx, prior).await?;
                    let then =
                        sql::get_role(&mut *tx, implied).await?.ok_or_else(|| Error::not_found("role", implied))?;
                    let first = sql::get_role(&mut *tx, prior).await?.ok_or_else(|| Error::not_found("role", prior))?;
                    if prohibited.contains(&then.name) {
                        return Err(Error::forbidden_open(format!("The role {implied} cannot be an implied role.")));
                    }
                    if first.domain_id.is_none() && then.domain_id.is_some() {
                        return Err(Error::forbidden_open(format!(
                            "The role {implied} belongs to a domain: the global role {prior} cannot imply it."
                        )));
                    }
                    sql::insert_implied_role(tx, prior, implied).await?;
                    tx.touch(Ref::Roles.into());
                    Ok(())
                })
            })
            .await?;
        tracing::debug!(%prior, %implied, requester = ?allowed.caller().map(|caller| &caller.user_id), "role implied");
        Ok(())
    }

    /// Ends an implication. 404 if there was none.
    pub async fn delete_implied_role(&self, allowed: &Allowed, prior: &RoleId, implied: &RoleId) -> Result<()> {
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    if !sql::delete_implied_role(tx, prior, implied).await? {
                        return Err(Error::not_found("implied role", format!("{prior} implies {implied}")));
                    }
                    tx.touch(Ref::Roles.into());
                    Ok(())
                })
            })
            .await?;
        tracing::debug!(%prior, %implied, requester = ?allowed.caller().map(|caller| &caller.user_id), "not implied");
        Ok(())
    }
}

/// Each role that implies others, by id and name, with those that it implies directly.
pub type RoleInferences = Vec<((RoleId, String), Vec<(RoleId, String)>)>;

fn changed(mut role: Role, patch: &RolePatch) -> Result<Role> {
    if role.is_immutable() && !patch.only_makes_mutable() {
        return Err(Error::forbidden_open(format!(
            "Cannot update the role {}: it is immutable. Set its option {IMMUTABLE} to false first.",
            role.id
        )));
    }
    if patch.domain_id.as_ref().is_some_and(|domain| *domain != role.domain_id) {
        return Err(Error::bad_request("The domain_id of a role cannot be changed."));
    }
    if let Some(name) = &patch.name {
        role.name.clone_from(name);
    }
    if let Some(description) = &patch.description {
        role.description.clone_from(description);
    }
    role.options.extend(patch.options.clone().unwrap_or_default());
    role.options.retain(|_, value| !value.is_null());
    role.extra.extend(patch.extra.clone());
    check_lengths(&role)?;
    Ok(role)
}

/// SQLite stores texts of any length, the others do not.
fn check_lengths(role: &Role) -> Result<()> {
    const LONGEST: usize = 255;
    for (attribute, text) in [("name", Some(&role.name)), ("description", role.description.as_ref())] {
        if text.is_some_and(|text| text.chars().count() > LONGEST) {
            return Err(Error::bad_request(format!("The {attribute} of a role has at most {LONGEST} characters.")));
        }
    }
    Ok(())
}
