//! Properties: no text upsets the planner, and making a plan smaller does not change what it says.

use std::cell::RefCell;

use fastrand::Rng;
use proptest::prelude::*;

use super::bind::Binder;
use super::plan_tests::{NOW_MS, catalog};
use super::random_queries::{CHANGES, Pool, query};
use super::*;
use crate::engine::fold::fold;
use crate::engine::relations::CHANGE_COLUMNS;
use crate::engine::value::{Row, Value};

/// Changes with few different values, so that groups have members and comparisons are sometimes equal, and with NULLs.
fn changes(random: &mut Rng, count: usize) -> Vec<Row> {
    (0..count)
        .map(|_| {
            CHANGE_COLUMNS
                .iter()
                .map(|(name, ty)| match ty {
                    _ if random.u8(..6) == 0 => Value::Null,
                    Type::Bool => Value::Bool(random.bool()),
                    Type::BigInt => Value::BigInt(random.i64(-3..9)),
                    Type::TimestampTz => Value::TimestampTz(
                        (NOW_MS as i64 - random.i64(-5_000..5_000)) * 1_000 + random.i64(0..1_000),
                    ),
                    _ if *name == "type" => {
                        Value::Text(["edit", "new", "log"][random.usize(..3)].into())
                    }
                    _ => Value::Text(["a", "b", "Ä", "", "ea"][random.usize(..5)].into()),
                })
                .collect()
        })
        .collect()
}

fn parsed(sql: &str) -> Box<ast::Query> {
    match parse(sql)
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .remove(0)
    {
        Statement::Select(query) => query,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_smaller_plan_says_the_same() {
    let catalog = catalog();
    let context = Context::new(&catalog, NOW_MS, Purpose::Maintained);
    for seed in 0..2_000 {
        let mut random = Rng::with_seed(seed);
        let pool = Pool {
            relations: CHANGES,
            temporal: true,
        };
        let sql = query(&mut random, pool);
        let binder = Binder::new(&context);
        let whole = binder
            .ordered_query(&parsed(&sql), &outermost())
            .unwrap_or_else(|error| panic!("{sql}: {error}"))
            .planned()
            .plan;
        let mut small = whole.clone();
        decorrelate::decorrelate(&mut small);
        let small = simplify::simplified(small);
        let rows = changes(&mut random, 12);
        let sorted = |plan: &crate::engine::plan::Plan| {
            let mut rows = fold(plan, &|_| rows.clone(), NOW_MS).map_err(|error| error.state)?;
            rows.sort();
            Ok::<_, SqlState>(rows)
        };
        match (sorted(&whole), sorted(&small)) {
            // What is not used is not computed, and so does not fail.
            (Err(_), Ok(_)) => {}
            (whole, small) => assert_eq!(whole, small, "seed {seed}: {sql}"),
        }
    }
}

/// A chain of `depth` operators, of every kind that can chain.
fn chains(depth: usize) -> Vec<String> {
    vec![
        format!("SELECT {}1", "1 + ".repeat(depth)),
        format!("SELECT {}'a'", "'a' || ".repeat(depth)),
        format!("SELECT 1 WHERE {}true", "true AND ".repeat(depth)),
        format!(
            "SELECT 1 WHERE {}bot FROM recentchanges",
            "bot OR ".repeat(depth)
        ),
        format!(
            "SELECT count(*) FROM recentchanges WHERE {}bot",
            "id = 1 OR bot AND ".repeat(depth)
        ),
        format!("SELECT 1{}", "::bigint".repeat(depth)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(depth)),
        format!("SELECT id{} FROM recentchanges", " + id".repeat(depth)),
        format!(
            "SELECT {}bot{} FROM recentchanges",
            "(".repeat(depth),
            ")".repeat(depth)
        ),
        format!("SELECT {}1{}", "(SELECT ".repeat(depth), ")".repeat(depth)),
        format!(
            "SELECT * FROM {}recentchanges{}",
            "(SELECT * FROM ".repeat(depth),
            ") AS x".repeat(depth)
        ),
        format!(
            "SELECT {}id{} FROM recentchanges",
            "coalesce(".repeat(depth),
            ", 1)".repeat(depth)
        ),
        format!(
            "SELECT 1 FROM counter{}",
            " CROSS JOIN (SELECT 1) AS x".repeat(depth)
        ),
    ]
}

#[test]
fn chains_of_any_length_fit_on_the_stack() {
    // Tokio's threads have this much; what the planner and every pass over its plans need must fit.
    const STACK_BYTES: usize = 2 << 20;
    let work = || {
        let catalog = catalog();
        for depth in [
            10, 40, 45, 49, 60, 100, 120, 127, 128, 200, 390, 399, 500, 5_000,
        ] {
            for sql in chains(depth) {
                let Ok(statements) = parse(&sql) else {
                    continue;
                };
                for purpose in [Purpose::Once, Purpose::Maintained] {
                    let context = Context::new(&catalog, NOW_MS, purpose);
                    let Statement::Select(query) = &statements[0] else {
                        continue;
                    };
                    if let Ok(planned) = plan_query(query, &context) {
                        let again = planned.plan.clone();
                        assert_eq!(again, planned.plan);
                        let _ = again.to_string();
                        let _ = fold(&again, &|_| Vec::new(), NOW_MS);
                    }
                }
            }
        }
    };
    std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap();
}

proptest! {
    #[test]
    fn any_words_plan_or_fail_but_never_panic(words in proptest::collection::vec(
        proptest::sample::select(vec![
            "(", ")", "(", ")", ",", "*", "1", "0", "-1", "'x'", "''", "NULL", "true", "$1", "\"user\"", "id", "dt", "bot", "x",
            "+", "-", "/", "%", "||", "=", "<", "~", "LIKE", "IN", "NOT", "AND", "OR", "IS", "BETWEEN", "::", "int", "text",
            "CASE", "WHEN", "THEN", "ELSE", "END", "count", "sum", "max", "lower", "substring", "date_trunc", "mz_now", "now",
            "INTERVAL", "SELECT", "FROM", "recentchanges", "counter", "WHERE", "GROUP", "ORDER", "BY", "HAVING", "LIMIT",
            "DISTINCT", "UNION", "ALL", "ANY", "EXISTS", "ARRAY", "[", "]", "JOIN", "LEFT", "ON", "USING", "AS", "t", ".",
            "VALUES", "FILTER", "coalesce", "round", "left", "split_part", "1e9", "99999999999999999999", "0.000000001",
        ]), 0..16)) {
        let sql = format!("SELECT {}", words.join(" "));
        let types = RefCell::new(Vec::new());
        let catalog = catalog();
        if let Ok(statements) = parse(&sql) {
            for statement in &statements {
                let Statement::Select(query) = statement else { continue };
                let context = Context {
                    parameters: Parameters::Infer(&types),
                    sql: &sql,
                    ..Context::new(&catalog, NOW_MS, Purpose::Once)
                };
                if let Ok(planned) = plan_query(query, &context) {
                    let rows = fold(&planned.plan, &|_| Vec::new(), NOW_MS);
                    let _ = rows.and_then(|rows| planned.present(rows.into_iter().map(|row| (row, 1))));
                }
            }
        }
    }
}
