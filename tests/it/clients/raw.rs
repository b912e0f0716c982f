//! A client that speaks the protocol byte by byte, and tells what it hears one message a line.

use std::net::SocketAddr;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::within;

/// One message of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) kind: char,
    pub(super) body: Bytes,
}

/// A connection.
pub(super) struct Raw {
    pub(super) stream: TcpStream,
    inbox: BytesMut,
    /// Number and secret, for cancel requests.
    pub(super) key: (i32, i32),
}

impl Raw {
    /// A connection that has said nothing yet.
    pub(super) async fn connect(address: SocketAddr) -> Raw {
        Raw::over(within(TcpStream::connect(address)).await.unwrap())
    }

    /// The same over a socket that has been set up.
    pub(super) fn over(stream: TcpStream) -> Raw {
        Raw {
            stream,
            inbox: BytesMut::new(),
            key: (0, 0),
        }
    }

    /// A connection whose session has begun.
    pub(super) async fn session(address: SocketAddr) -> Raw {
        let mut raw = Raw::connect(address).await;
        raw.startup(&[("user", "materialize"), ("database", "materialize")])
            .await;
        for heard in raw.until_ready().await {
            if heard.kind == 'K' {
                let mut body = heard.body;
                raw.key = (body.get_i32(), body.get_i32());
            }
        }
        raw
    }

    pub(super) async fn startup(&mut self, parameters: &[(&str, &str)]) {
        let mut body = BytesMut::new();
        body.put_i32(196_608);
        for (name, value) in parameters {
            body.put_slice(name.as_bytes());
            body.put_u8(0);
            body.put_slice(value.as_bytes());
            body.put_u8(0);
        }
        body.put_u8(0);
        self.packet(&body).await;
    }

    /// Sends a packet without a type byte.
    pub(super) async fn packet(&mut self, body: &[u8]) {
        let mut packet = BytesMut::new();
        packet.put_i32(body.len() as i32 + 4);
        packet.put_slice(body);
        self.bytes(&packet).await;
    }

    pub(super) async fn send(&mut self, kind: char, body: &[u8]) {
        let mut message = BytesMut::new();
        message.put_u8(kind as u8);
        message.put_i32(body.len() as i32 + 4);
        message.put_slice(body);
        self.bytes(&message).await;
    }

    pub(super) async fn bytes(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.unwrap();
    }

    pub(super) async fn query(&mut self, sql: &str) {
        self.send('Q', format!("{sql}\0").as_bytes()).await;
    }

    /// The next message; `None` when the server has hung up.
    pub(super) async fn hear(&mut self) -> Option<Heard> {
        loop {
            if self.inbox.len() >= 5 {
                let length = (&self.inbox[1..5]).get_u32() as usize;
                if self.inbox.len() > length {
                    let mut message = self.inbox.split_to(length + 1).freeze();
                    let kind = char::from(message.get_u8());
                    message.advance(4);
                    return Some(Heard {
                        kind,
                        body: message,
                    });
                }
            }
            match within(self.stream.read_buf(&mut self.inbox)).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// All messages up to ReadyForQuery, which is the last.
    pub(super) async fn until_ready(&mut self) -> Vec<Heard> {
        let mut all = Vec::new();
        loop {
            let heard = self.hear().await.expect("the server has not hung up");
            let ready = heard.kind == 'Z';
            all.push(heard);
            if ready {
                return all;
            }
        }
    }

    /// The SQLSTATE of the next error.
    pub(super) async fn error(&mut self) -> String {
        loop {
            let heard = self.hear().await.expect("an error before the end");
            if heard.kind == 'E' {
                return heard.field('C').expect("an error has a state");
            }
        }
    }
}

impl Heard {
    /// A field of an error or a notice.
    pub(super) fn field(&self, name: char) -> Option<String> {
        let mut fields = self.body.split(|byte| *byte == 0);
        fields.find_map(|field| {
            let (kind, text) = field.split_first()?;
            (char::from(*kind) == name).then(|| String::from_utf8(text.to_vec()).unwrap())
        })
    }

    /// A line for a transcript.
    pub(super) fn line(&self) -> String {
        let mut body = self.body.clone();
        let text = |body: &mut Bytes| {
            let end = body.iter().position(|byte| *byte == 0).unwrap();
            let text = String::from_utf8(body.split_to(end).to_vec()).unwrap();
            body.advance(1);
            text
        };
        match self.kind {
            'R' => format!("Authentication {}", body.get_i32()),
            'S' => format!("ParameterStatus {} = {}", text(&mut body), text(&mut body)),
            'K' => "BackendKeyData".to_owned(),
            'Z' => format!("ReadyForQuery {}", char::from(body[0])),
            'C' => format!("CommandComplete {}", text(&mut body)),
            'I' => "EmptyQueryResponse".to_owned(),
            '1' => "ParseComplete".to_owned(),
            '2' => "BindComplete".to_owned(),
            '3' => "CloseComplete".to_owned(),
            'n' => "NoData".to_owned(),
            's' => "PortalSuspended".to_owned(),
            'c' => "CopyDone".to_owned(),
            'd' => format!("CopyData {:?}", String::from_utf8_lossy(&body)),
            'G' | 'H' => {
                let name = if self.kind == 'G' { "In" } else { "Out" };
                let format = body.get_i8();
                format!(
                    "Copy{name}Response format {format}, {} columns",
                    body.get_i16()
                )
            }
            't' => {
                let count = body.get_u16();
                let oids: Vec<u32> = (0..count).map(|_| body.get_u32()).collect();
                format!("ParameterDescription {oids:?}")
            }
            'T' => {
                let count = body.get_u16();
                let fields: Vec<String> = (0..count)
                    .map(|_| {
                        let name = text(&mut body);
                        body.advance(6);
                        let (oid, _, modifier) = (body.get_u32(), body.get_i16(), body.get_i32());
                        let format = body.get_i16();
                        let modifier = if modifier == -1 {
                            String::new()
                        } else {
                            format!("({modifier})")
                        };
                        let format = if format == 0 { "" } else { " binary" };
                        format!("{name} {oid}{modifier}{format}")
                    })
                    .collect();
                format!("RowDescription {}", fields.join(", "))
            }
            'D' => {
                let count = body.get_u16();
                let values: Vec<String> = (0..count)
                    .map(|_| match body.get_i32() {
                        -1 => "NULL".to_owned(),
                        length => {
                            let bytes = body.split_to(length as usize);
                            match std::str::from_utf8(&bytes) {
                                Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
                                _ => format!("{bytes:?}"),
                            }
                        }
                    })
                    .collect();
                format!("DataRow {}", values.join(" | "))
            }
            'E' | 'N' => {
                let name = if self.kind == 'E' { "Error" } else { "Notice" };
                let field = |name| self.field(name).unwrap_or_default();
                let mut line = format!("{name} {} {}: {}", field('S'), field('C'), field('M'));
                if let Some(hint) = self.field('H') {
                    line.push_str(&format!(" | {hint}"));
                }
                if let Some(at) = self.field('P') {
                    line.push_str(&format!(" | at {at}"));
                }
                line
            }
            other => format!("{other} {body:?}"),
        }
    }
}
