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
            "TopK limit 10 order by (count(*) DESC, #0)\n  Aggregate (count(*)) by (#2)\n    \
             Window until milliseconds((#3 + '01:00:00'))\n      \
             Filter ((#1 IN ('edit', 'new')) AND (NOT (#2 IS NULL)) AND (NOT coalesce(#0, false)))\n        \
             Get recentchanges (#1, #18, #19, #21)",
        ),
    ];
    for (name, expected) in table {
        assert_eq!(plan_of(name), expected, "{name}");
    }
}

fn plan(sql: &str, purpose: Purpose) -> Result<Query, SqlError> {
    let Statement::Select(query) = parse(sql)?.remove(0) else {
        panic!("{sql}")
    };
    let catalog = catalog();
    let context = Context {
        sql,
        ..Context::new(&catalog, NOW_MS, purpose)
    };
    plan_query(&query, &context)
}

#[test]
fn queries_have_the_plans_that_explain_shows() {
    let table = [
        (
            "SELECT \"user\" FROM top10 ORDER BY count LIMIT 3",
            "TopK limit 3 order by (#1)\n  Get top10 (#0, #1)",
        ),
        (
            "SELECT wiki FROM recentchanges WHERE \"user\" IN (SELECT \"user\" FROM top10) AND bot",
            "Project (#0)\n  Join on (#1 = #2)\n    Project (#2, #1)\n      Filter #0\n        \
             Get recentchanges (#1, #19, #20)\n    Distinct\n      Get top10 (#0)",
        ),
        (
            "SELECT count(*) FROM recentchanges WHERE mz_now() < dt AND mz_now() <= dt + INTERVAL '1 hour' AND type IN (SELECT 'edit')",
            "Aggregate (count(*))\n  \
             Window until least((milliseconds(#1) - 1), milliseconds((#1 + '01:00:00')))\n    \
             Filter ((#0 IN ('edit')) AND (NOT ((milliseconds(#1) - 1) IS NULL)) AND (NOT (milliseconds((#1 + '01:00:00')) IS NULL)))\n      \
             Get recentchanges (#18, #21)",
        ),
        (
            "SELECT count(*) FROM recentchanges WHERE dt > mz_now()",
            "Aggregate (count(*))\n  Window until (milliseconds(#0) - 1)\n    Get recentchanges (#21)",
        ),
        (
            "SELECT a.wiki, b.count FROM recentchanges AS a, top_wikis_1h AS b WHERE a.wiki = b.wiki AND a.bot AND b.count > 5",
            "Project (#1, #3)\n  Join on (#1 = #2)\n    Filter #0\n      Get recentchanges (#1, #20)\n    \
             Filter (#1 > 5)\n      Get top_wikis_1h (#0, #1)",
        ),
        (
            "SELECT DISTINCT ON (wiki) wiki, title FROM recentchanges ORDER BY wiki, dt DESC",
            "Number limit 1 by (#0) order by (#0, #2 DESC)\n  \
             Project (#1, #0, #2)\n    Get recentchanges (#17, #20, #21)",
        ),
        (
            "SELECT \"user\", row_number() OVER (ORDER BY count DESC) FROM top10",
            "Project (#0, row_number)\n  Number order by (#1 DESC)\n    Get top10 (#0, #1)",
        ),
        (
            "SELECT \"user\", (SELECT count FROM counter) FROM top10",
            "Project (#0, #2)\n  Join on (#1 = #3)\n    Project (#0, 0)\n      Get top10 (#0)\n    \
             Project (#0, 0)\n      Project (only_row(count(*), min(#0)))\n        Aggregate (count(*), min(#0))\n          \
             Get counter (#0)",
        ),
        (
            "SELECT 1 + 1, lower('A')",
            "Project (2, 'a')\n  Constant ()",
        ),
    ];
    for (sql, expected) in table {
        let query = plan(sql, Purpose::Once).unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(query.plan.to_string(), expected, "{sql}");
    }
}

#[test]
fn columns_are_shown_by_their_names_where_the_plan_can_tell() {
    let catalog = catalog();
    let table = [
        (
            "SELECT wiki, count(*), sum(length_new) FILTER (WHERE bot) FROM recentchanges GROUP BY wiki HAVING count(*) > 5 ORDER BY 2 DESC LIMIT 3",
            "TopK limit 3 order by (count(*) DESC)\n  Filter (count(*) > 5)\n    \
             Aggregate (count(*), sum(length_new) FILTER (bot)) by (wiki)\n      \
             Get recentchanges (bot, length_new, wiki)",
        ),
        (
            "SELECT a.wiki, upper(title) FROM recentchanges AS a JOIN top_wikis_1h AS b ON a.wiki = b.wiki",
            "Project (wiki#1, upper(title))\n  Join on (wiki#1 = wiki#2)\n    \
             Get recentchanges (title, wiki)\n    Get top_wikis_1h (wiki)",
        ),
        (
            "SELECT DISTINCT lower(\"user\") FROM top10 WHERE \"user\" LIKE 'A%'",
            "Distinct\n  Project (lower(user))\n    Filter (user LIKE 'A%')\n      Get top10 (user)",
        ),
    ];
    for (sql, expected) in table {
        let query = plan(sql, Purpose::Once).unwrap();
        let shown = query
            .plan
            .explained(&|name, at| Some(catalog.get(name)?.columns.get(at)?.name.clone()));
        assert_eq!(shown, expected, "{sql}");
    }
}

#[test]
fn what_only_passes_a_views_rows_on_keeps_its_order() {
    let table = [
        ("SELECT * FROM top10", "Get top10 (#0, #1)", "#1 DESC, #0"),
        ("TABLE top10", "Get top10 (#0, #1)", "#1 DESC, #0"),
        (
            "SELECT count AS n, upper(\"user\"), \"user\" FROM top10 WHERE count > 5",
            "Project (#1, upper(#0), #0)\n  Filter (#1 > 5)\n    Get top10 (#0, #1)",
            "#0 DESC, #2",
        ),
        (
            "SELECT * FROM (SELECT * FROM top10) AS t LIMIT 3",
            "TopK limit 3 order by (#1 DESC, #0)\n  Get top10 (#0, #1)",
            "#1 DESC, #0",
        ),
        // What decides is not shown, or rows are not what they were.
        ("SELECT \"user\" FROM top10", "Get top10 (#0)", ""),
        (
            "SELECT DISTINCT * FROM top10",
            "Distinct\n  Get top10 (#0, #1)",
            "",
        ),
        ("SELECT * FROM user_edits", "Get user_edits (#0, #1)", ""),
        (
            "SELECT * FROM top10 ORDER BY \"user\"",
            "Get top10 (#0, #1)",
            "#0",
        ),
    ];
    for (sql, expected, order) in table {
        let query = plan(sql, Purpose::Once).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let keys: Vec<String> = query.order.iter().map(ToString::to_string).collect();
        assert_eq!(
            (query.plan.to_string(), keys.join(", ")),
            (expected.to_owned(), order.to_owned()),
            "{sql}"
        );
    }
}

#[test]
fn what_cannot_be_planned_says_why() {
    use Purpose::{Maintained, Once};
    let misplaced = "mz_now() can only be compared, as a condition of WHERE on its own";
    let table = [
        (
            Once,
            "SELECT * FROM nosuch",
            "42P01",
            "unknown catalog item 'nosuch'",
            Some(15),
        ),
        (
            Once,
            "SELECT nosuch FROM top10",
            "42703",
            "column \"nosuch\" does not exist",
            Some(8),
        ),
        (
            Once,
            "SELECT t.count FROM top10 AS x",
            "42P01",
            "missing FROM-clause entry for table \"t\"",
            Some(8),
        ),
        (
            Once,
            "SELECT \"user\" FROM top10, user_edits",
            "42702",
            "column reference \"user\" is ambiguous",
            Some(8),
        ),
        (
            Once,
            "SELECT data FROM wikirecent",
            "42809",
            "\"wikirecent\" takes changes and does not keep them",
            Some(18),
        ),
        (
            Once,
            "SELECT \"user\", count(*) FROM recentchanges",
            "42803",
            "column \"recentchanges.user\" must appear in the GROUP BY clause or be used in an aggregate function",
            None,
        ),
        (
            Once,
            "SELECT mz_now(), count FROM counter",
            "0A000",
            misplaced,
            None,
        ),
        (Maintained, "SELECT mz_now()", "0A000", misplaced, None),
        (
            Maintained,
            "SELECT 1 FROM recentchanges WHERE bot OR mz_now() < dt",
            "0A000",
            misplaced,
            None,
        ),
        (
            Maintained,
            "SELECT 1 FROM recentchanges WHERE mz_now() <> dt",
            "0A000",
            misplaced,
            None,
        ),
        (
            Maintained,
            "SELECT 1 FROM recentchanges WHERE mz_now() - INTERVAL '1 hour' < dt",
            "0A000",
            misplaced,
            None,
        ),
        (
            Maintained,
            "SELECT 1 FROM recentchanges WHERE mz_now() < bot",
            "42883",
            "mz_now() cannot be compared with a value of type boolean",
            None,
        ),
        (
            Maintained,
            "SELECT 1 FROM recentchanges WHERE dt > now()",
            "0A000",
            "now() cannot be kept up to date in a view or a subscription",
            None,
        ),
        (
            Maintained,
            "SELECT (SELECT count FROM user_edits AS u WHERE u.\"user\" = t.\"user\") FROM top10 AS t",
            "0A000",
            "such a subquery over relations that change is not supported by the embedded engine",
            None,
        ),
        (
            Once,
            "SELECT rank() OVER (ORDER BY count) FROM top10",
            "0A000",
            "the window function rank() is not supported by the embedded engine",
            None,
        ),
        (
            Once,
            "SELECT DISTINCT ON (\"user\") * FROM top10 ORDER BY count",
            "42P10",
            "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
            None,
        ),
        (
            Once,
            "SELECT string_agg(count, ',') FROM top10",
            "42883",
            "function string_agg(bigint) does not exist",
            None,
        ),
        (
            Once,
            "SELECT string_agg(\"user\") FROM top10",
            "42883",
            "function string_agg(text) does not exist",
            None,
        ),
        (
            Once,
            "SELECT * FROM top10 WHERE \"user\" = 1",
            "42883",
            "operator does not exist: text = bigint",
            None,
        ),
        (
            Once,
            "SELECT count + bot FROM counter, recentchanges",
            "42883",
            "operator does not exist: bigint + boolean",
            None,
        ),
        (Once, "SELECT $1", "42P02", "there is no parameter $1", None),
        (
            Once,
            "WITH RECURSIVE t AS (SELECT 1) SELECT * FROM t",
            "0A000",
            "WITH RECURSIVE is not supported by the embedded engine",
            None,
        ),
        (
            Once,
            "SELECT 1 EXCEPT SELECT 2",
            "0A000",
            "EXCEPT is not supported by the embedded engine",
            None,
        ),
    ];
    for (purpose, sql, state, message, position) in table {
        let error = plan(sql, purpose)
            .map(|query| query.plan.to_string())
            .unwrap_err();
        assert_eq!(
            (error.state.code(), &*error.message),
            (state, message),
            "{sql}"
        );
        if position.is_some() {
            assert_eq!(error.position, position, "{sql}");
        }
    }
    let hint = |sql| plan(sql, Once).unwrap_err().hint.unwrap();
    assert_eq!(
        hint("SELECT * FROM useredit"),
        "Perhaps you meant \"user_edits\"."
    );
    assert_eq!(
        hint("SELECT cuont FROM counter"),
        "Perhaps you meant the column \"count\"."
    );
    assert_eq!(
        hint("SELECT lenght('a')"),
        "Perhaps you meant the function length()."
    );
}

#[test]
fn parameters_take_the_types_of_their_places() {
    use Type::{BigInt, Bool, Double, Interval, Numeric, Text, TimestampTz};
    /// A query, the types that the client has declared, and those that it is told.
    type Case = (&'static str, &'static [Option<Type>], &'static [Type]);
    let table: [Case; 9] = [
        ("SELECT * FROM top10 WHERE \"user\" = $1", &[], &[Text]),
        (
            "SELECT * FROM top10 WHERE count > $1 LIMIT $2",
            &[],
            &[BigInt, BigInt],
        ),
        (
            "SELECT * FROM recentchanges WHERE dt > $2 AND wiki IN ($1, $3)",
            &[],
            &[Text, TimestampTz, Text],
        ),
        ("SELECT $1", &[], &[Text]),
        (
            "SELECT $1::bigint + $2, $3::numeric, $4::float8",
            &[],
            &[BigInt, BigInt, Numeric, Double],
        ),
        ("SELECT 1 WHERE $1 AND mz_now() <= dt + $2", &[], &[]),
        (
            "SELECT count(*) FROM recentchanges WHERE $1 AND mz_now() <= dt + $2",
            &[],
            &[Bool, Interval],
        ),
        ("SELECT $1, $1 + 1", &[Some(BigInt)], &[BigInt]),
        (
            "SELECT coalesce($1, 'x'), $2 || 'a'",
            &[None, Some(Text)],
            &[Text, Text],
        ),
    ];
    let catalog = catalog();
    for (sql, declared, expected) in table {
        let Statement::Select(query) = parse(sql).unwrap().remove(0) else {
            panic!("{sql}")
        };
        let context = Context::new(&catalog, NOW_MS, Purpose::Once);
        match describe(&query, declared, &context) {
            Ok((types, _)) => assert_eq!(types, expected, "{sql}"),
            Err(error) => assert!(expected.is_empty(), "{sql}: {error}"),
        }
    }
}

#[test]
fn columns_are_named_as_postgres_names_them() {
    let table = [
        ("SELECT 1, 'a', NULL", "?column?, ?column?, ?column?"),
        (
            "SELECT count(*), sum(count), max(\"user\") AS m FROM top10",
            "count, sum, m",
        ),
        (
            "SELECT \"user\", t.count, t.\"user\" || 'x' FROM top10 AS t",
            "user, count, ?column?",
        ),
        (
            "SELECT CASE WHEN true THEN 1 END, coalesce(1, 2), 1::text, '1'::bigint",
            "case, coalesce, text, int8",
        ),
        (
            "SELECT count::text, extract(epoch FROM now()), now(), INTERVAL '1 hour', true FROM counter",
            "count, extract, now, interval, bool",
        ),
        (
            "SELECT (SELECT 1 AS x), EXISTS (SELECT 1), ARRAY[1], nullif(1, 2)",
            "x, exists, array, nullif",
        ),
        ("VALUES (1, 2)", "column1, column2"),
        ("SELECT 1 AS a UNION ALL SELECT 2 AS b", "a"),
    ];
    for (sql, expected) in table {
        let query = plan(sql, Purpose::Once).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let names: Vec<&str> = query.columns.iter().map(|column| &*column.name).collect();
        assert_eq!(names.join(", "), expected, "{sql}");
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
