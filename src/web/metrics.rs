//! What `/metrics` tells: counters of the push, and the status of the process around it. Every series is there from the start,
//! so that a rate or an alert over it works before the first event of its kind.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::status::{IngestState, Status};

/// The content type of the text that [`render`] writes.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// One label and its value.
pub(crate) type Label = [(&'static str, &'static str); 1];

/// How a client is pushed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Websocket,
    Sse,
    LongPoll,
}

impl Transport {
    const ALL: [Transport; 3] = [Transport::Websocket, Transport::Sse, Transport::LongPoll];

    fn label(self) -> Label {
        let name = match self {
            Transport::Websocket => "websocket",
            Transport::Sse => "sse",
            Transport::LongPoll => "long_poll",
        };
        [("transport", name)]
    }
}

/// Why a client was closed from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It took no bytes for too long.
    Stalled,
    /// It no longer answers pings.
    Silent,
    /// It said what no websocket client may say, or too much.
    Protocol,
}

impl Cause {
    const ALL: [Cause; 3] = [Cause::Stalled, Cause::Silent, Cause::Protocol];

    fn label(self) -> Label {
        let name = match self {
            Cause::Stalled => "stalled",
            Cause::Silent => "silent",
            Cause::Protocol => "protocol",
        };
        [("reason", name)]
    }
}

/// What is counted where it happens.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) frames: Counter,
    messages: Family<Label, Counter>,
    pub(crate) snapshots: Counter,
    pub(crate) conflated: Counter,
    pub(crate) serialised: Counter,
    clients: Family<Label, Gauge>,
    pub(crate) clients_refused: Counter,
    dropped: Family<Label, Counter>,
    pub(crate) sent_bytes: Counter,
    pub(crate) connections: Gauge,
    pub(crate) connections_refused: Counter,
    pub(crate) subscriptions: Gauge,
    pub(crate) engine_reconnects: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Metrics {
            frames: Counter::default(),
            messages: Family::default(),
            snapshots: Counter::default(),
            conflated: Counter::default(),
            serialised: Counter::default(),
            clients: Family::default(),
            clients_refused: Counter::default(),
            dropped: Family::default(),
            sent_bytes: Counter::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            subscriptions: Gauge::default(),
            engine_reconnects: Counter::default(),
        };
        for transport in Transport::ALL {
            metrics.messages(transport);
            metrics.clients(transport);
        }
        for cause in Cause::ALL {
            metrics.dropped.get_or_create_owned(&cause.label());
        }
        metrics
    }
}

impl Metrics {
    /// Messages sent so.
    pub(crate) fn messages(&self, transport: Transport) -> Counter {
        self.messages.get_or_create_owned(&transport.label())
    }

    /// Clients that are being pushed to so.
    pub(crate) fn clients(&self, transport: Transport) -> Gauge {
        self.clients.get_or_create_owned(&transport.label())
    }

    /// A client was closed.
    pub(crate) fn dropped(&self, cause: Cause) {
        self.dropped.get_or_create(&cause.label()).inc();
    }

    /// Everything that is told, under its name.
    pub(crate) fn registry(&self, status: watch::Receiver<Status>) -> Registry {
        let mut registry = Registry::with_prefix("wikitop");
        registry.register(
            "frames",
            "Frames received from the engine",
            self.frames.clone(),
        );
        registry.register(
            "messages",
            "Messages sent to clients",
            self.messages.clone(),
        );
        registry.register(
            "snapshots",
            "Messages among these that carry a whole view",
            self.snapshots.clone(),
        );
        registry.register(
            "conflated_frames",
            "Frames that did not reach a client on their own, because it was slow or asked for fewer",
            self.conflated.clone(),
        );
        registry.register(
            "serialised_messages",
            "Messages about views written as JSON, each once for all clients that get the same",
            self.serialised.clone(),
        );
        registry.register(
            "clients",
            "Clients that are being pushed to",
            self.clients.clone(),
        );
        registry.register(
            "clients_refused",
            "Clients that were told to come later",
            self.clients_refused.clone(),
        );
        registry.register(
            "clients_dropped",
            "Clients that were closed",
            self.dropped.clone(),
        );
        registry.register(
            "sent_bytes",
            "Bytes written to clients",
            self.sent_bytes.clone(),
        );
        registry.register(
            "connections",
            "Open HTTP connections",
            self.connections.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections closed at once, because their address had too many",
            self.connections_refused.clone(),
        );
        registry.register(
            "subscriptions",
            "Views that are followed in the engine",
            self.subscriptions.clone(),
        );
        registry.register(
            "engine_reconnects",
            "Times that a view's connection to the engine was lost or not made",
            self.engine_reconnects.clone(),
        );
        registry.register_collector(Box::new(StatusCollector(status)));
        registry
    }
}

/// The registry as text, in the format that every scraper reads.
pub(crate) fn render(registry: &Registry) -> Result<String, fmt::Error> {
    let mut page = String::new();
    text::encode(&mut page, registry)?;
    Ok(prometheus_text(&page))
}

/// OpenMetrics as Prometheus' own text: there a counter is described under the name that its series have, and the end is the end.
fn prometheus_text(open_metrics: &str) -> String {
    let mut page = String::with_capacity(open_metrics.len() + 1024);
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let of_a_counter = |line: &str| line.starts_with("# TYPE ") && line.ends_with(" counter");
        let describes_counter =
            of_a_counter(line) || lines.peek().is_some_and(|next| of_a_counter(next));
        match line.splitn(4, ' ').collect::<Vec<_>>()[..] {
            ["#", "EOF"] => continue,
            ["#", what, name, rest] if describes_counter => {
                page.extend(["# ", what, " ", name, "_total ", rest]);
            }
            _ => page.push_str(line),
        }
        page.push('\n');
    }
    page
}

/// Tells the status as it is when someone asks.
#[derive(Debug)]
struct StatusCollector(watch::Receiver<Status>);

impl Collector for StatusCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let status = self.0.borrow().clone();
        let ingest = &status.ingest;
        for (name, help, label, counts) in [
            (
                "events",
                "Events read from the stream, by what became of them.",
                "outcome",
                &ingest.events,
            ),
            (
                "ingest_reconnects",
                "Ends of connections to the stream, by cause.",
                "cause",
                &ingest.reconnects,
            ),
        ] {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (value, count) in counts {
                let labels = [(label, *value)];
                ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
            }
        }
        ConstCounter::new(ingest.gaps).encode(encoder.encode_descriptor(
            "ingest_gaps",
            "Events that the stream did not hold, by the numbers it gives them.",
            None,
            MetricType::Counter,
        )?)?;
        let lag = ingest.lag_ms.map_or(f64::NAN, |ms| ms as f64 / 1000.0);
        let gauge = ConstGauge::new(lag);
        gauge.encode(encoder.encode_descriptor(
            "ingest_lag_seconds",
            "How long ago the last change read had happened; NaN before the first.",
            None,
            MetricType::Gauge,
        )?)?;
        let live = ConstGauge::new(i64::from(ingest.state == IngestState::Live));
        live.encode(encoder.encode_descriptor(
            "ingest_live",
            "Whether events arrive from the stream.",
            None,
            MetricType::Gauge,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn every_series_is_there_from_the_start() {
        let mut status = Status::default();
        status.ingest.events = BTreeMap::from([("inserted", 0)]);
        status.ingest.reconnects = BTreeMap::from([("closed", 0)]);
        let (_sender, receiver) = watch::channel(status);
        let page = render(&Metrics::default().registry(receiver)).unwrap();
        for series in [
            "wikitop_frames_total 0",
            "wikitop_messages_total{transport=\"websocket\"} 0",
            "wikitop_events_total{outcome=\"inserted\"} 0",
            "wikitop_ingest_reconnects_total{cause=\"closed\"} 0",
            "wikitop_ingest_gaps_total 0",
            "wikitop_ingest_lag_seconds NaN",
            "wikitop_clients{transport=\"long_poll\"} 0",
        ] {
            assert!(
                page.lines().any(|line| line == series),
                "{series} in\n{page}"
            );
        }
        // What describes a series bears its name, and comes before it.
        let mut described = "";
        for line in page.lines() {
            match line.strip_prefix("# ") {
                Some(described_here) => described = described_here.split(' ').nth(1).unwrap(),
                None => assert_eq!(line.split(['{', ' ']).next(), Some(described), "{line}"),
            }
        }
        assert!(!page.contains("EOF") && page.contains("# TYPE wikitop_frames_total counter\n"));
    }
}
