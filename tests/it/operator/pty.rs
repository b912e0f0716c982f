//! The built binary in a pseudo-terminal, and what a person would see there.

use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use crate::support::process::DEADLINE;

/// A terminal with a process in it.
pub(super) struct Pty {
    master: Box<dyn MasterPty + Send>,
    child: Box<dyn Child + Send + Sync>,
    screen: Arc<(Mutex<vt100::Parser>, Condvar)>,
    output: Arc<Mutex<Vec<u8>>>,
    keyboard: Box<dyn Write + Send>,
}

fn pty_size(columns: u16, rows: u16) -> PtySize {
    PtySize {
        rows,
        cols: columns,
        pixel_width: 0,
        pixel_height: 0,
    }
}

impl Pty {
    /// Starts `wikitop` with these arguments in a terminal of this size, below a shell's prompt.
    pub(super) fn start(columns: u16, rows: u16, args: &[&str]) -> Self {
        Pty::run(columns, rows, env!("CARGO_BIN_EXE_wikitop"), args)
    }

    /// Starts any program.
    pub(super) fn run(columns: u16, rows: u16, program: &str, args: &[&str]) -> Self {
        let pair = native_pty_system()
            .openpty(pty_size(columns, rows))
            .unwrap();
        let mut command = CommandBuilder::new(program);
        command.args(args);
        for name in [
            "NO_COLOR",
            "RUST_LOG",
            "RUST_BACKTRACE",
            "MATERIALIZE_URL",
            "CLICOLOR",
        ] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm-256color");
        let mut parser = vt100::Parser::new(rows, columns, 1_000);
        parser.process(b"$ wikitop\r\n");
        let screen = Arc::new((Mutex::new(parser), Condvar::new()));
        let mut output = pair.master.try_clone_reader().unwrap();
        let child = pair.slave.spawn_command(command).unwrap();
        let seen = Arc::clone(&screen);
        let written = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&written);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                let mut parser = seen.0.lock().unwrap();
                kept.lock().unwrap().extend(&bytes[..length]);
                parser.process(&bytes[..length]);
                drop(parser);
                seen.1.notify_all();
            }
        });
        Pty {
            keyboard: pair.master.take_writer().unwrap(),
            master: pair.master,
            child,
            screen,
            output: written,
        }
    }

    /// What the screen shows, line by line, without trailing blanks.
    pub(super) fn text(&self) -> String {
        visible(self.screen.0.lock().unwrap().screen())
    }

    /// Waits until the screen shows what is wanted, and returns it; fails with the screen as it is.
    pub(super) fn wait(&self, wanted: impl Fn(&vt100::Screen) -> bool) -> String {
        let (parser, changed) = &*self.screen;
        let deadline = Instant::now() + DEADLINE;
        let mut parser = parser.lock().unwrap();
        while self.is_mid_update() || !wanted(parser.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "the screen is:\n{}",
                visible(parser.screen())
            );
            // The condition may also come true by the passing of time alone.
            parser = changed
                .wait_timeout(parser, left.min(Duration::from_millis(50)))
                .unwrap()
                .0;
        }
        visible(parser.screen())
    }

    /// The terminal has received the beginning of a redraw and not yet its end.
    fn is_mid_update(&self) -> bool {
        let output = self.output();
        output.rfind("\x1b[?2026h") > output.rfind("\x1b[?2026l")
    }

    /// Waits until the screen shows a text.
    pub(super) fn wait_for(&self, text: &str) -> String {
        self.wait(|screen| visible(screen).contains(text))
    }

    pub(super) fn resize(&self, columns: u16, rows: u16) {
        self.screen
            .0
            .lock()
            .unwrap()
            .screen_mut()
            .set_size(rows, columns);
        self.master.resize(pty_size(columns, rows)).unwrap();
    }

    /// Types on the keyboard.
    pub(super) fn type_keys(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
        self.keyboard.flush().unwrap();
    }

    pub(super) fn pid(&self) -> i32 {
        i32::try_from(self.child.process_id().unwrap()).unwrap()
    }

    /// Waits for the end of the process; the exit code.
    pub(super) fn end(&mut self) -> u32 {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.exit_code();
            }
            assert!(
                Instant::now() < deadline,
                "the process runs on:\n{}",
                self.text()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Everything that was written to the terminal so far.
    pub(super) fn output(&self) -> String {
        String::from_utf8_lossy(&self.output.lock().unwrap()).into_owned()
    }

    /// Where the cursor is: line and column, from 0.
    pub(super) fn cursor(&self) -> (usize, usize) {
        let (line, column) = self.screen.0.lock().unwrap().screen().cursor_position();
        (line.into(), column.into())
    }

    /// The cursor is visible.
    pub(super) fn has_cursor(&self) -> bool {
        !self.screen.0.lock().unwrap().screen().hide_cursor()
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn visible(screen: &vt100::Screen) -> String {
    let (_, columns) = screen.size();
    let lines: Vec<String> = screen
        .rows(0, columns)
        .map(|line| line.trim_end().to_owned())
        .collect();
    let text = lines.join("\n");
    format!("{}\n", text.trim_end())
}
