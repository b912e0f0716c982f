//! How the lines of a COPY are written, in either direction: its options, with the defaults of its format filled in.

use crate::engine::error::SqlError;
use crate::engine::sql::{CopyFormat, CopyOptions};

/// How a line is written.
#[derive(Debug)]
pub(super) enum Syntax {
    Text {
        delimiter: u8,
        null: Vec<u8>,
    },
    Csv {
        delimiter: u8,
        quote: u8,
        escape: u8,
        null: Vec<u8>,
    },
}

impl Syntax {
    /// What the options of `statement` (such as `COPY TO STDOUT`) ask for.
    pub(super) fn new(options: &CopyOptions, statement: &str) -> Result<Syntax, SqlError> {
        let null = |default: &str| {
            let null = options.null.as_deref().unwrap_or(default);
            null.as_bytes().to_vec()
        };
        let quote = options.quote.unwrap_or(b'"');
        match options.format {
            CopyFormat::Text => Ok(Syntax::Text {
                delimiter: options.delimiter.unwrap_or(b'\t'),
                null: null("\\N"),
            }),
            CopyFormat::Csv => Ok(Syntax::Csv {
                delimiter: options.delimiter.unwrap_or(b','),
                quote,
                escape: options.escape.unwrap_or(quote),
                null: null(""),
            }),
            CopyFormat::Binary => {
                let construct = format!("{statement} in binary format");
                Err(SqlError::unsupported(construct))
            }
        }
    }
}
