//! A stream, the program that reads it, and a browser that looks at its page.

use std::net::SocketAddr;

use serde_json::json;
use tempfile::TempDir;

use super::WATCH;
use super::browser::Browser;
use crate::support::eventstreams::{EQIAD, EventStreams, Message};
use crate::support::process::Serve;

/// A change of Wikipedia's, made now.
#[derive(Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) title: &'a str,
    pub(super) wiki: &'a str,
    pub(super) kind: &'a str,
    pub(super) bot: bool,
    pub(super) comment: &'a str,
    pub(super) uri: &'a str,
    pub(super) length: (i64, i64),
}

pub(super) const EDIT: Change<'_> = Change {
    user: Some("Zoë"),
    title: "Lumière",
    wiki: "frwiki",
    kind: "edit",
    bot: false,
    comment: "",
    uri: "https://fr.wikipedia.org/wiki/Lumi%C3%A8re",
    length: (100, 1_320),
};

/// A stream, the program that reads it, and how many changes it was given.
pub(super) struct Stage {
    stream: EventStreams,
    serve: Serve,
    data_dir: TempDir,
    pub(super) made: u64,
}

impl Stage {
    pub(super) async fn set() -> Stage {
        let stream = EventStreams::start(vec![]).await;
        let data_dir = tempfile::tempdir().unwrap();
        let serve = Serve::start(data_dir.path(), &["--source", &stream.url()]).await;
        // Without a position the service starts at "now": what comes later is certain to be read.
        stream.requested(1).await;
        Stage {
            stream,
            serve,
            data_dir,
            made: 0,
        }
    }

    /// Sends a change so many times, each with an identity of its own.
    pub(super) fn send(&mut self, times: usize, change: Change<'_>) {
        for _ in 0..times {
            self.made += 1;
            let now = jiff::Timestamp::now();
            let json = json!({
                "$schema": "/mediawiki/recentchange/1.0.0", "type": change.kind, "title": change.title, "user": change.user, "bot": change.bot,
                "wiki": change.wiki, "comment": change.comment, "length": {"old": change.length.0, "new": change.length.1},
                "timestamp": now.as_second(), "namespace": 0,
                "meta": {"id": format!("{:08x}-page", self.made), "dt": format!("{now:.3}"), "uri": change.uri, "domain": "test",
                    "topic": EQIAD, "partition": 0, "offset": self.made},
            });
            let json = json.to_string();
            let (topic, kafka_ms) = (EQIAD.to_owned(), now.as_millisecond());
            self.stream.append([Message {
                topic,
                kafka_ms,
                json,
            }]);
        }
    }

    /// `kill -9`.
    pub(super) async fn kill(self) -> Fallen {
        let doors = (self.serve.http, self.serve.pg);
        self.serve.kill().await;
        Fallen {
            stream: self.stream,
            data_dir: self.data_dir,
            made: self.made,
            doors,
        }
    }

    /// The engine's address, as others are told it.
    pub(super) fn engine_url(&self) -> String {
        format!(
            "postgres://materialize@{}/materialize?sslmode=disable",
            self.serve.pg
        )
    }

    /// Says something to the engine.
    pub(super) async fn sql(&self, statement: &str) {
        let (client, connection) =
            tokio_postgres::connect(&self.engine_url(), tokio_postgres::NoTls)
                .await
                .unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute(statement).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
    }

    pub(super) fn page(&self) -> String {
        format!("http://{}/", self.serve.http)
    }
}

/// A stage whose program is dead.
pub(super) struct Fallen {
    stream: EventStreams,
    data_dir: TempDir,
    made: u64,
    /// Where the page was, and the engine.
    doors: (SocketAddr, SocketAddr),
}

impl Fallen {
    /// Starts the program again over its data, with its doors where they were.
    pub(super) async fn restart(self) -> Stage {
        let (http, pg) = self.doors;
        let source = self.stream.url();
        let serve = Serve::start_at(http, pg, self.data_dir.path(), &["--source", &source]).await;
        Stage {
            stream: self.stream,
            serve,
            data_dir: self.data_dir,
            made: self.made,
        }
    }
}

/// A browser, and a stage for it; everything is watched on the pages that it opens. `None` where there is no browser.
pub(super) async fn watched() -> Option<(Browser, Stage)> {
    let browser = Browser::start().await?;
    browser.before_page(WATCH).await;
    Some((browser, Stage::set().await))
}

/// A browser on the page of a program that nobody feeds.
pub(super) async fn idle() -> Option<(Browser, Serve, TempDir)> {
    let browser = Browser::start().await?;
    let data_dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(data_dir.path(), &["--no-ingest"]).await;
    browser.open(&format!("http://{}/", serve.http)).await;
    Some((browser, serve, data_dir))
}
