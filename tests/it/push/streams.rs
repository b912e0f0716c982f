//! What streams carry: one view on a websocket or as server-sent events, and several views on one stream.

use std::time::Duration;

use serde_json::json;
use wikitop::core::subscription::{Event, SubscribeError};
use wikitop::web::status::{Ingest, IngestState, Status};

use super::script::{Engine, Listener, Server, soon};

#[tokio::test]
async fn a_websocket_begins_with_the_snapshot_and_goes_on_with_frames() {
    let engine = Engine::top10();
    let server = Server::start(&engine).await;
    let mut client = server.websocket("/api/stream/top10").await.unwrap();
    assert_eq!(
        client.text().await,
        "{\"deleted\":[],\"inserted\":[[\"Example\",41]],\"timestamp\":1000}\n"
    );
    engine.change(
        "top10",
        1_790_000_000_123,
        &["Example\t41"],
        &["Example\t42"],
    );
    assert_eq!(
        client.text().await,
        "{\"deleted\":[[\"Example\",41]],\"inserted\":[[\"Example\",42]],\"timestamp\":1790000000123}\n"
    );
    server.stop().await;
}

#[tokio::test]
async fn however_many_clients_there_is_one_subscription() {
    let engine = Engine::default().with(
        "user_edits",
        &[("user", "text"), ("count", "bigint")],
        &["A\t1"],
    );
    let server = Server::start(&engine).await;
    let mut clients = Vec::new();
    for path in [
        "/api/stream/user_edits",
        "/api/stream/useredits",
        "/api/stream/user%5Fedits",
    ] {
        let mut client = server.websocket(path).await.unwrap();
        client.text().await;
        clients.push(client);
    }
    drop(clients);
    let mut again = server.websocket("/api/stream/user_edits").await.unwrap();
    again.text().await;
    assert_eq!(*engine.subscribed("user_edits").borrow(), 1);
    server.stop().await;
}

#[tokio::test]
async fn without_a_snapshot_a_stream_begins_with_what_comes() {
    let engine = Engine::top10();
    let server = Server::start(&engine).await;
    let mut other = server.websocket("/api/stream/top10").await.unwrap();
    other.text().await;
    let mut client = server
        .websocket("/api/stream/top10?snapshot=false")
        .await
        .unwrap();
    // A pong shows that the stream has begun.
    client.pong().await;
    engine.change("top10", 2000, &["Example\t41"], &["Example\t42"]);
    assert_eq!(client.json().await["deleted"], json!([["Example", 41]]));
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_asks_for_fewer_messages_gets_what_they_come_to() {
    let engine = Engine::top10();
    let server = Server::start(&engine).await;
    let mut slow = server
        .websocket("/api/stream/top10?max_rate=2")
        .await
        .unwrap();
    let mut fast = server.websocket("/api/stream/top10").await.unwrap();
    slow.text().await;
    fast.text().await;
    for count in 42..50 {
        let (gone, come) = (
            format!("Example\t{}", count - 1),
            format!("Example\t{count}"),
        );
        engine.change("top10", 1000 + count, &[&gone], &[&come]);
        assert_eq!(fast.json().await["inserted"], json!([["Example", count]]));
    }
    let mut held = json!([["Example", 41]]);
    let mut messages = 0;
    while held != json!([["Example", 49]]) {
        let message = slow.json().await;
        assert_eq!(message["deleted"], held);
        held = message["inserted"].clone();
        messages += 1;
    }
    assert!(messages < 8, "{messages} messages");
    server.stop().await;
}

#[tokio::test]
async fn events_carry_their_time_and_go_on_where_a_client_was() {
    let engine = Engine::default().with("v", &[("n", "bigint")], &["1", "2", "3", "4"]);
    let server = Server::start(&engine).await;
    let mut listener = Listener::open(&server, "/api/stream/v", None).await;
    let first = listener.next().await.unwrap();
    assert_eq!(first.id.as_deref(), Some("1000"));
    assert_eq!(
        first.data,
        json!({"deleted": [], "inserted": [[1], [2], [3], [4]], "timestamp": 1000, "snapshot": true})
    );
    engine.change("v", 1001, &["1"], &["5"]);
    let frame = listener.next().await.unwrap();
    assert_eq!(frame.id.as_deref(), Some("1001"));
    assert_eq!(
        frame.data,
        json!({"deleted": [[1]], "inserted": [[5]], "timestamp": 1001})
    );
    engine.change("v", 1002, &["2"], &["6"]);
    listener.next().await.unwrap();

    let mut resumed = Listener::open(&server, "/api/stream/v", Some("1001")).await;
    let missed = json!({"deleted": [[2]], "inserted": [[6]], "timestamp": 1002});
    assert_eq!(resumed.next().await.unwrap().data, missed);
    for unknown in ["7", "not a time"] {
        let mut lost = Listener::open(&server, "/api/stream/v", Some(unknown)).await;
        assert_eq!(
            lost.next().await.unwrap().data["snapshot"],
            true,
            "{unknown}"
        );
    }
    server.stop().await;
    assert!(
        listener.next().await.is_none(),
        "the stream ends with the server"
    );
}

fn two_views() -> Engine {
    Engine::top10().with("counter", &[("count", "bigint")], &["7"])
}

#[tokio::test]
async fn several_views_share_a_stream_and_each_message_names_its_view() {
    let engine = two_views();
    let server = Server::start(&engine).await;
    let mut client = server
        .websocket("/api/stream?views=counter,top10,nosuch,counter")
        .await
        .unwrap();
    let mut first = [
        client.json().await,
        client.json().await,
        client.json().await,
        client.json().await,
    ];
    first.sort_by_key(|message| message["view"].to_string());
    assert_eq!(first[0]["view"], "counter");
    assert_eq!(first[0]["snapshot"], true);
    assert_eq!(
        first[0]["columns"],
        json!([{"name": "count", "type": "bigint"}])
    );
    assert_eq!(
        first[1],
        json!({"view": "nosuch", "error": "unknown catalog item 'nosuch'"})
    );
    assert_eq!(first[2]["view"], "top10");
    assert!(first[3]["status"].is_object());
    engine.change("counter", 2000, &["7"], &["8"]);
    assert_eq!(
        client.json().await,
        json!({"view": "counter", "deleted": [[7]], "inserted": [[8]], "timestamp": 2000})
    );
    server.stop().await;
}

#[tokio::test]
async fn a_stream_of_several_tells_when_the_engine_is_away_and_what_it_missed() {
    let engine = two_views();
    let server = Server::start(&engine).await;
    let mut client = server.websocket("/api/stream?views=counter").await.unwrap();
    while client.json().await["view"] != "counter" {}
    let reason = "connection refused".to_owned();
    engine.tell(
        "counter",
        &Event::Reconnecting {
            reason,
            retry_in: Duration::from_secs(1),
        },
    );
    assert_eq!(
        client.json().await,
        json!({"view": "counter", "reconnecting": true})
    );
    engine.reopen("counter");
    assert_eq!(
        client.json().await,
        json!({"view": "counter", "reconnecting": false})
    );
    engine.change("counter", 3000, &["7"], &["9"]);
    assert_eq!(client.json().await["inserted"], json!([[9]]));
    server.stop().await;
}

#[tokio::test]
async fn a_stream_of_several_tells_the_status_when_it_is_news() {
    let server = Server::start(&two_views()).await;
    let mut client = server.websocket("/api/stream?views=counter").await.unwrap();
    let news = Status {
        engine: "embedded".into(),
        ingest: Ingest {
            state: IngestState::Retrying,
            detail: "no route to host".into(),
            ..Ingest::default()
        },
        version: "1".into(),
    };
    server.status.as_ref().unwrap().send_replace(news);
    let told = loop {
        let message = client.json().await;
        if message["status"]["ingest"]["state"] == "retrying" {
            break message;
        }
    };
    assert_eq!(told["status"]["ingest"]["detail"], "no route to host");
    assert_eq!(server.json("/api/status").await, told["status"]);
    server.stop().await;
}

#[tokio::test]
async fn several_views_as_events_go_on_when_nobody_tells_the_status_any_more() {
    let engine = two_views();
    let mut server = Server::start(&engine).await;
    server.status = None;
    let mut listener = Listener::open(&server, "/api/stream?views=counter", None).await;
    assert!(listener.next().await.unwrap().data["status"].is_object());
    let snapshot = listener.next().await.unwrap();
    assert_eq!(
        (&snapshot.data["view"], snapshot.id),
        (&json!("counter"), None)
    );
    engine.change("counter", 2000, &["7"], &["8"]);
    assert_eq!(
        listener.next().await.unwrap().data["inserted"],
        json!([[8]])
    );
    server.stop().await;
}

#[tokio::test]
async fn a_view_that_goes_closes_its_stream_and_is_asked_for_anew() {
    let engine = two_views();
    let server = Server::start(&engine).await;
    let mut one = server.websocket("/api/stream/counter").await.unwrap();
    one.text().await;
    let error = SubscribeError::UnknownRelation("\"counter\" was dropped".to_owned());
    engine.tell("counter", &Event::Failed(error));
    assert_eq!(one.closed().await, 1011);
    let mut again = server.websocket("/api/stream/counter").await.unwrap();
    assert_eq!(again.json().await["inserted"], json!([[7]]));
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_gets_in_one_message_what_it_missed() {
    let wide = "x".repeat(1000);
    let rows: Vec<String> = (0..50).map(|n| format!("{n}\t{wide}")).collect();
    let texts: Vec<&str> = rows.iter().map(String::as_str).collect();
    let engine = Engine::default().with("v", &[("n", "bigint"), ("text", "text")], &texts);
    let server = Server::start(&engine).await;
    let mut slow = server.websocket_that_reads_little("/api/stream/v").await;
    let mut fast = server.websocket("/api/stream/v").await.unwrap();
    fast.text().await;
    // Far more than all buffers between the two ends hold.
    let frames = 400;
    for frame in 0..frames {
        let gone: Vec<String> = if frame == 0 {
            rows.clone()
        } else {
            rows_at(frame - 1, &wide)
        };
        let come = rows_at(frame, &wide);
        let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
        let come: Vec<&str> = come.iter().map(String::as_str).collect();
        engine.change("v", 2000 + frame, &gone, &come);
        fast.text().await;
    }
    let mut held: Vec<String> = Vec::new();
    let mut messages = 0;
    let mut time = 0;
    while time < 2000 + frames - 1 {
        let message = slow.json().await;
        if message["snapshot"] == true {
            held.clear();
        }
        for row in message["deleted"].as_array().unwrap() {
            let gone = row[0].to_string();
            let at = held.iter().position(|held| *held == gone).unwrap();
            held.swap_remove(at);
        }
        held.extend(
            message["inserted"]
                .as_array()
                .unwrap()
                .iter()
                .map(|row| row[0].to_string()),
        );
        time = message["timestamp"].as_u64().unwrap();
        messages += 1;
    }
    held.sort();
    let mut last: Vec<String> = (0..50)
        .map(|n| (1000 * (frames - 1) + n).to_string())
        .collect();
    last.sort();
    assert_eq!(held, last);
    assert!(messages < frames, "{messages} messages");
    let metrics = server.get("/metrics").await.text().await.unwrap();
    let conflated = metrics
        .lines()
        .find_map(|line| line.strip_prefix("wikitop_conflated_frames_total "))
        .unwrap();
    assert!(conflated.parse::<u64>().unwrap() > 0);
    soon(server.stop()).await;
}

fn rows_at(frame: u64, wide: &str) -> Vec<String> {
    (0..50)
        .map(|n| format!("{}\t{wide}", 1000 * frame + n))
        .collect()
}
