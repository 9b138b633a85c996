//! Credentials, application credentials and trusts.

use sea_query::Iden;

/// Table `credential`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Credential {
    Table,
    Id,
    UserId,
    ProjectId,
    Type,
    Extra,
    KeyHash,
    EncryptedBlob,
}

/// Table `application_credential`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ApplicationCredential {
    Table,
    InternalId,
    Id,
    Name,
    SecretHash,
    Description,
    UserId,
    ProjectId,
    ExpiresAt,
    System,
    Unrestricted,
}

/// Table `application_credential_role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ApplicationCredentialRole {
    Table,
    ApplicationCredentialId,
    RoleId,
}

/// Table `application_credential_access_rule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ApplicationCredentialAccessRule {
    Table,
    ApplicationCredentialId,
    AccessRuleId,
}

/// Table `access_rule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum AccessRule {
    Table,
    Id,
    Service,
    Path,
    Method,
    ExternalId,
    UserId,
}

/// Table `trust`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Trust {
    Table,
    Id,
    TrustorUserId,
    TrusteeUserId,
    ProjectId,
    Impersonation,
    DeletedAt,
    ExpiresAt,
    RemainingUses,
    Extra,
    ExpiresAtInt,
    RedelegatedTrustId,
    RedelegationCount,
}

/// Table `trust_role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum TrustRole {
    Table,
    TrustId,
    RoleId,
}
