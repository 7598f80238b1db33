//! A package repository: its keys verified by fingerprint, and confined to the packages it is for.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Site;
use super::fetch::download;
use super::file::make_parents;
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::{Cmd, Owner, Tool};

/// A key that expires within so many days is worth a warning.
const EXPIRES_SOON_DAYS: i64 = 60;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// The name of its files.
    pub name: String,
    /// Where it is.
    pub uri: String,
    /// Its suite.
    pub suite: String,
    /// Its components.
    pub components: Vec<String>,
    /// The only packages that may come from it; empty means any.
    pub packages: Vec<String>,
    /// The keys that may sign it.
    pub keys: Vec<Key>,
}

/// A key that may sign a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Where it is.
    pub url: String,
    /// Its full fingerprint, upper case.
    pub fingerprint: String,
}

impl Repository {
    pub(super) fn title(&self) -> String {
        format!("adding the repository {} ({})", self.name, self.uri)
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let mut keys = Vec::new();
        for key in &self.keys {
            keys.extend(self.verified(key, site).await?);
        }
        let files = [
            (self.keyring(), keys),
            (format!("/etc/apt/sources.list.d/{}.sources", self.name), self.sources().into()),
            (format!("/etc/apt/preferences.d/{}", self.name), self.preferences().into()),
        ];
        let mut outcome = Outcome::Unchanged;
        for (path, bytes) in files.iter().filter(|(_, bytes)| !bytes.is_empty()) {
            make_parents(&site.host.root, path)?;
            let changed = site.host.root.write(path, bytes, 0o644, Owner::ROOT)?;
            outcome = outcome.and(Outcome::changed(changed));
        }
        Ok(outcome)
    }

    /// The key in binary form, once it is known to be the pinned one and that one alone.
    async fn verified(&self, key: &Key, site: &Site<'_>) -> anyhow::Result<Vec<u8>> {
        let arrived = download(site.host, &key.url).await?;
        let home = site.host.scratch().context("making a home for gpg")?;
        let home = home.path().to_string_lossy().into_owned();
        let gpg = || Cmd::new(Tool::Gpg).args(["--batch", "--quiet", "--homedir", &home]);
        let show = gpg().args(["--show-keys", "--with-colons", arrived.path.as_str()]);
        let listing = site
            .host
            .outside
            .run(&show)
            .await
            .with_context(|| Fault::step(format!("{} is no OpenPGP key", key.url)))?;
        let now = jiff::Timestamp::now().as_second();
        match judge(&listing.text(), &key.fingerprint, now).map_err(|why| {
            Fault::step(format!("the key of the repository {} is refused: {why}", self.name))
                .hint(format!("pinned is {} at {}", key.fingerprint, key.url))
        })? {
            Some(days) if days < EXPIRES_SOON_DAYS => {
                site.log(format!("warning: the key {} expires in {days} days", key.fingerprint));
            }
            _ => {}
        }
        let binary = std::fs::read(&arrived.path).context("reading the key")?;
        if !binary.starts_with(b"-----BEGIN") {
            return Ok(binary);
        }
        let dearmor = gpg().args(["--dearmor", "--output", "-"]).stdin(binary);
        Ok(site.host.outside.run(&dearmor).await.context("unpacking the key")?.stdout)
    }

    fn keyring(&self) -> String {
        format!("/etc/apt/keyrings/{}.gpg", self.name)
    }

    fn sources(&self) -> String {
        let components = if self.components.is_empty() {
            String::new()
        } else {
            format!("Components: {}\n", self.components.join(" "))
        };
        format!(
            "Types: deb\nURIs: {}\nSuites: {}\n{components}Signed-By: {}\n",
            self.uri,
            self.suite,
            self.keyring()
        )
    }

    /// Nothing but the named packages may come from here: a repository that is there for one
    /// package must not be able to replace the others.
    fn preferences(&self) -> String {
        if self.packages.is_empty() {
            return String::new();
        }
        let host = self.uri.split("://").nth(1).unwrap_or_default();
        let host = host.split(['/', ':']).next().unwrap_or_default();
        let pin = |packages: &str, priority: i32| {
            format!("Package: {packages}\nPin: origin \"{host}\"\nPin-Priority: {priority}\n")
        };
        format!("{}\n{}", pin("*", -1), pin(&self.packages.join(" "), 500))
    }
}

/// Whether a listing of `gpg --show-keys --with-colons` is the pinned key and nothing else, and
/// in how many days that expires.
fn judge(listing: &str, pinned: &str, now: i64) -> Result<Option<i64>, String> {
    let records: Vec<Vec<&str>> = listing.lines().map(|line| line.split(':').collect()).collect();
    let field = |record: &[&str], n: usize| record.get(n).copied().unwrap_or_default().to_owned();
    // The first `fpr` after each `pub` is that of the primary key.
    let primaries: Vec<_> = records
        .iter()
        .enumerate()
        .filter(|(_, record)| record[0] == "pub")
        .map(|(i, record)| {
            let print = records[i..].iter().find(|r| r[0] == "fpr").map(|r| field(r, 9));
            (field(record, 6), print.unwrap_or_default())
        })
        .collect();
    let [(expiry, fingerprint)] = primaries.as_slice() else {
        return Err(format!("the file holds {} keys", primaries.len()));
    };
    if fingerprint != pinned {
        return Err(format!("its fingerprint is {fingerprint}"));
    }
    let Ok(expiry) = expiry.parse::<i64>() else { return Ok(None) };
    let days = (expiry - now).div_euclid(86_400);
    if days < 0 {
        return Err(format!("it expired {} days ago", -days));
    }
    Ok(Some(days))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const PRINT: &str = "5E386EADB55F01504CAE8BCF7198F4B714ABFC68";

    fn listing(expiry: &str, print: &str) -> String {
        format!(
            "pub:-:4096:1:7198F4B714ABFC68:1700000000:{expiry}::-:::scSC::::::23::0:\n\
             fpr:::::::::{print}:\nuid:-::::1::X::Jenkins Project:\n\
             sub:-:4096:1:AAAA:1700000000::::::e:\nfpr:::::::::0000000000000000000000000000000000000000:\n"
        )
    }

    #[test]
    fn the_pinned_key_passes_and_its_last_days_are_known() {
        assert_eq!(judge(&listing("", PRINT), PRINT, NOW), Ok(None));
        let in_ten_days = (NOW + 864_000).to_string();
        assert_eq!(judge(&listing(&in_ten_days, PRINT), PRINT, NOW), Ok(Some(10)));
    }

    #[test]
    fn another_an_expired_and_a_second_key_are_refused() {
        let other = PRINT.replace('5', "6");
        assert!(judge(&listing("", &other), PRINT, NOW).unwrap_err().contains(&other));
        let past = (NOW - 864_000).to_string();
        assert!(judge(&listing(&past, PRINT), PRINT, NOW).unwrap_err().contains("10 days ago"));
        let two = listing("", PRINT) + &listing("", &other);
        assert!(judge(&two, PRINT, NOW).unwrap_err().contains("2 keys"));
        assert!(judge("", PRINT, NOW).unwrap_err().contains("0 keys"));
    }

    #[test]
    fn a_repository_for_one_package_cannot_replace_others() {
        let repository = Repository {
            name: "jenkins".into(),
            uri: "https://pkg.jenkins.io/debian-stable".into(),
            suite: "binary/".into(),
            components: vec![],
            packages: vec!["jenkins".into()],
            keys: vec![],
        };
        insta::assert_snapshot!(repository.sources() + "---\n" + &repository.preferences(), @r#"
        Types: deb
        URIs: https://pkg.jenkins.io/debian-stable
        Suites: binary/
        Signed-By: /etc/apt/keyrings/jenkins.gpg
        ---
        Package: *
        Pin: origin "pkg.jenkins.io"
        Pin-Priority: -1

        Package: jenkins
        Pin: origin "pkg.jenkins.io"
        Pin-Priority: 500
        "#);
    }
}
