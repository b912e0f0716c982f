//! Session settings: what clients set on connect and ask for. Few of them do anything here; a setting that would change how
//! values look is fixed, so that setting it to anything else is an error instead of a lie.

mod definitions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use definitions::{DEFINITIONS, Definition, Rule};

use crate::engine::error::{SqlError, SqlState};
use crate::engine::system::{self, Setting};

/// The longest value of a setting: names of applications and schemas. A longer one is refused (54000), because clients are told
/// settings in messages of bounded length.
const VALUE_BYTES_MAX: usize = 1024;

/// Settings that a session may invent (a prefix, a dot, a name), so that a client cannot fill the memory with them.
const CUSTOM_MAX: usize = 64;

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
    values: BTreeMap<Arc<str>, Setting>,
}

impl Settings {
    /// The defaults, for a session of `user`.
    pub(crate) fn new(user: &str) -> Settings {
        let setting = |definition: &Definition| {
            let value = match definition.name {
                "mz_version" => system::mz_version(),
                "session_authorization" => bounded(user).to_owned(),
                _ => definition.default.to_owned(),
            };
            let setting = Setting {
                default: value.clone(),
                value,
                description: definition.description,
                is_fixed: definition.rule == Rule::ReadOnly,
            };
            (definition.name.into(), setting)
        };
        Settings {
            values: DEFINITIONS.iter().map(setting).collect(),
        }
    }

    /// The session begins: what the client has asked for until now is what RESET goes back to.
    pub(crate) fn begin(&mut self) {
        for setting in self.values.values_mut() {
            setting.default.clone_from(&setting.value);
        }
    }

    /// All settings by name in lower case.
    pub(crate) fn values(&self) -> &BTreeMap<Arc<str>, Setting> {
        &self.values
    }

    /// A setting's value.
    ///
    /// # Errors
    /// 42704 for a name that is none.
    pub(crate) fn get(&self, name: &str) -> Result<&str, SqlError> {
        self.values
            .get(canonical(name).as_str())
            .map(|setting| setting.value.as_str())
            .ok_or_else(|| unknown(name))
    }

    /// Name, value and description of all that every session has.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &str, &'static str)> {
        DEFINITIONS.iter().filter_map(|definition| {
            let setting = self.values.get(definition.name)?;
            Some((
                display_name(definition.name),
                setting.value.as_str(),
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
                let setting = self.values.get(definition.name)?;
                Some((display_name(definition.name), setting.value.as_str()))
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
            Rule::Switch => switch(value)
                .ok_or_else(|| invalid(&name, value))?
                .to_owned(),
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
        if let Some(setting) = self.values.get_mut(definition.name) {
            setting.value.clone_from(&stored);
        }
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
        let setting = self.values.entry(name.into()).or_default();
        value.clone_into(&mut setting.value);
        Ok(None)
    }

    /// Sets a setting back to its default.
    ///
    /// # Errors
    /// As [`Settings::set`].
    pub(crate) fn reset(&mut self, name: &str) -> Result<Option<(&'static str, String)>, SqlError> {
        let name = canonical(name);
        match (definition(&name), self.values.get(name.as_str())) {
            // What cannot be set is what it was.
            (Some(definition), _) if definition.rule == Rule::ReadOnly => Ok(None),
            (Some(_), Some(setting)) => self.set(&name, &setting.default.clone()),
            _ => {
                self.values.remove(name.as_str());
                Ok(None)
            }
        }
    }

    /// Sets everything that can be set back to its default.
    pub(crate) fn reset_all(&mut self) {
        self.values.retain(|name, _| definition(name).is_some());
        for setting in self.values.values_mut() {
            setting.value.clone_from(&setting.default);
        }
    }

    /// A setting that is on or off.
    pub(crate) fn is_on(&self, name: &str) -> bool {
        self.values
            .get(name)
            .is_some_and(|setting| setting.value == "on")
    }

    /// How long a statement may take.
    pub(crate) fn statement_timeout(&self) -> Option<Duration> {
        let setting = self.values.get("statement_timeout")?;
        duration_ms(&setting.value)
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

/// `on` or `off`, from any of the words for them.
fn switch(text: &str) -> Option<&'static str> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" | "t" | "y" => Some("on"),
        "off" | "false" | "no" | "0" | "f" | "n" => Some("off"),
        _ => None,
    }
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
    fn what_a_client_begins_with_is_what_it_goes_back_to() {
        let mut settings = Settings::new("ann");
        settings.set("application_name", "pool").unwrap();
        settings.begin();
        settings.set("application_name", "job").unwrap();
        settings.set("my.own", "1").unwrap();
        assert_eq!(
            settings.reset("application_name").unwrap(),
            Some(("application_name", "pool".to_owned()))
        );
        settings.set("application_name", "job").unwrap();
        settings.reset_all();
        assert_eq!(settings.get("application_name").unwrap(), "pool");
        assert!(settings.get("my.own").is_err());
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
            (
                "transaction_read_only",
                "perhaps",
                SqlState::InvalidParameterValue,
            ),
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
