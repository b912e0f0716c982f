//! An engine that holds rows and tells its subscribers of changes when the test says so; and clients.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use wikitop::core::address::Address;
use wikitop::core::frame::{Column, Frame, Row};
use wikitop::core::subscription::{Event, SubscribeError};
use wikitop::web::status::Status;
use wikitop::web::{self, Config, Limits, Origin, Views};

/// Tests wait on conditions; this long, because the machine may be busy.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// Waits, but not for ever.
pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("it takes too long")
}

#[derive(Clone, Default)]
pub(super) struct Engine(Arc<Mutex<HashMap<String, View>>>);

struct View {
    columns: Arc<[Column]>,
    timestamp_ms: u64,
    rows: BTreeMap<Row, i64>,
    subscribers: Vec<mpsc::UnboundedSender<Event>>,
    subscribed: watch::Sender<usize>,
}

pub(super) fn row(text: &str) -> Row {
    Row::from_copy_text(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

impl Engine {
    /// Has a view with these rows at time 1000.
    pub(super) fn with(self, name: &str, columns: &[(&str, &str)], rows: &[&str]) -> Self {
        let columns = columns.iter().map(|(name, ty)| Column {
            name: (*name).to_owned(),
            ty: (*ty).to_owned(),
        });
        let view = View {
            columns: columns.collect(),
            timestamp_ms: 1000,
            rows: rows.iter().map(|text| (row(text), 1)).collect(),
            subscribers: Vec::new(),
            subscribed: watch::Sender::new(0),
        };
        self.0.lock().unwrap().insert(name.to_owned(), view);
        self
    }

    /// `top10` with one user.
    pub(super) fn top10() -> Self {
        Engine::default().with(
            "top10",
            &[("user", "text"), ("count", "bigint")],
            &["Example\t41"],
        )
    }

    /// Changes a view and tells its subscribers.
    pub(super) fn change(
        &self,
        name: &str,
        timestamp_ms: u64,
        deleted: &[&str],
        inserted: &[&str],
    ) {
        let mut views = self.0.lock().unwrap();
        let view = views.get_mut(name).unwrap();
        let frame = Frame {
            timestamp_ms,
            deleted: deleted.iter().map(|text| row(text)).collect(),
            inserted: inserted.iter().map(|text| row(text)).collect(),
        };
        view.timestamp_ms = timestamp_ms;
        for row in &frame.deleted {
            *view.rows.entry(row.clone()).or_default() -= 1;
        }
        for row in &frame.inserted {
            *view.rows.entry(row.clone()).or_default() += 1;
        }
        view.rows.retain(|_, times| *times != 0);
        view.tell(&Event::Frame(Arc::new(frame)));
    }

    /// Its subscribers have it back.
    pub(super) fn reopen(&self, name: &str) {
        let columns = self.0.lock().unwrap()[name].columns.clone();
        self.tell(name, &Event::Opened { columns });
    }

    /// Tells the subscribers of a view anything.
    pub(super) fn tell(&self, name: &str, event: &Event) {
        self.0.lock().unwrap().get_mut(name).unwrap().tell(event);
    }

    /// How often a view was subscribed to, as it grows.
    pub(super) fn subscribed(&self, name: &str) -> watch::Receiver<usize> {
        self.0.lock().unwrap()[name].subscribed.subscribe()
    }
}

impl View {
    fn tell(&mut self, event: &Event) {
        self.subscribers
            .retain(|subscriber| subscriber.send(event.clone()).is_ok());
    }

    fn subscribe(&mut self) -> mpsc::UnboundedReceiver<Event> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let snapshot = Frame {
            timestamp_ms: self.timestamp_ms,
            deleted: Vec::new(),
            inserted: self.rows.keys().cloned().collect(),
        };
        sender
            .send(Event::Opened {
                columns: self.columns.clone(),
            })
            .unwrap();
        sender.send(Event::Frame(Arc::new(snapshot))).unwrap();
        self.subscribers.push(sender);
        self.subscribed.send_modify(|count| *count += 1);
        receiver
    }
}

impl Views for Engine {
    fn subscribe(&self, name: &str) -> BoxStream<'static, Event> {
        let mut views = self.0.lock().unwrap();
        match views.get_mut(name) {
            Some(view) => {
                let receiver = view.subscribe();
                stream::unfold(receiver, |mut receiver| async move {
                    let event = receiver.recv().await?;
                    Some((event, receiver))
                })
                .boxed()
            }
            None => {
                let error =
                    SubscribeError::UnknownRelation(format!("unknown catalog item '{name}'"));
                stream::iter([Event::Failed(error)]).boxed()
            }
        }
    }

    fn list(&self) -> BoxFuture<'static, Result<Vec<String>, String>> {
        let mut names: Vec<String> = self.0.lock().unwrap().keys().cloned().collect();
        names.sort();
        Box::pin(async move { Ok(names) })
    }
}

/// A web interface that runs.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) status: Option<watch::Sender<Status>>,
    shutdown: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub(super) async fn start(engine: &Engine) -> Self {
        Server::start_with(engine, Limits::default(), &[]).await
    }

    pub(super) async fn start_with(engine: &Engine, limits: Limits, allow_origin: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (status, told) = watch::channel(Status::default());
        let (shutdown, stopped) = oneshot::channel();
        let config = Config {
            address: Address::local(address),
            status: told,
            allow_origin: allow_origin
                .iter()
                .map(|origin| origin.parse::<Origin>().unwrap())
                .collect(),
            limits,
        };
        let views = Arc::new(engine.clone());
        let task = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            web::serve(listener, config, views, stopped).await
        });
        Server {
            address,
            status: Some(status),
            shutdown,
            task,
        }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) async fn get(&self, path: &str) -> reqwest::Response {
        soon(reqwest::get(self.url(path))).await.unwrap()
    }

    pub(super) async fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path).await.text().await.unwrap()).unwrap()
    }

    /// A websocket, or the status that refuses it.
    pub(super) async fn websocket(&self, path: &str) -> Result<Client, u16> {
        self.websocket_with(path, &[]).await
    }

    pub(super) async fn websocket_with(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Client, u16> {
        let mut request = format!("ws://{}{path}", self.address)
            .into_client_request()
            .unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        match soon(tokio_tungstenite::client_async(request, stream)).await {
            Ok((socket, _)) => Ok(Client(socket)),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// A websocket with small buffers on this end, so that the other end soon has to wait.
    pub(super) async fn websocket_that_reads_little(&self, path: &str) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(self.address).await.unwrap();
        let request = format!("ws://{}{path}", self.address);
        Client(
            soon(tokio_tungstenite::client_async(request, stream))
                .await
                .unwrap()
                .0,
        )
    }

    /// Stops it, and waits until it has.
    pub(super) async fn stop(self) {
        let _ = self.shutdown.send(());
        soon(self.task).await.unwrap().unwrap();
    }
}

/// A client on a websocket.
pub(super) struct Client(pub(super) WebSocketStream<TcpStream>);

impl Client {
    /// The next message, as text.
    pub(super) async fn text(&mut self) -> String {
        let text = async {
            loop {
                match self.0.next().await.unwrap().unwrap() {
                    Message::Text(text) => return text.as_str().to_owned(),
                    Message::Ping(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        };
        soon(text).await
    }

    pub(super) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// The code that closes it.
    pub(super) async fn closed(&mut self) -> u16 {
        loop {
            match soon(self.0.next()).await.unwrap().unwrap() {
                Message::Close(Some(frame)) => return frame.code.into(),
                Message::Close(None) => panic!("closed without a code"),
                _ => {}
            }
        }
    }

    pub(super) async fn send(&mut self, message: Message) {
        soon(self.0.send(message)).await.unwrap();
    }

    /// Whatever comes; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Message> {
        soon(self.0.next()).await?.ok()
    }

    /// Waits until the server has answered a ping, so that it has read all before.
    pub(super) async fn pong(&mut self) {
        self.send(Message::Ping(Bytes::new())).await;
        while !matches!(
            soon(self.0.next()).await.unwrap().unwrap(),
            Message::Pong(_)
        ) {}
    }
}

/// A client of server-sent events.
pub(super) struct Listener {
    answer: reqwest::Response,
    text: String,
}

/// One server-sent event.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) data: Value,
    pub(super) id: Option<String>,
}

impl Listener {
    pub(super) async fn open(server: &Server, path: &str, last_event_id: Option<&str>) -> Self {
        let mut request = reqwest::Client::new()
            .get(server.url(path))
            .header("accept", "text/event-stream");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let answer = soon(request.send()).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Listener {
            answer,
            text: String::new(),
        }
    }

    /// The next event; `None` when the server has ended the stream.
    pub(super) async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                };
                let sent = Sent {
                    data: serde_json::from_str(field("data").unwrap()).unwrap(),
                    id: field("id").map(str::to_owned),
                };
                self.text = rest.to_owned();
                return Some(sent);
            }
            let chunk = soon(self.answer.chunk()).await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}
