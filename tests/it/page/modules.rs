//! The page's pure functions, as the browser runs them.

use serde_json::json;

use super::stage::idle;

#[tokio::test]
async fn what_it_knows_of_wikis_is_right() {
    let Some((browser, _serve, _data_dir)) = idle().await else {
        return;
    };
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
    let Some((browser, _serve, _data_dir)) = idle().await else {
        return;
    };
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
