//! What other subsystems refer to within their transactions.

use archstone_db::Tx;

use super::{Catalog, sql};
use crate::error::Result;
use crate::id::{EndpointId, RegionId, ServiceId};

impl Catalog {
    /// Has services for itself until the transaction ends, so that writers of what belongs to the same service take
    /// turns; those of them that exist.
    pub(crate) async fn take_services_in(&self, tx: &mut Tx<'_>, ids: &[ServiceId]) -> Result<Vec<ServiceId>> {
        sql::take_services(tx, ids).await
    }

    /// Keeps regions as they are until the transaction ends; those of them that exist.
    pub(crate) async fn hold_regions_in(&self, tx: &mut Tx<'_>, ids: &[RegionId]) -> Result<Vec<RegionId>> {
        sql::hold_regions(tx, ids).await
    }

    /// Whether there is such an endpoint, which then stays as it is until the transaction ends.
    pub(crate) async fn hold_endpoint_in(&self, tx: &mut Tx<'_>, id: &EndpointId) -> Result<bool> {
        sql::hold_endpoint(tx, id).await
    }
}
