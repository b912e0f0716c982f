//! What clients say: bytes to messages, pure. `Ok(None)` means that more bytes are needed, `Err` that the session is beyond
//! repair.
//!
//! The messages that the door *sends* are pgwire's. Those that it receives are read here, because pgwire 0.42 trusts the
//! counts inside a message (a Parse or Bind that is shorter than it says panics), replaces bytes that are not UTF-8 without a
//! word, and accepts up to a gigabyte of one message before anybody has logged in.

use bytes::{Buf, Bytes, BytesMut};

/// The longest message taken from a client: a COPY may come in large pieces and a Bind may carry a thousand changes, but
/// nobody makes the engine buffer more than this. A longer one ends the session with 08P01.
pub(crate) const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The longest opening packet, Postgres' own bound. A longer one is not a Postgres client, and is hung up on.
pub(crate) const OPENING_BYTES_MAX: usize = 10_000;

/// The least that a read of a large message asks for.
const READ_BYTES: usize = 64 << 10;

/// The largest number of parameters of one Bind is what 16 bits say; this is what fits into a message at all.
const LENGTH_BYTES: usize = 4;

/// The bytes are not the Postgres protocol; what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error("message type {0:#04x} is unknown")]
    UnknownType(u8),
    #[error("message of {0} bytes is longer than {MESSAGE_BYTES_MAX}")]
    TooLong(usize),
    #[error("message length {0} is invalid")]
    InvalidLength(i32),
    #[error("message {0:?} is malformed")]
    Malformed(char),
    #[error("text is not UTF-8")]
    NotUtf8,
    #[error("protocol {0}.{1} is not supported")]
    UnsupportedProtocol(u16, u16),
}

/// The first packet of a connection, which has no type byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opening {
    /// Would you speak TLS?
    Ssl,
    /// Would you speak GSSAPI?
    GssEncryption,
    /// Cancel what another session does.
    Cancel {
        /// Its number.
        pid: i32,
        /// What only its client knows.
        secret: i32,
    },
    /// A session begins.
    Startup {
        /// Protocol 3.x.
        minor: u16,
        /// `user`, `database`, and settings.
        parameters: Vec<(String, String)>,
    },
}

/// Whether a name is a prepared statement's or a portal's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A prepared statement.
    Statement,
    /// A portal.
    Portal,
}

/// A message within a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    /// Statements of the simple protocol.
    Query(String),
    /// Prepare.
    Parse {
        /// Empty for the unnamed statement.
        name: String,
        /// One statement.
        sql: String,
        /// Types of the parameters as far as the client fixes them; 0 leaves it to the server.
        types: Vec<u32>,
    },
    /// Give a prepared statement its parameters.
    Bind {
        /// Empty for the unnamed portal.
        portal: String,
        /// Which statement.
        statement: String,
        /// None, one for all, or one each.
        parameter_formats: Vec<i16>,
        /// `None` is NULL.
        parameters: Vec<Option<Bytes>>,
        /// None, one for all, or one a column.
        result_formats: Vec<i16>,
    },
    /// What are the columns?
    Describe(Target, String),
    /// Run a portal.
    Execute {
        /// Which.
        portal: String,
        /// At most so many rows; 0 for all.
        rows_max: u32,
    },
    /// Forget a statement or portal.
    Close(Target, String),
    /// Send what is ready.
    Flush,
    /// The end of a round of the extended protocol.
    Sync,
    /// Bytes of a COPY.
    CopyData(Bytes),
    /// The end of a COPY.
    CopyDone,
    /// The client gives a COPY up.
    CopyFail(String),
    /// A password nobody asked for.
    Password,
    /// The client leaves.
    Terminate,
}

impl Message {
    /// Belongs to the extended protocol: after an error, everything up to the next Sync is skipped.
    pub(crate) fn is_extended(&self) -> bool {
        matches!(
            self,
            Message::Parse { .. }
                | Message::Bind { .. }
                | Message::Describe(..)
                | Message::Execute { .. }
                | Message::Close(..)
                | Message::Flush
        )
    }
}

/// Takes the opening packet off `buffer`.
pub(crate) fn opening(buffer: &mut BytesMut) -> Result<Option<Opening>, ProtocolError> {
    const CANCEL: u32 = 80_877_102;
    const SSL: u32 = 80_877_103;
    const GSS: u32 = 80_877_104;
    let Some(length) = peek_length(buffer, 0)? else {
        return Ok(None);
    };
    if !(8..=OPENING_BYTES_MAX).contains(&length) {
        return Err(ProtocolError::TooLong(length));
    }
    if buffer.len() < length {
        return Ok(None);
    }
    let mut body = Body {
        kind: '\0',
        bytes: buffer.split_to(length).freeze(),
    };
    body.bytes.advance(LENGTH_BYTES);
    match body.u32()? {
        SSL => Ok(Some(Opening::Ssl)),
        GSS => Ok(Some(Opening::GssEncryption)),
        CANCEL => Ok(Some(Opening::Cancel {
            pid: body.i32()?,
            secret: body.i32()?,
        })),
        version => startup(version, body).map(Some),
    }
}

fn startup(version: u32, mut body: Body) -> Result<Opening, ProtocolError> {
    let (major, minor) = ((version >> 16) as u16, version as u16);
    if major != 3 {
        return Err(ProtocolError::UnsupportedProtocol(major, minor));
    }
    let mut parameters = Vec::new();
    loop {
        let name = body.text()?;
        if name.is_empty() {
            return Ok(Opening::Startup { minor, parameters });
        }
        parameters.push((name, body.text()?));
    }
}

/// Takes one message off `buffer`.
pub(crate) fn message(buffer: &mut BytesMut) -> Result<Option<Message>, ProtocolError> {
    let Some(length) = peek_length(buffer, 1)? else {
        return Ok(None);
    };
    if length > MESSAGE_BYTES_MAX {
        return Err(ProtocolError::TooLong(length));
    }
    if buffer.len() < 1 + length {
        // Room for as much as is there already: what a length promises is believed as it comes.
        let rest = 1 + length - buffer.len();
        buffer.reserve(rest.min(buffer.len().max(READ_BYTES)));
        return Ok(None);
    }
    let mut bytes = buffer.split_to(1 + length).freeze();
    let kind = bytes.get_u8();
    bytes.advance(LENGTH_BYTES);
    decode(Body {
        kind: char::from(kind),
        bytes,
    })
    .map(Some)
}

/// The types of the whole messages that wait in `buffer`, without taking them: how a busy session sees that its client left.
pub(crate) fn waiting(buffer: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let mut rest = buffer;
    std::iter::from_fn(move || {
        let length = peek_length(rest, 1).ok()??;
        let kind = *rest.first()?;
        rest = rest.get(1 + length..)?;
        Some(kind)
    })
}

fn decode(mut body: Body) -> Result<Message, ProtocolError> {
    Ok(match body.kind {
        'Q' => Message::Query(body.text()?),
        'P' => Message::Parse {
            name: body.text()?,
            sql: body.text()?,
            types: body.list(Body::u32)?,
        },
        'B' => Message::Bind {
            portal: body.text()?,
            statement: body.text()?,
            parameter_formats: body.list(Body::i16)?,
            parameters: body.list(Body::nullable)?,
            result_formats: body.list(Body::i16)?,
        },
        'D' => Message::Describe(body.target()?, body.text()?),
        'E' => Message::Execute {
            portal: body.text()?,
            rows_max: body.u32()?,
        },
        'C' => Message::Close(body.target()?, body.text()?),
        'H' => Message::Flush,
        'S' => Message::Sync,
        'd' => Message::CopyData(body.bytes),
        'c' => Message::CopyDone,
        'f' => Message::CopyFail(body.text()?),
        'p' => Message::Password,
        'X' => Message::Terminate,
        other => return Err(ProtocolError::UnknownType(other as u8)),
    })
}

/// The length that stands at `at`, which counts itself.
fn peek_length(buffer: &[u8], at: usize) -> Result<Option<usize>, ProtocolError> {
    let Some(mut length) = buffer.get(at..at + LENGTH_BYTES) else {
        return Ok(None);
    };
    let length = length.get_i32();
    match usize::try_from(length) {
        Ok(bytes) if bytes >= LENGTH_BYTES => Ok(Some(bytes)),
        _ => Err(ProtocolError::InvalidLength(length)),
    }
}

/// What is left of a message.
struct Body {
    kind: char,
    bytes: Bytes,
}

impl Body {
    fn malformed(&self) -> ProtocolError {
        ProtocolError::Malformed(self.kind)
    }

    fn take(&mut self, count: usize) -> Result<Bytes, ProtocolError> {
        if self.bytes.len() < count {
            return Err(self.malformed());
        }
        Ok(self.bytes.split_to(count))
    }

    fn u32(&mut self) -> Result<u32, ProtocolError> {
        Ok(self.take(4)?.get_u32())
    }

    fn i32(&mut self) -> Result<i32, ProtocolError> {
        Ok(self.take(4)?.get_i32())
    }

    fn i16(&mut self) -> Result<i16, ProtocolError> {
        Ok(self.take(2)?.get_i16())
    }

    /// Text up to its closing zero.
    fn text(&mut self) -> Result<String, ProtocolError> {
        let end = self.bytes.iter().position(|byte| *byte == 0);
        let text = self.take(end.ok_or_else(|| self.malformed())?)?;
        self.bytes.advance(1);
        String::from_utf8(text.into()).map_err(|_| ProtocolError::NotUtf8)
    }

    fn target(&mut self) -> Result<Target, ProtocolError> {
        match self.take(1)?[0] {
            b'S' => Ok(Target::Statement),
            b'P' => Ok(Target::Portal),
            _ => Err(self.malformed()),
        }
    }

    fn nullable(&mut self) -> Result<Option<Bytes>, ProtocolError> {
        match self.i32()? {
            -1 => Ok(None),
            length => {
                let length = usize::try_from(length).map_err(|_| self.malformed())?;
                self.take(length).map(Some)
            }
        }
    }

    /// A count of 16 bits and so many items; nothing is reserved for a count that the bytes do not back.
    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, ProtocolError>,
    ) -> Result<Vec<T>, ProtocolError> {
        let count = self.take(2)?.get_u16();
        (0..count).map(|_| item(self)).collect()
    }
}

#[cfg(test)]
mod tests;
