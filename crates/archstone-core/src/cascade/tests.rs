//! What goes with a project, a domain, a user or a group, and whose tokens end, through the door.

use archstone_db::tables::{
    AccessRule, ApplicationCredential, ApplicationCredentialRole, Assignment, Credential, IdentityProvider, Limit,
    ProjectEndpoint, RevocationEvent, Role, SystemAssignment, Trust, WhitelistedConfig,
};
use archstone_db::testing::on_each_database;
use archstone_db::{Db, Query as _};
use sea_query::{Expr, ExprTrait as _, Iden, InsertStatement, IntoIden, IntoTableRef, Query as Sql};
use serde_json::{Map, json};

use super::Cascade;
use crate::application_credential::ApplicationCredentials;
use crate::assignment;
use crate::authz::Allowed;
use crate::error::{Error, ErrorKind, Result};
use crate::id::{DomainId, GroupId, ProjectId, UserId};
use crate::identity::{Group, Identity, NewUser, UserPatch};
use crate::resource::{Project, ProjectPatch, Resource};
use crate::revoke::Revoke;
use crate::testing::foundation;

struct Doors {
    db: Db,
    resource: Resource,
    identity: Identity,
    cascade: Cascade,
}

fn allowed() -> Allowed {
    Allowed::internal("test")
}

impl Doors {
    fn new(db: &Db) -> Doors {
        let foundation = foundation(db, "");
        let resource = Resource::new(foundation.clone());
        let identity = Identity::new(foundation.clone()).unwrap();
        let revoke = Revoke::new(foundation.clone());
        let assignment = assignment::Assignment::new(foundation.clone(), resource.clone(), identity.clone());
        let credentials = ApplicationCredentials::new(foundation.clone(), identity.clone(), assignment.clone());
        let cascade = Cascade::new(foundation, resource.clone(), identity.clone(), assignment, credentials, revoke);
        Doors { db: db.clone(), resource, identity, cascade }
    }

    async fn domain(&self, name: &str) -> DomainId {
        let project = self.resource.create_project(&allowed(), Project::named(name, None)).await.unwrap();
        DomainId::from(&*project.id)
    }

    async fn project(&self, name: &str, domain: &DomainId, parent: Option<&ProjectId>) -> ProjectId {
        let project = Project { parent_id: parent.cloned(), ..Project::named(name, Some(domain.clone())) };
        self.resource.create_project(&allowed(), project).await.unwrap().id
    }

    async fn user(&self, name: &str, domain: &DomainId, default_project: Option<&ProjectId>) -> UserId {
        let new = NewUser { default_project_id: default_project.cloned(), ..NewUser::named(domain.clone(), name) };
        self.identity.create_user(&allowed(), new).await.unwrap().id
    }

    async fn group(&self, name: &str, domain: &DomainId) -> GroupId {
        let group = Group {
            id: GroupId::new_random(),
            domain_id: domain.clone(),
            name: name.to_owned(),
            description: None,
            extra: Map::new(),
        };
        self.identity.create_group(&allowed(), group).await.unwrap().id
    }

    async fn disable(&self, id: &str) {
        let off = ProjectPatch { enabled: Some(false), ..ProjectPatch::default() };
        self.resource.update_project(&allowed(), &id.into(), &off).await.unwrap();
    }

    async fn make_immutable(&self, id: &str) {
        let options = Some(Map::from_iter([("immutable".to_owned(), json!(true))]));
        let fixed = ProjectPatch { options, ..ProjectPatch::default() };
        self.resource.update_project(&allowed(), &id.into(), &fixed).await.unwrap();
    }

    async fn insert(&self, statements: Vec<InsertStatement>) {
        let statements = &statements;
        let inserted: Result<()> = self
            .db
            .write(move |tx| {
                Box::pin(async move {
                    for statement in statements {
                        tx.execute(statement).await?;
                    }
                    Ok::<_, Error>(())
                })
            })
            .await;
        inserted.unwrap();
    }

    async fn count(&self, table: impl IntoTableRef, column: impl Iden + Copy + 'static, value: &str) -> usize {
        let mut select = Sql::select();
        select.expr(Expr::val(1)).from(table).and_where(Expr::col(column).eq(value));
        self.db.fetch_all(&select).await.unwrap().len()
    }
}

fn row<C: IntoIden + Copy>(table: impl IntoTableRef, values: &[(C, Expr)]) -> InsertStatement {
    let mut insert = Sql::insert();
    insert
        .into_table(table)
        .columns(values.iter().map(|(column, _)| *column))
        .values_panic(values.iter().map(|(_, value)| value.clone()));
    insert
}

/// The role that all assignments here are of.
fn role() -> InsertStatement {
    row(Role::Table, &[(Role::Id, "role".into()), (Role::Name, "role".into()), (Role::DomainId, "<<null>>".into())])
}

fn assignment(kind: &str, actor: &str, target: &str) -> InsertStatement {
    row(
        Assignment::Table,
        &[
            (Assignment::Type, archstone_db::dialect::enum_value("type", kind)),
            (Assignment::ActorId, actor.into()),
            (Assignment::TargetId, target.into()),
            (Assignment::RoleId, "role".into()),
            (Assignment::Inherited, false.into()),
        ],
    )
}

fn credential(id: &str, user: &str, project: &str) -> InsertStatement {
    row(
        Credential::Table,
        &[
            (Credential::Id, id.into()),
            (Credential::UserId, user.into()),
            (Credential::ProjectId, project.into()),
            (Credential::Type, "cert".into()),
            (Credential::KeyHash, "k".into()),
            (Credential::EncryptedBlob, "b".into()),
        ],
    )
}

fn trust(id: &str, trustor: &str, trustee: &str, project: &str) -> InsertStatement {
    row(
        Trust::Table,
        &[
            (Trust::Id, id.into()),
            (Trust::TrustorUserId, trustor.into()),
            (Trust::TrusteeUserId, trustee.into()),
            (Trust::ProjectId, project.into()),
            (Trust::Impersonation, false.into()),
        ],
    )
}

fn limit(id: &str, column: Limit, owner: &str) -> InsertStatement {
    row(Limit::Table, &[(Limit::Id, id.into()), (Limit::ResourceLimit, 1.into()), (column, owner.into())])
}

fn application_credential(id: &str, internal_id: i32, user: &str, project: &str) -> Vec<InsertStatement> {
    vec![
        row(
            ApplicationCredential::Table,
            &[
                (ApplicationCredential::InternalId, internal_id.into()),
                (ApplicationCredential::Id, id.into()),
                (ApplicationCredential::Name, id.into()),
                (ApplicationCredential::SecretHash, "h".into()),
                (ApplicationCredential::UserId, user.into()),
                (ApplicationCredential::ProjectId, project.into()),
            ],
        ),
        row(
            ApplicationCredentialRole::Table,
            &[
                (ApplicationCredentialRole::ApplicationCredentialId, internal_id.into()),
                (ApplicationCredentialRole::RoleId, "role".into()),
            ],
        ),
    ]
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind
}

#[tokio::test]
async fn a_project_takes_what_belongs_to_it_and_nothing_else() {
    on_each_database(async |db| {
        let doors = Doors::new(db);
        let domain = doors.domain("d").await;
        let (gone, kept) = (doors.project("gone", &domain, None).await, doors.project("kept", &domain, None).await);
        let user = doors.user("u", &domain, Some(&gone)).await;
        let mut rows = vec![role()];
        for project in [&gone, &kept] {
            rows.push(assignment("UserProject", &user, project));
            rows.push(assignment("GroupProject", "g", project));
            rows.push(credential(&format!("c{project}"), &user, project));
            rows.push(trust(&format!("t{}", &project[..8]), &user, "other", project));
            rows.push(limit(&format!("l{}", &project[..8]), Limit::ProjectId, project));
            rows.push(row(
                ProjectEndpoint::Table,
                &[(ProjectEndpoint::EndpointId, "e".into()), (ProjectEndpoint::ProjectId, (&**project).into())],
            ));
        }
        // Another kind of assignment whose target only looks the same.
        rows.push(assignment("UserDomain", &user, &gone));
        rows.extend(application_credential("a", 1, &user, &gone));
        doors.insert(rows).await;
        doors.cascade.delete_project(&allowed(), &gone).await.unwrap();

        assert_eq!(doors.resource.get_project(&gone).await.unwrap(), None);
        assert_eq!(doors.count(Assignment::Table, Assignment::TargetId, &gone).await, 1);
        assert_eq!(doors.count(Assignment::Table, Assignment::TargetId, &kept).await, 2);
        assert_eq!(doors.count(Credential::Table, Credential::ProjectId, &gone).await, 0);
        assert_eq!(doors.count(Credential::Table, Credential::ProjectId, &kept).await, 1);
        assert_eq!(doors.count(Limit::Table, Limit::ProjectId, &gone).await, 0);
        assert_eq!(doors.count(Limit::Table, Limit::ProjectId, &kept).await, 1);
        assert_eq!(doors.count(ProjectEndpoint::Table, ProjectEndpoint::ProjectId, &gone).await, 0);
        assert_eq!(doors.count(ProjectEndpoint::Table, ProjectEndpoint::ProjectId, &kept).await, 1);
        assert_eq!(doors.count(RevocationEvent::Table, RevocationEvent::ProjectId, &gone).await, 1);
        let mut living = Sql::select();
        living.column(Trust::ProjectId).from(Trust::Table).and_where(Expr::col(Trust::DeletedAt).is_null());
        let living = db.fetch_all(&living).await.unwrap();
        assert_eq!(living.iter().map(|row| row.get("project_id").unwrap()).collect::<Vec<String>>(), [&*kept]);
        let user = doors.identity.require_user(&allowed(), &user).await.unwrap();
        assert_eq!(user.default_project_id, None);
        // It is its user's, as in the reference.
        assert_eq!(doors.count(ApplicationCredential::Table, ApplicationCredential::Id, "a").await, 1);
    })
    .await;
}

#[tokio::test]
async fn only_a_mutable_leaf_can_be_deleted() {
    on_each_database(async |db| {
        let doors = Doors::new(db);
        let domain = doors.domain("d").await;
        let top = doors.project("top", &domain, None).await;
        let leaf = doors.project("leaf", &domain, Some(&top)).await;
        let delete = async |id: &ProjectId| doors.cascade.delete_project(&allowed(), id).await;
        assert_eq!(kind(delete(&top).await), ErrorKind::ForbiddenOpen);
        assert_eq!(kind(delete(&"no".into()).await), ErrorKind::NotFound);
        doors.make_immutable(&leaf).await;
        assert_eq!(kind(delete(&leaf).await), ErrorKind::ForbiddenOpen);
        let free = Some(Map::from_iter([("immutable".to_owned(), json!(false))]));
        let free = ProjectPatch { options: free, ..ProjectPatch::default() };
        doors.resource.update_project(&allowed(), &leaf, &free).await.unwrap();
        delete(&leaf).await.unwrap();
        delete(&top).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_domain_takes_all_that_is_in_it() {
    on_each_database(async |db| {
        let doors = Doors::new(db);
        let (gone, kept) = (doors.domain("gone").await, doors.domain("kept").await);
        let top = doors.project("top", &gone, None).await;
        let leaf = doors.project("leaf", &gone, Some(&top)).await;
        let user = doors.user("u", &gone, None).await;
        let other = doors.user("u", &kept, Some(&leaf)).await;
        let (group, other_group) = (doors.group("g", &gone).await, doors.group("g", &kept).await);
        doors.identity.add_user_to_group(&allowed(), &other, &group).await.unwrap();
        let mut rows = vec![
            role(),
            assignment("UserDomain", &other, &gone),
            assignment("GroupDomain", &group, &kept),
            assignment("GroupDomain", &other_group, &kept),
            assignment("UserProject", &other, &leaf),
            row(
                SystemAssignment::Table,
                &[
                    (SystemAssignment::Type, "UserSystem".into()),
                    (SystemAssignment::ActorId, (&*user).into()),
                    (SystemAssignment::TargetId, "system".into()),
                    (SystemAssignment::RoleId, "role".into()),
                    (SystemAssignment::Inherited, false.into()),
                ],
            ),
            credential("c", &user, "elsewhere"),
            trust("t", &other, &user, "elsewhere"),
            limit("l", Limit::DomainId, &gone),
            row(
                AccessRule::Table,
                &[
                    (AccessRule::Id, 1.into()),
                    (AccessRule::ExternalId, "x".into()),
                    (AccessRule::UserId, (&*user).into()),
                ],
            ),
            row(
                IdentityProvider::Table,
                &[
                    (IdentityProvider::Id, "idp".into()),
                    (IdentityProvider::Enabled, true.into()),
                    (IdentityProvider::DomainId, (&*gone).into()),
                ],
            ),
            row(
                WhitelistedConfig::Table,
                &[
                    (WhitelistedConfig::DomainId, (&*gone).into()),
                    (WhitelistedConfig::Group, "ldap".into()),
                    (WhitelistedConfig::Option, "url".into()),
                    (WhitelistedConfig::Value, "\"x\"".into()),
                ],
            ),
        ];
        rows.extend(application_credential("a", 1, &user, "elsewhere"));
        doors.insert(rows).await;
        assert_eq!(kind(doors.cascade.delete_domain(&allowed(), &gone).await), ErrorKind::ForbiddenOpen);
        doors.disable(&gone).await;
        doors.cascade.delete_domain(&allowed(), &gone).await.unwrap();

        assert_eq!(doors.resource.get_domain(&gone).await.unwrap(), None);
        assert!(doors.resource.get_projects(&[top.clone(), leaf.clone()]).await.unwrap().is_empty());
        assert_eq!(kind(doors.identity.require_user(&allowed(), &user).await), ErrorKind::NotFound);
        assert_eq!(kind(doors.identity.require_group(&allowed(), &group).await), ErrorKind::NotFound);
        assert_eq!(doors.count(Assignment::Table, Assignment::RoleId, "role").await, 1);
        assert_eq!(doors.count(Assignment::Table, Assignment::ActorId, &other_group).await, 1);
        assert_eq!(doors.count(SystemAssignment::Table, SystemAssignment::ActorId, &user).await, 0);
        assert_eq!(doors.count(Credential::Table, Credential::Id, "c").await, 0);
        assert_eq!(doors.count(Limit::Table, Limit::Id, "l").await, 0);
        assert_eq!(doors.count(AccessRule::Table, AccessRule::UserId, &user).await, 0);
        assert_eq!(doors.count(ApplicationCredential::Table, ApplicationCredential::Id, "a").await, 0);
        assert_eq!(doors.count(ApplicationCredentialRole::Table, ApplicationCredentialRole::RoleId, "role").await, 0);
        assert_eq!(doors.count(IdentityProvider::Table, IdentityProvider::Id, "idp").await, 0);
        assert_eq!(doors.count(WhitelistedConfig::Table, WhitelistedConfig::DomainId, &gone).await, 0);
        let mut ended = Sql::select();
        ended.column(Trust::Id).from(Trust::Table).and_where(Expr::col(Trust::DeletedAt).is_not_null());
        assert_eq!(db.fetch_all(&ended).await.unwrap().len(), 1);
        for (column, id) in [
            (RevocationEvent::ProjectId, &*leaf),
            (RevocationEvent::ProjectId, &*top),
            (RevocationEvent::ProjectId, &*gone),
            (RevocationEvent::UserId, &*user),
            // Was in a group that had roles.
            (RevocationEvent::UserId, &*other),
        ] {
            assert_eq!(doors.count(RevocationEvent::Table, column, id).await, 1, "{id}");
        }
        let other = doors.identity.require_user(&allowed(), &other).await.unwrap();
        assert_eq!(other.default_project_id, None);
    })
    .await;
}

#[tokio::test]
async fn an_immutable_project_keeps_its_whole_domain() {
    on_each_database(async |db| {
        let doors = Doors::new(db);
        let domain = doors.domain("d").await;
        let project = doors.project("p", &domain, None).await;
        let user = doors.user("u", &domain, None).await;
        doors.make_immutable(&project).await;
        doors.disable(&domain).await;
        assert_eq!(kind(doors.cascade.delete_domain(&allowed(), &domain).await), ErrorKind::ForbiddenOpen);
        assert!(doors.resource.get_domain(&domain).await.unwrap().is_some());
        doors.identity.require_user(&allowed(), &user).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_project_is_no_domain_to_delete_but_a_domain_is_a_project() {
    on_each_database(async |db| {
        let doors = Doors::new(db);
        let domain = doors.domain("d").await;
        let project = doors.project("p", &domain, None).await;
        doors.disable(&project).await;
        assert_eq!(kind(doors.cascade.delete_domain(&allowed(), &(&*project).into()).await), ErrorKind::NotFound);
        let as_project = ProjectId::from(&*domain);
        assert_eq!(kind(doors.cascade.delete_project(&allowed(), &as_project).await), ErrorKind::ForbiddenOpen);
        doors.disable(&domain).await;
        doors.cascade.delete_project(&allowed(), &as_project).await.unwrap();
        assert_eq!(doors.resource.get_project(&project).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn the_deleted_are_told_of_after_the_deletion() {
    on_each_database(async |db| {
        let doors = Doors::new(db);
        let domain = doors.domain("d").await;
        let project = doors.project("p", &domain, None).await;
        doors.disable(&domain).await;
        let mut heard = doors.cascade.foundation.events.listen();
        doors.cascade.delete_domain(&allowed(), &domain).await.unwrap();
        let mut told = Vec::new();
        while let Ok(event) = heard.try_recv() {
            told.push((event.event_type(), event.id.clone()));
        }
        let expected = [
            ("identity.project.deleted", &*project),
            ("identity.project.deleted", &*domain),
            ("identity.domain.deleted", &*domain),
        ];
        assert_eq!(told, expected.map(|(kind, id)| (kind.to_owned(), id.to_owned())));
    })
    .await;
}

#[tokio::test]
async fn a_user_takes_what_belongs_to_it_and_its_tokens_end() {
    on_each_database(async |db| {
        let doors = Doors::new(db);
        let domain = doors.domain("d").await;
        let project = doors.project("p", &domain, None).await;
        let (gone, stays) = (doors.user("gone", &domain, None).await, doors.user("stays", &domain, None).await);
        let mut rows = vec![role()];
        for (id, user) in [(1, &gone), (2, &stays)] {
            rows.push(assignment("UserProject", user, &project));
            rows.push(credential(&format!("c{id}"), user, &project));
            rows.extend(application_credential(&format!("a{id}"), id, user, &project));
        }
        doors.insert(rows).await;
        doors.cascade.delete_user(&allowed(), &gone).await.unwrap();
        assert_eq!(kind(doors.cascade.delete_user(&allowed(), &gone).await), ErrorKind::NotFound);
        for (user, left) in [(&gone, 0), (&stays, 1)] {
            assert_eq!(doors.count(Assignment::Table, Assignment::ActorId, user).await, left);
            assert_eq!(doors.count(Credential::Table, Credential::UserId, user).await, left);
            assert_eq!(doors.count(ApplicationCredential::Table, ApplicationCredential::UserId, user).await, left);
            assert_eq!(doors.count(RevocationEvent::Table, RevocationEvent::UserId, user).await, 1 - left);
        }
    })
    .await;
}

#[tokio::test]
async fn being_disabled_and_a_new_password_end_tokens_and_a_new_name_does_not() {
    on_each_database(async |db| {
        let doors = Doors::new(db);
        let domain = doors.domain("d").await;
        let password = || Some(Some("pw".into()));
        for (name, patch, ends) in [
            ("renamed", UserPatch { name: Some("other".into()), ..UserPatch::default() }, 0),
            ("disabled", UserPatch { enabled: Some(false), ..UserPatch::default() }, 1),
            ("reset", UserPatch { password: password(), ..UserPatch::default() }, 1),
        ] {
            let id = doors.user(name, &domain, None).await;
            doors.cascade.update_user(&allowed(), &id, patch).await.unwrap();
            assert_eq!(doors.count(RevocationEvent::Table, RevocationEvent::UserId, &id).await, ends, "{name}");
        }
        let new = NewUser { password: password(), ..NewUser::named(domain, "self") };
        let id = doors.identity.create_user(&allowed(), new).await.unwrap().id;
        let change = async |old: &str| doors.cascade.change_own_password(&allowed(), &id, old.into(), "2".into()).await;
        assert_eq!(kind(change("wrong").await), ErrorKind::Unauthorized);
        assert_eq!(doors.count(RevocationEvent::Table, RevocationEvent::UserId, &id).await, 0);
        change("pw").await.unwrap();
        assert_eq!(doors.count(RevocationEvent::Table, RevocationEvent::UserId, &id).await, 1);
    })
    .await;
}

#[tokio::test]
async fn leaving_a_group_ends_tokens() {
    on_each_database(async |db| {
        let doors = Doors::new(db);
        let domain = doors.domain("d").await;
        let (user, group) = (doors.user("u", &domain, None).await, doors.group("g", &domain).await);
        let leave = async || doors.cascade.remove_user_from_group(&allowed(), &user, &group).await;
        assert_eq!(kind(leave().await), ErrorKind::NotFound);
        assert_eq!(doors.count(RevocationEvent::Table, RevocationEvent::UserId, &user).await, 0);
        doors.identity.add_user_to_group(&allowed(), &user, &group).await.unwrap();
        leave().await.unwrap();
        assert_eq!(doors.count(RevocationEvent::Table, RevocationEvent::UserId, &user).await, 1);
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_group_ends_tokens_only_if_it_had_roles() {
    on_each_database(async |db| {
        let doors = Doors::new(db);
        let domain = doors.domain("d").await;
        doors.insert(vec![role()]).await;
        for (name, ends) in [("without", 0), ("with", 1)] {
            let (user, group) = (doors.user(name, &domain, None).await, doors.group(name, &domain).await);
            doors.identity.add_user_to_group(&allowed(), &user, &group).await.unwrap();
            if ends == 1 {
                doors.insert(vec![assignment("GroupDomain", &group, &domain)]).await;
            }
            doors.cascade.delete_group(&allowed(), &group).await.unwrap();
            assert_eq!(kind(doors.cascade.delete_group(&allowed(), &group).await), ErrorKind::NotFound);
            assert_eq!(doors.count(RevocationEvent::Table, RevocationEvent::UserId, &user).await, ends, "{name}");
            assert_eq!(doors.count(Assignment::Table, Assignment::ActorId, &group).await, 0);
        }
    })
    .await;
}
