//! The key repositories: whether they can be read, by whom, and whether they are rotated in time.

use std::path::Path;

use archstone_core::config::{Config, TokenProvider};
use archstone_core::keys::{CREDENTIAL_MAX_ACTIVE_KEYS, InspectedKey, Inspection, inspect, same_directory};
use archstone_core::time::TimeSource;

use super::Finding;

/// Days after which keys should have been rotated.
const OLD: i64 = 180;

const DAY: i64 = 86_400;

/// The permissions of everybody, and of the group to write.
const TOO_OPEN: u32 = 0o027;

/// A Fernet repository with its checks' names.
struct Repository<'a> {
    usability: &'static str,
    keys: &'static str,
    rotation: &'static str,
    section: &'static str,
    directory: &'a Path,
    max_active_keys: usize,
    /// Seconds for which what is encrypted must be readable; none for what is encrypted anew at a rotation.
    lasts: Option<u64>,
    setup: &'static str,
    rotate: &'static str,
}

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (tokens, receipts, credentials) = (&config.fernet_tokens, &config.fernet_receipts, &config.credential);
    let by_fernet = config.token.provider == TokenProvider::Fernet;
    let of_tokens = Repository {
        usability: "usability_of_Fernet_key_repository",
        keys: "keys_in_Fernet_key_repository",
        rotation: "rotation_of_Fernet_keys",
        section: "fernet_tokens",
        directory: &tokens.key_repository,
        max_active_keys: tokens.max_active_keys,
        lasts: Some(config.token.expiration.saturating_add(config.token.allow_expired_window)),
        setup: "`archstone fernet_setup`",
        rotate: "`archstone fernet_rotate`",
    };
    if by_fernet {
        of_tokens.examine(&mut findings);
    } else {
        let reason = "tokens are signed: [token] provider = jws";
        findings.extend(
            [of_tokens.usability, of_tokens.keys, of_tokens.rotation]
                .map(|check| Finding::not_applicable(check, reason)),
        );
    }
    findings.push(jws(config));
    let of_receipts = Repository {
        usability: "usability_of_receipt_Fernet_key_repository",
        keys: "keys_in_receipt_Fernet_key_repository",
        rotation: "rotation_of_receipt_Fernet_keys",
        section: "fernet_receipts",
        directory: &receipts.key_repository,
        max_active_keys: receipts.max_active_keys,
        lasts: Some(config.receipt.expiration),
        setup: "`archstone receipt_setup`",
        rotate: "`archstone receipt_rotate`",
    };
    if by_fernet && same_directory(&tokens.key_repository, &receipts.key_repository) {
        let reason = "receipts have the keys of tokens";
        findings.extend(
            [of_receipts.usability, of_receipts.keys, of_receipts.rotation]
                .map(|check| Finding::not_applicable(check, reason)),
        );
    } else {
        of_receipts.examine(&mut findings);
    }
    Repository {
        usability: "usability_of_credential_fernet_key_repository",
        keys: "keys_in_credential_fernet_key_repository",
        rotation: "rotation_of_credential_Fernet_keys",
        section: "credential",
        directory: &credentials.key_repository,
        max_active_keys: CREDENTIAL_MAX_ACTIVE_KEYS,
        lasts: None,
        setup: "`archstone credential_setup`",
        rotate: "`archstone credential_migrate`, then `archstone credential_rotate`",
    }
    .examine(&mut findings);
    findings.push(Finding::unless(
        same_directory(&credentials.key_repository, &tokens.key_repository)
            || same_directory(&credentials.key_repository, &receipts.key_repository),
        "unique_key_repositories",
        "credentials have keys of their own",
        "[credential] key_repository is that of tokens or receipts: rotating those loses the keys of credentials",
        "give credentials a folder of their own, and encrypt them anew with `archstone credential_migrate`",
    ));
    findings
}

impl Repository<'_> {
    fn examine(&self, findings: &mut Vec<Finding>) {
        let place = format!("[{}] key_repository {}", self.section, self.directory.display());
        let inspection = match inspect(self.directory) {
            Ok(inspection) => inspection,
            Err(error) => {
                let advice = format!("make it with {}, as the account that the server runs as", self.setup);
                findings.push(Finding::symptom(self.usability, error.to_string(), advice));
                let reason = format!("{place} cannot be read");
                findings.extend([self.keys, self.rotation].map(|check| Finding::unknown(check, reason.as_str())));
                return;
            }
        };
        findings.push(self.usability(&place, &inspection));
        if inspection.keys.is_empty() {
            let advice = format!("make keys with {}", self.setup);
            findings.push(Finding::symptom(self.keys, format!("{place} holds no keys"), advice));
            findings.push(Finding::unknown(self.rotation, "there are no keys"));
            return;
        }
        findings.push(self.number(&place, &inspection));
        findings.push(self.rotation(&place, &inspection));
    }

    fn usability(&self, place: &str, inspection: &Inspection) -> Finding {
        let faulty = |key: &&InspectedKey| key.fault.is_some();
        if let Some(key) = inspection.keys.iter().find(faulty) {
            let fault = key.fault.as_deref().unwrap_or_default();
            let text = format!("{}: {fault}", key.path.display());
            let advice = "bring the file back from another node, or take it away if it never was a key";
            return Finding::symptom(self.usability, text, advice);
        }
        let open = |mode: u32| mode & TOO_OPEN != 0;
        let too_open: Vec<String> = std::iter::once((inspection.mode, self.directory.display().to_string()))
            .chain(inspection.keys.iter().map(|key| (key.mode, key.path.display().to_string())))
            .filter(|(mode, _)| open(*mode))
            .map(|(mode, path)| format!("{path} ({:o})", mode & 0o777))
            .collect();
        Finding::unless(
            !too_open.is_empty(),
            self.usability,
            format!("{place} can be read, and by nobody who need not"),
            format!("open to others than the service: {}", too_open.join(", ")),
            "chmod 0700 the folder and 0600 the keys, owned by the account that the server runs as",
        )
    }

    fn number(&self, place: &str, inspection: &Inspection) -> Finding {
        let (count, most) = (inspection.keys.len(), self.max_active_keys);
        let staged = inspection.keys.iter().any(|key| key.number == 0);
        let (text, advice) = if count > most {
            let text = format!("{place} holds {count} keys, more than the {most} that rotation leaves");
            (text, "copy the folder so that files which are gone on the rotating node go here too (rsync --delete)")
        } else if !staged {
            let text = format!("{place} has no staged key, 0: after a rotation other nodes refuse what this one makes");
            (text, "bring 0 back from the rotating node, or rotate once more")
        } else if count < 2 {
            let text = format!("{place} has only the staged key, which nothing should be encrypted with yet");
            (text, "bring the other keys back from the rotating node, or rotate")
        } else {
            return Finding::fine(self.keys, format!("{place} holds {count} keys of at most {most}"));
        };
        Finding::symptom(self.keys, text, advice)
    }

    fn rotation(&self, place: &str, inspection: &Inspection) -> Finding {
        let age = inspection.rotated_at().map(|at| (TimeSource::system().now().seconds() - at.seconds()).max(0));
        if let Some(lasts) = self.lasts {
            // The staged one and the primary do not count.
            let kept = u64::try_from(self.max_active_keys.saturating_sub(2)).unwrap_or(u64::MAX);
            if kept == 0 {
                let text = format!(
                    "[{}] max_active_keys is {}: a rotation ends at once what was made before it",
                    self.section, self.max_active_keys
                );
                return Finding::symptom(self.rotation, text, "set max_active_keys to 3 or more");
            }
            let interval = inspection.rotation_interval().and_then(|seconds| u64::try_from(seconds).ok());
            if let Some(interval) = interval.filter(|interval| interval.saturating_mul(kept) < lasts) {
                let text = format!(
                    "{place} was rotated after {interval} s, and {kept} earlier keys are kept: what lasts for {lasts} s does not \
                     last so long"
                );
                let needed = lasts.div_ceil(interval).saturating_add(2);
                let advice = format!("rotate less often, or set [{}] max_active_keys = {needed}", self.section);
                return Finding::symptom(self.rotation, text, advice);
            }
        }
        match age {
            Some(age) if age > OLD * DAY => Finding::symptom(
                self.rotation,
                format!("{place} was rotated {} days ago", age / DAY),
                format!("rotate with {}, and copy the folder to the other nodes", self.rotate),
            ),
            Some(age) => Finding::fine(self.rotation, format!("{place} was rotated or made {} days ago", age / DAY)),
            None => Finding::unknown(self.rotation, format!("{place} does not tell when it was rotated")),
        }
    }
}

fn jws(config: &Config) -> Finding {
    use std::os::unix::fs::PermissionsExt as _;
    const CHECK: &str = "usability_of_JWS_key_repository";
    if config.token.provider != TokenProvider::Jws {
        return Finding::not_applicable(CHECK, "tokens are encrypted: [token] provider = fernet");
    }
    let jwt = &config.jwt_tokens;
    let private = jwt.jws_private_key_repository.join("private.pem");
    let algorithm = jwt.jws_algorithm.into();
    let advice = "make a key pair with `archstone create_jws_keypair`, and give all nodes all public keys";
    if let Err(error) = archstone_core::keys::JwsRepository::open(
        &jwt.jws_private_key_repository,
        &jwt.jws_public_key_repository,
        algorithm,
    ) {
        return Finding::symptom(CHECK, error.to_string(), advice);
    }
    let mode = std::fs::metadata(&private).map_or(0, |file| file.permissions().mode());
    Finding::unless(
        mode & TOO_OPEN != 0,
        CHECK,
        "the private key and the public keys can be read",
        format!("open to others than the service: {} ({:o})", private.display(), mode & 0o777),
        "chmod 0600 the key, owned by the account that the server runs as",
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, SystemTime};

    use archstone_core::keys::setup;
    use tempfile::TempDir;

    use super::super::State;
    use super::*;

    /// A repository that was set up a moment ago, and a configuration that names it for tokens and receipts.
    struct Case {
        root: TempDir,
    }

    impl Case {
        fn new() -> Case {
            let root = tempfile::tempdir().unwrap();
            for name in ["keys", "credential"] {
                setup(&root.path().join(name), 3, None).unwrap();
            }
            Case { root }
        }

        fn key(&self, name: &str) -> std::path::PathBuf {
            self.root.path().join("keys").join(name)
        }

        /// Writes a key as if so many seconds ago.
        fn write(&self, name: &str, ago: u64) {
            let path = self.key(name);
            if !path.exists() {
                fs::copy(self.key("1"), &path).unwrap();
            }
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(long_ago(ago)).unwrap();
        }

        fn symptoms(&self, more: &str) -> Vec<&'static str> {
            let root = self.root.path().display();
            let text = format!(
                "[fernet_tokens]\nkey_repository = {root}/keys\n{more}\n[fernet_receipts]\nkey_repository = {root}/keys\n\
                 [credential]\nkey_repository = {root}/credential\n"
            );
            let findings = examine(&Config::from_text(&text).unwrap());
            findings.iter().filter(|finding| finding.state == State::Symptom).map(|finding| finding.check).collect()
        }
    }

    #[expect(clippy::disallowed_methods, reason = "files have the times of the system")]
    fn long_ago(seconds: u64) -> SystemTime {
        SystemTime::now() - Duration::from_secs(seconds)
    }

    #[test]
    fn a_new_repository_is_well() {
        assert_eq!(Case::new().symptoms(""), [""; 0]);
    }

    #[test]
    fn keys_that_others_can_read_are_a_symptom() {
        let case = Case::new();
        fs::set_permissions(case.key("1"), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(case.symptoms(""), ["usability_of_Fernet_key_repository"]);
        fs::set_permissions(case.key("1"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(case.key(""), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(case.symptoms(""), ["usability_of_Fernet_key_repository"]);
    }

    #[test]
    fn a_file_that_is_no_key_is_a_symptom() {
        let case = Case::new();
        fs::write(case.key("1"), "hunter2").unwrap();
        assert_eq!(case.symptoms(""), ["usability_of_Fernet_key_repository"]);
    }

    #[test]
    fn missing_and_surplus_keys_are_symptoms() {
        let case = Case::new();
        for name in ["2", "3"] {
            case.write(name, 0);
        }
        assert_eq!(case.symptoms(""), ["keys_in_Fernet_key_repository"]);
        fs::remove_file(case.key("0")).unwrap();
        assert_eq!(case.symptoms(""), ["keys_in_Fernet_key_repository"]);
        for name in ["1", "2", "3"] {
            fs::remove_file(case.key(name)).unwrap();
        }
        assert_eq!(case.symptoms(""), ["keys_in_Fernet_key_repository"]);
        fs::remove_dir(case.key("")).unwrap();
        assert_eq!(case.symptoms(""), ["usability_of_Fernet_key_repository"]);
    }

    #[test]
    fn keys_must_be_kept_for_as_long_as_tokens_last() {
        let case = Case::new();
        assert_eq!(case.symptoms("max_active_keys = 2"), ["rotation_of_Fernet_keys"]);
        // Rotated every hour, with one earlier key: the default's 3,600 s and 172,800 s more for services.
        for (name, ago) in [("0", 0), ("2", 3600), ("1", 7200)] {
            case.write(name, ago);
        }
        assert_eq!(case.symptoms(""), ["rotation_of_Fernet_keys"]);
        assert_eq!(case.symptoms("max_active_keys = 51"), [""; 0]);
    }

    #[test]
    fn keys_that_are_never_rotated_are_a_symptom() {
        let case = Case::new();
        for name in ["0", "1"] {
            case.write(name, 200 * 86_400);
        }
        assert_eq!(case.symptoms(""), ["rotation_of_Fernet_keys"]);
    }
}
