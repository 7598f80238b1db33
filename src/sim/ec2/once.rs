//! `ClientToken`: the same request twice does the thing once.

use super::Call;
use super::query::Query;
use super::refusal::{Answer, Refusal};

/// The longest token. AWS: 64 for most operations, 128 for some.
const LIMIT: usize = 128;

/// A client's token for one thing that it wants made.
#[derive(Clone, Debug)]
pub struct Once {
    key: Option<(String, String)>,
    request: String,
}

impl Once {
    /// Takes the token from a request.
    pub fn of(query: &mut Query, call: &Call<'_>) -> Answer<Self> {
        let token = query.short("ClientToken", LIMIT)?.filter(|token| !token.is_empty());
        let key = token.map(|token| (call.action.clone(), token));
        Ok(Self { key, request: call.fingerprint.clone() })
    }

    /// The id of what the same request made before.
    pub fn made(&self, call: &mut Call<'_>) -> Answer<Option<String>> {
        let Some(key) = &self.key else { return Ok(None) };
        match call.here().tokens.get(key) {
            None => Ok(None),
            Some((id, request)) if *request == self.request => Ok(Some(id.clone())),
            Some(_) => Err(Refusal::new(
                "IdempotentParameterMismatch",
                "The request uses the same client token as a previous, but non-identical request. \
                 Do not reuse a client token with different requests, unless the requests are \
                 identical",
            )),
        }
    }

    /// Remembers what was made.
    pub fn remember(self, call: &mut Call<'_>, id: &str) {
        if let Some(key) = self.key {
            call.here().tokens.insert(key, (id.to_owned(), self.request));
        }
    }

    /// The token itself.
    pub fn token(&self) -> Option<&str> {
        self.key.as_ref().map(|(_, token)| token.as_str())
    }
}
