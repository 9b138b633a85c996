//! Identity providers and their mappings.

use sea_query::Iden;

/// Table `identity_provider`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum IdentityProvider {
    Table,
    Id,
    Enabled,
    Description,
    DomainId,
    AuthorizationTtl,
}

/// Table `idp_remote_ids`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum IdpRemoteIds {
    Table,
    IdpId,
    RemoteId,
}

/// Table `federation_protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum FederationProtocol {
    Table,
    Id,
    IdpId,
    MappingId,
    RemoteIdAttribute,
}

/// Table `mapping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Mapping {
    Table,
    Id,
    Rules,
    SchemaVersion,
}

/// Table `service_provider`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ServiceProvider {
    Table,
    AuthUrl,
    Id,
    Enabled,
    Description,
    SpUrl,
    RelayStatePrefix,
}
