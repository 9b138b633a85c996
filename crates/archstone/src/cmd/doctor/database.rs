//! The database: whether it answers, whether its schema fits, what it tells of other programs' writes, its clock.

use std::sync::Arc;
use std::time::Duration;

use archstone_core::authz::policy::Policy;
use archstone_core::authz::{Allowed, Authorizer};
use archstone_core::config::Config;
use archstone_core::credential;
use archstone_core::events::Events;
use archstone_core::foundation::Foundation;
use archstone_core::freshness::Freshness;
use archstone_core::id::DomainId;
use archstone_core::keys::{KeyRepository, Purpose};
use archstone_core::resource::Resource;
use archstone_core::time::{TimeSource, Timestamp};
use archstone_db::schema::{self, Status};
use archstone_db::triggers::{self, Triggers};
use archstone_db::{Db, DbError};

use super::super::startup;
use super::Finding;

/// Seconds by which the clocks of this node and of the database may differ: revocation counts in seconds.
const MOST_SKEW: f64 = 2.0;

const ANSWERS: &str = "database_answers";
const SCHEMA: &str = "database_schema";
const FOREIGN: &str = "writes_of_other_programs";
const CLOCK: &str = "database_clock";
const DOMAIN: &str = "default_domain";
const CREDENTIALS: &str = "credentials_encrypted_by_older_keys";

pub(super) async fn examine(config: &Config) -> Vec<Finding> {
    let mut config = config.clone();
    // Whoever asks a doctor does not want to wait until the database comes back.
    config.database.max_retries = 0;
    config.database.pool_timeout = Some(5);
    let db = match startup::connect(&config).await {
        Ok(db) => db,
        Err(refusal) => {
            let advice = "start it, or put [database] connection right";
            let mut findings = vec![Finding::symptom(ANSWERS, refusal.0, advice)];
            let unknown = |check| Finding::unknown(check, "the database does not answer");
            findings.extend([SCHEMA, FOREIGN, CLOCK, DOMAIN, CREDENTIALS].map(unknown));
            return findings;
        }
    };
    let mut findings = vec![Finding::fine(ANSWERS, "the database answers"), or_unknown(CLOCK, clock(&db).await)];
    match schema::check(&db).await {
        Ok(status) => {
            let current = status == Status::Current;
            findings.push(schema_finding(&db, &status).await);
            if current {
                findings.push(or_unknown(FOREIGN, foreign(&db, &config).await));
                findings.push(default_domain(&db, &config).await);
                findings.push(credentials(&db, &config).await);
            } else {
                let unknown = |check| Finding::unknown(check, "the schema does not fit");
                findings.extend([FOREIGN, DOMAIN, CREDENTIALS].map(unknown));
            }
        }
        Err(error) => findings.push(Finding::unknown(SCHEMA, error.to_string())),
    }
    db.close().await;
    findings
}

fn or_unknown(check: &'static str, found: Result<Finding, DbError>) -> Finding {
    found.unwrap_or_else(|error| Finding::unknown(check, error.to_string()))
}

async fn schema_finding(db: &Db, status: &Status) -> Finding {
    let revisions = match schema::revisions(db).await {
        Ok((expand, contract)) => {
            let or_none = |revision: Option<String>| revision.unwrap_or_else(|| "none".to_owned());
            format!("expand {}, contract {}", or_none(expand), or_none(contract))
        }
        Err(error) => error.to_string(),
    };
    if *status == Status::Current {
        return Finding::fine(SCHEMA, format!("{status} ({revisions}), with Archstone's own tables"));
    }
    let (text, advice) = status.to_string().split_once("; ").map_or_else(
        || (status.to_string(), "run `archstone db check`".to_owned()),
        |(text, advice)| (text.to_owned(), advice.to_owned()),
    );
    Finding::symptom(SCHEMA, format!("{text} ({revisions})"), advice)
}

/// Which of the two makes what other programs write count: the triggers, or the bound.
async fn foreign(db: &Db, config: &Config) -> Result<Finding, DbError> {
    let bound = config.archstone.foreign_write_bound;
    let found = triggers::check(db).await?;
    let within = format!("writes of other programs count within [archstone] foreign_write_bound, {bound} s");
    Ok(match found {
        Triggers::Installed => Finding::fine(FOREIGN, format!("{found}: writes of other programs count at once")),
        Triggers::Absent => Finding::fine(
            FOREIGN,
            format!("{found}: {within}; `archstone db triggers install` would make them count at once"),
        ),
        Triggers::Incomplete { .. } => {
            Finding::symptom(FOREIGN, format!("{found}: {within}"), "run `archstone db triggers install`")
        }
    })
}

async fn clock(db: &Db) -> Result<Finding, DbError> {
    let before = TimeSource::system().now();
    let there = Timestamp::from_naive(db.time().await?);
    let after = TimeSource::system().now();
    // Nothing is known of when in between it was read.
    let micros = if there < before {
        before.micros() - there.micros()
    } else {
        there.micros().saturating_sub(after.micros()).max(0)
    };
    let skew = Duration::from_micros(u64::try_from(micros).unwrap_or(0)).as_secs_f64();
    Ok(Finding::unless(
        skew > MOST_SKEW,
        CLOCK,
        format!("the clocks of this node and of the database differ by {skew:.3} s at most"),
        format!(
            "the clocks of this node and of the database differ by {skew:.1} s: tokens end and are revoked by them"
        ),
        "have both keep their time by NTP",
    ))
}

async fn default_domain(db: &Db, config: &Config) -> Finding {
    let id = DomainId::from(config.identity.default_domain_id.as_str());
    let foundation = Foundation {
        freshness: Freshness::new(db.clone(), Duration::from_secs(1)),
        db: db.clone(),
        time: TimeSource::system(),
        events: Events::default(),
        authorizer: Arc::new(Authorizer::new(Arc::new(Policy::defaults_only()), None)),
        config: Arc::new(config.clone()),
    };
    let found =
        Resource::new(foundation).list_domains_by_ids(&Allowed::internal("doctor"), std::slice::from_ref(&id)).await;
    let place = format!("[identity] default_domain_id, {id}");
    match found.map(|domains| domains.into_iter().next()) {
        Ok(Some(domain)) if domain.enabled => Finding::fine(DOMAIN, format!("{place}, is a domain")),
        Ok(Some(_)) => Finding::symptom(
            DOMAIN,
            format!("{place}, is disabled: nobody in it can log in"),
            "enable the domain, or name another one",
        ),
        Ok(None) => Finding::symptom(
            DOMAIN,
            format!("{place}, is no domain: whoever names none is refused"),
            "run `archstone bootstrap`, or name a domain that exists",
        ),
        Err(error) => Finding::unknown(DOMAIN, error.detail_text()),
    }
}

/// A rotation of the credentials' keys has to wait for these.
async fn credentials(db: &Db, config: &Config) -> Finding {
    let opened = KeyRepository::open(&config.credential.key_repository, Purpose::Credentials);
    let ring = match opened.and_then(|keys| keys.latest()) {
        Ok(ring) => ring,
        Err(error) => return Finding::unknown(CREDENTIALS, error.to_string()),
    };
    match credential::count_not_encrypted_with_primary(db, &ring).await {
        Ok(count) => Finding::unless(
            count > 0,
            CREDENTIALS,
            "all credentials are encrypted by the primary key",
            format!("{count} credentials are encrypted by another key than the primary"),
            "run `archstone credential_migrate`, before keys are rotated again",
        ),
        Err(error) => Finding::unknown(CREDENTIALS, error.detail_text()),
    }
}

#[cfg(test)]
mod tests {
    use archstone_core::config::Given;

    use super::super::State;
    use super::*;

    async fn of(url: &str) -> Vec<(&'static str, State)> {
        let given = Given::from_text("k.conf", &format!("[database]\nconnection = {url}\n"));
        examine(&Config::examine(&given).config).await.iter().map(|finding| (finding.check, finding.state)).collect()
    }

    #[tokio::test]
    async fn an_empty_database_and_one_without_a_domain_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:///{}/k.db", folder.path().display());
        let found = of(&url).await;
        assert!(found.contains(&(SCHEMA, State::Symptom)) && found.contains(&(DOMAIN, State::Unknown)), "{found:?}");
        let config = Config::from_text(&format!("[database]\nconnection = {url}\n")).unwrap();
        let Ok(db) = startup::connect(&config).await else { panic!("the database is there") };
        schema::create(&db).await.unwrap();
        let found = of(&url).await;
        for fine in [ANSWERS, SCHEMA, FOREIGN, CLOCK, CREDENTIALS] {
            assert!(found.contains(&(fine, State::Fine)), "{fine}: {found:?}");
        }
        assert!(found.contains(&(DOMAIN, State::Symptom)));
    }

    #[tokio::test]
    async fn a_database_that_does_not_answer_is_told_at_once() {
        let started = std::time::Instant::now();
        let found = of("postgresql://u:hunter2@127.0.0.1:1/n").await;
        assert_eq!(found[0], (ANSWERS, State::Symptom));
        assert!(found[1..].iter().all(|(_, state)| *state == State::Unknown));
        assert!(started.elapsed().as_secs() < 20);
    }
}
