//! Queries of roles and assignments.

mod effective;
mod grant;
mod listing;
mod role;

pub(super) use effective::{
    AssignedRow, ProjectInTree, assigned_on_domain, assigned_on_project, assigned_on_system, assigned_on_system_to,
    assigned_to, direct_targets,
};
pub(super) use grant::{
    delete_grant, delete_grants_of_role, granted_role_ids, has_grant, insert_grant, user_projects_of_role,
};
pub(super) use listing::{
    Actors, AssignmentFilter, GrantKind, Targets, list_assignments, list_assignments_part, list_some_assignments,
    list_system_assignments, list_targets,
};
pub(super) use role::{
    delete_implied_role, delete_role, get_role, get_role_by_name, get_roles, has_implied_role, hold_role,
    insert_implied_role, insert_role, list_roles, list_roles_of_names, load_role_graph, take_role, update_role,
};

/// What stands in `role.domain_id` of a global role: the column is part of a unique key, where null would not do.
pub(super) const NO_DOMAIN: &str = "<<null>>";

/// The native enumeration of PostgreSQL that `assignment.type` is.
const ASSIGNMENT_TYPE: &str = "type";

/// What stands in `system_assignment.target_id`.
const SYSTEM: &str = "system";

/// How many ids go into one `IN (…)`.
const CHUNK: usize = 500;
