//! Views shared by clients: one upstream subscription each, however many follow it.
//!
//! A subscription starts with its first client and goes on a while after its last. Nobody else may forget to read it: an
//! engine buffers without bound for a subscriber that does not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::limits::{
    FRAME_ROWS_MAX, FRAMES_MAX, FRESH_ROWS_MAX, LIST_KEPT, LIST_WAIT, SNAPSHOT_WAIT,
    SUBSCRIPTIONS_MAX,
};
use super::log::{Bounds, Cursor, Failure, FailureKind, Form, Held, Log, Readiness, Step};
use super::metrics::Metrics;
use super::views::Views;
use super::wire;
use crate::core::catalog;
use crate::core::frame::{Column, State};
use crate::core::subscription::{Event, SubscribeError};

/// All views that clients follow.
pub(crate) struct Hub {
    views: Arc<dyn Views>,
    metrics: Arc<Metrics>,
    channels: Arc<Mutex<Channels>>,
    list: tokio::sync::Mutex<Option<(Instant, Vec<String>)>>,
    tasks: TaskTracker,
    stop: CancellationToken,
    linger: Duration,
}

type Channels = HashMap<String, Arc<Channel>>;

/// One view.
struct Channel {
    view: String,
    log: Mutex<Log>,
    /// The plain request's answer, while it is true; whoever waits for the lock waits for the one who makes it.
    table: tokio::sync::Mutex<Option<Table>>,
    /// Counts what happened to the log, and wakes whoever waits for that. Its receivers are the clients.
    happened: watch::Sender<u64>,
}

/// What a view holds, as the answer to a plain request.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) timestamp_ms: u64,
    pub(crate) json: Bytes,
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
    pub(crate) fn new(views: Arc<dyn Views>, linger: Duration, metrics: Arc<Metrics>) -> Self {
        Hub {
            views,
            metrics,
            channels: Arc::default(),
            list: tokio::sync::Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            linger,
        }
    }

    /// Follows a view, whether it exists or not: that shows later.
    pub(crate) fn follow(&self, view: &str, form: Form, held: Held) -> Result<Feed, Full> {
        let view = catalog::canonical(view);
        let mut channels = lock(&self.channels);
        let channel = match channels.get(view) {
            Some(channel) => channel.clone(),
            // The page's own views always have room: names that nobody has could take all places while the engine is away.
            None if channels.len() >= SUBSCRIPTIONS_MAX && catalog::find(view).is_none() => {
                return Err(Full);
            }
            None => {
                let channel = Arc::new(Channel::new(view, &self.metrics));
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
        let mut kept = self.list.lock().await;
        if let Some((at, names)) = &*kept
            && at.elapsed() < LIST_KEPT
        {
            return Ok(names.clone());
        }
        let names = timeout(LIST_WAIT, self.views.list()).await;
        let names = names.unwrap_or_else(|_| Err("it does not answer".to_owned()))?;
        *kept = Some((Instant::now(), names.clone()));
        Ok(names)
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
    fn new(view: &str, metrics: &Metrics) -> Self {
        let bounds = Bounds {
            frames_max: FRAMES_MAX,
            rows_max: FRAME_ROWS_MAX,
            fresh_rows_max: FRESH_ROWS_MAX,
        };
        Channel {
            view: view.to_owned(),
            log: Mutex::new(Log::new(view, bounds, metrics.serialised.clone())),
            table: tokio::sync::Mutex::default(),
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

    /// What the view holds, and its columns; `None` before the first snapshot.
    pub(crate) fn current(&self) -> Option<(State, Arc<[Column]>)> {
        let log = lock(&self.channel.log);
        let (state, columns) = log.current()?;
        Some((state.clone(), columns.clone()))
    }

    /// What the view holds, as the plain request's answer.
    pub(crate) async fn table(&mut self) -> Option<Table> {
        self.happened.mark_unchanged();
        let mut kept = self.channel.table.lock().await;
        let (state, columns) = self.current()?;
        if let Some(table) = &*kept
            && table.timestamp_ms == state.timestamp_ms
        {
            return Some(table.clone());
        }
        let (channel, timestamp_ms) = (self.channel.clone(), state.timestamp_ms);
        // Putting hundreds of thousands of rows in order takes longer than others may wait.
        let made = tokio::task::spawn_blocking(move || {
            let ranked = catalog::rank(catalog::find(&channel.view), &columns, &state);
            wire::table(&channel.view, &columns, state.timestamp_ms, &ranked)
        });
        let table = Table {
            timestamp_ms,
            json: made.await.ok()?.into(),
        };
        *kept = Some(table.clone());
        Some(table)
    }
}

/// No lock is held across anything that panics, and what it guards is whole after each step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures::future::BoxFuture;
    use futures::stream;
    use tokio::sync::mpsc;

    use super::*;
    use crate::core::frame::Frame;

    /// Says of each subscription that it is there, by a sender that closes when the subscription is dropped.
    struct Watched(mpsc::UnboundedSender<mpsc::UnboundedSender<Event>>);

    impl Views for Watched {
        fn subscribe(&self, _view: &str) -> BoxStream<'static, Event> {
            let (sender, receiver) = mpsc::unbounded_channel();
            let opened = Event::Opened {
                columns: Arc::new([]),
            };
            sender.send(opened).unwrap();
            let snapshot = Frame {
                timestamp_ms: 1,
                deleted: Vec::new(),
                inserted: Vec::new(),
            };
            sender.send(Event::Frame(Arc::new(snapshot))).unwrap();
            self.0.send(sender).unwrap();
            stream::unfold(receiver, |mut receiver| async move {
                let event = receiver.recv().await?;
                Some((event, receiver))
            })
            .boxed()
        }

        fn list(&self) -> BoxFuture<'static, Result<Vec<String>, String>> {
            Box::pin(async { Ok(Vec::new()) })
        }
    }

    fn hub(linger: Duration) -> (Hub, mpsc::UnboundedReceiver<mpsc::UnboundedSender<Event>>) {
        let (sender, subscriptions) = mpsc::unbounded_channel();
        (
            Hub::new(Arc::new(Watched(sender)), linger, Arc::default()),
            subscriptions,
        )
    }

    #[tokio::test]
    async fn a_subscription_ends_after_its_last_client() {
        let (hub, mut subscriptions) = hub(Duration::from_millis(1));
        let follow = || hub.follow("v", Form::Plain, Held::Nothing).unwrap();
        let (mut first, mut second) = (follow(), follow());
        assert_eq!(first.ready().await, Readiness::Ready);
        assert_eq!(second.ready().await, Readiness::Ready);
        drop(first);
        let upstream = subscriptions.recv().await.unwrap();
        let reason = "gone".to_owned();
        upstream
            .send(Event::Reconnecting {
                reason,
                retry_in: Duration::ZERO,
            })
            .unwrap();
        second.changed().await;
        drop(second);
        upstream.closed().await;
        hub.tasks.close();
        hub.tasks.wait().await;
        assert_eq!(hub.metrics.subscriptions.get(), 0);
        assert!(lock(&hub.channels).is_empty() && subscriptions.is_empty());
    }

    #[tokio::test]
    async fn a_subscription_is_found_again_for_a_while() {
        let (hub, mut subscriptions) = hub(Duration::from_secs(60));
        for _ in 0..3 {
            let mut feed = hub.follow("v", Form::Plain, Held::Nothing).unwrap();
            assert_eq!(feed.ready().await, Readiness::Ready);
        }
        assert!(subscriptions.recv().await.is_some() && subscriptions.is_empty());
        hub.stop().await;
    }

    #[tokio::test]
    async fn views_that_are_followed_at_once_are_bounded() {
        let (hub, _subscriptions) = hub(Duration::ZERO);
        let follow = |view: usize| hub.follow(&view.to_string(), Form::Plain, Held::Nothing);
        let held: Vec<Feed> = (0..SUBSCRIPTIONS_MAX)
            .map(|view| follow(view).unwrap())
            .collect();
        assert!(follow(SUBSCRIPTIONS_MAX).is_err());
        assert!(follow(0).is_ok(), "one that is followed already");
        let own = hub.follow("counter", Form::Plain, Held::Nothing);
        assert!(own.is_ok(), "a view that the page needs");
        drop(held);
        hub.stop().await;
    }
}
