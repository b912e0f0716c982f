//! `tail` into a pipe or a file: lines of the format that was asked for.
//!
//! A reader that is slow, or stopped, does not stop the subscription, because an engine buffers without bound for a client that does
//! not read. What happens meanwhile is merged, and the reader gets the net difference.

use std::io::{self, Write};
use std::sync::Arc;

use tokio::task::JoinHandle;

use super::follow::Follow;
use super::{Config, Format};
use crate::commands::output;
use crate::core::frame::{Column, Frame};
use crate::core::subscription::Event;
use crate::terminal::lines::Encoder;

/// What waits for the reader: at most one frame, however many it is the net difference of.
#[derive(Debug, Default)]
struct Waiting {
    header: bool,
    frame: Option<Arc<Frame>>,
    progress_ms: Option<u64>,
}

/// Where a run stands.
struct Pipe<'a> {
    config: &'a Config,
    format: Format,
    columns: Arc<[Column]>,
    waiting: Waiting,
    writing: Option<JoinHandle<io::Result<()>>>,
    has_snapshot: bool,
    is_lost: bool,
    written: u64,
}

/// What a run waits for.
enum Happened {
    Told(Event),
    Ended,
    Written(io::Result<()>),
}

pub(super) async fn run(
    config: &Config,
    format: Format,
    mut follow: Follow<'_>,
) -> anyhow::Result<()> {
    let mut pipe = Pipe {
        config,
        format,
        columns: Arc::new([]),
        waiting: Waiting::default(),
        writing: None,
        has_snapshot: false,
        is_lost: false,
        written: 0,
    };
    loop {
        let happened = tokio::select! {
            written = finished(&mut pipe.writing) => Happened::Written(written),
            told = follow.next() => told?.map_or(Happened::Ended, Happened::Told),
        };
        match happened {
            Happened::Written(Err(error)) if output::is_closed(&error) => return Ok(()),
            Happened::Written(outcome) => outcome?,
            Happened::Told(event) => pipe.told(event),
            Happened::Ended => return Ok(()),
        }
        if pipe.writing.is_some() {
            continue;
        }
        if pipe.is_done() {
            return Ok(());
        }
        let bytes = pipe.next_bytes(&follow);
        if !bytes.is_empty() {
            pipe.writing = Some(tokio::task::spawn_blocking(move || write(&bytes)));
        }
    }
}

/// Each write ends with a flush: a reader sees every frame as it comes.
fn write(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// The outcome of the write that is under way, if one is.
async fn finished(writing: &mut Option<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    let Some(handle) = writing else {
        return std::future::pending().await;
    };
    let outcome = handle.await;
    *writing = None;
    outcome.map_err(io::Error::other)?
}

impl Pipe<'_> {
    fn told(&mut self, event: Event) {
        match event {
            Event::Opened { columns } => {
                if self.is_lost {
                    output::note("connected again");
                }
                self.is_lost = false;
                self.waiting.header |= self.config.header && columns != self.columns;
                self.columns = columns;
            }
            Event::Frame(frame) => self.frame(frame),
            Event::Progress { timestamp_ms } => {
                if self.config.progress {
                    self.waiting.progress_ms = Some(timestamp_ms);
                }
            }
            Event::Reconnecting { reason, .. } => {
                if !self.is_lost {
                    output::note(&format!("reconnecting: {reason}"));
                }
                self.is_lost = true;
            }
            // `Follow` has made an error of it.
            Event::Failed(_) => {}
        }
    }

    fn frame(&mut self, frame: Arc<Frame>) {
        let is_snapshot = !self.has_snapshot;
        self.has_snapshot = true;
        let is_empty = frame.deleted.is_empty() && frame.inserted.is_empty();
        let is_wanted = if is_snapshot {
            !self.config.no_snapshot
        } else {
            !is_empty
        };
        if !is_wanted {
            return;
        }
        self.waiting.progress_ms = None;
        self.waiting.frame = Some(match self.waiting.frame.take() {
            None => frame,
            Some(earlier) => Arc::new(Frame::net([&*earlier, &*frame])),
        });
    }

    /// Everything that was asked for is written.
    fn is_done(&self) -> bool {
        let frames_max = if self.config.snapshot_only {
            Some(1)
        } else {
            self.config.max_frames
        };
        frames_max.is_some_and(|max| self.written >= max)
    }

    /// What is to be written next; nothing while nothing waits.
    fn next_bytes(&mut self, follow: &Follow<'_>) -> Vec<u8> {
        let encoder = Encoder {
            format: self.format,
            progress: self.config.progress,
            columns: &self.columns,
        };
        let waiting = std::mem::take(&mut self.waiting);
        let mut bytes = Vec::new();
        if waiting.header {
            bytes = encoder.header(!self.config.snapshot_only);
        }
        if let Some(frame) = waiting.frame {
            self.written += 1;
            bytes.extend(match self.config.snapshot_only {
                true => encoder.rows(frame.timestamp_ms, follow.rows(&self.columns)),
                false => encoder.frame(&frame, || follow.rows(&self.columns)),
            });
        }
        if let Some(timestamp_ms) = waiting.progress_ms {
            bytes.extend(encoder.progress(timestamp_ms));
        }
        bytes
    }
}
