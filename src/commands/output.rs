//! What a command prints on stdout and is done with, and what it remarks on stderr.

use std::io::{self, ErrorKind, Write};

use console::style;

/// Prints; that the reader has gone is its own affair, and no error.
///
/// # Errors
/// Anything else, such as a disk that is full.
pub fn print(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if is_closed(&error) => Ok(()),
        outcome => outcome,
    }
}

/// Remarks something on stderr, for people; a stderr that is closed hears nothing.
pub fn note(words: &str) {
    let _ = writeln!(
        io::stderr(),
        "{}: {words}",
        style("note").bold().for_stderr()
    );
}

/// Tells people something on stderr, as it is; a stderr that is closed hears nothing.
pub fn tell(lines: &str) {
    let _ = writeln!(io::stderr(), "{lines}");
}

/// The pipe has no reader any more, or the terminal was closed.
pub fn is_closed(error: &io::Error) -> bool {
    // A terminal that hung up answers with EIO, which the standard library has no name for.
    const EIO: i32 = 5;
    error.kind() == ErrorKind::BrokenPipe || error.raw_os_error() == Some(EIO)
}
