//! The websocket, server-sent events and HTTP interface, over real sockets. The engine is a script: what it tells is what a
//! subscription tells, so everything from there to the socket is what runs in production.

mod limits;
mod plain;
mod script;
mod streams;
