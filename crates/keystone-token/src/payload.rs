//! What a token says, and its eleven layouts.

use std::sync::Arc;

use crate::audit::AuditIds;
use crate::error::Error;
use crate::fernet::KeyRing;
use crate::ids::parse_uuid;
use crate::methods::MethodMap;
use crate::pack::{Reader, Writer, utf8, uuid_text};
use crate::time::UnixMicros;

/// What a token gives access to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Nothing but the user's own matters.
    Unscoped,
    /// A project, by id.
    Project(String),
    /// A domain, by id.
    Domain(String),
    /// The deployment as a whole.
    System,
}

/// What an identity provider said of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Federated {
    /// Ids of the groups that the assertion was mapped to.
    pub group_ids: Vec<String>,
    /// Id of the identity provider.
    pub idp_id: String,
    /// Id of its protocol.
    pub protocol_id: String,
}

/// The contents of a token. All ids are as stored, except that a UUID comes back as 32 lower-case digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The user.
    pub user_id: String,
    /// How the user proved who they are: a set, in no order that matters.
    pub methods: Vec<Arc<str>>,
    /// What it gives access to.
    pub scope: Scope,
    /// When it ends.
    pub expires_at: UnixMicros,
    /// Its own audit id and its chain's.
    pub audit_ids: AuditIds,
    /// The trust that it acts under; a UUID.
    pub trust_id: Option<String>,
    /// The federated login that it stems from.
    pub federated: Option<Federated>,
    /// The OAuth 1 access token that it stems from.
    pub access_token_id: Option<String>,
    /// The application credential that it stems from.
    pub app_cred_id: Option<String>,
    /// The client certificate that it is bound to: base64 of the SHA-256 thumbprint.
    pub thumbprint: Option<String>,
}

impl Payload {
    /// An unscoped token without any of the special kinds' fields.
    pub fn new(user_id: String, methods: Vec<Arc<str>>, expires_at: UnixMicros, audit_ids: AuditIds) -> Self {
        Self {
            user_id,
            methods,
            scope: Scope::Unscoped,
            expires_at,
            audit_ids,
            trust_id: None,
            federated: None,
            access_token_id: None,
            app_cred_id: None,
            thumbprint: None,
        }
    }

    /// The project's id, if it is scoped to one.
    pub fn project_id(&self) -> Option<&str> {
        if let Scope::Project(id) = &self.scope { Some(id) } else { None }
    }

    /// The domain's id, if it is scoped to one.
    pub fn domain_id(&self) -> Option<&str> {
        if let Scope::Domain(id) = &self.scope { Some(id) } else { None }
    }

    /// Its layout: the first of the special kinds that applies, else by scope. What the layout has no place for would be
    /// lost, and with it a restriction, so such a payload is refused; except that a trust outweighs a federated login,
    /// since the roles come from the trust.
    fn layout(&self) -> Result<Layout<'_>, Error> {
        let kinds = [&self.access_token_id, &self.trust_id, &self.app_cred_id, &self.thumbprint];
        if kinds.iter().filter(|kind| kind.is_some()).count() > 1 {
            return Err(Error::Unrepresentable("two kinds of delegation in one token"));
        }
        let project = || self.project_id().ok_or(Error::Unrepresentable("delegation without a project"));
        if let Some(id) = &self.access_token_id {
            return Ok(Layout::AccessToken { project: project()?, access_token: id });
        }
        if let Some(id) = &self.trust_id {
            let trust = parse_uuid(id).ok_or(Error::Unrepresentable("trust id is not a UUID"))?;
            return Ok(Layout::Trust { project: project()?, trust });
        }
        if let Some(federated) = &self.federated {
            if self.app_cred_id.is_some() || self.thumbprint.is_some() || self.access_token_id.is_some() {
                return Err(Error::Unrepresentable("federated login and delegation in one token"));
            }
            return match self.scope {
                Scope::System => Err(Error::Unrepresentable("federated login scoped to the system")),
                _ => Ok(Layout::Federated(federated)),
            };
        }
        if let Some(id) = &self.app_cred_id {
            return Ok(Layout::AppCred { project: project()?, app_cred: id });
        }
        if let Some(thumbprint) = &self.thumbprint {
            return match self.scope {
                Scope::System => Err(Error::Unrepresentable("client certificate scoped to the system")),
                _ => Ok(Layout::Thumbprint(thumbprint)),
            };
        }
        Ok(Layout::Plain)
    }
}

enum Layout<'a> {
    Plain,
    AccessToken { project: &'a str, access_token: &'a str },
    Trust { project: &'a str, trust: [u8; 16] },
    Federated(&'a Federated),
    AppCred { project: &'a str, app_cred: &'a str },
    Thumbprint(&'a str),
}

/// A payload with its time of issue, which is in the envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The contents.
    pub payload: Payload,
    /// Seconds since the epoch.
    pub issued_at: i64,
}

/// How this deployment's payloads are to be read and written.
#[derive(Debug, Clone)]
pub struct TokenFormat {
    /// `[auth] methods`.
    pub methods: MethodMap,
    /// `[identity] default_domain_id`: the one domain id that need not be a UUID in a plain domain token.
    pub default_domain_id: String,
}

impl TokenFormat {
    /// Writes a Fernet token. `issued_at` is seconds since the epoch; `iv` must be random.
    pub fn seal(&self, ring: &KeyRing, payload: &Payload, issued_at: u64, iv: [u8; 16]) -> Result<String, Error> {
        ring.seal(&self.encode(payload)?, issued_at, iv)
    }

    /// Reads a Fernet token. Whether it has expired is the caller's question.
    pub fn open(&self, ring: &KeyRing, text: &str) -> Result<Token, Error> {
        let (bytes, issued_at) = ring.open(text)?;
        Ok(Token { payload: self.decode(&bytes)?, issued_at })
    }

    /// The msgpack of a payload.
    pub fn encode(&self, payload: &Payload) -> Result<Vec<u8>, Error> {
        let header = |fields: u32, version: u64| {
            let mut w = Writer::new(fields);
            w.int(version);
            w.id(&payload.user_id);
            w.int(self.methods.encode(&payload.methods));
            w
        };
        let mut w;
        match payload.layout()? {
            Layout::Plain => match &payload.scope {
                Scope::Unscoped => {
                    w = header(5, 0);
                    tail(&mut w, payload);
                }
                Scope::Domain(domain) => {
                    w = header(6, 1);
                    match parse_uuid(domain) {
                        Some(bytes) => w.bytes(&bytes),
                        None if *domain == self.default_domain_id => w.text(domain),
                        None => return Err(Error::Unrepresentable("domain id is not a UUID")),
                    }
                    tail(&mut w, payload);
                }
                Scope::Project(project) => {
                    w = header(6, 2);
                    w.id(project);
                    tail(&mut w, payload);
                }
                Scope::System => {
                    w = header(6, 8);
                    w.text("all");
                    tail(&mut w, payload);
                }
            },
            Layout::Trust { project, trust } => {
                w = header(7, 3);
                w.id(project);
                tail(&mut w, payload);
                w.bytes(&trust);
            }
            Layout::Federated(federated) => {
                w = match &payload.scope {
                    Scope::Project(id) | Scope::Domain(id) => {
                        let mut w = header(9, if payload.project_id().is_some() { 5 } else { 6 });
                        w.id(id);
                        w
                    }
                    Scope::Unscoped | Scope::System => header(8, 4),
                };
                let groups = u32::try_from(federated.group_ids.len());
                w.array(groups.map_err(|_| Error::Unrepresentable("too many groups"))?);
                federated.group_ids.iter().for_each(|id| w.id(id));
                w.id(&federated.idp_id);
                w.text(&federated.protocol_id);
                tail(&mut w, payload);
            }
            Layout::AccessToken { project, access_token } => {
                w = header(7, 7);
                w.id(project);
                w.id(access_token);
                tail(&mut w, payload);
            }
            Layout::AppCred { project, app_cred } => {
                w = header(7, 9);
                w.id(project);
                tail(&mut w, payload);
                w.id(app_cred);
            }
            Layout::Thumbprint(thumbprint) => {
                w = header(8, 10);
                w.optional_id(payload.project_id());
                w.optional_id(payload.domain_id());
                tail(&mut w, payload);
                w.text_pair(thumbprint);
            }
        }
        Ok(w.finish())
    }

    /// The payload of a msgpack text whose authenticity is established.
    pub fn decode(&self, bytes: &[u8]) -> Result<Payload, Error> {
        let mut r = Reader::new(bytes);
        let fields = r.array()?;
        let version = r.int()?;
        let expected = match version {
            0 => 5,
            1 | 2 | 8 => 6,
            3 | 7 | 9 => 7,
            4 | 10 => 8,
            5 | 6 => 9,
            _ => return Err(Error::Payload("unknown version")),
        };
        if fields != expected {
            return Err(Error::Payload("wrong number of fields"));
        }
        let user_id = r.id()?;
        let methods = self.methods.decode(r.int()?);

        let mut scope = Scope::Unscoped;
        let (mut federated, mut access_token_id) = (None, None);
        match version {
            1 => scope = Scope::Domain(self.plain_domain(r.bytes()?)?),
            2 | 3 | 9 => scope = Scope::Project(r.id()?),
            4 => federated = Some(read_federated(&mut r)?),
            5 => {
                scope = Scope::Project(r.id()?);
                federated = Some(read_federated(&mut r)?);
            }
            6 => {
                scope = Scope::Domain(r.id()?);
                federated = Some(read_federated(&mut r)?);
            }
            7 => {
                scope = Scope::Project(r.id()?);
                access_token_id = Some(r.id()?);
            }
            8 => {
                if r.bytes()? != b"all" {
                    return Err(Error::Payload("unknown system scope"));
                }
                scope = Scope::System;
            }
            10 => {
                scope = match (r.optional_id()?, r.optional_id()?) {
                    (Some(project), None) => Scope::Project(project),
                    (None, Some(domain)) => Scope::Domain(domain),
                    (None, None) => Scope::Unscoped,
                    (Some(_), Some(_)) => return Err(Error::Payload("two scopes")),
                }
            }
            _ => {}
        }
        let expires_at = r.time()?;
        let audit_ids = r.audit_ids()?;
        let trust_id = if version == 3 { Some(r.uuid()?) } else { None };
        let app_cred_id = if version == 9 { Some(r.id()?) } else { None };
        let thumbprint = if version == 10 { Some(r.id()?) } else { None };
        r.finish()?;
        Ok(Payload {
            user_id,
            methods,
            scope,
            expires_at,
            audit_ids,
            trust_id,
            federated,
            access_token_id,
            app_cred_id,
            thumbprint,
        })
    }

    fn plain_domain(&self, bytes: &[u8]) -> Result<String, Error> {
        if bytes == self.default_domain_id.as_bytes() { utf8(bytes) } else { uuid_text(bytes) }
    }
}

fn tail(w: &mut Writer, payload: &Payload) {
    w.time(payload.expires_at);
    w.audit_ids(payload.audit_ids);
}

fn read_federated(r: &mut Reader<'_>) -> Result<Federated, Error> {
    let groups = r.array()?;
    let mut group_ids = Vec::with_capacity(groups);
    for _ in 0..groups {
        group_ids.push(r.id()?);
    }
    Ok(Federated { group_ids, idp_id: r.id()?, protocol_id: r.text()? })
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
