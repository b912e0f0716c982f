//! One session's connection: messages in, gathered bytes out, and what may interrupt the session while it is busy.
//!
//! The surprising fact: a busy session goes on reading. A subscription can be silent for hours, and only the socket's read
//! side tells that its client has left; what the client has sent ahead stays in the buffer for later.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::Instant;

use super::backend::Outbox;
use super::frontend::{self, Message, Opening, ProtocolError};
use super::memory::{Kept, Memory};
use crate::engine::error::{SqlError, SqlState};

/// What a client may send ahead while its session is busy: a pipeline of a few hundred small statements. What is more waits in
/// the kernel, and then in the client. A single message that is larger is counted in the memory that all sessions share.
const AHEAD_BYTES_MAX: usize = 64 << 10;

/// How long a client may leave what is sent to it untaken before it counts as gone: longer than any pause of a reader that is
/// alive, shorter than what an operator would wait for.
const SEND_STALL_MAX: Duration = Duration::from_secs(30);

/// How long a client may say nothing while the session keeps something for it out of the memory that all share: an unfinished
/// message, a COPY or a transaction's changes. People who type a COPY by hand take minutes; after that it is ended with
/// 25P03, so that what nobody finishes keeps nobody else from writing.
const SILENCE_MAX: Duration = Duration::from_secs(5 * 60);

/// What is gathered before it is sent while a large result is written: large enough to make the calls few, small enough not to
/// hold a result twice.
pub(crate) const SEND_BYTES: usize = 256 << 10;

/// Why a session is over.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The client left, or its connection broke.
    Gone,
    /// The engine stops.
    Shutdown,
    /// What the client sends is not the protocol.
    Protocol(ProtocolError),
    /// What the client sends cannot be taken in.
    Refused(SqlError),
}

/// What interrupts a busy session.
#[derive(Debug)]
pub(crate) enum Interrupt {
    /// A cancel request, for the statement.
    Cancel,
    /// The statement takes longer than its session allows.
    Timeout,
    /// The end of the session.
    Ended(Ended),
}

/// The connection of one session.
#[derive(Debug)]
pub(crate) struct Wire {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    inbox: BytesMut,
    /// What of the inbox, and of the message taken from it last, is more than every session may have.
    kept: Kept,
    /// Messages to be sent by the next [`Wire::flush`].
    pub(crate) out: Outbox,
    cancels: watch::Receiver<u64>,
    shutdown: watch::Receiver<bool>,
    /// When the running statement has to be done.
    deadline: Option<Instant>,
    /// The session waits for the end of what the client has begun.
    pub(crate) is_owed: bool,
    silence_max: Duration,
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Ended::Gone
    }
}

impl Wire {
    /// The connection over `socket`; every change of `cancels` cancels a statement.
    pub(crate) fn new(
        socket: TcpStream,
        cancels: watch::Receiver<u64>,
        shutdown: watch::Receiver<bool>,
        memory: &Memory,
    ) -> Wire {
        let (read, write) = socket.into_split();
        Wire {
            read,
            write,
            inbox: BytesMut::with_capacity(8 << 10),
            kept: memory.nothing(),
            out: Outbox::default(),
            cancels,
            shutdown,
            deadline: None,
            is_owed: false,
            silence_max: SILENCE_MAX,
        }
    }

    /// The opening packet.
    pub(crate) async fn opening(&mut self) -> Result<Opening, Ended> {
        self.decoded(frontend::opening).await
    }

    /// The client's next message. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Message, Ended> {
        self.decoded(frontend::message).await
    }

    async fn decoded<T>(
        &mut self,
        decode: fn(&mut BytesMut) -> Result<Option<T>, ProtocolError>,
    ) -> Result<T, Ended> {
        if self.inbox.len() <= AHEAD_BYTES_MAX {
            // The message before this one has been dealt with; giving back never fails.
            let _ = self.kept.exactly(0);
        }
        loop {
            if let Some(item) = decode(&mut self.inbox).map_err(Ended::Protocol)? {
                return Ok(item);
            }
            let is_owed = self.is_owed || self.kept.bytes() > 0;
            let latest = is_owed.then(|| Instant::now() + self.silence_max);
            tokio::select! {
                () = reached(latest) => return Err(Ended::Refused(too_silent())),
                read = self.read.read_buf(&mut self.inbox) => {
                    if read? == 0 {
                        return Err(Ended::Gone);
                    }
                    if self.inbox.len() > AHEAD_BYTES_MAX {
                        self.kept.at_least(self.inbox.len()).map_err(Ended::Refused)?;
                    }
                }
                () = stopped(&mut self.shutdown) => return Err(Ended::Shutdown),
            }
        }
    }

    /// A statement begins: cancel requests up to now concerned earlier ones, and its time runs from now.
    pub(crate) fn begin_statement(&mut self, timeout: Option<Duration>) {
        self.cancels.mark_unchanged();
        self.deadline = timeout.map(|timeout| Instant::now() + timeout);
    }

    /// The running statement may take as long as it likes.
    pub(crate) fn no_deadline(&mut self) {
        self.deadline = None;
    }

    /// Waits for what interrupts a busy session. Cancel safe.
    pub(crate) async fn interrupted(&mut self) -> Interrupt {
        loop {
            let room = self.inbox.len() < AHEAD_BYTES_MAX;
            tokio::select! {
                read = self.read.read_buf(&mut self.inbox), if room => match read {
                    Ok(0) | Err(_) => return Interrupt::Ended(Ended::Gone),
                    Ok(_) if frontend::waiting(&self.inbox).any(|kind| kind == b'X') => {
                        return Interrupt::Ended(Ended::Gone);
                    }
                    Ok(_) => {}
                },
                Ok(()) = self.cancels.changed() => return Interrupt::Cancel,
                () = reached(self.deadline) => return Interrupt::Timeout,
                () = stopped(&mut self.shutdown) => return Interrupt::Ended(Ended::Shutdown),
            }
        }
    }

    /// Sends what has been gathered.
    pub(crate) async fn flush(&mut self) -> Result<(), Ended> {
        while self.out.len() > 0 {
            let sent = self.write.write_buf(self.out.bytes());
            match tokio::time::timeout(SEND_STALL_MAX, sent).await {
                Ok(Ok(0)) | Ok(Err(_)) => return Err(Ended::Gone),
                Ok(Ok(_)) => {}
                Err(_) => {
                    tracing::info!(
                        "a client has taken nothing for {} s: closing its session",
                        SEND_STALL_MAX.as_secs()
                    );
                    return Err(Ended::Gone);
                }
            }
        }
        Ok(())
    }

    /// Sends what has been gathered once it is worth a call.
    pub(crate) async fn flush_if_large(&mut self) -> Result<(), Ended> {
        if self.out.len() < SEND_BYTES {
            return Ok(());
        }
        self.flush().await
    }
}

fn too_silent() -> SqlError {
    SqlError::new(
        SqlState::IdleInTransactionSessionTimeout,
        "terminating connection: what it has begun was not finished in time",
    )
}

/// Resolves at the deadline, if there is one.
pub(crate) async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Resolves when the engine stops.
async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    // A sender that is gone has stopped, too.
    let _ = shutdown.wait_for(|stop| *stop).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A session's end, its client's, and what would tell it to stop.
    async fn connected(memory: &Memory) -> (Wire, TcpStream, watch::Sender<bool>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, accepted) = tokio::join!(client, listener.accept());
        let (_, cancels) = watch::channel(0);
        let (stop, stopping) = watch::channel(false);
        let wire = Wire::new(accepted.unwrap().0, cancels, stopping, memory);
        (wire, client.unwrap(), stop)
    }

    /// A Query message of so many bytes, as far as it has been sent.
    fn query(bytes: usize, sent: usize) -> Vec<u8> {
        let mut message = vec![b'Q'];
        message.extend((bytes as u32 + 4).to_be_bytes());
        message.resize(5 + sent.min(bytes - 1), b' ');
        if sent == bytes {
            message.push(0);
        }
        message
    }

    #[tokio::test]
    async fn what_is_begun_has_to_go_on() {
        let memory = Memory::of(1 << 20);
        let (mut wire, mut client, _stop) = connected(&memory).await;
        wire.silence_max = Duration::from_millis(1);
        // An idle session may be silent; one that is owed something may not.
        client.write_all(&query(10, 10)).await.unwrap();
        assert!(matches!(wire.next().await, Ok(Message::Query(_))));
        wire.is_owed = true;
        let Err(Ended::Refused(error)) = wire.next().await else {
            panic!("it waits for ever");
        };
        assert_eq!(error.state, SqlState::IdleInTransactionSessionTimeout);
        wire.is_owed = false;
        let message = query(300_000, 200_000);
        let (sent, next) = tokio::join!(client.write_all(&message), wire.next());
        sent.unwrap();
        assert!(matches!(next, Err(Ended::Refused(_))));
    }

    #[tokio::test]
    async fn unfinished_messages_share_one_bound() {
        const MIB: usize = 1 << 20;
        let memory = Memory::of(3 * MIB);
        let (mut ann, mut to_ann, _stop_ann) = connected(&memory).await;
        let (mut bob, mut to_bob, _stop_bob) = connected(&memory).await;
        // Ann's message never ends, and holds what there is.
        let message = query(8 * MIB, 2 * MIB);
        tokio::select! {
            biased;
            next = ann.next() => panic!("not a whole message: {next:?}"),
            () = async {
                to_ann.write_all(&message).await.unwrap();
                while memory.nothing().exactly(MIB + 1).is_ok() {
                    tokio::task::yield_now().await;
                }
            } => {}
        }
        let message = query(2 * MIB, 2 * MIB);
        let refused = tokio::select! {
            next = bob.next() => next,
            _ = to_bob.write_all(&message) => bob.next().await,
        };
        let Err(Ended::Refused(error)) = refused else {
            panic!("there is no room for it: {refused:?}");
        };
        assert_eq!(error.state, SqlState::OutOfMemory);
        drop((ann, bob));
        let (mut bob, mut to_bob, _stop_bob) = connected(&memory).await;
        let (sent, next) = tokio::join!(to_bob.write_all(&message), bob.next());
        sent.unwrap();
        assert!(matches!(next, Ok(Message::Query(_))));
        // A message that has been dealt with holds nothing.
        to_bob.write_all(&query(10, 10)).await.unwrap();
        bob.next().await.unwrap();
        memory.nothing().exactly(3 * MIB).unwrap();
    }
}
