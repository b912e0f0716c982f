//! `wikitop ingest` as it is run: by hand, by a service manager, by cron, and killed at any moment.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::support::changes::{Changes, count};
use crate::support::eventstreams::{Conduct, EventStreams};
use crate::support::process::{DEADLINE, send_signal, wikitop};

/// When the fixtures' changes begin, and a time before that.
const START_MS: i64 = 1_785_900_000_000;
const SINCE: &str = "2026-08-01T00:00:00Z";

async fn run(args: &[&str]) -> Output {
    let output = wikitop(args).output();
    tokio::time::timeout(DEADLINE, output)
        .await
        .expect("it ends")
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn recorded(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let whole = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|line| line.ends_with('}'));
    whole.map(str::to_owned).collect()
}

/// Waits until a file holds so many changes; files tell nobody, so they are looked at.
async fn until_recorded(file: &Path, changes: usize) {
    let looking = async {
        while recorded(file).len() < changes {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, looking)
        .await
        .expect("it records");
}

#[tokio::test]
async fn killed_at_any_moment_it_goes_on_where_the_file_ends() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recentchanges");
    let mut fixture = Changes::new(21, START_MS);
    let mut messages = fixture.take(1_000);
    let service = EventStreams::start(messages.clone()).await;
    let args = [
        "ingest",
        "--source",
        &service.url(),
        "--since",
        SINCE,
        "--record",
        file.to_str().unwrap(),
    ];
    for _ in 0..6 {
        let mut ingest = wikitop(&args).spawn().unwrap();
        until_recorded(&file, messages.len() - 200).await;
        let more = fixture.take(300);
        messages.extend(more.clone());
        service.append(more);
        ingest.kill().await.unwrap();
    }
    let ingest = wikitop(&args).spawn().unwrap();
    let expected = count(messages.iter().map(|message| message.json.as_str()));
    let changes = messages
        .iter()
        .filter(|message| !message.json.contains("\"canary\""))
        .count();
    until_recorded(&file, changes).await;
    // SIGTERM: the batch is finished, and the exit code says that a signal ended it.
    send_signal(i32::try_from(ingest.id().unwrap()).unwrap(), "TERM");
    let output = ingest.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", stderr(&output));
    assert!(stderr(&output).contains(" changes received, "));
    let lines = recorded(&file);
    assert_eq!(lines.len(), changes);
    assert_eq!(count(lines.iter().map(String::as_str)), expected);
}

#[tokio::test]
async fn as_a_cron_job_it_ends_when_it_has_caught_up_and_goes_on_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recentchanges");
    let mut messages = Changes::new(22, START_MS).take(300);
    let present = Changes::new(23, jiff::Timestamp::now().as_millisecond()).take(1);
    messages.extend(present);
    let service = EventStreams::start(messages.clone()).await;
    service.script([Conduct::Serve, Conduct::CloseAfterEvents(0)]);
    let url = service.url();
    let args = [
        "ingest",
        "--source",
        &url,
        "--since",
        SINCE,
        "--until-now",
        "--record",
        file.to_str().unwrap(),
    ];
    let first = run(&args).await;
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    assert!(
        stderr(&first).contains("missing in the stream; 0 reconnects"),
        "{}",
        stderr(&first)
    );
    let last_id = |at: usize| {
        service.requests()[at]
            .header("last-event-id")
            .map(str::to_owned)
    };
    assert_eq!(last_id(0), None);
    let again = run(&[&args[..], &["--for", "1s"]].concat()).await;
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert!(last_id(1).unwrap().contains("\"timestamp\""));
    let expected = count(messages.iter().map(|message| message.json.as_str()));
    assert_eq!(count(recorded(&file).iter().map(String::as_str)), expected);
}

#[tokio::test]
async fn reads_a_recording_from_stdin() {
    let fixture = include_str!("../../data/changes.ndjson");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recentchanges");
    let args = [
        "ingest",
        "--source",
        "-",
        "--speed",
        "max",
        "--record",
        file.to_str().unwrap(),
    ];
    let mut ingest = wikitop(&args).stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = ingest.stdin.take().unwrap();
    stdin.write_all(fixture.as_bytes()).await.unwrap();
    drop(stdin);
    let output = ingest.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let expected =
        "26 changes received, 24 kept; skipped 1 canary, 1 repeat; 0 missing in the stream";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    assert_eq!(
        count(recorded(&file).iter().map(String::as_str)),
        count(fixture.lines())
    );
}

#[tokio::test]
async fn what_can_never_work_is_said_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let page = EventStreams::start(Vec::new()).await;
    page.script([Conduct::EndlessPage]);
    let file = folder.path().join("x");
    let (file, nowhere) = (file.to_str().unwrap(), folder.path().join("no/where"));
    let table: [(&[&str], i32, &str); 6] = [
        (
            &["--source", "/nowhere.ndjson", "--record", file],
            4,
            "could not open \"/nowhere.ndjson\"",
        ),
        (
            &["--source", "ftp://example.org/", "--record", file],
            2,
            "is no http or https address",
        ),
        (
            &["--source", &page.url(), "--record", file],
            4,
            "is no event stream: its content type is \"text/html\"",
        ),
        (
            &["--record", nowhere.to_str().unwrap()],
            1,
            "could not open",
        ),
        (
            &["--source", folder.path().to_str().unwrap()],
            4,
            "could not open",
        ),
        (
            &["--contact", "a\nb", "--record", file],
            2,
            "holds control characters",
        ),
    ];
    for (args, code, expected) in table {
        let output = run(&[&["ingest"], args].concat()).await;
        assert_eq!(
            output.status.code(),
            Some(code),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(
            stderr(&output).contains(expected),
            "{args:?}: {}",
            stderr(&output)
        );
        assert!(stderr(&output).contains("hint: "), "{args:?}");
    }
}
