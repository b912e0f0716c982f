//! How a session begins: TLS is refused, a cancel request is passed on, a startup packet becomes an identity and settings.

use tokio::sync::OwnedSemaphorePermit;

use super::backend::Severity;
use super::cancels::Registration;
use super::frontend::Opening;
use super::settings::Settings;
use super::wire::{Ended, Wire};
use super::{CONNECTIONS_MAX, Shared};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::system;

/// How often a client may ask for encryption before it says who it is: once for each kind, and once again.
const REFUSALS_MAX: usize = 4;

/// The longest user or database name, Postgres' own bound being 63.
const NAME_BYTES_MAX: usize = 256;

/// A session that begins.
pub(super) struct Begun {
    pub(super) wire: Wire,
    pub(super) identity: system::Session,
    pub(super) settings: Settings,
    /// Held as long as the session lasts.
    pub(super) seat: OwnedSemaphorePermit,
}

/// Reads openings until a session begins; `None` when none does.
pub(super) async fn open(
    mut wire: Wire,
    registration: &Registration,
    shared: &Shared,
) -> Option<Begun> {
    for _ in 0..REFUSALS_MAX {
        match wire.opening().await {
            Ok(Opening::Ssl) => wire.out.refuse_ssl(),
            Ok(Opening::GssEncryption) => wire.out.refuse_gss(),
            Ok(Opening::Cancel { pid, secret }) => {
                shared.cancels.cancel(pid, secret);
                return None;
            }
            Ok(Opening::Startup { minor, parameters }) => {
                let Ok(seat) = shared.seats.clone().try_acquire_owned() else {
                    refuse(&mut wire, &no_seat()).await;
                    return None;
                };
                let (wire, identity, settings) =
                    begin(wire, registration, minor, parameters).await?;
                return Some(Begun {
                    wire,
                    identity,
                    settings,
                    seat,
                });
            }
            Err(Ended::Protocol(error)) => {
                refuse(
                    &mut wire,
                    &SqlError::new(SqlState::ProtocolViolation, error.to_string()),
                )
                .await;
                return None;
            }
            Err(Ended::Gone | Ended::Shutdown | Ended::Refused(_)) => return None,
        }
        wire.flush().await.ok()?;
    }
    None
}

async fn begin(
    mut wire: Wire,
    registration: &Registration,
    minor: u16,
    parameters: Vec<(String, String)>,
) -> Option<(Wire, system::Session, Settings)> {
    let named = |name: &str| {
        let parameter = parameters.iter().find(|parameter| parameter.0 == name);
        parameter.map(|parameter| parameter.1.clone())
    };
    let user = named("user").unwrap_or_else(|| "materialize".to_owned());
    let database = named("database").unwrap_or_else(|| user.clone());
    if user.len().max(database.len()) > NAME_BYTES_MAX {
        let message = format!("user or database name is longer than {NAME_BYTES_MAX} bytes");
        refuse(
            &mut wire,
            &SqlError::new(SqlState::ProgramLimitExceeded, message),
        )
        .await;
        return None;
    }
    let unknown_options: Vec<String> = parameters
        .iter()
        .map(|parameter| parameter.0.clone())
        .filter(|name| name.starts_with("_pq_."))
        .collect();
    if minor > 0 || !unknown_options.is_empty() {
        wire.out.negotiate(unknown_options);
    }
    let mut settings = Settings::new(&user);
    let mut ignored = Vec::new();
    for (name, value) in &parameters {
        let is_setting = !matches!(
            name.as_str(),
            "user" | "database" | "replication" | "options"
        );
        if is_setting && !name.starts_with("_pq_.") {
            ignored.extend(settings.set(name, value).err());
        }
    }
    for (name, value) in named("options").iter().flat_map(|text| options(text)) {
        ignored.extend(settings.set(&name, &value).err());
    }
    settings.begin();
    wire.out
        .authenticated(registration.pid, registration.secret);
    for (name, value) in settings.reported() {
        wire.out.parameter(name, value);
    }
    // A driver that asks for its own time zone still gets a session: time stamps carry their offset.
    for error in ignored {
        wire.out
            .notice("WARNING", error.state.code(), &error.message);
    }
    let identity = system::Session {
        user,
        database,
        pid: registration.pid,
        settings: settings.values().clone(),
    };
    Some((wire, identity, settings))
}

/// The settings in libpq's `options`: `-c name=value` and `--name=value`, a backslash before a space that is meant.
fn options(text: &str) -> Vec<(String, String)> {
    let mut words = vec![String::new()];
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        let word = words.last_mut().expect("there is always a word");
        match char {
            '\\' => word.extend(chars.next()),
            char if char.is_whitespace() => words.push(String::new()),
            char => word.push(char),
        }
    }
    let setting = |word: &str| {
        let word = word
            .strip_prefix("--")
            .or_else(|| word.strip_prefix("-c"))
            .unwrap_or(word);
        let (name, value) = word.split_once('=')?;
        Some((name.replace('-', "_"), value.to_owned()))
    };
    words.iter().filter_map(|word| setting(word)).collect()
}

fn no_seat() -> SqlError {
    SqlError::new(
        SqlState::TooManyConnections,
        format!("sorry, too many clients already: {CONNECTIONS_MAX} sessions are open"),
    )
}

async fn refuse(wire: &mut Wire, error: &SqlError) {
    wire.out.error(Severity::Fatal, error);
    // A client that is gone needs no refusal.
    let _ = wire.flush().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_as_libpq_writes_them() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            options("-c statement_timeout=5s --application-name=a\\ b -cx=1"),
            [
                pair("statement_timeout", "5s"),
                pair("application_name", "a b"),
                pair("x", "1")
            ]
        );
        assert_eq!(options(""), []);
    }
}
