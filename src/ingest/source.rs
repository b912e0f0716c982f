//! Where changes come from: one interface over the live stream and a recording.

use super::live::{self, Live, Loss};
use super::recording::{self, Recording};
use super::resume::Position;
use super::sse::Item;

/// Where changes come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// An EventStreams service.
    Live(live::Config),
    /// A recording.
    Recording(recording::Config),
}

/// What a source yields.
#[derive(Debug)]
pub(super) enum Arrival {
    /// Events, and how many bytes they were read from.
    Items { items: Vec<Item>, bytes: u64 },
    /// The connection is gone, or the recording cannot be read on.
    Lost(Loss),
    /// A recording's end.
    End,
}

/// An open source.
pub(super) enum Feed {
    Live(Box<Live>),
    Recording(Box<Recording>),
}

impl Feed {
    /// Makes sure that the next changes after `position` come; a recording comes as it is.
    pub(super) async fn open(&mut self, position: &Position, now_ms: i64) -> Result<(), Loss> {
        match self {
            Feed::Live(live) => live.connect(position, now_ms).await,
            Feed::Recording(_) => Ok(()),
        }
    }

    /// What comes next. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Arrival {
        match self {
            Feed::Live(live) => live.next().await,
            Feed::Recording(recording) => recording.next().await,
        }
    }

    /// It can go on from a position, so that nothing needs to be kept in memory for it.
    pub(super) fn resumes(&self) -> bool {
        matches!(self, Feed::Live(_))
    }
}
