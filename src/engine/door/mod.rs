//! The door: where Postgres clients come in. It owns sessions and their protocol; it knows SQL only as statements that `sql`
//! has parsed, and rows only as what the engine's handle gives.
//!
//! There is no TLS and no password: the door is meant for loopback, where whoever can connect could also read the file.
//!
//! pgwire gives the messages that are sent. Its ready-made session is not used: it reads no further message while it answers
//! one, so it would notice neither the Terminate nor the end of a client whose subscription is silent, and its decoders
//! trust the counts inside a message (see `frontend`).

mod backend;
mod changefeed;
mod copy_in;
mod copy_syntax;
mod encoding;
mod execute;
mod frontend;
mod parameters;
mod planned;
mod portal;
mod session;
mod settings;
mod show;
mod startup;
mod stream;
mod wire;

use std::collections::HashMap;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::handle::Engine;
use crate::engine::error::{SqlError, SqlState};
use backend::{Outbox, Severity};

/// Sessions at a time: a page needs one a view, a pool of a tool a dozen. One more is told 53300 and closed.
pub const CONNECTIONS_MAX: usize = 256;

/// How long a client may take to say who it is; connections that never do are closed then.
const STARTUP_MAX: Duration = Duration::from_secs(10);

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
    let cancels = Arc::new(Cancels::default());
    let mut sessions = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let event = tokio::select! {
            () = &mut shutdown => Event::Shutdown,
            accepted = listener.accept() => Event::Accepted(accepted.map(|(socket, _)| socket)),
            Some(joined) = sessions.join_next() => Event::Left(joined),
        };
        match event {
            Event::Accepted(Ok(socket)) if sessions.len() < CONNECTIONS_MAX => {
                let (engine, cancels, stopping) =
                    (engine.clone(), cancels.clone(), stopping.clone());
                sessions.spawn(serve(socket, engine, cancels, stopping));
            }
            Event::Accepted(Ok(socket)) => turn_away(&socket),
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
    let goodbye = async { while sessions.join_next().await.is_some() {} };
    if tokio::time::timeout(GOODBYE_MAX, goodbye).await.is_err() {
        sessions.shutdown().await;
    }
    Ok(())
}

/// What moves the accepting loop.
enum Event {
    Shutdown,
    Accepted(io::Result<TcpStream>),
    Left(Result<(), tokio::task::JoinError>),
}

async fn serve(
    socket: TcpStream,
    engine: Engine,
    cancels: Arc<Cancels>,
    stopping: watch::Receiver<bool>,
) {
    let registration = cancels.register();
    let Ok(wire) = wire::Wire::new(socket, registration.canceled.clone(), stopping) else {
        return;
    };
    let opening = startup::open(wire, &registration, &cancels);
    match tokio::time::timeout(STARTUP_MAX, opening).await {
        Ok(Some((wire, identity, settings))) => {
            session::Session::new(wire, engine, identity, settings)
                .run()
                .await;
        }
        Ok(None) => {}
        Err(_) => tracing::debug!("a connection did not begin a session in time"),
    }
}

/// Tells a client that there is no room. What does not fit into the socket's own buffer is not worth a task.
fn turn_away(socket: &TcpStream) {
    let mut out = Outbox::default();
    let error = SqlError::new(
        SqlState::TooManyConnections,
        format!("sorry, too many clients already: {CONNECTIONS_MAX} sessions are open"),
    );
    out.error(Severity::Fatal, &error);
    // The client may be gone already, which is what is wanted.
    let _ = socket.try_write(out.bytes());
}

/// Whom a cancel request means: open sessions by number, each with a secret that only its client was told.
#[derive(Debug, Default)]
struct Cancels {
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    last: i32,
    open: HashMap<i32, (i32, watch::Sender<u64>)>,
}

/// One session's entry; it leaves with it.
struct Registration {
    pid: i32,
    secret: i32,
    canceled: watch::Receiver<u64>,
    cancels: Arc<Cancels>,
}

impl Cancels {
    fn sessions(&self) -> std::sync::MutexGuard<'_, Sessions> {
        // The map is whole between any two statements, whoever panicked.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn register(self: &Arc<Self>) -> Registration {
        let (cancel, canceled) = watch::channel(0);
        let mut sessions = self.sessions();
        sessions.last = sessions.last.checked_add(1).unwrap_or(1);
        let pid = sessions.last;
        // The standard library seeds its hasher from the operating system's randomness, and SipHash keeps the seed secret.
        let secret = RandomState::new().hash_one(pid) as i32;
        sessions.open.insert(pid, (secret, cancel));
        Registration {
            pid,
            secret,
            canceled,
            cancels: self.clone(),
        }
    }

    /// Cancels what that session does. A wrong secret is met with silence, as in Postgres.
    fn cancel(&self, pid: i32, secret: i32) {
        match self.sessions().open.get(&pid) {
            Some((expected, cancel)) if *expected == secret => {
                cancel.send_modify(|count| *count = count.wrapping_add(1));
            }
            _ => {}
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.cancels.sessions().open.remove(&self.pid);
    }
}
