//! `init-views` on both lines of Materialize.

use std::process::Output;

use wikitop::core::address::Address;
use wikitop::core::connection;
use wikitop::core::dialect::Dialect;
use wikitop::core::schema::{self, Outcome};

use super::server::Server;
use crate::support::process::{DEADLINE, wikitop};

async fn init_views(server: &Server, more: &[&str]) -> Output {
    let url = format!(
        "postgres://materialize@{}/materialize?sslmode=disable",
        server.address
    );
    let mut args = vec!["init-views", "--materialize", &url];
    args.extend(more);
    let output = wikitop(&args).output();
    tokio::time::timeout(DEADLINE, output)
        .await
        .expect("it ends")
        .unwrap()
}

/// The outcome that stdout tells for each relation.
fn told(output: &Output) -> Vec<(String, String)> {
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    let line = |line: &str| {
        let (outcome, name) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), outcome.trim_end().to_owned())
    };
    stdout.lines().map(line).collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn an_empty_engine_gets_everything_in_order() {
    for (transcript, dialect, args) in [
        ("init-views-26.19.txt", Dialect::Subscribe, &[][..]),
        (
            "init-views-0.26.6.txt",
            Dialect::Tail,
            &["--recording", "/data/recentchanges"][..],
        ),
    ] {
        let server = Server::play(transcript).await;
        let output = init_views(&server, args).await;
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let definitions = schema::definitions(dialect, Some("/data/recentchanges")).unwrap();
        let expected: Vec<_> = definitions
            .into_iter()
            .map(|definition| (definition.name, "created".to_owned()))
            .collect();
        assert_eq!(told(&output), expected, "{transcript}");
        server.finish().await;
    }
}

#[tokio::test]
async fn what_is_there_stays_and_what_differs_is_said() {
    let server = Server::play("init-views-again-26.19.txt").await;
    let output = init_views(&server, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    for (name, outcome) in told(&output) {
        let expected = match name.as_str() {
            "top10" | "latest" => "different",
            _ => "already there",
        };
        assert_eq!(outcome, expected, "{name}");
    }
    let stderr = stderr(&output);
    assert!(stderr.contains("ORDER BY count DESC LIMIT 10"), "{stderr}");
    assert!(
        stderr.contains("DROP MATERIALIZED VIEW \"top10\" CASCADE"),
        "{stderr}"
    );
    assert!(
        stderr.contains("latest is not a materialized view"),
        "{stderr}"
    );
    server.finish().await;
}

#[tokio::test]
async fn a_missing_right_is_named_with_what_was_tried() {
    let server = Server::play("init-views-no-rights-26.19.txt").await;
    let output = init_views(&server, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let stderr = stderr(&output);
    let expected = r#"no right to create table "wikirecent": permission denied for SCHEMA "materialize.public""#;
    assert!(stderr.contains(expected), "{stderr}");
    assert!(stderr.contains("GRANT CREATE"), "{stderr}");
    server.finish().await;
}

#[tokio::test]
async fn only_what_was_made_is_dropped() {
    let server = Server::play("drop-0.26.6.txt").await;
    let connection = connection::connect(&Address::local(server.address))
        .await
        .unwrap();
    let definitions = schema::definitions(Dialect::Tail, Some("/data/recentchanges")).unwrap();
    let mut outcomes = Vec::new();
    for name in ["top10", "user_edits", "counter", "wikirecent"] {
        let definition = definitions
            .iter()
            .find(|definition| definition.name == name);
        outcomes.push(schema::drop(&connection, definition.unwrap()).await);
    }
    assert_eq!(outcomes[..2], [Ok(Outcome::Dropped), Ok(Outcome::Dropped)]);
    assert!(
        matches!(outcomes[2], Ok(Outcome::Different { .. })),
        "{:?}",
        outcomes[2]
    );
    let error = outcomes[3].as_ref().unwrap_err().to_string();
    assert!(error.contains("still depended upon"), "{error}");
    drop(connection);
    server.finish().await;
}

#[tokio::test]
async fn the_old_line_needs_a_recording() {
    let output = wikitop(&["init-views", "--print", "--dialect", "tail"])
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--recording"),
        "{}",
        stderr(&output)
    );
}
