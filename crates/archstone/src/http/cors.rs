//! Cross-origin requests of browsers (`oslo_middleware.cors`): answered only where `[cors] allowed_origin` names the
//! origin.

use archstone_core::config::CorsSection;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderName, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method};

/// Headers that a browser may always send (`oslo_middleware.cors.CORS.SIMPLE_HEADERS`), in lower case.
const SIMPLE_HEADERS: [&str; 5] = ["accept", "accept-language", "content-type", "cache-control", "content-language"];

/// The rules of cross-origin requests.
pub(crate) struct Cors {
    origins: Vec<String>,
    credentials: bool,
    expose: Vec<String>,
    max_age: Option<i64>,
    methods: Vec<String>,
    headers: Vec<String>,
}

impl Cors {
    /// Takes the rules out of the configuration.
    pub(crate) fn new(config: &CorsSection) -> Cors {
        Cors {
            origins: config.allowed_origin.clone(),
            credentials: config.allow_credentials,
            expose: config.expose_headers.clone(),
            max_age: config.max_age,
            methods: config.allow_methods.clone(),
            headers: config.allow_headers.clone(),
        }
    }

    fn allowed_origin<'p>(&self, parts: &'p Parts) -> Option<&'p HeaderValue> {
        let origin = parts.headers.get(ORIGIN)?;
        let text = origin.to_str().ok()?;
        self.origins.iter().any(|allowed| allowed == text || allowed == "*").then_some(origin)
    }

    /// Adds what a browser wants to know before it sends a request of another origin: nothing unless the method and
    /// all headers that it asks for are allowed.
    fn decorate_preflight(&self, parts: &Parts, origin: &HeaderValue, headers: &mut HeaderMap) {
        let text = |name: &HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let Some(method) = text(&ACCESS_CONTROL_REQUEST_METHOD) else { return };
        let requested = text(&ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
        let requested: Vec<&str> = requested.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        let known = |name: &&str| {
            SIMPLE_HEADERS.contains(&name.to_ascii_lowercase().as_str())
                || self.headers.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
        };
        if !self.methods.iter().any(|allowed| allowed == method) || !requested.iter().all(known) {
            return;
        }
        self.allow_origin(origin, headers);
        headers.insert(VARY, HeaderValue::from_static("Origin"));
        set(headers, ACCESS_CONTROL_ALLOW_METHODS, method);
        if let Some(max_age) = self.max_age {
            set(headers, ACCESS_CONTROL_MAX_AGE, &max_age.to_string());
        }
        if !requested.is_empty() {
            set(headers, ACCESS_CONTROL_ALLOW_HEADERS, &requested.join(","));
        }
    }

    fn allow_origin(&self, origin: &HeaderValue, headers: &mut HeaderMap) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }

    /// Adds the headers that let a browser of an allowed origin read the answer.
    pub(crate) fn decorate(&self, parts: &Parts, headers: &mut HeaderMap) {
        let Some(origin) = self.allowed_origin(parts) else { return };
        if parts.method == Method::OPTIONS {
            return self.decorate_preflight(parts, origin, headers);
        }
        self.allow_origin(origin, headers);
        if !self.expose.is_empty() {
            set(headers, ACCESS_CONTROL_EXPOSE_HEADERS, &self.expose.join(","));
        }
        let vary = match headers.get(VARY).and_then(|value| value.to_str().ok()) {
            Some(vary) => format!("{vary},Origin"),
            None => "Origin".to_owned(),
        };
        set(headers, VARY, &vary);
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => {
            headers.insert(name, value);
        }
        Err(error) => tracing::error!(%name, %error, "[cors] names something that no header can carry"),
    }
}
