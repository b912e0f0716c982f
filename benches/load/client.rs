//! The clients: as little work for each as there can be, because they share the machine with the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Latencies in steps of this many microseconds, the last step open.
const STEP_US: u64 = 100;
const STEPS: usize = 100_000;
/// How many clients connect at the same time.
const CONNECTING_MAX: usize = 64;

/// What the clients saw.
pub(crate) struct Samples {
    latencies: Vec<AtomicU64>,
    /// Messages that stood for several frames.
    pub(crate) merged: u64,
    /// Clients that missed something.
    pub(crate) wrong: u64,
}

impl Samples {
    pub(crate) fn count(&self) -> u64 {
        self.latencies
            .iter()
            .map(|step| step.load(Ordering::Relaxed))
            .sum()
    }

    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        let wanted = (self.count() as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        for (index, step) in self.latencies.iter().enumerate() {
            seen += step.load(Ordering::Relaxed);
            if seen >= wanted {
                return (index as u64 * STEP_US) as f64 / 1000.0;
            }
        }
        f64::INFINITY
    }
}

/// Where the bench stands.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Connecting,
    Measuring,
    Over,
}

/// Connects so many clients, and measures for this time once all are there and settled; `connected` is asked in between.
pub(crate) async fn run<T>(
    address: SocketAddr,
    clients: u64,
    time: Duration,
    connected: impl FnOnce() -> T,
) -> (Samples, T) {
    let latencies: Arc<Vec<AtomicU64>> = Arc::new((0..STEPS).map(|_| AtomicU64::new(0)).collect());
    let (stage, stages) = watch::channel(Stage::Connecting);
    let connecting = Arc::new(Semaphore::new(CONNECTING_MAX));
    let ready = Arc::new(Semaphore::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        let (latencies, stages) = (latencies.clone(), stages.clone());
        let (connecting, ready) = (connecting.clone(), ready.clone());
        tasks.spawn(async move {
            let permit = connecting.acquire_owned().await.expect("never closed");
            let stream = connect(TcpSocket::new_v4().expect("a socket"), address).await;
            drop(permit);
            ready.add_permits(1);
            follow(stream, stages, &latencies).await
        });
    }
    let all = u32::try_from(clients).expect("not that many");
    ready
        .acquire_many(all)
        .await
        .expect("never closed")
        .forget();
    sleep(Duration::from_secs(2)).await;
    let connected = connected();
    stage.send_replace(Stage::Measuring);
    sleep(time).await;
    stage.send_replace(Stage::Over);
    let (mut merged, mut wrong) = (0, 0);
    while let Some(client) = tasks.join_next().await {
        match client.expect("no client panics") {
            Some(of_this) => merged += of_this,
            None => wrong += 1,
        }
    }
    let latencies = Arc::into_inner(latencies).expect("all clients are gone");
    (
        Samples {
            latencies,
            merged,
            wrong,
        },
        connected,
    )
}

/// A client that never reads, with a small buffer, so that the server soon has to wait for it.
pub(crate) async fn stalled(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    connect(socket, address).await
}

async fn connect(socket: TcpSocket, address: SocketAddr) -> TcpStream {
    let mut stream = socket.connect(address).await.expect("the server accepts");
    let request = "GET /api/stream/top10 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: +\r\n\r\n";
    stream
        .write_all(request.as_bytes())
        .await
        .expect("the server reads");
    stream
}

/// Follows the stream to the end of the bench: how many messages stood for several frames; `None` if one did not continue the
/// one before.
async fn follow(
    mut stream: TcpStream,
    mut stages: watch::Receiver<Stage>,
    latencies: &[AtomicU64],
) -> Option<u64> {
    let mut bytes = Vec::new();
    let mut held = None;
    let mut merged = 0;
    loop {
        tokio::select! {
            read = stream.read_buf(&mut bytes) => if read.ok()? == 0 { return None },
            over = stages.wait_for(|stage| *stage == Stage::Over) => {
                over.ok()?;
                return held.map(|_: u64| merged);
            }
        }
        let now = now_us();
        let measuring = *stages.borrow() == Stage::Measuring;
        // One line a message; the frame's own header and the answer to the upgrade stand before the brace.
        while let Some(end) = bytes.windows(2).position(|pair| pair == b"}\n") {
            let line: Vec<u8> = bytes.drain(..end + 2).collect();
            let [deleted, inserted] = times(&line);
            let inserted = inserted?;
            if deleted != held {
                return None;
            }
            held = Some(inserted);
            if measuring {
                let step = usize::try_from(now.saturating_sub(inserted) / STEP_US).unwrap_or(STEPS);
                latencies[step.min(STEPS - 1)].fetch_add(1, Ordering::Relaxed);
                merged += u64::from(deleted.is_some_and(|deleted| inserted - deleted > 150_000));
            }
        }
    }
}

/// The times of the marked row that goes and of the one that comes.
fn times(line: &[u8]) -> [Option<u64>; 2] {
    let text = String::from_utf8_lossy(line);
    let time = |part: &str| {
        let (_, rest) = part.split_once("[\"@\",")?;
        rest.split_once(']')?.0.parse().ok()
    };
    match text.split_once("\"inserted\"") {
        Some((deleted, inserted)) => [time(deleted), time(inserted)],
        None => [None, None],
    }
}

fn now_us() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
