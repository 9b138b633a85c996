//! What is deleted together with a project, a domain, a user or a group. Only deletions, and what must be known for
//! them: what else is to be said about these tables is said by the subsystems that they belong to.

use archstone_db::dialect::enum_value;
use archstone_db::tables::{
    AccessRule, ApplicationCredential, ApplicationCredentialAccessRule, ApplicationCredentialRole, Assignment,
    ConfigRegister, Credential, ExpiringUserGroupMembership, FederatedUser, FederationProtocol, IdentityProvider,
    IdpRemoteIds, Limit, ProjectEndpoint, ProjectEndpointGroup, SensitiveConfig, SystemAssignment, Trust,
    WhitelistedConfig,
};
use archstone_db::{DbError, Query, Tx};
use sea_query::{Condition, DeleteStatement, Expr, ExprTrait as _, Iden, IntoColumnRef, IntoTableRef, Query as Sql};

use crate::error::Result;
use crate::id::{ApplicationCredentialId, DomainId, GroupId, ProjectId, TrustId, UserId};
use crate::time::Timestamp;

/// How many ids go into one `IN (…)`.
const CHUNK: usize = 500;

/// The native enumeration of PostgreSQL that `assignment.type` is.
const ASSIGNMENT_TYPE: &str = "type";

fn delete_where(table: impl IntoTableRef, condition: impl Into<Expr>) -> DeleteStatement {
    let mut delete = Sql::delete();
    delete.from_table(table).and_where(condition.into());
    delete
}

/// Deletes rows that have one of these ids in a column; how many.
async fn delete_in<I, C>(tx: &mut Tx<'_>, table: I, column: C, ids: &[impl AsRef<str> + Sync]) -> Result<u64>
where
    I: Iden + Copy + IntoTableRef,
    C: IntoColumnRef + Copy,
{
    let mut deleted = 0;
    for chunk in ids.chunks(CHUNK) {
        let condition = Expr::col(column).is_in(chunk.iter().map(AsRef::as_ref));
        deleted += tx.execute(&delete_where(table, condition)).await?;
    }
    Ok(deleted)
}

fn assignment_type_is_one_of(types: [&'static str; 2]) -> Expr {
    Expr::col(Assignment::Type).is_in(types.map(|name| enum_value(ASSIGNMENT_TYPE, name)))
}

async fn delete_assignments(
    tx: &mut Tx<'_>,
    types: [&'static str; 2],
    column: Assignment,
    ids: &[impl AsRef<str> + Sync],
) -> Result<()> {
    for chunk in ids.chunks(CHUNK) {
        let mut delete = delete_where(Assignment::Table, assignment_type_is_one_of(types));
        delete.and_where(Expr::col(column).is_in(chunk.iter().map(AsRef::as_ref)));
        tx.execute(&delete).await?;
    }
    Ok(())
}

async fn delete_system_assignments(
    tx: &mut Tx<'_>,
    actor_type: &'static str,
    ids: &[impl AsRef<str> + Sync],
) -> Result<()> {
    for chunk in ids.chunks(CHUNK) {
        let mut delete = delete_where(SystemAssignment::Table, Expr::col(SystemAssignment::Type).eq(actor_type));
        delete.and_where(Expr::col(SystemAssignment::ActorId).is_in(chunk.iter().map(AsRef::as_ref)));
        tx.execute(&delete).await?;
    }
    Ok(())
}

pub(super) async fn delete_assignments_on_projects(tx: &mut Tx<'_>, ids: &[ProjectId]) -> Result<()> {
    delete_assignments(tx, ["UserProject", "GroupProject"], Assignment::TargetId, ids).await
}

pub(super) async fn delete_assignments_on_domain(tx: &mut Tx<'_>, id: &DomainId) -> Result<()> {
    delete_assignments(tx, ["UserDomain", "GroupDomain"], Assignment::TargetId, std::slice::from_ref(id)).await
}

pub(super) async fn delete_assignments_of_users(tx: &mut Tx<'_>, ids: &[UserId]) -> Result<()> {
    delete_assignments(tx, ["UserProject", "UserDomain"], Assignment::ActorId, ids).await?;
    delete_system_assignments(tx, "UserSystem", ids).await
}

pub(super) async fn delete_assignments_of_groups(tx: &mut Tx<'_>, ids: &[GroupId]) -> Result<()> {
    delete_assignments(tx, ["GroupProject", "GroupDomain"], Assignment::ActorId, ids).await?;
    delete_system_assignments(tx, "GroupSystem", ids).await
}

/// Those among the groups that have a role anywhere.
pub(super) async fn list_groups_with_assignments(mut db: impl Query, ids: &[GroupId]) -> Result<Vec<GroupId>> {
    let mut groups = Vec::new();
    for chunk in ids.chunks(CHUNK) {
        let ids = || chunk.iter().map(|id| &**id);
        let mut select = Sql::select();
        select
            .distinct()
            .column(Assignment::ActorId)
            .from(Assignment::Table)
            .and_where(assignment_type_is_one_of(["GroupProject", "GroupDomain"]))
            .and_where(Expr::col(Assignment::ActorId).is_in(ids()));
        for row in db.by_ref().fetch_all(&select).await? {
            groups.push(GroupId::from(row.get::<String>("actor_id")?));
        }
        let mut select = Sql::select();
        select
            .distinct()
            .column(SystemAssignment::ActorId)
            .from(SystemAssignment::Table)
            .and_where(Expr::col(SystemAssignment::Type).eq("GroupSystem"))
            .and_where(Expr::col(SystemAssignment::ActorId).is_in(ids()));
        for row in db.by_ref().fetch_all(&select).await? {
            let group = GroupId::from(row.get::<String>("actor_id")?);
            if !groups.contains(&group) {
                groups.push(group);
            }
        }
    }
    Ok(groups)
}

pub(super) async fn delete_credentials_of_projects(tx: &mut Tx<'_>, ids: &[ProjectId]) -> Result<()> {
    delete_in(tx, Credential::Table, Credential::ProjectId, ids).await.map(drop)
}

pub(super) async fn delete_credentials_of_users(tx: &mut Tx<'_>, ids: &[UserId]) -> Result<()> {
    delete_in(tx, Credential::Table, Credential::UserId, ids).await.map(drop)
}

/// Limits of a project, or of a domain, which has a column of its own.
pub(super) async fn delete_limits_of_projects(tx: &mut Tx<'_>, ids: &[ProjectId]) -> Result<()> {
    delete_in(tx, Limit::Table, Limit::ProjectId, ids).await?;
    delete_in(tx, Limit::Table, Limit::DomainId, ids).await.map(drop)
}

/// Associations of projects with endpoints and endpoint groups; how many.
pub(super) async fn delete_endpoint_associations(tx: &mut Tx<'_>, ids: &[ProjectId]) -> Result<u64> {
    let endpoints = delete_in(tx, ProjectEndpoint::Table, ProjectEndpoint::ProjectId, ids).await?;
    let groups = delete_in(tx, ProjectEndpointGroup::Table, ProjectEndpointGroup::ProjectId, ids).await?;
    Ok(endpoints + groups)
}

pub(super) async fn end_trusts_of_projects(tx: &mut Tx<'_>, ids: &[ProjectId], now: Timestamp) -> Result<Vec<TrustId>> {
    let mut ended = Vec::new();
    for chunk in ids.chunks(CHUNK) {
        let of_project = Expr::col(Trust::ProjectId).is_in(chunk.iter().map(|id| &**id));
        ended.extend(end_trusts(tx, Condition::all().add(of_project), now).await?);
    }
    Ok(ended)
}

/// The trusts that these users gave or got.
pub(super) async fn end_trusts_of_users(tx: &mut Tx<'_>, ids: &[UserId], now: Timestamp) -> Result<Vec<TrustId>> {
    let mut ended = Vec::new();
    for chunk in ids.chunks(CHUNK) {
        let ids = || chunk.iter().map(|id| &**id);
        let of_user = Condition::any()
            .add(Expr::col(Trust::TrustorUserId).is_in(ids()))
            .add(Expr::col(Trust::TrusteeUserId).is_in(ids()));
        ended.extend(end_trusts(tx, of_user, now).await?);
    }
    Ok(ended)
}

/// Trusts are not deleted but marked.
async fn end_trusts(tx: &mut Tx<'_>, condition: Condition, now: Timestamp) -> Result<Vec<TrustId>> {
    let mut select = Sql::select();
    select
        .column(Trust::Id)
        .from(Trust::Table)
        .cond_where(condition.clone())
        .and_where(Expr::col(Trust::DeletedAt).is_null());
    let rows = tx.fetch_all(&select).await?;
    let ids = rows.iter().map(|row| row.get::<String>("id").map(TrustId::from)).collect::<Result<Vec<_>, DbError>>()?;
    if !ids.is_empty() {
        let mut update = Sql::update();
        update
            .table(Trust::Table)
            .value(Trust::DeletedAt, now.naive())
            .cond_where(condition)
            .and_where(Expr::col(Trust::DeletedAt).is_null());
        tx.execute(&update).await?;
    }
    Ok(ids)
}

/// The access rules of users, by the ids that the API shows.
pub(super) async fn list_access_rules_of_users(tx: &mut Tx<'_>, ids: &[UserId]) -> Result<Vec<String>> {
    let mut rules = Vec::new();
    for chunk in ids.chunks(CHUNK) {
        let mut select = Sql::select();
        select
            .column(AccessRule::ExternalId)
            .from(AccessRule::Table)
            .and_where(Expr::col(AccessRule::UserId).is_in(chunk.iter().map(|id| &**id)));
        for row in tx.fetch_all(&select).await? {
            rules.extend(row.get::<Option<String>>("external_id")?);
        }
    }
    Ok(rules)
}

/// Application credentials and access rules of users; the ids of the credentials.
pub(super) async fn delete_application_credentials_of_users(
    tx: &mut Tx<'_>,
    ids: &[UserId],
) -> Result<Vec<ApplicationCredentialId>> {
    let mut deleted = Vec::new();
    for chunk in ids.chunks(CHUNK) {
        let of_users = |column| Expr::col(column).is_in(chunk.iter().map(|id| &**id));
        let mut select = Sql::select();
        select
            .column(ApplicationCredential::Id)
            .from(ApplicationCredential::Table)
            .and_where(of_users(ApplicationCredential::UserId));
        for row in tx.fetch_all(&select).await? {
            deleted.push(ApplicationCredentialId::from(row.get::<String>("id")?));
        }
        let internal_ids = || {
            let mut internal_ids = Sql::select();
            internal_ids
                .column(ApplicationCredential::InternalId)
                .from(ApplicationCredential::Table)
                .and_where(of_users(ApplicationCredential::UserId));
            internal_ids
        };
        let role = Expr::col(ApplicationCredentialRole::ApplicationCredentialId).in_subquery(internal_ids());
        tx.execute(&delete_where(ApplicationCredentialRole::Table, role)).await?;
        let rule = Expr::col(ApplicationCredentialAccessRule::ApplicationCredentialId).in_subquery(internal_ids());
        tx.execute(&delete_where(ApplicationCredentialAccessRule::Table, rule)).await?;
        let credential = of_users(ApplicationCredential::UserId);
        tx.execute(&delete_where(ApplicationCredential::Table, credential)).await?;
        let rule = Expr::col(AccessRule::UserId).is_in(chunk.iter().map(|id| &**id));
        tx.execute(&delete_where(AccessRule::Table, rule)).await?;
    }
    Ok(deleted)
}

/// Identity providers whose users belong to the domain, with their protocols and what links users to them; the users
/// whose links go.
pub(super) async fn delete_identity_providers_of_domain(tx: &mut Tx<'_>, id: &DomainId) -> Result<Vec<UserId>> {
    let providers = || {
        let mut providers = Sql::select();
        providers
            .column(IdentityProvider::Id)
            .from(IdentityProvider::Table)
            .and_where(Expr::col(IdentityProvider::DomainId).eq(&**id));
        providers
    };
    let mut linked = Vec::new();
    let mut select = Sql::select();
    select
        .column(FederatedUser::UserId)
        .from(FederatedUser::Table)
        .and_where(Expr::col(FederatedUser::IdpId).in_subquery(providers()));
    for row in tx.fetch_all(&select).await? {
        linked.push(UserId::from(row.get::<String>("user_id")?));
    }
    let mut select = Sql::select();
    select
        .column(ExpiringUserGroupMembership::UserId)
        .from(ExpiringUserGroupMembership::Table)
        .and_where(Expr::col(ExpiringUserGroupMembership::IdpId).in_subquery(providers()));
    for row in tx.fetch_all(&select).await? {
        linked.push(UserId::from(row.get::<String>("user_id")?));
    }
    let membership = Expr::col(ExpiringUserGroupMembership::IdpId).in_subquery(providers());
    tx.execute(&delete_where(ExpiringUserGroupMembership::Table, membership)).await?;
    let federated = Expr::col(FederatedUser::IdpId).in_subquery(providers());
    tx.execute(&delete_where(FederatedUser::Table, federated)).await?;
    let protocol = Expr::col(FederationProtocol::IdpId).in_subquery(providers());
    tx.execute(&delete_where(FederationProtocol::Table, protocol)).await?;
    let remote = Expr::col(IdpRemoteIds::IdpId).in_subquery(providers());
    tx.execute(&delete_where(IdpRemoteIds::Table, remote)).await?;
    let provider = Expr::col(IdentityProvider::DomainId).eq(&**id);
    tx.execute(&delete_where(IdentityProvider::Table, provider)).await?;
    Ok(linked)
}

/// What is configured for the domain, and its claim on being the one with the SQL driver.
pub(super) async fn delete_domain_config(tx: &mut Tx<'_>, id: &DomainId) -> Result<()> {
    let open = Expr::col(WhitelistedConfig::DomainId).eq(&**id);
    tx.execute(&delete_where(WhitelistedConfig::Table, open)).await?;
    let sensitive = Expr::col(SensitiveConfig::DomainId).eq(&**id);
    tx.execute(&delete_where(SensitiveConfig::Table, sensitive)).await?;
    let claim = Expr::col(ConfigRegister::DomainId).eq(&**id);
    tx.execute(&delete_where(ConfigRegister::Table, claim)).await?;
    Ok(())
}
