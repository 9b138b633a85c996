//! The URL that links are made of (`keystone.server.flask.common.base_url`).

use http::header::HOST;
use http::request::Parts;

/// `http://host:port` as the client sees this service, without a trailing slash and without a version:
/// `[DEFAULT] public_endpoint` if it is set, else out of the request. Behind a proxy the scheme is
/// `X-Forwarded-Proto`'s last value; the reference trusts one proxy, always.
pub(crate) fn base_url(public_endpoint: Option<&str>, request: &Parts) -> String {
    if let Some(url) = public_endpoint {
        return url.trim_end_matches('/').to_owned();
    }
    let forwarded = request.headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    let scheme = match forwarded.and_then(|value| value.rsplit(',').next()).map(str::trim) {
        Some("https") => "https",
        _ => "http",
    };
    let host = request
        .headers
        .get(HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| request.uri.authority().map(http::uri::Authority::as_str))
        .unwrap_or("localhost");
    let host = match scheme {
        "https" => host.strip_suffix(":443").unwrap_or(host),
        _ => host.strip_suffix(":80").unwrap_or(host),
    };
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().uri("/v3");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_standard_port_is_left_out() {
        assert_eq!(base_url(None, &parts(&[("host", "myhost:80")])), "http://myhost");
        let tls = [("host", "myhost:443"), ("x-forwarded-proto", "https")];
        assert_eq!(base_url(None, &parts(&tls)), "https://myhost");
    }

    #[test]
    fn a_configured_endpoint_is_taken_as_it_is() {
        let url = base_url(Some("https://id.example.com/identity/"), &parts(&[("host", "x")]));
        assert_eq!(url, "https://id.example.com/identity");
    }
}
