//! How the pipeline tells its status: at once when the state changes, a few times a second while only counters do.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::status::{Counters, State, Status};

/// How often counters are told: as often as eyes and scrapers want, and no more often than that.
const INTERVAL: Duration = Duration::from_millis(250);

/// Gathers counters and tells them.
#[derive(Debug)]
pub(super) struct Reporter {
    sender: watch::Sender<Status>,
    status: Status,
    /// When what has changed is to be told.
    due: Option<Instant>,
}

impl Reporter {
    pub(super) fn new(sender: watch::Sender<Status>) -> Self {
        Reporter {
            sender,
            status: Status::default(),
            due: None,
        }
    }

    /// The counters, to be changed.
    pub(super) fn counters(&mut self) -> &mut Counters {
        self.due.get_or_insert_with(|| Instant::now() + INTERVAL);
        &mut self.status.counters
    }

    pub(super) fn lag(&mut self, lag_ms: i64) {
        self.status.lag_ms = Some(lag_ms);
    }

    /// Changes the state, and tells it at once.
    pub(super) fn state(&mut self, state: State) {
        if self.status.state != state {
            self.status.state = state;
            self.tell();
        }
    }

    /// When [`Reporter::tell`] is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    pub(super) fn tell(&mut self) {
        self.due = None;
        self.sender.send_replace(self.status.clone());
    }

    pub(super) fn status(&self) -> &Status {
        &self.status
    }
}
