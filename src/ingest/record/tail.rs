//! What the end of a recording says: how far it reaches, and which changes may come a second time.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};

use crate::change::Change;
use crate::ingest::resume::Position;
use crate::ingest::seen::{self, Key};

/// How much of a file's end is read: some 12,000 changes, two minutes at peak times.
const TAIL_BYTES: u64 = 16 << 20;

/// How far back identities are kept: what a rewind brings again, and twice the time within which repeats are told by identity alone.
const IDENTITIES_MS: i64 = 120_000;

/// How many identities are kept, whatever their time; 90 changes a second over [`IDENTITIES_MS`] are 10,800.
const IDENTITIES_MAX: usize = 20_000;

/// The end of a recording.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) position: Position,
    pub(super) newest_ms: Option<i64>,
    order: VecDeque<(i64, Key)>,
    keys: std::collections::HashSet<Key>,
}

impl Tail {
    /// Reads the end of a file, whose lines are complete.
    pub(super) fn read(&mut self, file: &mut File) -> io::Result<()> {
        let length = file.seek(SeekFrom::End(0))?;
        let start = length.saturating_sub(TAIL_BYTES);
        file.seek(SeekFrom::Start(start))?;
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        if start > 0 {
            reader.skip_until(b'\n')?;
        }
        while reader.read_until(b'\n', &mut line)? > 0 {
            let json = line.strip_prefix(b"data:").unwrap_or(&line);
            if let Ok(change) = Change::read(json.trim_ascii()) {
                self.note(&change);
            }
            line.clear();
        }
        Ok(())
    }

    /// Advances to a change of the file.
    pub(super) fn note(&mut self, change: &Change<'_>) {
        let meta = &change.meta;
        let Some(dt_ms) = meta.dt_ms else {
            return;
        };
        if let Some(topic) = &meta.topic {
            let partition = meta.partition.unwrap_or(0);
            self.position.note(topic, partition, dt_ms, meta.offset);
        }
        let newest_ms = *self
            .newest_ms
            .insert(self.newest_ms.map_or(dt_ms, |ms| ms.max(dt_ms)));
        if let Some(key) = meta.id.as_deref().map(seen::key)
            && self.keys.insert(key)
        {
            self.order.push_back((dt_ms, key));
        }
        while let Some((ms, key)) = self.order.front().copied()
            && (ms < newest_ms - IDENTITIES_MS || self.order.len() > IDENTITIES_MAX)
        {
            self.order.pop_front();
            self.keys.remove(&key);
        }
    }

    /// Whether the change is in the file's end.
    pub(super) fn seen(&self, key: Key) -> bool {
        self.keys.contains(&key)
    }
}
