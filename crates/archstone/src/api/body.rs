//! Takes attributes out of bodies whose schema has been checked; what is left becomes `extra`.

use archstone_core::error::{Error, Result};
use serde_json::{Map, Value};

/// Attribute names with `:` or `-` get `_` instead, on creation only
/// (`keystone.server.flask.common.ResourceBase._normalize_dict`).
pub(crate) fn normalize_names(body: Map<String, Value>) -> Map<String, Value> {
    body.into_iter().map(|(name, value)| (name.replace([':', '-'], "_"), value)).collect()
}

/// Takes a text; null is none.
pub(crate) fn take_text(body: &mut Map<String, Value>, name: &str) -> Option<String> {
    match body.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Takes a text of an update: not there, there and null, or there.
#[expect(clippy::option_option, reason = "an update tells an absent attribute from a null one")]
pub(crate) fn nullable_text(body: &mut Map<String, Value>, name: &str) -> Option<Option<String>> {
    match body.remove(name)? {
        Value::String(text) => Some(Some(text)),
        _ => Some(None),
    }
}

/// Takes a boolean, which some schemas allow to be a word. The reference's database refuses the words, with an
/// uncaught error; here they are refused by name.
pub(crate) fn take_bool(body: &mut Map<String, Value>, name: &str) -> Result<Option<bool>> {
    match body.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(flag)),
        Some(other) => Err(Error::bad_request(format!("The attribute {name} is {other}; it must be true or false."))),
    }
}

/// Takes a whole number, also one that is written with a fraction of nothing (`5.0`), which the schemas let pass.
pub(crate) fn take_integer(body: &mut Map<String, Value>, name: &str) -> Option<i64> {
    let value = body.remove(name)?;
    // Of a float, the text has a fraction or an exponent unless it is whole and fits.
    value.as_i64().or_else(|| value.as_f64()?.to_string().parse().ok())
}

/// 400 if an update's body names another id than the URL; takes the id out.
pub(crate) fn require_same_id(body: &mut Map<String, Value>, id: &str) -> Result<()> {
    match body.remove("id") {
        Some(Value::String(other)) if other != id => Err(Error::bad_request("Cannot change the id.")),
        _ => Ok(()),
    }
}

/// What is left of a body as the attributes that the caller added. One that is called `extra` is lost, as in the
/// reference, where it is the name of the column.
pub(crate) fn into_extra(mut body: Map<String, Value>) -> Map<String, Value> {
    body.remove("extra");
    body
}

/// Takes a list of texts; whatever is no text in it was refused by the schema.
pub(crate) fn take_texts(body: &mut Map<String, Value>, name: &str) -> Option<Vec<String>> {
    match body.remove(name)? {
        Value::Array(items) => Some(items.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()),
        _ => None,
    }
}

/// Takes an object.
pub(crate) fn take_object(body: &mut Map<String, Value>, name: &str) -> Option<Map<String, Value>> {
    match body.remove(name)? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// The objects of a list in a body, `{"limits": [{…}]}`; whatever is no object in it was refused by the schema.
pub(crate) fn objects(body: &Value, name: &str) -> Vec<Map<String, Value>> {
    let items = body.get(name).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(|item| item.as_object().cloned()).collect()
}
