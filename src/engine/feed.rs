//! From the worker to its subscribers: all changes of a query's rows, tick by tick, through queues that are bounded.
//!
//! The worker never waits for a subscriber. What is not yet taken is counted, for each subscriber and for all of them together,
//! and a subscriber that is too far behind is cut off with an error. A tick is held once however many wait for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::budget::{Budget, Share};
use super::error::{SqlError, SqlState};
use super::value::Row;

/// Ticks that may wait for a subscriber: half a minute of them when sixteen batches a second arrive, which is how long the door
/// waits for a client that takes nothing. A subscriber that is further behind is cut off with 53400.
pub const FEED_TICKS_MAX: usize = 512;

/// What may wait for all subscribers together, snapshots included: the largest snapshot there is, twice. A snapshot for which
/// nothing is left is refused with 53200.
pub const FEEDS_BYTES_MAX: usize = 512 << 20;

/// A subscriber may have this part of what is left waiting, or it is cut off as with [`FEED_TICKS_MAX`]. So one that does not
/// read can have a fifth of all, a second one a fifth of the rest, and some is always left for those that do read.
const FEED_SHARE: usize = 4;

/// All changes of a query's rows, tick by tick.
#[derive(Debug)]
pub struct Feed {
    /// The time of the snapshot.
    pub as_of_ms: u64,
    /// The ticks, first the snapshot. Bounded: a subscriber that does not drain it is cut off with an error.
    pub ticks: Ticks,
}

/// What happened up to a time.
#[derive(Debug, Clone)]
pub struct Tick {
    /// Updates (row, time, diff), consolidated, in order of time; shared by all subscribers of the query.
    pub updates: Arc<[(Row, u64, i64)]>,
    /// No update before this time is still to come, in milliseconds since the epoch.
    pub upper_ms: u64,
    held: Arc<Share>,
}

/// A part of [`FEEDS_BYTES_MAX`], for as long as somebody keeps it.
pub(crate) type Held = Arc<Share>;

impl Tick {
    /// A tick, whose memory is counted from now on.
    pub(crate) fn new(
        updates: Arc<[(Row, u64, i64)]>,
        upper_ms: u64,
        budget: &Arc<Budget>,
    ) -> Tick {
        let bytes = updates.iter().map(|(row, ..)| row.bytes()).sum();
        Tick {
            updates,
            upper_ms,
            held: Arc::new(budget.take(bytes)),
        }
    }

    /// What its rows are counted by: whoever keeps rows longer than the tick keeps this with them.
    pub(crate) fn held(&self) -> Held {
        self.held.clone()
    }

    fn bytes(&self) -> usize {
        self.held.bytes()
    }
}

/// The receiving end of a feed.
///
/// What waits in it is counted, so that the bound is on bytes, and not only on ticks, which have no size.
#[derive(Debug)]
pub struct Ticks {
    queue: mpsc::UnboundedReceiver<Result<Tick, SqlError>>,
    waiting: Arc<Waiting>,
}

/// What a subscriber has not yet taken.
#[derive(Debug, Default)]
struct Waiting {
    ticks: AtomicUsize,
    bytes: AtomicUsize,
}

impl Ticks {
    /// The next tick; an error is the last one. `None`: the engine has stopped. Cancel safe.
    pub async fn recv(&mut self) -> Option<Result<Tick, SqlError>> {
        let tick = self.queue.recv().await?;
        if let Ok(tick) = &tick {
            self.waiting.ticks.fetch_sub(1, Ordering::Relaxed);
            self.waiting
                .bytes
                .fetch_sub(tick.bytes(), Ordering::Relaxed);
        }
        Some(tick)
    }
}

/// The worker's end of a feed.
#[derive(Debug)]
pub(crate) struct Subscriber {
    queue: mpsc::UnboundedSender<Result<Tick, SqlError>>,
    waiting: Arc<Waiting>,
    /// Until it is taken, the snapshot waits, too; that is nobody's fault.
    snapshot_bytes: usize,
}

impl Subscriber {
    /// Both ends of a feed whose first tick is `snapshot`.
    pub(crate) fn new(snapshot: Tick) -> (Self, Ticks) {
        let (sender, queue) = mpsc::unbounded_channel();
        let waiting = Arc::new(Waiting::default());
        let subscriber = Subscriber {
            queue: sender,
            waiting: waiting.clone(),
            snapshot_bytes: snapshot.bytes(),
        };
        subscriber.queue(snapshot);
        (subscriber, Ticks { queue, waiting })
    }

    /// Queues a tick. False: the subscriber is gone, or too far behind and told so; it is to be forgotten.
    pub(crate) fn send(&self, tick: Tick, budget: &Budget) -> bool {
        let ticks = self.waiting.ticks.load(Ordering::Relaxed);
        let bytes = self.waiting.bytes.load(Ordering::Relaxed) + tick.bytes();
        let behind = bytes.saturating_sub(self.snapshot_bytes);
        if ticks == 0 || (ticks < FEED_TICKS_MAX && behind <= budget.free() / FEED_SHARE) {
            return self.queue(tick);
        }
        self.fail(
            SqlError::new(
                SqlState::ConfigurationLimitExceeded,
                "the subscriber reads more slowly than the query changes",
            )
            .hint("Subscribe again: the new snapshot holds what was missed."),
        );
        false
    }

    /// False: the subscriber is gone.
    fn queue(&self, tick: Tick) -> bool {
        self.waiting.ticks.fetch_add(1, Ordering::Relaxed);
        self.waiting
            .bytes
            .fetch_add(tick.bytes(), Ordering::Relaxed);
        self.queue.send(Ok(tick)).is_ok()
    }

    /// Ends the feed with an error.
    pub(crate) fn fail(&self, error: SqlError) {
        // A subscriber that is gone needs no error.
        let _ = self.queue.send(Err(error));
    }

    /// The subscriber has gone away.
    pub(crate) fn is_gone(&self) -> bool {
        self.queue.is_closed()
    }
}

/// Whether one more snapshot may be made.
///
/// # Errors
/// 53200: those of others have not been read yet.
pub(crate) fn check_room(budget: &Budget) -> Result<(), SqlError> {
    if budget.free() > 0 {
        return Ok(());
    }
    let message = format!(
        "more than {} MiB of rows wait for slow clients",
        FEEDS_BYTES_MAX >> 20
    );
    Err(SqlError::new(SqlState::OutOfMemory, message)
        .hint("Try again when others have read their rows."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::value::Value;

    /// A tick of about so many bytes.
    fn tick(bytes: usize, upper_ms: u64, budget: &Arc<Budget>) -> Tick {
        let row: Row = [Value::Text("x".repeat(bytes).into())]
            .into_iter()
            .collect();
        Tick::new(Arc::from([(row, upper_ms - 1, 1)]), upper_ms, budget)
    }

    #[tokio::test]
    async fn one_that_does_not_read_is_cut_off_and_the_memory_comes_back() {
        let budget = Budget::new(100_000);
        let snapshot = tick(30_000, 1, &budget);
        let (slow, mut unread) = Subscriber::new(snapshot.clone());
        let (quick, mut read) = Subscriber::new(snapshot);
        let mut cut_off_at = None;
        for time in 2..100 {
            let tick = tick(1_000, time, &budget);
            assert!(quick.send(tick.clone(), &budget));
            if cut_off_at.is_none() && !slow.send(tick, &budget) {
                cut_off_at = Some(time);
            }
            while let Some(tick) = futures::FutureExt::now_or_never(read.recv()) {
                tick.unwrap().unwrap();
            }
        }
        // The snapshot of 30,000 is nobody's fault; of the 70,000 left, a fifth is 14,000.
        assert!(matches!(cut_off_at, Some(12..=17)), "{cut_off_at:?}");
        let mut last = None;
        while let Some(Some(tick)) = futures::FutureExt::now_or_never(unread.recv()) {
            last = Some(tick);
        }
        let error = last.unwrap().unwrap_err();
        assert_eq!(error.state, SqlState::ConfigurationLimitExceeded);
        assert_eq!(budget.free(), 100_000);
    }

    #[test]
    fn a_snapshot_waits_for_room() {
        let budget = Budget::new(10_000);
        let (_subscriber, unread) = Subscriber::new(tick(20_000, 1, &budget));
        let refused = check_room(&budget).unwrap_err();
        assert_eq!(refused.state, SqlState::OutOfMemory);
        drop(unread);
        check_room(&budget).unwrap();
    }
}
