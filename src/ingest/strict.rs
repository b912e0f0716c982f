//! Documents that Materialize can take: there, one value that a view cannot cast poisons the view until the row is deleted.
//!
//! A document whose fields have the types that the views expect goes through as it came. Any other is written anew from what
//! [`Change`] reads of it, in which a field of an unexpected type is absent: the same rows as in the embedded engine.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::change::Change;

/// The document to be sent for a change's JSON, which has been read as a change before.
pub(super) fn document(json: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(json);
    let Ok(Value::Object(document)) = serde_json::from_slice(json) else {
        // JSON to the lenient reader, but not to a strict one: a number beyond all bounds, half a surrogate pair.
        return Cow::Owned(rebuilt(json));
    };
    match is_well_typed(&document) && !text.contains("\\u0000") {
        true => text,
        false => Cow::Owned(rebuilt(json)),
    }
}

/// The same as Materialize shows it: names in their order, no spaces.
pub(super) fn as_shown(json: &[u8]) -> String {
    let document = document(json);
    match serde_json::from_str::<Value>(&document) {
        Ok(value) => value.to_string(),
        Err(_) => document.into_owned(),
    }
}

const TEXTS: [&str; 9] = [
    "$schema",
    "comment",
    "parsedcomment",
    "server_name",
    "server_script_path",
    "server_url",
    "title",
    "type",
    "user",
];
const INTEGERS: [&str; 3] = ["id", "namespace", "timestamp"];
const FLAGS: [&str; 2] = ["bot", "minor"];

fn is_well_typed(document: &Map<String, Value>) -> bool {
    let all = |names: &[&str], object: &Map<String, Value>, fits: fn(&Value) -> bool| {
        names.iter().all(|name| {
            object
                .get(*name)
                .is_none_or(|value| value.is_null() || fits(value))
        })
    };
    let pair = |name: &str| match document.get(name) {
        None | Some(Value::Null) => true,
        Some(Value::Object(pair)) => all(&["old", "new"], pair, Value::is_i64),
        Some(_) => false,
    };
    let meta = match document.get("meta") {
        None | Some(Value::Null) => true,
        Some(Value::Object(meta)) => {
            all(&["uri", "id", "domain", "topic"], meta, Value::is_string)
                && all(&["partition", "offset"], meta, Value::is_i64)
                && meta.get("dt").is_none_or(is_plain_time)
        }
        Some(_) => false,
    };
    all(&TEXTS, document, Value::is_string)
        && all(&["wiki"], document, Value::is_string)
        && all(&INTEGERS, document, Value::is_i64)
        && all(&FLAGS, document, Value::is_boolean)
        && pair("length")
        && pair("revision")
        && meta
        && numbers_are_small(document.values())
}

/// `2026-08-04T15:24:29.724Z`, which every engine reads alike. A leap second is another matter, and so is a time before 1970: Materialize
/// compares times with `mz_now()`, and that has no negative ones.
fn is_plain_time(value: &Value) -> bool {
    let Some(text) = value.as_str() else {
        return value.is_null();
    };
    let shape = text
        .bytes()
        .map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    let shape: Vec<u8> = shape.collect();
    let fraction = shape
        .strip_prefix(b"0000-00-00T00:00:00")
        .and_then(|rest| rest.strip_suffix(b"Z"));
    let is_plain = fraction.is_some_and(|fraction| match fraction {
        [] => true,
        [b'.', digits @ ..] => {
            (1..=6).contains(&digits.len()) && digits.iter().all(|digit| *digit == b'0')
        }
        _ => false,
    });
    let is_leap_second = text.get(17..19) == Some("60");
    let time = text.parse::<jiff::Timestamp>().ok();
    is_plain && !is_leap_second && time.is_some_and(|time| time >= jiff::Timestamp::UNIX_EPOCH)
}

/// Materialize keeps JSON's numbers as numeric(39): what is finite in a double and has no giant exponent fits.
fn numbers_are_small<'a>(values: impl IntoIterator<Item = &'a Value>) -> bool {
    values.into_iter().all(|value| match value {
        Value::Number(number) => number.as_f64().is_some_and(|number| number.abs() < 1e20),
        Value::Array(values) => numbers_are_small(values),
        Value::Object(object) => numbers_are_small(object.values()),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    })
}

/// A document of what the reader found.
fn rebuilt(json: &[u8]) -> String {
    let Ok(change) = Change::read(json) else {
        return "{}".to_owned();
    };
    let text =
        |text: &Option<Cow<'_, str>>| text.as_ref().map(|text| text.replace('\0', "\u{fffd}"));
    let meta = &change.meta;
    let dt = meta.dt_ms.and_then(super::resume::since);
    let dt = dt.map(Value::from).filter(is_plain_time);
    json!({
        "$schema": text(&change.r_schema),
        "meta": {"uri": text(&meta.uri), "id": text(&meta.id), "domain": text(&meta.domain), "dt": dt,
            "topic": text(&meta.topic), "partition": meta.partition, "offset": meta.offset},
        "id": change.id, "type": text(&change.kind), "namespace": change.namespace, "title": text(&change.title),
        "comment": text(&change.comment), "parsedcomment": text(&change.parsedcomment), "timestamp": change.timestamp_s,
        "user": text(&change.user), "bot": change.bot, "minor": change.minor,
        "length": {"old": change.length_old, "new": change.length_new},
        "revision": {"old": change.revision_old, "new": change.revision_new},
        "server_url": text(&change.server_url), "server_name": text(&change.server_name),
        "server_script_path": text(&change.server_script_path), "wiki": text(&change.wiki),
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_well_typed_goes_as_it_came() {
        for line in include_str!("../../tests/data/changes.ndjson").lines() {
            assert_eq!(document(line.as_bytes()), line);
        }
    }

    #[test]
    fn a_document_is_known_by_the_form_in_which_materialize_shows_it() {
        let json = br#"{ "wiki": "enwiki", "user": "\b\f\u000B\\\u00fc", "bot": false, "meta": {"id": "x0"} }"#;
        let shown = r#"{"bot":false,"meta":{"id":"x0"},"user":"\b\f\u000b\\ü","wiki":"enwiki"}"#;
        assert_eq!(as_shown(json), shown);
    }

    #[test]
    fn what_a_view_could_not_evaluate_is_left_out_and_the_rest_stays() {
        let table = [
            r#"{"bot":"maybe","user":"Z"}"#,
            r#"{"id":9223372036854775808,"user":"Z"}"#,
            r#"{"id":1.5,"user":"Z"}"#,
            r#"{"log_params":[1e999],"user":"Z"}"#,
            r#"{"log_params":{"x":1e300},"user":"Z"}"#,
            r#"{"log_params":"\ud800","user":"Z"}"#,
            r#"{"title":"\u0000","user":"Z"}"#,
            r#"{"type":3,"user":"Z"}"#,
            r#"{"length":[1],"user":"Z"}"#,
            r#"{"meta":{"dt":"2026-08-04T15:24:29+02:00[Europe/Oslo]"},"user":"Z"}"#,
            r#"{"meta":{"dt":"yesterday","offset":"7"},"user":"Z"}"#,
            r#"{"meta":[],"user":"Z"}"#,
        ];
        for json in table {
            let sent = document(json.as_bytes());
            assert_ne!(sent, json);
            let Value::Object(object) = serde_json::from_str(&sent).unwrap() else {
                panic!("{sent}");
            };
            assert!(is_well_typed(&object), "{sent}");
            assert_eq!(object["user"], "Z");
            let (before, after) = (
                Change::read(json.as_bytes()).unwrap(),
                Change::read(sent.as_bytes()).unwrap(),
            );
            assert_eq!(
                (before.bot, before.id, before.meta.dt_ms),
                (after.bot, after.id, after.meta.dt_ms),
                "{json}"
            );
        }
    }

    #[test]
    fn times_are_plain_or_written_anew() {
        let table = [
            ("2026-08-04T15:24:29.724Z", true),
            ("2026-08-04T15:24:29Z", true),
            ("2026-08-04t15:24:29Z", false),
            ("2026-08-04T15:24:29.1234567Z", false),
            ("2026-13-04T15:24:29Z", false),
            ("1970-01-01T00:00:00Z", true),
            ("1969-12-31T23:59:59.999Z", false),
            ("2016-12-31T23:59:60Z", false),
            ("", false),
        ];
        for (text, expected) in table {
            assert_eq!(is_plain_time(&json!(text)), expected, "{text}");
        }
    }
}
