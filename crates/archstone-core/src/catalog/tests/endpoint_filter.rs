//! What narrows the catalogs of projects.

use archstone_db::Db;
use archstone_db::testing::on_each_database;
use serde_json::{Value, json};

use super::{allowed, door, door_of, endpoint, kind, make_service, urls};
use crate::catalog::{Catalog, Endpoint, EndpointGroup, EndpointGroupPatch};
use crate::error::{ErrorKind, Result};
use crate::id::{EndpointGroupId, EndpointId, ProjectId, ServiceId};
use crate::list::{Filter, ListQuery};
use crate::resource::{Project, Resource};
use crate::testing::foundation;

async fn make_project(db: &Db, name: &str) -> ProjectId {
    let resource = Resource::new(foundation(db, ""));
    resource.create_project(&allowed(), Project::named(name, None)).await.unwrap().id
}

async fn make_endpoint(catalog: &Catalog, service: &ServiceId, interface: &str, url: &str) -> EndpointId {
    let new = Endpoint { interface: interface.to_owned(), ..endpoint(service, url) };
    catalog.create_endpoint(&allowed(), new, None).await.unwrap().id
}

async fn make_group(catalog: &Catalog, name: &str, filters: Value) -> Result<EndpointGroup> {
    let filters = filters.as_object().cloned().unwrap_or_default();
    let group = EndpointGroup { id: EndpointGroupId::new_random(), name: name.to_owned(), description: None, filters };
    catalog.create_endpoint_group(&allowed(), group).await
}

/// A service with a public endpoint at `http://a` and an admin one at `http://b`.
async fn two_endpoints(catalog: &Catalog) -> (EndpointId, EndpointId) {
    let service = make_service(catalog, "compute").await;
    let public = make_endpoint(catalog, &service, "public", "http://a").await;
    (public, make_endpoint(catalog, &service, "admin", "http://b").await)
}

#[tokio::test]
async fn associations_narrow_the_catalog_of_their_project_on_all_nodes_at_once() {
    on_each_database(async |db| {
        let (here, there) = (door(db), door(db));
        let (public, _) = two_endpoints(&there).await;
        let admin = make_group(&there, "admin", json!({"interface": "admin"})).await.unwrap().id;
        let (project, other) = (make_project(db, "p").await, make_project(db, "o").await);
        assert_eq!(urls(&here, Some(&project)).await, ["http://a", "http://b"]);
        there.add_endpoint_to_project(&allowed(), &public, &project).await.unwrap();
        assert_eq!(urls(&here, Some(&project)).await, ["http://a"]);
        assert_eq!(urls(&here, Some(&other)).await, ["http://a", "http://b"]);
        there.add_endpoint_group_to_project(&allowed(), &admin, &other).await.unwrap();
        assert_eq!(urls(&here, Some(&other)).await, ["http://b"]);
        let public_only = json!({"interface": "public"}).as_object().cloned();
        let patch = EndpointGroupPatch { filters: public_only, ..EndpointGroupPatch::default() };
        there.update_endpoint_group(&allowed(), &admin, &patch).await.unwrap();
        assert_eq!(urls(&here, Some(&other)).await, ["http://a"]);
        there.remove_endpoint_group_from_project(&allowed(), &admin, &other).await.unwrap();
        assert_eq!(urls(&here, Some(&other)).await, ["http://a", "http://b"]);
        there.remove_endpoint_from_project(&allowed(), &public, &project).await.unwrap();
        assert_eq!(urls(&here, Some(&project)).await, ["http://a", "http://b"]);
    })
    .await;
}

#[tokio::test]
async fn a_deleted_group_narrows_nothing() {
    on_each_database(async |db| {
        let (here, there) = (door(db), door(db));
        two_endpoints(&there).await;
        let project = make_project(db, "p").await;
        let group = make_group(&there, "g", json!({"interface": "admin"})).await.unwrap().id;
        there.add_endpoint_group_to_project(&allowed(), &group, &project).await.unwrap();
        assert_eq!(urls(&here, Some(&project)).await, ["http://b"]);
        there.delete_endpoint_group(&allowed(), &group).await.unwrap();
        assert_eq!(urls(&here, Some(&project)).await, ["http://a", "http://b"]);
        assert_eq!(kind(there.delete_endpoint_group(&allowed(), &group).await), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_project_without_associations_sees_nothing_if_so_configured() {
    on_each_database(async |db| {
        let catalog = door_of(foundation(db, "[endpoint_filter]\nreturn_all_endpoints_if_no_filter = false"));
        let (public, _) = two_endpoints(&catalog).await;
        let project = make_project(db, "p").await;
        assert!(urls(&catalog, Some(&project)).await.is_empty());
        catalog.add_endpoint_to_project(&allowed(), &public, &project).await.unwrap();
        assert_eq!(urls(&catalog, Some(&project)).await, ["http://a"]);
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_is_associated_once_with_a_project_that_exists() {
    on_each_database(async |db| {
        let catalog = door(db);
        let (public, admin) = two_endpoints(&catalog).await;
        let (project, other) = (make_project(db, "p").await, make_project(db, "o").await);
        let add =
            async |id: &EndpointId, project: &ProjectId| catalog.add_endpoint_to_project(&allowed(), id, project).await;
        assert_eq!(kind(add(&"no".into(), &project).await), ErrorKind::NotFound);
        assert_eq!(kind(add(&public, &"no".into()).await), ErrorKind::NotFound);
        add(&public, &project).await.unwrap();
        assert_eq!(kind(add(&public, &project).await), ErrorKind::Conflict);
        add(&admin, &other).await.unwrap();
        catalog.check_endpoint_in_project(&allowed(), &public, &project).await.unwrap();
        for (id, project) in [(&admin, &project), (&public, &other)] {
            assert_eq!(kind(catalog.check_endpoint_in_project(&allowed(), id, project).await), ErrorKind::NotFound);
            assert_eq!(kind(catalog.remove_endpoint_from_project(&allowed(), id, project).await), ErrorKind::NotFound);
        }
        let projects = catalog.list_projects_of_endpoint(&allowed(), &public).await.unwrap();
        assert_eq!(projects.iter().map(|project| &project.id).collect::<Vec<_>>(), [&project]);
        let endpoints = catalog.list_endpoints_of_project(&allowed(), &project).await.unwrap();
        assert_eq!(endpoints.iter().map(|endpoint| &endpoint.id).collect::<Vec<_>>(), [&public]);
        catalog.remove_endpoint_from_project(&allowed(), &public, &project).await.unwrap();
        assert_eq!(kind(catalog.check_endpoint_in_project(&allowed(), &public, &project).await), ErrorKind::NotFound);
        catalog.check_endpoint_in_project(&allowed(), &admin, &other).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_group_is_associated_once_with_a_project_that_exists() {
    on_each_database(async |db| {
        let catalog = door(db);
        let (public, _) = two_endpoints(&catalog).await;
        let group = make_group(&catalog, "g", json!({"interface": "public"})).await.unwrap();
        let unused = make_group(&catalog, "h", json!({"interface": "admin"})).await.unwrap();
        let (project, other) = (make_project(db, "p").await, make_project(db, "o").await);
        let add = async |id: &EndpointGroupId, project: &ProjectId| {
            catalog.add_endpoint_group_to_project(&allowed(), id, project).await
        };
        assert_eq!(kind(add(&"no".into(), &project).await), ErrorKind::NotFound);
        assert_eq!(kind(add(&group.id, &"no".into()).await), ErrorKind::NotFound);
        add(&group.id, &project).await.unwrap();
        assert_eq!(kind(add(&group.id, &project).await), ErrorKind::Conflict);
        catalog.check_endpoint_group_in_project(&allowed(), &group.id, &project).await.unwrap();
        for (id, project) in [(&unused.id, &project), (&group.id, &other)] {
            let check = catalog.check_endpoint_group_in_project(&allowed(), id, project).await;
            assert_eq!(kind(check), ErrorKind::NotFound);
            let remove = catalog.remove_endpoint_group_from_project(&allowed(), id, project).await;
            assert_eq!(kind(remove), ErrorKind::NotFound);
        }
        let projects = catalog.list_projects_of_endpoint_group(&allowed(), &group.id).await.unwrap();
        assert_eq!(projects.iter().map(|project| &project.id).collect::<Vec<_>>(), [&project]);
        assert!(catalog.list_projects_of_endpoint_group(&allowed(), &unused.id).await.unwrap().is_empty());
        let groups = async |project| catalog.list_endpoint_groups_of_project(&allowed(), project).await;
        assert_eq!(groups(&project).await.unwrap(), std::slice::from_ref(&group));
        assert!(groups(&other).await.unwrap().is_empty());
        for endpoints in [
            catalog.list_endpoints_of_project(&allowed(), &project).await.unwrap(),
            catalog.list_endpoints_of_group(&allowed(), &group.id).await.unwrap(),
        ] {
            assert_eq!(endpoints.iter().map(|endpoint| &endpoint.id).collect::<Vec<_>>(), [&public]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_group_asks_for_attributes_that_it_may_ask_for() {
    on_each_database(async |db| {
        let catalog = door(db);
        for filters in [json!({}), json!({"enabled": true}), json!({"interface": "public", "url": "http://a"})] {
            assert_eq!(kind(make_group(&catalog, "g", filters).await), ErrorKind::BadRequest);
        }
        let group = make_group(&catalog, "g", json!({"region_id": null, "interface": "public"})).await.unwrap();
        let named = make_group(&catalog, "h", json!({"service_id": "s"})).await.unwrap();
        let bad = EndpointGroupPatch { filters: json!({"id": "x"}).as_object().cloned(), ..Default::default() };
        assert_eq!(kind(catalog.update_endpoint_group(&allowed(), &group.id, &bad).await), ErrorKind::BadRequest);
        let patch = EndpointGroupPatch { name: Some("k".to_owned()), ..EndpointGroupPatch::default() };
        assert_eq!(kind(catalog.update_endpoint_group(&allowed(), &"no".into(), &patch).await), ErrorKind::NotFound);
        let renamed = EndpointGroup { name: "k".to_owned(), ..group.clone() };
        assert_eq!(catalog.update_endpoint_group(&allowed(), &group.id, &patch).await.unwrap(), renamed);
        assert_eq!(catalog.require_endpoint_group(&allowed(), &group.id).await.unwrap(), renamed);
        let query = ListQuery { filters: vec![Filter::equals("name", "h")], ..ListQuery::default() };
        let (page, _) = catalog.list_endpoint_groups(&allowed(), &query).await.unwrap();
        assert_eq!(page.items, [named]);
    })
    .await;
}

#[tokio::test]
async fn associations_go_with_their_endpoint() {
    on_each_database(async |db| {
        let catalog = door(db);
        let (public, admin) = two_endpoints(&catalog).await;
        let project = make_project(db, "p").await;
        for id in [&public, &admin] {
            catalog.add_endpoint_to_project(&allowed(), id, &project).await.unwrap();
        }
        catalog.delete_endpoint(&allowed(), &public).await.unwrap();
        assert_eq!(
            kind(catalog.remove_endpoint_from_project(&allowed(), &public, &project).await),
            ErrorKind::NotFound
        );
        let service = catalog.require_endpoint(&allowed(), &admin).await.unwrap().service_id;
        catalog.delete_service(&allowed(), &service).await.unwrap();
        assert_eq!(kind(catalog.remove_endpoint_from_project(&allowed(), &admin, &project).await), ErrorKind::NotFound);
    })
    .await;
}
