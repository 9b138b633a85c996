//! `archstone report`: whose password expires, who is locked out, who is idle for too long.

use std::fmt::Write as _;
use std::process::ExitCode;

use archstone_core::authz::Allowed;
use archstone_core::identity::{Report, ReportedUser};
use archstone_core::time::Timestamp;
use serde_json::json;

use super::ConfigArgs;
use super::startup::{self, Refusal};

/// What `archstone report` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    report: Which,
    /// How it is printed.
    #[arg(long, value_enum, default_value = "table", global = true)]
    format: Format,
}

#[derive(clap::Subcommand)]
enum Which {
    /// Users whose password has expired.
    Expiring(Within),
    /// Users who are locked out by failed logins, and where.
    Locked,
    /// Users who count as disabled because they were idle for too long.
    Inactive(Within),
}

#[derive(clap::Args)]
struct Within {
    /// Also those whose turn comes within so many days.
    #[arg(long, value_name = "DAYS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=36500))]
    within: u32,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Columns for people.
    Table,
    /// A list for programs.
    Json,
}

/// Runs the command: 0 whether there are such users or not.
pub(crate) fn run(config: &ConfigArgs, args: &Args) -> ExitCode {
    match report(config, args) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(refusal) => refusal.report(),
    }
}

fn report(config: &ConfigArgs, args: &Args) -> Result<String, Refusal> {
    let (report, days) = match &args.report {
        Which::Expiring(within) => (Report::Expiring, within.within),
        Which::Locked => (Report::Locked, 0),
        Which::Inactive(within) => (Report::Inactive, within.within),
    };
    let config = startup::load_config(config)?;
    let rules = &config.security_compliance;
    if report == Report::Locked && rules.lockout_failure_attempts.is_none() {
        tracing::warn!("[security_compliance] lockout_failure_attempts is not set: nobody is ever locked out");
    }
    if report == Report::Inactive && rules.disable_user_account_days_inactive.is_none() {
        tracing::warn!("[security_compliance] disable_user_account_days_inactive is not set: nobody is idle too long");
    }
    let users = startup::runtime(Some(1))?.block_on(async {
        let core = startup::open(config).await?;
        let users = core.identity.report(&Allowed::internal("report"), report, days).await;
        users.map_err(|error| Refusal(error.detail_text().to_owned()))
    })?;
    Ok(match args.format {
        Format::Table => table(report, &users),
        Format::Json => format!("{}\n", users.iter().map(|user| wire(report, user)).collect::<serde_json::Value>()),
    })
}

/// What the time of a user says.
fn time_name(report: Report) -> &'static str {
    match report {
        Report::Expiring => "expires_at",
        Report::Locked => "locked_until",
        Report::Inactive => "inactive_at",
    }
}

fn wire(report: Report, user: &ReportedUser) -> serde_json::Value {
    let mut object = json!({
        "id": &*user.id,
        "name": user.name,
        "domain_id": &*user.domain_id,
        time_name(report): user.at.map(Timestamp::iso),
    });
    match report {
        Report::Expiring => object["expired"] = user.now.into(),
        Report::Locked => object["networks"] = user.networks.clone().into(),
        Report::Inactive => object["inactive"] = user.now.into(),
    }
    object
}

fn table(report: Report, users: &[ReportedUser]) -> String {
    let last = if report == Report::Locked { "networks" } else { "now" };
    let mut rows = vec![["id", "name", "domain_id", time_name(report), last].map(str::to_owned)];
    rows.extend(users.iter().map(|user| {
        let last = match report {
            Report::Locked if user.networks.is_empty() => "all".to_owned(),
            Report::Locked => user.networks.join(" "),
            _ => if user.now { "yes" } else { "no" }.to_owned(),
        };
        [
            user.id.to_string(),
            // A name can hold anything, also what would move the cursor.
            user.name.escape_debug().to_string(),
            user.domain_id.to_string(),
            user.at.map_or_else(|| "for good".to_owned(), Timestamp::iso),
            last,
        ]
    }));
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..5).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        // Writing to a text does not fail.
        writeln!(text, "{}", cells.join("  ").trim_end()).ok();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, networks: &[&str]) -> ReportedUser {
        ReportedUser {
            id: "1".into(),
            name: name.to_owned(),
            domain_id: "default".into(),
            now: true,
            at: Timestamp::from_seconds(1_800_000_000),
            networks: networks.iter().map(|&network| network.to_owned()).collect(),
        }
    }

    #[test]
    fn a_table_has_a_line_for_each_user() {
        let text = table(Report::Locked, &[user("cook", &["192.0.2.0/24", "2001:db8::/64"]), user("a\nb", &[])]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "id  name  domain_id  locked_until                 networks");
        assert_eq!(lines[1], "1   cook  default    2027-01-15T08:00:00.000000Z  192.0.2.0/24 2001:db8::/64");
        assert_eq!(lines[2], "1   a\\nb  default    2027-01-15T08:00:00.000000Z  all");
    }

    #[test]
    fn json_names_what_the_report_is_about() {
        let expected = json!({
            "id": "1", "name": "cook", "domain_id": "default", "expires_at": "2027-01-15T08:00:00.000000Z", "expired": true,
        });
        assert_eq!(wire(Report::Expiring, &user("cook", &[])), expected);
    }
}
