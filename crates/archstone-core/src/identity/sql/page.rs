//! Which users a list has: filters on several tables.

use archstone_db::tables::{
    FederatedUser as FederatedTable, LocalUser as LocalTable, Password as PasswordTable, User as UserTable,
    UserGroupMembership as MembershipTable,
};
use sea_query::{
    BinOper, Expr, ExprTrait as _, Func, IntoColumnRef, JoinType, Query as Sql, SelectStatement, UnionType,
};

use crate::id::GroupId;
use crate::identity::expiry_filter::ExpiryFilter;
use crate::list::sql::{ColumnKind, FilterColumn, Filtered, apply_filters};
use crate::list::{Comparator, Filter, ListQuery};

const NAME_LENGTH: usize = 255;

/// What a list of users is made of.
pub(in crate::identity) struct UserList<'a> {
    /// What the caller asks for.
    pub(in crate::identity) query: &'a ListQuery,
    /// Its filters on `password_expires_at`, understood.
    pub(in crate::identity) expiry: &'a [ExpiryFilter],
    /// Only the members of this group.
    pub(in crate::identity) group: Option<&'a GroupId>,
}

/// The statement that finds the ids of a list's users, before any limit, and the filters left for the wire form.
/// `None` if nothing can match.
pub(in crate::identity) fn select_user_ids(list: &UserList<'_>) -> Option<(SelectStatement, Vec<Filter>)> {
    let mut select = Sql::select();
    select.column((UserTable::Table, UserTable::Id)).from(UserTable::Table);
    if let Some(group) = list.group {
        select.inner_join(
            MembershipTable::Table,
            Expr::col((MembershipTable::Table, MembershipTable::UserId)).equals((UserTable::Table, UserTable::Id)),
        );
        select.and_where(Expr::col((MembershipTable::Table, MembershipTable::GroupId)).eq(&**group));
    }
    let mut own = ListQuery::default();
    let (mut names, mut identities) = (Vec::new(), Vec::new());
    for filter in &list.query.filters {
        match filter.name.as_str() {
            "name" => names.push(filter),
            "idp_id" | "protocol_id" | "unique_id" => identities.push(filter),
            "password_expires_at" => {}
            _ => own.filters.push(filter.clone()),
        }
    }
    let columns = [
        FilterColumn { name: "domain_id", column: (UserTable::Table, UserTable::DomainId), kind: ColumnKind::Text(64) },
        FilterColumn { name: "enabled", column: (UserTable::Table, UserTable::Enabled), kind: ColumnKind::Flag },
    ];
    let Filtered::Applied(mut remaining) = apply_filters(&mut select, &own, &columns) else { return None };
    if !names.is_empty() {
        if names.iter().any(|filter| filter.value.chars().count() > NAME_LENGTH) {
            return None;
        }
        select.join_subquery(
            JoinType::InnerJoin,
            select_named(&names, list.query.exact("domain_id")),
            "named",
            Expr::col(("named", LocalTable::UserId)).equals((UserTable::Table, UserTable::Id)),
        );
        remaining.extend(names.into_iter().filter(|filter| filter.case_sensitive).cloned());
    }
    if !identities.is_empty() {
        select.and_where(Expr::col((UserTable::Table, UserTable::Id)).in_subquery(select_identified(&identities)));
    }
    for filter in list.expiry {
        select.and_where(Expr::col((UserTable::Table, UserTable::Id)).in_subquery(select_expiring(filter)));
    }
    Some((select, remaining))
}

/// The users of these names, be they their own or those that an identity provider gave them. A table made first, so
/// that one name is found by its index.
fn select_named(filters: &[&Filter], domain: Option<&str>) -> SelectStatement {
    let mut local = Sql::select();
    local.column(LocalTable::UserId).from(LocalTable::Table);
    let mut federated = Sql::select();
    federated.column(FederatedTable::UserId).from(FederatedTable::Table);
    for filter in filters {
        local.and_where(compare(LocalTable::Name, filter));
        federated.and_where(compare(FederatedTable::DisplayName, filter));
    }
    if let Some(domain) = domain {
        local.and_where(Expr::col(LocalTable::DomainId).eq(domain));
    }
    local.union(UnionType::Distinct, federated);
    local
}

/// A filter that tells upper from lower case is left to the wire form too; here it only makes the page smaller,
/// which any database's `LIKE` does without losing an entry.
fn compare<C: IntoColumnRef>(column: C, filter: &Filter) -> Expr {
    // The reference does not escape % and _, so that clients use them as wildcards.
    let pattern = match filter.comparator {
        Comparator::Equals => return Expr::col(column).eq(filter.value.as_str()),
        Comparator::Contains => format!("%{}%", filter.value),
        Comparator::StartsWith => format!("{}%", filter.value),
        Comparator::EndsWith => format!("%{}", filter.value),
    };
    if filter.case_sensitive {
        return Expr::col(column).like(pattern);
    }
    // Lowered by the database on both sides: SQLite leaves all but ASCII as it is.
    Expr::expr(Func::lower(Expr::col(column))).binary(BinOper::Like, Func::lower(Expr::val(pattern)))
}

fn select_identified(filters: &[&Filter]) -> SelectStatement {
    let mut select = Sql::select();
    select.column(FederatedTable::UserId).from(FederatedTable::Table);
    for filter in filters {
        let column = match filter.name.as_str() {
            "idp_id" => FederatedTable::IdpId,
            "protocol_id" => FederatedTable::ProtocolId,
            _ => FederatedTable::UniqueId,
        };
        // The reference does not look at the comparator here.
        select.and_where(Expr::col(column).eq(filter.value.as_str()));
    }
    select
}

/// The users whose current password expires as the filter says. (The reference looks at former passwords too.)
fn select_expiring(filter: &ExpiryFilter) -> SelectStatement {
    let mut newer = Sql::select();
    newer
        .expr(Expr::val(1))
        .from_as(PasswordTable::Table, "newer")
        .and_where(
            Expr::col(("newer", PasswordTable::LocalUserId)).equals((PasswordTable::Table, PasswordTable::LocalUserId)),
        )
        .and_where(
            Expr::col(("newer", PasswordTable::CreatedAtInt))
                .gt(Expr::col((PasswordTable::Table, PasswordTable::CreatedAtInt))),
        );
    let mut select = Sql::select();
    select
        .column((LocalTable::Table, LocalTable::UserId))
        .from(LocalTable::Table)
        .inner_join(
            PasswordTable::Table,
            Expr::col((PasswordTable::Table, PasswordTable::LocalUserId)).equals((LocalTable::Table, LocalTable::Id)),
        )
        .and_where(
            Expr::col((PasswordTable::Table, PasswordTable::ExpiresAtInt)).binary(filter.operator, filter.at.micros()),
        )
        .and_where(Expr::not_exists(newer));
    select
}
