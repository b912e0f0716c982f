//! scratch
use std::sync::Arc;
use wikitop::engine::expr::{Expr, Function};
use wikitop::engine::handle::Engine;
use wikitop::engine::plan::*;
use wikitop::engine::value::*;

fn col(engine: &Engine, name: &str) -> usize {
    engine
        .catalog()
        .get("recentchanges")
        .unwrap()
        .columns
        .iter()
        .position(|c| &*c.name == name)
        .unwrap()
}
fn lit(s: &str) -> Expr {
    Expr::Literal(Value::Text(s.into()), Type::Text)
}
pub async fn create(engine: &Engine) {
    let count = || Aggregate {
        function: AggregateFunction::Count,
        argument: None,
        distinct: false,
        filter: None,
    };
    let edits = |cols: &[&str], window: bool| {
        let mut at: Vec<usize> = cols.iter().map(|c| col(engine, c)).collect();
        at.push(col(engine, "type"));
        let n = at.len() - 1;
        at.push(col(engine, "dt"));
        let mut p = vec![Expr::Call(
            Function::Or,
            vec![
                Expr::Call(Function::Equal, vec![Expr::Column(n), lit("edit")]),
                Expr::Call(Function::Equal, vec![Expr::Column(n), lit("new")]),
            ],
        )];
        for c in 0..cols.len() {
            p.push(Expr::Call(
                Function::Not,
                vec![Expr::Call(Function::IsNull, vec![Expr::Column(c)])],
            ));
        }
        let mut plan = Plan::Filter {
            input: Box::new(Plan::Get {
                name: "recentchanges".into(),
                columns: at,
            }),
            predicate: Expr::Call(Function::And, p),
        };
        if window {
            let ms = Expr::Call(
                Function::Divide,
                vec![
                    Expr::Call(
                        Function::Multiply,
                        vec![
                            Expr::Column(n - 0),
                            Expr::Literal(Value::BigInt(1), Type::BigInt),
                        ],
                    ),
                    Expr::Literal(Value::BigInt(1000), Type::BigInt),
                ],
            );
            let _ = ms;
            plan = Plan::Window {
                input: Box::new(plan),
                from_ms: None,
                until_ms: Some(Expr::Literal(Value::BigInt(i64::MAX / 2), Type::BigInt)),
            };
        }
        plan
    };
    let agg = |input: Plan, keys: usize| Plan::Aggregate {
        input: Box::new(input),
        keys: (0..keys).map(Expr::Column).collect(),
        aggregates: vec![count()],
    };
    let top = |input: Plan, keys: usize, k: u64| {
        let mut order = vec![OrderKey {
            expr: Expr::Column(keys),
            descending: true,
            nulls_first: true,
        }];
        for c in 0..keys {
            order.push(OrderKey {
                expr: Expr::Column(c),
                descending: false,
                nulls_first: false,
            });
        }
        Plan::TopK {
            input: Box::new(input),
            order,
            limit: Some(k),
            offset: 0,
        }
    };
    let views = vec![
        ("counter", agg(edits(&[], false), 0)),
        ("user_edits", agg(edits(&["user"], false), 1)),
        (
            "top10",
            top(
                Plan::Get {
                    name: "user_edits".into(),
                    columns: vec![0, 1],
                },
                1,
                10,
            ),
        ),
        (
            "changes_by_type",
            agg(
                Plan::Get {
                    name: "recentchanges".into(),
                    columns: vec![col(engine, "type")],
                },
                1,
            ),
        ),
        ("top_wikis_1h", top(agg(edits(&["wiki"], false), 1), 1, 20)),
    ];
    for (name, plan) in views {
        let columns = (0..plan.arity())
            .map(|at| Column {
                name: format!("c{at}").into(),
                ty: Type::Text,
                nullable: true,
            })
            .collect();
        engine
            .create_view(
                name.into(),
                name.into(),
                Arc::new(Query {
                    plan,
                    columns,
                    order: vec![],
                }),
            )
            .await
            .unwrap();
    }
}
