//! What goes wrong, and what the page says of it: the last numbers stay, and say that they are the last.

use serde_json::json;

use super::browser::Browser;
use super::stage::{EDIT, Stage, watched};
use super::{EDITORS, TOTAL, WORD, shows};
use crate::support::process::Serve;

const DETAIL: &str = "document.getElementById('detail').textContent";

#[tokio::test]
async fn a_lost_connection_is_told_and_mended() {
    let Some((browser, mut stage)) = watched().await else {
        return;
    };
    browser.open(&stage.page()).await;
    seven_edits_are_shown(&browser, &mut stage).await;

    let fallen = stage.kill().await;
    browser
        .until(&format!(
            "{WORD} === 'Reconnecting' && document.title.startsWith('Reconnecting')"
        ))
        .await;
    browser
        .until("/Next attempt in \\d+ s/.test(document.getElementById('detail').textContent)")
        .await;
    assert_eq!(browser.value(TOTAL).await, "7", "the last numbers stay");
    assert_eq!(browser.value(&format!("{EDITORS}.length")).await, 1);

    let mut stage = fallen.restart().await;
    stage.send(2, EDIT);
    browser.until(&shows(9)).await;
    browser
        .until(&format!(
            "{WORD} === 'Live' && !document.title.startsWith('Reconnecting')"
        ))
        .await;
    assert_never_backwards(&browser).await;
}

/// Seven edits come in, and stand in all views.
async fn seven_edits_are_shown(browser: &Browser, stage: &mut Stage) {
    stage.send(7, EDIT);
    browser.until(&shows(7)).await;
    // Views come one by one.
    browser.until(&format!("{EDITORS}[0]?.[1] === '7'")).await;
    browser.until(&format!("{WORD} === 'Live'")).await;
}

/// Of all numbers that the counter has shown, none was less than the one before.
async fn assert_never_backwards(browser: &Browser) {
    let backwards = "totals.filter((total, i) => total < totals[i - 1])";
    assert_eq!(browser.value(backwards).await, json!([]));
}

#[tokio::test]
async fn a_lost_engine_is_told_and_its_numbers_stay_until_it_is_back() {
    let Some((browser, mut stage)) = watched().await else {
        return;
    };
    // The page is served by another process than the engine.
    let page = Serve::start_before(&stage.engine_url()).await;
    browser.open(&format!("http://{}/", page.http)).await;
    seven_edits_are_shown(&browser, &mut stage).await;

    let fallen = stage.kill().await;
    browser
        .until(&format!(
            "{WORD} === 'Reconnecting' && {DETAIL}.includes('lost its engine')"
        ))
        .await;
    assert_eq!(browser.value(TOTAL).await, "7", "the last numbers stay");
    assert_eq!(browser.value(&format!("{EDITORS}.length")).await, 1);

    let mut stage = fallen.restart().await;
    stage.send(3, EDIT);
    browser.until(&shows(10)).await;
    browser.until(&format!("{WORD} === 'Live'")).await;
    browser.until(&format!("{EDITORS}[0]?.[1] === '10'")).await;
    assert_never_backwards(&browser).await;
}

#[tokio::test]
async fn a_view_that_is_missing_is_told_with_what_to_do_and_is_shown_once_it_is_there() {
    let Some((browser, mut stage)) = watched().await else {
        return;
    };
    let counter = "CREATE MATERIALIZED VIEW counter AS SELECT count(*) AS count FROM recentchanges WHERE type IN ('edit', 'new')";
    stage.sql("DROP VIEW counter; DROP VIEW top_pages_1h").await;
    browser.open(&stage.page()).await;
    stage.send(7, EDIT);
    browser
        .until(&format!(
            "{WORD} === 'No numbers' && {DETAIL}.includes('counter') && {DETAIL}.includes('wikitop init-views')"
        ))
        .await;
    browser
        .until("/top_pages_1h.+wikitop init-views/.test(document.getElementById('pages-gap').textContent)")
        .await;
    // What is there is shown.
    browser.until(&format!("{EDITORS}[0]?.[1] === '7'")).await;
    stage.sql(counter).await;
    browser.until(&shows(7)).await;
    browser.until(&format!("{WORD} === 'Live'")).await;
}

#[tokio::test]
async fn a_stream_that_cannot_be_reached_is_told() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let data_dir = tempfile::tempdir().unwrap();
    let source = format!("http://{closed}/v2/stream/recentchange");
    let serve = Serve::start(data_dir.path(), &["--source", &source]).await;
    browser
        .client
        .goto(&format!("http://{}/", serve.http))
        .await
        .unwrap();
    browser
        .until(&format!("{WORD} === 'Stream not reachable'"))
        .await;
    browser
        .until("/^ wikitop cannot read the stream of changes: .+\\. Next attempt in \\d+ s\\.$/.test(document.getElementById('detail').textContent)")
        .await;
    browser.until(&shows(0)).await;
}
