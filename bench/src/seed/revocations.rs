//! `revocations` fills the table of revocation events, as a day of logouts does.

use archstone_db::tables::RevocationEvent;
use archstone_db::{ConnectOptions, Db, DbError, SqlUrl, Touch};
use chrono::DateTime;
use sea_query::{Expr, Query as Sql};

use super::{ROWS, SeedError, scattered_id};

/// The command line.
#[derive(clap::Args)]
pub struct RevocationOptions {
    /// The database, as `[database] connection` names it.
    #[arg(long)]
    connection: String,
    /// How many events.
    #[arg(long, default_value_t = 100_000)]
    count: u64,
    /// The number of the first: other numbers, other tokens.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// When they were made, in seconds since 1970: tokens issued until then are compared with them.
    #[arg(long)]
    at: i64,
}

/// Inserts the events: nine of ten name a token by its audit id, one a user, of those that no cloud here has.
pub async fn run(options: &RevocationOptions) -> Result<(), SeedError> {
    let connect = ConnectOptions { sqlite_synchronous: false, max_retries: Some(0), ..ConnectOptions::default() };
    let db = Db::connect(&SqlUrl::parse(&options.connection)?, &connect).await?;
    let numbers: Vec<u64> = (options.first..options.first + options.count).collect();
    let (numbers, at) = (&numbers, options.at);
    db.write(move |tx| {
        Box::pin(async move {
            for chunk in numbers.chunks(ROWS) {
                tx.execute(&insert(chunk, at)).await?;
            }
            tx.touch(Touch { kind: "revocations", reference: String::new() });
            Ok::<_, DbError>(())
        })
    })
    .await?;
    db.close().await;
    Ok(())
}

fn insert(numbers: &[u64], at: i64) -> sea_query::InsertStatement {
    let at = || -> Expr { DateTime::from_timestamp(at, 0).map(|moment| moment.naive_utc()).into() };
    let mut insert = Sql::insert();
    insert.into_table(RevocationEvent::Table).columns([
        RevocationEvent::AuditId,
        RevocationEvent::UserId,
        RevocationEvent::IssuedBefore,
        RevocationEvent::RevokedAt,
    ]);
    for number in numbers {
        let id = scattered_id(*number);
        let (audit_id, user_id) = if number % 10 == 9 { (None, Some(id)) } else { (Some(id[..22].to_owned()), None) };
        insert.values_panic([audit_id.into(), user_id.into(), at(), at()]);
    }
    insert
}
