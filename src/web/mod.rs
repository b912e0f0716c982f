//! `web`:web: a hub that pushes frames to many clients, the JSON of the wire, the routes.
