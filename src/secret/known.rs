//! The secrets that this process has met: not their values but marks by which they are known again.
//!
//! A value that was wiped must not live on in what looks for it. A mark is the length of a value, a
//! rolling sum over its bytes, by which a text is searched in one pass, and a salted hash, which
//! decides.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{LazyLock, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::spans::Spans;

/// Shorter values are not looked for, in bytes: they are parts of words.
const SHORTEST: usize = 4;

/// The modulus of the rolling sum: a Mersenne prime.
const PRIME: u64 = (1 << 61) - 1;

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(|| Mutex::new(Known::new()));

/// Marks of secrets.
#[derive(Debug)]
struct Known {
    /// Anew in each process: no text can be made to look like a secret.
    base: u64,
    salt: [u8; 16],
    /// By length: sums, and the hashes of the values that have them.
    marks: BTreeMap<usize, HashMap<u64, Vec<[u8; 32]>>>,
}

/// Has `value` masked from now on, wherever this process shows or keeps text: as it is, line by line
/// where it has several, and as it stands in JSON, in a URL and in base64.
pub fn learn(value: &str) {
    let mut known = KNOWN.lock().expect("nobody panics with this lock");
    known.learn(value);
}

/// Where in `text` what was learnt stands.
pub(super) fn find(text: &str, spans: &mut Spans) {
    KNOWN.lock().expect("nobody panics with this lock").find(text, spans);
}

impl Known {
    fn new() -> Self {
        let random = |what: &str| RandomState::new().hash_one(what);
        let mut salt = [0; 16];
        salt[..8].copy_from_slice(&random("one").to_le_bytes());
        salt[8..].copy_from_slice(&random("two").to_le_bytes());
        Self { base: random("base") % (PRIME - 1000) + 500, salt, marks: BTreeMap::new() }
    }

    fn learn(&mut self, value: &str) {
        // The frame of a private key is the same for everybody, and a public key is no secret.
        let is_open = |line: &&str| {
            ["-----", "ssh-", "ecdsa-sha2-", "sk-"].iter().any(|it| line.starts_with(it))
        };
        let lines = value.lines().map(str::trim).filter(|line| !is_open(line));
        for line in lines.filter(|line| line.len() >= SHORTEST) {
            self.mark(line);
            self.mark(&escaped(line));
            let url = form_urlencoded::byte_serialize(line.as_bytes()).collect::<String>();
            self.mark(&Zeroizing::new(url));
        }
        if value.trim().len() >= SHORTEST && !is_open(&value.trim()) {
            self.mark(&Zeroizing::new(STANDARD.encode(value)));
            self.mark(&Zeroizing::new(STANDARD.encode(value.trim())));
        }
    }

    fn mark(&mut self, text: &str) {
        let sum = text.bytes().fold(0, |sum, byte| self.push(sum, byte));
        let hash = self.hash(text.as_bytes());
        let same = self.marks.entry(text.len()).or_default().entry(sum).or_default();
        if !same.contains(&hash) {
            same.push(hash);
        }
    }

    fn find(&self, text: &str, spans: &mut Spans) {
        let bytes = text.as_bytes();
        for (&length, marks) in self.marks.range(..=bytes.len()) {
            let top = power(self.base, length);
            let mut sum = 0;
            for (end, &byte) in bytes.iter().enumerate() {
                sum = self.push(sum, byte);
                if end >= length {
                    let gone = times(top, value(bytes[end - length]));
                    sum = (sum + PRIME - gone) % PRIME;
                }
                let Some(start) = (end + 1).checked_sub(length) else { continue };
                let window = &bytes[start..=end];
                if marks.get(&sum).is_some_and(|same| same.contains(&self.hash(window))) {
                    // A value is whole characters, so its ends are between characters here, too.
                    spans.add(start..end + 1);
                }
            }
        }
    }

    fn push(&self, sum: u64, byte: u8) -> u64 {
        (times(sum, self.base) + value(byte)) % PRIME
    }

    fn hash(&self, bytes: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update(self.salt).chain_update(bytes).finalize().into()
    }
}

/// No byte counts for nothing.
fn value(byte: u8) -> u64 {
    u64::from(byte) + 1
}

fn times(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b) % u128::from(PRIME);
    u64::try_from(product).expect("it is less than the prime")
}

fn power(base: u64, exponent: usize) -> u64 {
    (0..exponent).fold(1, |power, _| times(power, base))
}

/// As a string of JSON, without its quotes.
fn escaped(text: &str) -> Zeroizing<String> {
    let quoted = Zeroizing::new(serde_json::to_string(text).expect("text is JSON"));
    Zeroizing::new(quoted.trim_start_matches('"').trim_end_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(known: &Known, text: &str) -> String {
        let mut spans = Spans::default();
        known.find(text, &mut spans);
        spans.masked(text).into_owned()
    }

    #[test]
    fn what_was_learnt_is_masked_in_all_its_forms() {
        let mut known = Known::new();
        known.learn("pa\"ss wörd&7\n");
        for text in [
            "it is pa\"ss wörd&7!",
            r#"{"x":"pa\"ss wörd&7"}"#,
            "?a=pa%22ss+w%C3%B6rd%267",
            "Basic cGEic3Mgd8O2cmQmNw==",
        ] {
            let shown = masked(&known, text);
            assert!(shown.contains("[secret]") && !shown.contains("rd&7"), "{shown}");
        }
        assert_eq!(masked(&known, "pa\"ss wörd&8"), "pa\"ss wörd&8");
    }

    #[test]
    fn each_line_of_a_key_is_masked_and_its_frame_is_not() {
        let mut known = Known::new();
        known.learn("-----BEGIN X-----\nb3BlbnNzaC1rZXktdjEAAAAA\nAAAA\nabc\n-----END X-----\n");
        let shown = masked(&known, "b3BlbnNzaC1rZXktdjEAAAAA then AAAA, abc, -----BEGIN X-----");
        assert_eq!(shown, "[secret] then [secret], abc, -----BEGIN X-----");
    }

    proptest! {
        #[test]
        fn a_secret_is_found_wherever_it_stands(
            before in "\\PC{0,40}", secret in "[ -~äß€]{4,60}", after in "\\PC{0,40}",
        ) {
            let text = secret.trim();
            let is_open = ["-----", "ssh-", "sk-", "ecdsa-"].iter().any(|it| text.starts_with(it));
            prop_assume!(text.len() >= SHORTEST && !is_open);
            let mut known = Known::new();
            known.learn(&secret);
            let shown = masked(&known, &format!("{before}{secret}{after}"));
            prop_assert!(shown.contains("[secret]"), "{}", shown);
            let alone = masked(&known, &secret);
            prop_assert_eq!(alone.trim(), "[secret]");
        }
    }
}
