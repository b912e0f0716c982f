//! A loopback EventStreams: Wikimedia's service to the letter where a client can lose or repeat events by trusting it.
//!
//! It keeps one log of messages over several Kafka topics and serves it as KafkaSSE does: the id it sends is the last
//! message's Kafka timestamp **plus one**, a resumed connection starts at the first message whose timestamp is at or after that
//! number (siblings of the same millisecond are skipped), `offset:-1` means "from now", topics that the id does not name are not followed,
//! entries with both `offset` and `timestamp` are dropped, and nothing is sent while nothing happens. How each connection is
//! treated is scripted; a connection beyond the script is served in full.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Events written at once: large enough to be fast, small enough to be cut anywhere.
const EVENTS_PER_WRITE: usize = 50;

/// The two datacentres' topics, as the service names them.
pub(crate) const EQIAD: &str = "eqiad.mediawiki.recentchange";
pub(crate) const CODFW: &str = "codfw.mediawiki.recentchange";

/// One message of a topic.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) topic: String,
    /// Kafka's time stamp, which is the producer's and can run backwards.
    pub(crate) kafka_ms: i64,
    /// The event, one line of JSON.
    pub(crate) json: String,
}

/// How one connection is treated.
#[derive(Debug, Clone)]
pub(crate) enum Conduct {
    /// What the log holds from the requested position, then what comes.
    Serve,
    /// As `Serve`; closed in order after so many events, as the service does every 15 minutes.
    CloseAfterEvents(usize),
    /// As `Serve`; torn off after so many bytes of the body, wherever that is.
    CutAfterBytes(usize),
    /// As `Serve`; silent, but open, after so many events.
    StallAfterEvents(usize),
    /// A reply of its own: status line's code, further header lines, body.
    Reply {
        code: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// A stream of exactly these bytes, then an orderly end.
    Stream(Vec<u8>),
    /// A response that is no event stream and never ends.
    EndlessPage,
    /// The connection is closed without a word.
    HangUp,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Path and query.
    pub(crate) target: String,
    /// Header names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let value = query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        Some(percent_decoded(value))
    }
}

/// The running service; it ends when it is dropped.
pub(crate) struct EventStreams {
    address: SocketAddr,
    state: Arc<State>,
    _tasks: JoinSet<()>,
}

struct State {
    log: watch::Sender<Vec<Message>>,
    script: Mutex<VecDeque<Conduct>>,
    requests: watch::Sender<Vec<Request>>,
    retained_from_ms: Mutex<i64>,
}

impl EventStreams {
    /// Starts on a free port of loopback with these messages in the log.
    pub(crate) async fn start(log: Vec<Message>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            log: watch::Sender::new(log),
            script: Mutex::default(),
            requests: watch::Sender::new(Vec::new()),
            retained_from_ms: Mutex::new(i64::MIN),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&state)));
        EventStreams {
            address,
            state,
            _tasks: tasks,
        }
    }

    /// The address to give to `--source`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v2/stream/recentchange", self.address)
    }

    /// Adds messages; whoever is connected receives them.
    pub(crate) fn append(&self, messages: impl IntoIterator<Item = Message>) {
        self.state.log.send_modify(|log| log.extend(messages));
    }

    /// How the next connections are treated, one after another.
    pub(crate) fn script(&self, conducts: impl IntoIterator<Item = Conduct>) {
        self.state.script.lock().unwrap().extend(conducts);
    }

    /// An id that asks for a time before this one is refused with 400.
    pub(crate) fn retain_from(&self, kafka_ms: i64) {
        *self.state.retained_from_ms.lock().unwrap() = kafka_ms;
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.requests.borrow().clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn requested(&self, times: usize) {
        let mut requests = self.state.requests.subscribe();
        requests
            .wait_for(|requests| requests.len() >= times)
            .await
            .unwrap();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let state = Arc::clone(&state);
        // A client that goes away in the middle is part of the game.
        connections.spawn(async move { drop(converse(stream, &state).await) });
    }
}

async fn converse(stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let request = read_request(&mut reader).await?;
    state
        .requests
        .send_modify(|requests| requests.push(request.clone()));
    let conduct = state.script.lock().unwrap().pop_front();
    let conduct = conduct.unwrap_or(Conduct::Serve);
    // The client says nothing more: an answer to a read is its leaving.
    let mut rest = [0; 1];
    tokio::select! {
        _ = reader.read(&mut rest) => Ok(()),
        done = answer(&mut writer, &request, conduct, state) => done,
    }
}

async fn read_request<R: AsyncBufReadExt + Unpin>(reader: &mut R) -> std::io::Result<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).await?;
    let target = line.split(' ').nth(1).unwrap_or("/").to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        if reader.read_line(&mut line).await? == 0 || line.trim().is_empty() {
            return Ok(Request { target, headers });
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.trim().to_lowercase(), value.trim().to_owned());
        }
    }
}

type Writer = tokio::net::tcp::OwnedWriteHalf;

async fn answer(
    writer: &mut Writer,
    request: &Request,
    conduct: Conduct,
    state: &State,
) -> std::io::Result<()> {
    let agent = request.header("user-agent").unwrap_or("");
    if agent.is_empty() || agent.starts_with("reqwest/") || agent.starts_with("curl/") {
        return reply(writer, 403, &[], b"set a User-Agent that says who you are").await;
    }
    match conduct {
        Conduct::HangUp => Ok(()),
        Conduct::Reply {
            code,
            headers,
            body,
        } => reply(writer, code, &headers, &body).await,
        Conduct::EndlessPage => {
            head(writer, "text/html").await?;
            loop {
                chunk(writer, &[b'x'; 1024]).await?;
            }
        }
        Conduct::Stream(bytes) => {
            head(writer, "text/event-stream; charset=utf-8").await?;
            chunk(writer, &bytes).await?;
            end(writer).await
        }
        Conduct::Serve => serve(writer, request, state, Limit::None).await,
        Conduct::CloseAfterEvents(events) => {
            serve(writer, request, state, Limit::Close(events)).await
        }
        Conduct::CutAfterBytes(bytes) => serve(writer, request, state, Limit::Cut(bytes)).await,
        Conduct::StallAfterEvents(events) => {
            serve(writer, request, state, Limit::Stall(events)).await
        }
    }
}

#[derive(Clone, Copy)]
enum Limit {
    None,
    Close(usize),
    Cut(usize),
    Stall(usize),
}

async fn serve(
    writer: &mut Writer,
    request: &Request,
    state: &State,
    limit: Limit,
) -> std::io::Result<()> {
    let mut log = state.log.subscribe();
    let position = position(request, &log.borrow_and_update(), state);
    let mut position = match position {
        Ok(position) => position,
        Err(refusal) => return reply(writer, 400, &[], refusal.as_bytes()).await,
    };
    head(writer, "text/event-stream; charset=utf-8").await?;
    let (mut at, mut sent_events) = (0, 0);
    let mut out = b":ok\n\n".to_vec();
    let mut sent_bytes = 0;
    loop {
        {
            let log = log.borrow_and_update();
            let mut events = 0;
            while at < log.len() && events < EVENTS_PER_WRITE {
                if let Limit::Close(max) | Limit::Stall(max) = limit
                    && sent_events == max
                {
                    break;
                }
                if position.take(&log[at]) {
                    position.write_event(&mut out, &log[at], at);
                    (events, sent_events) = (events + 1, sent_events + 1);
                }
                at += 1;
            }
        }
        if let Limit::Cut(max) = limit
            && sent_bytes + out.len() >= max
        {
            return chunk(writer, &out[..max - sent_bytes]).await;
        }
        if !out.is_empty() {
            chunk(writer, &out).await?;
            sent_bytes += out.len();
            out.clear();
        }
        match limit {
            Limit::Close(max) if sent_events == max => return end(writer).await,
            Limit::Stall(max) if sent_events == max => std::future::pending().await,
            _ => {}
        }
        if at == log.borrow().len() && log.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// Where a connection stands in each topic it follows.
struct Position {
    topics: BTreeMap<String, Topic>,
}

#[derive(Default)]
struct Topic {
    /// The first offset to be delivered.
    start: usize,
    /// Messages of the log that have been looked at.
    passed: usize,
    /// What the id says of this topic.
    entry: Value,
}

impl Position {
    /// Whether the next message of the log is delivered.
    fn take(&mut self, message: &Message) -> bool {
        let Some(topic) = self.topics.get_mut(&message.topic) else {
            return false;
        };
        topic.passed += 1;
        topic.passed > topic.start
    }

    fn write_event(&mut self, out: &mut Vec<u8>, message: &Message, at: usize) {
        if let Some(topic) = self.topics.get_mut(&message.topic) {
            topic.entry =
                json!({"topic": message.topic, "partition": 0, "timestamp": message.kafka_ms + 1});
        }
        let mut id: Vec<&Value> = self.topics.values().map(|topic| &topic.entry).collect();
        if at.is_multiple_of(3) {
            id.reverse();
        }
        let id = serde_json::to_string(&id).unwrap();
        out.extend_from_slice(
            format!("event: message\nid: {id}\ndata: {}\n\n", message.json).as_bytes(),
        );
    }
}

/// The service's rule for where a connection starts.
fn position(request: &Request, log: &[Message], state: &State) -> Result<Position, String> {
    let mut position = Position {
        topics: BTreeMap::new(),
    };
    let length = |topic: &str| log.iter().filter(|message| message.topic == topic).count();
    let at_time = |topic: &str, ms: i64| {
        let mut messages = log.iter().filter(|message| message.topic == topic);
        messages
            .position(|message| message.kafka_ms >= ms)
            .unwrap_or_else(|| length(topic))
    };
    let mut follow = |topic: &str, start: usize, entry: Value| {
        position.topics.insert(
            topic.to_owned(),
            Topic {
                start,
                passed: 0,
                entry,
            },
        );
    };
    if let Some(id) = request.header("last-event-id") {
        let entries: Vec<Value> = serde_json::from_str(id).map_err(|err| err.to_string())?;
        for entry in entries {
            let topic = entry["topic"].as_str().ok_or("topic missing")?.to_owned();
            entry["partition"].as_i64().ok_or("partition missing")?;
            let start = match (entry["timestamp"].as_i64(), entry["offset"].as_i64()) {
                (Some(ms), None) if ms < *state.retained_from_ms.lock().unwrap() => {
                    return Err(format!("{topic}: {ms} is too old"));
                }
                (Some(ms), None) => at_time(&topic, ms),
                (None, Some(-1)) => length(&topic),
                (None, Some(offset)) => usize::try_from(offset).map_err(|err| err.to_string())?,
                (Some(_), Some(_)) => continue,
                (None, None) => return Err(format!("{topic}: neither timestamp nor offset")),
            };
            follow(&topic, start, entry);
        }
        return Ok(position);
    }
    let since = match request.query("since") {
        None => None,
        Some(since) => {
            let since: jiff::Timestamp = since.parse().map_err(|_| "since is not ISO-8601")?;
            Some(since.as_millisecond())
        }
    };
    for topic in [EQIAD, CODFW] {
        let start = since.map_or_else(|| length(topic), |ms| at_time(topic, ms));
        follow(
            topic,
            start,
            json!({"topic": topic, "partition": 0, "offset": -1}),
        );
    }
    Ok(position)
}

async fn head(writer: &mut Writer, content_type: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    writer.write_all(head.as_bytes()).await
}

async fn chunk(writer: &mut Writer, bytes: &[u8]) -> std::io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    writer.write_all(&framed).await
}

async fn end(writer: &mut Writer) -> std::io::Result<()> {
    writer.write_all(b"0\r\n\r\n").await
}

async fn reply(
    writer: &mut Writer,
    code: u16,
    headers: &[(&'static str, String)],
    body: &[u8],
) -> std::io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {code} Scripted\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    writer.write_all(head.as_bytes()).await?;
    writer.write_all(body).await
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits: String = bytes.by_ref().take(2).map(char::from).collect();
        out.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
    }
    String::from_utf8_lossy(&out).into_owned()
}
