//! What an ingester shows of itself: one line that moves on a terminal, a log line a minute elsewhere, a summary at the end.

use std::time::{Duration, Instant};

use console::Term;
use tokio::sync::watch;

use crate::ingest::Status;
use crate::ingest::status::State;
use crate::terminal::progress::{DRAW_INTERVAL, Progress};

/// How often a log line says how it goes.
const LOG_INTERVAL: Duration = Duration::from_secs(60);
/// Rates are taken over so many drawings: two seconds, so that a number can be read.
const RATE_DRAWINGS: usize = 8;

/// Shows progress on stderr; it never ends.
pub(super) async fn show(status: watch::Receiver<Status>) {
    match Term::stderr().is_term() {
        true => draw(status).await,
        false => log(status).await,
    }
}

async fn draw(status: watch::Receiver<Status>) {
    let progress = Progress::show();
    let mut rate = Rate::default();
    let mut drawings = tokio::time::interval(DRAW_INTERVAL);
    loop {
        drawings.tick().await;
        let status = status.borrow().clone();
        let per_second = rate.update(Instant::now(), status.counters.received);
        progress.say(line(&status, per_second));
    }
}

async fn log(status: watch::Receiver<Status>) {
    let mut rate = Rate::default();
    let start = tokio::time::Instant::now() + LOG_INTERVAL;
    let mut minutes = tokio::time::interval_at(start, LOG_INTERVAL);
    loop {
        minutes.tick().await;
        let status = status.borrow().clone();
        let counters = &status.counters;
        tracing::info!(
            state = %status.state,
            changes_per_second = rate.update(Instant::now(), counters.received).round(),
            lag_ms = status.lag_ms,
            received = counters.received,
            kept = counters.kept,
            canaries = counters.canaries,
            repeats = counters.repeats,
            malformed = counters.malformed,
            oversize = counters.oversize,
            refused = counters.refused,
            gaps = counters.gaps,
            reconnects = counters.reconnects.total(),
            engine_losses = counters.sink_losses,
            "ingesting"
        );
    }
}

/// Changes a second over the last few looks.
#[derive(Debug, Default)]
struct Rate {
    looks: std::collections::VecDeque<(Instant, u64)>,
}

impl Rate {
    fn update(&mut self, now: Instant, count: u64) -> f64 {
        self.looks.push_back((now, count));
        if self.looks.len() > RATE_DRAWINGS {
            self.looks.pop_front();
        }
        let (since, before) = self.looks[0];
        let seconds = now.duration_since(since).as_secs_f64();
        match seconds > 0.0 {
            true => (count - before) as f64 / seconds,
            false => 0.0,
        }
    }
}

/// The moving line.
fn line(status: &Status, per_second: f64) -> String {
    let counters = &status.counters;
    let mut parts = vec![format!("{per_second:.0} changes/s")];
    if let (State::Live, Some(lag_ms)) = (&status.state, status.lag_ms) {
        parts.push(format!("{} behind", lag(lag_ms)));
    }
    parts.push(format!("{} kept", counters.kept));
    let skipped = counters.skipped();
    let skipped = skipped.iter().filter(|(_, count)| *count > 0);
    parts.extend(skipped.map(|(reason, count)| format!("{count} {reason}")));
    if counters.reconnects.total() > 0 {
        parts.push(reconnects(status));
    }
    if status.state != State::Live {
        parts.push(status.state.to_string());
    }
    parts.join(" · ")
}

/// A lag as it is read: a clock that is a little ahead is none.
fn lag(lag_ms: i64) -> String {
    match lag_ms.max(0) {
        ms @ ..10_000 => format!("{:.1} s", ms as f64 / 1_000.0),
        ms @ ..600_000 => format!("{} s", ms / 1_000),
        ms @ ..36_000_000 => format!("{} min", ms / 60_000),
        ms => format!("{} h", ms / 3_600_000),
    }
}

/// What was done, in one line.
pub(super) fn summary(status: &Status) -> String {
    let counters = &status.counters;
    let skipped = counters.skipped();
    let skipped: Vec<String> = skipped
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    let skipped = match skipped.is_empty() {
        true => "nothing skipped".to_owned(),
        false => format!("skipped {}", skipped.join(", ")),
    };
    format!(
        "{} changes received, {} kept; {skipped}; {} missing in the stream; {}",
        counters.received,
        counters.kept,
        counters.gaps,
        reconnects(status)
    )
}

fn reconnects(status: &Status) -> String {
    match status.counters.reconnects.total() {
        1 => "1 reconnect".to_owned(),
        times => format!("{times} reconnects"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::status::{Cause, Counters};

    fn status() -> Status {
        let mut counters = Counters {
            received: 120,
            kept: 100,
            canaries: 1,
            repeats: 19,
            ..Counters::default()
        };
        counters.reconnects.count(Cause::Closed);
        Status {
            state: State::Live,
            counters,
            lag_ms: Some(1_234),
        }
    }

    #[test]
    fn says_what_there_is_and_nothing_else() {
        assert_eq!(
            line(&status(), 34.6),
            "35 changes/s · 1.2 s behind · 100 kept · 1 canary · 19 repeat · 1 reconnect"
        );
        let retrying = Status {
            state: State::Retrying {
                reason: "the stream was cut off: eof".to_owned(),
                retry_in: Duration::from_millis(1_500),
            },
            ..Status::default()
        };
        assert_eq!(
            line(&retrying, 0.0),
            "0 changes/s · 0 kept · the stream was cut off: eof; retrying in 1.5 s"
        );
        assert_eq!(
            summary(&status()),
            "120 changes received, 100 kept; skipped 1 canary, 19 repeat; 0 missing in the stream; 1 reconnect"
        );
    }

    #[test]
    fn a_lag_is_short() {
        let table = [
            (-50, "0.0 s"),
            (1_234, "1.2 s"),
            (59_000, "59 s"),
            (700_000, "11 min"),
            (36_000_000, "10 h"),
        ];
        for (ms, expected) in table {
            assert_eq!(lag(ms), expected);
        }
    }
}
