//! `wikitop tail`: a view or a query, followed in a terminal or into a pipe.

mod follow;
mod live;
mod pipe;

use std::time::Duration;

use console::Term;

use self::follow::Follow;
use super::engine::EngineChoice;
use super::failure::{Exit, Failure};
use super::output;
use crate::core::address::Address;
use crate::core::subscription::Target;
use crate::core::{catalog, connection, relations};
pub use crate::terminal::lines::Format;
use crate::terminal::text;

/// What `tail` was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// A view's name or a query; `None` lists what can be tailed.
    pub target: Option<String>,
    /// The engine to ask.
    pub engine: EngineChoice,
    /// How to write it; `None` is a table on a terminal and JSON elsewhere.
    pub format: Option<Format>,
    /// Begin with the columns.
    pub header: bool,
    /// Print the rows as they are now, and end.
    pub snapshot_only: bool,
    /// Leave out the rows that are already there.
    pub no_snapshot: bool,
    /// Say also when time passed and nothing changed.
    pub progress: bool,
    /// End after so long.
    pub run_for: Option<Duration>,
    /// End after so many frames, the snapshot among them.
    pub max_frames: Option<u64>,
}

/// Runs until it is told to end, or has shown what it was asked for.
///
/// # Errors
/// No engine, or one that does not know or does not allow what is to be followed.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
    let address = config.engine.address()?;
    let Some(text) = &config.target else {
        return tokio::select! {
            () = shutdown => Ok(()),
            listed = list(&address) => listed,
        };
    };
    let target = target(text);
    let is_term = Term::stdout().is_term();
    let format = config.format.unwrap_or(match is_term {
        true => Format::Table,
        false => Format::Json,
    });
    if config.no_snapshot && format == Format::Table {
        let failure = Failure::new(Exit::Usage, anyhow::anyhow!("a table is always whole"));
        return Err(failure
            .hint("Give --format json, csv or copy beside --no-snapshot.")
            .into());
    }
    let follow = Follow::new(address, target, shutdown, config.run_for);
    if format == Format::Table && is_term && !config.snapshot_only {
        live::run(&config, follow).await
    } else {
        pipe::run(&config, format, follow).await
    }
}

/// A query begins with a word that begins queries; everything else is a name.
fn target(text: &str) -> Target {
    let text = text.trim();
    let word: String = text
        .chars()
        .take_while(|letter| letter.is_ascii_alphabetic())
        .collect();
    let is_longer = word.len() < text.len();
    let begins = ["select", "with", "values", "table"]
        .iter()
        .any(|keyword| word.eq_ignore_ascii_case(keyword));
    if (begins && is_longer && text.contains(char::is_whitespace)) || text.starts_with('(') {
        Target::Query(text.into())
    } else {
        Target::View(text.into())
    }
}

/// Prints what can be tailed.
async fn list(address: &Address) -> anyhow::Result<()> {
    let connection = connection::connect(address).await.map_err(Failure::from)?;
    let names = relations::list(&connection).await?;
    let widest = names
        .iter()
        .map(|name| text::width(name))
        .max()
        .unwrap_or(0);
    let mut out = String::new();
    for name in &names {
        let name = text::fit(name, widest, text::Align::Left);
        let summary = catalog::find(name.trim_end()).map_or("", |view| view.summary);
        out.push_str(format!("{name}  {summary}").trim_end());
        out.push('\n');
    }
    if names.is_empty() {
        output::note("there are no views yet; `wikitop init-views` creates them");
    }
    Ok(output::print(out.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_told_from_a_name() {
        for query in [
            "SELECT 1",
            " select\n* from t",
            "(SELECT 1)",
            "WITH a AS (SELECT 1) TABLE a",
            "TABLE top10",
        ] {
            assert_eq!(target(query), Target::Query(query.trim().into()), "{query}");
        }
        for name in [
            "top10",
            "selections",
            "table",
            "with_things",
            " top10 ",
            "my view",
        ] {
            assert_eq!(target(name), Target::View(name.trim().into()), "{name}");
        }
    }
}
