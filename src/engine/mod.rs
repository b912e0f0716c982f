//! The embedded engine: SQL -> plan -> dataflow, a worker thread, a store of one file, and the door where Postgres clients
//! come in. It knows nobody downstream.
//!
//! ```text
//! door --> sql --> plan --> handle --> worker --+--> store      (durable first,
//!  ^                                            +--> dataflow    then visible)
//!  +------------------- ticks <----------------------+
//! ```

mod budget;
#[cfg(test)]
mod builtin_tests;
pub mod catalog;
mod dataflow;
mod definition;
pub mod door;
pub mod error;
pub mod expr;
pub mod feed;
pub mod fold;
pub mod handle;
#[cfg(test)]
mod oracle_tests;
mod packed;
pub mod plan;
mod relations;
#[cfg(test)]
mod scan_tests;
pub mod sql;
mod store;
pub mod system;
pub mod value;
mod worker;
#[cfg(test)]
mod worker_tests;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot, watch};

use error::{SqlError, SqlState};
use handle::{COMMANDS_MAX, Command, Engine};
use worker::Worker;

/// How long raw changes are kept: a day is what the widest question about "today" needs, some 3,000,000 changes. Older ones
/// leave the disk; what aggregates over all time have counted stays.
pub const RETAIN_DEFAULT: Duration = Duration::from_secs(24 * 60 * 60);

/// Time that passes is told to subscribers at least this often, also when nothing else happens.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Where the engine keeps its state, and how much of it.
#[derive(Debug, Clone)]
pub struct Config {
    /// Directory of the store; created when it is not there.
    pub data_dir: PathBuf,
    /// How long raw changes are kept.
    pub retain: Duration,
}

/// Why the store cannot be opened. Nothing has been written then.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works on it.
    #[error("data directory \"{}\" is in use by another wikitop", .path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// Not what this program wrote.
    #[error("store \"{}\" is damaged: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
    /// Written by another version of this program.
    #[error("store \"{}\" has format {found}, this wikitop reads format {expected}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u64,
        /// The version that this program reads.
        expected: u64,
    },
    /// A view's statement means nothing to this program.
    #[error("view \"{name}\" of store \"{}\" cannot be planned: {reason}", .path.display())]
    View {
        /// The file.
        path: PathBuf,
        /// The view.
        name: String,
        /// What the planner says.
        reason: String,
    },
    /// The operating system refuses.
    #[error("could not open \"{}\": {source}", .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl OpenError {
    /// What helps, as a full sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            OpenError::InUse { .. } => {
                "Stop the other one, or give this one a directory of its own with --data-dir."
            }
            OpenError::Damaged { .. } => {
                "Nothing was overwritten: move the file away to start empty, or use another --data-dir."
            }
            OpenError::Format { .. } | OpenError::View { .. } => {
                "Use the wikitop that wrote it, or start empty with another --data-dir."
            }
            OpenError::Io { .. } => {
                "Check the directory's rights and the disk, or choose another with --data-dir."
            }
        }
    }
}

/// The running engine's worker thread.
#[derive(Debug)]
pub struct Running {
    stop: oneshot::Sender<()>,
    /// Nothing is ever sent: the worker's end of it goes with the worker, however that ends.
    ended: oneshot::Receiver<Infallible>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Spawns the worker's thread; `work` returns when it is told to stop.
    fn spawn(
        work: impl FnOnce(oneshot::Receiver<()>) + Send + 'static,
    ) -> std::io::Result<Running> {
        let (stop, stopped) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("engine".to_owned())
            .spawn(move || {
                let _ending = ending;
                work(stopped);
            })?;
        Ok(Running {
            stop,
            ended,
            thread,
        })
    }

    /// Resolves when the worker has ended. Before [`Running::stop`] that means that it has panicked: every statement is
    /// answered with 57P01 from then on, and only a new process helps. Cancel safe.
    pub async fn ended(&mut self) {
        let Err(_) = (&mut self.ended).await;
    }

    /// Finishes the batch in hand, closes the store and joins the thread.
    ///
    /// # Errors
    /// The thread has panicked.
    pub async fn stop(self) -> Result<(), SqlError> {
        // A worker that is gone already needs no word to stop.
        let _ = self.stop.send(());
        let joined = tokio::task::spawn_blocking(|| self.thread.join()).await;
        match joined {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(SqlError::new(
                SqlState::InternalError,
                "the engine's worker thread panicked",
            )),
        }
    }
}

/// Opens the store, brings its views to life, and spawns the worker thread.
///
/// # Errors
/// The store cannot be opened: see [`OpenError`].
pub fn start(config: Config) -> Result<(Engine, Running), OpenError> {
    let thread_failed = |path, source| OpenError::Io { path, source };
    let path = config.data_dir.clone();
    let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
    let (opened, opening) = std::sync::mpsc::sync_channel(1);
    // The dataflow is made of parts that stay on one thread, so the worker is opened where it lives.
    let running = Running::spawn(move |stopped| {
        match Worker::open(&config, definition::replan, now_ms()) {
            Ok((worker, catalog)) => {
                // Nobody waits any more: `start` itself has been abandoned, and so has its inbox.
                let _ = opened.send(Ok(catalog));
                work(worker, inbox, stopped);
            }
            Err(error) => {
                let _ = opened.send(Err(error));
            }
        }
    })
    .map_err(|source| thread_failed(path.clone(), source))?;
    let catalog: watch::Receiver<_> = opening.recv().map_err(|_| {
        thread_failed(
            path,
            std::io::Error::other("the engine's worker thread panicked"),
        )
    })??;
    Ok((Engine::new(commands, catalog), running))
}

/// What makes the worker move.
enum Event {
    Commands,
    TimePasses,
    Stop,
}

/// The worker's thread: commands and time in, nothing out but replies and ticks.
fn work(
    mut worker: Worker,
    mut inbox: mpsc::Receiver<Command>,
    mut stopped: oneshot::Receiver<()>,
) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    else {
        tracing::error!("the engine's worker has no timer");
        return;
    };
    let mut waiting = Vec::new();
    loop {
        let until_next = worker.idle_ms_max(now_ms()).map_or(PROGRESS_EVERY, |ms| {
            Duration::from_millis(ms).min(PROGRESS_EVERY)
        });
        let event = runtime.block_on(async {
            tokio::select! {
                biased;
                _ = &mut stopped => Event::Stop,
                taken = inbox.recv_many(&mut waiting, COMMANDS_MAX) => match taken {
                    0 => Event::Stop,
                    _ => Event::Commands,
                },
                () = tokio::time::sleep(until_next) => Event::TimePasses,
            }
        });
        match event {
            Event::Commands => worker.run(&mut waiting, now_ms()),
            Event::TimePasses => worker.advance(now_ms()),
            Event::Stop => break,
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

/// An `Arc` of a catalog that is published whenever it changes.
type Published = watch::Sender<Arc<catalog::Catalog>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_panics_is_noticed() {
        let mut running = Running::spawn(|_| panic!("as a defect would")).unwrap();
        running.ended().await;
        let error = running.stop().await.unwrap_err();
        assert_eq!(error.state, SqlState::InternalError);
    }

    #[tokio::test]
    async fn a_worker_that_works_has_not_ended() {
        let mut running = Running::spawn(|stopped| drop(stopped.blocking_recv())).unwrap();
        tokio::select! {
            biased;
            () = running.ended() => panic!("nobody has told it to stop"),
            () = std::future::ready(()) => {}
        }
        running.stop().await.unwrap();
    }
}
