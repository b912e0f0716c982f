//! What `tail` shows in terminals of several sizes: each screen is a file under `tests/data/screens/`, to be read in review, and
//! rewritten with `WIKITOP_REWRITE=1`.

use std::path::PathBuf;

use super::pty::{Pty, visible};
use crate::support::scripted_engine::{BIGINT, BOOLEAN, Column, ScriptedEngine, TEXT, TIMESTAMPTZ};

/// 2026-11-22 12:03:45 UTC.
const TIME_MS: u64 = 1_795_349_025_000;

const TOP10: &[Column] = &[("user", TEXT), ("count", BIGINT)];
const TOP10_ROWS: &[&str] = &[
    "InternetArchiveBot\t1234567",
    "Zoë\t98765",
    "Øystein Tvede with a name that does not end soon\t87654",
    "山田太郎山田太郎山田太郎山田太郎\t76543",
    "משתמש:דוגמה\t65432",
    "👩‍👩‍👧‍👦 Family\t5432",
    "Tab\\there\u{1b}[2J\u{202e}and back\t432",
    "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301} stacked\t321",
    "\u{301}lone mark\t21",
    "~2026-12345-67\t1",
];

const PAGES: &[Column] = &[("wiki", TEXT), ("title", TEXT), ("count", BIGINT)];
const PAGES_ROWS: &[&str] = &[
    "enwiki\tDeaths in 2026\t42",
    "commonswiki\tFile:A rather long name of a picture of a bridge in the fog.jpg\t37",
    "wikidatawiki\tQ42\t12",
    "hewiki\tעמוד ראשי\t9",
    "jawiki\tメインページ\t3",
];

const LATEST: &[Column] = &[
    ("dt", TIMESTAMPTZ),
    ("wiki", TEXT),
    ("title", TEXT),
    ("user", TEXT),
    ("type", TEXT),
    ("bot", BOOLEAN),
    ("comment", TEXT),
    ("length_old", BIGINT),
    ("length_new", BIGINT),
    ("meta_uri", TEXT),
];
const LATEST_ROWS: &[&str] = &[
    "2026-11-22 12:03:44.9+00\tenwiki\tDeaths in 2026\tZoë\tedit\tf\tx\t1000\t1234\thttps://x",
    "2026-11-22 12:03:44.5+00\twikidatawiki\tQ42\tInternetArchiveBot\tedit\tt\tx\t20000\t18000\thttps://x",
    "2026-11-22 12:03:43+00\tcommonswiki\tFile:A rather long name of a picture of a bridge.jpg\t山田太郎\tnew\tf\tx\t\\N\t512\thttps://x",
    "2026-11-22 12:03:42+00\thewiki\tעמוד ראשי\tמשתמש:דוגמה\tcategorize\tf\tx\t\\N\t\\N\thttps://x",
    "2026-11-22 12:03:41+00\tdewiki\tSpezial:Log\t\\N\tlog\tf\tx\t\\N\t\\N\thttps://x",
];

const MINUTES: &[Column] = &[
    ("minute", TIMESTAMPTZ),
    ("edits", BIGINT),
    ("by_bots", BIGINT),
];

const OTHER: &[Column] = &[
    ("topic", TEXT),
    ("partition", BIGINT),
    ("timestamp_ms", BIGINT),
    ("event_offset", BIGINT),
];
const OTHER_ROWS: &[&str] = &[
    "eqiad.mediawiki.recentchange\t0\t1795349025000\t6387234775",
    "codfw.mediawiki.recentchange\t0\t1795349000000\t\\N",
];

fn minutes() -> Vec<String> {
    let minute = |ago: u64| {
        let clock = 12 * 60 + 3 - ago;
        let edits = 1_500 + (ago * 7_919) % 1_000;
        format!(
            "2026-11-22 {:02}:{:02}:00+00\t{edits}\t{}",
            clock / 60,
            clock % 60,
            edits / 4
        )
    };
    // A minute without edits has no row; the present one has just begun.
    let mut rows: Vec<String> = (1..60).filter(|ago| *ago != 20).map(minute).collect();
    rows.push("2026-11-22 12:03:00+00\t300\t75".into());
    rows
}

/// Shows the view in a terminal of this size and compares the screen with the file.
async fn assert_screen(
    file: &str,
    size: (u16, u16),
    columns: &[Column],
    name: &'static str,
    rows: &[&str],
) {
    let engine = ScriptedEngine::start(name, columns, TIME_MS, rows).await;
    let url = engine.url();
    let file = format!("{file}_{}x{}", size.0, size.1);
    tokio::task::spawn_blocking(move || {
        let pty = Pty::start(size.0, size.1, &["tail", name, "--materialize", &url]);
        compare(&pty, &file);
    })
    .await
    .unwrap();
    drop(engine);
}

/// Waits for the screen in the file; with `WIKITOP_REWRITE` set, makes the screen the file.
fn compare(pty: &Pty, file: &str) {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/screens/{file}.txt"));
    if std::env::var_os("WIKITOP_REWRITE").is_some() {
        // The rate stands there from the second second on, and then nothing changes any more.
        let settled = std::time::Instant::now() + std::time::Duration::from_secs(4);
        let text = pty.wait(|screen| {
            visible(screen).lines().count() > 1 && std::time::Instant::now() > settled
        });
        std::fs::write(&path, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    pty.wait(|screen| visible(screen) == expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranking_in_terminals_of_several_sizes() {
    for size in [(100, 30), (80, 24), (40, 24), (80, 6), (20, 4)] {
        assert_screen("top10", size, TOP10, "top10", TOP10_ROWS).await;
    }
    for size in [(100, 24), (40, 24)] {
        assert_screen("top_pages_1h", size, PAGES, "top_pages_1h", PAGES_ROWS).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_is_large_where_there_is_room() {
    for size in [(80, 24), (40, 12), (20, 4)] {
        assert_screen(
            "counter",
            size,
            &[("count", BIGINT)],
            "counter",
            &["12345678"],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn minutes_are_a_chart() {
    let rows = minutes();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    for size in [(80, 24), (40, 12), (80, 5)] {
        assert_screen("edits_per_minute", size, MINUTES, "edits_per_minute", &rows).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_changes_are_a_feed() {
    for size in [(120, 24), (80, 24), (40, 24), (80, 5)] {
        assert_screen("latest", size, LATEST, "latest", LATEST_ROWS).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_view_is_a_table() {
    for size in [(100, 24), (40, 24)] {
        assert_screen("other", size, OTHER, "ingest_position", OTHER_ROWS).await;
    }
    assert_screen("empty", (80, 24), OTHER, "ingest_position", &[]).await;
}
