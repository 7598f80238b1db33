//! HTTP/1.1 around pure handlers: a [`Request`] in, a [`Reply`] out.
//!
//! Knows nothing of AWS. Connections are served one task each until the listener is dropped.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::{JoinHandle, JoinSet};

/// No operation that hostkit uses sends more than this.
const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// What handlers do with a body of this size is done beside the thread that serves connections.
const LARGE_BODY_BYTES: usize = 64 * 1024;

/// A request with its body, ready for a handler without I/O.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// GET, PUT, …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// What comes after the `?`, as sent.
    pub query: String,
    /// The headers; names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Bytes,
}

impl Request {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// The parameters of the query and, for a form, of the body.
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let form = self
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let body: &[u8] = if form { &self.body } else { b"" };
        form_urlencoded::parse(self.query.as_bytes())
            .chain(form_urlencoded::parse(body))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }
}

/// How an answer is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// At once.
    #[default]
    AtOnce,
    /// Late.
    After(Duration),
    /// Only so many bytes of it: then the connection is closed.
    Torn(u64),
    /// Not at all: the connection is closed.
    Never,
    /// Not at all: the connection stays.
    Silent,
}

/// The connection was closed instead of an answer.
#[derive(Clone, Copy, Debug)]
struct HungUp;

impl std::fmt::Display for HungUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no answer was to be given")
    }
}

impl std::error::Error for HungUp {}

/// The bytes of an answer: most are text, and read as that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content(pub Bytes);

impl std::ops::Deref for Content {
    type Target = str;

    /// The text; nothing where it is none.
    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Display for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self)
    }
}

impl PartialEq<&str> for Content {
    fn eq(&self, text: &&str) -> bool {
        self.0 == text.as_bytes()
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How it is given.
    pub manner: Manner,
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Content,
}

impl Reply {
    /// A reply of some content type.
    pub fn new(status: u16, kind: &str, body: impl Into<Content>) -> Self {
        Self {
            manner: Manner::AtOnce,
            status,
            headers: vec![("content-type", kind.to_owned())],
            body: body.into(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// Something that answers.
pub type Handler = Arc<dyn Fn(&Request) -> Reply + Send + Sync>;

/// Asked with the head of a request whether its body is to be cut after so many bytes: then the
/// connection is closed.
pub type Gate = Arc<dyn Fn(&Request) -> Option<u64> + Send + Sync>;

/// A server. Dropping it ends it and all its connections.
#[derive(Debug)]
pub struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Serves on a loopback port.
pub fn serve_tcp(listener: TcpListener, handler: Handler) -> Server {
    serve_tcp_behind(listener, Arc::new(|_| None), handler)
}

/// Serves on a loopback port what gets through `gate`.
pub fn serve_tcp_behind(listener: TcpListener, gate: Gate, handler: Handler) -> Server {
    Server(tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            // A block is more than a packet: nobody waits for the rest of one.
            let _ = stream.set_nodelay(true);
            connections.spawn(converse(stream, Arc::clone(&gate), Arc::clone(&handler)));
            while connections.try_join_next().is_some() {}
        }
    }))
}

/// Serves on a socket in the file system.
pub fn serve_unix(listener: UnixListener, handler: Handler) -> Server {
    Server(tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(converse(stream, Arc::new(|_: &_| None), Arc::clone(&handler)));
            while connections.try_join_next().is_some() {}
        }
    }))
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    gate: Gate,
    handler: Handler,
) {
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let (gate, handler) = (Arc::clone(&gate), Arc::clone(&handler));
        async move { respond(request, &gate, &handler).await }
    });
    let http = hyper::server::conn::http1::Builder::new();
    if let Err(error) = http.serve_connection(TokioIo::new(stream), answer).await {
        tracing::debug!(%error, "a connection to the rehearsal account broke");
    }
}

async fn respond(
    request: hyper::Request<Incoming>,
    gate: &Gate,
    handler: &Handler,
) -> Result<hyper::Response<Answer>, HungUp> {
    let (head, body) = request.into_parts();
    let headers = head.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let mut request = Request {
        method: head.method.as_str().to_owned(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: headers.collect(),
        body: Bytes::new(),
    };
    if let Some(bytes) = gate(&request) {
        let limit = usize::try_from(bytes).unwrap_or(BODY_LIMIT_BYTES);
        // What comes is thrown away with the connection.
        let _ = Limited::new(body, limit).collect().await;
        return Err(HungUp);
    }
    let reply = match Limited::new(body, BODY_LIMIT_BYTES).collect().await {
        Err(_) => Reply::new(413, "text/plain", "the body is too large or broke off"),
        Ok(body) => {
            request.body = body.to_bytes();
            handle(request, handler).await?
        }
    };
    match reply.manner {
        Manner::AtOnce | Manner::Torn(_) => {}
        Manner::After(time) => tokio::time::sleep(time).await,
        Manner::Never => return Err(HungUp),
        Manner::Silent => std::future::pending().await,
    }
    let mut response = hyper::Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let mut bytes = reply.body.0;
    let answer = if let Manner::Torn(length) = reply.manner {
        response = response.header("content-length", bytes.len());
        bytes.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Answer::Torn(vec![Some(bytes), None].into_iter())
    } else {
        Answer::Whole(Full::new(bytes))
    };
    Ok(response.body(answer).expect("our own headers are valid"))
}

async fn handle(request: Request, handler: &Handler) -> Result<Reply, HungUp> {
    let reply = move |request: Request, handler: &Handler| {
        let reply = handler(&request);
        tracing::debug!(method = request.method, path = request.path, status = reply.status);
        reply
    };
    if request.body.len() < LARGE_BODY_BYTES {
        return Ok(reply(request, handler));
    }
    let handler = Arc::clone(handler);
    let work = tokio::task::spawn_blocking(move || reply(request, &handler));
    work.await.map_err(|_panicked| HungUp)
}

/// The body of an answer.
enum Answer {
    Whole(Full<Bytes>),
    /// What there is of it, a moment for it to get away, and then an end that nobody expects.
    Torn(std::vec::IntoIter<Option<Bytes>>),
}

impl hyper::body::Body for Answer {
    type Data = Bytes;
    type Error = HungUp;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HungUp>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            Self::Torn(rest) => match rest.next() {
                Some(Some(bytes)) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Some(None) => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                None => Poll::Ready(Some(Err(HungUp))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(whole) if whole.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Torn(_) => SizeHint::default(),
        }
    }
}
