//! Names and numbers as bars: rank, name, bar, number.

use super::layout::{Body, cells, mark_ink, marked, more};
use super::line::{Ink, Line};
use super::text::{self, Align};

/// The narrowest bar that still compares anything.
const BAR_COLUMNS_MIN: usize = 6;

/// The widest; beyond, a bar is a wall.
const BAR_COLUMNS_MAX: usize = 60;

/// The most that a name may take: this share of the line, within these limits.
const NAME_SHARE: (usize, usize) = (2, 5);
const NAME_COLUMNS: (usize, usize) = (8, 40);

/// The column of names grows in steps of this, so that the bars rarely move while rows come and go.
const NAME_STEP: usize = 8;

/// What stands before the name (a wiki beside a title) is cut here.
const LEAD_COLUMNS_MAX: usize = 12;

/// The widths of a line's parts; gaps of one column between them.
struct Widths {
    rank: usize,
    leads: Vec<usize>,
    name: usize,
    bar: usize,
    number: usize,
}

pub(super) fn draw(body: Body<'_>) -> Vec<Line> {
    let shown = fitting(body.rows.len(), body.size.rows);
    let rows: Vec<_> = body.rows.iter().take(shown).map(cells).collect();
    let numbers: Vec<i64> = rows.iter().map(|row| number_of(row)).collect();
    let widths = widths(body, &rows, &numbers);
    let largest = numbers.iter().copied().max().unwrap_or(0);
    let mut lines: Vec<Line> = rows
        .iter()
        .zip(body.rows)
        .enumerate()
        .map(|(at, (cells, row))| {
            let mark = body.live.mark_of(row, body.now);
            let rank = (at + 1).to_string();
            let mut line = Line::new()
                .cell(Ink::Quiet, &rank, widths.rank, Align::Right)
                .gap(1);
            for (lead, width) in cells.iter().zip(&widths.leads) {
                line = line.cell(Ink::Quiet, lead, *width, Align::Left).gap(1);
            }
            let name = cells.len().checked_sub(2).map_or("", |name| &cells[name]);
            line = line.cell(Ink::Plain, name, widths.name, Align::Left).gap(1);
            if widths.bar > 0 {
                let bar = bar(numbers[at], largest, widths.bar);
                line = line.cell(Ink::Accent, &bar, widths.bar, Align::Left).gap(1);
            }
            let ink = mark_ink(mark, Ink::Strong);
            marked(line, mark).cell(ink, &shown_number(cells), widths.number, Align::Right)
        })
        .collect();
    if body.rows.len() > shown {
        lines.push(more(body.rows.len() - shown, body.size.columns));
    }
    lines
}

/// How many rows fit, with a line left to say that there are more, unless that line is dear.
fn fitting(rows: usize, lines: usize) -> usize {
    if rows <= lines || lines < 4 {
        rows.min(lines)
    } else {
        lines - 1
    }
}

fn number_of(cells: &[impl AsRef<str>]) -> i64 {
    cells
        .last()
        .and_then(|text| text.as_ref().parse().ok())
        .unwrap_or(0)
}

fn shown_number(cells: &[impl AsRef<str>]) -> String {
    let text = cells.last().map_or("", AsRef::as_ref);
    text::grouped(text).unwrap_or_else(|| text.into())
}

fn widths(body: Body<'_>, rows: &[Vec<impl AsRef<str>>], numbers: &[i64]) -> Widths {
    let columns = body.size.columns;
    let longest_number = rows.iter().map(|row| shown_number(row).len()).max();
    let rank = numbers.len().to_string().len().max(2);
    // The mark stands apart from the number.
    let number = longest_number.unwrap_or(0).clamp(1, 26) + 1;
    let widest = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        let widths = cells.map(|cell| text::width(&text::harmless(cell.as_ref())));
        widths.max().unwrap_or(0)
    };
    let names = body.live.columns.len().saturating_sub(1);
    let leads: Vec<usize> = (1..names)
        .map(|at| widest(at - 1).min(LEAD_COLUMNS_MAX).min(columns / 4))
        .collect();
    let fixed = rank + 1 + leads.iter().map(|lead| lead + 1).sum::<usize>() + 1 + 1 + number;
    let room = columns.saturating_sub(fixed);
    let name = (columns * NAME_SHARE.0 / NAME_SHARE.1).clamp(NAME_COLUMNS.0, NAME_COLUMNS.1);
    let name = widest(names.saturating_sub(1))
        .next_multiple_of(NAME_STEP)
        .min(name);
    match room.checked_sub(name + 1) {
        Some(bar) if bar >= BAR_COLUMNS_MIN => Widths {
            rank,
            leads,
            name,
            bar: bar.min(BAR_COLUMNS_MAX),
            number,
        },
        // Without a bar the name has all the room there is.
        _ => Widths {
            rank,
            leads,
            name: room,
            bar: 0,
            number,
        },
    }
}

/// A bar as long as its share of the largest, to an eighth of a column. What is not nothing is seen.
pub(super) fn bar(number: i64, largest: i64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    if number <= 0 || largest <= 0 {
        return String::new();
    }
    let eighths = (number as f64 / largest as f64 * (columns * 8) as f64).round() as usize;
    let eighths = eighths.clamp(1, columns * 8);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}
