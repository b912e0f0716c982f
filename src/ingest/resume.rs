//! How far a stream has been read, and the `Last-Event-ID` that goes on from there. Pure.
//!
//! The service's own id must not be sent back as it is: it holds the last message's time **plus one**, so the messages of the
//! same millisecond that had not been delivered are skipped, and `offset:-1` ("nothing yet") is obeyed as "from now". So the
//! id is made anew from the data: every topic by its time, rewound by [`REWIND_MS`]; what comes twice is known by `meta.id`.
//! `offset` is never sent: offsets differ between datacentres.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::change::Meta;

/// How far back every resumption goes. The service asks for at least 5 s: times run backwards by some milliseconds, and several events
/// share one; the sixth second is for an event's own time that differs from the time that Kafka knows. At 35 events/s this
/// costs some 200 repeats a reconnect, which `meta.id` tells.
pub const REWIND_MS: i64 = 6_000;

/// A topic that was last heard of longer than this before the newest one is asked for from here: the service keeps seven days and
/// may refuse what is older. After a switch of datacentres the idle one would otherwise get there in a week.
const BEHIND_MAX_MS: i64 = 6 * 24 * 3_600_000;

/// Sinks know identities of at least the last minute; a repeat that is older is known by its offset.
const IDENTITIES_KNOWN_MS: i64 = 60_000;

/// The datacentres. When one is known, the other is asked for too: it may have become the active one meanwhile.
const DATACENTRES: [&str; 2] = ["eqiad", "codfw"];

/// How far each topic and partition has been read, from the data itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    marks: BTreeMap<(String, i64), Mark>,
}

/// How far one topic and partition has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The newest event's time, in milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// The highest offset.
    pub offset: Option<i64>,
}

impl Position {
    /// Advances to an event; times and offsets never go back.
    pub fn note(&mut self, topic: &str, partition: i64, timestamp_ms: i64, offset: Option<i64>) {
        let key = (topic.to_owned(), partition);
        let mark = self.marks.entry(key).or_insert(Mark {
            timestamp_ms,
            offset,
        });
        mark.timestamp_ms = mark.timestamp_ms.max(timestamp_ms);
        mark.offset = mark.offset.max(offset);
    }

    /// Nothing has been read yet.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The newest time over all topics, in milliseconds since the epoch.
    pub fn newest_ms(&self) -> Option<i64> {
        self.marks.values().map(|mark| mark.timestamp_ms).max()
    }

    /// Where `?since=` has to start, when the service refuses the id: no topic that was heard of within a day loses anything, and
    /// one that has been silent for longer does not bring everybody's last week again.
    pub fn since_ms(&self) -> Option<i64> {
        let newest = self.newest_ms()?;
        let times = self.marks.values().map(|mark| mark.timestamp_ms);
        let recent = times.filter(|ms| newest - ms <= 24 * 3_600_000);
        Some(recent.min()? - REWIND_MS)
    }

    /// The event was read already, long ago: a sink need not know its identity any more. Within a topic events come in the order
    /// of their offsets, so what is at or before the mark in both respects is there.
    pub fn holds(&self, meta: &Meta<'_>, now_ms: i64) -> bool {
        let (Some(topic), Some(dt_ms), Some(offset)) = (&meta.topic, meta.dt_ms, meta.offset)
        else {
            return false;
        };
        let partition = meta.partition.unwrap_or(0);
        let of_topic =
            |((name, number), _): &(&(String, i64), &Mark)| name == topic && *number == partition;
        let Some((_, mark)) = self.marks.iter().find(of_topic) else {
            return false;
        };
        dt_ms < now_ms - IDENTITIES_KNOWN_MS
            && dt_ms <= mark.timestamp_ms
            && mark.offset.is_some_and(|newest| offset <= newest)
    }

    /// The `Last-Event-ID` that goes on from here, or `None` when nothing has been read. `server_id` is the last id that
    /// the service sent, if any: it names topics that have sent nothing so far.
    ///
    /// No clock is asked: one that is wrong, as before a machine has found the network's time, would send the stream astray.
    pub fn last_event_id(&self, server_id: &[u8]) -> Option<String> {
        let newest_ms = self.newest_ms()?;
        let mut times: BTreeMap<(String, i64), i64> = BTreeMap::new();
        for (key, mark) in &self.marks {
            times.insert(key.clone(), mark.timestamp_ms);
        }
        for entry in entries(server_id) {
            let known = entry.timestamp.map_or(newest_ms, |ms| ms.min(newest_ms));
            times
                .entry((entry.topic.to_owned(), entry.partition))
                .or_insert(known);
        }
        for (topic, partition) in times.keys().cloned().collect::<Vec<_>>() {
            for sibling in siblings(&topic) {
                times.entry((sibling, partition)).or_insert(newest_ms);
            }
        }
        let entries: Vec<Entry<'_>> = times
            .iter()
            .map(|((topic, partition), ms)| Entry {
                topic,
                partition: *partition,
                timestamp: Some((*ms).max(newest_ms - BEHIND_MAX_MS) - REWIND_MS),
            })
            .collect();
        Some(serde_json::to_string(&entries).expect("text and numbers are JSON"))
    }
}

/// A time as `?since=` wants it: ISO-8601, since the service mishandles numbers.
pub(crate) fn since(ms: i64) -> Option<String> {
    let at = Timestamp::from_millisecond(ms).ok()?;
    Some(format!("{at:.3}"))
}

/// One entry of an id. An entry with both `timestamp` and `offset` could be dropped by the service, so only one is written.
#[derive(Serialize, Deserialize)]
struct Entry<'a> {
    topic: &'a str,
    partition: i64,
    timestamp: Option<i64>,
}

/// The entries of an id of the service; what cannot be read names no topics.
fn entries(server_id: &[u8]) -> Vec<Entry<'_>> {
    serde_json::from_slice(server_id).unwrap_or_default()
}

/// The topic of the other datacentres.
fn siblings(topic: &str) -> Vec<String> {
    let Some((datacentre, stream)) = topic.split_once('.') else {
        return Vec::new();
    };
    if !DATACENTRES.contains(&datacentre) {
        return Vec::new();
    }
    let others = DATACENTRES.iter().filter(|other| **other != datacentre);
    others.map(|other| format!("{other}.{stream}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EQIAD: &str = "eqiad.mediawiki.recentchange";
    const CODFW: &str = "codfw.mediawiki.recentchange";
    const NOW_MS: i64 = 1_785_900_000_000;

    fn position(marks: &[(&str, i64, i64)]) -> Position {
        let mut position = Position::default();
        for (topic, ms, offset) in marks {
            position.note(topic, 0, *ms, Some(*offset));
        }
        position
    }

    fn asked(position: &Position, server_id: &str) -> BTreeMap<String, i64> {
        let id = position.last_event_id(server_id.as_bytes()).unwrap();
        let entries: Vec<serde_json::Map<String, serde_json::Value>> =
            serde_json::from_str(&id).unwrap();
        let entries = entries.into_iter().map(|entry| {
            assert_eq!(
                entry.len(),
                3,
                "a topic, a partition and one position: {entry:?}"
            );
            assert_eq!(entry["partition"], 0);
            let topic = entry["topic"].as_str().unwrap().to_owned();
            (topic, NOW_MS - entry["timestamp"].as_i64().unwrap())
        });
        entries.collect()
    }

    #[test]
    fn without_data_there_is_no_id() {
        assert_eq!(Position::default().last_event_id(b"[]"), None);
    }

    #[test]
    fn every_topic_is_named_once_by_a_rewound_time() {
        let day = 24 * 3_600_000;
        let silent = format!(r#"[{{"topic":"{CODFW}","partition":0,"offset":-1}}]"#);
        type Case<'a> = (&'a [(&'a str, i64, i64)], &'a str, i64, i64);
        let table: &[Case<'_>] = &[
            // The other datacentre has never been heard of.
            (&[(EQIAD, NOW_MS - 7, 1)], "", 7, 7),
            (&[(CODFW, NOW_MS - 7, 1)], "", 7, 7),
            // The service says that it has sent nothing.
            (&[(EQIAD, NOW_MS - 7, 1)], &silent, 7, 7),
            // After a switch both have a time of their own.
            (
                &[(CODFW, NOW_MS - 5_000, 1), (EQIAD, NOW_MS - 7, 1)],
                "",
                7,
                5_000,
            ),
            // One of them has been idle for longer than the service remembers.
            (
                &[(CODFW, NOW_MS - 30 * day, 1), (EQIAD, NOW_MS, 1)],
                "",
                0,
                6 * day,
            ),
        ];
        for (marks, server_id, eqiad, codfw) in table {
            let expected = BTreeMap::from([
                (EQIAD.to_owned(), eqiad + REWIND_MS),
                (CODFW.to_owned(), codfw + REWIND_MS),
            ]);
            assert_eq!(asked(&position(marks), server_id), expected, "{marks:?}");
        }
    }

    #[test]
    fn topics_that_only_the_service_knows_are_kept() {
        let id = r#"[{"topic":"t","partition":0,"timestamp":1785899999000},{"topic":"u","partition":0,"offset":3}]"#;
        let asked = asked(&position(&[("s", NOW_MS - 5, 1)]), id);
        let of = |topic: &str| asked[topic] - REWIND_MS;
        assert_eq!((of("s"), of("t"), of("u")), (5, 1_000, 5));
        assert_eq!(asked.len(), 3);
        for broken in ["", "7", "[1]", "{\"topic\":1}"] {
            assert!(
                position(&[("s", 5, 1)])
                    .last_event_id(broken.as_bytes())
                    .is_some()
            );
        }
    }

    #[test]
    fn an_old_repeat_is_known_by_its_offset_and_a_young_one_is_left_to_its_identity() {
        let old = NOW_MS - 2 * IDENTITIES_KNOWN_MS;
        let meta = |topic: &'static str, dt_ms, offset| Meta {
            uri: None,
            id: None,
            domain: None,
            dt_ms: Some(dt_ms),
            topic: Some(topic.into()),
            partition: Some(0),
            offset: Some(offset),
        };
        let held = position(&[(EQIAD, old, 100)]);
        assert!(held.holds(&meta(EQIAD, old, 100), NOW_MS));
        assert!(held.holds(&meta(EQIAD, old - 5, 99), NOW_MS));
        assert!(
            !held.holds(&meta(EQIAD, old - 5, 101), NOW_MS),
            "a time that ran backwards"
        );
        assert!(!held.holds(&meta(EQIAD, old + 1, 100), NOW_MS));
        assert!(!held.holds(&meta(CODFW, old - 5, 99), NOW_MS));
        let young = position(&[(EQIAD, NOW_MS, 100)]);
        assert!(!young.holds(&meta(EQIAD, NOW_MS, 100), NOW_MS));
    }

    #[test]
    fn since_goes_back_to_the_last_topic_that_is_still_in_use() {
        let day = 24 * 3_600_000;
        let position = position(&[
            (EQIAD, NOW_MS, 1),
            (CODFW, NOW_MS - 60_000, 1),
            ("old.x", NOW_MS - 9 * day, 1),
        ]);
        assert_eq!(position.since_ms(), Some(NOW_MS - 60_000 - REWIND_MS));
        assert_eq!(
            since(1_785_857_069_724).as_deref(),
            Some("2026-08-04T15:24:29.724Z")
        );
    }
}
