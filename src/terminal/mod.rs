//! What a person sees in a terminal: logs, and live views drawn in place.
//!
//! Rendering is pure (state, size and clock in, lines of styled cells out); the thin shells that write to a terminal stand
//! beside it. It knows `core`, and not where its frames come from.

mod chart;
mod counter;
mod feed;
pub mod layout;
pub mod line;
pub mod live;
pub mod log;
pub mod pace;
mod ranking;
pub mod table;
pub mod text;

use std::io::Write;

/// Makes the terminal's cursor visible, if stdout is a terminal; harmless where it is visible.
pub fn show_cursor() {
    let term = console::Term::stdout();
    if term.is_term() {
        let _ = term.show_cursor();
        let _ = std::io::stdout().flush();
    }
}
