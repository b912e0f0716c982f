//! The live stream: an HTTP connection to EventStreams, where to resume it, and what its end means.
//!
//! One `connect` is one attempt; when to try again is decided by whoever holds this. Reconnecting is normal: the service closes every
//! connection after about 15 minutes.

use std::error::Error;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use tokio::time::Instant;

use super::resume::{self, Position};
use super::source::Arrival;
use super::sse::{Decoder, Framing, Item};
use super::status::Cause;

/// A connection that is silent for so long is a dead one: 35 events come in a second, and there are no heartbeats.
pub const SILENCE_MAX: Duration = Duration::from_secs(30);

/// How long an answer may take, from the name's resolution to the response's head.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);

/// The longest `Retry-After` that is obeyed; a longer one is a mistake, and would look like a hang.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(15 * 60);

/// How much of an error's body is quoted.
const EXCERPT_BYTES: usize = 200;

/// How to follow a stream.
#[derive(Debug, Clone)]
pub struct Config {
    /// The stream's address.
    pub url: String,
    /// How the service's operators can reach the user, for the User-Agent.
    pub contact: Option<String>,
    /// Where to start when the sink holds nothing, in milliseconds since the epoch; `None` is now.
    pub since_ms: Option<i64>,
    /// A connection that is silent for so long is given up.
    pub silence_max: Duration,
}

/// Why a source yields nothing more, for now or for good.
#[derive(Debug, thiserror::Error)]
pub enum Loss {
    /// The service closed the connection in order.
    #[error("the stream was closed by the service")]
    Closed,
    /// The connection was torn off.
    #[error("the stream was cut off: {0}")]
    Cut(String),
    /// Nothing came.
    #[error("the stream was silent for {} s", .0.as_secs())]
    Silent(Duration),
    /// The service reported an error within the stream.
    #[error("the stream reported an error: {0}")]
    InBand(String),
    /// The service answered with an error.
    #[error("the service answered {status}{excerpt}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The beginning of what it said.
        excerpt: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// No connection.
    #[error("could not reach the service: {0}")]
    Unreachable(String),
    /// Something else than an event stream is at the address.
    #[error("{url:?} is no event stream: its content type is {content_type:?}")]
    NotAStream {
        /// The address, after redirects.
        url: String,
        /// What it calls itself.
        content_type: String,
    },
    /// A recording cannot be read on.
    #[error("could not read the recording: {0}")]
    Unreadable(String),
}

impl Loss {
    /// The kind that is counted.
    pub fn cause(&self) -> Cause {
        match self {
            Loss::Closed => Cause::Closed,
            Loss::Cut(_) | Loss::Unreadable(_) => Cause::Cut,
            Loss::Silent(_) => Cause::Silent,
            Loss::InBand(_) => Cause::InBand,
            Loss::Refused { .. } | Loss::NotAStream { .. } => Cause::Refused,
            Loss::Unreachable(_) => Cause::Unreachable,
        }
    }

    /// When the service wants to be asked again.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Loss::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What helps, as a full sentence, where something does.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Loss::Refused { status, .. } if *status == StatusCode::FORBIDDEN => Some(
                "Say who you are with --contact, an address or a page: the service refuses strangers.",
            ),
            Loss::Refused { status, .. } if *status == StatusCode::TOO_MANY_REQUESTS => Some(
                "The service allows few connections from one address; end the others, or wait.",
            ),
            Loss::Refused { .. } | Loss::NotAStream { .. } => Some(
                "Name the address of an event stream with --source, such as https://stream.wikimedia.org/v2/stream/recentchange.",
            ),
            Loss::Unreadable(_) => Some(
                "Name a recording in NDJSON, raw SSE or `data:` lines with --source; .gz and .zst are read too.",
            ),
            _ => None,
        }
    }
}

/// Why a live source cannot even be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No address of the web.
    #[error("{0:?} is no http or https address")]
    Url(String),
    /// Cannot stand in a header.
    #[error("the contact {0:?} cannot be sent: it holds control characters")]
    Contact(String),
    /// The TLS library cannot be used.
    #[error("could not set up HTTP: {0}")]
    Client(String),
}

/// A live stream, connected or not.
pub(super) struct Live {
    client: Client,
    url: Url,
    /// Where to start while the sink holds nothing.
    start: Start,
    silence_max: Duration,
    response: Option<Response>,
    decoder: Decoder,
    deadline: Instant,
    /// The service's wish between connections.
    retry: Option<Duration>,
    /// The last id was refused: the next attempt names a time instead.
    id_refused: bool,
    /// It has been an event stream before: whatever else comes may pass.
    is_known: bool,
}

/// Where a stream without a position starts.
#[derive(Debug, Clone, Copy)]
enum Start {
    Now,
    At(i64),
}

impl Live {
    pub(super) fn new(config: &Config) -> Result<Self, ConfigError> {
        let no_url = || ConfigError::Url(without_userinfo(&config.url));
        let url = Url::parse(&config.url).map_err(|_| no_url())?;
        if !["http", "https"].contains(&url.scheme()) {
            return Err(no_url());
        }
        let client = Client::builder()
            .user_agent(user_agent(config.contact.as_deref())?)
            .connect_timeout(ANSWER_WAIT_MAX)
            .tcp_keepalive(config.silence_max)
            .build()
            .map_err(|error| ConfigError::Client(chain(&error)))?;
        Ok(Live {
            client,
            url,
            start: config.since_ms.map_or(Start::Now, Start::At),
            silence_max: config.silence_max,
            response: None,
            decoder: Decoder::new(Framing::EventStream),
            deadline: Instant::now(),
            retry: None,
            id_refused: false,
            is_known: false,
        })
    }

    /// Connects once; any connection from before is closed.
    pub(super) async fn connect(&mut self, position: &Position, now_ms: i64) -> Result<(), Loss> {
        self.response = None;
        let request = self.request(position);
        let sent_id = request.headers().contains_key("last-event-id");
        let answer = tokio::time::timeout(ANSWER_WAIT_MAX, self.client.execute(request)).await;
        let response = match answer {
            Ok(answer) => answer.map_err(|error| Loss::Unreachable(chain(&error.without_url())))?,
            Err(_) => {
                let waited = ANSWER_WAIT_MAX.as_secs();
                return Err(Loss::Unreachable(format!("no answer within {waited} s")));
            }
        };
        if response.status() != StatusCode::OK {
            self.id_refused = sent_id && response.status() == StatusCode::BAD_REQUEST;
            return Err(refusal(response).await);
        }
        let content_type = response.headers().get(CONTENT_TYPE);
        let content_type = content_type.map_or("", |value| value.to_str().unwrap_or(""));
        if !is_event_stream(content_type) {
            return Err(Loss::NotAStream {
                url: without_userinfo(response.url().as_str()),
                content_type: content_type.to_owned(),
            });
        }
        // What the id refused now is a time that is years away by the next refusal.
        self.id_refused = false;
        self.is_known = true;
        self.retry = None;
        if let Start::Now = self.start {
            self.start = Start::At(now_ms);
        }
        self.decoder = Decoder::resuming(Framing::EventStream, self.decoder.last_id().clone());
        self.deadline = Instant::now() + self.silence_max;
        self.response = Some(response);
        Ok(())
    }

    fn request(&self, position: &Position) -> reqwest::Request {
        let mut url = self.url.clone();
        let id = position.last_event_id(self.decoder.last_id());
        let since_ms = match (&id, self.start) {
            (Some(_), _) => position.since_ms().filter(|_| self.id_refused),
            (None, Start::Now) => None,
            (None, Start::At(ms)) => Some(ms),
        };
        let id = id.filter(|_| !self.id_refused);
        if let Some(since) = since_ms.and_then(resume::since) {
            tracing::info!(since, "starting from a time");
            url.query_pairs_mut().append_pair("since", &since);
        }
        let mut request = self.client.get(url).header("accept", "text/event-stream");
        if let Some(id) = id {
            tracing::debug!(id, "resuming");
            request = request.header("last-event-id", id);
        }
        request.build().expect("an id of JSON is a header's value")
    }

    /// What comes next. Nothing is lost when the future is dropped.
    pub(super) async fn next(&mut self) -> Arrival {
        let Some(response) = &mut self.response else {
            return Arrival::Lost(Loss::Closed);
        };
        let chunk = tokio::time::timeout_at(self.deadline, response.chunk()).await;
        let loss = match chunk {
            Ok(Ok(Some(chunk))) => {
                self.deadline = Instant::now() + self.silence_max;
                let (bytes, mut items) = (chunk.len() as u64, Vec::new());
                self.decoder.feed(chunk, &mut items);
                if let Some(wish) = items.iter().find_map(|item| match item {
                    Item::Retry(wish) => Some(*wish),
                    _ => None,
                }) {
                    self.retry = Some(wish);
                }
                return Arrival::Items { items, bytes };
            }
            Ok(Ok(None)) => Loss::Closed,
            Ok(Err(error)) => Loss::Cut(chain(&error.without_url())),
            Err(_) => Loss::Silent(self.silence_max),
        };
        self.close();
        Arrival::Lost(loss)
    }

    /// Ends the connection.
    pub(super) fn close(&mut self) {
        self.response = None;
    }

    /// How long the service wants clients to wait before they reconnect.
    pub(super) fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// The id was refused, and a time is going to be tried: there is nothing to wait for.
    pub(super) fn has_another_way(&self) -> bool {
        self.id_refused
    }

    /// An event stream was found at this address before.
    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }
}

/// `wikitop/VERSION (contact) reqwest/VERSION`, as the service's policy asks.
fn user_agent(contact: Option<&str>) -> Result<String, ConfigError> {
    let contact = contact
        .unwrap_or("top for Wikipedia; no contact given")
        .trim();
    if contact.is_empty() || contact.chars().any(char::is_control) {
        return Err(ConfigError::Contact(contact.to_owned()));
    }
    // Parentheses would end the comment early; a header is ASCII.
    let contact: String = contact
        .chars()
        .map(|letter| match letter {
            '(' | ')' | '\\' => ' ',
            letter if letter.is_ascii() => letter,
            _ => '?',
        })
        .collect();
    let version = env!("CARGO_PKG_VERSION");
    Ok(format!("wikitop/{version} ({contact}) reqwest/0.13"))
}

/// An address as it may be shown: a password can stand before the host.
fn without_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match authority.rsplit_once('@') {
        Some((userinfo, _)) => format!("{scheme}://{}", &rest[userinfo.len() + 1..]),
        None => url.to_owned(),
    }
}

fn is_event_stream(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("text/event-stream")
}

async fn refusal(mut response: Response) -> Loss {
    let (status, retry_after) = (
        response.status(),
        retry_after(response.headers(), Timestamp::now()),
    );
    let body = tokio::time::timeout(Duration::from_secs(5), response.chunk()).await;
    let body = body.ok().and_then(Result::ok).flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&body[..body.len().min(EXCERPT_BYTES)]).into_owned();
    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
    Loss::Refused {
        status,
        excerpt: if text.is_empty() {
            text
        } else {
            format!(": {}", text.trim())
        },
        retry_after,
    }
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = jiff::fmt::rfc2822::DateTimeParser::new()
                .parse_timestamp(text)
                .ok()?;
            Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// An error with its causes: the outermost alone says little ("error sending request").
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_who_is_asking() {
        let agent = user_agent(Some("Zoë <zoe@example.org> (\\o/)")).unwrap();
        assert_eq!(
            agent,
            format!(
                "wikitop/{} (Zo? <zoe@example.org>   o/ ) reqwest/0.13",
                env!("CARGO_PKG_VERSION")
            )
        );
        assert!(user_agent(None).unwrap().starts_with("wikitop/"));
        assert!(user_agent(Some("a\nb")).is_err());
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-08-04T15:24:29Z".parse().unwrap();
        let table = [
            ("7", Some(7)),
            ("Tue, 04 Aug 2026 15:25:29 GMT", Some(60)),
            ("Tue, 04 Aug 2026 15:20:29 GMT", Some(0)),
            ("9999999", Some(900)),
            ("soon", None),
            ("-5", None),
        ];
        for (text, expected) in table {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            let wait = retry_after(&headers, now).map(|wait| wait.as_secs());
            assert_eq!(wait, expected, "{text}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        let table = [
            (
                "https://zoe:secret@example.org/a@b?c",
                "https://example.org/a@b?c",
            ),
            ("ftp://zoe:se@cret@example.org", "ftp://example.org"),
            ("https://example.org/@x", "https://example.org/@x"),
            ("nothing", "nothing"),
        ];
        for (url, expected) in table {
            assert_eq!(without_userinfo(url), expected);
        }
    }

    #[test]
    fn content_types() {
        assert!(is_event_stream("text/event-stream"));
        assert!(is_event_stream("Text/Event-Stream; charset=utf-8"));
        assert!(!is_event_stream("text/html") && !is_event_stream(""));
    }
}
