//! What the page is told about the ingest: the ingester's words in the page's.
//!
//! The page does not know the ingest, and the ingest does not know the page.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::ingest::Status as Ingesting;
use crate::ingest::status::{Cause, Counters, State};
use crate::web::status::{Ingest, IngestState, Status};

/// The page's status while nobody here ingests.
pub(super) fn idle(engine: &str) -> Status {
    Status {
        engine: engine.to_owned(),
        ingest: counted(&Counters::default()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

/// The page's status while an ingester runs, told at this time.
pub(super) fn ingesting(engine: &str, ingest: &Ingesting, now: SystemTime) -> Status {
    let (state, detail, retry_at) = match &ingest.state {
        State::Connecting => (IngestState::Connecting, "", None),
        State::Live => (IngestState::Live, "", None),
        State::Retrying { reason, retry_in } => {
            (IngestState::Retrying, &**reason, Some(now + *retry_in))
        }
        State::Ended => (IngestState::Ended, "", None),
    };
    Status {
        ingest: Ingest {
            state,
            detail: detail.into(),
            retry_at_ms: retry_at.and_then(epoch_ms),
            lag_ms: ingest
                .lag_ms
                .map(|lag_ms| u64::try_from(lag_ms).unwrap_or(0)),
            ..counted(&ingest.counters)
        },
        ..idle(engine)
    }
}

fn epoch_ms(time: SystemTime) -> Option<u64> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// What the metrics tell: every outcome and every cause, also those that have not come about.
fn counted(counters: &Counters) -> Ingest {
    let kept = ("kept", counters.kept);
    let reconnects = Cause::ALL.map(|cause| (cause.name(), counters.reconnects.of(cause)));
    Ingest {
        events: counters.skipped().into_iter().chain([kept]).collect(),
        reconnects: BTreeMap::from(reconnects),
        gaps: counters.gaps,
        ..Ingest::default()
    }
}
