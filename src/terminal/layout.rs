//! Which form suits a view, and the screen around it: a title, then the body.
//!
//! The form follows from the columns alone, so that a query of one's own that looks like a top 10 is shown as one.

use std::borrow::Cow;
use std::time::Duration;

use super::line::{Ink, Line};
use super::live::{Link, Live, Mark};
use super::text::{self, Align};
use super::{chart, counter, feed, ranking, table};
use crate::core::frame::{Column, Row};

/// Below this many lines a blank one under the title would cost a row of the view.
const ROWS_FOR_A_BLANK_LINE: usize = 8;

/// However little room there is, so much of the title stays.
const TITLE_COLUMNS_MIN: usize = 8;

/// The columns of minutes and what happened in them.
const MINUTES_COLUMNS: [&str; 3] = ["minute", "edits", "by_bots"];

/// The form that suits a view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One number.
    Counter,
    /// Names, each with a number: bars.
    Ranking,
    /// Minutes and what happened in them: a chart.
    Minutes,
    /// Changes, newest first.
    Feed,
    /// Anything else.
    Table,
}

/// The size of the terminal, or of the part that may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Its width.
    pub columns: usize,
    /// Its height, in lines.
    pub rows: usize,
}

/// What a body is drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body<'a> {
    pub(super) live: &'a Live,
    /// The view's rows, in its order.
    pub(super) rows: &'a [Row],
    pub(super) size: Size,
    pub(super) now: Duration,
}

impl Layout {
    /// The form that suits these columns.
    pub fn of(columns: &[Column]) -> Self {
        let named = |name: &str| columns.iter().any(|column| column.name == name);
        match columns {
            [only] if is_integer(only) => Layout::Counter,
            [minute, edits, by_bots]
                if [minute, edits, by_bots].map(|column| column.name.as_str())
                    == MINUTES_COLUMNS
                    && is_integer(edits)
                    && is_integer(by_bots) =>
            {
                Layout::Minutes
            }
            [names @ .., last]
                if !names.is_empty()
                    && is_integer(last)
                    && names.iter().all(|column| column.ty == "text") =>
            {
                Layout::Ranking
            }
            _ if ["dt", "wiki", "title", "user", "type"]
                .into_iter()
                .all(named) =>
            {
                Layout::Feed
            }
            _ => Layout::Table,
        }
    }

    /// What makes a row the same row before and after a change, as COPY text.
    pub(super) fn key(self, row: &Row) -> &[u8] {
        let text = row.as_copy_text();
        match (self, text.iter().rposition(|byte| *byte == b'\t')) {
            (Layout::Ranking, Some(end)) => &text[..end],
            (Layout::Counter, _) => &[],
            _ => text,
        }
    }

    /// The number that a row carries, in the forms that have one.
    pub fn number(self, row: &Row) -> Option<i64> {
        match self {
            Layout::Counter | Layout::Ranking => row.columns().last()??.parse().ok(),
            Layout::Minutes | Layout::Feed | Layout::Table => None,
        }
    }
}

pub(super) fn is_integer(column: &Column) -> bool {
    matches!(column.ty.as_str(), "bigint" | "integer" | "smallint")
}

/// A mark, as it stands before what changed.
pub(super) fn marked(line: Line, mark: Option<Mark>) -> Line {
    let (ink, sign) = match mark {
        None => (Ink::Plain, " "),
        Some(Mark::Came) => (Ink::Grew, "•"),
        Some(Mark::Grew) => (Ink::Grew, "▲"),
        Some(Mark::Fell) => (Ink::Fell, "▼"),
    };
    line.cell(ink, sign, 1, Align::Left)
}

/// The ink of what changed.
pub(super) fn mark_ink(mark: Option<Mark>, otherwise: Ink) -> Ink {
    match mark {
        None => otherwise,
        Some(Mark::Came | Mark::Grew) => Ink::Grew,
        Some(Mark::Fell) => Ink::Fell,
    }
}

/// A row's columns as text; NULL is empty.
pub(super) fn cells(row: &Row) -> Vec<Cow<'_, str>> {
    row.columns().map(Option::unwrap_or_default).collect()
}

/// The last line of a body that does not show everything.
pub(super) fn more(hidden: usize, columns: usize) -> Line {
    let number = text::grouped(&hidden.to_string()).unwrap_or_default();
    Line::new().text(Ink::Quiet, &format!("… and {number} more"), columns)
}

/// Draws the whole screen: at most `size.rows` lines, none wider than `size.columns`.
///
/// `rows` are the view's rows in its order.
pub fn draw(live: &Live, rows: &[Row], size: Size, now: Duration) -> Vec<Line> {
    let mut lines = vec![title(live, size.columns, now)];
    if size.rows >= ROWS_FOR_A_BLANK_LINE {
        lines.push(Line::new());
    }
    let left = Size {
        columns: size.columns,
        rows: size.rows.saturating_sub(lines.len()),
    };
    let body = Body {
        live,
        rows,
        size: left,
        now,
    };
    if left.rows > 0 {
        lines.extend(draw_body(body));
    }
    lines.truncate(size.rows.max(1));
    // In a terminal of a few columns no form fits.
    lines
        .into_iter()
        .map(|line| line.clipped(size.columns))
        .collect()
}

fn draw_body(body: Body<'_>) -> Vec<Line> {
    if body.rows.is_empty() {
        let words = if body.live.has_snapshot() {
            "no rows yet"
        } else {
            ""
        };
        return vec![Line::new().text(Ink::Quiet, words, body.size.columns)];
    }
    match body.live.layout {
        Layout::Counter => counter::draw(body),
        Layout::Ranking => ranking::draw(body),
        Layout::Minutes => chart::draw(body),
        Layout::Feed => feed::draw(body),
        Layout::Table => table::draw(body),
    }
}

/// The view, how fast it changes and the engine's time; or what is wrong, which is worth more than these.
fn title(live: &Live, columns: usize, now: Duration) -> Line {
    if let Link::Lost { reason, retry_at } = &live.link {
        let wait = retry_at.saturating_sub(now).as_secs_f64().ceil();
        let words = format!("  reconnecting in {wait} s: {reason}");
        let line = Line::new().text(
            Ink::Strong,
            &live.title,
            (columns / 3).max(TITLE_COLUMNS_MIN).min(columns),
        );
        let room = columns.saturating_sub(line.width());
        return line.text(Ink::Warning, &words, room);
    }
    let right = [
        format!("{}  {}", rate(live, now), clock(live)),
        rate(live, now),
    ];
    let right = right.iter().map(|right| right.trim()).find(|right| {
        let needs = TITLE_COLUMNS_MIN.max(text::width(&live.title).min(columns / 2));
        needs + 2 + right.len() <= columns
    });
    let right = right.unwrap_or_default();
    let room = columns - right.len();
    let line = Line::new().text(Ink::Strong, &live.title, room.saturating_sub(2).max(1));
    let room = room.saturating_sub(line.width());
    let summary = format!("  {}", live.summary);
    let summary = if text::width(&summary) + 2 <= room {
        summary.as_str()
    } else {
        ""
    };
    line.cell(Ink::Quiet, summary, room, Align::Left)
        .text(Ink::Quiet, right, columns)
}

fn rate(live: &Live, now: Duration) -> String {
    let unit = match live.layout {
        Layout::Counter => "",
        _ => " updates",
    };
    match (&live.link, live.pace.rate(now)) {
        (Link::Connecting, _) => "connecting".into(),
        (_, None) => String::new(),
        (_, Some(rate)) => format!("{rate:.1}{unit}/s"),
    }
}

/// The engine's time of day, in UTC, which means the same everywhere.
fn clock(live: &Live) -> String {
    let Some(timestamp_ms) = live.timestamp_ms else {
        return String::new();
    };
    let seconds = timestamp_ms / 1_000 % 86_400;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02} UTC", seconds % 60)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::core::frame::Frame;

    fn columns(types: &[&str]) -> Vec<Column> {
        let named = [
            "minute", "edits", "by_bots", "dt", "wiki", "title", "user", "type",
        ];
        let column = |(at, ty): (usize, &&str)| Column {
            name: named[at % named.len()].into(),
            ty: (*ty).into(),
        };
        types.iter().enumerate().map(column).collect()
    }

    #[test]
    fn the_form_follows_from_the_columns() {
        let table: [(&[&str], Layout); 5] = [
            (&["bigint"], Layout::Counter),
            (&["text"], Layout::Table),
            (
                &["timestamp with time zone", "bigint", "bigint"],
                Layout::Minutes,
            ),
            (&["text", "text", "bigint"], Layout::Ranking),
            (&["boolean", "bigint"], Layout::Table),
        ];
        for (types, layout) in table {
            assert_eq!(Layout::of(&columns(types)), layout, "{types:?}");
        }
    }

    proptest! {
        /// Whatever an engine sends, and however small the terminal: nothing panics, nothing is too wide or too high.
        #[test]
        fn any_rows_fit_any_terminal(
            types in prop::collection::vec(prop::sample::select(vec!["text", "bigint", "boolean", "timestamp with time zone"]), 1..9),
            cells in prop::collection::vec(prop::option::of("(-?[0-9]{1,22}|-009999-01-01 00:00:00\\+00|2026-11-22 1[0-9]:00:00\\+00|\\PC{0,30})"), 0..60),
            width in 1usize..90,
            height in 1usize..30,
        ) {
            let columns: Arc<[Column]> = columns(&types).into();
            let rows: Vec<Row> = cells
                .chunks_exact(columns.len())
                .map(|cells| {
                    let mut line = Vec::new();
                    for (at, cell) in cells.iter().enumerate() {
                        line.extend((at > 0).then_some(b'\t'));
                        crate::copy_text::encode_column(&mut line, cell.as_deref());
                    }
                    Row::from_copy_text(Bytes::from(line)).unwrap()
                })
                .collect();
            let now = Duration::from_secs(5);
            let mut live = Live::new("a view", "what it means");
            live.opened(columns);
            let frame = |deleted: &[Row], inserted: &[Row]| Frame {
                timestamp_ms: 1,
                deleted: deleted.to_vec(),
                inserted: inserted.to_vec(),
            };
            live.frame(&frame(&[], &[]), Duration::ZERO);
            live.frame(&frame(&rows[..rows.len() / 2], &rows), now);
            let size = Size { columns: width, rows: height };
            let lines = draw(&live, &rows, size, now);
            prop_assert!(lines.len() <= height);
            for line in &lines {
                prop_assert!(line.width() <= width, "{:?}", line.plain());
            }
            live.lost("no reason".into(), Duration::from_secs(3), now);
            prop_assert!(draw(&live, &rows, size, now).iter().all(|line| line.width() <= width));
        }
    }
}
