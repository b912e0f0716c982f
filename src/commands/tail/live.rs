//! `tail` on a terminal: a view that lives in place.
//!
//! However fast updates come, the screen is drawn at most 20 times a second, and drawing never takes more than a tenth of the
//! time; what a redraw shows is the state, so nothing is missed by skipping some.

use std::io;
use std::time::Duration;

use console::Term;
use rustix::process::Signal as ProcessSignal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::Config;
use super::follow::Follow;
use crate::commands::output;
use crate::core::subscription::Event;
use crate::terminal::layout;
use crate::terminal::live::Live;
use crate::terminal::screen::Screen;

/// The shortest time between two redraws: 20 a second, faster than anyone reads.
const REDRAW_MIN: Duration = Duration::from_millis(50);

/// A redraw is followed by so many times its own duration without one.
const REDRAW_REST: u32 = 10;

/// Rates fade and waits shorten even when nothing arrives.
const REDRAW_MAX: Duration = Duration::from_secs(1);

/// What a run waits for.
enum Happened {
    Told(Event),
    Ended,
    Resized,
    /// ^Z.
    Stopped,
    RedrawDue,
}

/// Where a run stands.
struct Display {
    screen: Screen,
    live: Live,
    start: Instant,
    redraw_at: Instant,
    /// Not before this.
    rest_until: Instant,
    frames: u64,
}

pub(super) async fn run(config: &Config, mut follow: Follow<'_>) -> anyhow::Result<()> {
    let mut resized = signal(SignalKind::window_change())?;
    let mut stopped = signal(SignalKind::from_raw(ProcessSignal::TSTP.as_raw()))?;
    let start = Instant::now();
    let mut display = Display {
        screen: Screen::open(Term::stdout()),
        live: Live::new(
            follow.title(),
            follow.view().map_or("", |view| view.summary),
        ),
        start,
        redraw_at: start,
        rest_until: start,
        frames: 0,
    };
    loop {
        let happened = tokio::select! {
            told = follow.next() => told?.map_or(Happened::Ended, Happened::Told),
            _ = resized.recv() => Happened::Resized,
            _ = stopped.recv() => Happened::Stopped,
            () = tokio::time::sleep_until(display.redraw_at) => Happened::RedrawDue,
        };
        let is_last = match happened {
            Happened::Told(event) => {
                display.told(event);
                config.max_frames.is_some_and(|max| display.frames >= max)
            }
            Happened::Ended => true,
            Happened::Resized => {
                display.screen.forget();
                display.redraw_soon();
                false
            }
            Happened::Stopped => {
                display.screen.pause();
                stop_process()?;
                display.redraw_soon();
                false
            }
            Happened::RedrawDue => {
                if !display.redraw(&follow)? {
                    return Ok(());
                }
                false
            }
        };
        if is_last {
            display.screen.forget();
            display.redraw(&follow)?;
            return Ok(());
        }
    }
}

/// Stops as ^Z does without a handler; returns when the process is continued.
fn stop_process() -> io::Result<()> {
    rustix::process::kill_process(rustix::process::getpid(), ProcessSignal::STOP)?;
    Ok(())
}

impl Display {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn told(&mut self, event: Event) {
        let now = self.now();
        match event {
            Event::Opened { columns } => self.live.opened(columns),
            Event::Frame(frame) => {
                self.live.frame(&frame, now);
                self.frames += 1;
            }
            Event::Progress { timestamp_ms } => self.live.progress(timestamp_ms),
            Event::Reconnecting { reason, retry_in } => self.live.lost(reason, retry_in, now),
            // `Follow` has made an error of it.
            Event::Failed(_) => {}
        }
        self.redraw_soon();
    }

    fn redraw_soon(&mut self) {
        self.redraw_at = self.redraw_at.min(self.rest_until);
    }

    /// Draws the state; `false` when the terminal is gone.
    fn redraw(&mut self, follow: &Follow<'_>) -> io::Result<bool> {
        let began = Instant::now();
        let now = self.now();
        let rows = follow.rows(&self.live.columns);
        let lines = layout::draw(&self.live, &rows, self.screen.size(), now);
        let outcome = self.screen.show(lines);
        let rest = (began.elapsed() * REDRAW_REST).max(REDRAW_MIN);
        self.rest_until = Instant::now() + rest;
        let fades_at = self.live.marks_until().map(|at| self.start + at);
        let idle_until = self.rest_until.max(began + REDRAW_MAX);
        self.redraw_at = fades_at
            .filter(|at| *at > began)
            .map_or(idle_until, |at| at.clamp(self.rest_until, idle_until));
        match outcome {
            Err(error) if output::is_closed(&error) => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }
}
