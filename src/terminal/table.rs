//! Any rows, as a table: as wide as its contents where there is room, and cut fairly where there is not.

use std::borrow::Cow;

use super::layout::{Body, is_integer, marked, more};
use super::line::{Ink, Line};
use super::text::{self, Align};
use crate::core::frame::{Column, Row};

/// A column that has to be cut keeps at least this much, before columns at the right are left out altogether.
const COLUMN_MIN: usize = 4;

const GAP: usize = 2;

pub(super) fn draw(body: Body<'_>) -> Vec<Line> {
    let columns = &body.live.columns;
    let room = body.size.rows.saturating_sub(1);
    let shown = if body.rows.len() <= room {
        body.rows.len()
    } else {
        room.saturating_sub(1)
    };
    let rows: Vec<_> = body.rows.iter().take(shown).collect();
    // The mark and the blank after it.
    let widths = widths(columns, &rows, body.size.columns.saturating_sub(2));
    let mut lines = vec![header(columns, &widths, marked(Line::new(), None).gap(1))];
    for row in rows {
        let mark = body.live.mark_of(row, body.now);
        lines.push(line(
            columns,
            row,
            &widths,
            marked(Line::new(), mark).gap(1),
        ));
    }
    if body.rows.len() > shown {
        lines.push(more(body.rows.len() - shown, body.size.columns));
    }
    lines
}

/// A table for a pipe: nothing is cut, nothing is marked.
pub fn plain(columns: &[Column], rows: &[Row]) -> String {
    let rows: Vec<_> = rows.iter().collect();
    let widths = widths(columns, &rows, usize::MAX);
    let mut out = header(columns, &widths, Line::new()).plain() + "\n";
    for row in rows {
        out += &line(columns, row, &widths, Line::new()).plain();
        out.push('\n');
    }
    out
}

fn header(columns: &[Column], widths: &[usize], start: Line) -> Line {
    let names = columns
        .iter()
        .map(|column| Cow::Borrowed(column.name.as_str()));
    cells(columns, names, widths, start, Ink::Quiet)
}

fn line(columns: &[Column], row: &Row, widths: &[usize], start: Line) -> Line {
    cells(
        columns,
        row.columns().map(|cell| shown(cell)),
        widths,
        start,
        Ink::Plain,
    )
}

fn cells<'a>(
    columns: &[Column],
    texts: impl Iterator<Item = Cow<'a, str>>,
    widths: &[usize],
    start: Line,
    ink: Ink,
) -> Line {
    let mut line = start;
    for (at, ((column, text), width)) in columns.iter().zip(texts).zip(widths).enumerate() {
        if at > 0 {
            line = line.gap(GAP);
        }
        let align = if is_integer(column) {
            Align::Right
        } else {
            Align::Left
        };
        line = line.cell(ink, &text, *width, align);
    }
    line
}

/// NULL is told from the empty text.
fn shown(cell: Option<Cow<'_, str>>) -> Cow<'_, str> {
    cell.unwrap_or(Cow::Borrowed("∅"))
}

/// The width of each column that is shown: what it needs, or what is left when the needy share the room evenly.
fn widths(columns: &[Column], rows: &[&Row], room: usize) -> Vec<usize> {
    let mut needs: Vec<usize> = columns
        .iter()
        .map(|column| width_of(&column.name))
        .collect();
    for row in rows {
        for (need, cell) in needs.iter_mut().zip(row.columns()) {
            *need = (*need).max(width_of(&shown(cell)));
        }
    }
    while needs.len() > 1 && needs.len() * (COLUMN_MIN + GAP) > room.saturating_add(GAP) {
        needs.pop();
    }
    share(
        &needs,
        room.saturating_sub(GAP * needs.len().saturating_sub(1)),
    )
}

fn width_of(text: &str) -> usize {
    text::width(&text::harmless(text))
}

/// Gives each what it needs, up to the one limit at which all together fit.
fn share(needs: &[usize], room: usize) -> Vec<usize> {
    let fits = |limit: usize| {
        needs
            .iter()
            .map(|need| (*need).min(limit))
            .fold(0, usize::saturating_add)
            <= room
    };
    let widest = needs.iter().copied().max().unwrap_or(0);
    let mut limit = widest;
    if !fits(limit) {
        // The largest limit that fits, by halving: it fits below, it does not above.
        let (mut below, mut above) = (0, widest);
        while below + 1 < above {
            let middle = (below + above) / 2;
            if fits(middle) {
                below = middle
            } else {
                above = middle
            }
        }
        limit = below;
    }
    needs.iter().map(|need| (*need).min(limit)).collect()
}
