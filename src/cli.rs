//! The command line: clap's types and the help, each turned once into the plain config struct of its command.
//!
//! It decides nothing: what a flag means stands with the command that obeys it. Every flag can also be given by an environment
//! variable, so that a unit file, a container and a shell say the same things.

mod values;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::builder::BoolishValueParser;
use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::commands::engine::EngineChoice;
use crate::commands::{ingest, init_views, serve, tail};
use crate::terminal::log::LogFormat;
use crate::web::Limits;

/// Wikimedia's stream of recent changes on every wiki.
const SOURCE_DEFAULT: &str = "https://stream.wikimedia.org/v2/stream/recentchange";
/// Where the embedded engine listens unless told otherwise: Materialize's own port, so that its clients find it.
pub const PG_LISTEN_DEFAULT: &str = "127.0.0.1:6875";
const HTTP_LISTEN_DEFAULT: &str = "127.0.0.1:8875";

#[cfg(feature = "vendored-tls")]
macro_rules! features {
    () => {
        "vendored-tls"
    };
}
#[cfg(not(feature = "vendored-tls"))]
macro_rules! features {
    () => {
        "none"
    };
}

/// Version, commit and features.
const VERSION_LONG: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    "\ncommit: ",
    env!("WIKITOP_COMMIT"),
    "\nfeatures: ",
    features!()
);

const EXIT_CODES: &str = "\
Exit codes: 0 fine; 1 failed; 2 wrong usage; 3 the engine cannot be reached; 4 the source cannot be reached; \
130 or 143 ended by SIGINT or SIGTERM, cleanly unless a second SIGINT cut it short.";

/// `top` for Wikipedia: who edits most and what is being edited, live.
#[derive(Debug, Parser)]
#[command(
    name = "wikitop",
    version,
    long_version = VERSION_LONG,
    before_help = "Example:\n  wikitop serve                 everything: engine, ingest, page at http://127.0.0.1:8875\n  wikitop tail top10            the same in a terminal",
    after_help = EXIT_CODES,
    propagate_version = true
)]
pub struct Cli {
    #[command(flatten)]
    logging: Logging,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What goes to stderr, for every command.
#[derive(Debug, Args)]
pub struct Logging {
    /// What to log to stderr: off, error, warn, info, debug, trace, or directives such as `warn,wikitop=debug`
    /// [default: info for serve, ingest and init-views, off for the rest]
    #[arg(long, global = true, help_heading = "Logging", env = "RUST_LOG", value_name = "LEVEL", value_parser = values::log_filter)]
    log_level: Option<String>,
    /// How to write a log line
    #[arg(
        long,
        global = true,
        help_heading = "Logging",
        env = "WIKITOP_LOG_FORMAT",
        value_enum,
        default_value = "text"
    )]
    log_format: LogFormat,
}

impl Cli {
    /// What to log: tracing's filter directives.
    pub fn log_filter(&self) -> &str {
        let quiet = match &self.command {
            Command::Serve(_) | Command::Ingest(_) | Command::InitViews(_) => "warn,wikitop=info",
            Command::Tail(_) | Command::Completions { .. } | Command::Man { .. } => "off",
        };
        self.logging.log_level.as_deref().unwrap_or(quiet)
    }

    /// How to write a log line.
    pub fn log_format(&self) -> LogFormat {
        self.logging.log_format
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything: the engine, the ingest from Wikimedia, and the page
    #[command(
        before_help = "Example:\n  wikitop serve\n  wikitop serve --source changes.ndjson --speed 10 --data-dir replay"
    )]
    Serve(ServeArgs),
    /// Follow a view or a query, in place on a terminal or line by line into a pipe
    #[command(
        before_help = "Example:\n  wikitop tail top10\n  wikitop tail top10 --snapshot-only --format csv\n  wikitop tail \"SELECT wiki, count(*) FROM recentchanges GROUP BY wiki ORDER BY 2 DESC LIMIT 5\""
    )]
    Tail(TailArgs),
    /// Feed an engine, or write a recording, from Wikimedia's stream or from a recording
    #[command(
        before_help = "Example:\n  wikitop ingest --materialize postgres://materialize@localhost:6875/materialize\n  wikitop ingest --record recentchanges --rotate hourly"
    )]
    Ingest(IngestArgs),
    /// Create the views in an engine; does nothing where they exist
    #[command(
        before_help = "Example:\n  wikitop init-views --materialize postgres://materialize@localhost:6875/materialize\n  wikitop init-views --print --dialect subscribe"
    )]
    InitViews(InitViewsArgs),
    /// Print a completion script for a shell
    #[command(
        before_help = "Example:\n  wikitop completions bash > /etc/bash_completion.d/wikitop"
    )]
    Completions {
        /// The shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print a page of the manual, as troff
    #[command(
        before_help = "Example:\n  wikitop man > /usr/local/share/man/man1/wikitop.1\n  wikitop man serve > /usr/local/share/man/man1/wikitop-serve.1"
    )]
    Man {
        /// The command that the page is about; without it, wikitop as a whole
        #[arg(value_parser = ["serve", "tail", "ingest", "init-views"])]
        command: Option<String>,
    },
}

/// The completion script for a shell.
pub fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "wikitop", &mut script);
    script
}

/// A page of the manual, as troff: about a command, or about wikitop as a whole.
///
/// # Errors
/// The command does not exist.
pub fn manual(command: Option<&str>) -> anyhow::Result<Vec<u8>> {
    let mut page = Cli::command();
    page.build();
    if let Some(name) = command {
        let about = page.find_subcommand(name).cloned();
        page = about.with_context(|| format!("there is no command {name:?}"))?;
    }
    let examples = page
        .get_before_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut troff = Vec::new();
    clap_mangen::Man::new(page).render(&mut troff)?;
    troff.extend_from_slice(b"\n.SH EXAMPLES\n.nf\n");
    for line in examples.lines().skip(1) {
        let line = line.trim().replace('\\', "\\e").replace('-', "\\-");
        troff.extend_from_slice(format!("{line}\n").as_bytes());
    }
    troff.extend_from_slice(b".fi\n");
    Ok(troff)
}

/// The engine to talk to, where it is not the one inside.
#[derive(Debug, Args)]
struct EngineArgs {
    /// The engine: postgres://user:password@host:port/db?sslmode=..., or libpq's key=value form; PG* variables and
    /// ~/.pgpass stand in for what is left out
    #[arg(
        long,
        env = "MATERIALIZE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    materialize: Option<String>,
    /// The cluster to work on, where Materialize has clusters
    #[arg(long, env = "WIKITOP_CLUSTER", value_name = "NAME")]
    cluster: Option<String>,
}

impl From<EngineArgs> for EngineChoice {
    fn from(args: EngineArgs) -> Self {
        EngineChoice {
            materialize: args.materialize,
            cluster: args.cluster,
        }
    }
}

/// Where the changes come from.
#[derive(Debug, Args)]
struct FeedArgs {
    /// Where the changes come from: an EventStreams URL, or a recording (NDJSON or raw SSE, plain, .gz or .zst; `-` is stdin)
    #[arg(long, env = "WIKITOP_SOURCE", value_name = "URL|FILE|-", default_value = SOURCE_DEFAULT)]
    source: String,
    /// The pace of a recording: so many times its own, or as fast as possible
    #[arg(long, env = "WIKITOP_SPEED", value_name = "N|max", default_value = "1", value_parser = values::speed)]
    speed: ingest::Speed,
    /// Where to start when the engine holds nothing yet: so long ago (2h), or at a time (2026-08-04T12:00:00Z)
    /// [default: now]
    #[arg(long, env = "WIKITOP_SINCE", value_name = "2h|TIME", value_parser = values::since)]
    since: Option<ingest::Since>,
    /// How Wikimedia can reach you, for the User-Agent: an address or a page
    #[arg(long, env = "WIKITOP_CONTACT", value_name = "TEXT")]
    contact: Option<String>,
}

impl From<FeedArgs> for ingest::Feed {
    fn from(args: FeedArgs) -> Self {
        ingest::Feed {
            source: args.source,
            speed: args.speed,
            since: args.since,
            contact: args.contact,
        }
    }
}

/// The flags of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where the engine keeps its state [default: wikitop in the XDG data home]
    #[arg(long, env = "WIKITOP_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the embedded engine listens for Postgres clients; port 0 picks a free one
    #[arg(long, env = "WIKITOP_PG_LISTEN", value_name = "HOST:PORT", default_value = PG_LISTEN_DEFAULT, value_parser = values::host_port)]
    pg_listen: String,
    /// Where the page is served; port 0 picks a free one
    #[arg(long, env = "WIKITOP_LISTEN", value_name = "HOST:PORT", default_value = HTTP_LISTEN_DEFAULT, value_parser = values::host_port)]
    listen: String,
    #[command(flatten)]
    feed: FeedArgs,
    /// Leave ingesting to others
    #[arg(long, env = "WIKITOP_NO_INGEST", value_parser = BoolishValueParser::new(), conflicts_with = "ingest")]
    no_ingest: bool,
    /// Ingest into the engine at --materialize too, which is otherwise left to others
    #[arg(long, env = "WIKITOP_INGEST", value_parser = BoolishValueParser::new())]
    ingest: bool,
    #[command(flatten)]
    engine: EngineArgs,
    /// How long the embedded engine keeps single changes, for windows and for views created later
    #[arg(long, env = "WIKITOP_RETAIN", value_name = "TIME", default_value = "24h", value_parser = values::duration)]
    retain: Duration,
    /// Print the addresses as one JSON line on stdout once everything listens
    #[arg(long, env = "WIKITOP_READY_JSON", value_parser = BoolishValueParser::new())]
    ready_json: bool,
    /// A further origin whose pages may connect, such as `https://example.org`; may be repeated
    #[arg(
        long,
        env = "WIKITOP_ALLOW_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    allow_origin: Vec<String>,
    /// How many clients the page pushes to at once; the next one is told to come later
    #[arg(long, env = "WIKITOP_CLIENTS_MAX", value_name = "N", default_value_t = Limits::default().clients_max)]
    clients_max: usize,
    /// The same from one address; raise it behind a proxy, from whose address everyone comes
    #[arg(long, env = "WIKITOP_CLIENTS_PER_ADDRESS_MAX", value_name = "N", default_value_t = Limits::default().clients_per_address_max)]
    clients_per_address_max: usize,
}

impl From<ServeArgs> for serve::Config {
    fn from(args: ServeArgs) -> Self {
        let elsewhere = EngineChoice::from(args.engine);
        let embedded = elsewhere.given().is_none();
        let engine = if embedded {
            serve::EngineChoice::Embedded {
                data_dir: args.data_dir,
                pg_listen: args.pg_listen,
                retain: args.retain,
            }
        } else {
            serve::EngineChoice::Materialize(elsewhere)
        };
        let ingests = args.ingest || (embedded && !args.no_ingest);
        serve::Config {
            engine,
            listen: args.listen,
            feed: ingests.then(|| args.feed.into()),
            ready_json: args.ready_json,
            allow_origins: args.allow_origin,
            limits: Limits {
                clients_max: args.clients_max,
                clients_per_address_max: args.clients_per_address_max,
                ..Limits::default()
            },
        }
    }
}

/// The flags of `tail`.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// A view's name, or a SELECT; without it, lists what can be tailed
    #[arg(value_name = "VIEW|QUERY", env = "WIKITOP_TAIL")]
    target: Option<String>,
    #[command(flatten)]
    engine: EngineArgs,
    /// How to write it [default: table on a terminal, json elsewhere]
    #[arg(long, env = "WIKITOP_FORMAT", value_enum)]
    format: Option<tail::Format>,
    /// Begin with the columns: names and types in json, names in csv and copy
    #[arg(long, env = "WIKITOP_HEADER", value_parser = BoolishValueParser::new())]
    header: bool,
    /// Print the rows as they are now, and end
    #[arg(long, env = "WIKITOP_SNAPSHOT_ONLY", value_parser = BoolishValueParser::new(), conflicts_with_all = ["no_snapshot", "progress"])]
    snapshot_only: bool,
    /// Leave the rows that are already there out; only what changes
    #[arg(long, env = "WIKITOP_NO_SNAPSHOT", value_parser = BoolishValueParser::new())]
    no_snapshot: bool,
    /// Say also when time passed and nothing changed
    #[arg(long, env = "WIKITOP_PROGRESS", value_parser = BoolishValueParser::new())]
    progress: bool,
    /// End after so long
    #[arg(long = "for", env = "WIKITOP_FOR", value_name = "TIME", value_parser = values::duration)]
    run_for: Option<Duration>,
    /// End after so many frames, the snapshot among them
    #[arg(long, env = "WIKITOP_MAX_FRAMES", value_name = "N")]
    max_frames: Option<u64>,
}

impl From<TailArgs> for tail::Config {
    fn from(args: TailArgs) -> Self {
        tail::Config {
            target: args.target,
            engine: args.engine.into(),
            format: args.format,
            header: args.header,
            snapshot_only: args.snapshot_only,
            no_snapshot: args.no_snapshot,
            progress: args.progress,
            run_for: args.run_for,
            max_frames: args.max_frames,
        }
    }
}

/// The flags of `ingest`.
#[derive(Debug, Args)]
pub struct IngestArgs {
    #[command(flatten)]
    feed: FeedArgs,
    #[command(flatten)]
    engine: EngineArgs,
    /// Append to this file instead of feeding an engine: one line `data: {json}` a change
    #[arg(
        long,
        env = "WIKITOP_RECORD",
        value_name = "FILE",
        conflicts_with = "materialize"
    )]
    record: Option<PathBuf>,
    /// Begin a new file of the recording at this size (100MB) or every hour
    #[arg(long, env = "WIKITOP_ROTATE", value_name = "SIZE|hourly", value_parser = values::rotate, requires = "record")]
    rotate: Option<ingest::Rotate>,
    /// End after so long
    #[arg(long = "for", env = "WIKITOP_FOR", value_name = "TIME", value_parser = values::duration)]
    run_for: Option<Duration>,
    /// End after so many changes
    #[arg(long, env = "WIKITOP_MAX_CHANGES", value_name = "N")]
    max_changes: Option<u64>,
    /// End once caught up with the present
    #[arg(long, env = "WIKITOP_UNTIL_NOW", value_parser = BoolishValueParser::new())]
    until_now: bool,
}

impl From<IngestArgs> for ingest::Config {
    fn from(args: IngestArgs) -> Self {
        let sink = match args.record {
            Some(file) => ingest::SinkChoice::Recording {
                file,
                rotate: args.rotate,
            },
            None => ingest::SinkChoice::Engine(args.engine.into()),
        };
        ingest::Config {
            feed: args.feed.into(),
            sink,
            run_for: args.run_for,
            max_changes: args.max_changes,
            until_now: args.until_now,
        }
    }
}

/// The flags of `init-views`.
#[derive(Debug, Args)]
pub struct InitViewsArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// For Materialize 0.26: the recording to read, as the server sees it
    #[arg(long, env = "WIKITOP_RECORDING", value_name = "PATH")]
    recording: Option<String>,
    /// Print the SQL instead of running it
    #[arg(long, env = "WIKITOP_PRINT", value_parser = BoolishValueParser::new())]
    print: bool,
    /// With --print: for this engine, instead of the one found
    #[arg(long, env = "WIKITOP_DIALECT", value_enum, requires = "print")]
    dialect: Option<init_views::DialectName>,
    /// Remove what init-views made; asks first on a terminal
    #[arg(long, env = "WIKITOP_DROP", value_parser = BoolishValueParser::new(), conflicts_with = "print")]
    drop: bool,
    /// Your own views, as SQL: created after the built-in ones
    #[arg(value_name = "FILE", env = "WIKITOP_VIEWS_FILE")]
    file: Option<PathBuf>,
}

impl From<InitViewsArgs> for init_views::Config {
    fn from(args: InitViewsArgs) -> Self {
        init_views::Config {
            engine: args.engine.into(),
            recording: args.recording,
            print: args.print,
            dialect: args.dialect,
            drop: args.drop,
            file: args.file,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_every_command_has_an_environment_variable() {
        for command in Cli::command().get_subcommands() {
            if ["completions", "man"].contains(&command.get_name()) {
                continue;
            }
            for arg in command.get_arguments() {
                assert!(arg.get_env().is_some(), "{} {arg}", command.get_name());
            }
            assert!(
                command
                    .get_before_help()
                    .is_some_and(|help| help.to_string().starts_with("Example:")),
                "{} opens with an example",
                command.get_name()
            );
        }
    }

    fn serve(args: &[&str]) -> serve::Config {
        let line = ["wikitop", "serve"].iter().chain(args);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Serve(args) => args.into(),
            other => panic!("not serve: {other:?}"),
        }
    }

    #[test]
    fn serve_ingests_into_its_own_engine_and_into_another_only_when_told() {
        assert!(serve(&[]).feed.is_some());
        assert!(serve(&["--no-ingest"]).feed.is_none());
        assert!(serve(&["--materialize", "postgres://x/"]).feed.is_none());
        assert!(
            serve(&["--materialize", "postgres://x/", "--ingest"])
                .feed
                .is_some()
        );
    }
}
