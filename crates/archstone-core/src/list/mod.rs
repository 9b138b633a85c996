//! What a list request asks for, as the storage understands it: filters, a limit and a marker
//! (`keystone.common.driver_hints`).

pub(crate) mod parts;
pub(crate) mod sql;

pub use parts::{Part, Parts, Rest, whole};

/// How a filter compares. A comparator that the reference does not know is no filter at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparator {
    /// `name=value`
    Equals,
    /// `name__contains=value`
    Contains,
    /// `name__startswith=value`
    StartsWith,
    /// `name__endswith=value`
    EndsWith,
}

/// One condition on the listed things; all conditions hold at once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// The attribute's name.
    pub name: String,
    /// The text to compare with.
    pub value: String,
    /// How to compare.
    pub comparator: Comparator,
    /// Whether upper and lower case differ; for [`Comparator::Equals`] the column decides.
    pub case_sensitive: bool,
}

impl Filter {
    /// `name=value`
    pub fn equals(name: &str, value: &str) -> Filter {
        Filter { name: name.to_owned(), value: value.to_owned(), comparator: Comparator::Equals, case_sensitive: false }
    }
}

/// A list request.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct ListQuery {
    /// Conditions, and-ed.
    pub filters: Vec<Filter>,
    /// The most entries that the answer may have.
    pub limit: Option<u64>,
    /// The id of the last entry of the page before.
    pub marker: Option<String>,
}

impl ListQuery {
    /// The value of an exact filter of this name, the first if there are several.
    pub fn exact(&self, name: &str) -> Option<&str> {
        self.filters
            .iter()
            .find(|filter| filter.name == name && filter.comparator == Comparator::Equals)
            .map(|filter| filter.value.as_str())
    }
}

/// A page of a list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page<T> {
    /// The entries, in the order of the storage.
    pub items: Vec<T>,
    /// Whether the limit cut the list.
    pub truncated: bool,
}

impl<T> Page<T> {
    /// A page that holds all there is.
    pub fn all(items: Vec<T>) -> Page<T> {
        Page { items, truncated: false }
    }

    /// The same page with each entry turned into something else.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), truncated: self.truncated }
    }
}

/// A flag of a query: anything is true but the words for false (`oslo_utils.strutils.bool_from_string` with a default of
/// true).
pub fn flag(text: &str) -> bool {
    !["0", "f", "false", "off", "n", "no"].contains(&text.trim().to_ascii_lowercase().as_str())
}
