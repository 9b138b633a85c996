//! Catalogs in memory: the tables that they are made of, what narrows them for a project, and the texts as the program
//! sends them.
//!
//! The tables are loaded as a whole, in a constant number of queries.

use std::sync::Arc;

use bytes::Bytes;

use super::rendered::{CatalogTables, ProjectFilter, Substitutions, render};
use super::sql::{self, endpoint_filter};
use super::{Catalog, CatalogService};
use crate::error::Result;
use crate::foundation::Foundation;
use crate::freshness::{Moment, Ref};
use crate::id::{ProjectId, UserId};
use crate::memory::{Basis, Batches, Capacity, Known, Loaded, Memory};

/// How the program shows a catalog.
pub type RenderCatalog = fn(&[CatalogService]) -> Bytes;

/// Whose catalog a text is: of any project or user, where it is the same for all.
#[derive(Clone, PartialEq, Eq, Hash)]
struct TextKey {
    project: Option<ProjectId>,
    user: Option<UserId>,
}

/// What is kept in memory.
#[derive(Clone)]
pub(super) struct Memories {
    tables: Memory<(), Arc<CatalogTables>>,
    filters: Batches<ProjectId, Arc<ProjectFilter>>,
    texts: Memory<TextKey, Bytes>,
}

impl Memories {
    pub(super) fn new(foundation: &Foundation) -> Memories {
        let freshness = &foundation.freshness;
        let catalogs = foundation.caches().catalogs;
        let db = foundation.db.clone();
        let load_filters = move |ids: Vec<ProjectId>| {
            let db = db.clone();
            async move {
                let mut found = endpoint_filter::project_filters(&db, &ids).await?;
                let loaded = ids.into_iter().map(|id| {
                    let filter = found.remove(&id).unwrap_or_default();
                    let bytes = filter.bytes();
                    (id, Loaded::new(Arc::new(filter), [Ref::Catalog], bytes))
                });
                Ok(loaded.collect())
            }
        };
        let capacity = |hundredths, entry_bytes| Capacity { bytes: catalogs / 100 * hundredths, entry_bytes };
        Memories {
            tables: Memory::new(freshness.clone(), capacity(20, 65_536)),
            filters: Batches::new(freshness.clone(), capacity(10, 512), load_filters),
            texts: Memory::new(freshness.clone(), capacity(70, 16_384)),
        }
    }
}

impl Catalog {
    /// The catalog of a user in a project, or in no project, as of this moment or later.
    pub(crate) async fn for_scope(
        &self,
        moment: Moment,
        basis: &mut Basis,
        user_id: &UserId,
        project_id: Option<&ProjectId>,
    ) -> Result<Vec<CatalogService>> {
        let tables = basis.take(self.tables(moment).await?);
        // No query as long as no project has any association.
        let filter = match project_id {
            Some(id) if tables.any_filter => basis.take(self.memories.filters.get(moment, id).await?),
            _ => Arc::default(),
        };
        let values = Substitutions {
            project_id: project_id.map(|id| &**id),
            user_id,
            public_endpoint: self.foundation.config.default.public_endpoint.as_deref(),
        };
        Ok(render(&tables, &filter, &values))
    }

    /// The text of a catalog: made once for all who have the same, until something of it is touched.
    pub(crate) async fn text(
        &self,
        moment: Moment,
        user_id: &UserId,
        project_id: Option<&ProjectId>,
        render: RenderCatalog,
    ) -> Result<Bytes> {
        let tables = self.tables(moment).await?.value;
        let key = TextKey {
            project: project_id.filter(|_| tables.differs_by.project).cloned(),
            user: tables.differs_by.user.then(|| user_id.clone()),
        };
        if let Some(text) = self.memories.texts.get(&key) {
            return Ok(text);
        }
        let load = |began| {
            let (catalog, user_id, project_id) = (self.clone(), user_id.clone(), project_id.cloned());
            async move {
                let mut basis = Basis::default();
                let services = catalog.for_scope(began, &mut basis, &user_id, project_id.as_ref()).await?;
                let text = render(&services);
                let bytes = text.len() + 300;
                Ok(basis.loaded(text, bytes))
            }
        };
        Ok(self.memories.texts.get_or_load(moment, &key, load).await?.value)
    }

    async fn tables(&self, moment: Moment) -> Result<Known<Arc<CatalogTables>>> {
        let load = |_| {
            let (db, file) = (self.foundation.db.clone(), self.file());
            let all_without_filter = self.foundation.config.endpoint_filter.return_all_endpoints_if_no_filter;
            async move {
                if let Some(file) = file {
                    // It is in memory anyway.
                    return Ok(Loaded::new(Arc::clone(&file.tables), [Ref::Catalog], 256));
                }
                let services = sql::list_enabled_services(&db).await?;
                let endpoints = sql::list_all_endpoints(&db).await?;
                let any_filter = endpoint_filter::any_association(&db).await?;
                let tables = CatalogTables::new(services, endpoints, any_filter, all_without_filter);
                let bytes = tables.bytes();
                Ok(Loaded::new(Arc::new(tables), [Ref::Catalog], bytes))
            }
        };
        self.memories.tables.get_or_load(moment, &(), load).await
    }
}
