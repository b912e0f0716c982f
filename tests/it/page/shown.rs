//! What the page shows is what the stream held, and text from Wikipedia is text.

use serde_json::{Value, json};

use super::browser::Screen;
use super::calm::assert_calm;
use super::fit::assert_fits;
use super::stage::{Change, EDIT, watched};
use super::{EDITORS, WORD, shows};

#[tokio::test]
async fn what_it_shows_is_what_the_stream_held() {
    let Some((browser, mut stage)) = watched().await else {
        return;
    };
    browser.open(&stage.page()).await;
    browser
        .until(&format!("{WORD} === 'Waiting for the first edit'"))
        .await;

    let bot = Change {
        user: Some("Ping & Bot"),
        bot: true,
        title: "Q42",
        wiki: "wikidatawiki",
        uri: "https://www.wikidata.org/wiki/Q42",
        length: (900, 100),
        ..EDIT
    };
    let temporary = Change {
        user: Some("~2026-12345-67"),
        kind: "new",
        ..EDIT
    };
    stage.send(5, EDIT);
    stage.send(3, bot);
    stage.send(2, temporary);
    stage.send(1, Change { user: None, ..EDIT });
    stage.send(
        4,
        Change {
            kind: "categorize",
            ..EDIT
        },
    );
    browser.until(&shows(11)).await;
    browser
        .until("document.querySelectorAll('#editors .mark:not(:empty)').length === 2")
        .await;
    let contributions =
        |user: &str| format!("https://meta.wikimedia.org/wiki/Special:GlobalContributions/{user}");
    let zoe = json!(["Zoë", "5", "", contributions("Zo%C3%AB"), "1", true]);
    let pings = contributions("Ping_%26_Bot");
    let guest = json!([
        "~2026-12345-67",
        "2",
        "temporary",
        contributions("~2026-12345-67"),
        "0.4",
        true
    ]);
    browser
        .until(&format!("{EDITORS}.map(row => row[1]).join() === '5,3,2'"))
        .await;
    assert_eq!(
        browser.value(EDITORS).await,
        json!([zoe, ["Ping & Bot", "3", "bot", pings, "0.6", true], guest])
    );

    // Who overtakes keeps the row and moves.
    browser
        .value("document.querySelectorAll('#editors > *')[1].overtakes = true")
        .await;
    stage.send(3, bot);
    browser.until(&shows(14)).await;
    browser
        .until("document.querySelector('#editors > *').overtakes")
        .await;
    let ranking = browser.value(EDITORS).await;
    assert_eq!(
        ranking[0],
        json!(["Ping & Bot", "6", "bot", pings, "1", true])
    );
    assert_eq!(ranking[1][0], "Zoë");

    browser
        .value("document.querySelector('[value=humans]').click()")
        .await;
    browser
        .until("document.querySelector('#editors .name').textContent === 'Zoë'")
        .await;
    assert_eq!(browser.value(EDITORS).await, json!([zoe, guest]));

    let first = |list: &str| {
        format!("(() => {{ const row = document.querySelector('#{list} > *'); return [row.querySelector('.name').textContent,
            row.querySelector('.name').href, row.querySelector('.note').textContent, row.querySelector('.count').textContent] }})()")
    };
    assert_eq!(
        browser.value(&first("pages")).await,
        json!([
            "Lumière",
            "https://fr.wikipedia.org/wiki/Lumi%C3%A8re",
            "French Wikipedia",
            "8"
        ])
    );
    assert_eq!(
        browser.value(&first("wikis")).await,
        json!(["French Wikipedia", "https://fr.wikipedia.org/", "", "8"])
    );

    // The newest change comes to the top, unless somebody is looking there.
    browser
        .until("document.querySelector('#feed > * .name').textContent === 'Q42'")
        .await;
    let newest = "(() => { const row = document.querySelector('#feed > *'), size = row.querySelector('.size');
        return [row.querySelector('.name').href, row.querySelector('.user').textContent, size.textContent, size.dataset.sign] })()";
    assert_eq!(
        browser.value(newest).await,
        json!([
            "https://www.wikidata.org/wiki/Q42?diff=cur",
            "Ping & Bot",
            "-800",
            "-1"
        ])
    );
    browser
        .value("document.querySelector('#feed .name').focus()")
        .await;
    browser
        .until("document.getElementById('feed-note').textContent === 'Paused'")
        .await;
    stage.send(
        1,
        Change {
            title: "Unseen",
            ..EDIT
        },
    );
    browser.until(&shows(15)).await;
    assert_eq!(
        browser
            .value("document.querySelector('#feed > * .name').textContent")
            .await,
        "Q42"
    );
    browser.value("document.activeElement.blur()").await;
    browser
        .until("document.querySelector('#feed > * .name').textContent === 'Unseen'")
        .await;

    // However much arrives at once, the feed moves on by a few.
    browser.value("(window.added = 0, new MutationObserver((changes) => changes.forEach(({ addedNodes }) => { added += addedNodes.length; }))
        .observe(document.getElementById('feed'), { childList: true }))").await;
    stage.send(300, EDIT);
    browser.until(&shows(315)).await;
    let added = browser.value("added").await.as_u64().unwrap();
    assert!(added < 10, "{added} rows came into the feed");

    assert_calm(&browser).await;
}

#[tokio::test]
async fn names_from_wikipedia_are_text_and_keep_their_place() {
    let Some((browser, mut stage)) = watched().await else {
        return;
    };
    browser.set_screen(Screen::new(320, 640)).await;
    browser.open(&stage.page()).await;
    let combining = format!("Z{}", "\u{301}\u{336}\u{489}".repeat(1_700));
    let hostile = [
        "<img src=x onerror=\"window.ran=1\">",
        "<script>window.ran=1</script>",
        "\"><svg onload=window.ran=1>",
        "javascript:window.ran=1",
        "\u{202e}\u{2066}\u{202b}reversed \u{202d}and \u{2067}never closed",
        "${window.ran=1}{{window.ran=1}}",
        "&lt;b&gt;&amp;amp;",
        combining.as_str(),
        "one very long name that has no end and that nobody would ever want to read to where it would end if it did",
    ];
    for text in hostile {
        let change = Change {
            user: Some(text),
            title: text,
            comment: text,
            uri: "javascript:window.ran=1",
            ..EDIT
        };
        stage.send(2, change);
    }
    browser.until(&shows(2 * hostile.len())).await;
    browser
        .until("document.querySelectorAll('#editors > :not(.leaving)').length === 9 && document.querySelectorAll('#feed > *').length > 0")
        .await;

    // The text is there as it came, to the last mark.
    let names =
        "Array.from(document.querySelectorAll('#editors .name'), (name) => name.textContent)";
    let mut names: Vec<String> = serde_json::from_value(browser.value(names).await).unwrap();
    names.sort();
    let mut expected = hostile.map(str::to_owned);
    expected.sort();
    assert_eq!(names, expected);

    assert_eq!(browser.value("window.ran ?? null").await, Value::Null);
    assert_eq!(
        browser
            .value("document.querySelectorAll('main img, main script, main b, main svg:not(#chart)').length")
            .await,
        0
    );
    let addresses = "Array.from(document.querySelectorAll('main a'), (link) => link.href).filter((href) => !href.startsWith('https://'))";
    assert_eq!(browser.value(addresses).await, json!([]));
    // Every row is as high as the others, and nothing sticks out of the page.
    let heights = "Array.from(document.querySelectorAll('main ol'), (list) => new Set(Array.from(list.children, (row) => row.offsetHeight)).size)";
    assert_eq!(browser.value(heights).await, json!([1, 1, 1, 1]));
    assert_fits(&browser).await;
    assert_calm(&browser).await;
}
