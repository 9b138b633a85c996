//! Filters, limits and markers as SQL (`keystone.common.sql.core.filter_limit_query`).

use archstone_db::{DbError, Query, Row};
use sea_query::{Cond, Condition, Expr, ExprTrait as _, Func, IntoColumnRef, Order, SelectStatement, SimpleExpr};

use super::{Comparator, Filter, ListQuery, Page, flag};
use crate::error::Result;

/// How a column takes part in filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    /// Text of at most so many characters: a longer value matches nothing, without a query.
    Text(usize),
    /// A flag: the value is read as the reference reads a boolean in a query.
    Flag,
}

/// A column that a list can be filtered by.
pub(crate) struct FilterColumn<C> {
    /// The attribute's name in the API.
    pub(crate) name: &'static str,
    /// The column.
    pub(crate) column: C,
    /// What it holds.
    pub(crate) kind: ColumnKind,
}

/// What has become of a list's filters.
pub(crate) enum Filtered {
    /// The conditions are in the statement; these filters are left for the wire form.
    Applied(Vec<Filter>),
    /// Nothing can match.
    Nothing,
}

/// Adds the conditions that columns can answer. Inexact filters that tell upper from lower case are left, as the
/// reference leaves them: databases do not agree about it.
pub(crate) fn apply_filters<C>(select: &mut SelectStatement, query: &ListQuery, columns: &[FilterColumn<C>]) -> Filtered
where
    C: IntoColumnRef + Copy,
{
    let mut remaining = Vec::new();
    for filter in &query.filters {
        let Some(column) = columns.iter().find(|column| column.name == filter.name) else {
            remaining.push(filter.clone());
            continue;
        };
        match condition(filter, column) {
            Applicable::Is(condition) => {
                select.and_where(condition);
            }
            Applicable::Never => return Filtered::Nothing,
            Applicable::Unknown => remaining.push(filter.clone()),
        }
    }
    Filtered::Applied(remaining)
}

enum Applicable {
    Is(SimpleExpr),
    Never,
    Unknown,
}

fn condition<C: IntoColumnRef + Copy>(filter: &Filter, column: &FilterColumn<C>) -> Applicable {
    let expr = Expr::col(column.column);
    match (filter.comparator, column.kind) {
        (_, ColumnKind::Text(longest)) if filter.value.chars().count() > longest => Applicable::Never,
        (Comparator::Equals, ColumnKind::Flag) => Applicable::Is(expr.eq(flag(&filter.value))),
        (Comparator::Equals, ColumnKind::Text(_)) => Applicable::Is(expr.eq(filter.value.as_str())),
        (_, ColumnKind::Flag) => Applicable::Unknown,
        (_, ColumnKind::Text(_)) if filter.case_sensitive => Applicable::Unknown,
        // The reference does not escape % and _, so that clients use them as wildcards.
        (Comparator::Contains, _) => like(expr, &format!("%{}%", filter.value)),
        (Comparator::StartsWith, _) => like(expr, &format!("{}%", filter.value)),
        (Comparator::EndsWith, _) => like(expr, &format!("%{}", filter.value)),
    }
}

fn like(expr: Expr, pattern: &str) -> Applicable {
    Applicable::Is(Expr::expr(Func::lower(expr)).like(pattern.to_lowercase()))
}

/// A list of one table's rows, filtered and cut, and the filters that are left for the wire form.
pub(crate) async fn fetch_list<T, C>(
    db: impl Query,
    mut select: SelectStatement,
    query: &ListQuery,
    columns: &[FilterColumn<C>],
    from_row: impl Fn(&Row) -> Result<T, DbError>,
) -> Result<(Page<T>, Vec<Filter>)>
where
    C: IntoColumnRef + Copy,
{
    let Filtered::Applied(remaining) = apply_filters(&mut select, query, columns) else {
        return Ok((Page::all(Vec::new()), Vec::new()));
    };
    apply_limit(&mut select, query, &remaining);
    let mut items = db.fetch_all(&select).await?.iter().map(from_row).collect::<Result<Vec<_>, _>>()?;
    let truncated = cut(&mut items, query, &remaining);
    Ok((Page { items, truncated }, remaining))
}

/// Cuts a list that knows no pages: asks for one entry more than the limit, to see whether there is more.
/// Only when no filter is left for the wire form, which could not tell otherwise.
pub(crate) fn apply_limit(select: &mut SelectStatement, query: &ListQuery, remaining: &[Filter]) {
    if let (Some(limit), true) = (query.limit, remaining.is_empty()) {
        select.limit(limit.saturating_add(1));
    }
}

/// Drops the entry too many that [`apply_limit`] asked for; true if there was one.
pub(crate) fn cut<T>(items: &mut Vec<T>, query: &ListQuery, remaining: &[Filter]) -> bool {
    match query.limit {
        Some(limit) if remaining.is_empty() && items.len() as u64 > limit => {
            items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            true
        }
        _ => false,
    }
}

/// The next part of a list in the order of its ids.
pub(crate) fn next_part<C>(select: &mut SelectStatement, id: C, after: Option<&str>, most: u64)
where
    C: IntoColumnRef + Copy,
{
    if let Some(after) = after {
        select.and_where(Expr::col(id).gt(after));
    }
    select.order_by(id, Order::Asc).limit(most);
}

/// The rows that belong to the things of a part, which comes in the order of its ids.
pub(crate) fn of_part<'a, C>(
    column: C,
    ids: impl DoubleEndedIterator<Item = &'a str> + Clone,
    part: Density,
) -> Condition
where
    C: IntoColumnRef + Copy,
{
    // The range alone lets a database read an index from end to end instead of looking each of them up.
    let (first, last) = (ids.clone().next().unwrap_or_default(), ids.clone().next_back().unwrap_or_default());
    let range = Cond::all().add(Expr::col(column).gte(first)).add(Expr::col(column).lte(last));
    match part {
        Density::Complete => range,
        Density::Filtered => range.add(Expr::col(column).is_in(ids)),
    }
}

/// Whether a part of a list has all that there is between its first entry and its last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Density {
    /// All.
    Complete,
    /// Some are left out.
    Filtered,
}
