//! Bytes that no client should send. Whatever one connection says, the others are served.

use tokio::io::AsyncReadExt;

use super::raw::Raw;
use super::{Door, within};

/// A session that goes on working.
async fn assert_serves(door: &Door) {
    let client = door.client().await;
    let row = within(client.query_one("SELECT 1", &[])).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn encryption_is_refused_and_the_session_begins_all_the_same() {
    let door = Door::open().await;
    let mut raw = Raw::connect(door.address).await;
    raw.packet(&80_877_104_i32.to_be_bytes()).await;
    let mut answer = [0];
    within(raw.stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"N");
    raw.packet(&80_877_103_i32.to_be_bytes()).await;
    within(raw.stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"N");
    raw.startup(&[("user", "anybody"), ("application_name", "a")])
        .await;
    let heard = raw.until_ready().await;
    let lines: Vec<String> = heard.iter().map(|heard| heard.line()).collect();
    for expected in [
        "Authentication 0",
        "ParameterStatus server_version = 9.5.0",
        "ParameterStatus client_encoding = UTF8",
        "ParameterStatus application_name = a",
        "ParameterStatus TimeZone = UTC",
        "ParameterStatus integer_datetimes = on",
        "ParameterStatus standard_conforming_strings = on",
    ] {
        assert!(
            lines.iter().any(|line| line == expected),
            "{expected}: {lines:?}"
        );
    }
    let version = format!(
        "ParameterStatus mz_version = wikitop {} (embedded)",
        env!("CARGO_PKG_VERSION")
    );
    assert!(lines.contains(&version), "{lines:?}");
    door.close().await;
}

#[tokio::test]
async fn openings_that_are_none_are_hung_up_on() {
    let door = Door::open().await;
    let openings: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x00\x00\x00\x00",
        b"\x00\x00\x00\x04",
        b"\xff\xff\xff\xff\x00\x03\x00\x00",
        b"\x7f\xff\xff\xff\x00\x03\x00\x00",
        b"\x00\x00\x00\x08\x00\x03\x00\x00",
        b"\x00\x00\x00\x0c\x00\x03\x00\x00user",
    ];
    for opening in openings {
        let mut raw = Raw::connect(door.address).await;
        raw.bytes(opening).await;
        while let Some(heard) = raw.hear().await {
            assert_eq!(heard.kind, 'E', "{opening:?}");
        }
    }
    assert_serves(&door).await;
    door.close().await;
}

#[tokio::test]
async fn malformed_messages_end_their_own_session() {
    let door = Door::open().await;
    let messages: [&[u8]; 9] = [
        b"Q\x00\x00\x00\x03",
        b"Q\xff\xff\xff\xff",
        b"Q\x7f\xff\xff\xff",
        b"Q\x00\x00\x00\x08SELE",
        b"Q\x00\x00\x00\x06\xff\x00",
        b"P\x00\x00\x00\x04",
        b"B\x00\x00\x00\x08\0\0\xff\xff",
        b"D\x00\x00\x00\x06Z\0",
        b"\x80\x00\x00\x00\x04",
    ];
    for message in messages {
        let mut raw = door.raw().await;
        raw.bytes(message).await;
        assert_eq!(raw.error().await, "08P01", "{message:?}");
        assert_eq!(raw.hear().await, None);
    }
    assert_serves(&door).await;
    door.close().await;
}

#[tokio::test]
async fn names_and_settings_are_bounded() {
    let door = Door::open().await;
    let long = "x".repeat(5_000);
    let mut raw = Raw::connect(door.address).await;
    raw.startup(&[("user", &long)]).await;
    assert_eq!(raw.error().await, "54000");
    // A setting that cannot be is no reason to turn a driver away.
    let mut raw = Raw::connect(door.address).await;
    raw.startup(&[
        ("user", "ann"),
        ("application_name", &long),
        ("TimeZone", "Europe/Oslo"),
        ("nosuch", "1"),
    ])
    .await;
    let heard = raw.until_ready().await;
    assert_eq!(heard.iter().filter(|heard| heard.kind == 'N').count(), 3);
    door.close().await;
}

#[tokio::test]
async fn a_wrong_secret_cancels_nothing() {
    let door = Door::with_views().await;
    let mut raw = door.raw().await;
    raw.query("COPY (SUBSCRIBE counter WITH (PROGRESS)) TO STDOUT")
        .await;
    assert_eq!(raw.hear().await.unwrap().kind, 'H');
    let key = raw.key;
    let cancel = async |secret: i32| {
        let mut other = Raw::connect(door.address).await;
        let mut packet = 80_877_102_i32.to_be_bytes().to_vec();
        packet.extend(key.0.to_be_bytes());
        packet.extend(secret.to_be_bytes());
        other.packet(&packet).await;
        assert_eq!(other.hear().await, None);
    };
    cancel(key.1.wrapping_add(1)).await;
    for _ in 0..3 {
        assert_eq!(raw.hear().await.unwrap().kind, 'd');
    }
    cancel(key.1).await;
    assert_eq!(raw.error().await, "57014");
    assert_eq!(raw.hear().await.unwrap().line(), "ReadyForQuery I");
    raw.query("SELECT 1").await;
    assert_eq!(raw.until_ready().await.len(), 4);
    door.close().await;
}
