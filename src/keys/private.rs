//! What counts as a private key, and which public key belongs to it.
//!
//! OpenSSH's own form carries the public half in the clear, so nothing is decrypted and no program
//! sees the key. Of the older forms only the frame is looked at. Pure.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use zeroize::Zeroizing;

use super::public::{PublicKey, field};

const BEGIN: &str = "-----BEGIN ";
const OWN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const MAGIC: &[u8] = b"openssh-key-v1\0";

/// A private key. Wiped when dropped, never shown.
pub struct PrivateKey {
    text: Zeroizing<String>,
    public: Option<PublicKey>,
    /// Whether its lines ended as on Windows, which OpenSSH does not read.
    pub mended: bool,
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// Why a text is not a private key that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Wrong {
    /// The other half.
    #[error("holds a public key")]
    Public,
    /// Something else.
    #[error("is not a private key")]
    NoKey,
    /// All of it in one line.
    #[error("holds a private key that has lost its line ends")]
    OneLine,
    /// The end is missing.
    #[error("holds a private key that ends too early")]
    Cut,
    /// It needs a passphrase, and there is nobody to give one.
    #[error("holds a private key with a passphrase")]
    Passphrase,
    /// The frame is right, and what is in it is not.
    #[error("holds a private key that cannot be read")]
    Broken,
}

impl Wrong {
    /// What to do about it.
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Public => "the two halves are exchanged: this is the one that agents are given",
            Self::NoKey => "it must hold the whole file, from `-----BEGIN` on",
            Self::OneLine | Self::Cut | Self::Broken => {
                "upload the file as it is: aws ssm put-parameter --overwrite --value file://PATH …"
            }
            Self::Passphrase => "make it without: ssh-keygen -p -N '' -f PATH, and upload it again",
        }
    }
}

impl PrivateKey {
    /// Takes a text for a key. What surrounds it, and the line ends of Windows, are mended.
    pub fn read(text: &str) -> Result<Self, Wrong> {
        let mended = text.contains('\r');
        let plain = Zeroizing::new(text.replace("\r\n", "\n").replace('\r', "\n"));
        // OpenSSH refuses a private key whose last line has no end; consoles cut it.
        let text = Zeroizing::new(format!("{}\n", plain.trim()));
        if PublicKey::parse(&text).is_ok() {
            return Err(Wrong::Public);
        }
        if !text.starts_with(BEGIN) || !text.contains("PRIVATE KEY-----") {
            return Err(Wrong::NoKey);
        }
        let lines: Vec<&str> = text.lines().collect();
        if lines.len() < 3 {
            return Err(if text.contains("-----END ") { Wrong::OneLine } else { Wrong::Cut });
        }
        if !lines.last().is_some_and(|line| line.starts_with("-----END ")) {
            return Err(Wrong::Cut);
        }
        let locked = text.contains("BEGIN ENCRYPTED ") || text.contains("Proc-Type: 4,ENCRYPTED");
        if locked {
            return Err(Wrong::Passphrase);
        }
        let own = lines[0] == OWN;
        let public = if own { Some(half_of(&lines[1..lines.len() - 1])?) } else { None };
        drop(lines);
        Ok(Self { text, public, mended })
    }

    /// The whole text, its last line with an end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The public key that belongs to it; none where its form does not tell without decoding it.
    pub const fn public(&self) -> Option<&PublicKey> {
        self.public.as_ref()
    }
}

/// The public half in the lines of OpenSSH's own form.
fn half_of(lines: &[&str]) -> Result<PublicKey, Wrong> {
    let joined = Zeroizing::new(lines.concat());
    let bytes = Zeroizing::new(STANDARD.decode(joined.as_bytes()).map_err(|_| Wrong::Broken)?);
    let rest = bytes.strip_prefix(MAGIC).ok_or(Wrong::Broken)?;
    let read = || {
        let (cipher, rest) = field(rest)?;
        let (_function, rest) = field(rest)?;
        let (_options, rest) = field(rest)?;
        // How many keys there are.
        let (_, rest) = rest.split_at_checked(4)?;
        let (public, rest) = field(rest)?;
        let (private, _) = field(rest)?;
        Some((cipher.to_vec(), PublicKey::of_blob(public.to_vec())?, private.len()))
    };
    let (cipher, public, length) = read().ok_or(Wrong::Broken)?;
    if cipher != b"none" {
        return Err(Wrong::Passphrase);
    }
    if length == 0 { Err(Wrong::Broken) } else { Ok(public) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A key of nobody's.
    pub(crate) const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\n\
        b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n\
        QyNTUxOQAAACCjjI74GHLwNL0eYO3j0JE+2PnfIg9uv45LVxx211hPXQAAAJBgM/VOYDP1\n\
        TgAAAAtzc2gtZWQyNTUxOQAAACCjjI74GHLwNL0eYO3j0JE+2PnfIg9uv45LVxx211hPXQ\n\
        AAAEBkpFMcv4Z0L1qXIT0Hmopo77LUk2L6L0QA1WV5r+ZzfaOMjvgYcvA0vR5g7ePQkT7Y\n\
        +d8iD26/jktXHHbXWE9dAAAAB2plbmtpbnMBAgMEBQY=\n\
        -----END OPENSSH PRIVATE KEY-----";
    /// Its public half.
    pub(crate) const PUBLIC: &str = "ssh-ed25519 \
        AAAAC3NzaC1lZDI1NTE5AAAAIKOMjvgYcvA0vR5g7ePQkT7Y+d8iD26/jktXHHbXWE9d jenkins";

    #[test]
    fn the_public_half_is_found_in_the_private_one() {
        let key = PrivateKey::read(KEY).unwrap();
        assert!(key.public().unwrap().is(&PublicKey::parse(PUBLIC).unwrap()));
        assert_eq!(key.text(), format!("{KEY}\n"));
        assert!(!format!("{key:?}").contains("b3Blbn"));
        let windows = PrivateKey::read(&format!("\r\n{}\r\n", KEY.replace('\n', "\r\n"))).unwrap();
        assert_eq!((windows.text(), windows.mended), (key.text(), true));
        let old = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----";
        assert!(PrivateKey::read(old).unwrap().public().is_none());
    }

    #[test]
    fn what_is_not_a_key_is_told_apart() {
        let lines: Vec<_> = KEY.lines().collect();
        let of = |text: &str| PrivateKey::read(text).unwrap_err();
        assert_eq!(of(PUBLIC), Wrong::Public);
        assert_eq!(of("hunter2"), Wrong::NoKey);
        assert_eq!(of(&KEY.replace('\n', " ")), Wrong::OneLine);
        assert_eq!(of(&KEY.replace('\n', "")), Wrong::OneLine);
        assert_eq!(of(&lines[..4].join("\n")), Wrong::Cut);
        assert_eq!(of(&[lines[0], lines[1], lines[6]].join("\n")), Wrong::Broken);
        assert_eq!(of(&KEY.replace("ABG5vbmUAAAAEbm9uZQ", "ACmFlczI1Ni1jdHIAAA")), Wrong::Broken);
        let locked =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE\n-----END ENCRYPTED PRIVATE KEY-----";
        assert_eq!(of(locked), Wrong::Passphrase);
    }
}
