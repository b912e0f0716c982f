//! The dialects that engines speak, in one place: which one an engine speaks is asked for, never guessed from an error.
//!
//! Everything here is text; nothing is sent.

/// What kind of engine is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// The engine inside `wikitop serve`.
    Embedded,
    /// A current Materialize: `SUBSCRIBE`, tables, clusters.
    Subscribe,
    /// Materialize up to 0.26: `TAIL`, file sources.
    Tail,
}

/// What a subscription follows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// A view, a table or a source, by its name as it is written without quotes.
    View(String),
    /// A query, subscribed to as it is.
    Query(String),
}

impl Dialect {
    /// The dialect of an engine whose `mz_version()` answers `version`; `None` when no known engine says that.
    ///
    /// The embedded engine says `wikitop 0.1.0 (embedded)`, Materialize `v26.19.0 (885be5c46)` or `v0.26.6 (5ad960ec7)`.
    /// `TAIL` became `SUBSCRIBE` after the 0.26 line.
    pub fn of_version(version: &str) -> Option<Self> {
        if version.starts_with("wikitop ") {
            return Some(Dialect::Embedded);
        }
        let mut parts = version.strip_prefix('v')?.split('.');
        let major: u32 = parts.next()?.parse().ok()?;
        let minor: u32 = parts.next()?.parse().ok()?;
        Some(if major == 0 && minor <= 26 {
            Dialect::Tail
        } else {
            Dialect::Subscribe
        })
    }

    /// The name that `--dialect` and messages use.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::Embedded => "embedded",
            Dialect::Subscribe => "materialize",
            Dialect::Tail => "materialize-0.26",
        }
    }

    /// The statement that streams the changes of `target`, snapshot first and with progress.
    ///
    /// It is a COPY because then no engine buffers rows and none describes them first.
    pub fn subscribe(self, target: &Target) -> String {
        let verb = match self {
            Dialect::Embedded | Dialect::Subscribe => "SUBSCRIBE",
            Dialect::Tail => "TAIL",
        };
        let source = match target {
            Target::View(name) => quote_identifier(name),
            Target::Query(query) => format!("({})", query_text(query)),
        };
        format!("COPY ({verb} {source} WITH (PROGRESS)) TO STDOUT")
    }

    /// The statement whose description gives the columns of `target`; it is prepared, never run.
    pub fn describe(self, target: &Target) -> String {
        match target {
            Target::View(name) => format!("SELECT * FROM {}", quote_identifier(name)),
            Target::Query(query) => query_text(query).to_owned(),
        }
    }
}

/// A query without what may end a statement, since it is going to stand in parentheses.
fn query_text(query: &str) -> &str {
    query
        .trim()
        .trim_end_matches(|c: char| c == ';' || c.is_whitespace())
}

/// An identifier as SQL text, whatever it contains.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string as a SQL literal, whatever it contains (`standard_conforming_strings` is always on in these engines).
pub fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_decides() {
        let table = [
            ("wikitop 0.1.0 (embedded)", Some(Dialect::Embedded)),
            ("v26.19.0-dev.0 (885be5c46)", Some(Dialect::Subscribe)),
            ("v0.28.0 (abc)", Some(Dialect::Subscribe)),
            ("v1.0.0", Some(Dialect::Subscribe)),
            ("v0.26.6 (5ad960ec7)", Some(Dialect::Tail)),
            ("v0.7.3 (abc)", Some(Dialect::Tail)),
            ("PostgreSQL 16.2", None),
            ("v", None),
            ("", None),
        ];
        for (version, dialect) in table {
            assert_eq!(Dialect::of_version(version), dialect, "{version:?}");
        }
    }

    #[test]
    fn a_view_is_an_identifier_and_a_query_stays_as_it_is() {
        let view = Target::View("we\"ird; DROP".to_owned());
        assert_eq!(
            Dialect::Tail.subscribe(&view),
            r#"COPY (TAIL "we""ird; DROP" WITH (PROGRESS)) TO STDOUT"#
        );
        let query = Target::Query(" SELECT 1 ; ".to_owned());
        assert_eq!(
            Dialect::Subscribe.subscribe(&query),
            "COPY (SUBSCRIBE (SELECT 1) WITH (PROGRESS)) TO STDOUT"
        );
        assert_eq!(Dialect::Embedded.describe(&query), "SELECT 1");
        assert_eq!(quote_literal("it's"), "'it''s'");
    }
}
