//! `wikitop serve`: engine, views, ingest and page in one process.
//!
//! The parts do not know each other. What flows between them goes over the Postgres protocol even here, within one process, so
//! that the embedded engine and Materialize cannot be told apart. They stop in the order of the flow: ingest finishes its
//! batch and the page says goodbye to its clients, then the door closes, and last the engine closes its store.

mod status;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::failure::{Exit, Failure};
use super::ingest::{Feed, source};
use super::{output, service};
use crate::core::address::Address;
use crate::core::connection::{self, Connection};
use crate::core::schema::{self, Outcome};
use crate::engine::{self, OpenError, Running};
use crate::ingest::{self, IngestError, Limits, Target};
use crate::web::{self, Origin, status::Status};

/// What `serve` was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The engine that keeps the views.
    pub engine: EngineChoice,
    /// Where the page is served.
    pub listen: String,
    /// Where the changes come from; `None` leaves ingesting to others.
    pub feed: Option<Feed>,
    /// Print the addresses as one JSON line on stdout once everything listens.
    pub ready_json: bool,
    /// Origins beside the page's own whose pages may connect.
    pub allow_origins: Vec<String>,
    /// How many clients the page pushes to.
    pub limits: web::Limits,
}

/// The engine that keeps the views.
#[derive(Debug, Clone)]
pub enum EngineChoice {
    /// The one inside.
    Embedded {
        /// Where it keeps its state; `None` is `wikitop` in the XDG data home.
        data_dir: Option<PathBuf>,
        /// Where it listens for Postgres clients.
        pg_listen: String,
        /// How long it keeps single changes.
        retain: Duration,
    },
    /// Materialize, elsewhere.
    Materialize(super::engine::EngineChoice),
}

/// The addresses really bound, as `--ready-json` prints them.
#[derive(Debug, Clone, Serialize)]
struct Ready {
    http: SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    pg: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_dir: Option<PathBuf>,
}

/// The embedded engine: its thread, and where it is.
struct Embedded {
    running: Running,
    pg: SocketAddr,
    data_dir: PathBuf,
}

/// A part of the pipeline that has ended.
enum Part {
    Door(io::Result<()>),
    Page(io::Result<()>),
    Ingest(Result<(), Box<IngestError>>),
}

/// Parts that are told to end together.
#[derive(Default)]
struct Stage {
    tasks: JoinSet<Part>,
    stop: CancellationToken,
}

/// What moves `serve` once everything runs.
enum Event {
    Shutdown,
    Ended(Result<Part, JoinError>),
    EngineEnded,
}

/// Runs until it is told to end.
///
/// # Errors
/// A port that is taken, a data directory or a recording that cannot be used, an engine that cannot be reached: before
/// anything is served. Later, only what trying again could not mend.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
    let allow_origin = origins(&config.allow_origins)?;
    // Ports first: one that is taken is told before a store is opened or a view is made.
    let http = bind(&config.listen, "--listen").await?;
    let (mut ends, mut door) = (Stage::default(), Stage::default());
    let (address, mut embedded) = match config.engine {
        EngineChoice::Embedded {
            data_dir,
            pg_listen,
            retain,
        } => {
            let pg = bind(&pg_listen, "--pg-listen").await?;
            let embedded = start_engine(&mut door, pg, data_dir, retain)?;
            (Address::local(embedded.pg), Some(embedded))
        }
        EngineChoice::Materialize(engine) => (engine.address()?, None),
    };
    let engine = connection::connect(&address).await.map_err(Failure::from)?;
    if embedded.is_some() {
        make_views(&engine).await?;
    }
    let ready = Ready {
        http: http
            .local_addr()
            .context("the page's listener has no address")?,
        pg: embedded.as_ref().map(|embedded| embedded.pg),
        data_dir: embedded.as_ref().map(|embedded| embedded.data_dir.clone()),
    };
    let status = start_ingest(&mut ends, config.feed.as_ref(), &address, &engine);
    drop(engine);
    let page = web::Config {
        address,
        status,
        allow_origin,
        limits: config.limits,
    };
    let stop = ends.stop.clone().cancelled_owned();
    ends.tasks
        .spawn(async move { Part::Page(web::run(http, page, stop).await) });
    say_ready(&ready, config.ready_json)?;

    let engine_ended = async {
        match &mut embedded {
            Some(embedded) => embedded.running.ended().await,
            None => std::future::pending().await,
        }
    };
    let outcome = work(&mut ends, &mut door, engine_ended, shutdown).await;
    service::stopping();
    let outcome = outcome.and(ends.end().await).and(door.end().await);
    let stopped = match embedded {
        Some(embedded) => embedded.running.stop().await,
        None => Ok(()),
    };
    // What ended first is what to tell.
    outcome.and(stopped.map_err(Into::into))
}

/// Opens the store, starts the worker, and lets clients in.
fn start_engine(
    door: &mut Stage,
    pg: TcpListener,
    data_dir: Option<PathBuf>,
    retain: Duration,
) -> anyhow::Result<Embedded> {
    let data_dir = match data_dir {
        Some(dir) => dir,
        None => data_dir_default()?,
    };
    let address = pg
        .local_addr()
        .context("the engine's listener has no address")?;
    let config = engine::Config {
        data_dir: data_dir.clone(),
        retain,
    };
    let (handle, running) = engine::start(config).map_err(Failure::from)?;
    let stop = door.stop.clone().cancelled_owned();
    door.tasks
        .spawn(async move { Part::Door(engine::door::run(pg, handle, stop).await) });
    Ok(Embedded {
        running,
        pg: address,
        data_dir,
    })
}

/// The views of `assets/views.sql`, in the engine inside. One that differs is an older wikitop's or the user's: it is kept.
async fn make_views(engine: &Connection) -> Result<(), Failure> {
    for definition in schema::definitions(engine.dialect, None).map_err(Failure::from)? {
        let made = schema::create(engine, &definition).await;
        if let Outcome::Different { replace, .. } = made.map_err(Failure::from)? {
            tracing::warn!(
                "view \"{}\" is not the built-in one. {replace}",
                definition.name
            );
        }
    }
    Ok(())
}

/// Starts to ingest, if that is wanted, and returns what the page is told about it.
fn start_ingest(
    ends: &mut Stage,
    feed: Option<&Feed>,
    address: &Address,
    engine: &Connection,
) -> watch::Receiver<Status> {
    let engine = engine.version.clone();
    let (page, shown) = watch::channel(status::idle(&engine));
    let Some(feed) = feed else {
        return shown;
    };
    let (told, mut telling) = watch::channel(ingest::Status::default());
    let config = ingest::Config {
        source: source(feed),
        target: Target::Engine(address.clone()),
        limits: Limits::default(),
        status: told,
    };
    let stop = ends.stop.clone().cancelled_owned();
    ends.tasks.spawn(async move {
        let translate = async {
            while telling.changed().await.is_ok() {
                let told = telling.borrow_and_update();
                page.send_replace(status::ingesting(&engine, &told, SystemTime::now()));
            }
        };
        // The ingester owns the sender: when it is done, the last word has been said.
        let (outcome, ()) = tokio::join!(ingest::run(config, stop), translate);
        Part::Ingest(outcome.map(drop).map_err(Box::new))
    });
    shown
}

/// Watches the parts until one fails or the process is told to end. The end of a recording is not the end of serving.
async fn work(
    ends: &mut Stage,
    door: &mut Stage,
    engine_ended: impl Future<Output = ()>,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let mut shutdown = std::pin::pin!(shutdown);
    let mut engine_ended = std::pin::pin!(engine_ended);
    let mut watchdog = std::pin::pin!(service::watchdog());
    loop {
        let event = tokio::select! {
            () = &mut shutdown => Event::Shutdown,
            Some(part) = ends.tasks.join_next() => Event::Ended(part),
            Some(part) = door.tasks.join_next() => Event::Ended(part),
            () = &mut engine_ended => Event::EngineEnded,
            () = &mut watchdog => Event::Shutdown,
        };
        match event {
            Event::Shutdown => return Ok(()),
            Event::Ended(part) => outcome(part)?,
            Event::EngineEnded => return Err(engine_failed().into()),
        }
    }
}

impl Stage {
    /// Tells the parts to end and waits for each.
    async fn end(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        let mut all = Ok(());
        while let Some(part) = self.tasks.join_next().await {
            all = all.and(outcome(part));
        }
        all
    }
}

/// The process ends, because nothing in it can bring the engine back; whoever supervises it starts it again.
fn engine_failed() -> Failure {
    let error = anyhow!("the embedded engine has failed: its worker thread panicked");
    Failure::new(Exit::Failed, error).hint(
        "This is a defect of wikitop. What was acknowledged is on disk: start it again, or let a supervisor do so.",
    )
}

fn outcome(part: Result<Part, JoinError>) -> anyhow::Result<()> {
    match part.context("a part of wikitop failed")? {
        Part::Door(done) => done.context("the engine's door failed"),
        Part::Page(done) => done.context("the page's server failed"),
        Part::Ingest(done) => Ok(done.map_err(|error| Failure::from(*error))?),
    }
}

async fn bind(address: &str, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let error = anyhow!("could not listen on {address:?}: {error}");
        Failure::new(Exit::Failed, error).hint(format!(
            "Choose another address with {flag}; port 0 picks a free one."
        ))
    })
}

fn origins(texts: &[String]) -> Result<Vec<Origin>, Failure> {
    let parsed = texts
        .iter()
        .map(|text| text.parse::<Origin>())
        .collect::<Result<_, _>>();
    parsed.map_err(|error| {
        Failure::new(Exit::Usage, error)
            .hint("--allow-origin takes what a browser sends, such as https://example.org.")
    })
}

/// `wikitop` in the XDG data home (XDG Base Directory Specification 0.8, section 3: a relative path there is ignored).
fn data_dir_default() -> Result<PathBuf, Failure> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let home = absolute("XDG_DATA_HOME").or_else(|| Some(absolute("HOME")?.join(".local/share")));
    home.map(|home| home.join("wikitop")).ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            anyhow!("there is no home directory to keep data in"),
        )
        .hint("Name a directory with --data-dir.")
    })
}

/// Says where everything is: to people on stderr, to programs on stdout.
fn say_ready(ready: &Ready, json: bool) -> anyhow::Result<()> {
    output::tell(&format!("page    http://{}", ready.http));
    if let (Some(pg), Some(data_dir)) = (ready.pg, &ready.data_dir) {
        output::tell(&format!("engine  postgres://materialize@{pg}/materialize"));
        output::tell(&format!("data    {}", data_dir.display()));
    }
    if json {
        let mut stdout = io::stdout().lock();
        serde_json::to_writer(&mut stdout, ready)?;
        writeln!(stdout)?;
        stdout.flush()?;
    }
    service::ready();
    Ok(())
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let hint = error.hint();
        Failure::new(Exit::Failed, error).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn an_engine_that_fails_is_the_end_of_serving() {
        let (mut ends, mut door) = (Stage::default(), Stage::default());
        door.tasks.spawn(pending());
        let error = work(&mut ends, &mut door, ready(()), pending())
            .await
            .unwrap_err();
        assert!(error.is::<Failure>(), "{error:?}");
        assert!(error.to_string().contains("engine"), "{error}");
    }

    #[tokio::test]
    async fn being_told_to_end_is_no_failure() {
        let (mut ends, mut door) = (Stage::default(), Stage::default());
        work(&mut ends, &mut door, pending(), ready(()))
            .await
            .unwrap();
    }
}
