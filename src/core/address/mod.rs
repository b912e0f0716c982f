//! Where an engine is and how to reach it: what is written in a URL or a connection string, completed from the environment.
//!
//! The words and their meaning are libpq's (PostgreSQL documentation, "Database Connection Control Functions"), with two
//! differences that follow from what wikitop connects to: what nothing says is user, database and port of Materialize; and for a
//! host that is not this machine, TLS is verified unless `sslmode` says otherwise.
//!
//! Nothing here connects, and nothing here ever prints a password.

mod pgpass;
mod settings;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use settings::Settings;

/// The user when nothing names one.
const DEFAULT_USER: &str = "materialize";
/// The database when nothing names one.
const DEFAULT_DATABASE: &str = "materialize";
/// The host when nothing names one.
const DEFAULT_HOST: &str = "127.0.0.1";
/// The port when nothing names one.
const DEFAULT_PORT: u16 = 6875;
/// How long connecting may take, from the name's resolution to the engine's version, when nothing says otherwise: a far server
/// over TLS needs less than two seconds, and who waits in front of a terminal wants to know soon.
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// No TLS.
    Disable,
    /// TLS if the server does not talk without it, unverified.
    Allow,
    /// TLS if the server has it, unverified.
    Prefer,
    /// TLS, unverified: safe against listeners, not against impostors.
    Require,
    /// TLS with a certificate of a trusted authority, whatever its name.
    VerifyCa,
    /// TLS with a certificate of a trusted authority for this host.
    VerifyFull,
}

/// Which authorities are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// The operating system's.
    System,
    /// Those of a PEM file, and no others.
    File(PathBuf),
}

/// libpq's `channel_binding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelBinding {
    /// Never.
    Disable,
    /// If both sides can.
    Prefer,
    /// Or no connection.
    Require,
}

/// A password that no message can show.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The password itself, for the one place that sends it.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

/// Where an engine is and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// A name, an IP address, or the directory of a Unix socket (it begins with a slash). Certificates are checked against it.
    pub host: String,
    /// Where the host really is, when a name need not be looked up.
    pub hostaddr: Option<IpAddr>,
    /// The port.
    pub port: u16,
    /// The user.
    pub user: String,
    /// The password.
    pub password: Option<Password>,
    /// The database.
    pub database: String,
    /// How much TLS.
    pub ssl_mode: SslMode,
    /// Whom to trust.
    pub roots: Roots,
    /// Whether the password exchange is tied to the TLS connection.
    pub channel_binding: ChannelBinding,
    /// Command-line options for the server.
    pub options: Option<String>,
    /// The name that the server shows for the connection.
    pub application_name: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// The Materialize cluster that computes for the connection.
    pub cluster: Option<String>,
}

/// Why a text is no address. It never contains the text, which may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither a URL nor a connection string.
    #[error("the engine's address is malformed: {0}")]
    Malformed(String),
    /// A setting nobody knows.
    #[error("the engine's address has an unknown setting {0:?}")]
    UnknownSetting(String),
    /// A setting whose value means nothing.
    #[error("the engine's address has an invalid value {value:?} for {setting}")]
    InvalidValue {
        /// The setting.
        setting: &'static str,
        /// Its value.
        value: String,
    },
    /// Settings that exclude each other.
    #[error("the engine's address is contradictory: {0}")]
    Contradiction(String),
}

impl AddressError {
    /// What helps, as a full sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            AddressError::Malformed(_) | AddressError::UnknownSetting(_) => {
                "Give --materialize a URL like postgres://user@host:6875/materialize?sslmode=verify-full, or host=... port=... user=..."
            }
            AddressError::InvalidValue {
                setting: "sslmode", ..
            } => "sslmode is one of disable, allow, prefer, require, verify-ca and verify-full.",
            AddressError::InvalidValue { .. } => {
                "Settings have libpq's meaning; the address may also come from PGHOST, PGPORT and the like."
            }
            AddressError::Contradiction(_) => "Leave one of the two out of --materialize.",
        }
    }
}

impl Address {
    /// Reads a `postgres://` URL or a `key=value` connection string; what it leaves out comes from the PG* variables, the
    /// password file, and the defaults.
    ///
    /// # Errors
    /// A text that is neither, a setting nobody knows, a value that means nothing.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Address::parse_in(text, &Environment::of_process())
    }

    /// The same in a given environment.
    ///
    /// # Errors
    /// As [`Address::parse`].
    pub fn parse_in(text: &str, environment: &Environment<'_>) -> Result<Self, AddressError> {
        let mut settings = Settings::parse(text)?;
        settings.complete(environment.variable);
        settings.into_address(environment)
    }

    /// An engine that listens on this machine without TLS, as `wikitop serve` does; the environment has no say.
    pub fn local(at: SocketAddr) -> Self {
        Address {
            host: at.ip().to_string(),
            hostaddr: None,
            port: at.port(),
            user: DEFAULT_USER.to_owned(),
            password: None,
            database: DEFAULT_DATABASE.to_owned(),
            ssl_mode: SslMode::Disable,
            roots: Roots::System,
            channel_binding: ChannelBinding::Prefer,
            options: None,
            application_name: env!("CARGO_PKG_NAME").to_owned(),
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            cluster: None,
        }
    }

    /// The same engine, computing on the named Materialize cluster.
    pub fn with_cluster(mut self, cluster: Option<String>) -> Self {
        self.cluster = cluster;
        self
    }
}

impl fmt::Display for Address {
    /// `host:port`, the form of messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.starts_with('/') {
            write!(f, "{}/.s.PGSQL.{}", self.host, self.port)
        } else if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What an address is completed from, as a value: tests have no process environment of their own.
pub struct Environment<'a> {
    /// The value of an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// The user's home, where `.pgpass` and `.postgresql/root.crt` are.
    pub home: Option<PathBuf>,
}

impl Environment<'_> {
    /// The environment of this process. A variable that is empty or no UTF-8 counts as unset.
    pub fn of_process() -> Self {
        Environment {
            variable: &|name| std::env::var(name).ok().filter(|value| !value.is_empty()),
            home: std::env::home_dir(),
        }
    }
}

#[cfg(test)]
mod tests;
