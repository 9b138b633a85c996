//! What types alone can't tell: values that must fit each other, and what they name on disk.

use std::fs;
use std::path::Path;

use oslo_config::{Origin, Settings};

use super::report::Problem;
use super::{Config, TokenProvider};

/// Checks values beyond their types.
pub(crate) fn check_values(config: &Config, settings: &Settings) -> Vec<Problem> {
    let mut problems = Vec::new();
    for listen in &config.archstone.listen {
        if !is_address(listen) {
            problems.push(at(
                settings,
                "archstone",
                "listen",
                "must be host:port, for example 127.0.0.1:5000 or [::1]:5000",
            ));
        }
    }
    if config.auth.methods.is_empty() {
        problems.push(at(settings, "auth", "methods", "must name at least one method"));
    }
    if config.token.provider == TokenProvider::Jws
        && !config.jwt_tokens.jws_accepted_algorithms.contains(&config.jwt_tokens.jws_algorithm)
    {
        let text = format!("must name {}, with which new tokens are signed", config.jwt_tokens.jws_algorithm.as_str());
        problems.push(at(settings, "jwt_tokens", "jws_accepted_algorithms", &text));
    }
    problems
}

fn at(settings: &Settings, group: &str, name: &str, text: &str) -> Problem {
    let origin = settings.get(group, name).map_or(Origin::Default, |setting| setting.origin.clone());
    Problem::new(&origin, format!("[{group}] {name} {text}"))
}

fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let host_ok = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(literal) => literal.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '[', ']', ' ']),
    };
    host_ok && port.parse::<u16>().is_ok()
}

/// Checks what the configuration names on disk, as a server needs it: keys that can be read, policy
/// files that are there. Commands that make these things don't ask.
pub fn check_environment(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    match config.token.provider {
        TokenProvider::Fernet => {
            let setup = "`archstone fernet_setup` makes one";
            check_fernet_keys(
                &config.fernet_tokens.key_repository,
                "[fernet_tokens] key_repository",
                setup,
                &mut problems,
            );
        }
        TokenProvider::Jws => check_jws_keys(config, &mut problems),
    }
    let setup = "`archstone credential_setup` makes one";
    check_fernet_keys(&config.credential.key_repository, "[credential] key_repository", setup, &mut problems);
    check_policy(config, &mut problems);
    for (option, file) in [
        ("remote_ssl_ca_crt_file", &config.oslo_policy.remote_ssl_ca_crt_file),
        ("remote_ssl_client_crt_file", &config.oslo_policy.remote_ssl_client_crt_file),
        ("remote_ssl_client_key_file", &config.oslo_policy.remote_ssl_client_key_file),
    ] {
        if let Some(file) = file {
            check_readable(file, &format!("[oslo_policy] {option}"), &mut problems);
        }
    }
    problems
}

/// A repository holds keys in files named by numbers; the one with the highest number is in use.
fn check_fernet_keys(dir: &Path, option: &str, setup: &str, problems: &mut Vec<Problem>) {
    let names = match file_names(dir) {
        Ok(names) => names,
        Err(error) => return problem(problems, option, dir, &format!("{error}; {setup}")),
    };
    let keys: Vec<_> = names.iter().filter(|name| name.parse::<u64>().is_ok()).collect();
    if keys.is_empty() {
        return problem(problems, option, dir, &format!("holds no keys; {setup}"));
    }
    for key in keys {
        check_readable(&dir.join(key), option, problems);
    }
}

fn check_jws_keys(config: &Config, problems: &mut Vec<Problem>) {
    let setup = "`archstone create_jws_keypair` makes keys";
    let private = config.jwt_tokens.jws_private_key_repository.join("private.pem");
    if private.exists() {
        check_readable(&private, "[jwt_tokens] jws_private_key_repository", problems);
    } else {
        problem(problems, "[jwt_tokens] jws_private_key_repository", &private, &format!("is missing; {setup}"));
    }
    let (dir, option) = (&config.jwt_tokens.jws_public_key_repository, "[jwt_tokens] jws_public_key_repository");
    match file_names(dir) {
        Err(error) => problem(problems, option, dir, &format!("{error}; {setup}")),
        Ok(names) if names.is_empty() => problem(problems, option, dir, &format!("holds no keys; {setup}")),
        Ok(names) => {
            for name in names {
                check_readable(&dir.join(name), option, problems);
            }
        }
    }
}

/// A policy file need not exist if nobody asked for it by another name than the usual one.
fn check_policy(config: &Config, problems: &mut Vec<Problem>) {
    let file = &config.oslo_policy.policy_file;
    match config.find_file(file) {
        Some(found) => check_readable(&found, "[oslo_policy] policy_file", problems),
        None if *file == Config::default().oslo_policy.policy_file => {}
        None => problem(problems, "[oslo_policy] policy_file", file, "is missing"),
    }
}

fn check_readable(file: &Path, option: &str, problems: &mut Vec<Problem>) {
    if let Err(error) = fs::read(file) {
        problem(problems, option, file, &error.to_string());
    }
}

fn file_names(dir: &Path) -> Result<Vec<String>, std::io::Error> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_file() || entry.path().is_file() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    Ok(names)
}

fn problem(problems: &mut Vec<Problem>, option: &str, path: &Path, text: &str) {
    problems.push(Problem::new(&Origin::Default, format!("{option} {}: {text}", path.display())));
}
