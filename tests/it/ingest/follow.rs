//! The live stream into a recording: whatever the service does, the file holds every change once.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use wikitop::ingest::status::{Cause, State};
use wikitop::ingest::{
    Config, IngestError, Limits, LiveConfig, Loss, RecordConfig, Source, Status, Summary, Target,
    run,
};

use crate::support::changes::{Changes, Counts, count};
use crate::support::eventstreams::{Conduct, EventStreams, Message};

/// When the fixtures' changes begin.
const START_MS: i64 = 1_785_900_000_000;

/// Longer than anything takes on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// An ingester under test, and the file it writes.
struct Ingester {
    folder: tempfile::TempDir,
    status: watch::Receiver<Status>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<Summary, IngestError>>,
}

impl Ingester {
    fn start(service: &EventStreams) -> Self {
        Ingester::into(service, tempfile::tempdir().unwrap(), |_, _| {})
    }

    /// Follows `service` from before its first change into a folder's file.
    fn into(
        service: &EventStreams,
        folder: tempfile::TempDir,
        adjust: impl FnOnce(&mut LiveConfig, &mut Limits),
    ) -> Self {
        let mut live = LiveConfig {
            url: service.url(),
            contact: None,
            since_ms: Some(START_MS - 60_000),
            silence_max: Duration::from_secs(5),
        };
        let mut limits = Limits::default();
        adjust(&mut live, &mut limits);
        let sender = watch::Sender::new(Status::default());
        let status = sender.subscribe();
        let (stop, stopped) = oneshot::channel();
        let config = Config {
            source: Source::Live(live),
            target: Target::Recording(RecordConfig {
                path: path(&folder),
                rotate: None,
            }),
            limits,
            status: sender,
        };
        let task = tokio::spawn(run(config, async { drop(stopped.await) }));
        Ingester {
            folder,
            status,
            stop: Some(stop),
            task,
        }
    }

    async fn until(&mut self, reached: impl FnMut(&Status) -> bool) -> Status {
        let waiting = tokio::time::timeout(DEADLINE, self.status.wait_for(reached));
        let reached = match waiting.await {
            Ok(outcome) => Some(outcome.unwrap().clone()),
            Err(_) => None,
        };
        reached.unwrap_or_else(|| panic!("still {:?}", self.status.borrow()))
    }

    async fn kept(&mut self, changes: u64) {
        self.until(|status| status.counters.kept >= changes).await;
    }

    /// Asks it to end; returns what it says and the file's lines.
    async fn stop(mut self) -> (Summary, Vec<String>) {
        drop(self.stop.take());
        let summary = self.task.await.unwrap().unwrap();
        (summary, lines(&self.folder))
    }

    async fn end(self) -> (Result<Summary, IngestError>, Vec<String>) {
        let outcome = tokio::time::timeout(DEADLINE, self.task).await.unwrap();
        (outcome.unwrap(), lines(&self.folder))
    }
}

fn path(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("recentchanges")
}

fn lines(folder: &tempfile::TempDir) -> Vec<String> {
    let text = std::fs::read_to_string(path(folder)).unwrap_or_default();
    text.lines()
        .map(|line| line.strip_prefix("data: ").unwrap().to_owned())
        .collect()
}

fn counts(messages: &[Message]) -> Counts {
    count(messages.iter().map(|message| message.json.as_str()))
}

/// How many of the messages are changes.
fn changes(messages: &[Message]) -> u64 {
    let is_change = |message: &&Message| !message.json.contains("\"canary\"");
    messages.iter().filter(is_change).count() as u64
}

fn assert_exactly(lines: &[String], messages: &[Message]) {
    assert_eq!(count(lines.iter().map(String::as_str)), counts(messages));
    assert_eq!(lines.len() as u64, changes(messages), "every change once");
}

#[tokio::test]
async fn a_hundred_reconnects_lose_nothing_and_double_nothing() {
    let mut fixture = Changes::new(7, START_MS);
    let mut messages = Vec::new();
    for _ in 0..8 {
        messages.extend(fixture.take(2_500));
        // The other datacentre takes over.
        fixture.flip();
    }
    let mut random = fastrand::Rng::with_seed(8);
    let service = EventStreams::start(messages.clone()).await;
    service.script((0..200).map(|attempt| match attempt % 11 {
        0 => Conduct::HangUp,
        1 => reply(503, "0"),
        2..=4 => Conduct::CloseAfterEvents(random.usize(270..300)),
        _ => Conduct::CutAfterBytes(random.usize(230_000..260_000)),
    }));
    let mut ingester = Ingester::start(&service);
    ingester.kept(changes(&messages)).await;
    let (summary, lines) = ingester.stop().await;
    assert_exactly(&lines, &messages);
    let counters = summary.status.counters;
    assert!(
        counters.reconnects.total() >= 100,
        "{:?}",
        counters.reconnects
    );
    assert_eq!(counters.gaps, 0);
    assert!(counters.repeats > 10_000);
    for request in service.requests().iter().skip(3) {
        assert!(
            request
                .header("user-agent")
                .unwrap()
                .starts_with("wikitop/")
        );
        let id = request.header("last-event-id").unwrap();
        assert!(
            id.contains("eqiad") && id.contains("codfw") && !id.contains("offset"),
            "{id}"
        );
    }
}

fn reply(code: u16, retry_after: &str) -> Conduct {
    Conduct::Reply {
        code,
        headers: vec![("retry-after", retry_after.to_owned())],
        body: b"later".to_vec(),
    }
}

/// Three hundred messages, a third of them served before each trouble.
#[tokio::test]
async fn every_trouble_is_counted_by_its_cause_and_passes() {
    let mut other = Vec::new();
    let mut line = |text: &str| other.extend_from_slice(text.as_bytes());
    line("event: error\ndata: {\"message\":\"no such topic\"}\n\n");
    let troubles = [
        (Conduct::StallAfterEvents(100), Cause::Silent),
        (Conduct::CloseAfterEvents(100), Cause::Closed),
        (Conduct::CutAfterBytes(50_000), Cause::Cut),
        (Conduct::HangUp, Cause::Unreachable),
        (reply(500, "0"), Cause::Refused),
        (reply(403, "0"), Cause::Refused),
        (reply(404, "soon"), Cause::Refused),
        (Conduct::Stream(other), Cause::InBand),
    ];
    for (trouble, cause) in troubles {
        let messages = Changes::new(3, START_MS).take(300);
        let service = EventStreams::start(messages.clone()).await;
        service.script([trouble.clone(), trouble.clone()]);
        let mut ingester = Ingester::into(&service, tempfile::tempdir().unwrap(), |live, _| {
            live.silence_max = Duration::from_millis(300);
        });
        ingester.kept(changes(&messages)).await;
        let (summary, lines) = ingester.stop().await;
        assert_exactly(&lines, &messages);
        let reconnects = summary.status.counters.reconnects;
        assert!(reconnects.of(cause) >= 2, "{trouble:?}: {reconnects:?}");
    }
}

#[tokio::test]
async fn waits_as_long_as_it_is_asked_to() {
    let service = EventStreams::start(Vec::new()).await;
    service.script([reply(429, "600")]);
    let mut ingester = Ingester::start(&service);
    let status = ingester
        .until(|status| matches!(status.state, State::Retrying { .. }))
        .await;
    let State::Retrying { reason, retry_in } = status.state else {
        unreachable!();
    };
    assert!(retry_in >= Duration::from_secs(600));
    assert_eq!(reason, "the service answered 429 Too Many Requests: later");
    // Being asked to end does not wait.
    ingester.stop().await;
}

#[tokio::test]
async fn follows_redirects() {
    let messages = Changes::new(3, START_MS).take(50);
    let service = EventStreams::start(messages.clone()).await;
    let elsewhere = EventStreams::start(Vec::new()).await;
    elsewhere.script([Conduct::Reply {
        code: 307,
        headers: vec![(
            "location",
            format!("{}?since=2026-08-01T00:00:00Z", service.url()),
        )],
        body: Vec::new(),
    }]);
    let mut ingester = Ingester::start(&elsewhere);
    ingester.kept(changes(&messages)).await;
    let (_, lines) = ingester.stop().await;
    assert_exactly(&lines, &messages);
}

#[tokio::test]
async fn a_page_that_is_no_stream_is_an_error_and_not_read_to_its_end() {
    let service = EventStreams::start(Vec::new()).await;
    service.script([Conduct::EndlessPage]);
    let (outcome, _) = Ingester::start(&service).end().await;
    let error = outcome.unwrap_err();
    assert!(matches!(
        error,
        IngestError::Source(Loss::NotAStream { .. })
    ));
    assert!(
        error
            .to_string()
            .ends_with("is no event stream: its content type is \"text/html\""),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("--source"));
}

#[tokio::test]
async fn a_service_that_was_a_stream_before_may_answer_with_a_page_for_a_while() {
    let messages = Changes::new(3, START_MS).take(300);
    let service = EventStreams::start(messages.clone()).await;
    service.script([Conduct::CloseAfterEvents(100), Conduct::EndlessPage]);
    let mut ingester = Ingester::start(&service);
    ingester.kept(changes(&messages)).await;
    assert_exactly(&ingester.stop().await.1, &messages);
}

#[tokio::test]
async fn what_cannot_be_reached_is_tried_again_until_told_otherwise() {
    let service = EventStreams::start(Vec::new()).await;
    let tls = service.url().replace("http://", "https://");
    for url in [
        "http://wikitop.invalid/".to_owned(),
        "http://127.0.0.1:9/".to_owned(),
        tls,
    ] {
        let adjust = |live: &mut LiveConfig, limits: &mut Limits| {
            live.url = url.clone();
            limits.give_up_after = Some(Duration::from_millis(500));
        };
        let mut ingester = Ingester::into(&service, tempfile::tempdir().unwrap(), adjust);
        let counted = |status: &Status| status.counters.reconnects.of(Cause::Unreachable) >= 2;
        ingester.until(counted).await;
        let (outcome, _) = ingester.end().await;
        assert!(
            matches!(outcome, Err(IngestError::Source(Loss::Unreachable(_)))),
            "{url}"
        );
    }
}

#[tokio::test]
async fn a_refused_id_becomes_a_time() {
    let mut fixture = Changes::new(5, START_MS);
    let mut messages = fixture.take(200);
    let service = EventStreams::start(messages.clone()).await;
    let mut ingester = Ingester::start(&service);
    ingester.kept(changes(&messages)).await;
    let folder = {
        drop(ingester.stop.take());
        ingester.task.await.unwrap().unwrap();
        ingester.folder
    };
    messages.extend(fixture.take(200));
    let service = EventStreams::start(messages.clone()).await;
    service.retain_from(i64::MAX);
    let mut ingester = Ingester::into(&service, folder, |live, _| live.since_ms = None);
    ingester.kept(changes(&messages[200..])).await;
    assert_exactly(&ingester.stop().await.1, &messages);
    let requests = service.requests();
    assert!(requests[0].header("last-event-id").is_some() && requests[0].query("since").is_none());
    assert!(requests[1].header("last-event-id").is_none());
    let since: jiff::Timestamp = requests[1].query("since").unwrap().parse().unwrap();
    assert!(since.as_millisecond() >= START_MS - 6_000);
}

#[tokio::test]
async fn without_a_position_it_starts_now_and_keeps_to_that_now() {
    let mut fixture = Changes::new(6, jiff::Timestamp::now().as_millisecond() - 3_600_000);
    let service = EventStreams::start(fixture.take(100)).await;
    service.script([Conduct::CloseAfterEvents(0), Conduct::HangUp]);
    let mut now = Changes::new(7, jiff::Timestamp::now().as_millisecond() + 1_000);
    let mut ingester = Ingester::into(&service, tempfile::tempdir().unwrap(), |live, _| {
        live.since_ms = None
    });
    service.requested(3).await;
    let messages = now.take(50);
    service.append(messages.clone());
    ingester.kept(changes(&messages)).await;
    assert_exactly(&ingester.stop().await.1, &messages);
    let requests = service.requests();
    assert_eq!(requests[0].query("since"), None);
    assert!(
        requests[2].query("since").is_some(),
        "between the attempts nothing may be lost"
    );
}

#[tokio::test]
async fn a_dirty_stream_is_read_to_its_end() {
    let fixture = include_str!("../../data/changes.ndjson");
    let mut bytes = "\u{feff}:ok\r\n\r\nretry: 10\r\n\r\n".as_bytes().to_vec();
    for (at, line) in fixture.lines().enumerate() {
        let (end, middle) = [("\n", "\n"), ("\r\n", "\r\n"), ("\r", "\r")][at % 3];
        // JSON may be cut into lines between its tokens.
        let data = line.replacen(",\"meta\"", &format!(",{middle}data:\"meta\""), at % 2);
        bytes.extend(
            format!("event: message{end}id: [1]{end}: a comment{end}data: {data}{end}{end}")
                .bytes(),
        );
    }
    for junk in [
        &b"[1]"[..],
        b"{\"cut\":",
        b"\"text\"",
        b"",
        b"{\"user\":\"\xff\"}",
        &vec![b'x'; 3 << 20],
    ] {
        bytes.extend([b"data: ", junk, b"\n\n"].concat());
    }
    bytes.extend(b"data: {\"never\":\"finished\"}");
    let service = EventStreams::start(Vec::new()).await;
    service.script([Conduct::Stream(bytes)]);
    let mut ingester = Ingester::start(&service);
    ingester
        .until(|status| status.counters.reconnects.total() == 1)
        .await;
    let (summary, lines) = ingester.stop().await;
    assert_eq!(
        count(lines.iter().map(String::as_str)),
        count(fixture.lines())
    );
    let counters = summary.status.counters;
    assert_eq!(counters.received, 26 + 6);
    assert_eq!(
        (counters.kept, counters.canaries, counters.repeats),
        (24, 1, 1)
    );
    assert_eq!((counters.malformed, counters.oversize), (5, 1));
    assert_eq!(counters.pending(), 0);
}

#[tokio::test]
async fn ends_after_so_many_changes_so_long_or_once_it_has_caught_up() {
    let messages = Changes::new(9, jiff::Timestamp::now().as_millisecond() - 10_000).take(200);
    let limits = [
        Limits {
            changes_max: Some(70),
            ..Limits::default()
        },
        Limits {
            run_for: Some(Duration::from_millis(1)),
            ..Limits::default()
        },
        Limits {
            until_now: true,
            ..Limits::default()
        },
    ];
    for limit in limits {
        let service = EventStreams::start(messages.clone()).await;
        let adjust = |_: &mut LiveConfig, limits: &mut Limits| *limits = limit;
        let (outcome, lines) = Ingester::into(&service, tempfile::tempdir().unwrap(), adjust)
            .end()
            .await;
        let counters = outcome.unwrap().status.counters;
        assert_eq!(counters.kept, lines.len() as u64, "{limit:?}");
        match limit {
            Limits {
                changes_max: Some(max),
                ..
            } => assert_eq!(counters.kept, max),
            Limits {
                until_now: true, ..
            } => assert!((1..199).contains(&counters.kept), "{}", counters.kept),
            _ => {}
        }
    }
}

#[tokio::test]
async fn goes_on_where_the_file_ends() {
    let mut fixture = Changes::new(4, START_MS);
    let mut messages = Vec::new();
    let mut folder = tempfile::tempdir().unwrap();
    for kept in [0, 100, 200, 50, 300] {
        messages.extend(fixture.take(200));
        let service = EventStreams::start(messages.clone()).await;
        let adjust = |_: &mut LiveConfig, limits: &mut Limits| limits.changes_max = Some(kept);
        let ingester = Ingester::into(&service, folder, adjust);
        let summary = ingester.task.await.unwrap().unwrap();
        assert_eq!(summary.status.counters.kept, kept);
        folder = ingester.folder;
        // What a crash leaves.
        let mut file = std::fs::read(path(&folder)).unwrap();
        file.extend_from_slice(b"data: {\"torn");
        std::fs::write(path(&folder), file).unwrap();
    }
    let service = EventStreams::start(messages.clone()).await;
    let mut ingester = Ingester::into(&service, folder, |_, _| {});
    ingester.kept(changes(&messages) - 650).await;
    assert_exactly(&ingester.stop().await.1, &messages);
}
