//! One view as all its clients share it: what it holds now, and the last frames; and what a client gets next.
//!
//! Pure: no clock, no socket, no lock. A client is a [`Cursor`], a few words that say how far it has read; whatever it
//! missed while it was slow is computed from the shared frames when it asks again. So a client that cannot keep up costs
//! nothing while it does not read, and gets one message for all that happened meanwhile.
//!
//! The surprising fact: there is no queue per client anywhere. A slow client's queue is the distance between its cursor and
//! the head, and that distance has a bound: behind the oldest frame kept, a client gets a snapshot instead.

mod content;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::wire;
use crate::core::frame::{Column, Frame, State};
use content::{Content, first_dress, frame_rows, later_dress};

/// How much of the past a log keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Frames. The oldest goes first; a client that had not read it gets a snapshot.
    pub(crate) frames_max: usize,
    /// Rows in those frames together, so that wide frames do not outgrow the memory that narrow ones were given.
    pub(crate) rows_max: usize,
    /// Up to so many rows a view's snapshot is made anew for whoever comes. Beyond, one is kept while the frames after it are:
    /// who comes gets that one and what has changed since.
    pub(crate) fresh_rows_max: u64,
}

/// The form of the stream that a client asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The ancestor's JSON. Clients may know only `deleted` and `inserted`, so a snapshot in midstream is the last resort.
    Plain,
    /// Server-sent events: a snapshot is always marked, because the client may come with something in its hands.
    Events,
    /// Several views on one stream: each message names its view.
    Named,
}

/// How far a client has read, and what it has been told.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    form: Form,
    held: Held,
    told_lost: bool,
}

/// What a client holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// Nothing yet: it begins with a snapshot.
    Nothing,
    /// Nothing, and it wants only what comes.
    FromNow,
    /// The view at this time, received over an earlier connection.
    At(u64),
    /// The view after so many frames of this log.
    After(u64),
}

impl Cursor {
    /// A client at its beginning.
    pub(crate) fn new(form: Form, held: Held) -> Self {
        Cursor {
            form,
            held,
            told_lost: false,
        }
    }
}

/// What a client gets next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// It has everything.
    Idle,
    /// A message.
    Send(Message),
    /// The view ended: nothing will come any more.
    Failed(Failure),
}

/// One message to one client; its text is shared with all clients that get the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The JSON, ending in a newline.
    pub(crate) text: Utf8Bytes,
    /// The time of what the client holds once it has the message; a notice about the connection has none.
    pub(crate) timestamp_ms: Option<u64>,
    /// How many frames went into it; 0 for a snapshot or a notice.
    pub(crate) frames: u64,
}

/// Why a view cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What kind of failure it is, which decides the HTTP status.
    pub(crate) kind: FailureKind,
    /// The reason in words.
    pub(crate) reason: Arc<str>,
}

/// Kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// No such view.
    Unknown,
    /// The engine refuses it, or it is more than the web interface carries.
    Refused,
}

/// Whether there is something to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// The first snapshot is there.
    Ready,
    /// The engine has not answered yet; what it said last.
    Waiting(Option<Arc<str>>),
    /// It never will.
    Failed(Failure),
}

/// A view: its columns, its rows, its last frames.
#[derive(Debug)]
pub(crate) struct Log {
    view: Arc<str>,
    bounds: Bounds,
    columns: Arc<[Column]>,
    /// Other columns, which hold from the next frame on.
    reshaped: Option<Arc<[Column]>>,
    content: Option<Content>,
    lost: Option<Arc<str>>,
    failure: Option<Failure>,
    /// Texts that were written: as long as clients keep up, one a frame, however many there are.
    serialised: Counter,
}

impl Log {
    /// A view of which nothing is known yet.
    pub(crate) fn new(view: &str, bounds: Bounds, serialised: Counter) -> Self {
        Log {
            view: view.into(),
            bounds,
            columns: Arc::new([]),
            reshaped: None,
            content: None,
            lost: None,
            failure: None,
            serialised,
        }
    }

    /// The engine is connected. Other columns than before make another view of it: with its rows everyone begins again.
    pub(crate) fn opened(&mut self, columns: &Arc<[Column]>) {
        self.lost = None;
        if self.content.is_none() {
            self.columns = columns.clone();
        } else {
            self.reshaped = (self.columns != *columns).then(|| columns.clone());
        }
    }

    /// The engine is away.
    pub(crate) fn lost(&mut self, reason: &str) {
        self.lost = Some(reason.into());
    }

    /// The view is gone for good.
    pub(crate) fn failed(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }

    /// A frame; the first one is the snapshot. One that changes nothing is no news.
    pub(crate) fn push(&mut self, frame: Arc<Frame>) {
        let Some(content) = &mut self.content else {
            self.content = Some(Content::new(&frame, self.serialised.clone()));
            return;
        };
        if frame_rows(&frame) > 0 {
            content.push(frame, self.bounds);
        }
        if let Some(columns) = self.reshaped.take() {
            self.columns = columns;
            content.begin_again();
        }
    }

    /// Whether there is something to read.
    pub(crate) fn readiness(&self) -> Readiness {
        match (&self.failure, &self.content) {
            (Some(failure), _) => Readiness::Failed(failure.clone()),
            (None, Some(_)) => Readiness::Ready,
            (None, None) => Readiness::Waiting(self.lost.clone()),
        }
    }

    /// What the view holds, and how its columns are called.
    pub(crate) fn current(&self) -> Option<(&State, &Arc<[Column]>)> {
        let content = self.content.as_ref()?;
        Some((content.state(), &self.columns))
    }

    /// What a client gets next; the cursor moves as if it had it.
    pub(crate) fn next(&mut self, cursor: &mut Cursor) -> Step {
        if let Some(failure) = &self.failure {
            return Step::Failed(failure.clone());
        }
        if cursor.form == Form::Named && cursor.told_lost != self.lost.is_some() {
            cursor.told_lost = self.lost.is_some();
            return Step::Send(Message {
                text: wire::reconnecting(&self.view, cursor.told_lost),
                timestamp_ms: None,
                frames: 0,
            });
        }
        let Some(content) = &mut self.content else {
            return Step::Idle;
        };
        let (view, columns, form) = (&self.view, &self.columns, cursor.form);
        let head = content.head();
        let told = match cursor.held {
            Held::Nothing => content.snapshot(view, columns, first_dress(form), 0),
            Held::FromNow => content.since(view, columns, head, form),
            Held::At(timestamp_ms) => match content.position(timestamp_ms) {
                Some(after) => content.since(view, columns, after, form),
                None => content.snapshot(view, columns, later_dress(form), head),
            },
            Held::After(after) => content.since(view, columns, after, form),
        };
        cursor.held = Held::After(told.after);
        told.message.map_or(Step::Idle, Step::Send)
    }
}
