//! From the bytes of `COPY (SUBSCRIBE ... WITH (PROGRESS)) TO STDOUT` to updates, pure.
//!
//! A row is `mz_timestamp \t mz_progressed \t mz_diff \t columns...`; in a progress row everything after the flag is NULL. One
//! message of the protocol usually is one row, but nothing promises that, so rows are cut at newlines.

use bytes::{Buf, Bytes, BytesMut};

use super::frame::Row;

/// The longest row that is accepted: far above any view of changes (a change is at most 1 MiB), far below what would hurt. A longer
/// one ends the subscription with an error.
pub const ROW_BYTES_MAX: usize = 16 << 20;

/// One row of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// No more updates come at times less than this.
    Progress {
        /// Milliseconds since the epoch.
        timestamp_ms: u64,
    },
    /// At this time the row's multiplicity changed.
    Change {
        /// Milliseconds since the epoch.
        timestamp_ms: u64,
        /// By how much; equal rows may come as one.
        diff: i64,
        /// The row.
        row: Row,
    },
}

/// Why bytes are no updates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedUpdate {
    /// A column in front of the view's own.
    #[error("an update without a valid {0}")]
    Column(&'static str),
    /// A column of the row.
    #[error("an update whose row cannot be read: {0}")]
    Row(#[from] crate::copy_text::DecodeError),
    /// More or fewer columns than the view has.
    #[error("an update of {found} columns for a view of {expected}")]
    Width {
        /// What the view has.
        expected: usize,
        /// What came.
        found: usize,
    },
    /// Above [`ROW_BYTES_MAX`].
    #[error("a row of more than {} MiB", ROW_BYTES_MAX >> 20)]
    TooLong,
}

/// Cuts a stream of bytes into updates.
#[derive(Debug)]
pub struct Decoder {
    width: usize,
    /// The part of a row whose newline has not come yet.
    partial: BytesMut,
    /// What came after it.
    chunk: Bytes,
}

impl Decoder {
    /// A decoder for a view of `width` columns.
    pub fn new(width: usize) -> Self {
        Decoder {
            width,
            partial: BytesMut::new(),
            chunk: Bytes::new(),
        }
    }

    /// Takes the next bytes; the previous ones must have been decoded.
    pub fn push(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "the last chunk is decoded first");
        self.chunk = chunk;
    }

    /// The next update: `Ok(None)` needs more bytes.
    ///
    /// # Errors
    /// See [`MalformedUpdate`]; the stream cannot be read any further.
    pub fn next_update(&mut self) -> Result<Option<Update>, MalformedUpdate> {
        let Some(newline) = self.chunk.iter().position(|byte| *byte == b'\n') else {
            if self.partial.len() + self.chunk.len() > ROW_BYTES_MAX {
                return Err(MalformedUpdate::TooLong);
            }
            self.partial.extend_from_slice(&self.chunk);
            self.chunk.clear();
            return Ok(None);
        };
        // A row in one piece is not copied: it stays a slice of what the socket delivered.
        let mut line = self.chunk.split_to(newline);
        self.chunk.advance(1);
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(&line);
            line = self.partial.split().freeze();
        }
        self.decode(line).map(Some)
    }

    /// Whether the stream stands between two rows.
    pub fn is_at_boundary(&self) -> bool {
        self.partial.is_empty() && self.chunk.is_empty()
    }

    fn decode(&self, mut line: Bytes) -> Result<Update, MalformedUpdate> {
        let timestamp_ms = number(&mut line, "mz_timestamp")?;
        match field(&mut line).as_deref() {
            Some(b"t") => return Ok(Update::Progress { timestamp_ms }),
            Some(b"f") => {}
            _ => return Err(MalformedUpdate::Column("mz_progressed")),
        }
        let diff = number(&mut line, "mz_diff")?;
        let found = line.iter().filter(|byte| **byte == b'\t').count() + 1;
        if found != self.width {
            return Err(MalformedUpdate::Width {
                expected: self.width,
                found,
            });
        }
        let row = Row::from_copy_text(line)?;
        Ok(Update::Change {
            timestamp_ms,
            diff,
            row,
        })
    }
}

/// Takes the first column off `line`, with the tab after it.
fn field(line: &mut Bytes) -> Option<Bytes> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let field = line.split_to(tab);
    line.advance(1);
    Some(field)
}

fn number<T: std::str::FromStr>(
    line: &mut Bytes,
    column: &'static str,
) -> Result<T, MalformedUpdate> {
    field(line)
        .and_then(|field| std::str::from_utf8(&field).ok()?.parse().ok())
        .ok_or(MalformedUpdate::Column(column))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(width: usize, chunks: &[&[u8]]) -> Result<Vec<Update>, MalformedUpdate> {
        let mut decoder = Decoder::new(width);
        let mut updates = Vec::new();
        for chunk in chunks {
            decoder.push(Bytes::copy_from_slice(chunk));
            while let Some(update) = decoder.next_update()? {
                updates.push(update);
            }
        }
        Ok(updates)
    }

    #[test]
    fn reads_progress_and_changes_as_engines_write_them() {
        let text = b"1795330106508\tt\t\\N\t\\N\t\\N\n1795330106508\tf\t-3\tta\\tb\t\\N\n";
        let row = Row::from_copy_text(Bytes::from_static(b"ta\\tb\t\\N")).unwrap();
        assert_eq!(
            decode(2, &[text]).unwrap(),
            [
                Update::Progress {
                    timestamp_ms: 1_795_330_106_508
                },
                Update::Change {
                    timestamp_ms: 1_795_330_106_508,
                    diff: -3,
                    row
                },
            ]
        );
    }

    #[test]
    fn what_is_no_update_is_refused() {
        let table: [(&[u8], &str); 7] = [
            (b"\n", "mz_timestamp"),
            (b"-1\tf\t1\ta\n", "mz_timestamp"),
            (b"1\tx\t1\ta\n", "mz_progressed"),
            (b"1\tf\t\\N\ta\n", "mz_diff"),
            (b"1\tf\t1\ta\tb\n", "2 columns for a view of 1"),
            (b"1\tf\t1\ta\\\n", "lone backslash"),
            (b"1\tf\t1\t\xff\n", "not UTF-8"),
        ];
        for (text, message) in table {
            let error = decode(1, &[text]).unwrap_err().to_string();
            assert!(error.contains(message), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_row_without_end_is_given_up() {
        let chunk = vec![b'x'; ROW_BYTES_MAX / 2];
        let chunks = [chunk.as_slice(), &chunk, b"y"];
        assert_eq!(decode(1, &chunks), Err(MalformedUpdate::TooLong));
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_gives_the_same_updates(
            rows in prop::collection::vec((0u64..99, -3i64..3, "[a-z\\\\N]{0,6}"), 0..8),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        ) {
            let mut text = Vec::new();
            for (time, diff, column) in &rows {
                text.extend_from_slice(format!("{time}\tf\t{diff}\t").as_bytes());
                crate::copy_text::encode_column(&mut text, Some(column));
                text.push(b'\n');
            }
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            prop_assert_eq!(decode(1, &pieces), decode(1, &[&text]));
            prop_assert_eq!(decode(1, &[&text]).unwrap().len(), rows.len());
        }

        #[test]
        fn no_bytes_make_it_panic(text in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = decode(1, &[&text]);
        }
    }
}
