//! `/v3/auth`: login, validation and revocation of tokens, and what a token can be scoped to (`keystone.api.auth`).

use archstone_core::auth::Circumstances;
use archstone_core::authz::{Scope, Target};
use archstone_core::catalog::CatalogService;
use archstone_core::error::{Error, ErrorKind, Result};
use archstone_core::freshness::Moment;
use archstone_core::list::flag;
use archstone_core::token::ValidatedToken;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{domains, projects};
use crate::http::{Access, Call, RECEIPT, Reply, Routes, SUBJECT_TOKEN, extension_rel, rel};

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/auth/tokens")
        .rel(rel("auth_tokens"))
        .get(Access::Rule("identity:validate_token"), validate)
        .head(Access::Rule("identity:check_token"), validate)
        .post(Access::Public, issue)
        .delete(Access::Rule("identity:revoke_token"), revoke);
    routes
        .path("/v3/auth/tokens/OS-PKI/revoked")
        .rel(extension_rel("OS-PKI", "1.0", "revocations"))
        .get(Access::Public, pki_revoked);
    for (path, name) in
        [("/v3/OS-SIMPLE-CERT/ca", "ca_certificate"), ("/v3/OS-SIMPLE-CERT/certificates", "certificates")]
    {
        routes.path(path).rel(extension_rel("OS-SIMPLE-CERT", "1.0", name)).get(Access::Public, gone);
    }
    for (path, relation) in [
        ("/v3/auth/projects", rel("auth_projects")),
        (
            "/v3/OS-FEDERATION/projects",
            extension_rel("OS-FEDERATION", "1.0", "projects").stands_for("/v3/auth/projects"),
        ),
    ] {
        routes.path(path).rel(relation).get(Access::Rule("identity:get_auth_projects"), own_projects);
    }
    for (path, relation) in [
        ("/v3/auth/domains", rel("auth_domains")),
        ("/v3/OS-FEDERATION/domains", extension_rel("OS-FEDERATION", "1.0", "domains").stands_for("/v3/auth/domains")),
    ] {
        routes.path(path).rel(relation).get(Access::Rule("identity:get_auth_domains"), own_domains);
    }
    routes.path("/v3/auth/catalog").rel(rel("auth_catalog")).get(Access::Rule("identity:get_auth_catalog"), catalog);
    routes.path("/v3/auth/system").rel(rel("auth_system")).get(Access::Rule("identity:get_auth_system"), system);
}

async fn issue(call: Call) -> Result<Reply> {
    let auth = match call.body.get("auth") {
        Some(Value::Object(auth)) if !auth.is_empty() => auth,
        None | Some(Value::Null) => return Err(Error::missing("auth", "request body")),
        Some(_) => &Map::new(),
    };
    call.schemas.check("auth.token_issue", &Value::Object(auth.clone()))?;
    check_names(auth)?;
    let circumstances = Circumstances {
        initiator: &call.initiator,
        receipt: call.headers().get(RECEIPT).map(|value| value.to_str().unwrap_or("?")).filter(|text| !text.is_empty()),
        external: call.external.as_ref(),
    };
    let issued = call.core.auth.authenticate(auth, &circumstances).await?;
    token_reply(&call, StatusCode::CREATED, issued.as_of, &issued.token, &issued.text).await
}

/// The schema cannot say "an id or a name".
fn check_names(auth: &Map<String, Value>) -> Result<()> {
    let at = |path: &[&str]| {
        let mut value = None;
        for (depth, name) in path.iter().enumerate() {
            let object = if depth == 0 { Some(auth) } else { value.and_then(Value::as_object) };
            value = object.and_then(|object| object.get(*name));
        }
        value.and_then(Value::as_object)
    };
    for path in [
        &["identity", "password", "user"][..],
        &["identity", "password", "user", "domain"],
        &["scope", "project"],
        &["scope", "project", "domain"],
        &["scope", "domain"],
    ] {
        if at(path).is_some_and(|object| !object.contains_key("id") && !object.contains_key("name")) {
            return Err(Error::bad_request(format!(
                "Invalid input for {}: id or name must be present.",
                path.join("/")
            )));
        }
    }
    Ok(())
}

async fn validate(call: Call) -> Result<Reply> {
    call.allow(Target::none()).await?;
    let token = call.require_subject().await?;
    token_reply(&call, StatusCode::OK, call.as_of().await?, token, call.require_subject_text()?).await
}

async fn revoke(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let cascade = call.query.get("cascade").is_none_or(flag);
    call.core.token.revoke(&allowed, call.require_subject_text()?, cascade).await?;
    Ok(Reply::no_content())
}

async fn token_reply(
    call: &Call,
    status: StatusCode,
    moment: Moment,
    token: &ValidatedToken,
    text: &str,
) -> Result<Reply> {
    let with_catalog = call.query.get("nocatalog").is_none();
    let body = rendered(call, moment, token, with_catalog).await?;
    Ok(Reply::rendered(status, body).header(SUBJECT_TOKEN, text))
}

/// What ends the text of a token.
const END_OF_TOKEN: &str = "}}";
/// What begins the text of a catalog, which goes before the end of a token's.
const CATALOG_MEMBER: &str = r#","catalog":"#;

/// The body: the text of the token and that of the catalog, both out of memory, put together without being copied.
pub(super) async fn rendered(
    call: &Call,
    moment: Moment,
    token: &ValidatedToken,
    with_catalog: bool,
) -> Result<[Bytes; 3]> {
    let text = token.rendered(render_token);
    let catalog = if with_catalog { call.core.token.catalog_text(moment, token, render_catalog).await? } else { None };
    Ok(match catalog {
        Some(catalog) => [text.slice(..text.len() - END_OF_TOKEN.len()), catalog, Bytes::new()],
        None => [text, Bytes::new(), Bytes::new()],
    })
}

/// `{"token":{…}}`
fn render_token(body: &Map<String, Value>) -> Bytes {
    bytes_of(json!({"token": body}).to_string())
}

/// `,"catalog":[…]}}`
fn render_catalog(catalog: &[CatalogService]) -> Bytes {
    let list = catalog_view(catalog).to_string();
    bytes_of([CATALOG_MEMBER, &list, END_OF_TOKEN].concat())
}

/// Without room to grow: it is kept.
fn bytes_of(text: String) -> Bytes {
    Bytes::from(text.into_boxed_str().into_boxed_bytes())
}

/// The catalog as tokens and `auth/catalog` show it. Clients of old read `region`, newer ones `region_id`.
fn catalog_view(catalog: &[CatalogService]) -> Value {
    let services = catalog.iter().map(|service| {
        let endpoints = service.endpoints.iter().map(|endpoint| {
            let mut view = endpoint.extra.clone();
            let region = Value::from(endpoint.region_id.as_deref());
            view.insert("id".to_owned(), Value::from(&*endpoint.id));
            view.insert("interface".to_owned(), Value::from(endpoint.interface.as_str()));
            view.insert("region_id".to_owned(), region.clone());
            view.insert("region".to_owned(), region);
            view.insert("url".to_owned(), Value::from(endpoint.url.as_str()));
            Value::Object(view)
        });
        json!({
            "id": &*service.id,
            "type": service.service_type,
            "name": service.name,
            "endpoints": endpoints.collect::<Vec<_>>(),
        })
    });
    services.collect()
}

/// What belonged to PKI tokens went with them.
async fn gone(_: Call) -> Result<Reply> {
    Err(Error::new(ErrorKind::Gone, "This service has no PKI tokens: what was here is gone for good."))
}

/// A list that no token format of today can fill.
async fn pki_revoked(call: Call) -> Result<Reply> {
    if !call.core.config.token.revoke_by_id {
        return gone(call).await;
    }
    Err(Error::forbidden("there is no list of revoked PKI tokens"))
}

async fn catalog(call: Call) -> Result<Reply> {
    call.allow(Target::none()).await?;
    let token = call.require_token()?;
    if !matches!(token.scope(), Scope::Project { .. }) {
        return Err(Error::forbidden("only a token of a project has a catalog"));
    }
    let catalog = call.core.token.catalog_text(call.as_of().await?, token, render_catalog).await?;
    let catalog = catalog.ok_or_else(|| Error::internal("a token of a project without a catalog"))?;
    let links = json!({"self": call.link("auth/catalog")});
    let list = catalog.slice(CATALOG_MEMBER.len()..catalog.len() - END_OF_TOKEN.len());
    let (before, behind) = (r#"{"catalog":"#, format!(r#","links":{links}}}"#));
    Ok(Reply::rendered(StatusCode::OK, [Bytes::from_static(before.as_bytes()), list, Bytes::from(behind + "\n")]))
}

async fn system(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let user = call.require_token()?.actor_id();
    let any = call.core.assignment.has_role_on_system(&allowed, user).await?;
    let system = if any { json!([{"all": true}]) } else { json!([]) };
    Call::ok(&json!({"system": system, "links": {"self": call.link("auth/system")}}))
}

/// The projects that the caller can have a token for, wherever its present one counts.
async fn own_projects(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let user = call.require_token()?.actor_id();
    let ids = call.core.assignment.list_project_ids_of_user(&allowed, user).await?;
    let found = call.core.resource.list_projects_by_ids(&allowed, &ids).await?;
    Call::ok(&call.plain_collection("projects", found.into_iter().map(|project| projects::wire(&project)).collect()))
}

async fn own_domains(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let user = call.require_token()?.actor_id();
    let ids = call.core.assignment.list_domain_ids_of_user(&allowed, user).await?;
    let found = call.core.resource.list_domains_by_ids(&allowed, &ids).await?;
    Call::ok(&call.plain_collection("domains", found.into_iter().map(domains::wire).collect()))
}
