//! Java's store of the certificates that it trusts: the same bytes for the same certificates.
//!
//! Debian's `ca-certificates-java` writes when each certificate was put in. Nobody reads that, and it
//! would make every bake another one. Only the old form (JKS) is known, which Debian uses; what is
//! not understood is left as it is.

use anyhow::Context as _;
use sha1::{Digest as _, Sha1};

use crate::sys::{Owner, Root};

/// Where Debian and Ubuntu keep it.
const PATH: &str = "/etc/ssl/certs/java/cacerts";

/// The first bytes of the form, and its version.
const MAGIC: &[u8] = &[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2];

/// An entry that is a certificate, and no private key.
const CERTIFICATE: u32 = 2;

/// What is hashed before the content: the password that all such stores have, and the joke of the
/// people who made the form.
const PASSWORD: &str = "changeit";
const SALT: &[u8] = b"Mighty Aphrodite";

/// Gives every certificate in the store of a tree the same time: `epoch`, in seconds since 1970.
pub(super) fn settle(root: &Root, epoch: i64) -> anyhow::Result<()> {
    let Some(store) = root.read(PATH).context("reading Java's certificates")? else {
        return Ok(());
    };
    let Some(settled) = settled(&store, epoch) else {
        tracing::warn!(path = PATH, "a store of certificates of another form keeps its times");
        return Ok(());
    };
    let mode = root.mode(PATH)?.unwrap_or(0o644);
    root.write(PATH, &settled, mode, Owner::ROOT).context("writing Java's certificates")?;
    Ok(())
}

fn settled(store: &[u8], epoch: i64) -> Option<Vec<u8>> {
    let mut store = store.to_vec();
    let end = store.len().checked_sub(Sha1::output_size())?;
    let mut reader = Reader { bytes: &mut store[..end], at: 0 };
    if reader.take(MAGIC.len())? != MAGIC {
        return None;
    }
    for _ in 0..reader.number()? {
        if reader.number()? != CERTIFICATE {
            return None;
        }
        reader.text()?; // its name
        reader.take(8)?.copy_from_slice(&epoch.checked_mul(1000)?.to_be_bytes());
        reader.text()?; // its kind
        let length = usize::try_from(reader.number()?).ok()?;
        reader.take(length)?;
    }
    if reader.at != end {
        return None;
    }
    let digest = digest(&store[..end]);
    store[end..].copy_from_slice(&digest);
    Some(store)
}

fn digest(content: &[u8]) -> Vec<u8> {
    let password: Vec<_> = PASSWORD.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let hasher = Sha1::new().chain_update(password).chain_update(SALT).chain_update(content);
    hasher.finalize().to_vec()
}

struct Reader<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Option<&mut [u8]> {
        let from = self.at;
        self.at = from.checked_add(length)?;
        self.bytes.get_mut(from..self.at)
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4).and_then(|bytes| Some(u32::from_be_bytes((&*bytes).try_into().ok()?)))
    }

    fn text(&mut self) -> Option<()> {
        let length = self.take(2).and_then(|b| Some(u16::from_be_bytes((&*b).try_into().ok()?)))?;
        self.take(length.into()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store with two certificates, put in at a time.
    fn store(time: i64) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(2_u32.to_be_bytes());
        for (name, certificate) in [("debian:one.pem", "certificate 1"), ("two", "2")] {
            bytes.extend(CERTIFICATE.to_be_bytes());
            bytes.extend(u16::try_from(name.len()).unwrap().to_be_bytes());
            bytes.extend(name.as_bytes());
            bytes.extend(time.to_be_bytes());
            bytes.extend(5_u16.to_be_bytes());
            bytes.extend(b"X.509");
            bytes.extend(u32::try_from(certificate.len()).unwrap().to_be_bytes());
            bytes.extend(certificate.as_bytes());
        }
        let digest = digest(&bytes);
        bytes.extend(digest);
        bytes
    }

    #[test]
    fn two_stores_of_the_same_certificates_become_the_same() {
        assert_eq!(settled(&store(1), 7), Some(store(7000)));
        assert_eq!(settled(&store(2), 7), Some(store(7000)));
    }

    #[test]
    fn what_is_no_store_of_certificates_is_left_alone() {
        let good = store(1);
        for length in 0..good.len() {
            assert_eq!(settled(&good[..length], 7), None, "{length}");
        }
        let mut key = good.clone();
        key[15] = 1;
        assert_eq!(settled(&key, 7), None);
        assert_eq!(settled(b"PKCS12 or whatever it may be", 7), None);
    }
}
