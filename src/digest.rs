//! SHA-256, in lower-case hexadecimal: how hostkit names content.

use std::io::Read;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// The digest of some bytes.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(bytes))
}

/// The digest of a file of this machine.
pub fn sha256_of(path: impl AsRef<Path>) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

/// A UUID that `seed` gives to the thing called `name`, the same in every build.
pub fn uuid(seed: &str, name: &str) -> String {
    let mut hex = sha256(format!("{seed}:{name}"));
    // Version 8 (the maker's own scheme), variant 1: what RFC 9562 asks of such a number.
    hex.replace_range(12..13, "8");
    hex.replace_range(16..17, "8");
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]];
    parts.join("-")
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_of_its_seed_and_name_alone() {
        assert_eq!(uuid("seed", "root"), uuid("seed", "root"));
        assert_ne!(uuid("seed", "root"), uuid("seed", "esp"));
        assert_ne!(uuid("seed", "root"), uuid("other", "root"));
        let groups: Vec<_> = uuid("seed", "root").split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
    }

    #[test]
    fn a_file_and_its_bytes_have_the_same_digest() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256("abc"), abc);
        assert_eq!(sha256_of(file.path()).unwrap(), abc);
    }
}
