//! One number, large.

use super::chart::sparkline;
use super::layout::{Body, cells, mark_ink};
use super::line::{Ink, Line};
use super::text;

/// Digits three lines high, and a comma.
const GLYPHS: [(char, [&str; 3]); 12] = [
    ('0', ["█▀█", "█ █", "▀▀▀"]),
    ('1', ["▀█ ", " █ ", "▀▀▀"]),
    ('2', ["▀▀█", "█▀▀", "▀▀▀"]),
    ('3', ["▀▀█", " ▀█", "▀▀▀"]),
    ('4', ["█ █", "▀▀█", "  ▀"]),
    ('5', ["█▀▀", "▀▀█", "▀▀▀"]),
    ('6', ["█▀▀", "█▀█", "▀▀▀"]),
    ('7', ["▀▀█", "  █", "  ▀"]),
    ('8', ["█▀█", "█▀█", "▀▀▀"]),
    ('9', ["█▀█", "▀▀█", "▀▀▀"]),
    (',', [" ", " ", "█"]),
    ('-', ["   ", "▀▀▀", "   "]),
];

const GLYPH_LINES: usize = 3;

pub(super) fn draw(body: Body<'_>) -> Vec<Line> {
    let columns = body.size.columns;
    let mark = body
        .rows
        .first()
        .and_then(|row| body.live.mark_of(row, body.now));
    let ink = mark_ink(mark, Ink::Strong);
    let number = body
        .rows
        .first()
        .map(cells)
        .and_then(|cells| cells.first().map(|cell| cell.to_string()));
    let number = number.unwrap_or_default();
    let number = text::grouped(&number).unwrap_or(number);
    let large = large(&number)
        .filter(|large| body.size.rows >= GLYPH_LINES && text::width(&large[0]) <= columns);
    let mut lines = match large {
        Some(large) => large
            .iter()
            .map(|line| Line::new().text(ink, line, columns))
            .collect(),
        None => vec![Line::new().text(ink, &number, columns)],
    };
    let seconds = body.live.pace.seconds(body.now);
    if body.size.rows >= lines.len() + 3 && seconds.iter().any(|count| *count > 0) {
        let shown = seconds.len().min(columns);
        let spark = sparkline(&seconds[seconds.len() - shown..]);
        lines.push(Line::new());
        lines.push(Line::new().text(Ink::Accent, &spark, columns));
        lines.push(Line::new().text(Ink::Quiet, "second by second, the last minute", columns));
    }
    lines
}

/// The number in large digits, if every character of it has a large form.
fn large(number: &str) -> Option<[String; GLYPH_LINES]> {
    let mut lines = [const { String::new() }; GLYPH_LINES];
    for letter in number.chars() {
        let (_, glyph) = GLYPHS.iter().find(|(known, _)| *known == letter)?;
        for (line, part) in lines.iter_mut().zip(glyph) {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(part);
        }
    }
    Some(lines)
}
