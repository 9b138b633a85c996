//! The `templated` catalog: regions, services and endpoints of a file, which is read again when it changes. Nobody
//! changes them by the API: 501, and the same for what would narrow a project's catalog.
//!
//! **Invariant:** a broken file never takes effect. What was read last and made sense stays in force, and the error is
//! logged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use oslo_config::Origin;

use super::rendered::CatalogTables;
use super::template_file::{self, Remark, TemplateFile, Values};
use super::{Catalog, Endpoint, Region, Service};
use crate::config::{CatalogDriver, Config, Level, Problem, Warning};
use crate::error::{Error, Result};
use crate::freshness::Ref;
use crate::id::{EndpointId, RegionId, ServiceId};
use crate::list::{Filter, ListQuery, Page};

/// How often it is looked whether the file has changed.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// The port of the service where `[archstone] listen` does not say otherwise.
const DEFAULT_PORT: u16 = 5000;

/// What a file says, and what catalogs are made of it.
#[derive(Debug)]
pub(super) struct Contents {
    regions: Vec<Region>,
    services: Vec<Service>,
    endpoints: Vec<Endpoint>,
    pub(super) tables: Arc<CatalogTables>,
}

/// A file, as it was last read.
#[derive(Debug)]
pub(super) struct Templated {
    contents: RwLock<Arc<Contents>>,
    /// The text that was last looked at, or why there was none.
    seen: Mutex<Result<String, String>>,
}

/// What is to be said about the file of a `templated` catalog, each with its line; nothing for another driver.
pub fn check_template_file(config: &Config) -> (Vec<Problem>, Vec<Warning>) {
    if config.catalog.driver != CatalogDriver::Templated {
        return (Vec::new(), Vec::new());
    }
    match read(config) {
        Ok((path, text)) => {
            let (_, remarks) = template_file::parse(&text, &values(config));
            split(&path, &remarks)
        }
        Err(text) => {
            let origin = config.origin("catalog", "template_file");
            (vec![Problem::new(&origin, format!("[catalog] template_file {text}"))], Vec::new())
        }
    }
}

fn split(path: &Path, remarks: &[Remark]) -> (Vec<Problem>, Vec<Warning>) {
    let (mut problems, mut warnings) = (Vec::new(), Vec::new());
    for remark in remarks {
        let origin = Origin::File { path: path.display().to_string().into(), line: remark.line };
        if remark.is_problem {
            problems.push(Problem::new(&origin, remark.text.as_str()));
        } else {
            warnings.push(Warning::new(&origin, Level::Warning, remark.text.as_str()));
        }
    }
    (problems, warnings)
}

fn read(config: &Config) -> Result<(PathBuf, String), String> {
    let name = &config.catalog.template_file;
    let path = config.find_file(name).ok_or_else(|| format!("{}: is missing", name.display()))?;
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((path, text))
}

fn values(config: &Config) -> Values<'_> {
    let listen = config.archstone.listen.first();
    let port = listen.and_then(|address| address.rsplit_once(':')).and_then(|(_, port)| port.parse().ok());
    Values { public_endpoint: config.default.public_endpoint.as_deref(), port: port.unwrap_or(DEFAULT_PORT) }
}

impl Templated {
    /// Reads the file that the configuration names.
    pub(super) fn open(config: &Config) -> Result<Templated> {
        let cannot = |text: String| Error::internal(format!("reading the catalog: {text}"));
        let (path, text) = read(config).map_err(cannot)?;
        let contents = contents(config, &path, &text).map_err(cannot)?;
        Ok(Templated { contents: RwLock::new(Arc::new(contents)), seen: Mutex::new(Ok(text)) })
    }

    /// What is in force.
    pub(super) fn contents(&self) -> Arc<Contents> {
        Arc::clone(&self.contents.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the file again; whether something new is in force. Reads the file system.
    fn reload_if_changed(&self, config: &Config) -> bool {
        let now = read(config);
        let text = now.as_ref().map(|(_, text)| text.clone()).map_err(Clone::clone);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == text {
            return false;
        }
        *seen = text;
        drop(seen);
        match now.and_then(|(path, text)| contents(config, &path, &text)) {
            Ok(contents) => {
                *self.contents.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(contents);
                tracing::info!("catalog reloaded");
                true
            }
            Err(error) => {
                tracing::error!("catalog not reloaded, what was read before stays in force: {error}");
                false
            }
        }
    }
}

/// Makes catalogs of a file; the error has all that stands in the way.
fn contents(config: &Config, path: &Path, text: &str) -> Result<Contents, String> {
    let (file, remarks) = template_file::parse(text, &values(config));
    let (problems, warnings) = split(path, &remarks);
    if !problems.is_empty() {
        return Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
    }
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let TemplateFile { regions, services, endpoints } = file;
    let tables = Arc::new(CatalogTables::of_file(&services, &endpoints));
    let endpoints = endpoints.into_iter().map(|(endpoint, _)| endpoint).collect();
    Ok(Contents { regions, services, endpoints, tables })
}

impl Contents {
    pub(super) fn region(&self, id: &RegionId) -> Option<Region> {
        self.regions.iter().find(|region| region.id == *id).cloned()
    }

    pub(super) fn service(&self, id: &ServiceId) -> Option<Service> {
        self.services.iter().find(|service| service.id == *id).cloned()
    }

    pub(super) fn endpoint(&self, id: &EndpointId) -> Option<Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.id == *id).cloned()
    }

    pub(super) fn regions(&self, query: &ListQuery) -> (Page<Region>, Vec<Filter>) {
        unfiltered(&self.regions, query)
    }

    pub(super) fn services(&self, query: &ListQuery) -> (Page<Service>, Vec<Filter>) {
        unfiltered(&self.services, query)
    }

    pub(super) fn endpoints(&self, query: &ListQuery) -> (Page<Endpoint>, Vec<Filter>) {
        unfiltered(&self.endpoints, query)
    }
}

/// All of them; the filters and the limit are left to the wire form.
fn unfiltered<T: Clone>(all: &[T], query: &ListQuery) -> (Page<T>, Vec<Filter>) {
    (Page::all(all.to_vec()), query.filters.clone())
}

impl Catalog {
    /// What the file says, if the catalog is one.
    pub(super) fn file(&self) -> Option<Arc<Contents>> {
        self.templated.as_ref().map(|file| file.contents())
    }

    /// Whether the catalog comes from a file, so that nobody changes it by the API.
    pub fn is_from_file(&self) -> bool {
        self.templated.is_some()
    }

    /// 501 where the catalog comes from a file.
    pub(super) fn check_stored(&self) -> Result<()> {
        if self.is_from_file() {
            return Err(Error::not_implemented(
                "The catalog is a file: it cannot be changed here, and has no endpoint groups and no associations.",
            ));
        }
        Ok(())
    }

    /// Looks once a second, for ever, whether the file has changed: to be spawned beside the server.
    pub(crate) async fn watch(self) {
        while self.is_from_file() {
            tokio::time::sleep(WATCH_EVERY).await;
            self.reload_if_changed().await;
        }
    }

    /// Reads the file again; whether something new is in force.
    pub(super) async fn reload_if_changed(&self) -> bool {
        let Some(file) = self.templated.clone() else { return false };
        let config = Arc::clone(&self.foundation.config);
        match tokio::task::spawn_blocking(move || file.reload_if_changed(&config)).await {
            Ok(true) => {
                // What is in memory was made of the file before.
                self.foundation.freshness.touch_here(Ref::Catalog);
                true
            }
            Ok(false) => false,
            Err(error) => {
                tracing::error!(%error, "watching the catalog's file failed: {error}");
                false
            }
        }
    }
}
