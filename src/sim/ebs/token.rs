//! The tokens of blocks and pages: what was said to one who listed, to be shown again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};

use crate::sim::random;

/// How long a token of a block is good for.
pub(super) const VALIDITY: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Lets its bearer read a block of a snapshot.
pub(super) fn of_block(snapshot: &str, index: u32, expires: Timestamp) -> String {
    sealed(&format!("block {snapshot} {index} {}", expires.as_second()))
}

/// Whether a token lets its bearer read that block, now.
pub(super) fn opens(token: &str, snapshot: &str, index: u32, now: Timestamp) -> bool {
    let Some(said) = unsealed(token) else { return false };
    let Some(expires) = said.strip_prefix(&format!("block {snapshot} {index} ")) else {
        return false;
    };
    expires.parse().is_ok_and(|expires: i64| now.as_second() < expires)
}

/// Where a list of `what` goes on.
pub(super) fn of_page(what: &str, next: u32) -> String {
    sealed(&format!("page {what} {next}"))
}

/// Where a list of `what` goes on, if that is what a token was given for.
pub(super) fn page(token: &str, what: &str) -> Option<u32> {
    unsealed(token)?.strip_prefix(&format!("page {what} "))?.parse().ok()
}

fn sealed(text: &str) -> String {
    BASE64.encode(format!("{} {text}", seal(text)))
}

fn unsealed(token: &str) -> Option<String> {
    let text = String::from_utf8(BASE64.decode(token).ok()?).ok()?;
    let (said, rest) = text.split_once(' ')?;
    (said == seal(rest)).then(|| rest.to_owned())
}

fn seal(text: &str) -> String {
    random::derived(&format!("seal of {text}"), 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_block_and_for_a_time() {
        let now = Timestamp::now();
        let token = of_block("snap-1", 7, now + VALIDITY);
        assert!(opens(&token, "snap-1", 7, now));
        assert!(!opens(&token, "snap-1", 8, now) && !opens(&token, "snap-2", 7, now));
        assert!(!opens(&token, "snap-1", 7, now + VALIDITY));
        assert!(!opens("bm9uc2Vuc2U=", "snap-1", 7, now));
        assert!(token.len() <= 256);
    }

    #[test]
    fn a_page_is_one_of_its_list() {
        let token = of_page("snap-1", 100);
        assert_eq!(page(&token, "snap-1"), Some(100));
        assert_eq!(page(&token, "snap-2"), None);
    }
}
