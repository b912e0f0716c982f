//! The web: a hub that pushes frames to many clients, the JSON of the wire, the routes.
//!
//! ```text
//! engine --> subscription --> log (rows, last frames) --> feed --> session --> websocket, server-sent events
//!            one a view       one a view                  one a client and view
//! ```
//!
//! It knows `core` and nothing of the engine or the ingest. A client has no queue: it is a cursor into the log that all
//! share, so a slow one costs itself and nobody else.
//!
//! `warp` is the HTTP framework; connections are accepted and websockets carried here, because the limits and the memory of
//! a client are decided there.

mod admission;
mod api;
mod assets;
mod connection;
mod guard;
mod hub;
mod limits;
mod log;
mod metrics;
mod reply;
mod routes;
mod socket;
mod sse;
pub mod status;
mod stream;
mod views;
mod websocket;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Utf8Bytes;
use tokio_util::sync::CancellationToken;

use crate::core::address::Address;
use admission::Admission;
use guard::Guard;
pub use guard::{Origin, OriginError};
use hub::Hub;
use limits::{CONNECTIONS_RESERVE, SHUTDOWN_MAX, STATUS_EVERY};
pub use limits::{Limits, Patience};
use metrics::Metrics;
use status::Status;
pub use views::Views;

/// How long accepting pauses when the process has no file descriptors left: long enough that some come free.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What a web interface needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// The engine that keeps the views.
    pub address: Address,
    /// What the page and the metrics tell about the process; whoever runs it keeps it true.
    pub status: watch::Receiver<Status>,
    /// Origins beside the page's own whose pages may connect.
    pub allow_origin: Vec<Origin>,
    /// How many clients there may be.
    pub limits: Limits,
}

/// What all requests share.
struct Site {
    hub: Hub,
    admission: Arc<Admission>,
    guard: Guard,
    patience: Patience,
    metrics: Arc<Metrics>,
    registry: Registry,
    status: watch::Receiver<Status>,
    /// The status as a message, renewed when there is news.
    status_line: watch::Receiver<Utf8Bytes>,
    stop: CancellationToken,
}

/// What happens to a listener.
enum Event {
    Accepted(io::Result<(TcpStream, SocketAddr)>),
    Ended,
    Shutdown,
}

/// Serves the page and the push on `listener` until `shutdown`, with the views of the engine in the config.
///
/// # Errors
/// When the listener has no address; nothing that a client does ends it.
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let views = Arc::new(config.address.clone());
    serve(listener, config, views, shutdown).await
}

/// The same with views from wherever they come.
///
/// # Errors
/// As [`run`].
pub async fn serve(
    listener: TcpListener,
    config: Config,
    views: Arc<dyn Views>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let connections_max = config
        .limits
        .clients_max
        .saturating_add(CONNECTIONS_RESERVE);
    let metrics = Arc::new(Metrics::default());
    let stop = CancellationToken::new();
    let (status_line, status_lines) = watch::channel(status_message(&config.status.borrow()));
    let mut tasks = JoinSet::new();
    tasks.spawn(tell_status(
        config.status.clone(),
        status_line,
        stop.clone(),
    ));
    let site = Arc::new(Site {
        hub: Hub::new(views, config.limits.patience.linger, metrics.clone()),
        patience: config.limits.patience.clone(),
        admission: Arc::new(Admission::new(config.limits, metrics.clone())),
        guard: Guard::new(listener.local_addr()?, config.allow_origin),
        registry: metrics.registry(config.status.clone()),
        metrics,
        status: config.status,
        status_line: status_lines,
        stop: stop.clone(),
    });
    let routes = routes::routes(site.clone());
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let event = tokio::select! {
            () = &mut shutdown => Event::Shutdown,
            accepted = listener.accept(), if tasks.len() <= connections_max => Event::Accepted(accepted),
            Some(_) = tasks.join_next() => Event::Ended,
        };
        match event {
            Event::Accepted(Ok((stream, address))) => {
                if let Some(place) = site.admission.connect(address.ip()) {
                    let (routes, site) = (routes.clone(), site.clone());
                    tasks.spawn(async move {
                        connection::serve(stream, address, routes, site).await;
                        drop(place);
                    });
                }
            }
            Event::Accepted(Err(error)) => {
                tracing::warn!(%error, "could not accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
            Event::Ended => {}
            Event::Shutdown => break,
        }
    }
    drop(listener);
    stop.cancel();
    let ended = timeout(SHUTDOWN_MAX, async {
        while tasks.join_next().await.is_some() {}
    });
    if ended.await.is_err() {
        tracing::info!(
            connections = tasks.len(),
            "cutting the connections that are left"
        );
        tasks.shutdown().await;
    }
    site.hub.stop().await;
    Ok(())
}

/// Keeps the status message true: news at once, the passing of time now and then.
async fn tell_status(
    mut status: watch::Receiver<Status>,
    line: watch::Sender<Utf8Bytes>,
    stop: CancellationToken,
) {
    let mut told = status.borrow_and_update().clone();
    let mut told_at = Instant::now();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = status.changed() => if changed.is_err() { return },
        }
        let now = status.borrow_and_update().clone();
        if !now.is_news_after(&told) {
            let news = status.wait_for(|next| next.is_news_after(&told));
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep_until(told_at + STATUS_EVERY) => {}
                gone = news => if gone.is_err() { return },
            }
        }
        told = status.borrow_and_update().clone();
        told_at = Instant::now();
        line.send_replace(status_message(&told));
    }
}

fn status_message(status: &Status) -> Utf8Bytes {
    #[derive(serde::Serialize)]
    struct Message<'a> {
        status: &'a Status,
    }
    wire::line(&Message { status }).into()
}
