//! Views shared by clients: one upstream subscription each, however many follow it.
//!
//! A subscription starts with its first client and goes on a while after its last. Nobody else may forget to read it: an
//! engine buffers without bound for a subscriber that does not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::limits::{FRAME_ROWS_MAX, FRAMES_MAX, LINGER, SNAPSHOT_WAIT, SUBSCRIPTIONS_MAX};
use super::log::{Bounds, Cursor, Failure, FailureKind, Form, Held, Log, Readiness, Step};
use super::metrics::Metrics;
use super::views::Views;
use super::wire;
use crate::core::catalog;
use crate::core::subscription::{Event, SubscribeError};

/// All views that clients follow.
pub(crate) struct Hub {
    views: Arc<dyn Views>,
    metrics: Arc<Metrics>,
    channels: Arc<Mutex<Channels>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    linger: Duration,
}

type Channels = HashMap<String, Arc<Channel>>;

/// One view.
struct Channel {
    view: String,
    log: Mutex<Log>,
    /// Counts what happened to the log, and wakes whoever waits for that. Its receivers are the clients.
    happened: watch::Sender<u64>,
}

/// There are as many views followed as may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// One client's reading of one view.
pub(crate) struct Feed {
    channel: Arc<Channel>,
    cursor: Cursor,
    happened: watch::Receiver<u64>,
}

/// What happens in the life of a subscription.
enum Life {
    Upstream(Option<Event>),
    Alone,
    Stop,
}

impl Hub {
    pub(crate) fn new(views: Arc<dyn Views>, metrics: Arc<Metrics>) -> Self {
        Hub {
            views,
            metrics,
            channels: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            linger: LINGER,
        }
    }

    /// Follows a view, whether it exists or not: that shows later.
    pub(crate) fn follow(&self, view: &str, form: Form, held: Held) -> Result<Feed, Full> {
        let view = catalog::canonical(view);
        let mut channels = lock(&self.channels);
        let channel = match channels.get(view) {
            Some(channel) => channel.clone(),
            None if channels.len() >= SUBSCRIPTIONS_MAX => return Err(Full),
            None => {
                let channel = Arc::new(Channel::new(view));
                channels.insert(view.to_owned(), channel.clone());
                self.metrics.subscriptions.inc();
                self.tasks.spawn(self.life(channel.clone()));
                channel
            }
        };
        Ok(Feed {
            happened: channel.happened.subscribe(),
            cursor: Cursor::new(form, held),
            channel,
        })
    }

    /// The views that there are.
    pub(crate) async fn list(&self) -> Result<Vec<String>, String> {
        self.views.list().await
    }

    /// Ends all subscriptions.
    pub(crate) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn life(&self, channel: Arc<Channel>) -> impl Future<Output = ()> + Send + 'static {
        let upstream = self.views.subscribe(&channel.view);
        let (metrics, channels) = (self.metrics.clone(), self.channels.clone());
        let (stop, linger) = (self.stop.clone(), self.linger);
        async move {
            channel
                .live(upstream, &metrics, &channels, stop, linger)
                .await;
            metrics.subscriptions.dec();
        }
    }
}

impl Channel {
    fn new(view: &str) -> Self {
        let bounds = Bounds {
            frames_max: FRAMES_MAX,
            rows_max: FRAME_ROWS_MAX,
        };
        Channel {
            view: view.to_owned(),
            log: Mutex::new(Log::new(view, bounds)),
            happened: watch::Sender::new(0),
        }
    }

    async fn live(
        &self,
        mut upstream: BoxStream<'static, Event>,
        metrics: &Metrics,
        channels: &Mutex<Channels>,
        stop: CancellationToken,
        linger: Duration,
    ) {
        let alone = alone(&self.happened, linger);
        tokio::pin!(alone);
        loop {
            let happened = tokio::select! {
                () = stop.cancelled() => Life::Stop,
                event = upstream.next() => Life::Upstream(event),
                () = &mut alone => Life::Alone,
            };
            match happened {
                // Time that passes without a change wakes nobody.
                Life::Upstream(Some(Event::Progress { .. })) => {}
                Life::Upstream(Some(event)) => {
                    let last = self.take(event, metrics);
                    self.happened.send_modify(|count| *count += 1);
                    if last {
                        lock(channels).remove(&self.view);
                        return;
                    }
                }
                Life::Alone => {
                    // Clients come under this lock, so nobody can come between the question and the removal.
                    let mut channels = lock(channels);
                    if self.happened.receiver_count() == 0 {
                        channels.remove(&self.view);
                        return;
                    }
                    drop(channels);
                    alone.set(self::alone(&self.happened, linger));
                }
                Life::Upstream(None) | Life::Stop => {
                    lock(channels).remove(&self.view);
                    return;
                }
            }
        }
    }

    /// Notes what the subscription tells; whether that was its last word.
    fn take(&self, event: Event, metrics: &Metrics) -> bool {
        let mut log = lock(&self.log);
        match event {
            Event::Opened { columns } => log.opened(&columns),
            Event::Frame(frame) => {
                metrics.frames.inc();
                log.push(frame);
            }
            Event::Progress { .. } => {}
            Event::Reconnecting { reason, .. } => {
                metrics.engine_reconnects.inc();
                log.lost(&reason);
            }
            Event::Failed(error) => {
                log.failed(failure(&error));
                return true;
            }
        }
        false
    }
}

/// Resolves when there have been no clients for a while; one who came and went meanwhile does not count.
async fn alone(happened: &watch::Sender<u64>, linger: Duration) {
    happened.closed().await;
    sleep_until(Instant::now() + linger).await;
}

fn failure(error: &SubscribeError) -> Failure {
    let kind = match error {
        SubscribeError::UnknownRelation(_) => FailureKind::Unknown,
        SubscribeError::Connect(_)
        | SubscribeError::NotAllowed(_)
        | SubscribeError::Rejected { .. } => FailureKind::Refused,
    };
    Failure {
        kind,
        reason: error.to_string().into(),
    }
}

impl Feed {
    /// The view's name.
    pub(crate) fn view(&self) -> &str {
        &self.channel.view
    }

    /// What the client gets next.
    pub(crate) fn next(&mut self) -> Step {
        // First seen, then read: what happens in between is seen again.
        self.happened.mark_unchanged();
        lock(&self.channel.log).next(&mut self.cursor)
    }

    /// Waits until there may be something next. Nothing is lost when this is dropped.
    pub(crate) async fn changed(&mut self) {
        // The channel, which this feed keeps alive, holds the sender.
        let _ = self.happened.changed().await;
    }

    /// Waits for the first snapshot, as long as a request may wait.
    pub(crate) async fn ready(&mut self) -> Readiness {
        let deadline = Instant::now() + SNAPSHOT_WAIT;
        loop {
            self.happened.mark_unchanged();
            let readiness = lock(&self.channel.log).readiness();
            let Readiness::Waiting(_) = readiness else {
                return readiness;
            };
            tokio::select! {
                () = self.changed() => {}
                () = sleep_until(deadline) => return readiness,
            }
        }
    }

    /// When the view last changed, in milliseconds since the epoch; `None` before the first snapshot.
    pub(crate) fn timestamp_ms(&mut self) -> Option<u64> {
        self.happened.mark_unchanged();
        let log = lock(&self.channel.log);
        log.current().map(|(state, _)| state.timestamp_ms)
    }

    /// What the view holds, as the plain request's answer and the time it is from.
    pub(crate) fn table(&mut self) -> Option<(u64, String)> {
        self.happened.mark_unchanged();
        let (state, columns) = {
            let log = lock(&self.channel.log);
            let (state, columns) = log.current()?;
            (state.clone(), columns.clone())
        };
        let ranked = catalog::rank(catalog::find(&self.channel.view), &columns, &state);
        let json = wire::table(&self.channel.view, &columns, state.timestamp_ms, &ranked);
        Some((state.timestamp_ms, json))
    }
}

/// No lock is held across anything that panics, and what it guards is whole after each step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
