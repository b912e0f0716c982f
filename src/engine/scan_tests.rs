//! A query that is scanned has the rows that a subscription to it begins with.

use super::dataflow::scan::Shape;
use super::handle::Command;
use super::plan::Query;
use super::sql::{self, Context, Purpose, Statement};
use super::value::Row;
use super::worker_tests::{Engine, fold_into};

/// Queries whose rows follow from single changes, and whether their LIMIT leaves open which rows come.
const SCANNED: [(&str, bool); 13] = [
    ("SELECT * FROM recentchanges", false),
    ("SELECT title FROM recentchanges", false),
    (
        "SELECT lower(title), length_new - length_old FROM recentchanges WHERE NOT bot",
        false,
    ),
    (
        "SELECT title FROM recentchanges WHERE mz_now() <= dt + INTERVAL '1 second'",
        false,
    ),
    (
        "SELECT title FROM recentchanges WHERE mz_now() > dt + INTERVAL '1 second' AND \"user\" IS NULL",
        false,
    ),
    (
        "SELECT title FROM recentchanges ORDER BY dt DESC LIMIT 7",
        false,
    ),
    (
        "SELECT \"user\" FROM recentchanges ORDER BY \"user\" NULLS FIRST, title LIMIT 9 OFFSET 4",
        false,
    ),
    (
        "SELECT bot FROM recentchanges WHERE bot IS NOT NULL ORDER BY bot LIMIT 20",
        false,
    ),
    (
        "SELECT upper(title) FROM (SELECT * FROM recentchanges ORDER BY dt, title LIMIT 10) AS t WHERE bot",
        false,
    ),
    (
        "SELECT title FROM recentchanges ORDER BY title LIMIT 1000000",
        false,
    ),
    ("SELECT title FROM recentchanges LIMIT 5", true),
    ("SELECT title FROM recentchanges LIMIT 5 OFFSET 38", true),
    ("SELECT title FROM recentchanges LIMIT 0", true),
];

/// Queries that need more than one change at a time.
const NOT_SCANNED: [&str; 5] = [
    "SELECT count(*) FROM recentchanges",
    "SELECT DISTINCT title FROM recentchanges",
    "SELECT title FROM recentchanges ORDER BY title OFFSET 3",
    "SELECT title FROM recentchanges UNION ALL SELECT title FROM recentchanges",
    "SELECT a.title FROM recentchanges AS a JOIN recentchanges AS b ON a.id = b.id",
];

fn planned(engine: &Engine, sql: &str) -> Query {
    let [Statement::Select(select)] = &sql::parse(sql).unwrap()[..] else {
        panic!("{sql} is a SELECT");
    };
    let catalog = engine.catalog();
    let context = Context::new(&*catalog, engine.now_ms, Purpose::Once);
    sql::plan_query(select, &context).unwrap()
}

fn scanned(engine: &mut Engine, query: &Query) -> Vec<Row> {
    let shape = Box::new(Shape::of(&query.plan).unwrap());
    let mut scan = engine.run(|reply| Command::Scan { shape, reply }).unwrap();
    let mut rows = Vec::new();
    while let Some(more) = scan.step().unwrap() {
        rows.extend(more);
    }
    rows
}

fn snapshot(engine: &mut Engine, query: Query) -> Vec<Row> {
    let mut rows = std::collections::BTreeMap::new();
    fold_into(&mut rows, &mut engine.subscribe(query));
    let copies = |(row, count): (Row, i64)| std::iter::repeat_n(row, count as usize);
    rows.into_iter().flat_map(copies).collect()
}

fn change(id: u32, now_ms: u64) -> String {
    let mut random = fastrand::Rng::with_seed(u64::from(id));
    let dt_ms = (now_ms - random.u64(..3_000)).cast_signed();
    let dt = jiff::Timestamp::from_millisecond(dt_ms).unwrap();
    let user = match random.u8(..4) {
        0 => String::new(),
        user => format!(r#","user":"U{user}""#),
    };
    let (title, bot) = (random.u8(..12), random.bool());
    let (old, new) = (random.i64(..100), random.i64(..100));
    format!(
        r#"{{"meta":{{"id":"00000000-0000-0000-0000-{id:012}","dt":"{dt}"}},"title":"T{title}","bot":{bot},"length":{{"old":{old},"new":{new}}}{user}}}"#
    )
}

#[test]
fn a_scan_has_the_rows_of_the_snapshot() {
    let mut engine = Engine::with_sql();
    let changes = |engine: &Engine, ids: std::ops::Range<u32>| -> Vec<String> {
        ids.map(|id| change(id, engine.now_ms)).collect()
    };
    engine.append(&changes(&engine, 0..25));
    // A new view seals the log, so that there is a sealed block, too.
    let sql = "CREATE VIEW bots AS SELECT title FROM recentchanges WHERE bot";
    let query = planned(&engine, "SELECT title FROM recentchanges WHERE bot");
    engine.create_statement("bots", sql, query);
    engine.append(&changes(&engine, 25..35));
    engine.append(&changes(&engine, 35..41));
    for _ in 0..3 {
        for (sql, is_open) in SCANNED {
            let query = planned(&engine, sql);
            let mut scanned = scanned(&mut engine, &query);
            let snapshot = snapshot(&mut engine, query);
            if is_open {
                assert_eq!(scanned.len(), snapshot.len(), "{sql}");
            } else {
                scanned.sort();
                assert_eq!(scanned, snapshot, "{sql}");
            }
        }
        engine.pass(700);
    }
}

#[test]
fn what_takes_more_than_one_change_at_a_time_is_no_scan() {
    let engine = Engine::with_sql();
    for sql in NOT_SCANNED {
        assert!(Shape::of(&planned(&engine, sql).plan).is_none(), "{sql}");
    }
}

#[test]
fn a_scan_reads_what_was_there_when_it_began() {
    let mut engine = Engine::with_sql();
    engine.append(&[change(1, engine.now_ms)]);
    let query = planned(&engine, "SELECT title FROM recentchanges");
    let shape = Box::new(Shape::of(&query.plan).unwrap());
    let mut scan = engine.run(|reply| Command::Scan { shape, reply }).unwrap();
    engine.append(&[change(2, engine.now_ms)]);
    engine.pass(2 * super::worker_tests::RETAIN_MS);
    assert_eq!(engine.retained(), 0);
    assert_eq!(scan.step().unwrap().map(|rows| rows.len()), Some(1));
    assert_eq!(scan.step().unwrap(), None);
}
