//! Trusts through the door.

use archstone_db::Db;
use archstone_db::tables::User as UserTable;
use archstone_db::testing::on_each_database;
use sea_query::{Expr, ExprTrait as _, Query as Sql};
use serde_json::{Map, json};

use super::{Flush, NewTrust, Trust, Trusts, TrustsOf};
use crate::application_credential::RoleChoice;
use crate::assignment::{Actor, Assignment, Grant, GrantTarget, Role};
use crate::authz::Allowed;
use crate::error::{ErrorKind, Result};
use crate::foundation::Foundation;
use crate::id::{DomainId, ProjectId, RoleId, TrustId, UserId};
use crate::identity::{Identity, NewUser};
use crate::resource::{Project, Resource};
use crate::revoke::Revoke;
use crate::testing::foundation;
use crate::time::Timestamp;

fn allowed() -> Allowed {
    Allowed::internal("test")
}

/// The users `tor`, who has the roles `a` and so `b` on the projects `here` and `there`, `tee` and `third`.
struct Cloud {
    foundation: Foundation,
    assignment: Assignment,
    door: Trusts,
    domain: DomainId,
    here: ProjectId,
    there: ProjectId,
    tor: UserId,
    tee: UserId,
    third: UserId,
    a: RoleId,
    b: RoleId,
}

impl Cloud {
    async fn new(db: &Db) -> Cloud {
        let foundation = foundation(db, "[identity]\npassword_hash_rounds = 4\n");
        let resource = Resource::new(foundation.clone());
        let identity = Identity::new(foundation.clone()).unwrap();
        let assignment = Assignment::new(foundation.clone(), resource.clone(), identity.clone());
        let revoke = Revoke::new(foundation.clone());
        let door = Trusts::new(foundation.clone(), resource.clone(), identity.clone(), assignment.clone(), revoke);
        let domain = resource.create_project(&allowed(), Project::named("d", None)).await.unwrap().id;
        let domain = DomainId::from(&*domain);
        let mut projects = Vec::new();
        for name in ["here", "there"] {
            let project = Project::named(name, Some(domain.clone()));
            projects.push(resource.create_project(&allowed(), project).await.unwrap().id);
        }
        let mut users = Vec::new();
        for name in ["tor", "tee", "third"] {
            let user = NewUser::named(domain.clone(), name);
            users.push(identity.create_user(&allowed(), user).await.unwrap().id);
        }
        let [here, there] = projects.try_into().unwrap();
        let [tor, tee, third] = users.try_into().unwrap();
        let (a, b) = (make_role(&assignment, "a", None).await, make_role(&assignment, "b", None).await);
        assignment.create_implied_role(&allowed(), &a, &b).await.unwrap();
        let cloud = Cloud { foundation, assignment, door, domain, here, there, tor, tee, third, a, b };
        cloud.grant(&cloud.tor, &cloud.here, &cloud.a).await;
        cloud.grant(&cloud.tor, &cloud.there, &cloud.a).await;
        cloud
    }

    async fn grant(&self, user: &UserId, project: &ProjectId, role: &RoleId) {
        let grant = Grant {
            role_id: role.clone(),
            actor: Actor::User(user.clone()),
            target: GrantTarget::Project(project.clone()),
            inherited: false,
        };
        self.assignment.create_grant(&allowed(), &grant).await.unwrap();
    }

    /// `tor` trusts `tee` with `a` on `here`, as itself, for ever.
    fn new_trust(&self) -> NewTrust {
        NewTrust {
            trustor_user_id: self.tor.clone(),
            trustee_user_id: self.tee.clone(),
            project_id: Some(self.here.clone()),
            impersonation: true,
            expires_at: None,
            remaining_uses: None,
            roles: vec![RoleChoice::Id(self.a.clone())],
            allow_redelegation: false,
            redelegation_count: None,
            redelegated_trust_id: None,
            extra: Map::new(),
        }
    }

    /// One that can be handed on.
    async fn parent(&self) -> Trust {
        let end = Some(self.later(1000));
        self.create(NewTrust { allow_redelegation: true, expires_at: end, ..self.new_trust() }).await.unwrap()
    }

    /// One by way of another.
    fn child(&self, of: &Trust) -> NewTrust {
        let trustee_user_id = self.third.clone();
        NewTrust { trustee_user_id, redelegated_trust_id: Some(of.id.clone()), ..self.new_trust() }
    }

    async fn create(&self, new: NewTrust) -> Result<Trust> {
        self.door.create(&allowed(), new).await
    }

    async fn refused(&self, new: NewTrust) -> ErrorKind {
        self.create(new).await.unwrap_err().kind
    }

    async fn usable(&self, id: &TrustId) -> Result<Trust, ErrorKind> {
        self.door.require_for_target(id).await.map_err(|error| error.kind)
    }

    fn later(&self, seconds: i64) -> Timestamp {
        self.foundation.time.now().plus_seconds(seconds)
    }
}

async fn make_role(assignment: &Assignment, name: &str, domain: Option<&DomainId>) -> RoleId {
    let role = Role {
        id: RoleId::new_random(),
        name: name.to_owned(),
        domain_id: domain.cloned(),
        description: None,
        options: Map::new(),
        extra: Map::new(),
    };
    assignment.create_role(&allowed(), role).await.unwrap().id
}

async fn on_each_cloud(body: impl AsyncFn(&Cloud)) {
    on_each_database(async |db| Box::pin(body(&Cloud::new(db).await)).await).await;
}

#[tokio::test]
async fn what_is_stored_is_read_again() {
    on_each_cloud(async |cloud| {
        let extra = json!({"note": "née"}).as_object().unwrap().clone();
        let end = Some(cloud.later(1000));
        let full = NewTrust { expires_at: end, remaining_uses: Some(7), extra, ..cloud.new_trust() };
        let made = cloud.create(full).await.unwrap();
        assert_eq!(cloud.usable(&made.id).await, Ok(made.clone()));
        assert_eq!(made.redelegation_count, Some(0));
        let bare = cloud.create(NewTrust { project_id: None, roles: Vec::new(), ..cloud.new_trust() }).await.unwrap();
        assert_eq!(cloud.usable(&bare.id).await, Ok(bare));
    })
    .await;
}

#[tokio::test]
async fn roles_are_those_that_the_trustor_has_there() {
    on_each_cloud(async |cloud| {
        let local = make_role(&cloud.assignment, "local", Some(&cloud.domain)).await;
        let foreign = make_role(&cloud.assignment, "foreign", None).await;
        cloud.grant(&cloud.tor, &cloud.here, &local).await;
        let with = |role: RoleChoice| NewTrust { roles: vec![role], ..cloud.new_trust() };
        for role in [&cloud.b, &local] {
            let made = cloud.create(with(RoleChoice::Id(role.clone()))).await.unwrap();
            assert_eq!(made.role_ids, [role.clone()].into());
        }
        let named = cloud.create(with(RoleChoice::Name("local".into()))).await.unwrap();
        assert_eq!(named.role_ids, [local].into());
        for role in [RoleChoice::Id(foreign), RoleChoice::Id("none".into()), RoleChoice::Name("none".into())] {
            assert_eq!(cloud.refused(with(role)).await, ErrorKind::NotFound);
        }
        make_role(&cloud.assignment, "a", Some(&cloud.domain)).await;
        assert_eq!(cloud.refused(with(RoleChoice::Name("a".into()))).await, ErrorKind::BadRequest);
        let nowhere = NewTrust { project_id: None, ..cloud.new_trust() };
        assert_eq!(cloud.refused(nowhere).await, ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn trustee_project_and_end_must_make_sense() {
    on_each_cloud(async |cloud| {
        let stranger = NewTrust { trustee_user_id: "none".into(), ..cloud.new_trust() };
        assert_eq!(cloud.refused(stranger).await, ErrorKind::NotFound);
        let nowhere = NewTrust { project_id: Some("none".into()), ..cloud.new_trust() };
        assert_eq!(cloud.refused(nowhere).await, ErrorKind::NotFound);
        let over = NewTrust { expires_at: Some(cloud.later(-1)), ..cloud.new_trust() };
        assert_eq!(cloud.refused(over).await, ErrorKind::BadRequest);
    })
    .await;
}

#[tokio::test]
async fn one_end_for_the_same_two_on_a_project() {
    on_each_cloud(async |cloud| {
        let ending = |seconds| NewTrust { expires_at: Some(cloud.later(seconds)), ..cloud.new_trust() };
        let first = cloud.create(ending(100)).await.unwrap();
        assert_eq!(cloud.refused(ending(100)).await, ErrorKind::Conflict);
        cloud.create(ending(101)).await.unwrap();
        cloud.create(NewTrust { impersonation: false, ..ending(100) }).await.unwrap();
        // Of those without an end there can be any number; one that was deleted still stands in the way.
        cloud.create(cloud.new_trust()).await.unwrap();
        cloud.create(cloud.new_trust()).await.unwrap();
        cloud.door.delete(&allowed(), &first.id).await.unwrap();
        assert_eq!(cloud.refused(ending(100)).await, ErrorKind::Conflict);
        let twice = vec![RoleChoice::Id(cloud.a.clone()), RoleChoice::Name("a".into())];
        assert_eq!(cloud.refused(NewTrust { roles: twice, ..cloud.new_trust() }).await, ErrorKind::Conflict);
    })
    .await;
}

#[tokio::test]
async fn how_often_a_trust_is_handed_on_is_bounded() {
    on_each_cloud(async |cloud| {
        let counted = async |allow_redelegation, redelegation_count| {
            let new = NewTrust { allow_redelegation, redelegation_count, ..cloud.new_trust() };
            cloud.create(new).await.map(|trust| trust.redelegation_count.unwrap()).map_err(|error| error.kind)
        };
        assert_eq!(counted(true, None).await, Ok(3));
        assert_eq!(counted(true, Some(2)).await, Ok(2));
        assert_eq!(counted(true, Some(0)).await, Ok(0));
        assert_eq!(counted(false, Some(9)).await, Ok(0));
        assert_eq!(counted(true, Some(4)).await, Err(ErrorKind::Forbidden));
        let uses = NewTrust { allow_redelegation: true, remaining_uses: Some(1), ..cloud.new_trust() };
        assert_eq!(cloud.refused(uses).await, ErrorKind::BadRequest);
    })
    .await;
}

#[tokio::test]
async fn each_trust_of_a_chain_can_be_handed_on_once_less() {
    on_each_cloud(async |cloud| {
        let mut last = cloud.parent().await;
        for (left, end) in [(2, None), (1, Some(cloud.later(999))), (0, Some(cloud.later(998)))] {
            let next = NewTrust { allow_redelegation: true, expires_at: end, ..cloud.child(&last) };
            last = cloud.create(next).await.unwrap();
            let end = end.or(Some(cloud.later(1000)));
            assert_eq!((last.redelegation_count, last.expires_at), (Some(left), end));
        }
        assert_eq!(cloud.refused(cloud.child(&last)).await, ErrorKind::Forbidden);
        assert_eq!(cloud.usable(&last.id).await, Ok(last));
    })
    .await;
}

/// OSSA-2014-018 (CVE-2014-3476): what is made by way of a trust is never wider.
#[tokio::test]
async fn ossa_2014_018_what_is_handed_on_is_never_wider() {
    on_each_cloud(async |cloud| {
        let parent = cloud.parent().await;
        let more = make_role(&cloud.assignment, "more", None).await;
        cloud.grant(&cloud.tor, &cloud.here, &more).await;
        let child = || cloud.child(&parent);
        for (wider, how) in [
            (NewTrust { roles: vec![RoleChoice::Id(more)], ..child() }, "role"),
            (NewTrust { project_id: Some(cloud.there.clone()), ..child() }, "project"),
            (NewTrust { project_id: None, roles: Vec::new(), ..child() }, "no project"),
            (NewTrust { expires_at: Some(cloud.later(1001)), ..child() }, "end"),
            (NewTrust { remaining_uses: Some(1), ..child() }, "uses"),
            (NewTrust { allow_redelegation: true, redelegation_count: Some(3), ..child() }, "depth"),
        ] {
            assert_eq!(cloud.refused(wider).await, ErrorKind::Forbidden, "{how}");
        }
        let end = Some(cloud.later(999));
        cloud.create(NewTrust { expires_at: end, impersonation: false, ..child() }).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn who_cannot_act_as_the_trustor_cannot_let_others() {
    on_each_cloud(async |cloud| {
        let parent = NewTrust { allow_redelegation: true, impersonation: false, ..cloud.new_trust() };
        let parent = cloud.create(parent).await.unwrap();
        cloud.grant(&cloud.tee, &cloud.here, &cloud.a).await;
        let child = NewTrust { trustor_user_id: cloud.tee.clone(), ..cloud.child(&parent) };
        assert_eq!(cloud.refused(child.clone()).await, ErrorKind::Forbidden);
        cloud.create(NewTrust { impersonation: false, ..child.clone() }).await.unwrap();
        let ending = NewTrust { impersonation: false, expires_at: Some(cloud.later(1)), ..child };
        assert_eq!(cloud.refused(ending).await, ErrorKind::BadRequest);
    })
    .await;
}

#[tokio::test]
async fn a_chain_breaks_with_any_who_handed_it_on() {
    on_each_cloud(async |cloud| {
        let parent = cloud.parent().await;
        let child = cloud.create(cloud.child(&parent)).await.unwrap();
        let enable = async |enabled| {
            let id = Expr::col(UserTable::Id).eq(&*cloud.tee);
            let update =
                &Sql::update().table(UserTable::Table).value(UserTable::Enabled, enabled).and_where(id).to_owned();
            let write = cloud.foundation.db.write(|tx| Box::pin(async move { tx.execute(update).await }));
            assert_eq!(write.await.unwrap(), 1);
        };
        enable(false).await;
        assert_eq!(cloud.usable(&child.id).await, Err(ErrorKind::Forbidden));
        assert_eq!(cloud.usable(&parent.id).await, Ok(parent.clone()));
        // But it can be ended.
        cloud.door.require_for_deletion(&child.id).await.unwrap();
        enable(true).await;
        assert_eq!(cloud.usable(&child.id).await, Ok(child.clone()));
        cloud.door.delete(&allowed(), &parent.id).await.unwrap();
        assert_eq!(cloud.usable(&child.id).await, Err(ErrorKind::TrustNotFound));
    })
    .await;
}

#[tokio::test]
async fn a_trust_ends_with_its_time() {
    on_each_cloud(async |cloud| {
        let ending = NewTrust { expires_at: Some(cloud.later(10)), ..cloud.new_trust() };
        let trust = cloud.create(ending).await.unwrap();
        cloud.foundation.time.advance(10);
        cloud.usable(&trust.id).await.unwrap();
        cloud.foundation.time.advance(1);
        assert_eq!(cloud.usable(&trust.id).await, Err(ErrorKind::TrustNotFound));
        assert_eq!(cloud.door.require_for_deletion(&trust.id).await.unwrap_err().kind, ErrorKind::TrustNotFound);
    })
    .await;
}

#[tokio::test]
async fn deleting_a_trust_ends_all_by_way_of_it() {
    on_each_cloud(async |cloud| {
        let parent = cloud.parent().await;
        let child = cloud.create(NewTrust { allow_redelegation: true, ..cloud.child(&parent) }).await.unwrap();
        cloud.grant(&cloud.third, &cloud.here, &cloud.a).await;
        let grandchild = NewTrust { impersonation: false, ..cloud.child(&child) };
        let grandchild = cloud.create(NewTrust { trustor_user_id: cloud.third.clone(), ..grandchild }).await.unwrap();
        let other = cloud.create(cloud.new_trust()).await.unwrap();
        let mut events = cloud.foundation.events.listen();
        cloud.door.delete(&allowed(), &parent.id).await.unwrap();
        for id in [&parent.id, &child.id, &grandchild.id] {
            assert_eq!(cloud.usable(id).await, Err(ErrorKind::TrustNotFound));
        }
        for id in [&grandchild.id, &child.id, &parent.id] {
            let event = events.recv().await.unwrap();
            assert_eq!((event.event_type().as_str(), event.id.as_str()), ("identity.OS-TRUST:trust.deleted", &**id));
        }
        let left = cloud.door.list(&allowed(), &TrustsOf::All).await.unwrap();
        assert_eq!(left.into_iter().map(|trust| trust.id).collect::<Vec<_>>(), [other.id]);
        assert_eq!(cloud.door.delete(&allowed(), &parent.id).await.unwrap_err().kind, ErrorKind::TrustNotFound);
    })
    .await;
}

#[tokio::test]
async fn lists_are_of_one_trustor_or_one_trustee() {
    on_each_cloud(async |cloud| {
        let one = cloud.create(cloud.new_trust()).await.unwrap().id;
        let other = NewTrust { trustee_user_id: cloud.third.clone(), ..cloud.new_trust() };
        let other = cloud.create(other).await.unwrap().id;
        let ids = async |of| {
            let found = cloud.door.list(&allowed(), &of).await.unwrap();
            found.into_iter().map(|trust| trust.id).collect::<std::collections::BTreeSet<_>>()
        };
        let both = [one.clone(), other.clone()].into();
        assert_eq!(ids(TrustsOf::All).await, both);
        assert_eq!(ids(TrustsOf::Trustor(cloud.tor.clone())).await, both);
        assert_eq!(ids(TrustsOf::Trustor(cloud.tee.clone())).await, [].into());
        assert_eq!(ids(TrustsOf::Trustee(cloud.tee.clone())).await, [one].into());
        assert_eq!(ids(TrustsOf::Trustee(cloud.third.clone())).await, [other].into());
    })
    .await;
}

#[tokio::test]
async fn the_last_use_is_taken_once() {
    on_each_cloud(async |cloud| {
        let twice = NewTrust { remaining_uses: Some(2), ..cloud.new_trust() };
        let trust = &cloud.create(twice).await.unwrap();
        let other = cloud.create(NewTrust { remaining_uses: Some(1), ..cloud.new_trust() }).await.unwrap();
        let racing = (0..8).map(|_| cloud.door.consume(trust));
        let outcomes = futures::future::join_all(racing).await;
        let refused: Vec<_> = outcomes.into_iter().filter_map(Result::err).map(|error| error.kind).collect();
        assert_eq!(refused, vec![ErrorKind::Forbidden; 6]);
        assert_eq!(cloud.usable(&trust.id).await, Err(ErrorKind::TrustNotFound));
        // Listed all the same, and it can be ended.
        assert_eq!(cloud.door.list(&allowed(), &TrustsOf::All).await.unwrap().len(), 2);
        cloud.door.require_for_deletion(&trust.id).await.unwrap();
        assert_eq!(cloud.usable(&other.id).await.unwrap().remaining_uses, Some(1));
        let unlimited = cloud.create(cloud.new_trust()).await.unwrap();
        cloud.door.consume(&unlimited).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn flush_takes_what_has_ended_and_fits() {
    on_each_cloud(async |cloud| {
        let ending = |seconds, trustee: &UserId, project: &ProjectId| NewTrust {
            expires_at: Some(cloud.later(seconds)),
            trustee_user_id: trustee.clone(),
            project_id: Some(project.clone()),
            ..cloud.new_trust()
        };
        let (tee, third, here, there) = (&cloud.tee, &cloud.third, &cloud.here, &cloud.there);
        for new in [ending(10, tee, here), ending(10, third, here), ending(10, tee, there), ending(100, tee, here)] {
            cloud.create(new).await.unwrap();
        }
        let deleted = cloud.create(cloud.new_trust()).await.unwrap();
        cloud.door.delete(&allowed(), &deleted.id).await.unwrap();
        cloud.create(cloud.new_trust()).await.unwrap();
        cloud.foundation.time.advance(11);
        let flush = async |flush: Flush| cloud.door.flush(&allowed(), &flush).await.unwrap();
        assert_eq!(flush(Flush { trustor_user_id: Some(tee.clone()), ..Flush::default() }).await, 0);
        assert_eq!(flush(Flush { project_id: Some(there.clone()), ..Flush::default() }).await, 1);
        assert_eq!(flush(Flush { trustee_user_id: Some(third.clone()), ..Flush::default() }).await, 1);
        assert_eq!(
            flush(Flush { ended_before: Some(cloud.later(-5)), ..Flush::default() }).await,
            1,
            "the deleted one"
        );
        assert_eq!(flush(Flush::default()).await, 1);
        assert_eq!(flush(Flush { ended_before: Some(cloud.later(1000)), ..Flush::default() }).await, 1);
        assert_eq!(flush(Flush { ended_before: Some(cloud.later(1000)), ..Flush::default() }).await, 0);
        assert_eq!(cloud.door.list(&allowed(), &TrustsOf::All).await.unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn of_two_deletions_one_finds_nothing() {
    on_each_cloud(async |cloud| {
        let trust = cloud.create(cloud.new_trust()).await.unwrap();
        let who = allowed();
        let outcomes = futures::future::join_all((0..4).map(|_| cloud.door.delete(&who, &trust.id))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    })
    .await;
}
