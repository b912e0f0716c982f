//! Random queries over random changes and passing time, held at every timestamp against an evaluation from scratch.
//!
//! The changes repeat, windows begin and end between two batches, and whatever is retained leaves in the end. Queries are
//! subscribed to directly, and again through a view that they stand on.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::expr::{Expr, Function};
use super::fold::fold;
use super::handle::{Feed, Tick};
use super::plan::{Aggregate, AggregateFunction, JoinKind, OrderKey, Plan};
use super::relations::CHANGE_COLUMNS;
use super::store::batch::Batch;
use super::value::{Row, Type, Value};
use super::worker_tests::{Engine, RETAIN_MS, column, get, query};

/// Columns that the random queries read; `id` and `r_ts` serve as bounds of windows.
const COLUMNS: [&str; 7] = ["user", "type", "bot", "length_new", "id", "r_ts", "wiki"];

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

/// A plan and the types of its columns.
type Typed = (Plan, Vec<Type>);

fn random_plan(random: &mut Rng, depth: u32, leaves: &[Typed]) -> Typed {
    if depth == 0 {
        return leaves[random.usize(..leaves.len())].clone();
    }
    let (input, types) = random_plan(random, depth - 1, leaves);
    let input = Box::new(input);
    let of_type =
        |ty: Type| -> Vec<usize> { (0..types.len()).filter(|at| types[*at] == ty).collect() };
    match random.u8(..9) {
        0 | 1 => (
            Plan::Filter {
                predicate: random_predicate(random, &types, 2),
                input,
            },
            types,
        ),
        2 => {
            let columns: Vec<usize> = (0..random.usize(1..4))
                .map(|_| random.usize(..types.len()))
                .collect();
            let types = columns.iter().map(|at| types[*at]).collect();
            let columns = columns.into_iter().map(Expr::Column).collect();
            (Plan::Project { input, columns }, types)
        }
        3 | 4 => {
            let bounds = of_type(Type::BigInt);
            let mut bound = || {
                (!bounds.is_empty() && random.u8(..4) > 0)
                    .then(|| Expr::Column(bounds[random.usize(..bounds.len())]))
            };
            let (from_ms, until_ms) = (bound(), bound());
            (
                Plan::Window {
                    input,
                    from_ms,
                    until_ms,
                },
                types,
            )
        }
        5 | 6 => random_aggregate(random, input, &types),
        7 => {
            let mut order: Vec<OrderKey> = Vec::new();
            for _ in 0..random.usize(..3) {
                order.push(OrderKey {
                    expr: Expr::Column(random.usize(..types.len())),
                    descending: random.bool(),
                    nulls_first: random.bool(),
                });
            }
            let limit = (random.u8(..5) > 0).then(|| random.u64(..5));
            let offset = random.u64(..3);
            (
                Plan::TopK {
                    input,
                    order,
                    limit,
                    offset,
                },
                types,
            )
        }
        _ => match random.u8(..3) {
            0 => (Plan::Distinct { input }, types),
            1 => {
                let filtered = Plan::Filter {
                    predicate: random_predicate(random, &types, 1),
                    input: input.clone(),
                };
                (
                    Plan::UnionAll {
                        inputs: vec![*input, filtered],
                    },
                    types,
                )
            }
            _ => random_join(random, input, types, leaves),
        },
    }
}

fn random_join(random: &mut Rng, left: Box<Plan>, mut types: Vec<Type>, leaves: &[Typed]) -> Typed {
    let (right, right_types) = random_plan(random, 1, leaves);
    let width = types.len();
    let pairs: Vec<(usize, usize)> = (0..width)
        .flat_map(|l| (0..right_types.len()).map(move |r| (l, r)))
        .filter(|(l, r)| types[*l] == right_types[*r])
        .collect();
    if pairs.is_empty() {
        return (*left, types);
    }
    let (l, r) = pairs[random.usize(..pairs.len())];
    let equal = Expr::Call(
        Function::Equal,
        vec![Expr::Column(l), Expr::Column(width + r)],
    );
    types.extend(right_types);
    let on = Expr::all(vec![equal, random_predicate(random, &types, 1)]);
    let kind = if random.bool() {
        JoinKind::Inner
    } else {
        JoinKind::Left
    };
    let right = Box::new(right);
    (
        Plan::Join {
            left,
            right,
            kind,
            on,
        },
        types,
    )
}

fn random_predicate(random: &mut Rng, types: &[Type], depth: u32) -> Expr {
    let at = random.usize(..types.len());
    if depth > 0 {
        let mut inner = || random_predicate(&mut *random, types, depth - 1);
        let pair = vec![inner(), inner()];
        return match random.u8(..4) {
            0 => Expr::Call(Function::And, pair),
            1 => Expr::Call(Function::Or, pair),
            2 => Expr::Call(Function::Not, pair[..1].to_vec()),
            _ => pair[0].clone(),
        };
    }
    let literal = match types[at] {
        Type::Text => Value::Text(["Ann", "Bob", "edit", "enwiki"][random.usize(..4)].into()),
        Type::Bool => Value::Bool(random.bool()),
        Type::BigInt => Value::BigInt(random.i64(0..4)),
        _ => return Expr::Call(Function::IsNull, vec![Expr::Column(at)]),
    };
    if random.u8(..4) == 0 {
        return Expr::Call(Function::IsNull, vec![Expr::Column(at)]);
    }
    let literal = Expr::Literal(literal, types[at]);
    Expr::Call(Function::Equal, vec![Expr::Column(at), literal])
}

fn random_aggregate(random: &mut Rng, input: Box<Plan>, types: &[Type]) -> Typed {
    use AggregateFunction::{Avg, Count, Max, Min, Sum};
    let (mut keys, mut aggregates, mut out) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..random.usize(..3) {
        let at = random.usize(..types.len());
        keys.push(Expr::Column(at));
        out.push(types[at]);
    }
    for _ in 0..random.usize(1..3) {
        let at = random.usize(..types.len());
        let is_number = matches!(types[at], Type::BigInt | Type::Numeric);
        let function = [Count, Min, Max, Sum, Avg][random.usize(..if is_number { 5 } else { 3 })];
        let star = function == Count && random.bool();
        aggregates.push(Aggregate {
            function,
            argument: (!star).then_some(Expr::Column(at)),
            distinct: !star && random.u8(..3) == 0,
            filter: (random.u8(..3) == 0).then(|| random_predicate(random, types, 0)),
        });
        out.push(match function {
            Count => Type::BigInt,
            Sum | Avg => Type::Numeric,
            Min | Max => types[at],
        });
    }
    (
        Plan::Aggregate {
            input,
            keys,
            aggregates,
        },
        out,
    )
}

fn random_change(random: &mut Rng, id: u32, now_ms: u64) -> String {
    let mut values = Rng::with_seed(u64::from(id));
    let mut fields = vec![format!(
        r#""meta":{{"id":"00000000-0000-0000-0000-{id:012}"}}"#
    )];
    let mut maybe = |field: String| {
        if random.u8(..6) > 0 {
            fields.push(field);
        }
    };
    maybe(format!(
        r#""user":"{}""#,
        ["Ann", "Bob", "Cid", "Zoë"][values.usize(..4)]
    ));
    maybe(format!(
        r#""type":"{}""#,
        ["edit", "new", "log"][values.usize(..3)]
    ));
    maybe(format!(r#""bot":{}"#, values.bool()));
    maybe(format!(r#""length":{{"new":{}}}"#, values.i64(0..4)));
    maybe(format!(r#""id":{}"#, now_ms + values.u64(..3_000)));
    maybe(format!(
        r#""timestamp":{}"#,
        now_ms + values.u64(..1_500) - 500
    ));
    maybe(format!(
        r#""wiki":"{}""#,
        ["enwiki", "dewiki"][values.usize(..2)]
    ));
    format!("{{{}}}", fields.join(","))
}

/// A subscription and the rows that its ticks add up to.
struct Watched {
    plan: Plan,
    feed: Feed,
    rows: BTreeMap<Row, i64>,
    as_of_ms: u64,
}

impl Watched {
    /// Takes all waiting ticks; compares at every time at which anything changed, and at the last one.
    fn check(&mut self, from_scratch: &dyn Fn(&Plan, u64) -> BTreeMap<Row, i64>) {
        while let Some(tick) = futures::FutureExt::now_or_never(self.feed.ticks.recv()) {
            let Tick { updates, upper_ms } = tick.unwrap().unwrap();
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
                assert_eq!(
                    self.rows,
                    from_scratch(&self.plan, time),
                    "at {time}: {:#?}",
                    self.plan
                );
            }
            self.as_of_ms = upper_ms;
        }
        let time = self.as_of_ms - 1;
        assert_eq!(
            self.rows,
            from_scratch(&self.plan, time),
            "at last {time}: {:#?}",
            self.plan
        );
    }
}

fn leaves() -> Vec<Typed> {
    let at: Vec<usize> = COLUMNS.iter().map(|name| column(name)).collect();
    let types = at.iter().map(|at| CHANGE_COLUMNS[*at].1).collect();
    vec![(get("recentchanges", &at), types)]
}

fn run(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let mut engine = Engine::new();
    let mut model = Model::default();
    // A view whose groups are not all-time ones, and queries over it.
    let (view_plan, view_types) = loop {
        let (plan, types) = random_plan(&mut random, 2, &leaves());
        if !is_all_time(&plan) {
            break (plan, types);
        }
    };
    engine.create_as("v", query(view_plan.clone()));
    let view: Typed = (
        get("v", &(0..view_types.len()).collect::<Vec<_>>()),
        view_types,
    );
    let both = [leaves(), vec![view]].concat();
    let mut watched: Vec<Watched> = Vec::new();
    for step in 0..24 {
        if step % 6 == 0 {
            for _ in 0..4 {
                let depth = random.u32(1..5);
                let (plan, _) = random_plan(&mut random, depth, &both);
                let feed = engine.subscribe(query(plan.clone()));
                let (rows, as_of_ms) = (BTreeMap::new(), 0);
                watched.push(Watched {
                    plan,
                    feed,
                    rows,
                    as_of_ms,
                });
            }
        }
        engine.now_ms += random.u64(1..400);
        match random.u8(..10) {
            0..7 => {
                let documents: Vec<(u32, String)> = (0..random.usize(..6))
                    .map(|_| {
                        let id = random.u32(..200);
                        (id, random_change(&mut random, id, engine.now_ms))
                    })
                    .collect();
                let texts: Vec<String> = documents.iter().map(|(_, text)| text.clone()).collect();
                let appended = engine.append(&texts);
                let time = appended.timestamp_ms;
                for (id, text) in documents {
                    // A change that leaves in the same transaction is still known: its repeat is no news.
                    if model.seen.insert(id) {
                        let batch = Batch::read(&[text.into()]).unwrap();
                        let value = |at| batch.block.values(at).unwrap()[0].clone();
                        let row = (0..CHANGE_COLUMNS.len()).map(value).collect();
                        let (from_ms, until_ms) = (time, u64::MAX);
                        model.kept.push(Kept {
                            id,
                            row,
                            from_ms,
                            until_ms,
                        });
                    }
                }
            }
            7 | 8 => engine.pass(random.u64(..1_000)),
            _ => engine.pass(RETAIN_MS / 2),
        }
        model.expire(engine.retained(), engine.now_ms);
        let from_scratch = |plan: &Plan, time: u64| {
            let view_rows = fold(&view_plan, &|_| model.rows(time), time).unwrap();
            let relation = |name: &str| match name {
                "v" => view_rows.clone(),
                _ => model.rows(time),
            };
            let mut rows = BTreeMap::new();
            for row in fold(plan, &relation, time).unwrap() {
                *rows.entry(row).or_default() += 1;
            }
            rows
        };
        for watched in &mut watched {
            watched.check(&from_scratch);
        }
    }
}

/// Some aggregation stands straight over the changes.
fn is_all_time(plan: &Plan) -> bool {
    matches!(plan, Plan::Aggregate { .. } | Plan::Distinct { .. })
        || plan.inputs().into_iter().any(is_all_time)
}

#[test]
fn random_queries_equal_their_evaluation_from_scratch() {
    for seed in 0..40 {
        // The seed is what a failure needs to be repeated.
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
