//! Long lists, read part by part.
//!
//! **Invariant:** between two parts nothing is held: no connection, no transaction and no row. What is written to the
//! database while a list is read is in it or not, by where the reading has come to.

use std::future::Future;

use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use super::{ListQuery, Page};
use crate::error::Result;

/// So many entries are read at once.
pub(crate) const PART: u64 = 1000;

/// A list in parts, each read when it is asked for.
pub type Parts<T> = BoxStream<'static, Result<Part<T>>>;

/// A part of a list. It may be empty, and more may follow nevertheless.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part<T> {
    /// The entries, in the order of the storage.
    pub items: Vec<T>,
    /// What comes after them.
    pub rest: Rest,
}

/// What comes after a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rest {
    /// There may be more.
    Unread,
    /// Nothing: this was the last part.
    Nothing {
        /// Whether a limit cut the list.
        truncated: bool,
    },
}

impl<T> Part<T> {
    /// The last one of a list that no limit cut.
    pub(crate) fn last(items: Vec<T>) -> Part<T> {
        Part { items, rest: Rest::Nothing { truncated: false } }
    }
}

/// Reads all parts.
///
/// # Errors
/// Those of reading them.
pub async fn whole<T>(mut parts: Parts<T>) -> Result<Page<T>> {
    let mut page = Page::all(Vec::new());
    while let Some(part) = parts.try_next().await? {
        page.items.extend(part.items);
        page.truncated = part.rest == Rest::Nothing { truncated: true };
    }
    Ok(page)
}

/// A list without entries.
pub(crate) fn nothing<T: Send + 'static>() -> Parts<T> {
    in_memory(Vec::new())
}

/// A list that had to be read as a whole.
pub(crate) fn in_memory<T: Send + 'static>(items: Vec<T>) -> Parts<T> {
    let size = usize::try_from(PART).unwrap_or(usize::MAX);
    let left = Some(items.into_iter());
    stream::unfold(left, move |left| async move {
        let mut left = left?;
        let items: Vec<T> = left.by_ref().take(size).collect();
        if left.len() == 0 {
            Some((Ok(Part::last(items)), None))
        } else {
            Some((Ok(Part { items, rest: Rest::Unread }), Some(left)))
        }
    })
    .boxed()
}

/// A list in the order of its ids: `read` gets the id after which to go on, and how many entries to read at most; fewer
/// than that are the end.
pub(crate) fn by_id<T, R, F>(size: PageSize, marker: Option<String>, id: fn(&T) -> &str, read: R) -> Parts<T>
where
    T: Send + 'static,
    R: Fn(Option<String>, u64) -> F + Send + 'static,
    F: Future<Output = Result<Vec<T>>> + Send,
{
    let start = Some((read, marker, 0));
    stream::try_unfold(start, move |state| async move {
        let Some((read, after, before)) = state else { return Ok(None) };
        let wanted = size.next(before);
        let mut items = read(after, wanted).await?;
        let found = items.len() as u64;
        let so_far = before + found;
        let after = items.last().map(|last| id(last).to_owned());
        items.truncate(usize::try_from(size.shown.saturating_sub(before)).unwrap_or(usize::MAX));
        if found < wanted || so_far >= size.fetched {
            return Ok(Some((Part { items, rest: Rest::Nothing { truncated: size.is_cut(so_far) } }, None)));
        }
        Ok(Some((Part { items, rest: Rest::Unread }, Some((read, after, so_far)))))
    })
    .boxed()
}

/// The size of a page (`keystone.common.driver_hints.truncated` and the `list_…` functions that it wraps).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PageSize {
    /// So many are read.
    fetched: u64,
    /// So many are shown.
    shown: u64,
    /// From so many read on, the page counts as cut.
    full: Option<u64>,
}

impl PageSize {
    /// All there is.
    pub(crate) const ALL: PageSize = PageSize { fetched: u64::MAX, shown: u64::MAX, full: None };

    /// As the lists of users and groups are cut; `most` is `[DEFAULT] max_db_limit`.
    pub(crate) fn of(query: &ListQuery, most: u64) -> PageSize {
        match query.limit {
            // Without a limit nobody is told that `[DEFAULT] max_db_limit` cut the list.
            None => PageSize { fetched: most, shown: most, full: None },
            // One more than asked for tells whether there is more …
            Some(limit) if query.filters.is_empty() => {
                PageSize { fetched: limit.saturating_add(1), shown: limit, full: Some(limit.saturating_add(1)) }
            }
            // … but with filters the reference takes every full page for a cut one, and a limit of 0 for none.
            Some(0) => PageSize { fetched: most, shown: most, full: Some(0) },
            Some(limit) => PageSize { fetched: limit, shown: limit, full: Some(limit) },
        }
    }

    /// As the list of projects is cut: the reference says so whenever a page that was asked for is full, and takes a
    /// limit of 0 for none, but every page for a full one then.
    pub(crate) fn full_means_cut(query: &ListQuery, most: u64) -> PageSize {
        let size = query.limit.filter(|limit| *limit > 0).map_or(most, |limit| limit.min(most));
        PageSize { fetched: size, shown: size, full: query.limit }
    }

    /// How many to read next. A few more than usual are still one part.
    fn next(self, before: u64) -> u64 {
        let left = self.fetched.saturating_sub(before);
        if left <= PART + PART / 2 { left } else { PART }
    }

    fn is_cut(self, read: u64) -> bool {
        self.full.is_some_and(|full| read >= full)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::super::{Comparator, Filter};
    use super::*;

    fn query(limit: Option<u64>, filtered: bool) -> ListQuery {
        let filter =
            Filter { name: "x".into(), value: "y".into(), comparator: Comparator::Equals, case_sensitive: false };
        ListQuery { filters: if filtered { vec![filter] } else { vec![] }, limit, marker: None }
    }

    /// Lists so many entries, and says how many were to be read each time.
    async fn list(size: PageSize, existing: u64) -> (Page<String>, Vec<u64>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let asked_for = Arc::clone(&asked);
        let parts = by_id(size, None, String::as_str, move |after, most| {
            asked.lock().unwrap().push(most);
            let start = after.map_or(0, |after| after.parse::<u64>().unwrap() + 1);
            async move { Ok((start..existing).take(most.try_into().unwrap()).map(|n| format!("{n:05}")).collect()) }
        });
        let page = whole(parts).await.unwrap();
        let asked_for = asked_for.lock().unwrap().clone();
        (page, asked_for)
    }

    async fn cut(limit: Option<u64>, filtered: bool, existing: u64) -> (usize, bool) {
        let (page, _) = list(PageSize::of(&query(limit, filtered), 5), existing).await;
        (page.items.len(), page.truncated)
    }

    #[tokio::test]
    async fn an_unfiltered_page_is_cut_only_if_there_is_more() {
        assert_eq!(cut(Some(2), false, 2).await, (2, false));
        assert_eq!(cut(Some(2), false, 3).await, (2, true));
        assert_eq!(cut(Some(0), false, 3).await, (0, true));
    }

    #[tokio::test]
    async fn a_full_filtered_page_counts_as_cut() {
        assert_eq!(cut(Some(2), true, 2).await, (2, true));
        assert_eq!(cut(Some(2), true, 1).await, (1, false));
        assert_eq!(cut(Some(0), true, 3).await, (3, true));
    }

    #[tokio::test]
    async fn the_database_limit_cuts_silently() {
        assert_eq!(cut(None, false, 9).await, (5, false));
        assert_eq!(cut(None, true, 9).await, (5, false));
    }

    #[tokio::test]
    async fn a_long_list_is_read_in_parts_that_follow_each_other() {
        let (page, asked) = list(PageSize::of(&query(None, false), 10_000), 2500).await;
        assert_eq!(asked, [PART, PART, PART]);
        assert_eq!(page.items, (0..2500).map(|n| format!("{n:05}")).collect::<Vec<_>>());
        let (page, asked) = list(PageSize::of(&query(Some(2400), false), 10_000), 2500).await;
        assert_eq!((page.items.len(), page.truncated, asked), (2400, true, vec![1000, 1401]));
        let (page, asked) = list(PageSize::of(&query(None, false), 1000), 2500).await;
        assert_eq!((page.items.len(), page.truncated, asked), (1000, false, vec![1000]));
        let (page, _) = list(PageSize::ALL, 2000).await;
        assert_eq!(page.items.len(), 2000);
    }

    #[tokio::test]
    async fn a_list_in_memory_loses_nothing_either() {
        for length in [0, 999, 1000, 1001, 2000] {
            let page = whole(in_memory((0..length).collect())).await.unwrap();
            assert_eq!((page.items, page.truncated), ((0..length).collect(), false));
        }
    }
}
