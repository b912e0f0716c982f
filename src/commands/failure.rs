//! What a failed command tells the caller of the process: an exit code, and a hint beside the error.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use console::style;

use crate::terminal::text;

/// Why a process ended without success; documented in `wikitop --help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Anything without a code of its own.
    Failed = 1,
    /// The command line, or a combination of flags, makes no sense.
    Usage = 2,
    /// No engine answers at the address.
    EngineUnreachable = 3,
    /// The source of changes cannot be reached or read.
    SourceUnreachable = 4,
}

/// An error with what is said beside it. Commands return it inside an [`anyhow::Error`].
#[derive(Debug)]
pub struct Failure {
    error: anyhow::Error,
    exit: Exit,
    hint: Option<String>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Failure {
            error: error.into(),
            exit,
            hint: None,
        }
    }

    /// With a full sentence that names what helps.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Prints the error with its causes and its hint on stderr, and returns the exit code.
///
/// Errors may quote text from the network: it is made harmless.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let failure = error.downcast_ref::<Failure>();
    let text: Vec<String> = format!("{error:#}")
        .lines()
        .map(|line| text::harmless(line).into_owned())
        .collect();
    let text = text.join("\n");
    let mut message = format!("{}: {text}\n", style("error").red().bold().for_stderr());
    if let Some(hint) = failure.and_then(|failure| failure.hint.as_deref()) {
        message += &format!("{}: {hint}\n", style("hint").cyan().bold().for_stderr());
    }
    // A stderr that is closed leaves the exit code to speak for itself.
    let _ = io::stderr().write_all(message.as_bytes());
    let exit = failure.map_or(Exit::Failed, |failure| failure.exit);
    ExitCode::from(exit as u8)
}
