//! Projects and domains as logins and tokens want them: from memory, for as long as their rows were not touched.
//!
//! **Invariant:** a name leads to what it led to only as long as that was not touched, so a new name counts at once. What
//! nobody has is not remembered: it may come at any moment, and an attacker could name much of it.

use std::sync::Arc;

use super::{Domain, Project, Resource, sql};
use crate::error::{Error, Found as _, Result};
use crate::foundation::Foundation;
use crate::freshness::{Moment, Ref};
use crate::id::{DomainId, ProjectId};
use crate::memory::{Capacity, Loaded, Memory};

pub(super) struct Remembered {
    by_id: Memory<ProjectId, Arc<Project>>,
    /// By domain, none for a domain itself, and name.
    by_name: Memory<(Option<DomainId>, String), Arc<Project>>,
}

impl Remembered {
    pub(super) fn new(foundation: &Foundation) -> Remembered {
        let freshness = &foundation.freshness;
        let capacity = Capacity { bytes: foundation.caches().logins / 100 * 16, entry_bytes: 1024 };
        Remembered {
            by_id: Memory::new(freshness.clone(), capacity),
            by_name: Memory::new(freshness.clone(), capacity),
        }
    }
}

fn loaded(project: Arc<Project>) -> Loaded<Arc<Project>> {
    let texts = project.name.len() + project.description.as_ref().map_or(0, String::len);
    let tags: usize = project.tags.iter().map(|tag| 32 + tag.len()).sum();
    let extra: usize = project.extra.iter().map(|(name, value)| 64 + name.len() + value.to_string().len()).sum();
    // The row's own id: a database that ignores case finds it by another, too.
    let depends_on = [Ref::Project(project.id.clone())];
    Loaded::new(project, depends_on, 512 + texts + tags + extra)
}

impl Resource {
    /// The project of this id as of a moment, if there is one. A domain counts as one.
    pub(crate) async fn project_at(&self, moment: Moment, id: &ProjectId) -> Result<Option<Arc<Project>>> {
        let load = |_| {
            let (db, id) = (self.foundation.db.clone(), id.clone());
            async move {
                let project = sql::get_project(&db, &id).await?.ok_or_else(|| Error::not_found("project", &id))?;
                Ok(loaded(Arc::new(project)))
            }
        };
        Ok(self.remembered.by_id.get_or_load(moment, id, load).await.found()?.map(|known| known.value))
    }

    /// The domain of this id as of a moment, if there is one; a project that is none does not count.
    pub(crate) async fn domain_at(&self, moment: Moment, id: &DomainId) -> Result<Option<Domain>> {
        let row = self.project_at(moment, &ProjectId::from(&**id)).await?;
        // A database that ignores case finds a row of another id; the reference compares again.
        Ok(row.filter(|row| *row.id == **id).and_then(|row| Project::clone(&row).into_domain()))
    }

    /// The project of this name in a domain, as of a moment.
    pub(crate) async fn project_by_name_at(
        &self,
        moment: Moment,
        name: &str,
        domain_id: &DomainId,
    ) -> Result<Option<Arc<Project>>> {
        self.by_name_at(moment, name, Some(domain_id)).await
    }

    /// The domain of this name, as of a moment.
    pub(crate) async fn domain_by_name_at(&self, moment: Moment, name: &str) -> Result<Option<Domain>> {
        Ok(self.by_name_at(moment, name, None).await?.and_then(|row| Project::clone(&row).into_domain()))
    }

    async fn by_name_at(
        &self,
        moment: Moment,
        name: &str,
        domain_id: Option<&DomainId>,
    ) -> Result<Option<Arc<Project>>> {
        let key = (domain_id.cloned(), name.to_owned());
        let load = |_| {
            let (resource, (domain_id, name)) = (self.clone(), key.clone());
            async move {
                let before = resource.foundation.freshness.stamp();
                let found = sql::get_by_name(&resource.foundation.db, &name, domain_id.as_ref()).await?;
                let found = Arc::new(found.ok_or_else(|| Error::not_found("project", &name))?);
                // Whatever comes after a login asks for it by its id.
                resource.remembered.by_id.insert(found.id.clone(), before, loaded(Arc::clone(&found)));
                Ok(loaded(found))
            }
        };
        Ok(self.remembered.by_name.get_or_load(moment, &key, load).await.found()?.map(|known| known.value))
    }
}
