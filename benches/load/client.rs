//! The clients: as little work for each as there can be, because they share the machine with the server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::feeder::now_us;

/// Latencies in steps of this many microseconds, the last step open.
const STEP_US: u64 = 100;
const STEPS: usize = 100_000;
/// How many clients connect at the same time.
const CONNECTING_MAX: usize = 64;
/// How long it may take until all have their first message; a design that needs longer has failed.
const CONNECT_MAX: Duration = Duration::from_secs(60);
/// The view that all follow; the ancestor's design looks at no path.
const TOP10: &str = "/api/stream/top10";

/// What the clients saw.
pub(crate) struct Samples {
    latencies: Arc<Histogram>,
    /// Clients that missed something.
    pub(crate) wrong: u64,
}

impl Samples {
    pub(crate) fn count(&self) -> u64 {
        self.latencies
            .0
            .iter()
            .map(|step| step.load(Ordering::Relaxed))
            .sum()
    }

    pub(crate) fn quantile_ms(&self, quantile: f64) -> f64 {
        let wanted = (self.count() as f64 * quantile).ceil() as u64;
        let mut seen = 0;
        for (index, step) in self.latencies.0.iter().enumerate() {
            seen += step.load(Ordering::Relaxed);
            if seen >= wanted {
                return (index as u64 * STEP_US) as f64 / 1000.0;
            }
        }
        f64::INFINITY
    }
}

/// Where the bench stands.
#[derive(Clone)]
enum Stage {
    /// What comes is checked and not measured.
    Following,
    /// Latencies are noted here.
    Measuring(Arc<Histogram>),
    Over,
}

/// How many messages took so many steps.
struct Histogram(Vec<AtomicU64>);

impl Histogram {
    fn note(&self, latency_us: u64) {
        let step = usize::try_from(latency_us / STEP_US).unwrap_or(STEPS);
        self.0[step.min(STEPS - 1)].fetch_add(1, Ordering::Relaxed);
    }
}

/// Clients that follow the view, each of which knows whether it missed something.
pub(crate) struct Clients {
    stage: watch::Sender<Stage>,
    tasks: JoinSet<()>,
    /// How many are still right.
    right: Arc<AtomicU64>,
    count: u64,
}

impl Clients {
    /// Connects so many; `None` when not all have their first message in time.
    pub(crate) async fn connect(address: SocketAddr, count: u64) -> Option<Clients> {
        let (stage, stages) = watch::channel(Stage::Following);
        let connecting = Arc::new(Semaphore::new(CONNECTING_MAX));
        let begun = Arc::new(Semaphore::new(0));
        let right = Arc::new(AtomicU64::new(count));
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let (stages, right) = (stages.clone(), right.clone());
            let (connecting, begun) = (connecting.clone(), begun.clone());
            tasks.spawn(async move {
                let permit = connecting.acquire_owned().await.expect("never closed");
                let socket = TcpSocket::new_v4().expect("a socket");
                let followed = match connect(socket, address, TOP10).await {
                    Ok(stream) => {
                        drop(permit);
                        follow(stream, stages, &begun).await
                    }
                    Err(_) => None,
                };
                if followed.is_none() {
                    right.fetch_sub(1, Ordering::Relaxed);
                    begun.add_permits(1); // nobody waits for it
                }
            });
        }
        let all = u32::try_from(count).expect("not that many");
        let all = timeout(CONNECT_MAX, begun.acquire_many(all)).await.ok()?;
        all.expect("never closed").forget();
        Some(Clients {
            stage,
            tasks,
            right,
            count,
        })
    }

    /// Measures for this time.
    pub(crate) async fn measure(&mut self, time: Duration) -> Samples {
        let histogram = Arc::new(Histogram((0..STEPS).map(|_| AtomicU64::new(0)).collect()));
        self.stage.send_replace(Stage::Measuring(histogram.clone()));
        sleep(time).await;
        self.stage.send_replace(Stage::Following);
        Samples {
            latencies: histogram,
            wrong: self.count - self.right.load(Ordering::Relaxed),
        }
    }

    /// Lets all go.
    pub(crate) async fn end(mut self) {
        self.stage.send_replace(Stage::Over);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// A client that never reads, with a small buffer, and that follows beside the view another that is wider than all buffers: so
/// the server waits for it from its first message on.
pub(crate) async fn stalled(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let connected = connect(socket, address, "/api/stream?views=wide,top10").await;
    connected.expect("the server accepts")
}

async fn connect(socket: TcpSocket, address: SocketAddr, path: &str) -> std::io::Result<TcpStream> {
    let mut stream = socket.connect(address).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: +\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    Ok(stream)
}

/// Follows the stream to the end of the bench; `None` if a message did not continue the one before. `begun` gets a permit
/// with the first message.
async fn follow(
    mut stream: TcpStream,
    mut stages: watch::Receiver<Stage>,
    begun: &Semaphore,
) -> Option<()> {
    let mut bytes = Vec::new();
    let mut held = None;
    loop {
        tokio::select! {
            read = stream.read_buf(&mut bytes) => if read.ok()? == 0 { return None },
            over = stages.wait_for(|stage| matches!(stage, Stage::Over)) => {
                over.ok()?;
                return held.map(|_: u64| ());
            }
        }
        let now = now_us();
        let measuring = match &*stages.borrow() {
            Stage::Measuring(histogram) => Some(histogram.clone()),
            _ => None,
        };
        // One line a message; the frame's own header and the answer to the upgrade stand before the brace.
        while let Some(end) = bytes.windows(2).position(|pair| pair == b"}\n") {
            let line: Vec<u8> = bytes.drain(..end + 2).collect();
            let [deleted, inserted] = times(&line);
            let inserted = inserted?;
            if deleted != held {
                return None;
            }
            if held.replace(inserted).is_none() {
                begun.add_permits(1);
            }
            if let Some(measuring) = &measuring {
                measuring.note(now.saturating_sub(inserted));
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
