//! A catalog that is a file.

use std::fs;
use std::path::Path;

use archstone_db::Db;
use archstone_db::testing::on_each_database;
use serde_json::Map;

use super::{allowed, door_of, endpoint, kind, make_region, make_service, urls};
use crate::catalog::{Catalog, EndpointGroup, EndpointPatch, RegionPatch, ServicePatch, check_template_file};
use crate::config::Config;
use crate::error::{ErrorKind, Result};
use crate::freshness::Ref;
use crate::id::{RegionId, ServiceId};
use crate::list::ListQuery;
use crate::resource::Resource;
use crate::testing::foundation;

const FILE: &str =
    "catalog.RegionOne.compute.publicURL = http://p/$(project_id)s\ncatalog.RegionOne.compute.name = nova\n";

fn config(path: &Path) -> String {
    format!("[catalog]\ndriver = templated\ntemplate_file = {}\n", path.display())
}

fn on_file(db: &Db, path: &Path) -> Catalog {
    door_of(foundation(db, &config(path)))
}

#[tokio::test]
async fn the_catalog_is_what_the_file_says() {
    on_each_database(async |db| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog");
        fs::write(&path, FILE).unwrap();
        // What is in the tables does not count.
        let tables = super::door(db);
        make_service(&tables, "volume").await;
        let catalog = on_file(db, &path);
        assert_eq!(urls(&catalog, Some("7")).await, ["http://p/7"]);
        assert_eq!(urls(&catalog, None).await, [""; 0]);
        let all = ListQuery::default();
        let regions = catalog.list_regions(&allowed(), &all).await.unwrap().0.items;
        assert_eq!(regions.iter().map(|region| &*region.id).collect::<Vec<_>>(), ["RegionOne"]);
        let services = catalog.list_services(&allowed(), &all).await.unwrap().0.items;
        assert_eq!(
            services.iter().map(|service| (&*service.id, service.name())).collect::<Vec<_>>(),
            [("compute", "nova")]
        );
        let endpoint = catalog.require_endpoint(&allowed(), &"RegionOne-compute-public".into()).await.unwrap();
        assert_eq!((endpoint.url.as_str(), &*endpoint.service_id), ("http://p/$(project_id)s", "compute"));
        assert_eq!(kind(catalog.require_service(&allowed(), &"volume".into()).await), ErrorKind::NotFound);
        assert_eq!(kind(catalog.require_region(&allowed(), &"no".into()).await), ErrorKind::NotFound);
        assert_eq!(kind(catalog.require_endpoint(&allowed(), &"no".into()).await), ErrorKind::NotFound);
    })
    .await;
}

fn is_refused<T: std::fmt::Debug>(result: Result<T>) {
    assert_eq!(kind(result), ErrorKind::NotImplemented);
}

#[tokio::test]
async fn nobody_changes_the_file() {
    on_each_database(async |db| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog");
        fs::write(&path, FILE).unwrap();
        let (catalog, allowed) = (on_file(db, &path), allowed());
        let (region, service) = (RegionId::from("RegionOne"), ServiceId::from("compute"));
        let (endpoint_id, project) = ("RegionOne-compute-public".into(), "p".into());
        is_refused(make_region(&catalog, "r", None).await);
        is_refused(catalog.update_region(&allowed, &region, &RegionPatch::default()).await);
        is_refused(catalog.delete_region(&allowed, &region).await);
        is_refused(catalog.update_service(&allowed, &service, &ServicePatch::default()).await);
        is_refused(catalog.delete_service(&allowed, &service).await);
        is_refused(catalog.create_endpoint(&allowed, endpoint(&service, "http://x"), None).await);
        is_refused(catalog.update_endpoint(&allowed, &endpoint_id, &EndpointPatch::default()).await);
        is_refused(catalog.delete_endpoint(&allowed, &endpoint_id).await);
        is_refused(catalog.add_endpoint_to_project(&allowed, &endpoint_id, &project).await);
        is_refused(catalog.list_endpoints_of_project(&allowed, &project).await);
        let group = EndpointGroup { id: "g".into(), name: "g".to_owned(), description: None, filters: Map::new() };
        is_refused(catalog.create_endpoint_group(&allowed, group).await);
        is_refused(catalog.list_endpoint_groups(&allowed, &ListQuery::default()).await);
    })
    .await;
}

#[tokio::test]
async fn others_refer_to_what_the_file_says() {
    on_each_database(async |db| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog");
        fs::write(&path, FILE).unwrap();
        let catalog = on_file(db, &path);
        let held = db
            .write(|tx| {
                let catalog = catalog.clone();
                Box::pin(async move {
                    let services = catalog.take_services_in(tx, &["compute".into(), "no".into()]).await?;
                    let regions = catalog.hold_regions_in(tx, &["no".into(), "RegionOne".into()]).await?;
                    let endpoint = catalog.hold_endpoint_in(tx, &"RegionOne-compute-public".into()).await?;
                    let other = catalog.hold_endpoint_in(tx, &"no".into()).await?;
                    Ok::<_, crate::error::Error>((services, regions, endpoint, other))
                })
            })
            .await
            .unwrap();
        assert_eq!(held, (vec!["compute".into()], vec!["RegionOne".into()], true, false));
    })
    .await;
}

#[tokio::test]
async fn a_changed_file_counts_and_a_broken_one_does_not() {
    on_each_database(async |db| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalog");
        fs::write(&path, FILE).unwrap();
        let foundation = foundation(db, &config(&path));
        let catalog = Catalog::new(foundation.clone(), Resource::new(foundation.clone())).unwrap();
        let before = foundation.freshness.observe().await.unwrap();
        let depends_on = [Ref::Catalog];
        for (text, reloaded, urls_now) in [
            (FILE, false, "http://p/7"),
            ("catalog.R.compute.publicURL = http://new", true, "http://new"),
            ("catalog.R.compute.publicURL", false, "http://new"),
            ("catalog.R.compute.publicURL = http://newer", true, "http://newer"),
        ] {
            fs::write(&path, text).unwrap();
            assert_eq!(catalog.reload_if_changed().await, reloaded, "{text}");
            assert_eq!(urls(&catalog, Some("7")).await, [urls_now], "{text}");
        }
        assert!(!foundation.freshness.holds(before, &depends_on));
        let now = foundation.freshness.observe().await.unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!catalog.reload_if_changed().await);
        assert_eq!(urls(&catalog, None).await, ["http://newer"]);
        assert!(foundation.freshness.holds(now, &depends_on));
    })
    .await;
}

#[test]
fn all_that_is_wrong_with_the_file_is_told_with_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("catalog");
    let check = || check_template_file(&Config::from_text(&config(&path)).unwrap());
    let (problems, _) = check();
    assert!(problems[0].to_string().starts_with("test.conf:3: [catalog] template_file"), "{problems:?}");
    fs::write(&path, "a\ncatalog.R.compute.publicURL\ncatalog.R.compute.publicURL = http://h/$(x)s\n").unwrap();
    let (problems, warnings) = check();
    let starts = [format!("{}:2: ", path.display()), format!("{}:3: ", path.display())];
    assert_eq!(problems.len(), 2);
    assert!(
        problems.iter().zip(starts).all(|(problem, start)| problem.to_string().starts_with(&start)),
        "{problems:?}"
    );
    assert!(warnings[0].to_string().starts_with(&format!("{}:1: ", path.display())), "{warnings:?}");
    assert!(check_template_file(&Config::default()).0.is_empty());
}
