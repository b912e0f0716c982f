//! Following a stream that misbehaves, and recordings.
