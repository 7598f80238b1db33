//! The little XML that AWS's query protocols need. Writes only; never parses.

/// `<name>text</name>`, the text escaped.
pub fn leaf(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

/// `<name>…</name>` around what is XML already.
pub fn node(name: &str, inner: &str) -> String {
    format!("<{name}>{inner}</{name}>")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_caller_sends_cannot_become_markup() {
        assert_eq!(super::leaf("a", "<b>&\""), "<a>&lt;b&gt;&amp;&quot;</a>");
    }
}
