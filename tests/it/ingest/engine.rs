//! The live stream, and recordings, into a real embedded engine that is stopped and started under the ingester.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio_postgres::NoTls;
use wikitop::core::address::Address;
use wikitop::engine;
use wikitop::ingest::{
    Config, IngestError, Input, Limits, LiveConfig, RecordingConfig, Source, Speed, Status,
    Summary, Target, run,
};

use crate::support::changes::{Changes, Counts, count};
use crate::support::eventstreams::{Conduct, EventStreams, Message};
use crate::support::process::DEADLINE;

/// When the fixtures' changes begin.
const START_MS: i64 = 1_785_900_000_000;

/// An engine with its views, which keeps address and data when it is started again.
struct Engine {
    data: tempfile::TempDir,
    address: SocketAddr,
    door: Option<Door>,
}

struct Door {
    stop: oneshot::Sender<()>,
    open: JoinHandle<std::io::Result<()>>,
    running: engine::Running,
}

impl Engine {
    async fn start() -> Engine {
        let data = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut engine = Engine {
            data,
            address: listener.local_addr().unwrap(),
            door: None,
        };
        engine.open(listener);
        engine
            .client()
            .await
            .batch_execute(include_str!("../../../assets/views.sql"))
            .await
            .unwrap();
        engine
    }

    fn open(&mut self, listener: TcpListener) {
        let config = engine::Config {
            data_dir: self.data.path().to_owned(),
            retain: engine::RETAIN_DEFAULT,
        };
        let (handle, running) = engine::start(config).unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        self.door = Some(Door {
            stop,
            open: tokio::spawn(engine::door::run(listener, handle, shutdown)),
            running,
        });
    }

    async fn stop(&mut self) {
        let door = self.door.take().unwrap();
        drop(door.stop);
        door.open.await.unwrap().unwrap();
        door.running.stop().await.unwrap();
    }

    async fn restart(&mut self) {
        self.stop().await;
        self.open(TcpListener::bind(self.address).await.unwrap());
    }

    async fn client(&self) -> tokio_postgres::Client {
        let port = self.address.port();
        let config = format!("host=127.0.0.1 port={port} user=materialize dbname=materialize");
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// What the views say, in the form of a count from scratch.
    async fn counts(&self) -> Counts {
        let client = self.client().await;
        let by = async |query: &str| -> BTreeMap<String, i64> {
            let rows = client.query(query, &[]).await.unwrap();
            rows.iter().map(|row| (row.get(0), row.get(1))).collect()
        };
        Counts {
            counter: client
                .query_one("SELECT count FROM counter", &[])
                .await
                .unwrap()
                .get(0),
            user_edits: by("SELECT \"user\", count FROM user_edits").await,
            changes_by_type: by("SELECT type, count FROM changes_by_type").await,
        }
    }
}

struct Ingester {
    status: watch::Receiver<Status>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Summary, IngestError>>,
}

impl Ingester {
    fn start(engine: &Engine, source: Source) -> Ingester {
        let sender = watch::Sender::new(Status::default());
        let status = sender.subscribe();
        let (stop, stopped) = oneshot::channel();
        let config = Config {
            source,
            target: Target::Engine(Address::local(engine.address)),
            limits: Limits::default(),
            status: sender,
        };
        let task = tokio::spawn(run(config, async { drop(stopped.await) }));
        Ingester { status, stop, task }
    }

    fn follow(engine: &Engine, service: &EventStreams) -> Ingester {
        let live = LiveConfig {
            url: service.url(),
            contact: None,
            since_ms: Some(START_MS - 60_000),
            silence_max: Duration::from_secs(5),
        };
        Ingester::start(engine, Source::Live(live))
    }

    async fn until(&mut self, reached: impl FnMut(&Status) -> bool) {
        let waiting = tokio::time::timeout(DEADLINE, self.status.wait_for(reached));
        let is_reached = waiting.await.is_ok();
        assert!(is_reached, "still {:?}", self.status.borrow());
    }

    async fn stop(self) -> Summary {
        drop(self.stop);
        self.task.await.unwrap().unwrap()
    }
}

fn counts(messages: &[Message]) -> Counts {
    count(messages.iter().map(|message| message.json.as_str()))
}

/// Waits until every change of the messages is in the engine.
async fn until_all(engine: &Engine, messages: &[Message]) {
    let total: i64 = counts(messages).changes_by_type.values().sum();
    let client = engine.client().await;
    let asking = async {
        while client
            .query_one("SELECT count(*) FROM recentchanges", &[])
            .await
            .unwrap()
            .get::<_, i64>(0)
            < total
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(4 * DEADLINE, asking)
        .await
        .expect("they arrive");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reconnects_and_three_restarts_of_the_engine_lose_and_double_nothing() {
    let mut fixture = Changes::new(31, START_MS);
    let mut messages = Vec::new();
    for _ in 0..4 {
        messages.extend(fixture.take(5_000));
        fixture.flip();
    }
    let mut random = fastrand::Rng::with_seed(32);
    let service = EventStreams::start(messages.clone()).await;
    service.script((0..400).map(|attempt| match attempt % 3 {
        0 => Conduct::CloseAfterEvents(random.usize(270..300)),
        _ => Conduct::CutAfterBytes(random.usize(230_000..260_000)),
    }));
    let mut engine = Engine::start().await;
    let mut ingester = Ingester::follow(&engine, &service);
    for kept in [3_000, 8_000, 12_000] {
        ingester.until(|status| status.counters.kept > kept).await;
        engine.restart().await;
    }
    until_all(&engine, &messages).await;
    let counters = ingester.stop().await.status.counters;
    assert_eq!(engine.counts().await, counts(&messages));
    assert!(
        counters.reconnects.total() >= 100,
        "{:?}",
        counters.reconnects
    );
    assert_eq!((counters.sink_losses, counters.pending()), (3, 0));
    // The state on disk says the same.
    engine.restart().await;
    assert_eq!(engine.counts().await, counts(&messages));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ingesters_on_one_engine_are_harmless() {
    let messages = Changes::new(33, START_MS).take(2_000);
    let service = EventStreams::start(messages.clone()).await;
    service.script((0..6).map(|_| Conduct::CloseAfterEvents(700)));
    let engine = Engine::start().await;
    let (one, two) = (
        Ingester::follow(&engine, &service),
        Ingester::follow(&engine, &service),
    );
    until_all(&engine, &messages).await;
    one.stop().await;
    two.stop().await;
    assert_eq!(engine.counts().await, counts(&messages));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_keeps_what_the_engine_did_not_acknowledge() {
    let messages = Changes::new(34, START_MS).take(6_000);
    let mut recording = tempfile::NamedTempFile::new().unwrap();
    for message in &messages {
        use std::io::Write;
        writeln!(recording, "{}", message.json).unwrap();
    }
    let mut engine = Engine::start().await;
    let config = || {
        Source::Recording(RecordingConfig {
            input: Input::File(recording.path().to_owned()),
            speed: Speed::Max,
        })
    };
    let mut ingester = Ingester::start(&engine, config());
    ingester.until(|status| status.counters.batches > 0).await;
    engine.restart().await;
    let summary = ingester.task.await.unwrap().unwrap();
    assert_eq!(summary.status.counters.pending(), 0);
    assert_eq!(engine.counts().await, counts(&messages));
    // Played again, it adds nothing.
    Ingester::start(&engine, config())
        .task
        .await
        .unwrap()
        .unwrap();
    assert_eq!(engine.counts().await, counts(&messages));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_away_is_waited_for_and_holds_up_nothing_else() {
    let messages = Changes::new(35, START_MS).take(300);
    let service = EventStreams::start(messages.clone()).await;
    let mut engine = Engine::start().await;
    engine.stop().await;
    let mut ingester = Ingester::follow(&engine, &service);
    ingester
        .until(|status| status.counters.sink_losses > 2)
        .await;
    assert!(
        service.requests().is_empty(),
        "without a position nothing is asked for"
    );
    engine.open(TcpListener::bind(engine.address).await.unwrap());
    until_all(&engine, &messages).await;
    // Away for good, and told to end: nothing is on its way, so nothing is amiss.
    engine.stop().await;
    ingester
        .until(|status| status.counters.sink_losses > 3 || status.counters.pending() == 0)
        .await;
    assert_eq!(ingester.stop().await.status.counters.pending(), 0);
}
