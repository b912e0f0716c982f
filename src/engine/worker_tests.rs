//! The worker under a clock that the test holds: what is durable, what is visible, and when.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};

use super::catalog::Catalog;
use super::definition::{Replan, replan};
use super::error::{SqlError, SqlState};
use super::expr::{Expr, Function};
use super::feed::{FEED_TICKS_MAX, Feed};
use super::handle::{Appended, Command};
use super::plan::{Aggregate, AggregateFunction, OrderKey, Plan, Query};
use super::store::batch::Batch;
use super::value::{Column, Row, Type, Value};
use super::worker::Worker;
use super::{Config, relations};

/// Some Tuesday.
const NOW_MS: u64 = 1_790_000_000_000;

/// How long the engines of these tests keep changes.
pub(super) const RETAIN_MS: u64 = 3_600_000;

pub(super) struct Engine {
    dir: TempDir,
    worker: Option<Worker>,
    catalog: Option<watch::Receiver<Arc<Catalog>>>,
    replan: Replan,
    pub(super) now_ms: u64,
}

impl Engine {
    /// Its views are those of [`plan`], by name.
    pub(super) fn new() -> Self {
        Self::with(plan)
    }

    /// Its views are made by SQL.
    pub(super) fn with_sql() -> Self {
        Self::with(replan)
    }

    fn with(replan: Replan) -> Self {
        let mut engine = Engine {
            dir: tempfile::tempdir().unwrap(),
            worker: None,
            catalog: None,
            replan,
            now_ms: NOW_MS,
        };
        engine.restart();
        engine
    }

    pub(super) fn restart(&mut self) {
        self.worker = None;
        let config = Config {
            data_dir: self.dir.path().to_owned(),
            retain: Duration::from_millis(RETAIN_MS),
        };
        let (worker, catalog) = Worker::open(&config, self.replan, self.now_ms).unwrap();
        (self.worker, self.catalog) = (Some(worker), Some(catalog));
    }

    pub(super) fn run<T>(
        &mut self,
        command: impl FnOnce(oneshot::Sender<Result<T, SqlError>>) -> Command,
    ) -> Result<T, SqlError> {
        let (reply, mut answer) = oneshot::channel();
        let worker = self.worker.as_mut().unwrap();
        worker.run(&mut vec![command(reply)], self.now_ms);
        answer.try_recv().unwrap()
    }

    pub(super) fn append(&mut self, documents: &[String]) -> Appended {
        let documents: Vec<Bytes> = documents.iter().cloned().map(Bytes::from).collect();
        let batch = Box::new(Batch::read(&documents).unwrap());
        self.run(|reply| Command::Append { batch, reply }).unwrap()
    }

    /// How many changes are retained.
    pub(super) fn retained(&self) -> usize {
        self.worker.as_ref().unwrap().retained()
    }

    fn create(&mut self, name: &str) {
        self.create_as(name, plan(name, &relations::catalog()).unwrap());
    }

    pub(super) fn create_as(&mut self, name: &str, query: Query) {
        self.create_statement(name, name, query);
    }

    pub(super) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.as_ref().unwrap().borrow().clone()
    }

    pub(super) fn create_statement(&mut self, name: &str, sql: &str, query: Query) {
        let query = Arc::new(query);
        let (name, sql) = (name.into(), sql.into());
        self.run(|reply| Command::CreateView {
            name,
            sql,
            query,
            reply,
        })
        .unwrap();
    }

    pub(super) fn subscribe(&mut self, query: Query) -> Feed {
        self.try_subscribe(query).unwrap()
    }

    fn try_subscribe(&mut self, query: Query) -> Result<Feed, SqlError> {
        let query = Arc::new(query);
        self.run(|reply| Command::Subscribe { query, reply })
    }

    fn rows(&mut self, view: &str) -> Vec<String> {
        let arity = plan(view, &relations::catalog()).unwrap().plan.arity();
        let mut feed = self.subscribe(query(get(view, &(0..arity).collect::<Vec<_>>())));
        rows(&fold(&mut feed))
    }

    pub(super) fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.worker.as_mut().unwrap().advance(self.now_ms);
    }
}

/// Everything that waits in a feed, added up.
fn fold(feed: &mut Feed) -> BTreeMap<Row, i64> {
    let mut rows = BTreeMap::new();
    fold_into(&mut rows, feed);
    rows
}

pub(super) fn fold_into(rows: &mut BTreeMap<Row, i64>, feed: &mut Feed) {
    while let Some(tick) = futures::FutureExt::now_or_never(feed.ticks.recv()) {
        for (row, _, diff) in tick.unwrap().unwrap().updates.iter() {
            *rows.entry(row.clone()).or_default() += diff;
        }
    }
    rows.retain(|_, count| *count != 0);
}

fn rows(rows: &BTreeMap<Row, i64>) -> Vec<String> {
    rows.iter()
        .map(|(row, count)| {
            let values: Vec<String> = row
                .values()
                .iter()
                .map(|value| {
                    value
                        .text()
                        .map_or("NULL".to_owned(), |text| text.into_owned())
                })
                .collect();
            format!("{} x{count}", values.join(" "))
        })
        .collect()
}

fn change(id: u32, user: &str, kind: &str) -> String {
    format!(
        r#"{{"meta":{{"id":"00000000-0000-0000-0000-{id:012}","topic":"t","partition":0,"offset":{id},"dt":"2026-09-21T15:06:40Z"}},"user":"{user}","type":"{kind}"}}"#
    )
}

fn changes(ids: std::ops::Range<u32>, user: &str) -> Vec<String> {
    ids.map(|id| change(id, user, "edit")).collect()
}

pub(super) fn column(name: &str) -> usize {
    relations::CHANGE_COLUMNS
        .iter()
        .position(|(column, _)| *column == name)
        .unwrap()
}

pub(super) fn get(name: &str, columns: &[usize]) -> Plan {
    Plan::Get {
        name: name.into(),
        columns: columns.to_vec(),
    }
}

pub(super) fn query(plan: Plan) -> Query {
    let columns = (0..plan.arity())
        .map(|at| Column {
            name: format!("c{at}").into(),
            ty: Type::Text,
            nullable: true,
        })
        .collect();
    Query {
        plan,
        columns,
        order: Vec::new(),
    }
}

fn count_star() -> Aggregate {
    Aggregate {
        function: AggregateFunction::Count,
        argument: None,
        distinct: false,
        filter: None,
        order: Vec::new(),
    }
}

fn edits(columns: &[&str]) -> Box<Plan> {
    let mut at: Vec<usize> = columns.iter().map(|name| column(name)).collect();
    at.push(column("type"));
    let is = |kind: &str| {
        let literal = Expr::Literal(Value::Text(kind.into()), Type::Text);
        Expr::Call(Function::Equal, vec![Expr::Column(at.len() - 1), literal])
    };
    Box::new(Plan::Filter {
        predicate: Expr::Call(Function::Or, vec![is("edit"), is("new")]),
        input: Box::new(get("recentchanges", &at)),
    })
}

/// The plans of the views that these tests use.
fn plan(view: &str, _: &Catalog) -> Result<Query, SqlError> {
    let aggregate = |input, keys: Vec<Expr>| Plan::Aggregate {
        input,
        keys,
        aggregates: vec![count_star()],
    };
    let order = |at, descending| OrderKey {
        expr: Expr::Column(at),
        descending,
        nulls_first: descending,
    };
    Ok(query(match view {
        "counter" => aggregate(edits(&[]), vec![]),
        "user_edits" => aggregate(edits(&["user"]), vec![Expr::Column(0)]),
        "top2" => Plan::TopK {
            input: Box::new(get("user_edits", &[0, 1])),
            order: vec![order(1, true), order(0, false)],
            limit: Some(2),
            offset: 0,
        },
        "ingest_position" => get("ingest_position", &[0, 1, 2, 3]),
        // Views of other tests, which never restart.
        _ => get(view, &[]),
    }))
}

fn with_views() -> Engine {
    let mut engine = Engine::new();
    for view in ["counter", "user_edits", "top2"] {
        engine.create(view);
    }
    engine
}

#[test]
fn an_empty_engine_has_counted_to_zero() {
    let mut engine = with_views();
    assert_eq!(engine.rows("counter"), ["0 x1"]);
    assert_eq!(engine.rows("user_edits"), Vec::<String>::new());
    engine.restart();
    assert_eq!(engine.rows("counter"), ["0 x1"]);
}

#[test]
fn repeats_count_once_and_survive_restarts() {
    let mut engine = with_views();
    engine.append(&changes(0..3, "Ann"));
    let appended = engine.append(&[changes(2..5, "Bob"), changes(4..5, "Bob")].concat());
    assert_eq!((appended.kept, appended.repeats), (2, 2));
    let expected = ["Ann 3 x1", "Bob 2 x1"];
    for _ in 0..3 {
        assert_eq!(engine.rows("user_edits"), expected);
        assert_eq!(engine.rows("counter"), ["5 x1"]);
        assert_eq!(engine.rows("ingest_position"), ["t 0 1790003200000 4 x1"]);
        engine.restart();
        assert_eq!(engine.append(&changes(0..5, "Eve")).kept, 0);
    }
}

#[test]
fn a_feed_brings_only_what_changed() {
    let mut engine = with_views();
    engine.append(
        &[
            changes(0..3, "Ann"),
            changes(10..12, "Bob"),
            changes(20..21, "Cid"),
        ]
        .concat(),
    );
    let mut feed = engine.subscribe(plan("top2", &relations::catalog()).unwrap());
    let mut state = fold(&mut feed);
    assert_eq!(rows(&state), ["Ann 3 x1", "Bob 2 x1"]);
    engine.append(&changes(21..24, "Cid"));
    let tick = futures::FutureExt::now_or_never(feed.ticks.recv())
        .unwrap()
        .unwrap()
        .unwrap();
    let updates: Vec<String> = tick
        .updates
        .iter()
        .map(|(row, _, diff)| format!("{} {diff}", row.values()[0].text().unwrap()))
        .collect();
    assert_eq!(updates, ["Bob -1", "Cid 1"]);
    assert!(
        tick.updates
            .iter()
            .all(|(_, time, _)| *time < tick.upper_ms)
    );
    engine.pass(1_000);
    fold_into(&mut state, &mut feed);
    assert!(!state.is_empty());
}

#[test]
fn all_time_outlives_the_retained_changes() {
    let mut engine = with_views();
    for batch in 0..40_u32 {
        engine.append(&changes(
            batch * 1000..batch * 1000 + 1000,
            &format!("user{}", batch % 7),
        ));
    }
    let count = || {
        query(Plan::Aggregate {
            input: Box::new(get("recentchanges", &[])),
            keys: vec![],
            aggregates: vec![count_star()],
        })
    };
    let mut retained = engine.subscribe(count());
    let mut state = fold(&mut retained);
    assert_eq!(rows(&state), ["40000 x1"]);
    engine.restart();
    let mut retained = engine.subscribe(count());
    state = fold(&mut retained);
    assert_eq!(rows(&state), ["40000 x1"]);
    engine.pass(3_600_001 + 1_000);
    fold_into(&mut state, &mut retained);
    assert_eq!(rows(&state), ["0 x1"]);
    for _ in 0..2 {
        assert_eq!(engine.rows("counter"), ["40000 x1"]);
        assert_eq!(engine.rows("top2"), ["user0 6000 x1", "user1 6000 x1"]);
        engine.restart();
    }
    // What has left is no longer known: it counts again.
    assert_eq!(engine.append(&changes(0..1, "Ann")).kept, 1);
}

/// `sum(length_new)` by user over what is retained; a sum of text fails.
fn sum_of(name: &str) -> Plan {
    Plan::Aggregate {
        input: Box::new(get("recentchanges", &[column(name)])),
        keys: vec![],
        aggregates: vec![Aggregate {
            function: AggregateFunction::Sum,
            argument: Some(Expr::Column(0)),
            distinct: false,
            filter: None,
            order: Vec::new(),
        }],
    }
}

#[test]
fn an_error_poisons_the_query_that_has_it_until_its_row_is_gone() {
    let mut engine = with_views();
    let failing = || query(sum_of("user"));
    let mut feed = engine.subscribe(failing());
    let mut healthy = engine.subscribe(plan("counter", &relations::catalog()).unwrap());
    fold(&mut feed);
    fold(&mut healthy);
    engine.append(&changes(0..1, "Ann"));
    let error = futures::FutureExt::now_or_never(feed.ticks.recv())
        .unwrap()
        .unwrap();
    assert_eq!(error.unwrap_err().state, SqlState::DatatypeMismatch);
    assert!(
        futures::FutureExt::now_or_never(feed.ticks.recv())
            .unwrap()
            .is_none(),
        "the feed has ended"
    );
    assert_eq!(fold(&mut healthy).len(), 2, "the others go on");
    assert!(engine.try_subscribe(failing()).is_err());
    engine.pass(RETAIN_MS + 1_000);
    let rows_now = fold(&mut engine.subscribe(failing()));
    assert_eq!(rows(&rows_now), ["NULL x1"]);
}

#[test]
fn a_slow_subscriber_is_cut_off_and_others_are_not() {
    let mut engine = with_views();
    let counter = || plan("counter", &relations::catalog()).unwrap();
    let (mut slow, mut quick) = (engine.subscribe(counter()), engine.subscribe(counter()));
    let mut state = fold(&mut quick);
    for _ in 0..=FEED_TICKS_MAX {
        engine.pass(1_000);
        fold_into(&mut state, &mut quick);
    }
    engine.append(&changes(0..1, "Ann"));
    fold_into(&mut state, &mut quick);
    assert_eq!(rows(&state), ["1 x1"]);
    let mut last = None;
    while let Some(Some(tick)) = futures::FutureExt::now_or_never(slow.ticks.recv()) {
        last = Some(tick);
    }
    let error = last.unwrap().unwrap_err();
    assert_eq!(error.state, SqlState::ConfigurationLimitExceeded);
}

#[test]
fn a_view_that_others_use_is_not_dropped() {
    let mut engine = with_views();
    let mut drop_view = |name: &str| {
        let name = name.into();
        engine.run(|reply| Command::DropView { name, reply })
    };
    let error = drop_view("user_edits").unwrap_err();
    assert_eq!(error.state, SqlState::DependentObjectsStillExist);
    assert!(error.message.contains("\"top2\""), "{error}");
    assert_eq!(
        drop_view("recentchanges").unwrap_err().state,
        SqlState::WrongObjectType
    );
    assert_eq!(
        drop_view("nothing").unwrap_err().state,
        SqlState::UndefinedTable
    );
    drop_view("top2").unwrap();
    drop_view("user_edits").unwrap();
    engine.restart();
    assert_eq!(engine.catalog().relations.len(), 4);
    engine.append(&changes(0..2, "Ann"));
    engine.create("user_edits");
    assert_eq!(engine.rows("user_edits"), ["Ann 2 x1"]);
}

#[test]
fn a_dropped_view_ends_its_feeds() {
    let mut engine = with_views();
    let mut feed = engine.subscribe(plan("top2", &relations::catalog()).unwrap());
    fold(&mut feed);
    let name = "top2".into();
    engine
        .run(|reply| Command::DropView { name, reply })
        .unwrap();
    let error = futures::FutureExt::now_or_never(feed.ticks.recv())
        .unwrap()
        .unwrap();
    assert_eq!(error.unwrap_err().message, "the view \"top2\" was dropped");
}

#[test]
fn time_that_runs_backwards_stands_still() {
    let mut engine = with_views();
    let first = engine.append(&changes(0..1, "Ann")).timestamp_ms;
    engine.now_ms -= 10_000;
    let second = engine.append(&changes(1..2, "Ann")).timestamp_ms;
    assert_eq!(second, first + 1);
    engine.restart();
    let third = engine.append(&changes(2..3, "Ann")).timestamp_ms;
    assert!(third > second);
}

#[test]
fn progress_is_told_once_a_second() {
    let mut engine = with_views();
    let mut feed = engine.subscribe(plan("counter", &relations::catalog()).unwrap());
    fold(&mut feed);
    let mut uppers = Vec::new();
    for _ in 0..30 {
        engine.pass(100);
        while let Some(Some(tick)) = futures::FutureExt::now_or_never(feed.ticks.recv()) {
            uppers.push(tick.unwrap().upper_ms);
        }
    }
    assert_eq!(uppers.len(), 3, "{uppers:?}");
}

#[test]
fn many_different_questions_are_bounded_and_unused_ones_make_room() {
    let mut engine = with_views();
    let question = |number: i64| {
        let literal = Expr::Literal(Value::BigInt(number), Type::BigInt);
        let predicate = Expr::Call(Function::Equal, vec![Expr::Column(0), literal]);
        let input = Box::new(get("counter", &[0]));
        query(Plan::Filter { input, predicate })
    };
    let mut feeds: Vec<Feed> = (0..256)
        .map(|number| engine.subscribe(question(number)))
        .collect();
    // The same question once more is no other one.
    feeds.push(engine.subscribe(question(7)));
    let error = engine.try_subscribe(question(256)).unwrap_err();
    assert_eq!(error.state, SqlState::ConfigurationLimitExceeded);
    feeds.truncate(200);
    engine.pass(1);
    engine.subscribe(question(256));
}
