use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand::SystemRandom;
use keystone_token::jws::Algorithm;
use keystone_token::{AuditId, AuditIds, Error, KeyRing, MethodMap, Payload, UnixMicros, jws};
use tempfile::TempDir;

use super::*;

struct Repository {
    root: TempDir,
    max: usize,
}

impl Repository {
    fn absent(max: usize) -> Self {
        Self { root: tempfile::tempdir().unwrap(), max }
    }

    fn created(max: usize) -> Self {
        let repository = Self::absent(max);
        assert_eq!(setup(&repository.path(), max, None).unwrap(), Setup::Created);
        repository
    }

    fn path(&self) -> PathBuf {
        self.root.path().join("keys")
    }

    fn rotate(&self) -> Rotated {
        rotate(&self.path(), self.max, None).unwrap()
    }

    fn open(&self) -> KeyRepository {
        KeyRepository::open(&self.path(), Purpose::Tokens).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap()
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path().join(from), self.path().join(to)).unwrap();
    }
}

fn seal(keys: &KeyRepository) -> String {
    keys.latest().unwrap().seal(b"hello", 1, [0; 16]).unwrap()
}

fn opens(keys: &KeyRepository, text: &str) -> bool {
    keys.open_text(|ring: &KeyRing| ring.open(text)).is_ok()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn setup_makes_two_private_keys_in_a_private_directory() {
    let repository = Repository::created(3);
    assert_eq!(repository.names(), ["0", "1"]);
    assert_eq!(mode(&repository.path()), 0o700);
    for name in ["0", "1"] {
        assert_eq!(mode(&repository.path().join(name)), 0o600);
        assert_eq!(repository.text(name).len(), 44, "no newline");
    }
    assert_ne!(repository.text("0"), repository.text("1"));
}

#[test]
fn setting_up_all_makes_each_directory_once() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let config = Config::from_text(&format!(
        "[fernet_tokens]\nkey_repository = {0}/fernet\n[fernet_receipts]\nkey_repository = {0}/./fernet/\n\
         [credential]\nkey_repository = {0}/credential\n",
        root.path().display()
    ))
    .unwrap();
    set_up_all(&config).unwrap();
    let primary = fs::read_to_string(at("fernet/1")).unwrap();
    set_up_all(&config).unwrap();
    assert_eq!(fs::read_to_string(at("fernet/1")).unwrap(), primary);
    assert!(at("credential/1").exists());
    assert!(same_directory(Path::new("/nowhere/keys"), Path::new("/nowhere/./keys/")));
    assert!(!same_directory(&at("fernet"), &at("credential")));
}

#[test]
fn setup_changes_nothing_where_a_staged_key_exists() {
    let repository = Repository::created(3);
    let before = (repository.text("0"), repository.text("1"));
    assert_eq!(setup(&repository.path(), 3, None).unwrap(), Setup::Exists);
    assert_eq!((repository.text("0"), repository.text("1")), before);
}

#[test]
fn rotation_promotes_the_staged_key_and_deletes_the_oldest() {
    let repository = Repository::created(3);
    let staged = repository.text("0");
    assert_eq!(repository.rotate(), Rotated::Promoted { primary: 2, purged: vec![] });
    assert_eq!(repository.text("2"), staged);
    assert_eq!(repository.names(), ["0", "1", "2"]);
    assert_eq!(repository.rotate(), Rotated::Promoted { primary: 3, purged: vec![1] });
    assert_eq!(repository.names(), ["0", "2", "3"]);
}

#[test]
fn lowering_the_maximum_deletes_all_in_excess() {
    let mut repository = Repository::created(6);
    for _ in 0..4 {
        repository.rotate();
    }
    repository.max = 2;
    assert_eq!(repository.rotate(), Rotated::Promoted { primary: 6, purged: vec![5, 4, 3, 2, 1] });
    repository.max = 1;
    repository.rotate();
    assert_eq!(repository.names(), ["0"]);
}

#[test]
fn names_that_are_no_numbers_are_no_keys() {
    let repository = Repository::created(3);
    for name in ["README", "1.bak", "-1", "+7", "007", "0.tmp", "99999999999999999999999"] {
        fs::write(repository.path().join(name), "not a key").unwrap();
    }
    fs::create_dir(repository.path().join("8")).unwrap();
    assert_eq!(repository.open().current().unwrap().len(), 2);
    assert_eq!(repository.rotate(), Rotated::Promoted { primary: 2, purged: vec![] });
}

#[test]
fn keys_behind_links_are_keys() {
    let repository = Repository::created(3);
    let elsewhere = repository.root.path().join("secret");
    fs::rename(repository.path().join("1"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, repository.path().join("1")).unwrap();
    assert_eq!(repository.open().current().unwrap().len(), 2);
}

#[test]
fn rotation_interrupted_before_the_promotion_starts_over() {
    let repository = Repository::created(3);
    fs::write(repository.path().join("0.tmp"), "half a k").unwrap();
    assert_eq!(repository.rotate(), Rotated::Promoted { primary: 2, purged: vec![] });
    assert_eq!(repository.names(), ["0", "1", "2"]);
    assert_eq!(repository.open().current().unwrap().len(), 3);
}

#[test]
fn rotation_interrupted_after_the_promotion_is_finished_not_repeated() {
    let repository = Repository::created(2);
    let next = repository.text("1");
    // As it was between the two renames: 0 is 2 now, and its successor still temporary.
    repository.rename("0", "2");
    fs::write(repository.path().join("0.tmp"), &next).unwrap();
    assert!(opens(&repository.open(), &seal(&repository.open())), "works meanwhile");

    assert_eq!(repository.rotate(), Rotated::Finished { primary: 2, purged: vec![1] });
    assert_eq!(repository.text("0"), next);
    assert_eq!(repository.names(), ["0", "2"]);
}

#[test]
fn a_staged_key_that_is_lost_or_torn_is_replaced_never_promoted() {
    for lose in [|path: &Path| fs::remove_file(path).unwrap(), |path: &Path| fs::write(path, "").unwrap()] {
        let repository = Repository::created(3);
        lose(&repository.path().join("0"));
        assert_eq!(repository.rotate(), Rotated::Finished { primary: 1, purged: vec![] });
        assert_eq!(repository.names(), ["0", "1"]);
        assert_eq!(repository.open().current().unwrap().len(), 2);
    }
    let repository = Repository::created(3);
    fs::remove_file(repository.path().join("0")).unwrap();
    assert_eq!(setup(&repository.path(), 3, None).unwrap(), Setup::Completed);
    assert_eq!(repository.names(), ["0", "1"]);
}

#[test]
fn rotations_at_the_same_time_exclude_each_other() {
    let repository = Repository::created(3);
    let directory = fs::File::open(repository.path()).unwrap();
    rustix::fs::flock(&directory, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert!(matches!(rotate(&repository.path(), 3, None), Err(KeyError::Locked { .. })));
    drop(directory);
    repository.rotate();
}

#[test]
fn a_reader_never_misses_the_primary_while_keys_rotate() {
    let repository = Repository::created(3);
    let keys = repository.open();
    std::thread::scope(|scope| {
        let rotating = scope.spawn(|| (0..50).for_each(|_| drop(repository.rotate())));
        while !rotating.is_finished() {
            assert!(keys.latest().is_ok());
        }
    });
}

#[test]
fn keys_made_elsewhere_open_at_once() {
    let repository = Repository::created(3);
    let ours = repository.open();
    // Another node's view, which has rotated twice: its primary key is one that we have not read.
    repository.rotate();
    repository.rotate();
    let theirs = seal(&repository.open());
    assert!(opens(&ours, &theirs));
    assert!(opens(&ours, &seal(&ours)));
    assert!(!opens(&ours, &"A".repeat(160)));
}

#[test]
fn the_generation_changes_with_the_keys_only() {
    let repository = Repository::created(3);
    let keys = repository.open();
    let before = keys.generation().unwrap();
    keys.latest().unwrap();
    assert_eq!(keys.generation().unwrap(), before);
    repository.rotate();
    keys.latest().unwrap();
    assert_ne!(keys.generation().unwrap(), before);
}

#[test]
fn dropped_keys_stop_working_with_the_next_reading() {
    let repository = Repository::created(3);
    let keys = repository.open();
    let token = seal(&keys);
    fs::remove_file(repository.path().join("1")).unwrap();
    keys.latest().unwrap();
    let refused = keys.open_text(|ring| ring.open(&token));
    assert!(matches!(refused, Err(OpenError::Text(Error::Unauthentic))));
    fs::remove_dir_all(repository.path()).unwrap();
    assert!(keys.latest().is_err(), "without keys nothing is accepted");
}

#[test]
fn a_broken_repository_is_refused_at_the_start_and_passed_over_later() {
    let repository = Repository::created(3);
    let keys = repository.open();
    let token = seal(&keys);
    fs::write(repository.path().join("2"), "half a k").unwrap();
    assert!(matches!(KeyRepository::open(&repository.path(), Purpose::Tokens), Err(KeyError::Unusable { .. })));
    assert!(keys.latest().is_ok());
    assert!(opens(&keys, &token));

    let absent = Repository::absent(3);
    assert!(matches!(KeyRepository::open(&absent.path(), Purpose::Tokens), Err(KeyError::Io { .. })));
    fs::create_dir(absent.path()).unwrap();
    assert!(matches!(KeyRepository::open(&absent.path(), Purpose::Tokens), Err(KeyError::Empty { .. })));
    assert!(matches!(rotate(&absent.path(), 3, None), Err(KeyError::Empty { .. })));
}

#[test]
fn credentials_fall_back_to_the_null_key() {
    let repository = Repository::absent(3);
    let keys = KeyRepository::open(&repository.path(), Purpose::Credentials).unwrap();
    let by_null = seal(&keys);
    assert_eq!(keys.latest().unwrap().primary().hash(), "c5bdc272b97a0d521ef878dc26fb73e4075544dc");
    setup(&repository.path(), 3, None).unwrap();
    assert_eq!(keys.latest().unwrap().len(), 3);
    assert_ne!(keys.latest().unwrap().primary().hash(), "c5bdc272b97a0d521ef878dc26fb73e4075544dc");
    assert!(opens(&keys, &by_null));
}

#[test]
fn keys_belong_to_the_given_owner() {
    let repository = Repository::absent(3);
    let me = fs::metadata(repository.root.path()).unwrap();
    // Root may give away; anybody else only to themselves.
    let owner = if me.uid() == 0 { (12345, 23456) } else { (me.uid(), me.gid()) };
    setup(&repository.path(), 3, Some(owner)).unwrap();
    rotate(&repository.path(), 3, Some(owner)).unwrap();
    for name in [".", "0", "1", "2"] {
        let file = fs::metadata(repository.path().join(name)).unwrap();
        assert_eq!((file.uid(), file.gid()), owner, "{name}");
    }
}

#[test]
fn a_jws_pair_signs_and_verifies_and_follows_its_files() {
    let root = tempfile::tempdir().unwrap();
    let (private, public) = (root.path().join("private"), root.path().join("public"));
    fs::create_dir(&private).unwrap();
    fs::create_dir(&public).unwrap();
    assert!(JwsRepository::open(&private, &public, Algorithm::Es256).is_err());
    let make = |overwrite| create_keypair(&private, Algorithm::Es256, overwrite, None);
    make(Overwrite::Refuse).unwrap();
    assert!(matches!(JwsRepository::open(&private, &public, Algorithm::Es256), Err(KeyError::Empty { .. })));
    fs::copy(private.join("public.pem"), public.join("a.pem")).unwrap();
    fs::write(public.join("README"), "not a key").unwrap();
    assert!(JwsRepository::open(&private, &public, Algorithm::Es384).is_err());
    let keys = JwsRepository::open(&private, &public, Algorithm::Es256).unwrap();

    let audit_ids = AuditIds { id: AuditId([1; 16]), parent: None };
    let payload = Payload::new("u".to_owned(), vec![], UnixMicros::from_seconds(9), audit_ids);
    let methods = MethodMap::new(&["password"]);
    let sign = || jws::sign(&keys.signing().unwrap(), &payload, 1, &SystemRandom::new()).unwrap();
    let verifies =
        |token: &str| keys.open_text(|public| jws::verify(token, public, &[Algorithm::Es256], &methods, 1)).is_ok();
    let old = sign();
    assert!(verifies(&old));

    assert!(matches!(make(Overwrite::Refuse), Err(KeyError::Exists { .. })));
    make(Overwrite::Force).unwrap();
    assert!(!verifies(&sign()), "its public key is not there yet");
    fs::copy(private.join("public.pem"), public.join("b.pem")).unwrap();
    assert!(verifies(&sign()));
    assert!(verifies(&old));
    assert_eq!(mode(&private.join("private.pem")), 0o600);
}
