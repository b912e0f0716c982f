//! The dialects of Materialize, spoken by a scripted server.
