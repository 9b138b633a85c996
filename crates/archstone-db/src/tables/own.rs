//! The tables that are not the reference's: Alembic's mark and our own.

use sea_query::Iden;

/// Table `alembic_version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum AlembicVersion {
    Table,
    VersionNum,
}

/// Table `archstone_version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ArchstoneVersion {
    Table,
    Version,
}

/// Table `archstone_clock`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ArchstoneClock {
    Table,
    Writer,
    Tick,
}

/// Table `archstone_change`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ArchstoneChange {
    Table,
    Writer,
    Tick,
    Seq,
    Kind,
    Ref,
    At,
}

/// Table `archstone_used_passcode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ArchstoneUsedPasscode {
    Table,
    UserId,
    Step,
    Passcode,
}

/// Table `archstone_failed_login`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Iden)]
pub enum ArchstoneFailedLogin {
    Table,
    UserId,
    Factor,
    Network,
    Failures,
    FailedAt,
}
