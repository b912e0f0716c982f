//! The same commands and subscriptions on the embedded engine: nobody downstream can tell the engines apart.

use std::net::SocketAddr;
use std::path::Path;

use bytes::Bytes;
use futures::SinkExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wikitop::core::address::Address;
use wikitop::core::connection;
use wikitop::core::subscription::{Event, Subscription, Target};
use wikitop::engine::{self, Running};

use super::{lines, next, next_frame};
use crate::support::process::{DEADLINE, wikitop};

/// A running engine.
struct Engine {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    door: JoinHandle<std::io::Result<()>>,
    running: Running,
}

impl Engine {
    async fn start(data: &Path, port: u16) -> Engine {
        let (engine, running) = engine::start(engine::Config {
            data_dir: data.to_owned(),
            retain: engine::RETAIN_DEFAULT,
        })
        .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        Engine {
            address,
            stop,
            door: tokio::spawn(engine::door::run(listener, engine, shutdown)),
            running,
        }
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        let stopped = async {
            self.door.await.unwrap().unwrap();
            self.running.stop().await.unwrap();
        };
        tokio::time::timeout(DEADLINE, stopped)
            .await
            .expect("it stops");
    }

    async fn run(&self, statement: &str) {
        let connection = connection::connect(&Address::local(self.address))
            .await
            .unwrap();
        connection.client.batch_execute(statement).await.unwrap();
    }

    async fn ingest(&self, changes: std::ops::Range<u32>) {
        let connection = connection::connect(&Address::local(self.address))
            .await
            .unwrap();
        let copy = connection
            .client
            .copy_in("COPY wikirecent FROM STDIN")
            .await
            .unwrap();
        let mut copy = std::pin::pin!(copy);
        for number in changes {
            let change = format!(
                "{{\"meta\":{{\"id\":\"00000000-0000-4000-8000-{number:012}\",\"dt\":\"2026-08-05T03:20:00Z\"}},\"type\":\"edit\",\"user\":\"Zoë\"}}\n"
            );
            copy.send(Bytes::from(change)).await.unwrap();
        }
        copy.finish().await.unwrap();
    }

    /// The exit code of `init-views`, and how many relations had each outcome.
    async fn init_views(&self, more: &[&str]) -> (Option<i32>, Vec<(String, usize)>) {
        let url = format!("postgres://{}/materialize?sslmode=disable", self.address);
        let mut args = vec!["init-views", "--materialize", &url];
        args.extend(more);
        let output = tokio::time::timeout(DEADLINE, wikitop(&args).output());
        let output = output.await.expect("it ends").unwrap();
        let mut outcomes: Vec<(String, usize)> = Vec::new();
        for line in String::from_utf8(output.stdout).unwrap().lines() {
            let outcome = line.rsplit_once(' ').unwrap().0.trim_end();
            match outcomes.iter_mut().find(|(known, _)| known == outcome) {
                Some((_, count)) => *count += 1,
                None => outcomes.push((outcome.to_owned(), 1)),
            }
        }
        (output.status.code(), outcomes)
    }
}

#[tokio::test]
async fn views_are_made_once_and_dropped_when_told() {
    let data = tempfile::tempdir().unwrap();
    let engine = Engine::start(data.path(), 0).await;
    let outcomes = |words: &[(&str, usize)]| -> Vec<(String, usize)> {
        words
            .iter()
            .map(|(word, count)| ((*word).to_owned(), *count))
            .collect()
    };
    assert_eq!(
        engine.init_views(&[]).await,
        (Some(0), outcomes(&[("created", 10)]))
    );
    assert_eq!(
        engine.init_views(&[]).await,
        (Some(0), outcomes(&[("already there", 10)]))
    );
    engine.run("DROP VIEW latest").await;
    engine
        .run("CREATE MATERIALIZED VIEW latest AS SELECT count(*) AS count FROM recentchanges")
        .await;
    assert_eq!(
        engine.init_views(&[]).await,
        (Some(1), outcomes(&[("already there", 9), ("different", 1)]))
    );
    assert_eq!(
        engine.init_views(&["--drop"]).await,
        (Some(1), outcomes(&[("different", 1), ("dropped", 9)]))
    );
    engine.stop().await;
}

#[tokio::test]
async fn a_subscription_outlives_the_engine() {
    let data = tempfile::tempdir().unwrap();
    let engine = Engine::start(data.path(), 0).await;
    engine.init_views(&[]).await;
    engine.ingest(0..3).await;
    let target = Target::View("useredits".to_owned());
    let mut subscription = Subscription::new(Address::local(engine.address), target);
    assert!(matches!(
        next(&mut subscription).await,
        Event::Opened { .. }
    ));
    let snapshot = next_frame(&mut subscription).await;
    assert_eq!(lines(&snapshot), [r#"+ "Zoë"|"3""#]);
    engine.ingest(1..5).await;
    let change = loop {
        if let Event::Frame(frame) = next(&mut subscription).await {
            break frame;
        }
    };
    assert_eq!(lines(&change), [r#"- "Zoë"|"3""#, r#"+ "Zoë"|"5""#]);
    let port = engine.address.port();
    engine.stop().await;
    let engine = Engine::start(data.path(), port).await;
    engine.ingest(5..6).await;
    let (mut told, mut is_back) = (Vec::new(), false);
    while !is_back || told.is_empty() {
        match next(&mut subscription).await {
            Event::Opened { .. } => is_back = true,
            Event::Frame(frame) => told.extend(lines(&frame)),
            Event::Reconnecting { .. } | Event::Progress { .. } => {}
            Event::Failed(error) => panic!("{error}"),
        }
    }
    assert_eq!(told, [r#"- "Zoë"|"5""#, r#"+ "Zoë"|"6""#]);
    drop(subscription);
    engine.stop().await;
}
