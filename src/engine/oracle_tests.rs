//! Random queries over random changes and passing time, held at every timestamp against an evaluation from scratch.
//!
//! The changes repeat, windows begin and end between two batches, and whatever is retained leaves in the end. Queries are
//! subscribed to directly, and again through views that they stand on: as random plans, and as random SQL.

mod random_plans;
mod random_sql;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use fastrand::Rng;

use super::error::SqlError;
use super::feed::{Feed, Tick};
use super::relations::CHANGE_COLUMNS;
use super::store::batch::Batch;
use super::value::Row;
use super::worker_tests::{Engine, RETAIN_MS};

/// One change and when it was there.
struct Kept {
    id: u32,
    row: Row,
    from_ms: u64,
    until_ms: u64,
}

/// Everything that ever was in `recentchanges`.
#[derive(Default)]
struct Model {
    kept: Vec<Kept>,
    seen: BTreeSet<u32>,
}

impl Model {
    fn rows(&self, at_ms: u64) -> Vec<Row> {
        self.kept
            .iter()
            .filter(|kept| kept.from_ms <= at_ms && at_ms < kept.until_ms)
            .map(|kept| kept.row.clone())
            .collect()
    }

    /// A change has arrived. One that is still known is no news; that holds for one that leaves in the same transaction too.
    fn arrive(&mut self, id: u32, document: String, from_ms: u64) {
        if !self.seen.insert(id) {
            return;
        }
        let batch = Batch::read(&[document.into()]).unwrap();
        let value = |at| batch.block.values(at).unwrap()[0].clone();
        self.kept.push(Kept {
            id,
            row: (0..CHANGE_COLUMNS.len()).map(value).collect(),
            from_ms,
            until_ms: u64::MAX,
        });
    }

    /// The oldest changes left at `now_ms`, so that `retained` stay. How long a block stays is the worker's business; that it
    /// leaves as a whole, the oldest first, and takes its identities along, is what queries see.
    fn expire(&mut self, retained: usize, now_ms: u64) {
        let there = self
            .kept
            .iter()
            .filter(|kept| kept.until_ms == u64::MAX)
            .count();
        let leaving = self
            .kept
            .iter_mut()
            .filter(|kept| kept.until_ms == u64::MAX);
        for kept in leaving.take(there - retained) {
            kept.until_ms = now_ms;
            self.seen.remove(&kept.id);
        }
    }
}

/// Lets time pass, and perhaps changes arrive or leave.
fn step(random: &mut Rng, engine: &mut Engine, model: &mut Model) {
    engine.now_ms += random.u64(1..400);
    match random.u8(..10) {
        0..7 => {
            let documents: Vec<(u32, String)> = (0..random.usize(..6))
                .map(|_| {
                    let id = random.u32(..200);
                    (id, random_change(random, id, engine.now_ms))
                })
                .collect();
            let texts: Vec<String> = documents.iter().map(|(_, text)| text.clone()).collect();
            let time = engine.append(&texts).timestamp_ms;
            for (id, text) in documents {
                model.arrive(id, text, time);
            }
        }
        7 | 8 => engine.pass(random.u64(..1_000)),
        _ => engine.pass(RETAIN_MS / 2),
    }
    model.expire(engine.retained(), engine.now_ms);
}

/// A change of few different values, some of them missing. Its points in time lie around the present.
fn random_change(random: &mut Rng, id: u32, now_ms: u64) -> String {
    let mut values = Rng::with_seed(u64::from(id));
    let mut fields = Vec::new();
    let mut maybe = |random: &mut Rng, field: String| {
        if random.u8(..6) > 0 {
            fields.push(field);
        }
    };
    let mut one_of = |words: &[&str]| words[values.usize(..words.len())].to_owned();
    for (name, words) in [
        ("user", &["Ann", "Bob", "Cid", "Zoë"][..]),
        ("type", &["edit", "new", "log"]),
        ("wiki", &["enwiki", "dewiki"]),
        ("title", &["a", "b", "edit", ""]),
    ] {
        maybe(random, format!(r#""{name}":"{}""#, one_of(words)));
    }
    maybe(random, format!(r#""bot":{}"#, values.bool()));
    maybe(random, format!(r#""minor":{}"#, values.bool()));
    let (old, new) = (values.i64(-1..3), values.i64(0..4));
    maybe(random, format!(r#""length":{{"old":{old},"new":{new}}}"#));
    maybe(random, format!(r#""id":{}"#, values.i64(0..6)));
    let until_ms = now_ms + values.u64(..3_000);
    maybe(random, format!(r#""revision":{{"new":{until_ms}}}"#));
    let from_ms = now_ms + values.u64(..1_500) - 500;
    maybe(random, format!(r#""timestamp":{from_ms}"#));
    let mut meta = format!(r#""id":"00000000-0000-0000-0000-{id:012}""#);
    if random.u8(..6) > 0 {
        let dt_ms = (now_ms + values.u64(..2_000) - 1_000) as i64;
        let dt = jiff::Timestamp::from_millisecond(dt_ms).unwrap();
        meta += &format!(r#","dt":"{dt}""#);
    }
    fields.push(format!(r#""meta":{{{meta}}}"#));
    format!("{{{}}}", fields.join(","))
}

/// Rows, and how often each is there.
type Counted = BTreeMap<Row, i64>;

fn counted(rows: Vec<Row>) -> Counted {
    let mut counted = BTreeMap::new();
    for row in rows {
        *counted.entry(row).or_default() += 1;
    }
    counted
}

/// A subscription to a query and the rows that its ticks add up to.
struct Watched<Q> {
    query: Q,
    feed: Feed,
    rows: Counted,
    as_of_ms: u64,
}

/// What a query gives at a time, by another way.
type FromScratch<'f, Q> = dyn Fn(&Q, u64) -> Result<Vec<Row>, SqlError> + 'f;

impl<Q: Debug> Watched<Q> {
    fn new(query: Q, feed: Feed) -> Self {
        Watched {
            query,
            feed,
            rows: BTreeMap::new(),
            as_of_ms: 0,
        }
    }

    /// Takes all waiting ticks; compares at every time at which anything changed, and at the last one.
    fn check(&mut self, from_scratch: &FromScratch<'_, Q>) {
        let expected = |query: &Q, time| {
            let rows = from_scratch(query, time);
            counted(rows.unwrap_or_else(|error| panic!("{error}: {query:#?}")))
        };
        while let Some(tick) = futures::FutureExt::now_or_never(self.feed.ticks.recv()) {
            let Tick {
                updates, upper_ms, ..
            } = tick.unwrap().unwrap();
            for same_time in updates.chunk_by(|(_, left, _), (_, right, _)| left == right) {
                let time = same_time[0].1;
                assert!(
                    self.as_of_ms <= time && time < upper_ms,
                    "{time} is out of order"
                );
                self.as_of_ms = time;
                for (row, _, diff) in same_time {
                    *self.rows.entry(row.clone()).or_default() += diff;
                }
                self.rows.retain(|_, count| *count != 0);
                let expected = expected(&self.query, time);
                assert_eq!(self.rows, expected, "at {time}: {:#?}", self.query);
            }
            self.as_of_ms = upper_ms;
        }
        let time = self.as_of_ms - 1;
        let expected = expected(&self.query, time);
        assert_eq!(self.rows, expected, "at last {time}: {:#?}", self.query);
    }
}

/// Runs a test with many seeds; the seed is what a failure needs to be repeated.
fn for_each_seed(seeds: std::ops::Range<u64>, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
