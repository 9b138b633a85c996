//! The resource options of users (`keystone.identity.backends.resource_options`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// An option that a user can have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum UserOption {
    /// A password set by an administrator need not be changed at its first use.
    IgnoreChangePasswordUponFirstUse,
    /// The password never expires.
    IgnorePasswordExpiry,
    /// Failed logins do not lock the account.
    IgnoreLockoutFailureAttempts,
    /// The user cannot change its own password.
    LockPassword,
    /// The account is not disabled for being unused.
    IgnoreUserInactivity,
    /// The sets of methods of which one must be passed completely.
    MultiFactorAuthRules,
    /// Whether the rules above are asked; they are unless this is false.
    MultiFactorAuthEnabled,
}

impl UserOption {
    const ALL: [UserOption; 7] = [
        UserOption::IgnoreChangePasswordUponFirstUse,
        UserOption::IgnorePasswordExpiry,
        UserOption::IgnoreLockoutFailureAttempts,
        UserOption::LockPassword,
        UserOption::IgnoreUserInactivity,
        UserOption::MultiFactorAuthRules,
        UserOption::MultiFactorAuthEnabled,
    ];

    /// Its four characters in the table.
    pub(super) fn id(self) -> &'static str {
        match self {
            UserOption::IgnoreChangePasswordUponFirstUse => "1000",
            UserOption::IgnorePasswordExpiry => "1001",
            UserOption::IgnoreLockoutFailureAttempts => "1002",
            UserOption::LockPassword => "1003",
            UserOption::IgnoreUserInactivity => "1004",
            UserOption::MultiFactorAuthRules => "MFAR",
            UserOption::MultiFactorAuthEnabled => "MFAE",
        }
    }

    /// Its name in the API.
    pub fn name(self) -> &'static str {
        match self {
            UserOption::IgnoreChangePasswordUponFirstUse => "ignore_change_password_upon_first_use",
            UserOption::IgnorePasswordExpiry => "ignore_password_expiry",
            UserOption::IgnoreLockoutFailureAttempts => "ignore_lockout_failure_attempts",
            UserOption::LockPassword => "lock_password",
            UserOption::IgnoreUserInactivity => "ignore_user_inactivity",
            UserOption::MultiFactorAuthRules => "multi_factor_auth_rules",
            UserOption::MultiFactorAuthEnabled => "multi_factor_auth_enabled",
        }
    }

    /// The option of this id in the table; `None` for one that nobody knows any more.
    pub(super) fn from_id(id: &str) -> Option<UserOption> {
        UserOption::ALL.into_iter().find(|option| option.id() == id)
    }

    /// The option of this name in the API.
    pub fn from_name(name: &str) -> Option<UserOption> {
        UserOption::ALL.into_iter().find(|option| option.name() == name)
    }
}

/// The options that a user has, with their values. The API's schema has checked the values' types.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct UserOptions(BTreeMap<UserOption, Value>);

impl UserOptions {
    /// Whether a flag is there and true.
    pub fn is_set(&self, option: UserOption) -> bool {
        self.0.get(&option) == Some(&Value::Bool(true))
    }

    /// The value of the option of this name in the API.
    pub fn get(&self, name: &str) -> Option<&Value> {
        UserOption::from_name(name).and_then(|option| self.0.get(&option))
    }

    /// As the API shows them: name and value.
    pub fn to_object(&self) -> Map<String, Value> {
        self.0.iter().map(|(option, value)| (option.name().to_owned(), value.clone())).collect()
    }

    /// Takes over what an update says: null takes an option away, others stay as they are.
    pub(super) fn apply(&mut self, changes: &UserOptionChanges) {
        for (option, value) in &changes.0 {
            match value {
                Some(value) => self.0.insert(*option, value.clone()),
                None => self.0.remove(option),
            };
        }
    }

    pub(super) fn insert(&mut self, option: UserOption, value: Value) {
        self.0.insert(option, value);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (UserOption, &Value)> {
        self.0.iter().map(|(option, value)| (*option, value))
    }
}

/// What a request says of a user's options: `None` takes one away.
#[derive(Clone, Default, PartialEq, Debug)]
pub struct UserOptionChanges(BTreeMap<UserOption, Option<Value>>);

impl UserOptionChanges {
    /// Out of the API's object. Names that are no option have been refused by the schema, and are left out here.
    pub fn from_object(object: &Map<String, Value>) -> UserOptionChanges {
        let known = object.iter().filter_map(|(name, value)| {
            let value = if value.is_null() { None } else { Some(value.clone()) };
            UserOption::from_name(name).map(|option| (option, value))
        });
        UserOptionChanges(known.collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changes(value: &Value) -> UserOptionChanges {
        UserOptionChanges::from_object(value.as_object().unwrap())
    }

    #[test]
    fn null_takes_an_option_away_and_the_others_stay() {
        let mut options = UserOptions::default();
        options.apply(&changes(&json!({"lock_password": true, "ignore_password_expiry": false})));
        options.apply(&changes(&json!({"lock_password": null})));
        assert_eq!(Value::Object(options.to_object()), json!({"ignore_password_expiry": false}));
        assert!(!options.is_set(UserOption::IgnorePasswordExpiry));
        assert_eq!(options.get("ignore_password_expiry"), Some(&json!(false)));
    }

    #[test]
    fn ids_and_names_lead_back() {
        for option in UserOption::ALL {
            assert_eq!(UserOption::from_id(option.id()), Some(option));
            assert_eq!(UserOption::from_name(option.name()), Some(option));
        }
        assert_eq!(UserOption::from_id("9999"), None);
    }
}
