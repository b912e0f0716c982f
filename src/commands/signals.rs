//! Being asked to end: SIGINT and SIGTERM become a future, SIGHUP nothing.
//!
//! The first signal asks for a clean end; a second SIGINT, or SIGQUIT, ends at once, for whoever cannot wait. The exit code tells a run that
//! a signal ended (130, 143) from one that came to its own end, even where it ended cleanly: a script can tell that `--for 10m`
//! was cut short, and a systemd unit says `SuccessExitStatus=143`.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::terminal::screen;

/// What POSIX shells add to a signal's number to make an exit code.
const EXIT_BY_SIGNAL: i32 = 128;

/// The process's wish to end.
#[derive(Debug, Clone)]
pub struct Signals {
    asked: CancellationToken,
    first: Arc<AtomicU8>,
}

impl Signals {
    /// Starts to listen; needs to be called within the runtime.
    ///
    /// # Errors
    /// The operating system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        let signals = Signals {
            asked: CancellationToken::new(),
            first: Arc::new(AtomicU8::new(0)),
        };
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut quit = signal(SignalKind::quit())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let listening = signals.clone();
        tokio::spawn(async move {
            loop {
                let kind = tokio::select! {
                    _ = interrupt.recv() => SignalKind::interrupt(),
                    _ = terminate.recv() => SignalKind::terminate(),
                    _ = quit.recv() => SignalKind::quit(),
                    _ = hangup.recv() => continue,
                };
                listening.received(kind);
            }
        });
        Ok(signals)
    }

    fn received(&self, kind: SignalKind) {
        let number = kind.as_raw_value();
        let first = u8::try_from(number).unwrap_or(0);
        let asked = self
            .first
            .compare_exchange(0, first, Ordering::Relaxed, Ordering::Relaxed);
        let is_second = asked.is_err() && kind == SignalKind::interrupt();
        if is_second || kind == SignalKind::quit() {
            screen::restore();
            process::exit(EXIT_BY_SIGNAL + number);
        }
        self.asked.cancel();
    }

    /// Resolves once the process was asked to end.
    pub fn shutdown(&self) -> impl Future<Output = ()> + Send + 'static {
        self.asked.clone().cancelled_owned()
    }

    /// The exit code of a process that a signal ended, if one did.
    pub fn exit_code(&self) -> Option<u8> {
        match self.first.load(Ordering::Relaxed) {
            0 => None,
            first => Some(128 + first),
        }
    }
}
