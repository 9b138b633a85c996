//! Users, groups and what belongs to them.

use sea_query::Iden;

/// Table `user`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum User {
    Table,
    Id,
    Extra,
    Enabled,
    DefaultProjectId,
    CreatedAt,
    LastActiveAt,
    DomainId,
}

/// Table `local_user`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum LocalUser {
    Table,
    Id,
    UserId,
    DomainId,
    Name,
    FailedAuthCount,
    FailedAuthAt,
}

/// Table `nonlocal_user`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum NonlocalUser {
    Table,
    DomainId,
    Name,
    UserId,
}

/// Table `federated_user`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum FederatedUser {
    Table,
    Id,
    UserId,
    IdpId,
    ProtocolId,
    UniqueId,
    DisplayName,
}

/// Table `password`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Password {
    Table,
    Id,
    LocalUserId,
    ExpiresAt,
    SelfService,
    PasswordHash,
    CreatedAtInt,
    ExpiresAtInt,
    CreatedAt,
}

/// Table `user_option`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum UserOption {
    Table,
    UserId,
    OptionId,
    OptionValue,
}

/// Table `group`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Group {
    Table,
    Id,
    DomainId,
    Name,
    Description,
    Extra,
}

/// Table `user_group_membership`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum UserGroupMembership {
    Table,
    UserId,
    GroupId,
}

/// Table `expiring_user_group_membership`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ExpiringUserGroupMembership {
    Table,
    UserId,
    GroupId,
    IdpId,
    LastVerified,
}

/// Table `id_mapping`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum IdMapping {
    Table,
    PublicId,
    DomainId,
    LocalId,
    EntityType,
}
