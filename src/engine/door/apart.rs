//! Work that may take a while, such as sorting a large result or reading a block of changes, on threads of its own: the threads
//! that serve sessions never wait for it.

use std::future::Future;
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

use super::session::Stop;
use super::wire::Wire;
use crate::engine::error::{SqlError, SqlState};

/// Where large work is done. As much at a time as there are processors, because each holds the rows that it works on; the
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
    /// Does large work for the session of `wire`, in its turn.
    pub(crate) async fn large<T: Send + 'static>(
        &self,
        wire: &mut Wire,
        work: impl FnOnce() -> Result<T, SqlError> + Send + 'static,
    ) -> Result<T, Stop> {
        let turns = self.0.clone();
        let in_turn = async {
            let turn = turns
                .acquire_owned()
                .await
                .expect("the turns are never closed");
            blocking(move || {
                let _turn = turn;
                work()
            })
            .await
        };
        unless_interrupted(wire, in_turn).await
    }
}

/// Does small work for the session of `wire`: it waits for nobody else's.
pub(crate) async fn small<T: Send + 'static>(
    wire: &mut Wire,
    work: impl FnOnce() -> Result<T, SqlError> + Send + 'static,
) -> Result<T, Stop> {
    unless_interrupted(wire, blocking(work)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SqlError> + Send + 'static,
) -> Result<T, SqlError> {
    let failed = |_| SqlError::new(SqlState::InternalError, "the statement's work panicked");
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

/// Work whose client has left is not waited for; what it may cost is bounded where it is done.
async fn unless_interrupted<T>(
    wire: &mut Wire,
    done: impl Future<Output = Result<T, SqlError>>,
) -> Result<T, Stop> {
    tokio::select! {
        done = done => Ok(done?),
        interrupt = wire.interrupted() => Err(interrupt.into()),
    }
}
