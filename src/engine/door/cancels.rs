//! Whom a cancel request means.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Open sessions by number, each with a secret that only its client was told.
#[derive(Debug, Default)]
pub(super) struct Cancels {
    sessions: Mutex<Sessions>,
}

#[derive(Debug, Default)]
struct Sessions {
    last: i32,
    open: HashMap<i32, (i32, watch::Sender<u64>)>,
}

/// One session's entry; it leaves with it.
pub(super) struct Registration {
    pub(super) pid: i32,
    pub(super) secret: i32,
    /// Changes with every cancel request.
    pub(super) canceled: watch::Receiver<u64>,
    cancels: Arc<Cancels>,
}

impl Cancels {
    fn sessions(&self) -> std::sync::MutexGuard<'_, Sessions> {
        // The map is whole between any two statements, whoever panicked.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters a session.
    pub(super) fn register(self: &Arc<Self>) -> Registration {
        let (cancel, canceled) = watch::channel(0);
        let mut sessions = self.sessions();
        sessions.last = sessions.last.checked_add(1).unwrap_or(1);
        let pid = sessions.last;
        // The standard library seeds its hasher from the operating system's randomness, and SipHash keeps the seed secret.
        let secret = RandomState::new().hash_one(pid) as i32;
        sessions.open.insert(pid, (secret, cancel));
        Registration {
            pid,
            secret,
            canceled,
            cancels: self.clone(),
        }
    }

    /// Cancels what that session does. A wrong secret is met with silence, as in Postgres.
    pub(super) fn cancel(&self, pid: i32, secret: i32) {
        match self.sessions().open.get(&pid) {
            Some((expected, cancel)) if *expected == secret => {
                cancel.send_modify(|count| *count = count.wrapping_add(1));
            }
            _ => {}
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.cancels.sessions().open.remove(&self.pid);
    }
}
