//! The one line of progress on stderr: log lines and it make way for each other.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A line is on the terminal. It belongs to the process, as its terminal does.
static IS_SHOWN: AtomicBool = AtomicBool::new(false);

const ERASE_LINE: &[u8] = b"\r\x1b[K";

/// How often the line may be drawn.
pub const DRAW_INTERVAL: Duration = Duration::from_millis(250);

/// A line that is drawn in place at the bottom of the terminal, and leaves it as it was, however its task ends.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Shows the line on stderr; nothing appears where that is no terminal.
    pub fn show() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner} {wide_msg}");
        bar.set_style(style.expect("the template is sound"));
        Progress(bar)
    }

    /// Shows another text.
    pub fn say(&self, text: String) {
        IS_SHOWN.store(true, Ordering::Relaxed);
        self.0.set_message(text);
        self.0.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        IS_SHOWN.store(false, Ordering::Relaxed);
        self.0.finish_and_clear();
    }
}

/// Erases the line, so that a log line can stand in its place; it is drawn again below.
pub(super) fn make_way() {
    if IS_SHOWN.load(Ordering::Relaxed) {
        // A terminal that cannot be written to has nothing to make way for.
        drop(io::stderr().write_all(ERASE_LINE));
    }
}
