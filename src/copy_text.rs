//! The text format of COPY, both directions, pure.
//!
//! One row a line, columns split by tabs, NULL as `\N`; backslash, tab, newline and carriage return are escaped
//! (PostgreSQL 15 documentation, COPY, "Text Format"). Materialize writes other control characters raw, so the decoder takes
//! them raw as well as escaped.

use std::borrow::Cow;
use std::fmt;

/// Why a line is not a row of COPY text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecodeError {
    /// A column is not UTF-8.
    NotUtf8,
    /// The line ends in a lone backslash.
    DanglingEscape,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DecodeError::NotUtf8 => "a column is not UTF-8",
            DecodeError::DanglingEscape => "the line ends in a lone backslash",
        })
    }
}

impl std::error::Error for DecodeError {}

/// Appends one column to `line`; the caller writes the tabs between columns and the newline after the last.
pub fn encode_column(line: &mut Vec<u8>, column: Option<&str>) {
    let Some(text) = column else {
        line.extend_from_slice(b"\\N");
        return;
    };
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| escape_of(*byte).is_some()) {
        line.extend_from_slice(&rest[..at]);
        line.extend(
            escape_of(rest[at])
                .map(|letter| [b'\\', letter])
                .iter()
                .flatten(),
        );
        rest = &rest[at + 1..];
    }
    line.extend_from_slice(rest);
}

fn escape_of(byte: u8) -> Option<u8> {
    match byte {
        b'\\' => Some(b'\\'),
        b'\t' => Some(b't'),
        b'\n' => Some(b'n'),
        b'\r' => Some(b'r'),
        _ => None,
    }
}

/// Splits a row, given without its newline, into its raw columns: still escaped, so that nothing is copied.
pub fn columns(row: &[u8]) -> impl Iterator<Item = &[u8]> {
    row.split(|byte| *byte == b'\t')
}

/// Decodes one raw column: `None` is NULL. Borrows where nothing is escaped.
pub fn decode_column(raw: &[u8]) -> Result<Option<Cow<'_, str>>, DecodeError> {
    if raw == b"\\N" {
        return Ok(None);
    }
    if !raw.contains(&b'\\') {
        let text = std::str::from_utf8(raw).map_err(|_| DecodeError::NotUtf8)?;
        return Ok(Some(Cow::Borrowed(text)));
    }
    let text = String::from_utf8(unescape(raw)?).map_err(|_| DecodeError::NotUtf8)?;
    Ok(Some(Cow::Owned(text)))
}

fn unescape(raw: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let (letter, after) = rest[at + 1..]
            .split_first()
            .ok_or(DecodeError::DanglingEscape)?;
        rest = after;
        out.push(match letter {
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 0x0b,
            b'0'..=b'7' => number(letter - b'0', 8, &mut rest),
            b'x' if rest.first().is_some_and(u8::is_ascii_hexdigit) => number(0, 16, &mut rest),
            other => *other,
        });
    }
    out.extend_from_slice(rest);
    Ok(out)
}

/// Reads at most two further digits of a byte written in octal or hexadecimal; what overflows wraps, as in Postgres.
fn number(first: u8, radix: u32, rest: &mut &[u8]) -> u8 {
    let mut value = first;
    for _ in 0..2 {
        let Some((byte, after)) = rest.split_first() else {
            break;
        };
        let Some(digit) = char::from(*byte).to_digit(radix) else {
            break;
        };
        *rest = after;
        value = value.wrapping_mul(radix as u8).wrapping_add(digit as u8);
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(column: Option<&str>) -> Vec<u8> {
        let mut line = Vec::new();
        encode_column(&mut line, column);
        line
    }

    #[test]
    fn escapes_as_materialize_writes_them() {
        let table: [(Option<&str>, &[u8]); 8] = [
            (None, b"\\N"),
            (Some(""), b""),
            (Some("\\N"), b"\\\\N"),
            (Some("a\tb"), b"a\\tb"),
            (Some("a\nb\rc"), b"a\\nb\\rc"),
            (Some("back\\slash"), b"back\\\\slash"),
            (Some("\u{8}\u{c}\u{b}"), b"\x08\x0c\x0b"),
            (Some("Øystein"), "Øystein".as_bytes()),
        ];
        for (text, raw) in table {
            assert_eq!(encoded(text), raw, "encoding {text:?}");
            assert_eq!(
                decode_column(raw).unwrap().as_deref(),
                text,
                "decoding {raw:?}"
            );
        }
    }

    #[test]
    fn decodes_what_postgres_also_accepts() {
        let table: [(&[u8], &str); 5] = [
            (b"\\b\\f\\v", "\u{8}\u{c}\u{b}"),
            (b"\\101", "A"),
            (b"\\x41g", "Ag"),
            (b"\\xyz", "xyz"),
            (b"\\q", "q"),
        ];
        for (raw, text) in table {
            assert_eq!(decode_column(raw).unwrap().as_deref(), Some(text));
        }
        assert_eq!(decode_column(b"tail\\"), Err(DecodeError::DanglingEscape));
        assert_eq!(decode_column(b"\xff"), Err(DecodeError::NotUtf8));
        assert_eq!(decode_column(b"\\377"), Err(DecodeError::NotUtf8));
    }

    proptest! {
        #[test]
        fn a_row_survives_the_round_trip(row in prop::collection::vec(prop::option::of(any::<String>()), 1..6)) {
            let mut line = Vec::new();
            for (at, column) in row.iter().enumerate() {
                if at > 0 {
                    line.push(b'\t');
                }
                encode_column(&mut line, column.as_deref());
            }
            prop_assert!(!line.contains(&b'\n'));
            let back: Vec<Option<String>> = columns(&line)
                .map(|raw| decode_column(raw).unwrap().map(Cow::into_owned))
                .collect();
            prop_assert_eq!(back, row);
        }

        #[test]
        fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..64)) {
            for column in columns(&raw) {
                let _ = decode_column(column);
            }
        }
    }
}
