//! What the tests stand on: the built binary, a loopback EventStreams, fixture changes.
