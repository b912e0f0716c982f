//! From the bytes of a stream to changes that are known to be new: what one core does in a second.

#![allow(missing_docs, clippy::unwrap_used)]

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wikitop::ingest::sse::{Decoder, Framing, Item};
use wikitop::ingest::{Admission, Verdict};

/// What a socket gives at once.
const CHUNK_BYTES: usize = 16 << 10;
/// Events in the stream under test.
const EVENTS: usize = 10_000;

/// A stream of the fixture's events, each with an identity of its own.
fn stream() -> Vec<Bytes> {
    let fixture: Vec<&str> = include_str!("../tests/data/changes.ndjson")
        .lines()
        .collect();
    let mut bytes = Vec::new();
    for (number, line) in fixture.iter().cycle().take(EVENTS).enumerate() {
        let json = line.replace("\"id\":\"", &format!("\"id\":\"{number:08x}-"));
        let id = r#"[{"topic":"eqiad.mediawiki.recentchange","partition":0,"timestamp":1746030241001},{"topic":"codfw.mediawiki.recentchange","partition":0,"offset":-1}]"#;
        bytes.extend(format!("event: message\nid: {id}\ndata: {json}\n\n").bytes());
    }
    let all = Bytes::from(bytes);
    (0..all.len())
        .step_by(CHUNK_BYTES)
        .map(|start| all.slice(start..all.len().min(start + CHUNK_BYTES)))
        .collect()
}

fn read(chunks: &[Bytes]) -> usize {
    let (mut decoder, mut admission) = (Decoder::new(Framing::EventStream), Admission::default());
    let (mut items, mut kept) = (Vec::new(), 0);
    for chunk in chunks {
        decoder.feed(chunk.clone(), &mut items);
        for item in items.drain(..) {
            if let Item::Data(json) = item
                && let Verdict::Keep(_) = admission.admit(json, 0)
            {
                kept += 1;
            }
        }
    }
    kept
}

fn decode(chunks: &[Bytes]) -> usize {
    let (mut decoder, mut items) = (Decoder::new(Framing::EventStream), Vec::new());
    for chunk in chunks {
        decoder.feed(chunk.clone(), &mut items);
    }
    items.len()
}

fn ingest(criterion: &mut Criterion) {
    let chunks = stream();
    assert!(read(&chunks) > EVENTS * 9 / 10);
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("decode", |bencher| bencher.iter(|| decode(&chunks)));
    group.bench_function("decode and read", |bencher| bencher.iter(|| read(&chunks)));
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
