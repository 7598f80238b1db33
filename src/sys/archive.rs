//! What a package manager is about to install, as files: read from the list that apt prints.

/// A package file, and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Its file name: `NAME_VERSION_ARCH.deb`, with `:` in the version as `%3a`.
    pub file: String,
    /// Its SHA-256.
    pub digest: String,
}

impl Archive {
    /// Reads `'URI' FILE SIZE SHA256:DIGEST`; other lines are talk.
    pub fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_whitespace().skip(1);
        let (file, digest) = (fields.next()?, fields.nth(1)?.strip_prefix("SHA256:")?);
        let plain = !file.contains('/') && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| Self { file: file.to_owned(), digest: digest.to_owned() })
    }

    /// The file of a version of a package.
    pub fn of(package: &str, version: &str, arch: &str, digest: &str) -> Self {
        let version = version.replace(':', "%3a");
        Self { file: format!("{package}_{version}_{arch}.deb"), digest: digest.to_owned() }
    }

    /// Its package, version and architecture.
    pub fn name(&self) -> Option<(&str, String, &str)> {
        let mut parts = self.file.strip_suffix(".deb")?.splitn(3, '_');
        let (package, version, arch) = (parts.next()?, parts.next()?, parts.next()?);
        Some((package, version.replace("%3a", ":"), arch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_apt_would_fetch_is_read_from_its_list() {
        let line = "'http://x/pool/g/git_2%3a1_amd64.deb' git_2%3a1_amd64.deb 100 SHA256:0aff";
        let archive = Archive::of("git", "2:1", "amd64", "0aff");
        assert_eq!(Archive::parse(line), Some(archive.clone()));
        assert_eq!(archive.name(), Some(("git", "2:1".to_owned(), "amd64")));
        for talk in ["Reading package lists...", "'http://x/a.deb' ../a.deb 1 SHA256:00", ""] {
            assert_eq!(Archive::parse(talk), None, "{talk}");
        }
    }
}
