//! What other subsystems refer to within their transactions.

use archstone_db::Tx;

use super::{Catalog, sql};
use crate::error::Result;
use crate::id::{EndpointId, RegionId, ServiceId};

impl Catalog {
    /// Has services for itself until the transaction ends, so that writers of what belongs to the same service take
    /// turns; those of them that exist.
    pub(crate) async fn take_services_in(&self, tx: &mut Tx<'_>, ids: &[ServiceId]) -> Result<Vec<ServiceId>> {
        if let Some(file) = self.file() {
            // There are no rows of services to wait at.
            self.resource.take_root_in(tx).await?;
            return Ok(ids.iter().filter(|id| file.service(id).is_some()).cloned().collect());
        }
        sql::take_services(tx, ids).await
    }

    /// Keeps regions as they are until the transaction ends; those of them that exist.
    pub(crate) async fn hold_regions_in(&self, tx: &mut Tx<'_>, ids: &[RegionId]) -> Result<Vec<RegionId>> {
        if let Some(file) = self.file() {
            return Ok(ids.iter().filter(|id| file.region(id).is_some()).cloned().collect());
        }
        sql::hold_regions(tx, ids).await
    }

    /// Whether there is such an endpoint, which then stays as it is until the transaction ends.
    pub(crate) async fn hold_endpoint_in(&self, tx: &mut Tx<'_>, id: &EndpointId) -> Result<bool> {
        if let Some(file) = self.file() {
            return Ok(file.endpoint(id).is_some());
        }
        sql::hold_endpoint(tx, id).await
    }
}
