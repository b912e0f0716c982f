//! `terminal`:terminal: rendering (pure) and progress.
