//! A whole policy: defaults and files merged, every rule compiled, and the decision.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::check::{Check, Evaluation, RuleId, compile};
use crate::expr::Expr;
use crate::file::RuleFile;
use crate::graph::{self, MAX_DEPTH};
use crate::parse::parse_text;
use crate::problem::{Problem, ProblemKind, nearest};
use crate::remote::RemoteCheck;

/// What a token is good for. A token without any scope counts as a project's, as in the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScopeType {
    /// The whole deployment.
    System,
    /// One domain.
    Domain,
    /// One project, or nothing.
    Project,
}

/// A rule that the program itself brings along.
#[derive(Debug, Clone)]
pub struct RuleDefault {
    /// The name, such as `identity:get_user`.
    pub name: String,
    /// The text of the rule.
    pub check: String,
    /// The scopes a token may have for this operation; empty if any will do.
    pub scopes: Vec<ScopeType>,
    /// The rule that this one replaced.
    pub deprecated: Option<DeprecatedRule>,
}

/// The form that a default had in earlier releases.
#[derive(Debug, Clone)]
pub struct DeprecatedRule {
    /// The earlier name; usually the same.
    pub name: String,
    /// The earlier text.
    pub check: String,
}

/// The options of `[oslo_policy]` that change what rules mean.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether the earlier form of a default no longer counts. If not, whoever it allows is allowed too.
    pub enforce_new_defaults: bool,
    /// The rule that stands in for one that does not exist, if a file defines it.
    pub default_rule: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { enforce_new_defaults: true, default_rule: "default".to_owned() }
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Go ahead.
    Allowed,
    /// The rule does not hold, or does not exist.
    Denied,
    /// The operation is not meant for tokens of this scope. Keystone answers 403 as for `Denied`.
    WrongScope,
    /// A remote server has to be asked; evaluate again with its reply.
    NeedsRemote(Box<RemoteCheck>),
}

/// Compiled rules.
#[derive(Debug)]
pub struct Policy {
    checks: Vec<Check>,
    ids: HashMap<String, RuleId>,
    scopes: HashMap<String, Vec<ScopeType>>,
    fallback: Option<RuleId>,
}

/// A rule in effect before it is compiled.
struct Source<'a> {
    name: &'a str,
    expr: Expr,
    origin: Option<&'a str>,
}

impl Policy {
    /// Merges and compiles. A later file overrides an earlier one, any file overrides a default. Never fails: what
    /// makes no sense denies, and is named in the problems.
    pub fn build(defaults: &[RuleDefault], files: &[RuleFile], options: &Options) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let sources = merge(defaults, files, options, &mut problems);
        let ids: HashMap<String, RuleId> =
            sources.iter().enumerate().map(|(id, source)| (source.name.to_owned(), id)).collect();
        let fallback = ids.get(&options.default_rule).copied();
        let resolve = |name: &str| ids.get(name).copied().or(fallback);

        report_references(&sources, &ids, &mut problems);
        report_unknown_names(&sources, defaults, files, options, &mut problems);

        let mut checks: Vec<Check> = sources
            .iter()
            .map(|source| {
                let mut faults = Vec::new();
                let check = compile(&source.expr, &resolve, &mut faults);
                problems.extend(faults.into_iter().map(|fault| source.problem(ProblemKind::Malformed(fault))));
                check
            })
            .collect();
        for cut in graph::cut_loops(&mut checks) {
            let Some(source) = sources.get(cut.rule) else { continue };
            let name = sources.get(cut.reference).map(|s| s.name.to_owned()).unwrap_or_default();
            let kind = if cut.cyclic { ProblemKind::Cycle { name } } else { ProblemKind::TooDeep { name } };
            problems.push(source.problem(kind));
        }
        debug_assert!(graph::depth(&checks) <= MAX_DEPTH, "the depth of evaluation is bounded");

        let scopes = defaults.iter().map(|default| (default.name.clone(), default.scopes.clone())).collect();
        (Self { checks, ids, scopes, fallback }, problems)
    }

    /// Decides one request.
    ///
    /// `credentials` are the attributes of the token (`user_id`, `roles`, `domain_id`, `token.project.id` …),
    /// `target` those of what is operated on, nested or under dotted names. `replies` holds what remote servers
    /// answered so far, by URL; empty to begin with.
    pub fn decide(
        &self,
        rule: &str,
        credentials: &Map<String, Value>,
        target: &Map<String, Value>,
        scope: ScopeType,
        replies: &HashMap<String, bool>,
    ) -> Decision {
        let Some(check) = self.ids.get(rule).copied().or(self.fallback).and_then(|id| self.checks.get(id)) else {
            return Decision::Denied;
        };
        if self.scopes.get(rule).is_some_and(|allowed| !allowed.is_empty() && !allowed.contains(&scope)) {
            return Decision::WrongScope;
        }
        match Evaluation::new(&self.checks, rule, credentials, target, replies).holds(check, false) {
            Ok(true) => Decision::Allowed,
            Ok(false) => Decision::Denied,
            Err(remote) => Decision::NeedsRemote(remote),
        }
    }

    /// Whether the rule of this name is nothing but `@` or empty: it lets everybody in.
    pub fn is_open(&self, name: &str) -> bool {
        self.ids.get(name).and_then(|id| self.checks.get(*id)).is_some_and(|check| matches!(check, Check::Always))
    }

    /// Whether nothing of the target counts for this rule but whether its attribute `key` (`target.user.id`) equals the
    /// credential `credential`: then the answer is the same for all targets in which the two differ.
    pub fn compares_only(&self, rule: &str, key: &str, credential: &str) -> bool {
        let Some(id) = self.ids.get(rule).copied().or(self.fallback) else { return true };
        let (mut left, mut seen) = (vec![id], HashSet::new());
        while let Some(id) = left.pop() {
            let is_new = seen.insert(id);
            let check = self.checks.get(id);
            if is_new && !check.is_none_or(|check| check.compares_only(key, credential, &mut left)) {
                return false;
            }
        }
        true
    }

    /// Whether a rule of this name exists, built in or from a file.
    pub fn has_rule(&self, name: &str) -> bool {
        self.ids.contains_key(name)
    }
}

impl Source<'_> {
    fn problem(&self, kind: ProblemKind) -> Problem {
        Problem { origin: self.origin.map(str::to_owned), rule: Some(self.name.to_owned()), kind }
    }
}

/// The rules in effect: those of the files, and the defaults that no file overrides.
fn merge<'a>(
    defaults: &'a [RuleDefault],
    files: &'a [RuleFile],
    options: &Options,
    problems: &mut Vec<Problem>,
) -> Vec<Source<'a>> {
    let by_name: HashMap<&str, &RuleDefault> = defaults.iter().map(|d| (d.name.as_str(), d)).collect();
    let mut sources: Vec<Source<'a>> = Vec::new();
    let mut overridden: HashMap<&str, usize> = HashMap::new();
    for file in files {
        let origin = Some(file.origin.as_str());
        problems.extend(file.faults.iter().map(|fault| Problem {
            origin: Some(file.origin.clone()),
            rule: None,
            kind: ProblemKind::Malformed(fault.clone()),
        }));
        for rule in &file.rules {
            let source = Source { name: &rule.name, expr: rule.parsed.expr.clone(), origin };
            problems.extend(rule.parsed.faults.iter().map(|f| source.problem(ProblemKind::Malformed(f.clone()))));
            if by_name
                .get(source.name)
                .is_some_and(|d| parse_text(&d.check).expr.to_string() == source.expr.to_string())
            {
                problems.push(source.problem(ProblemKind::Redundant));
            }
            if let Some(&at) = overridden.get(source.name) {
                sources[at] = source;
            } else {
                overridden.insert(source.name, sources.len());
                sources.push(source);
            }
        }
    }
    for default in defaults {
        let parsed = parse_text(&default.check);
        let mut source = Source { name: &default.name, expr: parsed.expr, origin: None };
        problems.extend(parsed.faults.into_iter().map(|fault| source.problem(ProblemKind::Malformed(fault))));
        if let Some(deprecated) = &default.deprecated {
            let earlier_override = (deprecated.name != default.name)
                .then(|| overridden.get(deprecated.name.as_str()))
                .flatten()
                .map(|&at| &sources[at]);
            if let Some(earlier) = earlier_override {
                problems.push(earlier.problem(ProblemKind::Renamed { to: default.name.clone() }));
            }
            source.expr = with_deprecated(source.expr, default, deprecated, earlier_override, options);
        }
        if !overridden.contains_key(default.name.as_str()) {
            sources.push(source);
        }
    }
    sources
}

/// What a default means that replaced another: an override of the earlier name still counts, and so does the
/// earlier default until the new ones are enforced.
fn with_deprecated(
    current: Expr,
    default: &RuleDefault,
    deprecated: &DeprecatedRule,
    earlier_override: Option<&Source<'_>>,
    options: &Options,
) -> Expr {
    let earlier = parse_text(&deprecated.check).expr;
    if let Some(source) = earlier_override
        && source.expr != earlier
        && source.expr != Expr::Rule(default.name.clone())
    {
        return source.expr.clone();
    }
    if !options.enforce_new_defaults && deprecated.check != default.check {
        return Expr::Or(vec![current, earlier]);
    }
    current
}

fn report_references(sources: &[Source<'_>], ids: &HashMap<String, RuleId>, problems: &mut Vec<Problem>) {
    for source in sources {
        for name in source.expr.references() {
            if !ids.contains_key(name) {
                problems.push(source.problem(ProblemKind::UndefinedReference {
                    name: name.to_owned(),
                    nearest: nearest(name, ids.keys().map(String::as_str)),
                }));
            }
        }
    }
}

fn report_unknown_names(
    sources: &[Source<'_>],
    defaults: &[RuleDefault],
    files: &[RuleFile],
    options: &Options,
    problems: &mut Vec<Problem>,
) {
    let mut known: HashSet<&str> = HashSet::from([options.default_rule.as_str()]);
    for default in defaults {
        known.insert(&default.name);
        known.extend(default.deprecated.as_ref().map(|deprecated| deprecated.name.as_str()));
    }
    let referenced: HashSet<&str> = sources.iter().flat_map(|source| source.expr.references()).collect();
    for file in files {
        for rule in &file.rules {
            if !known.contains(rule.name.as_str()) && !referenced.contains(rule.name.as_str()) {
                problems.push(Problem {
                    origin: Some(file.origin.clone()),
                    rule: Some(rule.name.clone()),
                    kind: ProblemKind::UnknownName { nearest: nearest(&rule.name, known.iter().copied()) },
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn default_rule(name: &str, check: &str) -> RuleDefault {
        RuleDefault { name: name.to_owned(), check: check.to_owned(), scopes: Vec::new(), deprecated: None }
    }

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn build(defaults: &[RuleDefault], files: &[&str], options: &Options) -> (Policy, Vec<String>) {
        let files: Vec<RuleFile> =
            files.iter().enumerate().map(|(n, text)| RuleFile::parse(&format!("file{n}"), text).unwrap()).collect();
        let (policy, problems) = Policy::build(defaults, &files, options);
        (policy, problems.iter().map(ToString::to_string).collect())
    }

    /// Whether the rule named `a` of this file allows.
    fn allows(file: &str, credentials: &Value, target: &Value) -> bool {
        let (policy, _) = build(&[], &[file], &Options::default());
        let replies = HashMap::new();
        policy.decide("a", &map(credentials), &map(target), ScopeType::Project, &replies) == Decision::Allowed
    }

    fn allowed(policy: &Policy, rule: &str, roles: &[&str]) -> bool {
        let credentials = map(&json!({"roles": roles}));
        policy.decide(rule, &credentials, &Map::new(), ScopeType::Project, &HashMap::new()) == Decision::Allowed
    }

    #[test]
    fn a_rule_tells_what_of_the_target_counts() {
        let compares_only = |file: &str| {
            let (policy, _) = build(&[], &[file], &Options::default());
            policy.compares_only("a", "target.user.id", "user_id")
        };
        for file in [
            "a: '@'",
            "b: '!'",
            "a: role:reader and system_scope:all or user_id:%(target.user.id)s",
            "a: not rule:b\nb: rule:c or is_admin:1\nc: user_id:%(target.user.id)s",
            "a: \"'x':x\"",
        ] {
            assert!(compares_only(file), "{file}");
        }
        for file in [
            "a: project_id:%(target.project.id)s",
            "a: user_id:%(target.user.id)s or project_id:%(target.user.id)s",
            "a: token.user.id:%(target.user.id)s",
            "a: user_id:x%(target.user.id)s",
            "a: \"'x':%(target.user.id)s\"",
            "a: role:%(target.user.id)s",
            "a: role:admin and rule:b\nb: domain_id:%(target.user.domain_id)s",
            "a: http://remote/%(target.user.id)s",
            "a: http://remote/",
            "a: 2fa:%(target.user.domain_id)s",
        ] {
            assert!(!compares_only(file), "{file}");
        }
    }

    #[test]
    fn roles_match_without_regard_to_case() {
        let credentials = json!({"roles": ["Admin", "ÜBER"]});
        assert!(allows("a: role:aDMIN", &credentials, &json!({})));
        assert!(allows("a: role:über", &credentials, &json!({})));
        assert!(allows("a: role:%(role.name)s", &credentials, &json!({"role.name": "admin"})));
        assert!(!allows("a: role:%(role.name)s", &credentials, &json!({})));
        assert!(!allows("a: role:member", &credentials, &json!({})));
        assert!(!allows("a: role:admin", &json!({}), &json!({})));
    }

    #[test]
    fn credentials_are_found_through_objects_and_lists() {
        let credentials = json!({"user_id": "u", "token": {"project": {"id": 5}, "groups": [{"id": "g1"}, {"id": "g2"}]},
            "tags": ["x", "y"], "enabled": true});
        for (rule, target) in [
            ("user_id:%(user_id)s", json!({"user_id": "u"})),
            ("token.project.id:%(target.project.id)s", json!({"target": {"project": {"id": "5"}}})),
            ("token.groups.id:g2", json!({})),
            ("tags:y", json!({})),
            ("enabled:True", json!({})),
            ("True:%(on)s", json!({"on": true})),
            ("'member':%(target.role.name)s", json!({"target.role.name": "member"})),
            ("None:%(target.role.domain_id)s", json!({"target": {"role": {"domain_id": null}}})),
        ] {
            assert!(allows(&format!("a: \"{rule}\""), &credentials, &target), "{rule}");
            assert!(!allows(&format!("a: \"{rule}\""), &json!({}), &json!({})), "{rule}");
        }
    }

    #[test]
    fn absent_attributes_match_nothing() {
        assert!(!allows("a: user_id:%(user_id)s", &json!({"user_id": "u"}), &json!({})));
        assert!(!allows("a: None:%(user_id)s", &json!({}), &json!({})));
        assert!(!allows("a: domain_id:None", &json!({}), &json!({})));
    }

    /// lp:2138295: a project's token has a null domain, and so has a domain's own row.
    #[test]
    fn lp_2138295_null_never_equals_null() {
        let token = json!({"domain_id": null, "roles": ["none"]});
        let root = json!({"target": {"project": {"domain_id": null}}});
        assert!(!allows("a: domain_id:%(target.project.domain_id)s", &token, &root));
        assert!(!allows("a: role:%(target.project.domain_id)s", &token, &root));
        assert!(!allows("a: domain_id:%(name)s", &token, &json!({"name": "None"})));
        assert!(!allows("a: name:%(target.project.domain_id)s", &json!({"name": "None"}), &root));
        // A literal None is meant.
        assert!(allows("a: domain_id:None", &token, &json!({})));
        assert!(!allows("a: not domain_id:None", &token, &json!({})));
        // Negation must not turn the strict answer into a lax one.
        assert!(!allows("a: not domain_id:%(target.project.domain_id)s", &token, &root));
    }

    #[test]
    fn checks_that_cannot_be_evaluated_deny_even_when_negated() {
        for check in ["2fa:x", "user_id:%(x", "user_id:100%", "user_id.x:y", "rule:a", "domain_id.id:y"] {
            let credentials = json!({"user_id": "u", "domain_id": null, "roles": []});
            assert!(!allows(&format!("a: \"{check}\""), &credentials, &json!({})), "{check}");
            assert!(!allows(&format!("a: \"not {check}\""), &credentials, &json!({})), "{check}");
        }
    }

    #[test]
    fn cycles_deny_and_are_reported_by_name() {
        let (policy, problems) =
            build(&[], &["a: role:admin or rule:b\nb: rule:c\nc: rule:a\nd: rule:a"], &Options::default());
        assert!(allowed(&policy, "d", &["admin"]));
        assert!(!allowed(&policy, "d", &["member"]));
        let cycles: Vec<_> = problems.iter().filter(|problem| problem.contains("leads back")).collect();
        assert_eq!(cycles.len(), 3, "{problems:?}");
    }

    #[test]
    fn rules_that_fan_out_end() {
        let mut rules: Vec<String> = (0..60).map(|n| format!("r{n}: rule:r{0} and rule:r{0}", n + 1)).collect();
        rules.push("r60: '@'".to_owned());
        let (policy, _) = build(&[], &[&rules.join("\n")], &Options::default());
        assert!(!allowed(&policy, "r0", &[]));
    }

    #[test]
    fn undefined_references_deny_and_suggest() {
        let (policy, problems) = build(
            &[default_rule("admin_required", "role:admin"), default_rule("identity:get_user", "@")],
            &["identity:get_user: rule:admin_requird\nidentity:get_usr: '@'"],
            &Options::default(),
        );
        assert!(!allowed(&policy, "identity:get_user", &["admin"]));
        assert_eq!(
            problems,
            [
                "file0: identity:get_user: rule:admin_requird refers to a rule that does not exist, so it denies; did \
                 you mean admin_required?",
                "file0: identity:get_usr: no operation has this name and no rule refers to it, so it has no effect; \
                 did you mean identity:get_user?",
            ]
        );
    }

    #[test]
    fn default_rule_stands_in_if_a_file_defines_it() {
        let (policy, _) = build(&[], &["default: role:admin\na: rule:absent"], &Options::default());
        assert!(allowed(&policy, "a", &["admin"]));
        assert!(allowed(&policy, "anything", &["admin"]));
        assert!(!allowed(&policy, "anything", &["member"]));
        let (policy, _) = build(&[], &["a: rule:absent"], &Options::default());
        assert!(!allowed(&policy, "anything", &["admin"]));
    }

    #[test]
    fn later_files_override_earlier_ones() {
        let defaults = [default_rule("a", "role:admin")];
        let (policy, problems) =
            build(&defaults, &["a: role:member\nb: '@'\nc: rule:b", "a: role:reader"], &Options::default());
        assert!(allowed(&policy, "a", &["reader"]) && !allowed(&policy, "a", &["member"]));
        assert_eq!(problems, ["file0: c: no operation has this name and no rule refers to it, so it has no effect"]);
    }

    #[test]
    fn scope_is_enforced_for_overridden_rules_too() {
        let defaults = [RuleDefault { scopes: vec![ScopeType::System], ..default_rule("a", "!") }];
        let (policy, _) = build(&defaults, &["a: '@'"], &Options::default());
        let decide = |scope| policy.decide("a", &Map::new(), &Map::new(), scope, &HashMap::new());
        assert_eq!(decide(ScopeType::System), Decision::Allowed);
        assert_eq!(decide(ScopeType::Project), Decision::WrongScope);
        assert_eq!(decide(ScopeType::Domain), Decision::WrongScope);
    }

    #[test]
    fn earlier_defaults_count_until_new_ones_are_enforced() {
        let defaults = [RuleDefault {
            deprecated: Some(DeprecatedRule { name: "a".to_owned(), check: "role:old".to_owned() }),
            ..default_rule("a", "role:new")
        }];
        let lenient = Options { enforce_new_defaults: false, ..Options::default() };
        assert!(!allowed(&build(&defaults, &[], &Options::default()).0, "a", &["old"]));
        assert!(allowed(&build(&defaults, &[], &lenient).0, "a", &["old"]));
        assert!(allowed(&build(&defaults, &[], &lenient).0, "a", &["new"]));
        // An override replaces both.
        assert!(!allowed(&build(&defaults, &["a: role:mine"], &lenient).0, "a", &["old"]));
    }

    #[test]
    fn override_of_an_earlier_name_still_counts() {
        let defaults = [RuleDefault {
            deprecated: Some(DeprecatedRule { name: "old".to_owned(), check: "role:old".to_owned() }),
            ..default_rule("new", "role:new")
        }];
        let (policy, problems) = build(&defaults, &["old: role:mine"], &Options::default());
        assert!(allowed(&policy, "new", &["mine"]) && !allowed(&policy, "new", &["new"]));
        assert_eq!(problems, ["file0: old: the name is out of date; use new"]);
        // The sample file's alias changes nothing, nor does the earlier default.
        for text in ["old: rule:new", "old: role:old"] {
            assert!(allowed(&build(&defaults, &[text], &Options::default()).0, "new", &["new"]), "{text}");
        }
        // An override of the new name wins.
        let (policy, _) = build(&defaults, &["old: role:mine\nnew: role:best"], &Options::default());
        assert!(allowed(&policy, "new", &["best"]) && !allowed(&policy, "new", &["mine"]));
    }

    #[test]
    fn remote_servers_are_asked_once_per_url() {
        let (policy, _) = build(&[], &["a: role:admin or (http://h/%(id)s and not https://h/b)"], &Options::default());
        let credentials = map(&json!({"roles": []}));
        let target = map(&json!({"id": "7", "nested": {"x": 1}}));
        let mut replies = HashMap::new();
        let mut asked = Vec::new();
        let decision = loop {
            match policy.decide("a", &credentials, &target, ScopeType::Project, &replies) {
                Decision::NeedsRemote(check) => {
                    assert_eq!(check.rule, "a");
                    assert_eq!(check.target, map(&json!({"id": "7", "nested.x": 1})));
                    replies.insert(check.url.clone(), check.url.starts_with("http:"));
                    asked.push(check.url);
                }
                decision => break decision,
            }
        };
        assert_eq!((decision, asked), (Decision::Allowed, vec!["http://h/7".to_owned(), "https://h/b".to_owned()]));
        assert!(!allows("a: http://h/%(absent)s", &json!({}), &json!({})));
        assert!(!allows("a: not http://h/%(absent)s", &json!({}), &json!({})));
    }
}
