//! `archstone dev`: a working identity service in seconds, on SQLite, for trying out and for development.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use archstone_core::bootstrap::{Bootstrap, EndpointUrls};
use archstone_core::config::{Config, Given, Named};
use archstone_core::identity::Password;
use archstone_core::keys;
use archstone_db::{schema, triggers};

use super::serve::{DEFAULT_LISTEN, bind_all, limits, serve_core};
use super::startup::{self, Refusal};

/// What `archstone dev` takes.
#[expect(clippy::doc_markdown, reason = "the texts are shown as help, where a backtick is noise")]
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Address to listen on, for example 127.0.0.1:5000 or [::1]:5000; may be given several times.
    #[arg(long, value_name = "HOST:PORT", default_value = DEFAULT_LISTEN)]
    listen: Vec<String>,
    /// Folder of the database, the keys and the configuration; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "var/dev")]
    data: PathBuf,
    /// Password of the administrator, for the first start.
    #[arg(long, value_name = "PASSWORD", default_value = "secret")]
    admin_password: String,
    /// Log everything.
    #[arg(long, short)]
    debug: bool,
}

/// Sets up what is missing and serves.
pub(crate) fn run(args: &Args) -> ExitCode {
    match dev(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => refusal.report(),
    }
}

fn dev(args: &Args) -> Result<(), Refusal> {
    startup::start_logging(args.debug);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&args.data)?;
    let data = args.data.canonicalize()?;
    let config_file = data.join("keystone.conf");
    if !config_file.exists() {
        write_private(&config_file, &config_text(&data))?;
    }
    let given = Given::read(&[Named::File(config_file)], "archstone", &std::collections::BTreeMap::new());
    let (mut config, _) = Config::load(&given).map_err(|problems| startup::all_problems(&problems))?;
    config.archstone.listen.clone_from(&args.listen);
    startup::runtime(config.archstone.workers)?.block_on(start(args, &data, config))
}

async fn start(args: &Args, data: &Path, config: Config) -> Result<(), Refusal> {
    keys::set_up_all(&config)?;
    let listeners = bind_all(&args.listen).await?;
    let address = listeners.first().ok_or_else(|| Refusal("nothing to listen on".to_owned()))?.local_addr()?;
    let url = format!("http://{}/v3", reachable(address));
    let limits = limits(&config);
    let db = startup::connect(&config).await?;
    let fresh = matches!(schema::check(&db).await?, schema::Status::Empty);
    if fresh {
        schema::create(&db).await?;
        // Whoever tries things out writes into the database by hand, too.
        triggers::install(&db).await?;
    }
    let core = Box::pin(startup::open_on(config, db)).await?;
    let openrc = data.join("openrc");
    if fresh {
        core.bootstrap(Bootstrap {
            password: Password::new(args.admin_password.clone()),
            region_id: Some("RegionOne".to_owned()),
            urls: EndpointUrls { public: Some(url.clone()), internal: Some(url.clone()), admin: Some(url.clone()) },
            ..Bootstrap::default()
        })
        .await
        .map_err(|error| Refusal(error.detail_text().to_owned()))?;
        write_private(&openrc, &openrc_text(&url, &args.admin_password))?;
    }
    println!(
        "Archstone listens on {url}\nNext, in another terminal:\n\n    . {}\n    openstack token issue\n",
        openrc.display()
    );
    serve_core(core, listeners, limits).await
}

/// How a client on this machine reaches an address that may be "any".
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

fn config_text(data: &Path) -> String {
    let data = data.display();
    format!(
        "# Made by `archstone dev`; change it as you like.\n\
         [database]\nconnection = sqlite:///{data}/keystone.db\n\n\
         [fernet_tokens]\nkey_repository = {data}/fernet-keys\n\n\
         [fernet_receipts]\nkey_repository = {data}/fernet-keys\n\n\
         [credential]\nkey_repository = {data}/credential-keys\n"
    )
}

fn openrc_text(url: &str, password: &str) -> String {
    let password = password.replace('\'', "'\\''");
    format!(
        "# The administrator of this development service: . this file\n\
         export OS_IDENTITY_API_VERSION=3\nexport OS_AUTH_URL={url}\nexport OS_AUTH_TYPE=password\n\
         export OS_USERNAME=admin\nexport OS_PASSWORD='{password}'\nexport OS_PROJECT_NAME=admin\n\
         export OS_USER_DOMAIN_ID=default\nexport OS_PROJECT_DOMAIN_ID=default\nexport OS_REGION_NAME=RegionOne\n"
    )
}

/// Writes a file that only its owner may read: it has a password in it, or leads to one.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}
