//! The statements that the engine's sessions understand, parsed but not yet planned.

use std::time::Duration;

use sqlparser::ast;

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `SELECT ...`, `VALUES ...`, `WITH ...`
    Select(Box<ast::Query>),
    /// `SUBSCRIBE ...` or `TAIL ...`
    Subscribe(Subscribe),
    /// `COPY (...) TO STDOUT`
    CopyOut {
        /// Whose rows.
        source: Source,
        /// In which form.
        options: CopyOptions,
    },
    /// `COPY name [(columns)] FROM STDIN`
    CopyIn {
        /// Into which relation.
        table: Name,
        /// Into which columns; empty means all.
        columns: Vec<String>,
        /// In which form.
        options: CopyOptions,
    },
    /// `INSERT INTO name [(columns)] query`
    Insert {
        /// Into which relation.
        table: Name,
        /// Into which columns; empty means all.
        columns: Vec<String>,
        /// VALUES or a SELECT.
        source: Box<ast::Query>,
    },
    /// `CREATE [MATERIALIZED] VIEW ...`
    CreateView(CreateView),
    /// `DROP [MATERIALIZED] VIEW ...`
    DropView {
        /// Which views.
        names: Vec<Name>,
        /// An unknown name is no error.
        if_exists: bool,
        /// CASCADE was said: drop what uses them, too.
        cascade: bool,
    },
    /// `SHOW ...`
    Show(Show),
    /// `SET name = value, ...`
    Set {
        /// The setting, in lower case.
        name: String,
        /// Its new values as text; `None` is DEFAULT.
        values: Option<Vec<String>>,
        /// SET LOCAL: until the transaction ends.
        local: bool,
    },
    /// `RESET name`; `None` is ALL.
    Reset(Option<String>),
    /// `BEGIN`, `START TRANSACTION`
    Begin {
        /// READ ONLY, READ WRITE, or whatever the session has set.
        read_only: Option<bool>,
    },
    /// `COMMIT`, `END`
    Commit,
    /// `ROLLBACK`, `ABORT`
    Rollback,
    /// `SAVEPOINT name`
    Savepoint(String),
    /// `RELEASE [SAVEPOINT] name`
    Release(String),
    /// `ROLLBACK TO [SAVEPOINT] name`
    RollbackTo(String),
    /// `DECLARE name CURSOR FOR ...`
    Declare {
        /// The cursor's name.
        cursor: String,
        /// WITH HOLD was said.
        hold: bool,
        /// Whose rows.
        source: Source,
    },
    /// `FETCH ... name`
    Fetch {
        /// The cursor's name.
        cursor: String,
        /// How many rows.
        count: FetchCount,
        /// How long to wait for them; only a subscription waits.
        timeout: Option<Duration>,
    },
    /// `CLOSE name`; `None` is ALL.
    Close(Option<String>),
    /// `EXPLAIN ...`
    Explain(Source),
    /// `PREPARE name [(types)] AS statement`
    Prepare {
        /// The statement's name.
        name: String,
        /// The types said for its parameters.
        parameters: Vec<ast::DataType>,
        /// The statement.
        statement: Box<Statement>,
    },
    /// `EXECUTE name [(values)]`
    Execute {
        /// The statement's name.
        name: String,
        /// Constant expressions.
        arguments: Vec<ast::Expr>,
    },
    /// `DEALLOCATE [PREPARE] name`; `None` is ALL.
    Deallocate(Option<String>),
    /// `DISCARD ALL | PLANS | SEQUENCES | TEMP`
    Discard(Discard),
    /// `UNLISTEN`: connection pools send it; there is nothing to do.
    Unlisten,
}

/// A name, perhaps with the schema (and database) before it; folded as Postgres does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The schema, when one was written.
    pub schema: Option<String>,
    /// The name itself.
    pub name: String,
}

/// What gives rows.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A query, once.
    Select(Box<ast::Query>),
    /// A query, and then all its changes.
    Subscribe(Subscribe),
}

/// `SUBSCRIBE [TO] target [WITH (...)] [UP TO t]`
#[derive(Debug, Clone, PartialEq)]
pub struct Subscribe {
    /// What to follow: `SUBSCRIBE name` is `SUBSCRIBE (SELECT * FROM name)`.
    pub query: Box<ast::Query>,
    /// The rows that are there already come first.
    pub snapshot: bool,
    /// Rows that tell how far time has come.
    pub progress: bool,
    /// End before this time; a constant expression.
    pub up_to: Option<Box<ast::Expr>>,
}

/// `CREATE [MATERIALIZED] VIEW [IF NOT EXISTS] name [(columns)] AS query`
#[derive(Debug, Clone, PartialEq)]
pub struct CreateView {
    /// Its name.
    pub name: Name,
    /// Names for its columns, when they were given; the others keep the query's.
    pub columns: Vec<String>,
    /// A view of that name is no error.
    pub if_not_exists: bool,
    /// MATERIALIZED was said. The engine maintains every view; SHOW tells them apart.
    pub materialized: bool,
    /// What it shows.
    pub query: Box<ast::Query>,
    /// The whole statement, as it was written, without the semicolon.
    pub sql: String,
}

/// The form of COPY's data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyOptions {
    /// FORMAT
    pub format: CopyFormat,
    /// DELIMITER: one byte.
    pub delimiter: Option<u8>,
    /// NULL: the text that stands for it.
    pub null: Option<String>,
    /// HEADER: the first line names the columns.
    pub header: bool,
    /// QUOTE: one byte.
    pub quote: Option<u8>,
    /// ESCAPE: one byte.
    pub escape: Option<u8>,
}

/// The formats of COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyFormat {
    /// Tabs and backslashes.
    Text,
    /// Commas and quotes.
    Csv,
    /// Postgres' own; the door decides what it makes of it.
    Binary,
}

/// `SHOW ...`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    /// `SHOW VIEWS` and its sisters.
    Objects {
        /// Of which kind.
        kind: ShowKind,
        /// `FROM schema` or `IN schema`.
        schema: Option<String>,
        /// `LIKE 'pattern'`
        like: Option<String>,
    },
    /// `SHOW COLUMNS FROM name`
    Columns(Name),
    /// `SHOW CREATE [MATERIALIZED] VIEW | TABLE | SOURCE name`
    Create(Name),
    /// `SHOW name`: a setting, in lower case.
    Setting(String),
    /// `SHOW ALL`
    All,
}

/// What `SHOW` lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowKind {
    /// VIEWS
    Views,
    /// MATERIALIZED VIEWS
    MaterializedViews,
    /// SOURCES
    Sources,
    /// TABLES
    Tables,
    /// OBJECTS
    Objects,
    /// INDEXES
    Indexes,
    /// SCHEMAS
    Schemas,
    /// DATABASES
    Databases,
    /// CLUSTERS
    Clusters,
}

/// How many rows to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchCount {
    /// At most so many.
    Rows(u64),
    /// All that there are.
    All,
}

/// `DISCARD ...`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discard {
    /// Everything of the session.
    All,
    /// PLANS, SEQUENCES and TEMP: there are none.
    Nothing,
}

impl Default for CopyOptions {
    fn default() -> Self {
        CopyOptions {
            format: CopyFormat::Text,
            delimiter: None,
            null: None,
            header: false,
            quote: None,
            escape: None,
        }
    }
}

impl Name {
    /// A name without a schema.
    pub fn bare(name: impl Into<String>) -> Self {
        Name {
            schema: None,
            name: name.into(),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}
