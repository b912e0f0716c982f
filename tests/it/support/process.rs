//! The built binary as a child process: started on free ports, waited for by its own word, killed when the test is over.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

/// How long a test waits for something that is certain to happen: generous, because the machine may be busy; nothing
/// passes because of it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// The built `wikitop` with these arguments, in an environment without settings of the machine's user.
pub(crate) fn wikitop(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wikitop"));
    for (name, _) in std::env::vars() {
        if name.starts_with("WIKITOP_") || name.starts_with("PG") || name == "MATERIALIZE_URL" {
            command.env_remove(name);
        }
    }
    command
        .args(args)
        .env_remove("NO_COLOR")
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// A running `wikitop serve`.
pub(crate) struct Serve {
    /// Where the page is.
    pub(crate) http: SocketAddr,
    /// Where the embedded engine is; port 0 when it is elsewhere.
    pub(crate) pg: SocketAddr,
    child: Child,
    stderr: JoinHandle<String>,
}

#[derive(Deserialize)]
struct Ready {
    http: SocketAddr,
    pg: Option<SocketAddr>,
}

impl Serve {
    /// Starts `serve` with the embedded engine on free ports and waits until everything listens.
    pub(crate) async fn start(data_dir: &Path, more: &[&str]) -> Serve {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::start_at(free, free, data_dir, more).await
    }

    /// The same with the page and the engine at these addresses: where earlier ones were.
    pub(crate) async fn start_at(
        http: SocketAddr,
        pg: SocketAddr,
        data_dir: &Path,
        more: &[&str],
    ) -> Serve {
        let data_dir = data_dir.to_str().expect("a UTF-8 path");
        let (http, pg) = (http.to_string(), pg.to_string());
        let mut args = vec!["serve", "--listen", &http, "--pg-listen", &pg];
        args.extend(["--data-dir", data_dir, "--ready-json"]);
        args.extend(more);
        Serve::spawn(wikitop(&args)).await
    }

    /// Starts `serve` with an engine elsewhere.
    pub(crate) async fn start_before(engine_url: &str) -> Serve {
        let args = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--materialize",
            engine_url,
        ];
        let mut command = wikitop(&args);
        command.arg("--ready-json");
        Serve::spawn(command).await
    }

    /// Runs a command that is `serve --ready-json` in the end, and waits until everything listens.
    pub(crate) async fn spawn(mut command: Command) -> Serve {
        let mut child = command.spawn().expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is piped"));
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let stderr = tokio::spawn(async move {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text).await;
            text
        });
        let mut line = String::new();
        let read = tokio::time::timeout(DEADLINE, stdout.read_line(&mut line)).await;
        let Ok(Ready { http, pg }) = serde_json::from_str(&line) else {
            let _ = child.kill().await;
            panic!(
                "serve said {line:?} ({read:?}) instead of its addresses: {}",
                stderr.await.unwrap()
            );
        };
        Serve {
            http,
            pg: pg.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0))),
            child,
            stderr,
        }
    }

    /// The process.
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.child.id().expect("still running")).expect("a process id")
    }

    /// Resident memory in bytes, as the kernel counts it.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid())).unwrap();
        let pages: u64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    }

    /// `kill -9`.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("the process is killed");
    }

    /// Sends a signal by name (`TERM`, `INT`) and waits for the end; what was said on stderr comes with it.
    pub(crate) async fn end_with(mut self, signal: &str) -> (ExitStatus, String) {
        send_signal(self.pid(), signal);
        let status = tokio::time::timeout(DEADLINE, self.child.wait())
            .await
            .expect("serve ends when it is told to")
            .unwrap();
        (status, self.stderr.await.unwrap())
    }
}

/// Sends a signal by name.
pub(crate) fn send_signal(pid: i32, signal: &str) {
    let status = std::process::Command::new("kill")
        .args([&format!("-{signal}"), &pid.to_string()])
        .status()
        .expect("kill is there");
    assert!(status.success());
}
