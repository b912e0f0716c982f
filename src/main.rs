//! The `wikitop` executable: parse, runtime, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser;
use wikitop::cli::{self, Cli, Command};
use wikitop::commands::signals::Signals;
use wikitop::commands::{self, failure, output};
use wikitop::terminal::log;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log::init(cli.log_filter(), cli.log_format());
    let outcome = tokio::runtime::Runtime::new()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            let outcome = runtime.block_on(dispatch(cli.command));
            // A read of stdin that nobody waits for any more must not hold the process.
            runtime.shutdown_background();
            outcome
        });
    outcome.unwrap_or_else(|error| failure::report(&error))
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    let signals = Signals::listen()?;
    match command {
        Command::Tail(args) => commands::tail::run(args.into(), signals.shutdown()).await?,
        Command::Ingest(args) => commands::ingest::run(args.into(), signals.shutdown()).await?,
        Command::InitViews(args) => {
            commands::init_views::run(args.into(), signals.shutdown()).await?;
        }
        Command::Completions { shell } => output::print(&cli::completions(shell))?,
        Command::Man { command } => output::print(&cli::manual(command.as_deref())?)?,
        Command::Serve(args) => commands::serve::run(args.into(), signals.shutdown()).await?,
    }
    Ok(signals
        .exit_code()
        .map_or(ExitCode::SUCCESS, ExitCode::from))
}
