//! `/v3/OS-TRUST/trusts` (`keystone.api.trusts`).

use archstone_core::authz::{Allowed, Delegation, Target};
use archstone_core::error::{Error, Result};
use archstone_core::id::{RoleId, TrustId, UserId};
use archstone_core::time::Timestamp;
use archstone_core::trust::{NewTrust, Trust, TrustsOf};
use serde_json::{Map, Value, json};

use super::application_credentials::{objects, role_choice};
use super::body::{into_extra, take_bool, take_text};
use super::roles;
use crate::http::{Access, Call, Collection, Relation, Reply, Routes, extension_rel};

/// Where the trusts are, for their links.
const PATH: &str = "OS-TRUST/trusts";

const LIST: &str = "identity:list_trusts";
const LIST_FOR_TRUSTOR: &str = "identity:list_trusts_for_trustor";
const LIST_FOR_TRUSTEE: &str = "identity:list_trusts_for_trustee";
const GET: &str = "identity:get_trust";
const DELETE: &str = "identity:delete_trust";
const LIST_ROLES: &str = "identity:list_roles_for_trust";
const GET_ROLE: &str = "identity:get_role_for_trust";
const ADMIN: &str = "admin_required";

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/OS-TRUST/trusts")
        .rel(rel("trusts"))
        .get(Access::OneOf(&[LIST, LIST_FOR_TRUSTOR, LIST_FOR_TRUSTEE, ADMIN]), list)
        .query("trust.trust_index_request_query")
        .post(Access::Rule("identity:create_trust"), create)
        .body("trust.trust_create_request_body");
    routes
        .path("/v3/OS-TRUST/trusts/{trust_id}")
        .rel(rel("trust"))
        .get(Access::Rule(GET), show)
        .query("trust.trust_request_query")
        .delete(Access::Rule(DELETE), delete);
    routes
        .path("/v3/OS-TRUST/trusts/{trust_id}/roles")
        .rel(rel("trust_roles"))
        .get(Access::Rule(LIST_ROLES), list_roles);
    routes
        .path("/v3/OS-TRUST/trusts/{trust_id}/roles/{role_id}")
        .rel(rel("trust_role"))
        .get(Access::Rule(GET_ROLE), show_role);
}

fn rel(name: &str) -> Relation {
    let relation = extension_rel("OS-TRUST", "1.0", name);
    if name == "trusts" { relation } else { relation.extension_parameter("OS-TRUST", "1.0", "trust_id") }
}

async fn list(call: Call) -> Result<Reply> {
    let named = |name: &str| call.query.get(name).filter(|id| !id.is_empty());
    // Each rule is asked about the user whose trusts, and no others, are then listed. If both are named, the trustor
    // counts alone, as in the reference.
    let of = match (named("trustor_user_id"), named("trustee_user_id")) {
        (Some(id), _) => Some(TrustsOf::Trustor(UserId::from(id))),
        (None, Some(id)) => Some(TrustsOf::Trustee(UserId::from(id))),
        (None, None) if call.query.pairs().is_empty() => Some(TrustsOf::All),
        // Whatever else is asked finds nothing.
        (None, None) => None,
    };
    let allowed = match &of {
        Some(TrustsOf::Trustor(id)) => {
            call.allow_rule(LIST_FOR_TRUSTOR, Target::of("trust", json!({"trustor_user_id": &**id}))).await?
        }
        Some(TrustsOf::Trustee(id)) => {
            call.allow_rule(LIST_FOR_TRUSTEE, Target::of("trust", json!({"trustee_user_id": &**id}))).await?
        }
        Some(TrustsOf::All) | None => call.allow_rule(LIST, Target::none()).await?,
    };
    check_delegation(&call)?;
    if of == Some(TrustsOf::All) && is_open(&call, LIST) {
        call.allow_rule(ADMIN, Target::none()).await?;
    }
    let trusts = match &of {
        Some(of) => call.core.trust.list(&allowed, of).await?,
        None => Vec::new(),
    };
    Call::ok(&call.collection(Collection {
        name: "trusts",
        path: PATH,
        members: trusts.into_iter().map(wire).collect(),
        remaining: &[],
        query: &archstone_core::list::ListQuery::default(),
        truncated: false,
    }))
}

async fn create(call: Call) -> Result<Reply> {
    let mut body = call.body_object("trust");
    let named = |name: &str| body.get(name).cloned().unwrap_or_default();
    // Who and where, as the caller says it: that the trustor is the caller, and has the roles there, is checked below.
    let target = json!({
        "trustor_user_id": named("trustor_user_id"),
        "trustee_user_id": named("trustee_user_id"),
        "project_id": named("project_id"),
    });
    let allowed = call.allow(Target::of("trust", target)).await?;
    check_delegation(&call)?;
    let project_id = take_text(&mut body, "project_id").filter(|id| !id.is_empty());
    let roles: Vec<_> = objects(&mut body, "roles").filter_map(role_choice).collect();
    if project_id.is_some() && roles.is_empty() {
        return Err(Error::forbidden("a trust on a project needs a role"));
    }
    let trustor_user_id = UserId::from(take_text(&mut body, "trustor_user_id").unwrap_or_default());
    let Some(token) = call.token.as_ref().filter(|token| *token.actor_id() == trustor_user_id) else {
        return Err(Error::forbidden("a trust can only be made by its trustor"));
    };
    let redelegated_trust_id = match token.delegation() {
        Delegation::Trust(id) => Some(id.clone()),
        _ => None,
    };
    let claimed = take_text(&mut body, "redelegated_trust_id").filter(|id| !id.is_empty()).map(TrustId::from);
    // The reference believes it, and then takes the roles of that trust's trustor for the caller's.
    if claimed.is_some() && claimed != redelegated_trust_id {
        return Err(Error::forbidden("the trust that a trust is made by way of is that of the token"));
    }
    if body.remove("deleted_at").is_some_and(|at| !at.is_null()) {
        return Err(Error::bad_request("The attribute deleted_at cannot be set."));
    }
    let new = NewTrust {
        trustor_user_id,
        trustee_user_id: take_text(&mut body, "trustee_user_id").unwrap_or_default().into(),
        project_id: project_id.map(Into::into),
        impersonation: take_bool(&mut body, "impersonation")?.unwrap_or(false),
        expires_at: take_text(&mut body, "expires_at").as_deref().map(end).transpose()?,
        remaining_uses: take_count(&mut body, "remaining_uses")?,
        roles,
        allow_redelegation: take_bool(&mut body, "allow_redelegation")?.unwrap_or(false),
        redelegation_count: take_count(&mut body, "redelegation_count")?,
        redelegated_trust_id,
        extra: extra(body),
    };
    let trust = call.core.trust.create(&allowed, new).await?;
    Ok(Reply::created(&with_roles(&call, &allowed, trust).await?))
}

async fn show(call: Call) -> Result<Reply> {
    let (allowed, trust) = allow_on_trust(&call).await?;
    check_delegation(&call)?;
    check_party(&call, &trust, GET)?;
    Call::ok(&with_roles(&call, &allowed, trust).await?)
}

async fn delete(call: Call) -> Result<Reply> {
    call.require_authenticated()?;
    let trust = call.core.trust.require_for_deletion(&TrustId::from(call.parameter("trust_id"))).await?;
    let allowed = call.allow(Target::of("trust", trust.target())).await?;
    check_delegation(&call)?;
    if is_open(&call, DELETE) && call.token.as_ref().is_some_and(|token| *token.actor_id() != trust.trustor_user_id) {
        return Err(Error::forbidden("only its trustor can delete a trust"));
    }
    call.core.trust.delete(&allowed, &trust.id).await?;
    Ok(Reply::no_content())
}

async fn list_roles(call: Call) -> Result<Reply> {
    let (allowed, trust) = allow_on_trust(&call).await?;
    check_delegation(&call)?;
    check_party(&call, &trust, LIST_ROLES)?;
    let roles = roles_wire(&call, &allowed, &trust).await?;
    Call::ok(&json!({"roles": roles, "links": roles_links(&call, &trust.id)}))
}

async fn show_role(call: Call) -> Result<Reply> {
    let (allowed, trust) = allow_on_trust(&call).await?;
    check_delegation(&call)?;
    check_party(&call, &trust, GET_ROLE)?;
    let role = call.core.trust.require_role(&allowed, &trust, &RoleId::from(call.parameter("role_id"))).await?;
    Call::ok(&call.member("roles", "role", roles::wire(role)))
}

/// Asks the policy about the trust of the path. One that is missing, has ended or is used up is 404 to everybody who
/// is known, before the policy is asked.
async fn allow_on_trust(call: &Call) -> Result<(Allowed, Trust)> {
    call.require_authenticated()?;
    let trust = call.core.trust.require_for_target(&TrustId::from(call.parameter("trust_id"))).await?;
    let allowed = call.allow(Target::of("trust", trust.target())).await?;
    Ok((allowed, trust))
}

/// What a delegated token may do with trusts; the admin token is nobody's.
fn check_delegation(call: &Call) -> Result<()> {
    let open = call.core.config.security_compliance.allow_insecure_application_credential_trust_escalation;
    call.token.as_ref().map_or(Ok(()), |token| token.delegation().check_manages_trusts(open))
}

/// 403 for the admin token, and, where an operator's policy lets everybody see trusts, for everybody but trustor and
/// trustee: rules of that kind are older than the rules of today, which the reference asked besides them.
fn check_party(call: &Call, trust: &Trust, rule: &str) -> Result<()> {
    let Some(token) = &call.token else { return Err(Error::forbidden("the admin token sees no single trust")) };
    let user = token.actor_id();
    if is_open(call, rule) && *user != trust.trustor_user_id && *user != trust.trustee_user_id {
        return Err(Error::forbidden(format!("user {user} has nothing to do with trust {}", trust.id)));
    }
    Ok(())
}

fn is_open(call: &Call, rule: &str) -> bool {
    call.core.authorizer.policy().is_open(rule)
}

/// When a trust ends: always in UTC, whatever the text leaves out.
fn end(text: &str) -> Result<Timestamp> {
    let utc = if text.ends_with('Z') { text.to_owned() } else { format!("{text}Z") };
    // A year of more than four digits needs a sign, and fits in no database.
    let has_sign = !text.starts_with(|first: char| first.is_ascii_digit());
    Timestamp::parse(&utc)
        .filter(|_| !has_sign)
        .ok_or_else(|| Error::bad_request("The attribute expires_at must be a time as in 2030-01-01T00:00:00.000000Z."))
}

/// Takes a whole number, which JSON may write as `1.0`; as large as its column.
fn take_count(body: &mut Map<String, Value>, name: &str) -> Result<Option<i64>> {
    let value = match body.remove(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value,
    };
    let text = value.to_string();
    match text.strip_suffix(".0").unwrap_or(&text).parse::<i32>() {
        Ok(count) => Ok(Some(count.into())),
        Err(_) => {
            Err(Error::bad_request(format!("The attribute {name} is {text}; it must be a number up to {}.", i32::MAX)))
        }
    }
}

/// What is left is the caller's own, except for what answers are made of.
fn extra(mut body: Map<String, Value>) -> Map<String, Value> {
    for own in ["id", "links", "roles_links"] {
        body.remove(own);
    }
    into_extra(body)
}

fn wire(trust: Trust) -> Map<String, Value> {
    let mut out = trust.extra;
    out.insert("id".to_owned(), Value::from(&*trust.id));
    out.insert("trustor_user_id".to_owned(), Value::from(&*trust.trustor_user_id));
    out.insert("trustee_user_id".to_owned(), Value::from(&*trust.trustee_user_id));
    out.insert("project_id".to_owned(), Value::from(trust.project_id.as_deref()));
    out.insert("impersonation".to_owned(), Value::from(trust.impersonation));
    out.insert("expires_at".to_owned(), Value::from(trust.expires_at.map(|end| end.truncated().iso())));
    out.insert("remaining_uses".to_owned(), Value::from(trust.remaining_uses));
    // What is deleted is not shown.
    out.insert("deleted_at".to_owned(), Value::Null);
    out.insert("redelegated_trust_id".to_owned(), Value::from(trust.redelegated_trust_id.as_deref()));
    out.insert("redelegation_count".to_owned(), Value::from(trust.redelegation_count));
    out
}

async fn with_roles(call: &Call, allowed: &Allowed, trust: Trust) -> Result<Value> {
    let roles = roles_wire(call, allowed, &trust).await?;
    let links = roles_links(call, &trust.id);
    let mut out = wire(trust);
    out.insert("roles".to_owned(), Value::from(roles));
    out.insert("roles_links".to_owned(), links);
    Ok(call.member(PATH, "trust", out))
}

async fn roles_wire(call: &Call, allowed: &Allowed, trust: &Trust) -> Result<Vec<Value>> {
    let roles = call.core.trust.list_roles(allowed, trust).await?;
    Ok(roles.into_iter().map(|role| call.with_self_link("roles", roles::wire(role))).collect())
}

/// The link leads nowhere, as in the reference, and clients may have stored it.
fn roles_links(call: &Call, id: &TrustId) -> Value {
    json!({"self": call.link(&format!("{id}/roles")), "next": null, "previous": null})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_time_in_utc() {
        for text in ["2031-02-03T04:05:06Z", "2031-02-03T04:05:06", "2031-02-03T04:05:06.000000Z"] {
            assert_eq!(end(text).unwrap(), Timestamp::parse("2031-02-03T04:05:06Z").unwrap(), "{text}");
        }
        for wrong in ["", "Z", "2031-02-03", "2031-02-03T04:05:06+01:00", "+12031-02-03T04:05:06Z", "tomorrow"] {
            assert!(end(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_count_fits_its_column() {
        let count = |value: Value| take_count(&mut Map::from_iter([("n".to_owned(), value)]), "n").map_err(drop);
        assert_eq!(count(json!(3)), Ok(Some(3)));
        assert_eq!(count(json!(3.0)), Ok(Some(3)));
        assert_eq!(count(Value::Null), Ok(None));
        for wrong in [json!(2_147_483_648_i64), json!(1e300), json!(0.5), json!("1"), json!(true)] {
            assert_eq!(count(wrong), Err(()));
        }
    }
}
