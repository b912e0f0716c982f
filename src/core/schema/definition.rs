//! What is made in an engine, in its dialect: text, and nothing is sent.

use super::{SchemaError, script};
use crate::core::dialect::{Dialect, quote_identifier, quote_literal};

/// The views of both engines.
const VIEWS: &str = include_str!("../../../assets/views.sql");
/// The table and the view of changes, for Materialize.
const MATERIALIZE: &str = include_str!("../../../assets/materialize.sql");
/// The relation that takes the changes.
const INPUT: &str = "wikirecent";
/// The lines of a recording that hold changes: `data: {json}`. A line that does not match would make the source stall, so a recording
/// holds nothing else.
pub(super) const RECORDING_FORMAT: &str = "'^data: (?P<data>.*)'";

/// What a definition makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A table.
    Table,
    /// A source: the engine reads it by itself.
    Source,
    /// A view that is computed for whoever asks.
    View,
    /// A view that is kept.
    MaterializedView,
}

impl Kind {
    /// The words that SQL has for it.
    pub fn sql(self) -> &'static str {
        match self {
            Kind::Table => "TABLE",
            Kind::Source => "SOURCE",
            Kind::View => "VIEW",
            Kind::MaterializedView => "MATERIALIZED VIEW",
        }
    }
}

/// One relation to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// What follows the name: for a view the query after `AS`.
    pub body: String,
}

impl Definition {
    /// The statement that makes it, without a semicolon.
    pub fn create(&self) -> String {
        let name = quote_identifier(&self.name);
        let kind = self.kind.sql();
        match self.kind {
            Kind::Table | Kind::Source => format!("CREATE {kind} {name} {}", self.body),
            Kind::View | Kind::MaterializedView => {
                format!("CREATE {kind} {name} AS\n{}", self.body)
            }
        }
    }

    /// The statement that removes it, without a semicolon.
    pub fn drop(&self, dialect: Dialect) -> String {
        format!(
            "DROP {} {}",
            self.shown_as(dialect),
            quote_identifier(&self.name)
        )
    }

    /// What `SHOW CREATE` and `DROP` call it: only a current Materialize distinguishes materialized views.
    pub(super) fn shown_as(&self, dialect: Dialect) -> &'static str {
        match (self.kind, dialect) {
            (Kind::MaterializedView, Dialect::Tail | Dialect::Embedded) => Kind::View.sql(),
            (kind, _) => kind.sql(),
        }
    }
}

/// What is made in an engine of this dialect, in the order in which it is made.
///
/// # Errors
/// [`SchemaError::NoRecording`], when the dialect needs one.
pub fn definitions(
    dialect: Dialect,
    recording: Option<&str>,
) -> Result<Vec<Definition>, SchemaError> {
    let views = script::definitions(VIEWS)?;
    let materialize = script::definitions(MATERIALIZE)?;
    Ok(match dialect {
        Dialect::Embedded => views,
        Dialect::Subscribe => materialize.into_iter().chain(views).collect(),
        Dialect::Tail => {
            let source = file_source(recording.ok_or(SchemaError::NoRecording)?);
            let others = materialize
                .into_iter()
                .filter(|definition| definition.kind != Kind::Table);
            let translated = others.chain(views).map(translated_for_tail);
            std::iter::once(source).chain(translated).collect()
        }
    })
}

/// The definitions of the user's own script, for an engine of this dialect.
///
/// # Errors
/// A script with anything else in it than views.
pub fn own_definitions(dialect: Dialect, script: &str) -> Result<Vec<Definition>, SchemaError> {
    let definitions = script::views(script)?;
    Ok(match dialect {
        Dialect::Embedded | Dialect::Subscribe => definitions,
        Dialect::Tail => definitions.into_iter().map(translated_for_tail).collect(),
    })
}

/// Definitions as a script.
pub fn to_script(definitions: &[Definition]) -> String {
    let statement = |definition: &Definition| format!("{};\n", definition.create());
    definitions
        .iter()
        .map(statement)
        .collect::<Vec<_>>()
        .join("\n")
}

fn file_source(recording: &str) -> Definition {
    Definition {
        name: INPUT.to_owned(),
        kind: Kind::Source,
        body: format!(
            "FROM FILE {}\nWITH (tail = true)\nFORMAT REGEX {RECORDING_FORMAT}",
            quote_literal(recording)
        ),
    }
}

/// The 0.26 line has the time as a number of milliseconds, and a file source has text.
fn translated_for_tail(mut definition: Definition) -> Definition {
    definition.body = windows_translated(&definition.body).replace(
        "FROM wikirecent\n",
        "FROM (SELECT data::jsonb AS data FROM wikirecent) AS changes\n",
    );
    definition
}

/// `mz_now() <= X + INTERVAL '1 hour'` in the words of 0.26, wherever it stands on one line; other windows stay as they are, and the
/// engine says that it does not know `mz_now`.
fn windows_translated(query: &str) -> String {
    const NOW: &str = "mz_now() <= ";
    const INTERVAL: &str = " + INTERVAL '";
    let mut translated = String::new();
    let mut rest = query;
    while let Some((before, after)) = rest.split_once(NOW) {
        translated.push_str(before);
        let window = after.split_once(INTERVAL).and_then(|(time, after)| {
            let (length, following) = after.split_once('\'')?;
            let length_ms = milliseconds(length)?;
            (!time.contains('\n')).then_some((time, length_ms, following))
        });
        match window {
            Some((time, length_ms, following)) => {
                let window = format!(
                    "mz_logical_timestamp() <= (extract(epoch FROM {time}) * 1000)::numeric + {length_ms}"
                );
                translated.push_str(&window);
                rest = following;
            }
            None => {
                translated.push_str(NOW);
                rest = after;
            }
        }
    }
    translated + rest
}

/// The length of an interval like `90 minutes`; months and years have none.
fn milliseconds(interval: &str) -> Option<u64> {
    let (count, unit) = interval.trim().split_once(' ')?;
    let unit_ms = match unit.trim().trim_end_matches('s') {
        "millisecond" => 1,
        "second" => 1_000,
        "minute" => 60_000,
        "hour" => 3_600_000,
        "day" => 86_400_000,
        "week" => 604_800_000,
        _ => return None,
    };
    count.parse::<u64>().ok()?.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::catalog;

    fn names(dialect: Dialect) -> Vec<String> {
        let definitions = definitions(dialect, Some("/data/recentchanges")).unwrap();
        definitions
            .into_iter()
            .map(|definition| definition.name)
            .collect()
    }

    #[test]
    fn every_engine_gets_the_same_views() {
        let embedded = names(Dialect::Embedded);
        assert_eq!(embedded.first().map(String::as_str), Some("counter"));
        for dialect in [Dialect::Subscribe, Dialect::Tail] {
            let all = names(dialect);
            assert_eq!(all[..2], ["wikirecent", "recentchanges"]);
            assert_eq!(all[2..], embedded);
        }
        for name in embedded {
            assert!(catalog::find(&name).is_some(), "{name} is a known view");
        }
    }

    #[test]
    fn nothing_that_the_old_line_lacks_is_left_in_its_views() {
        let definitions = definitions(Dialect::Tail, Some("/it's")).unwrap();
        let script = to_script(&definitions);
        assert!(!script.contains("mz_now"), "{script}");
        assert!(!script.contains("INTERVAL"), "{script}");
        assert!(!script.contains("CREATE TABLE"), "{script}");
        assert!(script.contains("FROM FILE '/it''s'"), "{script}");
        assert!(script.contains("(SELECT data::jsonb AS data FROM wikirecent) AS changes"));
        assert!(script.contains(
            "mz_logical_timestamp() <= (extract(epoch FROM date_trunc('minute', dt)) * 1000)::numeric + 3600000"
        ));
        assert_eq!(
            super::definitions(Dialect::Tail, None),
            Err(SchemaError::NoRecording)
        );
    }

    #[test]
    fn windows_of_a_fixed_length_are_translated_and_others_are_left_to_the_engine() {
        let table = [
            (
                "mz_now() <= dt + INTERVAL '90 seconds' AND bot",
                "mz_logical_timestamp() <= (extract(epoch FROM dt) * 1000)::numeric + 90000 AND bot",
            ),
            (
                "mz_now() <= dt + INTERVAL '1 day'\n OR mz_now() <= d2 + INTERVAL '5 minutes'",
                "mz_logical_timestamp() <= (extract(epoch FROM dt) * 1000)::numeric + 86400000\n OR mz_logical_timestamp() <= (extract(epoch FROM d2) * 1000)::numeric + 300000",
            ),
            (
                "mz_now() <= dt + INTERVAL '1 month'",
                "mz_now() <= dt + INTERVAL '1 month'",
            ),
            (
                "mz_now() <= dt\n + INTERVAL '1 hour'",
                "mz_now() <= dt\n + INTERVAL '1 hour'",
            ),
            ("mz_now() <= dt", "mz_now() <= dt"),
            (
                "mz_now() <= dt + INTERVAL '1",
                "mz_now() <= dt + INTERVAL '1",
            ),
        ];
        for (query, expected) in table {
            assert_eq!(windows_translated(query), expected);
        }
    }

    #[test]
    fn a_script_is_printed_as_it_can_be_read() {
        let definitions = definitions(Dialect::Subscribe, None).unwrap();
        assert_eq!(
            script::definitions(&to_script(&definitions)),
            Ok(definitions)
        );
    }
}
