//! The page in a real browser, on the built binary: what it shows is what the stream held, whatever the stream held and
//! whatever happens to the connection.

mod browser;

use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use self::browser::{Browser, Screen};
use crate::support::eventstreams::{EQIAD, EventStreams, Message};
use crate::support::process::Serve;

/// What the editors' ranking shows, in the order in which it is read.
const EDITORS: &str = "Array.from(document.querySelectorAll('#editors > :not(.leaving)'), (row, slot) => [
    row.querySelector('.name').textContent, row.querySelector('.count').textContent, row.querySelector('.mark').textContent,
    row.querySelector('.name').getAttribute('href'), row.style.getPropertyValue('--share'),
    Number(row.style.getPropertyValue('--slot')) === slot])";

const TOTAL: &str = "document.getElementById('total').textContent";
const WORD: &str = "document.getElementById('word').textContent";

/// Watches from the first moment: every number that the counter showed, layout that shifted, changes made while nobody looked.
const WATCH: &str = "
    window.totals = []; window.shifted = 0; window.hiddenChanges = 0;
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => { window.shifted += entry.value; })).observe({ type: 'layout-shift', buffered: true });
    document.addEventListener('DOMContentLoaded', () => {
        const total = document.getElementById('total');
        new MutationObserver(() => window.totals.push(Number(total.textContent.replaceAll(',', '')))).observe(total, { childList: true, characterData: true, subtree: true });
        new MutationObserver((changes) => { if (document.hidden) window.hiddenChanges += changes.length; })
            .observe(document.body, { childList: true, characterData: true, attributes: true, subtree: true });
    });";

/// Whether a number passes through others on its way from 0 to 1000, and where it is after two seconds of frames.
const COUNT_UP: &str = "
    const done = arguments[0], element = document.createElement('p');
    import('/parts.js').then(({ counter }) => {
        const render = counter(element), shown = () => Number(element.textContent.replaceAll(',', ''));
        render(0, 0, false);
        render(1000, 16, false);
        const onItsWay = shown() > 0 && shown() < 1000;
        for (let ms = 32; ms < 2000; ms += 16) render(1000, ms, false);
        done([onItsWay, shown()]);
    });";

/// Tells other windows of the same origin which count has reached this page: a hidden page cannot be asked.
const CONFIDE: &str = "
    window.WebSocket = class extends WebSocket {
        constructor(...given) {
            super(...given);
            this.addEventListener('message', ({ data }) => {
                const { view, inserted } = JSON.parse(data);
                if (view === 'counter' && inserted) localStorage.setItem('counter', inserted[0][0]);
            });
        }
    };";

/// A change of Wikipedia's, made now.
#[derive(Clone, Copy)]
struct Change<'a> {
    user: Option<&'a str>,
    title: &'a str,
    wiki: &'a str,
    kind: &'a str,
    bot: bool,
    comment: &'a str,
    uri: &'a str,
    length: (i64, i64),
}

const EDIT: Change<'_> = Change {
    user: Some("Zoë"),
    title: "Lumière",
    wiki: "frwiki",
    kind: "edit",
    bot: false,
    comment: "",
    uri: "https://fr.wikipedia.org/wiki/Lumi%C3%A8re",
    length: (100, 1_320),
};

/// A stream, the program that reads it, and how many changes it was given.
struct Stage {
    stream: EventStreams,
    serve: Serve,
    data_dir: TempDir,
    made: u64,
}

impl Stage {
    async fn set() -> Stage {
        let stream = EventStreams::start(vec![]).await;
        let data_dir = tempfile::tempdir().unwrap();
        let serve = Serve::start(data_dir.path(), &["--source", &stream.url()]).await;
        // Without a position the service starts at "now": what comes later is certain to be read.
        stream.requested(1).await;
        Stage {
            stream,
            serve,
            data_dir,
            made: 0,
        }
    }

    /// Sends a change so many times, each with an identity of its own.
    fn send(&mut self, times: usize, change: Change<'_>) {
        for _ in 0..times {
            self.made += 1;
            let now = jiff::Timestamp::now();
            let json = json!({
                "$schema": "/mediawiki/recentchange/1.0.0", "type": change.kind, "title": change.title, "user": change.user, "bot": change.bot,
                "wiki": change.wiki, "comment": change.comment, "length": {"old": change.length.0, "new": change.length.1},
                "timestamp": now.as_second(), "namespace": 0,
                "meta": {"id": format!("{:08x}-page", self.made), "dt": format!("{now:.3}"), "uri": change.uri, "domain": "test",
                    "topic": EQIAD, "partition": 0, "offset": self.made},
            });
            let json = json.to_string();
            let (topic, kafka_ms) = (EQIAD.to_owned(), now.as_millisecond());
            self.stream.append([Message {
                topic,
                kafka_ms,
                json,
            }]);
        }
    }

    fn page(&self) -> String {
        format!("http://{}/", self.serve.http)
    }
}

fn shows(total: usize) -> String {
    format!("{TOTAL} === '{total}'")
}

#[tokio::test]
async fn what_it_shows_is_what_the_stream_held() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let mut stage = Stage::set().await;
    browser.before_page(WATCH).await;
    browser.client.goto(&stage.page()).await.unwrap();
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

/// Nothing went wrong in the console, nothing was asked of anyone else, and nothing that arrived shifted the layout.
async fn assert_calm(browser: &Browser) {
    assert_eq!(browser.console().await, Vec::<String>::new());
    let foreign = "performance.getEntriesByType('resource').map((entry) => entry.name).filter((name) => !name.startsWith(location.origin))";
    assert_eq!(browser.value(foreign).await, json!([]));
    let shifted = browser.value("window.shifted").await.as_f64().unwrap();
    // The web's own measure calls a page good up to 0.1.
    assert!(shifted < 0.05, "the layout shifted by {shifted}");
}

#[tokio::test]
async fn names_from_wikipedia_are_text_and_keep_their_place() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let mut stage = Stage::set().await;
    browser.before_page(WATCH).await;
    browser.set_screen(Screen::new(320, 640)).await;
    browser.client.goto(&stage.page()).await.unwrap();
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

async fn assert_fits(browser: &Browser) {
    let sizes = "[document.documentElement.scrollWidth <= document.documentElement.clientWidth,
        Array.from(document.querySelectorAll('h1, h2, p, li:not(.leaving), button, label')).filter((element) => {
            const { left, right } = element.getBoundingClientRect(); return left < 0 || right > innerWidth; }).map((element) => element.outerHTML)]";
    assert_eq!(browser.value(sizes).await, json!([true, []]));
}

#[tokio::test]
async fn a_lost_connection_is_told_and_mended() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let mut stage = Stage::set().await;
    browser.before_page(WATCH).await;
    browser.client.goto(&stage.page()).await.unwrap();
    stage.send(7, EDIT);
    browser.until(&shows(7)).await;
    browser.until(&format!("{WORD} === 'Live'")).await;

    let http = stage.serve.http;
    stage.serve.kill().await;
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

    let source = stage.stream.url();
    stage.serve = Serve::start_at(http, stage.data_dir.path(), &["--source", &source]).await;
    stage.send(2, EDIT);
    browser.until(&shows(9)).await;
    browser
        .until(&format!(
            "{WORD} === 'Live' && !document.title.startsWith('Reconnecting')"
        ))
        .await;
    let backwards = "totals.filter((total, i) => total < totals[i - 1])";
    assert_eq!(browser.value(backwards).await, json!([]));
}

#[tokio::test]
async fn a_hidden_page_rests_and_is_right_when_it_returns() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let mut stage = Stage::set().await;
    browser.before_page(WATCH).await;
    browser.before_page(CONFIDE).await;
    browser.client.goto(&stage.page()).await.unwrap();
    stage.send(3, EDIT);
    browser.until(&shows(3)).await;

    let page = browser.client.window().await.unwrap();
    let other = browser.client.new_window(true).await.unwrap();
    browser.client.switch_to_window(other.handle).await.unwrap();
    stage.send(400, EDIT);
    // The other window is this server's too, so that the page can confide in it.
    browser
        .client
        .goto(&format!("{}healthz", stage.page()))
        .await
        .unwrap();
    browser
        .until("localStorage.getItem('counter') === '403'")
        .await;
    browser.client.switch_to_window(page).await.unwrap();
    browser.until(&shows(403)).await;
    assert_eq!(browser.value("window.hiddenChanges").await, 0);
    // It did not count up through what nobody saw.
    assert_eq!(
        browser.value("totals.filter((total) => total > 3)").await,
        json!([403])
    );
}

#[tokio::test]
async fn it_fits_every_screen_and_honours_preferences() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let mut stage = Stage::set().await;
    browser.before_page(WATCH).await;
    let names: Vec<String> = (0..12)
        .map(|i| format!("An editor with quite a long name, number {i}"))
        .collect();
    for (i, name) in names.iter().enumerate() {
        stage.send(
            i + 1,
            Change {
                user: Some(name),
                title: name,
                ..EDIT
            },
        );
    }
    for width in [320, 360, 480, 768, 1024, 1440, 2560] {
        browser.set_screen(Screen::new(width, 900)).await;
        browser.client.goto(&stage.page()).await.unwrap();
        browser.until(&shows(78)).await;
        assert_fits(&browser).await;
    }
    for (width, height) in [(1280, 720), (1920, 1080), (3840, 2160)] {
        browser.set_screen(Screen::new(width, height)).await;
        let kiosk = format!("{}?kiosk", stage.page());
        browser.client.goto(&kiosk).await.unwrap();
        browser.until(&shows(78)).await;
        assert_fits(&browser).await;
        let bottom = "Math.max(...Array.from(document.querySelectorAll('section'), (part) => part.getBoundingClientRect().bottom)) <= innerHeight";
        assert_eq!(browser.value(bottom).await, true, "{width} x {height}");
    }

    assert_eq!(
        browser
            .client
            .execute_async(COUNT_UP, vec![])
            .await
            .unwrap(),
        json!([true, 1_000]),
        "a number counts up"
    );
    let quiet = Screen {
        dark: true,
        reduced_motion: true,
        ..Screen::new(768, 900)
    };
    browser.set_screen(quiet).await;
    browser.client.goto(&stage.page()).await.unwrap();
    browser.until(&shows(78)).await;
    let style = "(() => { const row = getComputedStyle(document.querySelector('#editors > *'));
        return [row.transitionProperty, getComputedStyle(document.documentElement).backgroundColor] })()";
    assert_eq!(
        browser.value(style).await,
        json!(["none", "rgb(16, 20, 24)"])
    );
    assert_eq!(
        browser
            .client
            .execute_async(COUNT_UP, vec![])
            .await
            .unwrap(),
        json!([false, 1_000]),
        "or is there at once"
    );
    assert_calm(&browser).await;
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
        .until("/^wikitop cannot read the stream of changes: .+\\. Next attempt in \\d+ s\\.$/.test(document.getElementById('detail').textContent)")
        .await;
    browser.until(&shows(0)).await;
}

#[tokio::test]
async fn what_it_knows_of_wikis_is_right() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let data_dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(data_dir.path(), &["--no-ingest"]).await;
    browser
        .client
        .goto(&format!("http://{}/", serve.http))
        .await
        .unwrap();
    let table = json!([
        ["wikiHost", ["enwiki"], "en.wikipedia.org"],
        ["wikiHost", ["zh_yuewiki"], "zh-yue.wikipedia.org"],
        ["wikiHost", ["be_x_oldwiki"], "be-tarask.wikipedia.org"],
        ["wikiHost", ["enwiktionary"], "en.wiktionary.org"],
        ["wikiHost", ["nowikisource"], "no.wikisource.org"],
        ["wikiHost", ["betawikiversity"], "beta.wikiversity.org"],
        ["wikiHost", ["commonswiki"], "commons.wikimedia.org"],
        ["wikiHost", ["wikidatawiki"], "www.wikidata.org"],
        ["wikiHost", ["testwikidatawiki"], "test.wikidata.org"],
        ["wikiHost", ["mediawikiwiki"], "www.mediawiki.org"],
        ["wikiHost", ["sourceswiki"], "wikisource.org"],
        ["wikiHost", ["sewikimedia"], "se.wikimedia.org"],
        ["wikiHost", ["evil.example/wiki"], null],
        ["wikiHost", ["wiki"], null],
        ["wikiHost", [null], null],
        ["wikiName", ["dewikivoyage"], "German Wikivoyage"],
        ["wikiName", ["simplewiki"], "Simple English Wikipedia"],
        ["wikiName", ["cewiki"], "Chechen Wikipedia"],
        ["wikiName", ["x!"], "x!"],
        ["pageUrl", ["enwiki", "AC/DC: what? #1 100%"], "https://en.wikipedia.org/wiki/AC/DC:_what%3F_%231_100%25"],
        ["pageUrl", ["x!", "A"], null],
        ["contributionsUrl", ["2001:db8:0:0:0:0:0:1"], "https://meta.wikimedia.org/wiki/Special:GlobalContributions/2001:db8:0:0:0:0:0:1"],
        ["contributionsUrl", ["A b", "dewiki"], "https://de.wikipedia.org/wiki/Special:Contributions/A_b"],
        ["changeUrl", [{"type": "edit", "wiki": "enwiki", "title": "A", "meta_uri": "https://en.wikipedia.org/wiki/A?x=1"}], "https://en.wikipedia.org/wiki/A?x=1&diff=cur"],
        ["changeUrl", [{"type": "new", "wiki": "enwiki", "title": "A", "meta_uri": null}], "https://en.wikipedia.org/wiki/A"],
        ["changeUrl", [{"type": "edit", "wiki": "enwiki", "title": "A", "meta_uri": "javascript:alert(1)"}], "https://en.wikipedia.org/wiki/A?diff=cur"],
        ["changeUrl", [{"type": "log", "wiki": "enwiki", "title": "A b", "meta_uri": "https://en.wikipedia.org/wiki/A_b"}], "https://en.wikipedia.org/wiki/Special:Log?page=A+b"],
        ["changeUrl", [{"type": "edit", "wiki": "x!", "title": "A", "meta_uri": "data:text/html,x"}], null],
        ["accountKind", ["~2026-12345-67"], "temporary"],
        ["accountKind", ["~2026 club"], null],
        ["accountKind", ["192.0.2.44"], "ip"],
        ["accountKind", ["2001:DB8:0:0:0:0:0:1"], "ip"],
        ["accountKind", ["Bot"], null],
        ["summary", ["/* Early life */ typo"], "→Early life: typo"],
        ["summary", ["/* Early life */"], "→Early life"],
        ["summary", ["/* */ [[MOS:LINK#OTHER]]"], "MOS:LINK#OTHER"],
        ["summary", ["/* wbsetclaim-create:2||1 */ [[Property:P31]]: [[Q5|human]]"], "Property:P31: human"],
        ["summary", ["[[:Category:A]] [[[b]] [[c"], "Category:A [b [[c"],
        ["summary", ["/* open"], "/* open"],
        ["summary", [null], ""],
        ["timeMs", ["2026-08-04 15:24:29.724+00"], 1_785_857_069_724_u64],
        ["timeMs", ["2026-08-04T15:24:29.724Z"], 1_785_857_069_724_u64],
        ["sizeChange", [{"length_old": null, "length_new": 20}], 20],
        ["sizeChange", [{"length_old": 20, "length_new": null}], null],
        ["compareText", ["\u{ff5e}", "\u{1f98a}"], -1],
        ["compareText", ["a", "ab"], -1],
    ]);
    let wrong = format!(
        "const done = arguments[0]; import('/wiki.js').then((wiki) => done({table}.map(([name, given, expected]) => {{
            const answer = wiki[name](...given); return [name, given, name === 'compareText' ? Math.sign(answer) : answer, expected]; }})
            .filter(([, , answer, expected]) => answer !== expected)), (error) => done(String(error)));"
    );
    assert_eq!(
        browser.client.execute_async(&wrong, vec![]).await.unwrap(),
        json!([])
    );
}

#[tokio::test]
async fn what_it_says_of_itself_is_true() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let data_dir = tempfile::tempdir().unwrap();
    let serve = Serve::start(data_dir.path(), &["--no-ingest"]).await;
    let page = format!("http://{}/", serve.http);
    browser.client.goto(&page).await.unwrap();
    let table = json!([
        [{}, "live", "Live"],
        [{"edits": null}, "wait", "Connecting"],
        [{"edits": 0}, "wait", "Waiting for the first edit"],
        [{"edits": 0, "ingest": {"state": "off"}}, "wait", "is “wikitop ingest” running?"],
        [{"link": {"state": "connecting"}, "edits": null}, "wait", "Connecting"],
        [{"link": {"state": "connecting"}}, "trouble", "Reconnecting"],
        [{"link": {"state": "waiting", "reason": "it cannot be reached", "retryAtMs": 4_200}}, "trouble", "it cannot be reached. Next attempt in 4 s."],
        [{"engineLost": true}, "trouble", "lost its engine"],
        [{"problem": "unknown catalog item"}, "trouble", "wikitop init-views"],
        [{"ingest": {"state": "retrying", "detail": "no route", "retry_at_ms": 61_000}}, "trouble", "no route. Next attempt in 60 s."],
        [{"ingest": {"state": "retrying", "detail": "no route", "retry_at_ms": 900}}, "trouble", "It is being tried again."],
        [{"ingest": {"state": "ended"}, "silentMs": 1_000_000}, "done", "Recording ended"],
        [{"silentMs": 31_000}, "trouble", "No change has come for 31 s."],
        [{"silentMs": 600_000, "ingest": {"state": "live"}}, "trouble", "No change has come for 10 minutes."],
        [{"lagMs": 180_000}, "wait", "What arrives now happened 3 minutes ago."],
        [{"lagMs": null}, "live", "Live"],
    ]);
    let wrong = format!(
        "const done = arguments[0], well = {{ link: {{ state: 'open' }}, engineLost: false, problem: null, ingest: {{ state: 'live' }}, edits: 7,
            silentMs: 400, lagMs: 900, nowMs: 1000 }};
         import('/condition.js').then(({{ condition }}) => done({table}.filter(([given, tone, words]) => {{
            const said = condition({{ ...well, ...given }}); return said.tone !== tone || !`${{said.word}} ${{said.detail}}`.includes(words); }})),
            (error) => done(String(error)));"
    );
    assert_eq!(
        browser.client.execute_async(&wrong, vec![]).await.unwrap(),
        json!([])
    );
}

#[test]
fn the_page_is_small() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets");
    let files = std::fs::read_dir(assets)
        .unwrap()
        .map(|file| file.unwrap().path());
    let page = files.filter(|path| path.extension().is_some_and(|it| it != "sql"));
    let bytes: u64 = page.map(|path| path.metadata().unwrap().len()).sum();
    assert!((10_000..60_000).contains(&bytes), "{bytes} bytes");
}
