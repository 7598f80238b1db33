//! Requests to the metadata service: where it is, connections that are kept, deadlines.
//!
//! No proxy is asked, whatever the environment says, and no redirect is followed: what answers from
//! anywhere else is not this instance's service.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{DATE, HOST, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::error::Fault;

/// How long a connection may take to be made: the service is in the machine's own host.
const CONNECT: Duration = Duration::from_secs(1);
/// How long an answer may take.
const READ: Duration = Duration::from_secs(2);
/// AWS throttles by instance, so few ask at the same time.
const PARALLEL: usize = 4;
/// User-data has at most 16 KiB; nothing else comes near.
const LONGEST: usize = 256 << 10;

/// Where the service of an instance is.
const PLACES: [&str; 2] = ["169.254.169.254:80", "[fd00:ec2::254]:80"];

/// Where somebody else has put it; the SDKs' own variable.
pub const VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// The places of the service, and the connections to them.
#[derive(Debug)]
pub(super) struct Wire {
    places: Vec<String>,
    idle: Mutex<HashMap<usize, Vec<Sender>>>,
    slots: Semaphore,
    /// The time that the last answer gave.
    date: Mutex<Option<Timestamp>>,
}

type Sender = SendRequest<Empty<Bytes>>;

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Question<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) header: (&'static str, HeaderValue),
}

/// What was answered.
pub(super) struct Answer {
    pub(super) status: u16,
    /// It may be a secret.
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(super) enum Silence {
    /// Nobody is there.
    Unreachable(String),
    /// Somebody is there, and does not answer as it should.
    Broken(String),
}

impl Silence {
    pub(super) fn cause(&self) -> &str {
        let (Self::Unreachable(cause) | Self::Broken(cause)) = self;
        cause
    }
}

/// Why one exchange had no answer.
enum Fail {
    Closed(String),
    Late,
}

impl From<Fail> for Silence {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Closed(cause) => Self::Broken(cause),
            Fail::Late => Self::Broken(format!("no answer within {} s", READ.as_secs())),
        }
    }
}

impl Wire {
    /// `endpoint` is `http://HOST:PORT`; else the variable says it, else it is where EC2 has it.
    pub(super) fn new(endpoint: Option<&str>) -> Result<Self, Fault> {
        let said = std::env::var(VARIABLE).ok().filter(|said| !said.is_empty());
        let places = match endpoint.or(said.as_deref()) {
            None => PLACES.map(str::to_owned).to_vec(),
            Some(url) => vec![authority(url)?],
        };
        Ok(Self::at(places))
    }

    /// One at each of these, as `HOST:PORT`.
    pub(super) fn at(places: Vec<String>) -> Self {
        let slots = Semaphore::new(PARALLEL);
        Self { places, idle: Mutex::default(), slots, date: Mutex::default() }
    }

    /// The time that the last answer gave, to the second.
    pub(super) fn date(&self) -> Option<Timestamp> {
        *self.date.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many places there are.
    pub(super) const fn count(&self) -> usize {
        self.places.len()
    }

    /// What a place is called.
    pub(super) fn name(&self, place: usize) -> &str {
        self.places[place].trim_end_matches(":80")
    }

    /// Asks, on a connection that is there already if it can.
    pub(super) async fn ask(&self, place: usize, what: &Question<'_>) -> Result<Answer, Silence> {
        let _slot = self.slots.acquire().await.expect("nobody closes it");
        while let Some(sender) = self.take(place) {
            match self.exchange(place, sender, what).await {
                Ok(answer) => return Ok(answer),
                Err(Fail::Late) => return Err(Fail::Late.into()),
                // One that was closed meanwhile says nothing about the service.
                Err(Fail::Closed(_)) => {}
            }
        }
        let sender = self.connect(place).await.map_err(Silence::Unreachable)?;
        Ok(self.exchange(place, sender, what).await?)
    }

    fn take(&self, place: usize) -> Option<Sender> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&place)?.pop()
    }

    async fn connect(&self, place: usize) -> Result<Sender, String> {
        let stream = timeout(CONNECT, TcpStream::connect(&self.places[place]))
            .await
            .map_err(|_elapsed| format!("no connection within {} s", CONNECT.as_secs()))?
            .map_err(|error| error.to_string())?;
        let _ = stream.set_nodelay(true);
        let made = http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = made.map_err(|error| error.to_string())?;
        // It ends when its sender is gone, or with the runtime.
        tokio::spawn(connection);
        Ok(sender)
    }

    async fn exchange(
        &self,
        place: usize,
        mut sender: Sender,
        what: &Question<'_>,
    ) -> Result<Answer, Fail> {
        let request = self.request(place, what).map_err(Fail::Closed)?;
        let work = async {
            sender.ready().await.map_err(|error| told(&error))?;
            let response = sender.send_request(request).await.map_err(|error| told(&error))?;
            let status = response.status().as_u16();
            let date = response.headers().get(DATE);
            let date = date.and_then(|date| DateTimeParser::new().parse_timestamp(date).ok());
            *self.date.lock().unwrap_or_else(PoisonError::into_inner) = date;
            let body = Limited::new(response.into_body(), LONGEST).collect().await;
            let body = body.map_err(|error| told(error.as_ref()))?.to_bytes();
            Ok(Answer { status, body: Zeroizing::new(body.to_vec()) })
        };
        let answer: Result<Answer, String> =
            timeout(READ, work).await.map_err(|_elapsed| Fail::Late)?;
        let answer = answer.map_err(Fail::Closed)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.entry(place).or_default().push(sender);
        Ok(answer)
    }

    fn request(&self, place: usize, what: &Question<'_>) -> Result<Request<Empty<Bytes>>, String> {
        Request::builder()
            .method(what.method.clone())
            .uri(what.path)
            .header(HOST, self.name(place))
            .header(what.header.0, what.header.1.clone())
            .body(Empty::new())
            .map_err(|error| error.to_string())
    }
}

/// `HOST:PORT` of `http://HOST:PORT`.
fn authority(url: &str) -> Result<String, Fault> {
    let wrong = || {
        Fault::usage(format!("`{}` is not the address of a metadata service", url.escape_debug()))
            .hint("wanted is http://HOST:PORT, as http://127.0.0.1:1338")
    };
    let rest = url.strip_prefix("http://").ok_or_else(wrong)?.trim_end_matches('/');
    let parsed: hyper::http::uri::Authority = rest.parse().map_err(|_| wrong())?;
    if rest.contains('@') || parsed.host().is_empty() {
        return Err(wrong());
    }
    Ok(format!("{}:{}", parsed.host(), parsed.port_u16().unwrap_or(80)))
}

/// The last cause is the one that tells something: `connection reset by peer`.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.last().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        assert_eq!(authority("http://127.0.0.1:1338/").unwrap(), "127.0.0.1:1338");
        assert_eq!(authority("http://[::1]:99").unwrap(), "[::1]:99");
        assert_eq!(authority("http://metadata").unwrap(), "metadata:80");
        for wrong in ["", "127.0.0.1", "https://x", "http://", "http://a@b", "http://a/b/c"] {
            assert!(authority(wrong).is_err(), "{wrong}");
        }
    }
}
