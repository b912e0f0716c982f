//! What it costs to push one view to very many clients: `cargo bench --bench push [-- CLIENTS [SECONDS]]`.
//!
//! A server process follows a scripted `top10` that changes ten times a second; this process connects the clients (10,000
//! unless told otherwise), checks on every client that each message continues the one before, and prints the latency
//! from the change to the client, the server's memory for each client, and its time for each message. One more client is
//! connected and never reads. Both processes share the machine, so the clients' work is in the latency, too.

mod load {
    pub(crate) mod client;
    pub(crate) mod server;
}

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use load::client::{self, Samples};

/// What is printed of one run.
struct Usage {
    resident_bytes: u64,
    cpu: Duration,
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    if arguments
        .first()
        .is_some_and(|argument| argument == "server")
    {
        return load::server::run();
    }
    let number = |index: usize, default: u64| {
        arguments
            .get(index)
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (clients, seconds) = (number(0, 10_000), number(1, 10));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let (mut server, address) = start_server();
    runtime.block_on(bench(
        address,
        server.id(),
        clients,
        Duration::from_secs(seconds),
    ));
    server
        .stdin
        .take()
        .expect("piped")
        .write_all(b"stop\n")
        .expect("the server listens");
    assert!(server.wait().expect("it ends").success());
}

fn start_server() -> (Child, SocketAddr) {
    let mut server = Command::new(std::env::current_exe().expect("this program"))
        .arg("server")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program runs twice");
    let mut line = String::new();
    let stdout = server.stdout.take().expect("piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("the server says where it listens");
    (server, line.trim().parse().expect("an address"))
}

async fn bench(address: SocketAddr, server: u32, clients: u64, time: Duration) {
    let before = usage(server);
    let stalled = client::stalled(address).await;
    let (samples, connected) = client::run(address, clients, time, || usage(server)).await;
    let after = usage(server);
    report(clients, time, &samples);
    let bytes = connected
        .resident_bytes
        .saturating_sub(before.resident_bytes)
        / clients;
    let later = after.resident_bytes.saturating_sub(before.resident_bytes) / clients;
    println!("server memory a client   {bytes} bytes connected, {later} bytes at the end");
    let cpu = after.cpu.saturating_sub(connected.cpu);
    println!(
        "server time a message    {:.1} us ({:.0} % of one core)",
        cpu.as_secs_f64() * 1e6 / samples.count() as f64,
        cpu.as_secs_f64() / time.as_secs_f64() * 100.0
    );
    drop(stalled);
}

fn report(clients: u64, time: Duration, samples: &Samples) {
    let messages = samples.count();
    println!("clients                  {clients}, and one that never reads");
    println!(
        "messages                 {messages} in {} s, {:.2} a client and second, {} of several frames",
        time.as_secs(),
        messages as f64 / clients as f64 / time.as_secs_f64(),
        samples.merged
    );
    println!(
        "change to client         p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        samples.quantile_ms(0.5),
        samples.quantile_ms(0.99),
        samples.quantile_ms(1.0)
    );
    println!("wrong clients            {}", samples.wrong);
}

/// What Linux says of a process; elsewhere nothing.
fn usage(process: u32) -> Usage {
    let read =
        |file: &str| std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    let pages: u64 = read("statm")
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .unwrap_or(0);
    // User and system time, in hundredths of a second, are fields 14 and 15; the name before them may contain anything.
    let stat = read("stat");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks: u64 = [11, 12]
        .iter()
        .filter_map(|index| fields.get(*index)?.parse::<u64>().ok())
        .sum();
    Usage {
        resident_bytes: pages * 4096,
        cpu: Duration::from_millis(ticks * 10),
    }
}
