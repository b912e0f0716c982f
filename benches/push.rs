//! What it costs to push one view to very many clients: `cargo bench --bench push [-- ancestor] [CLIENTS ...] [--seconds N]`.
//!
//! A server process holds the embedded engine, in which a `top10` changes ten times a second, and pushes it in one of two ways: as
//! wikitop does (one subscription and one text a frame, shared), or as its ancestor did (a subscription to the engine and
//! a text of its own for each client). This process connects the clients, checks on each that every message continues the one
//! before, and prints a line for each number of clients. wikitop is measured twice: without and with one more client that
//! never reads. Both processes share the machine, so the clients' work is in the latency, too; the times are the
//! server's alone.

mod load {
    pub(crate) mod ancestor;
    pub(crate) mod client;
    pub(crate) mod feeder;
    pub(crate) mod server;
    pub(crate) mod usage;
}

use std::io::{BufRead, BufReader, Lines, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use load::client::{Clients, Samples};
use load::server::{Counts, Design};
use load::usage::{Usage, usage};

/// How long everything runs before it is measured: connections settle, buffers reach their size.
const SETTLE: Duration = Duration::from_secs(2);

/// What is measured.
struct Plan {
    design: Design,
    clients: Vec<u64>,
    time: Duration,
}

/// What one measurement gave.
struct Measured {
    samples: Samples,
    usage: Usage,
    counts: Counts,
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if let [role, design] = arguments.as_slice()
        && role == "server"
    {
        return load::server::run(Design::named(design));
    }
    let plan = Plan::read(&arguments);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    println!(
        "{:>7} {:>9} {:>8} {:>8} {:>8} {:>7} {:>7} {:>10} {:>9} {:>6}  {}",
        "clients",
        "messages",
        "p50 ms",
        "p99 ms",
        "max ms",
        "user us",
        "sys us",
        "texts",
        "memory",
        "wrong",
        plan.design.title()
    );
    for clients in &plan.clients {
        runtime.block_on(bench(plan.design, *clients, plan.time));
    }
    println!(
        "messages: a client and second. user, sys: the server's processor time a message. texts: written a frame.\n\
         memory: the server's, a client, in bytes."
    );
}

impl Plan {
    fn read(arguments: &[String]) -> Plan {
        let mut plan = Plan {
            design: Design::Shared,
            clients: Vec::new(),
            time: Duration::from_secs(10),
        };
        let number = |text: &String| text.parse().expect("a number");
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "ancestor" => plan.design = Design::Ancestor,
                "--seconds" => {
                    plan.time = Duration::from_secs(number(arguments.next().expect("a number")));
                }
                _ => plan.clients.push(number(argument)),
            }
        }
        if plan.clients.is_empty() {
            plan.clients = plan.design.clients_default().to_vec();
        }
        plan
    }
}

async fn bench(design: Design, clients: u64, time: Duration) {
    let mut server = Server::start(design);
    let empty = usage(server.process.id());
    let Some(mut connected) = Clients::connect(server.address, clients).await else {
        println!("{clients:>7} not all have their first message within a minute");
        return server.stop();
    };
    tokio::time::sleep(SETTLE).await;
    let usage = usage(server.process.id());
    let memory = usage.resident_bytes.saturating_sub(empty.resident_bytes) / clients;
    let alone = measure(&mut server, &mut connected, time).await;
    report(clients, time, &alone, memory, "");
    if design == Design::Shared {
        let stalled = load::client::stalled(server.address).await;
        tokio::time::sleep(SETTLE).await;
        let beside = measure(&mut server, &mut connected, time).await;
        report(clients, time, &beside, memory, "and one that never reads");
        drop(stalled);
    }
    connected.end().await;
    server.stop();
}

async fn measure(server: &mut Server, clients: &mut Clients, time: Duration) -> Measured {
    let (usage_before, counts_before) = (usage(server.process.id()), server.counts());
    let samples = clients.measure(time).await;
    let (usage_after, counts_after) = (usage(server.process.id()), server.counts());
    Measured {
        samples,
        usage: usage_after.since(&usage_before),
        counts: counts_after.since(&counts_before),
    }
}

fn report(clients: u64, time: Duration, measured: &Measured, memory: u64, note: &str) {
    let samples = &measured.samples;
    let messages = samples.count().max(1) as f64;
    let a_message = |time: Duration| time.as_secs_f64() * 1e6 / messages;
    println!(
        "{clients:>7} {:>9.2} {:>8.1} {:>8.1} {:>8.1} {:>7.1} {:>7.1} {:>10.2} {memory:>9} {:>6}  {note}",
        messages / clients as f64 / time.as_secs_f64(),
        samples.quantile_ms(0.5),
        samples.quantile_ms(0.99),
        samples.quantile_ms(1.0),
        a_message(measured.usage.user),
        a_message(measured.usage.system),
        measured.counts.texts as f64 / measured.counts.frames.max(1) as f64,
        samples.wrong,
    );
}

/// The server process.
struct Server {
    process: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Server {
    fn start(design: Design) -> Server {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["server", design.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program runs twice");
        let stdin = process.stdin.take().expect("piped");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let line = lines
            .next()
            .expect("the server says where it listens")
            .expect("text");
        let address = line.parse().expect("an address");
        Server {
            process,
            stdin,
            lines,
            address,
        }
    }

    /// What it has counted so far: a line is asked by a line.
    fn counts(&mut self) -> Counts {
        self.stdin.write_all(b"\n").expect("the server listens");
        let line = self.lines.next().expect("the server answers");
        Counts::read(&line.expect("text"))
    }

    fn stop(mut self) {
        drop(self.stdin);
        assert!(self.process.wait().expect("it ends").success());
    }
}
