//! Roles and who has them where.

use sea_query::Iden;

/// Table `role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Role {
    Table,
    Id,
    Name,
    Extra,
    DomainId,
    Description,
}

/// Table `role_option`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum RoleOption {
    Table,
    RoleId,
    OptionId,
    OptionValue,
}

/// Table `implied_role`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ImpliedRole {
    Table,
    PriorRoleId,
    ImpliedRoleId,
}

/// Table `assignment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Assignment {
    Table,
    Type,
    ActorId,
    TargetId,
    RoleId,
    Inherited,
}

/// Table `system_assignment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum SystemAssignment {
    Table,
    Type,
    ActorId,
    TargetId,
    RoleId,
    Inherited,
}
