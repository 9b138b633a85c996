//! What `[security_compliance]` demands: strength and age of passwords, lockout, inactivity.
//!
//! Pure rules over what the storage has; nothing here reads or writes.

use chrono::{Days, NaiveDate};
use fancy_regex::{Regex, RegexBuilder};

use super::options::{UserOption, UserOptions};
use super::password::{PartialHash, Password};
use super::sql::{Failures, StoredPassword};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::id::UserId;
use crate::time::Timestamp;

const SECONDS_A_DAY: i64 = 86_400;

/// Steps after which a pattern is given up: a password is no place for an exponential search.
const BACKTRACK_LIMIT: usize = 100_000;

/// The driver's name in the reference, which salts the partial hashes it reports.
const DRIVER_NAME: &str = "keystone.identity.backends.sql.Identity";

/// The options, ready for use.
pub(super) struct Compliance {
    strength: Option<Strength>,
    lockout_failure_attempts: Option<i64>,
    lockout_duration: Option<i64>,
    days_inactive: Option<i64>,
    password_expires_days: Option<u64>,
    minimum_password_age: i64,
    unique_last_password_count: usize,
    change_upon_first_use: bool,
    partial_hash: Option<PartialHash>,
}

struct Strength {
    /// `None` where the configured text is no pattern; the start has said so.
    pattern: Option<Regex>,
    description: String,
}

/// What a new password is like in the table.
pub(super) struct NewPassword {
    /// Its hash; none for an account without a password that counts as having had one.
    pub(super) hash: Option<String>,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Option<Timestamp>,
    /// Whether the user set it, not an administrator.
    pub(super) self_service: bool,
}

impl Compliance {
    /// Reads the options. Two that cannot be used are an error here: a report of wrong passwords without its key or
    /// with an unknown function. A regular expression that is none is logged, and then refuses every new password.
    pub(super) fn new(config: &Config) -> Result<Compliance> {
        let options = &config.security_compliance;
        Ok(Compliance {
            strength: options.password_regex.as_deref().filter(|text| !text.is_empty()).map(|text| Strength {
                pattern: compile(text),
                description: options.password_regex_description.clone().unwrap_or_default(),
            }),
            lockout_failure_attempts: options.lockout_failure_attempts.map(signed),
            lockout_duration: options.lockout_duration.map(signed),
            days_inactive: options.disable_user_account_days_inactive.map(signed),
            password_expires_days: options.password_expires_days,
            minimum_password_age: signed(options.minimum_password_age),
            unique_last_password_count: usize::try_from(options.unique_last_password_count).unwrap_or(0),
            change_upon_first_use: options.change_password_upon_first_use,
            partial_hash: partial_hash(config)?,
        })
    }

    /// 400 for a password that is too simple; also for none at all, where there is a rule.
    pub(super) fn check_strength(&self, password: Option<&Password>) -> Result<()> {
        let Some(strength) = &self.strength else { return Ok(()) };
        let Some(password) = password else {
            return Err(Error::bad_request(
                "The password must be of the type string, since there is a rule for its strength.",
            ));
        };
        let Some(pattern) = &strength.pattern else {
            return Err(Error::bad_request(
                "The password cannot be checked: the rule for its strength is misconfigured. Ask the administrator.",
            ));
        };
        match pattern.is_match(password.expose()) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::bad_request(format!(
                "The password is not strong enough: it must fulfil: {}.",
                strength.description
            ))),
            Err(error) => Err(Error::bad_request("The password cannot be checked against the rule for its strength.")
                .because(format!("[security_compliance] password_regex: {error}"))),
        }
    }

    /// A new password's row. One that an administrator set may have to be changed at once.
    pub(super) fn new_password(
        &self,
        hash: Option<String>,
        now: Timestamp,
        options: &UserOptions,
        set_by: SetBy,
    ) -> NewPassword {
        let must_change = set_by == SetBy::Administrator
            && self.change_upon_first_use
            && !options.is_set(UserOption::IgnoreChangePasswordUponFirstUse);
        let expires_at = if must_change {
            Some(now)
        } else if options.is_set(UserOption::IgnorePasswordExpiry) {
            None
        } else {
            self.password_expires_days.and_then(|days| {
                let moment = now.naive().checked_add_days(Days::new(days))?;
                Some(Timestamp::from_naive(moment).truncated())
            })
        };
        NewPassword { hash, created_at: now, expires_at, self_service: set_by == SetBy::User }
    }

    /// How many of the older passwords stay when a new one comes.
    pub(super) fn kept_passwords(&self) -> usize {
        self.unique_last_password_count.max(1)
    }

    /// How many of the last passwords a new one must differ from.
    pub(super) fn unique_passwords(&self) -> usize {
        self.unique_last_password_count
    }

    /// 400 if the user changed its password too short a time ago. One that an administrator set may go at any time.
    pub(super) fn check_age(&self, current: &StoredPassword, now: Timestamp) -> Result<()> {
        let may_change_at = current.created_at.plus_seconds(self.minimum_password_age.saturating_mul(SECONDS_A_DAY));
        if self.minimum_password_age == 0 || !current.self_service || now >= may_change_at {
            return Ok(());
        }
        let days_left = (may_change_at.seconds() - now.seconds()) / SECONDS_A_DAY;
        Err(Error::bad_request(format!(
            "The password was changed too short a time ago: the minimum password age is {} day(s). Try again in \
             {days_left} day(s), or ask an administrator to reset the password.",
            self.minimum_password_age
        )))
    }

    /// 400: the new password was used before.
    pub(super) fn used_before(&self) -> Error {
        Error::bad_request(format!(
            "The new password was used before: the last {} must all be different, the new one included.",
            self.unique_last_password_count
        ))
    }

    /// What failed logins did to an account.
    pub(super) fn lock(&self, failures: &Failures, options: &UserOptions, now: Timestamp) -> Lock {
        if failures.count == 0 {
            return Lock::Clean;
        }
        if options.is_set(UserOption::IgnoreLockoutFailureAttempts) {
            return Lock::Open;
        }
        match self.lockout_failure_attempts {
            Some(most) if failures.count >= most => {}
            _ => return Lock::Open,
        }
        let Some(end) = self.lock_end(failures) else { return Lock::Locked };
        if end > now { Lock::Locked } else { Lock::Expired }
    }

    /// When a lock by these failures ends; `None` if it does not by itself.
    pub(super) fn lock_end(&self, failures: &Failures) -> Option<Timestamp> {
        Some(failures.last?.plus_seconds(self.lockout_duration?))
    }

    /// Whether failed logins have consequences.
    pub(super) fn watches_failures(&self) -> bool {
        self.lockout_failure_attempts.is_some()
    }

    /// How long a lock holds, if it ends by itself.
    pub(super) fn lockout_seconds(&self) -> Option<i64> {
        self.lockout_duration
    }

    /// The number of failures that lock for ever, if locks do not end by themselves.
    pub(super) fn locks_for_ever_from(&self) -> Option<i64> {
        if self.lockout_duration.is_some() { None } else { self.lockout_failure_attempts }
    }

    /// Whether a user counts as enabled: the stored flag, unless the account was not used for too long.
    pub(super) fn enabled(
        &self,
        stored: bool,
        last_active: Option<NaiveDate>,
        options: &UserOptions,
        today: NaiveDate,
    ) -> bool {
        let (Some(most), Some(last)) = (self.days_inactive, last_active) else { return stored };
        stored && (options.is_set(UserOption::IgnoreUserInactivity) || (today - last).num_days() < most)
    }

    /// After how many days without a login a user counts as disabled.
    pub(super) fn days_inactive(&self) -> Option<i64> {
        self.days_inactive
    }

    /// The last day on which somebody must have been active to count as idle at a moment.
    pub(super) fn idle_before(&self, moment: Timestamp) -> Option<NaiveDate> {
        let days = u64::try_from(self.days_inactive?).ok()?;
        moment.naive().date().checked_sub_days(Days::new(days))
    }

    /// Whether enabling a user counts as its being active, so that it is not disabled again at once.
    pub(super) fn watches_inactivity(&self) -> bool {
        self.days_inactive.is_some()
    }

    /// The partial hash of a wrong password, if it is to be reported.
    pub(super) fn partial_hash(&self, password: &Password) -> Option<String> {
        self.partial_hash.as_ref().map(|hash| hash.of(password, DRIVER_NAME))
    }
}

/// Who sets a password.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SetBy {
    /// The user itself.
    User,
    /// Somebody who may update users.
    Administrator,
}

/// What failed logins did to an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lock {
    /// Nothing: there are none.
    Clean,
    /// Nothing so far.
    Open,
    /// It is locked now.
    Locked,
    /// It was locked, and its time has passed.
    Expired,
}

/// Whether a password is expired. An exempt user's never is.
pub(super) fn is_expired(password: &StoredPassword, options: &UserOptions, now: Timestamp) -> bool {
    !options.is_set(UserOption::IgnorePasswordExpiry) && password.expires_at.is_some_and(|at| now >= at)
}

/// 401 whose text clients look into, to ask for a new password: it must stay as it is (Horizon matches it).
pub(super) fn password_expired(id: &UserId) -> Error {
    Error::new(
        crate::error::ErrorKind::Unauthorized,
        format!("The password is expired and needs to be changed for user: {id}."),
    )
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Python's `re.match`: anchored at the start only.
fn compile(text: &str) -> Option<Regex> {
    match RegexBuilder::new(&format!(r"\A(?:{text})")).backtrack_limit(BACKTRACK_LIMIT).build() {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            tracing::error!(%error, "[security_compliance] password_regex is no regular expression: no password will be accepted");
            None
        }
    }
}

fn partial_hash(config: &Config) -> Result<Option<PartialHash>> {
    let options = &config.security_compliance;
    if !options.report_invalid_password_hash.iter().any(|target| target == "event") {
        return Ok(None);
    }
    let Some(key) = &options.invalid_password_hash_secret_key else {
        return Err(Error::internal(
            "[security_compliance] report_invalid_password_hash needs invalid_password_hash_secret_key",
        ));
    };
    let (key, most) = (key.expose().to_owned(), options.invalid_password_hash_max_chars);
    let function = &options.invalid_password_hash_function;
    PartialHash::new(function, key, most).map(Some).ok_or_else(|| {
        Error::internal(format!(
            "[security_compliance] invalid_password_hash_function = {function}: only sha1, sha224, sha256, sha384 and \
             sha512 are supported"
        ))
    })
}
