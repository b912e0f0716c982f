//! `commands`:commands: wiring and shutdown only; the one place that knows everyone.
