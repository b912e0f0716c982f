//! A statement's text: split at semicolons, with its places known, and bounded before anything recurses over it.
//!
//! The surprising fact: `1+1+1+...` is parsed in a loop but makes a tree as deep as it is long, and even dropping such a
//! tree recurses. So the depth that a text can reach is bounded while it is still a flat row of tokens.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use crate::engine::error::{SqlError, SqlState};

/// The longest statement text, in bytes: as much as Materialize takes (976.6 KiB), seven hundred JSON documents in an INSERT;
/// what is longer is refused (54000). Each byte can be a token, which takes a hundred, so this bounds memory, too.
pub const STATEMENT_BYTES_MAX: usize = 1_000_000;

/// Most tokens of a statement: an INSERT of the longest text has some thousands, generated lists tens of thousands. What has
/// more is refused (54000), because the tree that is made of them is some three hundred bytes a token.
pub const TOKENS_MAX: usize = 100_000;

/// The deepest syntax tree that a text may describe: people write tens, generated lists of OR-ed conditions hundreds. What could
/// become deeper is refused (54000), because each level costs stack in every pass over the tree.
pub const DEPTH_MAX: usize = 400;

/// One statement's tokens.
pub(super) struct StatementText<'a> {
    /// The tokens, white space included.
    pub(super) tokens: Vec<TokenWithSpan>,
    /// The text from the first token to the last.
    pub(super) text: &'a str,
}

/// The statements of a text, empty ones left out.
pub(super) fn split(sql: &str) -> Result<Vec<StatementText<'_>>, SqlError> {
    if sql.len() > STATEMENT_BYTES_MAX {
        return Err(SqlError::new(
            SqlState::ProgramLimitExceeded,
            format!(
                "statement of {} bytes is longer than the limit of {STATEMENT_BYTES_MAX} bytes",
                sql.len()
            ),
        ));
    }
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, sql)
        .tokenize_with_location()
        .map_err(|error| {
            let message = lower_first(&error.message);
            located(
                SqlError::new(SqlState::SyntaxError, message),
                sql,
                error.location,
            )
        })?;
    if tokens.len() > TOKENS_MAX {
        let message = format!(
            "statement of {} tokens is longer than the limit of {TOKENS_MAX} tokens",
            tokens.len()
        );
        return Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
    }
    check_depth(&tokens, sql)?;
    let mut places = Places::new(sql);
    let mut statements = Vec::new();
    for run in tokens.split(|token| token.token == Token::SemiColon) {
        let is_space = |token: &&TokenWithSpan| matches!(token.token, Token::Whitespace(_));
        let Some(first) = run.iter().find(|token| !is_space(token)) else {
            continue;
        };
        let last = run.iter().rfind(|token| !is_space(token)).unwrap_or(first);
        let (start, end) = (places.byte(first.span.start), places.byte(last.span.end));
        statements.push(StatementText {
            tokens: run.to_vec(),
            text: sql.get(start..end).unwrap_or(sql),
        });
    }
    Ok(statements)
}

/// Turns locations (line and column, which must not run backwards) into byte offsets, in one pass over the text.
struct Places<'a> {
    rest: std::str::CharIndices<'a>,
    length: usize,
    at: Location,
}

impl<'a> Places<'a> {
    fn new(sql: &'a str) -> Self {
        Places {
            rest: sql.char_indices(),
            length: sql.len(),
            at: Location::new(1, 1),
        }
    }

    fn byte(&mut self, location: Location) -> usize {
        while (self.at.line, self.at.column) < (location.line, location.column) {
            match self.rest.next() {
                Some((_, '\n')) => self.at = Location::new(self.at.line + 1, 1),
                Some(_) => self.at.column += 1,
                None => break,
            }
        }
        self.rest.clone().next().map_or(self.length, |(at, _)| at)
    }
}

/// The error with the position of `location`, counted in characters from 1.
pub(super) fn located(error: SqlError, sql: &str, location: Location) -> SqlError {
    if location.line == 0 {
        return error;
    }
    let byte = Places::new(sql).byte(location);
    error.at(sql[..byte].chars().count() + 1)
}

/// How deep a tree the content of one parenthesis may have become. What the parser reads by recursion it bounds itself;
/// here count the trees that it builds in loops: chains of operators.
#[derive(Default)]
struct Level {
    /// The deepest of the items before the last comma.
    before: usize,
    /// Links of the chain of AND, OR, UNION and JOIN.
    chain: usize,
    /// The deepest of the chain's members so far.
    widest: usize,
    /// Operators of the member now being read.
    member: usize,
}

impl Level {
    fn depth(&self) -> usize {
        self.before.max(self.chain + self.widest.max(self.member))
    }
}

fn check_depth(tokens: &[TokenWithSpan], sql: &str) -> Result<(), SqlError> {
    let mut open = vec![Level::default()];
    for token in tokens {
        let nested = open.len() > 1;
        let Some(level) = open.last_mut() else { break };
        match &token.token {
            Token::SemiColon => open = vec![Level::default()],
            Token::LParen | Token::LBracket | Token::LBrace => open.push(Level::default()),
            Token::RParen | Token::RBracket | Token::RBrace if nested => {
                let inner = open.pop().map_or(0, |level| level.depth());
                if let Some(outer) = open.last_mut() {
                    outer.member = outer.member.max(inner) + 1;
                }
            }
            Token::Comma => {
                *level = Level {
                    before: level.depth(),
                    ..Level::default()
                }
            }
            token if link_weight(token) > 0 => {
                level.chain += link_weight(token);
                level.widest = level.widest.max(level.member);
                level.member = 0;
            }
            token if operates(token) => level.member += 1,
            _ => continue,
        }
        let here = open.last().map_or(0, Level::depth) + open.len();
        if here > DEPTH_MAX {
            return Err(located(too_deep(), sql, token.span.start));
        }
    }
    Ok(())
}

/// Words whose chains hold whole conditions or queries, and how many levels each counts: a query takes more stack than an operator.
fn link_weight(token: &Token) -> usize {
    use Keyword::{AND, EXCEPT, INTERSECT, JOIN, OR, UNION};
    match token {
        Token::Word(word) if word.quote_style.is_none() => match word.keyword {
            AND | OR | JOIN => 1,
            UNION | EXCEPT | INTERSECT => 8,
            _ => 0,
        },
        _ => 0,
    }
}

/// Operators, and the words that act like them.
fn operates(token: &Token) -> bool {
    use Keyword::{AT, BETWEEN, COLLATE, ILIKE, IN, IS, LIKE, OPERATOR, OVERLAPS, SIMILAR};
    match token {
        Token::Word(word) => {
            word.quote_style.is_none()
                && matches!(
                    word.keyword,
                    IS | IN | BETWEEN | LIKE | ILIKE | SIMILAR | COLLATE | AT | OPERATOR | OVERLAPS
                )
        }
        Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::DoubleQuotedString(_)
        | Token::DollarQuotedString(_)
        | Token::NationalStringLiteral(_)
        | Token::EscapedStringLiteral(_)
        | Token::UnicodeStringLiteral(_)
        | Token::HexStringLiteral(_)
        | Token::Placeholder(_)
        | Token::Whitespace(_)
        | Token::RParen
        | Token::RBracket
        | Token::RBrace
        | Token::Period
        | Token::EOF => false,
        _ => true,
    }
}

/// The error for a statement that is nested too deeply.
pub(super) fn too_deep() -> SqlError {
    SqlError::new(
        SqlState::ProgramLimitExceeded,
        format!("statement is nested more than {DEPTH_MAX} levels deep"),
    )
}

/// Messages of libraries begin with a capital; the engine's do not.
pub(super) fn lower_first(message: &str) -> String {
    let mut chars = message.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}
