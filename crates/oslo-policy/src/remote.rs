//! Remote checks: a server is asked over HTTP, and allows by answering `True`.
//!
//! This crate does no I/O. An evaluation that needs a reply stops with a [`RemoteCheck`]; the caller sends
//! [`RemoteCheck::body`] by POST to [`RemoteCheck::url`], reads the reply with [`is_allowed`], and evaluates again.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// A question for a remote server.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteCheck {
    /// Where to POST it, with the target's attributes filled in.
    pub url: String,
    /// The rule that is being decided.
    pub rule: String,
    /// The target's attributes under their flat names.
    pub target: Map<String, Value>,
    /// The caller's credentials.
    pub credentials: Map<String, Value>,
}

/// The form of the question: `[oslo_policy] remote_content_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RemoteContentType {
    /// `application/x-www-form-urlencoded`: three fields, each holding JSON. The default.
    #[default]
    Form,
    /// `application/json`: one object with three members.
    Json,
}

impl RemoteContentType {
    /// The value of the `Content-Type` header, which is also the value of the option.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Form => "application/x-www-form-urlencoded",
            Self::Json => "application/json",
        }
    }
}

impl RemoteCheck {
    /// The body of the request.
    pub fn body(&self, content_type: RemoteContentType) -> String {
        let rule = json!(self.rule);
        let target = Value::Object(self.target.clone());
        let credentials = Value::Object(self.credentials.clone());
        match content_type {
            RemoteContentType::Json => json!({"rule": rule, "target": target, "credentials": credentials}).to_string(),
            RemoteContentType::Form => [("rule", rule), ("target", target), ("credentials", credentials)]
                .map(|(name, value)| format!("{name}={}", form_encode(&value.to_string())))
                .join("&"),
        }
    }
}

/// Whether a reply allows: the text `True`, in double quotes or not. The status of the reply does not count.
pub fn is_allowed(reply: &str) -> bool {
    reply.trim_matches('"') == "True"
}

fn form_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> RemoteCheck {
        let map = |value: Value| value.as_object().unwrap().clone();
        RemoteCheck {
            url: "http://policy/u1".to_owned(),
            rule: "identity:get_user".to_owned(),
            target: map(json!({"user.id": "u1"})),
            credentials: map(json!({"user_id": "ü &"})),
        }
    }

    #[test]
    fn question_takes_both_forms() {
        assert_eq!(
            question().body(RemoteContentType::Form),
            "rule=%22identity%3Aget_user%22&target=%7B%22user.id%22%3A%22u1%22%7D\
             &credentials=%7B%22user_id%22%3A%22%C3%BC+%26%22%7D"
        );
        assert_eq!(
            serde_json::from_str::<Value>(&question().body(RemoteContentType::Json)).unwrap(),
            json!({"rule": "identity:get_user", "target": {"user.id": "u1"}, "credentials": {"user_id": "ü &"}})
        );
    }

    #[test]
    fn only_true_allows() {
        assert!(is_allowed("True") && is_allowed("\"True\""));
        for reply in ["true", "True\n", " True", "False", "", "{\"a\": True}"] {
            assert!(!is_allowed(reply), "{reply:?}");
        }
    }
}
