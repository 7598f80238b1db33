//! Lists that come in pages.

use super::refusal::invalid;
use crate::sim::http::Reply;

const LIMIT: usize = 100;

/// This page of `all`, and the token of the next one, if there is one.
pub(super) fn cut(
    all: Vec<String>,
    size: Option<i64>,
    token: Option<&str>,
) -> Result<(Vec<String>, Option<String>), Reply> {
    let size = match size.map(usize::try_from) {
        None => LIMIT,
        Some(Ok(size)) if (1..=LIMIT).contains(&size) => size,
        Some(_) => return Err(invalid("maxResults must be between 1 and 100.")),
    };
    let start = match token {
        None => 0,
        Some(token) => token.parse().map_err(|_| invalid("Invalid token."))?,
    };
    let next = (start + size < all.len()).then(|| (start + size).to_string());
    Ok((all.into_iter().skip(start).take(size).collect(), next))
}
