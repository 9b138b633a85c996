//! Rules of unified limits, through the door.

use std::sync::Arc;

use archstone_db::Db;
use archstone_db::testing::on_each_database;
use serde_json::Map;

use super::{Limit, LimitPatch, Limits, NewLimit, Owner, RegisteredLimit, RegisteredLimitPatch};
use crate::authz::{Allowed, Caller, Delegation, Initiator, Requester, Scope};
use crate::catalog::{Catalog, Region, Service};
use crate::error::{ErrorKind, Result};
use crate::id::{DomainId, LimitId, ProjectId, RegisteredLimitId, ServiceId};
use crate::list::{Filter, ListQuery};
use crate::resource::{Project, Resource};
use crate::testing::foundation;

const STRICT: &str = "[unified_limit]\nenforcement_model = strict_two_level";

/// A cloud with a service, a region `r`, a domain with a project, and another domain with another project.
struct Cloud {
    limits: Limits,
    resource: Resource,
    service: ServiceId,
    domain: DomainId,
    project: ProjectId,
    other_domain: DomainId,
    other_project: ProjectId,
}

fn allowed() -> Allowed {
    Allowed::internal("test")
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind
}

async fn make_region(catalog: &Catalog, id: &str) {
    let region = Region { id: id.into(), description: String::new(), parent_region_id: None, extra: Map::new() };
    catalog.create_region(&allowed(), region).await.unwrap();
}

async fn cloud(db: &Db, config: &str) -> Cloud {
    let foundation = foundation(db, config);
    let resource = Resource::new(foundation.clone());
    let catalog = Catalog::new(foundation.clone(), resource.clone()).unwrap();
    let service = Service { id: ServiceId::new_random(), service_type: None, enabled: true, extra: Map::new() };
    let service = catalog.create_service(&allowed(), service).await.unwrap().id;
    make_region(&catalog, "r").await;
    make_region(&catalog, &"l".repeat(65)).await;
    let make = async |name: &str| {
        let domain = resource.create_project(&allowed(), Project::named(name, None)).await.unwrap().id;
        let domain = DomainId::from(&*domain);
        let project = Project { parent_id: Some(domain.as_ref().into()), ..Project::named(name, Some(domain.clone())) };
        (domain, resource.create_project(&allowed(), project).await.unwrap().id)
    };
    let ((domain, project), (other_domain, other_project)) = (make("a").await, make("b").await);
    let limits = Limits::new(foundation, resource.clone(), catalog);
    Cloud { limits, resource, service, domain, project, other_domain, other_project }
}

impl Cloud {
    fn registered(&self, resource: &str, region: Option<&str>) -> RegisteredLimit {
        RegisteredLimit {
            id: RegisteredLimitId::new_random(),
            service_id: self.service.clone(),
            region_id: region.map(Into::into),
            resource_name: resource.to_owned(),
            default_limit: 10,
            description: None,
        }
    }

    async fn register(&self, limits: Vec<RegisteredLimit>) -> Result<Vec<RegisteredLimit>> {
        self.limits.create_registered_limits(&allowed(), limits).await
    }

    fn of_project(&self, resource: &str, value: i64) -> NewLimit {
        NewLimit {
            id: LimitId::new_random(),
            owner: Owner::Project(self.project.clone()),
            service_id: self.service.clone(),
            region_id: None,
            resource_name: resource.to_owned(),
            resource_limit: value,
            description: None,
        }
    }

    fn of_domain(&self, resource: &str, value: i64) -> NewLimit {
        NewLimit { owner: Owner::Domain(self.domain.clone()), ..self.of_project(resource, value) }
    }

    async fn create(&self, limits: &[NewLimit]) -> Result<Vec<Limit>> {
        self.limits.create_limits(&allowed(), limits).await
    }

    async fn list(&self, filters: Vec<Filter>) -> Vec<LimitId> {
        let query = ListQuery { filters, ..ListQuery::default() };
        let (page, remaining) = self.limits.list_limits(&allowed(), &query).await.unwrap();
        assert_eq!(remaining, []);
        page.items.into_iter().map(|limit| limit.id).collect()
    }

    async fn list_registered(&self, filters: Vec<Filter>) -> Vec<RegisteredLimitId> {
        let query = ListQuery { filters, ..ListQuery::default() };
        let (page, remaining) = self.limits.list_registered_limits(&allowed(), &query).await.unwrap();
        assert_eq!(remaining, []);
        page.items.into_iter().map(|limit| limit.id).collect()
    }
}

#[tokio::test]
async fn registered_limits_are_made_all_or_none() {
    on_each_database(async |db| {
        let cloud = cloud(db, "").await;
        let made = cloud.register(vec![cloud.registered("a", None), cloud.registered("a", Some("r"))]).await.unwrap();
        assert_eq!(cloud.limits.require_registered_limit(&allowed(), &made[1].id).await.unwrap(), made[1]);
        let unknown_service = RegisteredLimit { service_id: "no".into(), ..cloud.registered("c", None) };
        for (bad, expected) in [
            (cloud.registered("a", None), ErrorKind::Conflict),
            (cloud.registered("a", Some("r")), ErrorKind::Conflict),
            (cloud.registered("b", None), ErrorKind::Conflict),
            (cloud.registered("c", Some("no")), ErrorKind::BadRequest),
            (cloud.registered("c", Some(&"l".repeat(65))), ErrorKind::BadRequest),
            (unknown_service, ErrorKind::BadRequest),
        ] {
            assert_eq!(kind(cloud.register(vec![cloud.registered("b", None), bad]).await), expected);
        }
        assert_eq!(cloud.list_registered(vec![]).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn writers_of_the_same_registered_limit_take_turns() {
    on_each_database(async |db| {
        let cloud = cloud(db, "").await;
        let register = || Box::pin(cloud.register(vec![cloud.registered("a", None)]));
        let (first, second, third) = tokio::join!(register(), register(), register());
        assert_eq!([first, second, third].iter().filter(|result| result.is_ok()).count(), 1);
        assert_eq!(cloud.list_registered(vec![]).await.len(), 1);
        let [one, two, three] = [1, 2, 3].map(|value| [cloud.of_project("a", value)]);
        let create = |limits| Box::pin(cloud.create(limits));
        let (first, second, third) = tokio::join!(create(&one), create(&two), create(&three));
        assert_eq!([first, second, third].iter().filter(|result| result.is_ok()).count(), 1);
        assert_eq!(cloud.list(vec![]).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_registered_limit_is_found_by_what_it_limits() {
    on_each_database(async |db| {
        let cloud = cloud(db, "").await;
        let made = cloud.register(vec![cloud.registered("a", Some("r")), cloud.registered("b", None)]).await.unwrap();
        let [first, second] = [&made[0].id, &made[1].id];
        for (name, value, found) in [
            ("region_id", "r", vec![first]),
            ("resource_name", "b", vec![second]),
            ("service_id", &*cloud.service, vec![first, second]),
            ("service_id", "no", vec![]),
        ] {
            let listed = cloud.list_registered(vec![Filter::equals(name, value)]).await;
            assert_eq!(listed.iter().collect::<Vec<_>>(), found, "{name}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_registered_limit_that_limits_are_made_from_stays_as_it_is() {
    on_each_database(async |db| {
        let cloud = cloud(db, "").await;
        let made = cloud.register(vec![cloud.registered("a", None), cloud.registered("b", None)]).await.unwrap();
        let limit = cloud.create(&[cloud.of_project("a", 1)]).await.unwrap().remove(0).id;
        let patch = RegisteredLimitPatch { description: Some(Some("x".to_owned())), ..Default::default() };
        let update =
            async |id, patch: &RegisteredLimitPatch| cloud.limits.update_registered_limit(&allowed(), id, patch).await;
        let delete = async |id| cloud.limits.delete_registered_limit(&allowed(), id).await;
        assert_eq!(kind(update(&made[0].id, &patch).await), ErrorKind::ForbiddenOpen);
        assert_eq!(kind(delete(&made[0].id).await), ErrorKind::ForbiddenOpen);
        let described = RegisteredLimit { description: Some("x".to_owned()), ..made[1].clone() };
        assert_eq!(update(&made[1].id, &patch).await.unwrap(), described);
        assert_eq!(cloud.limits.require_registered_limit(&allowed(), &made[1].id).await.unwrap(), described);
        delete(&made[1].id).await.unwrap();
        assert_eq!(kind(delete(&made[1].id).await), ErrorKind::NotFound);
        assert_eq!(kind(update(&made[1].id, &patch).await), ErrorKind::NotFound);
        cloud.limits.delete_limit(&allowed(), &limit).await.unwrap();
        assert_eq!(cloud.list_registered(vec![]).await, [made[0].id.clone()]);
        delete(&made[0].id).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_update_does_not_make_two_registered_limits_of_the_same() {
    on_each_database(async |db| {
        let cloud = cloud(db, "").await;
        let made = cloud
            .register(vec![cloud.registered("a", None), cloud.registered("b", None), cloud.registered("b", Some("r"))])
            .await
            .unwrap();
        let update = async |patch| cloud.limits.update_registered_limit(&allowed(), &made[0].id, &patch).await;
        let renamed = |name: &str| RegisteredLimitPatch { resource_name: Some(name.to_owned()), ..Default::default() };
        let moved = |region: &str| RegisteredLimitPatch { region_id: Some(Some(region.into())), ..Default::default() };
        assert_eq!(kind(update(renamed("b")).await), ErrorKind::Conflict);
        let both = RegisteredLimitPatch { region_id: Some(Some("r".into())), ..renamed("b") };
        assert_eq!(kind(update(both).await), ErrorKind::Conflict);
        assert_eq!(kind(update(moved("no")).await), ErrorKind::BadRequest);
        let elsewhere = RegisteredLimitPatch { service_id: Some("no".into()), ..Default::default() };
        assert_eq!(kind(update(elsewhere).await), ErrorKind::BadRequest);
        assert_eq!(update(moved("r")).await.unwrap().region_id.as_deref(), Some("r"));
        assert_eq!(update(renamed("c")).await.unwrap().resource_name, "c");
    })
    .await;
}

#[tokio::test]
async fn limits_are_made_all_or_none() {
    on_each_database(async |db| {
        let cloud = cloud(db, "").await;
        cloud.register(vec![cloud.registered("a", None), cloud.registered("b", None)]).await.unwrap();
        let made = cloud.create(&[cloud.of_project("a", 1), cloud.of_domain("a", 2)]).await.unwrap();
        assert_eq!(cloud.limits.require_limit(&allowed(), &made[0].id).await.unwrap(), made[0]);
        let of = |owner: Owner| NewLimit { owner, ..cloud.of_project("a", 1) };
        let as_project = Owner::Project(ProjectId::from(&*cloud.domain));
        let as_domain = Owner::Domain(DomainId::from(&*cloud.project));
        for (bad, expected) in [
            (cloud.of_project("a", 3), ErrorKind::Conflict),
            (cloud.of_domain("a", 3), ErrorKind::Conflict),
            (of(as_project), ErrorKind::Conflict),
            (cloud.of_project("b", 3), ErrorKind::Conflict),
            (cloud.of_project("no", 3), ErrorKind::ForbiddenOpen),
            (NewLimit { region_id: Some("r".into()), ..cloud.of_project("b", 1) }, ErrorKind::ForbiddenOpen),
            (NewLimit { region_id: Some("no".into()), ..cloud.of_project("b", 1) }, ErrorKind::BadRequest),
            (NewLimit { service_id: "no".into(), ..cloud.of_project("b", 1) }, ErrorKind::BadRequest),
            (of(Owner::Project("no".into())), ErrorKind::BadRequest),
            (of(Owner::Domain("no".into())), ErrorKind::BadRequest),
            (of(as_domain), ErrorKind::BadRequest),
        ] {
            let attempt = format!("{bad:?}");
            assert_eq!(kind(cloud.create(&[cloud.of_project("b", 1), bad]).await), expected, "{attempt}");
        }
        assert_eq!(cloud.list(vec![]).await, [made[0].id.clone(), made[1].id.clone()]);
    })
    .await;
}

#[tokio::test]
async fn a_limit_of_a_project_that_is_a_domain_is_the_domain_s() {
    on_each_database(async |db| {
        let cloud = cloud(db, "").await;
        cloud.register(vec![cloud.registered("a", None)]).await.unwrap();
        let owner = Owner::Project(ProjectId::from(&*cloud.domain));
        let made = cloud.create(&[NewLimit { owner, ..cloud.of_project("a", 1) }]).await.unwrap().remove(0);
        assert_eq!((made.project_id, made.domain_id), (None, Some(cloud.domain.clone())));
    })
    .await;
}

#[tokio::test]
async fn a_limit_is_found_by_its_owner_and_by_what_it_limits() {
    on_each_database(async |db| {
        let cloud = cloud(db, "").await;
        cloud.register(vec![cloud.registered("a", Some("r")), cloud.registered("b", None)]).await.unwrap();
        let in_region = NewLimit { region_id: Some("r".into()), ..cloud.of_project("a", 1) };
        let made = cloud.create(&[in_region, cloud.of_domain("b", 2)]).await.unwrap();
        let [first, second] = [&made[0].id, &made[1].id];
        for (name, value, found) in [
            ("region_id", "r", vec![first]),
            ("resource_name", "b", vec![second]),
            ("project_id", &*cloud.project, vec![first]),
            ("domain_id", &*cloud.domain, vec![second]),
            ("service_id", &*cloud.service, vec![first, second]),
            ("service_id", "no", vec![]),
        ] {
            let listed = cloud.list(vec![Filter::equals(name, value)]).await;
            assert_eq!(listed.iter().collect::<Vec<_>>(), found, "{name}");
        }
        let projects = [cloud.project.clone(), cloud.other_project.clone()];
        let of_projects = cloud.limits.list_limits_of_projects(&allowed(), &projects).await.unwrap();
        assert_eq!(of_projects.len(), 1);
        assert_eq!(of_projects[&cloud.project], [made[0].clone()]);
    })
    .await;
}

#[tokio::test]
async fn an_update_can_set_a_limit_to_nothing() {
    on_each_database(async |db| {
        let cloud = cloud(db, "").await;
        cloud.register(vec![cloud.registered("a", None), cloud.registered("b", None)]).await.unwrap();
        let described = NewLimit { description: Some("x".to_owned()), ..cloud.of_project("a", 1) };
        let made = cloud.create(&[described, cloud.of_project("b", 2)]).await.unwrap();
        let patch = LimitPatch { resource_limit: Some(0), description: Some(None) };
        let updated = cloud.limits.update_limit(&allowed(), &made[0].id, &patch).await.unwrap();
        assert_eq!((updated.resource_limit, updated.description), (0, None));
        assert_eq!(cloud.limits.require_limit(&allowed(), &made[0].id).await.unwrap().resource_limit, 0);
        assert_eq!(cloud.limits.require_limit(&allowed(), &made[1].id).await.unwrap(), made[1]);
        cloud.limits.delete_limit(&allowed(), &made[0].id).await.unwrap();
        assert_eq!(kind(cloud.limits.delete_limit(&allowed(), &made[0].id).await), ErrorKind::NotFound);
        assert_eq!(kind(cloud.limits.update_limit(&allowed(), &made[0].id, &patch).await), ErrorKind::NotFound);
        cloud.limits.require_limit(&allowed(), &made[1].id).await.unwrap();
    })
    .await;
}

/// Somebody with a token of this scope and these roles.
fn caller(scope: Scope, roles: &[&str]) -> Allowed {
    let caller = Caller {
        user_id: "u".into(),
        user_domain_id: "default".into(),
        user_name: "u".to_owned(),
        scope,
        roles: roles.iter().map(|&role| role.to_owned()).collect(),
        delegation: Delegation::None,
        audit_ids: vec![],
        credentials: Map::new(),
    };
    Allowed::public(Requester::User(Arc::new(caller)), Initiator::default())
}

#[tokio::test]
async fn a_token_lists_the_limits_of_its_scope() {
    on_each_database(async |db| {
        let cloud = cloud(db, "").await;
        cloud.register(vec![cloud.registered("a", None)]).await.unwrap();
        let other = |owner| NewLimit { owner, ..cloud.of_project("a", 1) };
        let all = [
            cloud.of_project("a", 1),
            cloud.of_domain("a", 1),
            other(Owner::Project(cloud.other_project.clone())),
            other(Owner::Domain(cloud.other_domain.clone())),
        ];
        cloud.create(&all).await.unwrap();
        let in_project = || Scope::Project { id: cloud.project.clone(), domain_id: cloud.domain.clone() };
        let seen = async |allowed: Allowed, query: ListQuery| {
            let (page, _) = cloud.limits.list_limits(&allowed, &query).await.unwrap();
            page.items
                .into_iter()
                .map(|limit| all.iter().position(|made| made.id == limit.id).unwrap())
                .collect::<Vec<_>>()
        };
        for (token, found) in [
            (caller(Scope::System, &["reader"]), vec![0, 1, 2, 3]),
            (caller(in_project(), &["admin"]), vec![0, 1, 2, 3]),
            (caller(in_project(), &["service"]), vec![0, 1, 2, 3]),
            (caller(in_project(), &["member"]), vec![0]),
            (caller(Scope::Domain(cloud.domain.clone()), &["member"]), vec![0, 1]),
            (caller(Scope::Unscoped, &[]), vec![]),
        ] {
            let name = format!("{token:?}");
            assert_eq!(seen(token, ListQuery::default()).await, found, "{name}");
        }
        let of_other =
            ListQuery { filters: vec![Filter::equals("project_id", &cloud.other_project)], ..ListQuery::default() };
        assert!(seen(caller(in_project(), &["member"]), of_other.clone()).await.is_empty());
        assert!(seen(caller(Scope::Domain(cloud.domain.clone()), &[]), of_other).await.is_empty());
        // The first row of the table is not this domain's: a cut must not come before the choice.
        let first = ListQuery { limit: Some(1), ..ListQuery::default() };
        assert_eq!(seen(caller(Scope::Domain(cloud.other_domain.clone()), &[]), first).await, [2, 3]);
    })
    .await;
}

#[tokio::test]
async fn under_strict_two_level_no_project_has_more_than_its_domain() {
    on_each_database(async |db| {
        let cloud = cloud(db, STRICT).await;
        cloud.register(vec![cloud.registered("a", None)]).await.unwrap();
        assert_eq!(kind(cloud.create(&[cloud.of_project("a", 11)]).await), ErrorKind::ForbiddenOpen);
        let both = [cloud.of_project("a", 12), cloud.of_domain("a", 12)];
        let made = cloud.create(&both).await.unwrap();
        let set = async |limit: &Limit, value| {
            let patch = LimitPatch { resource_limit: Some(value), description: None };
            cloud.limits.update_limit(&allowed(), &limit.id, &patch).await
        };
        assert_eq!(kind(set(&made[0], 13).await), ErrorKind::ForbiddenOpen);
        assert_eq!(kind(set(&made[1], 11).await), ErrorKind::ForbiddenOpen);
        set(&made[0], 5).await.unwrap();
        set(&made[1], 5).await.unwrap();
        assert_eq!(kind(set(&made[1], 4).await), ErrorKind::ForbiddenOpen);
        // The other domain is bound by the default alone.
        let owner = Owner::Project(cloud.other_project.clone());
        cloud.create(&[NewLimit { owner, ..cloud.of_project("a", 10) }]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn under_strict_two_level_no_service_starts_with_projects_below_projects() {
    on_each_database(async |db| {
        let cloud = cloud(db, STRICT).await;
        cloud.limits.check_tree_depth().await.unwrap();
        let below =
            Project { parent_id: Some(cloud.project.clone()), ..Project::named("below", Some(cloud.domain.clone())) };
        let below = cloud.resource.create_project(&allowed(), below).await.unwrap().id;
        let error = cloud.limits.check_tree_depth().await.unwrap_err();
        assert!(error.detail_text().contains(&*below) && !error.detail_text().contains(&*cloud.project));
        let resource = cloud.resource.clone();
        let foundation = foundation(db, "");
        let flat = Limits::new(foundation.clone(), resource.clone(), Catalog::new(foundation, resource).unwrap());
        flat.check_tree_depth().await.unwrap();
    })
    .await;
}
