//! The websocket, server-sent events and HTTP interface.
