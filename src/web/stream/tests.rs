//! The property of the log, for whole sessions: whatever the pattern of changes, slowness, reconnects of the engine and of the
//! client, and whatever the client asked for, what it holds of each view after a message is what the view held at the
//! message's time; and it gets no more messages than it asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use tokio::sync::mpsc;

use super::*;
use crate::core::frame::{Column, Frame, Row};
use crate::core::subscription::Event;
use crate::web::admission::Admission;
use crate::web::hub::Hub;
use crate::web::limits::Limits;
use crate::web::log::{Form, Held};
use crate::web::metrics::Transport;
use crate::web::views::Views;

const VIEWS: [&str; 3] = ["counter", "top10", "latest"];

/// The keys of the rows that a view holds.
type Rows = BTreeSet<u8>;

#[derive(Debug, Clone)]
enum Op {
    /// A view takes on these rows.
    Change(usize, Rows),
    /// A view's connection to the engine is lost.
    Lose(usize),
    /// It is back, and the view holds these rows.
    Reopen(usize, Rows),
    /// Time passes.
    Wait(u64),
    /// The client takes so many messages.
    Read(u8),
    /// The client's connection breaks; it comes back as such a client.
    Reconnect(Kind),
}

/// What a client asked for.
#[derive(Debug, Clone, Copy)]
struct Kind {
    snapshot: bool,
    interval_ms: u64,
}

fn rows() -> impl Strategy<Value = Rows> {
    proptest::collection::btree_set(0..8_u8, 0..6)
}

fn kind() -> impl Strategy<Value = Kind> {
    (any::<bool>(), prop_oneof![Just(0), 1..500_u64]).prop_map(|(snapshot, interval_ms)| Kind {
        snapshot,
        interval_ms,
    })
}

fn op() -> impl Strategy<Value = Op> {
    let view = 0..VIEWS.len();
    prop_oneof![
        6 => (view.clone(), rows()).prop_map(|(view, rows)| Op::Change(view, rows)),
        1 => view.clone().prop_map(Op::Lose),
        2 => (view, rows()).prop_map(|(view, rows)| Op::Reopen(view, rows)),
        3 => (1..400_u64).prop_map(Op::Wait),
        5 => (1..5_u8).prop_map(Op::Read),
        1 => kind().prop_map(Op::Reconnect),
    ]
}

fn row(key: u8) -> Row {
    Row::from_copy_text(Bytes::from(key.to_string())).unwrap()
}

fn columns() -> Arc<[Column]> {
    let column = Column {
        name: "key".into(),
        ty: "bigint".into(),
    };
    [column].into()
}

/// The engine: a view's events go out through its sender.
#[derive(Default)]
struct Engine(Mutex<BTreeMap<String, mpsc::UnboundedSender<Event>>>);

impl Engine {
    fn tell(&self, view: &str, event: Event) {
        self.0.lock().unwrap()[view].send(event).unwrap();
    }
}

impl Views for Engine {
    fn subscribe(&self, view: &str) -> BoxStream<'static, Event> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.lock().unwrap().insert(view.to_owned(), sender);
        let next = |mut receiver: mpsc::UnboundedReceiver<Event>| async {
            Some((receiver.recv().await?, receiver))
        };
        stream::unfold(receiver, next).boxed()
    }

    fn list(&self) -> BoxFuture<'static, Result<Vec<String>, String>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// One view as the engine has it.
#[derive(Default)]
struct View {
    rows: Rows,
    lost: bool,
    /// What it held at each time.
    history: BTreeMap<u64, Rows>,
}

/// Everything but the client.
struct World {
    engine: Arc<Engine>,
    hub: Hub,
    /// Clients that show when an event has arrived.
    witnesses: Vec<Feed>,
    views: [View; VIEWS.len()],
    admission: Arc<Admission>,
    metrics: Arc<Metrics>,
    status: watch::Sender<Utf8Bytes>,
    timestamp_ms: u64,
    now: Instant,
}

impl World {
    async fn new() -> World {
        let (engine, metrics) = (Arc::new(Engine::default()), Arc::new(Metrics::default()));
        let hub = Hub::new(engine.clone(), Duration::from_secs(60), metrics.clone());
        let follow = |view| hub.follow(view, Form::Plain, Held::FromNow).unwrap();
        let mut world = World {
            witnesses: VIEWS.map(follow).into(),
            engine,
            hub,
            views: Default::default(),
            admission: Arc::new(Admission::new(Limits::default(), metrics.clone())),
            metrics,
            status: watch::Sender::new(Utf8Bytes::from_static("{\"status\":{}}\n")),
            timestamp_ms: 1000,
            // Later than any session is made: time is the test's.
            now: Instant::now() + Duration::from_secs(3600),
        };
        for view in 0..VIEWS.len() {
            world.reopen(view, Rows::from([7])).await;
        }
        world
    }

    async fn tell(&mut self, view: usize, event: Event) {
        self.engine.tell(VIEWS[view], event);
        self.witnesses[view].changed().await;
        self.witnesses[view].next();
    }

    async fn change(&mut self, view: usize, rows: Rows) {
        self.timestamp_ms += 3;
        let held = &mut self.views[view];
        let frame = Frame {
            timestamp_ms: self.timestamp_ms,
            deleted: held.rows.difference(&rows).copied().map(row).collect(),
            inserted: rows.difference(&held.rows).copied().map(row).collect(),
        };
        held.history.insert(self.timestamp_ms, rows.clone());
        held.rows = rows;
        self.tell(view, Event::Frame(Arc::new(frame))).await;
    }

    async fn lose(&mut self, view: usize) {
        self.views[view].lost = true;
        let (reason, retry_in) = ("gone".to_owned(), Duration::ZERO);
        self.tell(view, Event::Reconnecting { reason, retry_in })
            .await;
    }

    async fn reopen(&mut self, view: usize, rows: Rows) {
        self.views[view].lost = false;
        let columns = columns();
        self.tell(view, Event::Opened { columns }).await;
        self.change(view, rows).await;
    }

    /// A session for a new connection.
    fn session(&self, kind: Kind) -> Session {
        let held = if kind.snapshot {
            Held::Nothing
        } else {
            Held::FromNow
        };
        let follow = |view| self.hub.follow(view, Form::Named, held).unwrap();
        let address = [127, 0, 0, 1].into();
        Session::new(
            VIEWS.map(follow).into(),
            Some(self.status.subscribe()),
            Duration::from_millis(kind.interval_ms),
            self.metrics.clone(),
            self.admission.admit(address, Transport::Websocket).unwrap(),
        )
    }
}

/// A client, which knows nothing but what its messages say.
struct Client {
    kind: Kind,
    session: Session,
    held: BTreeMap<String, Rows>,
    lost: BTreeSet<String>,
    /// When the last message came that ended a burst.
    burst_ended: Option<Instant>,
    last: Option<Instant>,
}

impl Client {
    fn new(world: &World, kind: Kind) -> Client {
        let mut client = Client {
            kind,
            session: world.session(kind),
            held: BTreeMap::new(),
            lost: BTreeSet::new(),
            burst_ended: None,
            last: None,
        };
        if !kind.snapshot {
            // It has the rows that are there from elsewhere, and hears now that its stream begins.
            for (view, state) in VIEWS.iter().zip(&world.views) {
                client.held.insert((*view).to_owned(), state.rows.clone());
            }
            while client.read(world) {}
        }
        client
    }

    /// Takes one message, if there is one.
    fn read(&mut self, world: &World) -> bool {
        let message = match self.session.next(world.now) {
            Outgoing::Message(message) => message,
            Outgoing::Nothing => {
                self.burst_ended = self.last;
                return false;
            }
            Outgoing::NotBefore(_) => return false,
            Outgoing::End(reason) => panic!("{reason}"),
        };
        if let Some(ended) = self.burst_ended.take() {
            let passed = world.now - ended;
            assert!(
                passed >= Duration::from_millis(self.kind.interval_ms),
                "{passed:?}"
            );
        }
        self.last = Some(world.now);
        self.take(&serde_json::from_str(&message.text).unwrap(), world);
        true
    }

    fn take(&mut self, json: &Value, world: &World) {
        let Some(name) = json["view"].as_str() else {
            assert!(json["status"].is_object(), "{json}");
            return;
        };
        match json["reconnecting"].as_bool() {
            Some(true) => assert!(self.lost.insert(name.to_owned()), "{json}"),
            Some(false) => assert!(self.lost.remove(name), "{json}"),
            None => self.apply(name, json, world),
        }
    }

    fn apply(&mut self, name: &str, json: &Value, world: &World) {
        let begins = !self.held.contains_key(name);
        assert!(!begins || json["snapshot"] == true, "{json}");
        let held = self.held.entry(name.to_owned()).or_default();
        if json["snapshot"] == true {
            held.clear();
        }
        let keys = |rows: &Value| -> Vec<u8> {
            let rows = rows.as_array().unwrap().iter();
            rows.map(|row| u8::try_from(row[0].as_u64().unwrap()).unwrap())
                .collect()
        };
        for key in keys(&json["deleted"]) {
            assert!(held.remove(&key), "{key} was not there: {json}");
        }
        for key in keys(&json["inserted"]) {
            assert!(held.insert(key), "{key} is there twice: {json}");
        }
        let view = VIEWS.iter().position(|view| *view == name).unwrap();
        let time = json["timestamp"].as_u64().unwrap();
        assert_eq!(*held, world.views[view].history[&time], "after {json}");
    }
}

async fn check(first: Kind, ops: &[Op]) {
    let mut world = World::new().await;
    let mut client = Client::new(&world, first);
    for op in ops {
        match op {
            Op::Change(view, rows) if !world.views[*view].lost => {
                world.change(*view, rows.clone()).await;
            }
            Op::Change(..) => {}
            Op::Lose(view) => world.lose(*view).await,
            Op::Reopen(view, rows) => world.reopen(*view, rows.clone()).await,
            Op::Wait(ms) => world.now += Duration::from_millis(*ms),
            Op::Read(messages) => {
                for _ in 0..*messages {
                    client.read(&world);
                }
            }
            Op::Reconnect(kind) => client = Client::new(&world, *kind),
        }
    }
    world.now += Duration::from_millis(client.kind.interval_ms);
    let mut messages = 0;
    while client.read(&world) {
        messages += 1;
    }
    assert!(
        messages <= 1 + 2 * VIEWS.len(),
        "{messages} messages to catch up"
    );
    for (name, view) in VIEWS.iter().zip(&world.views) {
        assert_eq!(client.held[*name], view.rows, "{name}");
        assert_eq!(client.lost.contains(*name), view.lost, "{name}");
    }
    drop((client, std::mem::take(&mut world.witnesses)));
    world.hub.stop().await;
}

proptest! {
    #[test]
    fn what_a_client_of_several_views_holds_is_what_they_held(first in kind(), ops in vec(op(), 0..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(check(first, &ops));
    }
}

#[test]
fn views_are_named_once_whatever_they_are_called() {
    let read = |views: &str| {
        several(&HashMap::from([("views".to_owned(), views.to_owned())]))
            .map_err(|refusal| refusal.into_error())
    };
    assert_eq!(
        read("useredits, top10,,user_edits,top10"),
        Ok(vec!["user_edits".to_owned(), "top10".to_owned()])
    );
    let many: Vec<String> = (0..=VIEWS_PER_STREAM_MAX).map(|n| n.to_string()).collect();
    assert!(read(&many.join(",")).is_err());
    assert!(read(&many[1..].join(",")).is_ok());
    assert!(read(" , ").is_err());
}
