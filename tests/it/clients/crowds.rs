//! Many clients, and clients that do not read: each costs itself, never the others.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::raw::Raw;
use super::{Door, copy, edit, within};

/// What a connection may say and then stay silent: nothing, half a startup packet, a request for encryption.
const HALF_SAID: [&[u8]; 3] = [
    b"",
    b"\x00\x00\x00\x29\x00\x03\x00\x00user\0ma",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
];

/// Connects, says something, and nothing more.
async fn half_open(address: SocketAddr, said: &[u8]) -> TcpStream {
    let mut stream = within(TcpStream::connect(address)).await.unwrap();
    within(stream.write_all(said)).await.unwrap();
    stream
}

#[tokio::test]
async fn one_session_too_many_is_told_so() {
    let door = Door::open().await;
    let mut sessions = Vec::new();
    for _ in 0..wikitop::engine::door::CONNECTIONS_MAX {
        sessions.push(door.raw().await);
    }
    let mut late = Raw::connect(door.address).await;
    late.startup(&[("user", "ann")]).await;
    assert_eq!(late.error().await, "53300");
    assert_eq!(late.hear().await, None);
    // A cancel request is no session.
    let mut cancel = Raw::connect(door.address).await;
    cancel
        .packet(&[4, 210, 22, 46, 0, 0, 0, 1, 0, 0, 0, 0])
        .await;
    assert_eq!(cancel.hear().await, None);
    // Room is made by those who leave.
    drop(sessions);
    loop {
        let mut raw = Raw::connect(door.address).await;
        raw.startup(&[("user", "ann")]).await;
        match raw.hear().await {
            Some(heard) if heard.kind == 'R' => break,
            _ => tokio::task::yield_now().await,
        }
    }
    door.close().await;
}

#[tokio::test]
async fn two_thousand_that_never_begin_keep_nobody_out() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let files = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: files.maximum,
        maximum: files.maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let door = Door::with_views().await;
    let client = door.client().await;
    let mut crowd = Vec::new();
    for at in 0..2_000 {
        crowd.push(half_open(door.address, HALF_SAID[at % HALF_SAID.len()]).await);
        if at % 100 == 0 {
            let row = within(client.query_one("SELECT count FROM counter", &[]));
            assert_eq!(row.await.unwrap().get::<_, i64>(0), 0);
        }
    }
    // The longest silent ones have made room; whoever speaks is let in.
    let mut heard = Vec::new();
    let first = crowd.first_mut().unwrap();
    within(first.read_to_end(&mut heard)).await.unwrap();
    let late = door.client().await;
    copy(&late, &[edit(1, "Ann")]).await.unwrap();
    let row = within(client.query_one("SELECT count FROM counter", &[]));
    assert_eq!(row.await.unwrap().get::<_, i64>(0), 1);
    drop(crowd);
    door.close().await;
}

/// A subscriber that never reads: its buffers are small, so that it is soon behind.
async fn stalled(address: SocketAddr, sql: &str) -> Raw {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let stream = within(socket.connect(address)).await.unwrap();
    let mut raw = Raw::over(stream);
    raw.startup(&[("user", "materialize")]).await;
    raw.until_ready().await;
    raw.query(sql).await;
    raw
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_ended_and_others_hear_everything() {
    const COMMENT_BYTES: usize = 16 << 10;
    let door = Door::with_views().await;
    let mut slow = Vec::new();
    for sql in [
        "COPY (SUBSCRIBE recentchanges) TO STDOUT",
        "SUBSCRIBE (SELECT comment, title FROM recentchanges)",
    ] {
        slow.push(stalled(door.address, sql).await);
    }
    let (writer, reader) = (door.client().await, door.client().await);
    let quick = reader
        .copy_out("COPY (SUBSCRIBE counter WITH (SNAPSHOT = false)) TO STDOUT")
        .await
        .unwrap();
    let mut quick = std::pin::pin!(quick);
    let mut longest = Duration::ZERO;
    let appends = wikitop::engine::feed::FEED_TICKS_MAX as u32 + 300;
    for id in 0..appends {
        let comment = "x".repeat(COMMENT_BYTES);
        let change = edit(id, "Ann").replacen('{', &format!("{{\"comment\":\"{comment}\","), 1);
        let sent = Instant::now();
        copy(&writer, &[change]).await.unwrap();
        // The old count leaves, the new one comes.
        for _ in 0..2 {
            within(quick.try_next()).await.unwrap().unwrap();
        }
        longest = longest.max(sent.elapsed());
    }
    assert!(longest < Duration::from_secs(10), "{longest:?}");
    for mut slow in slow {
        let mut last = None;
        while let Some(heard) = slow.hear().await {
            last = Some(heard);
        }
        // One that was stuck for longer than the door waits is hung up on without a word.
        let last = last.unwrap();
        if last.kind == 'E' {
            assert_eq!(last.field('C').as_deref(), Some("53400"), "{}", last.line());
            assert_eq!(last.field('S').as_deref(), Some("FATAL"));
        }
    }
    door.close().await;
}
