//! Making and rotating keys. Names, options and exit codes are those of `keystone-manage`; where it reports success though
//! the repository was out of reach, these fail.

use std::path::Path;
use std::process::ExitCode;

use archstone_core::config::Config;
use archstone_core::keys::{
    CREDENTIAL_MAX_ACTIVE_KEYS, KeyRepository, Overwrite, Owner, Purpose, Rotated, Setup, create_keypair, rotate,
    same_directory, setup,
};
use archstone_core::{credential, time::TimeSource};
use archstone_db::{Db, schema};
use nix::unistd::{Gid, Group, Uid, User, geteuid};
use rustix::fs::{Access, access};

use super::ConfigArgs;
use super::startup::{self, Refusal};

/// The commands about keys.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Makes the Fernet keys of tokens and receipts, unless there are some.
    #[command(name = "fernet_setup")]
    FernetSetup(OwnerArgs),
    /// Rotates the Fernet keys of tokens and receipts: the staged key becomes the primary, the oldest is deleted.
    #[command(name = "fernet_rotate")]
    FernetRotate(OwnerArgs),
    /// Makes the Fernet keys of tokens alone.
    #[command(name = "token_setup")]
    TokenSetup(OwnerArgs),
    /// Rotates the Fernet keys of tokens alone.
    #[command(name = "token_rotate")]
    TokenRotate(OwnerArgs),
    /// Makes the Fernet keys of receipts alone.
    #[command(name = "receipt_setup")]
    ReceiptSetup(OwnerArgs),
    /// Rotates the Fernet keys of receipts alone.
    #[command(name = "receipt_rotate")]
    ReceiptRotate(OwnerArgs),
    /// Makes the keys that encrypt stored credentials, unless there are some.
    #[command(name = "credential_setup")]
    CredentialSetup(OwnerArgs),
    /// Rotates the keys that encrypt stored credentials, if all of them are encrypted with the primary key.
    #[command(name = "credential_rotate")]
    CredentialRotate(OwnerArgs),
    /// Encrypts stored credentials with the primary key; to be run after each rotation.
    #[command(name = "credential_migrate")]
    CredentialMigrate(OwnerArgs),
    /// Makes private.pem and public.pem, a key pair for JWS tokens, in the current directory.
    #[command(name = "create_jws_keypair")]
    CreateJwsKeypair {
        #[command(flatten)]
        owner: OwnerArgs,
        /// Replace existing files.
        #[arg(long)]
        force: bool,
    },
}

/// Whose the keys shall be: the account that the service runs as.
#[derive(clap::Args)]
pub(crate) struct OwnerArgs {
    /// User, by name or number, that shall own the keys; required of root.
    #[arg(long, value_name = "USER", required = geteuid().is_root())]
    keystone_user: Option<String>,
    /// Group, by name or number, that shall own the keys; required of root.
    #[arg(long, value_name = "GROUP", required = geteuid().is_root())]
    keystone_group: Option<String>,
}

/// Does what the command says.
pub(crate) fn run(config: &ConfigArgs, command: Command) -> ExitCode {
    match perform(config, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => refusal.report(),
    }
}

fn perform(config: &ConfigArgs, command: Command) -> Result<(), Refusal> {
    let config = startup::load_config(config)?;
    let tokens = Repository::tokens(&config);
    let receipts = Repository::receipts(&config);
    let credentials = Repository::credentials(&config);
    match command {
        Command::FernetSetup(args) => {
            let owner = args.owner()?;
            tokens.set_up(owner)?;
            if let Some(receipts) = receipts.beside(&tokens) { receipts.set_up(owner) } else { Ok(()) }
        }
        Command::FernetRotate(args) => {
            let owner = args.owner()?;
            tokens.rotate(owner)?;
            if let Some(receipts) = receipts.beside(&tokens) { receipts.rotate(owner) } else { Ok(()) }
        }
        Command::TokenSetup(args) => tokens.set_up(args.owner()?),
        Command::TokenRotate(args) => tokens.rotate(args.owner()?),
        Command::ReceiptSetup(args) => receipts.set_up(args.owner()?),
        Command::ReceiptRotate(args) => receipts.rotate(args.owner()?),
        Command::CredentialSetup(args) => credentials.set_up(args.owner()?),
        Command::CredentialRotate(args) => rotate_credentials(&config, &credentials, args.owner()?),
        Command::CredentialMigrate(args) => {
            args.owner()?;
            migrate_credentials(&config, &credentials)
        }
        Command::CreateJwsKeypair { owner, force } => {
            let overwrite = if force { Overwrite::Force } else { Overwrite::Refuse };
            let directory = std::env::current_dir()?;
            Ok(create_keypair(&directory, config.jwt_tokens.jws_algorithm.into(), overwrite, owner.owner()?)?)
        }
    }
}

/// One Fernet key repository of the configuration.
struct Repository<'a> {
    section: &'static str,
    directory: &'a Path,
    max_active_keys: usize,
}

impl<'a> Repository<'a> {
    fn tokens(config: &'a Config) -> Self {
        let section = &config.fernet_tokens;
        let (directory, max_active_keys) = (section.key_repository.as_path(), section.max_active_keys);
        Self { section: "fernet_tokens", directory, max_active_keys }
    }

    fn receipts(config: &'a Config) -> Self {
        let section = &config.fernet_receipts;
        let (directory, max_active_keys) = (section.key_repository.as_path(), section.max_active_keys);
        Self { section: "fernet_receipts", directory, max_active_keys }
    }

    fn credentials(config: &'a Config) -> Self {
        let directory = config.credential.key_repository.as_path();
        Self { section: "credential", directory, max_active_keys: CREDENTIAL_MAX_ACTIVE_KEYS }
    }

    /// Itself, unless it is the other one's directory: then the other one's maximum counts.
    fn beside(&self, other: &Self) -> Option<&Self> {
        if !same_directory(self.directory, other.directory) {
            return Some(self);
        }
        if self.max_active_keys != other.max_active_keys {
            tracing::warn!(
                "[{}] max_active_keys has no effect: the directory is that of [{}], whose maximum of {} counts",
                self.section,
                other.section,
                other.max_active_keys
            );
        }
        None
    }

    fn set_up(&self, owner: Owner) -> Result<(), Refusal> {
        let path = self.directory.display();
        match setup(self.directory, self.max_active_keys, owner)? {
            Setup::Created => tracing::info!("made keys in {path}"),
            Setup::Exists => tracing::info!("keys exist in {path}; nothing to do"),
            Setup::Completed => tracing::info!("put the missing staged key into {path}"),
        }
        Ok(())
    }

    fn rotate(&self, owner: Owner) -> Result<(), Refusal> {
        let path = self.directory.display();
        match rotate(self.directory, self.max_active_keys, owner)? {
            Rotated::Promoted { primary, purged } => {
                tracing::info!("rotated {path}: the primary key is {primary}, deleted were {purged:?}");
            }
            Rotated::Finished { primary, purged } => tracing::warn!(
                "finished an interrupted rotation of {path}: the primary key is {primary}, deleted were {purged:?}; the \
                 staged key is new: take it to all nodes before you rotate again"
            ),
        }
        Ok(())
    }
}

fn rotate_credentials(config: &Config, repository: &Repository<'_>, owner: Owner) -> Result<(), Refusal> {
    if access(repository.directory, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).is_err() {
        // Exit code 0, as the reference's, for this command alone: scripts run it before the repository exists.
        tracing::error!(
            "[credential] key_repository {} cannot be written; no key rotated",
            repository.directory.display()
        );
        return Ok(());
    }
    let ring = KeyRepository::open(repository.directory, Purpose::Credentials)?.latest()?;
    let others = startup::runtime(None)?.block_on(async {
        let db = connect(config).await?;
        credential::count_not_encrypted_with_primary(&db, &ring).await.map_err(|error| in_words(&error))
    })?;
    if others > 0 {
        return Err(Refusal(format!(
            "no key rotated: {others} credentials are not encrypted with the primary key; run credential_migrate first"
        )));
    }
    repository.rotate(owner)
}

fn migrate_credentials(config: &Config, repository: &Repository<'_>) -> Result<(), Refusal> {
    // Without this, an unreadable repository would count as an empty one, and its credentials as lost.
    std::fs::read_dir(repository.directory)
        .map_err(|error| Refusal(format!("[credential] key_repository {}: {error}", repository.directory.display())))?;
    let ring = KeyRepository::open(repository.directory, Purpose::Credentials)?.latest()?;
    let migrated = startup::runtime(None)?.block_on(async {
        let db = connect(config).await?;
        credential::migrate(&db, ring, TimeSource::system().now()).await.map_err(|error| in_words(&error))
    })?;
    tracing::info!("encrypted {migrated} credentials with the primary key");
    Ok(())
}

/// The database, if its schema is the one that we know.
async fn connect(config: &Config) -> Result<Db, Refusal> {
    let db = startup::connect(config).await?;
    schema::check(&db).await?.require_current()?;
    Ok(db)
}

fn in_words(error: &archstone_core::error::Error) -> Refusal {
    Refusal(error.detail_text().to_owned())
}

impl OwnerArgs {
    /// The numbers, if both are given; one alone changes nothing, as in the reference.
    fn owner(&self) -> Result<Owner, Refusal> {
        let user = self.keystone_user.as_deref().filter(|user| !user.is_empty()).map(user_id).transpose()?;
        let group = self.keystone_group.as_deref().filter(|group| !group.is_empty()).map(group_id).transpose()?;
        match (user, group) {
            (Some(user), Some(group)) => Ok(Some((user, group))),
            (None, None) => Ok(None),
            _ => {
                tracing::warn!(
                    "the owner of keys stays as it is: that takes both --keystone-user and --keystone-group"
                );
                Ok(None)
            }
        }
    }
}

/// A name first, else a number; either way of a known user.
fn user_id(text: &str) -> Result<u32, Refusal> {
    let mut user = User::from_name(text)?;
    if let (None, Ok(number)) = (&user, text.parse()) {
        user = User::from_uid(Uid::from_raw(number))?;
    }
    user.map(|user| user.uid.as_raw()).ok_or_else(|| Refusal(format!("--keystone-user: there is no user {text}")))
}

fn group_id(text: &str) -> Result<u32, Refusal> {
    let mut group = Group::from_name(text)?;
    if let (None, Ok(number)) = (&group, text.parse()) {
        group = Group::from_gid(Gid::from_raw(number))?;
    }
    group.map(|group| group.gid.as_raw()).ok_or_else(|| Refusal(format!("--keystone-group: there is no group {text}")))
}
