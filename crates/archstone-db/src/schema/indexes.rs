//! Indexes of our own on the reference's tables, for questions that its own indexes cannot answer: without them a list
//! of who has a role in one project reads all assignments of the cloud, and on SQLite and PostgreSQL each login all
//! passwords.
//!
//! They change no column and no constraint, so that Python Keystone runs on them as before, and its own questions become
//! faster too. By their names they can be told apart.

/// On SQLite and PostgreSQL a foreign key has no index by itself. `$target` are the columns by which assignments on a
/// target are found.
macro_rules! indexes {
    ($target:literal) => {
        concat!("CREATE INDEX IF NOT EXISTS ix_archstone_assignment_target ON assignment (", $target, ");", indexes!())
    };
    () => {
        "
CREATE INDEX IF NOT EXISTS ix_archstone_local_user_name ON local_user (name);
CREATE INDEX IF NOT EXISTS ix_archstone_federated_user_name ON federated_user (display_name);
CREATE INDEX IF NOT EXISTS ix_archstone_project_name ON project (name);
CREATE INDEX IF NOT EXISTS ix_archstone_group_name ON \"group\" (name);
CREATE INDEX IF NOT EXISTS ix_archstone_project_tag_name ON project_tag (name);
CREATE INDEX IF NOT EXISTS ix_archstone_credential_user ON credential (user_id);
CREATE INDEX IF NOT EXISTS ix_archstone_trust_trustee ON trust (trustee_user_id);
CREATE INDEX IF NOT EXISTS ix_archstone_user_domain ON \"user\" (domain_id, id);
CREATE INDEX IF NOT EXISTS ix_archstone_password_local_user ON password (local_user_id);
CREATE INDEX IF NOT EXISTS ix_archstone_federated_user_user ON federated_user (user_id);
CREATE INDEX IF NOT EXISTS ix_archstone_project_parent ON project (parent_id);
CREATE INDEX IF NOT EXISTS ix_archstone_endpoint_region ON endpoint (region_id);
CREATE INDEX IF NOT EXISTS ix_archstone_expiring_membership_group ON expiring_user_group_membership (group_id);
CREATE INDEX IF NOT EXISTS ix_archstone_implied_role_implied ON implied_role (implied_role_id);
"
    };
}

/// All columns: otherwise SQLite, which knows nothing of how many rows there are, takes the primary key, by the type
/// alone, because that has them all.
pub(super) const SQLITE: &str = indexes!("target_id, type, actor_id, role_id, inherited");

pub(super) const POSTGRESQL: &str = indexes!("target_id");

/// MySQL commits each, and a creation that was interrupted goes on: what is there is left.
macro_rules! mysql_index {
    ($(($name:literal, $table:literal, $column:literal)),* $(,)?) => {
        concat!($(
            "SET @archstone_index = IF((SELECT COUNT(*) FROM information_schema.statistics \
              WHERE table_schema = DATABASE() AND index_name = '", $name, "') = 0, \
              'CREATE INDEX ", $name, " ON `", $table, "` (", $column, ")', 'DO 0');\n\
             PREPARE archstone_index FROM @archstone_index;\n\
             EXECUTE archstone_index;\n\
             DEALLOCATE PREPARE archstone_index;\n",
        )*)
    };
}

/// There each foreign key has an index.
pub(super) const MYSQL: &str = mysql_index![
    ("ix_archstone_assignment_target", "assignment", "target_id"),
    ("ix_archstone_local_user_name", "local_user", "name"),
    ("ix_archstone_federated_user_name", "federated_user", "display_name"),
    ("ix_archstone_project_name", "project", "name"),
    ("ix_archstone_group_name", "group", "name"),
    ("ix_archstone_project_tag_name", "project_tag", "name"),
    ("ix_archstone_credential_user", "credential", "user_id"),
    ("ix_archstone_trust_trustee", "trust", "trustee_user_id"),
];
