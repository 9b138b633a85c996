//! Rules of policies and their associations, through the door.

use archstone_db::Db;
use archstone_db::testing::on_each_database;
use serde_json::{Map, json};

use super::{Policies, Policy, PolicyPatch, PolicyTarget};
use crate::authz::Allowed;
use crate::catalog::{Catalog, Endpoint, Region, Service};
use crate::error::{ErrorKind, Result};
use crate::id::{EndpointId, PolicyId, RegionId, ServiceId};
use crate::resource::Resource;
use crate::testing::foundation;

fn allowed() -> Allowed {
    Allowed::internal("test")
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind
}

/// A service with an endpoint in the region `low`, which is in `high`; and another service with an endpoint in no region.
struct Cloud {
    policies: Policies,
    catalog: Catalog,
    service: ServiceId,
    endpoint: EndpointId,
    other_service: ServiceId,
    other_endpoint: EndpointId,
}

async fn cloud(db: &Db) -> Cloud {
    let foundation = foundation(db, "");
    let catalog = Catalog::new(foundation.clone(), Resource::new(foundation.clone())).unwrap();
    for (id, parent) in [("high", None), ("low", Some("high")), ("beside", Some("high")), (&*"l".repeat(65), None)] {
        let parent_region_id = parent.map(RegionId::from);
        let region = Region { id: id.into(), description: String::new(), parent_region_id, extra: Map::new() };
        catalog.create_region(&allowed(), region).await.unwrap();
    }
    let make = async |region: Option<&str>| {
        let service = Service { id: ServiceId::new_random(), service_type: None, enabled: true, extra: Map::new() };
        let service = catalog.create_service(&allowed(), service).await.unwrap().id;
        let endpoint = Endpoint {
            id: EndpointId::new_random(),
            interface: "public".to_owned(),
            region_id: region.map(RegionId::from),
            service_id: service.clone(),
            url: "http://a".to_owned(),
            enabled: true,
            extra: Map::new(),
        };
        (service, catalog.create_endpoint(&allowed(), endpoint, None).await.unwrap().id)
    };
    let ((service, endpoint), (other_service, other_endpoint)) = (make(Some("low")).await, make(None).await);
    let policies = Policies::new(foundation, catalog.clone());
    Cloud { policies, catalog, service, endpoint, other_service, other_endpoint }
}

impl Cloud {
    async fn make(&self, blob: &str) -> PolicyId {
        let extra = Map::from_iter([("x".to_owned(), json!("y"))]);
        let policy =
            Policy { id: PolicyId::new_random(), blob: json!(blob), policy_type: "text/plain".to_owned(), extra };
        self.policies.create_policy(&allowed(), policy).await.unwrap().id
    }

    fn in_region(&self, region: &str) -> PolicyTarget {
        PolicyTarget::ServiceInRegion(self.service.clone(), region.into())
    }

    async fn associate(&self, policy: &PolicyId, target: &PolicyTarget) -> Result<()> {
        self.policies.create_association(&allowed(), policy, target).await
    }

    async fn is_associated(&self, policy: &PolicyId, target: &PolicyTarget) -> bool {
        self.policies.check_association(&allowed(), policy, target).await.is_ok()
    }

    async fn policy_of(&self, endpoint: &EndpointId) -> Result<PolicyId> {
        Ok(self.policies.require_policy_of_endpoint(&allowed(), endpoint).await?.id)
    }

    async fn endpoints_of(&self, policy: &PolicyId) -> Vec<EndpointId> {
        let endpoints = self.policies.list_endpoints_of_policy(&allowed(), policy).await.unwrap();
        endpoints.into_iter().map(|endpoint| endpoint.id).collect()
    }
}

#[tokio::test]
async fn a_policy_comes_back_as_it_was_made() {
    on_each_database(async |db| {
        let cloud = cloud(db).await;
        let (first, second) = (cloud.make("{\"a\": 1}").await, cloud.make("é").await);
        let patch = PolicyPatch {
            policy_type: Some("t".to_owned()),
            extra: Map::from_iter([("z".to_owned(), json!(1))]),
            ..PolicyPatch::default()
        };
        let updated = cloud.policies.update_policy(&allowed(), &second, &patch).await.unwrap();
        assert_eq!(updated.blob, "é");
        assert_eq!(json!(updated.extra), json!({"x": "y", "z": 1}));
        assert_eq!(cloud.policies.require_policy(&allowed(), &second).await.unwrap(), updated);
        let kept = cloud.policies.require_policy(&allowed(), &first).await.unwrap();
        assert_eq!((kept.blob, &*kept.policy_type), (json!("{\"a\": 1}"), "text/plain"));
        assert_eq!(cloud.policies.list_policies(&allowed()).await.unwrap().len(), 2);
        cloud.policies.delete_policy(&allowed(), &second).await.unwrap();
        assert_eq!(kind(cloud.policies.require_policy(&allowed(), &second).await), ErrorKind::NotFound);
        assert_eq!(kind(cloud.policies.delete_policy(&allowed(), &second).await), ErrorKind::NotFound);
        assert_eq!(kind(cloud.policies.update_policy(&allowed(), &second, &patch).await), ErrorKind::NotFound);
        cloud.policies.require_policy(&allowed(), &first).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_nearest_policy_counts_for_an_endpoint() {
    on_each_database(async |db| {
        let cloud = cloud(db).await;
        assert_eq!(kind(cloud.policy_of(&cloud.endpoint).await), ErrorKind::NotFound);
        assert_eq!(kind(cloud.policy_of(&"no".into()).await), ErrorKind::NotFound);
        let from_far_to_near = [
            PolicyTarget::Service(cloud.service.clone()),
            cloud.in_region("high"),
            cloud.in_region("low"),
            PolicyTarget::Endpoint(cloud.endpoint.clone()),
        ];
        for target in from_far_to_near {
            let policy = cloud.make("p").await;
            cloud.associate(&policy, &target).await.unwrap();
            assert_eq!(cloud.policy_of(&cloud.endpoint).await.unwrap(), policy, "{target:?}");
        }
        let nearest = cloud.policy_of(&cloud.endpoint).await.unwrap();
        cloud.associate(&cloud.make("p").await, &cloud.in_region("beside")).await.unwrap();
        assert_eq!(cloud.policy_of(&cloud.endpoint).await.unwrap(), nearest);
        assert_eq!(kind(cloud.policy_of(&cloud.other_endpoint).await), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_policy_knows_the_endpoints_that_it_is_for() {
    on_each_database(async |db| {
        let cloud = cloud(db).await;
        for (target, endpoint) in [
            (PolicyTarget::Service(cloud.service.clone()), Some(&cloud.endpoint)),
            (cloud.in_region("high"), Some(&cloud.endpoint)),
            (cloud.in_region("low"), Some(&cloud.endpoint)),
            (cloud.in_region("beside"), None),
            (PolicyTarget::Endpoint(cloud.other_endpoint.clone()), Some(&cloud.other_endpoint)),
        ] {
            let policy = cloud.make("p").await;
            cloud.associate(&policy, &target).await.unwrap();
            assert_eq!(cloud.endpoints_of(&policy).await.iter().collect::<Vec<_>>(), Vec::from_iter(endpoint));
        }
        let twice = cloud.make("p").await;
        for target in [cloud.in_region("high"), PolicyTarget::Endpoint(cloud.endpoint.clone())] {
            cloud.associate(&twice, &target).await.unwrap();
        }
        assert_eq!(cloud.endpoints_of(&twice).await, std::slice::from_ref(&cloud.endpoint));
        let unknown = cloud.policies.list_endpoints_of_policy(&allowed(), &"no".into()).await;
        assert_eq!(kind(unknown), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_target_has_one_policy() {
    on_each_database(async |db| {
        let cloud = cloud(db).await;
        let (first, second) = (cloud.make("1").await, cloud.make("2").await);
        let targets = [
            PolicyTarget::Endpoint(cloud.endpoint.clone()),
            PolicyTarget::Service(cloud.service.clone()),
            cloud.in_region("low"),
        ];
        for target in &targets {
            cloud.associate(&first, target).await.unwrap();
        }
        for target in &targets {
            let (one, two) = tokio::join!(cloud.associate(&second, target), cloud.associate(&second, target));
            one.and(two).unwrap();
            assert!(cloud.is_associated(&second, target).await);
            assert!(!cloud.is_associated(&first, target).await);
        }
        cloud.policies.delete_association(&allowed(), &second, &targets[1]).await.unwrap();
        let left = [&targets[0], &targets[2]];
        assert!(!cloud.is_associated(&second, &targets[1]).await);
        for target in left {
            assert!(cloud.is_associated(&second, target).await);
            // Of another policy, so there is nothing to end.
            cloud.policies.delete_association(&allowed(), &first, target).await.unwrap();
            assert!(cloud.is_associated(&second, target).await);
        }
    })
    .await;
}

#[tokio::test]
async fn what_does_not_exist_is_not_associated() {
    on_each_database(async |db| {
        let cloud = cloud(db).await;
        let policy = cloud.make("p").await;
        let service = PolicyTarget::Service(cloud.service.clone());
        assert_eq!(kind(cloud.associate(&"no".into(), &service).await), ErrorKind::NotFound);
        for (target, expected) in [
            (PolicyTarget::Endpoint("no".into()), ErrorKind::NotFound),
            (PolicyTarget::Service("no".into()), ErrorKind::NotFound),
            (PolicyTarget::ServiceInRegion("no".into(), "low".into()), ErrorKind::NotFound),
            (cloud.in_region("no"), ErrorKind::NotFound),
            (cloud.in_region(&"l".repeat(65)), ErrorKind::BadRequest),
        ] {
            assert_eq!(kind(cloud.associate(&policy, &target).await), expected, "{target:?}");
            assert_eq!(kind(cloud.policies.delete_association(&allowed(), &policy, &target).await), expected);
            assert_eq!(kind(cloud.policies.check_association(&allowed(), &policy, &target).await), expected);
        }
    })
    .await;
}

#[tokio::test]
async fn an_association_goes_with_what_it_associates() {
    on_each_database(async |db| {
        let cloud = cloud(db).await;
        let policy = cloud.make("p").await;
        let other = PolicyTarget::Service(cloud.other_service.clone());
        cloud.associate(&policy, &other).await.unwrap();
        cloud.associate(&policy, &cloud.in_region("beside")).await.unwrap();
        cloud.catalog.delete_region(&allowed(), &"beside".into()).await.unwrap();
        let again =
            Region { id: "beside".into(), description: String::new(), parent_region_id: None, extra: Map::new() };
        cloud.catalog.create_region(&allowed(), again).await.unwrap();
        assert!(!cloud.is_associated(&policy, &cloud.in_region("beside")).await);
        for target in [PolicyTarget::Endpoint(cloud.endpoint.clone()), PolicyTarget::Service(cloud.service.clone())] {
            cloud.associate(&policy, &target).await.unwrap();
        }
        assert_eq!(cloud.endpoints_of(&policy).await.len(), 2);
        cloud.catalog.delete_endpoint(&allowed(), &cloud.endpoint).await.unwrap();
        cloud.catalog.delete_service(&allowed(), &cloud.service).await.unwrap();
        assert_eq!(super::sql::list_targets(db, &policy).await.unwrap(), [other]);
        assert_eq!(cloud.policy_of(&cloud.other_endpoint).await.unwrap(), policy);
        cloud.policies.delete_policy(&allowed(), &policy).await.unwrap();
        assert!(super::sql::list_targets(db, &policy).await.unwrap().is_empty());
        assert_eq!(kind(cloud.policy_of(&cloud.other_endpoint).await), ErrorKind::NotFound);
    })
    .await;
}
