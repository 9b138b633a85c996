//! How things are shown: written as they are, without a tree of values in between.

use archstone_core::list::Filter;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::call::{Call, add_self_link};
use super::collection::matches;

/// A thing of the API that has members of its own and others that callers added.
pub(crate) trait Wire {
    /// Its id.
    fn id(&self) -> &str;

    /// What callers added.
    fn extra(&self) -> &Map<String, Value>;

    /// Whether something of this name is not shown of what callers added.
    fn hides(&self, name: &str) -> bool;

    /// Writes its own members.
    fn write_own<M: SerializeMap>(&self, out: &mut M) -> Result<(), M::Error>;
}

/// The thing as an object, to add members to.
pub(crate) fn object<T: Wire>(thing: &T) -> Map<String, Value> {
    match serde_json::to_value(Shown { thing, path: None }) {
        Ok(Value::Object(object)) => object,
        // Only a name that is no text, or a writer, could fail here.
        _ => Map::new(),
    }
}

impl Call {
    /// Writes the members of a list: those that are to be seen, and that pass the filters that the storage has left. The
    /// link of each is below `path`.
    pub(crate) fn write_members<T, S>(
        &self,
        path: &str,
        remaining: Vec<Filter>,
        is_seen: S,
    ) -> impl FnMut(&T, &mut Vec<u8>) -> serde_json::Result<bool> + Send + use<T, S>
    where
        T: Wire,
        S: Fn(&T) -> bool + Send,
    {
        let path = self.link(path);
        move |thing: &T, out: &mut Vec<u8>| {
            if !is_seen(thing) {
                return Ok(false);
            }
            if remaining.is_empty() && !thing.extra().contains_key("links") {
                serde_json::to_writer(&mut *out, &Shown { thing, path: Some(&path) })?;
                return Ok(true);
            }
            let mut member = object(thing);
            if !remaining.iter().all(|filter| matches(&member, filter)) {
                return Ok(false);
            }
            add_self_link(&mut member, format!("{path}/{}", thing.id()));
            serde_json::to_writer(out, &member)?;
            Ok(true)
        }
    }
}

struct Shown<'a, T> {
    thing: &'a T,
    /// The path of the link to itself.
    path: Option<&'a str>,
}

impl<T: Wire> Serialize for Shown<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(None)?;
        self.thing.write_own(&mut out)?;
        for (name, value) in self.thing.extra().iter().filter(|(name, _)| !self.thing.hides(name)) {
            out.serialize_entry(name, value)?;
        }
        if let Some(path) = self.path {
            out.serialize_entry("links", &SelfLink { path, id: self.thing.id() })?;
        }
        out.end()
    }
}

struct SelfLink<'a> {
    path: &'a str,
    id: &'a str,
}

impl Serialize for SelfLink<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_map(Some(1))?;
        out.serialize_entry("self", &Text(format_args!("{}/{}", self.path, self.id)))?;
        out.end()
    }
}

/// Text that is put together while it is written.
pub(crate) struct Text<'a>(pub(crate) std::fmt::Arguments<'a>);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
