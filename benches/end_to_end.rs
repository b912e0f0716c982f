//! What a user waits for, measured on the whole program: from an event sent by the stream to its frame at a websocket, and
//! from the start of the process to the first page.
//!
//! `cargo bench --bench end_to_end`. The stream runs at 100 events a second, three times Wikimedia's average.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use futures::StreamExt;
use support::changes::{Changes, count};
use support::eventstreams::EventStreams;
use support::process::Serve;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const STARTS: usize = 11;
const EVENTS: usize = 3_000;
const EVENTS_PER_SECOND: u32 = 100;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        first_page().await;
        event_to_websocket().await;
    });
}

/// Process start to the last byte of `GET /`, with an empty data directory.
async fn first_page() {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let dir = tempfile::tempdir().unwrap();
        let started = Instant::now();
        let serve = Serve::start(dir.path(), &["--no-ingest"]).await;
        let mut stream = TcpStream::connect(serve.http).await.unwrap();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            serve.http
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        assert!(page.starts_with("HTTP/1.1 200"), "{page}");
        times.push(started.elapsed());
        serve.kill().await;
    }
    report("process start to first page", &mut times);
}

/// The moment an event is handed to the stream's sockets, to the moment the frame that counts it is read.
async fn event_to_websocket() {
    let stream = EventStreams::start(Vec::new()).await;
    let dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(dir.path(), &["--source", &stream.url()]).await;
    let url = format!("ws://{}/api/stream/counter", serve.http);
    let (mut socket, _) = tokio_tungstenite::connect_async(&url).await.unwrap();
    stream.requested(1).await;

    let now_ms = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let messages = Changes::new(7, now_ms).take(EVENTS);
    let edits = count(messages.iter().map(|message| message.json.as_str())).counter;
    let (sent, mut sent_at) = tokio::sync::mpsc::unbounded_channel();
    let sender = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / EVENTS_PER_SECOND);
        for message in messages {
            ticks.tick().await;
            let is_edit = count([message.json.as_str()]).counter == 1;
            let now = Instant::now();
            stream.append([message]);
            if is_edit {
                sent.send(now).unwrap();
            }
        }
        stream
    });

    let mut times = Vec::new();
    while times.len() < usize::try_from(edits).unwrap() {
        let message = socket.next().await.unwrap().unwrap();
        let arrived = Instant::now();
        let Ok(frame) = serde_json::from_str::<serde_json::Value>(message.to_text().unwrap())
        else {
            continue;
        };
        let seen = frame["inserted"][0][0].as_u64().unwrap_or(0);
        while (times.len() as u64) < seen {
            let sent = sent_at.recv().await.unwrap();
            times.push(arrived.duration_since(sent));
        }
    }
    drop(sender.await.unwrap());
    report("event to websocket at 100 events/s", &mut times);
    println!(
        "resident memory of serve: {:.1} MB",
        serve.resident_bytes() as f64 / 1e6
    );
    serve.kill().await;
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{what}: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms ({} samples)",
        at(0.50),
        at(0.99),
        at(1.0),
        times.len()
    );
}
