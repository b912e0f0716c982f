//! The questions of tools: what pgjdbc, DBeaver, Metabase, Grafana, SQLAlchemy, Npgsql and tokio-postgres ask pg_catalog.

use tokio_postgres::SimpleQueryMessage;

use super::{Door, within};

#[tokio::test]
async fn what_tools_ask_is_answered() {
    let door = Door::with_views().await;
    let client = door.client().await;
    let statements = include_str!("../../data/door/tools.sql");
    let mut asked = 0;
    for statement in statements.split("\n\n").skip(1) {
        let name = statement.lines().next().unwrap();
        let messages = within(client.simple_query(statement))
            .await
            .unwrap_or_else(|error| panic!("{name}: {error:?}"));
        // Who lists relations must find the views.
        if name.ends_with("ables") && !name.contains("sqlalchemy") {
            let lists_top10 = messages.iter().any(|message| match message {
                SimpleQueryMessage::Row(row) => {
                    (0..row.len()).any(|at| row.get(at) == Some("top10"))
                }
                _ => false,
            });
            assert!(lists_top10, "{name}: {messages:?}");
        }
        asked += 1;
    }
    assert!(asked > 75, "{asked} statements");
    door.close().await;
}
