//! The program as it is run: terminals, exit codes, signals, help.

mod pipes;
mod pty;
mod screens;
