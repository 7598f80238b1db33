//! What looks like a secret, whoever's it is: private keys, AWS keys and tokens, passwords that are
//! named so.
//!
//! A word too many that is masked costs a question; a secret too few costs a rotation.

use aho_corasick::AhoCorasick;
use std::ops::Range;
use std::sync::LazyLock;

use super::MASK;
use super::spans::Spans;

/// What is in the name of a value that is a secret, in lower case.
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "private_key",
    "private-key",
    "privatekey",
    "access_key",
    "accesskey",
    "credential",
    "crumb",
];

/// Headers whose whole value is a secret, in lower case.
const HEADERS: &[&str] = &[
    "authorization:",
    "proxy-authorization:",
    "x-aws-ec2-metadata-token:",
    "x-amz-security-token:",
    "cookie:",
    "set-cookie:",
];

static NAMED: LazyLock<AhoCorasick> = LazyLock::new(|| searcher(NAMES));
static HEADED: LazyLock<AhoCorasick> = LazyLock::new(|| searcher(HEADERS));

fn searcher(words: &[&str]) -> AhoCorasick {
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .build(words)
        .expect("a few short words make a searcher")
}

/// Where in `text` something looks like a secret.
pub(super) fn find(text: &str, spans: &mut Spans) {
    private_keys(text, spans);
    headers(text, spans);
    named(text, spans);
    in_urls(text, spans);
    for run in runs(text) {
        if is_token(&text[run.clone()]) {
            spans.add(run);
        }
    }
}

/// Whether `text` is to be masked because of the name that it stands under.
pub fn hides(name: &str, text: &str) -> bool {
    NAMED.is_match(name) && is_value(text)
}

/// From the beginning of a private key to its end, or to that of the text.
fn private_keys(text: &str, spans: &mut Spans) {
    let mut from = 0;
    while let Some(at) = text[from..].find("-----BEGIN ").map(|at| from + at) {
        let line = text[at..].split(['\n', '\\']).next().unwrap_or_default();
        if !line.contains("PRIVATE KEY") {
            from = at + 1;
            continue;
        }
        let end = text[at..].find("-----END ").map(|end| at + end);
        let end = end.map_or(text.len(), |end| {
            text[end + 9..].find("-----").map_or(text.len(), |dashes| end + 9 + dashes + 5)
        });
        spans.add(at..end);
        from = end;
    }
}

/// `Authorization: …`, to the end of the line.
fn headers(text: &str, spans: &mut Spans) {
    for found in HEADED.find_iter(text) {
        let rest = &text[found.end()..];
        let line = rest.split(['\n', '\r', '"', '\'']).next().unwrap_or_default();
        let start = found.end() + line.len() - line.trim_start().len();
        spans.add(start..found.end() + line.len());
    }
}

/// `password = value`, `"password": "value"`, `password: value` at the beginning of a line.
fn named(text: &str, spans: &mut Spans) {
    for found in NAMED.find_iter(text) {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let end = found.end() + run(&text[found.end()..], is_part);
        let before = text[..found.start()].trim_end_matches(is_part);
        if let Some(value) = value_after(text, before, end)
            && is_value(&text[value.clone()])
        {
            spans.add(value);
        }
    }
}

/// The value that is given to the name which ends at `end`, if one is. In prose a colon gives none.
fn value_after(text: &str, before: &str, end: usize) -> Option<Range<usize>> {
    let rest = &text[end..];
    let closed = rest.trim_start_matches(['\\', '"', '\'']);
    let is_quoted = closed.len() < rest.len();
    let sign = closed.trim_start_matches([' ', '\t']);
    let after = match sign.chars().next()? {
        '=' => sign[1..].trim_start_matches(['=', '>']),
        ':' => &sign[1..],
        _ => return None,
    };
    let value = after.trim_start_matches([' ', '\t']);
    let in_line = before.rsplit('\n').next().unwrap_or_default();
    let begins = in_line.trim().trim_start_matches('-').is_empty();
    if sign.starts_with(':') && !is_quoted && !begins && value.len() < after.len() {
        return None;
    }
    let opened = value.trim_start_matches('\\');
    let (open, quote) = match opened.chars().next()? {
        quote @ ('"' | '\'') => (&opened[1..], Some(quote)),
        _ => (value, None),
    };
    let length = match quote {
        Some(quote) => quoted(open, quote),
        None => run(open, |c| !c.is_whitespace() && !",;&)}]\"'`".contains(c)),
    };
    let start = text.len() - open.len();
    Some(start..start + length)
}

/// How long a quoted text is, up to its quote that no backslash precedes, or that does where all are
/// escaped.
fn quoted(text: &str, quote: char) -> usize {
    let end = text.find(quote).unwrap_or(text.len());
    text[..end].trim_end_matches('\\').len()
}

/// The password in `scheme://user:password@host`.
fn in_urls(text: &str, spans: &mut Spans) {
    for (at, _) in text.match_indices("://") {
        let rest = &text[at + 3..];
        let authority = &rest[..run(rest, |c| !c.is_whitespace() && !"/?#\"'".contains(c))];
        if let Some((user, _)) = authority.rsplit_once('@')
            && let Some((name, password)) = user.split_once(':')
        {
            let start = at + 3 + name.len() + 1;
            spans.add(start..start + password.len());
        }
    }
}

/// Runs of the characters that tokens are made of.
fn runs(text: &str) -> impl Iterator<Item = Range<usize>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-+/=.".contains(c);
    let mut from = 0;
    std::iter::from_fn(move || {
        let skipped = run(&text[from..], |c| !is_part(c));
        let start = from + skipped;
        let end = start + run(&text[start..], is_part);
        from = end;
        (start < end).then_some(start..end)
    })
}

/// Whether a run of characters is a token of a kind that is known by its form.
fn is_token(run: &str) -> bool {
    // A name before it: `key=AKIA…`.
    let run = run.trim_end_matches('.').rsplit_once('=').map_or(run, |(before, after)| {
        if after.is_empty() { before.trim_end_matches('=') } else { after }
    });
    let upper = |text: &str| text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let begins = |words: &[&str]| words.iter().any(|word| run.starts_with(word));
    // Keys of AWS.
    (run.len() == 20 && begins(&["AKIA", "ASIA"]) && upper(run))
        // Tokens of a session, and of the metadata service.
        || (run.len() >= 100 && begins(&["IQoJb3JpZ2lu", "FwoGZXIvYXdz", "FQoGZXIvYXdz"]))
        || (run.len() == 56 && run.starts_with("AQAE"))
        // An API token of Jenkins.
        || (run.len() == 34 && run.starts_with("11") && hex(run))
        // GitHub, GitLab, Slack.
        || (run.len() >= 20 && begins(&["ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_",
            "glpat-", "xoxb-", "xoxp-", "xoxa-"]))
        // A signed claim.
        || (run.len() >= 60 && run.starts_with("eyJ") && run.matches('.').count() == 2)
}

/// Whether a text can be a secret: not the name of one, nor a placeholder.
fn is_value(text: &str) -> bool {
    let text = text.trim();
    let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
    let is_word = matches!(text, "" | "null" | "none" | "true" | "false" | "yes" | "no");
    let is_number = text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    // What is masked already may have lost its bracket to whoever looked for the end.
    let masked = MASK.trim_end_matches(']');
    // The path of a parameter or a file, a reference.
    !is_word && !is_number && !begins(&["/", "$", "%d", "arn:aws:", "secret:", masked, "***", "<"])
}

/// How many bytes of the beginning of `text` are characters of a kind.
fn run(text: &str, is: impl Fn(char) -> bool) -> usize {
    text.find(|c| !is(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::super::redact;

    #[test]
    fn what_is_masked_stays_as_it_is() {
        for text in ["password=hunter2hunter2", "x: token = \"abcdefgh12\", y", "secret: hunter22"]
        {
            let once = redact(text).into_owned();
            assert_ne!(once, text);
            assert_eq!(redact(&once), once);
        }
    }

    fn hidden(text: &str, secret: &str) {
        let shown = redact(text);
        assert!(shown.contains("[secret]") && !shown.contains(secret), "{text:?}: {shown:?}");
    }

    #[test]
    fn what_looks_like_a_secret_is_masked() {
        let token = "IQoJb3JpZ2luX2VjEJ7//////////wEaCWV1LXdlc3QtMSJHMEUCIQD".repeat(3);
        for (text, secret) in [
            ("export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG+bPxRfiCY", "wJalr"),
            ("{\"SecretAccessKey\" : \"wJalrXUtnFEMI\", \"a\": 1}", "wJalr"),
            ("{\\\"Token\\\":\\\"IQoJ\\\"}", "IQoJ"),
            ("used AKIAIOSFODNN7EXAMPLE here", "AKIAIOSFODNN7EXAMPLE"),
            ("key=ASIAIOSFODNN7EXAMPLE.", "ASIAIOSFODNN7EXAMPLE"),
            ("admin_password: hunter22", "hunter22"),
            ("  - password: hunter22", "hunter22"),
            ("curl --data password=hunter22&x=1", "hunter22"),
            ("db_password = 'two words'", "two words"),
            ("Authorization: Basic YWRtaW46aHVudGVyMg==", "YWRt"),
            ("https://admin:hunter22@ci.example/", "hunter22"),
            (
                "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb\n-----END OPENSSH PRIVATE KEY-----",
                "b3Blb",
            ),
            ("\"-----BEGIN RSA PRIVATE KEY-----\\nMIIE", "MIIE"),
            ("11d3c6a1f9ab3e64b2e14a2bb1e7c9d0f4", "d3c6a1f9"),
            ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "16C7"),
            (&format!("token is {token}"), &token),
            ("X-aws-ec2-metadata-token: AQAEAOE3UVS5", "AQAEAO"),
        ] {
            hidden(text, secret);
        }
    }

    #[test]
    fn what_people_need_to_read_is_not() {
        for text in [
            "the parameter `/ci/admin_password` does not exist in eu-west-1",
            "admin_password = \"/devops-tools/jenkins/admin_password\"",
            "SECRETS=%d JENKINS_HOME=/var/lib/jenkins/home",
            "the token: it could not be had",
            "password=",
            "ssm:GetParameters was refused: AccessDeniedException: not authorized to perform: \
             kms:Decrypt on resource: arn:aws:kms:eu-west-1:123456789012:key/0b1f",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGk0 jenkins",
            "i-0bbbbbbbbbbbbbbbb in eu-west-1a",
            "fs-0123456789abcdef0.efs.eu-west-1.amazonaws.com.",
            "https://ci.example:8443/login",
            "7e2d7f2c3f0f4d0a9e516a3a1d1f0002",
            "secret_token_ttl = 300",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn json_is_masked_by_its_names_and_stays_json() {
        let mut value = serde_json::json!({
            "admin_password": "hunter22", "keys": {"private": "/ci/id_rsa"},
            "lines": ["password=hunter22"], "secret_count": 3,
        });
        super::super::redact_json(&mut value);
        let shown = value.to_string();
        assert!(!shown.contains("hunter22") && shown.contains("/ci/id_rsa"), "{shown}");
        assert_eq!(value["secret_count"], 3);
    }
}
