//! A live view in a real pseudo-terminal: what changes, what comes and goes around it, and how it leaves.

use std::time::{Duration, Instant};

use super::pty::{Pty, visible};
use crate::support::process::send_signal;
use crate::support::scripted_engine::{BIGINT, Column, ScriptedEngine, TEXT};

const TIME_MS: u64 = 1_795_349_025_000;
const TOP10: &[Column] = &[("user", TEXT), ("count", BIGINT)];

/// A top 10 of three, live in a terminal of 60 by 12.
async fn started(more: &[&str]) -> (ScriptedEngine, Pty) {
    let rows = ["Anna\t30", "Bert\t20", "Cleo\t10"];
    let engine = ScriptedEngine::start("top10", TOP10, TIME_MS, &rows).await;
    let url = engine.url();
    let args = [&["tail", "top10", "--materialize", &url], more].concat();
    let pty = Pty::start(60, 12, &args);
    pty.wait_for("Cleo");
    (engine, pty)
}

/// The line of the screen that contains a text.
fn line_with(pty: &Pty, text: &str) -> String {
    let screen = pty.text();
    let line = screen.lines().find(|line| line.contains(text));
    line.unwrap_or_else(|| panic!("no {text} in:\n{screen}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_change_are_marked_for_a_moment() {
    let (engine, pty) = started(&[]).await;
    engine.frame(
        TIME_MS + 1_000,
        &["Bert\t20", "Cleo\t10"],
        &["Bert\t31", "Dora\t9"],
    );
    let screen = pty.wait_for("▲ 31");
    let lines: Vec<&str> = screen.lines().collect();
    assert!(lines[1].contains("12:03:46 UTC"), "{screen}");
    assert!(lines[3].contains("1 Bert"), "{screen}");
    assert!(
        lines[4].contains("2 Anna") && !lines[4].contains('▲'),
        "{screen}"
    );
    assert!(
        lines[5].contains("3 Dora") && lines[5].contains("•  9"),
        "{screen}"
    );
    engine.frame(TIME_MS + 2_000, &["Bert\t31"], &["Bert\t25"]);
    pty.wait_for("▼ 25");
    // The marks go by themselves, without another frame.
    pty.wait(|screen| !visible(screen).contains(['▲', '▼', '•']));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resize_redraws_the_view_and_nothing_above_it() {
    let (engine, pty) = started(&[]).await;
    for (columns, rows) in [(30, 12), (90, 12), (90, 5), (60, 20)] {
        pty.resize(columns, rows);
        engine.frame(TIME_MS + u64::from(columns * rows), &[], &[]);
        let screen = pty.wait(|screen| {
            let text = visible(screen);
            let is_full_width = text
                .lines()
                .nth(1)
                .is_some_and(|title| title.chars().count() == usize::from(columns));
            text.contains("Anna") && is_full_width
        });
        assert!(
            screen.starts_with("$ wikitop\ntop10 "),
            "{columns}x{rows}:\n{screen}"
        );
        assert_eq!(
            screen.matches("top10").count(),
            1,
            "{columns}x{rows}:\n{screen}"
        );
        assert_eq!(
            screen.matches("Anna").count(),
            1,
            "{columns}x{rows}:\n{screen}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_grows_makes_room_for_itself() {
    let (engine, pty) = started(&[]).await;
    let more: Vec<String> = (1..=7).map(|at| format!("Extra {at}\t{at}")).collect();
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    engine.frame(TIME_MS + 1, &[], &more);
    // Twelve lines: title, blank, and nine of ten rows, of which one says that there is more; the last is the prompt's.
    let screen = pty.wait_for("… and 2 more");
    assert!(
        screen.starts_with("$ wikitop\ntop10 ") || screen.starts_with("top10 "),
        "{screen}"
    );
    engine.frame(TIME_MS + 2, &more, &[]);
    let screen = pty.wait(|screen| !visible(screen).contains("Extra"));
    assert_eq!(
        screen.lines().filter(|line| line.contains("Cleo")).count(),
        1,
        "{screen}"
    );
    assert!(screen.ends_with("10\n"), "nothing is left below:\n{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_goes_away_is_waited_for_in_place() {
    let (mut engine, pty) = started(&[]).await;
    engine.subscribed().await;
    engine.go_away();
    let screen = pty.wait_for("reconnecting in");
    assert!(screen.contains("1 Anna"), "the rows stay:\n{screen}");
    engine.come_back(TIME_MS + 60_000, &["Anna\t30", "Bert\t22"]);
    let screen = pty.wait_for("▲ 22");
    assert!(
        !screen.contains("Cleo") && !screen.contains("reconnecting"),
        "{screen}"
    );
    assert!(
        !line_with(&pty, "Anna").contains('▲'),
        "only the net difference:\n{screen}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn control_c_leaves_the_last_state_and_the_cursor() {
    let (_engine, mut pty) = started(&[]).await;
    assert!(!pty.has_cursor());
    pty.type_keys(b"\x03");
    assert_eq!(pty.end(), 130);
    let screen = pty.wait(|screen| !screen.hide_cursor());
    assert!(screen.starts_with("$ wikitop\ntop10 "), "{screen}");
    assert!(screen.contains("3 Cleo"), "{screen}");
    assert_eq!(
        pty.cursor(),
        (screen.lines().count(), 0),
        "below the view:\n{screen}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_with_its_number_and_a_hangup_does_not() {
    let (engine, mut pty) = started(&[]).await;
    send_signal(pty.pid(), "HUP");
    engine.frame(TIME_MS + 1, &["Cleo\t10"], &["Cleo\t11"]);
    pty.wait_for("11");
    send_signal(pty.pid(), "TERM");
    assert_eq!(pty.end(), 143);
    pty.wait(|screen| !screen.hide_cursor());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_by_itself_after_its_frames_or_its_time() {
    let (engine, mut pty) = started(&["--max-frames", "2"]).await;
    engine.frame(TIME_MS + 1, &["Cleo\t10"], &["Cleo\t11"]);
    assert_eq!(pty.end(), 0);
    assert!(pty.wait_for("Cleo").contains("11"));
    let (_engine, mut pty) = started(&["--for", "3s"]).await;
    assert_eq!(pty.end(), 0);
    pty.wait(|screen| !screen.hide_cursor());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_disturbs_nothing() {
    let (engine, mut pty) = started(&[]).await;
    pty.type_keys(b"q\r\r\rls\r");
    engine.frame(TIME_MS + 1, &["Cleo\t10"], &["Cleo\t11"]);
    let screen = pty.wait_for("11");
    assert_eq!(screen.matches("Anna").count(), 1, "{screen}");
    assert!(screen.starts_with("$ wikitop\ntop10 "), "{screen}");
    assert!(!screen.contains("ls"), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn control_z_gives_the_terminal_back_until_the_process_goes_on() {
    let (engine, mut pty) = started(&[]).await;
    pty.type_keys(b"\x1a");
    pty.wait(|screen| !screen.hide_cursor());
    wait_until(|| stat(pty.pid()) == 'T');
    send_signal(pty.pid(), "CONT");
    engine.frame(TIME_MS + 1, &["Cleo\t10"], &["Cleo\t11"]);
    let screen = pty.wait_for("11");
    assert_eq!(
        screen.matches("top10 ").count(),
        2,
        "below what was there:\n{screen}"
    );
    assert!(!pty.has_cursor());
    pty.type_keys(b"\x03");
    assert_eq!(pty.end(), 130);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_drawn_at_most_twenty_times_a_second() {
    let (engine, pty) = started(&[]).await;
    let began = Instant::now();
    let drawn_before = pty.output().matches("\x1b[?2026h").count();
    // A frame a millisecond.
    let mut pace = tokio::time::interval(Duration::from_millis(1));
    for count in 1..=1_000u64 {
        let (old, new) = (
            format!("Cleo\t{}", 9 + count),
            format!("Cleo\t{}", 10 + count),
        );
        engine.frame(TIME_MS + count, &[&old], &[&new]);
        pace.tick().await;
    }
    pty.wait_for("1,010");
    let drawn = pty.output().matches("\x1b[?2026h").count() - drawn_before;
    let allowed = began.elapsed().as_secs_f64() * 20.0 + 1.0;
    assert!(
        drawn as f64 <= allowed,
        "{drawn} redraws, {allowed} allowed"
    );
    assert!(drawn > 1, "it is live");
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_come_with_a_terminal_and_go_with_no_color() {
    let (_engine, pty) = started(&[]).await;
    assert!(pty.output().contains("\x1b[34m"));
    let engine = ScriptedEngine::start("top10", TOP10, TIME_MS, &["Anna\t30"]).await;
    let url = engine.url();
    let command = [
        "NO_COLOR=1",
        env!("CARGO_BIN_EXE_wikitop"),
        "tail",
        "top10",
        "--materialize",
        &url,
    ];
    let pty = Pty::run(60, 12, "env", &command);
    pty.wait_for("Anna");
    let output = pty.output();
    assert!(
        !output.contains('m') || !output.contains("\x1b[3"),
        "{output:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn log_lines_scroll_by_above_the_view() {
    let (engine, pty) = started(&["--log-level", "wikitop=debug"]).await;
    for at in 1..=3 {
        engine.go_away();
        pty.wait_for("reconnecting in");
        engine.come_back(TIME_MS + at * 1_000, &["Anna\t30"]);
        pty.wait_for(&format!("12:03:{} UTC", 45 + at));
    }
    let screen = pty.text();
    assert!(screen.contains("DEBUG reconnecting"), "{screen}");
    assert_eq!(screen.matches("1 Anna").count(), 1, "{screen}");
    assert!(screen.ends_with("30\n"), "the view is last:\n{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quit_leaves_at_once_but_not_without_the_cursor() {
    let (_engine, mut pty) = started(&[]).await;
    pty.type_keys(b"\x1c");
    assert_eq!(pty.end(), 131);
    let screen = pty.wait(|screen| !screen.hide_cursor());
    assert_eq!(pty.cursor(), (screen.lines().count(), 0), "{screen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_gives_the_terminal_back() {
    let itself = std::env::current_exe().unwrap();
    let name = "operator::live::a_view_whose_process_panics";
    let mut pty = Pty::run(
        100,
        60,
        itself.to_str().unwrap(),
        &["--exact", name, "--ignored", "--nocapture"],
    );
    assert_ne!(pty.end(), 0);
    let screen = pty.wait_for("panicked at");
    assert!(pty.has_cursor(), "{screen}");
    assert!(
        screen.contains("first line\nsecond line\n"),
        "the panic is told below the view:\n{screen}"
    );
}

#[test]
#[ignore = "runs in a terminal of its own, for the test above"]
fn a_view_whose_process_panics() {
    use wikitop::terminal::{
        line::{Ink, Line},
        screen::Screen,
    };
    let mut screen = Screen::open(console::Term::stdout());
    let lines = ["first line", "second line"].map(|text| Line::new().text(Ink::Plain, text, 40));
    screen.show(lines.to_vec()).unwrap();
    panic!("as the test wants it");
}

/// The state letter of a process.
fn stat(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().chars().next().unwrap()
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + crate::support::process::DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
}
