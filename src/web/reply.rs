//! Answers that are no stream: JSON, and errors as JSON with what helps.

use bytes::Bytes;
use serde::Serialize;
use warp::Reply as _;
use warp::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use warp::http::{Response, StatusCode};
use warp::reply::Response as Reply;

use super::limits;
use super::log::{Failure, FailureKind};
use super::wire;

/// Why a request is not answered with what it asked for.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    error: String,
    hint: Option<&'static str>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl warp::reject::Reject for Refusal {}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Refusal {
            status,
            error: error.into(),
            hint: None,
            header: None,
        }
    }

    pub(crate) fn bad_request(error: impl Into<String>) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, error)
    }

    /// Try again later.
    pub(crate) fn later(status: StatusCode, error: impl Into<String>) -> Self {
        let seconds = HeaderValue::from(limits::RETRY_AFTER.as_secs());
        Refusal::new(status, error).with_header(RETRY_AFTER, seconds)
    }

    pub(crate) fn unknown_view(view: &str) -> Self {
        Refusal::new(
            StatusCode::NOT_FOUND,
            format!("there is no view \"{view}\""),
        )
        .with_hint("GET /api/views lists the views.")
    }

    pub(crate) fn too_many_clients() -> Self {
        Refusal::later(
            StatusCode::TOO_MANY_REQUESTS,
            "too many clients, overall or from this address",
        )
    }

    pub(crate) fn too_many_views() -> Self {
        Refusal::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many views are followed at once",
        )
    }

    pub(crate) fn engine_away(reason: Option<&str>) -> Self {
        let reason = reason.unwrap_or("it has not answered yet");
        Refusal::later(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("the engine cannot be asked: {reason}"),
        )
    }

    pub(crate) fn failed(view: &str, failure: &Failure) -> Self {
        match failure.kind {
            FailureKind::Unknown => Refusal::unknown_view(view),
            FailureKind::Refused => Refusal::new(StatusCode::BAD_GATEWAY, &*failure.reason),
        }
    }

    pub(crate) fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }

    /// The reason alone.
    pub(crate) fn into_error(self) -> String {
        self.error
    }

    pub(crate) fn to_reply(&self) -> Reply {
        let body = Body {
            error: &self.error,
            hint: self.hint,
        };
        let mut reply = json(self.status, wire::line(&body));
        if let Some((name, value)) = &self.header {
            reply.headers_mut().insert(name, value.clone());
        }
        reply
    }
}

/// A JSON answer; it is true now, so nobody may keep it without asking again.
pub(crate) fn json(status: StatusCode, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(body.into()).into_response();
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    reply
}
