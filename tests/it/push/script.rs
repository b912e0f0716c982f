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
use tokio::net::{TcpListener, TcpStream};
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

    /// Tells the subscribers of a view anything.
    pub(super) fn tell(&self, name: &str, event: &Event) {
        self.0.lock().unwrap().get_mut(name).unwrap().tell(event);
    }

    /// How often a view was subscribed to, as it grows.
    pub(super) fn subscribed(&self, name: &str) -> watch::Receiver<usize> {
        self.0.lock().unwrap()[name].subscribed.subscribe()
    }

    /// What a view holds, as JSON rows in any order.
    pub(super) fn columns(&self, name: &str) -> Arc<[Column]> {
        self.0.lock().unwrap()[name].columns.clone()
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
    pub(super) status: watch::Sender<Status>,
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
            status,
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
        loop {
            match soon(self.0.next()).await.unwrap().unwrap() {
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
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
}
