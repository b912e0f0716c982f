//! The embedded engine's door, through real and through malicious clients: the engine runs in the test's own process, and every
//! client comes in over a socket.

mod copying;
mod crowds;
mod drivers;
mod noise;
mod raw;
mod sessions;
mod subscribing;
mod tools;
mod transcripts;
mod untrusted;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};
use wikitop::engine::{self, Running};

/// Far above what any step needs on however loaded a machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for what must happen.
async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what)
        .await
        .expect("it happens in time")
}

/// A running engine with its door open on a port of its own.
struct Door {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    open: JoinHandle<std::io::Result<()>>,
    running: Running,
    _data: tempfile::TempDir,
}

impl Door {
    async fn open() -> Door {
        let data = tempfile::tempdir().unwrap();
        let (engine, running) = engine::start(engine::Config {
            data_dir: data.path().to_owned(),
            retain: engine::RETAIN_DEFAULT,
        })
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let open = tokio::spawn(engine::door::run(listener, engine, shutdown));
        Door {
            address,
            stop,
            open,
            running,
            _data: data,
        }
    }

    /// A door behind which the built-in views are.
    async fn with_views() -> Door {
        let door = Door::open().await;
        let client = door.client().await;
        let views = include_str!("../../assets/views.sql");
        within(client.batch_execute(views)).await.unwrap();
        door
    }

    async fn client(&self) -> Client {
        let config = format!(
            "host=127.0.0.1 port={} user=materialize dbname=materialize",
            self.address.port()
        );
        let (client, connection) = within(tokio_postgres::connect(&config, NoTls))
            .await
            .unwrap();
        tokio::spawn(connection);
        client
    }

    async fn raw(&self) -> raw::Raw {
        raw::Raw::session(self.address).await
    }

    async fn close(self) {
        self.stop.send(()).unwrap();
        within(self.open).await.unwrap().unwrap();
        within(self.running.stop()).await.unwrap();
    }
}

/// A change by a user, with an identity of its own.
fn edit(id: u32, user: &str) -> String {
    let dt = jiff::Timestamp::now();
    serde_json::json!({
        "$schema": "/mediawiki/recentchange/1.0.0",
        "meta": { "id": format!("00000000-0000-4000-8000-{id:012}"), "dt": dt.to_string(), "domain": "test.wikipedia.org",
                  "stream": "mediawiki.recentchange", "topic": "eqiad.mediawiki.recentchange", "partition": 0, "offset": id },
        "type": "edit", "title": format!("Page \"{id}\"\t\\"), "user": user, "bot": false, "wiki": "testwiki",
    })
    .to_string()
}

/// Documents as lines of COPY text.
fn copy_lines<S: AsRef<str>>(documents: impl IntoIterator<Item = S>) -> bytes::Bytes {
    let mut lines = Vec::new();
    for document in documents {
        wikitop::copy_text::encode_column(&mut lines, Some(document.as_ref()));
        lines.push(b'\n');
    }
    lines.into()
}

/// Sends documents through one COPY.
async fn copy(client: &Client, documents: &[String]) -> Result<u64, tokio_postgres::Error> {
    use futures::SinkExt;
    let sink = client.copy_in("COPY wikirecent FROM STDIN").await?;
    let mut sink = std::pin::pin!(sink);
    sink.send(copy_lines(documents)).await?;
    sink.finish().await
}
