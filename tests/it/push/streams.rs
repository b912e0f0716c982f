//! Websockets and server-sent events.

use serde_json::json;

use super::script::{Engine, Server};

#[tokio::test]
async fn a_websocket_begins_with_the_snapshot_and_goes_on_with_frames() {
    let engine = Engine::top10();
    let server = Server::start(&engine).await;
    let mut client = server.websocket("/api/stream/top10").await.unwrap();
    assert_eq!(
        client.text().await,
        "{\"deleted\":[],\"inserted\":[[\"Example\",41]],\"timestamp\":1000}\n"
    );
    engine.change("top10", 1790000000123, &["Example\t41"], &["Example\t42"]);
    assert_eq!(
        client.text().await,
        "{\"deleted\":[[\"Example\",41]],\"inserted\":[[\"Example\",42]],\"timestamp\":1790000000123}\n"
    );
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_view_is_refused_before_any_upgrade() {
    let server = Server::start(&Engine::top10()).await;
    assert_eq!(
        server.websocket("/api/stream/nosuch").await.err(),
        Some(404)
    );
    let answer = server.get("/api/views/nosuch").await;
    assert_eq!(answer.status(), 404);
    let body: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(body["error"], json!("there is no view \"nosuch\""));
    server.stop().await;
}
