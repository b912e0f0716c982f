//! A server that plays a transcript: a text file that says what is sent and what must come in return.
//!
//! ```text
//! # a comment
//! == session                          the next connection; each is played once, in order
//! @include startup-26.19.txt          lines of another file
//! >> Query "SELECT mz_version()"      what the client must send next
//! >+ CancelRequest 7 7                what a connection of its own must send meanwhile, and nothing else
//! << DataRow "v26.19.0"               what the server sends next
//! -- pieces 3                         from here on the server sends so many bytes at a time
//! -- pieces random                    and from here on as many as the test's random numbers say
//! -- eof                              the server closes the connection
//! -- torn                             the same in the middle of the message before
//! -- silence                          the server says nothing until the client is gone
//! ```
//!
//! With WIKITOP_REWRITE=1 the lines `>>` and `>+` are written anew from what the client does send: to be read in review.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::wire;

/// How long a transcript may take: it is a matter of milliseconds, on however loaded a machine.
const DEADLINE: Duration = Duration::from_secs(60);

/// What is missing of a message that is torn.
const TORN_BYTES: usize = 3;

/// A running server.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    played: JoinHandle<Vec<Answer>>,
}

/// A line of a file.
#[derive(Debug, Clone)]
struct Line {
    file: PathBuf,
    number: usize,
    text: String,
}

/// What the client sent where the transcript expects something.
struct Answer {
    line: Line,
    actual: String,
}

impl Server {
    /// Plays the transcript of this name.
    pub(crate) async fn play(name: &str) -> Server {
        Server::play_with(name, fastrand::Rng::new()).await
    }

    /// The same with these random numbers.
    pub(crate) async fn play_with(name: &str, mut random: fastrand::Rng) -> Server {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/materialize");
        let sessions = sessions(&directory.join(name));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Server {
            address: listener.local_addr().unwrap(),
            played: tokio::spawn(async move {
                let mut answers = Vec::new();
                for session in sessions {
                    answers.extend(play(session, &listener, &mut random).await);
                }
                answers
            }),
        }
    }

    /// Waits for the end of the transcript and compares what came with what was expected.
    pub(crate) async fn finish(self) {
        let played = tokio::time::timeout(DEADLINE, self.played).await;
        let answers = played.expect("the transcript comes to its end").unwrap();
        if std::env::var_os("WIKITOP_REWRITE").is_some() {
            return rewrite(&answers);
        }
        for Answer { line, actual } in &answers {
            let (_, expected) = line.text.split_at(3);
            assert_eq!(actual, expected, "{}:{}", line.file.display(), line.number);
        }
    }
}

fn sessions(path: &Path) -> Vec<Vec<Line>> {
    let mut sessions: Vec<Vec<Line>> = Vec::new();
    for line in lines(path) {
        if line.text.starts_with("== ") {
            sessions.push(Vec::new());
        } else {
            sessions
                .last_mut()
                .expect("a session comes first")
                .push(line);
        }
    }
    sessions
}

fn lines(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = Vec::new();
    for (at, text) in text.lines().enumerate() {
        if let Some(name) = text.strip_prefix("@include ") {
            lines.extend(self::lines(&path.with_file_name(name)));
        } else if !text.is_empty() && !text.starts_with('#') {
            lines.push(Line {
                file: path.to_owned(),
                number: at + 1,
                text: text.to_owned(),
            });
        }
    }
    lines
}

async fn play(
    session: Vec<Line>,
    listener: &TcpListener,
    random: &mut fastrand::Rng,
) -> Vec<Answer> {
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut client = wire::Client::default();
    let (mut answers, mut unsent) = (Vec::new(), Vec::new());
    let mut pieces = Pieces::Whole;
    for line in session {
        let text = line.text.clone();
        let (sign, words) = text.split_at(3);
        if sign == "<< " {
            unsent.extend(wire::encode(words));
            continue;
        }
        if words == "torn" {
            unsent.truncate(unsent.len() - TORN_BYTES);
        }
        send(&mut stream, std::mem::take(&mut unsent), pieces, random).await;
        match (sign, words) {
            (">> ", _) => {
                let actual = heard(client.next_line(&mut stream).await);
                answers.push(Answer { line, actual });
            }
            (">+ ", _) => {
                let (mut stream, _) = listener.accept().await.unwrap();
                let actual = heard(wire::Client::default().next_line(&mut stream).await);
                answers.push(Answer { line, actual });
            }
            ("-- ", "eof" | "torn") => return answers,
            ("-- ", "silence") => break,
            ("-- ", "pieces random") => pieces = Pieces::Random,
            ("-- ", directive) => {
                let bytes = directive.strip_prefix("pieces ").unwrap();
                pieces = Pieces::Of(bytes.parse().unwrap());
            }
            _ => panic!("{}:{}: {text}", line.file.display(), line.number),
        }
    }
    send(&mut stream, unsent, pieces, random).await;
    // The transcript has ended before the client: it closes when it wants to.
    let _ = stream.read_to_end(&mut Vec::new()).await;
    answers
}

/// Messages know nothing of the pieces in which they travel.
async fn send(stream: &mut TcpStream, bytes: Vec<u8>, pieces: Pieces, random: &mut fastrand::Rng) {
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(pieces.next(rest.len(), random));
        // A client that is gone shows in what it did not send.
        let _ = stream.write_all(piece).await;
        tokio::task::yield_now().await;
        rest = after;
    }
}

fn heard(line: Option<String>) -> String {
    line.unwrap_or_else(|| "(nothing: the client is gone)".to_owned())
}

/// How bytes are cut into what is written at once.
#[derive(Clone, Copy)]
enum Pieces {
    Whole,
    Of(usize),
    Random,
}

impl Pieces {
    /// The length of the next piece of so many bytes.
    fn next(self, rest: usize, random: &mut fastrand::Rng) -> usize {
        match self {
            Pieces::Whole => rest,
            Pieces::Of(bytes) => bytes.min(rest),
            Pieces::Random => random.usize(1..=rest.min(64)),
        }
    }
}

fn rewrite(answers: &[Answer]) {
    let mut files: BTreeMap<&Path, Vec<&Answer>> = BTreeMap::new();
    for answer in answers {
        files.entry(&answer.line.file).or_default().push(answer);
    }
    for (path, answers) in files {
        let text = std::fs::read_to_string(path).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for answer in answers {
            let (sign, _) = answer.line.text.split_at(3);
            lines[answer.line.number - 1] = format!("{sign}{}", answer.actual);
        }
        let rewritten = lines.join("\n") + "\n";
        // Other tests may be reading the lines that several transcripts include.
        if rewritten != text {
            std::fs::write(path, rewritten).unwrap();
        }
    }
}
