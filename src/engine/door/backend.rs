//! What the door says: messages gathered in one buffer, so that a round of them is one write.
//!
//! Rows are written straight into the buffer, because they are most of what is ever sent; everything else is pgwire's.

use bytes::{BufMut, BytesMut};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::copy::{CopyDone, CopyInResponse, CopyOutResponse};
use pgwire::messages::data::{FieldDescription, NoData, ParameterDescription, RowDescription};
use pgwire::messages::extendedquery::{
    BindComplete, CloseComplete, ParseComplete, PortalSuspended,
};
use pgwire::messages::response::{
    CommandComplete, EmptyQueryResponse, ErrorResponse, GssEncResponse, NoticeResponse,
    ReadyForQuery, SslResponse, TransactionStatus,
};
use pgwire::messages::startup::{
    Authentication, BackendKeyData, NegotiateProtocolVersion, ParameterStatus, SecretKey,
};

use super::encoding::{Field, Format};
use crate::engine::error::SqlError;

/// Whether an error ends the statement or the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// The session goes on.
    Error,
    /// The connection closes after it.
    Fatal,
}

/// Messages not yet sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: BytesMut,
}

impl Outbox {
    /// The bytes to send; the sender advances over what it has sent.
    pub(crate) fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// How much waits.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn put(&mut self, message: PgWireBackendMessage) {
        message
            .encode(&mut self.bytes)
            .expect("what the door makes is far below the protocol's bounds: names and settings are bounded on their way in");
    }

    /// TLS: no.
    pub(crate) fn refuse_ssl(&mut self) {
        self.put(PgWireBackendMessage::SslResponse(SslResponse::Refuse));
    }

    /// GSSAPI: no.
    pub(crate) fn refuse_gss(&mut self) {
        self.put(PgWireBackendMessage::GssEncResponse(GssEncResponse::Refuse));
    }

    /// This is protocol 3.0, and these options are unknown.
    pub(crate) fn negotiate(&mut self, unknown_options: Vec<String>) {
        self.put(PgWireBackendMessage::NegotiateProtocolVersion(
            NegotiateProtocolVersion::new(0, unknown_options),
        ));
    }

    /// Welcome: nobody is asked for a password on loopback.
    pub(crate) fn authenticated(&mut self, pid: i32, secret: i32) {
        self.put(PgWireBackendMessage::Authentication(Authentication::Ok));
        self.put(PgWireBackendMessage::BackendKeyData(BackendKeyData::new(
            pid,
            SecretKey::I32(secret),
        )));
    }

    /// A setting that clients keep track of.
    pub(crate) fn parameter(&mut self, name: &str, value: &str) {
        self.put(PgWireBackendMessage::ParameterStatus(ParameterStatus::new(
            name.to_owned(),
            value.to_owned(),
        )));
    }

    /// Your turn.
    pub(crate) fn ready(&mut self, status: TransactionStatus) {
        self.put(PgWireBackendMessage::ReadyForQuery(ReadyForQuery::new(
            status,
        )));
    }

    /// A statement is done.
    pub(crate) fn complete(&mut self, tag: impl Into<String>) {
        self.put(PgWireBackendMessage::CommandComplete(CommandComplete::new(
            tag.into(),
        )));
    }

    /// There was no statement.
    pub(crate) fn empty_query(&mut self) {
        self.put(PgWireBackendMessage::EmptyQueryResponse(
            EmptyQueryResponse::new(),
        ));
    }

    /// An error.
    pub(crate) fn error(&mut self, severity: Severity, error: &SqlError) {
        let severity = match severity {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
        };
        let mut fields = vec![
            (b'S', severity.to_owned()),
            (b'V', severity.to_owned()),
            (b'C', error.state.code().to_owned()),
            (b'M', without_zeros(&error.message)),
        ];
        fields.extend(error.hint.as_ref().map(|hint| (b'H', without_zeros(hint))));
        fields.extend(error.position.map(|at| (b'P', at.to_string())));
        self.put(PgWireBackendMessage::ErrorResponse(ErrorResponse::new(
            fields,
        )));
    }

    /// Something to know that is no error.
    pub(crate) fn notice(&mut self, severity: &str, code: &str, message: &str) {
        self.put(PgWireBackendMessage::NoticeResponse(NoticeResponse::new(
            vec![
                (b'S', severity.to_owned()),
                (b'V', severity.to_owned()),
                (b'C', code.to_owned()),
                (b'M', without_zeros(message)),
            ],
        )));
    }

    /// Parse succeeded.
    pub(crate) fn parsed(&mut self) {
        self.put(PgWireBackendMessage::ParseComplete(ParseComplete::new()));
    }

    /// Bind succeeded.
    pub(crate) fn bound(&mut self) {
        self.put(PgWireBackendMessage::BindComplete(BindComplete::new()));
    }

    /// Close succeeded.
    pub(crate) fn closed(&mut self) {
        self.put(PgWireBackendMessage::CloseComplete(CloseComplete::new()));
    }

    /// There are more rows than were asked for.
    pub(crate) fn suspended(&mut self) {
        self.put(PgWireBackendMessage::PortalSuspended(PortalSuspended::new()));
    }

    /// The types of a statement's parameters.
    pub(crate) fn parameters(&mut self, oids: Vec<u32>) {
        self.put(PgWireBackendMessage::ParameterDescription(
            ParameterDescription::new(oids),
        ));
    }

    /// The statement returns no rows.
    pub(crate) fn no_data(&mut self) {
        self.put(PgWireBackendMessage::NoData(NoData::new()));
    }

    /// The columns of the rows to come.
    pub(crate) fn row_description(&mut self, fields: &[Field], formats: &[Format]) {
        let fields = fields.iter().enumerate().map(|(at, field)| {
            FieldDescription::new(
                field.name.to_string(),
                0,
                0,
                field.ty.oid(),
                field.ty.size(),
                field.ty.modifier(),
                Format::of(formats, at) as i16,
            )
        });
        self.put(PgWireBackendMessage::RowDescription(RowDescription::new(
            fields.collect(),
        )));
    }

    /// COPY ... FROM STDIN may begin.
    pub(crate) fn copy_in(&mut self, columns: usize) {
        self.put(PgWireBackendMessage::CopyInResponse(CopyInResponse::new(
            0,
            columns as i16,
            vec![0; columns],
        )));
    }

    /// COPY ... TO STDOUT begins.
    pub(crate) fn copy_out(&mut self, columns: usize) {
        self.put(PgWireBackendMessage::CopyOutResponse(CopyOutResponse::new(
            0,
            columns as i16,
            vec![0; columns],
        )));
    }

    /// COPY ... TO STDOUT is done.
    pub(crate) fn copy_done(&mut self) {
        self.put(PgWireBackendMessage::CopyDone(CopyDone::new()));
    }

    /// One row of a COPY, as `line` writes it.
    pub(crate) fn copy_row(&mut self, line: impl FnOnce(&mut BytesMut)) {
        self.framed(b'd', line);
    }

    /// One row, as `columns` writes it: the number of columns, then each with its length.
    pub(crate) fn data_row(&mut self, columns: impl FnOnce(&mut BytesMut)) {
        self.framed(b'D', columns);
    }

    fn framed(&mut self, kind: u8, body: impl FnOnce(&mut BytesMut)) {
        self.bytes.put_u8(kind);
        patched(&mut self.bytes, 4, body);
    }
}

/// Writes a length of four bytes and then `body`; the length counts `own` bytes more than the body.
pub(crate) fn patched(bytes: &mut BytesMut, own: i32, body: impl FnOnce(&mut BytesMut)) {
    let at = bytes.len();
    bytes.put_i32(0);
    body(bytes);
    let length = (bytes.len() - at - 4) as i32 + own;
    (&mut bytes[at..at + 4]).put_i32(length);
}

/// A zero would end the field early.
fn without_zeros(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::error::SqlState;

    #[test]
    fn an_error_carries_hint_and_position() {
        let mut out = Outbox::default();
        let error = SqlError::new(SqlState::SyntaxError, "bad \0 byte")
            .hint("Try again.")
            .at(3);
        out.error(Severity::Error, &error);
        assert_eq!(
            out.bytes()[5..].to_vec(),
            "SERROR\0VERROR\0C42601\0Mbad \u{fffd} byte\0HTry again.\0P3\0\0".as_bytes()
        );
    }

    #[test]
    fn lengths_are_patched() {
        let mut out = Outbox::default();
        out.copy_row(|line| line.put_slice(b"a\t1\n"));
        out.data_row(|row| {
            row.put_i16(1);
            patched(row, 0, |column| column.put_slice(b"xyz"));
        });
        assert_eq!(
            out.bytes()[..],
            b"d\0\0\0\x08a\t1\nD\0\0\0\x0d\0\x01\0\0\0\x03xyz"[..]
        );
    }
}
