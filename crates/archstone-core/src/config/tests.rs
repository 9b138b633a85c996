use super::*;

fn problems(text: &str) -> Vec<String> {
    let problems = Config::load(&Given::from_text("k.conf", text)).err().unwrap_or_default();
    problems.iter().map(ToString::to_string).collect()
}

fn warnings(text: &str) -> Vec<String> {
    let (_, warnings) = Config::load(&Given::from_text("k.conf", text)).unwrap();
    warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_those_of_the_reference() {
    let config = Config::default();
    assert_eq!(config.token.expiration, 3600);
    assert_eq!(config.token.provider, TokenProvider::Fernet);
    assert_eq!(config.fernet_tokens.key_repository, Path::new("/etc/keystone/fernet-keys/"));
    assert_eq!(config.identity.password_hash_algorithm, PasswordHashAlgorithm::Bcrypt);
    assert_eq!(config.database.connection, None);
    assert_eq!(config.auth.methods.len(), 7);
    assert_eq!(config.security_compliance.lockout_failure_attempts, None);
    assert!(config.archstone.listen.is_empty());
}

#[test]
fn text_sets_fields() {
    let config =
        Config::from_text("[token]\nexpiration=3\nprovider = jws\n[archstone]\nlisten=a:1\nlisten=[::1]:2\n").unwrap();
    assert_eq!((config.token.expiration, config.token.provider), (3, TokenProvider::Jws));
    assert_eq!(config.archstone.listen, ["a:1", "[::1]:2"]);
}

#[test]
fn all_problems_are_told_at_once_with_their_lines() {
    let text = "a = 1\n[token]\nexpiration = soon\nprovider = uuid\nnonsense\n[identity]\nmax_password_length = 5000\n\
                driver = ldap\n[archstone]\nlisten = nowhere\n[fernet_tokens]\nmax_active_keys =\n";
    let problems = problems(text);
    for (problem, start) in problems.iter().zip(["k.conf:1:", "k.conf:3:", "k.conf:4:", "k.conf:5:", "k.conf:7:"]) {
        assert!(problem.starts_with(start), "{problem}");
    }
    assert_eq!(problems.len(), 8, "{problems:#?}");
}

#[test]
fn what_would_be_unsafe_to_ignore_is_refused() {
    for text in [
        "[token]\nprovider=uuid",
        "[identity]\ndriver=ldap",
        "[identity]\ndomain_specific_drivers_enabled=true",
        "[resource]\ndriver=mine",
        "[assignment]\ndriver=mine",
        "[auth]\npassword=my_plugin",
        "[auth]\nmethods=password,site_sso",
        "[auth]\nmethods=password,totp\ntotp=other",
        "[credential]\nprovider=vault",
        "[identity_mapping]\ngenerator=mine",
    ] {
        assert_eq!(problems(text).len(), 1, "{text}: {:?}", problems(text));
    }
    assert_eq!(problems("[auth]\nmethods=password,totp\ntotp=default\nexternal=Domain\n[role]\ndriver=sql"), [""; 0]);
}

#[test]
fn what_is_merely_carried_along_never_stops_the_program() {
    let warnings = warnings(
        "[ldap]\npage_size = many\n[nova]\nx=1\n[token]\nexpration=1\n[keystone_authtoken]\nremote_id_attribute=y\n[cache]\nbackend=oslo_cache.dict\n",
    );
    assert_eq!(warnings.len(), 5, "{warnings:#?}");
    assert!(warnings[2].contains("did you mean expiration?"));
}

#[test]
fn options_of_unbuilt_features_warn_only_when_changed() {
    assert_eq!(warnings("[ldap]\npage_size = 0"), [""; 0]);
    assert_eq!(warnings("[cache]\nhashclient_dead_timeout = 60\n[database]\nslave_connection ="), [""; 0]);
    assert_eq!(warnings("[ldap]\npage_size = 10").len(), 1);
}

#[test]
fn methods_that_are_not_built_warn_when_asked_for() {
    let asked = warnings("[auth]\nmethods = password, totp, x509, external, saml2\n");
    assert_eq!(asked, ["k.conf:2: [auth] methods names x509, saml2: not built yet, so that nobody gets in by it"]);
    let default = Config::default().auth.methods.join(",");
    assert_eq!(warnings(&format!("[auth]\nmethods = {default}")), [""; 0]);
}

#[test]
fn older_names_warn() {
    assert_eq!(
        warnings("[assignment]\nlist_limit = 5"),
        ["k.conf:2: [assignment] list_limit is an older name of [resource] list_limit"]
    );
}

#[test]
fn secrets_stay_out_of_debug_output_and_messages() {
    let config = Config::from_text("[database]\nconnection = sqlite:///hunter2").unwrap();
    assert_eq!(config.database.connection.as_ref().map(Secret::expose), Some("sqlite:///hunter2"));
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!format!("{:?}", problems("[database]\nconnection = pa$hunter2")).contains("hunter2"));
}

#[test]
fn a_server_must_have_its_database_keys_and_policy() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    let text = |policy: &str| {
        let dir = dir.path().display();
        format!(
            "[fernet_tokens]\nkey_repository={dir}/keys\n[fernet_receipts]\nkey_repository={dir}/keys/\n[credential]\nkey_repository={dir}/none\n{policy}"
        )
    };
    let check = |text: &str| {
        let problems = check_environment(&Config::load(&Given::from_text("k.conf", text)).unwrap().0);
        problems.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let problems = check(&text("[oslo_policy]\npolicy_file=/no/such.yaml"));
    for (problem, start) in problems.iter().zip(["[database] connection", "k.conf:2:", "k.conf:6:", "k.conf:8:"]) {
        assert!(problem.starts_with(start), "{problem}");
    }
    assert_eq!(problems.len(), 4);

    std::fs::create_dir(&keys).unwrap();
    std::fs::write(keys.join("notes.txt"), "").unwrap();
    assert!(check(&text(""))[1].contains("holds no keys"));
    std::fs::write(keys.join("0"), "key").unwrap();
    assert_eq!(check(&text("[database]\nconnection=sqlite://")).len(), 1);
}

#[test]
fn a_jws_server_must_have_a_key_pair() {
    let dir = tempfile::tempdir().unwrap();
    let text = format!(
        "[token]\nprovider=jws\n[jwt_tokens]\njws_public_key_repository={0}\njws_private_key_repository={0}/x",
        dir.path().display()
    );
    let problems = check_environment(&Config::from_text(&text).unwrap());
    let jws: Vec<_> = problems.iter().filter(|problem| problem.text.contains("jws")).collect();
    assert_eq!(jws.len(), 2, "{problems:?}");
}

#[test]
fn values_must_fit_each_other() {
    for text in [
        "[token]\nprovider=jws\n[jwt_tokens]\njws_algorithm=ES384",
        "[auth]\nmethods =",
        "[database]\nconnection = oracle://u:p@h/n",
        "[security_compliance]\npassword_regex = (",
        "[security_compliance]\nreport_invalid_password_hash = event",
        "[security_compliance]\ninvalid_password_hash_function = md4",
        "[archstone]\nlisten = [::1]",
        "[archstone]\nforeign_write_bound = inf",
        "[archstone]\ntrusted_proxies = 10.0.0.1, proxy.example",
        "[archstone]\nremote_user_header = X-Remote-User",
        "[archstone]\ntrusted_proxies = ::1\nremote_user_header = X Remote",
        "[archstone]\ntrusted_proxies = ::1\nremote_domain_header = X-Remote-Domain",
        "[archstone]\nlockout_by = address",
    ] {
        assert_eq!(problems(text).len(), 1, "{text}: {:?}", problems(text));
    }
}
