//! Versions of Jenkins: which one the image has, and which of two is newer.

use std::fmt;
use std::io;
use std::str::FromStr;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

/// Where an image says it whose packages are not dpkg's.
const SAID: &str = "usr/share/hostkit/jenkins/version";

/// Where dpkg remembers what is installed.
const DPKG: &str = "var/lib/dpkg/status";

/// As Jenkins writes it: `2.568.2`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(Vec<u32>);

impl Version {
    /// That of the Jenkins which is installed below `root`, without asking a program. None where
    /// none is, or nothing tells.
    pub fn installed(root: &Utf8Path) -> io::Result<Option<Self>> {
        if let Some(said) = read(&root.join(SAID))? {
            return Ok(package(said.trim()));
        }
        let status = read(&root.join(DPKG))?.unwrap_or_default();
        Ok(of_dpkg(&status))
    }
}

fn read(path: &Utf8Path) -> io::Result<Option<String>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        bytes => Ok(Some(String::from_utf8_lossy(&bytes?).into_owned())),
    }
}

fn of_dpkg(status: &str) -> Option<Version> {
    let mut all = status.split("\n\n");
    let ours = all.find(|package| package.lines().any(|line| line == "Package: jenkins"))?;
    let field = |name: &str| ours.lines().find_map(|line| line.strip_prefix(name));
    let installed = field("Status: ")?.ends_with(" installed");
    installed.then(|| field("Version: "))?.and_then(package)
}

/// The version of the package without what those who packaged it added: epoch, revision.
fn package(text: &str) -> Option<Version> {
    let text = text.rsplit(':').next().unwrap_or(text);
    text.split(['-', '+', '~']).next()?.parse().ok()
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // `2.568.2-SNAPSHOT (private)` is what a developer's own says.
        let numbers = text.trim().split(['-', ' ']).next().unwrap_or_default();
        let parts: Result<Vec<u32>, _> = numbers.split('.').map(str::parse).collect();
        parts.map(Self).map_err(|_| format!("`{}` is no version of Jenkins", text.escape_debug()))
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.0.iter().map(u32::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn a_version_is_newer_by_its_numbers() {
        let sorted = ["2.9", "2.541", "2.541.1", "2.568.2", "2.568.10", "3.0"].map(version);
        assert!(sorted.is_sorted());
        assert_eq!(version("2.568.2-SNAPSHOT (private)").to_string(), "2.568.2");
        assert!("".parse::<Version>().is_err() && "x.1".parse::<Version>().is_err());
    }

    #[test]
    fn what_is_installed_is_what_dpkg_remembers() {
        let of = |version: &str, status: &str| {
            of_dpkg(&format!(
                "Package: jenkins-cli\nStatus: install ok installed\nVersion: 1\n\n\
                 Package: jenkins\nStatus: {status}\nArchitecture: all\nVersion: {version}\n\n\
                 Package: zlib1g\nVersion: 1:1.2\n"
            ))
        };
        let installed = "install ok installed";
        assert_eq!(of("2.568.2", installed), Some(version("2.568.2")));
        assert_eq!(of("2.568.2+fixture", installed), Some(version("2.568.2")));
        assert_eq!(of("1:2.568.2-1.1", installed), Some(version("2.568.2")));
        assert_eq!(of("2.568.2", "deinstall ok config-files"), None);
        assert_eq!(of_dpkg(""), None);
    }
}
