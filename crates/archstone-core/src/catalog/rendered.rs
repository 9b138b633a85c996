//! The catalog of a token (`keystone.catalog.backends.sql.Catalog.get_v3_catalog`): filling the tables in for a user and
//! a project, which is pure.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::url_template::UrlTemplate;
use super::{Endpoint, Service};
use crate::id::{EndpointId, RegionId, ServiceId};

pub use super::url_template::Substitutions;

/// A service of a catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogService {
    /// Its id.
    pub id: ServiceId,
    /// `compute`, `identity` …
    pub service_type: Option<String>,
    /// Its name; may be empty.
    pub name: String,
    /// Where it answers; may be empty.
    pub endpoints: Vec<CatalogEndpoint>,
}

/// An endpoint of a catalog.
#[derive(Clone, Debug, PartialEq)]
pub struct CatalogEndpoint {
    /// Its id.
    pub id: EndpointId,
    /// `public`, `internal` or `admin`.
    pub interface: String,
    /// Shown as `region_id` and as `region`.
    pub region_id: Option<RegionId>,
    /// The URL, with nothing left to fill in.
    pub url: String,
    /// What was added to the endpoint.
    pub extra: Map<String, Value>,
}

/// All enabled services with their endpoints, and whether any project is limited to some of them.
#[derive(Clone, Debug, Default)]
pub struct CatalogTables {
    services: Vec<(Service, Vec<PreparedEndpoint>)>,
    /// Endpoints that are in no catalog, for a URL that is malformed or a service that is disabled: an association with
    /// one still counts.
    unlisted: Vec<Endpoint>,
    /// Whether any project is associated with endpoints or groups of them, so that one must ask for each.
    pub(super) any_filter: bool,
    /// By what the catalogs of two tokens can differ.
    pub(super) differs_by: DiffersBy,
    /// `[endpoint_filter] return_all_endpoints_if_no_filter`.
    all_without_filter: bool,
}

/// What catalogs are made for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct DiffersBy {
    /// A URL names the project, or projects have endpoints of their own.
    pub(super) project: bool,
    /// A URL names the user.
    pub(super) user: bool,
}

#[derive(Clone, Debug)]
struct PreparedEndpoint {
    endpoint: Endpoint,
    url: UrlTemplate,
}

/// What a project's associations let it see.
#[derive(Clone, Debug, Default)]
pub struct ProjectFilter {
    /// The endpoints associated with the project.
    pub(super) endpoint_ids: HashSet<EndpointId>,
    /// The conditions of the endpoint groups associated with it: all of one group's must hold.
    pub(super) groups: Vec<Map<String, Value>>,
}

impl CatalogTables {
    pub(super) fn new(
        services: Vec<Service>,
        endpoints: Vec<Endpoint>,
        any_filter: bool,
        all_without_filter: bool,
    ) -> CatalogTables {
        let (services, unlisted) = prepare(services, endpoints);
        let any_url = |names: fn(&UrlTemplate) -> bool| {
            services.iter().flat_map(|(_, endpoints)| endpoints).any(|prepared| names(&prepared.url))
        };
        CatalogTables {
            differs_by: DiffersBy {
                project: any_filter || any_url(UrlTemplate::names_project),
                user: any_url(UrlTemplate::names_user),
            },
            services,
            unlisted,
            any_filter,
            all_without_filter,
        }
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let endpoints: usize = self.services.iter().map(|(_, endpoints)| 1 + endpoints.len()).sum();
        4096 + 1024 * (endpoints + self.unlisted.len())
    }
}

impl CatalogTables {
    /// What a file says. No project is limited to some of it.
    pub(super) fn of_file(services: &[Service], endpoints: &[(Endpoint, UrlTemplate)]) -> CatalogTables {
        let of = |service: &Service| {
            let own = endpoints.iter().filter(|(endpoint, _)| endpoint.service_id == service.id);
            own.map(|(endpoint, url)| PreparedEndpoint { endpoint: endpoint.clone(), url: url.clone() }).collect()
        };
        let any_url = |names: fn(&UrlTemplate) -> bool| endpoints.iter().any(|(_, url)| names(url));
        CatalogTables {
            differs_by: DiffersBy {
                project: any_url(UrlTemplate::names_project),
                user: any_url(UrlTemplate::names_user),
            },
            services: services.iter().map(|service| (service.clone(), of(service))).collect(),
            all_without_filter: true,
            ..CatalogTables::default()
        }
    }
}

type Listed = Vec<(Service, Vec<PreparedEndpoint>)>;

/// Puts endpoints to their services, and says which are left over.
fn prepare(services: Vec<Service>, endpoints: Vec<Endpoint>) -> (Listed, Vec<Endpoint>) {
    let mut prepared: Listed = services.into_iter().map(|service| (service, Vec::new())).collect();
    let place: HashMap<ServiceId, usize> =
        prepared.iter().enumerate().map(|(index, (service, _))| (service.id.clone(), index)).collect();
    let mut unlisted = Vec::new();
    for endpoint in endpoints {
        match (UrlTemplate::parse(&endpoint.url), place.get(&endpoint.service_id)) {
            (Ok(url), Some(&index)) => prepared[index].1.push(PreparedEndpoint { endpoint, url }),
            (Err(reason), Some(_)) => {
                tracing::warn!(
                    endpoint_id = %endpoint.id,
                    url = %endpoint.url,
                    reason,
                    "an endpoint is left out of the catalog: its URL is malformed"
                );
                unlisted.push(endpoint);
            }
            (_, None) => unlisted.push(endpoint),
        }
    }
    (prepared, unlisted)
}

/// The catalog for these values.
pub fn render(tables: &CatalogTables, filter: &ProjectFilter, values: &Substitutions<'_>) -> Vec<CatalogService> {
    let filtered = filter.applies(tables);
    if !filtered && !tables.all_without_filter {
        return Vec::new();
    }
    let mut out = Vec::with_capacity(tables.services.len());
    for (service, endpoints) in &tables.services {
        let shown: Vec<CatalogEndpoint> = endpoints
            .iter()
            .filter(|prepared| prepared.endpoint.enabled)
            .filter(|prepared| !filtered || filter.lets_see(&prepared.endpoint))
            .filter_map(|prepared| catalog_endpoint(prepared, values))
            .collect();
        // The reference keeps a service without endpoints, but not where associations limit the project.
        if !(filtered && shown.is_empty()) {
            out.push(CatalogService {
                id: service.id.clone(),
                service_type: service.service_type.clone(),
                name: service.name().to_owned(),
                endpoints: shown,
            });
        }
    }
    out
}

fn catalog_endpoint(prepared: &PreparedEndpoint, values: &Substitutions<'_>) -> Option<CatalogEndpoint> {
    let endpoint = &prepared.endpoint;
    Some(CatalogEndpoint {
        id: endpoint.id.clone(),
        interface: endpoint.interface.clone(),
        region_id: endpoint.region_id.clone(),
        url: prepared.url.fill(values)?,
        extra: endpoint.extra.clone(),
    })
}

impl ProjectFilter {
    /// What it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        300 + 128 * self.endpoint_ids.len() + 1024 * self.groups.len()
    }

    /// Whether it limits the project: it must name an endpoint that exists.
    fn applies(&self, tables: &CatalogTables) -> bool {
        let listed = tables.services.iter().flat_map(|(_, endpoints)| endpoints).map(|prepared| &prepared.endpoint);
        listed.chain(&tables.unlisted).any(|endpoint| self.lets_see(endpoint))
    }

    /// Whether it names this endpoint.
    pub(super) fn lets_see(&self, endpoint: &Endpoint) -> bool {
        self.endpoint_ids.contains(&endpoint.id) || self.groups.iter().any(|group| is_in_group(endpoint, group))
    }
}

/// Whether an endpoint has all that the filters of an endpoint group ask for.
pub(super) fn is_in_group(endpoint: &Endpoint, filters: &Map<String, Value>) -> bool {
    filters.iter().all(|(name, wanted)| match name.as_str() {
        "id" => *wanted == *endpoint.id,
        "interface" => *wanted == endpoint.interface,
        "service_id" => *wanted == *endpoint.service_id,
        "region_id" => *wanted == Value::from(endpoint.region_id.as_deref()),
        "url" => *wanted == endpoint.url,
        "enabled" => *wanted == endpoint.enabled,
        other => endpoint.extra.get(other) == Some(wanted),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const VALUES: Substitutions<'_> = Substitutions { project_id: Some("p"), user_id: "u", public_endpoint: None };

    fn endpoint(id: &str, url: &str, enabled: bool) -> Endpoint {
        Endpoint {
            id: id.into(),
            interface: "public".to_owned(),
            region_id: Some("r".into()),
            service_id: "s".into(),
            url: url.to_owned(),
            enabled,
            extra: Map::new(),
        }
    }

    fn tables(endpoints: Vec<Endpoint>, all_without_filter: bool) -> CatalogTables {
        let service = |id: &str| Service {
            id: id.into(),
            service_type: Some("compute".to_owned()),
            enabled: true,
            extra: Map::from_iter([("name".to_owned(), json!("nova"))]),
        };
        CatalogTables::new(vec![service("s"), service("empty")], endpoints, true, all_without_filter)
    }

    fn shown(tables: &CatalogTables, filter: &ProjectFilter) -> Vec<(String, Vec<String>)> {
        let ids = |service: CatalogService| {
            let endpoints = service.endpoints.iter().map(|endpoint| endpoint.id.to_string()).collect();
            (service.id.to_string(), endpoints)
        };
        render(tables, filter, &VALUES).into_iter().map(ids).collect()
    }

    fn some() -> CatalogTables {
        tables(vec![endpoint("a", "http://a/%(project_id)s", true), endpoint("b", "http://b", true)], true)
    }

    #[test]
    fn disabled_and_malformed_endpoints_are_left_out_and_their_service_stays() {
        let tables = tables(vec![endpoint("off", "http://x", false), endpoint("bad", "http://x/$(foo)s", true)], true);
        assert_eq!(shown(&tables, &ProjectFilter::default()), [("s".into(), vec![]), ("empty".into(), vec![])]);
    }

    #[test]
    fn associations_limit_the_endpoints_and_drop_empty_services() {
        let filter = ProjectFilter { endpoint_ids: ["a".into()].into(), groups: vec![] };
        assert_eq!(shown(&some(), &filter), [("s".into(), vec!["a".into()])]);
    }

    #[test]
    fn a_group_lets_see_what_has_all_of_its_attributes() {
        let group = |value: Value| ProjectFilter {
            endpoint_ids: HashSet::new(),
            groups: vec![value.as_object().cloned().unwrap_or_default()],
        };
        assert_eq!(shown(&some(), &group(json!({"interface": "public", "url": "http://b"})))[0].1, ["b"]);
        // No endpoint has both, so there is no association, and so no limit.
        assert_eq!(shown(&some(), &group(json!({"interface": "admin", "region_id": "r"})))[0].1, ["a", "b"]);
    }

    #[test]
    fn an_association_with_nothing_that_exists_is_none() {
        let filter = ProjectFilter { endpoint_ids: ["gone".into()].into(), groups: vec![] };
        assert_eq!(shown(&some(), &filter)[0].1, ["a", "b"]);
    }

    #[test]
    fn without_associations_nothing_is_shown_if_so_configured() {
        let tables = tables(vec![endpoint("a", "http://a", true)], false);
        assert!(render(&tables, &ProjectFilter::default(), &VALUES).is_empty());
        let filter = ProjectFilter { endpoint_ids: ["a".into()].into(), groups: vec![] };
        assert_eq!(shown(&tables, &filter)[0].1, ["a"]);
    }
}
