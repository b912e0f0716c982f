//! A SUBSCRIBE's ticks as the rows that its client sees, pure: what goes before the client's own columns, and when.
//!
//! With PROGRESS the first row tells the time of the snapshot, then comes the snapshot, then a row that closes it. A progress
//! row for a time says that no update of an *earlier* time is still to come, so that rows of that very time may follow it.

use super::encoding::{Field, FieldType};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::feed::Tick;
use crate::engine::value::{Column, Row, Type};

/// One row of a SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// No update before this time is still to come.
    Progress(u64),
    /// A row came (positive) or left (negative), so many times.
    Update(u64, i64, Row),
}

/// Whether a subscription has more to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// It goes on.
    Running,
    /// UP TO has been reached.
    Ended,
}

/// Turns ticks into events.
#[derive(Debug)]
pub(crate) struct Changefeed {
    progress: bool,
    up_to_ms: u64,
    next: Next,
}

/// Which tick comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The snapshot, to be told.
    Snapshot,
    /// The snapshot, to be left out.
    SkippedSnapshot,
    /// Changes.
    Changes,
}

impl Changefeed {
    /// A feed whose snapshot is at `as_of_ms`, and the event that opens it.
    ///
    /// # Errors
    /// 22000 for an UP TO in the past.
    pub(crate) fn open(
        as_of_ms: u64,
        progress: bool,
        snapshot: bool,
        up_to_ms: Option<u64>,
    ) -> Result<(Changefeed, Option<Event>), SqlError> {
        let up_to_ms = up_to_ms.unwrap_or(u64::MAX);
        if up_to_ms < as_of_ms {
            return Err(SqlError::new(
                SqlState::DataException,
                format!(
                    "subscription lower bound (now) is greater than its upper bound (UP TO): {as_of_ms} > {up_to_ms}"
                ),
            ));
        }
        let feed = Changefeed {
            progress,
            up_to_ms,
            next: if snapshot {
                Next::Snapshot
            } else {
                Next::SkippedSnapshot
            },
        };
        Ok((feed, progress.then_some(Event::Progress(as_of_ms))))
    }

    /// Tells a tick's events in their order.
    pub(crate) fn tick(&mut self, tick: &Tick, mut tell: impl FnMut(Event)) -> Course {
        if self.next != Next::SkippedSnapshot {
            let told = tick
                .updates
                .iter()
                .filter(|(_, time, diff)| *time < self.up_to_ms && *diff != 0);
            for (row, time, diff) in told {
                tell(Event::Update(*time, *diff, row.clone()));
            }
        }
        self.next = Next::Changes;
        let reached = tick.upper_ms.min(self.up_to_ms);
        if self.progress {
            tell(Event::Progress(reached));
        }
        if reached == self.up_to_ms {
            Course::Ended
        } else {
            Course::Running
        }
    }
}

/// The columns of a SUBSCRIBE over a query with `columns`.
pub(crate) fn fields(progress: bool, columns: &[Column]) -> Vec<Field> {
    let mut fields = vec![Field {
        name: "mz_timestamp".into(),
        ty: FieldType::Timestamp,
    }];
    if progress {
        fields.push(Field {
            name: "mz_progressed".into(),
            ty: FieldType::Value(Type::Bool),
        });
    }
    fields.push(Field {
        name: "mz_diff".into(),
        ty: FieldType::Value(Type::BigInt),
    });
    fields.extend(Field::of_columns(columns));
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::budget::Budget;
    use crate::engine::value::Value;

    fn row(int: i64) -> Row {
        [Value::BigInt(int)].into_iter().collect()
    }

    fn tick(updates: &[(i64, u64, i64)], upper_ms: u64) -> Tick {
        let updates = updates
            .iter()
            .map(|(int, time, diff)| (row(*int), *time, *diff));
        Tick::new(updates.collect(), upper_ms, &Budget::new(1_000))
    }

    fn told(feed: &mut Changefeed, tick: &Tick) -> (Vec<Event>, Course) {
        let mut events = Vec::new();
        let course = feed.tick(tick, |event| events.push(event));
        (events, course)
    }

    #[test]
    fn progress_opens_and_closes_the_snapshot() {
        let (mut feed, first) = Changefeed::open(10, true, true, None).unwrap();
        assert_eq!(first, Some(Event::Progress(10)));
        assert_eq!(
            told(&mut feed, &tick(&[(1, 10, 1)], 11)),
            (
                vec![Event::Update(10, 1, row(1)), Event::Progress(11)],
                Course::Running
            )
        );
        assert_eq!(
            told(&mut feed, &tick(&[(1, 15, -1), (2, 15, 1)], 16)),
            (
                vec![
                    Event::Update(15, -1, row(1)),
                    Event::Update(15, 1, row(2)),
                    Event::Progress(16)
                ],
                Course::Running
            )
        );
        assert_eq!(told(&mut feed, &tick(&[], 900)).0, [Event::Progress(900)]);
    }

    #[test]
    fn without_snapshot_and_progress_only_changes_are_told() {
        let (mut feed, first) = Changefeed::open(10, false, false, None).unwrap();
        assert_eq!(first, None);
        assert_eq!(told(&mut feed, &tick(&[(1, 10, 1)], 11)).0, []);
        assert_eq!(
            told(&mut feed, &tick(&[(2, 12, 3)], 13)).0,
            [Event::Update(12, 3, row(2))]
        );
    }

    #[test]
    fn up_to_ends_it_before_that_time() {
        let (mut feed, _) = Changefeed::open(10, true, true, Some(20)).unwrap();
        assert_eq!(told(&mut feed, &tick(&[], 11)).1, Course::Running);
        assert_eq!(
            told(&mut feed, &tick(&[(1, 19, 1), (2, 20, 1)], 25)),
            (
                vec![Event::Update(19, 1, row(1)), Event::Progress(20)],
                Course::Ended
            )
        );
        assert!(Changefeed::open(10, true, true, Some(9)).is_err());
    }
}
