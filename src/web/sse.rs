//! The same session over server-sent events.

use std::convert::Infallible;

use futures::stream::{self, Stream};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use warp::Reply;
use warp::http::header::HeaderMap;
use warp::sse;

use super::limits::SSE_COMMENT_EVERY;
use super::log::Message;
use super::stream::{Outgoing, Session};

/// Whether a request asks for server-sent events.
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    let accept = headers
        .get("accept")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut kinds = accept
        .split(',')
        .map(|kind| kind.split(';').next().unwrap_or_default().trim());
    kinds.any(|kind| kind.eq_ignore_ascii_case("text/event-stream"))
}

/// The time of the last event that the client had over an earlier connection.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// Whether the events carry ids: on a stream of several views one time says nothing of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    Timestamps,
    None,
}

/// The answer that goes on until the client goes, the view ends, or `stop`.
pub(crate) fn reply(session: Session, ids: Ids, stop: CancellationToken) -> warp::reply::Response {
    let keep_alive = sse::keep_alive().interval(SSE_COMMENT_EVERY);
    sse::reply(keep_alive.stream(events(session, ids, stop))).into_response()
}

fn events(
    session: Session,
    ids: Ids,
    stop: CancellationToken,
) -> impl Stream<Item = Result<sse::Event, Infallible>> {
    stream::unfold((session, stop), move |(mut session, stop)| async move {
        loop {
            let due = match session.next(Instant::now()) {
                Outgoing::Message(message) => {
                    return Some((Ok(event(&message, ids)), (session, stop)));
                }
                Outgoing::End(_) => return None,
                Outgoing::NotBefore(due) => Some(due),
                Outgoing::Nothing => None,
            };
            let waited = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => session.changed().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return None,
                () = waited => {}
            }
        }
    })
}

fn event(message: &Message, ids: Ids) -> sse::Event {
    let event = sse::Event::default().data(message.text.trim_end());
    match message.timestamp_ms {
        Some(timestamp_ms) if ids == Ids::Timestamps => event.id(timestamp_ms.to_string()),
        _ => event,
    }
}
