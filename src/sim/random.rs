//! Names that nobody else has: ids, tokens, keys.

use std::fmt::Write as _;
use std::io::Read as _;

use sha2::{Digest as _, Sha256};

/// `length` random hexadecimal digits.
pub fn hex(length: usize) -> String {
    let mut text = to_hex(&bytes(length.div_ceil(2)));
    text.truncate(length);
    text
}

/// `length` random capital letters and digits, as access key ids have them.
pub fn capitals(length: usize) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    bytes(length).iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

/// `length` hexadecimal digits that follow from `text`: the same text gives the same digits.
pub fn derived(text: &str, length: usize) -> String {
    let mut text = to_hex(&Sha256::digest(text.as_bytes()));
    text.truncate(length);
    text
}

/// Bytes as lower-case hexadecimal digits.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that hexadecimal digits stand for.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .expect("every Linux has /dev/urandom");
    bytes
}

/// A name in the form of a UUID.
pub fn uuid() -> String {
    let hex = hex(32);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
