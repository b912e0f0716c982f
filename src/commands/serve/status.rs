//! What the page is told about the ingest: the ingester's words in the page's.
//!
//! The page does not know the ingest, and the ingest does not know the page.

use std::collections::BTreeMap;

use crate::ingest::Status as Ingesting;
use crate::ingest::status::State;
use crate::web::status::{Ingest, IngestState, Status};

/// The page's status while nobody here ingests.
pub(super) fn idle(engine: &str) -> Status {
    Status {
        engine: engine.to_owned(),
        ingest: Ingest::default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The page's status while an ingester runs.
pub(super) fn ingesting(engine: &str, ingest: &Ingesting) -> Status {
    let (state, detail) = match &ingest.state {
        State::Connecting => (IngestState::Connecting, String::new()),
        State::Live => (IngestState::Live, String::new()),
        State::Retrying { reason, .. } => (IngestState::Retrying, reason.clone()),
        State::Ended => (IngestState::Ended, String::new()),
    };
    Status {
        ingest: Ingest {
            state,
            detail: detail.into(),
            lag_ms: ingest
                .lag_ms
                .map(|lag_ms| u64::try_from(lag_ms).unwrap_or(0)),
            events: events(ingest),
        },
        ..idle(engine)
    }
}

/// Events by what became of them, for the metrics.
fn events(ingest: &Ingesting) -> BTreeMap<&'static str, u64> {
    let counters = &ingest.counters;
    BTreeMap::from([
        ("kept", counters.kept),
        ("canary", counters.canaries),
        ("repeat", counters.repeats),
        ("malformed", counters.malformed),
        ("oversize", counters.oversize),
        ("refused", counters.refused),
    ])
}
