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

/// The width of each column that is shown. Numbers get what they need, since half a number is a wrong one; texts share what is
/// left; where even that is too little, columns at the right are left out.
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
    let least = |(column, need): (&Column, &usize)| match is_integer(column) {
        true => need + GAP,
        false => (*need).min(COLUMN_MIN) + GAP,
    };
    while needs.len() > 1
        && columns.iter().zip(&needs).map(least).sum::<usize>() > room.saturating_add(GAP)
    {
        needs.pop();
    }
    let gaps = GAP * needs.len().saturating_sub(1);
    let numbers: usize = columns
        .iter()
        .zip(&needs)
        .filter(|(column, _)| is_integer(column))
        .map(|(_, need)| need)
        .sum();
    let limit = limit(columns, &needs, room.saturating_sub(gaps + numbers));
    let width = |(column, need): (&Column, &usize)| match is_integer(column) {
        true => (*need).min(room),
        false => (*need).min(limit),
    };
    columns.iter().zip(&needs).map(width).collect()
}

fn width_of(text: &str) -> usize {
    text::width(&text::harmless(text))
}

/// The one width at which all texts are cut that are wider, so that together they fit.
fn limit(columns: &[Column], needs: &[usize], room: usize) -> usize {
    let texts = || {
        columns
            .iter()
            .zip(needs)
            .filter(|(column, _)| !is_integer(column))
            .map(|(_, need)| *need)
    };
    let fits = |limit: usize| texts().map(|need| need.min(limit)).sum::<usize>() <= room;
    let (mut below, mut above) = (0, texts().max().unwrap_or(0));
    if fits(above) {
        return above;
    }
    // The largest that fits, by halving: it fits below, it does not above.
    while below + 1 < above {
        let middle = (below + above) / 2;
        if fits(middle) {
            below = middle
        } else {
            above = middle
        }
    }
    below
}
