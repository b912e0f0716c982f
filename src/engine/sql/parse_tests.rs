//! Tables of statements and of what they are, or why they are none.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::engine::error::SqlState;

fn one(sql: &str) -> Statement {
    let mut statements = parse(sql).unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    assert_eq!(statements.len(), 1, "{sql}");
    statements.remove(0)
}

fn subscribe(sql: &str) -> Subscribe {
    match one(sql) {
        Statement::Subscribe(subscribe)
        | Statement::CopyOut {
            source: Source::Subscribe(subscribe),
            ..
        }
        | Statement::Declare {
            source: Source::Subscribe(subscribe),
            ..
        } => subscribe,
        other => panic!("{sql}: {other:?}"),
    }
}

#[test]
fn subscriptions_in_all_their_forms() {
    for sql in [
        "SUBSCRIBE top10",
        "subscribe to top10;",
        "TAIL top10",
        "SUBSCRIBE (SELECT * FROM top10)",
        "COPY (TAIL top10) TO STDOUT",
        "COPY (SUBSCRIBE top10 WITH (SNAPSHOT)) TO STDOUT",
        "DECLARE c CURSOR FOR SUBSCRIBE top10",
        "DECLARE c CURSOR FOR TAIL (SELECT * FROM top10)",
    ] {
        let subscribe = subscribe(sql);
        assert_eq!(subscribe.query.to_string(), "SELECT * FROM top10", "{sql}");
        assert!(subscribe.snapshot && !subscribe.progress, "{sql}");
    }
    let full =
        subscribe("SUBSCRIBE \"Top\" WITH (PROGRESS = true, SNAPSHOT false) UP TO 1790000000000");
    assert_eq!(full.query.to_string(), "SELECT * FROM \"Top\"");
    assert!(full.progress && !full.snapshot);
    assert_eq!(full.up_to.unwrap().to_string(), "1790000000000");
    assert!(subscribe("TAIL top10 WITH (PROGRESS)").progress);
}

#[test]
fn copies() {
    let Statement::CopyIn {
        table,
        columns,
        options,
    } = one("COPY wikirecent (data) FROM STDIN WITH (FORMAT csv, HEADER, DELIMITER '|', NULL 'x')")
    else {
        panic!()
    };
    assert_eq!(table, Name::bare("wikirecent"));
    assert_eq!(columns, ["data"]);
    assert_eq!(options.format, CopyFormat::Csv);
    assert_eq!(options.delimiter, Some(b'|'));
    assert_eq!(options.null.as_deref(), Some("x"));
    assert!(options.header);
    let Statement::CopyOut { options, .. } = one("COPY (SELECT 1) TO STDOUT (FORMAT binary)")
    else {
        panic!()
    };
    assert_eq!(options.format, CopyFormat::Binary);
    let Statement::CopyOut { source, .. } =
        one("copy public.top10 (\"user\") to stdout csv header")
    else {
        panic!()
    };
    let Source::Select(query) = source else {
        panic!()
    };
    assert_eq!(query.to_string(), "SELECT \"user\" FROM public.top10");
}

#[test]
fn statements_of_a_session() {
    let set = |name: &str, values: &[&str]| Statement::Set {
        name: name.into(),
        values: Some(values.iter().map(|value| (*value).into()).collect()),
        local: false,
    };
    let table = [
        ("BEGIN", Statement::Begin { read_only: None }),
        (
            "START TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY",
            Statement::Begin {
                read_only: Some(true),
            },
        ),
        ("COMMIT WORK", Statement::Commit),
        ("END", Statement::Commit),
        ("ROLLBACK", Statement::Rollback),
        ("ABORT TRANSACTION", Statement::Rollback),
        ("SAVEPOINT a", Statement::Savepoint("a".into())),
        ("ROLLBACK TO SAVEPOINT a", Statement::RollbackTo("a".into())),
        ("RELEASE a", Statement::Release("a".into())),
        ("CLOSE ALL", Statement::Close(None)),
        ("CLOSE \"C\"", Statement::Close(Some("C".into()))),
        (
            "DEALLOCATE PREPARE p",
            Statement::Deallocate(Some("p".into())),
        ),
        ("DISCARD ALL", Statement::Discard(Discard::All)),
        ("UNLISTEN *", Statement::Unlisten),
        ("RESET ALL", Statement::Reset(None)),
        (
            "SET extra_float_digits = 3",
            set("extra_float_digits", &["3"]),
        ),
        (
            "SET search_path TO a, 'b c'",
            set("search_path", &["a", "b c"]),
        ),
        ("SET TIME ZONE 'UTC'", set("timezone", &["UTC"])),
        (
            "SET SESSION application_name = 'x'",
            set("application_name", &["x"]),
        ),
        (
            "SHOW MATERIALIZED VIEWS",
            Statement::Show(Show::Objects {
                kind: ShowKind::MaterializedViews,
                schema: None,
                like: None,
            }),
        ),
        (
            "SHOW COLUMNS FROM top10",
            Statement::Show(Show::Columns(Name::bare("top10"))),
        ),
        (
            "SHOW CREATE VIEW public.top10",
            Statement::Show(Show::Create(Name {
                schema: Some("public".into()),
                name: "top10".into(),
            })),
        ),
        (
            "SHOW Server_Version",
            Statement::Show(Show::Setting("server_version".into())),
        ),
        (
            "SHOW TRANSACTION ISOLATION LEVEL",
            Statement::Show(Show::Setting("transaction_isolation".into())),
        ),
        (
            "FETCH ALL c WITH (timeout = '1s')",
            Statement::Fetch {
                cursor: "c".into(),
                count: FetchCount::All,
                timeout: Some(Duration::from_secs(1)),
            },
        ),
        (
            "FETCH FORWARD 100 FROM \"my cursor\"",
            Statement::Fetch {
                cursor: "my cursor".into(),
                count: FetchCount::Rows(100),
                timeout: None,
            },
        ),
        (
            "DROP MATERIALIZED VIEW IF EXISTS a, b CASCADE",
            Statement::DropView {
                names: vec![Name::bare("a"), Name::bare("b")],
                if_exists: true,
                cascade: true,
            },
        ),
    ];
    for (sql, expected) in table {
        assert_eq!(one(sql), expected, "{sql}");
    }
}

#[test]
fn views_keep_their_text() {
    let sql = "  -- the whole text\n create materialized view if not exists v as\nselect 'é;' AS x  ; SELECT 1";
    let statements = parse(sql).unwrap();
    assert_eq!(statements.len(), 2);
    let Statement::CreateView(view) = &statements[0] else {
        panic!()
    };
    assert!(view.materialized && view.if_not_exists);
    assert_eq!(
        view.sql,
        "create materialized view if not exists v as\nselect 'é;' AS x"
    );
}

#[test]
fn what_is_no_statement_says_why_and_where() {
    let table = [
        (
            "SELEC 1",
            "42601",
            "expected a keyword at the beginning of a statement, found \"selec\"",
            Some(1),
        ),
        ("SUBSCRIBE", "42601", "", None),
        (
            "SUBSCRIBE top10 WITH (NOSUCH)",
            "42601",
            "expected one of PROGRESS or SNAPSHOT, found \"NOSUCH\"",
            Some(23),
        ),
        (
            "SUBSCRIBE VIEW top10",
            "42601",
            "expected end of statement, found \"top10\"",
            Some(16),
        ),
        ("SELECT 1;\nSELECT 1 FROM t WHERE", "42601", "", Some(0)),
        (
            "SELECT 'open",
            "42601",
            "unterminated string literal",
            Some(8),
        ),
        (
            "UPDATE x SET y = 1",
            "0A000",
            "UPDATE is not supported by the embedded engine",
            Some(1),
        ),
        (
            "CREATE TABLE t (a int)",
            "0A000",
            "CREATE TABLE is not supported by the embedded engine",
            None,
        ),
        (
            "CREATE OR REPLACE VIEW v AS SELECT 1",
            "0A000",
            "CREATE OR REPLACE is not supported by the embedded engine",
            None,
        ),
        (
            "COPY top10 FROM '/etc/passwd'",
            "42601",
            "expected STDIN, found \"'/etc/passwd'\"",
            Some(17),
        ),
    ];
    for (sql, state, message, position) in table {
        let error = parse(sql).unwrap_err();
        assert_eq!(error.state.code(), state, "{sql}: {error:?}");
        if !message.is_empty() {
            assert_eq!(error.message, message, "{sql}");
        }
        match position {
            Some(0) => assert!(error.position.is_some(), "{sql}: {error:?}"),
            Some(_) => assert_eq!(error.position, position, "{sql}"),
            None => {}
        }
    }
}

#[test]
fn depth_is_bounded_before_anything_recurses() {
    let bombs = [
        format!("SELECT {}1", "1+".repeat(100_000)),
        format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT {}true", "NOT ".repeat(10_000)),
        format!("SELECT {}1", "- ".repeat(10_000)),
        format!("SELECT 1{}", "::int".repeat(10_000)),
        format!("SELECT 1 WHERE true{}", " OR true".repeat(10_000)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(10_000)),
        format!(
            "SELECT {}1{}",
            "CASE WHEN true THEN ".repeat(10_000),
            " END".repeat(10_000)
        ),
        format!("SELECT {}", "a[1]".repeat(10_000)),
        format!("SELECT a{}", ".b".repeat(10_000)),
        format!("SELECT 1{}", " IS NULL".repeat(10_000)),
        format!("{}SELECT 1", "EXPLAIN ".repeat(10_000)),
        format!(
            "SELECT * FROM {}a{}",
            "a JOIN (".repeat(5_000),
            ")".repeat(5_000)
        ),
        format!("SELECT * FROM a {}", "JOIN a ".repeat(5_000)),
    ];
    for bomb in bombs {
        match parse(&bomb) {
            Ok(_) => {}
            Err(error) => assert!(
                matches!(
                    error.state,
                    SqlState::ProgramLimitExceeded | SqlState::SyntaxError
                ),
                "{error:?}"
            ),
        }
    }
    let long_list = format!("SELECT 1 IN ({}1)", "1, ".repeat(30_000));
    assert!(parse(&long_list).is_ok());
    let conditions = format!(
        "SELECT 1 WHERE a = 1{}",
        " OR (a = 2 AND b = 3)".repeat(150)
    );
    assert!(parse(&conditions).is_ok());
}

proptest! {
    #[test]
    fn any_text_parses_or_fails_but_never_panics(sql in ".{0,60}") {
        let _ = parse(&sql);
    }

    #[test]
    fn any_words_parse_or_fail_but_never_panic(words in proptest::collection::vec(
        proptest::sample::select(vec![
            "SELECT", "FROM", "WHERE", "(", ")", ",", ";", "*", "1", "'x'", "\"y\"", "AS", "COPY", "TO", "STDOUT", "TAIL",
            "SUBSCRIBE", "WITH", "PROGRESS", "FETCH", "ALL", "DECLARE", "CURSOR", "FOR", "SHOW", "SET", "=", "-", "::", "int",
            "CREATE", "VIEW", "GROUP", "BY", "ORDER", "LIMIT", "JOIN", "ON", "$1", "[", "]", "INTERVAL", "CASE", "WHEN", "END",
            "INSERT", "INTO", "VALUES", "UNION", "EXPLAIN", "PREPARE", "EXECUTE", "CLOSE", "IN", "NOT", "EXISTS", ".", "TABLE",
        ]), 0..14)) {
        let _ = parse(&words.join(" "));
    }
}

#[test]
fn a_text_of_too_many_tokens_is_refused_and_a_long_one_of_few_is_not() {
    let list = format!("SELECT 1 IN (1{})", ",1".repeat(text::TOKENS_MAX / 2));
    assert_eq!(
        parse(&list).unwrap_err().state,
        SqlState::ProgramLimitExceeded
    );
    let document = "x".repeat(text::STATEMENT_BYTES_MAX - 100);
    let insert = format!("INSERT INTO wikirecent VALUES ('{document}')");
    assert_eq!(parse(&insert).unwrap().len(), 1);
    let long = format!("INSERT INTO wikirecent VALUES ('{document}{document}')");
    assert_eq!(
        parse(&long).unwrap_err().state,
        SqlState::ProgramLimitExceeded
    );
}
