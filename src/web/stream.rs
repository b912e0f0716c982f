//! What a client asks of a stream: which views, how often, from where on. Pure reading of a request; what comes of it is a
//! [`Session`], whatever transport carries it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future;
use futures::stream::FuturesUnordered;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::admission::Permit;
use super::hub::Feed;
use super::limits::{VIEW_NAME_BYTES_MAX, VIEWS_PER_STREAM_MAX};
use super::log::{Message, Step};
use super::metrics::Metrics;
use super::reply::Refusal;
use super::wire;
use crate::core::catalog;

/// What the query of a stream says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Options {
    /// Whether the stream begins with the rows that are there.
    pub(crate) snapshot: bool,
    /// The least time between two messages.
    pub(crate) interval: Duration,
}

impl Options {
    /// Reads `snapshot` and `max_rate`.
    pub(crate) fn read(query: &HashMap<String, String>) -> Result<Self, Refusal> {
        let snapshot = match query.get("snapshot").map(String::as_str) {
            None | Some("true") => true,
            Some("false") => false,
            Some(other) => {
                return Err(Refusal::bad_request(format!(
                    "snapshot is true or false, not \"{other}\""
                )));
            }
        };
        let interval = match query.get("max_rate") {
            None => Duration::ZERO,
            Some(text) => interval(text).ok_or_else(|| {
                Refusal::bad_request(format!(
                    "max_rate is a number of messages a second, from 0.001 to 1000, not \"{text}\""
                ))
            })?,
        };
        Ok(Options { snapshot, interval })
    }
}

/// The time between two messages at so many a second.
fn interval(max_rate: &str) -> Option<Duration> {
    let hz: f64 = max_rate.parse().ok()?;
    (0.001..=1000.0)
        .contains(&hz)
        .then(|| Duration::from_secs_f64(1.0 / hz))
}

/// Reads `views` of a stream of several, without repetitions.
pub(crate) fn several(query: &HashMap<String, String>) -> Result<Vec<String>, Refusal> {
    let names = query.get("views").map_or("", String::as_str);
    let mut views: Vec<String> = Vec::new();
    for name in names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
    {
        // A view under two of its names would come twice under one.
        let name = catalog::canonical(name);
        if !views.iter().any(|view| view == name) {
            views.push(view_name(name)?);
        }
    }
    match views.len() {
        0 => Err(Refusal::bad_request("no views are named")
            .with_hint("Name them like this: /api/stream?views=counter,top10.")),
        1..=VIEWS_PER_STREAM_MAX => Ok(views),
        many => Err(Refusal::bad_request(format!(
            "{many} views on one stream, but {VIEWS_PER_STREAM_MAX} is the most"
        ))),
    }
}

/// A name that may be a view's.
pub(crate) fn view_name(name: &str) -> Result<String, Refusal> {
    if name.is_empty() || name.len() > VIEW_NAME_BYTES_MAX || name.contains('\0') {
        return Err(Refusal::unknown_view(
            &name.chars().take(40).collect::<String>(),
        ));
    }
    Ok(name.to_owned())
}

/// A client of a stream: its views, and its place among the clients. It knows what to say and when, and nothing of how it is
/// carried.
pub(crate) struct Session {
    feeds: Vec<Feed>,
    /// Told beside the views on a stream of several, where each message says what it is about.
    status: Option<StatusLine>,
    interval: Duration,
    /// Nothing is sent before.
    due: Instant,
    /// Something was sent since `due`: then the next pause begins once there is nothing left.
    spoke: bool,
    /// Whose turn it is, so that a busy view does not keep the others waiting.
    turn: usize,
    messages: Counter,
    metrics: Arc<Metrics>,
    _permit: Permit,
}

/// The process' status as a message.
struct StatusLine {
    latest: watch::Receiver<Utf8Bytes>,
    /// Whether the client has not been told the latest.
    is_news: bool,
}

/// What a session has for its client.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// This, now.
    Message(Message),
    /// Nothing before something changes.
    Nothing,
    /// Perhaps something, but not before.
    NotBefore(Instant),
    /// The view has ended, for this reason.
    End(Arc<str>),
}

impl Session {
    pub(crate) fn new(
        feeds: Vec<Feed>,
        status: Option<watch::Receiver<Utf8Bytes>>,
        interval: Duration,
        metrics: Arc<Metrics>,
        permit: Permit,
    ) -> Self {
        Session {
            feeds,
            status: status.map(|latest| StatusLine {
                latest,
                is_news: true,
            }),
            interval,
            due: Instant::now(),
            spoke: false,
            turn: 0,
            messages: metrics.messages(permit.transport()),
            metrics,
            _permit: permit,
        }
    }

    /// What the client gets at this time.
    pub(crate) fn next(&mut self, now: Instant) -> Outgoing {
        if now < self.due {
            return Outgoing::NotBefore(self.due);
        }
        if let Some(text) = self.status_news() {
            return self.send(notice(text));
        }
        for _ in 0..self.feeds.len() {
            self.turn %= self.feeds.len().max(1);
            let Some(feed) = self.feeds.get_mut(self.turn) else {
                break;
            };
            match feed.next() {
                Step::Idle => self.turn += 1,
                Step::Send(message) => {
                    self.turn += 1;
                    return self.send(message);
                }
                Step::Failed(failure) if self.status.is_none() => {
                    return Outgoing::End(failure.reason);
                }
                Step::Failed(failure) => {
                    let text = wire::failed(feed.view(), &failure.reason);
                    self.feeds.remove(self.turn);
                    return self.send(notice(text));
                }
            }
        }
        if std::mem::take(&mut self.spoke) {
            self.due = now + self.interval;
        }
        Outgoing::Nothing
    }

    /// Waits until there may be something to say. Nothing is lost when this is dropped.
    pub(crate) async fn changed(&mut self) {
        if let ([feed], None) = (self.feeds.as_mut_slice(), &self.status) {
            return feed.changed().await;
        }
        let status = async {
            let Some(status) = &mut self.status else {
                return future::pending().await;
            };
            match status.latest.changed().await {
                Ok(()) => status.is_news = true,
                // Nobody tells it any more.
                Err(_) => future::pending().await,
            }
        };
        let feeds = self.feeds.iter_mut().map(|feed| Box::pin(feed.changed()));
        let mut feeds: FuturesUnordered<_> = feeds.collect();
        tokio::select! {
            () = status => {}
            Some(()) = feeds.next() => {}
        }
    }

    fn status_news(&mut self) -> Option<Utf8Bytes> {
        let status = self.status.as_mut()?;
        let is_news = std::mem::take(&mut status.is_news);
        is_news.then(|| status.latest.borrow_and_update().clone())
    }

    fn send(&mut self, message: Message) -> Outgoing {
        self.spoke = true;
        self.messages.inc();
        match message {
            Message {
                timestamp_ms: None, ..
            } => {}
            Message { frames: 0, .. } => {
                self.metrics.snapshots.inc();
            }
            Message { frames, .. } => {
                self.metrics.conflated.inc_by(frames - 1);
            }
        }
        Outgoing::Message(message)
    }
}

fn notice(text: Utf8Bytes) -> Message {
    Message {
        text,
        timestamp_ms: None,
        frames: 0,
    }
}

#[cfg(test)]
mod tests;
