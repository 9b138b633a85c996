//! Rules of projects and domains, through the door.

use archstone_db::Db;
use archstone_db::testing::on_each_database;
use serde_json::{Map, Value, json};

use super::{Domain, Project, ProjectPatch, Resource, TagFilter};
use crate::authz::Allowed;
use crate::error::{ErrorKind, Result};
use crate::id::{DomainId, ProjectId};
use crate::list::{Filter, ListQuery, Page, whole};
use crate::testing::foundation;

fn allowed() -> Allowed {
    Allowed::internal("test")
}

fn door(db: &Db) -> Resource {
    Resource::new(foundation(db, ""))
}

fn domain(name: &str) -> Domain {
    Project::named(name, None).into_domain().unwrap()
}

async fn make_domain(resource: &Resource, name: &str) -> DomainId {
    resource.create_domain(&allowed(), domain(name)).await.unwrap().id
}

async fn make(resource: &Resource, name: &str, domain: &DomainId, parent: Option<&ProjectId>) -> Result<ProjectId> {
    let project = Project { parent_id: parent.cloned(), ..Project::named(name, Some(domain.clone())) };
    Ok(resource.create_project(&allowed(), project).await?.id)
}

fn options(immutable: Value) -> Map<String, Value> {
    Map::from_iter([("immutable".to_owned(), immutable)])
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind
}

async fn list(resource: &Resource, query: &ListQuery, tags: &[TagFilter]) -> Result<Page<Project>> {
    let (parts, _) = resource.list_projects(&allowed(), query, tags).await?;
    whole(parts).await
}

fn names(projects: &[Project]) -> Vec<&str> {
    let mut names: Vec<&str> = projects.iter().map(|project| project.name.as_str()).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_project_comes_back_as_it_was_made() {
    on_each_database(async |db| {
        let resource = door(db);
        let domain = make_domain(&resource, "d").await;
        let project = Project {
            description: None,
            tags: vec!["a".to_owned(), "b".to_owned()],
            options: options(json!(false)),
            extra: Map::from_iter([("x".to_owned(), json!({"y": [1, "é"]}))]),
            ..Project::named(" p ", Some(domain.clone()))
        };
        let made = resource.create_project(&allowed(), project).await.unwrap();
        assert_eq!((made.name.as_str(), made.parent_id.as_deref()), ("p", Some(&*domain)));
        let found = resource.get_project(&made.id).await.unwrap().unwrap();
        assert_eq!(found, made);
        assert_eq!(resource.get_project_by_name("p", &domain).await.unwrap(), Some(found));
        assert_eq!(resource.domain_by_name_at(resource.foundation.freshness.stamp(), "p").await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn the_root_of_domains_is_never_shown() {
    on_each_database(async |db| {
        let resource = door(db);
        let root = super::sql::ROOT_DOMAIN;
        assert_eq!(resource.get_project(&root.into()).await.unwrap(), None);
        assert_eq!(resource.get_domain(&root.into()).await.unwrap(), None);
        assert_eq!(resource.domain_by_name_at(resource.foundation.freshness.stamp(), root).await.unwrap(), None);
        let page = list(&resource, &ListQuery::default(), &[]).await.unwrap();
        assert!(page.items.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_domain_is_a_project_but_a_project_is_no_domain() {
    on_each_database(async |db| {
        let resource = door(db);
        let domain = make_domain(&resource, "d").await;
        let project = make(&resource, "p", &domain, None).await.unwrap();
        assert!(resource.get_project(&(&*domain).into()).await.unwrap().unwrap().is_domain);
        assert_eq!(resource.get_domain(&(&*project).into()).await.unwrap(), None);
        assert_eq!(resource.get_domains(&[domain.clone(), (&*project).into()]).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn names_are_unique_within_their_domain() {
    on_each_database(async |db| {
        let resource = door(db);
        let (one, two) = (make_domain(&resource, "1").await, make_domain(&resource, "2").await);
        make(&resource, "p", &one, None).await.unwrap();
        make(&resource, "p", &two, None).await.unwrap();
        assert_eq!(kind(make(&resource, "p", &one, None).await), ErrorKind::Conflict);
        assert_eq!(kind(resource.create_domain(&allowed(), domain("1")).await), ErrorKind::Conflict);
        let again = make(&resource, "q", &one, None).await.unwrap();
        let rename = ProjectPatch { name: Some("p".to_owned()), ..ProjectPatch::default() };
        assert_eq!(kind(resource.update_project(&allowed(), &again, &rename).await), ErrorKind::Conflict);
    })
    .await;
}

#[tokio::test]
async fn a_new_project_needs_a_fit_place() {
    on_each_database(async |db| {
        let resource = door(db);
        let (one, two) = (make_domain(&resource, "1").await, make_domain(&resource, "2").await);
        let parent = make(&resource, "p", &one, None).await.unwrap();
        let other_domain = make(&resource, "q", &two, Some(&parent)).await;
        assert_eq!(kind(other_domain), ErrorKind::BadRequest);
        assert_eq!(kind(make(&resource, "q", &"none".into(), None).await), ErrorKind::BadRequest);
        assert_eq!(kind(make(&resource, "q", &one, Some(&"none".into())).await), ErrorKind::BadRequest);
        assert_eq!(kind(make(&resource, "q", &(&*parent).into(), Some(&parent)).await), ErrorKind::BadRequest);
        let below = Project { parent_id: Some((&*one).into()), ..Project::named("sub", None) };
        assert_eq!(kind(resource.create_project(&allowed(), below).await), ErrorKind::BadRequest);
        let off = ProjectPatch { enabled: Some(false), ..ProjectPatch::default() };
        resource.update_project(&allowed(), &parent, &off).await.unwrap();
        assert_eq!(kind(make(&resource, "q", &one, Some(&parent)).await), ErrorKind::BadRequest);
    })
    .await;
}

#[tokio::test]
async fn a_tree_has_one_level_more_than_configured() {
    on_each_database(async |db| {
        for (config, levels) in [
            ("", 5),
            ("[DEFAULT]\nmax_project_tree_depth = 3", 3),
            ("[unified_limit]\nenforcement_model = strict_two_level", 2),
        ] {
            let resource = Resource::new(foundation(db, config));
            let domain = make_domain(&resource, config).await;
            let mut parent: Option<ProjectId> = None;
            for level in 0..levels {
                parent = Some(make(&resource, &format!("p{level}"), &domain, parent.as_ref()).await.unwrap());
            }
            assert_eq!(kind(make(&resource, "deep", &domain, parent.as_ref()).await), ErrorKind::ForbiddenOpen);
        }
    })
    .await;
}

#[tokio::test]
async fn the_tree_is_walked_both_ways() {
    on_each_database(async |db| {
        let resource = door(db);
        let domain = make_domain(&resource, "d").await;
        let top = make(&resource, "top", &domain, None).await.unwrap();
        let left = make(&resource, "left", &domain, Some(&top)).await.unwrap();
        let right = make(&resource, "right", &domain, Some(&top)).await.unwrap();
        let leaf = make(&resource, "leaf", &domain, Some(&left)).await.unwrap();
        let root = ProjectId::from(&*domain);
        assert_eq!(resource.list_parent_ids(&leaf).await.unwrap(), [left.clone(), top.clone(), root.clone()]);
        assert!(resource.list_parent_ids(&root).await.unwrap().is_empty());
        let parents = resource.list_parents(&allowed(), &leaf).await.unwrap();
        assert_eq!(parents.iter().map(|project| project.id.clone()).collect::<Vec<_>>(), [left, top.clone(), root]);
        assert_eq!(names(&resource.list_subtree(&allowed(), &top).await.unwrap()), ["leaf", "left", "right"]);
        assert!(resource.list_subtree_ids(&right).await.unwrap().is_empty());
        assert_eq!(
            resource.list_project_ids_of_domains(std::slice::from_ref(&domain)).await.unwrap()[&domain].len(),
            4
        );
    })
    .await;
}

#[tokio::test]
async fn enabled_and_disabled_projects_do_not_mix_in_a_branch() {
    on_each_database(async |db| {
        let resource = door(db);
        let domain = make_domain(&resource, "d").await;
        let top = make(&resource, "top", &domain, None).await.unwrap();
        let leaf = make(&resource, "leaf", &domain, Some(&top)).await.unwrap();
        let set = async |id: &ProjectId, enabled| {
            let patch = ProjectPatch { enabled: Some(enabled), ..ProjectPatch::default() };
            resource.update_project(&allowed(), id, &patch).await
        };
        assert_eq!(kind(set(&top, false).await), ErrorKind::ForbiddenOpen);
        set(&leaf, false).await.unwrap();
        set(&top, false).await.unwrap();
        assert_eq!(kind(set(&leaf, true).await), ErrorKind::ForbiddenOpen);
        // A domain is disabled whatever is in it.
        set(&top, true).await.unwrap();
        assert!(!set(&(&*domain).into(), false).await.unwrap().enabled);
    })
    .await;
}

#[tokio::test]
async fn the_place_of_a_project_never_changes() {
    on_each_database(async |db| {
        let resource = door(db);
        let domain = make_domain(&resource, "d").await;
        let id = make(&resource, "p", &domain, None).await.unwrap();
        let update = async |patch| resource.update_project(&allowed(), &id, &patch).await;
        let other = ProjectPatch { parent_id: Some(None), ..ProjectPatch::default() };
        assert_eq!(kind(update(other).await), ErrorKind::ForbiddenOpen);
        let other = ProjectPatch { domain_id: Some(Some("x".into())), ..ProjectPatch::default() };
        assert_eq!(kind(update(other).await), ErrorKind::BadRequest);
        let other = ProjectPatch { is_domain: Some(true), ..ProjectPatch::default() };
        assert_eq!(kind(update(other).await), ErrorKind::BadRequest);
        let same = ProjectPatch {
            parent_id: Some(Some((&*domain).into())),
            domain_id: Some(Some(domain.clone())),
            is_domain: Some(false),
            ..ProjectPatch::default()
        };
        update(same).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_update_adds_and_replaces() {
    on_each_database(async |db| {
        let resource = door(db);
        let domain = make_domain(&resource, "d").await;
        let id = make(&resource, "p", &domain, None).await.unwrap();
        let patch = ProjectPatch {
            name: Some(" q ".to_owned()),
            description: Some(None),
            tags: Some(vec!["z".to_owned()]),
            options: Some(options(json!(true))),
            extra: Map::from_iter([("x".to_owned(), json!(1))]),
            ..ProjectPatch::default()
        };
        let updated = resource.update_project(&allowed(), &id, &patch).await.unwrap();
        assert_eq!(resource.get_project(&id).await.unwrap().as_ref(), Some(&updated));
        assert_eq!((updated.name.as_str(), updated.description, updated.tags), ("q", None, vec!["z".to_owned()]));
        assert_eq!((updated.options, updated.extra.get("x")), (options(json!(true)), Some(&json!(1))));
    })
    .await;
}

#[tokio::test]
async fn what_is_immutable_can_only_be_made_mutable() {
    on_each_database(async |db| {
        let resource = door(db);
        let domain = make_domain(&resource, "d").await;
        let id = make(&resource, "p", &domain, None).await.unwrap();
        let update = async |patch| resource.update_project(&allowed(), &id, &patch).await;
        update(ProjectPatch { options: Some(options(json!(true))), ..ProjectPatch::default() }).await.unwrap();
        let both = ProjectPatch { tags: Some(vec![]), options: Some(options(json!(false))), ..ProjectPatch::default() };
        assert_eq!(kind(update(both).await), ErrorKind::ForbiddenOpen);
        assert_eq!(kind(update(ProjectPatch::default()).await), ErrorKind::ForbiddenOpen);
        assert_eq!(kind(resource.create_project_tag(&allowed(), &id, "t").await), ErrorKind::ForbiddenOpen);
        let free =
            update(ProjectPatch { options: Some(options(Value::Null)), ..ProjectPatch::default() }).await.unwrap();
        assert!(free.options.is_empty());
        resource.create_project_tag(&allowed(), &id, " t ").await.unwrap();
        assert_eq!(resource.get_project(&id).await.unwrap().unwrap().tags, ["t"]);
    })
    .await;
}

#[tokio::test]
async fn the_name_of_the_federated_domain_is_reserved() {
    on_each_database(async |db| {
        let resource = door(db);
        assert_eq!(kind(resource.create_domain(&allowed(), domain("FEDERATED")).await), ErrorKind::BadRequest);
        let id = make_domain(&resource, "d").await;
        let rename = ProjectPatch { name: Some("Federated".to_owned()), ..ProjectPatch::default() };
        assert_eq!(kind(resource.update_domain(&allowed(), &id, &rename).await), ErrorKind::BadRequest);
        // A project may be called so.
        make(&resource, "Federated", &id, None).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn tags_are_taken_away_one_by_one() {
    on_each_database(async |db| {
        let resource = door(db);
        let domain = make_domain(&resource, "d").await;
        let id = make(&resource, "p", &domain, None).await.unwrap();
        let new = ["x".to_owned(), " y ".to_owned()];
        assert_eq!(resource.update_project_tags(&allowed(), &id, &new).await.unwrap(), ["x", "y"]);
        resource.delete_project_tag(&allowed(), &id, "x").await.unwrap();
        assert_eq!(kind(resource.delete_project_tag(&allowed(), &id, "x").await), ErrorKind::NotFound);
        assert_eq!(resource.get_project(&id).await.unwrap().unwrap().tags, ["y"]);
        assert_eq!(kind(resource.delete_project_tag(&allowed(), &"no".into(), "y").await), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn lists_are_filtered_by_tags() {
    on_each_database(async |db| {
        let resource = door(db);
        let domain = make_domain(&resource, "d").await;
        for (name, tags) in [("ab", "a,b"), ("a", "a"), ("c", "c"), ("none", "")] {
            let tags = tags.split(',').filter(|tag| !tag.is_empty()).map(str::to_owned).collect();
            let project = Project { tags, ..Project::named(name, Some(domain.clone())) };
            resource.create_project(&allowed(), project).await.unwrap();
        }
        let query = ListQuery { filters: vec![Filter::equals("is_domain", "0")], ..ListQuery::default() };
        let tags = || vec!["a".to_owned(), "b".to_owned()];
        for (filters, expected) in [
            (vec![TagFilter::All(tags())], vec!["ab"]),
            (vec![TagFilter::Any(tags())], vec!["a", "ab"]),
            (vec![TagFilter::NotAll(tags())], vec!["a", "c", "none"]),
            (vec![TagFilter::NotAny(tags())], vec!["c", "none"]),
            (vec![TagFilter::Any(tags()), TagFilter::NotAll(tags())], vec!["a"]),
        ] {
            let page = list(&resource, &query, &filters).await.unwrap();
            assert_eq!(names(&page.items), expected, "{filters:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn lists_come_in_pages() {
    on_each_database(async |db| {
        let resource = Resource::new(foundation(db, "[DEFAULT]\nmax_db_limit = 3"));
        let domain = make_domain(&resource, "d").await;
        for number in 0..4 {
            make(&resource, &format!("p{number}"), &domain, None).await.unwrap();
        }
        let filters = vec![Filter::equals("domain_id", &domain)];
        let page = async |limit, marker: Option<&ProjectId>| {
            let marker = marker.map(ToString::to_string);
            let query = ListQuery { filters: filters.clone(), limit, marker };
            list(&resource, &query, &[]).await
        };
        let first = page(Some(2), None).await.unwrap();
        assert_eq!((first.items.len(), first.truncated), (2, true));
        let second = page(Some(2), Some(&first.items[1].id)).await.unwrap();
        assert_eq!((second.items.len(), second.truncated), (2, true));
        assert!(first.items[1].id < second.items[0].id);
        // The greatest size cuts without saying so.
        let most = page(None, None).await.unwrap();
        assert_eq!((most.items.len(), most.truncated), (3, false));
        assert_eq!(kind(page(Some(2), Some(&"nobody".into())).await), ErrorKind::NotFound);
        let (domains, _) = resource.list_domains(&allowed(), &ListQuery::default()).await.unwrap();
        assert_eq!(domains.items.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn the_number_of_queries_does_not_grow_with_the_list() {
    on_each_database(async |db| {
        let resource = door(db);
        let domain = make_domain(&resource, "d").await;
        let cost = async || {
            let before = db.statements();
            list(&resource, &ListQuery::default(), &[]).await.unwrap();
            db.statements() - before
        };
        let before = cost().await;
        for number in 0..5 {
            make(&resource, &format!("p{number}"), &domain, None).await.unwrap();
        }
        assert_eq!(cost().await, before);
    })
    .await;
}
