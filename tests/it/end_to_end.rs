//! From Wikimedia's stream to browser, psql and terminal, through the built binary.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_postgres::NoTls;

use crate::support::changes::{Changes, Counts, count};
use crate::support::eventstreams::{Conduct, EventStreams, Message};
use crate::support::process::{DEADLINE, Serve, wikitop};

/// A port that the system chooses.
const FREE: &str = "127.0.0.1:0";
const START_MS: i64 = 1_785_857_069_724;

fn counted(messages: &[Message]) -> Counts {
    count(messages.iter().map(|message| message.json.as_str()))
}

/// The ten users with most edits; ties by user, bytewise ascending.
fn top10(counts: &Counts) -> Vec<(String, i64)> {
    let mut users: Vec<(String, i64)> = counts.user_edits.clone().into_iter().collect();
    users.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(&right.0)));
    users.truncate(10);
    users
}

/// Follows `counter` over a websocket until it says `edits`; counts never go down on the way.
async fn wait_for_counter(serve: &Serve, edits: i64) {
    let url = format!("ws://{}/api/stream/counter", serve.http);
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    let mut seen = -1;
    while seen != edits {
        let message = timeout(DEADLINE, socket.next()).await;
        let message = message.unwrap_or_else(|_| panic!("counter stays at {seen}, not {edits}"));
        let text = message.expect("the stream goes on").unwrap();
        let Ok(frame) = serde_json::from_str::<Value>(text.to_text().unwrap()) else {
            continue;
        };
        let Some(now) = frame["inserted"][0][0].as_i64() else {
            continue;
        };
        assert!(now > seen && now <= edits, "{seen} then {now} of {edits}");
        seen = now;
    }
}

async fn query(serve: &Serve, sql: &str) -> Vec<tokio_postgres::Row> {
    let config = format!(
        "host={} port={} user=materialize dbname=materialize",
        serve.pg.ip(),
        serve.pg.port()
    );
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await.unwrap();
    let driver = tokio::spawn(connection);
    let rows = client.query(sql, &[]).await.unwrap();
    drop(client);
    driver.await.unwrap().unwrap();
    rows
}

/// `GET path` as JSON.
async fn get(serve: &Serve, path: &str) -> Value {
    let response = reqwest::get(format!("http://{}{path}", serve.http))
        .await
        .unwrap();
    assert!(
        response.status().is_success(),
        "{path}: {}",
        response.status()
    );
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

async fn tail(serve: &Serve, args: &[&str]) -> String {
    let url = format!("postgres://materialize@{}/materialize", serve.pg);
    let mut all = vec!["tail"];
    all.extend(args);
    all.extend(["--materialize", &url]);
    let output = timeout(DEADLINE, wikitop(&all).output())
        .await
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn write_recording(path: &Path, messages: &[Message]) {
    let lines: String = messages
        .iter()
        .map(|message| format!("{}\n", message.json))
        .collect();
    std::fs::write(path, lines).unwrap();
}

#[tokio::test]
async fn everyone_sees_the_from_scratch_count() {
    let messages = Changes::new(1, START_MS).take(3_000);
    let counts = counted(&messages);
    let (first, rest) = messages.split_at(1_000);
    let stream = EventStreams::start(first.to_vec()).await;
    stream.script([
        Conduct::CloseAfterEvents(700),
        Conduct::CutAfterBytes(123_457),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let source = ["--source", &stream.url(), "--since", "2026-08-01T00:00:00Z"];
    let serve = Serve::start(dir.path(), &source).await;
    stream.append(rest.to_vec());
    wait_for_counter(&serve, counts.counter).await;

    let expected = top10(&counts);
    let page: Vec<(String, i64)> =
        serde_json::from_value(get(&serve, "/api/views/top10").await["rows"].clone()).unwrap();
    assert_eq!(page, expected);

    let rows = query(&serve, "SELECT \"user\", count FROM user_edits").await;
    let users: BTreeMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(users, counts.user_edits);

    let frame: Value = serde_json::from_str(
        &tail(&serve, &["top10", "--snapshot-only", "--format", "json"]).await,
    )
    .unwrap();
    let mut shown: Vec<(String, i64)> = serde_json::from_value(frame["inserted"].clone()).unwrap();
    shown.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(&right.0)));
    assert_eq!(shown, expected);

    let (status, said) = serve.end_with("TERM").await;
    assert_eq!(status.code(), Some(143), "{said}");
}

#[tokio::test]
async fn a_recording_read_again_after_a_crash_counts_nothing_twice() {
    let messages = Changes::new(2, START_MS).take(2_000);
    let counts = counted(&messages);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("recording.ndjson");
    write_recording(&file, &messages);
    let data = dir.path().join("data");
    let source = ["--source", file.to_str().unwrap(), "--speed", "max"];

    let serve = Serve::start(&data, &source).await;
    wait_for_counter(&serve, counts.counter).await;
    serve.kill().await;

    let serve = Serve::start(&data, &["--no-ingest"]).await;
    assert_eq!(
        get(&serve, "/api/views/counter").await["rows"][0][0],
        counts.counter
    );
    serve.kill().await;

    let serve = Serve::start(&data, &source).await;
    let types = query(&serve, "SELECT type, count FROM changes_by_type").await;
    let types: BTreeMap<String, i64> = types.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(types, counts.changes_by_type);
    let (status, said) = serve.end_with("INT").await;
    assert_eq!(status.code(), Some(130), "{said}");
}

#[tokio::test]
async fn a_second_process_feeds_the_engine() {
    let messages = Changes::new(3, START_MS).take(500);
    let counts = counted(&messages);
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(dir.path(), &["--no-ingest"]).await;
    let url = format!("postgres://materialize@{}/materialize", serve.pg);
    let args = [
        "ingest",
        "--source",
        "-",
        "--speed",
        "max",
        "--materialize",
        &url,
    ];
    for _ in 0..2 {
        let mut ingest = wikitop(&args)
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = ingest.stdin.take().unwrap();
        for message in &messages {
            stdin
                .write_all(format!("data: {}\n", message.json).as_bytes())
                .await
                .unwrap();
        }
        drop(stdin);
        let output = timeout(DEADLINE, ingest.wait_with_output())
            .await
            .unwrap()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        wait_for_counter(&serve, counts.counter).await;
    }
    let args = ["init-views", "--materialize", &url];
    let output = timeout(DEADLINE, wikitop(&args).output())
        .await
        .unwrap()
        .unwrap();
    assert!(output.status.success(), "views that are there are no error");
    serve.kill().await;
}

/// Runs `serve` to its end; it must fail, and say why.
async fn refusal(listen: &str, pg_listen: &str, data_dir: &str, source: &[&str]) -> String {
    let mut args = vec!["serve", "--listen", listen, "--pg-listen", pg_listen];
    args.extend(["--data-dir", data_dir]);
    args.extend(source);
    let output = timeout(DEADLINE, wikitop(&args).output())
        .await
        .unwrap()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("hint: "), "{said}");
    said
}

#[tokio::test]
async fn what_cannot_start_says_why_and_what_helps() {
    let dir = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let (dir, other) = (dir.path().to_str().unwrap(), other.path().to_str().unwrap());
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let serve = Serve::start(Path::new(dir), &["--no-ingest"]).await;

    let said = refusal(FREE, FREE, dir, &["--no-ingest"]).await;
    assert!(
        said.contains(dir) && said.contains("in use by another wikitop"),
        "{said}"
    );
    let said = refusal(&taken, FREE, other, &["--no-ingest"]).await;
    assert!(said.contains(&taken) && said.contains("--listen"), "{said}");
    let said = refusal(FREE, &taken, other, &["--no-ingest"]).await;
    assert!(
        said.contains(&taken) && said.contains("--pg-listen"),
        "{said}"
    );
    let said = refusal(FREE, FREE, other, &["--source", "no/such/file.ndjson"]).await;
    assert!(said.contains("no/such/file.ndjson"), "{said}");
    serve.kill().await;
}

#[tokio::test]
async fn a_stream_that_cannot_be_reached_is_retried_and_the_page_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = listener.local_addr().unwrap();
    drop(listener);
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(
        dir.path(),
        &["--source", &format!("http://{nobody}/stream")],
    )
    .await;
    let told = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(50));
        while get(&serve, "/api/status").await["ingest"]["state"] != "retrying" {
            ticks.tick().await;
        }
    };
    timeout(DEADLINE, told)
        .await
        .expect("the status says that the stream is retried");
    assert_eq!(get(&serve, "/api/views/counter").await["rows"][0][0], 0);
    let ended = std::time::Instant::now();
    let (_, said) = serve.end_with("TERM").await;
    assert!(ended.elapsed() < Duration::from_secs(5), "{said}");
}
