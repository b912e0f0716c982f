//! The views of `assets/views.sql`, held at every timestamp against an evaluation from scratch over every change ever made.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::definition::replan;
use super::fold::fold;
use super::plan::Plan;
use super::relations::{self, CHANGE_COLUMNS, RECENTCHANGES};
use super::store::batch::Batch;
use super::value::Row;
use super::worker_tests::{Engine, fold_into, get, query};

const MINUTE_MS: u64 = 60_000;

/// Names of the views in the order of the file, and their plans.
fn views(engine: &mut Engine) -> Vec<(String, Plan)> {
    let statements = super::sql::parse(include_str!("../../assets/views.sql")).unwrap();
    let mut views = Vec::new();
    for statement in statements {
        let super::sql::Statement::CreateView(view) = statement else {
            panic!("views.sql creates views only");
        };
        let query = replan(&view.sql, &engine.catalog()).unwrap();
        views.push((view.name.name.clone(), query.plan.clone()));
        engine.create_statement(&view.name.name, &view.sql, query);
    }
    views
}

/// The rows of a relation at a time, from every change that ever arrived.
fn from_scratch(
    name: &str,
    arrived: &[(u64, Row)],
    views: &[(String, Plan)],
    at_ms: u64,
) -> Vec<Row> {
    if name == RECENTCHANGES {
        let there = arrived.iter().filter(|(arrival, _)| *arrival <= at_ms);
        return there.map(|(_, row)| row.clone()).collect();
    }
    let (_, plan) = views.iter().find(|(view, _)| view == name).unwrap();
    let relation = |name: &str| from_scratch(name, arrived, views, at_ms);
    fold(plan, &relation, at_ms).unwrap()
}

/// A change that may repeat one of the last steps, never one that is no longer retained.
fn random_change(random: &mut Rng, step: u32, now_ms: u64) -> String {
    let ago_ms = random.u64(..70) * MINUTE_MS + random.u64(..MINUTE_MS);
    let dt = jiff::Timestamp::from_millisecond((now_ms - ago_ms) as i64).unwrap();
    let user = match random.u8(..12) {
        0 => String::new(),
        n => format!(r#""user":"user{}","#, n.min(random.u8(1..12))),
    };
    let bot = ["", r#""bot":true,"#, r#""bot":false,"#][random.usize(..3)];
    let kind = ["edit", "new", "log", "categorize"][random.usize(..4)];
    format!(
        r#"{{"meta":{{"id":"{}","dt":"{dt}"}},{user}{bot}"type":"{kind}","wiki":"wiki{}","title":"title{}"}}"#,
        20 * step + random.u32(..60),
        random.u8(..25),
        random.u8(..40),
    )
}

#[test]
fn every_view_equals_its_evaluation_from_scratch() {
    for seed in 0..4 {
        let mut random = Rng::with_seed(seed);
        let mut engine = Engine::with_sql();
        let views = views(&mut engine);
        let mut arrived: Vec<(u64, Row)> = Vec::new();
        let mut watched: BTreeMap<String, (super::feed::Feed, BTreeMap<Row, i64>)> =
            BTreeMap::new();
        for step in 0..30 {
            if step % 10 == 0 {
                // All feeds are lost with the process, and so is nothing else.
                engine.restart();
                watched.clear();
            }
            for (name, plan) in &views {
                if !watched.contains_key(name) {
                    let all: Vec<usize> = (0..plan.arity()).collect();
                    let feed = engine.subscribe(query(get(name, &all)));
                    watched.insert(name.clone(), (feed, BTreeMap::new()));
                }
            }
            engine.now_ms += random.u64(1..MINUTE_MS);
            let texts: Vec<String> = (0..random.usize(..40))
                .map(|_| random_change(&mut random, step, engine.now_ms))
                .collect();
            let time = engine.append(&texts).timestamp_ms;
            for text in texts {
                let batch = Batch::read(&[text.into()]).unwrap();
                let value = |at| batch.block.values(at).unwrap()[0].clone();
                let row: Row = (0..CHANGE_COLUMNS.len()).map(value).collect();
                let id = &row.values()[relations::META_ID];
                if !arrived
                    .iter()
                    .any(|(_, known)| known.values()[relations::META_ID] == *id)
                {
                    arrived.push((time, row));
                }
            }
            engine.pass(random.u64(..10 * MINUTE_MS));
            for (name, (feed, rows)) in &mut watched {
                fold_into(rows, feed);
                let mut expected = BTreeMap::new();
                for row in from_scratch(name, &arrived, &views, engine.now_ms) {
                    *expected.entry(row).or_default() += 1;
                }
                assert_eq!(*rows, expected, "{name} at step {step} of seed {seed}");
            }
        }
    }
}
