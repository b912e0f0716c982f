//! The messages of the wire: one JSON object a line. How a row becomes JSON is `core`'s business; here is what stands around it.

use serde::{Serialize, Serializer};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::core::frame::{Column, Frame, Row, State};
use crate::core::json::{RowJson, RowsJson};

/// How a message names itself: which keys it has beside `deleted`, `inserted` and `timestamp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dress {
    /// No further keys: a frame, or the snapshot that begins a stream.
    Bare,
    /// `"snapshot":true`: the rows replace whatever the client holds.
    Marked,
    /// `"view"` first; a snapshot is marked and describes its columns.
    Named,
}

impl Dress {
    /// How many there are, for tables indexed by `dress as usize`.
    pub(crate) const COUNT: usize = 3;
}

/// A frame or a snapshot; the order of the fields is the order of the keys.
#[derive(Serialize)]
struct Update<'a, R> {
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<&'a str>,
    deleted: RowsJson<'a>,
    inserted: R,
    timestamp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<&'a [Column]>,
}

#[derive(Serialize)]
struct Failed<'a> {
    view: &'a str,
    error: &'a str,
}

#[derive(Serialize)]
struct Reconnecting<'a> {
    view: &'a str,
    reconnecting: bool,
}

#[derive(Serialize)]
struct Table<'a> {
    view: &'a str,
    timestamp: u64,
    columns: &'a [Column],
    rows: RowsJson<'a>,
}

/// Rows from wherever they stand, as an array of arrays.
struct Rows<'a, F> {
    columns: &'a [Column],
    rows: F,
}

impl<'a, F, I> Serialize for Rows<'a, F>
where
    F: Fn() -> I,
    I: Iterator<Item = &'a Row>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.rows)().map(|row| RowJson {
            columns: self.columns,
            row,
        }))
    }
}

/// A frame, or the net difference of several.
pub(crate) fn difference(view: &str, columns: &[Column], frame: &Frame, dress: Dress) -> Utf8Bytes {
    line(&Update {
        view: (dress == Dress::Named).then_some(view),
        deleted: RowsJson {
            columns,
            rows: &frame.deleted,
        },
        inserted: RowsJson {
            columns,
            rows: &frame.inserted,
        },
        timestamp: frame.timestamp_ms,
        snapshot: None,
        columns: None,
    })
    .into()
}

/// Everything a view holds.
pub(crate) fn snapshot(view: &str, columns: &[Column], state: &State, dress: Dress) -> Utf8Bytes {
    line(&Update {
        view: (dress == Dress::Named).then_some(view),
        deleted: RowsJson { columns, rows: &[] },
        inserted: Rows {
            columns,
            rows: || repeated(state),
        },
        timestamp: state.timestamp_ms,
        snapshot: (dress != Dress::Bare).then_some(true),
        columns: (dress == Dress::Named).then_some(columns),
    })
    .into()
}

/// The answer to a plain request for a view: its rows in the view's own order.
pub(crate) fn table(view: &str, columns: &[Column], timestamp_ms: u64, ranked: &[Row]) -> String {
    line(&Table {
        view,
        timestamp: timestamp_ms,
        columns,
        rows: RowsJson {
            columns,
            rows: ranked,
        },
    })
}

/// A view can no longer be followed.
pub(crate) fn failed(view: &str, error: &str) -> Utf8Bytes {
    line(&Failed { view, error }).into()
}

/// The engine's connection was lost, or is back.
pub(crate) fn reconnecting(view: &str, lost: bool) -> Utf8Bytes {
    line(&Reconnecting {
        view,
        reconnecting: lost,
    })
    .into()
}

/// One object and a newline: with curl a stream reads as JSON lines, and a parser of JSON skips the white space.
pub(crate) fn line(message: &impl Serialize) -> String {
    let mut json = serde_json::to_string(message)
        .expect("strings, numbers and arrays of them are always JSON");
    json.push('\n');
    json
}

fn repeated(state: &State) -> impl Iterator<Item = &Row> {
    state.rows.iter().flat_map(|(row, times)| {
        let times = usize::try_from(times.get()).unwrap_or(usize::MAX);
        std::iter::repeat_n(row, times)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::num::NonZeroU64;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;

    fn columns() -> Vec<Column> {
        [("user", "text"), ("count", "bigint")]
            .map(|(name, ty)| Column {
                name: name.into(),
                ty: ty.into(),
            })
            .to_vec()
    }

    fn row(text: &'static str) -> Row {
        Row::from_copy_text(Bytes::from_static(text.as_bytes())).unwrap()
    }

    #[test]
    fn a_frame_has_the_keys_of_the_ancestor_in_their_order() {
        let frame = Frame {
            timestamp_ms: 1_790_000_000_123,
            deleted: vec![row("Example\t41")],
            inserted: vec![row("Example\t42")],
        };
        let json = |dress| {
            difference("top10", &columns(), &frame, dress)
                .as_str()
                .to_owned()
        };
        let plain =
            r#""deleted":[["Example",41]],"inserted":[["Example",42]],"timestamp":1790000000123"#;
        assert_eq!(json(Dress::Bare), format!("{{{plain}}}\n"));
        assert_eq!(
            json(Dress::Named),
            format!("{{\"view\":\"top10\",{plain}}}\n")
        );
    }

    #[test]
    fn a_snapshot_repeats_rows_and_says_what_it_is_where_it_must() {
        let state = State {
            timestamp_ms: 5,
            rows: Arc::new(BTreeMap::from([(row("a\t1"), NonZeroU64::new(2).unwrap())])),
        };
        let json = |dress| snapshot("v", &columns(), &state, dress).as_str().to_owned();
        let rows = r#""deleted":[],"inserted":[["a",1],["a",1]],"timestamp":5"#;
        let described = r#"[{"name":"user","type":"text"},{"name":"count","type":"bigint"}]"#;
        assert_eq!(json(Dress::Bare), format!("{{{rows}}}\n"));
        assert_eq!(
            json(Dress::Marked),
            format!("{{{rows},\"snapshot\":true}}\n")
        );
        assert_eq!(
            json(Dress::Named),
            format!("{{\"view\":\"v\",{rows},\"snapshot\":true,\"columns\":{described}}}\n")
        );
    }

    #[test]
    fn a_table_is_what_a_plain_request_gets() {
        assert_eq!(
            table("top10", &columns(), 7, &[row("Example\t42")]),
            "{\"view\":\"top10\",\"timestamp\":7,\"columns\":[{\"name\":\"user\",\"type\":\"text\"},\
             {\"name\":\"count\",\"type\":\"bigint\"}],\"rows\":[[\"Example\",42]]}\n"
        );
    }

    #[test]
    fn notices_name_their_view() {
        assert_eq!(
            failed("x", "no \"x\"").as_str(),
            "{\"view\":\"x\",\"error\":\"no \\\"x\\\"\"}\n"
        );
        assert_eq!(
            reconnecting("x", true).as_str(),
            "{\"view\":\"x\",\"reconnecting\":true}\n"
        );
    }
}
