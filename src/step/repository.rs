//! A package repository: its keys verified by fingerprint, and confined to the packages it is for.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Site;
use super::openpgp::{self, Key};
use crate::event::Outcome;
use crate::sys::Owner;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// The name of its files.
    pub name: String,
    /// Where it is.
    pub uri: String,
    /// What it is for.
    pub kind: Kind,
    /// The only packages that may come from it; empty means any.
    pub packages: Vec<String>,
    /// The keys that may sign it.
    pub keys: Vec<Key>,
}

/// The package manager that a repository is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Kind {
    /// apt: the list of packages is signed.
    Apt {
        /// Its suite.
        suite: String,
        /// Its components.
        components: Vec<String>,
    },
    /// dnf: each package is signed.
    Dnf {},
}

impl Repository {
    pub(super) fn title(&self) -> String {
        format!("adding the repository {} ({})", self.name, self.uri)
    }

    /// Whether it is apt's. dnf keeps the packages of each repository apart by itself.
    pub const fn is_for_apt(&self) -> bool {
        matches!(self.kind, Kind::Apt { .. })
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let mut outcome = self.keyring(site).await?;
        for (path, text) in self.files().iter().filter(|(_, text)| !text.is_empty()) {
            outcome = outcome.and(site.write(path, text.as_bytes(), 0o644, Owner::ROOT)?);
        }
        Ok(outcome)
    }

    /// The keys: fetched if what is there is not exactly what is pinned.
    async fn keyring(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let path = self.keyring_path();
        let root = &site.host.root;
        if let Some(now) = root.read(&path)?
            && root.is_file(&path, &now, 0o644, Owner::ROOT)?
            && openpgp::are_pinned(&now, &self.keys, site).await?
        {
            return Ok(Outcome::Unchanged);
        }
        if !site.may(&format!("fetching the keys of the repository {}", self.name)) {
            return Ok(Outcome::Changed);
        }
        let mut ring = Vec::new();
        for key in &self.keys {
            let verified = key.verified(&format!("the repository {}", self.name), site).await?;
            ring.extend(match self.kind {
                Kind::Apt { .. } => verified.binary,
                Kind::Dnf {} => verified.armoured,
            });
        }
        site.write(&path, &ring, 0o644, Owner::ROOT).context("writing the keys")
    }

    fn keyring_path(&self) -> String {
        match self.kind {
            Kind::Apt { .. } => format!("/etc/apt/keyrings/{}.gpg", self.name),
            Kind::Dnf {} => format!("/etc/pki/rpm-gpg/RPM-GPG-KEY-{}", self.name),
        }
    }

    /// What else it consists of: paths and texts.
    fn files(&self) -> Vec<(String, String)> {
        match &self.kind {
            Kind::Apt { suite, components } => vec![
                (
                    format!("/etc/apt/sources.list.d/{}.sources", self.name),
                    self.sources(suite, components),
                ),
                (format!("/etc/apt/preferences.d/{}", self.name), self.preferences()),
            ],
            Kind::Dnf {} => vec![(format!("/etc/yum.repos.d/{}.repo", self.name), self.repo())],
        }
    }

    fn sources(&self, suite: &str, components: &[String]) -> String {
        let components = if components.is_empty() {
            String::new()
        } else {
            format!("Components: {}\n", components.join(" "))
        };
        let ring = self.keyring_path();
        format!("Types: deb\nURIs: {}\nSuites: {suite}\n{components}Signed-By: {ring}\n", self.uri)
    }

    /// Nothing but the named packages may come from here: a repository that is there for one
    /// package must not be able to replace the others.
    fn preferences(&self) -> String {
        if self.packages.is_empty() {
            return String::new();
        }
        let host = host_of(&self.uri);
        let pin = |packages: &str, priority: i32| {
            format!("Package: {packages}\nPin: origin \"{host}\"\nPin-Priority: {priority}\n")
        };
        format!("{}\n{}", pin("*", -1), pin(&self.packages.join(" "), 500))
    }

    /// The same for dnf, which knows the packages of a repository by a list.
    fn repo(&self) -> String {
        let Self { name, uri, packages, .. } = self;
        let only = if packages.is_empty() {
            String::new()
        } else {
            format!("includepkgs={}\n", packages.join(" "))
        };
        format!(
            "[{name}]\nname={name}\nbaseurl={uri}\nenabled=1\ngpgcheck=1\ngpgkey=file://{}\n{only}",
            self.keyring_path()
        )
    }
}

/// The host in an address, as apt's pins name it. Empty for files of this machine.
pub fn host_of(address: &str) -> &str {
    let host = address.split_once("://").map_or("", |(_, rest)| rest);
    host.split(['/', ':']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(kind: Kind) -> Repository {
        Repository {
            name: "jenkins".into(),
            uri: "https://pkg.jenkins.io/stable".into(),
            kind,
            packages: vec!["jenkins".into()],
            keys: vec![],
        }
    }

    fn files(kind: Kind) -> String {
        let files = repository(kind).files().into_iter();
        files.map(|(path, text)| format!("--- {path}\n{text}")).collect()
    }

    #[test]
    fn a_repository_for_one_package_cannot_replace_others() {
        insta::assert_snapshot!(files(Kind::Apt { suite: "binary/".into(), components: vec![] }));
        insta::assert_snapshot!(files(Kind::Dnf {}));
    }
}
