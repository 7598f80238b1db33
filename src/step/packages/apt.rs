//! apt and dpkg.
//!
//! Services are kept from starting while packages configure themselves: `policy-rc.d` answers
//! "forbidden" for as long as apt runs. Two packages managers at a time wait for each other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use camino::Utf8Path;

use super::{Gone, Inventory, Todo, name_of, nearest, run, with_files};
use crate::error::Fault;
use crate::step::Site;
use crate::sys::{Archive, Arrival, Cmd, CmdError, Owner, Runner, Tool};

/// Asked by every package before it starts a service; 101 means "forbidden by policy".
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// What we write there.
const FORBIDDEN: &[u8] = b"#!/bin/sh\nexit 101\n";

/// How long another package manager on a live host may keep us waiting.
const PATIENCE: Duration = Duration::from_mins(10);

/// How often it is asked whether it is done.
const ASK: Duration = Duration::from_secs(2);

/// Installs, removes and holds.
pub(super) async fn change(todo: &Todo, now: &Inventory, site: &Site<'_>) -> anyhow::Result<()> {
    let root = &site.host.root;
    // A host may have a policy of its own, which is then as good; what a killed run left is ours.
    let own = root.read(POLICY)?.is_none_or(|text| text == FORBIDDEN);
    if own {
        root.write(POLICY, FORBIDDEN, 0o755, Owner::ROOT)?;
    }
    let end =
        with_files(&todo.files, "deb", site, |files| transaction(todo, files, now, site)).await;
    if own {
        root.remove(POLICY)?;
    }
    end?;
    if !todo.hold.is_empty() {
        let cmd = Cmd::new(Tool::AptMark).args(["hold", "--"]).args(&todo.hold);
        let held = site.host.runner.run(&cmd).await;
        held.with_context(|| Fault::step("holding packages failed"))?;
    }
    Ok(())
}

/// One transaction: a package may go because another that comes does its work.
async fn transaction(
    todo: &Todo,
    files: Vec<String>,
    now: &Inventory,
    site: &Site<'_>,
) -> anyhow::Result<()> {
    if todo.install.is_empty() && files.is_empty() && todo.remove.is_empty() {
        return Ok(());
    }
    let runner = &site.host.runner;
    if !(todo.install.is_empty() && files.is_empty()) {
        let end = update(site).await;
        end.with_context(|| Fault::step("reading the package lists failed"))?;
    }
    let mut cmd = apt().args(["install", "--yes", "--no-install-recommends", "--purge"]);
    if todo.install.iter().any(|wanted| wanted.contains('=')) {
        cmd = cmd.arg("--allow-downgrades");
    }
    let touched = todo
        .install
        .iter()
        .map(|wanted| name_of(wanted))
        .chain(todo.remove.iter().map(String::as_str));
    if touched.into_iter().any(|name| now.held.contains(name)) {
        cmd = cmd.arg("--allow-change-held-packages");
    }
    let remove = todo.remove.iter().map(|name| format!("{name}-"));
    let names: Vec<_> = todo.install.iter().cloned().chain(files).chain(remove).collect();
    let archives = match archives(site, cmd.clone(), &names).await {
        Err(error) => return Err(explain(error, site).await),
        Ok(archives) => archives,
    };
    lend(site, &archives)?;
    let end = run(site, runner, cmd.arg("--").args(&names), "Setting up ").await;
    keep(site, if end.is_ok() { &archives } else { &[] })?;
    end.with_context(|| Fault::step("installing packages failed"))
}

/// Reads the package lists. apt waits for dpkg's lock by itself, but not for that of the lists.
async fn update(site: &Site<'_>) -> Result<(), CmdError> {
    let since = Instant::now();
    loop {
        match run(site, &site.host.runner, apt().arg("update"), "Setting up ").await {
            Err(CmdError::Failed { stderr, .. })
                if stderr.contains("lists/lock") && since.elapsed() < PATIENCE =>
            {
                site.log("another package manager is at work: waiting for it");
                tokio::time::sleep(ASK).await;
            }
            end => return end,
        }
    }
}

/// What apt would fetch if it had nothing.
async fn archives(
    site: &Site<'_>,
    install: Cmd,
    names: &[String],
) -> Result<Vec<Archive>, CmdError> {
    // Without this it tells the MD5 sum, which proves nothing.
    let list = install.args(["--print-uris", "-o", "Acquire::ForceHash=SHA256", "--"]).args(names);
    let list = site.host.runner.run(&list).await?.text();
    Ok(list.lines().filter_map(Archive::parse).collect())
}

/// Puts what was fetched before where apt looks. apt takes a file that is there by its name and
/// size alone: here it is the one with the digest that is signed today.
fn lend(site: &Site<'_>, archives: &[Archive]) -> anyhow::Result<()> {
    let Some(downloads) = &site.host.downloads else { return Ok(()) };
    downloads.announce(Arrival::Packages(archives))?;
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

fn apt() -> Cmd {
    Cmd::new(Tool::AptGet)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("NEEDRESTART_SUSPEND", "1")
        .args(["-qq", "-o", "Dpkg::Options::=--force-confold", "-o", "Acquire::Retries=3"])
        .arg("-o")
        .arg(format!("DPkg::Lock::Timeout={}", PATIENCE.as_secs()))
        .args(["-o", "APT::Sandbox::User=root", "-o", "Dpkg::Use-Pty=0"])
        // A security archive that does not answer is an error, not a warning.
        .args(["-o", "APT::Update::Error-Mode=any"])
}

/// What a resolution that failed means. What no repository has is the recipe's fault.
async fn explain(error: CmdError, site: &Site<'_>) -> anyhow::Error {
    let missing = match &error {
        CmdError::Failed { stderr, .. } => missing(stderr),
        _ => Vec::new(),
    };
    if missing.is_empty() {
        return anyhow::Error::new(error).context(Fault::step("installing packages failed"));
    }
    let mut all = Vec::new();
    for (name, version) in missing {
        let cmd = match version {
            Some(_) => Cmd::new(Tool::AptCache).args(["madison", &name]),
            None => Cmd::new(Tool::AptCache).arg("pkgnames"),
        };
        let text = site.host.runner.run(&cmd).await.map(|output| output.text()).unwrap_or_default();
        let instead = match version {
            Some(_) => versions(&text),
            None => nearest(&name, text.lines()).into_iter().collect(),
        };
        all.push(Gone { name, version, instead });
    }
    super::gone(&all).into()
}

/// Names and versions that apt says it cannot find.
fn missing(stderr: &str) -> Vec<(String, Option<String>)> {
    let quoted = |text: &str, n: usize| text.split('\'').nth(n).map(str::to_owned);
    let lines = stderr.lines().filter_map(|line| line.strip_prefix("E: "));
    let found: BTreeSet<_> = lines
        .filter_map(|line| {
            if let Some(name) = line.strip_prefix("Unable to locate package ") {
                Some((name.trim().to_owned(), None))
            } else if line.ends_with("has no installation candidate") {
                Some((quoted(line, 1)?, None))
            } else if line.starts_with("Version '") && line.ends_with("was not found") {
                Some((quoted(line, 3)?, quoted(line, 1)))
            } else {
                None
            }
        })
        .collect();
    found.into_iter().collect()
}

/// The versions in `apt-cache madison`: `name | version | where`, each once.
fn versions(madison: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for line in madison.lines() {
        let version = line.split('|').nth(1).map(str::trim).unwrap_or_default().to_owned();
        if !version.is_empty() && !all.contains(&version) {
            all.push(version);
        }
    }
    all
}

/// `name=version` of a package file.
pub(super) async fn identify(file: &Utf8Path, site: &Site<'_>) -> anyhow::Result<String> {
    let format = "--showformat=${Package}=${Version}";
    let cmd = Cmd::new(Tool::DpkgDeb).args(["--show", format, file.as_str()]);
    let shown = site.host.outside.run(&cmd).await;
    let shown = shown.with_context(|| Fault::recipe(format!("{file} is no Debian package")))?;
    Ok(shown.text())
}

/// What dpkg knows.
pub(super) async fn inventory(runner: &Runner) -> anyhow::Result<Inventory> {
    let format = "${db:Status-Abbrev}\\t${Package}\\t${Version}\\t${Provides}\\t${Architecture}\\n";
    let cmd = Cmd::new(Tool::DpkgQuery).args(["--show", &format!("--showformat={format}")]);
    let list = runner.run(&cmd).await.context("listing packages")?.text();
    Ok(parse(&list))
}

/// Reads lines `WANTED+STATE NAME VERSION PROVIDES ARCHITECTURE`; see `dpkg-query(1)` for the two letters.
fn parse(list: &str) -> Inventory {
    let mut inventory = Inventory::default();
    for line in list.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [state, name, version, provides, arch] = fields[..] else { continue };
        if state.starts_with('h') {
            inventory.held.extend([name.to_owned(), format!("{name}:{arch}")]);
        }
        if matches!(state.as_bytes().get(1), Some(b'i' | b'c')) {
            inventory.exact.insert(format!("{name}:{arch}"));
        }
        match state.as_bytes().get(1) {
            Some(b'i') => {
                inventory.installed.insert(name.to_owned(), version.to_owned());
                let provides = provides.split(',').map(str::trim).filter(|name| !name.is_empty());
                let names = provides.map(|name| name.split(' ').next().unwrap_or(name));
                inventory.provided.extend(names.map(str::to_owned));
            }
            Some(b'c') => {
                inventory.remains.insert(name.to_owned());
            }
            _ => {}
        }
    }
    inventory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_fully_installed_counts_and_what_is_held_is_installed() {
        let list = "ii \tgit\t1:2.47.3-0+deb13u1\t\tamd64\nrc \tnano\t8.4-1\teditor\tall\n\
                    iU \tcurl\t8.14.1-2\t\tamd64\n\
                    hi \tmawk\t1.3.4\tawk (= 1.3.4), posix-awk\tamd64\n";
        let inventory = parse(list);
        let names: Vec<_> = inventory.installed.keys().map(String::as_str).collect();
        assert_eq!(names, ["git", "mawk"]);
        assert_eq!(inventory.provided, ["awk".to_owned(), "posix-awk".to_owned()].into());
        assert_eq!(inventory.remains, ["nano".to_owned()].into());
        assert_eq!(inventory.held, ["mawk".to_owned(), "mawk:amd64".to_owned()].into());
        for (name, is) in [("git:amd64", true), ("git:i386", false), ("nano:amd64", true)] {
            assert_eq!(inventory.is_there(name), is, "{name}");
        }
        assert!(inventory.is_there("nano") && !inventory.is_there("curl:amd64"));
    }

    #[test]
    fn what_apt_cannot_find_is_read_from_its_complaints() {
        let stderr = "E: Unable to locate package nosuch\nW: something\n\
                      E: Version '9.9' for 'git' was not found\n\
                      E: Package 'ghost' has no installation candidate\n";
        let found = missing(stderr);
        let expected = [("ghost", None), ("git", Some("9.9")), ("nosuch", None)];
        let expected = expected.map(|(name, v)| (name.to_owned(), v.map(str::to_owned)));
        assert_eq!(found, expected);
        let madison = "  git | 1:2.47.3 | http://x trixie/main\n  git | 1:2.47.3 | http://x sources\n git | 1:2.40 | y\n";
        assert_eq!(versions(madison), ["1:2.47.3", "1:2.40"]);
    }
}
