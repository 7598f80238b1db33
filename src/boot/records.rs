//! Records of boots, good and bad: one file for each, the last [`MOST`] of them. Beside them on the home
//! are those of recoveries, which are only read here.
//!
//! They lie on the host itself, and those of a controller on the file system of its home, too, where
//! the next one finds them. That is done by the child ([`inside`]) with a deadline.

use std::io;
use std::time::Duration;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use tokio::time::timeout;

use super::context::{Context, Machine};
use super::home::{MOUNT_POINT, is_mounted};
use super::inside::{self, Answer, Request};
use super::status::Status;
use crate::event::Events;
use crate::host::Role;
use crate::lease::recovery::{self, Journal};
use crate::sys::{Runner, atomic};

/// So many are kept.
pub(super) const MOST: usize = 50;

/// A larger file is no record of ours, in bytes.
pub(super) const LARGEST: u64 = 256 << 10;

/// Where they lie on the host itself.
const FOLDER: &str = "var/lib/hostkit/boots";

/// A child that the kernel does not let go lives on after its deadline.
const PATIENCE: Duration = Duration::from_secs(inside::PATIENCE.as_secs() + 10);

/// Where a boot leaves its record.
#[derive(Clone, Debug)]
pub(super) struct Place {
    runner: Runner,
    folder: Utf8PathBuf,
    /// Where the home is mounted, and the id of its file system.
    home: Option<(Utf8PathBuf, String)>,
}

/// Where records were read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The file system of the home.
    Home,
    /// This host alone, and why not the home.
    Host(Option<String>),
}

/// Records of boots.
#[derive(Debug)]
pub struct Records {
    /// The newest first.
    pub boots: Vec<Status>,
    /// The recoveries of the home, the newest first: those that are over, and one that is not.
    pub recoveries: Vec<Journal>,
    /// From where.
    pub source: Source,
    /// How many files are no record that this hostkit reads.
    pub unreadable: usize,
}

impl Place {
    /// The place of this host, as far as its boot has come.
    pub(super) fn of(context: &Context) -> Self {
        let machine = &context.machine;
        let config = context.config.get();
        let controller = config.filter(|config| config.role == Some(Role::Controller));
        let id = controller.and_then(|config| config.efs.id.clone());
        let home = id.filter(|_| is_mounted(machine)).map(|id| (machine.path(MOUNT_POINT), id));
        Self { runner: machine.runner.clone(), folder: machine.path(FOLDER), home }
    }

    /// Leaves a record. That it could not be left is said, and is no error of the boot.
    pub(super) async fn keep(&self, status: &Status, events: &Events) {
        let (name, text) = (name(status), text(status));
        if let Err(error) = self.keep_here(&name, &text) {
            events.log("boot", format!("the record of this boot was not kept: {error:#}"));
        }
        if let Err(error) = self.keep_on_home(name, text).await {
            let what = "the record of this boot was not left on the home";
            events.log("boot", format!("{what}: {error:#}"));
        }
    }

    fn keep_here(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let parent = self.folder.parent().unwrap_or(&self.folder);
        atomic::make_directory(parent, 0o700).with_context(|| format!("making {parent}"))?;
        atomic::make_directory(&self.folder, 0o700)
            .with_context(|| format!("making {}", self.folder))?;
        let path = self.folder.join(name);
        atomic::write(&path, text.as_bytes(), 0o600).with_context(|| format!("writing {path}"))?;
        for old in surplus(names(&self.folder)?) {
            std::fs::remove_file(self.folder.join(&old))
                .with_context(|| format!("removing {old}"))?;
        }
        Ok(())
    }

    async fn keep_on_home(&self, name: String, text: String) -> anyhow::Result<()> {
        let Some((mount_point, file_system)) = self.home.clone() else { return Ok(()) };
        let request = Request::Record { mount_point, file_system, name, text };
        match timeout(PATIENCE, inside::ask(&self.runner, &request)).await {
            Ok(end) => end.map(drop),
            Err(_elapsed) => anyhow::bail!("the file system does not answer"),
        }
    }
}

/// The records that this host can read: those on the home where one is mounted, else its own.
pub async fn read(machine: &Machine) -> anyhow::Result<Records> {
    let ((texts, journals), source) = match on_home(machine).await {
        Some(Ok(texts)) => (texts, Source::Home),
        Some(Err(error)) => {
            ((here(machine)?, Vec::new()), Source::Host(Some(format!("{error:#}"))))
        }
        None => ((here(machine)?, Vec::new()), Source::Host(None)),
    };
    let all = texts.len() + journals.len();
    let mut boots: Vec<_> = texts.iter().filter_map(|text| Status::parse(text).ok()).collect();
    boots.sort_by_key(|boot| std::cmp::Reverse(boot.started));
    let journals = journals.iter().filter_map(|text| match recovery::parse(text.as_bytes()) {
        recovery::Found::Journal(journal) => Some(*journal),
        recovery::Found::Nothing | recovery::Found::Garbage(_) => None,
    });
    let mut recoveries: Vec<_> = journals.collect();
    recoveries.sort_by_key(|journal| std::cmp::Reverse(journal.begun));
    let unreadable = all - boots.len() - recoveries.len();
    Ok(Records { boots, recoveries, source, unreadable })
}

/// The texts of the records of boots, and of recoveries.
type Texts = (Vec<String>, Vec<String>);

async fn on_home(machine: &Machine) -> Option<anyhow::Result<Texts>> {
    if !is_mounted(machine) {
        return None;
    }
    let request = Request::Records { mount_point: machine.path(MOUNT_POINT) };
    Some(match timeout(PATIENCE, inside::ask(&machine.runner, &request)).await {
        Ok(Ok(Answer::Records { boots, recoveries })) => Ok((boots, recoveries)),
        Ok(Ok(answer)) => Err(anyhow::anyhow!("the child answered {answer:?}")),
        Ok(Err(error)) => Err(error),
        Err(_elapsed) => Err(anyhow::anyhow!("the file system does not answer")),
    })
}

/// The records of this host alone, as JSON lines. Touches no home.
pub(super) fn of_host(machine: &Machine) -> anyhow::Result<String> {
    let texts = here(machine)?;
    let boots = texts.iter().filter_map(|text| Status::parse(text).ok());
    let lines = boots.map(|boot| serde_json::to_string(&boot).expect("a status is JSON"));
    Ok(lines.map(|line| line + "\n").collect())
}

fn here(machine: &Machine) -> anyhow::Result<Vec<String>> {
    let folder = machine.path(FOLDER);
    let mut texts = Vec::new();
    for name in names(&folder)? {
        let path = folder.join(name);
        let meta = path.symlink_metadata().with_context(|| format!("looking at {path}"))?;
        if meta.is_file() && meta.len() <= LARGEST {
            texts.push(std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?);
        }
    }
    Ok(texts)
}

/// The names of the records in a folder that may not be there.
fn names(folder: &Utf8Path) -> anyhow::Result<Vec<String>> {
    let entries = match folder.read_dir_utf8() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("listing {folder}"))?,
    };
    let names: io::Result<Vec<_>> =
        entries.map(|entry| entry.map(|entry| entry.file_name().to_owned())).collect();
    Ok(newest(names.with_context(|| format!("listing {folder}"))?))
}

/// `20261127T030000Z-i-0abc.json`: by its name the oldest is known.
fn name(status: &Status) -> String {
    let who = status.instance_id.as_deref().unwrap_or("unknown");
    format!("{}-{who}.json", status.started.strftime("%Y%m%dT%H%M%SZ"))
}

fn text(status: &Status) -> String {
    let mut json = serde_json::to_value(status).expect("a status has only string keys");
    crate::secret::redact_json(&mut json);
    format!("{json:#}\n")
}

/// Those that are names of records, the newest first.
pub(super) fn newest(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| {
        let (time, rest) = name.split_at_checked(16).unwrap_or_default();
        let is_time = |c: char| c.is_ascii_digit() || c == 'T' || c == 'Z';
        time.ends_with('Z') && time.chars().all(is_time) && rest.ends_with(".json")
    });
    names.sort_unstable_by(|a, b| b.cmp(a));
    names
}

/// Those of `names` that are too many: the oldest.
pub(super) fn surplus(names: Vec<String>) -> Vec<String> {
    newest(names).into_iter().skip(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_too_many_and_what_is_no_record_is_left_alone() {
        let mut names: Vec<_> = (0..53)
            .map(|day| format!("202601{:02}T0300{day:02}Z-i-0a.json", day / 2 + 1))
            .collect();
        names.extend(["notes.txt", "i-0bbb.json", "x"].map(str::to_owned));
        assert_eq!(
            surplus(names),
            [
                "20260102T030002Z-i-0a.json",
                "20260101T030001Z-i-0a.json",
                "20260101T030000Z-i-0a.json"
            ]
        );
    }
}
