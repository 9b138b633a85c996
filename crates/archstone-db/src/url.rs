//! Database URLs as SQLAlchemy writes them.

use std::fmt;

use crate::{DbError, Dialect};

/// A parsed `[database] connection`.
///
/// `mysql+pymysql://user:p%40ss@host:3306/keystone?ssl_ca=/etc/ca.pem`, `postgresql+psycopg2://…`,
/// `sqlite:///relative.db`, `sqlite:////absolute.db`, `sqlite://` (a private database that ends with the process).
/// The driver after the `+` is Python's business and may be any.
///
/// **Invariant:** neither `Debug` nor `Display` shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct SqlUrl {
    pub(crate) dialect: Dialect,
    scheme: String,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) database: Option<String>,
    parameters: Vec<(String, String)>,
}

impl SqlUrl {
    /// Parses what SQLAlchemy's `make_url` would. Refuses other databases than the three, and query parameters
    /// about TLS that we do not know, since leaving those out would weaken the connection.
    ///
    /// # Errors
    /// [`DbError::Configuration`], never with the password in it.
    pub fn parse(text: &str) -> Result<Self, DbError> {
        let (scheme, rest) = text.trim().split_once("://").ok_or_else(|| {
            configuration("the database URL has no `://`; expected for example mysql+pymysql://user:password@host/name")
        })?;
        let dialect = match scheme.split('+').next().unwrap_or(scheme) {
            "sqlite" => Dialect::Sqlite,
            "mysql" | "mariadb" => Dialect::MySql,
            "postgresql" | "postgres" => Dialect::Postgres,
            other => {
                return Err(configuration(format!(
                    "`{other}` databases are not supported: mysql, postgresql or sqlite"
                )));
            }
        };
        let (userinfo, rest) = split_userinfo(rest);
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, query),
            None => (rest, ""),
        };
        let (authority, database) = match rest.split_once('/') {
            Some((authority, database)) => (authority, Some(unquote(database)?)),
            None => (rest, None),
        };
        let (host, port) = split_authority(authority)?;
        let (username, password) = match userinfo {
            Some((username, password)) => (Some(unquote(username)?), password.map(unquote).transpose()?),
            None => (None, None),
        };
        let mut url = Self {
            dialect,
            scheme: scheme.to_owned(),
            username: username.filter(|name| !name.is_empty()),
            password,
            host,
            port,
            database: database.filter(|name| !name.is_empty()),
            parameters: Vec::new(),
        };
        if dialect == Dialect::Sqlite && (url.host.is_some() || url.username.is_some()) {
            return Err(configuration("a SQLite URL has no host: sqlite:///relative or sqlite:////absolute"));
        }
        url.add_parameters(query)?;
        Ok(url)
    }

    /// Adds `name=value&…`, the text of `[database] connection_parameters`.
    ///
    /// # Errors
    /// [`DbError::Configuration`], as [`SqlUrl::parse`].
    pub fn add_parameters(&mut self, query: &str) -> Result<(), DbError> {
        for pair in query.split('&') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            if value.is_empty() {
                continue;
            }
            let (name, value) = (unquote(&name.replace('+', " "))?, unquote(&value.replace('+', " "))?);
            if !self.knows(&name) && (name.starts_with("ssl") || name.starts_with("gss")) {
                return Err(configuration(format!("the database URL's parameter `{name}` is not supported")));
            }
            self.parameters.retain(|(known, _)| *known != name);
            self.parameters.push((name, value));
        }
        Ok(())
    }

    /// The parameters that have no effect here and that an operator might think have one.
    pub fn unknown_parameters(&self) -> Vec<&str> {
        self.parameters.iter().map(|(name, _)| name.as_str()).filter(|name| !self.knows(name)).collect()
    }

    /// Which of the three databases it names.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The path of the SQLite file; `None` for a database in memory and for the other two.
    pub fn sqlite_path(&self) -> Option<&str> {
        if self.dialect != Dialect::Sqlite {
            return None;
        }
        self.database.as_deref().filter(|name| *name != ":memory:")
    }

    /// The same server with another database name (for the test databases).
    pub(crate) fn with_database(&self, name: &str) -> Self {
        Self { database: Some(name.to_owned()), ..self.clone() }
    }

    /// The same database at another address (for tests of networks that fail).
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn with_address(&self, host: &str, port: u16) -> Self {
        Self { host: Some(host.to_owned()), port: Some(port), ..self.clone() }
    }

    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn knows(&self, name: &str) -> bool {
        // The second line of each holds what only tunes the Python driver.
        let known: &[&str] = match self.dialect {
            Dialect::MySql => &[
                "ssl_ca",
                "ssl_cert",
                "ssl_key",
                "ssl_check_hostname",
                "ssl_verify_cert",
                "unix_socket",
                "charset",
                "use_unicode",
                "binary_prefix",
                "connect_timeout",
                "read_timeout",
                "write_timeout",
            ],
            Dialect::Postgres => &[
                "sslmode",
                "sslrootcert",
                "sslcert",
                "sslkey",
                "host",
                "port",
                "application_name",
                "client_encoding",
                "connect_timeout",
            ],
            Dialect::Sqlite => &["timeout", "check_same_thread"],
        };
        known.contains(&name)
    }
}

impl fmt::Display for SqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if let Some(username) = &self.username {
            write!(f, "{username}{}@", if self.password.is_some() { ":***" } else { "" })?;
        }
        match &self.host {
            Some(host) if host.contains(':') => write!(f, "[{host}]")?,
            Some(host) => f.write_str(host)?,
            None => {}
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        if let Some(database) = &self.database {
            write!(f, "/{database}")?;
        }
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            let value = if name.contains("pass") { "***" } else { value };
            write!(f, "{}{name}={value}", if index == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for SqlUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqlUrl({self})")
    }
}

type UserInfo<'a> = (&'a str, Option<&'a str>);

/// A password may hold `/`, `:` and `?` unquoted, but no `@`; a user name none of `:` and `/`.
fn split_userinfo(rest: &str) -> (Option<UserInfo<'_>>, &str) {
    let end = rest.find([':', '/']).unwrap_or(rest.len());
    if rest[end..].starts_with(':')
        && let Some(at) = rest[end..].find('@')
    {
        return (Some((&rest[..end], Some(&rest[end + 1..end + at]))), &rest[end + at + 1..]);
    }
    match rest[..end].rfind('@') {
        Some(at) => (Some((&rest[..at], None)), &rest[at + 1..]),
        None => (None, rest),
    }
}

fn split_authority(authority: &str) -> Result<(Option<String>, Option<u16>), DbError> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest
            .split_once(']')
            .ok_or_else(|| configuration("the database URL's IPv6 address has no closing bracket"))?;
        (host, after.strip_prefix(':').unwrap_or(after))
    } else {
        authority.split_once(':').unwrap_or((authority, ""))
    };
    let port = match port {
        "" => None,
        digits => Some(
            digits.parse().map_err(|error| configuration(format!("the database URL's port `{digits}`: {error}")))?,
        ),
    };
    Ok((Some(host.to_owned()).filter(|host| !host.is_empty()), port))
}

fn unquote(text: &str) -> Result<String, DbError> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = |index: usize| bytes.get(index).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).expect("two hexadecimal digits are a byte"));
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    // The text itself stays out of the message: it may be the password.
    String::from_utf8(out).map_err(|_| configuration("the database URL's %-escapes are not UTF-8"))
}

fn configuration(detail: impl Into<String>) -> DbError {
    DbError::Configuration { detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> SqlUrl {
        SqlUrl::parse(text).expect("a good URL")
    }

    #[test]
    fn parses_what_sqlalchemy_writes() {
        let url = parse("mysql+pymysql://key%40stone:p%40:/ss@db.example:3307/keystone?charset=utf8&ssl_ca=/a%20b");
        assert_eq!(url.dialect(), Dialect::MySql);
        assert_eq!(url.username.as_deref(), Some("key@stone"));
        assert_eq!(url.password.as_deref(), Some("p@:/ss"));
        assert_eq!((url.host.as_deref(), url.port), (Some("db.example"), Some(3307)));
        assert_eq!(url.database.as_deref(), Some("keystone"));
        assert_eq!(url.parameter("ssl_ca"), Some("/a b"));
        assert!(url.unknown_parameters().is_empty());
    }

    #[test]
    fn scheme_names_the_dialect() {
        for (scheme, dialect) in [
            ("mysql", Dialect::MySql),
            ("mariadb+mariadbconnector", Dialect::MySql),
            ("postgres", Dialect::Postgres),
            ("postgresql+psycopg", Dialect::Postgres),
            ("postgresql+psycopg2", Dialect::Postgres),
        ] {
            assert_eq!(parse(&format!("{scheme}://u@h/d")).dialect(), dialect, "{scheme}");
        }
        assert!(SqlUrl::parse("oracle://u@h/d").is_err());
        assert!(SqlUrl::parse("keystone.db").is_err());
    }

    #[test]
    fn three_slashes_are_relative_and_four_absolute() {
        assert_eq!(parse("sqlite:///keystone.db").sqlite_path(), Some("keystone.db"));
        assert_eq!(parse("sqlite:////var/lib/keystone.db").sqlite_path(), Some("/var/lib/keystone.db"));
        assert_eq!(parse("sqlite://").sqlite_path(), None);
        assert_eq!(parse("sqlite:///:memory:").sqlite_path(), None);
        assert!(SqlUrl::parse("sqlite://host/keystone.db").is_err());
    }

    #[test]
    fn ipv6_hosts_stand_in_brackets() {
        let url = parse("postgresql://u:p@[::1]:5433/d");
        assert_eq!((url.host.as_deref(), url.port), (Some("::1"), Some(5433)));
        assert_eq!(url.to_string(), "postgresql://u:***@[::1]:5433/d");
    }

    #[test]
    fn password_is_never_shown() {
        let url = parse("mysql+pymysql://u:hunter2@h/d?passwd=hunter2");
        assert!(!format!("{url} {url:?}").contains("hunter2"));
        for bad in ["mysql://u:hunter2@h:port/d", "mysql://u:hunter2%ff@h/d", "oracle://u:hunter2@h/d"] {
            let error = SqlUrl::parse(bad).expect_err(bad);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn unknown_parameters_are_reported_and_unknown_tls_ones_refused() {
        let mut url = parse("mysql://u@h/d?plugin=dbcounter&charset=utf8");
        assert_eq!(url.unknown_parameters(), ["plugin"]);
        url.add_parameters("local_infile=1").expect("a parameter");
        assert_eq!(url.unknown_parameters(), ["plugin", "local_infile"]);
        assert!(SqlUrl::parse("mysql://u@h/d?ssl_cipher=AES").is_err());
        assert!(SqlUrl::parse("postgresql://u@h/d?sslcrl=/crl").is_err());
    }
}
