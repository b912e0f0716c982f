//! A recording as a source: NDJSON, raw server-sent events or `data:` lines, plain, gzip or zstd, from a file or from stdin.
//!
//! What it is, is found out from its bytes, never from its name. It plays at a multiple of its own pace, by the changes' own
//! times, or as fast as the sink takes it. Reading blocks, so a thread does it; two chunks wait at most.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::live::Loss;
use super::source::Arrival;
use super::sse::{Decoder, Framing, Item};
use crate::change::Change;

/// Bytes read at once.
const CHUNK_BYTES: usize = 128 << 10;

/// Chunks that wait for the sink.
const CHUNKS_MAX: usize = 2;

/// What was not recorded is not waited for: a silence in the recording lasts no longer than this.
const SILENCE_MAX: Duration = Duration::from_secs(30);

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// What to play, and how fast.
#[derive(Debug, Clone)]
pub struct Config {
    /// From where.
    pub input: Input,
    /// How fast.
    pub speed: Speed,
}

/// Where a recording is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// In a file.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

/// The pace of a recording.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// So many times its own pace; positive and finite.
    Times(f64),
    /// As fast as the sink takes it.
    Max,
}

/// A recording being played.
#[derive(Debug)]
pub(super) struct Recording {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    decoder: Decoder,
    pace: Option<Pace>,
    waiting: VecDeque<Item>,
    ended: Option<io::Result<()>>,
}

impl Recording {
    /// Opens the recording; a file that cannot be opened is found out here.
    pub(super) fn open(config: &Config) -> io::Result<Self> {
        let input: Box<dyn Read + Send> = match &config.input {
            Input::File(path) => Box::new(open_file(path)?),
            Input::Stdin => Box::new(io::stdin()),
        };
        let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
        tokio::task::spawn_blocking(move || {
            if let Err(error) = read(input, &sender) {
                // Nobody waits for it any more: then nobody needs it.
                drop(sender.blocking_send(Err(error)));
            }
        });
        Ok(Recording {
            chunks,
            decoder: Decoder::new(Framing::Recording),
            pace: match config.speed {
                Speed::Times(times) => Some(Pace::new(times)),
                Speed::Max => None,
            },
            waiting: VecDeque::new(),
            ended: None,
        })
    }

    /// What comes next. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Arrival {
        if let Some(arrival) = self.due().await {
            return arrival;
        }
        if let Some(end) = &self.ended {
            return match end {
                Ok(()) => Arrival::End,
                Err(error) => Arrival::Lost(Loss::Unreadable(error.to_string())),
            };
        }
        let mut items = Vec::new();
        let chunk = self.chunks.recv().await;
        let bytes = match chunk {
            Some(Ok(chunk)) => {
                let bytes = chunk.len() as u64;
                self.decoder.feed(chunk, &mut items);
                bytes
            }
            end => {
                self.decoder.finish(&mut items);
                self.ended = Some(end.map_or(Ok(()), |failed| failed.map(drop)));
                0
            }
        };
        if self.pace.is_none() {
            return Arrival::Items { items, bytes };
        }
        self.waiting.extend(items);
        Arrival::Items {
            items: Vec::new(),
            bytes,
        }
    }

    /// The next paced item, once its time has come; `None` when none waits.
    async fn due(&mut self) -> Option<Arrival> {
        let pace = self.pace.as_mut()?;
        let at = pace.due(self.waiting.front()?, Instant::now());
        tokio::time::sleep_until(at).await;
        let items = self.waiting.pop_front().into_iter().collect();
        Some(Arrival::Items { items, bytes: 0 })
    }
}

fn open_file(path: &PathBuf) -> io::Result<File> {
    let file = File::open(path)?;
    match file.metadata()?.is_dir() {
        true => Err(io::Error::from(io::ErrorKind::IsADirectory)),
        false => Ok(file),
    }
}

fn read(input: Box<dyn Read + Send>, sender: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    let mut input = decompressed(input)?;
    loop {
        let mut chunk = vec![0; CHUNK_BYTES];
        let length = input.read(&mut chunk)?;
        chunk.truncate(length);
        if length == 0 || sender.blocking_send(Ok(Bytes::from(chunk))).is_err() {
            return Ok(());
        }
    }
}

fn decompressed(input: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
    let mut input = BufReader::with_capacity(CHUNK_BYTES, input);
    let begin = input.fill_buf()?;
    Ok(if begin.starts_with(GZIP) {
        Box::new(flate2::bufread::MultiGzDecoder::new(input))
    } else if begin.starts_with(ZSTD) {
        Box::new(zstd::stream::read::Decoder::with_buffer(input)?)
    } else {
        Box::new(input)
    })
}

/// When each change is due: as far after the first as it was made after it, divided by the speed.
#[derive(Debug)]
struct Pace {
    times: f64,
    begun: Option<(Instant, i64)>,
    /// Due times never go back.
    last: Option<Instant>,
}

impl Pace {
    fn new(times: f64) -> Self {
        Pace {
            times,
            begun: None,
            last: None,
        }
    }

    fn due(&mut self, item: &Item, now: Instant) -> Instant {
        let dt_ms = match item {
            Item::Data(json) => Change::read(json).ok().and_then(|change| change.meta.dt_ms),
            Item::Error(_) | Item::Retry(_) | Item::Oversize => None,
        };
        let last = self.last.unwrap_or(now);
        let Some(dt_ms) = dt_ms else {
            return last;
        };
        let (begun, begun_ms) = *self.begun.get_or_insert((now, dt_ms));
        let after_ms = u64::try_from(dt_ms.saturating_sub(begun_ms)).unwrap_or(0);
        let after = Duration::from_millis(after_ms).div_f64(self.times);
        let mut due = (begun + after).max(last);
        if due > last + SILENCE_MAX {
            due = last + SILENCE_MAX;
            self.begun = Some((due, dt_ms));
        }
        self.last = Some(due);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LINES: &str = include_str!("../../tests/data/changes.ndjson");

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        // Two members, as `cat a.gz b.gz` makes them.
        for half in [&text[..text.len() / 2], &text[text.len() / 2..]] {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(half).unwrap();
            out.extend(encoder.finish().unwrap());
        }
        out
    }

    async fn played(bytes: &[u8], speed: Speed) -> (Vec<Item>, Arrival) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let input = Input::File(file.path().to_owned());
        let mut recording = Recording::open(&Config { input, speed }).unwrap();
        let mut all = Vec::new();
        loop {
            match recording.next().await {
                Arrival::Items { items, .. } => all.extend(items),
                end => return (all, end),
            }
        }
    }

    #[tokio::test]
    async fn reads_every_packing() {
        let lines: Vec<Item> = LINES
            .lines()
            .map(|line| Item::Data(Bytes::from_static(line.as_bytes())))
            .collect();
        let zstd = zstd::encode_all(LINES.as_bytes(), 1).unwrap();
        let recorded: String = LINES
            .lines()
            .map(|line| format!("data: {line}\n"))
            .collect();
        for bytes in [
            LINES.as_bytes(),
            &gzip(LINES.as_bytes()),
            &zstd,
            recorded.as_bytes(),
        ] {
            let (items, end) = played(bytes, Speed::Max).await;
            assert_eq!(items, lines);
            assert!(matches!(end, Arrival::End));
        }
    }

    #[tokio::test]
    async fn a_packing_that_is_cut_off_gives_what_it_holds_and_then_an_error() {
        let mut packed = gzip(LINES.as_bytes());
        packed.truncate(packed.len() - 20);
        let (items, end) = played(&packed, Speed::Max).await;
        assert!(!items.is_empty());
        assert!(matches!(end, Arrival::Lost(Loss::Unreadable(_))), "{end:?}");
    }

    #[test]
    fn a_missing_file_is_found_out_at_once() {
        let input = Input::File(PathBuf::from("/nowhere/recentchanges"));
        let speed = Speed::Max;
        assert!(open_file(&PathBuf::from("/")).is_err());
        assert!(
            matches!(Recording::open(&Config { input, speed }), Err(error) if error.kind() == io::ErrorKind::NotFound)
        );
    }

    #[test]
    fn plays_at_the_changes_own_pace() {
        let item = |ms: i64| {
            let dt = jiff::Timestamp::from_millisecond(1_785_900_000_000 + ms).unwrap();
            Item::Data(Bytes::from(format!(r#"{{"meta":{{"dt":"{dt}"}}}}"#)))
        };
        let start = Instant::now();
        let mut pace = Pace::new(10.0);
        let mut due = |ms: i64| pace.due(&item(ms), start).duration_since(start).as_millis();
        assert_eq!(
            (due(0), due(1_000), due(990), due(2_000)),
            (0, 100, 100, 200)
        );
        // An hour was not recorded; after it the pace goes on.
        assert_eq!((due(3_602_000), due(3_603_000)), (30_200, 30_300));
        assert_eq!(
            pace.due(&Item::Oversize, start)
                .duration_since(start)
                .as_millis(),
            30_300
        );
    }
}
