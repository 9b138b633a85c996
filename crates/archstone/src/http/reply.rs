//! What a handler answers.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};

use super::body::Body;

/// A status, headers and a body. What every answer has (`Vary`, the request id) is added where it is sent.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl Reply {
    /// A JSON body, ended by a newline as the reference's framework does it.
    pub(crate) fn json(status: StatusCode, value: &Value) -> Reply {
        let mut text = value.to_string();
        text.push('\n');
        Reply::rendered(status, Bytes::from(text))
    }

    /// A JSON body that is text already.
    pub(crate) fn rendered(status: StatusCode, body: impl Into<Body>) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, JSON);
        Reply { status, headers, body: body.into() }
    }

    /// 200 with a JSON body.
    pub(crate) fn ok(value: &Value) -> Reply {
        Reply::json(StatusCode::OK, value)
    }

    /// 201 with a JSON body.
    pub(crate) fn created(value: &Value) -> Reply {
        Reply::json(StatusCode::CREATED, value)
    }

    /// 204: done, nothing to say.
    pub(crate) fn no_content() -> Reply {
        Reply { status: StatusCode::NO_CONTENT, headers: HeaderMap::new(), body: Body::empty() }
    }

    /// 405 of a path that takes POST alone, where the reference's refusal names that and not OPTIONS.
    pub(crate) fn post_only() -> Reply {
        let body = json!({"message": "The method is not allowed for the requested URL."});
        Reply::json(StatusCode::METHOD_NOT_ALLOWED, &body).header(ALLOW, "POST")
    }

    /// A page of the web framework that the reference shows where no API code is reached.
    pub(crate) fn html(status: StatusCode, title: &str, text: &str) -> Reply {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        let body = if title.is_empty() {
            String::new()
        } else {
            format!("<!doctype html>\n<html lang=en>\n<title>{title}</title>\n<h1>{text}</h1>\n")
        };
        Reply { status, headers, body: Bytes::from(body).into() }
    }

    /// Adds a header; a value that no header can carry is left out.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Reply {
        match HeaderValue::from_str(value) {
            Ok(value) => {
                self.headers.insert(name, value);
            }
            Err(error) => tracing::error!(%name, %error, "a header was left out of the answer"),
        }
        self
    }
}
