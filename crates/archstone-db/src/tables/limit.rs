//! Quotas.

use sea_query::Iden;

/// Table `registered_limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum RegisteredLimit {
    Table,
    Id,
    ServiceId,
    RegionId,
    ResourceName,
    DefaultLimit,
    Description,
    InternalId,
}

/// Table `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Limit {
    Table,
    Id,
    ProjectId,
    ResourceLimit,
    Description,
    InternalId,
    RegisteredLimitId,
    DomainId,
}
