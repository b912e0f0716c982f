//! Subscriptions: rows and progress as Materialize writes them, and clients that leave, cancel or do not read.

use futures::TryStreamExt;

use super::{Door, copy, edit, within};

/// The rows of a COPY, split into columns.
async fn next_rows(
    stream: &mut (impl TryStreamExt<Ok = bytes::Bytes, Error = tokio_postgres::Error> + Unpin),
    count: usize,
) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    while rows.len() < count {
        let line = within(stream.try_next()).await.unwrap().unwrap();
        let line = String::from_utf8(line.to_vec()).unwrap();
        rows.push(line.trim_end().split('\t').map(str::to_owned).collect());
    }
    rows
}

#[tokio::test]
async fn copy_with_progress_opens_and_closes_the_snapshot() {
    let door = Door::with_views().await;
    let (writer, reader) = (door.client().await, door.client().await);
    copy(&writer, &[edit(1, "Ann"), edit(2, "Ann"), edit(3, "Bob")])
        .await
        .unwrap();
    let stream = reader
        .copy_out("COPY (SUBSCRIBE top10 WITH (PROGRESS)) TO STDOUT")
        .await
        .unwrap();
    let mut stream = std::pin::pin!(stream);
    let rows = next_rows(&mut stream, 4).await;
    let as_of = rows[0][0].clone();
    assert_eq!(rows[0], [as_of.as_str(), "t", "\\N", "\\N", "\\N"]);
    let mut snapshot = rows[1..3].to_vec();
    snapshot.sort();
    assert_eq!(snapshot[0], [as_of.as_str(), "f", "1", "Ann", "2"]);
    assert_eq!(snapshot[1], [as_of.as_str(), "f", "1", "Bob", "1"]);
    let closed: u64 = rows[3][0].parse().unwrap();
    assert_eq!(
        (closed > as_of.parse().unwrap(), rows[3][1].as_str()),
        (true, "t")
    );

    copy(&writer, &[edit(4, "Bob"), edit(5, "Bob")])
        .await
        .unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(
            next_rows(&mut stream, 1)
                .await
                .into_iter()
                .filter(|row| row[1] == "f"),
        );
    }
    seen.sort_by(|left, right| left[2..].cmp(&right[2..]));
    assert_eq!(seen[0][2..], ["-1", "Bob", "1"]);
    assert_eq!(seen[1][2..], ["1", "Bob", "3"]);
    assert_eq!(seen[0][0], seen[1][0], "one batch is one time");
    // Time goes on by itself.
    let idle = next_rows(&mut stream, 2).await;
    assert!(idle.iter().all(|row| row[1] == "t"));
    door.close().await;
}

#[tokio::test]
async fn tail_is_subscribe() {
    let door = Door::with_views().await;
    let (writer, reader) = (door.client().await, door.client().await);
    let stream = reader
        .copy_out("COPY (TAIL counter WITH (SNAPSHOT = false)) TO STDOUT")
        .await
        .unwrap();
    let mut stream = std::pin::pin!(stream);
    copy(&writer, &[edit(1, "Ann")]).await.unwrap();
    let mut rows = next_rows(&mut stream, 2).await;
    rows.sort_by(|left, right| left[1..].cmp(&right[1..]));
    assert_eq!(rows[0][1..], ["-1", "0"]);
    assert_eq!(rows[1][1..], ["1", "1"]);
    door.close().await;
}

#[tokio::test]
async fn rows_directly_with_a_notice() {
    let door = Door::with_views().await;
    let mut raw = door.raw().await;
    raw.query("SUBSCRIBE counter WITH (PROGRESS)").await;
    let mut lines = Vec::new();
    for _ in 0..5 {
        lines.push(raw.hear().await.unwrap().line());
    }
    assert_eq!(
        lines[0],
        "RowDescription mz_timestamp 1700(2555908), mz_progressed 16, mz_diff 20, count 20"
    );
    assert_eq!(
        lines[1],
        "Notice NOTICE 01000: streaming SUBSCRIBE rows directly requires a client that does not buffer output"
    );
    assert!(lines[2].ends_with(" | t | NULL | NULL"), "{lines:?}");
    assert!(lines[3].ends_with(" | f | 1 | 0"), "{lines:?}");
    assert!(lines[4].ends_with(" | t | NULL | NULL"), "{lines:?}");
    door.close().await;
}

#[tokio::test]
async fn up_to_ends_a_subscription() {
    let door = Door::with_views().await;
    let client = door.client().await;
    let until = jiff::Timestamp::now().as_millisecond() + 1_500;
    let stream = client
        .copy_out(&format!("COPY (SUBSCRIBE counter UP TO {until}) TO STDOUT"))
        .await
        .unwrap();
    let rows: Vec<bytes::Bytes> = within(stream.try_collect()).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(jiff::Timestamp::now().as_millisecond() >= until);
    let late = within(client.batch_execute("SUBSCRIBE counter UP TO 5")).await;
    assert_eq!(late.unwrap_err().code().unwrap().code(), "22000");
    door.close().await;
}

#[tokio::test]
async fn a_cursor_is_fetched_with_a_timeout() {
    let door = Door::with_views().await;
    let (writer, reader) = (door.client().await, door.client().await);
    let fetch = async |sql: &str| {
        let messages = within(reader.simple_query(sql)).await.unwrap();
        let row = |message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => Some((
                row.get("mz_diff").unwrap().to_owned(),
                row.get("count").unwrap().to_owned(),
            )),
            _ => None,
        };
        messages.into_iter().filter_map(row).collect::<Vec<_>>()
    };
    let pair = |diff: &str, count: &str| (diff.to_owned(), count.to_owned());
    within(reader.batch_execute("BEGIN; DECLARE c CURSOR FOR SUBSCRIBE counter"))
        .await
        .unwrap();
    assert_eq!(fetch("FETCH ALL c").await, [pair("1", "0")]);
    assert_eq!(fetch("FETCH ALL c WITH (timeout = '0s')").await, []);
    assert_eq!(fetch("FETCH 5 c WITH (timeout = '100ms')").await, []);
    copy(&writer, &[edit(1, "Ann")]).await.unwrap();
    let mut rows = fetch("FETCH 1 c WITH (timeout = '60s')").await;
    rows.extend(fetch("FETCH 1 c WITH (timeout = '60s')").await);
    rows.sort();
    assert_eq!(rows, [pair("-1", "0"), pair("1", "1")]);
    within(reader.batch_execute("CLOSE c; COMMIT"))
        .await
        .unwrap();
    door.close().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_silent_subscription() {
    let door = Door::with_views().await;
    // Without PROGRESS nothing is ever written to these clients, so only reading can tell that they have gone.
    for _ in 0..2 * wikitop::engine::door::CONNECTIONS_MAX {
        let mut raw = door.raw().await;
        raw.query("COPY (SUBSCRIBE top10) TO STDOUT").await;
        assert_eq!(raw.hear().await.unwrap().kind, 'H');
        raw.send('X', b"").await;
        assert_eq!(raw.hear().await, None, "the server hangs up");
        let mut raw = door.raw().await;
        raw.query("COPY (SUBSCRIBE top10) TO STDOUT").await;
        assert_eq!(raw.hear().await.unwrap().kind, 'H');
        drop(raw);
    }
    let client = door.client().await;
    within(client.query_one("SELECT count FROM counter", &[]))
        .await
        .unwrap();
    door.close().await;
}

#[tokio::test]
async fn a_driver_s_cancel_token_ends_a_subscription() {
    let door = Door::with_views().await;
    let client = door.client().await;
    let stream = client
        .copy_out("COPY (SUBSCRIBE counter WITH (PROGRESS)) TO STDOUT")
        .await
        .unwrap();
    let mut stream = std::pin::pin!(stream);
    next_rows(&mut stream, 3).await;
    client
        .cancel_token()
        .cancel_query(tokio_postgres::NoTls)
        .await
        .unwrap();
    let error = loop {
        match within(stream.try_next()).await {
            Ok(row) => assert!(row.is_some(), "a cancelled subscription ends with an error"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code().unwrap().code(), "57014");
    within(client.query_one("SELECT 1", &[])).await.unwrap();
    door.close().await;
}
