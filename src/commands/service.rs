//! The service manager's side: systemd is told when the service is ready, that it lives, and that it stops.
//!
//! Without NOTIFY_SOCKET all of it does nothing, so callers do not ask.

use std::time::Duration;

use sd_notify::NotifyState;

/// Says that the service does what it is for: everything listens, or the first batch arrived.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// Says that the service is stopping, so that the time this takes is not read as a hang.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Tells the service manager that the service lives, for as long as it is polled, as often as the unit's WatchdogSec needs.
///
/// It never resolves: select it beside the service's work, on the same task, so that a task that hangs is not vouched for.
pub async fn watchdog() {
    let Some(within) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut beats = tokio::time::interval(beat(within));
    loop {
        beats.tick().await;
        notify(&[NotifyState::Watchdog]);
    }
}

/// Half the time allowed, as sd_watchdog_enabled(3) advises: one late beat is no death.
fn beat(within: Duration) -> Duration {
    (within / 2).max(Duration::from_millis(1))
}

/// A service manager that does not listen is no reason to stop serving.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "could not notify the service manager");
    }
}
