//! LIKE, ILIKE and regular expressions. Patterns come from anybody, so both kinds match in bounded time: LIKE by remembering only
//! the last `%`, regular expressions by crate regex, which does not backtrack.

use std::hash::{Hash, Hasher};

use regex::{Regex, RegexBuilder};

use super::{Function, mistyped};
use crate::engine::error::{SqlError, SqlState};
use crate::engine::value::Value;

/// Memory that a compiled regular expression may take: people's take a few kilobytes; what would take more is refused (2201B).
const REGEX_BYTES_MAX: usize = 1 << 20;

/// Which kind of pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PatternKind {
    /// `LIKE` with its escape character.
    Like {
        /// The character that takes the next one's meaning away.
        escape: Option<char>,
        /// ILIKE.
        ignore_case: bool,
    },
    /// `~`
    Regex {
        /// `~*`
        ignore_case: bool,
    },
}

/// A compiled pattern; two are equal when they were made of the same text.
#[derive(Debug, Clone)]
pub struct Pattern {
    kind: PatternKind,
    text: String,
    compiled: Compiled,
}

#[derive(Debug, Clone)]
enum Compiled {
    Like(Vec<Piece>),
    Regex(Regex),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    /// This character.
    Char(char),
    /// `_`
    Any,
    /// `%`
    Rest,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.text) == (other.kind, &other.text)
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.kind, &self.text).hash(state);
    }
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// 22025 for a LIKE pattern that ends with its escape character, 2201B for what is no regular expression.
    pub fn new(kind: PatternKind, text: &str) -> Result<Self, SqlError> {
        let compiled = match kind {
            PatternKind::Like {
                escape,
                ignore_case,
            } => Compiled::Like(compile_like(text, escape, ignore_case)?),
            PatternKind::Regex { ignore_case } => RegexBuilder::new(text)
                .case_insensitive(ignore_case)
                .size_limit(REGEX_BYTES_MAX)
                .build()
                .map(Compiled::Regex)
                .map_err(|_| {
                    SqlError::new(
                        SqlState::InvalidRegularExpression,
                        format!("invalid regular expression: \"{text}\""),
                    )
                })?,
        };
        Ok(Pattern {
            kind,
            text: text.to_owned(),
            compiled,
        })
    }

    /// Whether the text matches.
    pub fn matches(&self, text: &str) -> bool {
        match (&self.compiled, self.kind) {
            (Compiled::Regex(regex), _) => regex.is_match(text),
            (
                Compiled::Like(pieces),
                PatternKind::Like {
                    ignore_case: true, ..
                },
            ) => like(pieces, &text.to_lowercase()),
            (Compiled::Like(pieces), _) => like(pieces, text),
        }
    }

    /// The kind of pattern.
    pub fn kind(&self) -> PatternKind {
        self.kind
    }

    /// The pattern, as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

fn compile_like(
    text: &str,
    escape: Option<char>,
    ignore_case: bool,
) -> Result<Vec<Piece>, SqlError> {
    let mut pieces = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        let piece = match next {
            _ if Some(next) == escape => Piece::Char(chars.next().ok_or_else(|| {
                SqlError::new(
                    SqlState::InvalidEscapeSequence,
                    "LIKE pattern must not end with escape character",
                )
            })?),
            '%' => Piece::Rest,
            '_' => Piece::Any,
            other => Piece::Char(other),
        };
        match piece {
            Piece::Char(char) if ignore_case => {
                pieces.extend(char.to_lowercase().map(Piece::Char));
            }
            Piece::Rest if pieces.last() == Some(&Piece::Rest) => {}
            piece => pieces.push(piece),
        }
    }
    Ok(pieces)
}

/// Matches from the left; after a mismatch the last `%` takes one character more. Nothing before that `%` needs to change.
fn like(pieces: &[Piece], text: &str) -> bool {
    let mut rest = text.chars();
    let mut at = 0;
    let mut retry = None;
    loop {
        if pieces.get(at) == Some(&Piece::Rest) {
            at += 1;
            if at == pieces.len() {
                return true;
            }
            retry = Some((at, rest.clone()));
            continue;
        }
        let mut ahead = rest.clone();
        match (pieces.get(at), ahead.next()) {
            (None, None) => return true,
            (Some(Piece::Char(wanted)), Some(found)) if *wanted == found => {
                rest = ahead;
                at += 1;
                continue;
            }
            (Some(Piece::Any), Some(_)) => {
                rest = ahead;
                at += 1;
                continue;
            }
            // The text has ended before the pattern: taking more of it with `%` leaves even less.
            (Some(_), None) => return false,
            _ => {}
        }
        let Some((after, from)) = &mut retry else {
            return false;
        };
        if from.next().is_none() {
            return false;
        }
        (at, rest) = (*after, from.clone());
    }
}

pub(super) fn match_dynamic(
    kind: PatternKind,
    text: &Value,
    pattern: &Value,
) -> Result<Value, SqlError> {
    match (text, pattern) {
        (Value::Text(text), Value::Text(pattern)) => {
            Ok(Value::Bool(Pattern::new(kind, pattern)?.matches(text)))
        }
        _ => Err(mistyped(Function::Match(kind))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIKE: PatternKind = PatternKind::Like {
        escape: Some('\\'),
        ignore_case: false,
    };

    #[test]
    fn like_matches_as_postgres_does() {
        let table = [
            ("", "", true),
            ("", "a", false),
            ("%", "", true),
            ("%", "anything", true),
            ("a%", "abc", true),
            ("a%", "bac", false),
            ("%c", "abc", true),
            ("%b%", "abc", true),
            ("a_c", "abc", true),
            ("a_c", "abbc", false),
            ("a_c", "aéc", true),
            ("%a%a%", "banana", true),
            ("%ab%ab", "abab", true),
            ("%ab%ab", "ab", false),
            ("100\\%", "100%", true),
            ("100\\%", "1000", false),
            ("\\\\", "\\", true),
            ("_", "", false),
            ("%_", "", false),
            ("%_%_%", "ab", true),
            ("a%b%c", "aXbYbZc", true),
        ];
        for (pattern, text, expected) in table {
            assert_eq!(
                Pattern::new(LIKE, pattern).unwrap().matches(text),
                expected,
                "{text} LIKE {pattern}"
            );
        }
        assert_eq!(
            Pattern::new(LIKE, "oops\\").unwrap_err().state,
            SqlState::InvalidEscapeSequence
        );
        let ilike = PatternKind::Like {
            escape: None,
            ignore_case: true,
        };
        assert!(Pattern::new(ilike, "ÄB\\%").unwrap().matches("äb\\xyz"));
    }

    proptest! {
        #[test]
        fn like_is_the_regular_expression_it_means(pattern in "[ab%_]{0,8}", text in "[ab]{0,10}") {
            let meaning = format!("(?s)^{}$", pattern.replace('%', ".*").replace('_', "."));
            let expected = Regex::new(&meaning).unwrap().is_match(&text);
            prop_assert_eq!(Pattern::new(LIKE, &pattern).unwrap().matches(&text), expected);
        }
    }
}
