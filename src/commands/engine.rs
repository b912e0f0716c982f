//! Which engine a command talks to, and what it says when that does not work.

use super::failure::{Exit, Failure};
use crate::core::address::Address;
use crate::core::connection::ConnectError;
use crate::core::subscription::SubscribeError;

/// Where an engine is when nobody says otherwise: where `wikitop serve` listens, and Materialize too.
pub const ADDRESS_DEFAULT: &str =
    "postgres://materialize@127.0.0.1:6875/materialize?sslmode=disable";

/// The engine that --materialize names, or the local one.
///
/// # Errors
/// A text that is no address.
pub fn address(materialize: Option<&str>) -> Result<Address, Failure> {
    // A variable that is set to nothing, as compose files do, is not set.
    let given = materialize.filter(|text| !text.trim().is_empty());
    let text = given.unwrap_or(ADDRESS_DEFAULT);
    Address::parse(text).map_err(|error| {
        let hint = error.hint();
        Failure::new(Exit::Usage, error).hint(hint)
    })
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        let hint = error.hint();
        let exit = match error {
            ConnectError::Unreachable { .. } => Exit::EngineUnreachable,
            _ => Exit::Failed,
        };
        Failure::new(exit, error).hint(hint)
    }
}

impl From<SubscribeError> for Failure {
    fn from(error: SubscribeError) -> Self {
        if let SubscribeError::Connect(error) = error {
            return error.into();
        }
        let hint = error.hint().map(String::from);
        let failure = Failure::new(Exit::Failed, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
