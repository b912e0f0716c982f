//! The door: where Postgres clients come in. It owns sessions and their protocol; it knows SQL only as statements that `sql`
//! has parsed, and rows only as what the engine's handle gives.
//!
//! There is no TLS and no password: the door is meant for loopback, where whoever can connect could also read the file.
//!
//! pgwire gives the messages that are sent. Its ready-made session is not used: it reads no further message while it answers
//! one, so it would notice neither the Terminate nor the end of a client whose subscription is silent, and its decoders
//! trust the counts inside a message (see `frontend`).

mod answer;
mod apart;
mod backend;
mod batch;
mod cancels;
mod changefeed;
mod commands;
mod copy_in;
mod copy_syntax;
mod copying;
mod cursors;
mod encoding;
mod execute;
mod frontend;
mod memory;
mod openings;
mod parameters;
mod planned;
mod portal;
mod session;
mod settings;
mod show;
mod startup;
mod stream;
mod transactions;
mod views;
mod wire;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::handle::Engine;
use apart::Apart;
use cancels::Cancels;
use memory::Memory;
use openings::{Opening, Openings};

/// Sessions at a time: a page needs one a view, a pool of a tool a dozen. One more is told 53300 and closed.
pub const CONNECTIONS_MAX: usize = 256;

/// What of sessions' own answers may wait for clients together: a dozen clients in the middle of a day of changes. What would
/// exceed it is refused with 53200.
const ANSWERS_BYTES_MAX: usize = 256 << 20;

/// How long a client may take to say who it is; connections that never do are closed then.
const STARTUP_MAX: Duration = Duration::from_secs(10);

/// A connection on which nothing has come for so long is asked whether its other end is still there: by the kernel, so that a
/// silent session costs nothing.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);

/// How often it is asked again, and how many questions may stay without an answer. A client whose machine or network is gone
/// is so noticed within two minutes, and its session ends.
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEPALIVE_UNANSWERED_MAX: u32 = 4;

/// How long sessions may take to say goodbye when the engine stops; the rest are cut off.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// How long to wait when the operating system has no socket to give, before asking again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts sessions until `shutdown` resolves; then ends them.
///
/// # Errors
/// None today: what goes wrong with one connection is that connection's affair.
pub async fn run(
    listener: TcpListener,
    engine: Engine,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let shared = Arc::new(Shared {
        engine,
        cancels: Arc::default(),
        seats: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        memory: Memory::default(),
        answers: Memory::of(ANSWERS_BYTES_MAX),
        folding: Apart::default(),
        reading: Apart::default(),
    });
    let mut openings = Openings::default();
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let event = tokio::select! {
            () = &mut shutdown => Event::Shutdown,
            accepted = listener.accept() => Event::Accepted(accepted.map(|(socket, _)| socket)),
            Some(joined) = connections.join_next() => Event::Left(joined),
        };
        match event {
            Event::Accepted(Ok(socket)) => {
                let opening = openings.enter();
                connections.spawn(serve(socket, shared.clone(), opening, stopping.clone()));
            }
            Event::Accepted(Err(error)) => {
                tracing::warn!("could not accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            Event::Left(Ok(())) => {}
            Event::Left(Err(error)) => tracing::error!("a session failed: {error}"),
            Event::Shutdown => break,
        }
    }
    // Every session holds a receiver; one that is gone has nothing to be told.
    let _ = stop.send(true);
    let goodbye = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GOODBYE_MAX, goodbye).await.is_err() {
        connections.shutdown().await;
    }
    Ok(())
}

/// What moves the accepting loop.
enum Event {
    Shutdown,
    Accepted(io::Result<TcpStream>),
    Left(Result<(), tokio::task::JoinError>),
}

/// What all connections share.
struct Shared {
    engine: Engine,
    cancels: Arc<Cancels>,
    /// One for each session.
    seats: Arc<Semaphore>,
    /// What clients make their sessions keep.
    memory: Memory,
    /// What of sessions' own answers waits for clients: apart from the former, so that those who do not read keep nobody from
    /// writing.
    answers: Memory,
    folding: Apart,
    reading: Apart,
}

/// One connection, from its first byte to its last.
async fn serve(
    socket: TcpStream,
    shared: Arc<Shared>,
    mut opening: Opening,
    stopping: watch::Receiver<bool>,
) {
    if let Err(error) = tune(&socket) {
        tracing::debug!("a connection broke before it began: {error}");
        return;
    }
    let registration = shared.cancels.register();
    let canceled = registration.canceled.clone();
    let wire = wire::Wire::new(socket, canceled, stopping, &shared.memory);
    let begun = tokio::select! {
        begun = startup::open(wire, &registration, &shared) => begun,
        () = tokio::time::sleep(STARTUP_MAX) => {
            tracing::debug!("a connection did not begin a session in time");
            None
        }
        () = opening.lost() => {
            tracing::debug!("a connection that had not begun a session made room for others");
            None
        }
    };
    drop(opening);
    if let Some(begun) = begun {
        session::Session::new(begun.wire, &shared, begun.identity, begun.settings)
            .run()
            .await;
        drop(begun.seat);
    }
}

/// Sets up a connection's socket.
fn tune(socket: &TcpStream) -> io::Result<()> {
    // A frame is one write, and its reader waits for it.
    socket.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_EVERY)
        .with_retries(KEEPALIVE_UNANSWERED_MAX);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}
