//! `ingest`:ingest: bytes -> changes -> engine. SSE decoding (pure), the live source, recordings, the resume position, the sinks.
