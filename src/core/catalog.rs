//! The views that wikitop knows: their names, and the order in which people read their rows.
//!
//! A diff stream has no order and neither has a state; the order is that of the view's own `ORDER BY`. A view that is not known is
//! ordered by all its columns. Adding a view: one entry in `assets/views.sql`, one here.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::frame::{Column, Row, State};

/// One known view.
#[derive(Debug)]
pub struct KnownView {
    /// Its name.
    pub name: &'static str,
    /// Other names it answers to.
    pub aliases: &'static [&'static str],
    /// What it shows, as half a sentence.
    pub summary: &'static str,
    /// The columns that its rows are read by, in this order; what they leave open, all columns decide.
    pub order: &'static [(&'static str, Direction)],
}

/// Which end comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The least.
    Ascending,
    /// The greatest.
    Descending,
}

use Direction::{Ascending, Descending};

/// The known views, in the order in which they are listed.
pub const KNOWN_VIEWS: &[KnownView] = &[
    KnownView {
        name: "counter",
        aliases: &[],
        summary: "edits ever observed",
        order: &[],
    },
    KnownView {
        name: "top10",
        aliases: &[],
        summary: "the ten users with most edits",
        order: &[("count", Descending), ("user", Ascending)],
    },
    KnownView {
        name: "top10_1h",
        aliases: &[],
        summary: "the ten users with most edits of the last hour",
        order: &[("count", Descending), ("user", Ascending)],
    },
    KnownView {
        name: "top10_humans_1h",
        aliases: &[],
        summary: "the same without bots",
        order: &[("count", Descending), ("user", Ascending)],
    },
    KnownView {
        name: "top_pages_1h",
        aliases: &[],
        summary: "the 20 most edited pages of the last hour",
        order: &[
            ("count", Descending),
            ("wiki", Ascending),
            ("title", Ascending),
        ],
    },
    KnownView {
        name: "top_wikis_1h",
        aliases: &[],
        summary: "the 20 busiest wikis of the last hour",
        order: &[("count", Descending), ("wiki", Ascending)],
    },
    KnownView {
        name: "edits_per_minute",
        aliases: &[],
        summary: "edits of the last 60 minutes, minute by minute",
        order: &[("minute", Ascending)],
    },
    KnownView {
        name: "changes_by_type",
        aliases: &[],
        summary: "every kind of change ever observed",
        order: &[("count", Descending), ("type", Ascending)],
    },
    KnownView {
        name: "latest",
        aliases: &[],
        summary: "the 20 newest changes",
        order: &[("dt", Descending)],
    },
    KnownView {
        name: "user_edits",
        aliases: &["useredits"],
        summary: "edits ever observed, by user",
        order: &[("count", Descending), ("user", Ascending)],
    },
    KnownView {
        name: "recentchanges",
        aliases: &[],
        summary: "the changes themselves, as far back as the engine keeps them",
        order: &[("dt", Descending)],
    },
];

/// The known view that answers to `name`.
pub fn find(name: &str) -> Option<&'static KnownView> {
    KNOWN_VIEWS
        .iter()
        .find(|view| view.name == name || view.aliases.contains(&name))
}

/// The name under which engines know the view: that of a known one, or `name` itself.
pub fn canonical(name: &str) -> &str {
    find(name).map_or(name, |view| view.name)
}

/// The rows of a state in the order in which people read them; a row that is there several times stands there several times.
pub fn rank(view: Option<&KnownView>, columns: &[Column], state: &State) -> Vec<Row> {
    let order = key_columns(view, columns);
    let mut keyed: Vec<(Vec<Key<'_>>, &Row, u64)> = state
        .rows
        .iter()
        .map(|(row, count)| (keys(row, columns), row, count.get()))
        .collect();
    keyed.sort_unstable_by(|(left, ..), (right, ..)| compare(left, right, &order));
    keyed
        .into_iter()
        .flat_map(|(_, row, count)| std::iter::repeat_n(row.clone(), count as usize))
        .collect()
}

/// The positions to compare, with their directions: the view's own, then the others from left to right.
fn key_columns(view: Option<&KnownView>, columns: &[Column]) -> Vec<(usize, Direction)> {
    let named = view.into_iter().flat_map(|view| view.order);
    let named = named.filter_map(|(name, direction)| {
        let at = columns.iter().position(|column| column.name == *name)?;
        Some((at, *direction))
    });
    let mut order: Vec<(usize, Direction)> = named.collect();
    for at in 0..columns.len() {
        if order.iter().all(|(named, _)| *named != at) {
            order.push((at, Ascending));
        }
    }
    order
}

/// A value as its type is ordered: numbers before text that is none, and NULL last, as the greatest, like in Postgres.
#[derive(Debug)]
enum Key<'a> {
    Integer(i128),
    Number(f64),
    /// Text by its bytes; dates and times in ISO form are in order this way, too.
    Text(Cow<'a, str>),
    Null,
}

fn keys<'a>(row: &'a Row, columns: &[Column]) -> Vec<Key<'a>> {
    row.columns()
        .zip(columns)
        .map(|(value, column)| key(value, &column.ty))
        .collect()
}

fn key<'a>(value: Option<Cow<'a, str>>, ty: &str) -> Key<'a> {
    let Some(text) = value else {
        return Key::Null;
    };
    let number = match ty {
        "smallint" | "integer" | "bigint" => text.parse().ok().map(Key::Integer),
        "numeric" | "real" | "double precision" => text.parse().ok().map(Key::Number),
        _ => None,
    };
    number.unwrap_or(Key::Text(text))
}

fn compare(left: &[Key<'_>], right: &[Key<'_>], order: &[(usize, Direction)]) -> Ordering {
    order
        .iter()
        .map(|(at, direction)| {
            // After a view was replaced, rows of the old form are there until its snapshot comes.
            let [left, right] = [left, right].map(|keys| keys.get(*at).unwrap_or(&Key::Null));
            let ordering = left.compare(right);
            match direction {
                Ascending => ordering,
                Descending => ordering.reverse(),
            }
        })
        .find(|ordering| ordering.is_ne())
        .unwrap_or(Ordering::Equal)
}

impl Key<'_> {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Key::Integer(left), Key::Integer(right)) => left.cmp(right),
            (Key::Number(left), Key::Number(right)) => left.total_cmp(right),
            (Key::Text(left), Key::Text(right)) => left.cmp(right),
            _ => self.kind().cmp(&other.kind()),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Key::Integer(_) => 0,
            Key::Number(_) => 1,
            Key::Text(_) => 2,
            Key::Null => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;

    fn columns(described: &[(&str, &str)]) -> Vec<Column> {
        let column = |(name, ty): &(&str, &str)| Column {
            name: (*name).to_owned(),
            ty: (*ty).to_owned(),
        };
        described.iter().map(column).collect()
    }

    fn ranked(view: Option<&str>, described: &[(&str, &str)], rows: &[(&str, u64)]) -> Vec<String> {
        let rows = rows.iter().map(|(text, count)| {
            let row = Row::from_copy_text(Bytes::copy_from_slice(text.as_bytes())).unwrap();
            (row, NonZeroU64::new(*count).unwrap())
        });
        let state = State {
            timestamp_ms: 1,
            rows: Arc::new(rows.collect()),
        };
        rank(view.and_then(find), &columns(described), &state)
            .iter()
            .map(|row| String::from_utf8(row.as_copy_text().to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn the_ancestors_name_is_another_name_of_the_same_view() {
        assert_eq!(canonical("useredits"), "user_edits");
        assert_eq!(canonical("mine"), "mine");
        assert_eq!(find("useredits").unwrap().name, "user_edits");
    }

    #[test]
    fn top_lists_are_read_by_count_and_then_by_user() {
        let described = [("user", "text"), ("count", "bigint")];
        let rows = [
            ("Zoe\t10", 1),
            ("ann\t9", 1),
            ("Ann\t9", 1),
            ("bob\t100", 1),
        ];
        assert_eq!(
            ranked(Some("top10"), &described, &rows),
            ["bob\t100", "Zoe\t10", "Ann\t9", "ann\t9"]
        );
    }

    #[test]
    fn other_views_are_read_by_all_columns_nulls_last() {
        let described = [("n", "numeric"), ("t", "text")];
        let rows = [("10\tb", 2), ("9.5\tz", 1), ("\\N\ta", 1), ("10\ta", 1)];
        assert_eq!(
            ranked(None, &described, &rows),
            ["9.5\tz", "10\ta", "10\tb", "10\tb", "\\N\ta"]
        );
    }

    #[test]
    fn the_newest_change_comes_first() {
        let described = [("dt", "timestamp with time zone"), ("wiki", "text")];
        let rows = [
            ("2026-11-22 10:00:00+00\ta", 1),
            ("2026-11-22 10:00:00.5+00\tb", 1),
            ("2026-11-22 09:59:59.999+00\tc", 1),
        ];
        assert_eq!(
            ranked(Some("latest"), &described, &rows),
            [
                "2026-11-22 10:00:00.5+00\tb",
                "2026-11-22 10:00:00+00\ta",
                "2026-11-22 09:59:59.999+00\tc",
            ]
        );
    }

    #[test]
    fn rows_of_another_form_than_the_columns_are_no_trouble() {
        let described = [("user", "text"), ("count", "bigint")];
        let rows = [("a", 1), ("b\t1\tx", 1)];
        assert_eq!(ranked(Some("top10"), &described, &rows), ["a", "b\t1\tx"]);
    }

    #[test]
    fn every_known_name_is_there_once() {
        let mut names: Vec<&str> = KNOWN_VIEWS
            .iter()
            .flat_map(|view| view.aliases.iter().chain([&view.name]).copied())
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
