//! One question to the Jenkins of this machine, and its answer. No proxy, no redirection, no
//! connection that is kept: each question stands alone, and has a deadline.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::{AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::Fault;

/// The executors of a thousand build agents are told in less than one of these.
const LONGEST_ANSWER: usize = 16 << 20;

/// Why a question came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody answers, and why.
    Unreachable(String),
    /// No whole answer within this time.
    Late(Duration),
    /// It is starting, or it is about to stop: 503.
    Busy,
    /// hostkit's user is not known, or lacks a right: the status, and what was asked for.
    Refused {
        /// 401 or 403.
        status: u16,
        /// What hostkit wanted.
        what: &'static str,
    },
    /// It answered something else than what was asked for: what was asked, and what it answered.
    Unexpected {
        /// What hostkit wanted.
        what: &'static str,
        /// The status, or what could not be read.
        answer: String,
    },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(cause) => write!(f, "Jenkins does not answer: {cause}"),
            Self::Late(patience) => {
                write!(f, "Jenkins did not answer within {} s", patience.as_secs())
            }
            Self::Busy => write!(f, "Jenkins answers 503: it is not up"),
            Self::Refused { status, what } => {
                write!(f, "Jenkins does not let hostkit {what} ({status})")
            }
            Self::Unexpected { what, answer } => {
                write!(f, "Jenkins was asked to {what} and answered: {answer}")
            }
        }
    }
}

impl std::error::Error for Trouble {}

impl Trouble {
    /// Whether the same question may be answered a little later.
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Late(_) | Self::Busy)
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        let hint = match &trouble {
            Trouble::Refused { .. } => {
                "which rights hostkit's user needs is told in docs/jenkins.md; \
                 `journalctl -u jenkins` says whether init.groovy.d/hostkit.groovy has run"
            }
            _ => "systemctl status jenkins; journalctl -u jenkins",
        };
        Self::step(trouble.to_string()).hint(hint)
    }
}

/// An answer as it came.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)?.to_str().ok().map(str::to_owned)
    }
}

/// Asks `address` for `path`, which is safe to be written into a request as it is.
pub(super) async fn ask(
    address: SocketAddr,
    method: Method,
    path: &str,
    authorization: Option<HeaderValue>,
    patience: Duration,
) -> Result<Answer, Trouble> {
    let asked = tokio::time::timeout(patience, exchange(address, method, path, authorization));
    asked.await.unwrap_or(Err(Trouble::Late(patience)))
}

async fn exchange(
    address: SocketAddr,
    method: Method,
    path: &str,
    authorization: Option<HeaderValue>,
) -> Result<Answer, Trouble> {
    let unreachable = |error: &dyn std::error::Error| Trouble::Unreachable(chain(error));
    let stream = TcpStream::connect(address).await.map_err(|error| unreachable(&error))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(&error))?;
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, address.to_string())
        .header(CONNECTION, "close");
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let request = request.body(Empty::<bytes::Bytes>::new()).map_err(|error| {
        Trouble::Unexpected { what: "be asked", answer: format!("the path is not one: {error}") }
    })?;
    // Driven beside the question: it may end in the moment in which the answer is there.
    let driver = tokio::spawn(connection);
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, LONGEST_ANSWER).collect().await;
        let body = body.map_err(|error| unreachable(error.as_ref()))?.to_bytes().to_vec();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    };
    let answer = answer.await;
    driver.abort();
    answer
}

fn chain(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
