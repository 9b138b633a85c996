//! Access rules by themselves: they stay when the credential that they were made for goes, and another may name them.

use super::{AccessRule, ApplicationCredentials, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::id::UserId;
use crate::list::{Filter, ListQuery, Page};

impl ApplicationCredentials {
    /// The rules of a user, and the filters that are left to the caller.
    pub async fn list_access_rules(
        &self,
        _: &Allowed,
        user: &UserId,
        query: &ListQuery,
    ) -> Result<(Page<AccessRule>, Vec<Filter>)> {
        sql::list_access_rules(&self.foundation.db, user, query).await
    }

    /// The rule of this id, or 404, also if it is another user's.
    pub async fn require_access_rule(&self, _: &Allowed, user: &UserId, id: &str) -> Result<AccessRule> {
        let found = sql::get_access_rule(&self.foundation.db, id).await?;
        found.filter(|found| found.user_id == *user).map(|found| found.rule).ok_or_else(|| not_found(id))
    }

    /// Deletes a rule. 404 if there is none, also if it is another user's; 403 while a credential uses it.
    pub async fn delete_access_rule(&self, allowed: &Allowed, user: &UserId, id: &str) -> Result<()> {
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let found = sql::get_access_rule(&mut *tx, id).await?;
                    let found = found.filter(|found| found.user_id == *user).ok_or_else(|| not_found(id))?;
                    if sql::is_access_rule_used(&mut *tx, found.internal_id).await? {
                        return Err(Error::forbidden_open(format!(
                            "The access rule {id} cannot be deleted while an application credential uses it."
                        )));
                    }
                    sql::delete_access_rule(tx, found.internal_id).await
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("access_rule", "deleted", id, allowed));
        Ok(())
    }
}

impl AccessRule {
    /// Whether it allows this request to a service of this type
    /// (`keystonemiddleware.auth_token._path_matches`; what is not a wildcard stands for itself).
    pub fn allows(&self, service: &str, method: &str, path: &str) -> bool {
        self.service == service && self.method == method && matches(&pieces(&self.path), path)
    }
}

/// A piece of a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Piece {
    /// `{name}` or `*`: one character or more, no slash.
    Segment,
    /// `**`: anything.
    Anything,
    /// Itself.
    Literal(char),
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let (piece, taken) = match first {
            '*' if rest.starts_with("**") => (Some(Piece::Anything), 2),
            '*' => (Some(Piece::Segment), 1),
            '{' => match rest.find('}') {
                Some(end) => (Some(Piece::Segment), end + 1),
                None => (None, 1),
            },
            '}' => (None, 1),
            other => (Some(Piece::Literal(other)), other.len_utf8()),
        };
        pieces.extend(piece);
        rest = &rest[taken..];
    }
    pieces
}

/// Follows all ways through the pattern at once, so that many wildcards cost no more than one.
fn matches(pieces: &[Piece], path: &str) -> bool {
    // `reached[i]`: the path so far fits the first `i` pieces.
    let mut reached = vec![false; pieces.len() + 1];
    reached[0] = true;
    let skip_anything = |reached: &mut Vec<bool>| {
        for (i, piece) in pieces.iter().enumerate() {
            if *piece == Piece::Anything && reached[i] {
                reached[i + 1] = true;
            }
        }
    };
    skip_anything(&mut reached);
    for c in path.chars() {
        let mut next = vec![false; pieces.len() + 1];
        for (i, piece) in pieces.iter().enumerate() {
            let fits = match piece {
                Piece::Segment => c != '/',
                Piece::Anything => true,
                Piece::Literal(wanted) => *wanted == c,
            };
            // A wildcard goes on after its first character.
            let goes_on = !matches!(piece, Piece::Literal(_)) && reached[i + 1];
            if fits && (reached[i] || goes_on) {
                next[i + 1] = true;
            }
        }
        skip_anything(&mut next);
        reached = next;
    }
    reached[pieces.len()]
}

pub(super) fn not_found(id: &str) -> Error {
    Error::not_found("access rule", id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_a_segment_or_anything() {
        for (pattern, path, fits) in [
            ("/v3/users", "/v3/users", true),
            ("/v3/users", "/v3/users/", false),
            ("/v3/*", "/v3/users", true),
            ("/v3/*", "/v3/users/x", false),
            ("/v3/*", "/v3/", false),
            ("/v3/**", "/v3/users/x", true),
            ("/v3/**", "/v3/", true),
            ("/v3/{kind}/x", "/v3/users/x", true),
            ("/v3/{kind}/x", "/v3//x", false),
            ("/v3/u*s", "/v3/users", true),
            ("/v3/***", "/v3/a/b", true),
            ("/v3/***", "/v3/", false),
            ("/v3/{open", "/v3/open", true),
            ("/v3.1", "/v3x1", false),
            ("**/x", "/a/b/x", true),
            ("", "", true),
            ("", "/", false),
        ] {
            assert_eq!(matches(&pieces(pattern), path), fits, "{pattern} {path}");
        }
    }

    #[test]
    fn a_rule_is_for_one_service_and_one_method() {
        let rule =
            AccessRule { id: "r".into(), service: "identity".into(), path: "/v3/users".into(), method: "GET".into() };
        assert!(rule.allows("identity", "GET", "/v3/users"));
        assert!(!rule.allows("compute", "GET", "/v3/users"));
        assert!(!rule.allows("identity", "HEAD", "/v3/users"));
    }
}
