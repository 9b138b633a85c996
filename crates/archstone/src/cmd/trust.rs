//! `trust flush`, or `trust_flush` as `keystone-manage` spells it.

use std::process::ExitCode;

use archstone_core::authz::Allowed;
use archstone_core::time::Timestamp;
use archstone_core::trust::Flush;
use chrono::NaiveDate;

use super::ConfigArgs;
use super::startup::{self, Refusal};

/// Trusts.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Takes trusts that were deleted or have ended out of the database.
    Flush(FlushArgs),
}

/// Which trusts to take away.
#[derive(clap::Args)]
pub(crate) struct FlushArgs {
    /// Only those on this project
    #[arg(long, value_name = "ID")]
    project_id: Option<String>,
    /// Only those that this user gave
    #[arg(long, value_name = "ID")]
    trustor_user_id: Option<String>,
    /// Only those that this user got
    #[arg(long, value_name = "ID")]
    trustee_user_id: Option<String>,
    /// Those that end before this day, as DD-MM-YYYY; default: before now. Deleted ones go in any case
    #[arg(long, value_name = "DATE")]
    date: Option<String>,
}

/// Runs the command: 1 for a date that is none.
pub(crate) fn run(config: &ConfigArgs, args: FlushArgs) -> ExitCode {
    match flush(config, args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => refusal.report(),
    }
}

fn flush(config: &ConfigArgs, args: FlushArgs) -> Result<(), Refusal> {
    let flush = Flush {
        ended_before: args.date.as_deref().map(start_of_day).transpose()?,
        project_id: args.project_id.map(Into::into),
        trustor_user_id: args.trustor_user_id.map(Into::into),
        trustee_user_id: args.trustee_user_id.map(Into::into),
    };
    let config = startup::load_config(config)?;
    startup::runtime(Some(1))?.block_on(async {
        let core = startup::open(config).await?;
        let flushed = core.trust.flush(&Allowed::internal("trust_flush"), &flush).await;
        let flushed = flushed.map_err(|error| Refusal(error.detail_text().to_owned()))?;
        tracing::info!(flushed, "{flushed} trusts were taken away");
        Ok(())
    })
}

fn start_of_day(text: &str) -> Result<Timestamp, Refusal> {
    let day = NaiveDate::parse_from_str(text, "%d-%m-%Y").ok().and_then(|day| day.and_hms_opt(0, 0, 0));
    day.map(Timestamp::from_naive)
        .ok_or_else(|| Refusal(format!("--date {text}: not a day as in 31-12-2026, day first.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_comes_before_its_month() {
        assert_eq!(start_of_day("02-03-2027").ok(), Timestamp::parse("2027-03-02T00:00:00Z"));
        for wrong in ["2027-03-02", "31-02-2027", "", "tomorrow"] {
            assert!(start_of_day(wrong).is_err(), "{wrong}");
        }
    }
}
