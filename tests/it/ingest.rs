//! Following a stream that misbehaves, and recordings.

mod command;
mod engine;
mod follow;

use std::collections::BTreeSet;

use super::support::changes::{Changes, count};
use super::support::eventstreams::{CODFW, Conduct, EventStreams};

/// The ids of a body of server-sent events, by the plainest reading.
fn meta_ids(body: &str) -> Vec<String> {
    let events = body.lines().filter_map(|line| line.strip_prefix("data: "));
    events
        .map(|json| {
            let event: serde_json::Value = serde_json::from_str(json).unwrap();
            event["meta"]["id"].as_str().unwrap().to_owned()
        })
        .collect()
}

async fn get(url: &str, last_event_id: Option<&str>) -> String {
    let client = reqwest::Client::builder().user_agent("wikitop tests");
    let mut request = client.build().unwrap().get(url);
    if let Some(id) = last_event_id {
        request = request.header("Last-Event-ID", id);
    }
    request.send().await.unwrap().text().await.unwrap()
}

/// The loopback service is only worth something if a client that trusts its ids loses events on it, as on the real one.
#[tokio::test]
async fn a_client_that_resumes_by_the_id_alone_loses_events() {
    let mut changes = Changes::new(1, 1_785_900_000_000);
    let messages = changes.take(2_000);
    let service = EventStreams::start(messages.clone()).await;
    service.script([
        Conduct::CloseAfterEvents(1_000),
        Conduct::CloseAfterEvents(900),
    ]);
    let all = format!("{}?since=2026-08-01T00:00:00Z", service.url());
    let first = get(&all, None).await;
    let last_id = first
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .next_back()
        .unwrap();
    let second = get(&service.url(), Some(last_id)).await;
    let first = meta_ids(&first);
    assert_eq!(first.len(), 1_000);
    let received: BTreeSet<String> = first.into_iter().chain(meta_ids(&second)).collect();
    let sent = messages
        .iter()
        .map(|message| meta_ids(&format!("data: {}", message.json)));
    let lost = sent
        .take(1_800)
        .flatten()
        .filter(|id| !received.contains(id));
    assert!(
        lost.count() > 0,
        "the service delivered siblings of a millisecond"
    );
    assert!(last_id.contains(CODFW) && last_id.contains("\"offset\":-1"));
}

#[test]
fn the_fixture_counts_as_it_was_written() {
    let fixture = include_str!("../data/changes.ndjson");
    let counts = count(fixture.lines());
    assert_eq!(counts.counter, 18);
    assert_eq!(counts.user_edits["Zoë"], 4);
    assert_eq!(counts.user_edits.values().sum::<i64>(), 16);
    assert_eq!(counts.changes_by_type["categorize"], 2);
}
