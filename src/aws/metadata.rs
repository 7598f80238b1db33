//! The metadata service for a process that stays for months: one connection that is kept, and one
//! token, and nothing of the SDK, whose memory such a process must not have.
//!
//! [`super::imds`] is for a boot: it waits, explains, and hands out credentials. This one asks the
//! same few paths again and again, and says in a line why one answer could not be had.

use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::error::Fault;

/// As the SDK calls it: where the service is, if not at its own address.
const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// An answer comes in milliseconds, or something is wrong.
const PATIENCE: Duration = Duration::from_secs(2);

/// No value here is longer, but user-data, which is not asked for.
const LONGEST: usize = 64 << 10;

/// A token is asked for that is good for so long,
const TOKEN_LIFE: &str = "21600";
/// and asked for again before it ends.
const TOKEN_GOOD: Duration = Duration::from_mins(358);

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// A way to ask the metadata service. `Debug` shows no token.
pub struct Metadata {
    authority: String,
    token: Option<(HeaderValue, Instant)>,
    connection: Option<Connection>,
}

impl std::fmt::Debug for Metadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metadata").field("authority", &self.authority).finish_non_exhaustive()
    }
}

struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Metadata {
    /// Nothing is asked yet. `endpoint` is for tests and rehearsals.
    pub fn new(endpoint: Option<&str>) -> Result<Self, Fault> {
        let told = endpoint.map(str::to_owned).or_else(|| std::env::var(ENDPOINT).ok());
        let url = told.unwrap_or_else(|| format!("http://{}", Ipv4Addr::new(169, 254, 169, 254)));
        let wrong = || Fault::environment(format!("the metadata service cannot be at `{url}`"));
        let rest = url.strip_prefix("http://").ok_or_else(wrong)?;
        let authority = rest.trim_end_matches('/').to_owned();
        if authority.is_empty() || authority.contains('/') {
            return Err(wrong());
        }
        Ok(Self { authority, token: None, connection: None })
    }

    /// The value at `path`, or `None` where the instance has none.
    ///
    /// # Errors
    /// Why there is no answer, in a line. Asking again may help.
    pub async fn get(&mut self, path: &str) -> Result<Option<String>, String> {
        let late = || format!("no answer within {} s", PATIENCE.as_secs());
        match timeout(PATIENCE, self.ask(path)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(why)) => {
                self.connection = None;
                Err(why)
            }
            Err(_elapsed) => {
                self.connection = None;
                Err(late())
            }
        }
    }

    async fn ask(&mut self, path: &str) -> Result<Option<String>, String> {
        let (status, body) = self.with_token(path).await?;
        let (status, body) = if status == StatusCode::UNAUTHORIZED {
            // It was good by our clock, and is not by theirs.
            self.token = None;
            self.with_token(path).await?
        } else {
            (status, body)
        };
        match status {
            StatusCode::OK => {
                let text = String::from_utf8(body.into());
                text.map(Some).map_err(|_| format!("{path} is not text"))
            }
            StatusCode::NOT_FOUND => Ok(None),
            other => Err(format!("{path} is answered with {}", other.as_u16())),
        }
    }

    async fn with_token(&mut self, path: &str) -> Result<(StatusCode, Bytes), String> {
        let token = self.token().await?;
        self.exchange(Method::GET, path, (TOKEN, token)).await
    }

    async fn token(&mut self) -> Result<HeaderValue, String> {
        if let Some((token, _)) = self.token.as_ref().filter(|(_, until)| Instant::now() < *until) {
            return Ok(token.clone());
        }
        let until = Instant::now() + TOKEN_GOOD;
        let ttl = (TOKEN_TTL, HeaderValue::from_static(TOKEN_LIFE));
        let (status, body) = self.exchange(Method::PUT, "/latest/api/token", ttl).await?;
        if status != StatusCode::OK {
            return Err(format!("a token is refused with {}", status.as_u16()));
        }
        let mut token = HeaderValue::from_maybe_shared(body)
            .map_err(|_| "what should be a token is none".to_owned())?;
        token.set_sensitive(true);
        self.token = Some((token.clone(), until));
        Ok(token)
    }

    /// One exchange; once more on a new connection where the kept one was closed meanwhile.
    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        header: (&'static str, HeaderValue),
    ) -> Result<(StatusCode, Bytes), String> {
        if self.connection.is_some()
            && let Ok(answer) = self.send(method.clone(), path, header.clone()).await
        {
            return Ok(answer);
        }
        self.connection = Some(self.connect().await?);
        self.send(method, path, header).await
    }

    async fn connect(&self) -> Result<Connection, String> {
        let address = match self.authority.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => self.authority.clone(),
            _ => format!("{}:80", self.authority),
        };
        let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Connection { sender, driver })
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        (name, value): (&'static str, HeaderValue),
    ) -> Result<(StatusCode, Bytes), String> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.authority.as_str())
            .header(name, value)
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let connection =
            self.connection.as_mut().ok_or_else(|| "there is no connection".to_owned())?;
        connection.sender.ready().await.map_err(|error| error.to_string())?;
        let answer = connection.sender.send_request(request);
        let answer = answer.await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), LONGEST).collect();
        let body = body.await.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers each request of each connection with the next of `answers`, and says what was asked.
    /// A connection is closed after an answer that begins with `!`.
    async fn serve(answers: Vec<&'static str>) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        tokio::spawn(async move {
            let mut answers = answers.into_iter();
            while let Ok((mut stream, _)) = listener.accept().await {
                seen.lock().unwrap().push("connect".to_owned());
                let mut bytes = [0; 2048];
                while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                    let text = String::from_utf8_lossy(&bytes[..read]);
                    let line = text.lines().next().unwrap_or_default().to_owned();
                    seen.lock().unwrap().push(line.replace(" HTTP/1.1", ""));
                    let Some(answer) = answers.next() else { break };
                    let (status, body) = answer.trim_start_matches('!').split_once(' ').unwrap();
                    let length = body.len();
                    let page =
                        format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{body}");
                    stream.write_all(page.as_bytes()).await.unwrap();
                    if answer.starts_with('!') {
                        break;
                    }
                }
            }
        });
        (url, asked)
    }

    #[tokio::test]
    async fn one_connection_and_one_token_do_for_many_questions() {
        let (url, asked) = serve(vec!["200 T", "404 ", "200 InService", "200 quiet"]).await;
        let mut metadata = Metadata::new(Some(&url)).unwrap();
        assert_eq!(metadata.get("/a").await.unwrap(), None);
        assert_eq!(metadata.get("/b").await.unwrap().as_deref(), Some("InService"));
        assert_eq!(metadata.get("/c").await.unwrap().as_deref(), Some("quiet"));
        let asked = asked.lock().unwrap().clone();
        assert_eq!(asked, ["connect", "PUT /latest/api/token", "GET /a", "GET /b", "GET /c"]);
    }

    #[tokio::test]
    async fn a_closed_connection_and_an_old_token_are_got_over() {
        let (url, _) = serve(vec!["200 T", "!200 one", "401 ", "200 U", "200 two", "503 "]).await;
        let mut metadata = Metadata::new(Some(&url)).unwrap();
        assert_eq!(metadata.get("/a").await.unwrap().as_deref(), Some("one"));
        assert_eq!(metadata.get("/a").await.unwrap().as_deref(), Some("two"));
        assert_eq!(metadata.get("/a").await.unwrap_err(), "/a is answered with 503");
    }

    #[tokio::test]
    async fn silence_is_told_and_an_endpoint_that_is_none_is_refused() {
        let mut metadata = Metadata::new(Some("http://127.0.0.1:1/")).unwrap();
        assert!(metadata.get("/a").await.unwrap_err().contains("refused"));
        for url in ["", "https://x", "http://", "http://x/y"] {
            assert!(Metadata::new(Some(url)).is_err(), "{url}");
        }
    }
}
