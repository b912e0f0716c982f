//! A client's connection, which counts what leaves and gives up on a client that takes nothing.
//!
//! It stands below HTTP and websockets, so that one rule holds for every transport: bytes that wait must move within
//! a bounded time, however slowly. The surprising fact: a stalled client costs no timer until it stalls.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::metrics::{Cause, Metrics};

/// A TCP stream with a bound on how long it may refuse to take bytes.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: TcpStream,
    metrics: Arc<Metrics>,
    stall_max: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, stall_max: Duration, metrics: Arc<Metrics>) -> Self {
        Socket {
            stream,
            metrics,
            stall_max,
            stalled: None,
        }
    }

    fn progress(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = written {
            self.stalled = None;
            if let Ok(bytes) = &result {
                self.metrics.sent_bytes.inc_by(*bytes as u64);
            }
            return Poll::Ready(result);
        }
        let stall_max = self.stall_max;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(stall_max)));
        ready!(stalled.as_mut().poll(context));
        self.metrics.dropped(Cause::Stalled);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.progress(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.progress(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair(stall_max: Duration) -> (Socket, TcpStream, Arc<Metrics>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let connecting = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(connecting, listener.accept());
        let metrics = Arc::new(Metrics::default());
        (
            Socket::new(near.unwrap(), stall_max, metrics.clone()),
            far.unwrap().0,
            metrics,
        )
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (mut socket, _far, _metrics) = pair(Duration::from_millis(50)).await;
        let error = loop {
            if let Err(error) = socket.write_all(&[0; 65536]).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn what_leaves_is_counted() {
        const TOTAL: usize = 8 << 20;
        let (mut socket, mut far, metrics) = pair(Duration::from_secs(60)).await;
        let read = async {
            let mut bytes = vec![0; 65536];
            let mut total = 0;
            while total < TOTAL {
                total += far.read(&mut bytes).await.unwrap();
            }
        };
        let written = async {
            for _ in 0..TOTAL / 65536 {
                socket.write_all(&[0; 65536]).await.unwrap();
            }
        };
        tokio::join!(read, written);
        assert_eq!(metrics.sent_bytes.get(), TOTAL as u64);
        assert!(socket.stalled.is_none());
    }
}
