//! What a live view is, between two redraws: its columns, what just changed, how fast, and whether the engine is there.
//!
//! It does not hold the rows: the subscription's state has them, and the shell hands them over in the view's order.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::layout::Layout;
use super::pace::Pace;
use crate::core::frame::{Column, Frame, Row};

/// How long a row that changed stays marked: long enough to be caught by an eye that was elsewhere.
pub const MARK_LASTS: Duration = Duration::from_millis(1_200);

/// Changed rows that are marked at once; when more change nothing stands out any more, so the frame marks none.
const MARKS_MAX: usize = 1_000;

/// What just happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// It was not there.
    Came,
    /// Its number grew.
    Grew,
    /// Its number fell.
    Fell,
}

/// Whether the engine is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Not yet.
    Connecting,
    /// Yes.
    Connected,
    /// Not any more.
    Lost {
        /// What happened.
        reason: String,
        /// When the next attempt is made, on the clock of `now`.
        retry_at: Duration,
    },
}

/// A live view. Time is what has passed since some start.
#[derive(Debug, Clone)]
pub struct Live {
    /// What is shown, as the title says it.
    pub title: String,
    /// What the view means, where that is known.
    pub summary: &'static str,
    /// The view's columns, once known.
    pub columns: Arc<[Column]>,
    /// The form that suits them.
    pub layout: Layout,
    /// Whether the engine is there.
    pub link: Link,
    /// The engine's time, in milliseconds since the epoch.
    pub timestamp_ms: Option<u64>,
    /// What happens a second: the growth of a counter, the updates of another view.
    pub pace: Pace,
    has_snapshot: bool,
    marks: HashMap<Vec<u8>, (Mark, Duration)>,
}

impl Live {
    /// A view that is not connected yet.
    pub fn new(title: &str, summary: &'static str) -> Self {
        Live {
            // A query may be written over several lines.
            title: title.split_whitespace().collect::<Vec<_>>().join(" "),
            summary,
            columns: Arc::new([]),
            layout: Layout::Table,
            link: Link::Connecting,
            timestamp_ms: None,
            pace: Pace::default(),
            has_snapshot: false,
            marks: HashMap::new(),
        }
    }

    /// The engine is there and has described the view.
    pub fn opened(&mut self, columns: Arc<[Column]>) {
        self.layout = Layout::of(&columns);
        self.columns = columns;
        self.link = Link::Connected;
    }

    /// A time closed; the first frame is the snapshot, and marks nothing.
    pub fn frame(&mut self, frame: &Frame, now: Duration) {
        self.link = Link::Connected;
        self.timestamp_ms = Some(frame.timestamp_ms);
        if !self.has_snapshot {
            self.has_snapshot = true;
            self.pace.begin(now);
            return;
        }
        self.pace.add(now, self.happened(frame));
        self.marks.retain(|_, (_, since)| now < *since + MARK_LASTS);
        if self.marks.len() + frame.inserted.len() <= MARKS_MAX {
            self.mark(frame, now);
        }
    }

    /// Time passed and nothing changed.
    pub fn progress(&mut self, timestamp_ms: u64) {
        self.link = Link::Connected;
        self.timestamp_ms = Some(timestamp_ms);
    }

    /// The engine went away.
    pub fn lost(&mut self, reason: String, retry_in: Duration, now: Duration) {
        self.link = Link::Lost {
            reason,
            retry_at: now + retry_in,
        };
    }

    /// The snapshot is there: an empty view is empty, and not merely unknown.
    pub fn has_snapshot(&self) -> bool {
        self.has_snapshot
    }

    /// What just happened to a row, if anything did.
    pub fn mark_of(&self, row: &Row, now: Duration) -> Option<Mark> {
        let (mark, since) = self.marks.get(self.layout.key(row))?;
        (now < *since + MARK_LASTS).then_some(*mark)
    }

    /// The time at which the last mark goes, so that it is not seen longer on a quiet view.
    pub fn marks_until(&self) -> Option<Duration> {
        self.marks
            .values()
            .map(|(_, since)| *since + MARK_LASTS)
            .max()
    }

    fn mark(&mut self, frame: &Frame, now: Duration) {
        let before: HashMap<&[u8], i64> = frame
            .deleted
            .iter()
            .filter_map(|row| Some((self.layout.key(row), self.layout.number(row)?)))
            .collect();
        for row in &frame.inserted {
            let key = self.layout.key(row);
            let mark = match (before.get(key), self.layout.number(row)) {
                (Some(old), Some(new)) if new < *old => Mark::Fell,
                (Some(_), Some(_)) => Mark::Grew,
                _ => Mark::Came,
            };
            self.marks.insert(key.to_vec(), (mark, now));
        }
    }

    /// A counter's growth; else, updates.
    fn happened(&self, frame: &Frame) -> u64 {
        if self.layout != Layout::Counter {
            return (frame.deleted.len() + frame.inserted.len()) as u64;
        }
        let sum = |rows: &[Row]| -> i64 {
            rows.iter()
                .filter_map(|row| self.layout.number(row))
                .fold(0, i64::saturating_add)
        };
        u64::try_from(sum(&frame.inserted).saturating_sub(sum(&frame.deleted))).unwrap_or(0)
    }
}
