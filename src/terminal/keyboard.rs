//! The keyboard while a view is live: what is typed would be written over the view, and Enter would push it down, so the
//! terminal does not echo. Signals keep working: ^C and ^Z are the terminal's business.

use std::io;
use std::sync::{Mutex, PoisonError};

use rustix::termios::{self, LocalModes, OptionalActions, QueueSelector, Termios};

/// How the terminal was before, while it does not echo; the process's, as the terminal is.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Stops the echo, if stdin is the terminal and the process is in its foreground. Cheap when it is stopped already.
pub(super) fn silence() {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    if before.is_some() || !is_foreground() {
        return;
    }
    let Ok(modes) = termios::tcgetattr(io::stdin()) else {
        return;
    };
    let mut silent = modes.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    if termios::tcsetattr(io::stdin(), OptionalActions::Now, &silent).is_ok() {
        *before = Some(modes);
    }
}

/// Lets the terminal echo again. What was typed at a view that takes no keys is not meant for the shell either.
pub(super) fn restore() {
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(modes) = before.take() {
        // Nobody is left to tell that the terminal is gone.
        let _ = termios::tcflush(io::stdin(), QueueSelector::IFlush);
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &modes);
    }
}

/// A process in the background that changes a terminal's modes is stopped.
fn is_foreground() -> bool {
    let group = termios::tcgetpgrp(io::stdin());
    group.is_ok_and(|group| group == rustix::process::getpgrp())
}
