//! Random SQL: text to plan to dataflow, against the same text over nothing but constants.
//!
//! The two sides share the parser, the meaning of expressions and the operators of `fold`. What the reference has not: relations that
//! change (each is the rows that it has at that time), time (`mz_now()` is a parameter), and a plan made smaller. So joins
//! that stand for IN, windows that stand for conditions, and everything incremental are found out when they are wrong.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use fastrand::Rng;

use super::{Model, Watched, for_each_seed, step};
use crate::engine::definition::replan;
use crate::engine::error::SqlError;
use crate::engine::fold;
use crate::engine::plan::{Plan, Query};
use crate::engine::relations::{CHANGE_COLUMNS, RECENTCHANGES};
use crate::engine::sql::random_queries::{self, Pool, Written};
use crate::engine::sql::{Name, Relations, Resolved, Rows};
use crate::engine::value::{Column, Row};
use crate::engine::worker_tests::Engine;

/// The views of one run: one over the changes, one over either.
const VIEWS: [&str; 2] = ["v", "w"];

/// A query by its text.
struct Text {
    sql: String,
    written: Written,
}

impl Text {
    fn new(sql: String) -> Self {
        let written = Written::new(&sql);
        Text { sql, written }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sql)
    }
}

/// A view by its text.
struct View {
    name: &'static str,
    text: Text,
    columns: Vec<Column>,
}

/// The relations as they are at one time.
#[derive(Default)]
struct Frozen(BTreeMap<String, (Vec<Column>, Vec<Row>)>);

impl Frozen {
    fn at(model: &Model, views: &[View], time: u64) -> Result<Self, SqlError> {
        let mut frozen = Frozen::default();
        let columns = CHANGE_COLUMNS.map(|(name, ty)| Column {
            name: name.into(),
            ty,
            nullable: true,
        });
        let changes = (columns.to_vec(), model.rows(time));
        frozen.0.insert(RECENTCHANGES.to_owned(), changes);
        for view in views {
            let rows = frozen.rows(&view.text, time)?;
            let relation = (view.columns.clone(), rows);
            frozen.0.insert(view.name.to_owned(), relation);
        }
        Ok(frozen)
    }

    fn rows(&self, text: &Text, time: u64) -> Result<Vec<Row>, SqlError> {
        fold::constant(&text.written.plan(self, time)?, time)
    }
}

impl Relations for Frozen {
    fn relation(&self, name: &Name) -> Result<Option<Resolved>, SqlError> {
        Ok(self.0.get(&name.name).map(|(columns, rows)| Resolved {
            columns: columns.clone(),
            rows: Rows::Constant(rows.clone()),
            order: Vec::new(),
        }))
    }

    fn names(&self) -> Vec<Arc<str>> {
        Vec::new()
    }
}

fn run(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let mut engine = Engine::with_sql();
    let mut model = Model::default();
    let mut views: Vec<View> = Vec::new();
    let mut relations = vec![RECENTCHANGES];
    for name in VIEWS {
        let (sql, statement, query) = random_view(&mut random, &engine, name, &relations);
        let columns = query.columns.clone();
        engine.create_statement(name, &statement, query);
        let text = Text::new(sql);
        views.push(View {
            name,
            text,
            columns,
        });
        relations.push(name);
    }
    let mut watched: Vec<Watched<Text>> = Vec::new();
    for at in 0..24 {
        if at % 6 == 0 {
            for _ in 0..4 {
                let pool = Pool {
                    relations: &relations,
                    temporal: true,
                };
                let sql = random_queries::query(&mut random, pool);
                watched.push(subscribed(&mut engine, sql));
            }
        }
        if at == 15 {
            // Every subscription ends with the process; what is stored says the same as before.
            engine.restart();
            let queries: Vec<String> = watched.drain(..).map(|watched| watched.query.sql).collect();
            watched.extend(queries.into_iter().map(|sql| subscribed(&mut engine, sql)));
        }
        step(&mut random, &mut engine, &mut model);
        // All queries are compared at much the same times.
        let frozen = RefCell::new(BTreeMap::new());
        let from_scratch = |text: &Text, time: u64| {
            let mut frozen = frozen.borrow_mut();
            let frozen = match frozen.entry(time) {
                Entry::Vacant(vacant) => vacant.insert(Frozen::at(&model, &views, time)?),
                Entry::Occupied(known) => known.into_mut(),
            };
            frozen.rows(text, time)
        };
        for watched in &mut watched {
            watched.check(&from_scratch);
        }
    }
}

fn subscribed(engine: &mut Engine, sql: String) -> Watched<Text> {
    let planned = replan(&format!("CREATE VIEW q AS {sql}"), &engine.catalog());
    let query = planned.unwrap_or_else(|error| panic!("{error}: {sql}"));
    Watched::new(Text::new(sql), engine.subscribe(query))
}

/// A view whose rows follow from the retained changes: what has counted over all time has another oracle.
fn random_view(
    random: &mut Rng,
    engine: &Engine,
    name: &str,
    relations: &[&str],
) -> (String, String, Query) {
    loop {
        let pool = Pool {
            relations,
            temporal: true,
        };
        let sql = random_queries::view(random, pool);
        let statement = format!("CREATE VIEW {name} AS {sql}");
        let planned = replan(&statement, &engine.catalog());
        let query = planned.unwrap_or_else(|error| panic!("{error}: {sql}"));
        if !is_all_time(&query.plan) {
            return (sql, statement, query);
        }
    }
}

/// Some aggregation stands straight over the changes.
fn is_all_time(plan: &Plan) -> bool {
    let aggregates = matches!(plan, Plan::Aggregate { .. } | Plan::Distinct { .. });
    plan.inputs()
        .into_iter()
        .any(|input| is_all_time(input) || aggregates && stands_on_changes(input))
}

fn stands_on_changes(plan: &Plan) -> bool {
    match plan {
        Plan::Get { name, .. } => **name == *RECENTCHANGES,
        Plan::Filter { input, .. } | Plan::Project { input, .. } => stands_on_changes(input),
        _ => false,
    }
}

#[test]
fn random_sql_equals_its_evaluation_from_scratch() {
    for_each_seed(0..24, run);
}
