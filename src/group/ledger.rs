//! How often the group was told to replace a host: at most twice an hour, also by those that come
//! after.
//!
//! A controller counts on its home, where its replacement counts on; in a child, because a dead
//! file system hangs whoever touches it (`hostkit inner ledger`). Every other host counts on its own
//! disk, and so does a controller whose home does not answer.

use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8PathBuf;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::Fault;
use crate::lease::ground::{Ground, must_be_marked};
use crate::sys::{Cmd, Owner, Root, Runner, Tool, atomic};

/// So many reports are made within [`WINDOW`] at most.
pub const MOST: usize = 2;
/// See [`MOST`].
pub const WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// Where a host counts on its own disk.
pub const LOCAL: &str = "/var/lib/hostkit/unhealthy.json";
/// Where a controller counts on its file system.
const SHARED: &str = ".hostkit/unhealthy.json";

/// A healthy file system answers in milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// One report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Of which instance.
    pub instance_id: String,
    /// Why, in a line.
    pub why: String,
}

/// Where a host counts.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// How the child is started.
    pub runner: Runner,
    /// The file on the own disk.
    pub local: Utf8PathBuf,
    /// Where the file system of a controller is mounted, and its id.
    pub home: Option<(Utf8PathBuf, String)>,
}

/// What the child is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Where the file system is mounted.
    pub mount_point: Utf8PathBuf,
    /// Its id: nothing is written to another one.
    pub file_system: String,
    /// What is entered, if there is room.
    pub entry: Entry,
}

/// What the child answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It is entered.
    Entered,
    /// There were too many; the next may be made at this time.
    Full(Timestamp),
    /// It could not be done.
    Failed(String),
}

impl Ledger {
    /// Makes an entry, or says when the next may be made; and why it was not made on the home, where
    /// it should have been.
    pub(super) async fn enter(
        &self,
        entry: &Entry,
    ) -> (Result<Option<Timestamp>, Fault>, Option<String>) {
        let Some((mount_point, file_system)) = &self.home else {
            return (self.enter_here(entry), None);
        };
        let request = Request {
            mount_point: mount_point.clone(),
            file_system: file_system.clone(),
            entry: entry.clone(),
        };
        match ask(&self.runner, &request).await {
            Ok(next) => (Ok(next), None),
            // What is wrong with the host may be its file system.
            Err(error) => {
                let trouble = format!("the report is counted on this host only: {error:#}");
                (self.enter_here(entry), Some(trouble))
            }
        }
    }

    fn enter_here(&self, entry: &Entry) -> Result<Option<Timestamp>, Fault> {
        let text = match std::fs::read_to_string(&self.local) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(unwritten(&format!("reading {}: {error}", self.local)));
            }
            read => read.unwrap_or_default(),
        };
        let text = match add(&text, entry) {
            Ok(text) => text,
            Err(next) => return Ok(Some(next)),
        };
        let write = || {
            if let Some(folder) = self.local.parent() {
                atomic::make_directory(folder, 0o700)?;
            }
            atomic::write(&self.local, text.as_bytes(), 0o600)
        };
        write()
            .map(|_| None)
            .map_err(|error| unwritten(&format!("writing {}: {error}", self.local)))
    }
}

fn unwritten(why: &str) -> Fault {
    Fault::environment(format!("the group is not told, because it cannot be counted: {why}"))
        .hint("the local disk is full or read-only: replace the host by hand")
}

async fn ask(runner: &Runner, request: &Request) -> anyhow::Result<Option<Timestamp>> {
    let json = serde_json::to_vec(request).expect("a request has only string keys");
    let command = Cmd::new(Tool::Hostkit).args(["inner", "ledger"]).stdin(json).timeout(PATIENCE);
    let output = runner.run(&command).await?;
    let answer =
        serde_json::from_slice(&output.stdout).context("reading the answer of the child")?;
    match answer {
        Answer::Entered => Ok(None),
        Answer::Full(next) => Ok(Some(next)),
        Answer::Failed(why) => anyhow::bail!(why),
    }
}

/// What the child does.
pub fn answer(request: &Request, ground: Ground) -> Answer {
    work(request, ground).unwrap_or_else(|error| Answer::Failed(format!("{error:#}")))
}

fn work(request: &Request, ground: Ground) -> anyhow::Result<Answer> {
    let Request { mount_point, file_system, entry } = request;
    let root = Root::strict(mount_point).with_context(|| format!("opening {mount_point}"))?;
    anyhow::ensure!(ground.bears(&root)?, "no network file system is mounted at {mount_point}");
    must_be_marked(&root, file_system)?;
    let text = root.read_text(SHARED).context("reading the ledger")?.unwrap_or_default();
    let text = match add(&text, entry) {
        Ok(text) => text,
        Err(next) => return Ok(Answer::Full(next)),
    };
    root.write(SHARED, text.as_bytes(), 0o600, Owner::me()).context("writing the ledger")?;
    Ok(Answer::Entered)
}

/// The ledger with one entry more, or when the next can be made. What cannot be read was empty; what
/// is from the future was written by a clock that was wrong, and counts from now.
fn add(text: &str, entry: &Entry) -> Result<String, Timestamp> {
    let now = entry.at;
    let mut entries: Vec<Entry> = serde_json::from_str(text).unwrap_or_default();
    for entry in &mut entries {
        entry.at = entry.at.min(now);
    }
    entries.retain(|entry| now.duration_since(entry.at) < WINDOW);
    entries.sort_by_key(|entry| entry.at);
    if let Some(first) = entries.len().checked_sub(MOST).map(|first| &entries[first]) {
        return Err(first.at.saturating_add(WINDOW).unwrap_or(now));
    }
    entries.push(entry.clone());
    Ok(serde_json::to_string_pretty(&entries).expect("entries have only string keys") + "\n")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use camino::Utf8Path;

    use super::*;
    use crate::lease::ground::MARK;

    fn entry(seconds: i64) -> Entry {
        let at = Timestamp::from_second(seconds).unwrap();
        Entry { at, instance_id: "i-1".to_owned(), why: "Jenkins is gone".to_owned() }
    }

    #[test]
    fn two_an_hour_and_no_more() {
        let first = add("", &entry(0)).unwrap();
        let second = add(&first, &entry(1000)).unwrap();
        assert_eq!(add(&second, &entry(2000)), Err(Timestamp::from_second(3600).unwrap()));
        let third = add(&second, &entry(3600)).unwrap();
        assert_eq!(add(&third, &entry(3700)), Err(Timestamp::from_second(4600).unwrap()));
        // A clock that was wrong does not silence a host for ever, and rubbish does not either.
        let future = add(&add("", &entry(99_000)).unwrap(), &entry(99_001)).unwrap();
        assert!(add(&future, &entry(10)).is_err());
        assert!(add("rubbish", &entry(0)).is_ok());
    }

    #[test]
    fn the_child_counts_on_the_own_file_system_only() {
        let folder = tempfile::tempdir().unwrap();
        let mount_point = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        let ask = |file_system: &str| {
            let (mount_point, file_system) = (mount_point.clone(), file_system.to_owned());
            answer(&Request { mount_point, file_system, entry: entry(0) }, Ground::Any)
        };
        assert!(matches!(ask("fs-1"), Answer::Failed(_)), "nobody has marked it");
        fs::create_dir(mount_point.join(".hostkit")).unwrap();
        fs::write(mount_point.join(MARK), "fs-1\n").unwrap();
        assert!(matches!(ask("fs-2"), Answer::Failed(_)));
        assert_eq!([ask("fs-1"), ask("fs-1")], [Answer::Entered, Answer::Entered]);
        assert_eq!(ask("fs-1"), Answer::Full(Timestamp::from_second(3600).unwrap()));
        let request = Request { mount_point, file_system: "fs-1".to_owned(), entry: entry(0) };
        assert!(matches!(answer(&request, Ground::Nfs), Answer::Failed(_)));
    }

    #[tokio::test]
    async fn who_has_no_home_counts_on_its_disk() {
        let folder = tempfile::tempdir().unwrap();
        let local = Utf8Path::from_path(folder.path()).unwrap().join("a/unhealthy.json");
        let ledger = Ledger { runner: Runner::Direct, local, home: None };
        for expected in [None, None, Some(Timestamp::from_second(3600).unwrap())] {
            assert_eq!(ledger.enter(&entry(0)).await.0.unwrap(), expected);
        }
    }
}
