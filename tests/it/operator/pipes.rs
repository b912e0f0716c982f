//! What `tail` writes into pipes, and the exit codes that scripts see.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::support::process::{DEADLINE, send_signal, wikitop};
use crate::support::scripted_engine::{BIGINT, Column, ScriptedEngine, TEXT};

const TIME_MS: u64 = 1_795_349_025_000;
const TOP10: &[Column] = &[("user", TEXT), ("count", BIGINT)];
const ROWS: &[&str] = &["Anna\t30", "B, \"Bert\"\t200"];

async fn engine() -> ScriptedEngine {
    ScriptedEngine::start("top10", TOP10, TIME_MS, ROWS).await
}

/// Runs to the end: exit code, stdout, stderr.
async fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let running = wikitop(args).output();
    let output = tokio::time::timeout(DEADLINE, running)
        .await
        .unwrap()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn spawn(args: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = wikitop(args).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

async fn next(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    let line = tokio::time::timeout(DEADLINE, lines.next_line()).await;
    line.unwrap().unwrap().expect("another line")
}

async fn exit_code(mut child: Child) -> Option<i32> {
    tokio::time::timeout(DEADLINE, child.wait())
        .await
        .unwrap()
        .unwrap()
        .code()
}

#[tokio::test]
async fn a_pipe_gets_one_frame_a_line_as_it_comes() {
    let engine = engine().await;
    let (child, mut lines) = spawn(&[
        "tail",
        "top10",
        "--materialize",
        &engine.url(),
        "--max-frames",
        "2",
    ]);
    assert_eq!(
        next(&mut lines).await,
        r#"{"deleted":[],"inserted":[["Anna",30],["B, \"Bert\"",200]],"timestamp":1795349025000}"#
    );
    engine.frame(TIME_MS + 1, &["Anna\t30"], &["Anna\t31"]);
    assert_eq!(
        next(&mut lines).await,
        r#"{"deleted":[["Anna",30]],"inserted":[["Anna",31]],"timestamp":1795349025001}"#
    );
    assert_eq!(exit_code(child).await, Some(0));
}

#[tokio::test]
async fn a_snapshot_in_each_format() {
    let engine = engine().await;
    let table = [
        (
            "json",
            r#"{"columns":[{"name":"user","type":"text"},{"name":"count","type":"bigint"}]}
{"deleted":[],"inserted":[["B, \"Bert\"",200],["Anna",30]],"timestamp":1795349025000}
"#,
        ),
        ("csv", "user,count\n\"B, \"\"Bert\"\"\",200\nAnna,30\n"),
        ("copy", "user\tcount\nB, \"Bert\"\t200\nAnna\t30\n"),
        (
            "table",
            "user       count\nB, \"Bert\"    200\nAnna          30\n",
        ),
    ];
    for (format, expected) in table {
        let url = engine.url();
        let args = [
            "tail",
            "top10",
            "--materialize",
            &url,
            "--snapshot-only",
            "--header",
            "--format",
            format,
        ];
        assert_eq!(
            run(&args).await,
            (Some(0), expected.into(), String::new()),
            "{format}"
        );
    }
}

#[tokio::test]
async fn updates_as_copy_gives_them_with_progress_and_without_the_snapshot() {
    let engine = engine().await;
    let url = engine.url();
    let args = [
        "tail",
        "top10",
        "--materialize",
        &url,
        "--format",
        "copy",
        "--progress",
        "--no-snapshot",
        "--header",
    ];
    let (child, mut lines) = spawn(&[&args[..], &["--max-frames", "1"]].concat());
    assert_eq!(
        next(&mut lines).await,
        "mz_timestamp\tmz_progressed\tmz_diff\tuser\tcount"
    );
    assert_eq!(next(&mut lines).await, "1795349025001\tt\t\\N\t\\N\t\\N");
    engine.frame(TIME_MS + 5, &["Anna\t30"], &["Twice\t1", "Twice\t1"]);
    let mut updates = Vec::new();
    while updates.len() < 2 {
        let line = next(&mut lines).await;
        if !line.contains("\tt\t") {
            updates.push(line);
        }
    }
    assert_eq!(
        updates,
        [
            "1795349025005\tf\t-1\tAnna\t30",
            "1795349025005\tf\t2\tTwice\t1"
        ]
    );
    assert_eq!(exit_code(child).await, Some(0));
}

#[tokio::test]
async fn a_reader_that_has_gone_is_no_failure() {
    let engine = engine().await;
    let (child, mut lines) = spawn(&["tail", "top10", "--materialize", &engine.url()]);
    next(&mut lines).await;
    drop(lines);
    engine.frame(TIME_MS + 1, &["Anna\t30"], &["Anna\t31"]);
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    for args in [["completions", "bash"], ["man", "tail"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = wikitop(&args).stdout(writer).spawn().unwrap();
        assert_eq!(exit_code(child).await, Some(0), "{args:?}");
    }
}

#[tokio::test]
async fn a_reader_that_is_slow_gets_the_net_difference() {
    let engine = engine().await;
    let (mut child, mut lines) = spawn(&[
        "tail",
        "top10",
        "--materialize",
        &engine.url(),
        "--format",
        "copy",
    ]);
    let mut sum = std::collections::BTreeMap::new();
    let mut add = |line: &str| {
        let mut cells = line.splitn(3, '\t');
        let (_, diff, row) = (cells.next(), cells.next().unwrap(), cells.next().unwrap());
        *sum.entry(row.to_owned()).or_insert(0) += diff.parse::<i64>().unwrap();
    };
    for _ in 0..ROWS.len() {
        add(&next(&mut lines).await);
    }
    // More than any pipe holds, while nobody reads.
    let frames = 2_000;
    let row = |at: u64| format!("{}\t{at}", "x".repeat(500));
    engine.frame(TIME_MS + 1, &[], &[&row(0)]);
    for at in 1..=frames {
        engine.frame(TIME_MS + 1 + at, &[&row(at - 1)], &[&row(at)]);
    }
    let mut read = 0;
    let last = row(frames);
    loop {
        let line = next(&mut lines).await;
        add(&line);
        read += 1;
        if line.ends_with(&last) {
            break;
        }
    }
    sum.retain(|_, times| *times != 0);
    let expected = [last.as_str(), ROWS[0], ROWS[1]].map(|row| (row.to_owned(), 1));
    assert_eq!(sum, expected.into());
    assert!(read < 2 * frames, "{read} lines");
    child.kill().await.unwrap();
}

#[tokio::test]
async fn an_engine_that_goes_away_is_noted_and_only_the_difference_is_written() {
    let mut engine = engine().await;
    let url = engine.url();
    let (mut child, mut lines) =
        spawn(&["tail", "top10", "--materialize", &url, "--max-frames", "2"]);
    next(&mut lines).await;
    engine.subscribed().await;
    engine.go_away();
    engine.come_back(TIME_MS + 60_000, &["Anna\t30", "Cleo\t1"]);
    assert_eq!(
        next(&mut lines).await,
        r#"{"deleted":[["B, \"Bert\"",200]],"inserted":[["Cleo",1]],"timestamp":1795349085000}"#
    );
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .await
        .unwrap();
    assert_eq!(exit_code(child).await, Some(0));
    assert!(stderr.starts_with("note: reconnecting: "), "{stderr}");
    assert!(stderr.ends_with("note: connected again\n"), "{stderr}");
}

#[tokio::test]
async fn what_can_be_tailed_is_listed_and_an_unknown_view_names_the_closest() {
    let engine = engine().await;
    let url = engine.url();
    let (code, stdout, _) = run(&["tail", "--materialize", &url]).await;
    assert_eq!(
        (code, stdout.as_str()),
        (Some(0), "top10  the ten users with most edits\n")
    );
    let (code, stdout, stderr) = run(&["tail", "top1o", "--materialize", &url]).await;
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert_eq!(
        stderr,
        "error: there is no view \"top1o\"\nhint: Did you mean top10? `wikitop tail` alone lists what there is.\n"
    );
}

#[tokio::test]
async fn exit_codes_tell_what_went_wrong() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!(
        "postgres://materialize@{}/materialize",
        closed.local_addr().unwrap()
    );
    drop(closed);
    let table: [(&[&str], i32, &str); 6] = [
        (
            &["tail", "top10", "--materialize", &nobody],
            3,
            "Start an engine with `wikitop serve`, or name one that runs with --materialize.",
        ),
        (&["tail", "--materialize", &nobody], 3, "wikitop serve"),
        (
            &["tail", "top10", "--materialize", "nonsense"],
            2,
            "--materialize",
        ),
        (
            &["tail", "top10", "--no-snapshot", "--format", "table"],
            2,
            "--format",
        ),
        (
            &["tail", "top10", "--for", "soon"],
            2,
            "expected a time such as 90s",
        ),
        (&["frobnicate"], 2, "--help"),
    ];
    for (args, expected, hint) in table {
        let (code, stdout, stderr) = run(args).await;
        assert_eq!(
            (code, stdout.as_str()),
            (Some(expected), ""),
            "{args:?}: {stderr}"
        );
        assert!(
            stderr.starts_with("error: ") && stderr.contains(hint),
            "{stderr}"
        );
    }
}

#[tokio::test]
async fn a_password_is_never_printed() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    let url = format!("postgres://materialize:s3cret@{nobody}/materialize");
    let broken = "postgres://materialize:s3cret@[broken/materialize?x=y";
    for url in [url.as_str(), broken] {
        for more in [
            &["--log-level", "trace"][..],
            &["--log-level", "trace", "--log-format", "json"],
        ] {
            let args = [&["tail", "top10", "--materialize", url], more].concat();
            let (_, stdout, stderr) = run(&args).await;
            assert!(
                !stdout.contains("s3cret") && !stderr.contains("s3cret"),
                "{stderr}"
            );
        }
        let help = wikitop(&["tail", "--help"])
            .env("MATERIALIZE_URL", url)
            .output()
            .await
            .unwrap();
        assert!(!String::from_utf8(help.stdout).unwrap().contains("s3cret"));
    }
}

#[tokio::test]
async fn signals_end_a_pipe_with_their_number() {
    let engine = engine().await;
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let (child, mut lines) = spawn(&["tail", "top10", "--materialize", &engine.url()]);
        next(&mut lines).await;
        send_signal(i32::try_from(child.id().unwrap()).unwrap(), signal);
        assert_eq!(exit_code(child).await, Some(code), "{signal}");
    }
}

#[tokio::test]
async fn the_environment_says_the_same_as_flags() {
    let engine = engine().await;
    let mut command = wikitop(&["tail"]);
    command
        .env("MATERIALIZE_URL", engine.url())
        .env("WIKITOP_TAIL", "top10")
        .env("WIKITOP_FORMAT", "csv")
        .env("WIKITOP_SNAPSHOT_ONLY", "yes")
        .stderr(Stdio::inherit());
    let output = tokio::time::timeout(DEADLINE, command.output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "\"B, \"\"Bert\"\"\",200\nAnna,30\n"
    );
}
