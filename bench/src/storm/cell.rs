//! One user with a domain, a project, a group and some tokens of its own, and what a validation of each must say.
//!
//! **Invariant:** one writer changes a cell, one write at a time; anybody validates its tokens.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::HeaderValue;

use super::history::History;

/// A user and what belongs to it.
pub(super) struct Cell {
    /// For reports.
    pub(super) label: String,
    pub(super) domain_id: String,
    pub(super) project_id: String,
    pub(super) user_id: String,
    pub(super) group_id: String,
    history: Mutex<History<Facts>>,
    tokens: Mutex<Vec<Token>>,
    /// A write was not answered: nobody can say any more what is right.
    lost: AtomicBool,
}

/// A token of the cell's user on the cell's project.
#[derive(Clone)]
pub(super) struct Token {
    /// Counted in the cell.
    pub(super) serial: u32,
    pub(super) text: HeaderValue,
}

/// All that decides what a validation says, but for what all cells have in common.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the API, and any combination occurs")]
pub(super) struct Facts {
    pub(super) domain_enabled: bool,
    pub(super) project_enabled: bool,
    pub(super) user_enabled: bool,
    /// The user's own roles on the project, of [`super::world::ROLES`].
    pub(super) own_roles: BTreeSet<usize>,
    /// Whether the group has its role on the project, and the user is in it.
    pub(super) group_role: bool,
    pub(super) in_group: bool,
    /// The names have these numbers.
    pub(super) user_name: u32,
    pub(super) project_name: u32,
    pub(super) password: u32,
    /// Tokens with lower serials were ended all together.
    pub(super) dead_below: u32,
    /// Tokens that were ended one by one.
    pub(super) revoked: BTreeSet<u32>,
    /// The next token's.
    pub(super) next_serial: u32,
    /// The user or the project was deleted.
    pub(super) gone: bool,
}

/// What a validation says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    Refused,
    Valid { user_name: u32, project_name: u32, roles: BTreeSet<usize> },
}

/// The role that the group has.
pub(super) const GROUP_ROLE: usize = 2;

impl Facts {
    pub(super) fn new() -> Self {
        Self {
            domain_enabled: true,
            project_enabled: true,
            user_enabled: true,
            own_roles: BTreeSet::from([0, 1]),
            group_role: true,
            in_group: true,
            user_name: 0,
            project_name: 0,
            password: 0,
            dead_below: 0,
            revoked: BTreeSet::new(),
            next_serial: 0,
            gone: false,
        }
    }

    pub(super) fn roles(&self) -> BTreeSet<usize> {
        let mut roles = self.own_roles.clone();
        if self.group_role && self.in_group {
            roles.insert(GROUP_ROLE);
        }
        roles
    }

    /// Whether the user can have a token.
    pub(super) fn can_log_in(&self) -> bool {
        self.domain_enabled && self.project_enabled && self.user_enabled && !self.gone && !self.roles().is_empty()
    }

    /// Whether no write has ended this token for ever.
    pub(super) fn lives(&self, serial: u32) -> bool {
        serial >= self.dead_below && !self.revoked.contains(&serial)
    }

    pub(super) fn outcome(&self, serial: u32) -> Outcome {
        if !self.can_log_in() || !self.lives(serial) {
            return Outcome::Refused;
        }
        Outcome::Valid { user_name: self.user_name, project_name: self.project_name, roles: self.roles() }
    }
}

/// How many tokens of a cell are validated; the oldest are dead for long.
const TOKENS: usize = 6;

impl Cell {
    pub(super) fn new(label: String, [domain_id, project_id, user_id, group_id]: [String; 4]) -> Self {
        Self {
            label,
            domain_id,
            project_id,
            user_id,
            group_id,
            history: Mutex::new(History::new(Facts::new(), "made")),
            tokens: Mutex::new(Vec::new()),
            lost: AtomicBool::new(false),
        }
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History<Facts>> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn facts(&self) -> Facts {
        self.history().newest().clone()
    }

    pub(super) fn tokens(&self) -> Vec<Token> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn add_token(&self, token: Token) {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.push(token);
        if tokens.len() > TOKENS {
            tokens.remove(0);
        }
    }

    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::SeqCst)
    }
}
