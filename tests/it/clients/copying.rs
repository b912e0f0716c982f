//! COPY in: its bounds, and what becomes of a client that leaves in the middle.

use futures::SinkExt;

use super::{Door, copy, copy_lines, edit, within};

async fn counter(client: &tokio_postgres::Client) -> i64 {
    let row = within(client.query_one("SELECT count FROM counter", &[]))
        .await
        .unwrap();
    row.get(0)
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_leaves_nothing() {
    let door = Door::with_views().await;
    let mut raw = door.raw().await;
    raw.query("COPY wikirecent FROM STDIN").await;
    assert_eq!(raw.hear().await.unwrap().kind, 'G');
    raw.send('d', &copy_lines([edit(1, "Ann")])).await;
    drop(raw);
    let client = door.client().await;
    assert_eq!(counter(&client).await, 0);
    copy(&client, &[edit(2, "Ann")]).await.unwrap();
    assert_eq!(counter(&client).await, 1);
    door.close().await;
}

#[tokio::test]
async fn a_bad_row_ends_a_driver_s_copy_and_the_session_goes_on() {
    let door = Door::with_views().await;
    let client = door.client().await;
    let error = copy(
        &client,
        &[edit(1, "Ann"), "nonsense".to_owned(), edit(2, "Ann")],
    )
    .await
    .unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "22P02");
    assert!(error.message().contains("line 2"), "{error}");
    assert_eq!(counter(&client).await, 0);
    assert_eq!(copy(&client, &[edit(1, "Ann")]).await.unwrap(), 1);
    door.close().await;
}

#[tokio::test]
async fn a_copy_is_bounded() {
    let door = Door::with_views().await;
    let client = door.client().await;
    let sink = client
        .copy_in::<_, bytes::Bytes>("COPY wikirecent FROM STDIN")
        .await
        .unwrap();
    let mut sink = std::pin::pin!(sink);
    let filler = " ".repeat(1 << 19);
    let mut outcome = Ok(());
    for id in 0..200 {
        let document = edit(id, "Ann").replacen('{', &format!("{{{filler}"), 1);
        outcome = within(sink.send(copy_lines([document]))).await;
        if outcome.is_err() {
            break;
        }
    }
    let error = match outcome {
        Ok(()) => within(sink.finish()).await.unwrap_err(),
        Err(error) => error,
    };
    // What the driver tells depends on how far it had come when the engine refused.
    if let Some(error) = error.as_db_error() {
        assert_eq!(error.code().code(), "54000");
    }
    let other = door.client().await;
    assert_eq!(counter(&other).await, 0);
    door.close().await;
}
