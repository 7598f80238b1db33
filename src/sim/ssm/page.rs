//! Lists that come in pages.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::refusal::validation;
use crate::sim::aws_json::error;
use crate::sim::http::Reply;

/// What of a list is asked for.
pub(super) struct Page {
    start: usize,
    size: usize,
}

impl Page {
    /// At most `limit` at a time, which is also what comes if nothing is said.
    pub(super) fn of(size: Option<i64>, token: Option<&str>, limit: usize) -> Result<Self, Reply> {
        let size = match size.map(usize::try_from) {
            None => limit,
            Some(Ok(size)) if (1..=limit).contains(&size) => size,
            Some(_) => {
                return Err(validation(&format!(
                    "Value at 'maxResults' failed to satisfy constraint: Member must have value \
                     less than or equal to {limit}"
                )));
            }
        };
        let start = match token {
            None => 0,
            Some(token) => place(token)
                .ok_or_else(|| error("InvalidNextToken", "The specified token isn't valid."))?,
        };
        Ok(Self { start, size })
    }

    /// This page of `all`, and the token of the next one, if there is one.
    pub(super) fn cut(&self, all: Vec<Value>) -> (Vec<Value>, Option<String>) {
        let end = self.start + self.size;
        let next = (end < all.len()).then(|| BASE64.encode(format!("from {end}")));
        (all.into_iter().skip(self.start).take(self.size).collect(), next)
    }
}

fn place(token: &str) -> Option<usize> {
    let text = String::from_utf8(BASE64.decode(token).ok()?).ok()?;
    text.strip_prefix("from ")?.parse().ok()
}
