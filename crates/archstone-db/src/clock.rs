//! Which writes there were.

use crate::{ConnectOptions, DbError, SqlUrl, Touch, Tx};

/// The clock.
pub struct Clock;

impl Clock {
    pub(crate) fn new(_url: &SqlUrl, _options: &ConnectOptions) -> Result<Self, DbError> {
        Ok(Self)
    }

    pub(crate) async fn close(&self) {}

    pub(crate) async fn advance(_tx: &mut Tx<'_>, _touched: &[Touch]) -> Result<(), DbError> {
        Ok(())
    }
}
