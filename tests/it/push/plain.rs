//! Plain requests.

use serde_json::json;

use super::script::{Engine, Server};

#[tokio::test]
async fn a_view_is_answered_in_its_own_order() {
    let engine = Engine::default().with(
        "top10",
        &[("user", "text"), ("count", "bigint")],
        &["A\t9", "B\t100", "Z\t9", "Big\t9007199254740993"],
    );
    let server = Server::start(&engine).await;
    assert_eq!(
        server.json("/api/views/top10").await,
        json!({
            "view": "top10",
            "timestamp": 1000,
            "columns": [{"name": "user", "type": "text"}, {"name": "count", "type": "bigint"}],
            "rows": [["Big", "9007199254740993"], ["B", 100], ["A", 9], ["Z", 9]],
        })
    );
    assert_eq!(server.json("/api/views").await, json!({"views": ["top10"]}));
    server.stop().await;
}

#[tokio::test]
async fn the_page_is_served_with_what_keeps_it_safe() {
    let server = Server::start(&Engine::top10()).await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status(), 200, "{path}");
        let header = |name: &str| answer.headers()[name].to_str().unwrap();
        assert_eq!(header("content-type"), kind);
        assert!(header("content-security-policy").contains("script-src 'self'"));
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert_eq!(header("referrer-policy"), "no-referrer");
        let tag = header("etag").to_owned();
        let again = reqwest::Client::new()
            .get(server.url(path))
            .header("if-none-match", tag);
        assert_eq!(again.send().await.unwrap().status(), 304);
    }
    assert_eq!(server.get("/healthz").await.status(), 200);
    assert_eq!(server.get("/nothing").await.status(), 404);
    server.stop().await;
}
