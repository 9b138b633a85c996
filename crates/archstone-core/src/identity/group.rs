//! Rules of groups and memberships (`keystone.identity.core`).

use archstone_db::{Query, Tx};
use serde_json::{Map, Value};

use super::user::{check_length, hold_domain, require_domain};
use super::{Group, GroupMembership, Identity, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::freshness::Ref;
use crate::id::{DomainId, GroupId, UserId};
use crate::list::parts::{self, PageSize};
use crate::list::{Filter, ListQuery, Page, Parts};

/// The width of the name's column; the reference's schema of requests allows more.
const NAME_LENGTH: usize = 64;

/// What a group's update changes: `None` leaves an attribute as it is.
#[derive(Clone, Debug, Default)]
pub struct GroupPatch {
    /// Only what it is already.
    pub domain_id: Option<DomainId>,
    /// A new name; space around it is taken off.
    pub name: Option<String>,
    /// A new description, or none any more.
    pub description: Option<Option<String>>,
    /// Attributes to add or replace.
    pub extra: Map<String, Value>,
}

impl Identity {
    /// The group of this id, or 404.
    pub async fn require_group(&self, _: &Allowed, id: &GroupId) -> Result<Group> {
        self.get_group(id).await?.ok_or_else(|| Error::not_found("group", id))
    }

    /// The group of this id, for those who check by themselves who may know.
    pub(crate) async fn get_group(&self, id: &GroupId) -> Result<Option<Group>> {
        sql::get_group(&self.foundation.db, id).await
    }

    /// The groups of these ids that exist, in no order.
    pub(crate) async fn get_groups(&self, ids: &[GroupId]) -> Result<Vec<Group>> {
        sql::get_groups(&self.foundation.db, ids).await
    }

    /// What policy rules may look at as `target.group`. It needs no [`Allowed`] because it is what one is made of: not
    /// for anybody's eyes.
    pub async fn group_target(&self, id: &GroupId) -> Result<Option<Value>> {
        Ok(self.get_group(id).await?.map(|group| {
            let mut target = group.extra;
            target.insert("id".to_owned(), Value::from(&*group.id));
            target.insert("name".to_owned(), Value::from(group.name));
            target.insert("domain_id".to_owned(), Value::from(&*group.domain_id));
            target.insert("description".to_owned(), Value::from(group.description));
            Value::Object(target)
        }))
    }

    /// The groups that are asked for in the order of their ids, and the filters that are left to the caller. 404 for a
    /// marker that is no group's id.
    pub async fn list_groups(&self, _: &Allowed, query: &ListQuery) -> Result<(Parts<Group>, Vec<Filter>)> {
        if let Some(marker) = &query.marker
            && sql::get_group(&self.foundation.db, &GroupId::from(marker.as_str())).await?.is_none()
        {
            return Err(Error::not_found("the marker", marker));
        }
        let Some((select, remaining)) = sql::select_listed_groups(query) else {
            return Ok((parts::nothing(), Vec::new()));
        };
        let db = self.foundation.db.clone();
        let size = PageSize::of(query, self.max_db_limit());
        let groups = parts::by_id(
            size,
            query.marker.clone(),
            |group: &Group| &group.id,
            move |after, most| {
                let (db, select) = (db.clone(), select.clone());
                async move { sql::list_groups_part(&db, select, after.as_deref(), most).await }
            },
        );
        Ok((groups, remaining))
    }

    /// The groups that a user is in now, and the filters that are left to the caller. 404 if there is no such user.
    pub async fn list_groups_of_user(
        &self,
        allowed: &Allowed,
        user: &UserId,
        query: &ListQuery,
    ) -> Result<(Page<GroupMembership>, Vec<Filter>)> {
        self.require_user(allowed, user).await?;
        let db = &self.foundation.db;
        let (mut memberships, remaining) = sql::list_groups_of_user(db, user, query).await?;
        let now = self.foundation.time.now();
        let expiring = sql::list_expiring_groups_of_user(db, user, query, self.default_authorization_minutes()).await?;
        memberships.extend(expiring.into_iter().filter(|group| group.expires_at.is_some_and(|at| at > now)));
        Ok((Page::all(memberships), remaining))
    }

    /// The ids of the groups that a user is in now, also of those it is in for a time.
    pub(crate) async fn list_group_ids_of_user(&self, user: &UserId) -> Result<Vec<GroupId>> {
        let now = self.foundation.time.now();
        sql::list_group_ids_of_user(&self.foundation.db, user, self.default_authorization_minutes(), now).await
    }

    /// The members of some groups, not those whose membership expires.
    pub(crate) async fn list_member_ids(&self, db: impl Query, groups: &[GroupId]) -> Result<Vec<UserId>> {
        sql::list_member_ids(db, groups).await
    }

    /// Which users are in which of some groups now, also those that are for a time.
    pub(crate) async fn list_memberships(&self, groups: &[GroupId]) -> Result<Vec<(GroupId, UserId)>> {
        let now = self.foundation.time.now();
        sql::list_memberships(&self.foundation.db, groups, self.default_authorization_minutes(), now).await
    }

    /// Makes a group with a random id. 404 for the domain, 400 for a name too long, 409 for one that is taken.
    pub async fn create_group(&self, allowed: &Allowed, group: Group) -> Result<Group> {
        let group = Group { name: group.name.trim().to_owned(), ..group };
        require_domain(&self.foundation.db, &group.domain_id).await?;
        check_length("name", &group.name, NAME_LENGTH)?;
        let stored = &group;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    hold_domain(tx, &stored.domain_id).await?;
                    sql::insert_group(tx, stored).await
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("group", "created", &*group.id, allowed));
        Ok(group)
    }

    /// Changes a group. 404 if there is none, 400 for another domain or a name too long, 409 for one that is taken.
    pub async fn update_group(&self, allowed: &Allowed, id: &GroupId, patch: GroupPatch) -> Result<Group> {
        let patch = &patch;
        let group = self
            .foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    sql::take_groups(tx, std::slice::from_ref(id)).await?;
                    let mut group = sql::get_group(&mut *tx, id).await?.ok_or_else(|| Error::not_found("group", id))?;
                    if patch.domain_id.as_ref().is_some_and(|domain| *domain != group.domain_id) {
                        return Err(Error::bad_request("A group cannot move to another domain."));
                    }
                    if let Some(name) = &patch.name {
                        name.trim().clone_into(&mut group.name);
                        check_length("name", &group.name, NAME_LENGTH)?;
                    }
                    if let Some(description) = &patch.description {
                        group.description.clone_from(description);
                    }
                    group.extra.extend(patch.extra.clone());
                    sql::update_group(tx, &group).await?;
                    Ok(group)
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("group", "updated", &**id, allowed));
        Ok(group)
    }

    /// Puts a user into a group; one that is in it already stays. 404 for the group or the user.
    pub async fn add_user_to_group(&self, allowed: &Allowed, user: &UserId, group: &GroupId) -> Result<()> {
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    self.hold_group_in(tx, group).await?;
                    self.hold_user_in(tx, user).await?;
                    sql::insert_member(tx, user, group).await?;
                    tx.touch(Ref::User(user.clone()).into());
                    Ok::<_, Error>(())
                })
            })
            .await?;
        self.foundation.events.emit(membership_event("added", user, group, allowed));
        Ok(())
    }

    /// 404 unless a user is in a group now.
    pub async fn check_user_in_group(&self, _: &Allowed, user: &UserId, group: &GroupId) -> Result<()> {
        let db = &self.foundation.db;
        require_both(db, user, group).await?;
        if sql::is_member(db, user, group).await? || self.list_group_ids_of_user(user).await?.contains(group) {
            return Ok(());
        }
        Err(not_a_member(user, group))
    }

    /// Takes a user out of a group. 404 if it was not in it, or there is no such group or user. What ends its tokens
    /// is done by `cascade`, which also emits the event.
    pub(crate) async fn remove_user_from_group_in(
        &self,
        tx: &mut Tx<'_>,
        user: &UserId,
        group: &GroupId,
    ) -> Result<()> {
        if !sql::delete_member(tx, user, group).await? {
            require_both(tx, user, group).await?;
            return Err(not_a_member(user, group));
        }
        tx.touch(Ref::User(user.clone()).into());
        Ok(())
    }

    /// Has groups for itself until the transaction ends, so that nobody gives them anything while they are deleted;
    /// those that there are.
    pub(crate) async fn take_groups_in(&self, tx: &mut Tx<'_>, ids: &[GroupId]) -> Result<Vec<GroupId>> {
        sql::take_groups(tx, ids).await
    }

    /// Keeps a group until the transaction ends. 404 if there is none.
    pub(crate) async fn hold_group_in(&self, tx: &mut Tx<'_>, id: &GroupId) -> Result<()> {
        if sql::hold_group(tx, id).await? { Ok(()) } else { Err(Error::not_found("group", id)) }
    }

    /// Deletes groups with their memberships; none of them need exist. Their assignments, and the tokens of those who
    /// were in them, are up to `cascade`.
    pub(crate) async fn delete_groups_in(&self, tx: &mut Tx<'_>, ids: &[GroupId]) -> Result<()> {
        sql::delete_groups(tx, ids).await?;
        for id in ids {
            // Scoped tokens depend on this for each group that they count on.
            tx.touch(Ref::Assignments(id.to_string()).into());
        }
        Ok(())
    }

    /// The groups of a domain.
    pub(crate) async fn list_group_ids_of_domain(&self, db: impl Query, domain: &DomainId) -> Result<Vec<GroupId>> {
        sql::list_group_ids_of_domain(db, domain).await
    }
}

/// The event of a membership that came or went: of the group, with the user as who it is about.
pub(crate) fn membership_event(operation: &str, user: &UserId, group: &GroupId, allowed: &Allowed) -> Event {
    let mut event = Event::new("group", "updated", &**group, allowed);
    event.details.insert("actor_id".to_owned(), Value::from(&**user));
    event.details.insert("actor_type".to_owned(), Value::from("user"));
    event.details.insert("actor_operation".to_owned(), Value::from(operation));
    event
}

async fn require_both(mut db: impl Query, user: &UserId, group: &GroupId) -> Result<()> {
    if sql::get_group(db.by_ref(), group).await?.is_none() {
        return Err(Error::not_found("group", group));
    }
    if !sql::user_exists(db, user).await? {
        return Err(Error::not_found("user", user));
    }
    Ok(())
}

fn not_a_member(user: &UserId, group: &GroupId) -> Error {
    Error::new(crate::error::ErrorKind::NotFound, format!("The user {user} is not in the group {group}."))
}
