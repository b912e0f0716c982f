//! Frontend messages, whole, in pieces, and malformed.

use super::*;
use bytes::BufMut;
use proptest::prelude::*;

fn framed(kind: u8, body: &[u8]) -> BytesMut {
    let mut bytes = BytesMut::new();
    bytes.put_u8(kind);
    bytes.put_i32(body.len() as i32 + 4);
    bytes.put_slice(body);
    bytes
}

#[test]
fn reads_messages_byte_by_byte() {
    let mut whole = framed(b'Q', b"SELECT 1\0");
    whole.extend(framed(b'P', b"s\0SELECT $1\0\x00\x01\x00\x00\x00\x14"));
    whole.extend(framed(
        b'B',
        b"\0s\0\x00\x01\x00\x01\x00\x02\xff\xff\xff\xff\x00\x00\x00\x01x\x00\x00",
    ));
    whole.extend(framed(b'D', b"Ss\0"));
    whole.extend(framed(b'E', b"\0\x00\x00\x00\x02"));
    whole.extend(framed(b'S', b""));
    let mut buffer = BytesMut::new();
    let mut seen = Vec::new();
    for byte in whole {
        buffer.put_u8(byte);
        seen.extend(message(&mut buffer).unwrap());
    }
    assert!(buffer.is_empty());
    assert_eq!(
        seen,
        [
            Message::Query("SELECT 1".into()),
            Message::Parse {
                name: "s".into(),
                sql: "SELECT $1".into(),
                types: vec![20],
            },
            Message::Bind {
                portal: String::new(),
                statement: "s".into(),
                parameter_formats: vec![1],
                parameters: vec![None, Some(Bytes::from_static(b"x"))],
                result_formats: vec![],
            },
            Message::Describe(Target::Statement, "s".into()),
            Message::Execute {
                portal: String::new(),
                rows_max: 2,
            },
            Message::Sync,
        ]
    );
}

#[test]
fn lies_about_lengths_are_errors() {
    let table: [(&[u8], ProtocolError); 7] = [
        (b"Q\x00\x00\x00\x03", ProtocolError::InvalidLength(3)),
        (b"Q\xff\xff\xff\xff", ProtocolError::InvalidLength(-1)),
        (b"Q\x7f\xff\xff\xff", ProtocolError::TooLong(0x7fff_ffff)),
        (b"P\x00\x00\x00\x04", ProtocolError::Malformed('P')),
        (
            b"B\x00\x00\x00\x08\0\0\xff\xff",
            ProtocolError::Malformed('B'),
        ),
        (b"D\x00\x00\x00\x06Z\0", ProtocolError::Malformed('D')),
        (b"\x16\x00\x00\x00\x04", ProtocolError::UnknownType(0x16)),
    ];
    for (bytes, error) in table {
        assert_eq!(message(&mut BytesMut::from(bytes)), Err(error), "{bytes:?}");
    }
}

#[test]
fn opens_in_four_ways() {
    let ssl = b"\x00\x00\x00\x08\x04\xd2\x16\x2f";
    assert_eq!(
        opening(&mut BytesMut::from(&ssl[..])),
        Ok(Some(Opening::Ssl))
    );
    let cancel = b"\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x07\xff\xff\xff\xff";
    assert_eq!(
        opening(&mut BytesMut::from(&cancel[..])),
        Ok(Some(Opening::Cancel { pid: 7, secret: -1 }))
    );
    let startup = b"\x00\x00\x00\x12\x00\x03\x00\x00user\0ann\0\0";
    for cut in 0..startup.len() {
        assert_eq!(opening(&mut BytesMut::from(&startup[..cut])), Ok(None));
    }
    assert_eq!(
        opening(&mut BytesMut::from(&startup[..])),
        Ok(Some(Opening::Startup {
            minor: 0,
            parameters: vec![("user".into(), "ann".into())],
        }))
    );
    let http = b"GET / HTTP/1.1\r\n\r\n";
    assert!(opening(&mut BytesMut::from(&http[..])).is_err());
    let old = b"\x00\x00\x00\x09\x00\x02\x00\x00\0";
    assert_eq!(
        opening(&mut BytesMut::from(&old[..])),
        Err(ProtocolError::UnsupportedProtocol(2, 0))
    );
}

#[test]
fn waiting_messages_are_seen_and_left() {
    let mut buffer = framed(b'S', b"");
    buffer.extend(framed(b'X', b""));
    buffer.extend_from_slice(b"Q\x00\x00");
    assert_eq!(waiting(&buffer).collect::<Vec<_>>(), b"SX");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        kind in prop::sample::select(b"QPBDECHSdcfpXz\x00".to_vec()),
        body in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut buffer = framed(kind, &body);
        let _ = message(&mut buffer);
        let _ = waiting(&body).count();
    }

    #[test]
    fn no_opening_makes_it_panic(
        code in prop::sample::select(vec![196_608u32, 196_610, 80_877_102, 80_877_103, 0, u32::MAX]),
        body in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut packet = BytesMut::new();
        packet.put_u32(body.len() as u32 + 8);
        packet.put_u32(code);
        packet.put_slice(&body);
        let _ = opening(&mut packet);
        let _ = opening(&mut BytesMut::from(&body[..]));
    }

    #[test]
    fn a_stream_of_anything_is_read_alike_in_any_pieces(
        stream in prop::collection::vec(piece(), 0..8).prop_map(|pieces| pieces.concat()),
        cuts in prop::collection::vec(1_usize..40, 1..20),
    ) {
        let whole = read_all(&mut [&stream[..]].into_iter());
        let mut rest = &stream[..];
        let mut cuts = cuts.iter().cycle();
        let mut pieces = std::iter::from_fn(|| {
            let at = (*cuts.next()?).min(rest.len());
            let (piece, after) = rest.split_at(at);
            rest = after;
            (!piece.is_empty()).then_some(piece)
        });
        prop_assert_eq!(read_all(&mut pieces), whole);
    }
}

/// Whole messages, torn ones, and bytes that are none.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(b"QPBDECHSdcfpX\x16".to_vec());
    let body = prop::collection::vec(prop::sample::select(b"SP\0\x01a\xff".to_vec()), 0..24);
    let message = (kind, body, -3_i32..4).prop_map(|(kind, body, lie)| {
        let mut message = vec![kind];
        message.extend((body.len() as i32 + 4 + lie).to_be_bytes());
        message.extend(body);
        message
    });
    let promise = Just(b"Q\x00\xff\xff\xff".to_vec());
    prop_oneof![8 => message, 1 => promise, 1 => prop::collection::vec(any::<u8>(), 0..12)]
}

/// What a connection reads, up to the error that ends it. No promise of a long message makes it take much memory.
fn read_all(pieces: &mut dyn Iterator<Item = &[u8]>) -> (Vec<Message>, Option<ProtocolError>) {
    let (mut buffer, mut messages, mut received) = (BytesMut::new(), Vec::new(), 0);
    for piece in pieces {
        received += piece.len();
        buffer.extend_from_slice(piece);
        loop {
            let _ = waiting(&buffer).count();
            match message(&mut buffer) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(buffer.capacity() <= 4 * (received + READ_BYTES));
    }
    (messages, None)
}
