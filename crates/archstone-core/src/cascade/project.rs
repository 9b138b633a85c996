//! Deleting a project (`keystone.resource.core.Manager._delete_project` and whoever listens to it).

use archstone_db::Tx;

use super::{Cascade, Removed, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::freshness::Ref;
use crate::id::{DomainId, ProjectId};
use crate::resource::Project;
use crate::revoke::RevocationEvent;

impl Cascade {
    /// Deletes a project with its assignments, credentials, limits, trusts and associations with endpoints; a domain
    /// with all that is in it. 404 if there is none, 403 if it is immutable, has projects below it, or is a domain that
    /// is enabled.
    ///
    /// Application credentials stay, as in the reference: they belong to their users, and are of no use without the
    /// project.
    pub async fn delete_project(&self, allowed: &Allowed, id: &ProjectId) -> Result<()> {
        let removed = self
            .foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    self.resource.take_projects_in(tx, std::slice::from_ref(id)).await?;
                    let project = self.resource.get_project_in(tx, id).await?;
                    let project = project.ok_or_else(|| Error::not_found("project", id))?;
                    if project.is_domain {
                        return self.remove_domain(tx, &project).await;
                    }
                    check_mutable(&project)?;
                    if self.resource.has_children_in(tx, &project.id).await? {
                        return Err(Error::forbidden_open(format!(
                            "Cannot delete the project {id}: there are projects below it."
                        )));
                    }
                    self.remove_projects(tx, std::slice::from_ref(&project.id)).await?;
                    Ok(Removed { projects: vec![project.id], ..Removed::default() })
                })
            })
            .await?;
        self.emit_deleted(allowed, &removed);
        Ok(())
    }

    /// Takes projects away with all that belongs to them. What is below them must be among them.
    pub(super) async fn remove_projects(&self, tx: &mut Tx<'_>, ids: &[ProjectId]) -> Result<()> {
        self.resource.take_projects_in(tx, ids).await?;
        sql::delete_assignments_on_projects(tx, ids).await?;
        sql::delete_credentials_of_projects(tx, ids).await?;
        sql::delete_limits_of_projects(tx, ids).await?;
        if sql::delete_endpoint_associations(tx, ids).await? > 0 {
            tx.touch(Ref::Catalog.into());
        }
        for trust in sql::end_trusts_of_projects(tx, ids, self.foundation.time.now()).await? {
            tx.touch(Ref::Trust(trust).into());
        }
        self.identity.unset_default_project_in(tx, ids).await?;
        self.resource.delete_projects_in(tx, ids).await?;
        let events: Vec<RevocationEvent> = ids.iter().map(|id| RevocationEvent::of_project(id)).collect();
        self.revoke.record_all(tx, &events).await
    }
}

/// 403 for what is immutable.
pub(super) fn check_mutable(project: &Project) -> Result<()> {
    if !project.is_immutable() {
        return Ok(());
    }
    let kind = if project.is_domain { "domain" } else { "project" };
    Err(Error::forbidden_open(format!(
        "Cannot delete the {kind} {}: it is immutable. Set its option immutable to false first.",
        project.id
    )))
}

/// The id of a domain, which is a project's.
pub(super) fn domain_id(project: &Project) -> DomainId {
    DomainId::from(&*project.id)
}
