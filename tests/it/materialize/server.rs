//! A server that plays a transcript: a text file that says what is sent and what must come in return.
//!
//! ```text
//! # a comment
//! == session                          the next connection; each is played once, in order
//! @include startup-26.19.txt          lines of another file
//! >> Query "SELECT mz_version()"      what the client must send next
//! << DataRow "v26.19.0"               what the server sends next
//! -- pieces 3                         from here on the server sends so many bytes at a time
//! -- eof                              the server closes the connection
//! -- silence                          the server says nothing until the client is gone
//! ```
//!
//! With WIKITOP_REWRITE=1 the lines `>>` are written anew from what the client does send: to be read in review.

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
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/materialize");
        let sessions = sessions(&directory.join(name));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Server {
            address: listener.local_addr().unwrap(),
            played: tokio::spawn(async move {
                let mut answers = Vec::new();
                for session in sessions {
                    let (stream, _) = listener.accept().await.unwrap();
                    play(session, stream, &mut answers).await;
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
            let expected = line.text.strip_prefix(">> ").unwrap();
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

async fn play(session: Vec<Line>, mut stream: TcpStream, answers: &mut Vec<Answer>) {
    stream.set_nodelay(true).unwrap();
    let mut client = wire::Client::default();
    let mut piece = usize::MAX;
    for line in session {
        let text = line.text.clone();
        match text.split_at(3) {
            (">> ", _) => {
                let actual = client.next_line(&mut stream).await;
                let actual = actual.unwrap_or_else(|| "(nothing: the client is gone)".to_owned());
                answers.push(Answer { line, actual });
            }
            ("<< ", message) => {
                for bytes in wire::encode(message).chunks(piece) {
                    // A client that is gone shows in what it did not send.
                    let _ = stream.write_all(bytes).await;
                    tokio::task::yield_now().await;
                }
            }
            ("-- ", "eof") => return,
            ("-- ", "silence") => {
                let _ = stream.read_to_end(&mut Vec::new()).await;
                return;
            }
            ("-- ", directive) => {
                piece = directive.strip_prefix("pieces ").unwrap().parse().unwrap();
            }
            _ => panic!("{}:{}: {text}", line.file.display(), line.number),
        }
    }
    // The transcript has ended before the client: it closes when it wants to.
    let _ = stream.read_to_end(&mut Vec::new()).await;
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
            lines[answer.line.number - 1] = format!(">> {}", answer.actual);
        }
        let rewritten = lines.join("\n") + "\n";
        // Other tests may be reading the lines that several transcripts include.
        if rewritten != text {
            std::fs::write(path, rewritten).unwrap();
        }
    }
}
