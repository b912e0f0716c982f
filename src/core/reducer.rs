//! From updates to frames and state, pure: updates gather until progress closes their time, then leave together.
//!
//! Within one time updates are in no useful order (+1 may precede -1, equal rows may come as one), so nothing is said about a time
//! before it is closed. Two things are never believed: a row that is there less than zero times, and an update at a time that is
//! closed already. A wrong number would stand on a page for ever; an error begins a new snapshot.

use std::collections::btree_map::{BTreeMap, Entry};
use std::num::NonZeroU64;
use std::sync::Arc;

use super::frame::{Frame, Row, State};
use super::update::Update;

/// The most rows a view may hold, equal ones counted each: ten times what a top list over all of Wikipedia's editors of a year
/// needs, and some gigabytes. A larger view ends the subscription with an error.
pub const ROWS_MAX: u64 = 5_000_000;

/// The most rows that may change at one time: all that there can be go, and as many others come.
const CHANGES_MAX: u64 = 2 * ROWS_MAX;

/// Why a stream of updates is not to be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReduceError {
    /// A row is gone more often than it came.
    #[error("the row {row} would be there {multiplicity} times at {timestamp_ms}")]
    NegativeMultiplicity {
        /// The row, as COPY text, cut when it is long.
        row: String,
        /// How often.
        multiplicity: i128,
        /// When.
        timestamp_ms: u64,
    },
    /// An update at a time that was said to be complete.
    #[error("an update of the row {row} at {timestamp_ms}, though {closed_ms} is closed")]
    ClosedTime {
        /// The row, as COPY text, cut when it is long.
        row: String,
        /// Its time.
        timestamp_ms: u64,
        /// The progress that was told before.
        closed_ms: u64,
    },
    /// Progress to a time before the last.
    #[error("time runs backwards: progress to {timestamp_ms} after {closed_ms}")]
    Backwards {
        /// The progress told.
        timestamp_ms: u64,
        /// The progress that was told before.
        closed_ms: u64,
    },
    /// Above [`ROWS_MAX`].
    #[error("the view holds more than {ROWS_MAX} rows")]
    TooManyRows,
}

/// The updates of one time, or of a snapshot, consolidated as they come: each row with the sum of its diffs.
type Changes = BTreeMap<Row, i128>;

/// Where a stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Nothing has come: what comes first tells whether the engine names the snapshot's time before it (`SUBSCRIBE`) or not (`TAIL`).
    Fresh,
    /// The snapshot's rows come, at this time.
    Snapshot(u64),
    /// The snapshot is complete.
    Live,
}

/// Gathers updates, yields frames, keeps the state that they add up to.
#[derive(Debug)]
pub struct Reducer {
    state: State,
    rows_total: u64,
    phase: Phase,
    /// No update may come at a time less than this.
    closed_ms: u64,
    open: BTreeMap<u64, Changes>,
}

impl Default for Reducer {
    fn default() -> Self {
        Reducer {
            state: State::default(),
            rows_total: 0,
            phase: Phase::Fresh,
            closed_ms: 0,
            open: BTreeMap::new(),
        }
    }
}

impl Reducer {
    /// What the view holds: the sum of the frames that were yielded, no more.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Begins a new stream over the old state: the first frame is the difference between the new snapshot and that state.
    pub fn restart(&mut self) {
        self.phase = Phase::Fresh;
        self.closed_ms = 0;
        self.open.clear();
    }

    /// Whether the snapshot is complete, yielded or not.
    pub fn is_live(&self) -> bool {
        match self.phase {
            Phase::Fresh => false,
            Phase::Snapshot(at) => at < self.closed_ms,
            Phase::Live => true,
        }
    }

    /// Takes one update. After progress, [`Reducer::next_frame`] has the frames that it closed.
    ///
    /// # Errors
    /// See [`ReduceError`]; the stream must not be continued.
    pub fn update(&mut self, update: Update) -> Result<(), ReduceError> {
        match update {
            Update::Progress { timestamp_ms } => self.progress(timestamp_ms),
            Update::Change {
                timestamp_ms,
                diff,
                row,
            } => self.change(timestamp_ms, diff, row),
        }
    }

    /// The oldest frame that is closed and was not yielded yet; with it, it becomes part of the state. The first of a stream is the
    /// snapshot, even when it changes nothing; after it only what changes something is a frame.
    ///
    /// # Errors
    /// See [`ReduceError`]. The state stays as it was after the last frame; the stream must not be continued.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, ReduceError> {
        if !self.is_live() {
            return Ok(None);
        }
        if let Phase::Snapshot(at) = self.phase {
            let snapshot = self.open.remove(&at).unwrap_or_default();
            let frame = self.replace(at, snapshot)?;
            self.phase = Phase::Live;
            return Ok(Some(frame));
        }
        while let Some(entry) = self
            .open
            .first_entry()
            .filter(|entry| *entry.key() < self.closed_ms)
        {
            let (at, changes) = entry.remove_entry();
            if let Some(frame) = self.apply(at, changes)? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    fn change(&mut self, timestamp_ms: u64, diff: i64, row: Row) -> Result<(), ReduceError> {
        if timestamp_ms < self.closed_ms {
            return Err(ReduceError::ClosedTime {
                row: shown(&row),
                timestamp_ms,
                closed_ms: self.closed_ms,
            });
        }
        if self.phase == Phase::Fresh {
            self.phase = Phase::Snapshot(timestamp_ms);
        }
        if diff == 0 {
            return Ok(());
        }
        let changes = self.open.entry(timestamp_ms).or_default();
        if changes.len() as u64 == CHANGES_MAX {
            return Err(ReduceError::TooManyRows);
        }
        match changes.entry(row) {
            Entry::Vacant(entry) => {
                entry.insert(i128::from(diff));
            }
            Entry::Occupied(mut entry) => {
                *entry.get_mut() += i128::from(diff);
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
        Ok(())
    }

    fn progress(&mut self, timestamp_ms: u64) -> Result<(), ReduceError> {
        if timestamp_ms < self.closed_ms {
            return Err(ReduceError::Backwards {
                timestamp_ms,
                closed_ms: self.closed_ms,
            });
        }
        self.closed_ms = timestamp_ms;
        if self.phase == Phase::Fresh {
            self.phase = Phase::Snapshot(timestamp_ms);
        }
        Ok(())
    }

    /// Makes `snapshot` the state; the frame is the difference.
    fn replace(&mut self, timestamp_ms: u64, snapshot: Changes) -> Result<Frame, ReduceError> {
        let mut difference = snapshot;
        for (row, count) in self.state.rows.iter() {
            let change = difference.entry(row.clone()).or_default();
            *change -= i128::from(count.get());
        }
        difference.retain(|_, diff| *diff != 0);
        let frame = self.apply(timestamp_ms, difference)?;
        self.state.timestamp_ms = timestamp_ms;
        Ok(frame.unwrap_or(Frame {
            timestamp_ms,
            deleted: Vec::new(),
            inserted: Vec::new(),
        }))
    }

    /// Adds the changes of one time to the state, all or nothing.
    fn apply(&mut self, timestamp_ms: u64, changes: Changes) -> Result<Option<Frame>, ReduceError> {
        if changes.is_empty() {
            return Ok(None);
        }
        self.rows_total = self.checked_total(timestamp_ms, &changes)?;
        let mut frame = Frame {
            timestamp_ms,
            deleted: Vec::new(),
            inserted: Vec::new(),
        };
        let rows = Arc::make_mut(&mut self.state.rows);
        for (row, diff) in changes {
            let before = rows.get(&row).map_or(0, |count| count.get());
            let after = (i128::from(before) + diff) as u64;
            match NonZeroU64::new(after) {
                Some(count) => rows.insert(row.clone(), count),
                None => rows.remove(&row),
            };
            let side = if diff < 0 {
                &mut frame.deleted
            } else {
                &mut frame.inserted
            };
            side.extend(std::iter::repeat_n(row, before.abs_diff(after) as usize));
        }
        self.state.timestamp_ms = timestamp_ms;
        Ok(Some(frame))
    }

    /// How many rows there will be, if the changes can be believed; then every count fits where it is going to stand.
    fn checked_total(&self, timestamp_ms: u64, changes: &Changes) -> Result<u64, ReduceError> {
        let mut total = i128::from(self.rows_total);
        for (row, diff) in changes {
            let before = self.state.rows.get(row).map_or(0, |count| count.get());
            let multiplicity = i128::from(before) + diff;
            if multiplicity < 0 {
                return Err(ReduceError::NegativeMultiplicity {
                    row: shown(row),
                    multiplicity,
                    timestamp_ms,
                });
            }
            total += diff;
        }
        u64::try_from(total)
            .ok()
            .filter(|total| *total <= ROWS_MAX)
            .ok_or(ReduceError::TooManyRows)
    }
}

/// A row as messages show it.
fn shown(row: &Row) -> String {
    /// Enough to recognise a row by, and still one line.
    const CHARACTERS_MAX: usize = 120;
    let text = String::from_utf8_lossy(row.as_copy_text());
    let mut shown: String = text.chars().take(CHARACTERS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

#[cfg(test)]
mod tests;
