//! From libpq's `sslmode` to a TLS connector.

use native_tls::{Certificate, TlsConnector};
use postgres_native_tls::MakeTlsConnector;
use tokio_postgres::config;

use super::ConnectError;
use crate::core::address::{Address, Roots, SslMode};

/// How a connection asks for TLS at the first attempt, and at the second where it is turned away. What is verified is the connector's
/// business.
pub(super) fn attempts(mode: SslMode) -> (config::SslMode, Option<config::SslMode>) {
    match mode {
        SslMode::Disable => (config::SslMode::Disable, None),
        SslMode::Allow => (config::SslMode::Disable, Some(config::SslMode::Require)),
        SslMode::Prefer => (config::SslMode::Prefer, Some(config::SslMode::Disable)),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => {
            (config::SslMode::Require, None)
        }
    }
}

/// A connector that trusts whom `address` says. The host's name is sent along (SNI) whatever is verified.
pub(super) fn connector(address: &Address) -> Result<MakeTlsConnector, ConnectError> {
    let failed = |reason: String| ConnectError::Tls {
        address: address.to_string(),
        reason,
    };
    let mut builder = TlsConnector::builder();
    match address.ssl_mode {
        SslMode::Disable | SslMode::Allow | SslMode::Prefer | SslMode::Require => {
            builder
                .danger_accept_invalid_certs(true)
                .danger_accept_invalid_hostnames(true);
        }
        SslMode::VerifyCa | SslMode::VerifyFull => {
            builder.danger_accept_invalid_hostnames(address.ssl_mode == SslMode::VerifyCa);
            if let Roots::File(path) = &address.roots {
                let pem = std::fs::read(path)
                    .map_err(|error| failed(format!("could not read {path:?}: {error}")))?;
                let certificates = Certificate::stack_from_pem(&pem)
                    .ok()
                    .filter(|certificates| !certificates.is_empty())
                    .ok_or_else(|| failed(format!("{path:?} holds no PEM certificate")))?;
                builder.disable_built_in_roots(true);
                for certificate in certificates {
                    builder.add_root_certificate(certificate);
                }
            }
        }
    }
    match builder.build() {
        Ok(connector) => Ok(MakeTlsConnector::new(connector)),
        Err(error) => Err(failed(error.to_string())),
    }
}
