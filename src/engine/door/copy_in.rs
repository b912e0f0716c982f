//! The data of `COPY wikirecent FROM STDIN`: bytes to documents, pure. Every row is read as it comes, so that a bad one ends
//! the COPY at once, and nothing of a COPY is kept before its end.

use bytes::{Buf, Bytes, BytesMut};

use super::batch::{Batch, DOCUMENT_BYTES_MAX};
use super::copy_syntax::Syntax;
use super::memory::Memory;
use crate::copy_text;
use crate::engine::error::{SqlError, SqlState};
use crate::engine::sql::CopyOptions;

/// Reads the rows of a COPY out of its pieces.
#[derive(Debug)]
pub(crate) struct Decoder {
    syntax: Syntax,
    header: bool,
    /// What came after the last whole row.
    rest: BytesMut,
    scan: Scan,
    /// Rows read, the header included.
    line: u64,
    /// The end marker has been read: what follows it is ignored.
    ended: bool,
    batch: Batch,
}

/// Where in a row of CSV the reader is.
#[derive(Debug, Default)]
struct Scan {
    quoted: bool,
    escaped: bool,
}

impl Decoder {
    /// A decoder for COPY with these options.
    pub(crate) fn new(options: &CopyOptions, memory: &Memory) -> Result<Decoder, SqlError> {
        Ok(Decoder {
            syntax: Syntax::new(options, "COPY FROM STDIN")?,
            header: options.header,
            rest: BytesMut::new(),
            scan: Scan::default(),
            line: 0,
            ended: false,
            batch: Batch::new(memory),
        })
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &Bytes) -> Result<(), SqlError> {
        // Rows that lie whole in a piece are slices of it; only what straddles two pieces is copied.
        let mut piece = piece.clone();
        while !self.ended {
            let Some(end) = self.syntax.row_end(&piece, &mut self.scan) else {
                break;
            };
            let mut row = piece.split_to(end);
            piece.advance(1);
            if !self.rest.is_empty() {
                self.rest.extend_from_slice(&row);
                row = self.rest.split().freeze();
            }
            self.row(row)?;
        }
        if self.ended {
            self.rest.clear();
            return Ok(());
        }
        self.rest.extend_from_slice(&piece);
        if self.rest.len() > 2 * DOCUMENT_BYTES_MAX {
            return Err(SqlError::new(
                SqlState::ProgramLimitExceeded,
                format!(
                    "line {} is longer than {DOCUMENT_BYTES_MAX} bytes",
                    self.line + 1
                ),
            ));
        }
        self.batch.keep_beside(self.rest.len())
    }

    /// The batch, after the last piece; a last row needs no newline.
    pub(crate) fn finish(mut self) -> Result<Batch, SqlError> {
        if !self.rest.is_empty() {
            let row = self.rest.split().freeze();
            self.row(row)?;
        }
        Ok(self.batch)
    }

    fn row(&mut self, row: Bytes) -> Result<(), SqlError> {
        self.line += 1;
        let row = match row.last() {
            Some(b'\r') => row.slice(..row.len() - 1),
            _ => row,
        };
        if row[..] == b"\\."[..] {
            self.ended = true;
            return Ok(());
        }
        if self.header && self.line == 1 {
            return Ok(());
        }
        let line = self.line;
        let document = self.syntax.document(row, line)?;
        self.batch.push(&document, || format!("at line {line}"))
    }
}

impl Syntax {
    /// Where the row's newline is; `scan` says where in a row `bytes` begin, and afterwards where they end.
    fn row_end(&self, bytes: &[u8], scan: &mut Scan) -> Option<usize> {
        let Syntax::Csv { quote, escape, .. } = self else {
            return memchr::memchr(b'\n', bytes);
        };
        for (at, byte) in bytes.iter().enumerate() {
            if std::mem::take(&mut scan.escaped) {
                continue;
            }
            match byte {
                b'\n' if !scan.quoted => return Some(at),
                byte if scan.quoted && byte == escape && escape != quote => scan.escaped = true,
                byte if byte == quote => scan.quoted = !scan.quoted,
                _ => {}
            }
        }
        None
    }

    /// The one column of a row.
    fn document(&self, row: Bytes, line: u64) -> Result<Bytes, SqlError> {
        match self {
            Syntax::Text { delimiter, null } => {
                if row.contains(delimiter) {
                    return Err(extra_column(line));
                }
                if row[..] == null[..] {
                    return Err(null_document(line));
                }
                if !row.contains(&b'\\') {
                    return Ok(row);
                }
                match copy_text::decode_column(&row) {
                    Ok(Some(text)) => Ok(Bytes::from(text.into_owned())),
                    Ok(None) => Err(null_document(line)),
                    Err(error) => Err(SqlError::new(
                        SqlState::BadCopyFileFormat,
                        format!("line {line} is not COPY text: {error}"),
                    )),
                }
            }
            Syntax::Csv {
                delimiter,
                quote,
                escape,
                null,
            } => {
                if row[..] == null[..] {
                    return Err(null_document(line));
                }
                let mut document = BytesMut::with_capacity(row.len());
                let mut quoted = false;
                let mut bytes = row.iter().copied().peekable();
                while let Some(byte) = bytes.next() {
                    let next = bytes.peek().copied();
                    if quoted
                        && byte == *escape
                        && next.is_some_and(|next| next == *quote || next == *escape)
                    {
                        document.extend(bytes.next());
                    } else if byte == *quote {
                        quoted = !quoted;
                    } else if !quoted && byte == *delimiter {
                        return Err(extra_column(line));
                    } else {
                        document.extend([byte]);
                    }
                }
                if quoted {
                    return Err(SqlError::new(
                        SqlState::BadCopyFileFormat,
                        format!("line {line} has an unterminated quote"),
                    ));
                }
                Ok(document.freeze())
            }
        }
    }
}

fn extra_column(line: u64) -> SqlError {
    SqlError::new(
        SqlState::BadCopyFileFormat,
        format!("extra data after last expected column at line {line}"),
    )
    .hint("A JSON document in COPY text has its backslashes, tabs and newlines escaped.")
}

fn null_document(line: u64) -> SqlError {
    SqlError::new(
        SqlState::NotNullViolation,
        format!("null value in column \"data\" at line {line}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::sql::CopyFormat;
    use crate::engine::store;
    use crate::engine::store::batch::Identity;
    use proptest::prelude::*;

    fn options(format: CopyFormat) -> CopyOptions {
        CopyOptions {
            format,
            ..CopyOptions::default()
        }
    }

    /// Who changes without an id are: their whole text.
    fn identities(documents: &[&[u8]]) -> Vec<Identity> {
        let documents: Vec<Bytes> = documents
            .iter()
            .map(|document| Bytes::copy_from_slice(document))
            .collect();
        store::batch::Batch::read(&documents).unwrap().identities
    }

    fn decoded(
        options: &CopyOptions,
        data: &[u8],
        pieces_of: usize,
    ) -> Result<Vec<Identity>, SqlError> {
        let mut decoder = Decoder::new(options, &Memory::default())?;
        for piece in data.chunks(pieces_of.max(1)) {
            decoder.push(&Bytes::copy_from_slice(piece))?;
        }
        Ok(decoder.finish()?.into_read().0.identities)
    }

    #[test]
    fn text_rows_in_any_pieces() {
        let data = b"{\"a\":1}\n{\"b\":\"\\\\n\"}\r\n{\"c\":\"x\\ty\"}\n\\.\nignored";
        let expected: [&[u8]; 2] = [b"{\"a\":1}", b"{\"b\":\"\\n\"}"];
        for pieces_of in [1, 3, 7, 100] {
            let error = decoded(&options(CopyFormat::Text), data, pieces_of).unwrap_err();
            assert_eq!(error.state, SqlState::InvalidTextRepresentation);
            assert!(error.message.contains("line 3"), "{error}");
            let good = [&data[..21], b"\\.\nignored"].concat();
            let documents = decoded(&options(CopyFormat::Text), &good, pieces_of).unwrap();
            assert_eq!(documents, identities(&expected));
        }
    }

    #[test]
    fn csv_rows_in_any_pieces() {
        let mut options = options(CopyFormat::Csv);
        options.header = true;
        let data = b"data\n\"{\"\"a\"\":\n1}\"\n\"{\"\"b\"\":2}\"";
        for pieces_of in [1, 4, 100] {
            let documents = decoded(&options, data, pieces_of).unwrap();
            assert_eq!(documents, identities(&[b"{\"a\":\n1}", b"{\"b\":2}"]));
        }
    }

    #[test]
    fn a_bad_row_names_its_line() {
        let table: [(CopyFormat, &[u8], SqlState); 7] = [
            (
                CopyFormat::Text,
                b"{}\n[1]\n",
                SqlState::InvalidTextRepresentation,
            ),
            (
                CopyFormat::Text,
                b"{}\n{\"a\"\n",
                SqlState::InvalidTextRepresentation,
            ),
            (
                CopyFormat::Text,
                b"{}\n\n",
                SqlState::InvalidTextRepresentation,
            ),
            (
                CopyFormat::Text,
                b"{}\n{}\t1\n",
                SqlState::BadCopyFileFormat,
            ),
            (CopyFormat::Text, b"{}\n\\N\n", SqlState::NotNullViolation),
            (CopyFormat::Text, b"{}\n{}\\", SqlState::BadCopyFileFormat),
            (CopyFormat::Csv, b"{}\n\"{}", SqlState::BadCopyFileFormat),
        ];
        for (format, data, state) in table {
            let error = decoded(&options(format), data, 5).unwrap_err();
            assert_eq!(error.state, state, "{data:?}");
            assert!(error.message.contains("line 2"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_comes_back(values in prop::collection::vec(any::<String>(), 0..8), pieces_of in 1_usize..40) {
            let documents: Vec<String> = values
                .iter()
                .map(|value| serde_json::json!({ "v": value }).to_string())
                .collect();
            let mut data = Vec::new();
            for document in &documents {
                copy_text::encode_column(&mut data, Some(document));
                data.push(b'\n');
            }
            let documents: Vec<&[u8]> = documents.iter().map(String::as_bytes).collect();
            prop_assert_eq!(decoded(&options(CopyFormat::Text), &data, pieces_of).unwrap(), identities(&documents));
        }

        #[test]
        fn no_bytes_make_it_panic(
            data in prop::collection::vec(prop::sample::select(b"{}\"\\,\n\r\t.Na1:\xff".to_vec()), 0..60),
            pieces_of in 1_usize..9,
            csv in any::<bool>(),
        ) {
            let format = if csv { CopyFormat::Csv } else { CopyFormat::Text };
            let whole = decoded(&options(format), &data, 1_000);
            prop_assert_eq!(decoded(&options(format), &data, pieces_of), whole);
        }
    }
}
