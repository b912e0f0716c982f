//! Work that may take a while, such as sorting a large result or reading a block of changes, on threads of its own: the threads
//! that serve sessions never wait for it.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

use super::session::Stop;
use super::wire::Wire;
use crate::engine::error::{SqlError, SqlState};

/// Where such work is done. As much at a time as there are processors, because each holds the rows that it works on; the
/// rest waits for its turn.
#[derive(Debug, Clone)]
pub(crate) struct Apart(Arc<Semaphore>);

impl Default for Apart {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Apart(Arc::new(Semaphore::new(processors.max(2))))
    }
}

impl Apart {
    /// Does work for the session of `wire`. Work whose client has left is not waited for; what it may hold is bounded where it is
    /// done.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        wire: &mut Wire,
        work: impl FnOnce() -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, Stop> {
        let turn = self.0.clone();
        let done = async {
            let turn = turn
                .acquire_owned()
                .await
                .expect("the turns are never closed");
            let work = move || {
                let _turn = turn;
                work()
            };
            tokio::task::spawn_blocking(work).await.map_err(|_| {
                SqlError::new(SqlState::InternalError, "the statement's work panicked")
            })?
        };
        tokio::select! {
            done = done => Ok(done?),
            interrupt = wire.interrupted() => Err(interrupt.into()),
        }
    }
}
