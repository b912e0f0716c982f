//! A Wikimedia change: the one reader of its JSON.
//!
//! `ingest` reads it to decide what to keep and how far it has come; `engine` reads it to fill the columns of
//! `recentchanges`. Neither knows field names of the wire. Only `meta.dt`, `meta.stream` and `$schema` are promised by the
//! schema (mediawiki/recentchange 1.0.x); everything else may be absent, null, or one day of another type: a field that is
//! not of the expected type reads as absent, it never rejects the change.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// One change, borrowed from the JSON text it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct Change<'a> {
    /// `$schema`: the version of the event's schema.
    pub r_schema: Option<Cow<'a, str>>,
    /// Made by a bot, by the account's own flag.
    pub bot: Option<bool>,
    /// The edit summary, as wikitext.
    pub comment: Option<Cow<'a, str>>,
    /// `rcid`: beyond 32 bits on the larger wikis.
    pub id: Option<i64>,
    /// Bytes after the edit.
    pub length_new: Option<i64>,
    /// Bytes before the edit.
    pub length_old: Option<i64>,
    /// Marked as a minor edit.
    pub minor: Option<bool>,
    /// The number of the page's namespace.
    pub namespace: Option<i64>,
    /// The edit summary, as HTML.
    pub parsedcomment: Option<Cow<'a, str>>,
    /// Revision after the edit.
    pub revision_new: Option<i64>,
    /// Revision before the edit.
    pub revision_old: Option<i64>,
    /// Host name of the wiki.
    pub server_name: Option<Cow<'a, str>>,
    /// Script path of the wiki.
    pub server_script_path: Option<Cow<'a, str>>,
    /// Base URL of the wiki.
    pub server_url: Option<Cow<'a, str>>,
    /// Seconds since the epoch, as MediaWiki saved it.
    pub timestamp_s: Option<i64>,
    /// The page's title, with its namespace.
    pub title: Option<Cow<'a, str>>,
    /// `edit`, `new`, `log`, `categorize`, `external`.
    pub kind: Option<Cow<'a, str>>,
    /// Name of the account, a temporary account, or an IP address.
    pub user: Option<Cow<'a, str>>,
    /// Database name of the wiki.
    pub wiki: Option<Cow<'a, str>>,
    /// What EventStreams says about the event itself.
    pub meta: Meta<'a>,
}

/// The event's envelope: its identity and where it stood in the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Meta<'a> {
    /// The page's address.
    pub uri: Option<Cow<'a, str>>,
    /// The event's identity, a UUID. Repeats carry the same one.
    pub id: Option<Cow<'a, str>>,
    /// `canary` for the service's own probes.
    pub domain: Option<Cow<'a, str>>,
    /// Milliseconds since the epoch at which the event was made.
    pub dt_ms: Option<i64>,
    /// Kafka topic, which names the datacentre.
    pub topic: Option<Cow<'a, str>>,
    /// Kafka partition.
    pub partition: Option<i64>,
    /// Contiguous within one topic and partition.
    pub offset: Option<i64>,
}

/// Why a text is not a change.
#[derive(Debug, thiserror::Error)]
pub enum NotAChange {
    /// Not even text.
    #[error("not UTF-8: {0}")]
    Utf8(#[from] std::str::Utf8Error),
    /// Not JSON at all.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but no object.
    #[error("JSON, but not an object")]
    NotAnObject,
}

impl<'a> Change<'a> {
    /// Reads one change from the text of one JSON object.
    ///
    /// # Errors
    /// The text is not UTF-8, not JSON, or not an object. Absent fields and fields of an unexpected type are no errors.
    pub fn read(json: &'a [u8]) -> Result<Self, NotAChange> {
        // A derived `Deserialize` also takes an array for a struct; a change is an object.
        if json
            .trim_ascii_start()
            .first()
            .is_some_and(|byte| b"[\"-0123456789tfn".contains(byte))
        {
            return Err(NotAChange::NotAnObject);
        }
        // Checked at once and at memory speed, the text need not be checked string by string.
        let wire: WireChange<'a> = serde_json::from_str(std::str::from_utf8(json)?)?;
        let (length, revision, meta) = (wire.length.0, wire.revision.0, wire.meta.0);
        Ok(Change {
            r_schema: wire.r_schema.0,
            bot: wire.bot.0,
            comment: wire.comment.0,
            id: wire.id.0,
            length_new: length.new.0,
            length_old: length.old.0,
            minor: wire.minor.0,
            namespace: wire.namespace.0,
            parsedcomment: wire.parsedcomment.0,
            revision_new: revision.new.0,
            revision_old: revision.old.0,
            server_name: wire.server_name.0,
            server_script_path: wire.server_script_path.0,
            server_url: wire.server_url.0,
            timestamp_s: wire.timestamp.0,
            title: wire.title.0,
            kind: wire.kind.0,
            user: wire.user.0,
            wiki: wire.wiki.0,
            meta: Meta {
                uri: meta.uri.0,
                id: meta.id.0,
                domain: meta.domain.0,
                dt_ms: meta.dt.0.and_then(|dt| parse_dt_ms(&dt)),
                topic: meta.topic.0,
                partition: meta.partition.0,
                offset: meta.offset.0,
            },
        })
    }

    /// One of the service's own probes: no change of any wiki.
    pub fn is_canary(&self) -> bool {
        self.meta.domain.as_deref() == Some("canary")
    }

    /// An edit or a page creation; categorisations and log entries are changes, not edits.
    pub fn is_edit(&self) -> bool {
        matches!(self.kind.as_deref(), Some("edit" | "new"))
    }
}

/// Milliseconds since the epoch of an RFC 3339 time.
fn parse_dt_ms(dt: &str) -> Option<i64> {
    dt.parse::<jiff::Timestamp>()
        .ok()
        .map(|at| at.as_millisecond())
}

#[derive(Deserialize)]
struct WireChange<'a> {
    #[serde(borrow, default, rename = "$schema")]
    r_schema: Lenient<Text<'a>>,
    #[serde(default)]
    bot: Lenient<bool>,
    #[serde(borrow, default)]
    comment: Lenient<Text<'a>>,
    #[serde(default)]
    id: Lenient<i64>,
    #[serde(default)]
    length: Object<WirePair>,
    #[serde(default)]
    minor: Lenient<bool>,
    #[serde(default)]
    namespace: Lenient<i64>,
    #[serde(borrow, default)]
    parsedcomment: Lenient<Text<'a>>,
    #[serde(default)]
    revision: Object<WirePair>,
    #[serde(borrow, default)]
    server_name: Lenient<Text<'a>>,
    #[serde(borrow, default)]
    server_script_path: Lenient<Text<'a>>,
    #[serde(borrow, default)]
    server_url: Lenient<Text<'a>>,
    #[serde(default)]
    timestamp: Lenient<i64>,
    #[serde(borrow, default)]
    title: Lenient<Text<'a>>,
    #[serde(borrow, default, rename = "type")]
    kind: Lenient<Text<'a>>,
    #[serde(borrow, default)]
    user: Lenient<Text<'a>>,
    #[serde(borrow, default)]
    wiki: Lenient<Text<'a>>,
    #[serde(borrow, default)]
    meta: Object<WireMeta<'a>>,
}

#[derive(Deserialize, Default)]
struct WirePair {
    #[serde(default)]
    new: Lenient<i64>,
    #[serde(default)]
    old: Lenient<i64>,
}

#[derive(Deserialize, Default)]
struct WireMeta<'a> {
    #[serde(borrow, default)]
    uri: Lenient<Text<'a>>,
    #[serde(borrow, default)]
    id: Lenient<Text<'a>>,
    #[serde(borrow, default)]
    domain: Lenient<Text<'a>>,
    #[serde(borrow, default)]
    dt: Lenient<Text<'a>>,
    #[serde(borrow, default)]
    topic: Lenient<Text<'a>>,
    #[serde(default)]
    partition: Lenient<i64>,
    #[serde(default)]
    offset: Lenient<i64>,
}

type Text<'a> = Cow<'a, str>;

/// A scalar field that reads as absent when it is of another type.
struct Lenient<T>(Option<T>);

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Lenient(None)
    }
}

/// What a scalar of the wire can become; whatever is not overridden reads as absent.
trait Scalar<'de>: Sized {
    fn from_text(_: Cow<'de, str>) -> Option<Self> {
        None
    }
    fn from_int(_: i64) -> Option<Self> {
        None
    }
    fn from_bool(_: bool) -> Option<Self> {
        None
    }
}

impl<'de: 'a, 'a> Scalar<'de> for Text<'a> {
    fn from_text(text: Cow<'de, str>) -> Option<Self> {
        Some(text)
    }
}

impl Scalar<'_> for i64 {
    fn from_int(int: i64) -> Option<Self> {
        Some(int)
    }
}

impl Scalar<'_> for bool {
    fn from_bool(bool: bool) -> Option<Self> {
        Some(bool)
    }
}

impl<'de, T: Scalar<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(LenientVisitor(PhantomData))
            .map(Lenient)
    }
}

struct LenientVisitor<T>(PhantomData<T>);

impl<'de, T: Scalar<'de>> Visitor<'de> for LenientVisitor<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(T::from_text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(T::from_text(Cow::Owned(text.to_owned())))
    }

    fn visit_i64<E: Error>(self, int: i64) -> Result<Self::Value, E> {
        Ok(T::from_int(int))
    }

    fn visit_u64<E: Error>(self, int: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(int).ok().and_then(T::from_int))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, bool: bool) -> Result<Self::Value, E> {
        Ok(T::from_bool(bool))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

/// A nested object that reads as empty when it is of another type.
#[derive(Default)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(ObjectVisitor(PhantomData))
            .map(Object)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        Ok(T::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(T::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_an_edit() {
        let json = r#"{"$schema":"/mediawiki/recentchange/1.0.0","meta":{"id":"a","domain":"en.wikipedia.org",
            "dt":"2026-08-04T15:24:29.724Z","topic":"eqiad.mediawiki.recentchange","partition":0,"offset":6387234775},
            "id":3415411355,"type":"edit","user":"Zoë \"Z\"","bot":false,"length":{"old":1,"new":2},"log_params":[]}"#;
        let change = Change::read(json.as_bytes()).unwrap();
        assert_eq!(change.user.as_deref(), Some("Zoë \"Z\""));
        assert_eq!(change.id, Some(3_415_411_355));
        assert_eq!((change.length_old, change.length_new), (Some(1), Some(2)));
        assert_eq!(change.meta.dt_ms, Some(1_785_857_069_724));
        assert_eq!(change.meta.offset, Some(6_387_234_775));
        assert!(change.is_edit() && !change.is_canary());
    }

    #[test]
    fn fields_of_another_type_read_as_absent() {
        let json = r#"{"meta":7,"type":3,"user":null,"bot":"maybe","id":1e99,"length":[1],"title":{"a":[1]},"wiki":true}"#;
        let change = Change::read(json.as_bytes()).unwrap();
        assert_eq!(change, Change::read(b"{}").unwrap());
    }

    #[test]
    fn what_is_no_object_is_no_change() {
        for text in [
            "",
            "7",
            "[]",
            "\"edit\"",
            "{",
            "{}{}",
            "null",
            "{\"user\":\"\\ud800\"}",
        ] {
            assert!(Change::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
