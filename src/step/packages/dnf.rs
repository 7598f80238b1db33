//! dnf and rpm.
//!
//! A host that has dnf runs its own; into a tree without it, dnf of this machine installs from
//! outside. What is held is excluded in `dnf.conf`: that needs no plugin.

use anyhow::Context as _;
use camino::Utf8Path;

use super::{Gone, Inventory, Todo, name_of, run, with_files};
use crate::error::Fault;
use crate::event::Outcome;
use crate::step::Site;
use crate::sys::{Cmd, CmdError, Host, Owner, Runner, Tool};

/// Where dnf itself is on a host that has it.
const DNF: &str = "/usr/bin/dnf";

const CONFIGURATION: &str = "/etc/dnf/dnf.conf";

/// Where the keys of repositories are.
const KEYS: &str = "/etc/pki/rpm-gpg";

/// The setting that holds packages.
const EXCLUDED: &str = "excludepkgs";

/// The section that it is in.
const MAIN: &str = "[main]";

/// Where rpm keeps what is installed. Said because Debian's rpm has another place.
const DATABASE: &str = "/var/lib/rpm";

/// Installs, removes and holds.
pub(super) async fn change(todo: &Todo, site: &Site<'_>) -> anyhow::Result<()> {
    let manager = Manager::of(site.host)?;
    if !(todo.install.is_empty() && todo.files.is_empty()) {
        manager.import_keys(site).await?;
        with_files(&todo.files, "rpm", site, |files| install(todo, files, &manager, site)).await?;
    }
    if !todo.remove.is_empty() {
        let cmd = manager.dnf().arg("remove").args(&todo.remove);
        let end = run(site, manager.runner, cmd, "Erasing").await;
        end.with_context(|| Fault::step("removing packages failed"))?;
    }
    if !todo.hold.is_empty() {
        hold(&todo.hold, site)?;
    }
    Ok(())
}

async fn install(
    todo: &Todo,
    files: Vec<String>,
    manager: &Manager<'_>,
    site: &Site<'_>,
) -> anyhow::Result<()> {
    let files = files.into_iter().map(|file| match &manager.outside {
        Some(Outside { root, .. }) => format!("{root}{file}"),
        None => file,
    });
    let names = todo.install.iter().map(|wanted| wanted.replacen('=', "-", 1));
    let cmd = manager
        .dnf()
        // What was known of the repositories yesterday is not what is there today.
        .args(["install", "--refresh", "--allowerasing", "--setopt=install_weak_deps=False"])
        .args(names.chain(files));
    match run(site, manager.runner, cmd, "Installing").await {
        Ok(()) => Ok(()),
        Err(error) => Err(explain(error, todo, manager).await),
    }
}

/// How to reach the package manager of a host.
#[derive(Debug)]
struct Manager<'a> {
    runner: &'a Runner,
    /// The tree that is installed into from outside.
    outside: Option<Outside>,
}

/// What dnf of this machine needs for a tree.
#[derive(Debug)]
struct Outside {
    root: String,
    /// A home whose settings of rpm say where its database is: dnf has no option for it.
    home: tempfile::TempDir,
}

impl<'a> Manager<'a> {
    fn of(host: &'a Host) -> anyhow::Result<Self> {
        if host.is_live() || host.root.exists(DNF)? {
            return Ok(Self { runner: &host.runner, outside: None });
        }
        let home = host.scratch().context("making a home for rpm")?;
        let settings = format!("%_dbpath {DATABASE}\n");
        std::fs::write(home.path().join(".rpmmacros"), settings)
            .context("writing rpm's settings")?;
        let outside = Outside { root: host.root.path().to_string(), home };
        Ok(Self { runner: &host.outside, outside: Some(outside) })
    }

    fn dnf(&self) -> Cmd {
        let cmd = Cmd::new(Tool::Dnf)
            .args(["--assumeyes", "--setopt=keepcache=False"])
            // What is held is held from others, not from the recipe.
            .arg("--disableexcludes=main");
        match &self.outside {
            None => cmd,
            Some(Outside { root, home }) => cmd
                .env("HOME", home.path().to_string_lossy())
                .arg(format!("--installroot={root}"))
                // Nothing of this machine's own settings gets in.
                .arg(format!("--setopt=reposdir={root}/etc/yum.repos.d"))
                .arg(format!("--config={root}{CONFIGURATION}")),
        }
    }

    fn rpm(&self, tool: Tool) -> Cmd {
        let cmd = Cmd::new(tool);
        match &self.outside {
            None => cmd,
            Some(Outside { root, .. }) => cmd.args(["--root", root, "--dbpath", DATABASE]),
        }
    }

    /// From outside, dnf takes `gpgkey=file:…` for a file of this machine; rpm must know the keys
    /// before.
    async fn import_keys(&self, site: &Site<'_>) -> anyhow::Result<()> {
        let Some(Outside { root, .. }) = &self.outside else { return Ok(()) };
        if !site.host.root.exists(CONFIGURATION)? {
            let text = "[main]\ngpgcheck=1\n";
            site.host.root.make_parents(CONFIGURATION)?;
            site.host.root.write(CONFIGURATION, text.as_bytes(), 0o644, Owner::ROOT)?;
        }
        for name in site.host.root.list(KEYS)? {
            let cmd = self.rpm(Tool::Rpmkeys).args(["--import", &format!("{root}{KEYS}/{name}")]);
            let end = self.runner.run(&cmd).await;
            end.with_context(|| format!("giving rpm the key {name}"))?;
        }
        Ok(())
    }
}

/// What an installation that failed means. What no repository has is the recipe's fault.
async fn explain(error: CmdError, todo: &Todo, manager: &Manager<'_>) -> anyhow::Error {
    let complaint = match &error {
        CmdError::Failed { stderr, .. } => stderr.as_str(),
        _ => "",
    };
    let mut all = Vec::new();
    for wanted in todo.install.iter().filter(|wanted| is_missing(complaint, wanted)) {
        let name = name_of(wanted).to_owned();
        let version = wanted.split_once('=').map(|(_, version)| version.to_owned());
        let query = ["--quiet", "repoquery", "--showduplicates", "--queryformat=%{evr}\\n", &name];
        let there = manager.runner.run(&manager.dnf().args(query)).await;
        let there = there.map(|output| output.text()).unwrap_or_default();
        let mut instead: Vec<_> = there.lines().rev().map(str::to_owned).collect();
        instead.retain(|version| !version.is_empty());
        instead.dedup();
        // A name that no repository has cannot have a version either.
        let version = version.filter(|_| !instead.is_empty());
        all.push(Gone { name, version, instead });
    }
    if all.is_empty() {
        return anyhow::Error::new(error).context(Fault::step("installing packages failed"));
    }
    super::gone(&all).into()
}

/// Whether dnf says that it cannot find what is `wanted`.
fn is_missing(complaint: &str, wanted: &str) -> bool {
    let wanted = wanted.replacen('=', "-", 1);
    let lists = ["No match for argument: ", "Unable to find a match: "];
    let lines = complaint.lines().filter_map(|line| {
        lists.iter().find_map(|list| line.split_once(list).map(|(_, names)| names))
    });
    lines.flat_map(str::split_whitespace).any(|name| name == wanted)
}

/// Excludes packages from upgrades.
fn hold(names: &[String], site: &Site<'_>) -> anyhow::Result<Outcome> {
    let text = site.host.root.read_text(CONFIGURATION)?.unwrap_or_else(|| "[main]\n".to_owned());
    site.write(CONFIGURATION, excluding(&text, names).as_bytes(), 0o644, Owner::ROOT)
}

/// A configuration that also excludes `names`.
fn excluding(text: &str, names: &[String]) -> String {
    let mut excluded = held(text);
    excluded.extend(names.iter().cloned());
    excluded.sort();
    excluded.dedup();
    let line = format!("{EXCLUDED}={}", excluded.join(" "));
    let kept = settings(text).filter(|(is_ours, _)| !is_ours).map(|(_, line)| line);
    let has_main = text.lines().any(|line| line.trim() == MAIN);
    let head = if has_main { Vec::new() } else { vec![MAIN, line.as_str()] };
    let lines = head.into_iter().chain(kept.flat_map(|kept| {
        let ours = (kept.trim() == MAIN).then_some(line.as_str());
        [Some(kept), ours].into_iter().flatten()
    }));
    lines.map(|line| format!("{line}\n")).collect()
}

/// The packages that a configuration excludes.
fn held(text: &str) -> Vec<String> {
    let ours = settings(text).filter(|(is_ours, _)| *is_ours).map(|(_, line)| line);
    let lists = ours.map(|line| line.split_once('=').map_or(line, |(_, list)| list));
    lists
        .flat_map(|names| names.split([' ', '\t', ',']))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The lines of a configuration, and whether each belongs to the setting that holds packages: a
/// line that begins with a blank goes on with the one before.
fn settings(text: &str) -> impl Iterator<Item = (bool, &str)> {
    let (mut is_main, mut is_ours) = (false, false);
    text.lines().map(move |line| {
        if line.starts_with('[') {
            is_main = line.trim() == MAIN;
        }
        if !line.starts_with([' ', '\t']) {
            let key = line.split_once('=').map(|(key, _)| key.trim());
            is_ours = is_main && key == Some(EXCLUDED);
        }
        (is_ours, line)
    })
}

/// `name=version-release` of a package file.
pub(super) async fn identify(file: &Utf8Path, site: &Site<'_>) -> anyhow::Result<String> {
    let format = "--queryformat=%{NAME}=%{VERSION}-%{RELEASE}";
    let cmd = Cmd::new(Tool::Rpm).args(["--query", "--package", format, file.as_str()]);
    let shown = site.host.outside.run(&cmd).await;
    Ok(shown.with_context(|| Fault::recipe(format!("{file} is no RPM package")))?.text())
}

/// What rpm knows, and what dnf excludes.
pub(super) async fn inventory(host: &Host) -> anyhow::Result<Inventory> {
    let manager = Manager::of(host)?;
    let format = "--queryformat=%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\n[%{NAME}\\t\\t%{PROVIDENAME}\\n]";
    let cmd = manager.rpm(Tool::Rpm).args(["--query", "--all", format]);
    let list = manager.runner.run(&cmd).await.context("listing packages")?.text();
    let mut inventory = parse(&list);
    let text = host.root.read_text(CONFIGURATION)?.unwrap_or_default();
    inventory.held.extend(held(&text));
    Ok(inventory)
}

/// Reads lines `NAME EVR` and `NAME (empty) PROVIDED`. Keys are listed as packages and are none.
fn parse(list: &str) -> Inventory {
    let mut inventory = Inventory::default();
    for line in list.lines() {
        match line.split('\t').collect::<Vec<_>>()[..] {
            ["gpg-pubkey", ..] => {}
            [name, version] => {
                inventory.installed.insert(name.to_owned(), version.to_owned());
            }
            [_, "", provided] => {
                inventory.provided.insert(provided.to_owned());
            }
            _ => {}
        }
    }
    inventory
}

/// Whether `is` (epoch:version-release) is the `wanted` version, in which epoch and release may be
/// left out.
pub(super) fn is_version(is: &str, wanted: &str) -> bool {
    let without_epoch = is.split_once(':').map_or(is, |(_, rest)| rest);
    let without_release = |text: &str| text.rsplit_once('-').map(|(version, _)| version.to_owned());
    [
        Some(is.to_owned()),
        Some(without_epoch.to_owned()),
        without_release(is),
        without_release(without_epoch),
    ]
    .iter()
    .flatten()
    .any(|form| form == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_read_with_what_they_provide_and_keys_are_none() {
        let list = "bash\t0:5.2.15-1.amzn2023\nbash\t\t/bin/sh\nbash\t\tbash\n\
                    gpg-pubkey\t0:d832c631-6515c85e\n";
        let inventory = parse(list);
        assert_eq!(inventory.installed.len(), 1);
        assert!(inventory.provided.contains("/bin/sh"));
        for same in ["5.2.15", "5.2.15-1.amzn2023", "0:5.2.15", "0:5.2.15-1.amzn2023"] {
            assert!(is_version(&inventory.installed["bash"], same), "{same}");
        }
        assert!(!is_version("0:5.2.15-1", "5.2"));
    }

    #[test]
    fn what_is_held_joins_what_is_excluded_already() {
        let names = ["docker".to_owned()];
        let text = "[main]\ngpgcheck=1\nexcludepkgs=kernel*\n[other]\na=1\n";
        let held = excluding(text, &names);
        assert_eq!(held, "[main]\nexcludepkgs=docker kernel*\ngpgcheck=1\n[other]\na=1\n");
        assert_eq!(excluding(&held, &names), held);
        let blanks = "[main]\nexcludepkgs = a, b\n  c\nbest=1\n[other]\nexcludepkgs=x\n";
        let held = excluding(blanks, &names);
        let wanted = "[main]\nexcludepkgs=a b c docker\nbest=1\n[other]\nexcludepkgs=x\n";
        assert_eq!(held, wanted);
        for text in ["", "# nothing\n", "[other]\na=1\n"] {
            assert_eq!(super::held(&excluding(text, &names)), names, "{text}");
        }
    }

    #[test]
    fn what_dnf_cannot_find_is_read_from_its_complaints() {
        let complaint =
            "No match for argument: tiny-9\nError: Unable to find a match: tiny-9 nosuch\n";
        assert!(is_missing(complaint, "tiny=9") && is_missing(complaint, "nosuch"));
        assert!(!is_missing(complaint, "tiny"));
    }
}
