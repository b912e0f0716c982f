//! Server-sent events: bytes in, events out, however the bytes are cut. Pure: it never sees a socket or a file.
//!
//! The rules are the HTML standard's ("Server-sent events", 9.2.5 and 9.2.6): lines end in LF, CR or CRLF, a byte order mark
//! may stand at the very beginning, `data` lines are joined by newlines, a blank line dispatches, and what the end of the
//! stream cuts off is discarded. It does not know what an event means, nor whether its text is UTF-8.
//!
//! Recordings are read by the same decoder ([`Framing::Recording`]), where one line an event is also an event. What looks
//! ambiguous there is not: two adjacent `data` lines belong together unless the first ends in `}` and the second begins with
//! `{`, which no single JSON document can contain at a line break.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use memchr::memchr2;

/// The longest line, and the longest event made of several lines. Events are 1.0-1.7 KB and no maximum is documented; 1 MiB
/// leaves room for whatever may come. What is longer is skipped up to its end and told as [`Item::Oversize`].
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// The longest `retry:` that is obeyed: a server's wish must not stop the stream for a day. Longer ones are cut to it.
pub const RETRY_MAX: Duration = Duration::from_secs(60);

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What the decoder yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The data of one event.
    Data(Bytes),
    /// The data of an `event: error`: the service reports in-band what went wrong.
    Error(Bytes),
    /// How long the server wants clients to wait before they reconnect.
    Retry(Duration),
    /// An event that was longer than [`LINE_BYTES_MAX`], skipped.
    Oversize,
}

/// How lines make events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// As the standard says.
    EventStream,
    /// Also NDJSON and one `data: {json}` line an event, and the last event needs no blank line after it.
    Recording,
}

/// An incremental decoder. It holds at most one line and one event, each within [`LINE_BYTES_MAX`].
#[derive(Debug)]
pub struct Decoder {
    framing: Framing,
    /// The beginning of a line whose end has not come yet.
    line: BytesMut,
    /// The current line is beyond the bound: its rest is skipped.
    overlong: bool,
    /// The last line ended in CR: an LF that comes next belongs to it.
    after_cr: bool,
    /// A first line has been seen: a byte order mark is text from now on.
    begun: bool,
    event: Event,
    last_id: Bytes,
}

/// The event whose lines are being gathered.
#[derive(Debug, Default)]
struct Event {
    data: Data,
    id: Option<Bytes>,
    is_error: bool,
    /// A line of it was skipped.
    oversize: bool,
}

/// Nearly every event has one data line, which is then shared with the chunk it came in rather than copied.
#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    One(Bytes),
    Joined(BytesMut),
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(framing: Framing) -> Self {
        Decoder {
            framing,
            line: BytesMut::new(),
            overlong: false,
            after_cr: false,
            begun: false,
            event: Event::default(),
            last_id: Bytes::new(),
        }
    }

    /// A decoder at the beginning of a connection that goes on where another ended: the last id stays until the next one.
    pub fn resuming(framing: Framing, last_id: Bytes) -> Self {
        Decoder {
            last_id,
            ..Decoder::new(framing)
        }
    }

    /// The id of the last event; empty before the first.
    pub fn last_id(&self) -> &Bytes {
        &self.last_id
    }

    /// Takes the next bytes of the stream and appends to `items` what they complete.
    pub fn feed(&mut self, mut chunk: Bytes, items: &mut Vec<Item>) {
        if self.after_cr && !chunk.is_empty() {
            self.after_cr = false;
            if chunk[0] == b'\n' {
                chunk = chunk.slice(1..);
            }
        }
        let mut start = 0;
        while let Some(length) = memchr2(b'\n', b'\r', &chunk[start..]) {
            let end = start + length;
            self.end_line(chunk.slice(start..end), items);
            start = end + 1;
            if chunk[end] == b'\r' {
                match chunk.get(start) {
                    Some(b'\n') => start += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
        }
        self.keep_rest(&chunk[start..]);
    }

    /// The stream has ended. Only a recording's last event may lack its end; of a stream, an unfinished event is discarded,
    /// since it will be sent again.
    pub fn finish(&mut self, items: &mut Vec<Item>) {
        if self.framing == Framing::Recording {
            if !self.line.is_empty() || self.overlong {
                self.end_line(Bytes::new(), items);
            }
            self.dispatch(items);
        }
        *self = Decoder::new(self.framing);
    }

    fn keep_rest(&mut self, rest: &[u8]) {
        if self.overlong {
            return;
        }
        if self.line.len() + rest.len() > LINE_BYTES_MAX {
            self.overlong = true;
            self.line = BytesMut::new();
        } else {
            self.line.extend_from_slice(rest);
        }
    }

    fn end_line(&mut self, end: Bytes, items: &mut Vec<Item>) {
        if self.overlong || self.line.len() + end.len() > LINE_BYTES_MAX {
            self.overlong = false;
            self.line.clear();
            self.begun = true;
            self.skip_line(items);
            return;
        }
        let mut line = end;
        if !self.line.is_empty() {
            self.line.extend_from_slice(&line);
            line = self.line.split().freeze();
        }
        if !self.begun {
            self.begun = true;
            if line.starts_with(BYTE_ORDER_MARK) {
                line = line.slice(BYTE_ORDER_MARK.len()..);
            }
        }
        self.take_line(line, items);
    }

    fn skip_line(&mut self, items: &mut Vec<Item>) {
        match self.framing {
            Framing::EventStream => self.event.oversize = true,
            // There a line is an event by itself.
            Framing::Recording => {
                self.dispatch(items);
                items.push(Item::Oversize);
            }
        }
    }

    fn take_line(&mut self, line: Bytes, items: &mut Vec<Item>) {
        if line.is_empty() {
            self.dispatch(items);
            return;
        }
        if self.framing == Framing::Recording && line[0] == b'{' {
            self.dispatch(items);
            items.push(Item::Data(line));
            return;
        }
        let (name, value) = field(&line);
        match name {
            b"data" => self.take_data(line.slice(value..), items),
            b"id" if !line[value..].contains(&0) => self.event.id = Some(line.slice(value..)),
            b"event" => self.event.is_error = &line[value..] == b"error",
            b"retry" => items.extend(retry(&line[value..])),
            _ => {}
        }
    }

    fn take_data(&mut self, value: Bytes, items: &mut Vec<Item>) {
        if self.framing == Framing::Recording && self.event.data.is_before(&value) {
            self.dispatch(items);
        }
        let event = &mut self.event;
        match &mut event.data {
            Data::None => event.data = Data::One(value),
            Data::One(first) => {
                let mut joined = BytesMut::from(&first[..]);
                event.oversize |= !join(&mut joined, &value);
                event.data = Data::Joined(joined);
            }
            Data::Joined(joined) => event.oversize |= !join(joined, &value),
        }
    }

    fn dispatch(&mut self, items: &mut Vec<Item>) {
        let event = std::mem::take(&mut self.event);
        self.last_id = event
            .id
            .unwrap_or_else(|| std::mem::take(&mut self.last_id));
        if event.oversize {
            items.push(Item::Oversize);
            return;
        }
        let data = match event.data {
            Data::None => return,
            Data::One(data) => data,
            Data::Joined(data) => data.freeze(),
        };
        items.push(match event.is_error {
            true => Item::Error(data),
            false => Item::Data(data),
        });
    }
}

impl Data {
    /// The next data line begins another event, though no blank line stands between.
    fn is_before(&self, next: &[u8]) -> bool {
        let last = match self {
            Data::None => None,
            Data::One(data) => data.last(),
            Data::Joined(data) => data.last(),
        };
        last == Some(&b'}') && next.first() == Some(&b'{')
    }
}

/// A line's field name, and where its value begins; a comment has an empty name.
fn field(line: &[u8]) -> (&[u8], usize) {
    // The one name that stands before nearly all of the bytes is not searched for.
    let colon = match line.starts_with(b"data:") {
        true => 4,
        false => match memchr::memchr(b':', line) {
            Some(colon) => colon,
            None => return (line, line.len()),
        },
    };
    let space = usize::from(line.get(colon + 1) == Some(&b' '));
    (&line[..colon], colon + 1 + space)
}

/// Appends a data line; false when the event has outgrown its bound.
fn join(joined: &mut BytesMut, value: &[u8]) -> bool {
    if joined.len() + 1 + value.len() > LINE_BYTES_MAX {
        return false;
    }
    joined.extend_from_slice(b"\n");
    joined.extend_from_slice(value);
    true
}

fn retry(value: &[u8]) -> Option<Item> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let ms = std::str::from_utf8(value).ok()?.parse().unwrap_or(u64::MAX);
    Some(Item::Retry(Duration::from_millis(ms).min(RETRY_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(framing: Framing, chunks: &[&[u8]]) -> Vec<Item> {
        let (mut decoder, mut items) = (Decoder::new(framing), Vec::new());
        for chunk in chunks {
            decoder.feed(Bytes::copy_from_slice(chunk), &mut items);
        }
        decoder.finish(&mut items);
        items
    }

    fn stream(text: &str) -> Vec<Item> {
        decoded(Framing::EventStream, &[text.as_bytes()])
    }

    fn recording(text: &str) -> Vec<Item> {
        decoded(Framing::Recording, &[text.as_bytes()])
    }

    fn data(texts: &[&'static str]) -> Vec<Item> {
        let item = |text: &&'static str| Item::Data(Bytes::from_static(text.as_bytes()));
        texts.iter().map(item).collect()
    }

    #[test]
    fn reads_what_the_standard_says() {
        let table: &[(&str, &[&'static str])] = &[
            (":ok\n\nevent: message\nid: [1]\ndata: {}\n\n", &["{}"]),
            ("data: a\r\ndata: b\r\rdata:c\n\n", &["a\nb", "c"]),
            ("data\n\ndata\ndata\n\n", &["", "\n"]),
            ("data:  two spaces\n\n", &[" two spaces"]),
            ("dat: a\nDATA: b\nid: 7\n\n", &[]),
            ("\u{feff}data: after a mark\n\n", &["after a mark"]),
            ("\n\u{feff}data: not at the beginning\n\n", &[]),
            ("data: cut off\n", &[]),
            ("data: a: b\n\n", &["a: b"]),
        ];
        for (text, expected) in table {
            assert_eq!(stream(text), data(expected), "{text:?}");
        }
    }

    #[test]
    fn tells_errors_and_waits_apart_from_data() {
        let text = "event: error\ndata: {\"message\":\"x\"}\n\nretry: 1500\nretry: soon\nretry: 99999999999999999999999\n\n";
        let expected = [
            Item::Error(Bytes::from_static(b"{\"message\":\"x\"}")),
            Item::Retry(Duration::from_millis(1500)),
            Item::Retry(RETRY_MAX),
        ];
        assert_eq!(stream(text), expected);
    }

    #[test]
    fn the_last_id_is_that_of_the_last_dispatched_event() {
        let (mut decoder, mut items) = (Decoder::new(Framing::EventStream), Vec::new());
        let text = "id: [1]\ndata: a\n\ndata: b\n\nid: x\0y\n\nid: [2]\ndata: c\n";
        decoder.feed(Bytes::from_static(text.as_bytes()), &mut items);
        assert_eq!(&decoder.last_id()[..], b"[1]");
        decoder.feed(Bytes::from_static(b"\n"), &mut items);
        assert_eq!(&decoder.last_id()[..], b"[2]");
        assert_eq!(items, data(&["a", "b", "c"]));
    }

    #[test]
    fn reads_recordings_of_every_form() {
        let expected = data(&["{\"a\":{}}", "{\"b\":1}"]);
        for text in [
            "{\"a\":{}}\n{\"b\":1}\n",
            "{\"a\":{}}\n\n{\"b\":1}",
            "data: {\"a\":{}}\ndata: {\"b\":1}\n",
            ":ok\n\nevent: message\nid: []\ndata: {\"a\":{}}\n\nevent: message\nid: []\ndata: {\"b\":1}\n",
            "\u{feff}{\"a\":{}}\r\ndata:{\"b\":1}",
        ] {
            assert_eq!(recording(text), expected, "{text:?}");
        }
        assert_eq!(
            recording("data: {\"a\":[{}\ndata: ,{}]}\ndata: {}\n"),
            data(&["{\"a\":[{}\n,{}]}", "{}"])
        );
    }

    #[test]
    fn skips_what_is_too_long_and_reads_on() {
        let long = "x".repeat(LINE_BYTES_MAX);
        let half = "x".repeat(LINE_BYTES_MAX / 2);
        let after = [vec![Item::Oversize], data(&["{}"])].concat();
        let table = [
            format!("id: 1\ndata: {long}\n\ndata: {{}}\n\n"),
            format!("data: {half}\ndata: {half}\n\ndata: {{}}\n\n"),
            format!("data: {{}}\ndata: {long}\ndata: {{}}\n\ndata: {{}}\n\n"),
        ];
        for text in &table {
            assert_eq!(stream(text), after);
            let chunks: Vec<&[u8]> = text.as_bytes().chunks(70_001).collect();
            assert_eq!(decoded(Framing::EventStream, &chunks), after);
        }
        assert_eq!(recording(&format!("{{{long}\n{{}}")), after);
        assert_eq!(
            recording(&format!("{{}}\n{{{long}")),
            [data(&["{}"]), vec![Item::Oversize]].concat()
        );
    }

    /// The standard's algorithm over the whole text at once, as plainly as it can be written.
    fn reference(bytes: &[u8]) -> Vec<Vec<u8>> {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let (mut lines, mut line, mut at) = (Vec::new(), Vec::new(), 0);
        while at < bytes.len() {
            match bytes[at] {
                b'\n' => lines.push(std::mem::take(&mut line)),
                b'\r' => {
                    lines.push(std::mem::take(&mut line));
                    at += usize::from(bytes.get(at + 1) == Some(&b'\n'));
                }
                byte => line.push(byte),
            }
            at += 1;
        }
        let (mut events, mut data): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (Vec::new(), Vec::new());
        for line in lines {
            if line.is_empty() && !data.is_empty() {
                events.push(std::mem::take(&mut data).join(&b'\n'));
            } else if line == b"data" {
                data.push(Vec::new());
            } else if let Some(value) = line.strip_prefix(b"data:") {
                data.push(value.strip_prefix(b" ").unwrap_or(value).to_vec());
            }
        }
        events
    }

    /// Bytes that are likely to matter, and a few that are not.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let token = prop_oneof![
            Just(b"data:".to_vec()),
            Just(b"data: {\"a\":1}".to_vec()),
            Just(b"\n".to_vec()),
            Just(b"\n\n".to_vec()),
            Just(b"\r".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"{}".to_vec()),
            Just(b":".to_vec()),
            Just(b" ".to_vec()),
            Just(b"data".to_vec()),
            Just(b"id: 1".to_vec()),
            Just(BYTE_ORDER_MARK.to_vec()),
            Just("ø🦊".as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 1..4),
        ];
        prop::collection::vec(token, 0..40).prop_map(|tokens| tokens.concat())
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(bytes in bytes(), cuts in prop::collection::vec(1usize..9, 1..60)) {
            let (mut chunks, mut rest, mut cut) = (Vec::new(), &bytes[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (chunk, tail) = rest.split_at((*cut.next().unwrap()).min(rest.len()));
                chunks.push(chunk);
                rest = tail;
            }
            for framing in [Framing::EventStream, Framing::Recording] {
                prop_assert_eq!(decoded(framing, &chunks), decoded(framing, &[&bytes]));
            }
        }

        #[test]
        fn agrees_with_the_standard(bytes in bytes()) {
            let events: Vec<Vec<u8>> = decoded(Framing::EventStream, &[&bytes])
                .into_iter()
                .filter_map(|item| match item {
                    Item::Data(data) => Some(data.to_vec()),
                    _ => None,
                })
                .collect();
            prop_assert_eq!(events, reference(&bytes));
        }
    }
}
