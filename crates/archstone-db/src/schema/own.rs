//! Our own tables beside the reference's, and our own indexes on those: forward-only, with a version of their own.
//!
//! Python Keystone's Alembic knows nothing of them and leaves them alone.

use super::indexes;
use crate::Dialect;

/// The newest version; each step of [`migrations`] makes the next.
pub(crate) const VERSION: u32 = 4;

/// What brings a database from `version - 1` to `version`, for each version from 1 on.
pub(crate) fn migrations(dialect: Dialect) -> [&'static str; VERSION as usize] {
    match dialect {
        Dialect::Sqlite => [SQLITE_1, FOREIGN_CLOCK, LOGINS, indexes::SQLITE],
        Dialect::MySql => [MYSQL_1, FOREIGN_CLOCK, MYSQL_LOGINS, indexes::MYSQL],
        Dialect::Postgres => [POSTGRESQL_1, FOREIGN_CLOCK, LOGINS, indexes::POSTGRESQL],
    }
}

// Version 1: the clock. A tick's changes are numbered by `seq`; `at` is the database's time, for pruning.

const SQLITE_1: &str = "
CREATE TABLE archstone_version (version INTEGER NOT NULL PRIMARY KEY);
CREATE TABLE archstone_clock (
    writer VARCHAR(64) NOT NULL PRIMARY KEY,
    tick BIGINT NOT NULL
);
CREATE TABLE archstone_change (
    writer VARCHAR(64) NOT NULL,
    tick BIGINT NOT NULL,
    seq INTEGER NOT NULL,
    kind VARCHAR(32) NOT NULL,
    ref VARCHAR(255) NOT NULL,
    at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (writer, tick, seq)
);
CREATE INDEX ix_archstone_change_at ON archstone_change (at);
";

// Compared byte by byte, whatever the database's default.
const MYSQL_1: &str = "
CREATE TABLE archstone_version (version int NOT NULL PRIMARY KEY) ENGINE=InnoDB;
CREATE TABLE archstone_clock (
    writer varchar(64) NOT NULL PRIMARY KEY,
    tick bigint NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE archstone_change (
    writer varchar(64) NOT NULL,
    tick bigint NOT NULL,
    seq int NOT NULL,
    kind varchar(32) NOT NULL,
    ref varchar(255) NOT NULL,
    at datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (writer, tick, seq),
    KEY ix_archstone_change_at (at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
";

const POSTGRESQL_1: &str = "
CREATE TABLE archstone_version (version integer NOT NULL PRIMARY KEY);
CREATE TABLE archstone_clock (
    writer varchar(64) NOT NULL PRIMARY KEY,
    tick bigint NOT NULL
);
CREATE TABLE archstone_change (
    writer varchar(64) NOT NULL,
    tick bigint NOT NULL,
    seq integer NOT NULL,
    kind varchar(32) NOT NULL,
    ref varchar(255) NOT NULL,
    at timestamp NOT NULL DEFAULT (now() AT TIME ZONE 'utc'),
    PRIMARY KEY (writer, tick, seq)
);
CREATE INDEX ix_archstone_change_at ON archstone_change (at);
";

// Version 2: the ticks of writers who do not know the clock; see `triggers`. A row for each of its slots.

const FOREIGN_CLOCK: &str = "
CREATE TABLE archstone_foreign_clock (slot integer NOT NULL PRIMARY KEY, tick bigint NOT NULL);
INSERT INTO archstone_foreign_clock (slot, tick) VALUES (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0),
    (8, 0), (9, 0), (10, 0), (11, 0), (12, 0), (13, 0), (14, 0), (15, 0);
";

// Version 3: passcodes that were used, and failed logins by where they came from. Neither has a foreign key: rows are
// few, are looked for by their key only, and are deleted when they are too old to matter. `failed_at` is microseconds
// since 1970.

const LOGINS: &str = "
CREATE TABLE archstone_used_passcode (
    user_id VARCHAR(64) NOT NULL,
    step BIGINT NOT NULL,
    passcode VARCHAR(8) NOT NULL,
    PRIMARY KEY (user_id, step, passcode)
);
CREATE INDEX ix_archstone_used_passcode_step ON archstone_used_passcode (step);
CREATE TABLE archstone_failed_login (
    user_id VARCHAR(64) NOT NULL,
    factor VARCHAR(16) NOT NULL,
    network VARCHAR(64) NOT NULL,
    failures BIGINT NOT NULL,
    failed_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, factor, network)
);
CREATE INDEX ix_archstone_failed_login_failed_at ON archstone_failed_login (failed_at);
";

const MYSQL_LOGINS: &str = "
CREATE TABLE archstone_used_passcode (
    user_id varchar(64) NOT NULL,
    step bigint NOT NULL,
    passcode varchar(8) NOT NULL,
    PRIMARY KEY (user_id, step, passcode),
    KEY ix_archstone_used_passcode_step (step)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
CREATE TABLE archstone_failed_login (
    user_id varchar(64) NOT NULL,
    factor varchar(16) NOT NULL,
    network varchar(64) NOT NULL,
    failures bigint NOT NULL,
    failed_at bigint NOT NULL,
    PRIMARY KEY (user_id, factor, network),
    KEY ix_archstone_failed_login_failed_at (failed_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;
";
