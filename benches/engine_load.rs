//! The embedded engine under load, as its clients meet it: catching up by COPY, restarting, how soon a change is seen, and
//! what it costs in memory and on disk.
//!
//! `cargo bench --bench engine_load [-- changes users]`. The changes are made up in the shape and size of Wikimedia's, with random words where
//! people write, so that they compress no better than real ones, and spread over a day. They are made before the clock runs.
//! Client and engine share the machine, and the process.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "engine/made_up.rs"]
mod made_up;
#[path = "load/usage.rs"]
mod usage;
#[path = "engine/views.rs"]
mod views;

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use made_up::MadeUp;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_postgres::Client;
use wikitop::copy_text;
use wikitop::core::address::Address;
use wikitop::core::connection::{Connection, connect};
use wikitop::engine::{Config, RETAIN_DEFAULT, Running, door, start};

/// What a COPY brings at once.
const BATCH: usize = 10_000;

/// Two ingesters, so that one batch is read while the other is written. A single one waits for each acknowledgement.
const INGESTERS: [usize; 2] = [2, 1];

/// The directory of a bench that has stopped, for the process in which it goes on.
const RESTARTED_IN: &str = "RESTARTED_IN";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    if let Some(dir) = std::env::var_os(RESTARTED_IN) {
        return runtime.block_on(restarted(Path::new(&dir)));
    }
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse::<usize>().ok());
    let changes = numbers.next().unwrap_or(3_000_000);
    let users = numbers.next().unwrap_or(1_000_000);
    runtime.block_on(run(changes, users));
}

async fn run(changes: usize, users: usize) {
    let dir = tempfile::tempdir_in(".").unwrap();
    let engine = Engine::start(dir.path());
    engine.create_views().await;
    report("empty, all views", Duration::ZERO, dir.path());
    let mut made_up = MadeUp::new(7, users, changes);
    // The second half is sent by a single ingester.
    let mut file = made(&mut made_up, changes);
    for (ingesters, part) in INGESTERS
        .into_iter()
        .zip([changes / 2, changes - changes / 2])
    {
        let before = usage::usage(std::process::id());
        let took = catch_up(&engine, &mut file, part / BATCH, ingesters).await;
        let used = usage::usage(std::process::id()).since(&before);
        println!(
            "{part} changes, {ingesters} at a time: {:.0} changes/s, {:.1} us of processor a change",
            part as f64 / took.as_secs_f64(),
            (used.user + used.system).as_secs_f64() * 1e6 / part as f64
        );
        report("caught up", took, dir.path());
    }
    drop(file);
    let started = Instant::now();
    engine.stop().await;
    report("stopped", started.elapsed(), dir.path());
    // In a process of its own, whose memory holds nothing of what was before.
    let restarted = std::process::Command::new(std::env::current_exe().unwrap())
        .env(RESTARTED_IN, dir.path())
        .status();
    assert!(restarted.unwrap().success());
}

async fn restarted(dir: &Path) {
    let started = Instant::now();
    let engine = Engine::start(dir);
    report("restarted", started.elapsed(), dir);
    latency(&engine, &mut MadeUp::new(8, 1_000, 1)).await;
    engine.stop().await;
}

/// A running engine and its door.
struct Engine {
    handle: wikitop::engine::handle::Engine,
    running: Running,
    address: Address,
    close: oneshot::Sender<()>,
    door: JoinHandle<std::io::Result<()>>,
}

impl Engine {
    fn start(dir: &Path) -> Engine {
        let config = Config {
            data_dir: dir.to_owned(),
            retain: RETAIN_DEFAULT,
        };
        let (handle, running) = start(config).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = Address::local(listener.local_addr().unwrap());
        let (close, closed) = oneshot::channel();
        let listener = TcpListener::from_std(listener).unwrap();
        let serving = door::run(listener, handle.clone(), async {
            let _ = closed.await;
        });
        Engine {
            handle,
            running,
            address,
            close,
            door: tokio::spawn(serving),
        }
    }

    async fn create_views(&self) {
        views::create(&self.handle).await;
    }

    async fn connect(&self) -> Connection {
        connect(&self.address).await.unwrap()
    }

    async fn stop(self) {
        drop(self.close);
        self.door.await.unwrap().unwrap();
        drop(self.handle);
        self.running.stop().await.unwrap();
    }
}

/// Changes as COPY takes them, batch by batch, each with its length in front.
fn made(made_up: &mut MadeUp, changes: usize) -> BufReader<File> {
    let mut file = BufWriter::new(tempfile::tempfile_in(".").unwrap());
    for _ in 0..changes / BATCH {
        let rows = copy_rows(&made_up.documents(BATCH));
        file.write_all(&(rows.len() as u64).to_le_bytes()).unwrap();
        file.write_all(&rows).unwrap();
    }
    let mut file = file.into_inner().unwrap();
    file.rewind().unwrap();
    BufReader::new(file)
}

fn copy_rows(documents: &[Bytes]) -> Vec<u8> {
    let mut rows = Vec::new();
    for document in documents {
        copy_text::encode_column(&mut rows, Some(std::str::from_utf8(document).unwrap()));
        rows.push(b'\n');
    }
    rows
}

async fn catch_up(
    engine: &Engine,
    file: &mut BufReader<File>,
    batches: usize,
    ingesters: usize,
) -> Duration {
    let (send, receive) = mpsc::channel::<Bytes>(1);
    let receive = Arc::new(Mutex::new(receive));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..ingesters {
        tasks.spawn(ingest(engine.connect().await, receive.clone()));
    }
    let started = Instant::now();
    for _ in 0..batches {
        let mut length = [0; 8];
        file.read_exact(&mut length).unwrap();
        let mut batch = vec![0; u64::from_le_bytes(length) as usize];
        file.read_exact(&mut batch).unwrap();
        send.send(batch.into()).await.unwrap();
    }
    drop(send);
    tasks.join_all().await;
    started.elapsed()
}

/// Sends batches as long as there are any.
async fn ingest(connection: Connection, batches: Arc<Mutex<mpsc::Receiver<Bytes>>>) {
    loop {
        let batch = batches.lock().await.recv().await;
        let Some(batch) = batch else { return };
        copy(&connection.client, batch).await;
    }
}

/// Sends one COPY, in the pieces that libpq and its like send, and waits for its acknowledgement.
async fn copy(client: &Client, mut rows: Bytes) {
    let sink = client.copy_in("COPY wikirecent FROM STDIN").await.unwrap();
    let mut sink = std::pin::pin!(sink);
    while !rows.is_empty() {
        let piece = rows.split_to(rows.len().min(64 << 10));
        sink.feed(piece).await.unwrap();
    }
    sink.finish().await.unwrap();
}

/// At a thousand changes a second in batches of ten: from COPY to its acknowledgement, and from that to the row at a
/// subscriber.
async fn latency(engine: &Engine, made_up: &mut MadeUp) {
    let (ingester, subscriber) = (engine.connect().await, engine.connect().await);
    let subscription = "COPY (SUBSCRIBE (SELECT count(*) FROM recentchanges)) TO STDOUT";
    let mut rows = Box::pin(subscriber.client.copy_out(subscription).await.unwrap());
    let count = |row: Bytes| -> (i64, u64) {
        let text = std::str::from_utf8(&row).unwrap().trim_end().to_owned();
        let mut fields = text.split('\t').skip(1);
        let mut field = || fields.next().unwrap();
        (field().parse().unwrap(), field().parse().unwrap())
    };
    let (_, mut expected) = count(rows.next().await.unwrap().unwrap());
    let (mut acknowledged, mut seen) = (Vec::new(), Vec::new());
    for _ in 0..1000 {
        let batch = copy_rows(&made_up.documents(10)).into();
        let started = Instant::now();
        copy(&ingester.client, batch).await;
        let durable = Instant::now();
        expected += 10;
        while count(rows.next().await.unwrap().unwrap()) != (1, expected) {}
        acknowledged.push(durable - started);
        seen.push(durable.elapsed());
        tokio::time::sleep(Duration::from_millis(10).saturating_sub(started.elapsed())).await;
    }
    for (what, times) in [
        ("COPY of 10 until acknowledged", &mut acknowledged),
        ("from there to the row at a subscriber", &mut seen),
    ] {
        times.sort();
        println!(
            "{what}: p50 {:.2?}, p99 {:.2?}, max {:.2?}",
            times[500], times[990], times[999]
        );
    }
}

fn report(what: &str, took: Duration, dir: &Path) {
    use std::os::unix::fs::MetadataExt;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let memory = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            / 1024
    };
    let disk: u64 = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().blocks() * 512)
        .sum();
    println!(
        "{what}: {:.2} s, resident {} MiB (at most {} MiB), disk {} MiB",
        took.as_secs_f64(),
        memory("VmRSS:"),
        memory("VmHWM:"),
        disk >> 20
    );
}
