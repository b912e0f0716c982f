//! The property that all else serves: whatever the pattern of slowness and reconnects, what a client holds after a message
//! is what the view held at the message's time.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::super::*;
use super::{columns, row};
use crate::core::frame::Row;

/// JSON rows, and how often each is there.
type Rows = BTreeMap<String, i64>;

#[derive(Debug, Clone)]
enum Op {
    /// The view takes on these rows, each so often.
    Change(Vec<(u8, u8)>),
    /// The engine goes away.
    Lose,
    /// It is back, with these rows, and perhaps the count is now a text.
    Reopen(Vec<(u8, u8)>, bool),
    /// A client reads so many messages.
    Read(usize, u8),
    /// A client's connection breaks; it comes back with the time of its last message, if its form can, or with nothing.
    Reconnect(usize),
}

fn rows() -> impl Strategy<Value = Vec<(u8, u8)>> {
    vec((0..6_u8, 0..3_u8), 0..6)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => rows().prop_map(Op::Change),
        1 => Just(Op::Lose),
        1 => (rows(), any::<bool>()).prop_map(|(rows, texts)| Op::Reopen(rows, texts)),
        4 => (0..CLIENTS.len(), 1..4_u8).prop_map(|(client, messages)| Op::Read(client, messages)),
        1 => (0..CLIENTS.len()).prop_map(Op::Reconnect),
    ]
}

/// Each form; of the plain one also a client that has the rows from elsewhere and wants only what comes.
const CLIENTS: [(Form, Held); 4] = [
    (Form::Plain, Held::Nothing),
    (Form::Events, Held::Nothing),
    (Form::Named, Held::Nothing),
    (Form::Plain, Held::FromNow),
];

struct Client {
    kind: (Form, Held),
    cursor: Cursor,
    rows: Rows,
    timestamp_ms: u64,
    told_lost: bool,
}

/// The view itself, and what it held at each time.
struct World {
    log: Log,
    columns: Arc<[Column]>,
    rows: BTreeMap<Row, i64>,
    now_ms: u64,
    lost: bool,
    history: BTreeMap<u64, Rows>,
}

impl World {
    fn new(bounds: Bounds, rows: &[(u8, u8)]) -> Self {
        let mut world = World {
            log: Log::new("v", bounds, Counter::default()),
            columns: columns(false),
            rows: BTreeMap::new(),
            now_ms: 1000,
            lost: false,
            history: BTreeMap::new(),
        };
        world.log.opened(&world.columns);
        world.change(rows);
        world
    }

    /// Goes on to these rows in one frame.
    fn change(&mut self, rows: &[(u8, u8)]) {
        self.now_ms += 7;
        let mut next: BTreeMap<Row, i64> = BTreeMap::new();
        for (key, times) in rows {
            next.insert(row(*key), i64::from(*times));
        }
        next.retain(|_, times| *times > 0);
        let mut frame = Frame {
            timestamp_ms: self.now_ms,
            deleted: Vec::new(),
            inserted: Vec::new(),
        };
        for key in 0..6 {
            let row = row(key);
            let times = |rows: &BTreeMap<Row, i64>| rows.get(&row).copied().unwrap_or(0);
            for _ in times(&next)..times(&self.rows) {
                frame.deleted.push(row.clone());
            }
            for _ in times(&self.rows)..times(&next) {
                frame.inserted.push(row.clone());
            }
        }
        self.rows = next;
        self.log.push(Arc::new(frame));
        let (state, columns) = self.log.current().unwrap();
        let table =
            serde_json::from_str::<Value>(&wire::table("v", columns, 0, &expanded(&self.rows)))
                .unwrap();
        let mut held = Rows::new();
        for row in table["rows"].as_array().unwrap() {
            *held.entry(row.to_string()).or_default() += 1;
        }
        self.history.insert(state.timestamp_ms, held);
    }
}

fn expanded(rows: &BTreeMap<Row, i64>) -> Vec<Row> {
    let repeated = |(row, times): (&Row, &i64)| {
        std::iter::repeat_n(row.clone(), usize::try_from(*times).unwrap())
    };
    rows.iter().flat_map(repeated).collect()
}

impl Client {
    fn new(kind: (Form, Held)) -> Self {
        Client {
            kind,
            cursor: Cursor::new(kind.0, kind.1),
            rows: Rows::new(),
            timestamp_ms: 0,
            told_lost: false,
        }
    }

    /// Comes back over a new connection.
    fn reconnect(&mut self) {
        let held = match self.kind {
            (Form::Events, _) if self.timestamp_ms > 0 => Held::At(self.timestamp_ms),
            (_, held) => held,
        };
        self.cursor = Cursor::new(self.kind.0, held);
        self.told_lost = false;
        if held == Held::Nothing || held == Held::FromNow {
            self.rows.clear();
            self.timestamp_ms = 0;
        }
    }

    /// Reads one message; whether there was one.
    fn read(&mut self, world: &mut World) -> bool {
        if self.cursor.held == Held::FromNow {
            // It has the rows that are there when its stream begins.
            let state = world.log.current().unwrap().0;
            self.timestamp_ms = state.timestamp_ms;
            self.rows = world.history[&state.timestamp_ms].clone();
        }
        let Step::Send(message) = world.log.next(&mut self.cursor) else {
            return false;
        };
        let json: Value = serde_json::from_str(&message.text).unwrap();
        if let Some(lost) = json["reconnecting"].as_bool() {
            self.told_lost = lost;
            return true;
        }
        self.apply(&json);
        assert_eq!(Some(self.timestamp_ms), message.timestamp_ms);
        assert_eq!(self.rows, world.history[&self.timestamp_ms], "after {json}");
        true
    }

    /// What a client does with a message, knowing nothing but the message.
    fn apply(&mut self, json: &Value) {
        let time = json["timestamp"].as_u64().unwrap();
        assert!(time >= self.timestamp_ms, "time runs backwards");
        let snapshot = json["snapshot"] == true;
        if self.kind.0 == Form::Named {
            assert_eq!(
                (&json["view"], snapshot),
                (&"v".into(), json["columns"].is_array())
            );
        }
        if snapshot {
            self.rows.clear();
        }
        for row in json["deleted"].as_array().unwrap() {
            let times = self
                .rows
                .get_mut(&row.to_string())
                .expect("what goes was there");
            *times -= 1;
            if *times == 0 {
                self.rows.remove(&row.to_string());
            }
        }
        for row in json["inserted"].as_array().unwrap() {
            *self.rows.entry(row.to_string()).or_default() += 1;
        }
        self.timestamp_ms = time;
    }
}

proptest! {
    #[test]
    fn what_a_client_holds_is_what_the_view_held(
        frames_max in 1..6_usize,
        rows_max in 1..40_usize,
        fresh_rows_max in 0..8_u64,
        first in rows(),
        ops in vec(op(), 0..80),
    ) {
        let mut world = World::new(Bounds { frames_max, rows_max, fresh_rows_max }, &first);
        let mut clients = CLIENTS.map(Client::new);
        for op in &ops {
            match op {
                Op::Change(rows) if !world.lost => world.change(rows),
                Op::Change(_) => {}
                Op::Lose => {
                    world.lost = true;
                    world.log.lost("gone");
                }
                Op::Reopen(rows, texts) => {
                    world.lost = false;
                    world.columns = columns(*texts);
                    let columns = world.columns.clone();
                    world.log.opened(&columns);
                    world.change(rows);
                }
                Op::Read(client, messages) => {
                    for _ in 0..*messages {
                        clients[*client].read(&mut world);
                    }
                }
                Op::Reconnect(client) => clients[*client].reconnect(),
            }
        }
        let now = world.log.current().unwrap().0.timestamp_ms;
        for client in &mut clients {
            let mut messages = 0;
            while client.read(&mut world) {
                messages += 1;
            }
            prop_assert!(messages <= 3, "{messages} messages to catch up");
            prop_assert_eq!(&client.rows, &world.history[&now]);
            prop_assert_eq!(client.told_lost, world.lost && client.kind.0 == Form::Named);
        }
    }
}
