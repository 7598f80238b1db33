//! Packages by name, by name and version, or from a file of this machine; removed ones, and ones
//! that no upgrade may change.
//!
//! What is wanted is compared with what is installed; the package manager is asked only for the
//! difference. No package is there because another merely recommends it, and none starts a service.

mod apt;
mod dnf;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::{Family, Site};
use crate::digest::sha256_of;
use crate::error::Fault;
use crate::event::{Outcome, Unit};
use crate::sys::{Cmd, CmdError, Host, Owner, Runner};

/// How long the package manager may take.
const TIMEOUT: Duration = Duration::from_hours(1);

/// So many versions or names are told at most.
const SOME: usize = 8;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// The package manager.
    pub family: Family,
    /// `name` or `name=version`.
    pub install: Vec<String>,
    /// Names that must not be there.
    pub remove: Vec<String>,
    /// Names that no upgrade may change.
    pub hold: Vec<String>,
    /// Package files of this machine.
    pub files: Vec<PackageFile>,
}

/// A package file of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageFile {
    /// Where it is.
    pub path: String,
    /// What it was when the plan was made.
    pub sha256: String,
}

/// The name in `name=version`.
pub fn name_of(package: &str) -> &str {
    package.split_once('=').map_or(package, |(name, _)| name)
}

/// What the package manager knows of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Inventory {
    /// Versions by name.
    installed: BTreeMap<String, String>,
    /// What the installed packages say they are, beside their names.
    provided: BTreeSet<String>,
    /// Names of packages that left only their configuration.
    remains: BTreeSet<String>,
    /// Names of packages that no upgrade may change.
    held: BTreeSet<String>,
    /// `name:architecture` of all that is installed or left its configuration, where names have one.
    exact: BTreeSet<String>,
}

impl Inventory {
    /// Whether anything of `name` or `name:architecture` is there.
    fn is_there(&self, name: &str) -> bool {
        match name.split_once(':') {
            Some((bare, _)) => {
                self.exact.contains(name) || self.exact.contains(&format!("{bare}:all"))
            }
            None => self.installed.contains_key(name) || self.remains.contains(name),
        }
    }
}

/// The difference between what is wanted and what is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Todo {
    install: Vec<String>,
    files: Vec<PackageFile>,
    remove: Vec<String>,
    hold: Vec<String>,
}

impl Packages {
    pub(super) fn title(&self) -> String {
        let install = self.install.len() + self.files.len();
        let parts = [
            ("installing", install),
            ("removing", self.remove.len()),
            ("holding", self.hold.len()),
        ];
        let parts = parts.iter().filter(|(_, n)| *n > 0).map(|(doing, n)| {
            format!("{doing} {n} {}", if *n == 1 { "package" } else { "packages" })
        });
        parts.collect::<Vec<_>>().join(", ")
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let before = inventory(site.host, self.family).await?;
        let todo = self.todo(&before, site).await?;
        if todo == Todo::default() {
            return Ok(Outcome::Unchanged);
        }
        if !site.may(&todo.to_string()) {
            return Ok(Outcome::Changed);
        }
        match self.family {
            Family::Debian => apt::change(&todo, &before, site).await?,
            Family::Redhat => dnf::change(&todo, site).await?,
        }
        let after = inventory(site.host, self.family).await?;
        Ok(Outcome::changed(after != before))
    }

    async fn todo(&self, now: &Inventory, site: &Site<'_>) -> anyhow::Result<Todo> {
        let mut files = Vec::new();
        for file in &self.files {
            let path = Utf8Path::new(&file.path);
            let is = sha256_of(path).with_context(|| format!("reading {path}"))?;
            if is != file.sha256 {
                let what = format!("{path} has changed since the plan was made");
                return Err(Fault::step(what).into());
            }
            let package = match self.family {
                Family::Debian => apt::identify(path, site).await?,
                Family::Redhat => dnf::identify(path, site).await?,
            };
            if !self.has(now, &package) {
                files.push(file.clone());
            }
        }
        let missing = |wanted: &&String| !self.has(now, wanted);
        Ok(Todo {
            install: self.install.iter().filter(missing).cloned().collect(),
            files,
            remove: self.remove.iter().filter(|name| now.is_there(name)).cloned().collect(),
            hold: self.hold.iter().filter(|name| !now.held.contains(*name)).cloned().collect(),
        })
    }

    fn has(&self, now: &Inventory, wanted: &str) -> bool {
        let name = name_of(wanted);
        let version = wanted.split_once('=').map(|(_, version)| version);
        let is = now.installed.get(name.split_once(':').map_or(name, |(name, _)| name));
        match (is, version, self.family) {
            (None, None, _) => now.provided.contains(name),
            (None, Some(_), _) => false,
            (Some(_), None, _) => true,
            (Some(is), Some(version), Family::Debian) => is == version,
            (Some(is), Some(version), Family::Redhat) => dnf::is_version(is, version),
        }
    }
}

impl std::fmt::Display for Todo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let files = self.files.iter().map(|file| file.path.clone());
        let install: Vec<_> = self.install.iter().cloned().chain(files).collect();
        let parts = [("installing", &install), ("removing", &self.remove), ("holding", &self.hold)];
        let parts = parts.iter().filter(|(_, names)| !names.is_empty());
        let parts: Vec<_> =
            parts.map(|(doing, names)| format!("{doing} {}", names.join(" "))).collect();
        f.write_str(&parts.join("; "))
    }
}

/// What is installed on a host of either family: versions by name.
pub async fn installed_on(host: &Host) -> anyhow::Result<BTreeMap<String, String>> {
    let family =
        if host.root.exists("/var/lib/dpkg/status")? { Family::Debian } else { Family::Redhat };
    Ok(inventory(host, family).await?.installed)
}

async fn inventory(host: &Host, family: Family) -> anyhow::Result<Inventory> {
    match family {
        Family::Debian => apt::inventory(&host.runner).await,
        Family::Redhat => dnf::inventory(host).await,
    }
}

/// Puts package files where the package manager inside can see them, has `work` done with their
/// paths there, and takes them out again.
async fn with_files<W: Future<Output = anyhow::Result<()>>>(
    files: &[PackageFile],
    ending: &str,
    site: &Site<'_>,
    work: impl FnOnce(Vec<String>) -> W,
) -> anyhow::Result<()> {
    let inside: Vec<_> =
        (0..files.len()).map(|n| format!("/var/lib/hostkit-package-{n}.{ending}")).collect();
    for (file, inside) in files.iter().zip(&inside) {
        site.host.root.copy_in(Utf8Path::new(&file.path), inside, 0o644, Owner::ROOT)?;
    }
    let end = work(inside.clone()).await;
    for inside in inside {
        site.host.root.remove(inside)?;
    }
    end
}

/// Runs a package manager and shows how far it is: a line that begins with `counted` a package.
async fn run(site: &Site<'_>, runner: &Runner, cmd: Cmd, counted: &str) -> Result<(), CmdError> {
    let mut done = 0;
    let show = |line: &str| {
        tracing::debug!(step = site.id, line);
        if line.trim_start().starts_with(counted) {
            done += 1;
            site.events.progress(site.id, done, None, Unit::Items);
        } else if ["E: ", "W: ", "Error: "].iter().any(|word| line.starts_with(word)) {
            site.log(line);
        }
    };
    runner.run_with(&cmd.timeout(TIMEOUT), show).await.map(drop)
}

/// A wanted package that no repository has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gone {
    name: String,
    version: Option<String>,
    /// The versions that there are, or names that are like it.
    instead: Vec<String>,
}

/// The error for packages that no repository has.
fn gone(gone: &[Gone]) -> Fault {
    let what = gone.iter().map(|Gone { name, version, .. }| match version {
        Some(version) => format!("no version {version} of the package `{name}`"),
        None => format!("no package `{name}`"),
    });
    let hint = gone.iter().filter(|gone| !gone.instead.is_empty()).map(|gone| {
        let instead = gone.instead[..gone.instead.len().min(SOME)].join(", ");
        match &gone.version {
            Some(_) => format!("of `{}` there is {instead}", gone.name),
            None => format!("did you mean `{instead}`?"),
        }
    });
    let (what, hint): (Vec<_>, Vec<_>) = (what.collect(), hint.collect());
    let fault = Fault::recipe(format!("the repositories have {}", what.join(", ")));
    fault.hint(if hint.is_empty() {
        "is a [[repository]] missing?".to_owned()
    } else {
        hint.join("; ")
    })
}

/// The name among `all` that is one or two slips of the finger away from `name`.
fn nearest<'a>(name: &str, all: impl Iterator<Item = &'a str>) -> Option<String> {
    let scored = all.map(|other| (strsim::damerau_levenshtein(name, other), other));
    scored.filter(|(slips, _)| (1..=2).contains(slips)).min().map(|(_, other)| other.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(family: Family, install: &[&str], remove: &[&str], hold: &[&str]) -> Packages {
        let list = |names: &[&str]| names.iter().map(ToString::to_string).collect();
        Packages {
            family,
            install: list(install),
            remove: list(remove),
            hold: list(hold),
            files: vec![],
        }
    }

    #[test]
    fn a_versions_epoch_and_release_may_be_left_out_for_dnf_and_not_for_apt() {
        let now = Inventory {
            installed: [("git".into(), "1:2.47.3-0+deb13u1".into())].into(),
            provided: ["git-core".into()].into(),
            ..Inventory::default()
        };
        let apt = packages(Family::Debian, &[], &[], &[]);
        for there in ["git", "git=1:2.47.3-0+deb13u1", "git:amd64", "git-core"] {
            assert!(apt.has(&now, there), "{there}");
        }
        for missing in ["git=2.47.3-0+deb13u1", "git=1:2.40", "gi", "git-core=1"] {
            assert!(!apt.has(&now, missing), "{missing}");
        }
        let dnf = packages(Family::Redhat, &[], &[], &[]);
        assert!(dnf.has(&now, "git=2.47.3") && !dnf.has(&now, "git=2.47"));
    }

    #[test]
    fn the_error_names_what_is_gone_and_what_there_is() {
        let version = Gone {
            name: "git".into(),
            version: Some("9.9".into()),
            instead: vec!["1:2.47.3-0+deb13u1".into(), "1:2.47.2-0.1".into()],
        };
        let names = ["git", "openssh-server", "openssh-client"];
        let instead = nearest("opnssh-server", names.into_iter()).into_iter().collect();
        let name = Gone { name: "opnssh-server".into(), version: None, instead };
        let shown = crate::error::render(&gone(&[version, name]).into());
        insta::assert_snapshot!(shown, @r"
        error: the repositories have no version 9.9 of the package `git`, no package `opnssh-server`
          hint: of `git` there is 1:2.47.3-0+deb13u1, 1:2.47.2-0.1; did you mean `openssh-server`?
        ");
    }

    #[test]
    fn the_title_says_what_is_done() {
        let title = packages(Family::Debian, &["a", "b"], &["c"], &[]).title();
        assert_eq!(title, "installing 2 packages, removing 1 package");
    }
}
