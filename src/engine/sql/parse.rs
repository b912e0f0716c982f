//! Text to statements. Queries are sqlparser's work; the statements around them are read here from its tokens, because
//! Materialize's forms (`SUBSCRIBE`, `TAIL`, `FETCH ... WITH (timeout)`, `SHOW MATERIALIZED VIEWS`) are not in its grammar.

use sqlparser::ast;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Location, Token};

use super::cursor::{Cursor, DIALECT};
use super::session_parse;
use super::statement::{CreateView, Discard, Source, Statement, Subscribe};
use super::text;
use crate::engine::error::{SqlError, SqlState};

/// The statements of a text; none for an empty one.
///
/// # Errors
/// 42601 with a position for what is no SQL, 0A000 for SQL that the engine does not speak, 54000 for a text beyond
/// [`text::STATEMENT_BYTES_MAX`], [`text::TOKENS_MAX`] or [`text::DEPTH_MAX`].
pub fn parse(sql: &str) -> Result<Vec<Statement>, SqlError> {
    text::split(sql)?
        .into_iter()
        .map(|statement| {
            let mut cursor = Cursor::new(&statement, sql);
            let parsed = cursor.statement()?;
            cursor.end()?;
            Ok(parsed)
        })
        .collect()
}

/// An expression that stands alone, such as the body of a function that is defined by SQL.
pub(super) fn expression(sql: &str) -> Result<ast::Expr, SqlError> {
    let statements = text::split(sql)?;
    let [statement] = &statements[..] else {
        return Err(SqlError::new(
            SqlState::SyntaxError,
            "expected one expression",
        ));
    };
    let mut cursor = Cursor::new(statement, sql);
    let parsed = cursor.expression()?;
    cursor.end()?;
    Ok(parsed)
}

impl Cursor<'_> {
    fn statement(&mut self) -> Result<Statement, SqlError> {
        let first = self.parser.peek_token();
        let word = match &first.token {
            Token::Word(word) if word.quote_style.is_none() => word.value.to_ascii_uppercase(),
            Token::LParen => "SELECT".to_owned(),
            _ => return Err(self.expected("a keyword at the beginning of a statement")),
        };
        match word.as_str() {
            "SELECT" | "VALUES" | "WITH" | "TABLE" => Ok(Statement::Select(self.query()?)),
            "SUBSCRIBE" | "TAIL" => Ok(Statement::Subscribe(self.subscribe()?)),
            _ => {
                self.parser.next_token();
                match word.as_str() {
                    "COPY" => self.copy(),
                    "INSERT" => self.insert(),
                    "CREATE" => self.create(),
                    "DROP" => self.drop_view(),
                    "EXPLAIN" => self.explain(),
                    "PREPARE" => self.prepare(),
                    _ => match session_parse::statement(self, &word)? {
                        Some(statement) => Ok(statement),
                        None => Err(self.unknown(&word, first.span.start)),
                    },
                }
            }
        }
    }

    fn unknown(&self, word: &str, at: Location) -> SqlError {
        const KNOWN_ELSEWHERE: [&str; 14] = [
            "ALTER", "ANALYZE", "CALL", "COMMENT", "DELETE", "DO", "GRANT", "LISTEN", "LOCK",
            "MERGE", "NOTIFY", "REVOKE", "TRUNCATE", "UPDATE",
        ];
        let error = if KNOWN_ELSEWHERE.contains(&word) || word == "MOVE" || word == "VACUUM" {
            SqlError::unsupported(word)
        } else {
            SqlError::new(
                SqlState::SyntaxError,
                format!(
                    "expected a keyword at the beginning of a statement, found \"{}\"",
                    word.to_lowercase()
                ),
            )
        };
        text::located(error, self.sql, at)
    }

    fn is_subscribe(&self) -> bool {
        self.at_word("SUBSCRIBE") || self.at_word("TAIL")
    }

    /// A query, or a subscription to one.
    pub(super) fn source(&mut self) -> Result<Source, SqlError> {
        if self.is_subscribe() {
            Ok(Source::Subscribe(self.subscribe()?))
        } else {
            Ok(Source::Select(self.query()?))
        }
    }

    fn subscribe(&mut self) -> Result<Subscribe, SqlError> {
        self.parser.next_token();
        self.word("TO");
        let query = if self.parser.peek_token_ref().token == Token::LParen {
            self.parser.next_token();
            let query = self.query()?;
            self.token(&Token::RParen)?;
            query
        } else {
            let name = self
                .parser
                .parse_object_name(false)
                .map_err(|error| self.error(error))?;
            select_all_from(name)
        };
        let mut subscribe = Subscribe {
            query,
            snapshot: true,
            progress: false,
            up_to: None,
        };
        loop {
            if self.word("WITH") {
                self.subscribe_options(&mut subscribe)?;
            } else if self.words(&["UP", "TO"]) {
                subscribe.up_to = Some(Box::new(self.expression()?));
            } else if self.words(&["AS", "OF"]) {
                return Err(SqlError::unsupported("SUBSCRIBE ... AS OF"));
            } else if self.at_word("ENVELOPE") || self.at_word("WITHIN") {
                return Err(SqlError::unsupported("SUBSCRIBE ... ENVELOPE"));
            } else {
                return Ok(subscribe);
            }
        }
    }

    fn subscribe_options(&mut self, subscribe: &mut Subscribe) -> Result<(), SqlError> {
        self.token(&Token::LParen)?;
        loop {
            let option = if self.word("SNAPSHOT") {
                &mut subscribe.snapshot
            } else if self.word("PROGRESS") {
                &mut subscribe.progress
            } else {
                return Err(self.expected("one of PROGRESS or SNAPSHOT"));
            };
            *option = self.option_bool()?;
            if !self.comma() {
                return self.token(&Token::RParen);
            }
        }
    }

    /// `[= bool]`; nothing means true.
    pub(super) fn option_bool(&mut self) -> Result<bool, SqlError> {
        let said = self.parser.consume_token(&Token::Eq);
        match &self.parser.peek_token_ref().token {
            Token::Comma | Token::RParen if !said => return Ok(true),
            _ => {}
        }
        let value = self.literal()?;
        match value.to_ascii_lowercase().as_str() {
            "true" | "on" | "1" | "t" | "yes" => Ok(true),
            "false" | "off" | "0" | "f" | "no" => Ok(false),
            _ => Err(SqlError::new(
                SqlState::InvalidParameterValue,
                format!("cannot use \"{value}\" as boolean"),
            )),
        }
    }

    fn insert(&mut self) -> Result<Statement, SqlError> {
        self.keywords(&["INTO"])?;
        let table = self.name()?;
        let columns = self.column_names()?;
        if self.at_word("DEFAULT") || self.at_word("OVERRIDING") {
            return Err(SqlError::unsupported("INSERT without values"));
        }
        let source = self.query()?;
        if self.at_word("RETURNING") {
            return Err(SqlError::unsupported("INSERT ... RETURNING"));
        }
        if self.at_word("ON") {
            return Err(SqlError::unsupported("INSERT ... ON CONFLICT"));
        }
        Ok(Statement::Insert {
            table,
            columns,
            source,
        })
    }

    fn create(&mut self) -> Result<Statement, SqlError> {
        if self.words(&["OR", "REPLACE"]) {
            return Err(SqlError::unsupported("CREATE OR REPLACE"));
        }
        let materialized = self.word("MATERIALIZED");
        if !self.word("VIEW") {
            let what = self.literal().unwrap_or_default().to_uppercase();
            return Err(SqlError::unsupported(format_args!("CREATE {what}")));
        }
        let if_not_exists = self.words(&["IF", "NOT", "EXISTS"]);
        let name = self.name()?;
        let columns = self.column_names()?;
        if self.at_word("WITH") || self.at_word("IN") {
            return Err(SqlError::unsupported("CREATE VIEW with options"));
        }
        self.keywords(&["AS"])?;
        let query = self.query()?;
        Ok(Statement::CreateView(CreateView {
            name,
            columns,
            if_not_exists,
            materialized,
            query,
            sql: self.text.to_owned(),
        }))
    }

    fn drop_view(&mut self) -> Result<Statement, SqlError> {
        self.word("MATERIALIZED");
        if !self.word("VIEW") {
            let what = self.literal().unwrap_or_default().to_uppercase();
            return Err(SqlError::unsupported(format_args!("DROP {what}")));
        }
        let if_exists = self.words(&["IF", "EXISTS"]);
        let mut names = vec![self.name()?];
        while self.comma() {
            names.push(self.name()?);
        }
        let cascade = self.word("CASCADE");
        if !cascade {
            self.word("RESTRICT");
        }
        Ok(Statement::DropView {
            names,
            if_exists,
            cascade,
        })
    }

    fn explain(&mut self) -> Result<Statement, SqlError> {
        if self.at_word("ANALYZE") {
            return Err(SqlError::unsupported("EXPLAIN ANALYZE"));
        }
        if self.parser.consume_token(&Token::LParen) {
            return Err(SqlError::unsupported("EXPLAIN with options"));
        }
        self.word("VERBOSE");
        if self.word("PLAN") {
            self.keywords(&["FOR"])?;
        }
        Ok(Statement::Explain(self.source()?))
    }

    fn prepare(&mut self) -> Result<Statement, SqlError> {
        let name = self.identifier()?;
        let mut parameters = Vec::new();
        if self.parser.consume_token(&Token::LParen) {
            loop {
                parameters.push(self.data_type()?);
                if !self.comma() {
                    self.token(&Token::RParen)?;
                    break;
                }
            }
        }
        self.keywords(&["AS"])?;
        if self.at_word("PREPARE") || self.at_word("EXPLAIN") {
            return Err(SqlError::unsupported("PREPARE of such a statement"));
        }
        Ok(Statement::Prepare {
            name,
            parameters,
            statement: Box::new(self.statement()?),
        })
    }
}

pub(super) fn select_all_from(name: ast::ObjectName) -> Box<ast::Query> {
    let all = ast::SelectItem::Wildcard(ast::WildcardAdditionalOptions::default());
    select_from(vec![all], name)
}

/// The query `SELECT items FROM name`.
pub(super) fn select_from(items: Vec<ast::SelectItem>, name: ast::ObjectName) -> Box<ast::Query> {
    let mut parser = Parser::new(&DIALECT);
    parser = parser.with_tokens(vec![
        Token::make_keyword("SELECT"),
        Token::make_word("x", Some('"')),
        Token::make_keyword("FROM"),
        Token::make_word("x", Some('"')),
    ]);
    let mut query = parser
        .parse_query()
        .expect("a query of four fixed tokens parses");
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        select.projection = items;
        if let Some(ast::TableFactor::Table { name: slot, .. }) =
            select.from.first_mut().map(|table| &mut table.relation)
        {
            *slot = name;
        }
    }
    query
}

/// What `DISCARD` throws away.
pub(super) fn discard(cursor: &mut Cursor<'_>) -> Result<Statement, SqlError> {
    if cursor.word("ALL") {
        return Ok(Statement::Discard(Discard::All));
    }
    for word in ["PLANS", "SEQUENCES", "TEMP", "TEMPORARY"] {
        if cursor.word(word) {
            return Ok(Statement::Discard(Discard::Nothing));
        }
    }
    Err(cursor.expected("ALL, PLANS, SEQUENCES or TEMP"))
}
