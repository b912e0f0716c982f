//! What an ingester tells about itself: its state and its counters, for the progress bar, the page and the metrics.
//!
//! Counters only grow, and every change that was received ends under exactly one of `kept`, `canaries`, `repeats`, `malformed`,
//! `oversize`, `refused` and `reread`; what has not ended yet is [`Counters::pending`].

use std::fmt;
use std::time::Duration;

/// State and counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// What the ingester is doing.
    pub state: State,
    /// What it has done.
    pub counters: Counters,
    /// How far behind now the last change was when it came, in milliseconds; of the live stream only.
    pub lag_ms: Option<i64>,
}

/// What the ingester is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// On its way to the source or to the sink.
    #[default]
    Connecting,
    /// Changes come in.
    Live,
    /// Something could not be reached, or was lost.
    Retrying {
        /// What happened, as an error reads.
        reason: String,
        /// When the next attempt is due, counted from when this was told.
        retry_in: Duration,
    },
    /// The recording has been read to its end, or a limit was reached.
    Ended,
}

/// Counts since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes of the source.
    pub bytes: u64,
    /// Changes that came, of whatever use.
    pub received: u64,
    /// Changes that were new and are durable in the sink.
    pub kept: u64,
    /// The service's own probes.
    pub canaries: u64,
    /// Changes that were there already.
    pub repeats: u64,
    /// Text that is no change.
    pub malformed: u64,
    /// Events beyond the bound of a line.
    pub oversize: u64,
    /// Changes that the sink refused.
    pub refused: u64,
    /// Changes that were on their way when the sink was lost: the stream sends them again.
    pub reread: u64,
    /// Offsets that were passed over within a topic: changes that the stream did not hold.
    pub gaps: u64,
    /// Batches that the sink has made durable.
    pub batches: u64,
    /// Times the sink was lost.
    pub sink_losses: u64,
    /// Ends of connections to the source, by cause.
    pub reconnects: Reconnects,
}

/// Ends of connections to the source, by [`Cause`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reconnects([u64; Cause::ALL.len()]);

/// Why a connection to the source ended or did not come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The service closed it in order, as it does every 15 minutes.
    Closed,
    /// It was torn off.
    Cut,
    /// Nothing came for too long.
    Silent,
    /// The service reported an error within the stream.
    InBand,
    /// The service answered with an error status.
    Refused,
    /// No connection came about: DNS, TCP, TLS.
    Unreachable,
    /// The sink was lost, so the stream is read again from what is durable.
    Sink,
}

impl Cause {
    /// All causes.
    pub const ALL: [Cause; 7] = [
        Cause::Closed,
        Cause::Cut,
        Cause::Silent,
        Cause::InBand,
        Cause::Refused,
        Cause::Unreachable,
        Cause::Sink,
    ];

    /// The name that metrics and logs use.
    pub fn name(self) -> &'static str {
        match self {
            Cause::Closed => "closed",
            Cause::Cut => "cut",
            Cause::Silent => "silent",
            Cause::InBand => "in_band",
            Cause::Refused => "refused",
            Cause::Unreachable => "unreachable",
            Cause::Sink => "sink",
        }
    }
}

impl Reconnects {
    /// Counts one.
    pub fn count(&mut self, cause: Cause) {
        self.0[cause as usize] += 1;
    }

    /// How many there were for one cause.
    pub fn of(&self, cause: Cause) -> u64 {
        self.0[cause as usize]
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl Counters {
    /// Changes on their way: received, and not durable yet.
    pub fn pending(&self) -> u64 {
        let skipped: u64 = self.skipped().iter().map(|(_, count)| count).sum();
        self.received
            .saturating_sub(self.kept + self.reread + skipped)
    }

    /// What was received and not kept, by reason: the names that metrics, logs and progress use.
    pub fn skipped(&self) -> [(&'static str, u64); 5] {
        [
            ("canary", self.canaries),
            ("repeat", self.repeats),
            ("malformed", self.malformed),
            ("oversize", self.oversize),
            ("refused", self.refused),
        ]
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            State::Connecting => f.write_str("connecting"),
            State::Live => f.write_str("live"),
            State::Retrying { reason, retry_in } => {
                write!(f, "{reason}; retrying in {:.1} s", retry_in.as_secs_f64())
            }
            State::Ended => f.write_str("ended"),
        }
    }
}
