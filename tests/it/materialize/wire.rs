//! The messages of the Postgres protocol as lines of text, both directions: what a transcript can say.

use std::collections::HashMap;

use tokio::io::{AsyncRead, AsyncReadExt};

/// A word of a line: a bare word, or a JSON string; `null` is NULL.
type Words = Vec<Option<String>>;

/// The bytes of a server's message.
pub(crate) fn encode(line: &str) -> Vec<u8> {
    let words = words(line);
    let text = |at: usize| words[at].clone().unwrap();
    let name = text(0);
    let arguments = &words[1..];
    let (tag, body) = match name.as_str() {
        "AuthenticationOk" => (b'R', 0i32.to_be_bytes().to_vec()),
        "AuthenticationCleartextPassword" => (b'R', 3i32.to_be_bytes().to_vec()),
        "ParameterStatus" => (b'S', [zero_ended(&text(1)), zero_ended(&text(2))].concat()),
        "BackendKeyData" => (
            b'K',
            arguments
                .iter()
                .flat_map(|word| int32(word.as_ref()))
                .collect(),
        ),
        "ReadyForQuery" => (b'Z', text(1).into_bytes()),
        "NoticeResponse" => (b'N', fields(arguments)),
        "ErrorResponse" => (b'E', fields(arguments)),
        "RowDescription" => (b'T', row_description(arguments)),
        "DataRow" => (b'D', data_row(arguments)),
        "CommandComplete" => (b'C', zero_ended(&text(1))),
        "ParameterDescription" => (b't', counted(arguments, |word| int32(word.as_ref()))),
        "NoData" => (b'n', Vec::new()),
        "ParseComplete" => (b'1', Vec::new()),
        "BindComplete" => (b'2', Vec::new()),
        "CloseComplete" => (b'3', Vec::new()),
        "CopyOutResponse" => (b'H', copy_response(arguments)),
        "CopyInResponse" => (b'G', copy_response(arguments)),
        "CopyData" => (b'd', text(1).into_bytes()),
        "CopyDone" => (b'c', Vec::new()),
        // The one answer that is no message: a single letter.
        "NoTls" => return vec![b'N'],
        other => panic!("no message {other}"),
    };
    let length = i32::try_from(body.len() + 4).unwrap();
    [vec![tag], length.to_be_bytes().to_vec(), body].concat()
}

fn words(line: &str) -> Words {
    let mut words = Words::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        if rest.starts_with('"') {
            let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
            words.push(Some(strings.next().unwrap().unwrap()));
            rest = rest[strings.byte_offset()..].trim_start();
        } else {
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            words.push((word != "null").then(|| word.to_owned()));
            rest = after.trim_start();
        }
    }
    words
}

fn zero_ended(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

fn int32(word: Option<&String>) -> Vec<u8> {
    word.unwrap().parse::<i32>().unwrap().to_be_bytes().to_vec()
}

fn counted(words: &[Option<String>], encode: impl Fn(&Option<String>) -> Vec<u8>) -> Vec<u8> {
    let count = i16::try_from(words.len()).unwrap().to_be_bytes();
    let encoded: Vec<u8> = words.iter().flat_map(encode).collect();
    [count.as_slice(), &encoded].concat()
}

/// Severity, code, message, perhaps a hint.
fn fields(words: &[Option<String>]) -> Vec<u8> {
    let fields = words.iter().zip(["S", "C", "M", "H"]);
    let mut body: Vec<u8> = fields
        .flat_map(|(word, tag)| zero_ended(&format!("{tag}{}", word.as_ref().unwrap())))
        .collect();
    body.push(0);
    body
}

/// `name:oid` for each column.
fn row_description(words: &[Option<String>]) -> Vec<u8> {
    counted(words, |word| {
        let (name, oid) = word.as_ref().unwrap().rsplit_once(':').unwrap();
        let mut field = zero_ended(name);
        field.extend([0; 6]);
        field.extend(oid.parse::<i32>().unwrap().to_be_bytes());
        field.extend((-1i16).to_be_bytes());
        field.extend((-1i32).to_be_bytes());
        field.extend([0; 2]);
        field
    })
}

fn data_row(words: &[Option<String>]) -> Vec<u8> {
    counted(words, |word| match word {
        None => (-1i32).to_be_bytes().to_vec(),
        Some(text) => {
            let length = i32::try_from(text.len()).unwrap().to_be_bytes();
            [length.as_slice(), text.as_bytes()].concat()
        }
    })
}

/// So many columns, all in text form.
fn copy_response(words: &[Option<String>]) -> Vec<u8> {
    let columns: i16 = words[0].as_ref().unwrap().parse().unwrap();
    let formats = vec![0; 2 * columns as usize];
    [vec![0], columns.to_be_bytes().to_vec(), formats].concat()
}

/// Reads a client's messages and writes them as lines.
#[derive(Default)]
pub(crate) struct Client {
    started: bool,
    /// A client numbers its statements through the life of its process; a transcript numbers them within a session.
    statements: HashMap<String, String>,
}

impl Client {
    /// The next message as a line; `None` when the client is gone.
    pub(crate) async fn next_line(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> Option<String> {
        let tag = match self.started {
            true => stream.read_u8().await.ok()?,
            false => 0,
        };
        let length = usize::try_from(stream.read_i32().await.ok()?).unwrap() - 4;
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        self.started = true;
        Some(self.describe(tag, &body))
    }

    fn describe(&mut self, tag: u8, body: &[u8]) -> String {
        match tag {
            0 => startup(body),
            b'Q' => format!("Query {}", json(&strings(body)[0])),
            b'P' => {
                let strings = strings(body);
                format!(
                    "Parse {} {}",
                    self.statement(&strings[0]),
                    json(&strings[1])
                )
            }
            b'D' => format!("Describe {}", self.statement(&strings(&body[1..])[0])),
            b'B' => format!("Bind {}", self.statement(&strings(body)[1])),
            b'C' => format!("Close {}", self.statement(&strings(&body[1..])[0])),
            b'E' => "Execute".to_owned(),
            b'S' => "Sync".to_owned(),
            b'd' => format!("CopyData {}", json(&String::from_utf8_lossy(body))),
            b'c' => "CopyDone".to_owned(),
            b'f' => format!("CopyFail {}", json(&strings(body)[0])),
            b'p' => format!("Password {}", json(&strings(body)[0])),
            b'X' => "Terminate".to_owned(),
            other => format!("Message {:?}", char::from(other)),
        }
    }

    fn statement(&mut self, name: &str) -> String {
        let next = format!("s{}", self.statements.len());
        self.statements
            .entry(name.to_owned())
            .or_insert(next)
            .clone()
    }
}

/// The first message of a connection; one that cancels begins with a code of its own, and is all that its connection says.
fn startup(body: &[u8]) -> String {
    const CANCEL: [u8; 4] = 80_877_102_i32.to_be_bytes();
    const TLS: [u8; 4] = 80_877_103_i32.to_be_bytes();
    if body == TLS {
        return "SSLRequest".to_owned();
    }
    if let Some(session) = body.strip_prefix(&CANCEL) {
        let number = |at: usize| i32::from_be_bytes(session[at..at + 4].try_into().unwrap());
        return format!("CancelRequest {} {}", number(0), number(4));
    }
    let mut strings = strings(&body[4..]).into_iter();
    let mut parameters = Vec::new();
    while let (Some(name), Some(value)) = (strings.next(), strings.next()) {
        if !name.is_empty() {
            parameters.push(format!("{name}={value}"));
        }
    }
    parameters.sort();
    format!("Startup {}", parameters.join(" "))
}

/// The zero-ended strings at the start of a body.
fn strings(body: &[u8]) -> Vec<String> {
    body.split(|byte| *byte == 0)
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect()
}

fn json(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}
