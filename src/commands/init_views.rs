//! `wikitop init-views`: the views in an engine, created where they are missing.
//!
//! stdout says for each relation what became of it, one line each; how a different one can be replaced goes to stderr.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::engine::EngineChoice;
use super::failure::{Exit, Failure};
use super::output;
use crate::core::connection::{self, Connection};
use crate::core::dialect::Dialect;
use crate::core::schema::{self, Definition, Outcome, SchemaError};
use crate::terminal::text;

/// What `init-views` was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The engine to prepare; its cluster keeps the views.
    pub engine: EngineChoice,
    /// For Materialize 0.26: the recording to read, as the server sees it.
    pub recording: Option<String>,
    /// Print the SQL instead of running it.
    pub print: bool,
    /// The engine to print for; `None` asks the one at the address.
    pub dialect: Option<DialectName>,
    /// Remove what was made.
    pub drop: bool,
    /// The user's own views, created after the built-in ones.
    pub file: Option<PathBuf>,
}

/// An engine's dialect, as a user names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DialectName {
    /// The engine inside `wikitop serve`.
    Embedded,
    /// Current releases of Materialize.
    Subscribe,
    /// The 0.26 line of Materialize.
    Tail,
}

impl From<DialectName> for Dialect {
    fn from(name: DialectName) -> Self {
        match name {
            DialectName::Embedded => Dialect::Embedded,
            DialectName::Subscribe => Dialect::Subscribe,
            DialectName::Tail => Dialect::Tail,
        }
    }
}

impl From<SchemaError> for Failure {
    fn from(error: SchemaError) -> Self {
        let exit = match error {
            SchemaError::NoRecording => Exit::Usage,
            _ => Exit::Failed,
        };
        let hint = error.hint();
        let failure = Failure::new(exit, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// Runs `init-views` until it is done or asked to end; what was made by then stays.
///
/// # Errors
/// An engine that cannot be reached or refuses; a relation that is there and differs.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    tokio::select! {
        outcome = init(config) => outcome,
        () = shutdown => Ok(()),
    }
}

async fn init(config: Config) -> anyhow::Result<()> {
    let own = match &config.file {
        Some(path) => Some(read(path)?),
        None => None,
    };
    if let (true, Some(name)) = (config.print, config.dialect) {
        let definitions = definitions(&config, name.into(), own.as_deref())?;
        return Ok(output::print(schema::to_script(&definitions).as_bytes())?);
    }
    let address = config.engine.address()?;
    let connection = connection::connect(&address).await.map_err(Failure::from)?;
    let definitions = definitions(&config, connection.dialect, own.as_deref())?;
    if config.print {
        Ok(output::print(schema::to_script(&definitions).as_bytes())?)
    } else if config.drop {
        drop_all(&connection, definitions).await
    } else {
        create_all(&connection, &definitions).await
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("could not read {path:?}"))
}

fn definitions(
    config: &Config,
    dialect: Dialect,
    own: Option<&str>,
) -> Result<Vec<Definition>, Failure> {
    let mut definitions = schema::definitions(dialect, config.recording.as_deref())?;
    if let Some(script) = own {
        definitions.extend(schema::own_definitions(dialect, script)?);
    }
    Ok(definitions)
}

async fn create_all(connection: &Connection, definitions: &[Definition]) -> anyhow::Result<()> {
    let mut different = 0;
    for definition in definitions {
        let outcome = schema::create(connection, definition).await;
        different += report(definition, outcome.map_err(Failure::from)?)?;
    }
    settled(different, "are in the engine with another definition")
}

async fn drop_all(connection: &Connection, mut definitions: Vec<Definition>) -> anyhow::Result<()> {
    // What stands on others goes first.
    definitions.reverse();
    if !confirmed(&definitions)? {
        anyhow::bail!("nothing was dropped");
    }
    let mut different = 0;
    for definition in &definitions {
        let outcome = schema::drop(connection, definition).await;
        different += report(definition, outcome.map_err(Failure::from)?)?;
    }
    settled(different, "were left alone")
}

/// Asks whoever sits in front of a terminal; a script has said what it wants.
fn confirmed(definitions: &[Definition]) -> anyhow::Result<bool> {
    let stderr = console::Term::stderr();
    if !(stderr.is_term() && std::io::stdin().is_terminal()) {
        return Ok(true);
    }
    let names: Vec<&str> = definitions
        .iter()
        .map(|definition| definition.name.as_str())
        .collect();
    stderr.write_line(&format!(
        "Drop {}, with everything in them?",
        names.join(", ")
    ))?;
    stderr.write_str("Only \"yes\" drops them: ")?;
    Ok(stderr.read_line()?.trim() == "yes")
}

/// Says what became of a relation; 1 when it is not what it should be.
fn report(definition: &Definition, outcome: Outcome) -> anyhow::Result<u32> {
    let (word, different) = match &outcome {
        Outcome::Created => ("created", None),
        Outcome::AlreadyThere => ("already there", None),
        Outcome::Dropped => ("dropped", None),
        Outcome::Missing => ("not there", None),
        Outcome::Different { found, replace } => ("different", Some((found, replace))),
    };
    output::print(format!("{word:13} {}\n", definition.name).as_bytes())?;
    let Some((found, replace)) = different else {
        return Ok(0);
    };
    // What is found are the engine's words, and it may be anybody's engine.
    for line in found.lines() {
        output::tell(&text::harmless(line));
    }
    output::tell(replace);
    Ok(1)
}

fn settled(different: u32, what: &str) -> anyhow::Result<()> {
    match different {
        0 => Ok(()),
        _ => anyhow::bail!("{different} of the relations {what}"),
    }
}
