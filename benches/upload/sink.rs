//! A server of EBS direct that keeps nothing: it counts what is put, and answers as late, as slowly
//! and as unwillingly as it is told. A thread a connection.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The size of a block.
const BLOCK: usize = 512 << 10;

/// How it answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Manner {
    /// How long it takes over each put.
    pub(crate) delay: Duration,
    /// How many puts a second it takes, and no more.
    pub(crate) limit: Option<u32>,
}

/// What it has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) puts: u64,
    pub(crate) zeros: u64,
    pub(crate) refused: u64,
    pub(crate) most_at_once: u64,
}

/// A running server.
pub(crate) struct Sink {
    pub(crate) url: String,
    state: Arc<State>,
}

struct State {
    manner: Manner,
    puts: AtomicU64,
    zeros: AtomicU64,
    refused: AtomicU64,
    at_once: AtomicU64,
    most_at_once: AtomicU64,
    second: Mutex<(Instant, u32)>,
    ended: AtomicBool,
}

impl Sink {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let url = format!("http://{}", listener.local_addr().expect("a bound port"));
        let state = Arc::new(State {
            manner,
            puts: AtomicU64::new(0),
            zeros: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            at_once: AtomicU64::new(0),
            most_at_once: AtomicU64::new(0),
            second: Mutex::new((Instant::now(), 0)),
            ended: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.ended.load(Relaxed) {
                    return;
                }
                let state = Arc::clone(&shared);
                std::thread::spawn(move || drop(state.converse(&stream)));
            }
        });
        Self { url, state }
    }

    pub(crate) fn seen(&self) -> Seen {
        let state = &self.state;
        Seen {
            puts: state.puts.load(Relaxed),
            zeros: state.zeros.load(Relaxed),
            refused: state.refused.load(Relaxed),
            most_at_once: state.most_at_once.load(Relaxed),
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.state.ended.store(true, Relaxed);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

impl State {
    /// Answers the requests of one connection, one after the other.
    fn converse(&self, stream: &TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::with_capacity(16 << 10, stream);
        let mut body = vec![0; BLOCK];
        let mut line = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let request = line.clone();
            let (mut length, mut checksum) = (0, String::new());
            loop {
                line.clear();
                reader.read_line(&mut line)?;
                let Some((name, value)) = line.trim_end().split_once(": ") else { break };
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.parse().unwrap_or(0);
                } else if name.eq_ignore_ascii_case("x-amz-checksum") {
                    value.clone_into(&mut checksum);
                }
            }
            body.resize(length, 0);
            reader.read_exact(&mut body)?;
            self.answer(stream, &request, &checksum, &body)?;
        }
    }

    fn answer(
        &self,
        stream: &TcpStream,
        request: &str,
        checksum: &str,
        body: &[u8],
    ) -> std::io::Result<()> {
        if request.starts_with("POST /snapshots/completion/") {
            return respond(stream, "202 Accepted", "", r#"{"Status":"pending"}"#);
        }
        if request.starts_with("POST /snapshots") {
            let answer = r#"{"SnapshotId":"snap-0123456789abcdef0","BlockSize":524288,"VolumeSize":2,"Status":"pending","OwnerId":"123456789012"}"#;
            return respond(stream, "201 Created", "", answer);
        }
        let now = self.at_once.fetch_add(1, Relaxed) + 1;
        self.most_at_once.fetch_max(now, Relaxed);
        std::thread::sleep(self.manner.delay);
        self.at_once.fetch_sub(1, Relaxed);
        if self.is_too_fast() {
            self.refused.fetch_add(1, Relaxed);
            let head = "x-amzn-ErrorType: RequestThrottledException\r\n";
            let why = r#"{"Message":"too fast","Reason":"RESOURCE_LEVEL_THROTTLE"}"#;
            return respond(stream, "400 Bad Request", head, why);
        }
        self.puts.fetch_add(1, Relaxed);
        // Random bytes end this at the first word.
        if body.chunks(64).all(|chunk| chunk.iter().all(|byte| *byte == 0)) {
            self.zeros.fetch_add(1, Relaxed);
        }
        let head = format!("x-amz-Checksum: {checksum}\r\nx-amz-Checksum-Algorithm: SHA256\r\n");
        respond(stream, "201 Created", &head, "")
    }

    fn is_too_fast(&self) -> bool {
        let Some(limit) = self.manner.limit else { return false };
        let mut second = self.second.lock().expect("nobody panics with it");
        if second.0.elapsed() >= Duration::from_secs(1) {
            *second = (Instant::now(), 0);
        }
        second.1 += 1;
        second.1 > limit
    }
}

fn respond(mut stream: &TcpStream, status: &str, head: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    let text = format!("HTTP/1.1 {status}\r\n{head}Content-Length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes())
}
