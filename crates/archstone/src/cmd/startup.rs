//! From a command line to open doors: configuration, database, schema, policy.
//!
//! **Invariant:** what is wrong with the configuration is said all at once, before anything starts.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use archstone_core::Core;
use archstone_core::authz::Authorizer;
use archstone_core::authz::policy::{Policy, PolicySettings, log_problems};
use archstone_core::catalog::check_template_file;
use archstone_core::config::{self, Config, Given, Level, Problem, Warning};
use archstone_core::error::Error;
use archstone_core::events::Events;
use archstone_core::foundation::Foundation;
use archstone_core::freshness::Freshness;
use archstone_core::time::TimeSource;
use archstone_db::{ConnectOptions, Db, SqlUrl, schema};

use super::ConfigArgs;
use crate::http::RemotePolicy;

/// What stops a command, in words for the operator; several lines if there are several things to say.
pub(crate) struct Refusal(pub(crate) String);

impl Refusal {
    /// Says it, and how the command ends.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("{}", self.0);
        ExitCode::FAILURE
    }
}

impl<E: std::error::Error> From<E> for Refusal {
    fn from(error: E) -> Refusal {
        Refusal(error.to_string())
    }
}

/// Reads the configuration that the command line names, starts logging, and logs its warnings.
pub(crate) fn load_config(args: &ConfigArgs) -> Result<Config, Refusal> {
    started(args, Config::load(&given(args)))
}

/// As [`load_config`], for a server: what is missing on disk is said together with what is wrong in the files.
pub(crate) fn load_server_config(args: &ConfigArgs) -> Result<Config, Refusal> {
    let mut examined = Config::examine(&given(args));
    let (problems, warnings) = check_environment(&examined.config);
    examined.problems.extend(problems);
    examined.warnings.extend(warnings);
    started(args, examined.finish())
}

/// What is to be said about the things on disk that a configuration names.
pub(crate) fn check_environment(config: &Config) -> (Vec<Problem>, Vec<Warning>) {
    let mut problems = config::check_environment(config);
    let (in_catalog, warnings) = check_template_file(config);
    problems.extend(in_catalog);
    (problems, warnings)
}

fn started(args: &ConfigArgs, loaded: Result<(Config, Vec<Warning>), Vec<Problem>>) -> Result<Config, Refusal> {
    let (config, warnings) = loaded.map_err(|problems| all_problems(&problems))?;
    start_logging(config.default.debug || args.debug);
    for warning in warnings {
        match warning.level {
            Level::Warning => tracing::warn!("{warning}"),
            Level::Note => tracing::info!("{warning}"),
        }
    }
    Ok(config)
}

/// The files and variables that the command line and the environment name.
pub(crate) fn given(args: &ConfigArgs) -> Given {
    Given::read(&args.named, "archstone", &environment())
}

/// The environment as text; what is not text names no option.
#[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// All problems as one text.
pub(crate) fn all_problems(problems: &[Problem]) -> Refusal {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Refusal(lines.join("\n"))
}

/// Logs to standard error, a line each.
pub(crate) fn start_logging(debug: bool) {
    use tracing_subscriber::EnvFilter;
    let level = if debug { "debug,hyper=info,h2=info,sqlx=info,rustls=info" } else { "info,sqlx=warn" };
    let filter = EnvFilter::try_from_env("ARCHSTONE_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // A second start in one process (tests) keeps the first.
    drop(subscriber.try_init());
}

/// Connects to the database that the configuration names.
pub(crate) async fn connect(config: &Config) -> Result<Db, Refusal> {
    let Some(url) = &config.database.connection else {
        return Err(Refusal(
            "[database] connection is not set: name the database, for example sqlite:////var/lib/archstone/db.sqlite"
                .to_owned(),
        ));
    };
    let mut text = url.expose().to_owned();
    if let Some(parameters) = &config.database.connection_parameters {
        text.push(if text.contains('?') { '&' } else { '?' });
        text.push_str(parameters);
    }
    let url = SqlUrl::parse(&text)?;
    for parameter in url.unknown_parameters() {
        tracing::warn!("[database] connection: the parameter {parameter} is not known and has no effect");
    }
    Ok(Db::connect(&url, &connect_options(config)).await?)
}

fn connect_options(config: &Config) -> ConnectOptions {
    let database = &config.database;
    let defaults = ConnectOptions::default();
    let seconds = Duration::from_secs;
    let overflow = u32::try_from(database.max_overflow.unwrap_or(50)).unwrap_or(1000);
    let retries = |count: i64| u32::try_from(count).ok();
    ConnectOptions {
        max_connections: match database.max_pool_size {
            Some(0) => 1000,
            size => size.unwrap_or(5).saturating_add(overflow),
        },
        acquire_timeout: database.pool_timeout.map_or(defaults.acquire_timeout, seconds),
        connection_recycle_time: u64::try_from(database.connection_recycle_time).ok().map(seconds),
        max_retries: retries(database.max_retries),
        retry_interval: seconds(database.retry_interval),
        write_retries: retries(database.db_max_retries).unwrap_or(u32::MAX),
        mysql_sql_mode: database.mysql_sql_mode.clone().filter(|mode| !mode.is_empty()),
        mysql_wsrep_sync_wait: database.mysql_wsrep_sync_wait.and_then(|wait| u32::try_from(wait).ok()),
        sqlite_synchronous: database.sqlite_synchronous,
        ..defaults
    }
}

/// Opens everything: the environment is checked, the database connected and of the right schema, the policy read.
pub(crate) async fn open(config: Config) -> Result<Arc<Core>, Refusal> {
    let (problems, _) = check_environment(&config);
    if !problems.is_empty() {
        return Err(all_problems(&problems));
    }
    let db = connect(&config).await?;
    Box::pin(open_on(config, db)).await
}

/// As [`open`], on a database that is connected already.
pub(crate) async fn open_on(config: Config, db: Db) -> Result<Arc<Core>, Refusal> {
    schema::check(&db).await?.require_current()?;
    let policy = load_policy(&config)?;
    let remote = RemotePolicy::new(&config.oslo_policy).map_err(|error| Refusal(error.to_string()))?;
    let seconds = |option: &str, value: f64| {
        Duration::try_from_secs_f64(value).map_err(|error| Refusal(format!("{option}: {error}")))
    };
    let bound = seconds("[archstone] foreign_write_bound", config.archstone.foreign_write_bound)?;
    let stale = seconds("[cache] serve_stale_for", config.cache.serve_stale_for)?;
    let foundation = Foundation {
        freshness: Freshness::serving_stale(db.clone(), bound, stale),
        db,
        time: TimeSource::system(),
        events: Events::default(),
        authorizer: Arc::new(Authorizer::new(policy, Some(Arc::new(remote)))),
        config: Arc::new(config),
    };
    let refusal = |error: Error| Refusal(error.detail_text().to_owned());
    let core = Core::new(foundation).map_err(refusal)?;
    core.limit.check_tree_depth().await.map_err(refusal)?;
    Ok(Arc::new(core))
}

/// Reads the policy files; what is wrong with them is logged by name, and denies.
pub(crate) fn load_policy(config: &Config) -> Result<Arc<Policy>, Refusal> {
    let (policy, problems) = Policy::load(PolicySettings::from_config(config))?;
    log_problems(&problems);
    Ok(Arc::new(policy))
}

/// The runtime of a command: all cores for a server, one thread for the rest.
pub(crate) fn runtime(workers: Option<usize>) -> Result<tokio::runtime::Runtime, Refusal> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers.and_then(NonZeroUsize::new) {
        builder.worker_threads(workers.get());
    }
    Ok(builder.enable_all().build()?)
}
