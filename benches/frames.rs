//! From the bytes of a subscription to frames: what a client of a busy view does for each update.

#![allow(missing_docs, clippy::unwrap_used)]

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wikitop::core::reducer::Reducer;
use wikitop::core::update::Decoder;

/// Frames in the stream under test, after the snapshot.
const FRAMES: u64 = 1_000;
/// Rows that change in each: the whole of a top ten.
const ROWS: u64 = 10;

/// A view of (user, count) of which every row changes in every frame.
fn stream() -> Bytes {
    let mut text = String::new();
    for frame in 0..=FRAMES {
        let time_ms = 1_790_000_000_000 + frame;
        for user in 0..ROWS {
            text += &format!("{time_ms}\tf\t1\tUser {user}\t{}\n", frame + 1);
            if frame > 0 {
                text += &format!("{time_ms}\tf\t-1\tUser {user}\t{frame}\n");
            }
        }
        text += &format!("{}\tt\t\\N\t\\N\t\\N\n", time_ms + 1);
    }
    text.into()
}

fn reduce(stream: Bytes) -> u64 {
    let (mut decoder, mut reducer, mut frames) = (Decoder::new(2), Reducer::default(), 0);
    decoder.push(stream);
    while let Some(update) = decoder.next_update().unwrap() {
        reducer.update(update).unwrap();
        while reducer.next_frame().unwrap().is_some() {
            frames += 1;
        }
    }
    frames
}

fn frames(criterion: &mut Criterion) {
    let stream = stream();
    assert_eq!(reduce(stream.clone()), FRAMES + 1);
    let mut group = criterion.benchmark_group("frames");
    group.throughput(Throughput::Elements(FRAMES * ROWS * 2));
    group.bench_function("reduce updates", |bencher| {
        bencher.iter(|| reduce(stream.clone()));
    });
    group.finish();
}

criterion_group!(benches, frames);
criterion_main!(benches);
