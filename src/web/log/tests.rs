//! The property that all else serves: whatever the pattern of slowness and reconnects, what a client holds after a message
//! is what the view held at the message's time.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
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

fn columns(texts: bool) -> Arc<[Column]> {
    let column = |name: &str, ty: &str| Column {
        name: name.into(),
        ty: ty.into(),
    };
    let count = if texts { "text" } else { "bigint" };
    [column("user", "text"), column("count", count)].into()
}

fn row(key: u8) -> Row {
    Row::from_copy_text(Bytes::from(format!("user {key}\t{key}"))).unwrap()
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

fn log(frames_max: usize, rows: usize) -> Log {
    let mut log = Log::new(
        "v",
        Bounds {
            frames_max,
            rows_max: 1000,
            fresh_rows_max: 1000,
        },
        Counter::default(),
    );
    log.opened(&columns(false));
    let inserted = (0..rows)
        .map(|key| row(u8::try_from(key).unwrap()))
        .collect();
    log.push(Arc::new(Frame {
        timestamp_ms: 1,
        deleted: Vec::new(),
        inserted,
    }));
    log
}

/// Replaces one row by another.
fn replace(log: &mut Log, timestamp_ms: u64, deleted: u8, inserted: u8) {
    let (deleted, inserted) = (vec![row(deleted)], vec![row(inserted)]);
    log.push(Arc::new(Frame {
        timestamp_ms,
        deleted,
        inserted,
    }));
}

fn sent(log: &mut Log, cursor: &mut Cursor) -> (String, u64) {
    match log.next(cursor) {
        Step::Send(message) => (message.text.trim_end().to_owned(), message.frames),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_client_that_keeps_up_shares_its_text_with_all_others() {
    let mut log = log(10, 2);
    let mut cursors = [
        Cursor::new(Form::Plain, Held::Nothing),
        Cursor::new(Form::Events, Held::FromNow),
    ];
    for cursor in &mut cursors {
        log.next(cursor);
    }
    replace(&mut log, 2, 0, 9);
    let texts = cursors.map(|mut cursor| match log.next(&mut cursor) {
        Step::Send(message) => message.text.as_str().as_ptr(),
        other => panic!("{other:?}"),
    });
    assert_eq!(texts[0], texts[1]);
    assert_eq!(log.serialised.get(), 2, "the snapshot and the frame");
}

#[test]
fn a_slow_client_gets_what_is_smaller_but_a_plain_one_the_difference_while_it_can() {
    let mut log = log(10, 1);
    let mut plain = Cursor::new(Form::Plain, Held::Nothing);
    let mut named = Cursor::new(Form::Named, Held::Nothing);
    sent(&mut log, &mut plain);
    sent(&mut log, &mut named);
    replace(&mut log, 2, 0, 1);
    replace(&mut log, 3, 1, 2);
    let (text, frames) = sent(&mut log, &mut plain);
    assert_eq!(
        text,
        r#"{"deleted":[["user 0",0]],"inserted":[["user 2",2]],"timestamp":3}"#
    );
    assert_eq!(frames, 2);
    let (text, frames) = sent(&mut log, &mut named);
    assert!(
        text.contains(r#""inserted":[["user 2",2]],"timestamp":3,"snapshot":true"#),
        "{text}"
    );
    assert_eq!(frames, 0);
}

#[test]
fn a_client_behind_the_oldest_frame_gets_a_marked_snapshot() {
    let mut log = log(2, 1);
    let mut cursor = Cursor::new(Form::Plain, Held::Nothing);
    sent(&mut log, &mut cursor);
    for time in 2..5 {
        replace(
            &mut log,
            time,
            u8::try_from(time - 2).unwrap(),
            u8::try_from(time - 1).unwrap(),
        );
    }
    let (text, _) = sent(&mut log, &mut cursor);
    assert_eq!(
        text,
        r#"{"deleted":[],"inserted":[["user 3",3]],"timestamp":4,"snapshot":true}"#
    );
}

#[test]
fn a_large_snapshot_is_made_once_while_its_frames_are_kept() {
    let bounds = Bounds {
        frames_max: 3,
        rows_max: 1000,
        fresh_rows_max: 2,
    };
    let mut log = Log::new("v", bounds, Counter::default());
    log.opened(&columns(false));
    let inserted = (0..4).map(row).collect();
    log.push(Arc::new(Frame {
        timestamp_ms: 1,
        deleted: Vec::new(),
        inserted,
    }));
    let come = |log: &mut Log| {
        let mut cursor = Cursor::new(Form::Plain, Held::Nothing);
        let first = log.next(&mut cursor);
        let Step::Send(first) = first else {
            panic!("{first:?}")
        };
        (
            first.text.as_str().as_ptr(),
            first.timestamp_ms,
            log.next(&mut cursor),
        )
    };
    let (text, time, then) = come(&mut log);
    assert_eq!((time, then), (Some(1), Step::Idle));
    for time in 2..5 {
        let key = u8::try_from(time).unwrap();
        replace(&mut log, time, key - 2, key + 2);
        let (again, from, then) = come(&mut log);
        assert_eq!((again, from), (text, Some(1)));
        assert!(matches!(then, Step::Send(Message { timestamp_ms: Some(at), .. }) if at == time));
    }
    replace(&mut log, 5, 3, 7);
    assert_eq!(come(&mut log).1, Some(5), "its frames are gone");
}

#[test]
fn what_cancels_out_is_not_told() {
    let mut log = log(10, 1);
    let mut cursor = Cursor::new(Form::Plain, Held::Nothing);
    sent(&mut log, &mut cursor);
    replace(&mut log, 2, 0, 1);
    replace(&mut log, 3, 1, 0);
    assert_eq!(log.next(&mut cursor), Step::Idle);
}

#[test]
fn a_client_that_comes_back_goes_on_where_it_was() {
    let mut log = log(2, 5);
    replace(&mut log, 2, 0, 7);
    replace(&mut log, 3, 1, 8);
    let at = |log: &mut Log, time| sent(log, &mut Cursor::new(Form::Events, Held::At(time))).0;
    assert_eq!(
        at(&mut log, 2),
        r#"{"deleted":[["user 1",1]],"inserted":[["user 8",8]],"timestamp":3}"#
    );
    assert_eq!(
        at(&mut log, 1),
        r#"{"deleted":[["user 0",0],["user 1",1]],"inserted":[["user 7",7],["user 8",8]],"timestamp":3}"#
    );
    let here = Cursor::new(Form::Events, Held::At(3));
    assert_eq!(log.next(&mut here.clone()), Step::Idle);
    replace(&mut log, 4, 2, 9);
    for unknown in [1, 99] {
        assert!(
            at(&mut log, unknown).contains("\"snapshot\":true"),
            "{unknown}"
        );
    }
}

#[test]
fn the_end_of_a_view_is_the_last_word() {
    let mut log = log(10, 1);
    let failure = Failure {
        kind: FailureKind::Refused,
        reason: "dropped".into(),
    };
    log.failed(failure.clone());
    assert_eq!(
        log.next(&mut Cursor::new(Form::Plain, Held::Nothing)),
        Step::Failed(failure.clone())
    );
    assert_eq!(log.readiness(), Readiness::Failed(failure));
}
