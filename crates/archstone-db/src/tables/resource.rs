//! Domains, projects and the configuration of domains.

use sea_query::Iden;

/// Table `project`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum Project {
    Table,
    Id,
    Name,
    Extra,
    Description,
    Enabled,
    DomainId,
    ParentId,
    IsDomain,
}

/// Table `project_option`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ProjectOption {
    Table,
    ProjectId,
    OptionId,
    OptionValue,
}

/// Table `project_tag`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ProjectTag {
    Table,
    ProjectId,
    Name,
}

/// Table `config_register`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ConfigRegister {
    Table,
    Type,
    DomainId,
}

/// Table `whitelisted_config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum WhitelistedConfig {
    Table,
    DomainId,
    Group,
    Option,
    Value,
}

/// Table `sensitive_config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum SensitiveConfig {
    Table,
    DomainId,
    Group,
    Option,
    Value,
}
