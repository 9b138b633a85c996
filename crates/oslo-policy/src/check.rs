//! Compiled checks, and their evaluation against a token and a target.
//!
//! **Invariant:** nothing equals nothing. Where the reference's answer rests on null being written `None` on both
//! sides of a comparison, the comparison counts against the caller, on whichever side of a `not` it stands. The same
//! holds for what makes the reference raise an exception (a check it cannot evaluate, recursion).

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::expr::Expr;
use crate::python::{Kind, read_kind, str_of};
use crate::remote::RemoteCheck;
use crate::template::Template;

/// Evaluation of one rule ends after this many checks: rules that refer to each other many times over could
/// otherwise take exponential time.
const MAX_STEPS: u32 = 100_000;

/// An index into the rules of a policy.
pub(crate) type RuleId = usize;

/// A check ready to be evaluated: names resolved, literals read, templates split.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    Always,
    Never,
    /// Cannot be evaluated: counts against the caller. The right side, if that can be read, has its say first: as in
    /// the reference, an absent attribute is no match, whatever it was to be compared with.
    Invalid(Option<Template>),
    Rule(RuleId),
    /// A role name without placeholders, in lower case.
    RoleName(String),
    RoleTemplate(Template),
    /// A literal compared with a template.
    Literal(String, Template),
    /// A credential compared with a template.
    Credential(Vec<String>, Template),
    Remote(Template),
    Not(Box<Check>),
    And(Vec<Check>),
    Or(Vec<Check>),
}

impl Check {
    /// Whether nothing of the target counts here but whether its attribute `key` equals the credential `credential`. The
    /// rules that it refers to are left to look at.
    pub(crate) fn compares_only(&self, key: &str, credential: &str, left: &mut Vec<RuleId>) -> bool {
        match self {
            Check::Always | Check::Never | Check::RoleName(_) | Check::Invalid(None) => true,
            Check::Rule(id) => {
                left.push(*id);
                true
            }
            Check::Not(inner) => inner.compares_only(key, credential, left),
            Check::And(items) | Check::Or(items) => items.iter().all(|item| item.compares_only(key, credential, left)),
            Check::Credential(path, template) => {
                template.is_literal() || (template.is_key(key) && path.iter().eq([credential]))
            }
            Check::RoleTemplate(template) | Check::Literal(_, template) | Check::Invalid(Some(template)) => {
                template.is_literal()
            }
            // What another server says may depend on anything.
            Check::Remote(_) => false,
        }
    }
}

/// Compiles a rule. `resolve` gives the index of a referenced rule, or `None` if it does not exist; what cannot be
/// compiled is added to `faults`.
pub(crate) fn compile(expr: &Expr, resolve: &dyn Fn(&str) -> Option<RuleId>, faults: &mut Vec<String>) -> Check {
    let mut all = |items: &[Expr]| items.iter().map(|item| compile(item, resolve, faults)).collect();
    match expr {
        Expr::And(items) => Check::And(all(items)),
        Expr::Or(items) => Check::Or(all(items)),
        Expr::Not(inner) => Check::Not(Box::new(compile(inner, resolve, faults))),
        Expr::Always => Check::Always,
        Expr::Never => Check::Never,
        Expr::Rule(name) => resolve(name).map_or(Check::Never, Check::Rule),
        Expr::Role(name) => match Template::parse(name) {
            Ok(Template::Literal(name)) => Check::RoleName(name.to_lowercase()),
            Ok(template) => Check::RoleTemplate(template),
            Err(fault) => invalid(expr, &fault, faults),
        },
        Expr::Remote(url) => match Template::parse(url) {
            Ok(template) => Check::Remote(template),
            Err(fault) => invalid(expr, &fault, faults),
        },
        Expr::Match { kind, text } => match (read_kind(kind), Template::parse(text)) {
            (_, Err(fault)) => invalid(expr, &fault, faults),
            (Kind::Invalid, Ok(template)) => {
                invalid(expr, "the left side is neither a credential nor a literal", faults);
                Check::Invalid(Some(template))
            }
            (Kind::Literal(literal), Ok(template)) => Check::Literal(literal, template),
            (Kind::Path(path), Ok(template)) => Check::Credential(path, template),
        },
    }
}

fn invalid(expr: &Expr, fault: &str, faults: &mut Vec<String>) -> Check {
    faults.push(format!("`{expr}` cannot be evaluated: {fault}; it denies"));
    Check::Invalid(None)
}

/// One evaluation: what the checks are compared with.
pub(crate) struct Evaluation<'a> {
    pub(crate) rules: &'a [Check],
    pub(crate) credentials: &'a Map<String, Value>,
    pub(crate) target: &'a Map<String, Value>,
    /// Replies of remote servers so far, by URL.
    pub(crate) replies: &'a HashMap<String, bool>,
    /// The rule that was asked for; remote servers are told it.
    pub(crate) rule: &'a str,
    pub(crate) steps: u32,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(
        rules: &'a [Check],
        rule: &'a str,
        credentials: &'a Map<String, Value>,
        target: &'a Map<String, Value>,
        replies: &'a HashMap<String, bool>,
    ) -> Self {
        Self { rules, credentials, target, replies, rule, steps: 0 }
    }

    /// Whether the check holds. `negated`: whether it stands under an odd number of `not`s, so that holding counts
    /// against the caller. The error names a remote server whose reply is needed first.
    pub(crate) fn holds(&mut self, check: &Check, negated: bool) -> Result<bool, Box<RemoteCheck>> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Ok(negated);
        }
        Ok(match check {
            Check::Always => true,
            Check::Never => false,
            Check::Invalid(template) => {
                negated && template.as_ref().is_none_or(|template| template.render(self.target).is_some())
            }
            Check::Rule(id) => match self.rules.get(*id) {
                Some(rule) => self.holds(rule, negated)?,
                None => negated,
            },
            Check::Not(inner) => !self.holds(inner, !negated)?,
            Check::And(items) => {
                for item in items {
                    if !self.holds(item, negated)? {
                        return Ok(false);
                    }
                }
                true
            }
            Check::Or(items) => {
                for item in items {
                    if self.holds(item, negated)? {
                        return Ok(true);
                    }
                }
                false
            }
            Check::RoleName(name) => self.has_role(name, negated),
            Check::RoleTemplate(template) => match template.render(self.target) {
                Some(name) => self.has_role(&name.text.to_lowercase(), negated) && (negated || !name.from_null),
                None => false,
            },
            Check::Literal(literal, template) => template.render(self.target).is_some_and(|text| text.text == *literal),
            Check::Credential(path, template) => self.credential_matches(path, template, negated),
            Check::Remote(template) => match template.render(self.target) {
                None => negated,
                Some(url) => match self.replies.get(&*url.text) {
                    Some(reply) => *reply,
                    None => return Err(Box::new(self.remote_check(url.text.into_owned()))),
                },
            },
        })
    }

    fn has_role(&self, lowered: &str, negated: bool) -> bool {
        match self.credentials.get("roles") {
            None => false,
            Some(Value::Array(roles)) => roles.iter().filter_map(Value::as_str).any(|role| {
                if role.is_ascii() { role.eq_ignore_ascii_case(lowered) } else { role.to_lowercase() == lowered }
            }),
            // The reference raises an exception.
            Some(_) => negated,
        }
    }

    fn credential_matches(&self, path: &[String], template: &Template, negated: bool) -> bool {
        let Some(text) = template.render(self.target) else { return false };
        let comparison =
            Comparison { text: &text.text, from_null: text.from_null, substituted: text.substituted, negated };
        let Some((first, rest)) = path.split_first() else { return negated };
        match self.credentials.get(first) {
            None => false,
            Some(value) => comparison.matches_below(value, rest),
        }
    }

    fn remote_check(&self, url: String) -> RemoteCheck {
        RemoteCheck {
            url,
            rule: self.rule.to_owned(),
            target: flatten(self.target),
            credentials: self.credentials.clone(),
        }
    }
}

struct Comparison<'a> {
    text: &'a str,
    from_null: bool,
    substituted: bool,
    negated: bool,
}

impl Comparison<'_> {
    /// Follows a path through a credential; a list on the way matches if one of its items does.
    fn matches_below(&self, value: &Value, path: &[String]) -> bool {
        if let Value::Array(items) = value {
            return items.iter().any(|item| self.matches_item(item, path));
        }
        self.matches_item(value, path)
    }

    fn matches_item(&self, value: &Value, path: &[String]) -> bool {
        match path.split_first() {
            None => self.equals(value),
            Some((step, rest)) => match value {
                Value::Object(map) => map.get(step).is_some_and(|next| self.matches_below(next, rest)),
                // The reference raises an exception: text, numbers and null have no members.
                _ => self.negated,
            },
        }
    }

    fn equals(&self, value: &Value) -> bool {
        let equal = self.text == str_of(value);
        let rests_on_null = self.from_null || (value.is_null() && self.substituted);
        equal && (self.negated || !rests_on_null)
    }
}

/// Nested objects to dotted names, as the reference does before it evaluates.
fn flatten(target: &Map<String, Value>) -> Map<String, Value> {
    fn add(prefix: &str, map: &Map<String, Value>, out: &mut Map<String, Value>) {
        for (key, value) in map {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                Value::Object(inner) => add(&name, inner, out),
                _ => {
                    out.insert(name, value.clone());
                }
            }
        }
    }
    let mut out = Map::new();
    add("", target, &mut out);
    out
}
