//! A place in one statement's tokens: what stands there, taking it when it is what was expected, and errors that say where.

use sqlparser::ast;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Word};

use super::statement::Name;
use super::text::{self, StatementText};
use crate::engine::error::{SqlError, SqlState};

/// How deep queries and expressions may nest in each other's parentheses; sqlparser's own bound.
const NESTING_MAX: usize = 50;

pub(super) static DIALECT: PostgreSqlDialect = PostgreSqlDialect {};

/// A place in one statement's tokens.
pub(super) struct Cursor<'a> {
    pub(super) parser: Parser<'a>,
    /// The statement, as it was written.
    pub(super) text: &'a str,
    /// What the statement is part of, for positions.
    pub(super) sql: &'a str,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(statement: &StatementText<'a>, sql: &'a str) -> Self {
        Cursor {
            parser: Parser::new(&DIALECT)
                .with_recursion_limit(NESTING_MAX)
                .with_tokens_with_locations(statement.tokens.clone()),
            text: statement.text,
            sql,
        }
    }

    /// `(a, b, ...)`, or nothing.
    pub(super) fn column_names(&mut self) -> Result<Vec<String>, SqlError> {
        // `INSERT INTO t (VALUES ...)` and `(SELECT ...)` open a query there.
        let [open, next] = self.parser.peek_tokens::<2>();
        let is_query = matches!(&next, Token::Word(word) if word.quote_style.is_none()
            && matches!(word.value.to_ascii_uppercase().as_str(), "SELECT" | "VALUES" | "WITH"));
        if open != Token::LParen || is_query {
            return Ok(Vec::new());
        }
        self.token(&Token::LParen)?;
        let mut names = vec![self.identifier()?];
        while self.comma() {
            names.push(self.identifier()?);
        }
        self.token(&Token::RParen)?;
        Ok(names)
    }

    /// A name, perhaps with a schema and a database.
    pub(super) fn name(&mut self) -> Result<Name, SqlError> {
        let name = self
            .parser
            .parse_object_name(false)
            .map_err(|error| self.error(error))?;
        name_of(&name)
    }

    /// One identifier, folded.
    pub(super) fn identifier(&mut self) -> Result<String, SqlError> {
        match self.parser.peek_token().token {
            Token::Word(word) => {
                self.parser.next_token();
                Ok(fold_word(&word))
            }
            _ => Err(self.expected("identifier")),
        }
    }

    /// A number, a string or a word, as text.
    pub(super) fn literal(&mut self) -> Result<String, SqlError> {
        let sign = if self.parser.consume_token(&Token::Minus) {
            "-"
        } else {
            ""
        };
        let token = self.parser.next_token();
        match token.token {
            Token::Number(text, _) => Ok(format!("{sign}{text}")),
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text)
                if sign.is_empty() =>
            {
                Ok(text)
            }
            Token::Word(word) if sign.is_empty() => Ok(fold_word(&word)),
            _ => {
                self.parser.prev_token();
                Err(self.expected("a value"))
            }
        }
    }

    /// Takes a number when it is next.
    pub(super) fn number(&mut self) -> Result<Option<String>, SqlError> {
        match self.parser.peek_token_ref().token {
            Token::Number(..) | Token::Minus => self.literal().map(Some),
            _ => Ok(None),
        }
    }

    /// Takes the word when it is next.
    pub(super) fn word(&mut self, expected: &str) -> bool {
        let found = self.at_word(expected);
        if found {
            self.parser.next_token();
        }
        found
    }

    /// The word is next.
    pub(super) fn at_word(&self, expected: &str) -> bool {
        is_word(self.parser.peek_token_ref(), expected)
    }

    /// Takes the words when they are next.
    pub(super) fn words(&mut self, expected: &[&str]) -> bool {
        let found = expected
            .iter()
            .enumerate()
            .all(|(at, word)| is_word(self.parser.peek_nth_token_ref(at), word));
        if found {
            for _ in expected {
                self.parser.next_token();
            }
        }
        found
    }

    /// Takes the words, which must come.
    pub(super) fn keywords(&mut self, expected: &[&str]) -> Result<(), SqlError> {
        expected.iter().try_for_each(|word| {
            if self.word(word) {
                Ok(())
            } else {
                Err(self.expected(word))
            }
        })
    }

    /// Takes the token, which must come.
    pub(super) fn token(&mut self, expected: &Token) -> Result<(), SqlError> {
        if self.parser.consume_token(expected) {
            Ok(())
        } else {
            Err(self.expected(&expected.to_string()))
        }
    }

    /// Takes the token when it is next.
    pub(super) fn has_token(&mut self, expected: &Token) -> bool {
        self.parser.consume_token(expected)
    }

    /// Takes a comma when it is next.
    pub(super) fn comma(&mut self) -> bool {
        self.parser.consume_token(&Token::Comma)
    }

    /// Nothing is left.
    pub(super) fn at_end(&self) -> bool {
        self.parser.peek_token_ref().token == Token::EOF
    }

    pub(super) fn end(&mut self) -> Result<(), SqlError> {
        if self.at_end() {
            Ok(())
        } else {
            Err(self.expected("end of statement"))
        }
    }

    /// The error that something else was expected where the cursor stands.
    pub(super) fn expected(&self, what: &str) -> SqlError {
        let found = self.parser.peek_token_ref();
        let error = SqlError::new(
            SqlState::SyntaxError,
            match &found.token {
                Token::EOF => format!("expected {what}, found end of statement"),
                token => format!("expected {what}, found \"{token}\""),
            },
        );
        match found.token {
            Token::EOF => error.at(self.sql.chars().count() + 1),
            _ => text::located(error, self.sql, found.span.start),
        }
    }

    pub(super) fn error(&self, error: ParserError) -> SqlError {
        match error {
            ParserError::RecursionLimitExceeded => SqlError::new(
                SqlState::ProgramLimitExceeded,
                format!("statement is nested more than {NESTING_MAX} levels deep"),
            ),
            ParserError::ParserError(message) | ParserError::TokenizerError(message) => {
                let (message, location) = split_location(&message);
                let error = SqlError::new(SqlState::SyntaxError, text::lower_first(message));
                match location {
                    Some(location) => text::located(error, self.sql, location),
                    None if message.ends_with("found: EOF") => {
                        error.at(self.sql.chars().count() + 1)
                    }
                    None => error,
                }
            }
        }
    }

    /// A query, to its end.
    pub(super) fn query(&mut self) -> Result<Box<ast::Query>, SqlError> {
        self.parser.parse_query().map_err(|error| self.error(error))
    }

    /// An expression, to its end.
    pub(super) fn expression(&mut self) -> Result<ast::Expr, SqlError> {
        self.parser.parse_expr().map_err(|error| self.error(error))
    }

    pub(super) fn data_type(&mut self) -> Result<ast::DataType, SqlError> {
        self.parser
            .parse_data_type()
            .map_err(|error| self.error(error))
    }
}

/// Takes ` at Line: 1, Column: 8` off the end of sqlparser's messages.
fn split_location(message: &str) -> (&str, Option<Location>) {
    let parsed = message.rsplit_once(" at Line: ").and_then(|(head, tail)| {
        let (line, column) = tail.split_once(", Column: ")?;
        let location = Location::new(line.parse().ok()?, column.trim().parse().ok()?);
        Some((head, location))
    });
    match parsed {
        Some((head, location)) => (head, Some(location)),
        None => (message, None),
    }
}

fn is_word(token: &TokenWithSpan, expected: &str) -> bool {
    matches!(&token.token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(expected))
}

fn fold_word(word: &Word) -> String {
    fold(&word.value, word.quote_style)
}

/// Folds an identifier as Postgres does: lower case unless quoted.
pub(super) fn fold(value: &str, quote: Option<char>) -> String {
    if quote.is_some() {
        value.to_owned()
    } else {
        value.to_lowercase()
    }
}

/// The name that a syntax tree holds.
pub(super) fn name_of(name: &ast::ObjectName) -> Result<Name, SqlError> {
    let parts = name
        .0
        .iter()
        .map(|part| {
            part.as_ident()
                .map(|ident| fold(&ident.value, ident.quote_style))
        })
        .collect::<Option<Vec<String>>>();
    match parts.as_deref() {
        Some([name]) => Ok(Name::bare(name)),
        Some([schema, name]) => Ok(Name {
            schema: Some(schema.clone()),
            name: name.clone(),
        }),
        Some([database, schema, name]) => {
            if database != super::DATABASE {
                return Err(SqlError::new(
                    SqlState::UndefinedObject,
                    format!("unknown database '{database}'"),
                ));
            }
            Ok(Name {
                schema: Some(schema.clone()),
                name: name.clone(),
            })
        }
        _ => Err(SqlError::new(
            SqlState::SyntaxError,
            format!("improper qualified name: {name}"),
        )),
    }
}
