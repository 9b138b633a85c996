//! `/v3/policies` and `OS-ENDPOINT-POLICY` (`keystone.api.policy`, `keystone.api.endpoints`): texts that are kept for other
//! services, and which endpoints each is for.

use archstone_core::authz::{Allowed, Target};
use archstone_core::error::{Error, Result};
use archstone_core::id::{EndpointId, PolicyId, RegionId, ServiceId};
use archstone_core::list::Filter;
use archstone_core::policy::{Policy, PolicyPatch, PolicyTarget};
use serde_json::{Map, Value};

use super::body::{into_extra, normalize_names, require_same_id, take_text};
use super::endpoints;
use crate::http::{Access, Call, Collection, Relation, Reply, Routes, extension_rel, rel};

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/policies")
        .rel(rel("policies"))
        .get(Access::Rule("identity:list_policies"), list)
        .post(Access::Rule("identity:create_policy"), create)
        .patch(Access::Public, refuse_without_id)
        .delete(Access::Public, refuse_without_id);
    routes
        .path("/v3/policies/{policy_id}")
        .rel(rel("policy"))
        .get(Access::Rule("identity:get_policy"), show)
        .patch(Access::Rule("identity:update_policy"), update)
        .post(Access::Public, refuse_with_id)
        .delete(Access::Rule("identity:delete_policy"), delete);
    association_routes(routes);
    routes
        .path("/v3/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints")
        .rel(policy_rel("policy_endpoints"))
        .get(Access::Rule("identity:list_endpoints_for_policy"), list_endpoints);
    routes
        .path("/v3/endpoints/{endpoint_id}/OS-ENDPOINT-POLICY/policy")
        .rel(policy_rel("endpoint_policy"))
        .get(Access::Rule("identity:get_policy_for_endpoint"), show_of_endpoint);
}

fn association_routes(routes: &mut Routes) {
    routes
        .path("/v3/policies/{policy_id}/OS-ENDPOINT-POLICY/endpoints/{endpoint_id}")
        .rel(policy_rel("endpoint_policy_association"))
        .get(Access::Rule("identity:check_policy_association_for_endpoint"), check_association)
        .put(Access::Rule("identity:create_policy_association_for_endpoint"), create_association)
        .delete(Access::Rule("identity:delete_policy_association_for_endpoint"), delete_association);
    routes
        .path("/v3/policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id}")
        .rel(policy_rel("service_policy_association"))
        .get(Access::Rule("identity:check_policy_association_for_service"), check_association)
        .put(Access::Rule("identity:create_policy_association_for_service"), create_association)
        .delete(Access::Rule("identity:delete_policy_association_for_service"), delete_association);
    routes
        .path("/v3/policies/{policy_id}/OS-ENDPOINT-POLICY/services/{service_id}/regions/{region_id}")
        .rel(policy_rel("region_and_service_policy_association"))
        .get(Access::Rule("identity:check_policy_association_for_region_and_service"), check_association)
        .put(Access::Rule("identity:create_policy_association_for_region_and_service"), create_association)
        .delete(Access::Rule("identity:delete_policy_association_for_region_and_service"), delete_association);
}

fn policy_rel(name: &str) -> Relation {
    extension_rel("OS-ENDPOINT-POLICY", "1.0", name)
}

/// The storage filters nothing and cuts nothing, as in the reference.
/// The reference has the method on both of its paths, and finds only when it is called that the id is missing.
async fn refuse_without_id(_: Call) -> Result<Reply> {
    Err(Error::bad_request("The URL must end with the id of a policy."))
}

/// As [`refuse_without_id`], the other way round.
async fn refuse_with_id(_: Call) -> Result<Reply> {
    Err(Error::bad_request("The id of a new policy cannot be chosen: send it to /v3/policies."))
}

async fn list(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["type"];
    let allowed = call.allow(Target::none()).await?;
    let query = call.list_query(FILTERS, call.core.config.policy.list_limit)?;
    let policies = call.core.policy.list_policies(&allowed).await?;
    let remaining: &[Filter] = &query.filters;
    Call::ok(&call.collection(Collection {
        name: "policies",
        path: "policies",
        members: policies.into_iter().map(wire).collect(),
        remaining,
        query: &query,
        truncated: false,
    }))
}

async fn show(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let policy = call.core.policy.require_policy(&allowed, &policy_id(&call)).await?;
    Call::ok(&call.member("policies", "policy", wire(policy)))
}

/// The reference looks at the body only after it has asked who may.
async fn create(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let body = call.body_object("policy");
    call.schemas.check("policy.policy_create", &Value::Object(body.clone()))?;
    let mut body = normalize_names(body);
    body.remove("id");
    let policy = Policy {
        id: PolicyId::new_random(),
        blob: Value::from(take_text(&mut body, "blob")),
        policy_type: take_text(&mut body, "type").unwrap_or_default(),
        extra: into_extra(body),
    };
    let policy = call.core.policy.create_policy(&allowed, policy).await?;
    Ok(Reply::created(&call.member("policies", "policy", wire(policy))))
}

async fn update(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let id = policy_id(&call);
    let mut body = call.body_object("policy");
    call.schemas.check("policy.policy_update", &Value::Object(body.clone()))?;
    require_same_id(&mut body, &id)?;
    let patch = PolicyPatch {
        blob: take_text(&mut body, "blob"),
        policy_type: take_text(&mut body, "type"),
        extra: into_extra(body),
    };
    let policy = call.core.policy.update_policy(&allowed, &id, &patch).await?;
    Call::ok(&call.member("policies", "policy", wire(policy)))
}

async fn delete(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    call.core.policy.delete_policy(&allowed, &policy_id(&call)).await?;
    Ok(Reply::no_content())
}

async fn check_association(call: Call) -> Result<Reply> {
    let (allowed, id, target) = allow_association(&call).await?;
    call.core.policy.check_association(&allowed, &id, &target).await?;
    Ok(Reply::no_content())
}

async fn create_association(call: Call) -> Result<Reply> {
    let (allowed, id, target) = allow_association(&call).await?;
    call.core.policy.create_association(&allowed, &id, &target).await?;
    Ok(Reply::no_content())
}

async fn delete_association(call: Call) -> Result<Reply> {
    let (allowed, id, target) = allow_association(&call).await?;
    call.core.policy.delete_association(&allowed, &id, &target).await?;
    Ok(Reply::no_content())
}

/// The endpoints here lack the older name of their region.
async fn list_endpoints(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let endpoints = call.core.policy.list_endpoints_of_policy(&allowed, &policy_id(&call)).await?;
    let members = endpoints.into_iter().map(|endpoint| {
        let mut member = endpoints::wire(endpoint);
        member.remove("region");
        member
    });
    Call::ok(&call.plain_collection("endpoints", members.collect()))
}

/// The link is that of an endpoint with the policy's id: the reference makes it so.
async fn show_of_endpoint(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let id = EndpointId::from(call.parameter("endpoint_id"));
    let policy = call.core.policy.require_policy_of_endpoint(&allowed, &id).await?;
    Call::ok(&call.member("endpoints", "policy", wire(policy)))
}

async fn allow_association(call: &Call) -> Result<(Allowed, PolicyId, PolicyTarget)> {
    let allowed = call.allow(Target::none()).await?;
    let service = || ServiceId::from(call.parameter("service_id"));
    let target = match (call.parameter("endpoint_id"), call.parameter("region_id")) {
        ("", "") => PolicyTarget::Service(service()),
        ("", region) => PolicyTarget::ServiceInRegion(service(), RegionId::from(region)),
        (endpoint, _) => PolicyTarget::Endpoint(EndpointId::from(endpoint)),
    };
    Ok((allowed, policy_id(call), target))
}

fn policy_id(call: &Call) -> PolicyId {
    PolicyId::from(call.parameter("policy_id"))
}

fn wire(policy: Policy) -> Map<String, Value> {
    let mut out = policy.extra;
    out.insert("id".to_owned(), Value::from(&*policy.id));
    out.insert("blob".to_owned(), policy.blob);
    out.insert("type".to_owned(), Value::from(policy.policy_type));
    out
}
