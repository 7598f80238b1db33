//! `OpenPGP` keys and signatures, pinned by fingerprint. What is not exactly right is refused.

use std::collections::BTreeSet;

use anyhow::Context as _;
use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::Site;
use super::download::download;
use crate::error::Fault;
use crate::sys::{Cmd, Runner, Tool};

/// A key that expires within so many days is worth a warning.
const EXPIRES_SOON_DAYS: i64 = 60;

/// A key that is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Where it is.
    pub url: String,
    /// Its full fingerprint, upper case.
    pub fingerprint: String,
}

/// A key that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verified {
    /// It, in binary form.
    pub(super) binary: Vec<u8>,
    /// It, in text form.
    pub(super) armoured: Vec<u8>,
}

impl Key {
    /// Fetches the key, and proves that it is the pinned one, that one alone, and not expired.
    /// `whose` is for the error.
    pub(super) async fn verified(&self, whose: &str, site: &Site<'_>) -> anyhow::Result<Verified> {
        let arrived = download(site, &self.url).await?;
        let home = Home::new(site)?;
        let listing = home.show(&arrived.path, site).await;
        let listing = listing.with_context(|| Fault::step(format!("{} is no key", self.url)))?;
        let keys = primaries(&listing);
        let [key] = keys.as_slice() else {
            return Err(self.refused(whose, &format!("the file holds {} keys", keys.len())));
        };
        let days = key.judge(&self.fingerprint, jiff::Timestamp::now().as_second());
        match days.map_err(|why| self.refused(whose, &why))? {
            Some(days) if days < EXPIRES_SOON_DAYS => {
                site.log(format!("warning: the key {} expires in {days} days", self.fingerprint));
            }
            _ => {}
        }
        home.run(["--import", arrived.path.as_str()], site).await?;
        let export = |more: &'static [&str]| {
            let args = more.iter().copied().chain(["--export", &self.fingerprint]);
            home.run(args.collect::<Vec<_>>(), site)
        };
        let (binary, armoured) = (export(&[]).await?, export(&["--armor"]).await?);
        Ok(Verified { binary, armoured })
    }

    fn refused(&self, whose: &str, why: &str) -> anyhow::Error {
        Fault::step(format!("the key of {whose} is refused: {why}"))
            .hint(format!("pinned is {} at {}", self.fingerprint, self.url))
            .into()
    }
}

/// What can be said of a pinned key without using it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It is right, and will be for long enough.
    Good,
    /// It is right, and expires in so many days.
    Soon(i64),
    /// It is refused, and why.
    Refused(String),
}

/// Looks at the key in a file of this machine.
///
/// # Errors
/// gpg cannot be run.
pub async fn outlook(file: &Utf8Path, fingerprint: &str) -> anyhow::Result<Outlook> {
    let home = tempfile::tempdir().context("making a home for gpg")?;
    let show = Cmd::new(Tool::Gpg)
        .args(["--batch", "--quiet", "--no-options", "--homedir"])
        .args([home.path().to_string_lossy().as_ref(), "--show-keys", "--with-colons"])
        .arg(file.as_str());
    Tool::require(&[Tool::Gpg])?;
    let Ok(listing) = Runner::Direct.run(&show).await else {
        return Ok(Outlook::Refused("it is no key".to_owned()));
    };
    let keys = primaries(&String::from_utf8_lossy(&listing.stdout));
    let [key] = keys.as_slice() else {
        return Ok(Outlook::Refused(format!("the file holds {} keys", keys.len())));
    };
    Ok(match key.judge(fingerprint, jiff::Timestamp::now().as_second()) {
        Err(why) => Outlook::Refused(why),
        Ok(Some(days)) if days < EXPIRES_SOON_DAYS => Outlook::Soon(days),
        Ok(_) => Outlook::Good,
    })
}

/// Whether the keys in `ring` are exactly the pinned ones, and none has expired.
pub(super) async fn are_pinned(
    ring: &[u8],
    pinned: &[Key],
    site: &Site<'_>,
) -> anyhow::Result<bool> {
    let home = Home::new(site)?;
    let file = home.path().join("ring");
    std::fs::write(&file, ring).context("writing the keys")?;
    let Ok(listing) = home.show(&file, site).await else { return Ok(false) };
    let keys = primaries(&listing);
    let now = jiff::Timestamp::now().as_second();
    let good = |key: &Primary| key.judge(&key.fingerprint, now).is_ok();
    let there: BTreeSet<_> = keys.iter().map(|key| key.fingerprint.as_str()).collect();
    let wanted: BTreeSet<_> = pinned.iter().map(|key| key.fingerprint.as_str()).collect();
    Ok(keys.iter().all(good) && there == wanted)
}

/// Proves that `key` made the detached `signature` of `file`.
///
/// # Errors
/// Anything else: another key, a changed file, a signature or key that expired or was revoked.
pub(super) async fn verify(
    file: &Utf8Path,
    signature: &Utf8Path,
    key: &Verified,
    fingerprint: &str,
    site: &Site<'_>,
) -> anyhow::Result<()> {
    let home = Home::new(site)?;
    let ring = home.path().join("pinned.key");
    std::fs::write(&ring, &key.binary).context("writing the key")?;
    home.run(["--import", ring.as_str()], site).await?;
    let args = ["--trust-model", "always", "--no-auto-key-retrieve", "--status-fd", "1"];
    let files = ["--verify", signature.as_str(), file.as_str()];
    let status = home.run(args.into_iter().chain(files).collect::<Vec<_>>(), site).await;
    let status = status.context("its signature does not verify")?;
    is_signed(&String::from_utf8_lossy(&status), fingerprint).map_err(|why| anyhow::anyhow!(why))
}

/// Reads what `gpg --status-fd` said of a signature.
fn is_signed(status: &str, fingerprint: &str) -> Result<(), String> {
    let lines = status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] "));
    let words: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    let said = |word: &str| words.iter().any(|line| line.first() == Some(&word));
    for bad in ["BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "NO_PUBKEY"] {
        if said(bad) {
            return Err(format!("its signature is not good ({bad})"));
        }
    }
    // The last field is the primary key's, whichever of its subkeys has signed.
    let signer = words.iter().find(|line| line.first() == Some(&"VALIDSIG"));
    match signer.and_then(|line| line.last()) {
        Some(signer) if said("GOODSIG") && *signer == fingerprint => Ok(()),
        Some(signer) => Err(format!("it was signed by {signer}")),
        None => Err("it has no valid signature".to_owned()),
    }
}

/// A home for gpg that has nothing in it and goes when it is dropped.
struct Home(tempfile::TempDir);

impl Home {
    fn new(site: &Site<'_>) -> anyhow::Result<Self> {
        Ok(Self(site.host.scratch().context("making a home for gpg")?))
    }

    fn path(&self) -> camino::Utf8PathBuf {
        camino::Utf8PathBuf::from(self.0.path().to_string_lossy().into_owned())
    }

    async fn run<'a>(
        &self,
        args: impl IntoIterator<Item = &'a str>,
        site: &Site<'_>,
    ) -> anyhow::Result<Vec<u8>> {
        let home = self.path();
        let cmd = Cmd::new(Tool::Gpg)
            .args(["--batch", "--quiet", "--no-options", "--homedir", home.as_str()])
            .args(args);
        Ok(site.host.outside.run(&cmd).await?.stdout)
    }

    async fn show(&self, file: &Utf8Path, site: &Site<'_>) -> anyhow::Result<String> {
        let listing = self.run(["--show-keys", "--with-colons", file.as_str()], site).await?;
        Ok(String::from_utf8_lossy(&listing).into_owned())
    }
}

/// A primary key as `gpg --show-keys --with-colons` tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Primary {
    fingerprint: String,
    /// `r` when it was revoked, `e` when it has expired.
    validity: String,
    /// When it expires, in seconds since 1970; empty: never.
    expiry: String,
}

fn primaries(listing: &str) -> Vec<Primary> {
    let records: Vec<Vec<&str>> = listing.lines().map(|line| line.split(':').collect()).collect();
    let field = |record: &[&str], n: usize| record.get(n).copied().unwrap_or_default().to_owned();
    let public = records.iter().enumerate().filter(|(_, record)| record[0] == "pub");
    public
        .map(|(n, record)| {
            // The first `fpr` after each `pub` is that of the primary key.
            let print = records[n..].iter().find(|r| r[0] == "fpr").map(|r| field(r, 9));
            Primary {
                fingerprint: print.unwrap_or_default(),
                validity: field(record, 1),
                expiry: field(record, 6),
            }
        })
        .collect()
}

impl Primary {
    /// Whether this is the pinned key, and in how many days it expires.
    fn judge(&self, pinned: &str, now: i64) -> Result<Option<i64>, String> {
        if self.fingerprint != pinned {
            return Err(format!("its fingerprint is {}", self.fingerprint));
        }
        if self.validity == "r" {
            return Err("it was revoked".to_owned());
        }
        let Ok(expiry) = self.expiry.parse::<i64>() else { return Ok(None) };
        let days = (expiry - now).div_euclid(86_400);
        if expiry <= now { Err(format!("it expired {} days ago", -days)) } else { Ok(Some(days)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000;
    const PRINT: &str = "5E386EADB55F01504CAE8BCF7198F4B714ABFC68";

    fn listing(expiry: &str, print: &str) -> String {
        format!(
            "pub:-:4096:1:7198F4B714ABFC68:1700000000:{expiry}::-:::scESC::::::23::0:\n\
             fpr:::::::::{print}:\nuid:-::::1700000000::X::Someone::::::::::0:\n\
             sub:-:4096:1:AAAA:1700000000::::::e:\nfpr:::::::::0000000000000000000000000000000000000000:\n"
        )
    }

    fn judge(listing: &str) -> Result<Option<i64>, String> {
        primaries(listing)[0].judge(PRINT, NOW)
    }

    #[test]
    fn the_pinned_key_passes_and_its_last_days_are_known() {
        assert_eq!(judge(&listing("", PRINT)), Ok(None));
        assert_eq!(judge(&listing(&(NOW + 864_000).to_string(), PRINT)), Ok(Some(10)));
    }

    #[test]
    fn another_an_expired_and_a_revoked_key_are_refused_and_all_keys_are_counted() {
        let other = PRINT.replace('5', "6");
        assert!(judge(&listing("", &other)).unwrap_err().contains(&other));
        let past = (NOW - 864_000).to_string();
        assert!(judge(&listing(&past, PRINT)).unwrap_err().contains("10 days ago"));
        let revoked = listing("", PRINT).replace("pub:-", "pub:r");
        assert!(judge(&revoked).unwrap_err().contains("revoked"));
        let two = listing("", PRINT) + &listing("", &other);
        assert_eq!((primaries(&two).len(), primaries("").len()), (2, 0));
    }

    #[test]
    fn only_a_good_signature_of_the_pinned_key_counts() {
        let valid = format!(
            "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 7198F4B714ABFC68 A Test\n\
             [GNUPG:] VALIDSIG {} 2026-11-20 1795000000 0 4 0 22 8 00 {PRINT}\n",
            "0".repeat(40)
        );
        assert_eq!(is_signed(&valid, PRINT), Ok(()));
        assert!(is_signed(&valid, &PRINT.replace('5', "6")).unwrap_err().contains("signed by"));
        let expired = valid.replace("GOODSIG", "EXPKEYSIG");
        assert!(is_signed(&expired, PRINT).unwrap_err().contains("EXPKEYSIG"));
        assert!(is_signed("[GNUPG:] BADSIG 7198 A Test\n", PRINT).is_err());
        assert!(is_signed("", PRINT).unwrap_err().contains("no valid signature"));
    }
}
