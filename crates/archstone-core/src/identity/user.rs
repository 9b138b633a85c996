//! Rules of users (`keystone.identity.core`, `keystone.identity.backends.sql`).

use archstone_db::{Query, Tx};
use chrono::NaiveDate;
use serde_json::{Map, Value};

use super::compliance::{NewPassword, SetBy};
use super::expiry_filter::ExpiryFilter;
use super::options::{UserOptionChanges, UserOptions};
use super::password::Password;
use super::sql::{self, ListedUser, StoredUser, UserList};
use super::{FederatedIdentity, Identity, User};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::freshness::Ref;
use crate::id::{DomainId, GroupId, ProjectId, UserId};
use crate::list::parts::{self, PageSize};
use crate::list::sql::Density;
use crate::list::{Filter, ListQuery, Parts};
use crate::resource;
use crate::time::Timestamp;

/// Widths of columns that SQLite does not watch.
const NAME_LENGTH: usize = 255;
const ID_LENGTH: usize = 64;

/// What a new user is to be.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Its domain, which must exist.
    pub domain_id: DomainId,
    /// Its name; space around it is taken off.
    pub name: String,
    /// Whether it may log in.
    pub enabled: bool,
    /// No password, an account whose password is null, or a password.
    pub password: Option<Option<Password>>,
    /// A project, which need not exist but must not be a domain.
    pub default_project_id: Option<ProjectId>,
    /// Resource options.
    pub options: UserOptionChanges,
    /// What identity providers call it; the display names are set to its name.
    pub federated: Vec<FederatedIdentity>,
    /// What the caller adds.
    pub extra: Map<String, Value>,
}

impl NewUser {
    /// An enabled user of this name and nothing else.
    pub fn named(domain_id: DomainId, name: impl Into<String>) -> NewUser {
        NewUser {
            domain_id,
            name: name.into(),
            enabled: true,
            password: None,
            default_project_id: None,
            options: UserOptionChanges::default(),
            federated: Vec::new(),
            extra: Map::new(),
        }
    }
}

/// What a user's update changes: `None` leaves an attribute as it is.
#[derive(Clone, Debug, Default)]
pub struct UserPatch {
    /// Only what it is already.
    pub domain_id: Option<DomainId>,
    /// A new name; space around it is taken off.
    pub name: Option<String>,
    /// Switches it on or off.
    pub enabled: Option<bool>,
    /// A new password, or one that nobody knows.
    pub password: Option<Option<Password>>,
    /// A new default project, or none any more.
    pub default_project_id: Option<Option<ProjectId>>,
    /// Options to set or to take away.
    pub options: UserOptionChanges,
    /// All that identity providers call it from now on; empty leaves it as it is.
    pub federated: Vec<FederatedIdentity>,
    /// Attributes to add or replace.
    pub extra: Map<String, Value>,
}

/// An update that was checked and whose password is hashed, ready for its transaction.
pub(crate) struct PreparedUserUpdate {
    patch: UserPatch,
    #[expect(clippy::option_option, reason = "no password is not a null one")]
    password: Option<Option<String>>,
}

/// What an update made of a user.
pub(crate) struct UpdatedUser {
    /// The user as it is now.
    pub(crate) user: User,
    /// Whether its tokens must end: it was disabled, or got a new password.
    pub(crate) ends_tokens: bool,
}

impl Identity {
    /// The user of this id, or 404.
    pub async fn require_user(&self, _: &Allowed, id: &UserId) -> Result<User> {
        self.get_user_for_token(id).await?.ok_or_else(|| Error::not_found("user", id))
    }

    /// The user of this id, for those who check by themselves who may know: validation, login, policy targets.
    pub(crate) async fn get_user_for_token(&self, id: &UserId) -> Result<Option<User>> {
        Ok(sql::get_user(&self.foundation.db, id).await?.map(|user| self.user_from(user)))
    }

    /// The user of this name whose name and password are here.
    pub(crate) async fn get_user_by_name(&self, name: &str, domain_id: &DomainId) -> Result<Option<User>> {
        Ok(sql::get_user_by_name(&self.foundation.db, name, domain_id).await?.map(|user| self.user_from(user)))
    }

    /// What policy rules may look at as `target.user`. It needs no [`Allowed`] because it is what one is made of: not
    /// for anybody's eyes.
    pub async fn user_target(&self, id: &UserId) -> Result<Option<Value>> {
        Ok(self.get_user_for_token(id).await?.map(|user| {
            let mut target = user.extra;
            target.insert("id".to_owned(), Value::from(&*user.id));
            target.insert("name".to_owned(), Value::from(user.name));
            target.insert("domain_id".to_owned(), Value::from(&*user.domain_id));
            target.insert("enabled".to_owned(), Value::from(user.enabled));
            target.insert("default_project_id".to_owned(), Value::from(user.default_project_id.as_deref()));
            target.insert("options".to_owned(), Value::Object(user.options.to_object()));
            Value::Object(target)
        }))
    }

    /// The users that are asked for in the order of their ids, and the filters that are left to the caller. What identity
    /// providers call them is not in lists. 404 for a marker that is no user's id, 400 for a filter on
    /// `password_expires_at` that cannot be read.
    ///
    /// A filter on the name also finds what identity providers call a user.
    pub async fn list_users(&self, _: &Allowed, query: &ListQuery) -> Result<(Parts<User>, Vec<Filter>)> {
        let expiry = ExpiryFilter::all(query)?;
        if let Some(marker) = &query.marker
            && !sql::user_exists(&self.foundation.db, marker).await?
        {
            return Err(Error::not_found("the marker", marker));
        }
        let size = PageSize::of(query, self.max_db_limit());
        Ok(self.read_list(&UserList { query, expiry: &expiry, group: None }, size, query.marker.clone()))
    }

    /// The members of a group in the order of their ids, not those whose membership expires, and the filters that are
    /// left to the caller, as the limit is. 404 if there is no such group.
    pub async fn list_users_in_group(
        &self,
        allowed: &Allowed,
        group: &GroupId,
        query: &ListQuery,
    ) -> Result<(Parts<User>, Vec<Filter>)> {
        let expiry = ExpiryFilter::all(query)?;
        self.require_group(allowed, group).await?;
        Ok(self.read_list(&UserList { query, expiry: &expiry, group: Some(group) }, PageSize::ALL, None))
    }

    fn read_list(&self, list: &UserList<'_>, size: PageSize, marker: Option<String>) -> (Parts<User>, Vec<Filter>) {
        let Some((select, remaining)) = sql::select_user_ids(list) else { return (parts::nothing(), Vec::new()) };
        let is_all = list.query.filters.is_empty() && list.group.is_none();
        let density = if is_all { Density::Complete } else { Density::Filtered };
        let identity = self.clone();
        let users = parts::by_id(
            size,
            marker,
            |user: &User| &user.id,
            move |after, most| {
                let (identity, select) = (identity.clone(), select.clone());
                async move {
                    let db = &identity.foundation.db;
                    let users = Box::pin(sql::list_part(db, select, after.as_deref(), most, density)).await?;
                    let today = identity.foundation.time.now().naive().date();
                    Ok(users.into_iter().map(|user| identity.listed(user, today)).collect())
                }
            },
        );
        (users, remaining)
    }

    fn listed(&self, user: ListedUser, today: NaiveDate) -> User {
        User {
            enabled: self.compliance.enabled(user.enabled, user.last_active, &user.options, today),
            id: user.id,
            domain_id: user.domain_id,
            name: user.name,
            kind: user.kind,
            default_project_id: user.default_project_id,
            password_expires_at: user.password_expires_at,
            options: user.options,
            federated: Vec::new(),
            extra: user.extra,
        }
    }

    /// Domain and name of the users of these ids, for lists of who has which role; unknown ids are left out.
    pub(crate) async fn list_user_names(&self, ids: &[UserId]) -> Result<Vec<(UserId, DomainId, String)>> {
        sql::list_user_names(&self.foundation.db, ids).await
    }

    /// Makes a user with a random id. 404 for the domain, 400 for a password too weak or a default project that is a
    /// domain, 409 for a name that is taken.
    pub async fn create_user(&self, allowed: &Allowed, new: NewUser) -> Result<User> {
        self.create_user_with_id(allowed, UserId::new_random(), new).await
    }

    /// Makes a user whose id is given.
    pub async fn create_user_with_id(&self, allowed: &Allowed, id: UserId, mut new: NewUser) -> Result<User> {
        if let Some(password) = &new.password {
            self.compliance.check_strength(password.as_ref())?;
        }
        new.name = new.name.trim().to_owned();
        check_length("name", &new.name, NAME_LENGTH)?;
        require_domain(&self.foundation.db, &new.domain_id).await?;
        self.check_default_project(new.default_project_id.as_ref()).await?;
        self.check_federated(&new.federated).await?;
        let hash = self.hash_new(new.password.take()).await?;

        let user = self.new_stored(id, &new);
        let (stored, new, hash) = (&user, &new, &hash);
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    hold_domain(tx, &new.domain_id).await?;
                    self.insert(tx, stored, new, hash.as_ref()).await
                })
            })
            .await?;
        let created = self.require_user(allowed, &stored.id).await?;
        self.foundation.events.emit(Event::new("user", "created", &*created.id, allowed));
        Ok(created)
    }

    fn new_stored(&self, id: UserId, new: &NewUser) -> StoredUser {
        let now = self.foundation.time.now();
        let mut options = UserOptions::default();
        options.apply(&new.options);
        let mut user = StoredUser::new(id, new.domain_id.clone(), now);
        user.enabled = new.enabled;
        user.default_project_id.clone_from(&new.default_project_id);
        if new.enabled && self.compliance.watches_inactivity() {
            user.last_active_at = Some(now.naive().date());
        }
        user.extra.clone_from(&new.extra);
        user.options = options;
        user
    }

    async fn insert(
        &self,
        tx: &mut Tx<'_>,
        user: &StoredUser,
        new: &NewUser,
        hash: Option<&Option<String>>,
    ) -> Result<()> {
        let local_id = sql::insert_user(tx, user, &new.name).await?;
        if let Some(hash) = hash {
            let now = self.foundation.time.now();
            let password = self.compliance.new_password(hash.clone(), now, &user.options, SetBy::Administrator);
            sql::insert_password(tx, local_id, &password).await?;
        }
        sql::insert_options(tx, &user.id, &user.options).await?;
        sql::insert_federated(tx, &user.id, &named(&new.federated, &new.name)).await?;
        tx.touch(Ref::User(user.id.clone()).into());
        Ok(())
    }

    /// Checks an update as far as that needs no transaction, and hashes its password. 404 for the user, 400 for
    /// another domain, a password too weak, or a default project that is a domain.
    pub(crate) async fn prepare_update(&self, id: &UserId, mut patch: UserPatch) -> Result<PreparedUserUpdate> {
        let user = self.get_user_for_token(id).await?.ok_or_else(|| Error::not_found("user", id))?;
        if patch.domain_id.as_ref().is_some_and(|domain| *domain != user.domain_id) {
            return Err(Error::bad_request("A user cannot move to another domain."));
        }
        if let Some(password) = &patch.password {
            self.compliance.check_strength(password.as_ref())?;
        }
        if let Some(name) = &mut patch.name {
            *name = name.trim().to_owned();
            check_length("name", name, NAME_LENGTH)?;
        }
        self.check_default_project(patch.default_project_id.as_ref().and_then(Option::as_ref)).await?;
        self.check_federated(&patch.federated).await?;
        let password = self.hash_new(patch.password.take()).await?;
        Ok(PreparedUserUpdate { patch, password })
    }

    /// Carries an update out.
    pub(crate) async fn update_user_in(
        &self,
        tx: &mut Tx<'_>,
        id: &UserId,
        prepared: &PreparedUserUpdate,
    ) -> Result<UpdatedUser> {
        sql::take_users(tx, std::slice::from_ref(id)).await?;
        let mut user = sql::get_user(&mut *tx, id).await?.ok_or_else(|| Error::not_found("user", id))?;
        let now = self.foundation.time.now();
        let patch = &prepared.patch;
        let was_enabled = self.compliance.enabled(user.enabled, user.last_active(), &user.options, now.naive().date());

        // The reference writes what it shows, also where the update says nothing of it: an idle user becomes a
        // disabled one, and any update of an enabled one forgets its failed logins.
        user.enabled = patch.enabled.unwrap_or(was_enabled);
        if let Some(project) = &patch.default_project_id {
            user.default_project_id.clone_from(project);
        }
        if user.enabled && self.compliance.watches_inactivity() {
            user.last_active_at = Some(now.naive().date());
        }
        user.extra.extend(patch.extra.clone());
        user.options.apply(&patch.options);
        sql::update_user(tx, &user).await?;
        sql::replace_options(tx, id, &user.options).await?;
        if let Some(local) = user.local.as_ref().filter(|local| user.enabled && local.has_failures()) {
            sql::reset_local_failures(tx, local).await?;
        }
        if user.enabled && self.compliance.watches_failures() {
            sql::delete_failures_of_users(tx, std::slice::from_ref(id)).await?;
        }
        if let Some(name) = &patch.name {
            self.rename(tx, &user, name).await?;
        }
        if !patch.federated.is_empty() {
            let name = patch.name.as_deref().unwrap_or(user.name());
            sql::replace_federated(tx, id, &named(&patch.federated, name)).await?;
        }
        if let Some(hash) = &prepared.password {
            let password = self.compliance.new_password(hash.clone(), now, &user.options, SetBy::Administrator);
            self.replace_password(tx, &user, password).await?;
        }
        tx.touch(Ref::User(id.clone()).into());

        let ends_tokens =
            (patch.enabled == Some(false) && was_enabled) || prepared.password.as_ref().is_some_and(Option::is_some);
        let stored = sql::get_user(&mut *tx, id).await?.ok_or_else(|| Error::not_found("user", id))?;
        Ok(UpdatedUser { user: self.user_from(stored), ends_tokens })
    }

    async fn rename(&self, tx: &mut Tx<'_>, user: &StoredUser, name: &str) -> Result<()> {
        if let Some(federated_id) = user.federated.keys().next() {
            sql::rename_federated(tx, *federated_id, name).await?;
        }
        if user.local.is_some() {
            sql::rename_local(tx, user, name).await?;
        } else if user.nonlocal_name.is_some() {
            sql::rename_nonlocal(tx, user, name).await?;
        }
        Ok(())
    }

    /// Makes a password the current one: older ones expire, and as many of them stay as the rules look back on.
    pub(super) async fn replace_password(
        &self,
        tx: &mut Tx<'_>,
        user: &StoredUser,
        mut password: NewPassword,
    ) -> Result<()> {
        let Some(local) = &user.local else {
            return Err(Error::bad_request(
                "This user has no password here: its name and password are kept elsewhere.",
            ));
        };
        let older: Vec<_> = user.passwords.values().collect();
        let (forgotten, kept) = older.split_at(older.len().saturating_sub(self.compliance.kept_passwords()));
        sql::delete_passwords(tx, &forgotten.iter().map(|password| password.id).collect::<Vec<_>>()).await?;
        sql::expire_passwords(tx, kept, password.created_at).await?;
        // The order of the times is what makes a password the current one.
        if let Some(last) = older.last()
            && last.created_at >= password.created_at
        {
            password.created_at = Timestamp::from_micros(last.created_at.micros() + 1).unwrap_or(last.created_at);
        }
        sql::insert_password(tx, local.id, &password).await
    }

    /// Has users for itself until the transaction ends, so that nobody gives them anything while they are deleted;
    /// those that there are.
    pub(crate) async fn take_users_in(&self, tx: &mut Tx<'_>, ids: &[UserId]) -> Result<Vec<UserId>> {
        sql::take_users(tx, ids).await
    }

    /// Keeps a user until the transaction ends. 404 if there is none.
    pub(crate) async fn hold_user_in(&self, tx: &mut Tx<'_>, id: &UserId) -> Result<()> {
        if sql::hold_user(tx, id).await? { Ok(()) } else { Err(Error::not_found("user", id)) }
    }

    /// Deletes users with their passwords, memberships, options and federated identities; none of them need exist.
    /// What else belongs to them is deleted by `cascade`.
    pub(crate) async fn delete_users_in(&self, tx: &mut Tx<'_>, ids: &[UserId]) -> Result<()> {
        sql::delete_users(tx, ids).await?;
        for id in ids {
            tx.touch(Ref::User(id.clone()).into());
        }
        Ok(())
    }

    /// The users of a domain.
    pub(crate) async fn list_user_ids_of_domain(&self, db: impl Query, domain: &DomainId) -> Result<Vec<UserId>> {
        sql::list_user_ids_of_domain(db, domain).await
    }

    /// Takes projects that go away out of where users have them as their default.
    pub(crate) async fn unset_default_project_in(&self, tx: &mut Tx<'_>, projects: &[ProjectId]) -> Result<()> {
        let users = sql::list_user_ids_with_default_project(&mut *tx, projects).await?;
        if !users.is_empty() {
            sql::unset_default_project(tx, projects).await?;
        }
        for id in users {
            tx.touch(Ref::User(id).into());
        }
        Ok(())
    }

    pub(super) fn user_from(&self, stored: StoredUser) -> User {
        stored.into_user(&self.compliance, self.foundation.time.now())
    }

    #[expect(clippy::option_option, reason = "no password is not a null one")]
    async fn hash_new(&self, password: Option<Option<Password>>) -> Result<Option<Option<String>>> {
        Ok(match password {
            None => None,
            Some(None) => Some(None),
            Some(Some(password)) => Some(Some(self.pool.hash(password).await?)),
        })
    }

    /// 400 for a domain. One that does not exist is fine, as it always was.
    async fn check_default_project(&self, id: Option<&ProjectId>) -> Result<()> {
        let Some(id) = id else { return Ok(()) };
        check_length("default_project_id", id, ID_LENGTH)?;
        let project = resource::sql::get_project(&self.foundation.db, id).await?;
        if project.is_some_and(|project| project.is_domain) {
            return Err(Error::bad_request(format!("The default project cannot be a domain: {id}.")));
        }
        Ok(())
    }

    async fn check_federated(&self, identities: &[FederatedIdentity]) -> Result<()> {
        for identity in identities {
            check_length("unique_id", &identity.unique_id, NAME_LENGTH)?;
            if !sql::protocol_exists(&self.foundation.db, &identity.idp_id, &identity.protocol_id).await? {
                return Err(Error::bad_request(format!(
                    "There is no protocol {} of an identity provider {}.",
                    identity.protocol_id, identity.idp_id
                )));
            }
        }
        Ok(())
    }
}

/// 404 if there is no such domain.
pub(super) async fn require_domain(db: impl Query, id: &DomainId) -> Result<()> {
    match resource::sql::get_project(db, id).await? {
        // Some databases find an id that differs in case.
        Some(project) if project.is_domain && *project.id == **id => Ok(()),
        _ => Err(Error::not_found("domain", id)),
    }
}

/// Keeps a domain until the transaction ends. 404 if there is none.
pub(super) async fn hold_domain(tx: &mut Tx<'_>, id: &DomainId) -> Result<()> {
    resource::sql::hold_project(&mut *tx, id).await?;
    require_domain(tx, id).await
}

/// 400 for a text that its column cannot hold, in characters.
pub(super) fn check_length(attribute: &str, text: &str, most: usize) -> Result<()> {
    if text.chars().count() <= most {
        return Ok(());
    }
    Err(Error::bad_request(format!("The attribute {attribute} is too long: its limit is {most} characters.")))
}

fn named(identities: &[FederatedIdentity], name: &str) -> Vec<FederatedIdentity> {
    identities.iter().map(|identity| FederatedIdentity { display_name: name.to_owned(), ..identity.clone() }).collect()
}
