//! Projects and domains as tokens need them, in memory.

use std::sync::Arc;

use super::{Resource, sql};
use crate::error::Result;
use crate::foundation::Foundation;
use crate::freshness::{Moment, Ref};
use crate::id::{DomainId, ProjectId};
use crate::memory::{Batch, Batches, Capacity, Known, Loaded};

/// A project or domain, as far as tokens need it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) id: ProjectId,
    pub(crate) name: String,
    /// None for a domain.
    pub(crate) domain_id: Option<DomainId>,
    pub(crate) enabled: bool,
    pub(crate) is_domain: bool,
    /// The ids above it, the nearest first, up to and including its domain; empty for a domain.
    pub(crate) above: Box<[ProjectId]>,
}

impl Place {
    /// What it takes in memory, with its key and what it depends on.
    fn bytes(&self) -> usize {
        size_of::<Place>() + 450 + self.name.len() + self.above.len() * 144
    }
}

/// The projects and domains that were asked for; `None`: there is none.
pub(super) type Places = Batches<ProjectId, Option<Arc<Place>>>;

pub(super) fn places(foundation: &Foundation) -> Places {
    let capacity = Capacity { bytes: foundation.caches().projects, entry_bytes: 1024 };
    let db = foundation.db.clone();
    Batches::new(foundation.freshness.clone(), capacity, move |ids| {
        let db = db.clone();
        async move {
            let places = sql::get_places(&db, &ids).await?;
            // What nobody finds depends on its being made.
            let absent = ids.into_iter().map(|id| (id.clone(), Loaded::new(None, [Ref::Project(id)], 256)));
            let mut batch: Batch<_, _> = absent.collect();
            for place in places {
                let bytes = place.bytes();
                let refs = std::iter::once(&place.id).chain(place.above.iter()).cloned().map(Ref::Project);
                let refs: Vec<Ref> = refs.collect();
                batch.insert(place.id.clone(), Loaded::new(Some(Arc::new(place)), refs, bytes));
            }
            Ok(batch)
        }
    })
}

impl Resource {
    /// A project or domain as tokens need it, as of this moment or later. Its id is compared exactly, whatever the
    /// database would find.
    pub(crate) async fn place_at(&self, moment: Moment, id: &ProjectId) -> Result<Known<Option<Arc<Place>>>> {
        self.places.get(moment, id).await
    }

    /// A domain as tokens need it; a project that is none does not count.
    pub(crate) async fn domain_place_at(&self, moment: Moment, id: &DomainId) -> Result<Known<Option<Arc<Place>>>> {
        let known = self.place_at(moment, &ProjectId::from(&**id)).await?;
        Ok(known.map(|place| place.filter(|place| place.is_domain)))
    }
}
