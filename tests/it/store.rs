//! The engine's state across crashes and faults of the disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use futures::SinkExt;
use wikitop::copy_text::encode_column;
use wikitop::engine::{Config, OpenError, RETAIN_DEFAULT, start};

use crate::support::changes::{Changes, Counts, count};
use crate::support::process::Serve;

fn config(dir: &Path) -> Config {
    Config {
        data_dir: dir.to_owned(),
        retain: RETAIN_DEFAULT,
    }
}

/// The only file of a data directory.
fn file(dir: &Path) -> std::path::PathBuf {
    let mut files = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let file = files.next().unwrap();
    assert!(files.next().is_none());
    file
}

/// A store with a few thousand changes in it, stopped.
async fn filled(dir: &Path) {
    let (engine, running) = start(config(dir)).unwrap();
    for batch in 0..5 {
        let documents = (0..5_000)
            .map(|id| format!(r#"{{"meta":{{"id":"{batch}-{id}"}},"title":"{id}"}}"#).into())
            .collect();
        assert_eq!(engine.append(documents).await.unwrap().kept, 5_000);
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_directory_in_use_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (_engine, running) = start(config(dir.path())).unwrap();
    let error = start(config(dir.path())).unwrap_err();
    assert!(
        matches!(&error, OpenError::InUse { path } if path == dir.path()),
        "{error:?}"
    );
    assert!(
        error.to_string().contains(dir.path().to_str().unwrap()),
        "{error}"
    );
    running.stop().await.unwrap();
    let (_engine, running) = start(config(dir.path())).unwrap();
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let path = file(dir.path());
    let good = std::fs::read(&path).unwrap();
    type Damage = Box<dyn Fn(&mut Vec<u8>)>;
    let damages: [(&str, Damage); 5] = [
        (
            "no store at all",
            Box::new(|bytes| *bytes = b"Dear diary, today I was a database.\n".repeat(500)),
        ),
        (
            "cut in the middle",
            Box::new(|bytes| bytes.truncate(bytes.len() / 2)),
        ),
        ("cut to a stump", Box::new(|bytes| bytes.truncate(100))),
        (
            "a page overwritten",
            Box::new(|bytes| {
                // Whatever of the pages is in use: overwrite all but the first, which is the header.
                bytes[4096..]
                    .iter_mut()
                    .step_by(7)
                    .for_each(|byte| *byte ^= 0x55);
            }),
        ),
        (
            "a header overwritten",
            Box::new(|bytes| bytes[..512].fill(0xaa)),
        ),
    ];
    for (what, damage) in damages {
        let mut bytes = good.clone();
        damage(&mut bytes);
        std::fs::write(&path, &bytes).unwrap();
        match start(config(dir.path())) {
            Err(error @ (OpenError::Damaged { .. } | OpenError::Format { .. })) => {
                assert!(
                    error.to_string().contains(path.to_str().unwrap()),
                    "{what}: {error}"
                );
            }
            Err(error) => panic!("{what}: {error:?}"),
            Ok(_) => panic!("{what}: it opens"),
        }
        assert!(
            std::fs::read(&path).unwrap() == bytes,
            "{what}: the file was changed"
        );
    }
    std::fs::write(&path, &good).unwrap();
    let (_engine, running) = start(config(dir.path())).unwrap();
    running.stop().await.unwrap();
}

/// A client of the engine; its connection ends with the process.
async fn connect(serve: &Serve) -> tokio_postgres::Client {
    let config = format!("host=127.0.0.1 port={} user=materialize", serve.pg.port());
    let connected = tokio_postgres::connect(&config, tokio_postgres::NoTls).await;
    let (client, connection) = connected.unwrap();
    // The process is killed under it: its error is what is being tested.
    tokio::spawn(async { drop(connection.await) });
    client
}

/// One COPY, acknowledged or not.
async fn copy(
    client: &tokio_postgres::Client,
    documents: &[String],
) -> Result<u64, tokio_postgres::Error> {
    let mut text = Vec::new();
    for document in documents {
        encode_column(&mut text, Some(document));
        text.push(b'\n');
    }
    let mut sink = Box::pin(client.copy_in("COPY wikirecent FROM STDIN").await?);
    sink.send(bytes::Bytes::from(text)).await?;
    sink.as_mut().finish().await
}

/// What the views have counted.
async fn counted(client: &tokio_postgres::Client) -> Counts {
    let by_name = |view: String| async move {
        let mut counts = BTreeMap::new();
        for row in client.query(&view, &[]).await.unwrap() {
            counts.insert(row.get::<_, String>(0), row.get::<_, i64>(1));
        }
        counts
    };
    Counts {
        counter: client
            .query_one("SELECT * FROM counter", &[])
            .await
            .unwrap()
            .get(0),
        user_edits: by_name("SELECT * FROM user_edits".to_owned()).await,
        changes_by_type: by_name("SELECT * FROM changes_by_type".to_owned()).await,
    }
}

fn from_scratch(documents: &[String]) -> Counts {
    count(documents.iter().map(String::as_str))
}

#[tokio::test]
async fn killed_at_fifty_points_it_has_every_acknowledged_batch_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(50);
    let mut changes = Changes::new(50, jiff::Timestamp::now().as_millisecond());
    let (mut acknowledged, mut sent): (Vec<String>, Vec<String>) = Default::default();
    for _ in 0..50 {
        let serve = Serve::start(dir.path(), &["--no-ingest"]).await;
        let client = connect(&serve).await;
        // The batch that was under way is there as a whole or not at all.
        let found = counted(&client).await;
        let with_sent = [&acknowledged[..], &sent[..]].concat();
        assert!(found == from_scratch(&acknowledged) || found == from_scratch(&with_sent));
        let kill_at = tokio::time::Instant::now() + Duration::from_millis(random.u64(..300));
        loop {
            if sent.is_empty() {
                let count = random.usize(1..1_500);
                sent.extend(changes.take(count).into_iter().map(|message| message.json));
            }
            match tokio::time::timeout_at(kill_at, copy(&client, &sent)).await {
                Ok(copied) => drop(copied.unwrap()),
                Err(_) => break,
            }
            acknowledged.append(&mut sent);
        }
        serve.kill().await;
    }
    let serve = Serve::start(dir.path(), &["--no-ingest"]).await;
    let client = connect(&serve).await;
    copy(&client, &sent).await.unwrap();
    acknowledged.append(&mut sent);
    assert_eq!(counted(&client).await, from_scratch(&acknowledged));
    serve.kill().await;
}

#[tokio::test]
async fn a_full_disk_stops_writing_only_and_only_for_as_long() {
    let dir = tempfile::tempdir().unwrap();
    // A process that may not make its files longer is as good as a full disk, without being root; it must not die of the
    // signal that comes with it.
    let mut command = tokio::process::Command::new("sh");
    let args = [
        "-c",
        "trap '' XFSZ; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_wikitop"),
        "serve",
    ];
    command.args(args).args([
        "--no-ingest",
        "--listen",
        "127.0.0.1:0",
        "--pg-listen",
        "127.0.0.1:0",
        "--ready-json",
    ]);
    command.arg("--data-dir").arg(dir.path());
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let serve = Serve::spawn(command).await;
    let client = connect(&serve).await;
    let mut changes = Changes::new(3, jiff::Timestamp::now().as_millisecond());
    let mut take = |count| -> Vec<String> {
        changes
            .take(count)
            .into_iter()
            .map(|message| message.json)
            .collect()
    };
    let mut acknowledged = take(500);
    copy(&client, &acknowledged).await.unwrap();
    let length = std::fs::metadata(file(dir.path())).unwrap().len();
    limit_files(&serve, &format!("{length}:unlimited"));
    let refused = loop {
        let batch = take(1_000);
        match copy(&client, &batch).await {
            Ok(_) => acknowledged.extend(batch),
            Err(error) => break (batch, error),
        }
    };
    let error = refused.1.as_db_error().expect("an answer of the engine");
    assert_eq!(error.code().code(), "53100", "{error}");
    assert!(
        error.hint().is_some_and(|hint| hint.contains("room")),
        "{error:?}"
    );
    // Reading goes on, of what was there.
    assert_eq!(counted(&client).await, from_scratch(&acknowledged));
    let again = copy(&client, &refused.0).await.unwrap_err();
    assert_eq!(again.code().unwrap().code(), "53100", "{again}");
    limit_files(&serve, "unlimited:unlimited");
    copy(&client, &refused.0).await.unwrap();
    acknowledged.extend(refused.0);
    assert_eq!(counted(&client).await, from_scratch(&acknowledged));
    serve.kill().await;
    let serve = Serve::start(dir.path(), &["--no-ingest"]).await;
    assert_eq!(
        counted(&connect(&serve).await).await,
        from_scratch(&acknowledged)
    );
    serve.kill().await;
}

fn limit_files(serve: &Serve, limit: &str) {
    let status = std::process::Command::new("prlimit")
        .args([
            "--pid",
            &serve.pid().to_string(),
            &format!("--fsize={limit}"),
        ])
        .status()
        .expect("prlimit is part of util-linux");
    assert!(status.success());
}
