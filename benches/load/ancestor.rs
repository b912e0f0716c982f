//! The ancestor's design: each client of the page has its own subscription to the engine, and each of its messages is
//! written for it alone. Only that differs: the subscription, the JSON and the websocket's codec and buffers are wikitop's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_util::sync::CancellationToken;
use wikitop::core::address::Address;
use wikitop::core::json::FrameJson;
use wikitop::core::subscription::{Event, Subscription, Target};

/// Serves until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    engine: Address,
    texts: Arc<AtomicU64>,
    stop: CancellationToken,
) {
    let mut clients = JoinSet::new();
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let (stream, _) = accepted.expect("sockets are left");
        clients.spawn(client(stream, engine.clone(), texts.clone()));
    }
}

/// One client, to its end; that it goes without a goodbye is no error here.
async fn client(stream: TcpStream, engine: Address, texts: Arc<AtomicU64>) {
    let _ = follow(stream, engine, &texts).await;
}

async fn follow(
    stream: TcpStream,
    engine: Address,
    texts: &AtomicU64,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    stream.set_nodelay(true)?;
    let buffers = WebSocketConfig::default()
        .read_buffer_size(256)
        .write_buffer_size(2048);
    let mut socket = tokio_tungstenite::accept_async_with_config(stream, Some(buffers)).await?;
    let mut subscription = Subscription::new(engine, Target::View("top10".to_owned()));
    let mut described = None;
    loop {
        let event = tokio::select! {
            event = subscription.next() => event,
            received = socket.next() => match received {
                Some(Ok(_)) => continue,
                _ => return Ok(()),
            },
        };
        match event {
            Event::Opened { columns } => described = Some(columns),
            Event::Frame(frame) => {
                let columns = described.as_deref().unwrap_or_default();
                let json = FrameJson {
                    columns,
                    frame: &frame,
                };
                let mut text = serde_json::to_string(&json).expect("rows are JSON");
                text.push('\n');
                texts.fetch_add(1, Ordering::Relaxed);
                socket.send(Message::text(text)).await?;
            }
            Event::Progress { .. } | Event::Reconnecting { .. } => {}
            Event::Failed(error) => panic!("{error}"),
        }
    }
}
