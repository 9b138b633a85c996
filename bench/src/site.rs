//! Where requests go.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::Full;

use crate::Error;

/// An endpoint's address.
pub(crate) struct Site {
    /// Host and port.
    pub(crate) authority: String,
    host: HeaderValue,
    /// What comes before `/v3`.
    prefix: String,
}

impl Site {
    /// From a URL with or without `/v3`; plain HTTP only.
    pub(crate) fn new(url: &str) -> Result<Self, Error> {
        let usage = |why: &dyn std::fmt::Display| Error::Usage(format!("--url {url}: {why}"));
        let base: Uri = url.parse().map_err(|error| usage(&error))?;
        if base.scheme_str() != Some("http") {
            return Err(usage(&"only http:// can be measured"));
        }
        let host = base.host().ok_or_else(|| usage(&"names no host"))?;
        let authority = format!("{host}:{}", base.port_u16().unwrap_or(80));
        let prefix = base.path().trim_end_matches('/').trim_end_matches("/v3").to_owned();
        let host = HeaderValue::try_from(authority.as_str()).map_err(|error| usage(&error))?;
        Ok(Self { authority, host, prefix })
    }

    /// The URI of a path that begins with `/v3`.
    pub(crate) fn uri(&self, path: &str) -> Result<Uri, Error> {
        let uri = format!("{}{path}", self.prefix);
        uri.parse().map_err(|error| Error::Usage(format!("{uri}: {error}")))
    }

    /// A request with a JSON body, or with none.
    pub(crate) fn request(&self, method: Method, uri: &Uri, body: Bytes) -> Request<Full<Bytes>> {
        let has_body = !body.is_empty();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri.clone();
        request.headers_mut().insert(HOST, self.host.clone());
        if has_body {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        request
    }
}
