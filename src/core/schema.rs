//! What the views stand on and the views themselves, in each engine's dialect; how they get into an engine and out again.
//!
//! The definitions are those of `assets/`. On a current Materialize the views are materialized and not indexed: their contents are
//! durable, so that after a restart they answer before the whole input was read again, and a `serve` on another cluster can read
//! them; an index would save some 50 ms for each update and hold every row in memory once more.
//!
//! The surprising fact is how one finds out whether a view is the one that we would make: an engine shows definitions in a normal form
//! of its own (names qualified, casts spelled out, lines broken), which is nobody's business to imitate. So the engine is asked to
//! show ours, too: it is made under a scratch name as a plain view, which computes nothing, shown, and dropped.

pub mod script;

use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

use super::connection::{Connection, describe};
use super::dialect::{Dialect, quote_identifier, quote_literal};
pub use script::ScriptError;

/// The views of both engines.
const VIEWS: &str = include_str!("../../assets/views.sql");
/// The table and the view of changes, for Materialize.
const MATERIALIZE: &str = include_str!("../../assets/materialize.sql");
/// The relation that takes the changes.
const INPUT: &str = "wikirecent";
/// The name under which our definition of a view is shown to us.
const SCRATCH: &str = "wikitop_scratch";
/// The lines of a recording that hold changes: `data: {json}`. A line that does not match would make the source stall, so a recording
/// holds nothing else.
const RECORDING_FORMAT: &str = "'^data: (?P<data>.*)'";

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
    fn shown_as(&self, dialect: Dialect) -> &'static str {
        match (self.kind, dialect) {
            (Kind::MaterializedView, Dialect::Tail | Dialect::Embedded) => Kind::View.sql(),
            (kind, _) => kind.sql(),
        }
    }
}

/// What a relation was found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was missing and was made.
    Created,
    /// It is there as it would be made.
    AlreadyThere,
    /// Something else has its name: another definition, or another kind of thing.
    Different {
        /// What is there, in the engine's words.
        found: String,
        /// How to make room, as a full sentence.
        replace: String,
    },
    /// It was there and was removed.
    Dropped,
    /// It was not there to be removed.
    Missing,
}

/// Why relations could not be made or removed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// Materialize 0.26 reads a recording, and nobody said which.
    #[error("Materialize 0.26 reads changes from a recording, and none is named")]
    NoRecording,
    /// A script of the user's own.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The engine does not allow it.
    #[error("no right to {action}: {reason}")]
    NotAllowed {
        /// What was tried.
        action: String,
        /// In the engine's words.
        reason: String,
    },
    /// The engine could not do it.
    #[error("could not {action}: {reason}")]
    Failed {
        /// What was tried.
        action: String,
        /// In the engine's words.
        reason: String,
    },
}

impl SchemaError {
    /// What helps, as a full sentence.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            SchemaError::NoRecording => Some(
                "Name the file that `wikitop ingest --record` writes with --recording PATH, as the server sees it.",
            ),
            SchemaError::NotAllowed { .. } => Some(
                "Ask the engine's owner to GRANT CREATE on the schema and USAGE and CREATE on the cluster to this user.",
            ),
            SchemaError::Script(_) | SchemaError::Failed { .. } => None,
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

/// `mz_now() <= X + INTERVAL '1 hour'` in the words of 0.26, wherever it stands; other windows stay as they are, and the engine says
/// that it does not know `mz_now`.
fn windows_translated(query: &str) -> String {
    const NOW: &str = "mz_now() <= ";
    const HOUR: &str = " + INTERVAL '1 hour'";
    let mut translated = String::new();
    let mut rest = query;
    while let Some((before, after)) = rest.split_once(NOW) {
        translated.push_str(before);
        match after.split_once(HOUR) {
            Some((time, following)) if !time.contains('\n') => {
                let window = format!(
                    "mz_logical_timestamp() <= (extract(epoch FROM {time}) * 1000)::numeric + 3600000"
                );
                translated.push_str(&window);
                rest = following;
            }
            _ => {
                translated.push_str(NOW);
                rest = after;
            }
        }
    }
    translated + rest
}

/// Makes the relation unless it is there.
///
/// # Errors
/// What the engine refuses. A relation that is there and differs is an outcome, not an error.
pub async fn create(
    connection: &Connection,
    definition: &Definition,
) -> Result<Outcome, SchemaError> {
    let dialect = connection.dialect;
    match shown(connection, definition).await? {
        Shown::Missing => {
            let action = format!(
                "create {} {:?}",
                definition.kind.sql().to_lowercase(),
                definition.name
            );
            run(connection, &definition.create(), &action).await?;
            Ok(Outcome::Created)
        }
        Shown::As(text) if is_ours(connection, definition, &text).await? => {
            Ok(Outcome::AlreadyThere)
        }
        Shown::As(found) => Ok(Outcome::Different {
            found,
            replace: format!(
                "To replace it, run `{} CASCADE` and init-views again: what stands on it is made anew, and counts only what the engine still has.",
                definition.drop(dialect)
            ),
        }),
        Shown::OtherKind(found) => Ok(Outcome::Different {
            found,
            replace: format!(
                "Something else has the name {:?}: drop or rename it, or use another database.",
                definition.name
            ),
        }),
    }
}

/// Removes the relation if it is there as it would be made; what differs is left alone.
///
/// # Errors
/// What the engine refuses, above all to remove what something else stands on.
pub async fn drop(
    connection: &Connection,
    definition: &Definition,
) -> Result<Outcome, SchemaError> {
    let found = match shown(connection, definition).await? {
        Shown::Missing => return Ok(Outcome::Missing),
        Shown::As(text) if is_ours(connection, definition, &text).await? => {
            let statement = definition.drop(connection.dialect);
            run(
                connection,
                &statement,
                &format!("drop {:?}", definition.name),
            )
            .await?;
            return Ok(Outcome::Dropped);
        }
        Shown::As(found) | Shown::OtherKind(found) => found,
    };
    Ok(Outcome::Different {
        found,
        replace: "It is left alone, because init-views did not make it.".to_owned(),
    })
}

/// What an engine shows under a name.
enum Shown {
    Missing,
    As(String),
    OtherKind(String),
}

async fn shown(connection: &Connection, definition: &Definition) -> Result<Shown, SchemaError> {
    let kind = definition.shown_as(connection.dialect);
    let statement = format!("SHOW CREATE {kind} {}", quote_identifier(&definition.name));
    match connection.client.simple_query(&statement).await {
        Ok(messages) => {
            let text = messages.iter().find_map(|message| match message {
                SimpleQueryMessage::Row(row) => row.try_get(1).ok().flatten(),
                _ => None,
            });
            Ok(Shown::As(text.unwrap_or_default().to_owned()))
        }
        Err(error) => {
            let reason = describe(&error);
            match error.code() {
                Some(code) if *code == SqlState::UNDEFINED_TABLE => Ok(Shown::Missing),
                Some(_) if reason.starts_with("unknown catalog item") => Ok(Shown::Missing),
                Some(code) if *code == SqlState::WRONG_OBJECT_TYPE => Ok(Shown::OtherKind(reason)),
                Some(_) if reason.contains(" is not a ") => Ok(Shown::OtherKind(reason)),
                _ => Err(failed(&format!("look for {:?}", definition.name), &error)),
            }
        }
    }
}

async fn is_ours(
    connection: &Connection,
    definition: &Definition,
    text: &str,
) -> Result<bool, SchemaError> {
    match definition.kind {
        // Whether NULL is allowed makes no difference: nobody sends one.
        Kind::Table => {
            let table = without_spaces(text).replace("pg_catalog.", "");
            Ok(table.contains("(datajsonb)") || table.contains("(datajsonbNOTNULL)"))
        }
        Kind::Source => Ok(text.contains(RECORDING_FORMAT)
            && definition
                .body
                .lines()
                .next()
                .is_some_and(|file| text.contains(file))),
        Kind::View | Kind::MaterializedView => {
            Ok(query_of(text) == query_of(&normal_form(connection, definition).await?))
        }
    }
}

/// Our definition as the engine would show it.
async fn normal_form(
    connection: &Connection,
    definition: &Definition,
) -> Result<String, SchemaError> {
    if connection.dialect == Dialect::Embedded {
        // It shows what it was given.
        return Ok(definition.create());
    }
    let scratch = Definition {
        name: SCRATCH.to_owned(),
        kind: Kind::View,
        body: definition.body.clone(),
    };
    let action = format!("compare {:?}", definition.name);
    let remove = format!("DROP VIEW IF EXISTS {}", quote_identifier(SCRATCH));
    run(connection, &remove, &action).await?;
    run(connection, &scratch.create(), &action).await?;
    let form = shown(connection, &scratch).await;
    run(connection, &remove, &action).await?;
    match form? {
        Shown::As(text) => Ok(text),
        Shown::Missing | Shown::OtherKind(_) => Err(SchemaError::Failed {
            action,
            reason: format!("{SCRATCH:?} is used by somebody else"),
        }),
    }
}

/// The query of a shown view, without spaces: where lines are broken depends on what stands in front of the query.
fn query_of(create: &str) -> String {
    let is_word = |at: usize| {
        create[..at].ends_with(char::is_whitespace)
            && create[at + 2..].starts_with(char::is_whitespace)
    };
    let mut words = create.match_indices("AS").map(|(at, _)| at);
    let query = words.find(|at| is_word(*at)).map_or(0, |at| at + 2);
    without_spaces(&create[query..])
}

fn without_spaces(text: &str) -> String {
    let kept: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    kept.trim_end_matches(';').to_owned()
}

async fn run(connection: &Connection, statement: &str, action: &str) -> Result<(), SchemaError> {
    let outcome = connection.client.batch_execute(statement).await;
    outcome.map_err(|error| failed(action, &error))
}

fn failed(action: &str, error: &tokio_postgres::Error) -> SchemaError {
    let (action, reason) = (action.to_owned(), describe(error));
    if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) {
        SchemaError::NotAllowed { action, reason }
    } else {
        SchemaError::Failed { action, reason }
    }
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
    fn a_shown_view_is_compared_by_its_query() {
        let materialized = "CREATE MATERIALIZED VIEW materialize.public.top10\n    IN CLUSTER quickstart\n    WITH (REFRESH = ON COMMIT)\n    AS SELECT * FROM materialize.public.user_edits ORDER BY count DESC LIMIT 10;";
        let plain = "CREATE VIEW materialize.public.wikitop_scratch AS\n    SELECT *\n    FROM materialize.public.user_edits\n    ORDER BY count DESC\n    LIMIT 10;";
        assert_eq!(query_of(materialized), query_of(plain));
        assert_ne!(query_of(materialized), query_of(&plain.replace("10", "11")));
        assert_eq!(
            query_of("CREATE VIEW \"v\" AS\nSELECT 1 AS a"),
            "SELECT1ASa"
        );
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
