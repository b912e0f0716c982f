//! Conversations at random: messages that mean something in an order that means nothing, and bytes that mean nothing at all. Every
//! Sync is answered, every hang-up says why, and the next client is served as if nothing had been.

use fastrand::Rng;
use tokio::io::AsyncWriteExt;

use super::raw::Raw;
use super::{Door, copy, edit, within};

const NAMES: [&str; 3] = ["", "a", "b"];

/// Texts of all kinds of statements, good ones and bad ones.
const TEXTS: [&str; 30] = [
    "",
    ";",
    "SELECT 1",
    "SELECT $1::bigint + 1, $2",
    "SELECT * FROM top10",
    "SELECT * FROM recentchanges",
    "SELECT title FROM recentchanges ORDER BY title LIMIT 2",
    "SELECT 1/0",
    "SELECT nosuch",
    "SELEC",
    "BEGIN",
    "BEGIN READ ONLY",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT a",
    "ROLLBACK TO a",
    "DECLARE a CURSOR FOR SUBSCRIBE counter",
    "DECLARE b CURSOR FOR SELECT * FROM user_edits",
    "FETCH 1 a",
    "FETCH ALL b",
    "FETCH ALL a WITH (timeout = '1ms')",
    "CLOSE a",
    "SUBSCRIBE counter UP TO 5",
    "COPY (SELECT * FROM counter) TO STDOUT",
    "COPY wikirecent FROM STDIN",
    "INSERT INTO wikirecent VALUES ('[]')",
    "SHOW ALL",
    "PREPARE a AS SELECT 1",
    "DEALLOCATE ALL",
    "DISCARD ALL",
];

/// One message at random, with its type byte and length.
fn message(random: &mut Rng) -> Vec<u8> {
    let text = |text: &str| [text.as_bytes(), b"\0"].concat();
    let name = |random: &mut Rng| text(NAMES[random.usize(..NAMES.len())]);
    let sql = |random: &mut Rng| text(TEXTS[random.usize(..TEXTS.len())]);
    let target = |random: &mut Rng| vec![if random.bool() { b'S' } else { b'P' }];
    let (kind, body) = match random.u8(..12) {
        0 => (b'Q', sql(random)),
        1 | 2 => (b'P', [name(random), sql(random), vec![0, 0]].concat()),
        3 | 4 => {
            let values: &[u8] = match random.u8(..3) {
                0 => b"\0\0\0\0\0\0",
                1 => b"\0\0\0\x02\0\0\0\x0141\xff\xff\xff\xff\0\0",
                _ => b"\0\x01\0\x01\0\x01\0\0\0\x01x\0\x01\0\x01",
            };
            (b'B', [name(random), name(random), values.to_vec()].concat())
        }
        5 | 6 => (b'E', [name(random), vec![0, 0, 0, random.u8(..3)]].concat()),
        7 => (b'D', [target(random), name(random)].concat()),
        8 => (b'C', [target(random), name(random)].concat()),
        9 => (b'H', Vec::new()),
        10 => (b'S', Vec::new()),
        _ => match random.u8(..4) {
            0 => (b'd', b"{}\n".to_vec()),
            1 => (b'c', Vec::new()),
            2 => (b'f', text("given up")),
            _ => (b'p', text("secret")),
        },
    };
    let length = (body.len() as u32 + 4).to_be_bytes();
    [&[kind][..], &length, &body].concat()
}

/// What ends every conversation: whatever COPY is open fails, and a Sync asks for the end of the round.
const LAST_WORDS: &[u8] = b"f\0\0\0\x05\0S\0\0\0\x04";

/// Hears everything up to the end of the round that `LAST_WORDS` asked for, or up to the hang-up, before which the reason is told.
async fn hear_out(raw: &mut Raw, said: &[u8]) {
    // A mark that only the last round carries.
    raw.query("SHOW server_encoding").await;
    let mut last = None;
    while let Some(heard) = raw.hear().await {
        if heard.line() == "DataRow UTF8" {
            return;
        }
        last = Some(heard);
    }
    let last = last.unwrap_or_else(|| panic!("hung up without a word after {said:?}"));
    assert_eq!(last.kind, 'E', "{} after {said:?}", last.line());
}

#[tokio::test]
async fn messages_in_any_order_are_answered() {
    let door = Door::with_views().await;
    let writer = door.client().await;
    copy(&writer, &[edit(1, "Ann"), edit(2, "Bob")])
        .await
        .unwrap();
    for seed in 0..150 {
        let mut random = Rng::with_seed(seed);
        let mut raw = door.raw().await;
        let count = random.usize(1..25);
        let said: Vec<u8> = (0..count).flat_map(|_| message(&mut random)).collect();
        raw.bytes(&said).await;
        raw.bytes(LAST_WORDS).await;
        // In a failed block SHOW is refused; one that is none ends with a warning.
        raw.query("ROLLBACK").await;
        hear_out(&mut raw, &said).await;
    }
    let row = within(writer.query_one("SELECT count FROM counter", &[]));
    assert!(row.await.unwrap().get::<_, i64>(0) >= 2);
    door.close().await;
}

#[tokio::test]
async fn bytes_that_mean_nothing_end_their_own_connection() {
    let door = Door::with_views().await;
    for seed in 0..150 {
        let mut random = Rng::with_seed(seed);
        let mut said: Vec<u8> = (0..random.usize(1..8))
            .flat_map(|_| message(&mut random))
            .collect();
        for _ in 0..random.usize(1..6) {
            let at = random.usize(..said.len());
            said[at] = random.u8(..);
        }
        said.truncate(random.usize(..=said.len()));
        let mut raw = if random.u8(..4) == 0 {
            Raw::connect(door.address).await
        } else {
            door.raw().await
        };
        // The door may have hung up while this is said.
        let _ = raw.stream.write_all(&said).await;
        let _ = raw.stream.shutdown().await;
        while raw.hear().await.is_some() {}
    }
    let client = door.client().await;
    within(client.query_one("SELECT count FROM counter", &[]))
        .await
        .unwrap();
    door.close().await;
}
