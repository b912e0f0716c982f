//! Which engine a command talks to, and what it says when that does not work.

use super::failure::{Exit, Failure};
use crate::core::address::Address;
use crate::core::connection::ConnectError;
use crate::core::subscription::SubscribeError;

/// Where an engine is when nobody says otherwise: where `wikitop serve` listens, and Materialize too.
pub const ADDRESS_DEFAULT: &str =
    "postgres://materialize@127.0.0.1:6875/materialize?sslmode=disable";

/// The engine that a command was told to use.
#[derive(Debug, Clone, Default)]
pub struct EngineChoice {
    /// Its address, which may hold a password; `None` is the local one.
    pub materialize: Option<String>,
    /// The cluster to work on, where it has clusters.
    pub cluster: Option<String>,
}

impl EngineChoice {
    /// The address that was given. A variable that is set to nothing, as compose files do, is not set.
    pub fn given(&self) -> Option<&str> {
        let text = self.materialize.as_deref();
        text.filter(|text| !text.trim().is_empty())
    }

    /// The engine that --materialize names, or the local one.
    ///
    /// # Errors
    /// A text that is no address.
    pub fn address(&self) -> Result<Address, Failure> {
        let address = Address::parse(self.given().unwrap_or(ADDRESS_DEFAULT));
        let address = address.map_err(|error| {
            let hint = error.hint();
            Failure::new(Exit::Usage, error).hint(hint)
        })?;
        Ok(address.with_cluster(self.cluster.clone()))
    }
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
