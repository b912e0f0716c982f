//! The dialects of Materialize, spoken by a scripted server.

mod copy_in;
mod embedded;
mod schema;
mod server;
mod tls;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use futures::{SinkExt, StreamExt};
use tokio_postgres::error::SqlState;
use tokio_postgres::{NoTls, SimpleQueryMessage};
use wikitop::cli::Cli;
use wikitop::core::address::{Address, SslMode};
use wikitop::core::connection::{self, ConnectError};
use wikitop::core::dialect::Dialect;
use wikitop::core::frame::{Frame, Row};
use wikitop::core::relations;
use wikitop::core::subscription::{Event, SubscribeError, Subscription, Target};

use server::Server;

use crate::support::process::wikitop;

/// Far above what any step needs on however loaded a machine.
const DEADLINE: Duration = Duration::from_secs(60);

fn subscribe(server: &Server, view: &str) -> Subscription {
    Subscription::new(
        Address::local(server.address),
        Target::View(view.to_owned()),
    )
}

async fn next(subscription: &mut Subscription) -> Event {
    tokio::time::timeout(DEADLINE, subscription.next())
        .await
        .expect("an event")
}

async fn next_frame(subscription: &mut Subscription) -> Arc<Frame> {
    match next(subscription).await {
        Event::Frame(frame) => frame,
        other => panic!("no frame: {other:?}"),
    }
}

async fn expect_opened(subscription: &mut Subscription) {
    match next(subscription).await {
        Event::Opened { columns } => {
            let columns: Vec<_> = columns
                .iter()
                .map(|c| (c.name.as_str(), c.ty.as_str()))
                .collect();
            assert_eq!(columns, [("user", "text"), ("count", "bigint")]);
        }
        other => panic!("not opened: {other:?}"),
    }
}

async fn expect_reconnecting(subscription: &mut Subscription, why: &str) {
    match next(subscription).await {
        Event::Reconnecting { reason, .. } => assert_eq!(reason, why),
        other => panic!("not reconnecting: {other:?}"),
    }
}

async fn expect_progress(subscription: &mut Subscription, expected: u64) {
    match next(subscription).await {
        Event::Progress { timestamp_ms } => assert_eq!(timestamp_ms, expected),
        other => panic!("no progress: {other:?}"),
    }
}

/// A frame as lines: `- row` and `+ row`, values split by `|`, in the order in which they stand.
fn lines(frame: &Frame) -> Vec<String> {
    let line = |sign: &str, row: &Row| {
        let values: Vec<String> = row
            .columns()
            .map(|value| value.map_or("NULL".to_owned(), |text| format!("{text:?}")))
            .collect();
        format!("{sign} {}", values.join("|"))
    };
    let deleted = frame.deleted.iter().map(|row| line("-", row));
    deleted
        .chain(frame.inserted.iter().map(|row| line("+", row)))
        .collect()
}

#[tokio::test]
async fn a_current_materialize_is_followed_across_a_lost_connection() {
    let server = Server::play("subscribe-26.19.txt").await;
    let mut subscription = subscribe(&server, "top10");
    expect_opened(&mut subscription).await;
    let snapshot = next_frame(&mut subscription).await;
    assert_eq!(snapshot.timestamp_ms, 1_795_330_106_508);
    assert_eq!(
        lines(&snapshot),
        [
            r#"+ "\u{8}\u{c}\u{b}\u{1}"|"8""#,
            r#"+ ""|"5""#,
            r#"+ NULL|"4""#,
            r#"+ "\\N"|"6""#,
            r#"+ "alice"|"2""#,
            r#"+ "bob"|"1""#,
            r#"+ "tab\there\nand\\there"|"7""#,
            r#"+ "üñí☃ 日本語 😀"|"9""#,
        ]
    );
    expect_progress(&mut subscription, 1_795_330_107_205).await;
    let change = next_frame(&mut subscription).await;
    assert_eq!(lines(&change), [r#"- "alice"|"2""#, r#"+ "alice"|"3""#]);
    let change = next_frame(&mut subscription).await;
    assert_eq!(lines(&change), [r#"+ "carol"|"3""#]);
    assert_eq!(subscription.state().rows.len(), 9);
    expect_reconnecting(&mut subscription, "connection closed by the server").await;
    expect_opened(&mut subscription).await;
    let difference = next_frame(&mut subscription).await;
    assert_eq!(difference.inserted.len(), 1, "{difference:?}");
    assert_eq!(difference.deleted.len(), 7, "{difference:?}");
    assert_eq!(subscription.state().rows.len(), 3);
    expect_reconnecting(&mut subscription, "canceling statement due to user request").await;
    drop(subscription);
    server.finish().await;
}

/// Waits for an event like somebody who always has something better to do.
async fn next_with_interruptions(subscription: &mut Subscription) -> Event {
    let interrupted = async {
        loop {
            tokio::select! {
                biased;
                event = subscription.next() => return event,
                () = tokio::task::yield_now() => {}
            }
        }
    };
    tokio::time::timeout(DEADLINE, interrupted)
        .await
        .expect("an event")
}

#[tokio::test]
async fn whoever_stops_waiting_loses_nothing() {
    let server = Server::play("subscribe-26.19.txt").await;
    let mut subscription = subscribe(&server, "top10");
    let mut told = Vec::new();
    for _ in 0..8 {
        told.push(match next_with_interruptions(&mut subscription).await {
            Event::Opened { .. } => "opened".to_owned(),
            Event::Frame(frame) => format!("-{} +{}", frame.deleted.len(), frame.inserted.len()),
            Event::Progress { .. } => "progress".to_owned(),
            Event::Reconnecting { .. } => "reconnecting".to_owned(),
            Event::Failed(error) => panic!("{error}"),
        });
    }
    let expected = [
        "opened",
        "-0 +8",
        "progress",
        "-1 +1",
        "-0 +1",
        "reconnecting",
        "opened",
        "-7 +1",
    ];
    assert_eq!(told, expected);
    drop(subscription);
    server.finish().await;
}

#[tokio::test]
async fn any_pieces_of_the_byte_stream_give_the_same_frames() {
    let told = async |random: fastrand::Rng| {
        let server = Server::play_with("pieces-26.19.txt", random).await;
        let mut subscription = subscribe(&server, "top10");
        expect_opened(&mut subscription).await;
        let mut told = Vec::new();
        loop {
            match next(&mut subscription).await {
                Event::Frame(frame) => told.push((frame.timestamp_ms, lines(&frame))),
                Event::Progress { .. } => {}
                Event::Reconnecting { reason, .. } => {
                    assert_eq!(reason, "connection closed by the server");
                    break;
                }
                other => panic!("neither a frame nor the end: {other:?}"),
            }
        }
        drop(subscription);
        server.finish().await;
        told
    };
    let expected = told(fastrand::Rng::with_seed(0)).await;
    assert_eq!(expected.len(), 3);
    for seed in 1..100 {
        let told = told(fastrand::Rng::with_seed(seed)).await;
        assert_eq!(told, expected, "seed {seed}");
    }
}

async fn expect_one(connection: &connection::Connection) {
    let rows = connection.client.simple_query("SELECT 1");
    let rows = tokio::time::timeout(DEADLINE, rows).await;
    let rows = rows.expect("an answer").unwrap();
    let is_one = |row: &SimpleQueryMessage| matches!(row, SimpleQueryMessage::Row(row) if row.get(0) == Some("1"));
    assert!(rows.iter().any(is_one), "{rows:?}");
}

#[tokio::test]
async fn whoever_cancels_ends_the_stream_and_not_the_connection() {
    let server = Server::play("cancel.txt").await;
    for _ in 0..2 {
        let address = Address::local(server.address);
        let connection = connection::connect(&address).await.unwrap();
        let target = Target::View("top10".to_owned());
        let statement = connection.dialect.subscribe(&target);
        let statement = connection.client.prepare(&statement).await.unwrap();
        let stream = connection.client.copy_out(&statement).await.unwrap();
        let mut stream = std::pin::pin!(stream);
        stream.next().await.unwrap().unwrap();
        let token = connection.client.cancel_token();
        token.cancel_query(NoTls).await.unwrap();
        let error = stream.next().await.unwrap().unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
        expect_one(&connection).await;
    }
    server.finish().await;
}

#[tokio::test]
async fn a_copy_that_is_given_up_ends_the_copy_and_not_the_connection() {
    let server = Server::play("copy-given-up-26.19.txt").await;
    let address = Address::local(server.address);
    let connection = connection::connect(&address).await.unwrap();
    let statement = connection.client.prepare("COPY wikirecent FROM STDIN");
    let statement = statement.await.unwrap();
    let copy = connection.client.copy_in(&statement).await.unwrap();
    let mut copy = Box::pin(copy);
    copy.send(Bytes::from_static(b"{}\n")).await.unwrap();
    copy.flush().await.unwrap();
    drop(copy);
    expect_one(&connection).await;
    drop((statement, connection));
    server.finish().await;
}

#[tokio::test]
async fn the_old_line_is_followed_by_tail() {
    let server = Server::play("tail-0.26.6.txt").await;
    let mut subscription = subscribe(&server, "useredits");
    expect_opened(&mut subscription).await;
    let snapshot = next_frame(&mut subscription).await;
    assert_eq!(snapshot.timestamp_ms, 1_795_330_336_999);
    assert_eq!(snapshot.inserted.len(), 3);
    expect_progress(&mut subscription, 1_795_330_338_000).await;
    let change = next_frame(&mut subscription).await;
    assert_eq!(change.timestamp_ms, 1_795_330_338_000);
    assert_eq!(lines(&change), [r#"- "TailerA"|"6""#, r#"+ "TailerA"|"7""#]);
    expect_reconnecting(&mut subscription, "connection closed by the server").await;
    expect_opened(&mut subscription).await;
    assert_eq!(next_frame(&mut subscription).await.deleted.len(), 3);
    assert!(subscription.state().rows.is_empty());
    drop(subscription);
    server.finish().await;
}

#[tokio::test]
async fn an_unknown_view_is_not_asked_for_again() {
    for transcript in ["unknown-view-26.19.txt", "unknown-view-0.26.6.txt"] {
        let server = Server::play(transcript).await;
        let mut subscription = subscribe(&server, "nosuch");
        let expected = SubscribeError::UnknownRelation("unknown catalog item 'nosuch'".to_owned());
        for _ in 0..2 {
            match next(&mut subscription).await {
                Event::Failed(error) => assert_eq!(error, expected),
                other => panic!("not failed: {other:?}"),
            }
        }
        server.finish().await;
    }
}

#[tokio::test]
async fn a_missing_right_is_not_asked_for_again() {
    let server = Server::play("no-rights-26.19.txt").await;
    match next(&mut subscribe(&server, "top10")).await {
        Event::Failed(SubscribeError::NotAllowed(reason)) => {
            assert!(reason.starts_with("permission denied"), "{reason}");
        }
        other => panic!("not failed: {other:?}"),
    }
    server.finish().await;
}

#[tokio::test]
async fn a_silent_engine_is_left_and_found_again() {
    let server = Server::play("silent-26.19.txt").await;
    let silence_max = Duration::from_secs(1);
    let mut subscription = subscribe(&server, "top10").with_silence_max(silence_max);
    expect_reconnecting(&mut subscription, "the engine has not answered for 4s").await;
    expect_opened(&mut subscription).await;
    assert_eq!(
        lines(&*next_frame(&mut subscription).await),
        [r#"+ "bob"|"1""#]
    );
    expect_reconnecting(&mut subscription, "the engine has said nothing for 1s").await;
    expect_opened(&mut subscription).await;
    assert_eq!(
        lines(&*next_frame(&mut subscription).await),
        [r#"- "bob"|"1""#, r#"+ "bob"|"2""#]
    );
    drop(subscription);
    server.finish().await;
}

#[tokio::test]
async fn what_cannot_be_believed_is_read_anew() {
    let server = Server::play("poisoned-26.19.txt").await;
    let mut subscription = subscribe(&server, "top10");
    expect_opened(&mut subscription).await;
    let poisoned = r#"Evaluation error: invalid input syntax for type boolean: "maybe""#;
    expect_reconnecting(&mut subscription, poisoned).await;
    expect_opened(&mut subscription).await;
    let impossible = r#"the row "bob\t1" would be there -1 times at 1795330106508"#;
    expect_reconnecting(&mut subscription, impossible).await;
    expect_opened(&mut subscription).await;
    assert_eq!(
        lines(&*next_frame(&mut subscription).await),
        [r#"+ "bob"|"2""#]
    );
    drop(subscription);
    server.finish().await;
}

#[tokio::test]
async fn something_else_than_an_engine_is_named() {
    let server = Server::play("not-an-engine.txt").await;
    let error = connection::connect(&Address::local(server.address))
        .await
        .unwrap_err();
    let expected = format!(
        "\"{}\" is not an engine that wikitop knows: it is PostgreSQL 15.20 on x86_64-pc-linux-gnu",
        server.address
    );
    assert_eq!(error.to_string(), expected);
    server.finish().await;
}

#[tokio::test]
async fn a_refusal_is_told_from_a_server_that_is_not_ready() {
    let server = Server::play("refused.txt").await;
    let address = Address::local(server.address);
    let error = connection::connect(&address).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::Refused { reason, .. } if reason.contains("nobody")),
        "{error}"
    );
    let error = connection::connect(&address).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let clustered = address.with_cluster(Some("small".to_owned()));
    let error = connection::connect(&clustered).await.unwrap_err();
    assert!(matches!(error, ConnectError::NoCluster { .. }), "{error}");
    let connection = connection::connect(&clustered).await.unwrap();
    assert_eq!(connection.dialect, Dialect::Subscribe);
    drop(connection);
    server.finish().await;
}

#[tokio::test]
async fn what_a_server_says_of_a_user_is_told_though_the_other_way_fails_too() {
    let server = Server::play("refused-twice.txt").await;
    let mut address = Address::local(server.address);
    address.ssl_mode = SslMode::Allow;
    let error = connection::connect(&address).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::Refused { reason, .. } if reason.contains("nobody")),
        "{error}"
    );
    server.finish().await;
}

#[tokio::test]
async fn nobody_there_is_said_in_the_operating_systems_words() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = connection::connect(&Address::local(address))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("could not connect to \"{address}\": connection refused")
    );
    assert!(error.is_transient());
}

#[tokio::test]
async fn known_views_are_listed_first() {
    for transcript in ["show-26.19.txt", "show-0.26.6.txt"] {
        let server = Server::play(transcript).await;
        let connection = connection::connect(&Address::local(server.address))
            .await
            .unwrap();
        let names = relations::list(&connection).await.unwrap();
        let expected = [
            "counter",
            "top10",
            "user_edits",
            "recentchanges",
            "mine",
            "wikirecent",
        ];
        assert_eq!(names, expected, "{transcript}");
        drop(connection);
        server.finish().await;
    }
}

#[tokio::test]
async fn tail_prints_the_snapshot_and_no_greeting() {
    let server = Server::play("pieces-26.19.txt").await;
    let url = format!(
        "postgres://materialize@{}/materialize?sslmode=disable",
        server.address
    );
    let args = ["tail", "top10", "--materialize", &url, "--max-frames", "1"];
    let output = tokio::time::timeout(DEADLINE, wikitop(&args).output()).await;
    let output = output.expect("it ends").unwrap();
    let expected = r#"{"deleted":[],"inserted":[["\b\f\u000b\u0001",8],["",5],[null,4],["\\N",6],["alice",2],["bob",1],["tab\there\nand\\there",7],["üñí☃ 日本語 😀",9]],"timestamp":1795330106508}"#;
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(stdout.trim_end(), expected);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!stderr.contains("connected to Materialize"), "{stderr}");
    server.finish().await;
}

#[cfg(unix)]
#[tokio::test]
async fn what_the_url_leaves_out_comes_from_the_environment_and_the_password_file() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".pgpass");
    let server = Server::play("password-26.19.txt").await;
    let port = server.address.port();
    let entries = format!(
        "# comment\n127.0.0.1:{port}:other:ann:no\n*:{port}:top:ann:s\\:cret\\\\\n*:*:*:*:no\n"
    );
    std::fs::write(&file, entries).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let url = format!("postgres://127.0.0.1:{port}?sslmode=disable");
    let output = wikitop(&["init-views", "--print", "--materialize", &url])
        .env("HOME", home.path())
        .env("PGUSER", "ann")
        .env("PGDATABASE", "top")
        .env("PGAPPNAME", "me")
        .env("PGOPTIONS", "-c cluster=quickstart")
        .env("PGPORT", "1")
        .output();
    let output = tokio::time::timeout(DEADLINE, output).await;
    let output = output.expect("it ends").unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .starts_with("CREATE TABLE")
    );
    server.finish().await;
}

#[tokio::test]
async fn every_command_works_on_the_cluster_it_is_told() {
    let commands: [&[&str]; 4] = [
        &["serve", "--listen", "127.0.0.1:0"],
        &["tail", "top10"],
        &["ingest", "--source", "tests/data/changes.ndjson"],
        &["init-views"],
    ];
    for command in commands {
        let server = Server::play("no-cluster-26.19.txt").await;
        let url = format!(
            "postgres://materialize@{}/materialize?sslmode=disable",
            server.address
        );
        let by_option = format!("{url}&options=-c%20cluster%3Dsmall");
        let by_long_option = format!("{url}&options=--cluster%3Dsmall");
        let ways: [&[&str]; 3] = [
            &["--materialize", &url, "--cluster", "small"],
            &["--materialize", &by_option],
            &["--materialize", &by_long_option],
        ];
        for way in ways {
            let output = wikitop(&[command, way].concat()).output();
            let output = tokio::time::timeout(DEADLINE, output).await;
            let output = output.expect("it ends").unwrap();
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{command:?}: {stderr}");
            assert!(stderr.contains("has no cluster \"small\""), "{stderr}");
            assert!(stderr.contains("SHOW CLUSTERS"), "{stderr}");
        }
        server.finish().await;
    }
}

/// Nobody can run the containers here; that they would start is the least that can be known.
#[test]
fn the_commands_of_the_compose_file_exist() {
    let compose = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/compose.yaml"));
    let compose = compose.unwrap();
    let commands = compose.lines().filter_map(|line| {
        let words = line.trim().strip_prefix("command: [")?.strip_suffix(']')?;
        Some(words.split(", ").map(|word| word.trim_matches('"')))
    });
    let mut parsed = 0;
    // A server's own command is its flags alone.
    let commands = commands.filter(|words| words.clone().all(|word| word != "--workers"));
    for command in commands {
        let line = std::iter::once("wikitop").chain(command);
        Cli::try_parse_from(line).unwrap();
        parsed += 1;
    }
    assert_eq!(parsed, 6, "one for each service of wikitop's own");
}
