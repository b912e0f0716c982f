//! What outlives the process: one file, every change of it one transaction.
//!
//! The newest changes lie in small blocks, one a batch: together they are the log. When the log is long enough it is sealed:
//! its blocks become one compressed block, and the groups that all-time aggregates have touched meanwhile are written. So
//! all-time state is the stored groups plus the log, a small batch costs one small write, and the file holds few large
//! blocks. The store does not know what a group means.

pub(crate) mod batch;
pub(crate) mod block;
pub(crate) mod column;
pub(crate) mod groups;
pub(crate) mod pieces;

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
    TableError, WriteTransaction,
};

use self::batch::{Identity, Partition, Position};
use self::block::Block;
use self::column::Column;
use super::OpenError;
use super::error::{SqlError, SqlState};
use groups::{DELTA_PIECES, SHARD_PIECES};
use pieces::{Compression, Encoded, PIECES};

/// The name of the file in the data directory.
const FILE: &str = "wikitop.redb";

/// The version of what is in the file. Another one is refused, not guessed at.
const FORMAT: u64 = 2;

/// Pages of the file that redb keeps in memory: the inner pages of all trees; the operating system caches the rest, of which
/// little is read twice.
const CACHE_BYTES: usize = 4 << 20;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Views by their number: name, statement, since when (milliseconds since the epoch).
const VIEWS: TableDefinition<u32, (&str, &str, u64)> = TableDefinition::new("views");
/// Rows, first and last arrival (milliseconds since the epoch), the newest `dt` (microseconds since the epoch), sealed.
type StoredInfo = (u32, u64, u64, Option<i64>, bool);
/// Blocks in order of arrival.
const BLOCKS: TableDefinition<u64, StoredInfo> = TableDefinition::new("blocks");
/// How far a partition was read: time (milliseconds since the epoch) and offset.
type StoredPosition = (Option<i64>, Option<i64>);
/// Positions by topic and partition.
const POSITIONS: TableDefinition<(&str, i64), StoredPosition> = TableDefinition::new("positions");

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The disk, the quota or the allowed size of a file is exhausted.
    #[error("no room to write \"{}\": {source}", .path.display())]
    Full { path: PathBuf, source: io::Error },
    /// The operating system fails.
    #[error("could not read or write \"{}\": {reason}", .path.display())]
    Io { path: PathBuf, reason: String },
    /// What was read is not what was written.
    #[error("store is damaged: {0}")]
    Damaged(String),
}

impl From<column::BadColumn> for StoreError {
    fn from(error: column::BadColumn) -> Self {
        StoreError::Damaged(error.to_string())
    }
}

impl StoreError {
    /// What a client is told.
    pub(crate) fn into_sql(self) -> SqlError {
        let state = match &self {
            StoreError::Full { .. } => SqlState::DiskFull,
            StoreError::Io { .. } => SqlState::IoError,
            StoreError::Damaged(_) => SqlState::InternalError,
        };
        let sql = SqlError::new(state, self.to_string());
        match self {
            StoreError::Full { .. } => {
                sql.hint("Nothing was lost: make room on the disk, and writing goes on by itself.")
            }
            StoreError::Io { .. } | StoreError::Damaged(_) => sql,
        }
    }
}

/// A view as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredView {
    pub(crate) oid: u32,
    pub(crate) name: String,
    pub(crate) sql: String,
    pub(crate) since_ms: u64,
}

/// Where a block stands in the order of arrival, and what is known of it without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockInfo {
    pub(crate) number: u64,
    pub(crate) rows: usize,
    pub(crate) first_ms: u64,
    pub(crate) last_ms: u64,
    /// The newest `dt`, in microseconds since the epoch; `None`: no change has one.
    pub(crate) newest_dt_us: Option<i64>,
    /// Compressed, and its groups are written.
    pub(crate) sealed: bool,
}

/// What the store holds beside groups and columns.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) views: Vec<StoredView>,
    pub(crate) blocks: Vec<BlockInfo>,
    pub(crate) positions: BTreeMap<Partition, Position>,
    /// The last time at which something became visible.
    pub(crate) last_ms: u64,
    /// The last number given to a view.
    pub(crate) last_oid: u32,
    /// How often the log has been sealed.
    pub(crate) seal: u64,
}

/// The open store.
pub(crate) struct Store {
    path: PathBuf,
    /// None after an error of input or output, until it could be opened again.
    database: Option<Database>,
}

impl Store {
    /// Opens the store of a directory, or makes an empty one.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Contents), OpenError> {
        let io_error = |path: &Path, source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        std::fs::create_dir_all(dir).map_err(|error| io_error(dir, error))?;
        let path = dir.join(FILE);
        let damaged = |reason: String| OpenError::Damaged {
            path: path.clone(),
            reason,
        };
        let database = match open_database(&path) {
            Ok(database) => database,
            Err(DatabaseError::DatabaseAlreadyOpen) => {
                return Err(OpenError::InUse {
                    path: dir.to_owned(),
                });
            }
            Err(DatabaseError::Storage(StorageError::Io(source)))
                if source.kind() != io::ErrorKind::InvalidData
                    && source.kind() != io::ErrorKind::UnexpectedEof =>
            {
                return Err(io_error(&path, source));
            }
            Err(error) => return Err(damaged(error.to_string())),
        };
        let store = Store {
            path: path.clone(),
            database: Some(database),
        };
        let found = store.format().map_err(|error| damaged(error.to_string()))?;
        if found != FORMAT {
            let expected = FORMAT;
            return Err(OpenError::Format {
                path,
                found,
                expected,
            });
        }
        let contents = store
            .contents()
            .map_err(|error| damaged(error.to_string()))?;
        Ok((store, contents))
    }

    /// The version of what is in the file; an empty file gets the one of this program.
    fn format(&self) -> Result<u64, StoreError> {
        let database = self.database()?;
        let write = database.begin_write().map_err(|e| self.error(e))?;
        let tables = write.list_tables().map_err(|e| self.error(e))?.count();
        let format = {
            let mut meta = write.open_table(META).map_err(|e| self.error(e))?;
            let format = meta
                .get("format")
                .map_err(|e| self.error(e))?
                .map(|v| v.value());
            match format {
                Some(format) => format,
                None if tables == 0 => {
                    meta.insert("format", FORMAT).map_err(|e| self.error(e))?;
                    FORMAT
                }
                None => return Err(StoreError::Damaged("it has no format version".to_owned())),
            }
        };
        if tables == 0 {
            self.create_tables(&write)?;
            write.commit().map_err(|e| self.error(e))?;
        } else {
            write.abort().map_err(|e| self.error(e))?;
        }
        Ok(format)
    }

    fn create_tables(&self, write: &WriteTransaction) -> Result<(), StoreError> {
        write.open_table(VIEWS).map_err(|e| self.error(e))?;
        write.open_table(BLOCKS).map_err(|e| self.error(e))?;
        write.open_table(SHARD_PIECES).map_err(|e| self.error(e))?;
        write.open_table(DELTA_PIECES).map_err(|e| self.error(e))?;
        write.open_table(POSITIONS).map_err(|e| self.error(e))?;
        write.open_table(PIECES).map_err(|e| self.error(e))?;
        Ok(())
    }

    fn contents(&self) -> Result<Contents, StoreError> {
        let read = self.database()?.begin_read().map_err(|e| self.error(e))?;
        let mut contents = Contents::default();
        let meta = read.open_table(META).map_err(|e| self.error(e))?;
        let number = |key| -> Result<u64, StoreError> {
            let found = meta.get(key).map_err(|e| self.error(e))?;
            Ok(found.map_or(0, |value| value.value()))
        };
        contents.last_ms = number("last_ms")?;
        contents.seal = number("seal")?;
        contents.last_oid = u32::try_from(number("last_oid")?)
            .map_err(|_| StoreError::Damaged("a view's number is out of range".to_owned()))?;
        let views = read.open_table(VIEWS).map_err(|e| self.error(e))?;
        for entry in views.iter().map_err(|e| self.error(e))? {
            let (oid, view) = entry.map_err(|e| self.error(e))?;
            let (name, sql, since_ms) = view.value();
            contents.views.push(StoredView {
                oid: oid.value(),
                name: name.to_owned(),
                sql: sql.to_owned(),
                since_ms,
            });
        }
        let blocks = read.open_table(BLOCKS).map_err(|e| self.error(e))?;
        for entry in blocks.iter().map_err(|e| self.error(e))? {
            let (number, info) = entry.map_err(|e| self.error(e))?;
            let (rows, first_ms, last_ms, newest_dt_us, sealed) = info.value();
            contents.blocks.push(BlockInfo {
                number: number.value(),
                rows: rows as usize,
                first_ms,
                last_ms,
                newest_dt_us,
                sealed,
            });
        }
        let positions = read.open_table(POSITIONS).map_err(|e| self.error(e))?;
        for entry in positions.iter().map_err(|e| self.error(e))? {
            let (partition, position) = entry.map_err(|e| self.error(e))?;
            let ((topic, partition), (timestamp_ms, offset)) =
                (partition.value(), position.value());
            contents.positions.insert(
                (topic.into(), partition),
                Position {
                    timestamp_ms,
                    offset,
                },
            );
        }
        Ok(contents)
    }

    /// A block whose columns are read when they are asked for.
    pub(crate) fn block(&self, info: BlockInfo) -> Result<Block, StoreError> {
        let columns = pieces::StoredColumns::open(self, info)?;
        Ok(Block::lazy(info.rows, Box::new(columns)))
    }

    /// Who the changes of a block are.
    pub(crate) fn identities(&self, info: BlockInfo) -> Result<Vec<Identity>, StoreError> {
        pieces::StoredColumns::open(self, info)?.identities()
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file again after an error of the disk, because redb trusts nothing that it could not write.
    ///
    /// # Errors
    /// The disk still fails.
    pub(crate) fn reopen(&mut self) -> Result<(), StoreError> {
        if self.database.is_none() {
            let opened = open_database(&self.path).map_err(|e| self.error(e))?;
            self.database = Some(opened);
        }
        Ok(())
    }

    /// Runs `write` in one transaction: all of it is durable afterwards, or none.
    pub(crate) fn transaction(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.reopen()?;
        let done = self.try_transaction(write);
        if done.is_err() {
            self.database = None;
        }
        done
    }

    fn try_transaction(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let redb = self.database()?.begin_write().map_err(|e| self.error(e))?;
        let transaction = Transaction { store: self, redb };
        write(&transaction)?;
        transaction.redb.commit().map_err(|e| self.error(e))
    }

    fn database(&self) -> Result<&Database, StoreError> {
        self.database.as_ref().ok_or_else(|| StoreError::Io {
            path: self.path.clone(),
            reason: "it is closed after an earlier error".to_owned(),
        })
    }

    fn error(&self, error: impl Into<redb::Error>) -> StoreError {
        let path = self.path.clone();
        match error.into() {
            redb::Error::Io(source) if is_full(&source) => StoreError::Full { path, source },
            redb::Error::Corrupted(reason) => StoreError::Damaged(reason),
            other => StoreError::Io {
                path,
                reason: other.to_string(),
            },
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Opens the file and verifies its checksums. redb may panic over a file that something else has written into: that is
/// a damaged file as well.
fn open_database(path: &Path) -> Result<Database, DatabaseError> {
    let open = || {
        Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create(path)
    };
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| {
        Err(DatabaseError::Storage(StorageError::Corrupted(
            "its pages do not fit together".to_owned(),
        )))
    })
}

/// A block of these columns as [`Transaction::put_block`] writes it.
pub(crate) fn encode(info: &BlockInfo, columns: &[&Column], identities: &[Identity]) -> Encoded {
    let compression = if info.sealed {
        Compression::Zstd
    } else {
        Compression::None
    };
    Encoded::new(columns, identities, compression)
}

/// What one transaction can write.
pub(crate) struct Transaction<'a> {
    store: &'a Store,
    redb: WriteTransaction,
}

impl Transaction<'_> {
    /// Writes a block and its place in the order of arrival.
    pub(crate) fn put_block(&self, info: BlockInfo, block: &Encoded) -> Result<(), StoreError> {
        let mut pieces = self.table(PIECES)?;
        pieces::write(self.store, &mut pieces, info.number, block)?;
        let rows = u32::try_from(info.rows).expect("a batch is bounded");
        self.table(BLOCKS)?
            .insert(
                info.number,
                (
                    rows,
                    info.first_ms,
                    info.last_ms,
                    info.newest_dt_us,
                    info.sealed,
                ),
            )
            .map_err(|e| self.store.error(e))?;
        Ok(())
    }

    /// Deletes a block.
    pub(crate) fn delete_block(&self, number: u64) -> Result<(), StoreError> {
        let mut pieces = self.table(PIECES)?;
        pieces
            .retain_in((number, 0, 0)..(number + 1, 0, 0), |_, _| false)
            .map_err(|e| self.store.error(e))?;
        self.table(BLOCKS)?
            .remove(number)
            .map_err(|e| self.store.error(e))?;
        Ok(())
    }

    /// Writes how far partitions have been read.
    pub(crate) fn put_positions(
        &self,
        positions: &BTreeMap<Partition, Position>,
    ) -> Result<(), StoreError> {
        let mut table = self.table(POSITIONS)?;
        for ((topic, partition), position) in positions {
            table
                .insert(
                    (&**topic, *partition),
                    (position.timestamp_ms, position.offset),
                )
                .map_err(|e| self.store.error(e))?;
        }
        Ok(())
    }

    /// Writes the time at which this transaction becomes visible.
    pub(crate) fn put_time(&self, last_ms: u64) -> Result<(), StoreError> {
        self.put_meta("last_ms", last_ms)
    }

    /// Writes how often the log has been sealed.
    pub(crate) fn put_seal(&self, seal: u64) -> Result<(), StoreError> {
        self.put_meta("seal", seal)
    }

    /// Writes a view's definition, and that its number is taken.
    pub(crate) fn put_view(&self, view: &StoredView) -> Result<(), StoreError> {
        self.put_meta("last_oid", u64::from(view.oid))?;
        self.table(VIEWS)?
            .insert(view.oid, (&*view.name, &*view.sql, view.since_ms))
            .map_err(|e| self.store.error(e))?;
        Ok(())
    }

    /// Deletes a view's definition and its groups.
    pub(crate) fn delete_view(&self, oid: u32) -> Result<(), StoreError> {
        self.delete_groups(oid)?;
        self.table(VIEWS)?
            .remove(oid)
            .map_err(|e| self.store.error(e))?;
        Ok(())
    }

    fn put_meta(&self, key: &str, value: u64) -> Result<(), StoreError> {
        self.table(META)?
            .insert(key, value)
            .map_err(|e| self.store.error(e))?;
        Ok(())
    }

    fn table<K: redb::Key + 'static, V: redb::Value + 'static>(
        &self,
        definition: TableDefinition<K, V>,
    ) -> Result<redb::Table<'_, K, V>, StoreError> {
        self.redb
            .open_table(definition)
            .map_err(|error: TableError| self.store.error(error))
    }
}
