//! What the views stand on and the views themselves, in each engine's dialect; how they get into an engine and out again.
//!
//! The definitions are those of `assets/`. On a current Materialize the views are materialized and not indexed: their contents are
//! durable, so that after a restart they answer before the whole input was read again, and a `serve` on another cluster can read
//! them. An index would hold every row in memory once more to find single rows fast, and subscriptions look for none.
//!
//! The surprising fact is how one finds out whether a view is the one that we would make: an engine shows definitions in a normal form
//! of its own (names qualified, casts spelled out, lines broken), which is nobody's business to imitate. So the engine is asked to
//! show ours, too: it is made under a scratch name as a plain view, which computes nothing, shown, and dropped.

mod definition;
pub mod script;

use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

use super::connection::{Connection, describe};
use super::dialect::{Dialect, quote_identifier};
pub use definition::{Definition, Kind, definitions, own_definitions, to_script};
pub use script::ScriptError;

/// The name under which our definition of a view is shown to us.
const SCRATCH: &str = "wikitop_scratch";

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
            SchemaError::Failed { reason, .. } if reason.starts_with("unknown cluster") => {
                Some("Name a cluster that is there with --cluster; SHOW CLUSTERS lists them.")
            }
            SchemaError::Script(_) | SchemaError::Failed { .. } => None,
        }
    }
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
        Kind::Source => Ok(text.contains(definition::RECORDING_FORMAT)
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
}
