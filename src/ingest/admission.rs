//! Which of the texts that a source yields go on to the sink. Pure; everything that does not is counted by its reason.

use bytes::Bytes;

use super::batch::Entry;
use super::resume::Position;
use super::seen::{self, Seen};
use crate::change::Change;

/// A jump beyond this many offsets, more than the stream retains, is a topic that is numbered anew, not a gap.
const GAP_MAX: u64 = 30_000_000;

/// What becomes of a text.
#[derive(Debug)]
pub enum Verdict {
    /// A change, new as far as is known here.
    Keep(Entry),
    /// One of the service's own probes.
    Canary,
    /// It was there already.
    Repeat,
    /// It is no change; why not.
    Malformed(String),
}

/// What has to be known to decide.
#[derive(Debug, Default)]
pub struct Admission {
    seen: Seen,
    held: Position,
    offsets: Vec<(String, i64, i64)>,
    gaps: u64,
}

impl Admission {
    /// Decides about one text.
    pub fn admit(&mut self, json: Bytes, now_ms: i64) -> Verdict {
        let change = match Change::read(&json) {
            Ok(change) => change,
            Err(error) => return Verdict::Malformed(error.to_string()),
        };
        let meta = &change.meta;
        if let (Some(topic), Some(offset)) = (&meta.topic, meta.offset) {
            self.follow(topic, meta.partition.unwrap_or(0), offset);
        }
        if change.is_canary() {
            return Verdict::Canary;
        }
        let key = meta.id.as_deref().map(seen::key);
        if self.held.holds(meta, now_ms) || key.is_some_and(|key| !self.seen.insert(key)) {
            return Verdict::Repeat;
        }
        let dt_ms = meta.dt_ms;
        Verdict::Keep(Entry { json, key, dt_ms })
    }

    /// The sink holds everything up to here.
    pub fn resume_from(&mut self, held: Position) {
        self.held = held;
    }

    /// What was admitted since the last durable batch is lost: it has to be admitted again.
    pub fn forget(&mut self) {
        self.seen.clear();
    }

    /// Offsets that were passed over so far, within all topics.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Within a topic offsets are contiguous: what lies between two of them did not come. Going back is a rewind, not a gap.
    fn follow(&mut self, topic: &str, partition: i64, offset: i64) {
        let known = self
            .offsets
            .iter_mut()
            .find(|(name, number, _)| name == topic && *number == partition);
        match known {
            None => self.offsets.push((topic.to_owned(), partition, offset)),
            Some((_, _, last)) => {
                let passed_over = offset.saturating_sub(*last).saturating_sub(1);
                let passed_over = u64::try_from(passed_over).unwrap_or(0);
                self.gaps += if passed_over <= GAP_MAX {
                    passed_over
                } else {
                    0
                };
                *last = offset.max(*last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_785_900_000_000;

    fn verdict(admission: &mut Admission, json: &[u8]) -> &'static str {
        match admission.admit(Bytes::copy_from_slice(json), NOW_MS) {
            Verdict::Keep(_) => "keep",
            Verdict::Canary => "canary",
            Verdict::Repeat => "repeat",
            Verdict::Malformed(_) => "malformed",
        }
    }

    #[test]
    fn everything_has_a_reason() {
        let mut admission = Admission::default();
        let table: &[(&[u8], &str)] = &[
            (br#"{"meta":{"id":"a"},"type":"edit"}"#, "keep"),
            (br#"{"meta":{"id":"a"},"type":"edit"}"#, "repeat"),
            (
                br#"{"$schema":"x","meta":{"id":"b","domain":"canary"}}"#,
                "canary",
            ),
            (
                br#"{"$schema":"x","meta":{"dt":"2026-08-04T15:24:29.724Z"}}"#,
                "keep",
            ),
            (
                br#"{"$schema":"x","meta":{"dt":"2026-08-04T15:24:29.724Z"}}"#,
                "keep",
            ),
            (b"[1]", "malformed"),
            (b"{\"type\":", "malformed"),
            (b"{\"log_params\":\"\xff\"}", "malformed"),
            (b"", "malformed"),
        ];
        for (json, expected) in table {
            assert_eq!(
                verdict(&mut admission, json),
                *expected,
                "{}",
                String::from_utf8_lossy(json)
            );
        }
        admission.forget();
        assert_eq!(verdict(&mut admission, table[0].0), "keep");
    }

    #[test]
    fn gaps_are_counted_within_each_topic_and_a_rewind_is_none() {
        let mut admission = Admission::default();
        for (topic, offset) in [
            ("a", 5),
            ("b", 900),
            ("a", 6),
            ("a", 9),
            ("b", 901),
            ("a", 4),
            ("a", 10),
            ("b", 9_000_000_000_i64),
        ] {
            let json =
                format!(r#"{{"meta":{{"topic":"{topic}","partition":0,"offset":{offset}}}}}"#);
            verdict(&mut admission, json.as_bytes());
        }
        assert_eq!(admission.gaps(), 2);
    }

    #[test]
    fn a_change_that_the_sink_holds_since_long_is_a_repeat() {
        let mut admission = Admission::default();
        let mut held = Position::default();
        held.note("a", 0, 1_700_000_000_000, Some(10));
        admission.resume_from(held);
        let old = br#"{"meta":{"id":"x","dt":"2023-11-14T22:13:20Z","topic":"a","partition":0,"offset":10}}"#;
        let new = br#"{"meta":{"id":"x","dt":"2023-11-14T22:13:20Z","topic":"a","partition":0,"offset":11}}"#;
        assert_eq!(verdict(&mut admission, old), "repeat");
        assert_eq!(verdict(&mut admission, new), "keep");
    }
}
