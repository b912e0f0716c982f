//! Numbers over time: the minutes of the last hour as a chart, and sparklines.

use jiff::Timestamp;

use super::layout::{Body, cells};
use super::line::{Ink, Line};
use super::text;

/// The chart is at most this high: what is higher shows no more.
const CHART_LINES_MAX: usize = 8;

/// Minutes of the view.
const MINUTES: usize = 60;

/// One minute of the view.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Minute {
    edits: u64,
    by_bots: u64,
}

pub(super) fn draw(body: Body<'_>) -> Vec<Line> {
    let columns = body.size.columns;
    let Some((newest, minutes)) = minutes(body) else {
        return super::table::draw(body);
    };
    let shown = &minutes[minutes.len() - MINUTES.min(columns)..];
    let largest = shown.iter().map(|minute| minute.edits).max().unwrap_or(0);
    let height = body.size.rows.saturating_sub(3).clamp(1, CHART_LINES_MAX);
    let mut lines: Vec<Line> = (0..height)
        .rev()
        .map(|level| {
            let line: String = shown
                .iter()
                .map(|minute| block(minute.edits, largest, level, height))
                .collect();
            Line::new().text(Ink::Accent, &line, columns)
        })
        .collect();
    lines.push(axis(newest, shown.len(), columns));
    lines.push(Line::new());
    lines.extend(summary(&minutes, largest, columns));
    lines.truncate(body.size.rows);
    lines
}

/// The last 60 minutes up to the newest that the view knows, oldest first; a minute without edits has no row.
fn minutes(body: Body<'_>) -> Option<(Timestamp, Vec<Minute>)> {
    let known: Vec<(Timestamp, Minute)> = body
        .rows
        .iter()
        .filter_map(|row| {
            let cells = cells(row);
            let [minute, edits, by_bots] = cells.as_slice() else {
                return None;
            };
            let minute = minute.parse().ok()?;
            let edits = edits.parse().ok()?;
            let by_bots = by_bots.parse().ok()?;
            Some((minute, Minute { edits, by_bots }))
        })
        .collect();
    let newest = known.iter().map(|(minute, _)| *minute).max()?;
    let mut minutes = vec![Minute::default(); MINUTES];
    for (minute, count) in known {
        let ago = newest.duration_since(minute).as_mins();
        let slot = usize::try_from(ago)
            .ok()
            .and_then(|ago| (MINUTES - 1).checked_sub(ago));
        if let Some(slot) = slot {
            minutes[slot] = count;
        }
    }
    Some((newest, minutes))
}

/// The part of a column that lies in one line of a chart; level 0 is the lowest.
fn block(number: u64, largest: u64, level: usize, height: usize) -> char {
    const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    if number == 0 || largest == 0 {
        return ' ';
    }
    let eighths = (number as f64 / largest as f64 * (height * 8) as f64).round() as usize;
    let eighths = eighths.max(1);
    EIGHTHS[eighths.saturating_sub(level * 8).min(8)]
}

/// A chart of one line.
pub(super) fn sparkline(numbers: &[u64]) -> String {
    let largest = numbers.iter().copied().max().unwrap_or(0);
    numbers
        .iter()
        .map(|number| block(*number, largest, 0, 1))
        .collect()
}

/// The times of the first and the last column, under them.
fn axis(newest: Timestamp, shown: usize, columns: usize) -> Line {
    let span = jiff::SignedDuration::from_mins(shown as i64 - 1);
    let oldest = newest.checked_sub(span).unwrap_or(newest);
    let label = |at: Timestamp| at.to_string().get(11..16).unwrap_or_default().to_owned();
    let (first, last) = (label(oldest), label(newest));
    let between = shown.saturating_sub(last.len());
    Line::new().text(Ink::Quiet, &format!("{first:<between$}{last}"), columns)
}

/// The minute that is running, the last whole one, and the highest.
fn summary(minutes: &[Minute], largest: u64, columns: usize) -> Option<Line> {
    let [.., last, present] = minutes else {
        return None;
    };
    let number = |n: u64| text::grouped(&n.to_string()).unwrap_or_default();
    let parts = [
        (Ink::Strong, number(last.edits)),
        (Ink::Plain, " in the last minute".into()),
        (Ink::Quiet, format!(", {} by bots", number(last.by_bots))),
        (
            Ink::Quiet,
            format!("; {} so far in this one", number(present.edits)),
        ),
        (Ink::Quiet, format!("; at most {}", number(largest))),
    ];
    // What does not fit whole is left out: half a number is a wrong one.
    let line = parts.iter().fold(Line::new(), |line, (ink, words)| {
        let fits = line.width() + text::width(words) <= columns;
        line.text(*ink, if fits { words } else { "" }, columns)
    });
    Some(line)
}
