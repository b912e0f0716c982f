//! Changes, newest first: time, wiki, title, user, and what it did to the page's length.

use std::borrow::Cow;

use super::layout::{Body, marked};
use super::line::{Ink, Line};
use super::text::{self, Align};
use crate::core::frame::{Column, Row};

/// From this width on there is room for the wiki and the seconds.
const COLUMNS_WIDE: usize = 64;

const WIKI_COLUMNS: usize = 12;
const DELTA_COLUMNS: usize = 10;

/// The columns of a change that the feed shows.
struct Change<'a> {
    dt: Cow<'a, str>,
    wiki: Cow<'a, str>,
    title: Cow<'a, str>,
    user: Cow<'a, str>,
    ty: Cow<'a, str>,
    bot: bool,
    delta: Option<i64>,
}

impl<'a> Change<'a> {
    fn of(row: &'a Row, columns: &[Column]) -> Self {
        let mut change = Change {
            dt: Cow::Borrowed(""),
            wiki: Cow::Borrowed(""),
            title: Cow::Borrowed(""),
            user: Cow::Borrowed(""),
            ty: Cow::Borrowed(""),
            bot: false,
            delta: None,
        };
        let (mut old, mut new) = (None, None);
        for (column, value) in columns.iter().zip(row.columns()) {
            let Some(value) = value else { continue };
            match column.name.as_str() {
                "dt" => change.dt = value,
                "wiki" => change.wiki = value,
                "title" => change.title = value,
                "user" => change.user = value,
                "type" => change.ty = value,
                "bot" => change.bot = value == "t",
                "length_old" => old = value.parse::<i64>().ok(),
                "length_new" => new = value.parse::<i64>().ok(),
                _ => {}
            }
        }
        // A new page has no old length.
        change.delta = new.map(|new| new.saturating_sub(old.unwrap_or(0)));
        change
    }
}

pub(super) fn draw(body: Body<'_>) -> Vec<Line> {
    body.rows
        .iter()
        .take(body.size.rows)
        .map(|row| {
            let change = Change::of(row, &body.live.columns);
            let line = marked(Line::new(), body.live.mark_of(row, body.now)).gap(1);
            draw_change(line, &change, body.size.columns)
        })
        .collect()
}

fn draw_change(line: Line, change: &Change<'_>, columns: usize) -> Line {
    let wide = columns >= COLUMNS_WIDE;
    // `2026-08-04 12:03:45.678+00`: the time of day, to the second where there is room.
    let clock = change
        .dt
        .get(11..if wide { 19 } else { 16 })
        .unwrap_or_default();
    let mut line = line
        .cell(Ink::Quiet, clock, if wide { 8 } else { 5 }, Align::Left)
        .gap(1);
    if wide {
        line = line
            .cell(Ink::Quiet, &change.wiki, WIKI_COLUMNS, Align::Left)
            .gap(1);
    }
    let room = columns.saturating_sub(line.width() + DELTA_COLUMNS + 2);
    let title = room * 3 / 5;
    let user_ink = if change.bot { Ink::Quiet } else { Ink::Plain };
    let (ink, effect) = effect(change);
    line.cell(Ink::Strong, &change.title, title, Align::Left)
        .gap(1)
        .cell(user_ink, &change.user, room - title, Align::Left)
        .gap(1)
        .cell(ink, &effect, DELTA_COLUMNS.min(columns), Align::Right)
}

/// What a change did, as Wikipedia's own list of recent changes writes it: N for a new page, b for a bot, and the difference in
/// bytes; for what is no edit, what it is.
fn effect(change: &Change<'_>) -> (Ink, String) {
    let flags = match (change.ty.as_ref(), change.bot) {
        ("edit", false) => "",
        ("edit", true) => "b ",
        ("new", false) => "N ",
        ("new", true) => "Nb ",
        (other, _) => return (Ink::Quiet, other.into()),
    };
    let Some(delta) = change.delta else {
        return (Ink::Quiet, flags.trim_end().into());
    };
    let number = text::grouped(&delta.to_string()).unwrap_or_default();
    match delta {
        0 => (Ink::Quiet, format!("{flags}0")),
        1.. => (Ink::Grew, format!("{flags}+{number}")),
        _ => (Ink::Fell, format!("{flags}{number}")),
    }
}
