//! Tokens made without a server, from the Fernet keys of a deployment and the users of a seeded cloud: nobody has to
//! log in 10,000 times before 10,000 tokens can be validated.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use archstone_bench::seed::{Kind, Plan};
use bytes::Bytes;
use chrono::DateTime;
use http::HeaderValue;
use keystone_token::{AuditId, AuditIds, Key, KeyRing, MethodMap, Payload, Scope, TokenFormat, UnixMicros};
use uuid::Uuid;

use crate::Error;
use crate::identity::{TokenBody, WrongReply};

/// What `[auth] methods` is unless it is configured: the order is part of every token.
const METHODS: [&str; 7] =
    ["external", "password", "token", "oauth1", "mapped", "application_credential", "ec2credential"];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// `[fernet_tokens] key_repository`; `[auth] methods` must be the default.
    #[arg(long)]
    keys: PathBuf,
    /// How many tokens, the users in turn, each for its home project.
    #[arg(long, default_value_t = 10_000)]
    count: usize,
    /// How many users have tokens, of those that are enabled.
    #[arg(long, default_value_t = 1_000)]
    of_users: usize,
    /// When they were issued, in seconds since 1970.
    #[arg(long)]
    issued_at: u64,
    /// Seconds from then for which they are good.
    #[arg(long, default_value_t = 3_600)]
    lifetime: u64,
    /// The file to write. It holds valid tokens.
    #[arg(long)]
    output: PathBuf,
    #[command(flatten)]
    plan: Plan,
}

/// A token and what its validation must say.
pub(crate) struct SealedToken {
    pub(crate) value: HeaderValue,
    pub(crate) user: String,
    pub(crate) project: String,
    audit_id: String,
    expires_at: String,
    /// The first validation's body that was found right; those that equal it need no reading.
    known_good: OnceLock<Bytes>,
}

/// Writes a line for each token: the token, user, project, audit id, expiry.
pub(crate) fn seal(options: &Options) -> Result<(), Error> {
    let ring = read_keys(&options.keys)?;
    let format = TokenFormat { methods: MethodMap::new(&METHODS), default_domain_id: "default".to_owned() };
    let plan = &options.plan;
    let users: Vec<u64> = (0..plan.users).filter(|user| plan.is_enabled(*user)).take(options.of_users).collect();
    if users.is_empty() {
        return Err(Error::Usage("--of-users: nobody".to_owned()));
    }
    let expires = i64::try_from(options.issued_at.saturating_add(options.lifetime)).unwrap_or(i64::MAX);
    let Some(expiry) = DateTime::from_timestamp(expires, 0) else {
        return Err(Error::Usage("--issued-at, --lifetime: beyond all calendars".to_owned()));
    };
    let expires_at = expiry.format("%Y-%m-%dT%H:%M:%S.000000Z");
    let attempt = || format!("writing {}", options.output.display());
    let mut file = BufWriter::new(std::fs::File::create(&options.output).map_err(Error::io(attempt()))?);
    for user in users.iter().cycle().take(options.count) {
        let (user, project) = (plan.id(Kind::User, *user), plan.id(Kind::Project, plan.home(*user)));
        let audit_ids = AuditIds { id: AuditId(Uuid::new_v4().into_bytes()), parent: None };
        let methods = vec![Arc::from("password")];
        let mut payload = Payload::new(user.clone(), methods, UnixMicros::from_seconds(expires), audit_ids);
        payload.scope = Scope::Project(project.clone());
        let text = format.seal(&ring, &payload, options.issued_at, Uuid::new_v4().into_bytes())?;
        writeln!(file, "{text}\t{user}\t{project}\t{}\t{expires_at}", audit_ids.id).map_err(Error::io(attempt()))?;
    }
    file.flush().map_err(Error::io(attempt()))
}

/// So many lines of what [`seal`] has written, from the one of the number `first`.
pub(crate) fn read(path: &Path, first: usize, count: usize) -> Result<Vec<SealedToken>, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::io(format!("reading {}", path.display())))?;
    let tokens: Option<Vec<_>> = text.lines().skip(first).take(count).map(SealedToken::parse).collect();
    match tokens {
        Some(tokens) if tokens.len() == count => Ok(tokens),
        Some(tokens) => Err(Error::Usage(format!("{}: {} tokens of {count}", path.display(), tokens.len()))),
        None => Err(Error::Usage(format!("{}: not a file of tokens", path.display()))),
    }
}

impl SealedToken {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split('\t').map(str::to_owned);
        let value = HeaderValue::try_from(fields.next()?).ok()?;
        let (user, project, audit_id, expires_at) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        Some(Self { value, user, project, audit_id, expires_at, known_good: OnceLock::new() })
    }

    /// Judges the body of a validation: it must tell of this very token.
    pub(crate) fn check(&self, body: &[u8]) -> Result<(), WrongReply> {
        if self.known_good.get().is_some_and(|good| good == body) {
            return Ok(());
        }
        let wrong = |wrong: String| WrongReply { asked: "validating a token", wrong };
        let TokenBody { token } = serde_json::from_slice(body).map_err(|error| wrong(format!("body: {error}")))?;
        let claims = &token.claims;
        if claims.user.id != self.user {
            return Err(wrong(format!("user {} instead of {}", claims.user.id, self.user)));
        }
        if claims.project.as_ref().is_none_or(|project| project.id != self.project) {
            return Err(wrong(format!("project {:?} instead of {}", claims.project, self.project)));
        }
        if claims.audit_ids != [self.audit_id.as_str()] || claims.expires_at != self.expires_at {
            return Err(wrong(format!("{claims:?} is of another token than {}", self.audit_id)));
        }
        if token.roles.is_empty() || token.catalog.is_none_or(|catalog| catalog.is_empty()) {
            return Err(wrong("no roles, or no catalog".to_owned()));
        }
        // Another worker may have set it at the same time, to an equally good body. A copy: the connection's own bytes
        // would keep its whole buffer.
        self.known_good.get_or_init(|| Bytes::copy_from_slice(body));
        Ok(())
    }
}

/// The numbered files, highest number first.
fn read_keys(folder: &Path) -> Result<KeyRing, Error> {
    let attempt = || format!("reading the keys in {}", folder.display());
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(Error::io(attempt()))? {
        let name = entry.map_err(Error::io(attempt()))?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    numbers.sort_unstable_by(|one, other| other.cmp(one));
    let read = |number: &u64| std::fs::read_to_string(folder.join(number.to_string())).map_err(Error::io(attempt()));
    let texts: Vec<String> = numbers.iter().map(read).collect::<Result<_, _>>()?;
    let keys = texts.iter().map(|text| Key::parse(text)).collect::<Result<_, _>>()?;
    Ok(KeyRing::new(keys)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(folder: &Path) -> String {
        std::fs::write(folder.join("0"), keystone_token::NULL_KEY_TEXT).unwrap();
        let options = Options {
            keys: folder.to_owned(),
            count: 1,
            of_users: 1,
            issued_at: 1_800_000_000,
            lifetime: 3_600,
            output: folder.join("tokens"),
            plan: Plan::small(),
        };
        seal(&options).unwrap();
        std::fs::read_to_string(folder.join("tokens")).unwrap()
    }

    #[test]
    fn sealed_token_opens_with_the_keys_and_names_the_user() {
        let folder = tempfile::tempdir().unwrap();
        let line = line(folder.path());
        let token = SealedToken::parse(line.trim_end()).unwrap();
        let format = TokenFormat { methods: MethodMap::new(&METHODS), default_domain_id: "default".to_owned() };
        let ring = read_keys(folder.path()).unwrap();
        let opened = format.open(&ring, token.value.to_str().unwrap()).unwrap();
        assert_eq!(
            (opened.payload.user_id.as_str(), opened.payload.project_id()),
            (&*token.user, Some(&*token.project))
        );
        assert_eq!(opened.payload.audit_ids.id.to_string(), token.audit_id);
        assert_eq!(token.expires_at, "2027-01-15T09:00:00.000000Z");
    }

    #[test]
    fn validation_of_another_token_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let token = SealedToken::parse(line(folder.path()).trim_end()).unwrap();
        let domain = json!({"id": "d", "name": "d"});
        let right = json!({"token": {
            "user": {"id": token.user, "name": "u", "domain": domain},
            "project": {"id": token.project, "name": "p", "domain": domain},
            "audit_ids": [token.audit_id], "expires_at": token.expires_at, "methods": ["password"],
            "roles": [{}], "catalog": [{}],
        }});
        token.check(right.to_string().as_bytes()).unwrap();
        token.check(right.to_string().as_bytes()).unwrap();
        for (pointer, other) in [
            ("/token/user/id", json!("u2")),
            ("/token/project/id", json!("p2")),
            ("/token/audit_ids", json!([])),
            ("/token/expires_at", json!("2030-01-01T00:00:00.000000Z")),
            ("/token/roles", json!([])),
            ("/token/catalog", json!([])),
        ] {
            let mut wrong = right.clone();
            *wrong.pointer_mut(pointer).unwrap() = other;
            assert!(token.check(wrong.to_string().as_bytes()).is_err(), "{pointer}");
        }
    }
}
