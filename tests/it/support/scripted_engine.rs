//! An engine with one view, whose diff stream the test writes line by line; so screens and pipes can be looked at in a state
//! that is known exactly.
//!
//! It speaks as much of the Postgres protocol as a subscriber hears, and follows no rule that the test does not give it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How often the last progress is repeated: a silent engine would be given up.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// A column of the view: its name and its type's oid in Postgres' catalog.
pub(crate) type Column = (&'static str, u32);

pub(crate) const TEXT: u32 = 25;
pub(crate) const BIGINT: u32 = 20;
pub(crate) const BOOLEAN: u32 = 16;
pub(crate) const TIMESTAMPTZ: u32 = 1184;

/// The diff stream, and whether the engine is up.
#[derive(Debug, Clone, Default)]
struct Script {
    is_up: bool,
    /// Connections of an earlier generation are cut.
    generation: u64,
    /// COPY lines, without their newlines.
    lines: Vec<String>,
    progress_ms: u64,
}

/// The running engine; it ends when it is dropped.
pub(crate) struct ScriptedEngine {
    pub(crate) address: SocketAddr,
    script: watch::Sender<Script>,
    subscribers: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

/// What connections share.
struct Shared {
    name: &'static str,
    columns: Vec<Column>,
    script: watch::Receiver<Script>,
    subscribers: watch::Sender<usize>,
}

impl ScriptedEngine {
    /// Starts on a free port of loopback; the view holds `rows` at `timestamp_ms`.
    pub(crate) async fn start(
        name: &'static str,
        columns: &[Column],
        timestamp_ms: u64,
        rows: &[&str],
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (script, seen) = watch::channel(Script::default());
        let (counter, subscribers) = watch::channel(0);
        let shared = Arc::new(Shared {
            name,
            columns: columns.to_vec(),
            script: seen,
            subscribers: counter,
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, shared));
        let engine = ScriptedEngine {
            address,
            script,
            subscribers,
            _tasks: tasks,
        };
        engine.come_back(timestamp_ms, rows);
        engine
    }

    /// The URL for `--materialize`.
    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://materialize@{}/materialize?sslmode=disable",
            self.address
        )
    }

    /// Cuts every connection and takes no more.
    pub(crate) fn go_away(&self) {
        self.script.send_modify(|script| {
            script.is_up = false;
            script.generation += 1;
        });
    }

    /// Takes connections again; the view holds `rows` at `timestamp_ms`.
    pub(crate) fn come_back(&self, timestamp_ms: u64, rows: &[&str]) {
        self.script.send_modify(|script| {
            script.is_up = true;
            script.lines = vec![];
            script.lines.extend(
                rows.iter()
                    .map(|row| format!("{timestamp_ms}\tf\t1\t{row}")),
            );
            script.progress_ms = timestamp_ms + 1;
        });
    }

    /// The rows that go and come at one time, which is closed then.
    pub(crate) fn frame(&self, timestamp_ms: u64, deleted: &[&str], inserted: &[&str]) {
        self.script.send_modify(|script| {
            let line = |diff: &str, row: &&str| format!("{timestamp_ms}\tf\t{diff}\t{row}");
            script
                .lines
                .extend(deleted.iter().map(|row| line("-1", row)));
            script
                .lines
                .extend(inserted.iter().map(|row| line("1", row)));
            script.progress_ms = timestamp_ms + 1;
        });
    }

    /// Waits until somebody follows the view.
    pub(crate) async fn subscribed(&mut self) {
        self.subscribers
            .wait_for(|subscribers| *subscribers > 0)
            .await
            .unwrap();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        if shared.script.borrow().is_up {
            let mut script = shared.script.clone();
            let generation = script.borrow().generation;
            let serving = serve(stream, Arc::clone(&shared));
            connections.spawn(async move {
                tokio::select! {
                    _ = serving => {}
                    _ = script.wait_for(|script| script.generation != generation) => {}
                }
            });
        }
    }
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[kind], &length.to_be_bytes()[..], body].concat()
}

fn text(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn description(columns: &[Column]) -> Vec<u8> {
    let mut body = u16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
    for (name, oid) in columns {
        body.extend(text(name));
        body.extend([0; 6]);
        body.extend(oid.to_be_bytes());
        body.extend((-1i16).to_be_bytes());
        body.extend((-1i32).to_be_bytes());
        body.extend([0; 2]);
    }
    message(b'T', &body)
}

fn row(value: &str) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap();
    message(
        b'D',
        &[
            &1u16.to_be_bytes()[..],
            &length.to_be_bytes(),
            value.as_bytes(),
        ]
        .concat(),
    )
}

fn error(code: &str, words: &str) -> Vec<u8> {
    let fields = [("S", "ERROR"), ("V", "ERROR"), ("C", code), ("M", words)];
    let mut body: Vec<u8> = fields
        .iter()
        .flat_map(|(key, value)| text(&format!("{key}{value}")))
        .collect();
    body.push(0);
    message(b'E', &body)
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    let length = stream.read_u32().await? as usize;
    let mut startup = vec![0; length - 4];
    stream.read_exact(&mut startup).await?;
    let hello = [
        message(b'R', &0u32.to_be_bytes()),
        message(b'S', b"client_encoding\0UTF8\0"),
        ready(),
    ];
    stream.write_all(&hello.concat()).await?;
    loop {
        let kind = stream.read_u8().await?;
        let length = stream.read_u32().await? as usize;
        let mut body = vec![0; length - 4];
        stream.read_exact(&mut body).await?;
        let words = String::from_utf8_lossy(&body).into_owned();
        let reply = match kind {
            b'Q' => simple(&shared, &words),
            b'P' if words.contains("COPY") => message(b'1', &[]),
            b'P' if !words.contains(shared.name) => error("42P01", "no such thing here"),
            b'P' => message(b'1', &[]),
            // Only the query is described with columns; the COPY that follows has none.
            b'D' => [message(b't', &[0, 0]), description(&shared.columns)].concat(),
            b'B' => message(b'2', &[]),
            b'C' => message(b'3', &[]),
            b'E' => return copy(stream, &shared).await,
            b'S' => ready(),
            b'X' => return Ok(()),
            _ => Vec::new(),
        };
        stream.write_all(&reply).await?;
    }
}

fn simple(shared: &Shared, words: &str) -> Vec<u8> {
    let answer = if words.contains("mz_version") {
        "wikitop 0.0.0 (embedded)"
    } else {
        shared.name
    };
    [
        description(&[("answer", TEXT)]),
        row(answer),
        message(b'C', b"SELECT 1\0"),
        ready(),
    ]
    .concat()
}

/// Streams the script until the connection ends.
async fn copy(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.write_all(&message(b'H', &[0, 0, 0])).await?;
    let mut script = shared.script.clone();
    shared
        .subscribers
        .send_modify(|subscribers| *subscribers += 1);
    let mut sent = None;
    loop {
        let now = script.borrow_and_update().clone();
        let nulls = "\t\\N".repeat(shared.columns.len() + 1);
        let first = sent
            .is_none()
            .then(|| format!("{}\tt{nulls}", first_time(&now)));
        let progress = format!("{}\tt{nulls}", now.progress_ms);
        let lines = first
            .iter()
            .chain(&now.lines[sent.unwrap_or(0)..])
            .chain([&progress]);
        let lines: Vec<u8> = lines
            .flat_map(|line| message(b'd', format!("{line}\n").as_bytes()))
            .collect();
        sent = Some(now.lines.len());
        stream.write_all(&lines).await?;
        let _ = tokio::time::timeout(HEARTBEAT, script.changed()).await;
    }
}

/// The time of the snapshot: that of the first row, or just before the progress of a view without rows.
fn first_time(script: &Script) -> u64 {
    match script.lines.first().and_then(|line| line.split_once('\t')) {
        Some((time, _)) => time.parse().unwrap(),
        None => script.progress_ms - 1,
    }
}
