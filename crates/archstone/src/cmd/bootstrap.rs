//! `bootstrap`: the first administrator and what a cloud needs to begin with (`keystone-manage bootstrap`).

use std::process::ExitCode;

use archstone_core::bootstrap::{Bootstrap, EndpointUrls};
use archstone_core::identity::Password;

use super::ConfigArgs;
use super::startup::{self, Refusal};

/// What `bootstrap` takes. An environment variable goes before its option, as in the reference.
#[expect(clippy::doc_markdown, reason = "the texts are shown as help, where a backtick is noise")]
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Name of the administrator [env: OS_BOOTSTRAP_USERNAME]
    #[arg(long, value_name = "NAME", default_value = "admin")]
    bootstrap_username: String,
    /// Password of the administrator; required here or in OS_BOOTSTRAP_PASSWORD
    #[arg(long, value_name = "PASSWORD")]
    bootstrap_password: Option<String>,
    /// Name of the administrator's project [env: OS_BOOTSTRAP_PROJECT_NAME]
    #[arg(long, value_name = "NAME", default_value = "admin")]
    bootstrap_project_name: String,
    /// Name of the administrator's role [env: OS_BOOTSTRAP_ROLE_NAME]
    #[arg(long, value_name = "NAME", default_value = "admin")]
    bootstrap_role_name: String,
    /// Name of the identity service in the catalog [env: OS_BOOTSTRAP_SERVICE_NAME]
    #[arg(long, value_name = "NAME", default_value = "keystone")]
    bootstrap_service_name: String,
    /// URL of the admin endpoint [env: OS_BOOTSTRAP_ADMIN_URL]
    #[arg(long, value_name = "URL")]
    bootstrap_admin_url: Option<String>,
    /// URL of the public endpoint [env: OS_BOOTSTRAP_PUBLIC_URL]
    #[arg(long, value_name = "URL")]
    bootstrap_public_url: Option<String>,
    /// URL of the internal endpoint [env: OS_BOOTSTRAP_INTERNAL_URL]
    #[arg(long, value_name = "URL")]
    bootstrap_internal_url: Option<String>,
    /// Region of the endpoints [env: OS_BOOTSTRAP_REGION_ID]
    #[arg(long, value_name = "ID")]
    bootstrap_region_id: Option<String>,
    /// Make the roles immutable, which is the default
    #[arg(long, overrides_with = "no_immutable_roles")]
    immutable_roles: bool,
    /// Leave the roles changeable
    #[arg(long)]
    no_immutable_roles: bool,
}

/// Runs the command: 0 when all is in place, whatever was there before; 1 without a password.
pub(crate) fn run(config: &ConfigArgs, args: Args) -> ExitCode {
    match bootstrap(config, args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => refusal.report(),
    }
}

fn bootstrap(config: &ConfigArgs, args: Args) -> Result<(), Refusal> {
    let config = startup::load_config(config)?;
    let Some(password) = variable("OS_BOOTSTRAP_PASSWORD").or(args.bootstrap_password) else {
        return Err(Refusal(
            "The administrator needs a password: give --bootstrap-password or set OS_BOOTSTRAP_PASSWORD.".to_owned(),
        ));
    };
    let or = |name: &str, option: String| variable(name).unwrap_or(option);
    let or_none = |name: &str, option: Option<String>| variable(name).or(option);
    let wanted = Bootstrap {
        user_name: or("OS_BOOTSTRAP_USERNAME", args.bootstrap_username),
        password: Password::new(password),
        project_name: or("OS_BOOTSTRAP_PROJECT_NAME", args.bootstrap_project_name),
        role_name: or("OS_BOOTSTRAP_ROLE_NAME", args.bootstrap_role_name),
        service_name: or("OS_BOOTSTRAP_SERVICE_NAME", args.bootstrap_service_name),
        region_id: or_none("OS_BOOTSTRAP_REGION_ID", args.bootstrap_region_id),
        urls: EndpointUrls {
            public: or_none("OS_BOOTSTRAP_PUBLIC_URL", args.bootstrap_public_url),
            internal: or_none("OS_BOOTSTRAP_INTERNAL_URL", args.bootstrap_internal_url),
            admin: or_none("OS_BOOTSTRAP_ADMIN_URL", args.bootstrap_admin_url),
        },
        immutable_roles: !args.no_immutable_roles,
    };
    startup::runtime(Some(1))?.block_on(async {
        let core = startup::open(config).await?;
        core.bootstrap(wanted).await.map_err(|error| Refusal(error.detail_text().to_owned()))
    })
}

#[expect(clippy::disallowed_methods, reason = "the command's own variables, as the reference reads them")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
