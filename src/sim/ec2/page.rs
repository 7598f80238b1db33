//! `MaxResults` and `NextToken`: an answer in several parts.
//!
//! A token says after which item the next part begins, so that what comes and goes meanwhile
//! neither repeats nor hides anything else; and of which request it is a part.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::query::Query;
use super::refusal::{Answer, Refusal};

/// See the module.
#[derive(Debug)]
pub struct Page {
    most: usize,
    after: Option<String>,
    request: String,
}

impl Page {
    /// Takes it from a request. `request` is its fingerprint.
    pub fn of(query: &mut Query, bounds: &RangeInclusive<u64>, request: &str) -> Answer<Self> {
        let most = query.number("MaxResults")?;
        if let Some(most) = most
            && most < *bounds.start()
        {
            let least = bounds.start();
            return Err(Refusal::value(format!(
                "Value ( {most} ) for parameter maxResults is invalid. Expecting a value greater \
                 than or equal to {least}."
            )));
        }
        let most = most.map_or(u64::MAX, |most| most.min(*bounds.end()));
        let token = query.text("NextToken").filter(|token| !token.is_empty());
        let after = token.map(|token| open(&token, request)).transpose()?;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Ok(Self { most, after, request: request.to_owned() })
    }

    /// Whether a number of results was asked for.
    pub const fn is_asked_for(&self) -> bool {
        self.most != usize::MAX
    }

    /// One part of all items, each with its key, in the order of the keys; and the token of the
    /// part after it.
    pub fn cut<T>(&self, items: impl Iterator<Item = (String, T)>) -> (Vec<T>, Option<String>) {
        let mut part = Vec::new();
        let mut last = None;
        for (key, item) in items {
            if self.after.as_ref().is_some_and(|after| key <= *after) {
                continue;
            }
            if part.len() == self.most {
                return (part, last.map(|key: String| self.seal(&key)));
            }
            part.push(item);
            last = Some(key);
        }
        (part, None)
    }

    fn seal(&self, key: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{key}", self.request))
    }
}

fn open(token: &str, request: &str) -> Answer {
    let text = URL_SAFE_NO_PAD.decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.as_deref()
        .and_then(|text| text.strip_prefix(request)?.strip_prefix(':'))
        .map(str::to_owned)
        .ok_or_else(|| Refusal::new("InvalidNextToken", "The specified NextToken is not valid."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::ec2::query::tests::query;

    fn page(text: &str) -> Answer<Page> {
        Page::of(&mut query(text), &(5..=1000), "r")
    }

    fn items(count: usize) -> impl Iterator<Item = (String, usize)> {
        (0..count).map(|number| (format!("{number:05}"), number))
    }

    #[test]
    fn parts_are_whole_together() {
        let (mut all, mut token) = (Vec::new(), String::new());
        loop {
            let page = page(&format!("MaxResults=7&NextToken={token}")).unwrap();
            let (part, next) = page.cut(items(20));
            all.extend(part);
            let Some(next) = next else { break };
            token = next;
        }
        assert_eq!(all, (0..20).collect::<Vec<_>>());
        assert_eq!(page("MaxResults=7").unwrap().cut(items(7)).1, None, "there is no empty part");
    }

    #[test]
    fn bounds_are_kept_and_a_strange_token_is_refused() {
        assert_eq!(page("MaxResults=4").unwrap_err().code, "InvalidParameterValue");
        assert_eq!(page("MaxResults=2000").unwrap().cut(items(1500)).0.len(), 1000);
        assert_eq!(page("NextToken=abc").unwrap_err().code, "InvalidNextToken");
        let (_, other) = page("MaxResults=5").unwrap().cut(items(9));
        let other = format!("NextToken={}", other.unwrap());
        let another = Page::of(&mut query(&other), &(5..=1000), "another request");
        assert_eq!(another.unwrap_err().code, "InvalidNextToken");
    }
}
