//! The embedded engine under load: catching up, restarting, and what it costs in memory and on disk.
//!
//! `cargo bench --bench engine_load [-- changes users]`. The changes are made up in the shape and size of Wikimedia's, with random words where
//! people write, so that they compress no better than real ones.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "engine/made_up.rs"]
mod made_up;
#[path = "engine/views.rs"]
mod views;

use std::time::{Duration, Instant};

use made_up::MadeUp;
use wikitop::engine::{Config, RETAIN_DEFAULT, start};

/// What a COPY brings at once.
const BATCH: usize = 10_000;

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse::<usize>().ok());
    let changes = numbers.next().unwrap_or(3_000_000);
    let users = numbers.next().unwrap_or(1_000_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(run(changes, users));
}

async fn run(changes: usize, users: usize) {
    let dir = tempfile::tempdir_in(".").unwrap();
    let config = Config {
        data_dir: dir.path().to_owned(),
        retain: RETAIN_DEFAULT,
    };
    let (engine, running) = start(config.clone()).unwrap();
    views::create(&engine).await;
    report("empty, all views", Duration::ZERO, dir.path());
    let mut made_up = MadeUp::new(users, changes);
    let (mut busy, mut bytes) = (Duration::ZERO, 0);
    // Two batches are under way, as when two COPYs follow each other: one is read while the other is written.
    let mut waiting = tokio::task::JoinSet::new();
    for batch in 0..changes / BATCH {
        let documents = made_up.documents(BATCH);
        bytes += documents.iter().map(bytes::Bytes::len).sum::<usize>();
        let started = Instant::now();
        if waiting.len() >= 2 {
            let appended = waiting.join_next().await.unwrap().unwrap();
            assert_eq!(appended, BATCH as u64);
        }
        let engine = engine.clone();
        waiting.spawn(async move { engine.append(documents).await.unwrap().kept });
        busy += started.elapsed();
        if batch % 50 == 49 {
            eprintln!(
                "{} changes, {:.1} s waited",
                (batch + 1) * BATCH,
                busy.as_secs_f64()
            );
        }
    }
    let started = Instant::now();
    while waiting.join_next().await.is_some() {}
    busy += started.elapsed();
    println!(
        "{changes} changes of {} bytes: {:.0} changes/s (the time spent making them up left out)",
        bytes / changes,
        changes as f64 / busy.as_secs_f64()
    );
    report("caught up", busy, dir.path());
    let started = Instant::now();
    running.stop().await.unwrap();
    report("stopped", started.elapsed(), dir.path());
    drop(engine);
    let started = Instant::now();
    let (engine, running) = start(config).unwrap();
    report("restarted", started.elapsed(), dir.path());
    latency(&engine, &mut made_up).await;
    running.stop().await.unwrap();
}

/// From an append to its acknowledgement, at a thousand changes a second in batches of ten.
async fn latency(engine: &wikitop::engine::handle::Engine, made_up: &mut MadeUp) {
    let mut times = Vec::new();
    for _ in 0..1000 {
        let documents = made_up.documents(10);
        let started = Instant::now();
        engine.append(documents).await.unwrap();
        times.push(started.elapsed());
        tokio::time::sleep(Duration::from_millis(10).saturating_sub(started.elapsed())).await;
    }
    times.sort();
    println!(
        "append of 10, durable and visible: p50 {:.2?}, p99 {:.2?}, max {:.2?}",
        times[500], times[990], times[999]
    );
}

fn report(what: &str, took: Duration, dir: &std::path::Path) {
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
