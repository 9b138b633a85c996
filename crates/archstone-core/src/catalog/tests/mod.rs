//! Rules of the catalog, through the door.

mod endpoint_filter;
mod templated;

use archstone_db::Db;
use archstone_db::testing::on_each_database;
use serde_json::{Map, json};

use super::{Catalog, Endpoint, EndpointPatch, Region, RegionPatch, Service, ServicePatch};
use crate::authz::Allowed;
use crate::error::{ErrorKind, Result};
use crate::foundation::Foundation;
use crate::id::{EndpointId, RegionId, ServiceId};
use crate::list::{Filter, ListQuery};
use crate::memory::Basis;
use crate::resource::Resource;
use crate::testing::foundation;

fn allowed() -> Allowed {
    Allowed::internal("test")
}

fn door(db: &Db) -> Catalog {
    door_of(foundation(db, ""))
}

fn door_of(foundation: Foundation) -> Catalog {
    Catalog::new(foundation.clone(), Resource::new(foundation)).unwrap()
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind
}

async fn make_region(catalog: &Catalog, id: &str, parent: Option<&str>) -> Result<Region> {
    let region = Region {
        id: id.into(),
        description: String::new(),
        parent_region_id: parent.map(RegionId::from),
        extra: Map::new(),
    };
    catalog.create_region(&allowed(), region).await
}

async fn make_service(catalog: &Catalog, service_type: &str) -> ServiceId {
    let service = Service {
        id: ServiceId::new_random(),
        service_type: Some(service_type.to_owned()),
        enabled: true,
        extra: Map::from_iter([("name".to_owned(), json!("nova"))]),
    };
    catalog.create_service(&allowed(), service).await.unwrap().id
}

fn endpoint(service_id: &ServiceId, url: &str) -> Endpoint {
    Endpoint {
        id: EndpointId::new_random(),
        interface: "public".to_owned(),
        region_id: None,
        service_id: service_id.clone(),
        url: url.to_owned(),
        enabled: true,
        extra: Map::new(),
    }
}

#[tokio::test]
async fn a_region_is_not_above_itself() {
    on_each_database(async |db| {
        let catalog = door(db);
        make_region(&catalog, "r", None).await.unwrap();
        make_region(&catalog, "r1", Some("r")).await.unwrap();
        make_region(&catalog, "r2", Some("r1")).await.unwrap();
        assert_eq!(kind(make_region(&catalog, "r", None).await), ErrorKind::Conflict);
        assert_eq!(kind(make_region(&catalog, &"r".repeat(256), None).await), ErrorKind::BadRequest);
        assert_eq!(kind(make_region(&catalog, "x", Some("no")).await), ErrorKind::NotFound);
        let below = RegionPatch { parent_region_id: Some(Some("r2".into())), ..RegionPatch::default() };
        assert_eq!(kind(catalog.update_region(&allowed(), &"r".into(), &below).await), ErrorKind::BadRequest);
    })
    .await;
}

#[tokio::test]
async fn a_region_goes_with_those_below_it_unless_one_has_endpoints() {
    on_each_database(async |db| {
        let catalog = door(db);
        make_region(&catalog, "r", None).await.unwrap();
        make_region(&catalog, "r1", Some("r")).await.unwrap();
        let service = make_service(&catalog, "compute").await;
        let at = Endpoint { region_id: Some("r1".into()), ..endpoint(&service, "http://x") };
        let made = catalog.create_endpoint(&allowed(), at, None).await.unwrap();
        assert_eq!(kind(catalog.delete_region(&allowed(), &"r".into()).await), ErrorKind::ForbiddenOpen);
        catalog.delete_endpoint(&allowed(), &made.id).await.unwrap();
        catalog.delete_region(&allowed(), &"r".into()).await.unwrap();
        assert_eq!(kind(catalog.require_region(&allowed(), &"r1".into()).await), ErrorKind::NotFound);
        assert_eq!(kind(catalog.delete_region(&allowed(), &"r".into()).await), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_service_keeps_what_an_update_does_not_name() {
    on_each_database(async |db| {
        let catalog = door(db);
        let id = make_service(&catalog, "compute").await;
        let patch = ServicePatch {
            enabled: Some(false),
            extra: Map::from_iter([("x".to_owned(), json!(1))]),
            ..ServicePatch::default()
        };
        catalog.update_service(&allowed(), &id, &patch).await.unwrap();
        let service = catalog.require_service(&allowed(), &id).await.unwrap();
        assert_eq!(
            (service.service_type.as_deref(), service.enabled, service.name()),
            (Some("compute"), false, "nova")
        );
        assert_eq!(service.extra["x"], 1);
        let unknown = catalog.update_service(&allowed(), &"no".into(), &ServicePatch::default()).await;
        assert_eq!(kind(unknown), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_services_name_is_left_to_the_caller_to_filter() {
    on_each_database(async |db| {
        let catalog = door(db);
        make_service(&catalog, "compute").await;
        make_service(&catalog, "volume").await;
        let filters = vec![Filter::equals("type", "volume"), Filter::equals("name", "nova")];
        let query = ListQuery { filters, ..ListQuery::default() };
        let (page, remaining) = catalog.list_services(&allowed(), &query).await.unwrap();
        assert_eq!((page.items.len(), remaining), (1, vec![Filter::equals("name", "nova")]));
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_needs_a_service_a_region_and_a_usable_url() {
    on_each_database(async |db| {
        let catalog = door(db);
        let service = make_service(&catalog, "compute").await;
        let create = async |endpoint| catalog.create_endpoint(&allowed(), endpoint, None).await;
        assert_eq!(kind(create(endpoint(&"no".into(), "http://x")).await), ErrorKind::BadRequest);
        assert_eq!(kind(create(endpoint(&service, "http://x/$(admin_token)s")).await), ErrorKind::BadRequest);
        let nowhere = Endpoint { region_id: Some("no".into()), ..endpoint(&service, "http://x") };
        assert_eq!(kind(create(nowhere).await), ErrorKind::BadRequest);
        let made = create(endpoint(&service, "http://x")).await.unwrap();
        let update = async |patch| catalog.update_endpoint(&allowed(), &made.id, &patch).await;
        let moved = EndpointPatch { service_id: Some("no".into()), ..EndpointPatch::default() };
        assert_eq!(kind(update(moved).await), ErrorKind::BadRequest);
        let moved = EndpointPatch { region_id: Some(Some("no".into())), ..EndpointPatch::default() };
        assert_eq!(kind(update(moved).await), ErrorKind::BadRequest);
        let bad_url = EndpointPatch { url: Some("http://x/$(foo)s".to_owned()), ..EndpointPatch::default() };
        assert_eq!(update(bad_url).await.unwrap().url, "http://x/$(foo)s");
    })
    .await;
}

#[tokio::test]
async fn naming_a_region_the_old_way_makes_it() {
    on_each_database(async |db| {
        let catalog = door(db);
        let service = make_service(&catalog, "compute").await;
        let region = Some(RegionId::from("new"));
        let made = catalog.create_endpoint(&allowed(), endpoint(&service, "http://x"), region.clone()).await.unwrap();
        assert_eq!(made.region_id, region);
        catalog.require_region(&allowed(), &"new".into()).await.unwrap();
        catalog.create_endpoint(&allowed(), endpoint(&service, "http://y"), region).await.unwrap();
        let long = Some(RegionId::from("r".repeat(256)));
        let long = catalog.create_endpoint(&allowed(), endpoint(&service, "http://z"), long).await;
        assert_eq!(kind(long), ErrorKind::BadRequest);
        let patch = EndpointPatch { region: Some("newer".into()), ..EndpointPatch::default() };
        let moved = catalog.update_endpoint(&allowed(), &made.id, &patch).await.unwrap();
        assert_eq!(moved.region_id.as_deref(), Some("newer"));
    })
    .await;
}

#[tokio::test]
async fn endpoints_go_with_their_service() {
    on_each_database(async |db| {
        let catalog = door(db);
        let (service, other) = (make_service(&catalog, "compute").await, make_service(&catalog, "volume").await);
        let gone = catalog.create_endpoint(&allowed(), endpoint(&service, "http://x"), None).await.unwrap();
        let kept = catalog.create_endpoint(&allowed(), endpoint(&other, "http://y"), None).await.unwrap();
        catalog.delete_service(&allowed(), &service).await.unwrap();
        assert_eq!(kind(catalog.require_endpoint(&allowed(), &gone.id).await), ErrorKind::NotFound);
        catalog.require_endpoint(&allowed(), &kept.id).await.unwrap();
        assert_eq!(kind(catalog.delete_service(&allowed(), &service).await), ErrorKind::NotFound);
        assert_eq!(kind(catalog.delete_endpoint(&allowed(), &gone.id).await), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn endpoints_are_filtered_by_interface_and_service() {
    on_each_database(async |db| {
        let catalog = door(db);
        let (service, other) = (make_service(&catalog, "compute").await, make_service(&catalog, "volume").await);
        let admin = Endpoint { interface: "admin".to_owned(), ..endpoint(&service, "http://a") };
        let admin = catalog.create_endpoint(&allowed(), admin, None).await.unwrap();
        catalog.create_endpoint(&allowed(), endpoint(&service, "http://b"), None).await.unwrap();
        catalog.create_endpoint(&allowed(), endpoint(&other, "http://c"), None).await.unwrap();
        let filters = vec![Filter::equals("interface", "admin"), Filter::equals("service_id", &service)];
        let query = ListQuery { filters, ..ListQuery::default() };
        let (page, remaining) = catalog.list_endpoints(&allowed(), &query).await.unwrap();
        assert_eq!((page.items, remaining), (vec![admin], vec![]));
    })
    .await;
}

/// The URLs of a catalog, in the order of their text.
async fn urls(catalog: &Catalog, project: Option<&str>) -> Vec<String> {
    let project = project.map(Into::into);
    let moment = catalog.foundation.freshness.observe().await.unwrap();
    let catalog = catalog.for_scope(moment, &mut Basis::default(), &"u".into(), project.as_ref()).await.unwrap();
    let mut urls: Vec<String> =
        catalog.into_iter().flat_map(|service| service.endpoints).map(|endpoint| endpoint.url).collect();
    urls.sort();
    urls
}

#[tokio::test]
async fn a_catalog_has_what_is_enabled_with_the_scope_filled_in() {
    on_each_database(async |db| {
        let catalog = door(db);
        let (service, off) = (make_service(&catalog, "compute").await, make_service(&catalog, "volume").await);
        for url in ["http://p/$(project_id)s", "http://u/%(user_id)s"] {
            catalog.create_endpoint(&allowed(), endpoint(&service, url), None).await.unwrap();
        }
        catalog.create_endpoint(&allowed(), endpoint(&off, "http://off"), None).await.unwrap();
        let patch = ServicePatch { enabled: Some(false), ..ServicePatch::default() };
        catalog.update_service(&allowed(), &off, &patch).await.unwrap();
        assert_eq!(urls(&catalog, Some("7")).await, ["http://p/7", "http://u/u"]);
        assert_eq!(urls(&catalog, None).await, ["http://u/u"]);
    })
    .await;
}

#[tokio::test]
async fn a_catalog_in_memory_follows_what_other_nodes_write() {
    on_each_database(async |db| {
        let (here, there) = (door(db), door(db));
        let service = make_service(&there, "compute").await;
        let made = there.create_endpoint(&allowed(), endpoint(&service, "http://a"), None).await.unwrap();
        assert_eq!(urls(&here, None).await, ["http://a"]);
        let moved = EndpointPatch { url: Some("http://b".to_owned()), ..EndpointPatch::default() };
        there.update_endpoint(&allowed(), &made.id, &moved).await.unwrap();
        assert_eq!(urls(&here, None).await, ["http://b"]);
        there.delete_service(&allowed(), &service).await.unwrap();
        assert!(urls(&here, None).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_untouched_catalog_is_not_loaded_again() {
    on_each_database(async |db| {
        let catalog = door(db);
        make_service(&catalog, "compute").await;
        urls(&catalog, Some("p")).await;
        let before = db.statements();
        urls(&catalog, Some("p")).await;
        assert_eq!(db.statements(), before);
    })
    .await;
}

#[tokio::test]
async fn a_catalog_costs_the_same_number_of_queries_however_large() {
    on_each_database(async |db| {
        let catalog = door(db);
        let cost = async || {
            let before = db.statements();
            urls(&catalog, Some("p")).await;
            db.statements() - before
        };
        let empty = cost().await;
        let service = make_service(&catalog, "compute").await;
        for number in 0..5 {
            let new = endpoint(&service, &format!("http://{number}"));
            catalog.create_endpoint(&allowed(), new, None).await.unwrap();
        }
        assert_eq!(cost().await, empty);
    })
    .await;
}
