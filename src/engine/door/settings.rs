//! Session settings: what clients set on connect and ask for. Few of them do anything here; a setting that would change how
//! values look is fixed, so that setting it to anything else is an error instead of a lie.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::error::{SqlError, SqlState};
use crate::engine::system;

/// The longest value of a setting: names of applications and schemas. A longer one is refused (54000), because clients are told
/// settings in messages of bounded length.
const VALUE_BYTES_MAX: usize = 1024;

/// Settings that a session may invent (a prefix, a dot, a name), so that a client cannot fill the memory with them.
const CUSTOM_MAX: usize = 64;

/// The version of PostgreSQL whose catalog and behaviour are told, the same as Materialize tells: it keeps clients from asking
/// for what neither has.
pub(crate) const SERVER_VERSION: &str = "9.5.0";

/// What a setting allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Anything.
    Free,
    /// Only values that mean the same as the default.
    Fixed(&'static [&'static str]),
    /// Never.
    ReadOnly,
    /// A time span, milliseconds when it has no unit.
    Duration,
}

/// A setting that every session has.
#[derive(Debug)]
struct Definition {
    name: &'static str,
    default: &'static str,
    rule: Rule,
    /// Clients are told its value when the session begins and when it changes.
    reported: bool,
    description: &'static str,
}

const fn setting(
    name: &'static str,
    default: &'static str,
    rule: Rule,
    reported: bool,
    description: &'static str,
) -> Definition {
    Definition {
        name,
        default,
        rule,
        reported,
        description,
    }
}

/// All of them, by name without regard to case.
const DEFINITIONS: &[Definition] = &[
    setting(
        "application_name",
        "",
        Rule::Free,
        true,
        "Sets the application name to be reported in logs.",
    ),
    setting(
        "bytea_output",
        "hex",
        Rule::Fixed(&["hex"]),
        false,
        "Sets the output format for bytea.",
    ),
    setting(
        "client_encoding",
        "UTF8",
        Rule::Fixed(&["utf8", "utf-8", "unicode"]),
        true,
        "Sets the client's character set encoding.",
    ),
    setting(
        "client_min_messages",
        "notice",
        Rule::Free,
        false,
        "Sets the message levels that are sent to the client.",
    ),
    setting(
        "cluster",
        "default",
        Rule::Free,
        false,
        "The embedded engine has no clusters; kept for clients of Materialize.",
    ),
    setting(
        "datestyle",
        "ISO, MDY",
        Rule::Fixed(&["iso", "iso, mdy", "iso,mdy", "iso, dmy", "iso, ymd"]),
        true,
        "Sets the display format for date and time values.",
    ),
    setting(
        "default_transaction_isolation",
        "serializable",
        Rule::Free,
        false,
        "Sets the isolation level of each new transaction.",
    ),
    setting(
        "default_transaction_read_only",
        "off",
        Rule::Free,
        false,
        "Sets the default read-only status of new transactions.",
    ),
    setting(
        "extra_float_digits",
        "3",
        Rule::Free,
        false,
        "Doubles are always shown with their shortest exact digits.",
    ),
    setting(
        "idle_in_transaction_session_timeout",
        "0",
        Rule::Free,
        false,
        "Accepted and ignored: an idle transaction holds nothing.",
    ),
    setting(
        "integer_datetimes",
        "on",
        Rule::ReadOnly,
        true,
        "Reports whether the server uses 64-bit-integer dates and times.",
    ),
    setting(
        "intervalstyle",
        "postgres",
        Rule::Fixed(&["postgres"]),
        true,
        "Sets the display format for interval values.",
    ),
    setting(
        "is_superuser",
        "off",
        Rule::ReadOnly,
        true,
        "Shows whether the current user is a superuser.",
    ),
    setting(
        "lock_timeout",
        "0",
        Rule::Free,
        false,
        "Accepted and ignored: there are no locks.",
    ),
    setting(
        "max_identifier_length",
        "63",
        Rule::ReadOnly,
        false,
        "Shows the maximum identifier length.",
    ),
    setting(
        "max_index_keys",
        "32",
        Rule::ReadOnly,
        false,
        "Shows the maximum number of index keys.",
    ),
    setting(
        "mz_version",
        "",
        Rule::ReadOnly,
        true,
        "Shows the engine's version.",
    ),
    setting(
        "search_path",
        "public",
        Rule::Free,
        false,
        "Sets the schema search order for names that are not schema-qualified.",
    ),
    setting(
        "server_encoding",
        "UTF8",
        Rule::ReadOnly,
        true,
        "Shows the server's character set encoding.",
    ),
    setting(
        "server_version",
        SERVER_VERSION,
        Rule::ReadOnly,
        true,
        "Shows the server version.",
    ),
    setting(
        "server_version_num",
        "90500",
        Rule::ReadOnly,
        false,
        "Shows the server version as an integer.",
    ),
    setting(
        "session_authorization",
        "",
        Rule::ReadOnly,
        true,
        "Shows the session user.",
    ),
    setting(
        "ssl",
        "off",
        Rule::ReadOnly,
        false,
        "Shows whether connections are encrypted.",
    ),
    setting(
        "standard_conforming_strings",
        "on",
        Rule::Fixed(&["on", "true", "yes", "1"]),
        true,
        "Causes '...' strings to treat backslashes literally.",
    ),
    setting(
        "statement_timeout",
        "0",
        Rule::Duration,
        false,
        "Sets the maximum allowed duration of any statement that is no subscription.",
    ),
    setting(
        "timezone",
        "UTC",
        Rule::Fixed(&["utc", "etc/utc", "gmt", "z", "+00:00", "0"]),
        true,
        "Sets the time zone for displaying time stamps.",
    ),
    setting(
        "transaction_isolation",
        "serializable",
        Rule::Free,
        false,
        "Sets the current transaction's isolation level.",
    ),
    setting(
        "transaction_read_only",
        "off",
        Rule::Free,
        false,
        "Sets the current transaction's read-only status.",
    ),
];

/// How PostgreSQL writes the names that it does not write in lower case.
fn display_name(name: &str) -> &str {
    match name {
        "datestyle" => "DateStyle",
        "intervalstyle" => "IntervalStyle",
        "timezone" => "TimeZone",
        other => other,
    }
}

/// The settings of one session.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    values: BTreeMap<Arc<str>, String>,
}

impl Settings {
    /// The defaults, for a session of `user`.
    pub(crate) fn new(user: &str) -> Settings {
        let mut values: BTreeMap<Arc<str>, String> = DEFINITIONS
            .iter()
            .map(|definition| (definition.name.into(), definition.default.to_owned()))
            .collect();
        values.insert("mz_version".into(), system::mz_version());
        values.insert("session_authorization".into(), bounded(user).to_owned());
        Settings { values }
    }

    /// All settings by name in lower case.
    pub(crate) fn values(&self) -> &BTreeMap<Arc<str>, String> {
        &self.values
    }

    /// A setting's value.
    ///
    /// # Errors
    /// 42704 for a name that is none.
    pub(crate) fn get(&self, name: &str) -> Result<&str, SqlError> {
        self.values
            .get(canonical(name).as_str())
            .map(String::as_str)
            .ok_or_else(|| unknown(name))
    }

    /// Name, value and description of all that every session has.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &str, &'static str)> {
        DEFINITIONS.iter().filter_map(|definition| {
            let value = self.values.get(definition.name)?;
            Some((
                display_name(definition.name),
                value.as_str(),
                definition.description,
            ))
        })
    }

    /// What clients are told of when the session begins.
    pub(crate) fn reported(&self) -> impl Iterator<Item = (&'static str, &str)> {
        DEFINITIONS
            .iter()
            .filter(|definition| definition.reported)
            .filter_map(|definition| {
                let value = self.values.get(definition.name)?;
                Some((display_name(definition.name), value.as_str()))
            })
    }

    /// Sets a setting; answers with name and value when clients are to be told.
    ///
    /// # Errors
    /// 42704 for a name that is none, 55P02 and 22023 for a value that it cannot have.
    pub(crate) fn set(
        &mut self,
        name: &str,
        value: &str,
    ) -> Result<Option<(&'static str, String)>, SqlError> {
        let name = canonical(name);
        if value.len() > VALUE_BYTES_MAX {
            return Err(SqlError::new(
                SqlState::ProgramLimitExceeded,
                format!("value of setting \"{name}\" is longer than {VALUE_BYTES_MAX} bytes"),
            ));
        }
        let Some(definition) = definition(&name) else {
            return self.set_custom(name, value);
        };
        let stored = match definition.rule {
            Rule::Free => value.to_owned(),
            Rule::Duration => {
                duration_ms(value).ok_or_else(|| invalid(&name, value))?;
                value.to_owned()
            }
            Rule::Fixed(allowed) if allowed.contains(&value.to_ascii_lowercase().as_str()) => {
                definition.default.to_owned()
            }
            Rule::Fixed(_) => {
                return Err(invalid(&name, value)
                    .hint("The embedded engine shows values in one form only."));
            }
            Rule::ReadOnly => {
                return Err(SqlError::new(
                    SqlState::CantChangeRuntimeParam,
                    format!("parameter \"{name}\" cannot be changed"),
                ));
            }
        };
        self.values.insert(definition.name.into(), stored.clone());
        Ok(definition
            .reported
            .then(|| (display_name(definition.name), stored)))
    }

    fn set_custom(
        &mut self,
        name: String,
        value: &str,
    ) -> Result<Option<(&'static str, String)>, SqlError> {
        if !name.contains('.') || name.len() > VALUE_BYTES_MAX {
            return Err(unknown(&name));
        }
        if self.values.len() >= DEFINITIONS.len() + CUSTOM_MAX
            && !self.values.contains_key(name.as_str())
        {
            return Err(SqlError::new(
                SqlState::ProgramLimitExceeded,
                format!("more than {CUSTOM_MAX} settings of a session's own"),
            ));
        }
        self.values.insert(name.into(), value.to_owned());
        Ok(None)
    }

    /// Sets a setting back to its default.
    ///
    /// # Errors
    /// As [`Settings::set`].
    pub(crate) fn reset(&mut self, name: &str) -> Result<Option<(&'static str, String)>, SqlError> {
        let name = canonical(name);
        match definition(&name) {
            Some(definition) => self.set(&name, definition.default),
            None => {
                self.values.remove(name.as_str());
                Ok(None)
            }
        }
    }

    /// Sets everything that can be set back to its default.
    pub(crate) fn reset_all(&mut self) {
        self.values.retain(|name, _| definition(name).is_some());
        for definition in DEFINITIONS {
            if definition.rule != Rule::ReadOnly {
                self.values
                    .insert(definition.name.into(), definition.default.to_owned());
            }
        }
    }

    /// How long a statement may take.
    pub(crate) fn statement_timeout(&self) -> Option<Duration> {
        let value = self.values.get("statement_timeout")?;
        duration_ms(value)
            .filter(|ms| *ms > 0)
            .map(Duration::from_millis)
    }
}

fn definition(name: &str) -> Option<&'static Definition> {
    DEFINITIONS
        .iter()
        .find(|definition| definition.name == name)
}

/// Lower case, and `TIME ZONE` as SET writes it.
fn canonical(name: &str) -> String {
    match name.to_ascii_lowercase() {
        name if name == "time zone" => "timezone".to_owned(),
        name if name == "names" => "client_encoding".to_owned(),
        name => name,
    }
}

/// As much of a text as a setting holds.
fn bounded(text: &str) -> &str {
    let end = (0..=VALUE_BYTES_MAX.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or(0)]
}

/// A time span as settings have it: `500`, `500ms`, `10s`, `2min`, `1h`, `1d`.
fn duration_ms(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let count: u64 = text[..digits].parse().ok()?;
    let unit_ms = match text[digits..].trim() {
        "" | "ms" => 1,
        "s" => 1_000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    count.checked_mul(unit_ms)
}

fn unknown(name: &str) -> SqlError {
    SqlError::new(
        SqlState::UndefinedObject,
        format!("unrecognized configuration parameter \"{name}\""),
    )
}

fn invalid(name: &str, value: &str) -> SqlError {
    SqlError::new(
        SqlState::InvalidParameterValue,
        format!("invalid value for parameter \"{name}\": \"{value}\""),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_and_resets() {
        let mut settings = Settings::new("ann");
        assert_eq!(settings.get("TimeZone").unwrap(), "UTC");
        assert_eq!(
            settings.set("application_name", "psql").unwrap(),
            Some(("application_name", "psql".to_owned()))
        );
        assert_eq!(settings.set("TIME ZONE", "utc").unwrap().unwrap().1, "UTC");
        assert_eq!(settings.set("my.own", "1").unwrap(), None);
        assert_eq!(settings.get("my.own").unwrap(), "1");
        settings.reset("application_name").unwrap();
        assert_eq!(settings.get("application_name").unwrap(), "");
        settings.reset_all();
        assert!(settings.get("my.own").is_err());
        assert_eq!(settings.get("session_authorization").unwrap(), "ann");
    }

    #[test]
    fn refuses_what_it_cannot_do() {
        let mut settings = Settings::new("ann");
        let table = [
            ("nosuch", "1", SqlState::UndefinedObject),
            ("timezone", "Europe/Oslo", SqlState::InvalidParameterValue),
            ("client_encoding", "LATIN1", SqlState::InvalidParameterValue),
            ("server_version", "16", SqlState::CantChangeRuntimeParam),
            ("statement_timeout", "soon", SqlState::InvalidParameterValue),
        ];
        for (name, value, state) in table {
            assert_eq!(
                settings.set(name, value).unwrap_err().state,
                state,
                "{name}"
            );
        }
        let long = "x".repeat(VALUE_BYTES_MAX + 1);
        assert!(settings.set("application_name", &long).is_err());
    }

    #[test]
    fn a_statement_timeout_has_units() {
        let mut settings = Settings::new("ann");
        assert_eq!(settings.statement_timeout(), None);
        for (text, ms) in [("250", 250), ("10s", 10_000), ("2 min", 120_000)] {
            settings.set("statement_timeout", text).unwrap();
            assert_eq!(
                settings.statement_timeout(),
                Some(Duration::from_millis(ms))
            );
        }
    }
}
