//! How Jenkins gets its secrets: as systemd's credentials when it starts, and afterwards from files
//! that it alone may read.
//!
//! systemd copies a credential once, when the unit starts, and cannot give a running one another
//! (`RefreshOnReload=` is younger than the systemd of the images). A key that was exchanged must reach
//! Jenkins without a restart, so a secret that changes while Jenkins runs gets a copy on tmpfs that
//! only the user `jenkins` reads, and the configuration refers to that one instead: `${agent_key}`
//! becomes `${readFile:…}`. Then Jenkins reads its configuration again. Both are files in memory that
//! root and Jenkins can read; the credential is what a start takes, because it is gone with the unit.

use std::os::unix::fs::lchown;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use super::context::Machine;
use super::secrets::write;
use crate::error::Fault;
use crate::sys::atomic;

/// Where systemd looks for what the boot adds to Jenkins' unit.
const DROP_IN: &str = "run/systemd/system/jenkins.service.d/50-hostkit-secrets.conf";

/// Where the copies are, below `/run/hostkit`.
const FRESH: &str = "jenkins/fresh";

/// As whom Jenkins runs.
const USER: &str = "jenkins";

/// Has systemd give Jenkins the credentials `names`, beside those that every Jenkins gets. Says
/// whether that is new: systemd takes it when it reads the unit.
pub(super) fn list(machine: &Machine, names: &[String]) -> anyhow::Result<bool> {
    let path = machine.path(DROP_IN);
    if names.is_empty() {
        return match std::fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            gone => gone.map(|()| true).with_context(|| format!("removing {path}")),
        };
    }
    let line = |name: &String| format!("LoadCredential={name}:/run/hostkit/secrets/{name}\n");
    let lines: String = names.iter().map(line).collect();
    let text = format!(
        "# Written by every boot: the secrets that this host is told to have.\n[Service]\n{lines}"
    );
    let folder = path.parent().unwrap_or(Utf8Path::new("/"));
    atomic::make_directory(folder, 0o755).with_context(|| format!("making {folder}"))?;
    write(&path, text.as_bytes(), 0o644)
}

/// Gives the running Jenkins a copy of each of these that it alone can read.
pub(super) fn copy<'a>(
    machine: &Machine,
    secrets: impl Iterator<Item = (&'a str, &'a str)>,
) -> anyhow::Result<()> {
    let owner = owner(machine)?;
    let folder = machine.run(FRESH);
    // Its files are Jenkins' own, their names no secret.
    atomic::make_directory(&folder, 0o711).with_context(|| format!("making {folder}"))?;
    for (name, value) in secrets {
        give(&folder.join(name), value, owner)?;
    }
    Ok(())
}

/// Writes those copies again that there are. Says whether any was another.
pub(super) fn renew<'a>(
    machine: &Machine,
    secrets: impl Iterator<Item = (&'a str, &'a str)>,
) -> anyhow::Result<bool> {
    let folder = machine.run(FRESH);
    let mut changed = false;
    for (name, value) in secrets {
        let path = folder.join(name);
        if path.exists() {
            changed |= give(&path, value, owner(machine)?)?;
        }
    }
    Ok(changed)
}

fn give(path: &Utf8PathBuf, value: &str, (uid, gid): (u32, u32)) -> anyhow::Result<bool> {
    let changed = write(path, value.as_bytes(), 0o400)?;
    lchown(path, Some(uid), Some(gid)).with_context(|| format!("giving {path} to {USER}"))?;
    Ok(changed)
}

/// `text` of Jenkins' configuration, with each secret that has a copy read from that.
pub(super) fn refer_to_copies(machine: &Machine, text: &str) -> String {
    let folder = machine.run(FRESH);
    let names = folder.read_dir_utf8().into_iter().flatten().flatten();
    let names = names.map(|entry| entry.file_name().to_owned());
    // A dot begins the name of a file that is half written.
    names.filter(|name| !name.starts_with('.')).fold(text.to_owned(), |text, name| {
        let there = format!("${{readFile:/run/hostkit/{FRESH}/{name}}}");
        text.replace(&format!("${{{name}}}"), &there)
    })
}

/// The other way round: `text` as it is for a Jenkins that has just been started.
pub(super) fn refer_to_credentials(text: &str) -> String {
    text.replace(&format!("${{readFile:/run/hostkit/{FRESH}/"), "${")
}

/// The numbers of Jenkins' user and group, from the machine's own list.
fn owner(machine: &Machine) -> anyhow::Result<(u32, u32)> {
    let path = machine.path("etc/passwd");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let find = |line: &str| {
        let mut fields = line.split(':');
        (fields.next()? == USER).then_some(())?;
        let (uid, gid) = (fields.nth(1)?, fields.next()?);
        Some((uid.parse().ok()?, gid.parse().ok()?))
    };
    let none = || Fault::environment(format!("this machine has no user `{USER}`"));
    Ok(text.lines().find_map(find).ok_or_else(none)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_leads_to_the_copy_where_there_is_one_and_back() {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap().to_owned();
        let machine = Machine { root, ..Machine::default() };
        let text = "a: ${agent_key}\nb: ${TOKEN}\nc: ^${agent_keys}\n";
        assert_eq!(refer_to_copies(&machine, text), text);
        std::fs::create_dir_all(machine.run(FRESH)).unwrap();
        std::fs::write(machine.run(FRESH).join("agent_key"), "").unwrap();
        let there = refer_to_copies(&machine, text);
        assert_eq!(
            there,
            text.replace("${agent_key}", "${readFile:/run/hostkit/jenkins/fresh/agent_key}")
        );
        assert_eq!(refer_to_copies(&machine, &there), there);
        assert_eq!(refer_to_credentials(&there), text);
    }
}
