//! The recording as a sink: one line `data: {json}` a change and nothing else, in the one form that every reader of such files
//! (Materialize 0.26's file source among them) takes without losing.
//!
//! The file is its own checkpoint: how far it reaches is read from its last changes, so there is nothing beside it that could
//! disagree with it. What a crash left of a last line is cut off before anything is appended; the stream sends that change
//! again.

mod tail;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::batch::Batch;
use super::resume::Position;
use super::sink::{Sent, SinkError};
use crate::change::Change;
use tail::Tail;

/// How often the file is forced to the disk, besides its end: what a power failure takes away is read again from the stream, so this
/// only bounds how much that is.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// What to record to.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that is appended to.
    pub path: PathBuf,
    /// When a new file begins.
    pub rotate: Option<Rotate>,
}

/// When a recording begins a new file. The finished one gets the time of its last change as a suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotate {
    /// Once it holds so many bytes.
    Size(u64),
    /// Every hour, by the changes' own time, so that a file holds one hour however late it was recorded.
    Hourly,
}

/// An open recording, locked against other writers.
#[derive(Debug)]
pub(super) struct Recorder {
    config: Config,
    file: File,
    bytes: u64,
    tail: Tail,
    synced: Instant,
}

impl Recorder {
    pub(super) async fn open(config: Config) -> Result<Self, SinkError> {
        blocking(move || Recorder::open_now(config)).await
    }

    fn open_now(config: Config) -> Result<Self, SinkError> {
        let path = config.path.clone();
        let mut file = open_locked(&path)?;
        let bytes = repair(&mut file).map_err(failed("repair", &path))?;
        let mut tail = Tail::default();
        // The changes that may come twice can stand in the file before.
        if let Some(previous) =
            newest_finished(&path).map_err(failed("list the files beside", &path))?
        {
            let mut previous_file = File::open(&previous).map_err(failed("open", &previous))?;
            tail.read(&mut previous_file)
                .map_err(failed("read", &previous))?;
        }
        tail.read(&mut file).map_err(failed("read", &path))?;
        file.seek(SeekFrom::End(0)).map_err(failed("read", &path))?;
        Ok(Recorder {
            config,
            file,
            bytes,
            tail,
            synced: Instant::now(),
        })
    }

    /// How far the file reaches.
    pub(super) fn position(&self) -> Position {
        self.tail.position.clone()
    }

    /// Appends what is not there already of a batch.
    pub(super) async fn send(mut self, batch: Batch) -> (Self, Batch, Result<Sent, SinkError>) {
        let written = tokio::task::spawn_blocking(move || {
            let mut new = batch.clone();
            let repeats = new.retain(|entry| entry.key.is_none_or(|key| !self.tail.seen(key)));
            let sent = self.append(&new).map(|()| Sent {
                durable: new.len() as u64,
                repeats: repeats as u64,
            });
            (self, batch, sent)
        });
        written.await.expect("writing a file does not panic")
    }

    fn append(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let mut lines = Vec::new();
        for entry in batch.entries() {
            let change = Change::read(&entry.json).expect("only changes come here");
            if self.is_finished(lines.len() as u64, change.meta.dt_ms) {
                self.write(&mut lines)?;
                self.rotate()?;
            }
            lines.extend_from_slice(b"data: ");
            // Line breaks between JSON's tokens are the only ones that it can hold.
            lines.extend(entry.json.iter().map(|byte| match byte {
                b'\n' | b'\r' => b' ',
                other => *other,
            }));
            lines.push(b'\n');
            self.tail.note(&change);
        }
        self.write(&mut lines)?;
        if self.synced.elapsed() >= SYNC_INTERVAL {
            self.sync()?;
        }
        Ok(())
    }

    fn write(&mut self, lines: &mut Vec<u8>) -> Result<(), SinkError> {
        self.file
            .write_all(lines)
            .map_err(failed("write", &self.config.path))?;
        self.bytes += lines.len() as u64;
        lines.clear();
        Ok(())
    }

    fn is_finished(&self, pending_bytes: u64, next_ms: Option<i64>) -> bool {
        let bytes = self.bytes + pending_bytes;
        let hour = |ms: i64| ms.div_euclid(3_600_000);
        match self.config.rotate {
            _ if bytes == 0 => false,
            None => false,
            Some(Rotate::Size(bytes_max)) => bytes >= bytes_max,
            Some(Rotate::Hourly) => match (self.tail.newest_ms, next_ms) {
                (Some(last), Some(next)) => hour(next) > hour(last),
                _ => false,
            },
        }
    }

    fn rotate(&mut self) -> Result<(), SinkError> {
        self.sync()?;
        let path = &self.config.path;
        let finished = finished_name(path, self.tail.newest_ms);
        std::fs::rename(path, &finished).map_err(failed("rename", path))?;
        tracing::info!(file = %finished.display(), bytes = self.bytes, "finished a file of the recording");
        self.file = open_locked(path)?;
        self.bytes = 0;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), SinkError> {
        self.synced = Instant::now();
        self.file
            .sync_data()
            .map_err(failed("write", &self.config.path))
    }

    /// Forces everything to the disk.
    pub(super) async fn close(mut self) -> Result<(), SinkError> {
        blocking(move || self.sync()).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, SinkError> {
    tokio::task::spawn_blocking(work)
        .await
        .expect("working on a file does not panic")
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SinkError {
    let path = path.to_owned();
    move |source| SinkError::File {
        action,
        path,
        source,
    }
}

fn open_locked(path: &Path) -> Result<File, SinkError> {
    let mut options = OpenOptions::new();
    let file = options
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(failed("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(SinkError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(failed("lock", path)(error)),
    }
}

/// Cuts off a last line that has no end; says how long the file is then.
fn repair(file: &mut File) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut end = length;
    let mut block = vec![0; 64 << 10];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let piece = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(piece)?;
        if let Some(newline) = memchr::memrchr(b'\n', piece) {
            end = start + newline as u64 + 1;
            break;
        }
        end = start;
    }
    if end < length {
        tracing::warn!(
            bytes = length - end,
            "cut off the torn last line of the recording"
        );
        file.set_len(end)?;
    }
    Ok(end)
}

/// `recentchanges.20260804T152429Z`, or with a number after it when that is taken.
fn finished_name(path: &Path, newest_ms: Option<i64>) -> PathBuf {
    let at = newest_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let at = at.unwrap_or_else(Timestamp::now).to_zoned(TimeZone::UTC);
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let suffix = at.strftime(".%Y%m%dT%H%M%SZ").to_string();
    let names =
        std::iter::once(with(&suffix)).chain((2..).map(|n| with(&format!("{suffix}-{n:04}"))));
    let mut free = names.filter(|name| !name.exists());
    free.next().expect("there are endless numbers")
}

/// The finished file before this one, if there is any: their names sort by time.
fn newest_finished(path: &Path) -> io::Result<Option<PathBuf>> {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Ok(None);
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut newest: Option<String> = None;
    for entry in std::fs::read_dir(folder)? {
        let Ok(other) = entry?.file_name().into_string() else {
            continue;
        };
        if other.strip_prefix(name).is_some_and(is_finished_suffix) {
            newest = newest.max(Some(other));
        }
    }
    Ok(newest.map(|name| folder.join(name)))
}

fn is_finished_suffix(suffix: &str) -> bool {
    let shape: String = suffix
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    shape == ".00000000T000000Z" || shape == ".00000000T000000Z-0000"
}

#[cfg(test)]
mod tests;
