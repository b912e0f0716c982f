//! `ingest` into a current Materialize: atomic batches, and what becomes of one that is refused or not acknowledged.

use std::process::Output;

use super::server::Server;
use crate::support::process::{DEADLINE, wikitop};

/// Runs `ingest` over a recording of these lines.
async fn ingest(server: &Server, lines: &[String]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    let recording = directory.path().join("changes.ndjson");
    std::fs::write(&recording, lines.concat()).unwrap();
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

/// So many changes, a second apart.
fn changes(count: usize) -> Vec<String> {
    (1..=count).map(change).collect()
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

fn without_identity(line: &str) -> String {
    let (before, after) = line.split_once("\"id\":").unwrap();
    before.to_owned() + after.split_once(',').unwrap().1
}

async fn expect_told(server: Server, lines: &[String], expected: &str) {
    let output = ingest(&server, lines).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    server.finish().await;
}

#[tokio::test]
async fn a_batch_whose_acknowledgement_was_lost_is_looked_for_before_it_is_sent_again() {
    let server = Server::play("copy-lost-26.19.txt").await;
    let expected = "3 changes received, 0 kept; skipped 3 repeat";
    expect_told(server, &changes(3), expected).await;
}

#[tokio::test]
async fn what_is_there_already_leaves_the_batch_and_the_rest_goes() {
    let server = Server::play("copy-lost-some-26.19.txt").await;
    let mut lines = changes(3);
    lines[0] = without_identity(&lines[0]);
    lines[2] = without_identity(&lines[2]);
    expect_told(
        server,
        &lines,
        "3 changes received, 1 kept; skipped 2 repeat",
    )
    .await;
}

#[tokio::test]
async fn a_refused_change_costs_itself_and_no_other() {
    let server = Server::play("copy-refused-26.19.txt").await;
    expect_told(server, &changes(2), "2 changes received, 1 kept").await;
}

#[tokio::test]
async fn an_engine_that_cannot_take_a_batch_now_is_asked_again() {
    let server = Server::play("copy-busy-26.19.txt").await;
    expect_told(server, &changes(2), "2 changes received, 2 kept").await;
}

#[tokio::test]
async fn an_engine_that_cannot_take_changes_is_not_asked_again() {
    let server = Server::play("copy-impossible.txt").await;
    for expected in [
        "unknown catalog item 'wikirecent'",
        "takes changes only from a file",
    ] {
        let output = ingest(&server, &changes(1)).await;
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    }
    server.finish().await;
}
