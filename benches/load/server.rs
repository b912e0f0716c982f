//! The server process: the real web interface over a scripted view.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use wikitop::core::address::Address;
use wikitop::core::frame::{Column, Frame, Row};
use wikitop::core::subscription::Event;
use wikitop::web::status::Status;
use wikitop::web::{self, Config, Limits, Views};

/// Ten changes a second.
const FRAME_EVERY: Duration = Duration::from_millis(100);

/// A top 10 in which two users change with each frame. The count of one is the time of the change in microseconds, and what a
/// frame deletes is what the one before inserted, so that a client can see both its latency and that it missed nothing.
struct Top10;

/// Serves until stdin ends.
pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (_status, told) = watch::channel(Status::default());
        let config = Config {
            address: Address::local(address),
            status: told,
            allow_origin: Vec::new(),
            limits: Limits {
                clients_max: usize::MAX,
                clients_per_address_max: usize::MAX,
                ..Limits::default()
            },
        };
        println!("{address}");
        std::io::stdout().flush().expect("the parent reads");
        let stopped = async {
            let read = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
            let _ = read.await;
        };
        web::serve(listener, config, Arc::new(Top10), stopped)
            .await
            .expect("it serves");
    });
}

impl Views for Top10 {
    fn subscribe(&self, _view: &str) -> BoxStream<'static, Event> {
        let columns = [("user", "text"), ("count", "bigint")].map(|(name, ty)| Column {
            name: name.into(),
            ty: ty.into(),
        });
        let first = now_us();
        let rows = (0..8)
            .map(|user| row(&format!("Some editor {user}"), 1_000_000 + user))
            .chain(pair(first));
        let snapshot = frame(first, Vec::new(), rows.collect());
        let opening = [
            Event::Opened {
                columns: columns.into(),
            },
            Event::Frame(Arc::new(snapshot)),
        ];
        let mut ticks = interval_at(Instant::now() + FRAME_EVERY, FRAME_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let frames = stream::unfold((ticks, first), |(mut ticks, last)| async move {
            ticks.tick().await;
            let now = now_us();
            let frame = frame(now, pair(last).to_vec(), pair(now).to_vec());
            Some((Event::Frame(Arc::new(frame)), (ticks, now)))
        });
        stream::iter(opening).chain(frames).boxed()
    }

    fn list(&self) -> BoxFuture<'static, Result<Vec<String>, String>> {
        Box::pin(async { Ok(vec!["top10".to_owned()]) })
    }
}

fn frame(now_us: u64, deleted: Vec<Row>, inserted: Vec<Row>) -> Frame {
    Frame {
        timestamp_ms: now_us / 1000,
        deleted,
        inserted,
    }
}

fn pair(now_us: u64) -> [Row; 2] {
    [row("@", now_us), row("Another editor", now_us / 1000)]
}

fn row(user: &str, count: u64) -> Row {
    Row::from_copy_text(Bytes::from(format!("{user}\t{count}"))).expect("text")
}

fn now_us() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
