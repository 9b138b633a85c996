//! The `auth` object of a login, taken apart. Its schema has been checked; what the schema leaves open is checked here.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// A login.
#[derive(Debug)]
pub struct AuthRequest {
    /// The methods with their payloads, in the order of the request, each once (OSSA-2014-013).
    pub methods: Vec<(String, Map<String, Value>)>,
    /// What the token is to count for.
    pub scope: RequestedScope,
}

/// What the token is to count for.
#[derive(Debug, PartialEq, Eq)]
pub enum RequestedScope {
    /// Nothing was said: the user's default project, if it can be had.
    Default,
    /// Nothing, on purpose.
    Unscoped,
    /// The whole cloud.
    System,
    /// A project.
    Project(Reference),
    /// A domain.
    Domain(Reference),
    /// A trust, by id.
    Trust(String),
}

/// How a request names something.
#[derive(Debug, PartialEq, Eq)]
pub enum Reference {
    /// By its id.
    Id(String),
    /// By its name, and for what lives in a domain by that.
    Name {
        /// The name.
        name: String,
        /// The domain, if the request says one.
        domain: Option<Box<Reference>>,
    },
}

impl Reference {
    /// Reads `{"id": …}` or `{"name": …, "domain": …}`. A name, if there is one that is not empty, wins.
    pub(crate) fn parse(object: &Map<String, Value>, what: &str) -> Result<Reference> {
        let text = |name: &str| object.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(name) = text("name") {
            let domain = match object.get("domain") {
                Some(Value::Object(domain)) => Some(Box::new(Reference::parse(domain, "domain")?)),
                _ => None,
            };
            return Ok(Reference::Name { name: name.to_owned(), domain });
        }
        match text("id") {
            Some(id) => Ok(Reference::Id(id.to_owned())),
            None => Err(Error::missing("id or name", what)),
        }
    }
}

impl AuthRequest {
    /// Takes the object apart.
    ///
    /// # Errors
    /// Bad request, with the attribute that is missing or too much; an authentication error if an application
    /// credential asks for a scope.
    pub fn parse(auth: &Map<String, Value>) -> Result<AuthRequest> {
        let identity =
            auth.get("identity").and_then(Value::as_object).ok_or_else(|| Error::missing("identity", "auth"))?;
        let names =
            identity.get("methods").and_then(Value::as_array).ok_or_else(|| Error::missing("methods", "identity"))?;
        let mut methods: Vec<(String, Map<String, Value>)> = Vec::new();
        let mut seen = HashSet::new();
        for name in names.iter().filter_map(Value::as_str).filter(|name| seen.insert(*name)) {
            match identity.get(name) {
                Some(Value::Object(payload)) => methods.push((name.to_owned(), payload.clone())),
                Some(_) | None => return Err(Error::missing(name, "identity")),
            }
        }
        if methods.iter().any(|(name, _)| name == "application_credential") {
            if auth.contains_key("scope") {
                return Err(Error::auth_method(&[], "an application credential cannot choose its scope"));
            }
            return Ok(AuthRequest { methods, scope: RequestedScope::Default });
        }
        Ok(AuthRequest { methods, scope: parse_scope(auth.get("scope"))? })
    }
}

fn parse_scope(scope: Option<&Value>) -> Result<RequestedScope> {
    let scope = match scope {
        None => return Ok(RequestedScope::Default),
        // A text is searched for the words as an object is for its keys: the reference asks with `in`.
        Some(Value::String(text)) => return parse_scope_text(text),
        Some(Value::Object(scope)) => scope,
        Some(_) => return Err(one_scope()),
    };
    let named: Vec<&str> = ["project", "domain", "unscoped", "system", "OS-TRUST:trust"]
        .into_iter()
        .filter(|name| scope.contains_key(*name))
        .collect();
    let [name] = named[..] else { return Err(one_scope()) };
    let object = |what: &str| scope.get(name).and_then(Value::as_object).ok_or_else(|| Error::missing(what, "scope"));
    match name {
        "unscoped" => Ok(RequestedScope::Unscoped),
        // `{"all": false}` is the system too.
        "system" => Ok(RequestedScope::System),
        "domain" => Ok(RequestedScope::Domain(Reference::parse(object("domain")?, "domain")?)),
        "project" => match Reference::parse(object("project")?, "project")? {
            Reference::Name { domain: None, .. } => Err(Error::missing("domain", "project")),
            reference => Ok(RequestedScope::Project(reference)),
        },
        _ => {
            let id = object("OS-TRUST:trust")?.get("id").and_then(Value::as_str).filter(|id| !id.is_empty());
            Ok(RequestedScope::Trust(id.ok_or_else(|| Error::missing("trust_id", "trust"))?.to_owned()))
        }
    }
}

fn parse_scope_text(text: &str) -> Result<RequestedScope> {
    match ["project", "domain", "unscoped", "system", "OS-TRUST:trust"]
        .into_iter()
        .filter(|word| text.contains(word))
        .collect::<Vec<_>>()[..]
    {
        ["unscoped"] => Ok(RequestedScope::Unscoped),
        ["system"] => Ok(RequestedScope::System),
        _ => Err(one_scope()),
    }
}

fn one_scope() -> Error {
    Error::bad_request("The scope must name exactly one of system, project, domain, OS-TRUST:trust and unscoped.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// JSON of the words that a login is made of, in any order.
    fn login() -> impl Strategy<Value = Value> {
        const WORDS: &str = "identity|methods|password|token|totp|application_credential|user|domain|project|scope|system|\
                             unscoped|OS-TRUST:trust|id|name|all|passcode|[a-z\u{0}\u{e9} ]{0,3}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            WORDS.prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(WORDS, inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_a_login_or_refused(
            methods in prop::collection::vec("password|token|totp|application_credential|x", 0..6),
            password in login(),
            token in login(),
            other in login(),
            scope in prop::option::of(login()),
        ) {
            let mut auth = json!({
                "identity": {"methods": methods, "password": password, "token": token, "totp": other},
            });
            if let Some(scope) = scope {
                auth["scope"] = scope;
            }
            if let Ok(request) = parse(&auth) {
                for (position, (name, payload)) in request.methods.iter().enumerate() {
                    prop_assert_eq!(&Value::Object(payload.clone()), &auth["identity"][name]);
                    prop_assert!(request.methods[..position].iter().all(|(earlier, _)| earlier != name));
                }
                prop_assert_eq!(request.scope == RequestedScope::Default, auth.get("scope").is_none());
            }
            for wild in [other, auth] {
                if let Some(wild) = wild.as_object() {
                    AuthRequest::parse(wild).ok();
                    Reference::parse(wild, "anything").ok();
                }
            }
        }
    }

    #[test]
    fn ossa_2014_013_many_methods_cost_little() {
        let names: Vec<String> = (0..50_000).map(|number| number.to_string()).collect();
        let mut identity: Map<String, Value> = names.iter().map(|name| (name.clone(), json!({}))).collect();
        identity.insert("methods".to_owned(), json!([names.clone(), names].concat()));
        let started = std::time::Instant::now();
        assert_eq!(parse(&json!({"identity": identity})).unwrap().methods.len(), 50_000);
        assert!(started.elapsed().as_secs() < 5);
    }

    fn parse(auth: &Value) -> Result<AuthRequest> {
        AuthRequest::parse(auth.as_object().unwrap())
    }

    fn with_scope(scope: &Value) -> Result<RequestedScope> {
        parse(&json!({"identity": {"methods": []}, "scope": scope})).map(|request| request.scope)
    }

    #[test]
    fn a_method_counts_once_however_often_it_is_named() {
        let request = parse(&json!({"identity": {"methods": ["token", "token"], "token": {"id": "x"}}})).unwrap();
        assert_eq!(request.methods.len(), 1);
    }

    #[test]
    fn a_scope_that_names_two_things_is_refused() {
        assert!(with_scope(&json!({"project": {"id": "a"}, "domain": {"id": "b"}})).is_err());
        assert!(with_scope(&json!({})).is_err());
    }

    #[test]
    fn unscoped_is_a_text_or_an_object() {
        assert_eq!(with_scope(&json!("unscoped")).unwrap(), RequestedScope::Unscoped);
        assert_eq!(with_scope(&json!({"unscoped": {}})).unwrap(), RequestedScope::Unscoped);
        assert_eq!(with_scope(&json!({"system": {"all": false}})).unwrap(), RequestedScope::System);
    }

    #[test]
    fn a_project_by_name_needs_its_domain() {
        assert!(with_scope(&json!({"project": {"name": "p"}})).is_err());
        assert!(with_scope(&json!({"project": {"name": "p", "domain": {"id": "d"}}})).is_ok());
    }

    #[test]
    fn an_application_credential_chooses_no_scope() {
        let auth = json!({
            "identity": {"methods": ["application_credential"], "application_credential": {"id": "x"}},
            "scope": {"project": {"id": "p"}},
        });
        assert_eq!(parse(&auth).unwrap_err().kind, crate::error::ErrorKind::AuthMethod(Vec::new()));
    }
}
