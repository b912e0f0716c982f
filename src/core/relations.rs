//! What an engine has that can be followed, and which of it somebody may have meant.
//!
//! Views are what people look at; the tables and sources below them can be followed, too, and hold everything that ever came.

use tokio_postgres::SimpleQueryMessage;

use super::catalog::{self, KNOWN_VIEWS};
use super::connection::Connection;
use super::dialect::Dialect;

/// The names of the views: the known ones first, in their order, then the user's own.
///
/// # Errors
/// The connection is lost.
pub async fn views(connection: &Connection) -> Result<Vec<String>, tokio_postgres::Error> {
    let names = shown(connection, views_shown_by(connection.dialect)).await?;
    Ok(in_order(names))
}

/// The same with the tables and sources that they stand on.
///
/// # Errors
/// The connection is lost.
pub async fn list(connection: &Connection) -> Result<Vec<String>, tokio_postgres::Error> {
    let below: &[&str] = match connection.dialect {
        Dialect::Embedded => &[],
        Dialect::Tail => &["SHOW SOURCES"],
        Dialect::Subscribe => &["SHOW TABLES", "SHOW SOURCES"],
    };
    let mut names = shown(connection, views_shown_by(connection.dialect)).await?;
    names.extend(shown(connection, below).await?);
    Ok(in_order(names))
}

/// A current Materialize lists materialized views and plain ones apart; the others know one kind.
fn views_shown_by(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Embedded | Dialect::Tail => &["SHOW VIEWS"],
        Dialect::Subscribe => &["SHOW MATERIALIZED VIEWS", "SHOW VIEWS"],
    }
}

async fn shown(
    connection: &Connection,
    questions: &[&str],
) -> Result<Vec<String>, tokio_postgres::Error> {
    let mut names = Vec::new();
    for question in questions {
        for message in connection.client.simple_query(question).await? {
            // Every SHOW begins with the name; what follows differs between engines.
            if let SimpleQueryMessage::Row(row) = message {
                names.extend(row.try_get(0).ok().flatten().map(String::from));
            }
        }
    }
    Ok(names)
}

fn in_order(mut names: Vec<String>) -> Vec<String> {
    names.sort_by_cached_key(|name| {
        let known = KNOWN_VIEWS.iter().position(|view| view.name == name);
        (known.unwrap_or(usize::MAX), name.clone())
    });
    names.dedup();
    names
}

/// The names that somebody who wrote `wanted` may have meant, the likeliest first, at most three.
pub fn closest<'a>(wanted: &str, names: &'a [String]) -> Vec<&'a str> {
    let wanted = catalog::canonical(wanted).to_lowercase();
    // A slip of one letter in three is still a slip.
    let slips_max = (wanted.chars().count() / 3).max(1);
    let mut near: Vec<(usize, &str)> = names
        .iter()
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let slips = slips(&wanted, &lower);
            let part = wanted.len() >= 3 && (lower.contains(&wanted) || wanted.contains(&lower));
            (slips <= slips_max || part).then_some((slips, name.as_str()))
        })
        .collect();
    near.sort();
    near.into_iter().map(|(_, name)| name).take(3).collect()
}

/// How many letters must be inserted, left out or replaced to make one word of the other (Levenshtein).
fn slips(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (at, letter) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (other, found) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *found);
            diagonal = row[other + 1];
            row[other + 1] = replaced.min(row[other] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_view_that_was_meant() {
        let names: Vec<String> = KNOWN_VIEWS.iter().map(|view| view.name.into()).collect();
        let table: [(&str, &[&str]); 6] = [
            ("top1o", &["top10"]),
            ("TOP10", &["top10", "top10_1h", "top10_humans_1h"]),
            ("conter", &["counter"]),
            ("pages", &["top_pages_1h"]),
            ("user_edit", &["user_edits"]),
            ("nothing_like_it", &[]),
        ];
        for (wanted, expected) in table {
            assert_eq!(closest(wanted, &names), expected, "{wanted}");
        }
    }

    #[test]
    fn slips_are_counted() {
        let table = [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)];
        for (left, right, expected) in table {
            assert_eq!(slips(left, right), expected);
            assert_eq!(slips(right, left), expected);
        }
    }
}
