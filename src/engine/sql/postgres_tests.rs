//! Queries whose answers PostgreSQL itself gave, in `tests/data/sql/postgres.txt`: the engine must give the same.

use super::plan_tests::select;
use crate::engine::value::Row;

fn shown(row: &Row) -> String {
    let values: Vec<_> = row
        .values()
        .iter()
        .map(|value| value.text().unwrap_or("NULL".into()))
        .collect();
    values.join("|")
}

fn answer(sql: &str) -> String {
    match select(sql) {
        Ok(rows) => {
            let lines: Vec<String> = rows.iter().map(shown).collect();
            lines.join("\n")
        }
        Err(error) => format!("ERROR {}: {error}", error.state.code()),
    }
}

/// Messages are worded as the house words them; the SQLSTATE is what programs go by.
fn without_message(answer: &str) -> &str {
    match answer.strip_prefix("ERROR ") {
        Some(error) => error.split(':').next().unwrap_or(error),
        None => answer,
    }
}

#[test]
fn answers_are_postgres_answers() {
    let fixture = include_str!("../../../tests/data/sql/postgres.txt");
    let mut differences = String::new();
    let mut count = 0;
    for entry in fixture
        .split("\n\n")
        .filter(|entry| entry.contains("\n----"))
    {
        let (sql, expected) = entry.split_once("\n----").unwrap();
        let (sql, expected) = (
            sql.trim(),
            expected.trim_start_matches('\n').trim_end_matches('\n'),
        );
        let actual = answer(sql);
        count += 1;
        if without_message(&actual) != without_message(expected) {
            differences += &format!("{sql}\n  postgres: {expected}\n  engine:   {actual}\n");
        }
    }
    assert!(count > 150, "{count}");
    assert!(differences.is_empty(), "{differences}");
}
