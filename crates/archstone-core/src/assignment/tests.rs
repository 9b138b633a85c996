//! Roles, grants and what follows from them, through the door.

use std::collections::BTreeSet;

use archstone_db::Db;
use archstone_db::testing::on_each_database;
use serde_json::{Map, Value, json};

use super::{Actor, Assignment, AssignmentQuery, Grant, GrantTarget, NamedAssignment, Role, RoleAssignment, RolePatch};
use crate::authz::Allowed;
use crate::error::{ErrorKind, Result};
use crate::id::{DomainId, GroupId, ProjectId, RoleId, UserId};
use crate::identity::{Group, Identity, NewUser};
use crate::list::{Filter, ListQuery, whole};
use crate::resource::{Project, Resource};
use crate::testing::foundation;

fn allowed() -> Allowed {
    Allowed::internal("test")
}

/// A domain with a project and one below it, a user, and another user who is in a group.
struct Cloud {
    assignment: Assignment,
    identity: Identity,
    resource: Resource,
    domain: DomainId,
    parent: ProjectId,
    child: ProjectId,
    user: UserId,
    member: UserId,
    group: GroupId,
}

impl Cloud {
    async fn new(db: &Db) -> Cloud {
        let foundation = foundation(db, "");
        let resource = Resource::new(foundation.clone());
        let identity = Identity::new(foundation.clone()).unwrap();
        let assignment = Assignment::new(foundation, resource.clone(), identity.clone());
        let allowed = allowed();
        let domain = resource.create_project(&allowed, Project::named("d", None)).await.unwrap().id;
        let domain = DomainId::from(&*domain);
        let parent = Project::named("p", Some(domain.clone()));
        let parent = resource.create_project(&allowed, parent).await.unwrap().id;
        let child = Project { parent_id: Some(parent.clone()), ..Project::named("c", Some(domain.clone())) };
        let child = resource.create_project(&allowed, child).await.unwrap().id;
        let user = identity.create_user(&allowed, NewUser::named(domain.clone(), "u")).await.unwrap().id;
        let member = identity.create_user(&allowed, NewUser::named(domain.clone(), "m")).await.unwrap().id;
        let group = Group {
            id: GroupId::new_random(),
            domain_id: domain.clone(),
            name: "g".to_owned(),
            description: None,
            extra: Map::new(),
        };
        let group = identity.create_group(&allowed, group).await.unwrap().id;
        identity.add_user_to_group(&allowed, &member, &group).await.unwrap();
        Cloud { assignment, identity, resource, domain, parent, child, user, member, group }
    }

    async fn role(&self, name: &str) -> RoleId {
        self.assignment.create_role(&allowed(), role(name, None)).await.unwrap().id
    }

    async fn grant(&self, role: &RoleId, actor: Actor, target: GrantTarget, inherited: bool) {
        let grant = Grant { role_id: role.clone(), actor, target, inherited };
        self.assignment.create_grant(&allowed(), &grant).await.unwrap();
    }

    async fn list(&self, query: AssignmentQuery) -> Vec<RoleAssignment> {
        whole(self.assignment.list_role_assignments(&allowed(), &query).await.unwrap()).await.unwrap().items
    }

    async fn list_named(&self, query: AssignmentQuery) -> Result<Vec<NamedAssignment>> {
        whole(self.assignment.list_named_role_assignments(&allowed(), &query).await?).await.map(|page| page.items)
    }

    fn user(&self) -> Actor {
        Actor::User(self.user.clone())
    }

    fn group(&self) -> Actor {
        Actor::Group(self.group.clone())
    }

    fn on_parent(&self) -> GrantTarget {
        GrantTarget::Project(self.parent.clone())
    }

    fn on_child(&self) -> GrantTarget {
        GrantTarget::Project(self.child.clone())
    }

    fn on_domain(&self) -> GrantTarget {
        GrantTarget::Domain(self.domain.clone())
    }
}

fn role(name: &str, domain_id: Option<DomainId>) -> Role {
    Role {
        id: RoleId::new_random(),
        name: name.to_owned(),
        domain_id,
        description: None,
        options: Map::new(),
        extra: Map::new(),
    }
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

#[tokio::test]
async fn role_names_are_unique_where_they_belong() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let (door, allowed) = (&cloud.assignment, allowed());
        door.create_role(&allowed, role("r", None)).await.unwrap();
        door.create_role(&allowed, role("r", Some(cloud.domain.clone()))).await.unwrap();
        let taken = door.create_role(&allowed, role("r", None)).await.unwrap_err();
        assert_eq!(taken.kind, ErrorKind::Conflict);
        let long = Role { description: Some("d".repeat(256)), ..role("long", None) };
        assert_eq!(door.create_role(&allowed, long).await.unwrap_err().kind, ErrorKind::BadRequest);
    })
    .await;
}

#[tokio::test]
async fn a_list_of_roles_is_of_one_domain_or_global() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let (door, allowed) = (&cloud.assignment, allowed());
        let options = object(&json!({"immutable": true}));
        let global = Role { options, extra: object(&json!({"x": 1})), ..role("global", None) };
        let global = door.create_role(&allowed, global).await.unwrap();
        let local = door.create_role(&allowed, role("local", Some(cloud.domain.clone()))).await.unwrap();
        let (page, _) = door.list_roles(&allowed, &ListQuery::default()).await.unwrap();
        assert_eq!(page.items, [global]);
        let of_domain = ListQuery { filters: vec![Filter::equals("domain_id", &cloud.domain)], ..ListQuery::default() };
        let (page, _) = door.list_roles(&allowed, &of_domain).await.unwrap();
        assert_eq!(page.items, [local]);
    })
    .await;
}

#[tokio::test]
async fn an_immutable_role_can_only_be_made_mutable() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let (door, allowed) = (&cloud.assignment, allowed());
        let immutable = Role { options: object(&json!({"immutable": true})), ..role("r", None) };
        let id = door.create_role(&allowed, immutable).await.unwrap().id;
        let rename = RolePatch { name: Some("s".to_owned()), ..RolePatch::default() };
        let both = RolePatch { options: Some(object(&json!({"immutable": false}))), ..rename.clone() };
        for patch in [&rename, &both] {
            assert_eq!(door.update_role(&allowed, &id, patch).await.unwrap_err().kind, ErrorKind::ForbiddenOpen);
        }
        let free = RolePatch { options: Some(object(&json!({"immutable": null}))), ..RolePatch::default() };
        assert_eq!(door.update_role(&allowed, &id, &free).await.unwrap().options, Map::new());
        let renamed = door.update_role(&allowed, &id, &rename).await.unwrap();
        assert_eq!(door.require_role(&allowed, &id).await.unwrap(), renamed);
        assert_eq!(renamed.name, "s");
        let moved = RolePatch { domain_id: Some(Some(cloud.domain.clone())), ..RolePatch::default() };
        assert_eq!(door.update_role(&allowed, &id, &moved).await.unwrap_err().kind, ErrorKind::BadRequest);
    })
    .await;
}

#[tokio::test]
async fn a_global_role_implies_no_role_of_a_domain_and_none_implies_admin() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let (door, allowed) = (&cloud.assignment, allowed());
        let (a, b, admin) = (cloud.role("a").await, cloud.role("b").await, cloud.role("admin").await);
        let local = door.create_role(&allowed, role("local", Some(cloud.domain.clone()))).await.unwrap().id;
        for refused in [&local, &admin] {
            let error = door.create_implied_role(&allowed, &a, refused).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::ForbiddenOpen);
        }
        door.create_implied_role(&allowed, &local, &a).await.unwrap();
        door.create_implied_role(&allowed, &a, &b).await.unwrap();
        assert_eq!(door.create_implied_role(&allowed, &a, &b).await.unwrap_err().kind, ErrorKind::Conflict);
        let (_, implied) = door.list_implied_roles(&allowed, &a).await.unwrap();
        assert_eq!(implied.iter().map(|role| &*role.name).collect::<Vec<_>>(), ["b"]);
        door.delete_implied_role(&allowed, &a, &b).await.unwrap();
        assert!(door.delete_implied_role(&allowed, &a, &b).await.unwrap_err().is_not_found());
        assert!(door.require_implied_role(&allowed, &a, &b).await.unwrap_err().is_not_found());
    })
    .await;
}

#[tokio::test]
async fn a_grant_can_be_made_twice_and_ended_once() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let (door, allowed) = (&cloud.assignment, allowed());
        let role = cloud.role("r").await;
        for target in [cloud.on_parent(), cloud.on_domain(), GrantTarget::System] {
            let grant = Grant { role_id: role.clone(), actor: cloud.user(), target, inherited: false };
            for _ in 0..2 {
                door.create_grant(&allowed, &grant).await.unwrap();
            }
            door.check_grant(&allowed, &grant).await.unwrap();
            let listed = door.list_granted_roles(&allowed, &grant.actor, &grant.target, false).await.unwrap();
            assert_eq!(listed.len(), 1);
            // Neither of another actor of the same id, nor inherited.
            let group = Actor::Group(GroupId::from(&*cloud.user));
            assert!(door.list_granted_roles(&allowed, &group, &grant.target, false).await.unwrap().is_empty());
            let inherited = Grant { inherited: true, ..grant.clone() };
            if grant.target != GrantTarget::System {
                assert!(door.delete_grant(&allowed, &inherited).await.unwrap_err().is_not_found());
            }
            door.delete_grant(&allowed, &grant).await.unwrap();
            assert!(door.delete_grant(&allowed, &grant).await.unwrap_err().is_not_found());
            assert!(door.check_grant(&allowed, &grant).await.unwrap_err().is_not_found());
        }
    })
    .await;
}

#[tokio::test]
async fn a_role_of_a_domain_is_granted_on_its_own_projects_only() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let (door, allowed) = (&cloud.assignment, allowed());
        let own = door.create_role(&allowed, role("own", Some(cloud.domain.clone()))).await.unwrap().id;
        let other = door.create_role(&allowed, role("other", Some("elsewhere".into()))).await.unwrap().id;
        cloud.grant(&own, cloud.user(), cloud.on_parent(), false).await;
        let refused = |role_id: &RoleId, target| Grant {
            role_id: role_id.clone(),
            actor: cloud.user(),
            target,
            inherited: false,
        };
        let error = door.create_grant(&allowed, &refused(&other, cloud.on_parent())).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ForbiddenOpen);
        let error = door.create_grant(&allowed, &refused(&own, GrantTarget::System)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadRequest);
        let nowhere = GrantTarget::Project("nowhere".into());
        assert!(door.create_grant(&allowed, &refused(&own, nowhere)).await.unwrap_err().is_not_found());
    })
    .await;
}

#[tokio::test]
async fn a_direct_list_shows_what_is_stored() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let (a, b) = (cloud.role("a").await, cloud.role("b").await);
        cloud.grant(&a, cloud.user(), cloud.on_parent(), false).await;
        cloud.grant(&a, cloud.group(), cloud.on_domain(), true).await;
        cloud.grant(&b, cloud.user(), GrantTarget::System, false).await;
        let all = AssignmentQuery::default;
        let count = async |query| cloud.list(query).await.len();
        assert_eq!(count(all()).await, 3);
        assert_eq!(count(AssignmentQuery { user: Some(cloud.user.clone()), ..all() }).await, 2);
        // Members do not count in, and a user's id names no group.
        assert_eq!(count(AssignmentQuery { user: Some(cloud.member.clone()), ..all() }).await, 0);
        assert_eq!(count(AssignmentQuery { group: Some(cloud.group.clone()), ..all() }).await, 1);
        assert_eq!(count(AssignmentQuery { group: Some((&*cloud.user).into()), ..all() }).await, 0);
        assert_eq!(count(AssignmentQuery { role: Some(a.clone()), ..all() }).await, 2);
        assert_eq!(count(AssignmentQuery { system: true, ..all() }).await, 1);
        assert_eq!(count(AssignmentQuery { domain: Some(cloud.domain.clone()), ..all() }).await, 1);
        assert_eq!(count(AssignmentQuery { project: Some(cloud.parent.clone()), ..all() }).await, 1);
        assert_eq!(count(AssignmentQuery { project: Some(cloud.child.clone()), ..all() }).await, 0);
        // What is on the system is neither: it stays.
        assert_eq!(count(AssignmentQuery { inherited: Some(true), ..all() }).await, 2);
        assert_eq!(count(AssignmentQuery { within: Some(cloud.domain.clone()), ..all() }).await, 2);
        assert_eq!(count(AssignmentQuery { within: Some("other".into()), ..all() }).await, 0);
    })
    .await;
}

#[tokio::test]
async fn an_effective_list_follows_groups_inheritance_and_implication() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let (a, b) = (cloud.role("a").await, cloud.role("b").await);
        cloud.assignment.create_implied_role(&allowed(), &a, &b).await.unwrap();
        cloud.grant(&a, cloud.group(), cloud.on_parent(), true).await;
        let found = cloud.list(AssignmentQuery { effective: true, ..AssignmentQuery::default() }).await;
        let member = Actor::User(cloud.member.clone());
        assert_eq!(found.len(), 2);
        for (role, prior) in [(&a, None), (&b, Some(&a))] {
            let entry = found.iter().find(|entry| entry.role_id == *role).unwrap();
            assert_eq!((&entry.actor, &entry.target, entry.inherited), (&member, &cloud.on_child(), false));
            assert_eq!(entry.source.group, Some(cloud.group.clone()));
            assert_eq!(entry.source.target, Some(cloud.on_parent()));
            assert_eq!(entry.source.prior_role.as_ref(), prior);
        }
        let only_b = AssignmentQuery {
            effective: true,
            role: Some(b.clone()),
            user: Some(cloud.member.clone()),
            project: Some(cloud.child.clone()),
            ..AssignmentQuery::default()
        };
        assert_eq!(cloud.list(only_b.clone()).await.len(), 1);
        assert!(cloud.list(AssignmentQuery { project: Some(cloud.parent.clone()), ..only_b }).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_subtree_inherits_from_its_domain_and_from_within() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let (a, b) = (cloud.role("a").await, cloud.role("b").await);
        cloud.grant(&a, cloud.user(), cloud.on_domain(), true).await;
        cloud.grant(&b, cloud.user(), cloud.on_parent(), true).await;
        let tree = AssignmentQuery {
            effective: true,
            project: Some(cloud.parent.clone()),
            include_subtree: true,
            ..AssignmentQuery::default()
        };
        let found: BTreeSet<_> =
            cloud.list(tree.clone()).await.into_iter().map(|entry| (entry.role_id, entry.target)).collect();
        let expected = [(a.clone(), cloud.on_parent()), (a.clone(), cloud.on_child()), (b.clone(), cloud.on_child())];
        assert_eq!(found, expected.into());
        let direct = cloud.list(AssignmentQuery { effective: false, ..tree.clone() }).await;
        assert_eq!(direct.len(), 1);
        assert!(cloud.list(AssignmentQuery { inherited: Some(false), ..tree }).await.is_empty());
        let mut projects = cloud.assignment.list_project_ids_of_user(&allowed(), &cloud.user).await.unwrap();
        projects.sort();
        let mut expected = [cloud.parent.clone(), cloud.child.clone()];
        expected.sort();
        assert_eq!(projects, expected);
    })
    .await;
}

#[tokio::test]
async fn a_list_of_assignments_has_names_unless_a_target_has_none() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let a = cloud.role("a").await;
        cloud.grant(&a, cloud.user(), cloud.on_parent(), false).await;
        // A user that is gone has no name; its grants are still shown.
        let gone = Grant {
            role_id: a.clone(),
            actor: Actor::User("gone".into()),
            target: cloud.on_domain(),
            inherited: false,
        };
        assert!(cloud.assignment.create_grant(&allowed(), &gone).await.unwrap_err().is_not_found());
        cloud.assignment.create_grant_to_anybody(&allowed(), &gone).await.unwrap();
        let names = cloud.list_named(AssignmentQuery::default()).await.unwrap().remove(0).names;
        assert_eq!(names.users[&cloud.user].name, "u");
        assert_eq!(names.users.len(), 1);
        assert_eq!(names.projects[&cloud.parent].domain_id, Some(cloud.domain.clone()));
        assert_eq!((names.roles[&a].name.as_str(), names.domains[&cloud.domain].as_str()), ("a", "d"));
        let as_project = GrantTarget::Project((&*cloud.domain).into());
        cloud.grant(&a, cloud.user(), as_project, false).await;
        assert!(cloud.list_named(AssignmentQuery::default()).await.unwrap_err().is_not_found());
    })
    .await;
}

#[tokio::test]
async fn the_number_of_statements_does_not_grow_with_the_assignments() {
    on_each_database(async |db| {
        let cloud = Cloud::new(db).await;
        let a = cloud.role("a").await;
        cloud.grant(&a, cloud.group(), cloud.on_domain(), true).await;
        cloud.grant(&a, cloud.user(), cloud.on_parent(), true).await;
        let count = async || {
            let query = AssignmentQuery { effective: true, ..AssignmentQuery::default() };
            let before = db.statements();
            let found = cloud.list_named(query).await.unwrap();
            (found.len(), db.statements() - before)
        };
        let (few, statements) = count().await;
        for n in 0..5 {
            let project = Project::named(&format!("p{n}"), Some(cloud.domain.clone()));
            let project = cloud.resource.create_project(&allowed(), project).await.unwrap().id;
            let user = NewUser::named(cloud.domain.clone(), format!("u{n}"));
            let user = cloud.identity.create_user(&allowed(), user).await.unwrap().id;
            cloud
                .grant(&cloud.role(&format!("r{n}")).await, Actor::User(user), GrantTarget::Project(project), false)
                .await;
        }
        let (many, statements_of_many) = count().await;
        assert!(many > few + 5);
        assert_eq!(statements_of_many, statements);
    })
    .await;
}
