//! What the machines of an account stand on: this machine's folder, processors and file system,
//! and the account that they are in.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::Options;
use super::address::Addresses;
use super::disks::Disks;
use crate::event::Events;
use crate::sim::account::{Account, FileSystem};
use crate::sim::endpoint::{Shared, with};
use crate::sim::instance::{Ending, Instance, State};
use crate::sim::nfs::Export;
use crate::sim::nfs::gate::Passage;
use crate::sim::snapshot::Snapshot;
use crate::sim::timeline::Recorder;
use crate::sim::user_data;
use crate::sim::vm::acceleration::Chosen;
use crate::sim::vm::options::Firmware;
use crate::sim::vm::run_dir::RunDir;
use crate::sim::volume::Volume;
use crate::sys::Runner;

/// How often the account is asked what became of an instance.
pub(super) const GLANCE: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug)]
pub(super) struct Floor {
    pub(super) options: Options,
    pub(super) account: Shared,
    pub(super) events: Events,
    pub(super) runner: Runner,
    pub(super) run_dir: RunDir,
    pub(super) chosen: Chosen,
    pub(super) disks: Disks,
    /// Where instances find the account's services.
    pub(super) endpoint_url: String,
    /// What instances mount.
    pub(super) file_system: Option<(FileSystem, Export)>,
    /// The instances whose processors stand still.
    pub(super) still: Mutex<BTreeSet<String>>,
}

/// What the machine of an instance is made of.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Its region.
    pub(super) region: String,
    /// The hardware address of its first network card.
    pub(super) mac: String,
    /// The addresses that lead to it from here.
    pub(super) addresses: Vec<Ipv4Addr>,
    /// What starts its disk.
    pub(super) firmware: Firmware,
    /// The volume that it boots from.
    pub(super) volume: Volume,
    /// The snapshot that this begins with.
    pub(super) snapshot: Snapshot,
}

impl Floor {
    /// Reads what the account says of an instance, and gives it what this machine has for it: its
    /// addresses, and what its user-data lacks.
    pub(super) fn wanted(&self, id: &str, addresses: Addresses) -> anyhow::Result<Wanted> {
        let file_system = self.file_system.as_ref().map(|(one, _)| one.id.as_str());
        with(&self.account, |account| {
            let (instance, _) = account.instance_mut(id).context("there is no such instance")?;
            let said = &instance.user_data;
            instance.user_data = user_data::complete(said, &self.endpoint_url, file_system);
            let mac = instance.mac.clone();
            let launch = instance.launch.as_mut().context("its group launched it")?;
            launch.private_ip = addresses.private.to_string();
            let mut reached_at = vec![addresses.private];
            if let Some(public) = &mut launch.public_ip {
                *public = addresses.public.to_string();
                reached_at.push(addresses.public);
            }
            let launch = launch.clone();
            let region = account.region(&launch.region);
            let volume = launch.root(region).context("it has no root volume")?.clone();
            let snapshot = volume.snapshot.as_ref().context("its root volume is empty")?;
            let snapshot = region.snapshots.get(snapshot).context("its snapshot is gone")?.clone();
            let firmware = firmware(launch.boot_mode.as_deref());
            let region = launch.region;
            Ok(Wanted { region, mac, addresses: reached_at, firmware, volume, snapshot })
        })
    }

    /// The raw disk that the instance's layers lie on.
    pub(super) async fn disk_of(&self, wanted: &Wanted) -> anyhow::Result<PathBuf> {
        let store = with(&self.account, Account::store).context("opening the blocks")?;
        self.disks.of(&wanted.snapshot, store).await
    }

    /// The way of an instance to the file system.
    pub(super) fn passage(&self, instance: &str) -> Option<Passage> {
        let (_, export) = self.file_system.as_ref()?;
        let recorder = with(&self.account, |account| {
            account.instance(instance).map_or_else(Recorder::silent, |one| one.recorder.clone())
        });
        Some(export.passage(instance, &recorder))
    }

    /// Whether the processors of an instance are to stand still.
    pub(super) fn is_still(&self, instance: &str) -> bool {
        self.still.lock().unwrap_or_else(PoisonError::into_inner).contains(instance)
    }

    /// Keeps the console of an instance, if that is wanted.
    pub(super) fn keep_console(&self, instance: &str, console: &Path) {
        let Some(folder) = &self.options.keep else { return };
        let file = folder.join(format!("{instance}.console.log"));
        if let Err(error) = std::fs::copy(console, file) {
            tracing::warn!(%error, instance, "a console's text is lost");
        }
    }

    /// Changes an instance.
    pub(super) fn change(&self, id: &str, change: impl FnOnce(&mut Instance, Instant)) {
        with(&self.account, |account| {
            if let Some((instance, now)) = account.instance_mut(id) {
                change(instance, now);
            }
        });
    }

    /// What EC2 says of an instance.
    pub(super) fn state(&self, id: &str) -> State {
        with(&self.account, |account| {
            account.instance(id).map_or(State::Terminated, Instance::state)
        })
    }

    /// How its machine is to end, if it is to.
    pub(super) fn ending(&self, id: &str) -> Option<Ending> {
        with(&self.account, |account| account.instance(id)?.ending)
    }

    /// There is no machine for an instance, and there will be none.
    pub(super) fn give_up(&self, id: &str, error: &anyhow::Error) {
        self.tell(id, &format!("it has no machine: {error:#}"));
        self.change(id, Instance::not_started);
    }

    /// Tells whoever watches the account.
    pub(super) fn tell(&self, id: &str, what: &str) {
        self.events.log(id, format!("{id}: {what}"));
    }
}

/// What starts the disk of an image, as instances of today do: UEFI where the image may be started
/// by it and this machine has it.
fn firmware(boot_mode: Option<&str>) -> Firmware {
    match boot_mode {
        Some("uefi") => Firmware::Uefi,
        Some("uefi-preferred") if Firmware::Uefi.is_here() => Firmware::Uefi,
        _ => Firmware::Bios,
    }
}
