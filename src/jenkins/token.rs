//! The two secrets with which hostkit asks Jenkins: made at each boot, and on tmpfs only.
//!
//! One is the API token of hostkit's user, which Jenkins gets as the credential `hostkit_token`. The
//! other is that of the configuration-as-code plugin, which takes it from an environment file that
//! only root and systemd read.

use std::fmt::Write as _;
use std::io;

use camino::Utf8Path;
use zeroize::Zeroizing;

use crate::sys::atomic;

/// The file with the API token, in the folder of the secrets.
pub const API: &str = "hostkit_token";

/// The environment file with the reload token, in the folder of the secrets.
pub const RELOAD: &str = "jenkins.env";

/// The name that the plugin wants.
const RELOAD_NAME: &str = "CASC_RELOAD_TOKEN";

/// Both of them. `Debug` shows nothing of them.
pub struct Tokens {
    /// Of hostkit's user.
    pub api: Zeroizing<String>,
    /// Of the configuration-as-code plugin.
    pub reload: Zeroizing<String>,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    /// Reads those of this boot from `folder`.
    pub fn read(folder: &Utf8Path) -> io::Result<Self> {
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).map(Zeroizing::new);
        let (api, reload) = (text(API)?, text(RELOAD)?);
        let reload = reload.trim().strip_prefix(RELOAD_NAME).and_then(|it| it.strip_prefix('='));
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "it holds no token");
        Ok(Self {
            api: Zeroizing::new(api.trim().to_owned()),
            reload: Zeroizing::new(reload.ok_or_else(wrong)?.to_owned()),
        })
    }

    /// Those of this boot, made in `folder` if they are not there: a Jenkins that runs knows them
    /// already. The second value says whether they were made.
    pub fn keep(folder: &Utf8Path) -> io::Result<(Self, bool)> {
        if let Ok(tokens) = Self::read(folder)
            && is_token(&tokens.api)
            && is_token(&tokens.reload)
        {
            return Ok((tokens, false));
        }
        let tokens = Self { api: token()?, reload: token()? };
        let line = Zeroizing::new(format!("{RELOAD_NAME}={}\n", tokens.reload.as_str()));
        atomic::write(&folder.join(API), tokens.api.as_bytes(), 0o400)?;
        atomic::write(&folder.join(RELOAD), line.as_bytes(), 0o400)?;
        Ok((tokens, true))
    }
}

/// As Jenkins wants a token that it did not make itself: the version `11`, and 128 bits in hex.
fn token() -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; 16]);
    getrandom::fill(bytes.as_mut_slice()).map_err(io::Error::other)?;
    let mut text = Zeroizing::new(String::with_capacity(34));
    text.push_str("11");
    for byte in bytes.iter() {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    Ok(text)
}

fn is_token(text: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 34 && text.starts_with("11") && text.bytes().all(hex)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn tokens_are_made_once_a_boot_and_only_root_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        assert!(Tokens::read(folder).is_err());
        let (made, is_new) = Tokens::keep(folder).unwrap();
        let (kept, again) = Tokens::keep(folder).unwrap();
        assert_eq!((is_new, again), (true, false));
        assert!(made.api == kept.api && made.reload == kept.reload && made.api != made.reload);
        assert!(is_token(&made.api) && is_token(&made.reload));
        for name in [API, RELOAD] {
            let mode = folder.join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o400, "{name}");
        }
        let shown = format!("{made:?}");
        assert!(!shown.contains(made.api.as_str()) && !shown.contains(made.reload.as_str()));
    }

    #[test]
    fn what_is_no_token_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        std::fs::write(folder.join(API), "").unwrap();
        std::fs::write(folder.join(RELOAD), "CASC_RELOAD_TOKEN=x\n").unwrap();
        assert!(Tokens::keep(folder).unwrap().1);
    }
}
