//! Sessions of a real driver.

use super::{Door, copy, edit, within};

#[tokio::test]
async fn types_in_binary_and_parameters() {
    let door = Door::with_views().await;
    let client = door.client().await;
    copy(&client, &[edit(1, "Ann"), edit(2, "Ann"), edit(3, "Bob")])
        .await
        .unwrap();
    let rows = within(client.query(
        "SELECT \"user\", count FROM user_edits WHERE count > $1 AND \"user\" <> $2 ORDER BY count DESC",
        &[&0_i64, &"Bob"],
    ))
    .await
    .unwrap();
    let rows: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(rows, [("Ann".to_owned(), 2)]);

    // A driver learns a view's columns by preparing a query of it.
    let statement = within(client.prepare("SELECT * FROM top10")).await.unwrap();
    let columns: Vec<(&str, &str)> = statement
        .columns()
        .iter()
        .map(|column| (column.name(), column.type_().name()))
        .collect();
    assert_eq!(columns, [("user", "text"), ("count", "int8")]);

    let inserted = within(client.execute("INSERT INTO wikirecent VALUES ($1)", &[&edit(4, "Cy")]))
        .await
        .unwrap();
    assert_eq!(inserted, 1);
    let count = within(client.query_one("SELECT count FROM counter", &[]))
        .await
        .unwrap();
    assert_eq!(count.get::<_, i64>(0), 4);
    door.close().await;
}

#[tokio::test]
async fn repeats_are_acknowledged_and_counted_once() {
    let door = Door::with_views().await;
    let client = door.client().await;
    let batch = [edit(1, "Ann"), edit(2, "Ann")];
    assert_eq!(copy(&client, &batch).await.unwrap(), 2);
    assert_eq!(copy(&client, &batch).await.unwrap(), 2);
    let count = within(client.query_one("SELECT count FROM counter", &[]))
        .await
        .unwrap();
    assert_eq!(count.get::<_, i64>(0), 2);
    door.close().await;
}

#[tokio::test]
async fn a_driver_s_transaction_sends_its_changes_at_commit() {
    let door = Door::with_views().await;
    let (mut writer, reader) = (door.client().await, door.client().await);
    let counted = async || {
        let row = within(reader.query_one("SELECT count FROM counter", &[]))
            .await
            .unwrap();
        row.get::<_, i64>(0)
    };
    let transaction = writer.transaction().await.unwrap();
    transaction
        .execute("INSERT INTO wikirecent VALUES ($1)", &[&edit(1, "Ann")])
        .await
        .unwrap();
    assert_eq!(counted().await, 0);
    transaction.commit().await.unwrap();
    assert_eq!(counted().await, 1);
    let transaction = writer.transaction().await.unwrap();
    transaction
        .execute("INSERT INTO wikirecent VALUES ($1)", &[&edit(2, "Ann")])
        .await
        .unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(counted().await, 1);
    door.close().await;
}

#[tokio::test]
async fn a_statement_timeout_ends_a_statement_and_no_subscription() {
    let door = Door::with_views().await;
    let mut raw = door.raw().await;
    raw.query("SET statement_timeout = 1").await;
    raw.until_ready().await;
    raw.query("COPY (SUBSCRIBE counter WITH (PROGRESS)) TO STDOUT")
        .await;
    for kind in ['H', 'd', 'd', 'd', 'd'] {
        assert_eq!(raw.hear().await.unwrap().kind, kind);
    }
    door.close().await;
}

#[tokio::test]
async fn a_stopping_engine_says_goodbye() {
    let door = Door::with_views().await;
    let mut idle = door.raw().await;
    let mut busy = door.raw().await;
    busy.query("COPY (SUBSCRIBE counter) TO STDOUT").await;
    assert_eq!(busy.hear().await.unwrap().kind, 'H');
    door.close().await;
    assert_eq!(idle.error().await, "57P01");
    assert_eq!(busy.error().await, "57P01");
    assert_eq!(idle.hear().await, None);
    assert_eq!(busy.hear().await, None);
}

#[tokio::test]
async fn views_are_made_told_and_dropped() {
    let door = Door::with_views().await;
    let mut raw = door.raw().await;
    raw.query("CREATE VIEW bots AS SELECT \"user\", count(*) AS n FROM recentchanges WHERE bot GROUP BY \"user\"")
        .await;
    let heard = raw.until_ready().await;
    let notice = heard.iter().find(|heard| heard.kind == 'N').unwrap();
    assert!(
        notice
            .field('M')
            .unwrap()
            .starts_with("view \"bots\" sees changes since 20")
    );
    raw.query("CREATE VIEW busy_bots AS SELECT * FROM bots WHERE n > 10")
        .await;
    raw.until_ready().await;
    raw.query("DROP VIEW bots").await;
    assert_eq!(raw.error().await, "2BP01");
    raw.until_ready().await;
    raw.query("DROP VIEW bots CASCADE").await;
    let heard = raw.until_ready().await;
    assert_eq!(heard[0].line(), "CommandComplete DROP VIEW");
    raw.query("SELECT * FROM busy_bots").await;
    assert_eq!(raw.error().await, "42P01");
    door.close().await;
}

#[tokio::test]
async fn a_large_answer_is_read_as_its_client_takes_it() {
    const CHANGES: u32 = 20_000;
    let door = Door::open().await;
    let (mut client, writer) = (door.client().await, door.client().await);
    let changes: Vec<String> = (0..CHANGES).map(|id| edit(id, "Ann")).collect();
    copy(&writer, &changes).await.unwrap();
    copy(&writer, &[edit(CHANGES, "Bob")]).await.unwrap();
    let transaction = within(client.transaction()).await.unwrap();
    let portal = within(transaction.bind("SELECT \"user\" FROM recentchanges", &[]))
        .await
        .unwrap();
    let mut users = Vec::new();
    loop {
        let rows = within(transaction.query_portal(&portal, 3_000))
            .await
            .unwrap();
        if users.is_empty() {
            copy(&writer, &[edit(CHANGES + 1, "Cid")]).await.unwrap();
        }
        users.extend(rows.iter().map(|row| row.get::<_, String>(0)));
        if rows.len() < 3_000 {
            break;
        }
    }
    assert_eq!(users.len(), CHANGES as usize + 1);
    assert_eq!(users.last().unwrap(), "Bob", "what came later is not there");
    // A cursor, and one that is left unread.
    let declared = "DECLARE c CURSOR FOR SELECT title FROM recentchanges; FETCH 5 c";
    let messages = within(transaction.simple_query(declared)).await.unwrap();
    let is_row = |message: &&tokio_postgres::SimpleQueryMessage| {
        matches!(message, tokio_postgres::SimpleQueryMessage::Row(_))
    };
    assert_eq!(messages.iter().filter(is_row).count(), 5);
    within(transaction.commit()).await.unwrap();
    door.close().await;
}
