//! OAuth 1 consumers and tokens.

use sea_query::Iden;

/// Table `consumer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Consumer {
    Table,
    Id,
    Description,
    Secret,
    Extra,
}

/// Table `request_token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum RequestToken {
    Table,
    Id,
    RequestSecret,
    Verifier,
    AuthorizingUserId,
    RequestedProjectId,
    RoleIds,
    ConsumerId,
    ExpiresAt,
}

/// Table `access_token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum AccessToken {
    Table,
    Id,
    AccessSecret,
    AuthorizingUserId,
    ProjectId,
    RoleIds,
    ConsumerId,
    ExpiresAt,
}
