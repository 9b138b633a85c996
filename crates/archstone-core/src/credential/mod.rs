//! Credentials that services keep with us: EC2 keys, TOTP seeds, certificates (`keystone.credential`).
//!
//! Each row says by a hash which key encrypted it, so that the keys can be rotated without ever deleting one that is
//! still needed.
//!
//! **Invariant:** a secret is opened only for an [`Allowed`], or for a login that is to be checked against it. What a
//! policy is asked about, and what a log shows, is the rest.

mod blob;
mod migration;
mod sql;

use std::sync::Arc;

use keystone_token::credential;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::foundation::Foundation;
use crate::id::{CredentialId, ProjectId, UserId};
use crate::keys::{KeyRepository, OpenError, Purpose};
use crate::list::{Filter, ListQuery};

pub use blob::{Ec2Blob, ec2_id};
pub use migration::{count_not_encrypted_with_primary, migrate};

/// The type of EC2 keys, whose id and blob follow rules of their own.
pub const EC2: &str = "ec2";

/// A secret that is kept for a user. The secret itself stays encrypted until it is asked for.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Its id; for an EC2 key the SHA-256 of the access key.
    pub id: CredentialId,
    /// Whose it is. Need not exist.
    pub user_id: UserId,
    /// The project that it is for. Need not exist.
    pub project_id: Option<ProjectId>,
    /// What it is: `ec2`, `totp`, `cert`, or whatever the caller says.
    pub kind: String,
    /// What the caller added.
    pub extra: Map<String, Value>,
    encrypted_blob: String,
    key_hash: String,
}

impl Credential {
    /// What policies are asked about: all but the secret.
    pub fn target(&self) -> Value {
        let mut target = self.extra.clone();
        target.insert("id".to_owned(), Value::from(&*self.id));
        target.insert("user_id".to_owned(), Value::from(&*self.user_id));
        target.insert("project_id".to_owned(), Value::from(self.project_id.as_deref()));
        target.insert("type".to_owned(), Value::from(self.kind.as_str()));
        Value::Object(target)
    }
}

/// What a new credential is made of.
pub struct NewCredential {
    /// Whose it is to be.
    pub user_id: UserId,
    /// The project that it is for.
    pub project_id: Option<ProjectId>,
    /// What it is.
    pub kind: String,
    /// The secret.
    pub blob: Zeroizing<String>,
    /// What the caller added.
    pub extra: Map<String, Value>,
}

/// The door of credentials.
#[derive(Clone)]
pub struct Credentials {
    foundation: Foundation,
    keys: Arc<KeyRepository>,
}

impl Credentials {
    /// A door onto this foundation, with the keys of `[credential] key_repository`.
    ///
    /// # Errors
    /// A file of the repository that holds no key.
    pub fn new(foundation: Foundation) -> Result<Credentials> {
        let keys = KeyRepository::open(&foundation.config.credential.key_repository, Purpose::Credentials)
            .map_err(|error| Error::internal(error.to_string()))?;
        Ok(Credentials { foundation, keys: Arc::new(keys) })
    }

    /// The credential of this id, with its secret closed. It needs no [`Allowed`] because one is made of it.
    pub async fn find(&self, id: &CredentialId) -> Result<Option<Credential>> {
        sql::get(&self.foundation.db, id).await
    }

    /// The secret of a credential.
    pub fn blob(&self, _: &Allowed, credential: &Credential) -> Result<Zeroizing<String>> {
        self.open(credential)
    }

    /// What an EC2 credential's secret says.
    pub fn ec2_blob(&self, _: &Allowed, credential: &Credential) -> Result<Ec2Blob> {
        Ec2Blob::parse(&self.open(credential)?)
            .ok_or_else(|| Error::internal(format!("the blob of the ec2 credential {} is no object", credential.id)))
    }

    /// All credentials that the filters let through, whoever may see them, and the filters that are left to the
    /// caller. No limit is applied: who may see which is for the caller to ask, and a limit counts what is shown.
    pub async fn list(&self, _: &Allowed, query: &ListQuery) -> Result<(Vec<Credential>, Vec<Filter>)> {
        sql::list(&self.foundation.db, query).await
    }

    /// The credentials of one type of a user.
    pub async fn list_of_user(&self, _: &Allowed, user: &UserId, kind: &str) -> Result<Vec<Credential>> {
        sql::list_of_user(&self.foundation.db, user, kind).await
    }

    /// The secrets of one type of a user, for a login that is to be checked against them.
    pub(crate) async fn secrets_of_user(
        &self,
        user: &UserId,
        kind: &str,
    ) -> Result<Vec<(CredentialId, Zeroizing<String>)>> {
        let credentials = sql::list_of_user(&self.foundation.db, user, kind).await?;
        credentials.into_iter().map(|credential| Ok((credential.id.clone(), self.open(&credential)?))).collect()
    }

    /// Stores a secret. What a delegated token stores as an EC2 key names the delegation, so that a token by that key
    /// is no more than the token that made it. 400 for an EC2 key without an access key and for what
    /// is too long, 403 beyond `[credential]
    /// user_limit`, 409 for an access key that is taken.
    pub async fn create(&self, allowed: &Allowed, new: NewCredential) -> Result<Credential> {
        check_fits("user_id", &new.user_id, 64)?;
        check_fits("project_id", new.project_id.as_deref().unwrap_or_default(), 64)?;
        check_fits("type", &new.kind, 255)?;
        let (id, blob) = if new.kind.eq_ignore_ascii_case(EC2) {
            let delegation = allowed.caller().map(|caller| &caller.delegation);
            let (access, bound) = blob::prepare(new.blob, delegation)?;
            (ec2_id(&access), bound)
        } else {
            (CredentialId::new_random(), new.blob)
        };
        let (encrypted_blob, key_hash) = self.seal(&new.kind, &blob)?;
        let credential = Credential {
            id,
            user_id: new.user_id,
            project_id: new.project_id,
            kind: new.kind,
            extra: new.extra,
            encrypted_blob,
            key_hash,
        };
        let row = &credential;
        let limit = self.foundation.config.credential.user_limit;
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    sql::take_owner(tx, &row.user_id, row.project_id.as_ref()).await?;
                    if let Ok(limit) = u64::try_from(limit)
                        && sql::count_of_user(&mut *tx, &row.user_id).await? >= limit
                    {
                        return Err(Error::forbidden_open(format!("A user may have {limit} credentials at most.")));
                    }
                    sql::insert(tx, row).await
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("credential", "created", &*credential.id, allowed));
        Ok(credential)
    }

    /// Replaces the secret of a credential. An EC2 key keeps the delegation that it names (CVE-2020-12691). 404 if
    /// there is no such credential, 400 for an EC2 key that would lose its access key or its delegation.
    pub async fn update_blob(&self, _: &Allowed, id: &CredentialId, blob: &str) -> Result<()> {
        // As the reference, which does not look at the type here: what an EC2 key gets is encoded once. Both read both.
        let (encrypted_blob, key_hash) = &self.seal("", blob)?;
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let current = sql::take(tx, id).await?.ok_or_else(|| not_found(id))?;
                    if current.kind.eq_ignore_ascii_case(EC2) {
                        blob::check_update(&self.open(&current)?, blob)?;
                    }
                    sql::update_blob(tx, id, encrypted_blob, key_hash).await
                })
            })
            .await
    }

    /// Deletes a credential. 404 if there is none.
    pub async fn delete(&self, allowed: &Allowed, id: &CredentialId) -> Result<()> {
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move { if sql::delete(tx, id).await? { Ok(()) } else { Err(not_found(id)) } })
            })
            .await?;
        self.foundation.events.emit(Event::new("credential", "deleted", &**id, allowed));
        Ok(())
    }

    fn open(&self, credential: &Credential) -> Result<Zeroizing<String>> {
        let broken = |reason: &str| Error::internal(format!("decrypting the credential {}: {reason}", credential.id));
        // Whatever it is, first as it was encrypted.
        let text = match self.keys.open_text(|ring| credential::decrypt(ring, "", &credential.encrypted_blob)) {
            Ok(text) => text,
            Err(OpenError::Text(error)) => return Err(broken(&error.to_string())),
            Err(OpenError::Keys(error)) => return Err(broken(&error.to_string())),
        };
        if credential.kind != EC2 {
            return Ok(text);
        }
        blob::decode(&text).ok_or_else(|| broken("the blob of an ec2 credential must be JSON"))
    }

    /// The encrypted secret, and the hash of the key.
    fn seal(&self, kind: &str, blob: &str) -> Result<(String, String)> {
        let ring = self.keys.latest().map_err(|error| Error::internal(error.to_string()))?;
        let mut iv = [0; 16];
        aws_lc_rs::rand::fill(&mut iv).map_err(|_| Error::internal("no random numbers"))?;
        let seconds = u64::try_from(self.foundation.time.now().seconds()).unwrap_or_default();
        let sealed = credential::encrypt(&ring, kind, blob, seconds, iv)
            .map_err(|error| Error::internal(format!("encrypting a credential: {error}")))?;
        Ok((sealed, ring.primary().hash()))
    }
}

/// 400 for a text that its column cannot hold; SQLite would hold it.
fn check_fits(attribute: &str, text: &str, longest: usize) -> Result<()> {
    if text.chars().count() <= longest {
        return Ok(());
    }
    Err(Error::bad_request(format!("The attribute {attribute} has at most {longest} characters.")))
}

fn not_found(id: &CredentialId) -> Error {
    Error::not_found("credential", id)
}

#[cfg(test)]
mod tests;
