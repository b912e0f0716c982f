//! What goes to the sink together.
//!
//! A batch leaves at once when the sink is idle, so a single change waits for nobody; while a batch is on its way the next one
//! gathers, up to the bounds below, and then the source waits.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::seen::Key;

/// Changes in a batch. An engine takes a batch as one transaction: 5,000 changes make its fixed cost disappear, and more would only
/// let more be sent again after a lost connection.
pub const BATCH_CHANGES_MAX: usize = 5_000;

/// Bytes of JSON in a batch, closed by the change that reaches it; at 1.3 KB a change 1,600 changes. One batch gathers while another
/// is on its way, so this bounds the memory of an ingester whose engine is slow.
pub const BATCH_BYTES_MAX: usize = 2 << 20;

/// One change on its way.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its JSON, one object, valid UTF-8.
    pub json: Bytes,
    /// Its identity, if it has one.
    pub key: Option<Key>,
    /// Its time, in milliseconds since the epoch.
    pub dt_ms: Option<i64>,
}

/// Changes that go together.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    entries: Vec<Entry>,
    bytes: usize,
    begun: Option<Instant>,
}

impl Batch {
    /// Adds a change.
    pub fn push(&mut self, entry: Entry) {
        self.begun.get_or_insert_with(Instant::now);
        self.bytes += entry.json.len();
        self.entries.push(entry);
    }

    /// The changes, in the order they came.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many changes.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Nothing in it.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes no more.
    pub fn is_full(&self) -> bool {
        self.len() >= BATCH_CHANGES_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    /// When it has gathered for `linger`; `None` while it is empty.
    pub fn due(&self, linger: Duration) -> Option<Instant> {
        self.begun.map(|begun| begun + linger)
    }

    /// The earliest and the latest time of its changes, in milliseconds since the epoch.
    pub fn span_ms(&self) -> Option<(i64, i64)> {
        let times = || self.entries.iter().filter_map(|entry| entry.dt_ms);
        Some((times().min()?, times().max()?))
    }

    /// Drops the changes that are not to be kept; says how many those were.
    pub fn retain(&mut self, keep: impl FnMut(&Entry) -> bool) -> usize {
        let before = self.len();
        self.entries.retain(keep);
        self.bytes = self.entries.iter().map(|entry| entry.json.len()).sum();
        before - self.len()
    }

    /// Two halves, in order.
    pub fn split(mut self) -> (Batch, Batch) {
        let later = self.entries.split_off(self.len() / 2);
        (
            self.entries.into_iter().collect(),
            later.into_iter().collect(),
        )
    }
}

impl FromIterator<Entry> for Batch {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        let mut batch = Batch::default();
        entries.into_iter().for_each(|entry| batch.push(entry));
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: usize, dt_ms: i64) -> Entry {
        Entry {
            json: Bytes::from(vec![b'x'; bytes]),
            key: Some(dt_ms as Key),
            dt_ms: Some(dt_ms),
        }
    }

    #[test]
    fn closes_by_count_and_by_bytes() {
        let by_count: Batch = (0..BATCH_CHANGES_MAX as i64)
            .map(|ms| entry(1, ms))
            .collect();
        assert!(by_count.is_full());
        let by_bytes: Batch = [entry(BATCH_BYTES_MAX / 2, 1), entry(BATCH_BYTES_MAX / 2, 2)]
            .into_iter()
            .collect();
        assert!(by_bytes.is_full());
        let (early, late) = by_bytes.split();
        assert!(!early.is_full() && !late.is_full());
        assert_eq!(
            (early.span_ms(), late.span_ms()),
            (Some((1, 1)), Some((2, 2)))
        );
    }

    #[test]
    fn what_is_dropped_no_longer_weighs() {
        let mut batch: Batch = (0..10).map(|ms| entry(10, ms)).collect();
        assert_eq!(batch.retain(|entry| entry.dt_ms == Some(3)), 9);
        assert_eq!((batch.len(), batch.bytes), (1, 10));
    }
}
