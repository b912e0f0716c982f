//! Postgres clients at the embedded engine's door.
