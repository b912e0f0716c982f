//! What the page and the metrics say about the process around the web interface. The web knows nothing of engines and ingest;
//! whoever runs it fills this in.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

/// The process, as the page tells its readers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Which engine keeps the views: `embedded`, or what it calls itself.
    pub engine: String,
    /// How reading the stream goes.
    pub ingest: Ingest,
    /// The version of this program.
    pub version: String,
}

/// How reading the stream goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Ingest {
    /// Where the connection stands.
    pub state: IngestState,
    /// Why, in words for the reader of the page; empty when there is nothing to explain.
    pub detail: Arc<str>,
    /// When the next attempt is due, in milliseconds since the epoch, while it tries again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at_ms: Option<u64>,
    /// How long ago the last change read had happened; `None` before the first.
    pub lag_ms: Option<u64>,
    /// Events read so far, by what became of them (`inserted`, `repeated`, `canary`, ...). Only the metrics tell them.
    #[serde(skip)]
    pub events: BTreeMap<&'static str, u64>,
    /// Ends of connections to the stream, by cause. Only the metrics tell them.
    #[serde(skip)]
    pub reconnects: BTreeMap<&'static str, u64>,
    /// Events that the stream itself did not hold, by the numbers it gives them. Only the metrics tell them.
    #[serde(skip)]
    pub gaps: u64,
}

/// Where the connection to the stream stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum IngestState {
    /// Someone else feeds the engine.
    #[default]
    Off,
    /// On its way to the stream for the first time.
    Connecting,
    /// Events arrive.
    Live,
    /// Lost, or not reached; it tries again.
    Retrying,
    /// The recording is at its end.
    Ended,
}

impl Status {
    /// Whether a page that was told `told` would have to know at once: everything but the passing of time.
    pub(crate) fn is_news_after(&self, told: &Status) -> bool {
        let still = |status: &Status| Status {
            ingest: Ingest {
                lag_ms: None,
                events: BTreeMap::new(),
                reconnects: BTreeMap::new(),
                gaps: 0,
                ..status.ingest.clone()
            },
            ..status.clone()
        };
        still(self) != still(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_reads_this_json() {
        let status = Status {
            engine: "embedded".into(),
            ingest: Ingest {
                state: IngestState::Retrying,
                detail: "connection refused".into(),
                retry_at_ms: Some(1_790_000_000_123),
                lag_ms: Some(120),
                events: BTreeMap::from([("inserted", 3)]),
                reconnects: BTreeMap::from([("closed", 1)]),
                gaps: 2,
            },
            version: "0.1.0".into(),
        };
        assert_eq!(
            serde_json::to_string(&status).unwrap(),
            r#"{"engine":"embedded","ingest":{"state":"retrying","detail":"connection refused","retry_at_ms":1790000000123,"lag_ms":120},"version":"0.1.0"}"#
        );
    }

    #[test]
    fn time_that_passes_is_no_news() {
        let told = Status::default();
        let mut now = told.clone();
        now.ingest.lag_ms = Some(5);
        now.ingest.events.insert("inserted", 1);
        assert!(!now.is_news_after(&told));
        now.ingest.state = IngestState::Live;
        assert!(now.is_news_after(&told));
    }
}
