//! The wire form of lists (`keystone.server.flask.common.ResourceBase.wrap_collection`).

use archstone_core::list::{Comparator, Filter, ListQuery, Page, flag};
use serde_json::{Map, Value, json};

use super::call::Call;

/// How a list is wrapped.
pub(crate) struct Collection<'a> {
    /// The name of the list in the body: `users`.
    pub(crate) name: &'a str,
    /// The path of the list below `/v3`, of which each member's link is made; often the same as `name`.
    pub(crate) path: &'a str,
    /// The members, in their order.
    pub(crate) members: Vec<Map<String, Value>>,
    /// The filters that the storage has not applied.
    pub(crate) remaining: &'a [Filter],
    /// What was asked.
    pub(crate) query: &'a ListQuery,
    /// Whether the storage cut the list.
    pub(crate) truncated: bool,
}

impl Call {
    /// Filters by what the storage did not, cuts, adds the links.
    pub(crate) fn collection(&self, mut list: Collection<'_>) -> Value {
        let mut members = std::mem::take(&mut list.members);
        members.retain(|member| list.remaining.iter().all(|filter| matches(member, filter)));
        let mut truncated = list.truncated;
        if let Some(limit) = list.query.limit
            && !truncated
            && members.len() as u64 > limit
        {
            members.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            truncated = true;
        }
        let last = members.last().and_then(|member| member.get("id")).and_then(Value::as_str);
        let links = PageLinks::new(self).render(list.query, last.filter(|_| truncated));
        let members: Vec<Value> = members.into_iter().map(|member| self.with_self_link(list.path, member)).collect();
        let mut body = json!({
            list.name: members,
            "links": links,
        });
        if truncated {
            body["truncated"] = Value::from(true);
        }
        body
    }

    /// A page as the storage gave it, with the filters that it left; each member's link is below the list's name.
    pub(crate) fn page<T>(
        &self,
        name: &str,
        query: &ListQuery,
        (page, remaining): (Page<T>, Vec<Filter>),
        wire: impl FnMut(T) -> Map<String, Value>,
    ) -> Value {
        let members = page.items.into_iter().map(wire).collect();
        self.collection(Collection {
            name,
            path: name,
            members,
            remaining: &remaining,
            query,
            truncated: page.truncated,
        })
    }

    /// A list of things that have no page, no filter and the usual links.
    pub(crate) fn plain_collection(&self, name: &str, members: Vec<Map<String, Value>>) -> Value {
        let query = ListQuery::default();
        self.collection(Collection { name, path: name, members, remaining: &[], query: &query, truncated: false })
    }

    /// The URL of this request, as links show it.
    pub(crate) fn full_url(&self) -> String {
        let path = self.path().trim_matches('/');
        let url = format!("{}/{path}", self.base_url());
        match self.query.raw() {
            "" => url,
            raw => format!("{url}?{raw}"),
        }
    }
}

/// The links of a list.
pub(super) struct PageLinks {
    own: String,
    /// The same without its query.
    path: String,
    asked: Vec<(String, String)>,
}

impl PageLinks {
    pub(super) fn new(call: &Call) -> PageLinks {
        let path = format!("{}/{}", call.base_url(), call.path().trim_matches('/'));
        PageLinks { own: call.full_url(), path, asked: call.query.pairs().to_vec() }
    }

    /// The links to itself and to the next page, if one comes after the member of this id.
    pub(super) fn render(&self, query: &ListQuery, last: Option<&str>) -> Value {
        let is_paged = query.limit.is_some() || query.marker.is_some();
        let next = last.filter(|_| is_paged).map(|last| self.next(query.limit, last));
        json!({"next": next, "self": self.own, "previous": null})
    }

    fn next(&self, limit: Option<u64>, last: &str) -> String {
        // What was asked stays in its place; what is new comes last, the marker first.
        let mut pairs: Vec<(&str, String)> = Vec::new();
        for (name, value) in &self.asked {
            if !pairs.iter().any(|(seen, _)| seen == name) {
                pairs.push((name, value.clone()));
            }
        }
        set(&mut pairs, "marker", last.to_owned());
        if let Some(limit) = limit {
            set(&mut pairs, "limit", limit.to_string());
        }
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        format!("{}?{query}", self.path)
    }
}

fn set<'a>(pairs: &mut Vec<(&'a str, String)>, name: &'a str, value: String) {
    match pairs.iter_mut().find(|(known, _)| *known == name) {
        Some((_, old)) => *old = value,
        None => pairs.push((name, value)),
    }
}

/// Whether a member passes a filter that was left to the wire form (`filter_by_attributes` of the reference).
pub(super) fn matches(member: &Map<String, Value>, filter: &Filter) -> bool {
    let value = lookup(member, &filter.name);
    match filter.comparator {
        Comparator::Equals => match value {
            Some(Value::Bool(is)) => *is == flag(&filter.value),
            Some(Value::String(text)) => *text == filter.value,
            _ => false,
        },
        inexact => {
            let Some(Value::String(text)) = value else { return false };
            let (text, wanted) = if filter.case_sensitive {
                (text.clone(), filter.value.clone())
            } else {
                (text.to_lowercase(), filter.value.to_lowercase())
            };
            match inexact {
                Comparator::Contains => text.contains(&wanted),
                Comparator::StartsWith => text.starts_with(&wanted),
                Comparator::EndsWith => text.ends_with(&wanted),
                Comparator::Equals => text == wanted,
            }
        }
    }
}

/// Looks a dotted name up in nested objects.
fn lookup<'a>(member: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    if let Some(value) = member.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    lookup(member.get(first)?.as_object()?, rest)
}
