//! Writing a domain's configuration.

use archstone_db::Tx;
use serde_json::Value;

use super::{DomainConfig, Groups, Part, nothing_set, secrets, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::id::DomainId;

/// What a configuration became.
#[derive(Debug)]
pub struct Created {
    /// What is set now, without the secrets.
    pub config: Groups,
    /// Whether there was one before, which is gone.
    pub replaced: bool,
}

impl DomainConfig {
    /// Replaces the whole configuration. 404 for an unknown domain, 403 for options that no domain can have.
    pub async fn create_config(&self, _: &Allowed, id: &DomainId, config: &Value) -> Result<Created> {
        let (stored, replaced) = self
            .foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    self.require_domain(tx, id).await?;
                    let groups = self.known.read(config)?;
                    let before = sql::list(&mut *tx, id, &Part::Whole).await?;
                    sql::delete(tx, id, &Part::Whole).await?;
                    self.insert(tx, id, &groups).await?;
                    let stored = sql::list(&mut *tx, id, &Part::Whole).await?;
                    Ok::<_, Error>((stored, !before.is_empty()))
                })
            })
            .await?;
        Ok(Created { config: self.finish(id, stored), replaced })
    }

    /// Sets the options that `config` names, and leaves the others. With a part, only that part may be named, and the
    /// domain must have it already: 404. Answers with the whole configuration.
    ///
    /// A configuration that is all secrets is answered as empty; the reference stores it and then answers 404.
    pub async fn update_config(&self, _: &Allowed, id: &DomainId, part: &Part, config: &Value) -> Result<Groups> {
        let stored = self
            .foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    self.require_domain(tx, id).await?;
                    let groups = self.known.read_part(config, part)?;
                    if *part != Part::Whole && sql::list(&mut *tx, id, part).await?.is_empty() {
                        return Err(nothing_set(id, part));
                    }
                    sql::delete_options(tx, id, &groups).await?;
                    self.insert(tx, id, &groups).await?;
                    sql::list(&mut *tx, id, &Part::Whole).await
                })
            })
            .await?;
        Ok(self.finish(id, stored))
    }

    /// Forgets a part. 403 for one that no domain can have, 404 for an unknown domain and for a group or an option
    /// that it has not set; a domain without any configuration can be told to forget it.
    pub async fn delete_config(&self, _: &Allowed, id: &DomainId, part: &Part) -> Result<()> {
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    self.require_domain(tx, id).await?;
                    self.known.check_part(part)?;
                    if *part != Part::Whole && sql::list(&mut *tx, id, part).await?.is_empty() {
                        return Err(nothing_set(id, part));
                    }
                    sql::delete(tx, id, part).await
                })
            })
            .await
    }

    async fn insert(&self, tx: &mut Tx<'_>, id: &DomainId, groups: &Groups) -> Result<()> {
        let (mut open, mut secret) = (Vec::new(), Vec::new());
        for (group, options) in groups {
            for (option, value) in options {
                let drawer = if self.known.is_secret(group, option) { &mut secret } else { &mut open };
                drawer.push((group.as_str(), option.as_str(), value));
            }
        }
        sql::insert(tx, id, sql::Drawer::Open, &open).await?;
        sql::insert(tx, id, sql::Drawer::Secret, &secret).await
    }

    /// What is stored now as an answer shows it. Places for secrets that cannot be filled are named to the operator
    /// now, and not only when a driver reads them.
    fn finish(&self, id: &DomainId, stored: sql::Stored) -> Groups {
        let (_, unfilled) = secrets::fill(stored.clone());
        for place in unfilled {
            place.warn(id);
        }
        self.shown(stored.open)
    }
}
