//! When a request was signed: an old one is refused, so that what was overheard cannot be sent again for ever
//! (OSSA-2020-003).

use chrono::NaiveDateTime;
use serde_json::{Map, Value};

use super::refused;
use crate::error::Result;
use crate::time::Timestamp;

/// 401 if a time of the request is longer ago than `lifetime` seconds, or no time at all. A request without any is
/// taken: its signer left it out.
///
/// The reference looks at the first that it finds. Each must be good here: of a POST that is signed by version 4 the
/// parameters are not signed, so that a new `Timestamp` among them would revive an old request.
pub(super) fn check(request: &Map<String, Value>, now: Timestamp, lifetime: i64) -> Result<()> {
    for (place, name) in [("params", "Timestamp"), ("headers", "X-Amz-Date"), ("params", "X-Amz-Date")] {
        let Some(value) = request.get(place).and_then(|place| place.get(name)) else { continue };
        let text = match value {
            Value::Null => continue,
            Value::String(text) if text.is_empty() => continue,
            Value::String(text) => text,
            _ => return Err(refused("the time of the request is no text")),
        };
        let signed = parse(text).ok_or_else(|| refused("the time of the request is no time"))?;
        if now > signed.plus_seconds(lifetime) {
            return Err(refused("the request was signed too long ago"));
        }
    }
    Ok(())
}

/// ISO 8601 as clients write it: `2012-05-12T20:30:00Z`, and `20120512T203000Z` in version 4.
fn parse(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).or_else(|| {
        let text = text.strip_suffix('Z').unwrap_or(text);
        let formats = ["%Y%m%dT%H%M%S%.f", "%Y-%m-%dT%H:%M"];
        let naive = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        naive.map(Timestamp::from_naive)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const LIFETIME: i64 = 900;

    fn is_good(request: &Value) -> bool {
        let now = parse("2026-11-22T12:15:00Z").unwrap();
        check(request.as_object().unwrap(), now, LIFETIME).is_ok()
    }

    #[test]
    fn ossa_2020_003_an_old_request_is_refused() {
        for (new, old) in [("2026-11-22T12:00:00Z", "2026-11-22T11:59:59Z"), ("20261122T120000Z", "20261122T115959Z")] {
            for (place, name) in [("params", "Timestamp"), ("headers", "X-Amz-Date"), ("params", "X-Amz-Date")] {
                assert!(is_good(&json!({place: {name: new}})), "{new}");
                assert!(!is_good(&json!({place: {name: old}})), "{old}");
            }
        }
    }

    #[test]
    fn a_parameter_that_is_not_signed_revives_no_old_request() {
        let request = json!({
            "headers": {"X-Amz-Date": "20261122T115959Z"}, "params": {"Timestamp": "2026-11-22T12:15:00Z"},
        });
        assert!(!is_good(&request));
    }

    #[test]
    fn what_is_no_time_is_refused_and_none_at_all_is_not() {
        assert!(!is_good(&json!({"params": {"Timestamp": "yesterday"}})));
        assert!(!is_good(&json!({"params": {"Timestamp": 1}})));
        assert!(is_good(&json!({"params": {}})));
    }
}
