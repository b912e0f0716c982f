//! The program under a service manager, and under a person in a hurry.

use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, UnixDatagram};

use crate::support::process::{DEADLINE, send_signal, wikitop};

/// The next datagram that is not the last one again.
async fn told(manager: &UnixDatagram, last: &str) -> String {
    loop {
        let mut bytes = [0; 256];
        let received = tokio::time::timeout(DEADLINE, manager.recv(&mut bytes)).await;
        let length = received
            .expect("the service manager hears something")
            .unwrap();
        let words = std::str::from_utf8(&bytes[..length]).unwrap().trim_end();
        if words != last {
            return words.to_owned();
        }
    }
}

#[tokio::test]
async fn the_service_manager_hears_of_readiness_life_and_end() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let data_dir = dir.path().join("data");
    let listen = ["--listen", "127.0.0.1:0", "--pg-listen", "127.0.0.1:0"];
    let mut child = wikitop(&[
        "serve",
        "--no-ingest",
        "--data-dir",
        data_dir.to_str().unwrap(),
    ])
    .args(listen)
    .env("NOTIFY_SOCKET", &socket)
    .env("WATCHDOG_USEC", "100000")
    .spawn()
    .unwrap();
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    assert_eq!(told(&manager, "").await, "READY=1");
    assert_eq!(told(&manager, "").await, "WATCHDOG=1");
    // A hangup is no reason to end: the next beat comes all the same.
    send_signal(pid, "HUP");
    assert_eq!(told(&manager, "").await, "WATCHDOG=1");
    send_signal(pid, "TERM");
    assert_eq!(told(&manager, "WATCHDOG=1").await, "STOPPING=1");
    let status = tokio::time::timeout(DEADLINE, child.wait())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.code(), Some(143));
}

#[tokio::test]
async fn a_second_interrupt_ends_at_once() {
    // An engine that takes connections and never says anything.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "postgres://materialize@{}/materialize",
        mute.local_addr().unwrap()
    );
    for command in [
        &["serve", "--listen", "127.0.0.1:0"][..],
        &["tail"],
        &["tail", "top10"],
    ] {
        let mut child = wikitop(command)
            .env("MATERIALIZE_URL", &url)
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id().unwrap()).unwrap();
        let connected = tokio::time::timeout(DEADLINE, mute.accept())
            .await
            .unwrap()
            .unwrap();
        let asked = Instant::now();
        send_signal(pid, "INT");
        while child.try_wait().unwrap().is_none() {
            send_signal(pid, "INT");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(child.wait().await.unwrap().code(), Some(130), "{command:?}");
        // The connection itself would time out much later.
        assert!(
            asked.elapsed() < Duration::from_secs(8),
            "{command:?}: {:?}",
            asked.elapsed()
        );
        drop(connected);
    }
}

#[tokio::test]
async fn logs_are_lines_of_json_when_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let mut child = wikitop(&[
        "serve",
        "--no-ingest",
        "--data-dir",
        data_dir.to_str().unwrap(),
    ])
    .args([
        "--listen",
        "127.0.0.1:0",
        "--pg-listen",
        "127.0.0.1:0",
        "--log-format",
        "json",
        "--log-level",
        "debug",
    ])
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = tokio::time::timeout(DEADLINE, lines.next_line())
            .await
            .unwrap()
            .unwrap();
        let line = line.expect("a log line in JSON before the end");
        if let Ok(line) = serde_json::from_str::<serde_json::Value>(&line) {
            assert!(
                line["timestamp"].is_string() && line["level"].is_string(),
                "{line}"
            );
            break;
        }
    }
    child.kill().await.unwrap();
}
