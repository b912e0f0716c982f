//! The engine's state across crashes and faults of the disk.
