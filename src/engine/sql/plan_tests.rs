//! Plans of queries as EXPLAIN prints them, errors, and answers of constant queries.

use std::sync::Arc;

use super::*;
use crate::engine::catalog::{Catalog, Kind, Relation};
use crate::engine::value::Row;
use crate::engine::{fold, relations};

pub(super) const NOW_MS: u64 = 1_785_857_069_724;

pub(super) fn catalog() -> Catalog {
    let mut catalog = relations::catalog();
    for statement in parse(include_str!("../../../assets/views.sql")).unwrap() {
        let Statement::CreateView(view) = statement else {
            panic!("{statement:?}")
        };
        let context = Context::new(&catalog, NOW_MS, Purpose::Maintained);
        let query = plan_query(&view.query, &context).unwrap();
        let name: Arc<str> = view.name.name.into();
        let relation = Relation {
            oid: 0,
            name: name.clone(),
            columns: query.columns.clone(),
            kind: Kind::View {
                sql: view.sql.into(),
                query: Arc::new(query),
                since_ms: 0,
            },
        };
        catalog.relations.insert(name, Arc::new(relation));
    }
    catalog
}

#[test]
fn the_views_have_the_plans_that_the_dataflow_is_built_for() {
    let catalog = catalog();
    let plan_of = |name: &str| match &catalog.relations[name].kind {
        Kind::View { query, .. } => query.plan.to_string(),
        other => panic!("{other:?}"),
    };
    let table = [
        (
            "counter",
            "Aggregate (count(*))\n  Filter (#0 IN ('edit', 'new'))\n    Get recentchanges (#18)",
        ),
        (
            "top10",
            "TopK limit 10 order by (#1 DESC, #0)\n  Get user_edits (#0, #1)",
        ),
        (
            "edits_per_minute",
            "Aggregate (count(*), count(*) FILTER (#0)) by (date_trunc(minute, #2))\n  \
             Window until milliseconds((date_trunc(minute, #2) + '01:00:00'))\n    \
             Filter (#1 IN ('edit', 'new'))\n      Get recentchanges (#1, #18, #21)",
        ),
        (
            "top10_humans_1h",
            "TopK limit 10 order by (#1 DESC, #0)\n  Aggregate (count(*)) by (#2)\n    \
             Window until milliseconds((#3 + '01:00:00'))\n      \
             Filter ((#1 IN ('edit', 'new')) AND (NOT (#2 IS NULL)) AND (NOT coalesce(#0, false)))\n        \
             Get recentchanges (#1, #18, #19, #21)",
        ),
    ];
    for (name, expected) in table {
        assert_eq!(plan_of(name), expected, "{name}");
    }
}

/// The rows of a query that reads nothing that changes, as a client sees them.
pub(super) fn select(sql: &str) -> Result<Vec<Row>, SqlError> {
    let statement = parse(sql)?.remove(0);
    let Statement::Select(query) = statement else {
        panic!("{statement:?}")
    };
    let catalog = catalog();
    let context = Context {
        sql,
        ..Context::new(&catalog, NOW_MS, Purpose::Once)
    };
    let query = plan_query(&query, &context)?;
    let rows = fold::constant(&query.plan, NOW_MS)?;
    query.present(rows.into_iter().map(|row| (row, 1)))
}
