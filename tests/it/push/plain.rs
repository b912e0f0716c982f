//! Plain requests.

use serde_json::json;

use super::script::{Engine, Server, soon};

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

#[tokio::test]
async fn what_a_client_has_is_not_sent_again_and_it_may_wait_for_news() {
    let engine = Engine::top10();
    let server = Server::start(&engine).await;
    let tag = server.get("/api/views/top10").await.headers()["etag"]
        .to_str()
        .unwrap()
        .to_owned();
    let ask = |path: &str| {
        let request = reqwest::Client::new()
            .get(server.url(path))
            .header("if-none-match", &tag);
        async { soon(request.send()).await.unwrap() }
    };
    assert_eq!(ask("/api/views/top10").await.status(), 304);
    assert_eq!(ask("/api/views/top10?wait=10ms").await.status(), 304);
    let waiting = ask("/api/views/top10?wait=60s");
    let change = async {
        // The one who waits is a client; only when it is there the view changes.
        let waits = |page: &str| page.contains("wikitop_clients{transport=\"long_poll\"} 1");
        while !waits(&server.get("/metrics").await.text().await.unwrap()) {}
        engine.change("top10", 2000, &["Example\t41"], &["Example\t42"]);
    };
    let (answer, ()) = tokio::join!(waiting, change);
    assert_eq!(answer.status(), 200);
    let table: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(table["rows"], json!([["Example", 42]]));
    server.stop().await;
}

#[tokio::test]
async fn readiness_is_the_age_of_the_newest_change_and_a_new_subscription_is_no_news() {
    let ready = async |engine: &Engine| {
        let server = Server::start(engine).await;
        let answer = server.get("/readyz").await;
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert_eq!(server.get("/healthz").await.status(), 200);
        server.stop().await;
        (status, text)
    };
    let columns = [("dt", "timestamp with time zone"), ("title", "text")];
    let at = |ago_s: i64| {
        let dt = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(ago_s);
        format!("{}+00\tA", dt.strftime("%Y-%m-%d %H:%M:%S%.3f"))
    };
    for (rows, status, says) in [
        (vec![], 503, "no change has come"),
        (vec![at(600), at(900)], 503, "the newest change is 6"),
        (vec![at(600), at(1)], 200, "\"ready\":true"),
        (vec![at(-3)], 200, "\"age_ms\":0"),
    ] {
        let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
        let engine = Engine::default().with("latest", &columns, &rows);
        let (answered, text) = ready(&engine).await;
        assert_eq!((answered, text.contains(says)), (status, true), "{text}");
    }
    let (answered, text) = ready(&Engine::default()).await;
    assert_eq!((answered, text.contains("latest")), (503, true), "{text}");
}
