//! One TCP connection: HTTP requests, and after an upgrade the websocket, in one task.
//!
//! The HTTP half ends with the upgrade and gives its buffers back before the websocket begins; that is why the session comes
//! over in a slot instead of running beside.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use warp::filters::BoxedFilter;
use warp::http::Request;
use warp::reply::Response as Reply;

use super::Site;
use super::limits::{HEADERS_MAX, Patience, REQUEST_BYTES_MAX, SEND_BUFFER_BYTES};
use super::socket::Socket;
use super::stream::Session;
use super::websocket;

/// The other end of a connection, as each of its requests knows it.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    session: Arc<Mutex<Option<Session>>>,
}

impl Peer {
    /// The connection is to become a websocket with this session, once the answer that says so is sent.
    pub(crate) fn hand_over(&self, session: Session) {
        *self.slot() = Some(session);
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    routes: BoxedFilter<(Reply,)>,
    site: Arc<Site>,
) {
    tune(&stream, &site.patience);
    let peer = Peer {
        address,
        session: Arc::default(),
    };
    let socket = Socket::new(stream, site.patience.stall_max, site.metrics.clone());
    match Box::pin(http(socket, peer.clone(), routes, &site)).await {
        Ok((socket, read_already)) => {
            let session = peer.slot().take();
            if let Some(session) = session {
                websocket::run(socket, read_already, session, &site).await;
            }
        }
        Err(error) => tracing::debug!(%address, %error, "the connection ended badly"),
    }
}

/// Answers requests until the connection ends or becomes something else; what is left of it.
async fn http(
    socket: Socket,
    peer: Peer,
    routes: BoxedFilter<(Reply,)>,
    site: &Site,
) -> hyper::Result<(Socket, Bytes)> {
    let routes = TowerToHyperService::new(warp::service(routes));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        Box::pin(routes.call(request))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(site.patience.headers_max)
        .max_headers(HEADERS_MAX)
        .max_buf_size(REQUEST_BYTES_MAX)
        .serve_connection(TokioIo::new(socket), service);
    let mut stopping = pin!(site.stop.cancelled());
    let mut asked_to_stop = false;
    poll_fn(|context| {
        if !asked_to_stop && stopping.as_mut().poll(context).is_ready() {
            asked_to_stop = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(context)
    })
    .await?;
    let parts = connection.into_parts();
    Ok((parts.io.into_inner(), parts.read_buf))
}

/// What a connection costs where it does not move. None of it is needed to be right, so failures are only noted.
fn tune(stream: &TcpStream, patience: &Patience) {
    let socket = socket2::SockRef::from(stream);
    let tuned = stream
        .set_nodelay(true)
        .and_then(|()| socket.set_send_buffer_size(SEND_BUFFER_BYTES))
        .and_then(|()| unacknowledged_max(&socket, patience.stall_max));
    if let Err(error) = tuned {
        tracing::debug!(%error, "a connection could not be tuned");
    }
}

/// A peer that vanished acknowledges nothing: with pings and this the kernel notices, where it would otherwise try for a
/// quarter of an hour.
#[cfg(target_os = "linux")]
fn unacknowledged_max(socket: &socket2::Socket, time: Duration) -> std::io::Result<()> {
    socket.set_tcp_user_timeout(Some(time))
}

#[cfg(not(target_os = "linux"))]
fn unacknowledged_max(socket: &socket2::Socket, time: Duration) -> std::io::Result<()> {
    socket.set_tcp_keepalive(&socket2::TcpKeepalive::new().with_time(time))
}
