//! `wikitop ingest`: changes into an engine or into a recording, as a daemon or as a cron job.

mod progress;

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::engine::EngineChoice;
use super::failure::{Exit, Failure};
use super::{output, service};
use crate::ingest::{
    self, IngestError, Input, Limits, LiveConfig, RecordConfig, RecordingConfig, SinkError, Source,
    Status, Target, status::State,
};
pub use crate::ingest::{Rotate, Speed};

/// A cron job gives up when source or engine cannot be reached for so long: the next run begins where this one ended. A daemon
/// never gives up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(120);

/// What `ingest` was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the changes come from.
    pub feed: Feed,
    /// Where they go.
    pub sink: SinkChoice,
    /// End after so long.
    pub run_for: Option<Duration>,
    /// End after so many changes.
    pub max_changes: Option<u64>,
    /// End once caught up with the present.
    pub until_now: bool,
}

/// Where changes come from.
#[derive(Debug, Clone)]
pub struct Feed {
    /// An EventStreams URL, a recording's path, or `-` for stdin.
    pub source: String,
    /// The pace of a recording.
    pub speed: Speed,
    /// Where to start when nothing was read yet; `None` is now.
    pub since: Option<Since>,
    /// How Wikimedia can reach the user.
    pub contact: Option<String>,
}

/// A start in the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long before the command starts.
    Ago(Duration),
    /// At this time.
    At(Timestamp),
}

/// Where changes go.
#[derive(Debug, Clone)]
pub enum SinkChoice {
    /// An engine.
    Engine(EngineChoice),
    /// A file of one line `data: {json}` a change.
    Recording {
        /// The file that is appended to.
        file: PathBuf,
        /// When a new file begins.
        rotate: Option<Rotate>,
    },
}

/// Runs until the source ends, a limit is reached, or it is told to end; what was read is durable then.
///
/// # Errors
/// A source or an engine that cannot be used, or what was read and could not be made durable.
pub async fn run(config: Config, shutdown: impl Future<Output = ()> + Send) -> anyhow::Result<()> {
    let is_job = config.run_for.is_some() || config.max_changes.is_some() || config.until_now;
    let status = watch::Sender::new(Status::default());
    let progress = progress::show(status.subscribe());
    let ready = ready(status.subscribe());
    let ingest = ingest::run(
        ingest::Config {
            source: source(&config.feed),
            target: target(config.sink)?,
            limits: Limits {
                run_for: config.run_for,
                changes_max: config.max_changes,
                until_now: config.until_now,
                give_up_after: is_job.then_some(GIVE_UP_AFTER),
            },
            status,
        },
        async {
            shutdown.await;
            service::stopping();
        },
    );
    let outcome = tokio::select! {
        outcome = ingest => outcome,
        () = progress => unreachable!("progress is shown until the end"),
        () = ready => unreachable!("a service stays ready"),
        () = service::watchdog() => unreachable!("the watchdog never ends"),
    };
    let summary = outcome.map_err(Failure::from)?;
    output::tell(&progress::summary(&summary.status));
    Ok(())
}

/// The source that the flags describe: an address begins with its scheme, everything else is a recording.
pub fn source(feed: &Feed) -> Source {
    let text = feed.source.as_str();
    let is_address = text
        .split_once("://")
        .is_some_and(|(scheme, _)| scheme.chars().all(|letter| letter.is_ascii_alphanumeric()));
    if is_address {
        return Source::Live(LiveConfig {
            url: text.to_owned(),
            contact: feed.contact.clone(),
            since_ms: feed.since.map(|since| since.to_ms(Timestamp::now())),
            silence_max: ingest::SILENCE_MAX,
        });
    }
    Source::Recording(RecordingConfig {
        input: match text {
            "-" => Input::Stdin,
            path => Input::File(path.into()),
        },
        speed: feed.speed,
    })
}

fn target(sink: SinkChoice) -> Result<Target, Failure> {
    Ok(match sink {
        SinkChoice::Engine(engine) => Target::Engine(engine.address()?),
        SinkChoice::Recording { file, rotate } => {
            Target::Recording(RecordConfig { path: file, rotate })
        }
    })
}

impl Since {
    fn to_ms(self, now: Timestamp) -> i64 {
        match self {
            Since::At(time) => time.as_millisecond(),
            Since::Ago(ago) => {
                let ago_ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
                now.as_millisecond().saturating_sub(ago_ms)
            }
        }
    }
}

/// Tells the service manager once changes come in, and waits for ever.
async fn ready(mut status: watch::Receiver<Status>) {
    if status
        .wait_for(|status| status.state == State::Live)
        .await
        .is_ok()
    {
        service::ready();
    }
    std::future::pending().await
}

impl From<IngestError> for Failure {
    fn from(error: IngestError) -> Self {
        let hint = error.hint();
        let exit = match &error {
            IngestError::Config(_) => Exit::Usage,
            IngestError::Recording { .. } | IngestError::Source(_) => Exit::SourceUnreachable,
            IngestError::Sink(SinkError::Connect(connect)) if connect.is_transient() => {
                Exit::EngineUnreachable
            }
            IngestError::Sink(_) | IngestError::NotDurable { .. } => Exit::Failed,
        };
        let failure = Failure::new(exit, error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_a_file() {
        let kind = |text: &str| {
            source(&Feed {
                source: text.to_owned(),
                speed: Speed::Max,
                since: None,
                contact: None,
            })
        };
        for text in ["https://example.org/", "HTTP://[::1]:80/x", "ftp://x"] {
            assert!(matches!(kind(text), Source::Live(_)), "{text}");
        }
        for text in ["changes.ndjson", "http", "ø", "-"] {
            assert!(matches!(kind(text), Source::Recording(_)), "{text}");
        }
    }

    #[test]
    fn a_start_in_the_past_is_counted_from_now() {
        let now = Timestamp::from_millisecond(1_785_900_000_000).unwrap();
        assert_eq!(
            Since::Ago(Duration::from_secs(7_200)).to_ms(now),
            1_785_892_800_000
        );
        assert_eq!(Since::At(Timestamp::UNIX_EPOCH).to_ms(now), 0);
        assert!(Since::Ago(Duration::MAX).to_ms(now) < 0);
    }
}
