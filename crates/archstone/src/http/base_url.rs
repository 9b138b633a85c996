//! The URL that links are made of (`keystone.server.flask.common.base_url`), and who asks, both as proxies tell it.

use archstone_core::config::Config;
use http::HeaderMap;
use http::header::{FORWARDED, HOST, HeaderName};
use http::request::Parts;

use super::proxy::{FORWARDED_FOR, from_trusted_proxy};

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

/// `http://host:port` as the client sees this service, without a trailing slash and without a version:
/// `[DEFAULT] public_endpoint` if it is set, else out of the request. The scheme is `X-Forwarded-Proto`'s last value;
/// the reference trusts one proxy, always. With `[oslo_middleware] enable_proxy_headers_parsing` it believes the
/// first proxy in everything. A proxy of `[archstone] trusted_proxies` is believed in the path that it serves us below,
/// which the reference learns from its web server (`SCRIPT_NAME`).
pub(crate) fn base_url(config: &Config, request: &Parts) -> String {
    if let Some(url) = &config.default.public_endpoint {
        return url.trim_end_matches('/').to_owned();
    }
    let seen = Seen::of(config, request);
    let scheme = match seen.scheme.map(str::trim) {
        Some(scheme) if scheme.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    };
    let host = seen.host.or_else(|| request.uri.authority().map(http::uri::Authority::as_str)).unwrap_or("localhost");
    let host = match scheme {
        "https" => host.strip_suffix(":443").unwrap_or(host),
        _ => host.strip_suffix(":80").unwrap_or(host),
    };
    let prefix = seen.prefix.trim_end_matches('/');
    let prefix = prefix.strip_suffix("/v3").or_else(|| prefix.strip_suffix("/v2.0")).unwrap_or(prefix);
    format!("{scheme}://{host}{}", prefix.trim_end_matches('/'))
}

/// The client's address as proxies tell it: the last one's word, or the first one's, as for [`base_url`].
pub(crate) fn client_address(config: &Config, request: &Parts) -> Option<String> {
    Seen::of(config, request).client.map(|client| client.trim().to_owned())
}

/// What the client is said to have asked for, and who it is.
struct Seen<'a> {
    client: Option<&'a str>,
    scheme: Option<&'a str>,
    host: Option<&'a str>,
    prefix: &'a str,
}

impl<'a> Seen<'a> {
    fn of(config: &Config, request: &'a Parts) -> Self {
        let last = |name| header(&request.headers, name).and_then(|value| value.rsplit(',').next());
        let mut seen = Self {
            client: last(FORWARDED_FOR),
            scheme: last(FORWARDED_PROTO),
            host: request.headers.get(HOST).and_then(|value| value.to_str().ok()),
            prefix: "",
        };
        if from_trusted_proxy(config, request) {
            seen.prefix = header(&request.headers, FORWARDED_PREFIX).unwrap_or_default();
        }
        if config.oslo_middleware.enable_proxy_headers_parsing {
            seen.believe(&request.headers);
        }
        seen
    }

    /// `Forwarded` of RFC 7239, or where it is missing the headers that came before it; of several proxies the first.
    fn believe(&mut self, headers: &'a HeaderMap) {
        if let Some(forwarded) = headers.get(FORWARDED).and_then(|value| value.to_str().ok()) {
            for pair in forwarded.split(',').next().unwrap_or_default().split(';') {
                let Some((name, value)) = pair.split_once('=') else { continue };
                let value = Some(value.trim().trim_matches('"')).filter(|value| !value.is_empty());
                match name.trim().to_ascii_lowercase().as_str() {
                    "proto" => self.scheme = value.or(self.scheme),
                    "host" => self.host = value.or(self.host),
                    "for" => self.client = value.or(self.client),
                    _ => {}
                }
            }
        } else {
            let first = |name| header(headers, name).and_then(|value| value.split(',').next()).map(str::trim);
            self.scheme = first(FORWARDED_PROTO).or(self.scheme);
            self.host = first(FORWARDED_HOST).or(self.host);
            self.client = first(FORWARDED_FOR).or(self.client);
        }
        self.prefix = header(headers, FORWARDED_PREFIX).unwrap_or(self.prefix);
    }
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(config: &str, headers: &[(&str, &str)]) -> String {
        base_url(&Config::from_text(config).unwrap(), &parts(headers))
    }

    const BELIEVE: &str = "[oslo_middleware]\nenable_proxy_headers_parsing = true";

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().uri("/v3");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_standard_port_is_left_out() {
        assert_eq!(url("", &[("host", "myhost:80")]), "http://myhost");
        let tls = [("host", "myhost:443"), ("x-forwarded-proto", "https")];
        assert_eq!(url("", &tls), "https://myhost");
    }

    #[test]
    fn a_configured_endpoint_is_taken_as_it_is() {
        let url = url("[DEFAULT]\npublic_endpoint = https://id.example.com/identity/", &[("host", "x")]);
        assert_eq!(url, "https://id.example.com/identity");
    }

    #[test]
    fn proxy_headers_are_believed_only_on_demand() {
        let old = [
            ("host", "inside:5000"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "id.example.com"),
            ("x-forwarded-prefix", "/identity/v3"),
        ];
        assert_eq!(url("", &old), "https://inside:5000");
        assert_eq!(url(BELIEVE, &old), "https://id.example.com/identity");
        let new = [("host", "inside"), ("forwarded", "for=1.2.3.4;proto=https;host=\"a.example\", host=b.example")];
        assert_eq!(url("", &new), "http://inside");
        assert_eq!(url(BELIEVE, &new), "https://a.example");
        let client = |config: &str, headers: &[(&str, &str)]| {
            client_address(&Config::from_text(config).unwrap(), &parts(headers))
        };
        assert_eq!(client("", &[("x-forwarded-for", "1.1.1.1, 2.2.2.2")]).as_deref(), Some("2.2.2.2"));
        assert_eq!(client(BELIEVE, &[("x-forwarded-for", "1.1.1.1, 2.2.2.2")]).as_deref(), Some("1.1.1.1"));
        assert_eq!(client(BELIEVE, &new).as_deref(), Some("1.2.3.4"));
    }
}
