//! A subscription that survives reconnects: one view or query, followed on a connection of its own.
//!
//! ```text
//! connect --> COPY (SUBSCRIBE ...) --> updates --> reducer --> frames
//!    ^                                                |
//!    +------------- wait a while <-- lost, silent, not to be believed
//! ```
//!
//! Whoever holds a subscription must keep calling [`Subscription::next`]: an engine buffers without bound for a client that does
//! not read. The surprising fact: an engine that is alive says so about once a second even when nothing changes, so silence
//! is an error long before TCP notices one.

mod feed;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Sleep;

use super::address::Address;
use super::catalog;
use super::connection::ConnectError;
pub use super::dialect::Target;
use super::frame::{Column, Frame, State};
use super::reducer::Reducer;
use super::update::Update;
use crate::retry::Backoff;
use feed::{Feed, FeedError};

/// The first wait after a connection was lost: short enough that an engine that restarts is back unnoticed.
const RETRY_FIRST: Duration = Duration::from_millis(250);
/// The longest wait: nobody should wait longer for a server that is back.
const RETRY_MAX: Duration = Duration::from_secs(15);
/// After this much silence a live stream counts as dead: engines tell progress once a second, and a busy one may skip a few.
pub const SILENCE_MAX: Duration = Duration::from_secs(15);
/// How many times longer the snapshot may take: half an hour. An engine computes a view that was created a moment ago, or a query,
/// over everything that it holds before it says anything, and whoever gave up earlier would make it begin again; that its machine is
/// still there, TCP asks meanwhile.
const SNAPSHOT_SILENCE_FACTOR: u32 = 120;
/// How many times longer an engine may take to begin to answer: a minute. A busy one plans a query for seconds.
const ANSWER_SILENCE_FACTOR: u32 = 4;
/// How often in a row something that looks permanent is believed to pass, once the subscription has been open: an engine that
/// restarts may let clients in before its views are there.
const REFUSALS_MAX: u32 = 8;

/// What happens to a subscription.
#[derive(Debug, Clone)]
pub enum Event {
    /// Connected; what follows is the first frame. Again after each reconnect.
    Opened {
        /// The columns of the rows.
        columns: Arc<[Column]>,
    },
    /// After `Opened`: what makes the previous state (at first, nothing) the engine's snapshot; it may change nothing. Later: all
    /// changes of a closed time.
    Frame(Arc<Frame>),
    /// Time passed and nothing changed.
    Progress {
        /// No more updates come at times less than this.
        timestamp_ms: u64,
    },
    /// The connection is lost or could not be made; the state stays, and another attempt follows.
    Reconnecting {
        /// Why.
        reason: String,
        /// After this time.
        retry_in: Duration,
    },
    /// Trying again would not help: the last event.
    Failed(SubscribeError),
}

/// Why a subscription has ended for good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The engine cannot be used at all.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The engine knows no such view, or a query names one that it does not know.
    #[error("{0}")]
    UnknownRelation(String),
    /// The engine does not allow it.
    #[error("{0}")]
    NotAllowed(String),
    /// The engine does not understand it.
    #[error("{message}")]
    Rejected {
        /// In the engine's words.
        message: String,
        /// The engine's hint.
        hint: Option<String>,
    },
}

impl SubscribeError {
    /// What helps, as a full sentence.
    pub fn hint(&self) -> Option<&str> {
        match self {
            SubscribeError::Connect(error) => Some(error.hint()),
            SubscribeError::UnknownRelation(_) => Some(
                "Create the views with `wikitop init-views`; `wikitop tail` alone lists what is there.",
            ),
            SubscribeError::NotAllowed(_) => Some(
                "Ask the engine's owner to GRANT USAGE on the schema and the cluster, and SELECT on the view.",
            ),
            SubscribeError::Rejected { hint, .. } => hint.as_deref(),
        }
    }
}

/// Follows one target.
pub struct Subscription {
    address: Address,
    target: Target,
    silence_max: Duration,
    phase: Phase,
    reducer: Reducer,
    backoff: Backoff,
    was_open: bool,
    refusals: u32,
    /// Told before anything else happens.
    event: Option<Event>,
    /// Progress that was not told yet: only when no frame tells the same.
    progress: Option<u64>,
}

enum Phase {
    /// The attempt lives here and not in `next`, so that whoever drops the future of `next` interrupts nothing.
    Connecting(BoxFuture<'static, Result<Box<Feed>, FeedError>>),
    Streaming {
        feed: Box<Feed>,
        silence: Pin<Box<Sleep>>,
    },
    Waiting(Pin<Box<Sleep>>),
    Failed(SubscribeError),
}

/// What `next` waits for.
enum Happened {
    Connected(Result<Box<Feed>, FeedError>),
    Received(Result<Option<Update>, FeedError>),
    Silent,
    Waited,
}

impl Subscription {
    /// A subscription that has not connected yet: the first call of [`Subscription::next`] begins to.
    pub fn new(address: Address, target: Target) -> Self {
        let target = match target {
            Target::View(name) => Target::View(catalog::canonical(&name).to_owned()),
            query => query,
        };
        Subscription {
            phase: connecting(&address, &target, SILENCE_MAX),
            address,
            target,
            silence_max: SILENCE_MAX,
            reducer: Reducer::default(),
            backoff: Backoff::new(RETRY_FIRST, RETRY_MAX),
            was_open: false,
            refusals: 0,
            event: None,
            progress: None,
        }
    }

    /// The same with another limit for an engine's silence than [`SILENCE_MAX`].
    pub fn with_silence_max(mut self, silence_max: Duration) -> Self {
        self.silence_max = silence_max;
        // Nobody has called `next` yet, so the attempt has not begun.
        self.phase = connecting(&self.address, &self.target, silence_max);
        self
    }

    /// What the target holds: the sum of the frames that were told, no more.
    ///
    /// Frames that close together are told one by one, and each becomes part of the state as it is told.
    pub fn state(&self) -> &State {
        self.reducer.state()
    }

    /// What is followed, by its canonical name.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What happens next. Nothing is lost when the future is dropped before it is ready. After `Failed` it says the same again.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(event) = self.told() {
                return event;
            }
            let happened = match &mut self.phase {
                Phase::Connecting(attempt) => Happened::Connected(attempt.await),
                Phase::Streaming { feed, silence } => tokio::select! {
                    // Data first: a caller that was late finds both ready, and only one of them is true.
                    biased;
                    received = feed.next() => Happened::Received(received),
                    () = silence => Happened::Silent,
                },
                Phase::Waiting(wait) => {
                    wait.await;
                    Happened::Waited
                }
                Phase::Failed(error) => return Event::Failed(error.clone()),
            };
            self.handle(happened);
        }
    }

    /// What can be told without waiting.
    fn told(&mut self) -> Option<Event> {
        if let Some(event) = self.event.take() {
            return Some(event);
        }
        if !matches!(self.phase, Phase::Streaming { .. }) {
            return None;
        }
        match self.reducer.next_frame() {
            Ok(Some(frame)) => {
                self.progress = None;
                Some(Event::Frame(Arc::new(frame)))
            }
            Ok(None) => {
                let timestamp_ms = self.progress.take()?;
                Some(Event::Progress { timestamp_ms })
            }
            Err(error) => {
                self.lose(FeedError::Passing(error.to_string()));
                self.event.take()
            }
        }
    }

    fn handle(&mut self, happened: Happened) {
        match happened {
            Happened::Connected(Ok(feed)) => self.open(feed),
            Happened::Connected(Err(error)) | Happened::Received(Err(error)) => self.lose(error),
            Happened::Received(Ok(None)) => {
                self.lose(FeedError::Passing("the engine ended the stream".to_owned()));
            }
            Happened::Received(Ok(Some(update))) => self.reduce(update),
            Happened::Silent => {
                let reason = format!("the engine has said nothing for {:?}", self.silence());
                self.lose(FeedError::Passing(reason));
            }
            Happened::Waited => {
                self.phase = connecting(&self.address, &self.target, self.silence_max);
            }
        }
    }

    fn open(&mut self, feed: Box<Feed>) {
        self.was_open = true;
        self.reducer.restart();
        self.progress = None;
        self.event = Some(Event::Opened {
            columns: Arc::clone(feed.columns()),
        });
        self.phase = Phase::Streaming {
            feed,
            silence: Box::pin(tokio::time::sleep(self.silence())),
        };
    }

    fn reduce(&mut self, update: Update) {
        let was_live = self.reducer.is_live();
        let is_progress = match update {
            Update::Progress { timestamp_ms } if was_live => {
                self.progress = Some(timestamp_ms);
                self.backoff.reset();
                self.refusals = 0;
                true
            }
            Update::Progress { .. } => true,
            Update::Change { .. } => false,
        };
        if let Err(error) = self.reducer.update(update) {
            return self.lose(FeedError::Passing(error.to_string()));
        }
        // A live stream lives by its progress; before that, every row shows that the engine is at work.
        if is_progress || !was_live {
            let deadline = tokio::time::Instant::now() + self.silence();
            if let Phase::Streaming { silence, .. } = &mut self.phase {
                silence.as_mut().reset(deadline);
            }
        }
    }

    fn silence(&self) -> Duration {
        if self.reducer.is_live() {
            self.silence_max
        } else {
            self.silence_max * SNAPSHOT_SILENCE_FACTOR
        }
    }

    fn lose(&mut self, error: FeedError) {
        let reason = match error {
            FeedError::Passing(reason) => reason,
            FeedError::Permanent(error) if self.was_open && self.refusals < REFUSALS_MAX => {
                self.refusals += 1;
                error.to_string()
            }
            FeedError::Permanent(error) => {
                self.phase = Phase::Failed(error);
                return;
            }
        };
        let retry_in = self.backoff.next_delay(fastrand::f64());
        tracing::debug!(engine = %self.address, target = ?self.target, reason, ?retry_in, "reconnecting");
        self.phase = Phase::Waiting(Box::pin(tokio::time::sleep(retry_in)));
        self.event = Some(Event::Reconnecting { reason, retry_in });
    }
}

fn connecting(address: &Address, target: &Target, silence_max: Duration) -> Phase {
    let (address, target) = (address.clone(), target.clone());
    Phase::Connecting(Box::pin(async move {
        let wait_max = silence_max * ANSWER_SILENCE_FACTOR;
        Feed::open(&address, &target, wait_max).await.map(Box::new)
    }))
}
