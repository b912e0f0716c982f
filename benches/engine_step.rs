//! One batch through the embedded engine: read, made durable, and visible in every view of `assets/views.sql`.
//!
//! `cargo bench --bench engine_step`. Two hundred thousand users are there already. Durability is most of it: the time is that of
//! the disk's flush.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "engine/made_up.rs"]
mod made_up;
#[path = "engine/views.rs"]
mod views;

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use made_up::MadeUp;
use wikitop::engine::{Config, RETAIN_DEFAULT, start};

const USERS: usize = 200_000;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = tempfile::tempdir_in(".").unwrap();
    let config = Config {
        data_dir: dir.path().to_owned(),
        retain: RETAIN_DEFAULT,
    };
    let (engine, running) = start(config).unwrap();
    let mut made_up = MadeUp::new(7, USERS, USERS);
    runtime.block_on(async {
        views::create(&engine).await;
        for _ in 0..USERS / 10_000 {
            engine.append(made_up.documents(10_000)).await.unwrap();
        }
    });
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("append");
    for edits in [1, 100] {
        group.throughput(Throughput::Elements(edits as u64));
        group.bench_function(format!("{edits} edits"), |bencher| {
            bencher.iter_custom(|times| {
                let mut busy = Duration::ZERO;
                for _ in 0..times {
                    let documents = made_up.documents(edits);
                    let started = Instant::now();
                    runtime.block_on(engine.append(documents)).unwrap();
                    busy += started.elapsed();
                }
                busy
            });
        });
    }
    group.finish();
    criterion.final_summary();
    runtime.block_on(running.stop()).unwrap();
}
