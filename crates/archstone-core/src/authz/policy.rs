//! Keystone's policy: the default rules, the operator's files on top, reloaded when they change.
//!
//! **Invariant:** a broken file never takes effect. The rules that were read last and made sense stay in force, and
//! the error is logged.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use oslo_policy::{DeprecatedRule, RuleDefault, RuleFile};
use serde_json::{Map, Value};
use tracing::{error, info, warn};

use crate::config::Config;

pub use oslo_policy::{
    Decision, FileError, Options, Problem, RemoteCheck, RemoteContentType, ScopeType, Severity, is_allowed,
};

/// The rules of Keystone 30.0.0, one per line: name, check, scopes, deprecated name and check, since when,
/// whether deprecated for removal, operations.
const DEFAULTS: &str = include_str!("policies.tsv");

/// How often [`Policy::watch`] looks at the files.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Where the operator's rules are, and how they are read: section `[oslo_policy]`.
#[derive(Debug, Clone, Default)]
pub struct PolicySettings {
    /// `policy_file`: the places where it may be. The first that exists counts; there may be none.
    pub file: Vec<PathBuf>,
    /// `policy_dirs`, each with the places where it may be: every file in them, in the order of names, overrides
    /// what was read before. Hidden files and directories that do not exist are passed over.
    pub dirs: Vec<Vec<PathBuf>>,
    /// What changes the meaning of rules.
    pub options: Options,
}

impl PolicySettings {
    /// What `[oslo_policy]` says. Relative paths are looked for beside the configuration and in the usual places, each
    /// time anew: a file may come later.
    pub fn from_config(config: &Config) -> Self {
        let section = &config.oslo_policy;
        let places = |path: &PathBuf| -> Vec<PathBuf> {
            if path.is_absolute() {
                return vec![path.clone()];
            }
            config.search_dirs.iter().map(|dir| dir.join(path)).collect()
        };
        Self {
            file: places(&section.policy_file),
            dirs: section.policy_dirs.iter().map(places).collect(),
            options: Options {
                enforce_new_defaults: section.enforce_new_defaults,
                default_rule: section.policy_default_rule.clone(),
            },
        }
    }
}

/// A policy file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A file or directory cannot be read.
    #[error("reading policy from {path}: {source}")]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file is no YAML, or no mapping.
    #[error(transparent)]
    Malformed(#[from] FileError),
}

/// The rules in force.
#[derive(Debug)]
pub struct Policy {
    settings: PolicySettings,
    rules: RwLock<Arc<oslo_policy::Policy>>,
    /// What the files looked like when they were last read, or why that cannot be told.
    seen: Mutex<Result<Fingerprint, String>>,
}

/// What the files look like, in the order in which they are read.
type Fingerprint = Vec<FileStamp>;

/// What changes when a file does.
#[derive(Debug, PartialEq, Eq)]
struct FileStamp {
    path: PathBuf,
    modified: Option<SystemTime>,
    size: u64,
    inode: u64,
}

impl Policy {
    /// Reads the files and compiles all rules. The problems found are for the operator: a rule that makes no sense
    /// denies. An error is a file that cannot be read at all.
    pub fn load(settings: PolicySettings) -> Result<(Self, Vec<Problem>), PolicyError> {
        let fingerprint = fingerprint(&settings)?;
        let (rules, problems) = compile(&settings, &fingerprint)?;
        let policy = Self { settings, rules: RwLock::new(Arc::new(rules)), seen: Mutex::new(Ok(fingerprint)) };
        Ok((policy, problems))
    }

    /// The default rules alone.
    pub fn defaults_only() -> Self {
        let (rules, _) = oslo_policy::Policy::build(&default_rules(), &[], &Options::default());
        Self {
            settings: PolicySettings::default(),
            rules: RwLock::new(Arc::new(rules)),
            seen: Mutex::new(Ok(Fingerprint::new())),
        }
    }

    /// Decides a request by the rule of this name. A rule that needs a remote server answers
    /// [`Decision::NeedsRemote`]; see [`Policy::enforce_with`].
    ///
    /// `credentials` hold what the reference's rules can see of the token: `user_id`, `roles`, `project_id`,
    /// `domain_id`, `user_domain_id`, `project_domain_id` (null where there is none), `system_scope` and `system`
    /// (`all`), `token` (the token's body), `is_admin_project`. `target` may be nested or have dotted names.
    pub fn enforce(
        &self,
        rule: &str,
        credentials: &Map<String, Value>,
        target: &Map<String, Value>,
        scope: ScopeType,
    ) -> Decision {
        self.enforce_with(rule, credentials, target, scope, &HashMap::new())
    }

    /// As [`Policy::enforce`], with what remote servers answered so far, by URL.
    pub fn enforce_with(
        &self,
        rule: &str,
        credentials: &Map<String, Value>,
        target: &Map<String, Value>,
        scope: ScopeType,
        replies: &HashMap<String, bool>,
    ) -> Decision {
        self.rules().decide(rule, credentials, target, scope, replies)
    }

    /// Whether the rule of this name was overridden to let everybody in.
    pub fn is_open(&self, name: &str) -> bool {
        self.rules().is_open(name)
    }

    /// Whether nothing of the target counts for this rule but whether its attribute `key` equals the credential
    /// `credential`.
    pub fn compares_only(&self, rule: &str, key: &str, credential: &str) -> bool {
        self.rules().compares_only(rule, key, credential)
    }

    /// Whether a rule of this name exists.
    pub fn has_rule(&self, name: &str) -> bool {
        self.rules().has_rule(name)
    }

    /// The files that were read last, in their order.
    pub fn files(&self) -> Vec<PathBuf> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().flatten().map(|stamp| stamp.path.clone()).collect()
    }

    /// Reads the files again if one of them was changed, added or removed since; whether new rules took effect.
    /// Reads the file system, so not for the way of a request.
    pub fn reload_if_changed(&self) -> bool {
        let now = fingerprint(&self.settings).map_err(|error| error.to_string());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return false;
        }
        let compiled = match &now {
            Ok(files) => compile(&self.settings, files).map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        };
        *seen = now;
        drop(seen);
        match compiled {
            Ok((rules, problems)) => {
                log_problems(&problems);
                *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
                info!("policy reloaded");
                true
            }
            Err(error) => {
                error!("policy not reloaded, the rules read before stay in force: {error}");
                false
            }
        }
    }

    /// Looks for changes once a second, for ever: to be spawned beside the server.
    pub async fn watch(self: Arc<Self>) {
        let mut interval = tokio::time::interval(WATCH_EVERY);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let policy = Arc::clone(&self);
            if let Err(error) = tokio::task::spawn_blocking(move || policy.reload_if_changed()).await {
                error!(%error, "watching the policy files failed: {error}");
            }
        }
    }

    fn rules(&self) -> Arc<oslo_policy::Policy> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes each problem to the log, where the operator finds it.
pub fn log_problems(problems: &[Problem]) {
    for problem in problems {
        match problem.severity() {
            Severity::Error => warn!("policy: {problem}"),
            Severity::Note => info!("policy: {problem}"),
        }
    }
}

/// A default rule with the operations that ask for it, such as `GET /v3/users/{user_id}`.
#[derive(Debug, Clone)]
pub struct DocumentedRule {
    /// The rule.
    pub rule: RuleDefault,
    /// The operations; empty for rules that others refer to.
    pub operations: Vec<String>,
}

/// Keystone's default rules in the order of their names.
pub fn documented_rules() -> Vec<DocumentedRule> {
    DEFAULTS.lines().skip(1).map(documented_rule).collect()
}

fn default_rules() -> Vec<RuleDefault> {
    documented_rules().into_iter().map(|documented| documented.rule).collect()
}

fn documented_rule(line: &str) -> DocumentedRule {
    let fields: Vec<&str> = line.split('\t').collect();
    let field = |n: usize| fields.get(n).copied().unwrap_or_default();
    let split = |n: usize, separator: char| field(n).split(separator).filter(|item| !item.is_empty());
    let scopes = split(2, ',')
        .filter_map(|scope| match scope {
            "system" => Some(ScopeType::System),
            "domain" => Some(ScopeType::Domain),
            "project" => Some(ScopeType::Project),
            _ => None,
        })
        .collect();
    let deprecated =
        (!field(3).is_empty()).then(|| DeprecatedRule { name: field(3).to_owned(), check: field(4).to_owned() });
    DocumentedRule {
        rule: RuleDefault { name: field(0).to_owned(), check: field(1).to_owned(), scopes, deprecated },
        operations: split(7, ';').map(str::to_owned).collect(),
    }
}

fn compile(
    settings: &PolicySettings,
    fingerprint: &[FileStamp],
) -> Result<(oslo_policy::Policy, Vec<Problem>), PolicyError> {
    let mut files = Vec::new();
    for FileStamp { path, .. } in fingerprint {
        let text = fs::read_to_string(path).map_err(|source| unreadable(path, source))?;
        files.push(RuleFile::parse(&path.display().to_string(), &text)?);
    }
    Ok(oslo_policy::Policy::build(&default_rules(), &files, &settings.options))
}

/// The files that exist, in the order in which they are read.
fn fingerprint(settings: &PolicySettings) -> Result<Fingerprint, PolicyError> {
    let mut found = Fingerprint::new();
    for path in &settings.file {
        if let Some(stamp) = stamp(path)? {
            found.push(stamp);
            break;
        }
    }
    for places in &settings.dirs {
        let Some(dir) = places.iter().find(|dir| dir.exists()) else { continue };
        let entries = fs::read_dir(dir).map_err(|source| unreadable(dir, source))?;
        let mut paths = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| unreadable(dir, source))?;
            if !entry.file_name().to_string_lossy().starts_with('.') {
                paths.push(entry.path());
            }
        }
        paths.sort();
        for path in paths {
            found.extend(stamp(&path)?);
        }
    }
    Ok(found)
}

/// `None` for what does not exist or is a directory.
fn stamp(path: &Path) -> Result<Option<FileStamp>, PolicyError> {
    use std::os::unix::fs::MetadataExt;

    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(None),
        Ok(metadata) => Ok(Some(FileStamp {
            path: path.to_owned(),
            modified: metadata.modified().ok(),
            size: metadata.len(),
            inode: metadata.ino(),
        })),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(unreadable(path, source)),
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> PolicyError {
    PolicyError::Unreadable { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    fn settings(dir: &Path) -> PolicySettings {
        PolicySettings {
            file: vec![dir.join("absent/policy.yaml"), dir.join("policy.yaml")],
            dirs: vec![vec![dir.join("policy.d")]],
            ..PolicySettings::default()
        }
    }

    fn allows(policy: &Policy, rule: &str, role: &str) -> bool {
        let credentials = map(&json!({"user_id": "u", "roles": [role], "domain_id": null}));
        policy.enforce(rule, &credentials, &Map::new(), ScopeType::Project) == Decision::Allowed
    }

    #[test]
    fn defaults_are_sound() {
        let rules = default_rules();
        assert_eq!(rules.len(), 204);
        for enforce_new_defaults in [true, false] {
            let options = Options { enforce_new_defaults, ..Options::default() };
            let (_, problems) = oslo_policy::Policy::build(&rules, &[], &options);
            assert_eq!(problems, Vec::new());
        }
        assert!(
            documented_rules().iter().all(|rule| rule.operations.is_empty() != rule.rule.name.starts_with("identity:"))
        );
    }

    #[test]
    fn domain_manager_grants_only_lesser_roles_in_the_own_domain() {
        let policy = Policy::defaults_only();
        let manager = map(&json!({"user_id": "u", "roles": ["manager"], "domain_id": "d1", "project_id": null}));
        let decide = |domain: &str, role: &str| {
            let target = map(&json!({"target": {
                "user": {"domain_id": domain}, "project": {"domain_id": "d1"}, "role": {"name": role, "domain_id": null}
            }}));
            policy.enforce("identity:create_grant", &manager, &target, ScopeType::Domain)
        };
        assert_eq!(decide("d1", "member"), Decision::Allowed);
        assert_eq!(decide("d1", "admin"), Decision::Denied);
        assert_eq!(decide("d2", "member"), Decision::Denied);
    }

    #[test]
    fn scope_types_are_enforced() {
        let policy = Policy::defaults_only();
        let admin = map(&json!({"roles": ["admin"]}));
        let decide = |scope| policy.enforce("identity:create_domain", &admin, &Map::new(), scope);
        assert_eq!(decide(ScopeType::Project), Decision::Allowed);
        assert_eq!(decide(ScopeType::Domain), Decision::WrongScope);
    }

    /// The overrides of the golden recording `variant_policy_overrides`.
    #[test]
    fn overrides_of_the_golden_recording_are_sound() {
        let dir = tempfile::tempdir().unwrap();
        let rules = r#"
            "identity:get_region": "role:member"
            "identity:list_services": "role:member or project_id:%(project_id)s"
            "identity:list_trusts": ""
            "identity:list_users": "@"
            "identity:list_roles": "!"
            "identity:list_endpoints": "user_id:%(filter_attr.service_id)s"
            "identity:create_service": "role:admin and 'custom':%(request_body.service.type)s""#;
        fs::write(dir.path().join("policy.yaml"), rules).unwrap();
        let options = Options { enforce_new_defaults: false, ..Options::default() };
        let (policy, problems) = Policy::load(PolicySettings { options, ..settings(dir.path()) }).unwrap();
        assert_eq!(problems, Vec::new());
        assert!(allows(&policy, "identity:list_users", "nobody") && !allows(&policy, "identity:list_roles", "admin"));
        let admin = map(&json!({"roles": ["admin"]}));
        let create = |kind: &str| {
            let target = map(&json!({"request_body": {"service": {"type": kind}}}));
            policy.enforce("identity:create_service", &admin, &target, ScopeType::Project)
        };
        assert_eq!((create("custom"), create("compute")), (Decision::Allowed, Decision::Denied));
    }

    #[test]
    fn changed_files_take_effect_and_broken_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("policy.yaml");
        let (policy, problems) = Policy::load(settings(dir.path())).unwrap();
        assert_eq!(problems, Vec::new());
        assert!(!allows(&policy, "identity:list_services", "member"));
        assert!(!policy.reload_if_changed());

        fs::write(&file, "identity:list_services: role:member").unwrap();
        assert!(policy.reload_if_changed());
        assert!(allows(&policy, "identity:list_services", "member"));

        fs::write(&file, "identity:list_services: [").unwrap();
        assert!(!policy.reload_if_changed());
        assert!(allows(&policy, "identity:list_services", "member"));

        fs::remove_file(&file).unwrap();
        assert!(policy.reload_if_changed());
        assert!(!allows(&policy, "identity:list_services", "member"));
    }

    #[test]
    fn directories_override_the_file_in_the_order_of_names() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("policy.d/sub")).unwrap();
        for (name, role) in
            [("policy.yaml", "a"), ("policy.d/20.json", "c"), ("policy.d/10.yaml", "b"), ("policy.d/.30.yaml", "d")]
        {
            fs::write(dir.path().join(name), format!("{{\"identity:list_services\": \"role:{role}\"}}")).unwrap();
        }
        let (policy, _) = Policy::load(settings(dir.path())).unwrap();
        assert!(allows(&policy, "identity:list_services", "c"));
        assert!(!allows(&policy, "identity:list_services", "d"));
    }

    #[test]
    fn unusable_files_are_errors_at_start() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("policy.yaml"), "- no mapping").unwrap();
        let error = Policy::load(settings(dir.path())).unwrap_err();
        assert!(error.to_string().contains("policy.yaml"), "{error}");
    }
}
