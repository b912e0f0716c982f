//! Lines of styled cells, and what they are to a terminal.
//!
//! A cell knows in which column it begins, and is put there by an explicit movement wherever the text before it is such that
//! terminals disagree about its width. So one strange name disturbs its own cell and nothing else.

use std::fmt::Write;

use super::text::{self, Align};

/// What a cell means; a terminal shows it by colour and weight, a pipe not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Ordinary text.
    Plain,
    /// What the eye should find first.
    Strong,
    /// What may be overlooked.
    Quiet,
    /// Bars and charts.
    Accent,
    /// Something just grew or came.
    Grew,
    /// Something just fell.
    Fell,
    /// Something is wrong.
    Warning,
}

impl Ink {
    /// The parameters of "select graphic rendition"; the sixteen colours that every theme defines.
    fn sgr(self) -> &'static str {
        match self {
            Ink::Plain => "",
            Ink::Strong => "1",
            Ink::Quiet => "2",
            Ink::Accent => "34",
            Ink::Grew => "32",
            Ink::Fell => "31",
            Ink::Warning => "1;33",
        }
    }
}

/// One cell: text that begins in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    column: usize,
    ink: Ink,
    text: String,
}

/// One line of the screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    cells: Vec<Cell>,
    width: usize,
}

impl Line {
    /// An empty line.
    pub fn new() -> Self {
        Line::default()
    }

    /// Appends text cut or padded to `columns`.
    #[must_use]
    pub fn cell(self, ink: Ink, text: &str, columns: usize, align: Align) -> Self {
        self.push(ink, text::fit(text, columns, align), columns)
    }

    /// Appends text of its own width, cut at `columns`.
    #[must_use]
    pub fn text(self, ink: Ink, text: &str, columns: usize) -> Self {
        let cut = text::cut(text, columns);
        let width = text::width(&cut);
        self.push(ink, cut, width)
    }

    /// Appends blanks.
    #[must_use]
    pub fn gap(self, columns: usize) -> Self {
        self.push(Ink::Plain, " ".repeat(columns), columns)
    }

    fn push(mut self, ink: Ink, text: String, columns: usize) -> Self {
        if columns > 0 {
            self.cells.push(Cell {
                column: self.width,
                ink,
                text,
            });
            self.width += columns;
        }
        self
    }

    /// The line without what is beyond `columns`.
    #[must_use]
    pub fn clipped(mut self, columns: usize) -> Self {
        if self.width > columns {
            self.cells.retain(|cell| cell.column < columns);
            if let Some(last) = self.cells.last_mut() {
                last.text = text::fit(&last.text, columns - last.column, Align::Left);
            }
            self.width = columns;
        }
        self
    }

    /// The columns that the line takes.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The text alone, without trailing blanks.
    pub fn plain(&self) -> String {
        let text: String = self.cells.iter().map(|cell| cell.text.as_str()).collect();
        text.trim_end().into()
    }

    /// The line for a terminal, from its first column on, without a newline.
    pub fn to_ansi(&self, colours: bool) -> String {
        let mut out = String::new();
        let mut trusted = true;
        for cell in &self.cells {
            if !trusted {
                let _ = write!(out, "\x1b[{}G", cell.column + 1);
            }
            match cell.ink.sgr() {
                sgr if colours && !sgr.is_empty() => {
                    let _ = write!(out, "\x1b[{sgr}m{}\x1b[0m", cell.text);
                }
                _ => out.push_str(&cell.text),
            }
            trusted = cell.text.is_ascii();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_after_text_of_doubtful_width_is_put_into_its_column() {
        let line = Line::new()
            .cell(Ink::Plain, "plain", 6, Align::Left)
            .cell(Ink::Grew, "漢字", 5, Align::Left)
            .cell(Ink::Strong, "42", 3, Align::Right);
        assert_eq!(line.width(), 14);
        assert_eq!(line.plain(), "plain 漢字  42");
        assert_eq!(
            line.to_ansi(true),
            "plain \x1b[32m漢字 \x1b[0m\x1b[12G\x1b[1m 42\x1b[0m"
        );
        assert_eq!(line.to_ansi(false), "plain 漢字 \x1b[12G 42");
        assert_eq!(line.clone().clipped(14), line);
        assert_eq!(line.clipped(9).plain(), "plain 漢…");
    }
}
