//! Random plans: operators in combinations that SQL may never ask for.

use fastrand::Rng;

use super::{Model, Watched, for_each_seed, step};
use crate::engine::expr::{Expr, Function};
use crate::engine::fold::fold;
use crate::engine::plan::{Aggregate, AggregateFunction, JoinKind, OrderKey, Plan};
use crate::engine::relations::CHANGE_COLUMNS;
use crate::engine::value::{Type, Value};
use crate::engine::worker_tests::{Engine, column, get, query};

/// Columns that the random plans read; `revision_new` and `r_ts` serve as bounds of windows.
const COLUMNS: [&str; 7] = [
    "user",
    "type",
    "bot",
    "length_new",
    "revision_new",
    "r_ts",
    "wiki",
];

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
    use AggregateFunction::{Array, Avg, Count, Max, Min, Sum};
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
            order: Vec::new(),
        });
        out.push(match function {
            Count => Type::BigInt,
            Sum | Avg => Type::Numeric,
            Min | Max => types[at],
            Array => Type::Text,
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
    let mut watched = Vec::new();
    for at in 0..24 {
        if at % 6 == 0 {
            for _ in 0..4 {
                let depth = random.u32(1..5);
                let (plan, _) = random_plan(&mut random, depth, &both);
                let feed = engine.subscribe(query(plan.clone()));
                watched.push(Watched::new(plan, feed));
            }
        }
        step(&mut random, &mut engine, &mut model);
        let from_scratch = |plan: &Plan, time: u64| {
            let view_rows = fold(&view_plan, &|_| model.rows(time), time)?;
            let relation = |name: &str| match name {
                "v" => view_rows.clone(),
                _ => model.rows(time),
            };
            fold(plan, &relation, time)
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
fn random_plans_equal_their_evaluation_from_scratch() {
    for_each_seed(0..40, run);
}
