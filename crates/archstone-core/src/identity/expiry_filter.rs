//! `?password_expires_at=lt:2030-01-01T00:00:00Z` (`keystone.identity.core._translate_expired_password_hints`).

use sea_query::BinOper;

use crate::error::{Error, Result};
use crate::list::ListQuery;
use crate::time::Timestamp;

/// One condition on the time when a user's password expires.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ExpiryFilter {
    pub(super) operator: BinOper,
    pub(super) at: Timestamp,
}

impl ExpiryFilter {
    /// The conditions among a list's filters. 400 for an operator or a time that is none.
    pub(super) fn all(query: &ListQuery) -> Result<Vec<ExpiryFilter>> {
        query
            .filters
            .iter()
            .filter(|filter| filter.name == "password_expires_at")
            .map(|filter| ExpiryFilter::parse(&filter.value))
            .collect()
    }

    fn parse(text: &str) -> Result<ExpiryFilter> {
        // An operator is told by a colon behind two or three characters; times have theirs later.
        let has_operator = text.chars().skip(2).take(2).any(|character| character == ':');
        let (operator, time) = match text.split_once(':') {
            Some((operator, time)) if has_operator => (operator, time),
            _ => ("eq", text),
        };
        let at = Timestamp::parse(time).ok_or_else(|| {
            Error::bad_request("The time of the filter password_expires_at is not of the form 2030-01-31T12:00:00Z.")
        })?;
        let operator = match operator {
            "lt" => BinOper::SmallerThan,
            "gt" => BinOper::GreaterThan,
            "eq" => BinOper::Equal,
            "lte" => BinOper::SmallerThanOrEqual,
            "gte" => BinOper::GreaterThanOrEqual,
            "neq" => BinOper::NotEqual,
            other => {
                return Err(Error::bad_request(format!(
                    "The operator {other} is not valid: it must be one of lt, lte, gt, gte, eq, neq."
                )));
            }
        };
        Ok(ExpiryFilter { operator, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_and_times_are_read() {
        let at = Timestamp::parse("2030-01-01T00:00:00Z").unwrap();
        for (text, operator) in [
            ("2030-01-01T00:00:00Z", BinOper::Equal),
            ("lt:2030-01-01T00:00:00Z", BinOper::SmallerThan),
            ("gte:2030-01-01T00:00:00Z", BinOper::GreaterThanOrEqual),
            ("neq:2030-01-01T00:00:00Z", BinOper::NotEqual),
        ] {
            assert_eq!(ExpiryFilter::parse(text).unwrap(), ExpiryFilter { operator, at });
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["foo:2030-01-01T00:00:00Z", "notadate", "lt:", "", "xx:yy"] {
            assert!(ExpiryFilter::parse(text).is_err(), "{text}");
        }
    }
}
