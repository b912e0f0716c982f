//! What goes into a pipe: frames as lines of JSON, CSV or COPY text, or as tables; pure.
//!
//! JSON is one frame a line, exactly as the page receives it; an empty frame says that time passed. CSV and COPY are one update a line,
//! as `COPY (SUBSCRIBE ...)` writes it: time, diff, and the row's columns, with a third leading column when progress is told.

use std::borrow::Cow;
use std::io::Write;

use super::table;
use crate::copy_text;
use crate::core::frame::{Column, Frame, Row};
use crate::core::json::FrameJson;

/// How updates are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One frame a line, as the page receives it.
    Json,
    /// One update a line: time, diff, columns.
    Csv,
    /// One update a line in COPY text form: time, diff, columns.
    Copy,
    /// A table for people.
    Table,
}

/// Writes frames of one view.
#[derive(Debug)]
pub struct Encoder<'a> {
    /// How.
    pub format: Format,
    /// With the column that tells progress from updates.
    pub progress: bool,
    /// The view's columns.
    pub columns: &'a [Column],
}

impl Encoder<'_> {
    /// The columns: names and types in JSON, names in CSV and COPY text; a table has its own. `updates` tells whether updates follow, or
    /// plain rows.
    pub fn header(&self, updates: bool) -> Vec<u8> {
        let leading: &[&str] = match (updates, self.progress) {
            (false, _) => &[],
            (true, false) => &["mz_timestamp", "mz_diff"],
            (true, true) => &["mz_timestamp", "mz_progressed", "mz_diff"],
        };
        let names = self.columns.iter().map(|column| column.name.as_str());
        let names = leading.iter().copied().chain(names);
        let mut out = Vec::new();
        match self.format {
            Format::Json => {
                let header = serde_json::json!({ "columns": self.columns });
                let _ = writeln!(out, "{header}");
            }
            Format::Table => {}
            Format::Csv | Format::Copy => self.line(&mut out, names.map(|name| Some(name.into()))),
        }
        out
    }

    /// One frame. `rows` are the view's rows after it, in its order.
    pub fn frame(&self, frame: &Frame, rows: impl FnOnce() -> Vec<Row>) -> Vec<u8> {
        let mut out = Vec::new();
        match self.format {
            Format::Json => {
                let columns = self.columns;
                serde_json::to_writer(&mut out, &FrameJson { columns, frame })
                    .expect("a frame has only strings for keys, and memory takes every byte");
                out.push(b'\n');
            }
            Format::Table => {
                out.extend_from_slice(table::plain(self.columns, &rows()).as_bytes());
                out.push(b'\n');
            }
            Format::Csv | Format::Copy => {
                self.updates(&mut out, frame.timestamp_ms, "-", &frame.deleted);
                self.updates(&mut out, frame.timestamp_ms, "", &frame.inserted);
            }
        }
        out
    }

    /// Time passed and nothing changed.
    pub fn progress(&self, timestamp_ms: u64) -> Vec<u8> {
        let mut out = Vec::new();
        match self.format {
            Format::Json => {
                let empty = Frame {
                    timestamp_ms,
                    deleted: Vec::new(),
                    inserted: Vec::new(),
                };
                return self.frame(&empty, Vec::new);
            }
            Format::Table => {}
            Format::Csv | Format::Copy => {
                let time = Some(timestamp_ms.to_string().into());
                let leading = [time, Some("t".into()), None];
                let nulls = self.columns.iter().map(|_| None);
                self.line(&mut out, leading.into_iter().chain(nulls));
            }
        }
        out
    }

    /// Rows alone, without time and diff.
    pub fn rows(&self, timestamp_ms: u64, rows: Vec<Row>) -> Vec<u8> {
        let mut out = Vec::new();
        match self.format {
            Format::Json => {
                let snapshot = Frame {
                    timestamp_ms,
                    deleted: Vec::new(),
                    inserted: rows,
                };
                return self.frame(&snapshot, Vec::new);
            }
            Format::Table => out.extend_from_slice(table::plain(self.columns, &rows).as_bytes()),
            Format::Csv | Format::Copy => {
                for row in &rows {
                    self.line(&mut out, row.columns());
                }
            }
        }
        out
    }

    /// Equal rows stand beside each other in a frame, and are one update.
    fn updates(&self, out: &mut Vec<u8>, timestamp_ms: u64, sign: &str, rows: &[Row]) {
        let time = timestamp_ms.to_string();
        for equal in rows.chunk_by(|left, right| left == right) {
            let diff = format!("{sign}{}", equal.len());
            let progressed = self.progress.then_some(Some(Cow::Borrowed("f")));
            let leading = [Some(Cow::Borrowed(time.as_str()))]
                .into_iter()
                .chain(progressed)
                .chain([Some(diff.into())]);
            self.line(out, leading.chain(equal[0].columns()));
        }
    }

    fn line<'a>(&self, out: &mut Vec<u8>, cells: impl Iterator<Item = Option<Cow<'a, str>>>) {
        let separator = if self.format == Format::Csv {
            b','
        } else {
            b'\t'
        };
        for (at, cell) in cells.enumerate() {
            if at > 0 {
                out.push(separator);
            }
            match self.format {
                Format::Csv => csv_cell(out, cell.as_deref()),
                _ => copy_text::encode_column(out, cell.as_deref()),
            }
        }
        out.push(b'\n');
    }
}

/// A cell as Postgres' CSV has it: NULL is nothing, the empty text is quoted.
fn csv_cell(out: &mut Vec<u8>, cell: Option<&str>) {
    let Some(text) = cell else { return };
    let plain = !text.is_empty()
        && text != "\\."
        && !text.starts_with(' ')
        && !text.ends_with(' ')
        && !text.contains([',', '"', '\n', '\r']);
    if plain {
        out.extend_from_slice(text.as_bytes());
    } else {
        let _ = write!(out, "\"{}\"", text.replace('"', "\"\""));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn row(copy_text: &'static str) -> Row {
        Row::from_copy_text(Bytes::from_static(copy_text.as_bytes())).unwrap()
    }

    fn columns() -> Vec<Column> {
        [("user", "text"), ("count", "bigint")]
            .map(|(name, ty)| Column {
                name: name.into(),
                ty: ty.into(),
            })
            .to_vec()
    }

    fn written(
        format: Format,
        progress: bool,
        write: impl FnOnce(&Encoder<'_>) -> Vec<u8>,
    ) -> String {
        let columns = columns();
        let encoder = Encoder {
            format,
            progress,
            columns: &columns,
        };
        String::from_utf8(write(&encoder)).unwrap()
    }

    fn frame() -> Frame {
        Frame {
            timestamp_ms: 7,
            deleted: vec![row("a\\tb\t1")],
            inserted: vec![row("a\\tb\t2"), row("x, \"y\"\t3"), row("x, \"y\"\t3")],
        }
    }

    #[test]
    fn updates_are_written_as_copy_gives_them() {
        let table = [
            (
                Format::Copy,
                false,
                "7\t-1\ta\\tb\t1\n7\t1\ta\\tb\t2\n7\t2\tx, \"y\"\t3\n",
            ),
            (
                Format::Copy,
                true,
                "7\tf\t-1\ta\\tb\t1\n7\tf\t1\ta\\tb\t2\n7\tf\t2\tx, \"y\"\t3\n",
            ),
            (
                Format::Csv,
                false,
                "7,-1,a\tb,1\n7,1,a\tb,2\n7,2,\"x, \"\"y\"\"\",3\n",
            ),
        ];
        for (format, progress, expected) in table {
            let text = written(format, progress, |encoder| {
                encoder.frame(&frame(), Vec::new)
            });
            assert_eq!(text, expected, "{format:?}");
        }
    }

    #[test]
    fn progress_has_the_form_of_each() {
        let table = [
            (
                Format::Json,
                "{\"deleted\":[],\"inserted\":[],\"timestamp\":8}\n",
            ),
            (Format::Copy, "8\tt\t\\N\t\\N\t\\N\n"),
            (Format::Csv, "8,t,,,\n"),
            (Format::Table, ""),
        ];
        for (format, expected) in table {
            assert_eq!(
                written(format, true, |encoder| encoder.progress(8)),
                expected
            );
        }
    }

    #[test]
    fn headers_name_what_follows() {
        let table = [
            (
                Format::Json,
                true,
                "{\"columns\":[{\"name\":\"user\",\"type\":\"text\"},{\"name\":\"count\",\"type\":\"bigint\"}]}\n",
            ),
            (Format::Copy, true, "mz_timestamp\tmz_diff\tuser\tcount\n"),
            (Format::Csv, false, "user,count\n"),
            (Format::Table, false, ""),
        ];
        for (format, updates, expected) in table {
            assert_eq!(
                written(format, false, |encoder| encoder.header(updates)),
                expected
            );
        }
    }

    #[test]
    fn null_and_the_empty_text_stay_apart() {
        let rows = || vec![row("\\N\t1"), row("\t2"), row("\\\\.\t3")];
        assert_eq!(
            written(Format::Csv, false, |encoder| encoder.rows(1, rows())),
            ",1\n\"\",2\n\"\\.\",3\n"
        );
        assert_eq!(
            written(Format::Copy, false, |encoder| encoder.rows(1, rows())),
            "\\N\t1\n\t2\n\\\\.\t3\n"
        );
        assert_eq!(
            written(Format::Table, false, |encoder| encoder.rows(1, rows())),
            "user  count\n∅         1\n          2\n\\.        3\n"
        );
    }
}
