//! One connection to an engine: time-outs, TLS, keepalives, and the question which dialect is spoken.
//!
//! What cannot be reached, what refuses, what is no engine at all: callers need to tell these apart, so the error is
//! classified here, once. Notices are traced and never printed: a current Materialize greets everybody with a long one.

mod tls;

use std::future::poll_fn;
use std::io;
use std::time::Duration;

use tokio_postgres::error::{DbError, SqlState};
use tokio_postgres::{AsyncMessage, Client, Config, SimpleQueryMessage};
use tokio_util::task::AbortOnDropHandle;

use super::address::{Address, ChannelBinding};
use super::dialect::{Dialect, quote_literal};

/// After this much silence TCP asks whether the other end is still there: sooner than routers forget a quiet connection.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// How often it asks again.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// After how many questions without an answer the connection counts as lost.
const KEEPALIVE_RETRIES: u32 = 3;
/// How long sent bytes may stay unacknowledged before the connection counts as lost.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(60);

/// A connection to an engine. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    /// Sends statements.
    pub client: Client,
    /// What the engine speaks.
    pub dialect: Dialect,
    /// What the engine says it is.
    pub version: String,
    _driver: AbortOnDropHandle<()>,
}

/// Why there is no connection. The address is in its short form, `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Nobody there, nobody answers, or an engine that is starting, stopping or full: this may pass.
    #[error("could not connect to {address:?}: {reason}")]
    Unreachable {
        /// Whom.
        address: String,
        /// What happened.
        reason: String,
    },
    /// The engine does not let this user in.
    #[error("{address:?} refused the connection: {reason}")]
    Refused {
        /// Who.
        address: String,
        /// In the engine's words.
        reason: String,
    },
    /// No TLS, or none that can be trusted.
    #[error("no trusted connection to {address:?}: {reason}")]
    Tls {
        /// To whom.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// Something else than an engine answers.
    #[error("{address:?} is not an engine that wikitop knows: it is {found}")]
    NotAnEngine {
        /// Who.
        address: String,
        /// What it says it is.
        found: String,
    },
    /// The cluster asked for cannot be used.
    #[error("{address:?} has no cluster {cluster:?}")]
    NoCluster {
        /// Who.
        address: String,
        /// The cluster asked for.
        cluster: String,
    },
}

impl ConnectError {
    /// Whether the same attempt may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, ConnectError::Unreachable { .. })
    }

    /// What helps, as a full sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            ConnectError::Unreachable { .. } => {
                "Start an engine with `wikitop serve`, or name one that runs with --materialize."
            }
            ConnectError::Refused { .. } => {
                "Check user, password and database in --materialize; a password may also come from PGPASSWORD or ~/.pgpass."
            }
            ConnectError::Tls { .. } => {
                "Name the authority that signed the server's certificate with sslrootcert=FILE in --materialize, or choose a weaker sslmode."
            }
            ConnectError::NotAnEngine { .. } => {
                "--materialize names a Materialize, or the embedded engine of another `wikitop serve`."
            }
            ConnectError::NoCluster { .. } => "SHOW CLUSTERS lists what --cluster can name.",
        }
    }
}

/// Connects to the engine at `address` and asks what it speaks.
///
/// # Errors
/// See [`ConnectError`]; everything together takes at most the address' time-out.
pub async fn connect(address: &Address) -> Result<Connection, ConnectError> {
    match tokio::time::timeout(address.connect_timeout, attempt(address)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ConnectError::Unreachable {
            address: address.to_string(),
            reason: format!("no answer within {} s", address.connect_timeout.as_secs()),
        }),
    }
}

async fn attempt(address: &Address) -> Result<Connection, ConnectError> {
    let Opened {
        client,
        cluster,
        driver,
    } = negotiate(address).await?;
    let (dialect, version) = identify(&client, address).await?;
    if let Some(cluster) = &address.cluster {
        choose_cluster(&client, dialect, address, cluster).await?;
    } else if let (Dialect::Subscribe, Some(_), Some(cluster)) =
        (dialect, &address.options, cluster)
    {
        expect_cluster(&client, dialect, address, &cluster).await?;
    }
    tracing::debug!(engine = %address, version, "connected");
    Ok(Connection {
        client,
        dialect,
        version,
        _driver: driver,
    })
}

/// A session that is let in.
struct Opened {
    client: Client,
    /// The cluster that the engine says the session is on, where it has clusters.
    cluster: Option<String>,
    driver: AbortOnDropHandle<()>,
}

/// Connects with TLS or without, by libpq's rules: what a server does not take one way, `allow` and `prefer` try the other way.
async fn negotiate(address: &Address) -> Result<Opened, ConnectError> {
    let (first, second) = tls::attempts(address.ssl_mode);
    match (open(address, first).await, second) {
        (Err(ConnectError::Tls { .. }), Some(second)) => open(address, second).await,
        // What a server says who knows the user tells more than that it does not talk the other way.
        (Err(refused @ ConnectError::Refused { .. }), Some(second)) => {
            open(address, second).await.map_err(|_| refused)
        }
        (outcome, _) => outcome,
    }
}

async fn open(
    address: &Address,
    negotiation: tokio_postgres::config::SslMode,
) -> Result<Opened, ConnectError> {
    let connector = tls::connector(address)?;
    let (client, mut connection) = config(address, negotiation)
        .connect(connector)
        .await
        .map_err(|error| classify(address, &error))?;
    let cluster = connection.parameter("cluster").map(str::to_owned);
    let driver = tokio::spawn(async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            match message {
                Ok(AsyncMessage::Notice(notice)) => {
                    tracing::debug!(code = notice.code().code(), "notice: {}", notice.message());
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::debug!("connection lost: {}", describe(&error));
                    return;
                }
            }
        }
    });
    Ok(Opened {
        client,
        cluster,
        driver: AbortOnDropHandle::new(driver),
    })
}

fn config(address: &Address, negotiation: tokio_postgres::config::SslMode) -> Config {
    let mut config = Config::new();
    config
        .host(&address.host)
        .port(address.port)
        .user(&address.user)
        .dbname(&address.database)
        .application_name(&address.application_name)
        .ssl_mode(negotiation)
        .channel_binding(match address.channel_binding {
            ChannelBinding::Disable => tokio_postgres::config::ChannelBinding::Disable,
            ChannelBinding::Prefer => tokio_postgres::config::ChannelBinding::Prefer,
            ChannelBinding::Require => tokio_postgres::config::ChannelBinding::Require,
        })
        .keepalives_idle(KEEPALIVE_IDLE)
        .keepalives_interval(KEEPALIVE_INTERVAL)
        .keepalives_retries(KEEPALIVE_RETRIES)
        .tcp_user_timeout(UNACKNOWLEDGED_MAX);
    if let Some(hostaddr) = address.hostaddr {
        config.hostaddr(hostaddr);
    }
    if let Some(password) = &address.password {
        config.password(password.reveal());
    }
    if let Some(options) = &address.options {
        config.options(options);
    }
    config
}

/// Asks the engine what it is; whatever does not know `mz_version()` is asked what else it is, for the message.
async fn identify(client: &Client, address: &Address) -> Result<(Dialect, String), ConnectError> {
    let not_an_engine = |found: String| ConnectError::NotAnEngine {
        address: address.to_string(),
        found,
    };
    match first_text(client, "SELECT mz_version()").await {
        Ok(version) => match Dialect::of_version(&version) {
            Some(dialect) => Ok((dialect, version)),
            None => Err(not_an_engine(version)),
        },
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_FUNCTION) => {
            let found = first_text(client, "SELECT version()").await;
            Err(not_an_engine(found.unwrap_or_else(|_| {
                "a server without mz_version()".to_owned()
            })))
        }
        Err(error) => Err(classify(address, &error)),
    }
}

async fn first_text(client: &Client, query: &str) -> Result<String, tokio_postgres::Error> {
    let messages = client.simple_query(query).await?;
    let text = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten(),
        _ => None,
    });
    Ok(text.unwrap_or_default().to_owned())
}

async fn choose_cluster(
    client: &Client,
    dialect: Dialect,
    address: &Address,
    cluster: &str,
) -> Result<(), ConnectError> {
    expect_cluster(client, dialect, address, cluster).await?;
    let set = format!("SET cluster = {}", quote_literal(cluster));
    client
        .batch_execute(&set)
        .await
        .map_err(|error| classify(address, &error))
}

/// Materialize takes any name for a session's cluster and fails at the first query; so the name is looked up before.
async fn expect_cluster(
    client: &Client,
    dialect: Dialect,
    address: &Address,
    cluster: &str,
) -> Result<(), ConnectError> {
    let is_there = match dialect {
        Dialect::Embedded => false,
        Dialect::Tail => true,
        Dialect::Subscribe => {
            let query = format!(
                "SELECT name FROM mz_clusters WHERE name = {}",
                quote_literal(cluster)
            );
            let found = first_text(client, &query).await;
            found.map_err(|error| classify(address, &error))? == cluster
        }
    };
    match is_there {
        true => Ok(()),
        false => Err(ConnectError::NoCluster {
            address: address.to_string(),
            cluster: cluster.to_owned(),
        }),
    }
}

/// Sorts what went wrong while connecting.
fn classify(address: &Address, error: &tokio_postgres::Error) -> ConnectError {
    let address = address.to_string();
    let reason = describe(error);
    if let Some(error) = error.as_db_error() {
        return if is_passing(error) {
            ConnectError::Unreachable { address, reason }
        } else {
            ConnectError::Refused { address, reason }
        };
    }
    // tokio-postgres keeps its kinds to itself; what it prints for them is pinned by the tests of this boundary.
    let kind = error.to_string();
    if kind.starts_with("error performing TLS handshake") && io_cause(error).is_none() {
        ConnectError::Tls {
            address,
            reason: tls_reason(reason),
        }
    } else if kind.starts_with("invalid configuration") || kind.starts_with("authentication error")
    {
        ConnectError::Refused { address, reason }
    } else {
        ConnectError::Unreachable { address, reason }
    }
}

/// Whether a server that says this may say something else later: it is starting, stopping, full, or lost a connection. Materialize says
/// XX000 for much of what has a code of its own elsewhere, so there its words decide.
pub(crate) fn is_passing(error: &DbError) -> bool {
    if *error.code() == SqlState::INTERNAL_ERROR {
        let message = error.message();
        let begins = ["unknown ", "cannot "];
        let is_permanent = begins.iter().any(|words| message.starts_with(words))
            || message.ends_with(" does not exist");
        return !is_permanent;
    }
    let class = error.code().code().get(..2).unwrap_or_default();
    ["08", "40", "53", "57", "58"].contains(&class)
}

/// An error of the Postgres client in one line: the innermost cause says most, and for sockets the operating system's words.
pub fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return error.message().to_owned();
    }
    if error.is_closed() {
        return "connection closed by the server".to_owned();
    }
    if let Some(error) = io_cause(error) {
        return describe_io(error);
    }
    match std::error::Error::source(error) {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}

/// OpenSSL names its source lines; what is wrong with a certificate stands in parentheses behind them.
fn tls_reason(reason: String) -> String {
    const FAILED: &str = "certificate verify failed";
    match reason.rsplit_once('(') {
        Some((_, why)) if reason.contains(FAILED) => {
            format!("{FAILED}: {}", why.trim_end_matches(')'))
        }
        _ => reason,
    }
}

fn io_cause(error: &tokio_postgres::Error) -> Option<&io::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error);
        }
        cause = error.source();
    }
    None
}

fn describe_io(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset => "connection reset by the server".to_owned(),
        io::ErrorKind::UnexpectedEof => "connection closed by the server".to_owned(),
        io::ErrorKind::TimedOut => "no answer".to_owned(),
        _ => error.to_string(),
    }
}
