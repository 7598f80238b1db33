//! Where in a text the secrets are.

use std::borrow::Cow;
use std::ops::Range;

use super::MASK;

/// Parts of one text, which may overlap.
#[derive(Debug, Default)]
pub(super) struct Spans(Vec<Range<usize>>);

impl Spans {
    /// Adds one. Its ends lie between characters.
    pub(super) fn add(&mut self, span: Range<usize>) {
        if !span.is_empty() {
            self.0.push(span);
        }
    }

    /// `text` with a mask in the place of each.
    pub(super) fn masked(mut self, text: &str) -> Cow<'_, str> {
        if self.0.is_empty() {
            return Cow::Borrowed(text);
        }
        self.0.sort_by_key(|span| span.start);
        let mut out = String::with_capacity(text.len());
        let mut end = 0;
        for span in self.0 {
            if span.start >= end {
                out.push_str(&text[end..span.start]);
                out.push_str(MASK);
            }
            end = end.max(span.end);
        }
        out.push_str(&text[end..]);
        Cow::Owned(out)
    }
}
