//! Application credentials through the door.

use std::collections::BTreeSet;

use archstone_db::Db;
use archstone_db::testing::on_each_database;
use serde_json::Map;

use super::{ApplicationCredentials, NewAccessRule, NewApplicationCredential, RoleChoice, WithRoles, generate_secret};
use crate::assignment::{Actor, Assignment, Grant, GrantTarget, Role};
use crate::authz::Allowed;
use crate::cascade::Cascade;
use crate::error::{ErrorKind, Result};
use crate::foundation::Foundation;
use crate::id::{ApplicationCredentialId, DomainId, ProjectId, RoleId, UserId};
use crate::identity::password::Password;
use crate::identity::{Identity, NewUser};
use crate::list::{Filter, ListQuery};
use crate::resource::{Project, Resource};
use crate::revoke::Revoke;
use crate::testing::foundation;

fn allowed() -> Allowed {
    Allowed::internal("test")
}

/// A user with the role `a`, which implies `b`, on a project.
struct Cloud {
    foundation: Foundation,
    resource: Resource,
    identity: Identity,
    assignment: Assignment,
    door: ApplicationCredentials,
    project: ProjectId,
    user: UserId,
    a: RoleId,
    b: RoleId,
}

impl Cloud {
    async fn new(db: &Db) -> Cloud {
        let cheap = "[identity]\npassword_hash_rounds = 4\n[application_credential]\nuser_limit = 3\n";
        let foundation = foundation(db, cheap);
        let resource = Resource::new(foundation.clone());
        let identity = Identity::new(foundation.clone()).unwrap();
        let assignment = Assignment::new(foundation.clone(), resource.clone(), identity.clone());
        let door = ApplicationCredentials::new(foundation.clone(), identity.clone(), assignment.clone());
        let domain = resource.create_project(&allowed(), Project::named("d", None)).await.unwrap().id;
        let domain = DomainId::from(&*domain);
        let project = Project::named("p", Some(domain.clone()));
        let project = resource.create_project(&allowed(), project).await.unwrap().id;
        let user = identity.create_user(&allowed(), NewUser::named(domain, "u")).await.unwrap().id;
        let (a, b) = (make_role(&assignment, "a").await, make_role(&assignment, "b").await);
        assignment.create_implied_role(&allowed(), &a, &b).await.unwrap();
        let cloud = Cloud { foundation, resource, identity, assignment, door, project, user, a, b };
        cloud.assignment.create_grant(&allowed(), &cloud.grant()).await.unwrap();
        cloud
    }

    fn grant(&self) -> Grant {
        Grant {
            role_id: self.a.clone(),
            actor: Actor::User(self.user.clone()),
            target: GrantTarget::Project(self.project.clone()),
            inherited: false,
        }
    }

    /// With all roles of a token of the user, and the secret `s`.
    fn new_credential(&self, name: &str) -> NewApplicationCredential {
        NewApplicationCredential {
            name: name.to_owned(),
            description: None,
            user_id: self.user.clone(),
            project_id: Some(self.project.clone()),
            system: None,
            expires_at: None,
            unrestricted: None,
            roles: Vec::new(),
            token_roles: [self.a.clone(), self.b.clone()].into(),
            access_rules: Vec::new(),
            secret: Password::new("s".to_owned()),
        }
    }

    async fn create(&self, new: NewApplicationCredential) -> Result<WithRoles> {
        self.door.create(&allowed(), new).await
    }

    async fn create_named(&self, name: &str) -> ApplicationCredentialId {
        self.create(self.new_credential(name)).await.unwrap().credential.id
    }

    async fn names(&self, query: &ListQuery) -> Vec<String> {
        let (page, _) = self.door.list(&allowed(), &self.user, query).await.unwrap();
        page.items.into_iter().map(|shown| shown.credential.name).collect()
    }
}

async fn make_role(assignment: &Assignment, name: &str) -> RoleId {
    let role = Role {
        id: RoleId::new_random(),
        name: name.to_owned(),
        domain_id: None,
        description: None,
        options: Map::new(),
        extra: Map::new(),
    };
    assignment.create_role(&allowed(), role).await.unwrap().id
}

fn rule(service: &str, path: &str) -> NewAccessRule {
    NewAccessRule {
        id: None,
        service: Some(service.to_owned()),
        path: Some(path.to_owned()),
        method: Some("GET".to_owned()),
    }
}

#[tokio::test]
async fn a_credential_is_stored_with_its_roles_and_proved_by_its_secret() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let created = cloud.create(cloud.new_credential("one")).await.unwrap();
        let stored = cloud.door.require(&allowed(), &created.credential.id).await.unwrap();
        assert_eq!(stored.roles, created.roles);
        let roles: BTreeSet<&str> = stored.roles.iter().map(|role| role.name.as_str()).collect();
        assert_eq!(roles, ["a", "b"].into());
        assert_eq!((stored.credential.unrestricted, stored.credential.is_unrestricted()), (None, false));
        let right = Password::new("s".to_owned());
        cloud.door.check_secret(&stored.credential, right).await.unwrap();
        let wrong = Password::new("t".to_owned());
        let error = cloud.door.check_secret(&stored.credential, wrong).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unauthorized);
        let again = cloud.create(cloud.new_credential("one")).await.unwrap_err();
        assert_eq!(again.kind, ErrorKind::Conflict);
    })
    .await;
}

#[tokio::test]
async fn no_role_is_handed_on_that_the_token_lacks_or_the_user_lost() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let chosen = |choice| NewApplicationCredential { roles: vec![choice], ..cloud.new_credential("c") };
        let by_name = cloud.create(chosen(RoleChoice::Name("b".to_owned()))).await.unwrap();
        assert_eq!(by_name.credential.role_ids, [cloud.b.clone()].into());
        // A token with `b` only cannot hand on `a`, and so neither can one made by such a credential.
        let escalated = NewApplicationCredential {
            token_roles: [cloud.b.clone()].into(),
            name: "d".to_owned(),
            ..chosen(RoleChoice::Id(cloud.a.clone()))
        };
        assert_eq!(cloud.create(escalated).await.unwrap_err().kind, ErrorKind::BadRequest);
        let unknown = cloud.create(chosen(RoleChoice::Name("none".to_owned()))).await.unwrap_err();
        assert!(unknown.is_not_found());
        cloud.assignment.delete_grant(&allowed(), &cloud.grant()).await.unwrap();
        let lost = cloud.create(cloud.new_credential("e")).await.unwrap_err();
        assert_eq!(lost.kind, ErrorKind::BadRequest);
    })
    .await;
}

#[tokio::test]
async fn a_user_has_so_many_credentials_at_most() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        for name in ["one", "two", "three"] {
            cloud.create_named(name).await;
        }
        let error = cloud.create(cloud.new_credential("four")).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ForbiddenOpen);
        assert_eq!(cloud.names(&ListQuery::default()).await, ["one", "two", "three"]);
        let named = ListQuery { filters: vec![Filter::equals("name", "two")], ..ListQuery::default() };
        assert_eq!(cloud.names(&named).await, ["two"]);
    })
    .await;
}

#[tokio::test]
async fn a_credential_that_ended_is_neither_made_nor_accepted() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let now = cloud.foundation.time.now();
        let past = NewApplicationCredential { expires_at: Some(now), ..cloud.new_credential("past") };
        assert_eq!(cloud.create(past).await.unwrap_err().kind, ErrorKind::BadRequest);
        let end = Some(now.plus_seconds(60));
        let soon = NewApplicationCredential { expires_at: end, ..cloud.new_credential("soon") };
        let soon = cloud.create(soon).await.unwrap().credential;
        let stored = cloud.door.require(&allowed(), &soon.id).await.unwrap().credential;
        assert_eq!(stored.expires_at, end);
        cloud.foundation.time.advance(60);
        let secret = Password::new("s".to_owned());
        assert_eq!(cloud.door.check_secret(&stored, secret).await.unwrap_err().kind, ErrorKind::Unauthorized);
    })
    .await;
}

#[tokio::test]
async fn access_rules_are_shared_and_stay_until_deleted() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let with = |name, rules| NewApplicationCredential { access_rules: rules, ..cloud.new_credential(name) };
        let one = cloud.create(with("one", vec![rule("compute", "/v2/servers")])).await.unwrap().credential;
        let known = one.access_rules.clone().unwrap().remove(0);
        let by_id = NewAccessRule { id: Some(known.id.clone()), ..NewAccessRule::default() };
        let two = with("two", vec![by_id, rule("compute", "/v2/servers"), rule("image", "/v2/images")]);
        let two = cloud.create(two).await.unwrap().credential;
        let rules = cloud.door.require(&allowed(), &two.id).await.unwrap().credential.access_rules.unwrap();
        assert_eq!((rules.len(), &rules[0]), (2, &known));
        let unknown = NewAccessRule { id: Some("none".to_owned()), ..NewAccessRule::default() };
        assert!(cloud.create(with("three", vec![unknown])).await.unwrap_err().is_not_found());

        let (door, allowed) = (&cloud.door, allowed());
        let used = door.delete_access_rule(&allowed, &cloud.user, &known.id).await.unwrap_err();
        assert_eq!(used.kind, ErrorKind::ForbiddenOpen);
        door.delete(&allowed, &one.id).await.unwrap();
        door.delete(&allowed, &two.id).await.unwrap();
        let of_compute = ListQuery { filters: vec![Filter::equals("service", "compute")], ..ListQuery::default() };
        let (page, _) = door.list_access_rules(&allowed, &cloud.user, &of_compute).await.unwrap();
        assert_eq!(page.items, std::slice::from_ref(&known));
        let foreign = UserId::from("other");
        assert!(door.require_access_rule(&allowed, &foreign, &known.id).await.unwrap_err().is_not_found());
        assert!(door.delete_access_rule(&allowed, &foreign, &known.id).await.unwrap_err().is_not_found());
        door.delete_access_rule(&allowed, &cloud.user, &known.id).await.unwrap();
        assert!(door.require_access_rule(&allowed, &cloud.user, &known.id).await.unwrap_err().is_not_found());
    })
    .await;
}

#[tokio::test]
async fn a_role_that_goes_takes_credentials_and_grants_with_it() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let id = cloud.create_named("one").await;
        let cascade = Cascade::new(
            cloud.foundation.clone(),
            cloud.resource.clone(),
            cloud.identity.clone(),
            cloud.assignment.clone(),
            cloud.door.clone(),
            Revoke::new(cloud.foundation.clone()),
        );
        // Nobody was granted `b`: the credential only loses it.
        cascade.delete_role(&allowed(), &cloud.b).await.unwrap();
        let left = cloud.door.require(&allowed(), &id).await.unwrap().credential.role_ids;
        assert_eq!(left, [cloud.a.clone()].into());
        cascade.delete_role(&allowed(), &cloud.a).await.unwrap();
        assert!(cloud.door.require(&allowed(), &id).await.unwrap_err().is_not_found());
        let projects = cloud.assignment.list_project_ids_of_user(&allowed(), &cloud.user).await.unwrap();
        assert!(projects.is_empty());
        assert!(cascade.delete_role(&allowed(), &cloud.a).await.unwrap_err().is_not_found());
    })
    .await;
}

#[test]
fn generated_secrets_are_long_and_differ() {
    let (one, other) = (generate_secret().unwrap(), generate_secret().unwrap());
    assert_eq!(one.len(), 86);
    assert_ne!(one, other);
}
