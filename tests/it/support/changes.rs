//! Changes made for the tests, in the shapes that the stream really has, and the count of them done from scratch.
//!
//! The count reads the JSON by itself: it must not share a mistake with the reader it checks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::eventstreams::{CODFW, EQIAD, Message};

/// A seeded source of messages: the same seed, the same messages.
pub(crate) struct Changes {
    random: fastrand::Rng,
    /// Kafka's and the event's time, in milliseconds since the epoch.
    now_ms: i64,
    made: u64,
    offsets: BTreeMap<&'static str, i64>,
    topic: &'static str,
}

/// What a from-scratch count of messages gives.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Edits.
    pub(crate) counter: i64,
    /// Edits by user.
    pub(crate) user_edits: BTreeMap<String, i64>,
    /// Changes by type.
    pub(crate) changes_by_type: BTreeMap<String, i64>,
}

const USERS: &[&str] = &[
    "Zoë",
    "Øystein Tvede",
    "משתמש:דוגמה",
    "مستخدم",
    "<b>Bold & \"Quoted\"</b>",
    "O'Brien\\backslash",
    "山田太郎",
    "Tab-less but  spaced",
    "InternetArchiveBot",
    "🦊 Fox",
    "192.0.2.44",
    "2001:db8::42",
];

const WIKIS: &[(&str, &str)] = &[
    ("enwiki", "en.wikipedia.org"),
    ("hewiki", "he.wikipedia.org"),
    ("commonswiki", "commons.wikimedia.org"),
    ("wikidatawiki", "www.wikidata.org"),
];

impl Changes {
    /// Changes from this time on, about 8 in a second of theirs; several share a millisecond, and time now and then runs backwards a
    /// little.
    pub(crate) fn new(seed: u64, start_ms: i64) -> Self {
        Changes {
            random: fastrand::Rng::with_seed(seed),
            now_ms: start_ms,
            made: 0,
            offsets: BTreeMap::from([(EQIAD, 6_387_234_775), (CODFW, 3_100_200_300)]),
            topic: EQIAD,
        }
    }

    /// The other datacentre becomes the active one.
    pub(crate) fn flip(&mut self) {
        self.topic = if self.topic == EQIAD { CODFW } else { EQIAD };
    }

    /// The next `count` messages of the active datacentre.
    pub(crate) fn take(&mut self, count: usize) -> Vec<Message> {
        (0..count).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> Message {
        self.made += 1;
        // About four messages share a millisecond, then some pass; one message in fifty goes back by up to 6 ms.
        let ms = match self.random.u8(..) {
            0..=4 => self.now_ms - self.random.i64(1..=6),
            5..=69 => {
                self.now_ms += self.random.i64(1..=1_000);
                self.now_ms
            }
            _ => self.now_ms,
        };
        let offset = self.offsets.entry(self.topic).or_default();
        *offset += 1;
        let (offset, topic) = (*offset, self.topic);
        let event = self.event(ms, topic, offset);
        Message {
            topic: topic.to_owned(),
            kafka_ms: ms,
            json: event.to_string(),
        }
    }

    fn event(&mut self, ms: i64, topic: &str, offset: i64) -> Value {
        let dt = jiff::Timestamp::from_millisecond(ms).unwrap();
        let id = format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            self.random.u32(..),
            self.random.u16(..),
            self.random.u16(..4096),
            self.random.u16(..4096),
            self.made
        );
        let mut meta = json!({"id": id, "dt": format!("{dt:.3}"), "stream": "mediawiki.recentchange",
            "topic": topic, "partition": 0, "offset": offset});
        if self.made.is_multiple_of(397) {
            meta["domain"] = json!("canary");
            return json!({"$schema": "/mediawiki/recentchange/1.0.0", "meta": meta});
        }
        let (wiki, domain) = WIKIS[self.random.usize(..WIKIS.len())];
        let title = format!("Page {}", self.random.u16(..500));
        meta["domain"] = json!(domain);
        meta["uri"] = json!(format!("https://{domain}/wiki/{}", title.replace(' ', "_")));
        let kind = match self.random.u8(..20) {
            0..=9 => "edit",
            10..=11 => "new",
            12..=17 => "categorize",
            _ => "log",
        };
        let mut event = json!({"$schema": "/mediawiki/recentchange/1.0.0", "meta": meta, "id": 3_415_411_355_u64 + self.made,
            "type": kind, "namespace": 0, "title": title, "comment": "tab\there, newline\nthere, \\ and \u{200e}direction",
            "timestamp": ms / 1000, "bot": self.random.u8(..4) == 0, "minor": false, "server_url": format!("https://{domain}"),
            "server_name": domain, "server_script_path": "/w", "wiki": wiki, "parsedcomment": "<i>x</i>"});
        self.sign(&mut event);
        match kind {
            "edit" => {
                event["length"] = json!({"old": 100, "new": 120});
                event["revision"] = json!({"old": self.made, "new": self.made + 1});
            }
            "new" => {
                event["length"] = json!({"old": null, "new": 20});
                event["revision"] = json!({"old": null, "new": self.made});
            }
            "log" => {
                let params = [json!([]), json!({"target": "x"}), json!("text")];
                event["log_params"] = params[self.random.usize(..3)].clone();
                event["log_id"] = Value::Null;
            }
            _ => {}
        }
        event
    }

    /// A name, a temporary account, or nobody: the name of a redacted edit is absent.
    fn sign(&mut self, event: &mut Value) {
        let user = match self.random.u8(..100) {
            0 => return,
            1 => Value::Null,
            2..=20 => json!(format!(
                "~2026-{}-{:02}",
                self.random.u16(10_000..),
                self.random.u8(..90)
            )),
            21..=60 => json!(format!("User {}", self.random.u16(..300))),
            _ => json!(USERS[self.random.usize(..USERS.len())]),
        };
        event["user"] = user;
    }
}

/// Counts messages from scratch: canaries out, each `meta.id` once, an edit is `edit` or `new`.
pub(crate) fn count<'a>(events: impl IntoIterator<Item = &'a str>) -> Counts {
    let (mut counts, mut seen) = (Counts::default(), BTreeSet::new());
    for json in events {
        let event: Value = serde_json::from_str(json).unwrap();
        if event["meta"]["domain"] == "canary" || !seen.insert(event["meta"]["id"].to_string()) {
            continue;
        }
        let Some(kind) = event["type"].as_str() else {
            continue;
        };
        *counts.changes_by_type.entry(kind.to_owned()).or_default() += 1;
        if matches!(kind, "edit" | "new") {
            counts.counter += 1;
            if let Some(user) = event["user"].as_str() {
                *counts.user_edits.entry(user.to_owned()).or_default() += 1;
            }
        }
    }
    counts
}
