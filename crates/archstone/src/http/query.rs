//! The query string of a request.

use archstone_core::list::{Comparator, Filter, ListQuery};
use serde_json::{Map, Value};

/// The parameters in their order; a name may come more than once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    raw: String,
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Takes the text behind the `?` apart.
    pub(crate) fn parse(raw: Option<&str>) -> Query {
        let raw = raw.unwrap_or_default();
        let pairs = form_urlencoded::parse(raw.as_bytes()).into_owned().collect();
        Query { raw: raw.to_owned(), pairs }
    }

    /// The text behind the `?`.
    pub(crate) fn raw(&self) -> &str {
        &self.raw
    }

    /// All parameters.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether a flag is set: there, and anything but exactly `0`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value != "0")
    }

    /// The first value of each parameter as an object, for the schema.
    pub(crate) fn to_object(&self) -> Map<String, Value> {
        let mut object = Map::new();
        for (name, value) in &self.pairs {
            object.entry(name.as_str()).or_insert_with(|| Value::from(value.as_str()));
        }
        object
    }

    /// The values of the filters that a rule may look at (`filter_attr`).
    pub(crate) fn filter_attributes(&self, names: &[&str]) -> Map<String, Value> {
        names.iter().filter_map(|name| self.get(name).map(|value| ((*name).to_owned(), Value::from(value)))).collect()
    }

    /// What a list asks for. Only `supported` attributes are filters; others are ignored.
    ///
    /// `default_limit` is the resource's own `list_limit`; `max_limit` is `[DEFAULT] max_db_limit`
    /// (`keystone.server.flask.common.ResourceBase.build_driver_hints`, `keystone.common.manager.response_truncated`).
    ///
    /// # Errors
    /// The text of a `limit` that is no whole number.
    pub(crate) fn list(
        &self,
        supported: &[&str],
        default_limit: Option<u64>,
        max_limit: u64,
    ) -> Result<ListQuery, String> {
        let mut query = ListQuery::default();
        for (key, value) in &self.pairs {
            query.filters.extend(filter(key, value, supported));
        }
        query.marker = self.get("marker").filter(|marker| !marker.is_empty()).map(str::to_owned);
        let limit = match self.get("limit") {
            None => default_limit,
            Some("") => None,
            // The reference lets a negative limit through, and its database takes it as "no limit".
            Some(text) => match text.trim().parse::<i64>() {
                Ok(number) => u64::try_from(number).ok(),
                Err(_) => return Err(text.to_owned()),
            },
        };
        query.limit = limit.map(|limit| limit.min(max_limit));
        Ok(query)
    }
}

fn filter(key: &str, value: &str, supported: &[&str]) -> Option<Filter> {
    if supported.contains(&key) {
        return Some(Filter {
            name: key.to_owned(),
            value: value.to_owned(),
            comparator: Comparator::Equals,
            case_sensitive: false,
        });
    }
    let (base, comparator) = key.split_once("__")?;
    if !supported.contains(&base) {
        return None;
    }
    // Any comparator that starts with an i loses it, also one that is not known.
    let (comparator, case_sensitive) = match comparator.strip_prefix('i') {
        Some(rest) => (rest, false),
        None => (comparator, true),
    };
    let comparator = match comparator {
        "contains" => Comparator::Contains,
        "startswith" => Comparator::StartsWith,
        "endswith" => Comparator::EndsWith,
        _ => return None,
    };
    Some(Filter { name: base.to_owned(), value: value.to_owned(), comparator, case_sensitive })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(raw: &str) -> ListQuery {
        Query::parse(Some(raw)).list(&["name", "enabled"], Some(7), 100).unwrap()
    }

    #[test]
    fn the_limit_is_the_default_or_what_was_asked_for_up_to_the_greatest() {
        assert_eq!(list("").limit, Some(7));
        assert_eq!(list("x=1").limit, Some(7));
        assert_eq!(list("limit=1000").limit, Some(100));
    }

    #[test]
    fn inexact_filters_know_their_case() {
        let filters = list("name__icontains=A&name__startswith=b&name__is=c&other__contains=d").filters;
        assert_eq!(filters.len(), 2);
        assert_eq!((filters[0].comparator, filters[0].case_sensitive), (Comparator::Contains, false));
        assert_eq!((filters[1].comparator, filters[1].case_sensitive), (Comparator::StartsWith, true));
    }

    #[test]
    fn a_limit_that_is_no_number_is_named() {
        assert_eq!(Query::parse(Some("limit=abc")).list(&[], None, 9), Err("abc".to_owned()));
    }
}
