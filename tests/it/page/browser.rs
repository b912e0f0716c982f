//! A headless Chromium, driven over WebDriver: Debian's `chromium` and `chromium-driver`.
//!
//! Where they are missing the tests say that they did not run; with `CI` set that is a failure. Conditions are awaited
//! inside the page, so nothing here sleeps. The surprising fact: a driver that is killed leaves its browser behind, so both
//! live in a process group of their own, which ends with the test.

use std::process::Stdio;

use fantoccini::wd::{TimeoutConfiguration, WebDriverCompatibleCommand};
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard};

use crate::support::process::DEADLINE;

/// Browsers are hungry: the tests take turns.
static TURN: Mutex<()> = Mutex::const_new(());

/// A browser with one window.
pub(super) struct Browser {
    pub(super) client: Client,
    _driver: Driver,
    _profile: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

/// The window's size, and what its user prefers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) dark: bool,
    pub(super) reduced_motion: bool,
}

impl Screen {
    pub(super) fn new(width: u32, height: u32) -> Self {
        Screen {
            width,
            height,
            dark: false,
            reduced_motion: false,
        }
    }
}

impl Browser {
    /// Starts a browser; where there is none, says that the test does not run.
    pub(super) async fn start() -> Option<Browser> {
        let turn = TURN.lock().await;
        let Some((driver, port)) = Driver::start().await else {
            assert!(
                std::env::var_os("CI").is_none(),
                "no browser: install chromium and chromium-driver"
            );
            eprintln!("NOT RUN: no browser: install chromium and chromium-driver");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(profile.path()))
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .unwrap();
        let timeouts = TimeoutConfiguration::new(Some(DEADLINE), Some(DEADLINE), None);
        client.update_timeouts(timeouts).await.unwrap();
        let browser = Browser {
            client,
            _driver: driver,
            _profile: profile,
            _turn: turn,
        };
        browser.set_screen(Screen::new(1440, 900)).await;
        Some(browser)
    }

    /// Changes the window's size and its user's preferences.
    pub(super) async fn set_screen(&self, screen: Screen) {
        let size = json!({"width": screen.width, "height": screen.height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await;
        let scheme = if screen.dark { "dark" } else { "light" };
        let motion = if screen.reduced_motion {
            "reduce"
        } else {
            "no-preference"
        };
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Goes to a page.
    pub(super) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Runs a script before those of every page to come.
    pub(super) async fn before_page(&self, script: &str) {
        let source = json!({"source": script});
        self.devtools("Page.addScriptToEvaluateOnNewDocument", source)
            .await;
    }

    /// The value of an expression in the page.
    pub(super) async fn value(&self, expression: &str) -> Value {
        let script = format!("return ({expression})");
        self.client.execute(&script, vec![]).await.unwrap()
    }

    /// Waits until an expression in the page is true, and says what the page shows if that does not happen.
    pub(super) async fn until(&self, expression: &str) {
        let script = format!(
            "const done = arguments[0], holds = () => {{ try {{ return {expression} }} catch {{ return false }} }};
             const wait = () => holds() ? done(true) : setTimeout(wait, 20); wait();"
        );
        if let Err(error) = self.client.execute_async(&script, vec![]).await {
            let shown = self.value("document.body.innerText").await;
            panic!("never true: {expression}: {error}\nthe page says: {shown:#}");
        }
    }

    /// What the console holds since it was last asked: errors of scripts, of the content policy, of loading.
    pub(super) async fn console(&self) -> Vec<String> {
        let entries = self.command("se/log", json!({"type": "browser"})).await;
        let entries = entries.as_array().unwrap().iter();
        entries.map(|entry| entry["message"].to_string()).collect()
    }

    async fn devtools(&self, cmd: &str, params: Value) -> Value {
        self.command("goog/cdp/execute", json!({"cmd": cmd, "params": params}))
            .await
    }

    async fn command(&self, path: &'static str, body: Value) -> Value {
        self.client
            .issue_cmd(Extension { path, body })
            .await
            .unwrap()
    }
}

fn capabilities(profile: &std::path::Path) -> Map<String, Value> {
    let arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--lang=en-US",
        // Whatever the page may ask of the rest of the world fails, and is seen in the console.
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        &format!("--user-data-dir={}", profile.display()),
    ];
    let options = json!({"args": arguments});
    let logging = json!({"browser": "ALL"});
    Map::from_iter([
        ("goog:chromeOptions".to_owned(), options),
        ("goog:loggingPrefs".to_owned(), logging),
    ])
}

/// The driver, and the browser that it starts.
struct Driver(Child);

impl Driver {
    /// Starts the driver on a free port; `None` if there is no driver.
    async fn start() -> Option<(Driver, u16)> {
        let child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .ok()?;
        let mut driver = Driver(child);
        let stdout = driver.0.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await.unwrap() {
            let Some((_, port)) = line.split_once("successfully on port ") else {
                continue;
            };
            // Whoever writes to a pipe that nobody reads is killed by it.
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Some((driver, port.trim_end_matches('.').parse().unwrap()));
        }
        panic!("chromedriver ended without saying its port");
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(pid) = self.0.id() {
            let group = format!("-{pid}");
            let _ = std::process::Command::new("kill")
                .args(["-KILL", "--", &group])
                .status();
        }
    }
}

/// A command beyond the standard, of Chromium's driver.
#[derive(Debug)]
struct Extension {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for Extension {
    fn endpoint(
        &self,
        base: &reqwest::Url,
        session: Option<&str>,
    ) -> Result<reqwest::Url, <reqwest::Url as std::str::FromStr>::Err> {
        let session = session.expect("commands follow the start of the session");
        base.join(&format!("session/{session}/{}", self.path))
    }

    fn method_and_body(&self, _: &reqwest::Url) -> (reqwest::Method, Option<String>) {
        (reqwest::Method::POST, Some(self.body.to_string()))
    }
}
