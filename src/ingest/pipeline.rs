//! The pipeline at work: opens the sink, asks it how far its data reaches, opens the source there, and carries changes across
//! until one of the two is lost; then again.
//!
//! The surprising fact: when the sink is lost, a live stream is thrown away and read again from what the sink then holds, rather
//! than kept in memory. Only a recording, which cannot be read again from a position, keeps the batches that were not acknowledged.

use std::collections::VecDeque;
use std::time::Duration;

use futures::future::BoxFuture;
use jiff::Timestamp;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::admission::{Admission, Verdict};
use super::batch::Batch;
use super::live::{Live, Loss};
use super::recording::{Input, Recording};
use super::report::Reporter;
use super::resume::Position;
use super::sink::{Remedy, Sent, Sink, SinkError, Target};
use super::source::{Arrival, Feed, Source};
use super::sse::Item;
use super::status::{Cause, State};
use super::{Config, IngestError, Limits, Summary};
use crate::retry::Backoff;

/// The first wait before a reconnect: the service's routine closes cost no more than this.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// The longest wait before a reconnect: a service that is back is noticed within a minute.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// A change is of the present when it is not older than this.
const PRESENT_MS: i64 = 5_000;
/// A stream that is silent for so long has nothing more to catch up with.
const QUIET_MAX: Duration = Duration::from_secs(10);

pub(super) async fn run(config: Config, stop: CancellationToken) -> Result<Summary, IngestError> {
    let mut pipeline = Pipeline {
        feed: open(&config.source)?,
        target: config.target,
        limits: config.limits,
        stop,
        admission: Admission::default(),
        queue: VecDeque::new(),
        gathering: Batch::default(),
        lost: None,
        source_retry: Retry::new(),
        sink_retry: Retry::new(),
        reporter: Reporter::new(config.status),
    };
    let outcome = pipeline.work().await;
    pipeline.reporter.state(State::Ended);
    pipeline.reporter.tell();
    let status = pipeline.reporter.status().clone();
    outcome.map(|()| Summary { status })
}

fn open(source: &Source) -> Result<Feed, IngestError> {
    match source {
        Source::Live(config) => Ok(Feed::Live(Box::new(Live::new(config)?))),
        Source::Recording(config) => match Recording::open(config) {
            Ok(recording) => Ok(Feed::Recording(Box::new(recording))),
            Err(reason) => Err(IngestError::Recording {
                path: match &config.input {
                    Input::File(path) => path.clone(),
                    Input::Stdin => "stdin".into(),
                },
                reason,
            }),
        },
    }
}

struct Pipeline {
    feed: Feed,
    target: Target,
    limits: Limits,
    stop: CancellationToken,
    admission: Admission,
    /// Batches that were not acknowledged and have to be sent before anything else.
    queue: VecDeque<Batch>,
    gathering: Batch,
    /// The session of a sink that was lost with a batch on its way, until another sink knows what became of it.
    lost: Option<String>,
    source_retry: Retry,
    sink_retry: Retry,
    reporter: Reporter,
}

/// Attempts to reach one side.
struct Retry {
    backoff: Backoff,
    /// Since when it cannot be reached.
    failing_since: Option<Instant>,
}

/// Why changes are no longer carried across.
enum Pause {
    /// The source has ended, a limit was reached, or the process was asked to end.
    Done,
    /// The source has to be opened again.
    Source(Loss),
    /// The sink has to be opened again.
    Sink(SinkError),
}

/// What the pump waits for.
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, and only on the stack"
)]
enum Event {
    Stop,
    Sent((Sink, Batch, Result<Sent, SinkError>)),
    Arrived(Arrival),
    LingerOver,
    Quiet,
    ReportDue,
}

impl Pipeline {
    async fn work(&mut self) -> Result<(), IngestError> {
        loop {
            self.reporter.state(State::Connecting);
            let opening = self.target.open(self.lost.as_deref());
            let error = match self.stop.run_until_cancelled(opening).await {
                Some(Ok(sink)) => {
                    self.lost = None;
                    match self.carry(sink).await? {
                        None => return Ok(()),
                        Some(error) => error,
                    }
                }
                Some(Err(error)) => error,
                None => return self.ended(),
            };
            if error.remedy() == Remedy::GiveUp {
                return Err(error.into());
            }
            self.forget_unacknowledged();
            self.reporter.counters().sink_losses += 1;
            match self.sink_retry.wait(self.limits.give_up_after, None) {
                Some(wait) => self.rest(error.to_string(), None, false, wait).await,
                None => return Err(error.into()),
            }
            if self.stop.is_cancelled() {
                return self.ended();
            }
        }
    }

    /// The sink is gone. The stream sends again whatever has not become durable; a recording does not.
    fn forget_unacknowledged(&mut self) {
        if let Feed::Live(live) = &mut self.feed {
            live.close();
            self.queue.clear();
            self.gathering = Batch::default();
            self.admission.forget();
            let counters = self.reporter.counters();
            counters.reread += counters.pending();
            counters.reconnects.count(Cause::Sink);
        }
    }

    fn ended(&self) -> Result<(), IngestError> {
        match self.reporter.status().counters.pending() {
            0 => Ok(()),
            changes => Err(IngestError::NotDurable { changes }),
        }
    }

    /// Carries changes into one open sink; returns why that sink is lost, or `None` when all is done.
    async fn carry(&mut self, mut sink: Sink) -> Result<Option<SinkError>, IngestError> {
        loop {
            let position = match sink.position().await {
                Ok(position) => position,
                Err(error) => return Ok(Some(error)),
            };
            self.sink_retry.succeeded();
            let loss = match self.open_source(position).await {
                Ok(()) => {
                    self.reporter.state(State::Live);
                    let (open_sink, pause) = self.pump(sink).await?;
                    match (open_sink, pause) {
                        (Some(open_sink), Pause::Done) => {
                            open_sink.close().await?;
                            return Ok(None);
                        }
                        (Some(open_sink), Pause::Source(loss)) => {
                            sink = open_sink;
                            loss
                        }
                        (_, Pause::Sink(error)) => return Ok(Some(error)),
                        (None, _) => unreachable!("only a lost sink does not come back"),
                    }
                }
                Err(loss) => loss,
            };
            self.source_lost(loss).await?;
            if self.stop.is_cancelled() {
                sink.close().await?;
                return Ok(None);
            }
        }
    }

    async fn open_source(&mut self, position: Position) -> Result<(), Loss> {
        let now_ms = now_ms();
        let stop = self.stop.clone();
        let opening = stop.run_until_cancelled(self.feed.open(&position, now_ms));
        opening.await.unwrap_or(Ok(()))?;
        if self.feed.resumes() {
            self.admission.resume_from(position);
        }
        Ok(())
    }

    /// Decides what the loss of the source means, and waits.
    async fn source_lost(&mut self, loss: Loss) -> Result<(), IngestError> {
        let Feed::Live(live) = &self.feed else {
            return Err(IngestError::Source(loss));
        };
        if matches!(loss, Loss::NotAStream { .. }) && !live.is_known() {
            return Err(IngestError::Source(loss));
        }
        let (hasty, wish) = (live.has_another_way(), loss.retry_after().max(live.retry()));
        self.reporter.counters().reconnects.count(loss.cause());
        let wait = self.source_retry.wait(self.limits.give_up_after, wish);
        let Some(wait) = wait else {
            return Err(IngestError::Source(loss));
        };
        let wait = if hasty { Duration::ZERO } else { wait };
        let is_routine = matches!(loss, Loss::Closed);
        self.rest(loss.to_string(), loss.hint(), is_routine, wait)
            .await;
        Ok(())
    }

    /// Waits before the next attempt, or until the process is asked to end.
    async fn rest(&mut self, reason: String, hint: Option<&str>, is_routine: bool, wait: Duration) {
        let retry_in_ms = wait.as_millis() as u64;
        match is_routine {
            true => tracing::debug!(retry_in_ms, "{reason}"),
            false => tracing::warn!(retry_in_ms, hint, "{reason}"),
        }
        self.reporter.state(match is_routine {
            true => State::Connecting,
            false => State::Retrying {
                reason,
                retry_in: wait,
            },
        });
        let stop = self.stop.clone();
        stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }

    /// Carries changes from an open source to an open sink until something ends.
    async fn pump(&mut self, sink: Sink) -> Result<(Option<Sink>, Pause), IngestError> {
        let linger = sink.linger();
        let mut idle = Some(sink);
        let mut flight: Option<BoxFuture<'static, _>> = None;
        let mut pause: Option<Pause> = self.is_done().then_some(Pause::Done);
        let mut last_arrival = Instant::now();
        loop {
            if let Some(sink) = idle.take() {
                match self.next_batch(pause.is_some(), linger) {
                    Some(batch) => flight = Some(Box::pin(sink.send(batch))),
                    None => match pause.take() {
                        Some(pause) => return Ok((Some(sink), pause)),
                        None => idle = Some(sink),
                    },
                }
            }
            let reading = pause.is_none();
            let lingers = idle.is_some() && !self.gathering.is_empty();
            let event = tokio::select! {
                biased;
                () = self.stop.cancelled(), if reading => Event::Stop,
                sent = arrived(&mut flight), if flight.is_some() => Event::Sent(sent),
                arrival = self.feed.next(), if reading && !self.gathering.is_full() => Event::Arrived(arrival),
                () = at(self.gathering.due(linger)), if lingers => Event::LingerOver,
                () = at(Some(last_arrival + QUIET_MAX)), if reading && self.limits.until_now => Event::Quiet,
                () = at(self.reporter.due()), if self.reporter.due().is_some() => Event::ReportDue,
            };
            match event {
                Event::Stop | Event::Quiet => pause = Some(Pause::Done),
                Event::Sent((sink, batch, outcome)) => {
                    flight = None;
                    match self.settle(batch, outcome) {
                        None => idle = Some(sink),
                        Some(error) if error.remedy() == Remedy::GiveUp => return Err(error.into()),
                        Some(error) => {
                            self.lost = sink.session();
                            return Ok((None, Pause::Sink(error)));
                        }
                    }
                }
                Event::Arrived(Arrival::Items { items, bytes }) => {
                    last_arrival = Instant::now();
                    self.reporter.counters().bytes += bytes;
                    pause = self.take(items);
                }
                Event::Arrived(Arrival::Lost(loss)) => pause = Some(Pause::Source(loss)),
                Event::Arrived(Arrival::End) => pause = Some(Pause::Done),
                Event::LingerOver => {}
                Event::ReportDue => self.reporter.tell(),
            }
        }
    }

    /// The batch to be sent now, if there is one.
    fn next_batch(&mut self, at_once: bool, linger: Duration) -> Option<Batch> {
        if let Some(batch) = self.queue.pop_front() {
            return Some(batch);
        }
        let is_due = self
            .gathering
            .due(linger)
            .is_some_and(|due| due <= Instant::now());
        let leaves = at_once || self.gathering.is_full() || is_due;
        (leaves && !self.gathering.is_empty()).then(|| std::mem::take(&mut self.gathering))
    }

    /// Books what became of a batch; returns the error that costs the sink.
    fn settle(&mut self, batch: Batch, outcome: Result<Sent, SinkError>) -> Option<SinkError> {
        let counters = self.reporter.counters();
        match outcome {
            Ok(Sent { durable, repeats }) => {
                counters.kept += durable;
                counters.repeats += repeats;
                counters.batches += 1;
                None
            }
            Err(error) if error.remedy() == Remedy::Split => {
                if batch.len() > 1 {
                    let (early, late) = batch.split();
                    self.queue.push_front(late);
                    self.queue.push_front(early);
                } else {
                    tracing::warn!("left a change out: {error}");
                    counters.refused += batch.len() as u64;
                }
                None
            }
            Err(error) => {
                self.queue.push_front(batch);
                Some(error)
            }
        }
    }

    /// Takes what arrived; returns why nothing more is to be read.
    fn take(&mut self, items: Vec<Item>) -> Option<Pause> {
        let now_ms = now_ms();
        for item in items {
            match item {
                Item::Data(json) => {
                    if self.admit(json, now_ms) {
                        return Some(Pause::Done);
                    }
                }
                Item::Oversize => {
                    let counters = self.reporter.counters();
                    (counters.received, counters.oversize) =
                        (counters.received + 1, counters.oversize + 1);
                }
                Item::Error(text) if self.feed.resumes() => {
                    let text = String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
                    return Some(Pause::Source(Loss::InBand(text)));
                }
                Item::Error(_) | Item::Retry(_) => {}
            }
        }
        None
    }

    /// Takes one event's data; true when it was the last one wanted.
    fn admit(&mut self, json: bytes::Bytes, now_ms: i64) -> bool {
        let verdict = self.admission.admit(json, now_ms);
        let counters = self.reporter.counters();
        counters.received += 1;
        counters.gaps = self.admission.gaps();
        match verdict {
            Verdict::Keep(entry) => {
                let dt_ms = entry.dt_ms;
                self.gathering.push(entry);
                if self.feed.resumes() {
                    // Something new came: the connection was worth it.
                    self.source_retry.succeeded();
                    if let Some(dt_ms) = dt_ms {
                        self.reporter.lag(now_ms - dt_ms);
                    }
                }
                self.is_done()
                    || (self.limits.until_now
                        && self.feed.resumes()
                        && dt_ms.is_some_and(|ms| now_ms - ms <= PRESENT_MS))
            }
            Verdict::Canary => {
                counters.canaries += 1;
                false
            }
            Verdict::Repeat => {
                counters.repeats += 1;
                false
            }
            Verdict::Malformed(reason) => {
                counters.malformed += 1;
                tracing::debug!(reason, "skipped what is no change");
                false
            }
        }
    }

    fn is_done(&self) -> bool {
        let counters = &self.reporter.status().counters;
        let wanted = |max| counters.kept + counters.pending() >= max;
        self.limits.changes_max.is_some_and(wanted)
    }
}

impl Retry {
    fn new() -> Self {
        Retry {
            backoff: Backoff::new(RETRY_FIRST, RETRY_MAX),
            failing_since: None,
        }
    }

    /// How long to wait before the next attempt; `None` when it has failed for too long.
    fn wait(
        &mut self,
        give_up_after: Option<Duration>,
        wish: Option<Duration>,
    ) -> Option<Duration> {
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if give_up_after.is_some_and(|max| since.elapsed() >= max) {
            return None;
        }
        let wait = self.backoff.next_delay(fastrand::f64());
        Some(wish.map_or(wait, |wish| wish.max(wait)))
    }

    fn succeeded(&mut self) {
        self.backoff.reset();
        self.failing_since = None;
    }
}

/// Resolves with what is on its way.
async fn arrived<T>(flight: &mut Option<BoxFuture<'static, T>>) -> T {
    match flight {
        Some(flight) => flight.await,
        None => std::future::pending().await,
    }
}

/// Resolves at a time.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}
