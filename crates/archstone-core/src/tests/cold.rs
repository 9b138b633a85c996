//! What validations cost of which nothing is in memory, and what they leave in it.

use futures::future::{join_all, try_join_all};
use serde_json::Map;

use super::{Cloud, allowed, kind, on_each_cloud, role, validate};
use crate::Core;
use crate::assignment::{Actor, Grant, GrantTarget, Role};
use crate::catalog::{Endpoint, RenderCatalog, Service};
use crate::error::ErrorKind;
use crate::id::{DomainId, EndpointId, GroupId, ProjectId, RoleId, ServiceId, UserId};
use crate::identity::{Group, NewUser};
use crate::resource::{Project, ProjectPatch};
use crate::token::{NewScope, NewToken, Validation};

async fn make_user(core: &Core, name: &str) -> UserId {
    core.identity.create_user(&allowed(), NewUser::named("default".into(), name)).await.unwrap().id
}

async fn make_project(core: &Core, name: &str) -> ProjectId {
    core.resource.create_project(&allowed(), Project::named(name, Some("default".into()))).await.unwrap().id
}

async fn grant(core: &Core, role_id: &RoleId, actor: Actor, target: GrantTarget, inherited: bool) {
    let grant = Grant { role_id: role_id.clone(), actor, target, inherited };
    core.assignment.create_grant(&allowed(), &grant).await.unwrap();
}

async fn token(core: &Core, user: &UserId, scope: NewScope) -> String {
    let new = NewToken {
        user_id: user.clone(),
        methods: vec!["password".to_owned()],
        scope,
        expires_at: None,
        chain: None,
        application_credential: None,
        trust: None,
    };
    core.token.issue(new).await.unwrap().text
}

const AS_TEXT: RenderCatalog = |catalog| format!("{catalog:?}").into();

/// The statements that a node with nothing in memory needs to validate these at once, with their catalogs.
async fn statements(cloud: &Cloud, tokens: &[String]) -> u64 {
    let node = cloud.node("cold").await;
    let before = node.db().statements();
    let validated = join_all(tokens.iter().map(async |text| {
        let moment = node.token.observe().await?;
        let token = node.token.validate_at(moment, text, Validation::default()).await?;
        node.token.catalog_text(moment, &token, AS_TEXT).await
    }));
    assert!(validated.await.into_iter().all(|text| !text.unwrap().unwrap().is_empty()));
    node.db().statements() - before
}

/// Most statements for one validation: of the project and its domain, the user and its groups, assignments, roles, the
/// catalog, revocations.
const MOST: u64 = 15;

async fn enrich(cloud: &Cloud, core: &Core) {
    for n in 0..12 {
        let group = Group {
            id: GroupId::new_random(),
            domain_id: "default".into(),
            name: format!("group {n}"),
            description: None,
            extra: Map::new(),
        };
        let group = core.identity.create_group(&allowed(), group).await.unwrap().id;
        core.identity.add_user_to_group(&allowed(), &cloud.alice, &group).await.unwrap();
        let role = Role {
            id: RoleId::new_random(),
            name: format!("role {n}"),
            domain_id: None,
            description: None,
            options: Map::new(),
            extra: Map::new(),
        };
        let role = core.assignment.create_role(&allowed(), role).await.unwrap().id;
        grant(core, &role, Actor::Group(group), GrantTarget::Project(cloud.work.clone()), false).await;
        grant(core, &role, Actor::User(cloud.alice.clone()), GrantTarget::Domain("default".into()), true).await;
        let service = Service {
            id: ServiceId::new_random(),
            service_type: Some(format!("type-{n}")),
            enabled: true,
            extra: Map::new(),
        };
        let service = core.catalog.create_service(&allowed(), service).await.unwrap().id;
        let endpoint = Endpoint {
            id: EndpointId::new_random(),
            interface: "public".to_owned(),
            region_id: None,
            service_id: service,
            url: "http://h/%(project_id)s/$(user_id)s".to_owned(),
            enabled: true,
            extra: Map::new(),
        };
        core.catalog.create_endpoint(&allowed(), endpoint, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_cold_validation_costs_a_constant_number_of_statements() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("maker").await;
        let text = token(&core, &cloud.alice, NewScope::Project(cloud.work.clone())).await;
        let before = statements(cloud, std::slice::from_ref(&text)).await;
        assert!((1..=MOST).contains(&before), "{before} statements");
        enrich(cloud, &core).await;
        let after = statements(cloud, std::slice::from_ref(&text)).await;
        assert!(after <= before, "{before} statements, then {after}");
        assert_eq!(validate(&core, &text).await.unwrap().roles().len(), 14);
    })
    .await;
}

#[tokio::test]
async fn cold_validations_of_a_moment_share_their_loads() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("maker").await;
        let member = role(&core, "member").await;
        let mut tokens = vec![token(&core, &cloud.alice, NewScope::Project(cloud.work.clone())).await];
        let alone = statements(cloud, &tokens).await;
        for n in 0..100 {
            let user = make_user(&core, &format!("user {n}")).await;
            let project = make_project(&core, &format!("project {n}")).await;
            grant(&core, &member, Actor::User(user.clone()), GrantTarget::Project(project.clone()), false).await;
            tokens.push(token(&core, &user, NewScope::Project(project)).await);
        }
        let together = statements(cloud, &tokens).await;
        assert!(together <= 2 * alone, "{alone} statements for one token, {together} for {}", tokens.len());
    })
    .await;
}

#[tokio::test]
async fn text_that_is_no_token_costs_no_statement_and_leaves_nothing() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let good = token(&core, &cloud.alice, NewScope::Project(cloud.work.clone())).await;
        validate(&core, &good).await.unwrap();
        let (before, kept) = (core.db().statements(), core.token.remembered());
        for n in 0..100 {
            let mut bad = good.clone().into_bytes();
            let at = 20 + n % (bad.len() - 30);
            bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
            let bad = String::from_utf8(bad).unwrap();
            assert_eq!(kind(validate(&core, &bad).await), Some(ErrorKind::TokenNotFound), "{at}");
        }
        assert_eq!((core.db().statements(), core.token.remembered()), (before, kept));
    })
    .await;
}

/// There can be another domain of the same id, but not with the grants of the old one.
#[tokio::test]
async fn grants_go_with_their_domain() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let member = role(&core, "member").await;
        let id = DomainId::from("0123456789abcdef0123456789abcdef");
        let make = async || {
            let domain = Project { id: "0123456789abcdef0123456789abcdef".into(), ..Project::named("kitchen", None) };
            core.resource.create_project(&allowed(), domain).await.unwrap();
        };
        make().await;
        let on = |id: &DomainId| GrantTarget::Domain(id.clone());
        grant(&core, &member, Actor::User(cloud.alice.clone()), on(&id), false).await;
        let text = token(&core, &cloud.alice, NewScope::Domain(id.clone())).await;
        validate(&core, &text).await.unwrap();
        let disabled = ProjectPatch { enabled: Some(false), ..ProjectPatch::default() };
        core.resource.update_domain(&allowed(), &id, &disabled).await.unwrap();
        core.cascade.delete_domain(&allowed(), &id).await.unwrap();
        make().await;
        let work = token(&core, &cloud.alice, NewScope::Project(cloud.work.clone())).await;
        validate(&core, &work).await.unwrap();
        let new = NewToken {
            user_id: cloud.alice.clone(),
            methods: vec!["password".to_owned()],
            scope: NewScope::Domain(id),
            expires_at: None,
            chain: None,
            application_credential: None,
            trust: None,
        };
        assert_eq!(kind(core.token.issue(new).await), Some(ErrorKind::Unauthorized));
    })
    .await;
}

/// One who has more assignments than are kept has them all the same.
#[tokio::test]
async fn a_user_with_thousands_of_assignments_has_each_of_them() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let member = role(&core, "member").await;
        let rows = (0..2500).map(|n| Grant {
            role_id: member.clone(),
            actor: Actor::User(cloud.alice.clone()),
            target: GrantTarget::Project(format!("elsewhere-{n}").as_str().into()),
            inherited: false,
        });
        let rows: Vec<Grant> = rows.collect();
        core.assignment.insert_grants(&rows).await;
        let domain = GrantTarget::Domain("default".into());
        grant(&core, &member, Actor::User(cloud.alice.clone()), domain.clone(), false).await;
        let reader = role(&core, "reader").await;
        grant(&core, &reader, Actor::User(cloud.alice.clone()), domain, true).await;
        let scopes = [NewScope::Project(cloud.work.clone()), NewScope::Domain("default".into())];
        let tokens = try_join_all(scopes.map(async |scope| {
            let text = token(&core, &cloud.alice, scope).await;
            validate(&core, &text).await
        }));
        for token in tokens.await.unwrap() {
            let names: Vec<&str> = token.roles().iter().map(|role| role.name.as_str()).collect();
            assert_eq!(names, ["member", "reader"]);
        }
    })
    .await;
}
