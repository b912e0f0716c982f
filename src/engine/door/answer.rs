//! The rows of a query, once: what a SELECT, a cursor or a portal gives out, and how a session comes by them.
//!
//! Rows that follow from single changes are read block by block as their client takes them, so that a day of changes can be
//! read whole; other answers stand in memory, and are counted for as long as they do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use super::apart::{self, Apart};
use super::memory::Kept;
use super::planned;
use super::session::{Session, Stop};
use super::wire::Wire;
use crate::engine::dataflow::scan::Scan;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::feed::Held;
use crate::engine::fold::{self, Effort};
use crate::engine::handle::Selected;
use crate::engine::plan::Query;
use crate::engine::value::Row;

/// The largest answer that is ordered as a whole; a larger one is refused (54000). Answers without ORDER BY, or with LIMIT, have
/// no such bound.
const ORDERED_BYTES_MAX: usize = 128 << 20;

/// A snapshot of so many rows is put in order by the session itself, in a millisecond or two.
const SMALL_ROWS_MAX: usize = 4_096;

/// How long a client may take to read an answer that is read off the store as it goes: a day of changes at a few megabytes a
/// second. What it reads must stay on disk so long; after that it is told 53400.
const READING_MAX: Duration = Duration::from_secs(15 * 60);

/// Rows on their way to a client, and what they are counted as.
#[derive(Debug)]
pub(crate) struct Answer {
    rows: std::vec::IntoIter<Row>,
    more: Option<Reading>,
    _held: Option<Held>,
    kept: Option<Kept>,
}

/// An answer that is read as its client takes it.
#[derive(Debug)]
struct Reading {
    scan: Arc<Mutex<Option<Box<Scan>>>>,
    apart: Apart,
    /// Takes the scan away when it has been there for too long.
    _expires: JoinSet<()>,
}

impl Answer {
    /// Rows that are known already.
    pub(crate) fn known(rows: Vec<Row>) -> Answer {
        Answer {
            rows: rows.into_iter(),
            more: None,
            _held: None,
            kept: None,
        }
    }

    /// The next row.
    pub(crate) async fn next(&mut self, wire: &mut Wire) -> Result<Option<Row>, Stop> {
        loop {
            if let Some(row) = self.rows.next() {
                return Ok(Some(row));
            }
            let Some(reading) = &mut self.more else {
                return Ok(None);
            };
            match reading.step(wire).await? {
                Some(rows) => {
                    if let Some(kept) = &mut self.kept {
                        kept.exactly(rows.iter().map(Row::bytes).sum())?;
                    }
                    self.rows = rows.into_iter();
                }
                None => self.more = None,
            }
        }
    }

    /// There is no next row, as far as can be said without looking for it.
    pub(crate) fn is_over(&self) -> bool {
        self.rows.len() == 0 && self.more.is_none()
    }
}

impl Reading {
    fn new(scan: Box<Scan>, apart: Apart) -> Reading {
        let scan = Arc::new(Mutex::new(Some(scan)));
        let mut expires = JoinSet::new();
        let kept = scan.clone();
        expires.spawn(async move {
            tokio::time::sleep(READING_MAX).await;
            // A step may be under way; it is not waited for here, where sessions are served.
            let taken = tokio::task::spawn_blocking(move || drop(lock(&kept).take()));
            let _ = taken.await;
        });
        Reading {
            scan,
            apart,
            _expires: expires,
        }
    }

    async fn step(&mut self, wire: &mut Wire) -> Result<Option<Vec<Row>>, Stop> {
        let scan = self.scan.clone();
        let step = move || match &mut *lock(&scan) {
            Some(scan) => scan.step(),
            None => Err(too_slow()),
        };
        self.apart.large(wire, step).await
    }
}

fn lock(scan: &Mutex<Option<Box<Scan>>>) -> MutexGuard<'_, Option<Box<Scan>>> {
    // A scan that has panicked is not asked again: its statement has failed.
    scan.lock().unwrap_or_else(PoisonError::into_inner)
}

fn too_slow() -> SqlError {
    let minutes = READING_MAX.as_secs() / 60;
    SqlError::new(
        SqlState::ConfigurationLimitExceeded,
        format!("the rows have been read for more than {minutes} minutes"),
    )
    .hint("Ask for fewer rows or columns at a time.")
}

impl Session {
    /// A query's rows as of now, in its order.
    pub(super) async fn answer(&mut self, query: Arc<Query>) -> Result<Answer, Stop> {
        if query.plan.reads().is_empty() {
            return self.folded(query).await;
        }
        let engine = self.engine.clone();
        let selected = tokio::select! {
            selected = engine.select(query.clone()) => selected?,
            interrupt = self.wire.interrupted() => return Err(interrupt.into()),
        };
        let kept = self.answers.nothing();
        match selected {
            Selected::Snapshot(tick) => {
                let is_small = tick.updates.len() <= SMALL_ROWS_MAX;
                let present = move || {
                    let rows = tick.updates.iter();
                    let rows = query.present(rows.map(|(row, _, diff)| (row.clone(), *diff)))?;
                    Ok(Answer {
                        _held: Some(tick.held()),
                        ..Answer::known(rows)
                    })
                };
                if is_small {
                    return Ok(present()?);
                }
                self.reading.large(&mut self.wire, present).await
            }
            Selected::Scan(scan) if query.shows_rows_as_they_are() => Ok(Answer {
                more: Some(Reading::new(scan, self.reading.clone())),
                kept: Some(kept),
                ..Answer::known(Vec::new())
            }),
            Selected::Scan(scan) => {
                let ordered = move || ordered(*scan, &query, kept);
                self.reading.large(&mut self.wire, ordered).await
            }
        }
    }

    /// The rows of a query over constants: most are small catalogs, and they do not wait for those that are not.
    async fn folded(&mut self, query: Arc<Query>) -> Result<Answer, Stop> {
        let fold = |effort| {
            let (query, mut kept) = (query.clone(), self.answers.nothing());
            move || {
                let rows = fold::constant_within(&query.plan, planned::now_ms(), effort)?;
                let rows = query.present(rows.into_iter().map(|row| (row, 1)))?;
                kept.at_least(rows.iter().map(Row::bytes).sum())?;
                let kept = Some(kept);
                Ok(Answer {
                    kept,
                    ..Answer::known(rows)
                })
            }
        };
        let (small, large) = (fold(Effort::SMALL), fold(Effort::LARGE));
        match apart::small(&mut self.wire, small).await {
            Err(Stop::Statement(error)) if error.state == SqlState::ProgramLimitExceeded => {
                self.folding.large(&mut self.wire, large).await
            }
            answered => answered,
        }
    }
}

/// All rows of a scan, in the query's order.
fn ordered(mut scan: Scan, query: &Query, mut kept: Kept) -> Result<Answer, SqlError> {
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(more) = scan.step()? {
        bytes += more.iter().map(Row::bytes).sum::<usize>();
        if bytes > ORDERED_BYTES_MAX {
            let message = format!(
                "more than {} MiB of rows would have to be ordered",
                ORDERED_BYTES_MAX >> 20
            );
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, message)
                .hint("Add a LIMIT, or leave ORDER BY out."));
        }
        kept.at_least(bytes)?;
        rows.extend(more.into_iter().map(|row| (row, 1)));
    }
    Ok(Answer {
        kept: Some(kept),
        ..Answer::known(query.present(rows)?)
    })
}
