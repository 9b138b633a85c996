//! Regions, services, endpoints and what narrows them.

use sea_query::Iden;

/// Table `region`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Region {
    Table,
    Id,
    Description,
    ParentRegionId,
    Extra,
}

/// Table `service`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Service {
    Table,
    Id,
    Type,
    Enabled,
    Extra,
}

/// Table `endpoint`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Endpoint {
    Table,
    Id,
    LegacyEndpointId,
    Interface,
    ServiceId,
    Url,
    Extra,
    Enabled,
    RegionId,
}

/// Table `endpoint_group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum EndpointGroup {
    Table,
    Id,
    Name,
    Description,
    Filters,
}

/// Table `project_endpoint`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ProjectEndpoint {
    Table,
    EndpointId,
    ProjectId,
}

/// Table `project_endpoint_group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ProjectEndpointGroup {
    Table,
    EndpointGroupId,
    ProjectId,
}

/// Table `policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Policy {
    Table,
    Id,
    Type,
    Blob,
    Extra,
}

/// Table `policy_association`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum PolicyAssociation {
    Table,
    Id,
    PolicyId,
    EndpointId,
    ServiceId,
    RegionId,
}
