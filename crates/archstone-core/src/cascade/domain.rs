//! Deleting a domain with all that is in it (`keystone.resource.core.Manager._delete_domain`).

use archstone_db::Tx;

use super::project::{check_mutable, domain_id};
use super::{Cascade, Removed, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::freshness::Ref;
use crate::id::{DomainId, ProjectId};
use crate::resource::Project;

impl Cascade {
    /// Deletes a domain with its groups, users, projects, identity providers and configuration. 404 if there is none,
    /// 403 while it is enabled, or it or a project of it is immutable.
    ///
    /// Roles of the domain stay, as in the reference.
    pub async fn delete_domain(&self, allowed: &Allowed, id: &DomainId) -> Result<()> {
        let removed = self
            .foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let id_of_row = ProjectId::from(&**id);
                    self.resource.take_projects_in(tx, std::slice::from_ref(&id_of_row)).await?;
                    let found = self.resource.get_project_in(tx, &id_of_row).await?;
                    // The reference would delete a project by its id here, if it is disabled.
                    match found.filter(|found| found.is_domain && *found.id == **id) {
                        Some(domain) => self.remove_domain(tx, &domain).await,
                        None => Err(Error::not_found("domain", id)),
                    }
                })
            })
            .await?;
        self.emit_deleted(allowed, &removed);
        Ok(())
    }

    pub(super) async fn remove_domain(&self, tx: &mut Tx<'_>, domain: &Project) -> Result<Removed> {
        check_mutable(domain)?;
        if domain.enabled {
            return Err(Error::forbidden_open("Cannot delete a domain that is enabled: disable it first."));
        }
        let id = domain_id(domain);
        let projects = self.resource.list_projects_of_domain_in(tx, &id).await?;
        projects.iter().try_for_each(check_mutable)?;
        let groups = self.identity.list_group_ids_of_domain(&mut *tx, &id).await?;
        let users = self.identity.list_user_ids_of_domain(&mut *tx, &id).await?;
        self.remove_groups(tx, &groups).await?;
        let removed = self.remove_users(tx, &users).await?;
        for user in sql::delete_identity_providers_of_domain(tx, &id).await? {
            tx.touch(Ref::User(user).into());
        }
        let projects: Vec<ProjectId> = projects.into_iter().map(|project| project.id).collect();
        self.remove_projects(tx, &projects).await?;
        sql::delete_assignments_on_domain(tx, &id).await?;
        sql::delete_domain_config(tx, &id).await?;
        // Last, and by itself: all the others refer to it.
        self.remove_projects(tx, std::slice::from_ref(&domain.id)).await?;
        let projects = projects.into_iter().chain([domain.id.clone()]).collect();
        Ok(Removed { groups, projects, domain: Some(id), ..removed })
    }
}
