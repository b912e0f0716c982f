//! The part of a terminal that a live view lives in: drawn over in place, below what was there before.
//!
//! Between two redraws the cursor, hidden, rests at the beginning of the first line. So when the terminal changes its size, everything
//! from the cursor on is ours, however the terminal moved and folded its lines, and nothing above it is.

use std::fmt::Write;
use std::io;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use console::Term;

use super::keyboard;
use super::layout::Size;
use super::line::Line;

/// The lines on the screen that the cursor has to step over before anyone else may write; 0 when no view is live.
///
/// It belongs to the process, as its terminal does: a panic or a signal restores the terminal wherever they strike.
static LINES_SHOWN: AtomicUsize = AtomicUsize::new(0);

const CURSOR_HIDE: &str = "\x1b[?25l";
const CURSOR_SHOW: &str = "\x1b[?25h";
/// Terminals that know it show what follows at once; others ignore it.
const UPDATE_BEGIN: &str = "\x1b[?2026h";
const UPDATE_END: &str = "\x1b[?2026l";
/// A line that turns out wider than computed must not push the rest down.
const WRAP_OFF: &str = "\x1b[?7l";
const WRAP_ON: &str = "\x1b[?7h";
const ERASE_LINE: &str = "\x1b[K";
const ERASE_BELOW: &str = "\x1b[J";

/// A live part of the terminal. Dropping it leaves the last state on the screen and the cursor below it.
#[derive(Debug)]
pub struct Screen {
    term: Term,
    colours: bool,
    columns: usize,
    shown: Vec<Line>,
}

impl Screen {
    /// Begins below what is on the terminal.
    pub fn open(term: Term) -> Self {
        static RESTORE_ON_PANIC: Once = Once::new();
        RESTORE_ON_PANIC.call_once(|| {
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                report(panic);
            }));
        });
        Screen {
            colours: console::colors_enabled(),
            columns: 0,
            shown: Vec::new(),
            term,
        }
    }

    /// How much may be drawn: the terminal but for one line, which the shell's prompt will need.
    pub fn size(&self) -> Size {
        let (rows, columns) = self.term.size();
        Size {
            columns: usize::from(columns).max(1),
            rows: usize::from(rows).saturating_sub(1).max(1),
        }
    }

    /// Gives the terminal back for a while; the next lines are shown below what others have written then.
    pub fn pause(&mut self) {
        restore();
        self.forget();
    }

    /// Everything has to be drawn anew: the size changed, or others wrote on the terminal.
    pub fn forget(&mut self) {
        self.columns = 0;
    }

    /// Shows these lines instead of the last ones. What did not change is not written.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn show(&mut self, lines: Vec<Line>) -> io::Result<()> {
        let columns = self.size().columns;
        let text = self.difference(&lines, columns);
        keyboard::silence();
        LINES_SHOWN.store(lines.len(), Ordering::Relaxed);
        self.columns = columns;
        self.shown = lines;
        if text.is_empty() {
            return Ok(());
        }
        self.term.write_str(&format!(
            "{UPDATE_BEGIN}{CURSOR_HIDE}{WRAP_OFF}\r{text}{WRAP_ON}{UPDATE_END}"
        ))
    }

    fn difference(&self, lines: &[Line], columns: usize) -> String {
        let was_taken = LINES_SHOWN.load(Ordering::Relaxed) == 0;
        let anew = was_taken || columns != self.columns;
        if !anew && lines == self.shown {
            return String::new();
        }
        let mut out = String::from(if anew { ERASE_BELOW } else { "" });
        for (at, line) in lines.iter().enumerate() {
            if at > 0 {
                // A newline and no movement: at the bottom it makes room.
                out.push_str("\r\n");
            }
            if anew || self.shown.get(at) != Some(line) {
                out.push_str(&line.to_ansi(self.colours));
                // At the last column a terminal would erase the character just written.
                out.push_str(if line.width() < columns {
                    ERASE_LINE
                } else {
                    ""
                });
            }
        }
        if !anew && self.shown.len() > lines.len() {
            let _ = write!(out, "\r\n{ERASE_BELOW}\x1b[A");
        }
        if lines.len() > 1 {
            let _ = write!(out, "\x1b[{}A", lines.len() - 1);
        }
        out.push('\r');
        out
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Takes the view off the screen, if one is live, so that something else can be written where it was; the next redraw shows the
/// view below that.
pub fn make_way() {
    if LINES_SHOWN.swap(0, Ordering::Relaxed) > 0 {
        let _ = Term::stdout().write_str(&format!("\r{ERASE_BELOW}"));
    }
}

/// Gives the terminal back, if a view is live on it: the cursor below the last line, and visible.
pub fn restore() {
    keyboard::restore();
    let shown = LINES_SHOWN.swap(0, Ordering::Relaxed);
    if shown > 0 {
        let down = "\r\n".repeat(shown);
        // Whoever calls this is on the way out, and has nobody to tell that the terminal is gone.
        let _ = Term::stdout().write_str(&format!("{WRAP_ON}{down}{CURSOR_SHOW}"));
    }
}
