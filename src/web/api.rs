//! The plain requests: the views, one view as it is now, the status, and whether all is well.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{Instant, sleep_until};
use warp::http::StatusCode;
use warp::http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use warp::reply::Response as Reply;

use super::Site;
use super::assets::{etag, names};
use super::hub::Feed;
use super::limits::{FRESH_MAX, LONG_POLL_MAX};
use super::log::{Form, Held, Readiness};
use super::metrics::{self, Transport};
use super::reply::{Refusal, json};
use super::stream::view_name;
use super::wire;
use crate::core::frame::{Column, State};

/// The view whose newest row says how fresh everything is. That it changed would not say so: it does when its oldest rows
/// leave, and a subscription that begins brings it whole.
const PULSE_VIEW: &str = "latest";
/// When a change was made, in that view.
const PULSE_COLUMN: &str = "dt";

/// `GET /api/views`
pub(crate) async fn list(site: Arc<Site>) -> Result<Reply, Refusal> {
    #[derive(Serialize)]
    struct Views {
        views: Vec<String>,
    }
    let views = site
        .hub
        .list()
        .await
        .map_err(|error| Refusal::engine_away(Some(&error)))?;
    Ok(json(StatusCode::OK, wire::line(&Views { views })))
}

/// `GET /api/views/<view>`; with `wait` and the tag of what the client has, not before that has changed.
pub(crate) async fn view(
    site: Arc<Site>,
    name: String,
    query: HashMap<String, String>,
    headers: HeaderMap,
    address: IpAddr,
) -> Result<Reply, Refusal> {
    let wait = match query.get("wait") {
        None => Duration::ZERO,
        Some(text) => wait(text).ok_or_else(|| {
            Refusal::bad_request(format!("wait is a duration like 30s, not \"{text}\""))
        })?,
    };
    let mut feed = open(&site, &name).await?;
    let known = headers
        .get(IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    if let Some(known) = known.filter(|known| is_current(&mut feed, known)) {
        let _permit = site
            .admission
            .admit(address, Transport::LongPoll)
            .ok_or_else(Refusal::too_many_clients)?;
        let deadline = Instant::now() + wait;
        loop {
            tokio::select! {
                () = sleep_until(deadline) => return Ok(not_modified(known)),
                () = site.stop.cancelled() => return Ok(not_modified(known)),
                () = feed.changed() => {}
            }
            if !is_current(&mut feed, known) {
                break;
            }
        }
    }
    let table = feed
        .table()
        .await
        .ok_or_else(|| Refusal::engine_away(None))?;
    let mut reply = json(StatusCode::OK, table.json);
    reply
        .headers_mut()
        .insert(ETAG, etag(&tag(table.timestamp_ms)));
    Ok(reply)
}

/// `GET /api/status`
pub(crate) fn status(site: &Site) -> Reply {
    json(StatusCode::OK, wire::line(&*site.status.borrow()))
}

/// `GET /healthz`: the process answers.
pub(crate) fn alive() -> Reply {
    json(StatusCode::OK, "{\"alive\":true}\n")
}

/// `GET /readyz`: the newest change was made a short time ago.
pub(crate) async fn ready(site: Arc<Site>) -> Result<Reply, Refusal> {
    let later = |reason| Refusal::later(StatusCode::SERVICE_UNAVAILABLE, reason);
    let feed = open(&site, PULSE_VIEW).await;
    let feed = feed.map_err(|refusal| later(refusal.into_error()))?;
    let made = feed
        .current()
        .and_then(|(state, columns)| newest(&state, &columns))
        .ok_or_else(|| later("no change has come in the last hour".to_owned()))?;
    // A change may be dated by a clock that is ahead of this one.
    let age = Duration::try_from(Timestamp::now().duration_since(made)).unwrap_or_default();
    if age > FRESH_MAX {
        let reason = format!("the newest change is {} s old", age.as_secs());
        return Err(later(reason));
    }
    Ok(json(
        StatusCode::OK,
        format!("{{\"ready\":true,\"age_ms\":{}}}\n", age.as_millis()),
    ))
}

/// When the newest change of the pulse was made.
fn newest(state: &State, columns: &[Column]) -> Option<Timestamp> {
    let at = columns
        .iter()
        .position(|column| column.name == PULSE_COLUMN)?;
    let made = state
        .rows
        .keys()
        .filter_map(|row| row.columns().nth(at)??.parse().ok());
    made.max()
}

/// `GET /metrics`
pub(crate) fn metrics(site: &Site) -> Result<Reply, Refusal> {
    let page = metrics::render(&site.registry).map_err(|_| {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics could not be written",
        )
    })?;
    let mut reply = json(StatusCode::OK, page);
    reply.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static(metrics::CONTENT_TYPE),
    );
    Ok(reply)
}

/// A view that holds something.
async fn open(site: &Site, name: &str) -> Result<Feed, Refusal> {
    let name = view_name(name)?;
    let follow = site.hub.follow(&name, Form::Plain, Held::Nothing);
    let mut feed = follow.map_err(|_| Refusal::too_many_views())?;
    match feed.ready().await {
        Readiness::Ready => Ok(feed),
        Readiness::Waiting(reason) => Err(Refusal::engine_away(reason.as_deref())),
        Readiness::Failed(failure) => Err(Refusal::failed(&name, &failure)),
    }
}

fn is_current(feed: &mut Feed, known: &str) -> bool {
    feed.timestamp_ms()
        .is_some_and(|timestamp_ms| names(known, &tag(timestamp_ms)))
}

fn tag(timestamp_ms: u64) -> String {
    format!("\"{timestamp_ms}\"")
}

fn not_modified(known: &str) -> Reply {
    let mut reply = json(StatusCode::NOT_MODIFIED, "");
    if let Ok(known) = HeaderValue::from_str(known) {
        reply.headers_mut().insert(ETAG, known);
    }
    reply
}

/// Reads a duration in the units that people write; what is longer than may be is cut.
fn wait(text: &str) -> Option<Duration> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let wait = match unit {
        "ms" => Duration::from_millis(number),
        "" | "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        _ => return None,
    };
    Some(wait.min(LONG_POLL_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_durations() {
        let table = [
            ("30s", Some(30_000)),
            ("30", Some(30_000)),
            ("1500ms", Some(1_500)),
            ("1m", Some(60_000)),
            ("0", Some(0)),
            ("99999999999999999m", Some(60_000)),
            ("", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("30 s", None),
            ("1h", None),
        ];
        for (text, ms) in table {
            assert_eq!(wait(text), ms.map(Duration::from_millis), "{text:?}");
        }
    }
}
