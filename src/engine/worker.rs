//! The worker: takes commands, makes them durable, then visible. It never looks at a clock: the time is an argument.

use std::sync::Arc;

use tokio::sync::watch;

use super::catalog::{Catalog, Kind, Relation};
use super::error::{SqlError, SqlState};
use super::handle::Command;
use super::{Config, OpenError, Published, relations};

pub(crate) struct Worker {
    catalog: Arc<Catalog>,
    published: Published,
}

impl Worker {
    /// Opens the store; answers also with where the catalog is published.
    pub(crate) fn open(
        config: &Config,
        _now_ms: u64,
    ) -> Result<(Self, watch::Receiver<Arc<Catalog>>), OpenError> {
        std::fs::create_dir_all(&config.data_dir).map_err(|source| OpenError::Io {
            path: config.data_dir.clone(),
            source,
        })?;
        let catalog = Arc::new(relations::catalog());
        let (published, receiver) = watch::channel(catalog.clone());
        Ok((Worker { catalog, published }, receiver))
    }

    /// Runs waiting commands at the time `now_ms`.
    pub(crate) fn run(&mut self, commands: &mut Vec<Command>, now_ms: u64) {
        for command in commands.drain(..) {
            // Whoever asked and no longer waits needs no answer.
            match command {
                Command::Append { reply, .. } => {
                    drop(reply.send(Err(SqlError::unsupported("appending"))));
                }
                Command::Subscribe { reply, .. } => {
                    drop(reply.send(Err(SqlError::unsupported("this query"))));
                }
                Command::CreateView {
                    name,
                    sql,
                    query,
                    reply,
                } => {
                    let relation = Arc::new(Relation {
                        oid: relations::FIRST_VIEW_OID,
                        name: name.clone(),
                        columns: query.columns.clone(),
                        kind: Kind::View {
                            sql,
                            query,
                            since_ms: now_ms,
                        },
                    });
                    Arc::make_mut(&mut self.catalog)
                        .relations
                        .insert(name, relation.clone());
                    self.published.send_replace(self.catalog.clone());
                    drop(reply.send(Ok(relation)));
                }
                Command::DropView { name, reply } => {
                    drop(reply.send(Err(SqlError::new(
                        SqlState::UndefinedTable,
                        format!("unknown relation \"{name}\""),
                    ))));
                }
            }
        }
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, _now_ms: u64) {}

    /// How long nothing happens by itself, if something will.
    pub(crate) fn idle_ms_max(&self, _now_ms: u64) -> Option<u64> {
        None
    }

    /// Closes the store.
    pub(crate) fn close(self) {}
}
