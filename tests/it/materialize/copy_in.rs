//! `ingest` into a current Materialize: atomic batches, and what becomes of one that is refused or not acknowledged.

use std::process::Output;

use super::server::Server;
use crate::support::process::{DEADLINE, wikitop};

/// Runs `ingest` over so many changes, a second apart.
async fn ingest(server: &Server, changes: usize) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join("changes.ndjson");
    let lines: String = (1..=changes).map(change).collect();
    std::fs::write(&recording, lines).unwrap();
    let url = format!(
        "postgres://materialize@{}/materialize?sslmode=disable",
        server.address
    );
    let source = recording.to_str().unwrap();
    let args = [
        "ingest",
        "--materialize",
        &url,
        "--source",
        source,
        "--speed",
        "max",
    ];
    let output = wikitop(&args).output();
    tokio::time::timeout(DEADLINE, output)
        .await
        .expect("it ends")
        .unwrap()
}

fn change(number: usize) -> String {
    format!(
        "{{\"$schema\":\"/mediawiki/recentchange/1.0.1\",\"meta\":{{\"id\":\"00000000-0000-4000-8000-{number:012}\",\"dt\":\"2026-08-05T03:20:{number:02}.000Z\",\
         \"topic\":\"eqiad.mediawiki.recentchange\",\"partition\":0,\"offset\":{}}},\"type\":\"edit\",\"title\":\"Back\\\\slash\",\"user\":\"Zoë\",\"bot\":false}}\n",
        6_400_000_000 + number
    )
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn a_batch_whose_acknowledgement_was_lost_is_looked_for_before_it_is_sent_again() {
    let server = Server::play("copy-lost-26.19.txt").await;
    let output = ingest(&server, 3).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let expected = "3 changes received, 1 kept; skipped 2 repeat";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    server.finish().await;
}

#[tokio::test]
async fn a_refused_change_costs_itself_and_no_other() {
    let server = Server::play("copy-refused-26.19.txt").await;
    let output = ingest(&server, 2).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("2 changes received, 1 kept"),
        "{}",
        stderr(&output)
    );
    server.finish().await;
}

#[tokio::test]
async fn an_engine_that_cannot_take_changes_is_not_asked_again() {
    let server = Server::play("copy-impossible.txt").await;
    for expected in [
        "unknown catalog item 'wikirecent'",
        "takes changes only from a file",
    ] {
        let output = ingest(&server, 1).await;
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    server.finish().await;
}
