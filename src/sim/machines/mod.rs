//! Machines for the instances of `RunInstances` and of groups: each is a QEMU that boots its
//! image's snapshot.
//!
//! [`Machines`] watches the account and gives every `pending` instance a [`keeper`], who has it run,
//! stop, start and end as EC2 is asked to. [`disks`] makes raw disks of snapshots, [`volume`] is what
//! an instance writes, [`capture`] makes a snapshot of that again, [`address`] is how an instance is
//! reached, [`console`] what it shows, and [`floor`] what all stand on.
//!
//! Nothing here answers requests, and nothing listens beyond the loopback interface. Every program
//! ends when [`Machines`] is dropped, and with this process even if that is killed.

mod address;
mod capture;
mod console;
mod disks;
mod floor;
mod keeper;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use tokio::task::{JoinHandle, JoinSet};

use self::address::Pool;
use self::disks::Disks;
use self::floor::{Floor, GLANCE};
use super::account::FileSystem;
use super::cloud::Cloud;
use super::endpoint::{Shared, with};
use super::instance::State;
use super::nfs::interleave::HEAD;
use super::nfs::{Export, Record};
use super::vm::acceleration;
use super::vm::machine;
use super::vm::options::Acceleration;
use super::vm::run_dir::RunDir;
use super::vm::stage::{HOST_FROM_GUEST, canonical};
use crate::event::Events;
use crate::sys::{Runner, Tool};

/// The file that the record of the file system is kept in.
const CHANGES: &str = "EFS.changes.jsonl";

/// What all machines of an account have in common.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder that instances find as their EFS; none if absent.
    pub efs: Option<PathBuf>,
    /// How they are made to run.
    pub acceleration: Acceleration,
    /// What each has of memory, in MiB, whatever its instance type says.
    pub memory_mib: u64,
    /// What each has of processors.
    pub cpus: u8,
    /// Files, raw or qcow2, that are the disks of snapshots as they are. They are never changed.
    pub disks: BTreeMap<String, PathBuf>,
    /// Where consoles and the record of the file system are kept; nowhere if absent.
    pub keep: Option<PathBuf>,
    /// From when the record of the file system counts its times; from its beginning if absent.
    pub began: Option<Instant>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            efs: None,
            acceleration: Acceleration::Automatic,
            memory_mib: 2048,
            cpus: 2,
            disks: BTreeMap::new(),
            keep: None,
            began: None,
        }
    }
}

/// Gives instances their machines. Dropping it ends them at once.
#[derive(Debug)]
pub struct Machines {
    floor: Arc<Floor>,
    watch: JoinHandle<()>,
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Machines {
    /// Gives the instances of a cloud machines, which live on its thread.
    ///
    /// # Errors
    /// A program is missing or too old, the file system cannot be served, or no instance could be
    /// reached by SSH.
    pub async fn of(cloud: &Cloud, options: Options, events: &Events) -> anyhow::Result<Self> {
        let (account, events) = (Arc::clone(&cloud.account), events.clone());
        let port = cloud.port();
        let open = async move { Self::open(options, &account, port, &events).await };
        cloud.runtime().spawn(open).await.context("opening the machines")?
    }

    /// The services of the account are at `port` of the loopback interface.
    async fn open(
        options: Options,
        account: &Shared,
        port: u16,
        events: &Events,
    ) -> anyhow::Result<Self> {
        Tool::require(&[Tool::Qemu, Tool::QemuImg])?;
        let (run_dir, runner) = (RunDir::create()?, Runner::Direct);
        machine::check_version(&runner).await?;
        // What would fail for every instance fails now.
        let mut pool = Pool::new();
        pool.take()?;
        let (chosen, why) = acceleration::choose(options.acceleration, &runner, &run_dir).await?;
        events.log("machines", format!("the processors: {why}"));
        let file_system = match &options.efs {
            Some(folder) => {
                let mut files = serve_files(folder, account, &runner, &run_dir, events).await?;
                record(&mut files.1, folder, &options)?;
                Some(files)
            }
            None => None,
        };
        let floor = Arc::new(Floor {
            account: Arc::clone(account),
            events: events.clone(),
            disks: Disks::new(&run_dir, options.disks.clone())?,
            endpoint_url: format!("http://{HOST_FROM_GUEST}:{port}"),
            options,
            runner,
            run_dir,
            chosen,
            file_system,
            still: Mutex::default(),
        });
        with(account, |account| account.machines = true);
        let watch = tokio::spawn(watch(Arc::clone(&floor), pool));
        Ok(Self { floor, watch })
    }

    /// What instances do to their file system, if they have one.
    pub fn record(&self) -> Option<Record> {
        self.floor.file_system.as_ref().map(|(_, export)| export.record.clone())
    }

    /// From now on their file system answers, or is silent and answers later.
    pub fn answer_files(&self, answers: bool) {
        if let Some((_, export)) = &self.floor.file_system {
            export.valve.set(answers);
        }
    }

    /// From now on the processors of an instance stand still, or run on.
    pub fn stand_still(&self, instance: &str, still: bool) {
        let mut all = self.floor.still.lock().unwrap_or_else(PoisonError::into_inner);
        if still {
            all.insert(instance.to_owned());
        } else {
            all.remove(instance);
        }
    }
}

/// Has the record of the file system in `folder` be as it is wanted.
fn record(export: &mut Export, folder: &Path, options: &Options) -> anyhow::Result<()> {
    if let Some(began) = options.began {
        export.record = Record::since(began);
        export.record.watch(HEAD, folder.join(HEAD));
    }
    if let Some(keep) = &options.keep {
        std::fs::create_dir_all(keep).context("making the folder of what is kept")?;
        let file = File::create(keep.join(CHANGES)).context("making the file of changes")?;
        export.record.keep_lines(file);
    }
    Ok(())
}

async fn serve_files(
    folder: &Path,
    account: &Shared,
    runner: &Runner,
    run_dir: &RunDir,
    events: &Events,
) -> anyhow::Result<(FileSystem, Export)> {
    Tool::require(&[Tool::Ganesha])?;
    let folder = canonical(folder)?;
    let file_system = FileSystem::of_folder(&folder);
    let export = Export::start(runner, run_dir.path(), Path::new(&folder)).await?;
    events.log("machines", format!("{folder} is the file system {}", file_system.id));
    with(account, |account| account.file_systems.push(file_system.clone()));
    Ok((file_system, export))
}

/// Gives every new instance a keeper, for ever.
async fn watch(floor: Arc<Floor>, mut pool: Pool) {
    let (mut kept, mut keepers) = (BTreeSet::new(), JoinSet::new());
    loop {
        for instance in launched(&floor, &kept) {
            let name = folder_name(kept.len());
            kept.insert(instance.clone());
            match pool.take() {
                Ok(addresses) => {
                    let floor = Arc::clone(&floor);
                    keepers.spawn(keeper::keep(floor, instance, name, addresses));
                }
                Err(error) => floor.give_up(&instance, &error),
            }
        }
        while keepers.try_join_next().is_some() {}
        tokio::time::sleep(GLANCE).await;
    }
}

/// Instances that nobody keeps and that need a machine.
fn launched(floor: &Floor, kept: &BTreeSet<String>) -> Vec<String> {
    with(&floor.account, |account| {
        let all = account.instances().iter();
        let pending = all.filter(|one| {
            one.launch.is_some() && one.state() == State::Pending && !kept.contains(&one.id)
        });
        pending.map(|one| one.id.clone()).collect()
    })
}

/// Two letters for the folder of the `index`-th instance: the names of sockets are short. Those of
/// the first 676 differ.
fn folder_name(index: usize) -> String {
    let letter = |place: usize| char::from(b'a' + u8::try_from(place % 26).unwrap_or_default());
    [letter(index / 26), letter(index)].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instance_has_a_folder_of_its_own() {
        let names: BTreeSet<String> = (0..676).map(folder_name).collect();
        assert_eq!(names.len(), 676);
        assert!(names.iter().all(|name| name.len() == 2));
    }
}
