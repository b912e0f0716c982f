//! The engine that both designs stand on, and what happens in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use wikitop::core::address::Address;
use wikitop::core::connection::connect;
use wikitop::engine::door;
use wikitop::engine::handle::Engine;
use wikitop::engine::{self, RETAIN_DEFAULT, Running};

/// Ten changes a second.
const FRAME_EVERY: Duration = Duration::from_millis(100);

/// A `top10` whose counts are times, so that a client can see how old a message is, and that it missed nothing: what a frame
/// deletes is what the one before inserted. And a view that no socket's buffers hold, for the client that never reads.
const VIEWS: [&str; 2] = [
    "CREATE MATERIALIZED VIEW top10 AS SELECT \"user\", max(length_new) AS count FROM recentchanges
     WHERE wiki = 'testwiki' GROUP BY \"user\" ORDER BY count DESC, \"user\" LIMIT 10",
    "CREATE MATERIALIZED VIEW wide AS SELECT comment FROM recentchanges WHERE wiki = 'widewiki'",
];

/// A running engine that changes.
pub(crate) struct Feeder {
    /// Where it is.
    pub(crate) address: Address,
    /// Changes made so far, each of which is a frame.
    pub(crate) frames: Arc<AtomicU64>,
    running: Running,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    _data_dir: tempfile::TempDir,
}

impl Feeder {
    pub(crate) async fn start() -> Feeder {
        let data_dir = tempfile::tempdir().expect("a directory");
        let config = engine::Config {
            data_dir: data_dir.path().to_owned(),
            retain: RETAIN_DEFAULT,
        };
        let (engine, running) = engine::start(config).expect("an engine");
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = Address::local(listener.local_addr().expect("bound"));
        let serving = door::run(listener, engine.clone(), stop.clone().cancelled_owned());
        tasks.spawn(async move { serving.await.expect("it serves") });
        let connection = connect(&address).await.expect("the engine answers");
        for view in VIEWS {
            let made = connection.client.batch_execute(view).await;
            made.expect("the engine knows SQL");
        }
        begin(&engine).await;
        let frames = Arc::new(AtomicU64::new(0));
        tasks.spawn(feed(engine, frames.clone(), stop.clone()));
        Feeder {
            address,
            frames,
            running,
            tasks,
            stop,
            _data_dir: data_dir,
        }
    }

    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        self.running.stop().await.expect("it stops");
    }
}

/// What is there before the first client.
async fn begin(engine: &Engine) {
    let others = (0..8).map(|user| change("testwiki", &format!("Some editor {user}"), user, ""));
    let wide = "w".repeat(60_000);
    let wide = (0..16).map(|_| change("widewiki", "Wide", 0, &wide));
    append(engine, others.chain(wide).chain(pair()).collect()).await;
}

async fn feed(engine: Engine, frames: Arc<AtomicU64>, stop: CancellationToken) {
    let mut ticks = interval(FRAME_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        append(&engine, pair().to_vec()).await;
        frames.fetch_add(1, Ordering::Relaxed);
    }
}

/// What one frame is made of: the marked user's count is now.
fn pair() -> [Bytes; 2] {
    let now = now_us();
    [
        change("testwiki", "@", now, ""),
        change("testwiki", "Another editor", now / 1000, ""),
    ]
}

async fn append(engine: &Engine, changes: Vec<Bytes>) {
    let made = changes.len() as u64;
    let appended = engine.append(changes).await.expect("the disk has room");
    assert_eq!(appended.kept, made);
}

fn change(wiki: &str, user: &str, length: u64, comment: &str) -> Bytes {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let id = MADE.fetch_add(1, Ordering::Relaxed);
    let now = jiff::Timestamp::now();
    let json = json!({
        "type": "edit", "title": "A page", "user": user, "bot": false, "wiki": wiki, "comment": comment, "namespace": 0,
        "length": {"old": 0, "new": length}, "timestamp": now.as_second(),
        "meta": {"id": format!("{id:08x}-bench"), "dt": format!("{now:.3}"), "domain": "test", "uri": "https://test.wikipedia.org/"},
    });
    json.to_string().into()
}

pub(crate) fn now_us() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
