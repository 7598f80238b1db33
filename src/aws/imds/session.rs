//! The token that every request needs: got at the place that answers first, kept, renewed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt as _};
use hyper::Method;
use hyper::header::HeaderValue;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use super::wire::{Answer, Question, Silence, Wire};

/// Only here: a path with a version is refused.
const PATH: &str = "/latest/api/token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
/// How much later each further place is asked: where there are both, IPv4 is the one that everybody
/// uses.
const STAGGER: Duration = Duration::from_millis(150);
/// A token that is about to end is not used any more.
const EARLY: Duration = Duration::from_mins(2);
/// Far longer than any that was seen.
const LONGEST: usize = 1024;

/// What came of a request.
pub(super) enum Verdict {
    /// A value.
    Found(Zeroizing<Vec<u8>>),
    /// The instance has no such thing.
    Absent,
    /// It will not be answered however often it is asked.
    Refused(u16),
    /// The service does not understand it.
    Malformed,
    /// What answers is not the service.
    Foreign(&'static str),
    /// It may be answered in a moment.
    Later(String),
}

#[derive(Clone, Debug)]
struct Token {
    /// Nothing shows it: it is marked as sensitive.
    value: HeaderValue,
    place: usize,
    renew: Instant,
}

/// Requests with a token.
#[derive(Debug)]
pub(super) struct Session {
    wire: Wire,
    ttl: Duration,
    /// Who waits for it waits for the one request.
    token: tokio::sync::Mutex<Option<Token>>,
    /// The place that has answered.
    winner: Mutex<Option<usize>>,
}

impl Session {
    pub(super) fn new(wire: Wire, ttl: Duration) -> Self {
        Self { wire, ttl, token: tokio::sync::Mutex::default(), winner: Mutex::default() }
    }

    /// The time that the last answer gave.
    pub(super) fn date(&self) -> Option<jiff::Timestamp> {
        self.wire.date()
    }

    /// Asks once, or twice where the token had ended.
    pub(super) async fn get(&self, path: &str) -> Verdict {
        for _ in 0..2 {
            let token = match self.token().await {
                Ok(token) => token,
                Err(verdict) => return verdict,
            };
            let header = (TOKEN_HEADER, token.value.clone());
            let question = Question { method: Method::GET, path, header };
            match self.wire.ask(token.place, &question).await {
                Ok(Answer { status: 200, body }) => return Verdict::Found(body),
                Ok(Answer { status: 404, .. }) => return Verdict::Absent,
                Ok(Answer { status: 401, .. }) => self.discard(&token).await,
                Ok(answer) => return by_status(answer.status),
                Err(silence) => return self.not_heard(&token, &silence).await,
            }
        }
        Verdict::Refused(401)
    }

    /// Another place may answer.
    async fn not_heard(&self, token: &Token, silence: &Silence) -> Verdict {
        if let Silence::Unreachable(_) = silence {
            *self.winner.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.discard(token).await;
        }
        Verdict::Later(silence.cause().to_owned())
    }

    async fn token(&self) -> Result<Token, Verdict> {
        let mut kept = self.token.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| Instant::now() < token.renew) {
            return Ok(token.clone());
        }
        let token = self.race().await?;
        *kept = Some(token.clone());
        Ok(token)
    }

    /// Throws `used` away, unless somebody else has a new one already.
    async fn discard(&self, used: &Token) {
        let mut kept = self.token.lock().await;
        if kept.as_ref().is_some_and(|token| token.value == used.value) {
            *kept = None;
        }
    }

    /// Asks every place for a token, one a little later than the other, and takes the first.
    async fn race(&self) -> Result<Token, Verdict> {
        let winner = *self.winner.lock().unwrap_or_else(PoisonError::into_inner);
        let places = winner.map_or_else(|| (0..self.wire.count()).collect(), |one| vec![one]);
        let failed = Notify::new();
        let attempt = async |turn: u32, place: usize| {
            if turn > 0 {
                tokio::select! {
                    () = sleep(STAGGER * turn) => {}
                    () = failed.notified() => {}
                }
            }
            let end = self.ask_token(place).await;
            if end.is_err() {
                failed.notify_one();
            }
            (place, end)
        };
        let mut attempts: FuturesUnordered<_> =
            (0..).zip(places).map(|(turn, place)| attempt(turn, place)).collect();
        let mut causes = Vec::new();
        let mut worst = None;
        while let Some((place, end)) = attempts.next().await {
            match end {
                Ok(token) => {
                    *self.winner.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
                    return Ok(token);
                }
                Err(Verdict::Later(cause)) => causes.push((place, cause)),
                Err(verdict) => worst = Some(verdict),
            }
        }
        causes.sort();
        let told =
            causes.iter().map(|(place, cause)| format!("{}: {cause}", self.wire.name(*place)));
        let later = || Verdict::Later(told.collect::<Vec<_>>().join("; "));
        Err(worst.unwrap_or_else(later))
    }

    async fn ask_token(&self, place: usize) -> Result<Token, Verdict> {
        let ttl = HeaderValue::from(self.ttl.as_secs());
        let question = Question { method: Method::PUT, path: PATH, header: (TTL_HEADER, ttl) };
        let asked = Instant::now();
        let answer = self.wire.ask(place, &question).await;
        let answer = answer.map_err(|silence| Verdict::Later(silence.cause().to_owned()))?;
        match answer.status {
            200 => {
                let value = token_of(&answer.body);
                let value = value.ok_or(Verdict::Foreign("what it gave as a token is none"))?;
                let renew = asked + self.ttl - EARLY.min(self.ttl / 4);
                Ok(Token { value, place, renew })
            }
            // No token at all at this address: not a value that is absent, but no service.
            404 => Err(Verdict::Refused(404)),
            status => Err(by_status(status)),
        }
    }
}

fn by_status(status: u16) -> Verdict {
    match status {
        400 => Verdict::Malformed,
        429 | 500.. => Verdict::Later(format!("HTTP {status}")),
        _ => Verdict::Refused(status),
    }
}

/// A page that somebody in between answers with is no token.
fn token_of(body: &[u8]) -> Option<HeaderValue> {
    let body = body.trim_ascii();
    let good = (1..=LONGEST).contains(&body.len()) && body.iter().all(u8::is_ascii_graphic);
    let mut value = HeaderValue::from_bytes(body).ok().filter(|_| good && !body.contains(&b'<'))?;
    value.set_sensitive(true);
    Some(value)
}
