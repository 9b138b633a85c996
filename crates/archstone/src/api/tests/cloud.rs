//! A small cloud without a network: something of each kind, an administrator, and somebody without a role.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use archstone_core::Core;
use archstone_core::authz::Authorizer;
use archstone_core::authz::policy::Policy;
use archstone_core::bootstrap::{Bootstrap, EndpointUrls};
use archstone_core::config::Config;
use archstone_core::events::Events;
use archstone_core::foundation::Foundation;
use archstone_core::freshness::Freshness;
use archstone_core::time::TimeSource;
use archstone_db::testing::TestDatabase;
use archstone_db::{Db, Dialect};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};

use crate::api;
use crate::http::{App, Body, Routes};

pub(super) struct Cloud {
    /// Answers as the program does, but that no schema is checked: bodies would be refused before the caller is.
    app: App,
    pub(super) core: Arc<Core>,
    pub(super) table: Routes,
    /// A token of the administrator, scoped to a project.
    pub(super) admin: String,
    /// A token of somebody who has no role anywhere.
    pub(super) stranger: String,
    /// What each path parameter can be: somebody else's things.
    ids: BTreeMap<&'static str, String>,
    database: TestDatabase,
    _folder: tempfile::TempDir,
}

impl Cloud {
    pub(super) async fn new() -> Cloud {
        Box::pin(Cloud::on(Dialect::Sqlite)).await
    }

    pub(super) async fn on(dialect: Dialect) -> Cloud {
        let database = TestDatabase::new(dialect).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let core = Arc::new(core(&database.db, folder.path()));
        let url = Some("http://identity.example".to_owned());
        let urls = EndpointUrls { public: url, ..EndpointUrls::default() };
        let region_id = Some("RegionOne".to_owned());
        let bootstrap = Bootstrap { password: "pw".into(), urls, region_id, ..Bootstrap::default() };
        core.bootstrap(bootstrap).await.unwrap();
        let mut table = api::table(&core.config);
        let app = App::new(Arc::clone(&core), &table).unwrap();
        let admin = log_in(&app, "admin", json!({"project": {"name": "admin", "domain": {"id": "default"}}})).await;
        let ids = fill(&app, &admin).await;
        let stranger = log_in(&app, "stranger", Value::Null).await;
        table.routes.iter_mut().for_each(|route| (route.query_schema, route.body_schema) = (None, None));
        let app = App::new(Arc::clone(&core), &table).unwrap();
        Cloud { app, core, table, admin, stranger, ids, database, _folder: folder }
    }

    pub(super) fn db(&self) -> &Db {
        &self.database.db
    }

    /// A path with an id for each of its parameters; a parameter whose kind nobody has made stands for itself.
    pub(super) fn path(&self, template: &'static str) -> String {
        let fill = |part: &'static str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            // In the paths of EC2, a credential has another id.
            Some("credential_id") if template.contains("OS-EC2") => self.ids["access"].as_str(),
            Some(name) => self.ids.get(name).map_or(name, String::as_str),
            None => part,
        };
        template.split('/').map(fill).collect::<Vec<_>>().join("/")
    }

    /// The id of somebody else's thing, by the name of the path parameter.
    pub(super) fn id(&self, name: &str) -> String {
        self.ids[name].clone()
    }

    /// A token without a scope, of somebody whose password is `pw`.
    pub(super) async fn log_in(&self, user: &str) -> String {
        log_in(&self.app, user, Value::Null).await
    }

    /// Status and body of the answer.
    pub(super) async fn ask(&self, method: &Method, path: &str, token: &str, body: &Value) -> (StatusCode, Value) {
        let response = send(&self.app, method, path, Some(token), body).await;
        let status = response.status();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&text).unwrap_or_default())
    }

    /// The administrator's answer, its body unread.
    pub(super) async fn response(&self, method: &Method, path: &str) -> Response<Body> {
        send(&self.app, method, path, Some(&self.admin), &Value::Null).await
    }

    pub(super) async fn status(&self, method: &Method, path: &str, token: Option<&str>) -> StatusCode {
        send(&self.app, method, path, token, &Value::Null).await.status()
    }
}

fn core(db: &Db, folder: &Path) -> Core {
    let folder = folder.display();
    let config = Config::from_text(&format!(
        "[DEFAULT]\nmax_db_limit = 100000\n[identity]\npassword_hash_rounds = 4\n[fernet_tokens]\nkey_repository = {folder}/keys\n\
         [fernet_receipts]\nkey_repository = {folder}/keys\n[credential]\nkey_repository = {folder}/credential-keys\n[v2]\nenabled = true\n"
    ))
    .unwrap();
    archstone_core::keys::set_up_all(&config).unwrap();
    let foundation = Foundation {
        db: db.clone(),
        config: Arc::new(config),
        time: TimeSource::system(),
        events: Events::default(),
        authorizer: Arc::new(Authorizer::new(Arc::new(Policy::defaults_only()), None)),
        // An hour: on a busy machine, too, what is in memory is loaded again only because it was touched.
        freshness: Freshness::new(db.clone(), Duration::from_hours(1)),
    };
    Core::new(foundation).unwrap()
}

async fn send(app: &App, method: &Method, path: &str, token: Option<&str>, body: &Value) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("x-auth-token", token);
    }
    let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let request = request.body(Full::new(body)).unwrap();
    Box::pin(app.respond(request, crate::http::Peer::default())).await
}

/// Makes something, and says what it became.
async fn make(app: &App, token: &str, path: &str, body: Value) -> Value {
    let response = send(app, &Method::POST, path, Some(token), &body).await;
    let status = response.status();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(status, StatusCode::CREATED, "POST {path}: {}", String::from_utf8_lossy(&text));
    let answer: Value = serde_json::from_slice(&text).unwrap();
    answer.as_object().unwrap().values().find(|value| value.is_object()).unwrap().clone()
}

async fn id_of_user(app: &App, token: &str, name: &str) -> String {
    let response = send(app, &Method::GET, &format!("/v3/users?name={name}"), Some(token), &Value::Null).await;
    let text = response.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&text).unwrap();
    answer["users"][0]["id"].as_str().unwrap().to_owned()
}

async fn log_in(app: &App, user: &str, scope: Value) -> String {
    let user = json!({"name": user, "domain": {"id": "default"}, "password": "pw"});
    let mut auth = json!({"identity": {"methods": ["password"], "password": {"user": user}}});
    if !scope.is_null() {
        auth["scope"] = scope;
    }
    let response = send(app, &Method::POST, "/v3/auth/tokens", None, &json!({"auth": auth})).await;
    assert_eq!(response.status(), StatusCode::CREATED);
    response.headers()["x-subject-token"].to_str().unwrap().to_owned()
}

/// One of each kind, none of it the stranger's.
async fn fill(app: &App, admin: &str) -> BTreeMap<&'static str, String> {
    let member = async |path: &str, body, name| make(app, admin, path, body).await[name].as_str().unwrap().to_owned();
    let make = async |path: &str, body: Value| member(path, body, "id").await;
    make("/v3/users", json!({"user": {"name": "stranger", "password": "pw"}})).await;
    let mut ids = BTreeMap::from([
        ("user_id", make("/v3/users", json!({"user": {"name": "somebody"}})).await),
        ("group_id", make("/v3/groups", json!({"group": {"name": "some"}})).await),
        ("domain_id", make("/v3/domains", json!({"domain": {"name": "some"}})).await),
        ("project_id", make("/v3/projects", json!({"project": {"name": "some"}})).await),
        ("role_id", make("/v3/roles", json!({"role": {"name": "some"}})).await),
        ("region_id", make("/v3/regions", json!({"region": {}})).await),
        ("service_id", make("/v3/services", json!({"service": {"type": "some"}})).await),
        ("group", "ldap".to_owned()),
        ("option", "url".to_owned()),
    ]);
    ids.insert("prior_role_id", ids["role_id"].clone());
    ids.insert("implied_role_id", make("/v3/roles", json!({"role": {"name": "implied"}})).await);
    let endpoint = json!({"endpoint": {"service_id": ids["service_id"], "interface": "public", "url": "http://x"}});
    ids.insert("endpoint_id", make("/v3/endpoints", endpoint).await);
    let filters = json!({"endpoint_group": {"name": "some", "filters": {"interface": "public"}}});
    ids.insert("endpoint_group_id", make("/v3/OS-EP-FILTER/endpoint_groups", filters).await);
    let credential = json!({"credential": {"user_id": ids["user_id"], "type": "some", "blob": "x"}});
    ids.insert("credential_id", make("/v3/credentials", credential).await);
    let ec2 = format!("/v3/users/{}/credentials/OS-EC2", ids["user_id"]);
    ids.insert("admin_id", id_of_user(app, admin, "admin").await);
    let trust = json!({"trust": {
        "trustor_user_id": ids["admin_id"],
        "trustee_user_id": ids["user_id"],
        "impersonation": false,
    }});
    ids.insert("trust_id", make("/v3/OS-TRUST/trusts", trust).await);
    ids.insert("policy_id", make("/v3/policies", json!({"policy": {"type": "some", "blob": "{}"}})).await);
    ids.extend(limits(app, admin, &ids).await);
    ids.insert("access", member(&ec2, json!({"tenant_id": ids["project_id"]}), "access").await);
    ids
}

/// Limits are made several at once.
async fn limits(app: &App, admin: &str, ids: &BTreeMap<&'static str, String>) -> [(&'static str, String); 2] {
    let post = async |name: &str, body: Value| {
        let response = send(app, &Method::POST, &format!("/v3/{name}"), Some(admin), &json!({name: [body]})).await;
        assert_eq!(response.status(), StatusCode::CREATED, "{name}");
        let text = response.into_body().collect().await.unwrap().to_bytes();
        let answer: Value = serde_json::from_slice(&text).unwrap();
        answer[name][0]["id"].as_str().unwrap().to_owned()
    };
    let service = &ids["service_id"];
    let default = json!({"service_id": service, "resource_name": "some", "default_limit": 1});
    let own = json!({
        "service_id": service,
        "resource_name": "some",
        "resource_limit": 1,
        "project_id": ids["project_id"],
    });
    [("registered_limit_id", post("registered_limits", default).await), ("limit_id", post("limits", own).await)]
}
