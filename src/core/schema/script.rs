//! SQL scripts that define relations: cut into statements, and each statement into its parts, pure.
//!
//! It reads just enough to know where a statement ends, what it makes and under which name; what a query means is the engine's
//! business.

use super::{Definition, Kind};

/// Why a script cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// A quote or a comment that does not end.
    #[error("line {line}: {what} is not closed")]
    Unclosed {
        /// Where it begins, from 1.
        line: usize,
        /// What.
        what: &'static str,
    },
    /// A statement that makes no view.
    #[error("line {line}: not of the form CREATE [MATERIALIZED] VIEW name AS query: {statement:?}")]
    NoView {
        /// Where it begins, from 1.
        line: usize,
        /// How it begins.
        statement: String,
    },
}

/// The definitions of a script, in its order.
///
/// # Errors
/// See [`ScriptError`].
pub fn definitions(script: &str) -> Result<Vec<Definition>, ScriptError> {
    read(script, |_| true)
}

/// The same for a script of views and nothing else.
///
/// # Errors
/// See [`ScriptError`].
pub fn views(script: &str) -> Result<Vec<Definition>, ScriptError> {
    read(script, |kind| kind != Kind::Table)
}

fn read(script: &str, is_allowed: fn(Kind) -> bool) -> Result<Vec<Definition>, ScriptError> {
    let mut definitions = Vec::new();
    for (line, statement) in statements(script)? {
        let definition = definition(statement).filter(|definition| is_allowed(definition.kind));
        definitions.push(definition.ok_or_else(|| ScriptError::NoView {
            line,
            statement: statement.lines().next().unwrap_or_default().to_owned(),
        })?);
    }
    Ok(definitions)
}

/// The statements with the lines they begin on, without the comments between them and without their semicolons.
fn statements(script: &str) -> Result<Vec<(usize, &str)>, ScriptError> {
    let mut statements = Vec::new();
    let mut start = None;
    let mut at = 0;
    while at < script.len() {
        let rest = &script[at..];
        let (kind, length) = token(rest).map_err(|what| ScriptError::Unclosed {
            line: line_of(script, at),
            what,
        })?;
        match kind {
            Token::End => {
                statements.extend(start.take().map(|start| (start, at)));
            }
            Token::Blank => {}
            Token::Text => start = start.or(Some(at)),
        }
        at += length;
    }
    statements.extend(start.map(|start| (start, script.len())));
    Ok(statements
        .into_iter()
        .map(|(start, end)| (line_of(script, start), script[start..end].trim_end()))
        .collect())
}

fn line_of(script: &str, at: usize) -> usize {
    script[..at].matches('\n').count() + 1
}

enum Token {
    /// Spaces and comments.
    Blank,
    /// A semicolon.
    End,
    /// Anything else.
    Text,
}

/// The token at the start of `rest` and its length; the error says what is not closed.
fn token(rest: &str) -> Result<(Token, usize), &'static str> {
    let first = rest.chars().next().map_or(0, char::len_utf8);
    if rest.starts_with("--") {
        return Ok((Token::Blank, rest.find('\n').unwrap_or(rest.len())));
    }
    if rest.starts_with("/*") {
        return Ok((Token::Blank, rest.find("*/").ok_or("a comment")? + 2));
    }
    match rest.as_bytes().first() {
        Some(b';') => Ok((Token::End, 1)),
        // A doubled quote ends one token and begins the next: the text between statements is the same.
        Some(b'\'') => Ok((Token::Text, rest[1..].find('\'').ok_or("a string")? + 2)),
        Some(b'"') => Ok((Token::Text, rest[1..].find('"').ok_or("an identifier")? + 2)),
        _ if rest.starts_with(char::is_whitespace) => Ok((Token::Blank, first)),
        _ => Ok((Token::Text, first)),
    }
}

fn definition(statement: &str) -> Option<Definition> {
    let rest = keyword(statement, "CREATE")?;
    if let Some(rest) = keyword(rest, "TABLE") {
        let (name, columns) = name(rest)?;
        return Some(Definition {
            name,
            kind: Kind::Table,
            body: columns.to_owned(),
        });
    }
    let (kind, rest) = match keyword(rest, "MATERIALIZED") {
        Some(rest) => (Kind::MaterializedView, rest),
        None => (Kind::View, rest),
    };
    let (name, rest) = name(keyword(rest, "VIEW")?)?;
    let query = keyword(rest, "AS")?;
    Some(Definition {
        name,
        kind,
        body: query.to_owned(),
    })
}

/// What follows the keyword, if `text` begins with it.
fn keyword<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (word, rest) = text.split_once(char::is_whitespace)?;
    word.eq_ignore_ascii_case(keyword)
        .then(|| rest.trim_start())
}

/// The identifier at the start of `text`, folded as SQL folds it, and what follows.
fn name(text: &str) -> Option<(String, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (name, rest) = quoted.split_once('"')?;
        return (!name.is_empty() && !rest.starts_with('"'))
            .then(|| (name.to_owned(), rest.trim_start()));
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    let (name, rest) = text.split_at(end);
    (!name.is_empty()).then(|| (name.to_lowercase(), rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_cut_at_its_own_semicolons() {
        let script = "-- one; not a statement\nCREATE VIEW A AS SELECT ';' AS \"a;b\" -- ;\n  FROM t;\n\n/* ; */ create materialized view \"Bé\" as\nSELECT 'it''s;';";
        let definitions = definitions(script).unwrap();
        assert_eq!(
            definitions,
            [
                Definition {
                    name: "a".to_owned(),
                    kind: Kind::View,
                    body: "SELECT ';' AS \"a;b\" -- ;\n  FROM t".to_owned(),
                },
                Definition {
                    name: "Bé".to_owned(),
                    kind: Kind::MaterializedView,
                    body: "SELECT 'it''s;'".to_owned(),
                },
            ]
        );
    }

    #[test]
    fn what_is_no_view_is_refused_with_its_line() {
        let table = [
            ("\nDROP TABLE x;", "line 2: not of the form"),
            ("CREATE TABLE x (a int)", "line 1: not of the form"),
            ("CREATE VIEW a.b AS SELECT 1", "line 1: not of the form"),
            ("CREATE VIEW v (a) AS SELECT 1", "line 1: not of the form"),
            ("SELECT 1;\nSELECT 'a", "line 2: a string is not closed"),
            ("/* x", "line 1: a comment is not closed"),
        ];
        for (script, message) in table {
            let error = views(script).unwrap_err().to_string();
            assert!(error.starts_with(message), "{script:?}: {error}");
        }
        assert_eq!(definitions(" -- nothing\n;;"), Ok(Vec::new()));
    }

    proptest::proptest! {
        #[test]
        fn no_script_makes_it_panic(script in "(CREATE |VIEW |AS |[a-zé;'\" \n/*-]){0,12}") {
            let _ = definitions(&script);
        }
    }
}
