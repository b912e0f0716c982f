//! What a person sees in a terminal: logs, and live views drawn in place.
//!
//! Rendering is pure (state, size and clock in, lines of styled cells out); the thin shells that write to a terminal stand
//! beside it. It knows `core`, and not where its frames come from.

mod chart;
mod counter;
mod feed;
mod keyboard;
pub mod layout;
pub mod line;
pub mod lines;
pub mod live;
pub mod log;
pub mod pace;
pub mod progress;
mod ranking;
pub mod screen;
pub mod table;
pub mod text;
