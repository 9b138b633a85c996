//! What types alone can't tell: values that must fit each other, and what they name on disk.

use std::fs;
use std::path::{Path, PathBuf};

use archstone_db::SqlUrl;

use super::report::Problem;
use super::{Config, Secret, TokenProvider};

/// For reports of wrong passwords; Python has more.
const HASHES: [&str; 5] = ["sha1", "sha224", "sha256", "sha384", "sha512"];

/// Checks values beyond their types.
pub(crate) fn check_values(config: &Config) -> Vec<Problem> {
    let mut found = Problems { config, list: Vec::new() };
    if config.archstone.listen.iter().any(|listen| !is_address(listen)) {
        found.add("archstone", "listen", "must be host:port, for example 127.0.0.1:5000 or [::1]:5000");
    }
    check_proxies(&mut found);
    if config.auth.methods.is_empty() {
        found.add("auth", "methods", "must name at least one method");
    }
    let jwt = &config.jwt_tokens;
    if config.token.provider == TokenProvider::Jws && !jwt.jws_accepted_algorithms.contains(&jwt.jws_algorithm) {
        let text = format!("must name {}, with which new tokens are signed", jwt.jws_algorithm.as_str());
        found.add("jwt_tokens", "jws_accepted_algorithms", &text);
    }
    // The text of such an error never holds the password.
    if let Some(Err(error)) = config.database.connection.as_ref().map(|url| SqlUrl::parse(url.expose())) {
        found.add("database", "connection", &format!("can't be used: {error}"));
    }
    let compliance = &config.security_compliance;
    if compliance.password_regex.as_ref().is_some_and(|regex| fancy_regex::Regex::new(regex).is_err()) {
        found.add("security_compliance", "password_regex", "is not a regular expression");
    }
    if !compliance.report_invalid_password_hash.is_empty()
        && compliance.invalid_password_hash_secret_key.as_ref().is_none_or(|key| key.expose().is_empty())
    {
        found.add("security_compliance", "invalid_password_hash_secret_key", "must be set to report hashes");
    }
    if !HASHES.contains(&compliance.invalid_password_hash_function.as_str()) {
        let text = format!("must be one of: {}", HASHES.join(", "));
        found.add("security_compliance", "invalid_password_hash_function", &text);
    }
    found.list
}

/// A header that nobody is believed in would be a door that never opens, or one that opens to all.
fn check_proxies(found: &mut Problems<'_>) {
    let options = &found.config.archstone;
    for (name, header) in
        [("remote_user_header", &options.remote_user_header), ("remote_domain_header", &options.remote_domain_header)]
    {
        let Some(header) = header else { continue };
        if !header.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            found.add("archstone", name, "must be the name of a header: letters, digits and hyphens");
        }
        if options.trusted_proxies.is_empty() {
            found.add("archstone", name, "needs [archstone] trusted_proxies: only those are believed");
        }
    }
    if options.remote_domain_header.is_some() && options.remote_user_header.is_none() {
        found.add("archstone", "remote_domain_header", "needs [archstone] remote_user_header");
    }
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

/// Checks what the configuration names on disk, as a server needs it: a database, keys that can be read,
/// policy files that are there. Commands that make these things don't ask.
pub fn check_environment(config: &Config) -> Vec<Problem> {
    let mut found = Problems { config, list: Vec::new() };
    if config.database.connection.as_ref().map(Secret::expose).is_none_or(str::is_empty) {
        found.add("database", "connection", "must be set, for example to sqlite:////var/lib/archstone/keystone.db");
    }
    match config.token.provider {
        TokenProvider::Fernet => {
            let keys = &config.fernet_tokens.key_repository;
            check_fernet_keys(&mut found, "fernet_tokens", keys, "`archstone fernet_setup` makes keys");
        }
        TokenProvider::Jws => check_jws_keys(&mut found),
    }
    let keys = &config.fernet_receipts.key_repository;
    if config.token.provider != TokenProvider::Fernet || *keys != config.fernet_tokens.key_repository {
        check_fernet_keys(&mut found, "fernet_receipts", keys, "`archstone receipt_setup` makes keys");
    }
    let keys = &config.credential.key_repository;
    check_fernet_keys(&mut found, "credential", keys, "`archstone credential_setup` makes keys");
    check_policy(&mut found);
    for (name, file) in [
        ("remote_ssl_ca_crt_file", &config.oslo_policy.remote_ssl_ca_crt_file),
        ("remote_ssl_client_crt_file", &config.oslo_policy.remote_ssl_client_crt_file),
        ("remote_ssl_client_key_file", &config.oslo_policy.remote_ssl_client_key_file),
    ] {
        if let Some(file) = file {
            found.check_readable("oslo_policy", name, file);
        }
    }
    found.list
}

/// A repository holds keys in files named by numbers; the one with the highest number is in use.
fn check_fernet_keys(found: &mut Problems<'_>, group: &str, dir: &Path, hint: &str) {
    let Some(files) = found.list_files(group, "key_repository", dir, hint) else {
        return;
    };
    let number =
        |file: &Path| file.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<u64>().is_ok());
    let keys: Vec<_> = files.into_iter().filter(|file| number(file)).collect();
    if keys.is_empty() {
        found.at_path(group, "key_repository", dir, &format!("holds no keys; {hint}"));
    }
    for key in keys {
        found.check_readable(group, "key_repository", &key);
    }
}

fn check_jws_keys(found: &mut Problems<'_>) {
    let (group, hint) = ("jwt_tokens", "`archstone create_jws_keypair` makes keys");
    let jwt = &found.config.jwt_tokens;
    found.check_readable(group, "jws_private_key_repository", &jwt.jws_private_key_repository.join("private.pem"));
    let (name, dir) = ("jws_public_key_repository", &jwt.jws_public_key_repository);
    match found.list_files(group, name, dir, hint) {
        Some(keys) if keys.is_empty() => found.at_path(group, name, dir, &format!("holds no keys; {hint}")),
        keys => {
            for key in keys.into_iter().flatten() {
                found.check_readable(group, name, &key);
            }
        }
    }
}

/// A policy file need not exist if nobody asked for it by another name than the usual one.
fn check_policy(found: &mut Problems<'_>) {
    let file = &found.config.oslo_policy.policy_file;
    match found.config.find_file(file) {
        Some(path) => found.check_readable("oslo_policy", "policy_file", &path),
        None if *file == Config::default().oslo_policy.policy_file => {}
        None => found.at_path("oslo_policy", "policy_file", file, "is missing"),
    }
}

/// Collects problems, each with the place where its option was set.
struct Problems<'a> {
    config: &'a Config,
    list: Vec<Problem>,
}

impl Problems<'_> {
    fn add(&mut self, group: &str, name: &str, text: &str) {
        let origin = self.config.origin(group, name);
        self.list.push(Problem::new(&origin, format!("[{group}] {name} {text}")));
    }

    fn at_path(&mut self, group: &str, name: &str, path: &Path, text: &str) {
        self.add(group, name, &format!("{}: {text}", path.display()));
    }

    fn check_readable(&mut self, group: &str, name: &str, file: &Path) {
        if let Err(error) = fs::File::open(file) {
            self.at_path(group, name, file, &error.to_string());
        }
    }

    fn list_files(&mut self, group: &str, name: &str, dir: &Path, hint: &str) -> Option<Vec<PathBuf>> {
        match files(dir) {
            Ok(files) => Some(files),
            Err(error) => {
                self.at_path(group, name, dir, &format!("{error}; {hint}"));
                None
            }
        }
    }
}

fn files(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
