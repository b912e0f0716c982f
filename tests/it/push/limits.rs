//! What is refused, and how connections end.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use wikitop::web::{Limits, Patience};

use super::script::{Engine, Server, soon};

/// Sends a request as it stands and reads what comes until the connection ends or this stands in it.
async fn raw(server: &Server, request: &str, until: &str) -> String {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&answer).contains(until) {
            if stream.read_buf(&mut answer).await.unwrap() == 0 {
                break;
            }
        }
    };
    soon(read).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn an_unknown_view_is_refused_before_any_upgrade() {
    let server = Server::start(&Engine::top10()).await;
    assert_eq!(
        server.websocket("/api/stream/nosuch").await.err(),
        Some(404)
    );
    for path in ["/api/views/nosuch", "/api/stream/nosuch"] {
        let request = reqwest::Client::new()
            .get(server.url(path))
            .header("accept", "text/event-stream");
        let answer = soon(request.send()).await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(body["error"], "there is no view \"nosuch\"");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_ancestors_command_is_answered_with_json_lines() {
    let server = Server::start(&Engine::top10()).await;
    let request = "GET /api/stream/top10 HTTP/1.1\r\nHost: localhost:8875\r\nUser-Agent: curl/8.14.1\r\nAccept: */*\r\n\
                   Sec-WebSocket-Key: +\r\nSec-WebSocket-Version: 13\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let answer = raw(&server, request, "}\n").await;
    assert!(
        answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{answer}"
    );
    assert!(
        answer.ends_with("{\"deleted\":[],\"inserted\":[[\"Example\",41]],\"timestamp\":1000}\n"),
        "{answer}"
    );
    server.stop().await;
}

#[tokio::test]
async fn one_client_too_many_is_told_to_come_later() {
    let limits = Limits {
        clients_per_address_max: 2,
        ..Limits::default()
    };
    let server = Server::start_with(&Engine::top10(), limits, &[]).await;
    let mut first = server.websocket("/api/stream/top10").await.unwrap();
    let _second = server.websocket("/api/stream/top10").await.unwrap();
    let request = reqwest::Client::new()
        .get(server.url("/api/stream/top10"))
        .header("accept", "text/event-stream");
    let refused = soon(request.send()).await.unwrap();
    assert_eq!(refused.status(), 429);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(
        server.get("/api/views/top10").await.status(),
        200,
        "plain requests are no clients"
    );
    first.text().await;
    first.send(Message::Close(None)).await;
    while first.next().await.is_some() {}
    let again = async { while server.websocket("/api/stream/top10").await.is_err() {} };
    soon(again).await;
    server.stop().await;
}

#[tokio::test]
async fn pages_of_other_origins_and_names_that_are_not_ours_are_refused() {
    let server = Server::start_with(
        &Engine::top10(),
        Limits::default(),
        &["https://friend.example"],
    )
    .await;
    let own = format!("http://{}", server.address);
    let origins = [
        (own.as_str(), None),
        ("https://friend.example", None),
        ("https://evil.example", Some(403)),
        ("null", Some(403)),
    ];
    for (origin, refused) in origins {
        let answer = server
            .websocket_with("/api/stream/top10", &[("origin", origin)])
            .await;
        assert_eq!(answer.err(), refused, "{origin}");
    }
    for (host, status) in [
        ("localhost:1", "200"),
        ("[::1]", "200"),
        ("evil.example", "421"),
        ("friend.example", "200"),
    ] {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = raw(&server, &request, "\r\n\r\n").await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{host}: {answer}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn requests_that_make_no_sense_are_told_why() {
    let server = Server::start(&Engine::top10()).await;
    let table = [
        ("/api/stream/top10", 426),
        ("/api/stream", 400),
        ("/api/stream?views=", 400),
        ("/api/stream/top10?max_rate=0", 400),
        ("/api/stream/top10?max_rate=fast", 400),
        ("/api/stream/top10?snapshot=maybe", 400),
        ("/api/views/top10?wait=long", 400),
        ("/api/stream/", 404),
        ("/api/views/%00", 404),
        ("/api/views/%ff", 400),
        ("/api/nothing", 404),
        ("/../Cargo.toml", 404),
        ("//api/views", 404),
    ];
    for (path, status) in table {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = raw(&server, &request, "no such text").await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {answer}"
        );
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        assert!(!body["error"].as_str().unwrap().is_empty(), "{path}");
    }
    let upgrade = "HEAD /api/stream/top10 HTTP/1.1\r\nHost: localhost\r\nSec-WebSocket-Key: +\r\nSec-WebSocket-Version: 13\r\n\
                   Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    for (request, status) in [
        (
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            400,
        ),
        (upgrade, 426),
    ] {
        let answer = raw(&server, request, "\r\n\r\n").await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    let post = "POST /api/views HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(
        raw(&server, post, "no such text")
            .await
            .starts_with("HTTP/1.1 405 ")
    );
    let many = "x: y\r\n".repeat(1000);
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{many}\r\n");
    assert!(
        raw(&server, &request, "no such text")
            .await
            .starts_with("HTTP/1.1 431 ")
    );
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_talks_too_much_is_closed() {
    let server = Server::start(&Engine::top10()).await;
    let mut client = server.websocket("/api/stream/top10").await.unwrap();
    client.text().await;
    client.send(Message::text("x".repeat(100))).await;
    client.pong().await;
    client.send(Message::text("x".repeat(5000))).await;
    assert_eq!(client.closed().await, 1009);
    server.stop().await;
}

#[tokio::test]
async fn at_shutdown_clients_are_told_that_the_server_goes_away() {
    let server = Server::start(&Engine::top10()).await;
    let mut client = server.websocket("/api/stream/top10").await.unwrap();
    client.text().await;
    let (code, ()) = tokio::join!(client.closed(), server.stop());
    assert_eq!(code, 1001);
}

/// A websocket that this test reads byte by byte.
async fn bare(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = "GET /api/stream/top10 HTTP/1.1\r\nHost: localhost\r\nSec-WebSocket-Key: +\r\nSec-WebSocket-Version: 13\r\n\
                   Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut read = Vec::new();
    while !read.ends_with(b"}\n") {
        stream.read_buf(&mut read).await.unwrap();
    }
    stream
}

async fn patient(patience: Patience) -> Server {
    let limits = Limits {
        patience,
        ..Limits::default()
    };
    Server::start_with(&Engine::top10(), limits, &[]).await
}

#[tokio::test]
async fn a_client_that_no_longer_answers_pings_is_closed() {
    const CLOSE_1008: [u8; 4] = [0x88, 20, 0x03, 0xf0];
    const MASKED_PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
    let server = patient(Patience {
        ping_every: Duration::from_millis(10),
        silence_max: Duration::from_millis(50),
        ..Patience::default()
    })
    .await;
    let mut stream = bare(&server).await;
    stream.write_all(&MASKED_PONG).await.unwrap();
    let mut read = Vec::new();
    soon(async { while stream.read_buf(&mut read).await.unwrap() > 0 {} }).await;
    assert_eq!(read[..2], [0x89, 0], "a ping");
    assert!(read.windows(4).any(|bytes| bytes == CLOSE_1008), "{read:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_never_said_anything_may_stay() {
    let server = patient(Patience {
        ping_every: Duration::from_millis(2),
        silence_max: Duration::from_millis(2),
        ..Patience::default()
    })
    .await;
    let mut stream = bare(&server).await;
    let mut read = Vec::new();
    while read.len() < 100 {
        soon(stream.read_buf(&mut read)).await.unwrap();
    }
    assert!(read.chunks(2).all(|ping| ping == [0x89, 0]), "{read:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_is_closed() {
    let server = patient(Patience {
        headers_max: Duration::from_secs(1),
        ..Patience::default()
    })
    .await;
    for said in [
        "",
        "GET / HTTP/1.1\r\nHost: loc",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        soon(async {
            while stream
                .read_buf(&mut read)
                .await
                .is_ok_and(|bytes| bytes > 0)
            {}
        })
        .await;
    }
    server.stop().await;
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let limits = Limits {
        clients_per_address_max: 1,
        ..Limits::default()
    };
    let server = Server::start_with(&Engine::top10(), limits, &[]).await;
    let mut held = Vec::new();
    let mut closed = 0;
    while closed == 0 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
        let asked = stream.write_all(request.as_bytes()).await;
        let mut read = [0; 1];
        match (asked, soon(stream.read(&mut read)).await) {
            (Ok(()), Ok(1)) => held.push(stream),
            _ => closed += 1,
        }
        assert!(held.len() <= 65, "65 connections are plenty");
    }
    assert_eq!(held.len(), 65);
    server.stop().await;
}
