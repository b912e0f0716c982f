//! The program as it is run: terminals, exit codes, signals, help.

mod help;
mod live;
mod pipes;
mod pty;
mod screens;
mod service;
