//! Transcripts of the protocol: files under tests/data/door that say what is sent and, below `----`, what must come back.
//!
//! `WIKITOP_REWRITE=1 cargo test clients::transcripts` writes what comes back into them; the difference is read in review.

use bytes::{BufMut, BytesMut};

use super::Door;
use super::raw::Raw;

/// Sends one line of a transcript: `Query SELECT 1`, `Parse name oid,oid SELECT $1`, `Bind portal statement formats results
/// values`, `Describe S name`, `Execute portal rows`, `Close P name`, `CopyData "text"`, `CopyDone`, `CopyFail reason`, `Flush`, `Sync`.
/// A name of `-` is the unnamed one.
async fn send(raw: &mut Raw, line: &str) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let mut body = BytesMut::new();
    let text = |body: &mut BytesMut, text: &str| {
        body.put_slice(if text == "-" { b"" } else { text.as_bytes() });
        body.put_u8(0);
    };
    let kind = match word {
        "Query" => {
            text(&mut body, rest);
            'Q'
        }
        "Parse" => {
            let mut parts = rest.splitn(3, ' ');
            text(&mut body, parts.next().unwrap());
            let oids = parts.next().unwrap();
            text(&mut body, parts.next().unwrap_or(""));
            let oids: Vec<u32> = list(oids);
            body.put_u16(oids.len() as u16);
            oids.iter().for_each(|oid| body.put_u32(*oid));
            'P'
        }
        "Bind" => {
            let parts: Vec<&str> = rest.split(' ').collect();
            text(&mut body, parts[0]);
            text(&mut body, parts[1]);
            let formats = |body: &mut BytesMut, part: &str| {
                let formats: Vec<i16> = list(part);
                body.put_u16(formats.len() as u16);
                formats.iter().for_each(|format| body.put_i16(*format));
            };
            formats(&mut body, parts[2]);
            body.put_u16(parts.len() as u16 - 4);
            for value in &parts[4..] {
                match value.strip_prefix("0x") {
                    _ if *value == "NULL" => body.put_i32(-1),
                    Some(digits) => {
                        let bytes: Vec<u8> = (0..digits.len())
                            .step_by(2)
                            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
                            .collect();
                        body.put_i32(bytes.len() as i32);
                        body.put_slice(&bytes);
                    }
                    None => {
                        body.put_i32(value.len() as i32);
                        body.put_slice(value.as_bytes());
                    }
                }
            }
            formats(&mut body, parts[3]);
            'B'
        }
        "Describe" | "Close" => {
            let (target, name) = rest.split_once(' ').unwrap();
            body.put_slice(target.as_bytes());
            text(&mut body, name);
            if word == "Describe" { 'D' } else { 'C' }
        }
        "Execute" => {
            let (portal, rows) = rest.split_once(' ').unwrap();
            text(&mut body, portal);
            body.put_i32(rows.parse().unwrap());
            'E'
        }
        "CopyData" => {
            let data: String = serde_json::from_str(rest).unwrap();
            body.put_slice(data.as_bytes());
            'd'
        }
        "CopyDone" => 'c',
        "CopyFail" => {
            text(&mut body, rest);
            'f'
        }
        "Flush" => 'H',
        "Sync" => 'S',
        other => panic!("no such line in a transcript: {other}"),
    };
    raw.send(kind, &body).await;
}

/// Numbers between commas; `-` for none.
fn list<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> Vec<T> {
    match text {
        "-" => Vec::new(),
        text => text.split(',').map(|item| item.parse().unwrap()).collect(),
    }
}

/// What comes back for a group of lines: everything up to ReadyForQuery, or up to the message that a COPY begins with.
async fn answer(raw: &mut Raw, sent: &[&str]) -> Vec<String> {
    let waits = sent.iter().any(|line| {
        ["Query", "Sync", "CopyDone", "CopyFail"]
            .iter()
            .any(|word| line.starts_with(word))
    });
    let mut lines = Vec::new();
    if !waits {
        return lines;
    }
    loop {
        let heard = raw.hear().await.expect("the server has not hung up");
        lines.push(heard.line());
        if heard.kind == 'Z' || heard.kind == 'G' {
            return lines;
        }
    }
}

async fn play(name: &str) {
    let door = Door::with_views().await;
    let mut raw = door.raw().await;
    let path = format!("{}/tests/data/door/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let transcript = std::fs::read_to_string(&path).unwrap();
    let mut played = String::new();
    for block in transcript.trim_end().split("\n\n") {
        let (sent, _) = block.split_once("\n----").unwrap_or((block, ""));
        let lines: Vec<&str> = sent.lines().filter(|line| !line.starts_with('#')).collect();
        for line in &lines {
            send(&mut raw, line).await;
        }
        played.push_str(sent);
        played.push_str("\n----\n");
        for line in answer(&mut raw, &lines).await {
            played.push_str(&line);
            played.push('\n');
        }
        played.push('\n');
    }
    let played = format!("{}\n", played.trim_end()).replace(env!("CARGO_PKG_VERSION"), "VERSION");
    if std::env::var_os("WIKITOP_REWRITE").is_some() {
        std::fs::write(&path, &played).unwrap();
    } else {
        assert_eq!(played, transcript, "{name}");
    }
    door.close().await;
}

#[tokio::test]
async fn simple() {
    play("simple").await;
}

#[tokio::test]
async fn extended() {
    play("extended").await;
}

#[tokio::test]
async fn transactions() {
    play("transactions").await;
}

#[tokio::test]
async fn copy() {
    play("copy").await;
}

#[tokio::test]
async fn show() {
    play("show").await;
}
