//! Revocation events, and the token table that nothing uses any more.

use sea_query::Iden;

/// Table `revocation_event`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum RevocationEvent {
    Table,
    Id,
    DomainId,
    ProjectId,
    UserId,
    RoleId,
    TrustId,
    ConsumerId,
    AccessTokenId,
    IssuedBefore,
    ExpiresAt,
    RevokedAt,
    AuditId,
    AuditChainId,
}

/// Table `token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Token {
    Table,
    Id,
    Expires,
    Extra,
    Valid,
    TrustId,
    UserId,
}
