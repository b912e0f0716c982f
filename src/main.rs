//! The `wikitop` executable.

fn main() {}
