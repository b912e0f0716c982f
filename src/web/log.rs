//! One view as all its clients share it: what it holds now, and the last frames; and what a client gets next.
//!
//! Pure: no clock, no socket, no lock. A client is a [`Cursor`], a few words that say how far it has read; whatever it
//! missed while it was slow is computed from the shared frames when it asks again. So a client that cannot keep up costs
//! nothing while it does not read, and gets one message for all that happened meanwhile.
//!
//! The surprising fact: there is no queue per client anywhere. A slow client's queue is the distance between its cursor and
//! the head, and that distance has a bound: behind the oldest frame kept, a client gets a snapshot instead.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;

use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::wire::{self, Dress};
use crate::core::frame::{Column, Frame, Row, State};

/// How many net differences are kept for clients that are equally far behind; one more takes the place of the oldest, and
/// is computed again should someone need it. Under load most slow clients are two or three frames behind.
const MERGED_MAX: usize = 8;

/// How much of the past a log keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Frames. The oldest goes first; a client that had not read it gets a snapshot.
    pub(crate) frames_max: usize,
    /// Rows in those frames together, so that wide frames do not outgrow the memory that narrow ones were given.
    pub(crate) rows_max: usize,
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
}

#[derive(Debug)]
struct Content {
    state: State,
    frames: VecDeque<Entry>,
    /// How many frames came before the first one kept.
    dropped: u64,
    rows_kept: usize,
    rows_held: u64,
    snapshots: [Option<Utf8Bytes>; Dress::COUNT],
    merged: Vec<Merged>,
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

impl Log {
    /// A view of which nothing is known yet.
    pub(crate) fn new(view: &str, bounds: Bounds) -> Self {
        Log {
            view: view.into(),
            bounds,
            columns: Arc::new([]),
            reshaped: None,
            content: None,
            lost: None,
            failure: None,
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
            self.content = Some(Content::new(&frame));
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
        Some((&content.state, &self.columns))
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
        let head = content.head();
        let message = match cursor.held {
            Held::Nothing => {
                Some(content.snapshot(&self.view, &self.columns, first_dress(cursor.form)))
            }
            Held::FromNow => None,
            Held::At(timestamp_ms) => match content.position(timestamp_ms) {
                Some(after) => content.since(&self.view, &self.columns, after, cursor.form),
                None => Some(content.snapshot(&self.view, &self.columns, later_dress(cursor.form))),
            },
            Held::After(after) => content.since(&self.view, &self.columns, after, cursor.form),
        };
        cursor.held = Held::After(head);
        message.map_or(Step::Idle, Step::Send)
    }
}

/// The snapshot that begins a stream.
fn first_dress(form: Form) -> Dress {
    match form {
        Form::Plain => Dress::Bare,
        Form::Events => Dress::Marked,
        Form::Named => Dress::Named,
    }
}

/// A snapshot that replaces what the client holds.
fn later_dress(form: Form) -> Dress {
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
    fn new(snapshot: &Frame) -> Self {
        let mut content = Content {
            state: State::default(),
            frames: VecDeque::new(),
            dropped: 0,
            rows_kept: 0,
            rows_held: 0,
            snapshots: Default::default(),
            merged: Vec::new(),
        };
        content.fold(snapshot);
        content
    }

    /// How many frames there have been.
    fn head(&self) -> u64 {
        self.dropped + self.frames.len() as u64
    }

    fn push(&mut self, frame: Arc<Frame>, bounds: Bounds) {
        self.fold(&frame);
        self.rows_kept += frame_rows(&frame);
        self.frames.push_back(Entry {
            frame,
            texts: Default::default(),
        });
        while self.frames.len() > bounds.frames_max || self.rows_kept > bounds.rows_max {
            self.drop_oldest();
        }
        self.snapshots = Default::default();
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
        }
    }

    /// Forgets the past, so that every cursor is behind it.
    fn begin_again(&mut self) {
        while !self.frames.is_empty() {
            self.drop_oldest();
        }
        self.dropped += 1;
        self.snapshots = Default::default();
        self.merged.clear();
    }

    /// After how many frames the view stood at this time; `None` when that is longer ago than is kept.
    fn position(&self, timestamp_ms: u64) -> Option<u64> {
        if timestamp_ms == self.state.timestamp_ms {
            return Some(self.head());
        }
        let index = self
            .frames
            .partition_point(|entry| entry.frame.timestamp_ms < timestamp_ms);
        let entry = self.frames.get(index)?;
        (entry.frame.timestamp_ms == timestamp_ms).then_some(self.dropped + index as u64 + 1)
    }

    /// What brings a client that has read `after` frames to the head; `None` when nothing does, because it is there or
    /// because all that happened cancels out.
    fn since(&mut self, view: &str, columns: &[Column], after: u64, form: Form) -> Option<Message> {
        let behind = self.head().saturating_sub(after);
        if behind == 0 {
            return None;
        }
        if after < self.dropped {
            return Some(self.snapshot(view, columns, later_dress(form)));
        }
        let dress = difference_dress(form);
        if behind == 1 {
            let entry = self.frames.back_mut()?;
            let text = entry.texts[dress as usize]
                .get_or_insert_with(|| wire::difference(view, columns, &entry.frame, dress))
                .clone();
            return Some(self.message(text, 1));
        }
        let index = self.merged(after);
        let rows = frame_rows(&self.merged[index].net) as u64;
        if rows == 0 {
            return None;
        }
        if form != Form::Plain && rows > self.rows_held {
            return Some(self.snapshot(view, columns, later_dress(form)));
        }
        let merged = &mut self.merged[index];
        let text = merged.texts[dress as usize]
            .get_or_insert_with(|| wire::difference(view, columns, &merged.net, dress))
            .clone();
        Some(self.message(text, behind))
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
        let net = net(self.frames.iter().skip(skip).map(|entry| &*entry.frame));
        self.merged.push(Merged {
            from: after,
            net,
            texts: Default::default(),
        });
        self.merged.len() - 1
    }

    fn snapshot(&mut self, view: &str, columns: &[Column], dress: Dress) -> Message {
        let text = self.snapshots[dress as usize]
            .get_or_insert_with(|| wire::snapshot(view, columns, &self.state, dress))
            .clone();
        self.message(text, 0)
    }

    fn message(&self, text: Utf8Bytes, frames: u64) -> Message {
        Message {
            text,
            timestamp_ms: Some(self.state.timestamp_ms),
            frames,
        }
    }
}

fn frame_rows(frame: &Frame) -> usize {
    frame.deleted.len() + frame.inserted.len()
}

/// Several frames as one: what came and went in between is not in it.
fn net<'a>(frames: impl Iterator<Item = &'a Frame>) -> Frame {
    let mut changes: BTreeMap<&'a Row, i64> = BTreeMap::new();
    let mut timestamp_ms = 0;
    for frame in frames {
        timestamp_ms = frame.timestamp_ms;
        for row in &frame.deleted {
            *changes.entry(row).or_default() -= 1;
        }
        for row in &frame.inserted {
            *changes.entry(row).or_default() += 1;
        }
    }
    let mut net = Frame {
        timestamp_ms,
        deleted: Vec::new(),
        inserted: Vec::new(),
    };
    for (row, times) in changes {
        let side = if times < 0 {
            &mut net.deleted
        } else {
            &mut net.inserted
        };
        let times = usize::try_from(times.unsigned_abs()).unwrap_or(usize::MAX);
        side.extend(std::iter::repeat_n(row.clone(), times));
    }
    net
}
