//! Packages by name, by name and version, or from a file of this machine.
//!
//! Services are kept from starting while packages configure themselves: the tree's
//! `policy-rc.d` answers "forbidden" for as long as this step runs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::digest::sha256_of;
use crate::error::Fault;
use crate::event::{Outcome, Unit};
use crate::sys::{Archive, Cmd, Owner, Tool};

/// How long the package manager may take.
const TIMEOUT: Duration = Duration::from_hours(1);

/// Asked by every package before it starts a service; 101 means "forbidden by policy".
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    /// `name` or `name=version`.
    pub install: Vec<String>,
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

impl Packages {
    pub(super) fn title(&self) -> String {
        let n = self.install.len() + self.files.len();
        format!("installing {n} {}", if n == 1 { "package" } else { "packages" })
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let before = installed(site).await?;
        if self.files.is_empty() && self.install.iter().all(|wanted| has(&before, wanted)) {
            return Ok(Outcome::Unchanged);
        }
        site.host.root.write(POLICY, b"#!/bin/sh\nexit 101\n", 0o755, Owner::ROOT)?;
        let done = self.install(site).await;
        site.host.root.remove(POLICY)?;
        done?;
        Ok(Outcome::changed(installed(site).await? != before))
    }

    async fn install(&self, site: &Site<'_>) -> anyhow::Result<()> {
        let mut packages = self.install.clone();
        for (n, file) in self.files.iter().enumerate() {
            packages.push(bring_in(n, file, site)?);
        }
        run(site, apt().arg("update"), "reading the package lists").await?;
        let cmd = apt().args(["install", "--yes", "--no-install-recommends"]).args(packages);
        let archives = archives(site, cmd.clone()).await?;
        lend(site, &archives)?;
        let end = run(site, cmd, "installing packages").await;
        keep(site, if end.is_ok() { &archives } else { &[] })?;
        for n in 0..self.files.len() {
            site.host.root.remove(inside(n))?;
        }
        end
    }
}

/// What apt would fetch if it had nothing.
async fn archives(site: &Site<'_>, install: Cmd) -> anyhow::Result<Vec<Archive>> {
    // Without this it tells the MD5 sum, which proves nothing.
    let list = install.args(["--print-uris", "-o", "Acquire::ForceHash=SHA256"]);
    let list = site.host.runner.run(&list).await;
    let list = list.with_context(|| Fault::step("installing packages failed"))?.text();
    Ok(list.lines().filter_map(Archive::parse).collect())
}

/// Puts what was fetched before where apt looks. apt takes a file that is there by its name and
/// size alone: here it is the one with the digest that is signed today.
fn lend(site: &Site<'_>, archives: &[Archive]) -> anyhow::Result<()> {
    let Some(downloads) = &site.host.downloads else { return Ok(()) };
    downloads.announce(archives)?;
    for archive in archives {
        if let Some(file) = downloads.find(&archive.digest) {
            site.host.root.lend(&file, place(archive)).context("using a downloaded package")?;
        }
    }
    Ok(())
}

/// Keeps what apt has fetched and verified, and takes it out of the tree.
fn keep(site: &Site<'_>, archives: &[Archive]) -> anyhow::Result<()> {
    let Some(downloads) = &site.host.downloads else { return Ok(()) };
    for archive in archives {
        if let Ok(file) = site.host.root.borrow(place(archive)) {
            downloads.keep(&archive.digest, &file.path);
        }
        site.host.root.remove(place(archive))?;
    }
    Ok(())
}

/// Where apt looks for it.
fn place(archive: &Archive) -> String {
    format!("/var/cache/apt/archives/{}", archive.file)
}

/// Puts a package file where the package manager inside can see it.
fn bring_in(n: usize, file: &PackageFile, site: &Site<'_>) -> anyhow::Result<String> {
    let path = Utf8Path::new(&file.path);
    let now = sha256_of(path).with_context(|| format!("reading {path}"))?;
    if now != file.sha256 {
        return Err(Fault::step(format!("{path} has changed since the plan was made")).into());
    }
    site.host.root.copy_in(path, inside(n), 0o644, Owner::ROOT)?;
    Ok(inside(n))
}

fn inside(n: usize) -> String {
    format!("/var/lib/hostkit-package-{n}.deb")
}

fn apt() -> Cmd {
    Cmd::new(Tool::AptGet)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("NEEDRESTART_SUSPEND", "1")
        .args(["-qq", "-o", "Dpkg::Options::=--force-confold", "-o", "Acquire::Retries=3"])
        .args(["-o", "DPkg::Lock::Timeout=120", "-o", "APT::Sandbox::User=root"])
        .args(["-o", "Dpkg::Use-Pty=0"])
        // A security archive that does not answer is an error, not a warning.
        .args(["-o", "APT::Update::Error-Mode=any"])
        .timeout(TIMEOUT)
}

/// Runs the package manager and shows how far it is: a `Setting up` line a package.
async fn run(site: &Site<'_>, cmd: Cmd, doing: &'static str) -> anyhow::Result<()> {
    let mut done = 0;
    let show = |line: &str| {
        tracing::debug!(step = site.id, line);
        if line.starts_with("Setting up ") {
            done += 1;
            site.events.progress(site.id, done, None, Unit::Items);
        } else if line.starts_with("E: ") || line.starts_with("W: ") {
            site.log(line);
        }
    };
    let end = site.host.runner.run_with(&cmd, show).await;
    end.with_context(|| Fault::step(format!("{doing} failed"))).map(drop)
}

/// What is installed: versions by name.
pub async fn installed_in(runner: &crate::sys::Runner) -> anyhow::Result<BTreeMap<String, String>> {
    let cmd = Cmd::new(Tool::DpkgQuery)
        .args(["--show", "--showformat=${db:Status-Abbrev}\\t${Package}\\t${Version}\\n"]);
    let list = runner.run(&cmd).await.context("listing packages")?.text();
    Ok(parse(&list))
}

async fn installed(site: &Site<'_>) -> anyhow::Result<BTreeMap<String, String>> {
    installed_in(&site.host.runner).await
}

fn parse(list: &str) -> BTreeMap<String, String> {
    list.lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            let state = fields.next()?;
            let (name, version) = (fields.next()?, fields.next()?);
            state.starts_with("ii").then(|| (name.to_owned(), version.to_owned()))
        })
        .collect()
}

fn has(installed: &BTreeMap<String, String>, wanted: &str) -> bool {
    match wanted.split_once('=') {
        None => installed.contains_key(wanted),
        Some((name, version)) => installed.get(name).is_some_and(|now| now == version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_fully_installed_counts() {
        let list = "ii \tgit\t1:2.47.3-0+deb13u1\nrc \tnano\t8.4-1\niU \tcurl\t8.14.1-2\n";
        let installed = parse(list);
        assert!(has(&installed, "git"));
        assert!(has(&installed, "git=1:2.47.3-0+deb13u1"));
        assert!(!has(&installed, "git=1:2.40"));
        assert!(!has(&installed, "nano") && !has(&installed, "curl"));
    }
}
