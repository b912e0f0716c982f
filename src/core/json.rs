//! Rows and frames as JSON: the one form that the page, HTTP clients and `tail --format json` read.
//!
//! A row is an array in column order. Integers are numbers as long as every reader of JSON holds them exactly, and strings
//! beyond; booleans are booleans, NULL is null, and every other type is the text that the engine wrote.

use serde::ser::{Serialize, SerializeSeq, SerializeStruct, Serializer};

use crate::core::frame::{Column, Frame, Row};

/// The largest integer that a double, which is JavaScript's only number, holds together with all smaller ones.
const INTEGER_EXACT_MAX: u64 = 1 << 53;

/// A frame: `{"deleted":[...],"inserted":[...],"timestamp":...}`, in this order.
#[derive(Debug, Clone, Copy)]
pub struct FrameJson<'a> {
    /// The columns of its rows.
    pub columns: &'a [Column],
    /// The frame.
    pub frame: &'a Frame,
}

impl Serialize for FrameJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows = |rows| RowsJson {
            columns: self.columns,
            rows,
        };
        let mut object = serializer.serialize_struct("Frame", 3)?;
        object.serialize_field("deleted", &rows(&self.frame.deleted))?;
        object.serialize_field("inserted", &rows(&self.frame.inserted))?;
        object.serialize_field("timestamp", &self.frame.timestamp_ms)?;
        object.end()
    }
}

/// Rows, as an array of arrays.
#[derive(Debug, Clone, Copy)]
pub struct RowsJson<'a> {
    /// Their columns.
    pub columns: &'a [Column],
    /// The rows.
    pub rows: &'a [Row],
}

impl Serialize for RowsJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.rows.iter().map(|row| RowJson {
            columns: self.columns,
            row,
        }))
    }
}

/// One row, as an array.
#[derive(Debug, Clone, Copy)]
pub struct RowJson<'a> {
    /// Its columns.
    pub columns: &'a [Column],
    /// The row.
    pub row: &'a Row,
}

impl Serialize for RowJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut array = serializer.serialize_seq(Some(self.columns.len()))?;
        let mut types = self.columns.iter().map(|column| column.ty.as_str());
        for text in self.row.columns() {
            let ty = types.next().unwrap_or("text");
            array.serialize_element(&Cell {
                ty,
                text: text.as_deref(),
            })?;
        }
        array.end()
    }
}

struct Cell<'a> {
    ty: &'a str,
    text: Option<&'a str>,
}

impl Serialize for Cell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(text) = self.text else {
            return serializer.serialize_unit();
        };
        match (self.ty, text) {
            ("boolean", "t") => serializer.serialize_bool(true),
            ("boolean", "f") => serializer.serialize_bool(false),
            ("bigint" | "integer" | "smallint", _) => match text.parse::<i64>() {
                Ok(number) if number.unsigned_abs() <= INTEGER_EXACT_MAX => {
                    serializer.serialize_i64(number)
                }
                _ => serializer.serialize_str(text),
            },
            _ => serializer.serialize_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn columns(types: &[&str]) -> Vec<Column> {
        types
            .iter()
            .map(|ty| Column {
                name: format!("a {ty}"),
                ty: (*ty).into(),
            })
            .collect()
    }

    fn row(copy_text: &'static str) -> Row {
        Row::from_copy_text(Bytes::from_static(copy_text.as_bytes())).unwrap()
    }

    #[test]
    fn each_type_has_its_form() {
        let table = [
            ("bigint", "0", "[0]"),
            ("bigint", "-42", "[-42]"),
            ("bigint", "9007199254740992", "[9007199254740992]"),
            ("bigint", "9007199254740993", "[\"9007199254740993\"]"),
            ("bigint", "-9007199254740993", "[\"-9007199254740993\"]"),
            (
                "bigint",
                "-9223372036854775808",
                "[\"-9223372036854775808\"]",
            ),
            ("integer", "7", "[7]"),
            ("boolean", "t", "[true]"),
            ("boolean", "f", "[false]"),
            ("boolean", "\\N", "[null]"),
            ("bigint", "\\N", "[null]"),
            ("text", "\\N", "[null]"),
            ("text", "", "[\"\"]"),
            ("text", "42", "[\"42\"]"),
            ("text", "t", "[\"t\"]"),
            (
                "text",
                "say \"hi\"\\n\\\\<b>",
                "[\"say \\\"hi\\\"\\n\\\\<b>\"]",
            ),
            ("text", "\u{7}", "[\"\\u0007\"]"),
            ("numeric", "1.50", "[\"1.50\"]"),
            (
                "timestamp with time zone",
                "2026-08-04 12:00:00+00",
                "[\"2026-08-04 12:00:00+00\"]",
            ),
        ];
        for (ty, copy_text, json) in table {
            let columns = columns(&[ty]);
            let row = row(copy_text);
            let written = serde_json::to_string(&RowJson {
                columns: &columns,
                row: &row,
            })
            .unwrap();
            assert_eq!(written, json, "{ty} {copy_text}");
        }
    }

    #[test]
    fn a_frame_has_its_keys_in_order_and_its_rows_in_column_order() {
        let frame = Frame {
            timestamp_ms: 1_790_000_000_123,
            deleted: vec![row("Example\t41")],
            inserted: vec![row("Example\t42"), row("\\N\t7")],
        };
        let columns = columns(&["text", "bigint"]);
        let written = serde_json::to_string(&FrameJson {
            columns: &columns,
            frame: &frame,
        })
        .unwrap();
        assert_eq!(
            written,
            r#"{"deleted":[["Example",41]],"inserted":[["Example",42],[null,7]],"timestamp":1790000000123}"#
        );
    }
}
