//! The statements about the session itself: settings, transactions, cursors, and SHOW.

use std::time::Duration;

use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::parse::discard;
use super::statement::{FetchCount, Show, ShowKind, Statement};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::value;

/// The statement that begins with `word` (in upper case, already taken); `None` when no statement of a session does.
pub(super) fn statement(
    cursor: &mut Cursor<'_>,
    word: &str,
) -> Result<Option<Statement>, SqlError> {
    Ok(Some(match word {
        "SHOW" => show(cursor)?,
        "SET" => set(cursor)?,
        "RESET" => Statement::Reset(all_or_setting(cursor)?),
        "BEGIN" => {
            let _ = cursor.word("WORK") || cursor.word("TRANSACTION");
            let read_only = transaction_modes(cursor)?;
            Statement::Begin { read_only }
        }
        "START" => {
            cursor.keywords(&["TRANSACTION"])?;
            let read_only = transaction_modes(cursor)?;
            Statement::Begin { read_only }
        }
        "COMMIT" | "END" => {
            end_of_transaction(cursor)?;
            Statement::Commit
        }
        "ROLLBACK" | "ABORT" => {
            let _ = cursor.word("WORK") || cursor.word("TRANSACTION");
            if cursor.word("TO") {
                cursor.word("SAVEPOINT");
                Statement::RollbackTo(cursor.identifier()?)
            } else {
                end_of_transaction(cursor)?;
                Statement::Rollback
            }
        }
        "SAVEPOINT" => Statement::Savepoint(cursor.identifier()?),
        "RELEASE" => {
            cursor.word("SAVEPOINT");
            Statement::Release(cursor.identifier()?)
        }
        "DECLARE" => declare(cursor)?,
        "FETCH" => fetch(cursor)?,
        "CLOSE" => Statement::Close(all_or_name(cursor)?),
        "EXECUTE" => execute(cursor)?,
        "DEALLOCATE" => {
            cursor.word("PREPARE");
            Statement::Deallocate(all_or_name(cursor)?)
        }
        "DISCARD" => discard(cursor)?,
        "UNLISTEN" => {
            if !cursor.has_token(&Token::Mul) {
                cursor.identifier()?;
            }
            Statement::Unlisten
        }
        _ => return Ok(None),
    }))
}

fn all_or_name(cursor: &mut Cursor<'_>) -> Result<Option<String>, SqlError> {
    if cursor.word("ALL") {
        return Ok(None);
    }
    cursor.identifier().map(Some)
}

fn all_or_setting(cursor: &mut Cursor<'_>) -> Result<Option<String>, SqlError> {
    if cursor.word("ALL") {
        return Ok(None);
    }
    setting_name(cursor).map(Some)
}

/// A setting's name, in lower case; some have a name of several words.
fn setting_name(cursor: &mut Cursor<'_>) -> Result<String, SqlError> {
    if cursor.words(&["TIME", "ZONE"]) {
        return Ok("timezone".to_owned());
    }
    if cursor.words(&["TRANSACTION", "ISOLATION", "LEVEL"]) {
        return Ok("transaction_isolation".to_owned());
    }
    if cursor.words(&["SESSION", "AUTHORIZATION"]) {
        return Ok("session_authorization".to_owned());
    }
    let mut name = cursor.identifier()?;
    while cursor.has_token(&Token::Period) {
        name.push('.');
        name.push_str(&cursor.identifier()?);
    }
    Ok(name.to_lowercase())
}

fn set(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let local = cursor.word("LOCAL");
    let all = !local && cursor.words(&["SESSION", "CHARACTERISTICS", "AS", "TRANSACTION"]);
    if all || cursor.word("TRANSACTION") {
        let prefix = if all { "default_" } else { "" };
        let (name, values) = match transaction_modes(cursor)? {
            Some(true) => ("transaction_read_only", Some(vec!["on".to_owned()])),
            Some(false) => ("transaction_read_only", Some(vec!["off".to_owned()])),
            // Every transaction is serializable already, whatever level was asked for.
            None => ("transaction_isolation", None),
        };
        return Ok(Statement::Set {
            name: format!("{prefix}{name}"),
            values,
            local: !all,
        });
    }
    let session_authorization = cursor.words(&["SESSION", "AUTHORIZATION"]);
    let name = if session_authorization {
        "session_authorization".to_owned()
    } else {
        cursor.word("SESSION");
        setting_name(cursor)?
    };
    if !session_authorization && !["timezone", "role", "names"].contains(&&*name) {
        if !cursor.has_token(&Token::Eq) && !cursor.word("TO") {
            return Err(cursor.expected("= or TO"));
        }
    } else {
        let _ = cursor.has_token(&Token::Eq) || cursor.word("TO");
    }
    if cursor.word("DEFAULT") || name == "timezone" && cursor.word("LOCAL") {
        return Ok(Statement::Set {
            name,
            values: None,
            local,
        });
    }
    let mut values = vec![cursor.literal()?];
    while cursor.comma() {
        values.push(cursor.literal()?);
    }
    Ok(Statement::Set {
        name,
        values: Some(values),
        local,
    })
}

/// `ISOLATION LEVEL ...`, `[NOT] DEFERRABLE`: accepted, because the engine's only level is the strictest. Answers whether
/// `READ ONLY` or `READ WRITE` was said.
fn transaction_modes(cursor: &mut Cursor<'_>) -> Result<Option<bool>, SqlError> {
    const MODES: [&[&str]; 6] = [
        &["ISOLATION", "LEVEL", "SERIALIZABLE"],
        &["ISOLATION", "LEVEL", "REPEATABLE", "READ"],
        &["ISOLATION", "LEVEL", "READ", "COMMITTED"],
        &["ISOLATION", "LEVEL", "READ", "UNCOMMITTED"],
        &["NOT", "DEFERRABLE"],
        &["DEFERRABLE"],
    ];
    let mut read_only = None;
    while !cursor.at_end() {
        if cursor.words(&["READ", "ONLY"]) {
            read_only = Some(true);
        } else if cursor.words(&["READ", "WRITE"]) {
            read_only = Some(false);
        } else if !MODES.iter().any(|mode| cursor.words(mode)) {
            return Err(cursor.expected("a transaction mode"));
        }
        cursor.comma();
    }
    Ok(read_only)
}

fn end_of_transaction(cursor: &mut Cursor<'_>) -> Result<(), SqlError> {
    let _ = cursor.word("WORK") || cursor.word("TRANSACTION");
    if cursor.word("AND") {
        if cursor.at_word("CHAIN") {
            return Err(SqlError::unsupported("AND CHAIN"));
        }
        cursor.keywords(&["NO", "CHAIN"])?;
    }
    if cursor.at_word("PREPARED") {
        return Err(SqlError::unsupported("a prepared transaction"));
    }
    Ok(())
}

fn declare(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let name = cursor.identifier()?;
    loop {
        if cursor.word("CURSOR") {
            break;
        }
        if cursor.at_word("BINARY") || cursor.at_word("SCROLL") {
            let what = cursor.literal()?.to_uppercase();
            return Err(SqlError::unsupported(format_args!("a {what} cursor")));
        }
        if !(cursor.word("INSENSITIVE")
            || cursor.word("ASENSITIVE")
            || cursor.words(&["NO", "SCROLL"]))
        {
            return Err(cursor.expected("CURSOR"));
        }
    }
    let hold = cursor.words(&["WITH", "HOLD"]);
    if !hold {
        cursor.words(&["WITHOUT", "HOLD"]);
    }
    cursor.keywords(&["FOR"])?;
    Ok(Statement::Declare {
        cursor: name,
        hold,
        source: cursor.source()?,
    })
}

fn fetch(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    for direction in ["PRIOR", "FIRST", "LAST", "ABSOLUTE", "RELATIVE", "BACKWARD"] {
        if cursor.at_word(direction) {
            return Err(SqlError::unsupported(format_args!("FETCH {direction}")));
        }
    }
    let count = if cursor.word("NEXT") {
        FetchCount::Rows(1)
    } else {
        cursor.word("FORWARD");
        if cursor.word("ALL") {
            FetchCount::All
        } else {
            fetch_count(cursor)?
        }
    };
    let _ = cursor.word("FROM") || cursor.word("IN");
    let name = cursor.identifier()?;
    let mut timeout = None;
    if cursor.word("WITH") {
        cursor.token(&Token::LParen)?;
        cursor.keywords(&["TIMEOUT"])?;
        cursor.has_token(&Token::Eq);
        timeout = Some(duration(&cursor.literal()?)?);
        cursor.token(&Token::RParen)?;
    }
    Ok(Statement::Fetch {
        cursor: name,
        count,
        timeout,
    })
}

fn fetch_count(cursor: &mut Cursor<'_>) -> Result<FetchCount, SqlError> {
    match cursor.number()? {
        None => Ok(FetchCount::Rows(1)),
        Some(count) => count.parse().map(FetchCount::Rows).map_err(|_| {
            SqlError::new(
                SqlState::InvalidParameterValue,
                format!("cannot fetch {count} rows"),
            )
        }),
    }
}

/// A span of time as an interval's text; a bare number counts seconds, as in Materialize.
fn duration(text: &str) -> Result<Duration, SqlError> {
    let interval = value::Interval::parse(text)?;
    let micros = interval.total_micros();
    u64::try_from(micros)
        .map(Duration::from_micros)
        .map_err(|_| {
            SqlError::new(
                SqlState::InvalidParameterValue,
                format!("timeout \"{text}\" is negative"),
            )
        })
}

fn execute(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    let name = cursor.identifier()?;
    let mut arguments = Vec::new();
    if cursor.has_token(&Token::LParen) && !cursor.has_token(&Token::RParen) {
        loop {
            arguments.push(cursor.expression()?);
            if !cursor.comma() {
                cursor.token(&Token::RParen)?;
                break;
            }
        }
    }
    Ok(Statement::Execute { name, arguments })
}

fn show(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    const KINDS: [(&[&str], ShowKind); 9] = [
        (&["VIEWS"], ShowKind::Views),
        (&["MATERIALIZED", "VIEWS"], ShowKind::MaterializedViews),
        (&["SOURCES"], ShowKind::Sources),
        (&["TABLES"], ShowKind::Tables),
        (&["OBJECTS"], ShowKind::Objects),
        (&["INDEXES"], ShowKind::Indexes),
        (&["SCHEMAS"], ShowKind::Schemas),
        (&["DATABASES"], ShowKind::Databases),
        (&["CLUSTERS"], ShowKind::Clusters),
    ];
    cursor.word("FULL");
    for (words, kind) in KINDS {
        if cursor.words(words) {
            let schema = if cursor.word("FROM") || cursor.word("IN") {
                Some(cursor.name()?.name)
            } else {
                None
            };
            let like = if cursor.word("LIKE") {
                Some(cursor.literal()?)
            } else {
                None
            };
            return Ok(Statement::Show(Show::Objects { kind, schema, like }));
        }
    }
    if cursor.word("COLUMNS") {
        if !(cursor.word("FROM") || cursor.word("IN")) {
            return Err(cursor.expected("FROM"));
        }
        return Ok(Statement::Show(Show::Columns(cursor.name()?)));
    }
    if cursor.word("CREATE") {
        cursor.word("MATERIALIZED");
        if !(cursor.word("VIEW") || cursor.word("TABLE") || cursor.word("SOURCE")) {
            return Err(cursor.expected("VIEW"));
        }
        return Ok(Statement::Show(Show::Create(cursor.name()?)));
    }
    if cursor.word("ALL") {
        return Ok(Statement::Show(Show::All));
    }
    Ok(Statement::Show(Show::Setting(setting_name(cursor)?)))
}
