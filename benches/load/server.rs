//! The server process: an engine that changes, and one of the two designs in front of it.

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wikitop::web::status::Status;
use wikitop::web::{self, Config, Limits};

use super::ancestor;
use super::feeder::Feeder;

/// How the view comes from the engine to the clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Design {
    /// One subscription and one text a frame for all clients: wikitop.
    Shared,
    /// A subscription and a text a frame for each: the ancestor.
    Ancestor,
}

/// What the server has counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    /// Changes of the view.
    pub(crate) frames: u64,
    /// Messages written as JSON.
    pub(crate) texts: u64,
}

impl Design {
    pub(crate) fn named(name: &str) -> Design {
        match name {
            "ancestor" => Design::Ancestor,
            _ => Design::Shared,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Design::Shared => "shared",
            Design::Ancestor => "ancestor",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Design::Shared => "wikitop: one subscription, one text a frame",
            Design::Ancestor => "the ancestor's design: a subscription and a text for each client",
        }
    }

    pub(crate) fn clients_default(self) -> &'static [u64] {
        match self {
            Design::Shared => &[10, 100, 250, 1_000, 5_000, 10_000],
            // The embedded engine lets in 256 sessions and no more: there the design ends.
            Design::Ancestor => &[10, 100, 250],
        }
    }
}

impl Counts {
    /// Since an earlier moment.
    pub(crate) fn since(self, earlier: &Counts) -> Counts {
        Counts {
            frames: self.frames - earlier.frames,
            texts: self.texts - earlier.texts,
        }
    }

    pub(crate) fn read(line: &str) -> Counts {
        let mut numbers = line.split(' ').map(|text| text.parse().expect("a number"));
        let mut next = || numbers.next().expect("two numbers");
        Counts {
            frames: next(),
            texts: next(),
        }
    }
}

/// Serves until stdin ends; each line on stdin is answered with the counts.
pub(crate) fn run(design: Design) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let (stop, texts) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let mut serving = JoinSet::new();
        let feeder = Feeder::start().await;
        let engine = feeder.address.clone();
        match design {
            Design::Shared => serving.spawn(shared(listener, engine, stop.clone())),
            Design::Ancestor => serving.spawn(ancestor::serve(
                listener,
                engine,
                texts.clone(),
                stop.clone(),
            )),
        };
        say(&address.to_string());
        let (asked, mut asks) = tokio::sync::mpsc::unbounded_channel();
        let asking = tokio::task::spawn_blocking(move || {
            for _ in std::io::stdin().lock().lines() {
                asked.send(()).expect("the server serves");
            }
        });
        while let Some(()) = asks.recv().await {
            let texts = match design {
                Design::Shared => texts_of(address).await,
                Design::Ancestor => texts.load(Ordering::Relaxed),
            };
            say(&format!(
                "{} {texts}",
                feeder.frames.load(Ordering::Relaxed)
            ));
        }
        asking.await.expect("stdin ends");
        stop.cancel();
        while serving.join_next().await.is_some() {}
        feeder.stop().await;
    });
}

fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").expect("the parent reads");
    stdout.flush().expect("the parent reads");
}

/// wikitop itself, with room for all.
async fn shared(
    listener: TcpListener,
    address: wikitop::core::address::Address,
    stop: CancellationToken,
) {
    let (_status, told) = watch::channel(Status::default());
    let config = Config {
        address,
        status: told,
        allow_origin: Vec::new(),
        limits: Limits {
            clients_max: usize::MAX,
            clients_per_address_max: usize::MAX,
            ..Limits::default()
        },
    };
    let served = web::run(listener, config, stop.cancelled_owned()).await;
    served.expect("it serves");
}

/// What wikitop says of itself.
async fn texts_of(address: SocketAddr) -> u64 {
    let page = reqwest::get(format!("http://{address}/metrics")).await;
    let page = page.expect("it answers").text().await.expect("text");
    let count = page
        .lines()
        .find_map(|line| line.strip_prefix("wikitop_serialised_messages_total "));
    count.expect("it counts").parse().expect("a number")
}
