//! Rules of domain configurations, through the door.

use archstone_db::Db;
use archstone_db::testing::on_each_database;
use serde_json::{Value, json};

use super::{DomainConfig, Groups, Part};
use crate::authz::Allowed;
use crate::error::{ErrorKind, Result};
use crate::id::DomainId;
use crate::resource::{Project, Resource};
use crate::testing::foundation;

fn allowed() -> Allowed {
    Allowed::internal("test")
}

fn door_with(db: &Db, config: &str) -> DomainConfig {
    let foundation = foundation(db, config);
    DomainConfig::new(foundation.clone(), Resource::new(foundation))
}

async fn make_domain(db: &Db, name: &str) -> DomainId {
    let domain = Project::named(name, None).into_domain().unwrap();
    Resource::new(foundation(db, "")).create_domain(&allowed(), domain).await.unwrap().id
}

/// A door, and a domain with this configuration.
async fn configured(db: &Db, config: Value) -> (DomainConfig, DomainId) {
    let (door, id) = (door_with(db, ""), make_domain(db, "d").await);
    door.create_config(&allowed(), &id, &config).await.unwrap();
    (door, id)
}

fn group(name: &str) -> Part {
    Part::Group(name.to_owned())
}

fn option(group: &str, option: &str) -> Part {
    Part::Option { group: group.to_owned(), option: option.to_owned() }
}

fn groups(value: Value) -> Groups {
    serde_json::from_value(value).unwrap()
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind
}

#[tokio::test]
async fn a_configuration_is_read_whole_and_in_parts() {
    on_each_database(async |db| {
        let config = json!({"ldap": {"url": "ldap://x", "page_size": 0}, "identity": {"driver": "ldap"}});
        let (door, id) = configured(db, config.clone()).await;
        let get = async |part: Part| door.get_config(&allowed(), &id, &part).await;
        assert_eq!(get(Part::Whole).await.unwrap(), groups(config));
        assert_eq!(get(group("identity")).await.unwrap(), groups(json!({"identity": {"driver": "ldap"}})));
        assert_eq!(get(option("ldap", "url")).await.unwrap(), groups(json!({"ldap": {"url": "ldap://x"}})));
        assert_eq!(kind(get(option("ldap", "suffix")).await), ErrorKind::NotFound);
        assert_eq!(kind(get(group("token")).await), ErrorKind::ForbiddenOpen);
        assert_eq!(kind(get(option("ldap", "randomize_urls")).await), ErrorKind::ForbiddenOpen);
        assert_eq!(kind(door.get_config(&allowed(), &"no".into(), &Part::Whole).await), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn creating_replaces_all_of_one_domain() {
    on_each_database(async |db| {
        let (door, id) = configured(db, json!({"ldap": {"url": "ldap://x", "password": "pw"}})).await;
        let other = make_domain(db, "other").await;
        let mine = json!({"ldap": {"user": "u"}});
        assert!(!door.create_config(&allowed(), &other, &mine).await.unwrap().replaced);
        let created = door.create_config(&allowed(), &id, &json!({"identity": {"list_limit": 7}})).await.unwrap();
        assert!(created.replaced);
        assert_eq!(created.config, groups(json!({"identity": {"list_limit": 7}})));
        assert_eq!(door.config_for_driver(&allowed(), &id).await.unwrap(), created.config);
        assert_eq!(door.config_for_driver(&allowed(), &other).await.unwrap(), groups(mine));
    })
    .await;
}

#[tokio::test]
async fn only_options_of_identity_drivers_can_be_set() {
    on_each_database(async |db| {
        let (door, id) = configured(db, json!({"ldap": {"url": "ldap://x"}})).await;
        for (config, expected) in [
            (json!({}), ErrorKind::ForbiddenOpen),
            (Value::Null, ErrorKind::ForbiddenOpen),
            (json!("ldap"), ErrorKind::BadRequest),
            (json!([{"ldap": {}}]), ErrorKind::BadRequest),
            (json!({"ldap": {}}), ErrorKind::ForbiddenOpen),
            (json!({"ldap": "url"}), ErrorKind::ForbiddenOpen),
            (json!({"database": {"connection": "sqlite://"}}), ErrorKind::ForbiddenOpen),
            (json!({"ldap": {"url": "ldap://y", "connection_timeout": 1}}), ErrorKind::ForbiddenOpen),
            (json!({"identity": {"default_domain_id": "x"}}), ErrorKind::ForbiddenOpen),
        ] {
            assert_eq!(kind(door.create_config(&allowed(), &id, &config).await), expected, "{config}");
            assert_eq!(kind(door.update_config(&allowed(), &id, &Part::Whole, &config).await), expected, "{config}");
        }
        assert_eq!(kind(door.create_config(&allowed(), &"no".into(), &json!({})).await), ErrorKind::NotFound);
        let kept = door.get_config(&allowed(), &id, &Part::Whole).await.unwrap();
        assert_eq!(kept, groups(json!({"ldap": {"url": "ldap://x"}})));
    })
    .await;
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    on_each_database(async |db| {
        let (door, id) = configured(db, json!({"ldap": {"url": "a", "user": "u"}})).await;
        let other = make_domain(db, "other").await;
        door.create_config(&allowed(), &other, &json!({"ldap": {"url": "mine"}})).await.unwrap();
        let update = async |part: Part, config: Value| door.update_config(&allowed(), &id, &part, &config).await;
        let updated = update(Part::Whole, json!({"ldap": {"url": "b"}, "identity": {"driver": "sql"}})).await.unwrap();
        assert_eq!(updated, groups(json!({"ldap": {"url": "b", "user": "u"}, "identity": {"driver": "sql"}})));
        update(group("ldap"), json!({"ldap": {"url": "c", "suffix": "s"}})).await.unwrap();
        let updated = update(option("ldap", "url"), json!({"url": false})).await.unwrap();
        let expected = json!({"ldap": {"url": false, "user": "u", "suffix": "s"}, "identity": {"driver": "sql"}});
        assert_eq!(updated, groups(expected));
        let mine = door.get_config(&allowed(), &other, &Part::Whole).await.unwrap();
        assert_eq!(mine, groups(json!({"ldap": {"url": "mine"}})));
    })
    .await;
}

#[tokio::test]
async fn an_update_of_a_part_names_that_part_which_is_set_already() {
    on_each_database(async |db| {
        let (door, id) = configured(db, json!({"ldap": {"url": "a", "user": "u"}})).await;
        for (part, config, expected) in [
            (group("ldap"), json!({"identity": {"driver": "sql"}}), ErrorKind::ForbiddenOpen),
            (group("ldap"), json!({"ldap": {"url": "b"}, "identity": {"driver": "sql"}}), ErrorKind::ForbiddenOpen),
            (group("identity"), json!({"identity": {"driver": "sql"}}), ErrorKind::NotFound),
            (group("token"), json!({"ldap": {"url": "b"}}), ErrorKind::ForbiddenOpen),
            (option("ldap", "url"), json!({"user": "b"}), ErrorKind::ForbiddenOpen),
            (option("ldap", "url"), json!({"url": "b", "user": "b"}), ErrorKind::ForbiddenOpen),
            (option("ldap", "url"), json!("b"), ErrorKind::ForbiddenOpen),
            (option("ldap", "suffix"), json!({"suffix": "b"}), ErrorKind::NotFound),
        ] {
            let updated = door.update_config(&allowed(), &id, &part, &config).await;
            assert_eq!(kind(updated), expected, "{part:?} {config}");
        }
    })
    .await;
}

#[tokio::test]
async fn parts_are_deleted_by_name() {
    on_each_database(async |db| {
        let config = json!({"ldap": {"url": "a", "user": "u", "use_tls": false}, "identity": {"driver": "ldap"}});
        let (door, id) = configured(db, config).await;
        let other = make_domain(db, "other").await;
        let mine = json!({"ldap": {"url": "mine"}, "identity": {"driver": "ldap"}});
        door.create_config(&allowed(), &other, &mine).await.unwrap();
        let delete = async |part: Part| door.delete_config(&allowed(), &id, &part).await;
        let left = async || door.config_for_driver(&allowed(), &id).await.unwrap();
        delete(option("ldap", "url")).await.unwrap();
        assert_eq!(kind(delete(option("ldap", "url")).await), ErrorKind::NotFound);
        // The reference takes a value that counts as false for none.
        delete(option("ldap", "use_tls")).await.unwrap();
        assert_eq!(left().await, groups(json!({"ldap": {"user": "u"}, "identity": {"driver": "ldap"}})));
        delete(group("ldap")).await.unwrap();
        assert_eq!(kind(delete(group("ldap")).await), ErrorKind::NotFound);
        assert_eq!(kind(delete(group("token")).await), ErrorKind::ForbiddenOpen);
        assert_eq!(left().await, groups(json!({"identity": {"driver": "ldap"}})));
        delete(Part::Whole).await.unwrap();
        delete(Part::Whole).await.unwrap();
        assert!(left().await.is_empty());
        assert_eq!(door.config_for_driver(&allowed(), &other).await.unwrap(), groups(mine));
        assert_eq!(kind(door.delete_config(&allowed(), &"no".into(), &Part::Whole).await), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_secret_is_for_the_driver_alone() {
    on_each_database(async |db| {
        let config = json!({"ldap": {"url": "ldap://%(password)s", "filter": "x"}, "identity": {"driver": "x"}});
        let more = "[domain_config]\nadditional_whitelisted_options = ldap:[filter],database:[connection]\n\
                    additional_sensitive_options = ldap:[user],own:[key]\n";
        let (door, id) = (door_with(db, more), make_domain(db, "d").await);
        door.create_config(&allowed(), &id, &config).await.unwrap();
        let secrets =
            json!({"ldap": {"password": "pw", "user": "u"}, "own": {"key": "k"}, "database": {"connection": "c"}});
        let shown = door.update_config(&allowed(), &id, &Part::Whole, &secrets).await.unwrap();
        assert_eq!(shown, groups(config));
        for part in [option("ldap", "password"), option("ldap", "user"), group("own"), group("database")] {
            assert_eq!(kind(door.get_config(&allowed(), &id, &part).await), ErrorKind::NotFound, "{part:?}");
        }
        let all = door.config_for_driver(&allowed(), &id).await.unwrap();
        assert_eq!((&all["ldap"]["url"], &all["ldap"]["user"]), (&json!("ldap://pw"), &json!("u")));
        assert_eq!((&all["own"]["key"], &all["database"]["connection"]), (&json!("k"), &json!("c")));
        // What was stored as a secret can be changed and deleted by its name.
        door.update_config(&allowed(), &id, &option("ldap", "password"), &json!({"password": "q"})).await.unwrap();
        door.delete_config(&allowed(), &id, &group("own")).await.unwrap();
        let all = door.config_for_driver(&allowed(), &id).await.unwrap();
        assert_eq!((&all["ldap"]["url"], all.get("own")), (&json!("ldap://q"), None));
    })
    .await;
}

#[tokio::test]
async fn an_option_that_became_a_secret_is_hidden() {
    on_each_database(async |db| {
        let (_, id) = configured(db, json!({"ldap": {"user": "u", "url": "a"}})).await;
        let door = door_with(db, "[domain_config]\nadditional_sensitive_options = ldap:[user]\n");
        let shown = door.get_config(&allowed(), &id, &Part::Whole).await.unwrap();
        assert_eq!(shown, groups(json!({"ldap": {"url": "a"}})));
        let updated = door.update_config(&allowed(), &id, &Part::Whole, &json!({"ldap": {"user": "v"}})).await.unwrap();
        assert_eq!(updated, groups(json!({"ldap": {"url": "a"}})));
        assert_eq!(door.config_for_driver(&allowed(), &id).await.unwrap()["ldap"]["user"], json!("v"));
    })
    .await;
}

#[tokio::test]
async fn a_place_that_cannot_be_filled_stays() {
    on_each_database(async |db| {
        let config = json!({"ldap": {"url": "%(password)s", "user": "100%", "page_size": 1}});
        let (door, id) = configured(db, config.clone()).await;
        assert_eq!(door.config_for_driver(&allowed(), &id).await.unwrap(), groups(config));
    })
    .await;
}

#[tokio::test]
async fn defaults_are_the_configurations_without_secrets() {
    on_each_database(async |db| {
        let door = door_with(
            db,
            "[ldap]\nurl = ldap://here\npassword = hunter2\n[domain_config]\n\
             additional_whitelisted_options = theirs:[host],database:[connection],token:[expiration]\n",
        );
        let get = |part: &Part| door.get_defaults(&allowed(), part);
        let all = get(&Part::Whole).unwrap();
        assert_eq!((all["identity"].len(), all["ldap"].len()), (2, 49));
        assert_eq!((&all["ldap"]["url"], &all["token"]["expiration"]), (&json!("ldap://here"), &json!(3600)));
        assert_eq!(
            get(&group("identity")).unwrap(),
            groups(json!({"identity": {"driver": "sql", "list_limit": null}}))
        );
        assert_eq!(get(&option("ldap", "user")).unwrap(), groups(json!({"ldap": {"user": null}})));
        assert_eq!(kind(get(&option("ldap", "password"))), ErrorKind::ForbiddenOpen);
        assert_eq!(kind(get(&option("database", "connection"))), ErrorKind::ForbiddenOpen);
        assert_eq!(kind(get(&group("catalog"))), ErrorKind::ForbiddenOpen);
        assert_eq!(kind(get(&option("theirs", "host"))), ErrorKind::NotFound);
        assert!(get(&group("theirs")).unwrap()["theirs"].is_empty());
        assert!(!format!("{all:?}").contains("hunter2"));
    })
    .await;
}

#[tokio::test]
async fn password_rules_are_told_of_the_default_domain() {
    on_each_database(async |db| {
        let door = door_with(db, "[security_compliance]\npassword_regex = ^x\nlockout_duration = 7\n");
        let get = |id: &str, option| door.get_password_rules(&allowed(), &id.into(), option);
        let both = json!({"security_compliance": {"password_regex": "^x", "password_regex_description": null}});
        assert_eq!(get("default", None).unwrap(), groups(both));
        let one = json!({"security_compliance": {"password_regex": "^x"}});
        assert_eq!(get("default", Some("password_regex")).unwrap(), groups(one));
        assert_eq!(kind(get("default", Some("lockout_duration"))), ErrorKind::ForbiddenOpen);
        assert_eq!(kind(get("other", None)), ErrorKind::ForbiddenOpen);
    })
    .await;
}
