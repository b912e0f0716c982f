//! What a view holds now and how it came to that: the rows, the last frames, and the texts that were made of them.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{Bounds, Form, Message};
use crate::core::frame::{Column, Frame, State};
use crate::web::wire::{self, Dress};

/// How many net differences are kept for clients that are equally far behind; one more takes the place of the oldest, and
/// is computed again should someone need it. Under load most slow clients are two or three frames behind.
const MERGED_MAX: usize = 8;

#[derive(Debug)]
pub(super) struct Content {
    state: State,
    frames: VecDeque<Entry>,
    /// How many frames came before the first one kept.
    dropped: u64,
    /// When the view stood before the first one kept; `None` when that was another view.
    base_ms: Option<u64>,
    rows_kept: usize,
    rows_held: u64,
    snapshots: [Option<Snapshot>; Dress::COUNT],
    merged: Vec<Merged>,
    serialised: Counter,
}

/// All rows as text. It serves as long as the frames that came after it are kept: they bring its reader to the head.
#[derive(Debug, Clone)]
struct Snapshot {
    after: u64,
    timestamp_ms: u64,
    text: Utf8Bytes,
}

/// What a client is told, if anything, and how far it has read then.
pub(super) struct Told {
    pub(super) message: Option<Message>,
    pub(super) after: u64,
}

#[derive(Debug)]
struct Entry {
    frame: Arc<Frame>,
    texts: [Option<Utf8Bytes>; Dress::COUNT],
}

/// The net difference from some frame to the head, kept until the head moves: slow clients are often equally slow.
#[derive(Debug)]
struct Merged {
    from: u64,
    net: Frame,
    texts: [Option<Utf8Bytes>; Dress::COUNT],
}

/// The snapshot that begins a stream.
pub(super) fn first_dress(form: Form) -> Dress {
    match form {
        Form::Plain => Dress::Bare,
        Form::Events => Dress::Marked,
        Form::Named => Dress::Named,
    }
}

/// A snapshot that replaces what the client holds.
pub(super) fn later_dress(form: Form) -> Dress {
    match form {
        Form::Plain | Form::Events => Dress::Marked,
        Form::Named => Dress::Named,
    }
}

fn difference_dress(form: Form) -> Dress {
    match form {
        Form::Plain | Form::Events => Dress::Bare,
        Form::Named => Dress::Named,
    }
}

impl Content {
    pub(super) fn new(snapshot: &Frame, serialised: Counter) -> Self {
        let mut content = Content {
            state: State::default(),
            frames: VecDeque::new(),
            dropped: 0,
            base_ms: Some(snapshot.timestamp_ms),
            rows_kept: 0,
            rows_held: 0,
            snapshots: Default::default(),
            merged: Vec::new(),
            serialised,
        };
        content.fold(snapshot);
        content
    }

    /// What the view holds.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// How many frames there have been.
    pub(super) fn head(&self) -> u64 {
        self.dropped + self.frames.len() as u64
    }

    pub(super) fn push(&mut self, frame: Arc<Frame>, bounds: Bounds) {
        self.fold(&frame);
        self.rows_kept += frame_rows(&frame);
        self.frames.push_back(Entry {
            frame,
            texts: Default::default(),
        });
        while self.frames.len() > bounds.frames_max || self.rows_kept > bounds.rows_max {
            self.drop_oldest();
        }
        let (oldest, lasting) = (self.dropped, self.rows_held > bounds.fresh_rows_max);
        for snapshot in &mut self.snapshots {
            snapshot.take_if(|snapshot| !lasting || snapshot.after < oldest);
        }
        self.merged.clear();
    }

    fn fold(&mut self, frame: &Frame) {
        // Nobody else holds the rows, so this changes them in place.
        let rows = Arc::make_mut(&mut self.state.rows);
        for row in &frame.deleted {
            let times = rows.get(row).map_or(0, |times| times.get());
            match NonZeroU64::new(times.saturating_sub(1)) {
                Some(left) => rows.insert(row.clone(), left),
                None => rows.remove(row),
            };
        }
        for row in &frame.inserted {
            rows.entry(row.clone())
                .and_modify(|times| *times = times.saturating_add(1))
                .or_insert(NonZeroU64::MIN);
        }
        self.rows_held = self
            .rows_held
            .saturating_add(frame.inserted.len() as u64)
            .saturating_sub(frame.deleted.len() as u64);
        self.state.timestamp_ms = frame.timestamp_ms;
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.frames.pop_front() {
            self.rows_kept -= frame_rows(&oldest.frame);
            self.dropped += 1;
            self.base_ms = Some(oldest.frame.timestamp_ms);
        }
    }

    /// Forgets the past, so that every cursor is behind it.
    pub(super) fn begin_again(&mut self) {
        while !self.frames.is_empty() {
            self.drop_oldest();
        }
        self.dropped += 1;
        self.base_ms = None;
        self.snapshots = Default::default();
        self.merged.clear();
    }

    /// After how many frames the view stood at this time; `None` when that is longer ago than is kept.
    pub(super) fn position(&self, timestamp_ms: u64) -> Option<u64> {
        if timestamp_ms == self.state.timestamp_ms {
            return Some(self.head());
        }
        if self.base_ms == Some(timestamp_ms) {
            return Some(self.dropped);
        }
        let index = self
            .frames
            .partition_point(|entry| entry.frame.timestamp_ms < timestamp_ms);
        let entry = self.frames.get(index)?;
        (entry.frame.timestamp_ms == timestamp_ms).then_some(self.dropped + index as u64 + 1)
    }

    /// What brings a client that has read `after` frames to the head: nothing when it is there, or when all that happened
    /// cancels out.
    pub(super) fn since(&mut self, view: &str, columns: &[Column], after: u64, form: Form) -> Told {
        let head = self.head();
        let behind = head.saturating_sub(after);
        if behind > 0 && after < self.dropped {
            return self.snapshot(view, columns, later_dress(form), after);
        }
        let dress = difference_dress(form);
        let text = match behind {
            0 => None,
            1 => self.frames.back_mut().map(|entry| {
                let text = &mut entry.texts[dress as usize];
                text.get_or_insert_with(|| {
                    self.serialised.inc();
                    wire::difference(view, columns, &entry.frame, dress)
                })
                .clone()
            }),
            _ => {
                let index = self.merged(after);
                let merged = &mut self.merged[index];
                let rows = frame_rows(&merged.net) as u64;
                if form != Form::Plain && rows > self.rows_held {
                    return self.snapshot(view, columns, later_dress(form), head);
                }
                let text = &mut merged.texts[dress as usize];
                (rows > 0).then(|| {
                    text.get_or_insert_with(|| {
                        self.serialised.inc();
                        wire::difference(view, columns, &merged.net, dress)
                    })
                    .clone()
                })
            }
        };
        let message = text.map(|text| Message {
            text,
            timestamp_ms: Some(self.state.timestamp_ms),
            frames: behind,
        });
        Told {
            message,
            after: head,
        }
    }

    /// Where the net difference from `after` to the head is kept.
    fn merged(&mut self, after: u64) -> usize {
        if let Some(index) = self.merged.iter().position(|merged| merged.from == after) {
            return index;
        }
        if self.merged.len() == MERGED_MAX {
            self.merged.remove(0);
        }
        let skip = usize::try_from(after - self.dropped).unwrap_or(usize::MAX);
        let net = Frame::net(self.frames.iter().skip(skip).map(|entry| &*entry.frame));
        self.merged.push(Merged {
            from: after,
            net,
            texts: Default::default(),
        });
        self.merged.len() - 1
    }

    /// All rows, from a time when there had been `not_before` frames at least: a client must not be taken back.
    pub(super) fn snapshot(
        &mut self,
        view: &str,
        columns: &[Column],
        dress: Dress,
        not_before: u64,
    ) -> Told {
        let head = self.head();
        let kept = &mut self.snapshots[dress as usize];
        kept.take_if(|snapshot| snapshot.after < not_before);
        let Snapshot {
            after,
            timestamp_ms,
            text,
        } = kept
            .get_or_insert_with(|| {
                self.serialised.inc();
                Snapshot {
                    after: head,
                    timestamp_ms: self.state.timestamp_ms,
                    text: wire::snapshot(view, columns, &self.state, dress),
                }
            })
            .clone();
        let message = Message {
            text,
            timestamp_ms: Some(timestamp_ms),
            frames: 0,
        };
        Told {
            message: Some(message),
            after,
        }
    }
}

pub(super) fn frame_rows(frame: &Frame) -> usize {
    frame.deleted.len() + frame.inserted.len()
}
