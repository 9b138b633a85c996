//! The writes: what each asks of a node, and what it makes of a cell.

use http::{HeaderValue, Method};
use serde_json::{Value, json};

use super::cell::{Cell, Facts, GROUP_ROLE, Token};
use super::world::World;

/// A write to one cell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Operation {
    Revoke(u32),
    EnableUser(bool),
    EnableProject(bool),
    EnableDomain(bool),
    PasswordByAdmin,
    OwnPassword,
    GiveRole(usize),
    TakeRole(usize),
    GiveGroupRole(bool),
    JoinGroup(bool),
    RenameUser,
    RenameProject,
    DeleteUser,
    DeleteProject,
}

/// A request, and the status of the reply when it is done.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) subject: Option<HeaderValue>,
    pub(super) status: u16,
}

impl Asked {
    pub(super) fn new(method: Method, path: String, body: Option<Value>, status: u16) -> Self {
        Self { method, path, body, subject: None, status }
    }
}

pub(super) fn password(number: u32) -> String {
    format!("password-{number}")
}

impl Operation {
    /// All that make sense now; those that open what is closed come more often when something is.
    pub(super) fn sensible(facts: &Facts, tokens: &[Token]) -> Vec<Self> {
        let mut all = Vec::new();
        let mut opening = Vec::new();
        let mut toggle = |on: bool, operation: fn(bool) -> Self| {
            if on {
                all.push(operation(false));
            } else {
                opening.push(operation(true));
            }
        };
        toggle(facts.user_enabled, Self::EnableUser);
        // A project of a disabled domain cannot be enabled.
        if facts.project_enabled || facts.domain_enabled {
            toggle(facts.project_enabled, Self::EnableProject);
        }
        toggle(facts.domain_enabled, Self::EnableDomain);
        toggle(facts.group_role, Self::GiveGroupRole);
        toggle(facts.in_group, Self::JoinGroup);
        for role in 0..GROUP_ROLE {
            if facts.own_roles.contains(&role) {
                all.push(Self::TakeRole(role));
            } else {
                opening.push(Self::GiveRole(role));
            }
        }
        all.extend([Self::RenameUser, Self::RenameProject, Self::PasswordByAdmin]);
        if facts.user_enabled && facts.domain_enabled {
            all.push(Self::OwnPassword);
        }
        if facts.can_log_in() {
            all.extend(tokens.iter().filter(|token| facts.lives(token.serial)).map(|token| Self::Revoke(token.serial)));
        }
        for _ in 0..if facts.can_log_in() { 1 } else { 12 } {
            all.extend(opening.iter().cloned());
        }
        all
    }

    /// The writes that it takes until the user can have a token.
    pub(super) fn opening(facts: &Facts) -> Option<Self> {
        if !facts.domain_enabled {
            Some(Self::EnableDomain(true))
        } else if !facts.user_enabled {
            Some(Self::EnableUser(true))
        } else if !facts.project_enabled {
            Some(Self::EnableProject(true))
        } else if facts.roles().is_empty() {
            Some(Self::GiveRole(0))
        } else {
            None
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Revoke(_) => "revoke a token",
            Self::EnableUser(true) => "enable a user",
            Self::EnableUser(false) => "disable a user",
            Self::EnableProject(true) => "enable a project",
            Self::EnableProject(false) => "disable a project",
            Self::EnableDomain(true) => "enable a domain",
            Self::EnableDomain(false) => "disable a domain",
            Self::PasswordByAdmin => "set a password",
            Self::OwnPassword => "change one's own password",
            Self::GiveRole(_) => "give a role",
            Self::TakeRole(_) => "take a role",
            Self::GiveGroupRole(true) => "give a group a role",
            Self::GiveGroupRole(false) => "take a group's role",
            Self::JoinGroup(true) => "put a user into a group",
            Self::JoinGroup(false) => "take a user out of a group",
            Self::RenameUser => "rename a user",
            Self::RenameProject => "rename a project",
            Self::DeleteUser => "delete a user",
            Self::DeleteProject => "delete a project",
        }
    }

    /// Whether all tokens that the user has are ended for ever.
    pub(super) fn ends_all_tokens(&self) -> bool {
        matches!(self, Self::EnableUser(false) | Self::PasswordByAdmin | Self::OwnPassword | Self::JoinGroup(false))
    }

    /// The cell afterwards.
    pub(super) fn applied(&self, before: &Facts) -> Facts {
        let mut facts = before.clone();
        match self {
            Self::Revoke(serial) => {
                facts.revoked.insert(*serial);
            }
            Self::EnableUser(enabled) => facts.user_enabled = *enabled,
            Self::EnableProject(enabled) => facts.project_enabled = *enabled,
            Self::EnableDomain(enabled) => facts.domain_enabled = *enabled,
            Self::PasswordByAdmin | Self::OwnPassword => facts.password += 1,
            Self::GiveRole(role) => {
                facts.own_roles.insert(*role);
            }
            Self::TakeRole(role) => {
                facts.own_roles.remove(role);
            }
            Self::GiveGroupRole(given) => facts.group_role = *given,
            Self::JoinGroup(joined) => facts.in_group = *joined,
            Self::RenameUser => facts.user_name += 1,
            Self::RenameProject => facts.project_name += 1,
            Self::DeleteUser | Self::DeleteProject => facts.gone = true,
        }
        if self.ends_all_tokens() {
            facts.dead_below = facts.next_serial;
        }
        facts
    }

    /// What it asks of a node, for a cell with these facts.
    pub(super) fn asked(&self, world: &World, cell: &Cell, facts: &Facts) -> Asked {
        let Cell { domain_id, project_id, user_id, group_id, label, .. } = cell;
        let user = |change: Value| {
            Asked::new(Method::PATCH, format!("/users/{user_id}"), Some(json!({ "user": change })), 200)
        };
        let project = |change: Value| {
            Asked::new(Method::PATCH, format!("/projects/{project_id}"), Some(json!({ "project": change })), 200)
        };
        let put =
            |there: bool, path: String| Asked::new(if there { Method::PUT } else { Method::DELETE }, path, None, 204);
        let after = self.applied(facts);
        match self {
            Self::Revoke(serial) => Asked {
                subject: cell.tokens().into_iter().find(|token| token.serial == *serial).map(|token| token.text),
                ..put(false, "/auth/tokens".to_owned())
            },
            Self::EnableUser(enabled) => user(json!({ "enabled": enabled })),
            Self::EnableProject(enabled) => project(json!({ "enabled": enabled })),
            Self::EnableDomain(enabled) => {
                let change = json!({"domain": {"enabled": enabled}});
                Asked::new(Method::PATCH, format!("/domains/{domain_id}"), Some(change), 200)
            }
            Self::PasswordByAdmin => user(json!({"password": password(after.password)})),
            Self::OwnPassword => {
                let change = json!({"user": {
                    "original_password": password(facts.password), "password": password(after.password),
                }});
                Asked::new(Method::POST, format!("/users/{user_id}/password"), Some(change), 204)
            }
            Self::GiveRole(role) | Self::TakeRole(role) => {
                let role_id = &world.role_ids[*role];
                let given = matches!(self, Self::GiveRole(_));
                put(given, format!("/projects/{project_id}/users/{user_id}/roles/{role_id}"))
            }
            Self::GiveGroupRole(given) => {
                let role_id = &world.role_ids[GROUP_ROLE];
                put(*given, format!("/projects/{project_id}/groups/{group_id}/roles/{role_id}"))
            }
            Self::JoinGroup(joined) => put(*joined, format!("/groups/{group_id}/users/{user_id}")),
            Self::RenameUser => user(json!({"name": format!("{label}-{}", after.user_name)})),
            Self::RenameProject => project(json!({"name": format!("{label}-{}", after.project_name)})),
            Self::DeleteUser => put(false, format!("/users/{user_id}")),
            Self::DeleteProject => put(false, format!("/projects/{project_id}")),
        }
    }
}
