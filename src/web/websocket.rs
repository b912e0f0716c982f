//! A client on a websocket: the handshake, and the session's messages as text frames.
//!
//! The codec is the one that warp uses, tungstenite, without warp's own wrapper around it: `warp::ws` has no say over the
//! read buffer, whose 128 KiB are allocated and zeroed for each client, and copies each message. 10,000 clients would take
//! 1.3 GB so; this way they take 85 MB.

use std::pin::pin;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame, Utf8Bytes};
use tokio_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Result};
use warp::Reply;
use warp::http::header::{
    CONNECTION, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use warp::http::{Response, StatusCode};

use super::Site;
use super::limits::{
    FRAGMENT_BYTES, GOODBYE_MAX, MESSAGE_BYTES_MAX, MESSAGES_PER_ROUND, READ_BUFFER_BYTES,
    WRITE_BUFFER_BYTES,
};
use super::metrics::Cause;
use super::reply::Refusal;
use super::socket::Socket;
use super::stream::{Outgoing, Session};

/// Whether a request asks for a websocket; whether properly shows in [`accept`].
pub(crate) fn is_asked_for(headers: &HeaderMap) -> bool {
    names(headers.get(UPGRADE), "websocket")
}

/// The answer that turns the connection into a websocket. Nothing more than the protocol needs is asked: the ancestor's
/// clients send a key of one character.
pub(crate) fn accept(headers: &HeaderMap) -> std::result::Result<warp::reply::Response, Refusal> {
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        return Err(Refusal::new(
            StatusCode::UPGRADE_REQUIRED,
            "websockets are spoken in version 13 here",
        )
        .with_header(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")));
    }
    if !names(headers.get(CONNECTION), "upgrade") {
        return Err(Refusal::bad_request(
            "a websocket needs the header Connection: Upgrade",
        ));
    }
    let Some(key) = headers.get(SEC_WEBSOCKET_KEY) else {
        return Err(Refusal::bad_request(
            "a websocket needs the header Sec-WebSocket-Key",
        ));
    };
    let accept =
        HeaderValue::from_str(&derive_accept_key(key.as_bytes())).expect("base64 is ASCII");
    let mut reply = Response::new(Bytes::new()).into_response();
    *reply.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = reply.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(reply)
}

/// Whether a header that lists tokens names this one.
fn names(header: Option<&HeaderValue>, token: &str) -> bool {
    let tokens = header
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    tokens
        .split(',')
        .any(|named| named.trim().eq_ignore_ascii_case(token))
}

/// What happens on a websocket.
enum Event {
    Stop,
    Received(Option<Result<Message>>),
    Changed,
    Tick,
}

/// How a websocket ends.
enum End {
    /// With this code and reason.
    Close(CloseCode, Utf8Bytes),
    /// Without a word: the client said goodbye, or is gone.
    Gone,
}

/// Speaks with one client until it goes, is closed, or `stop`.
pub(crate) async fn run(socket: Socket, read_already: Bytes, session: Session, site: &Site) {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let mut socket = WebSocketStream::from_partially_read(
        socket,
        read_already.to_vec(),
        Role::Server,
        Some(config),
    )
    .await;
    let (code, reason) = match speak(&mut socket, session, site).await {
        Err(error) => match close_for(&error) {
            Some(end) => {
                site.metrics.dropped(Cause::Protocol);
                end
            }
            None => return,
        },
        Ok(End::Gone) => return,
        Ok(End::Close(code, reason)) => (code, reason),
    };
    // The client's answer is waited for, because a connection that is closed over unread bytes loses what was sent last.
    let goodbye = async {
        let said = socket
            .send(Message::Close(Some(CloseFrame { code, reason })))
            .await;
        while said.is_ok() && socket.next().await.is_some_and(|received| received.is_ok()) {}
    };
    if timeout(GOODBYE_MAX, goodbye).await.is_err() {
        tracing::debug!("a client did not say goodbye");
    }
}

async fn speak(
    socket: &mut WebSocketStream<Socket>,
    mut session: Session,
    site: &Site,
) -> Result<End> {
    let patience = &site.patience;
    let mut ping_at = Instant::now() + patience.ping_every;
    let mut heard: Option<Instant> = None;
    let mut tick = pin!(sleep_until(ping_at));
    loop {
        let wake_at = match deliver(socket, &mut session).await? {
            Outgoing::NotBefore(due) => Some(due),
            Outgoing::End(reason) => {
                return Ok(End::Close(CloseCode::Error, close_reason(&reason)));
            }
            Outgoing::Message(_) | Outgoing::Nothing => None,
        };
        let tick_at = wake_at.map_or(ping_at, |due| due.min(ping_at));
        if tick.deadline() != tick_at {
            tick.as_mut().reset(tick_at);
        }
        let event = tokio::select! {
            () = site.stop.cancelled() => Event::Stop,
            received = socket.next() => Event::Received(received),
            () = session.changed(), if wake_at.is_none() => Event::Changed,
            () = &mut tick => Event::Tick,
        };
        match event {
            Event::Changed => {}
            Event::Received(Some(Ok(Message::Close(_)))) => {
                socket.flush().await?;
                return Ok(End::Gone);
            }
            Event::Received(Some(Ok(_))) => heard = Some(Instant::now()),
            Event::Received(Some(Err(error))) => return Err(error),
            Event::Received(None) => return Ok(End::Gone),
            Event::Stop => {
                return Ok(End::Close(
                    CloseCode::Away,
                    Utf8Bytes::from_static("the server is stopping"),
                ));
            }
            Event::Tick if Instant::now() < ping_at => {}
            Event::Tick if heard.is_some_and(|heard| heard.elapsed() > patience.silence_max) => {
                site.metrics.dropped(Cause::Silent);
                return Ok(End::Close(
                    CloseCode::Policy,
                    Utf8Bytes::from_static("no answer to pings"),
                ));
            }
            Event::Tick => {
                socket.send(Message::Ping(Bytes::new())).await?;
                ping_at = Instant::now() + patience.ping_every;
            }
        }
    }
}

/// Sends what the session has, but not for ever: what a client says must be heard even where there is always more to send.
/// What is left is when there may be more.
async fn deliver(socket: &mut WebSocketStream<Socket>, session: &mut Session) -> Result<Outgoing> {
    let mut left = Outgoing::NotBefore(Instant::now());
    for _ in 0..MESSAGES_PER_ROUND {
        match session.next(Instant::now()) {
            Outgoing::Message(message) => feed(socket, message.text).await?,
            rest => {
                left = rest;
                break;
            }
        }
    }
    socket.flush().await?;
    Ok(left)
}

/// One message, in fragments when it is long.
async fn feed(socket: &mut WebSocketStream<Socket>, text: Utf8Bytes) -> Result<()> {
    if text.len() <= FRAGMENT_BYTES {
        return socket.feed(Message::Text(text)).await;
    }
    let bytes = Bytes::from(text);
    let mut opcode = OpCode::Data(Data::Text);
    for start in (0..bytes.len()).step_by(FRAGMENT_BYTES) {
        let end = bytes.len().min(start + FRAGMENT_BYTES);
        let fragment = Frame::message(bytes.slice(start..end), opcode, end == bytes.len());
        socket.feed(Message::Frame(fragment)).await?;
        opcode = OpCode::Data(Data::Continue);
    }
    Ok(())
}

/// What a client is told that broke the protocol; `None` when it is gone.
fn close_for(error: &Error) -> Option<(CloseCode, Utf8Bytes)> {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => Some((
            CloseCode::Size,
            Utf8Bytes::from_static("the message is too long"),
        )),
        Error::Utf8(_) => Some((
            CloseCode::Invalid,
            Utf8Bytes::from_static("the text is not UTF-8"),
        )),
        Error::Protocol(error) if !matches!(error, ProtocolError::ResetWithoutClosingHandshake) => {
            Some((
                CloseCode::Protocol,
                Utf8Bytes::from_static("this is not the websocket protocol"),
            ))
        }
        _ => None,
    }
}

/// A close frame has room for 123 bytes.
fn close_reason(reason: &str) -> Utf8Bytes {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    Utf8Bytes::from(&reason[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn the_ancestors_key_is_answered() {
        let headers = headers(&[
            ("sec-websocket-key", "+"),
            ("sec-websocket-version", "13"),
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "websocket"),
        ]);
        assert!(is_asked_for(&headers));
        let reply = accept(&headers).unwrap();
        assert_eq!(reply.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(
            reply.headers()[SEC_WEBSOCKET_ACCEPT],
            derive_accept_key(b"+").as_str()
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let complete = [
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-version", "13"),
            ("connection", "Upgrade"),
        ];
        assert!(accept(&headers(&complete)).is_ok());
        for (missing, status) in [(0, 400), (1, 426), (2, 400)] {
            let rest: Vec<_> = (0..3)
                .filter(|index| *index != missing)
                .map(|index| complete[index])
                .collect();
            let refusal = accept(&headers(&rest)).unwrap_err();
            assert_eq!(refusal.to_reply().status(), status, "{missing}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = close_reason(&"é".repeat(100));
        assert_eq!(reason.len(), 122);
    }
}
