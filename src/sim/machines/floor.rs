//! What the machines of an account stand on: this machine's folder, processors and file system,
//! and the account that they are in.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::address::Addresses;
use super::disks::Disks;
use super::Options;
use crate::event::Events;
use crate::sim::account::FileSystem;
use crate::sim::endpoint::{Shared, with};
use crate::sim::image::Image;
use crate::sim::instance::{Ending, Instance, State};
use crate::sim::nfs::Export;
use crate::sim::nfs::gate::Passage;
use crate::sim::snapshot::Snapshot;
use crate::sim::timeline::Recorder;
use crate::sim::user_data;
use crate::sim::vm::acceleration::Chosen;
use crate::sim::vm::options::Firmware;
use crate::sim::vm::run_dir::RunDir;
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
}

/// What the machine of an instance is made of.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Its region.
    pub(super) region: String,
    /// The hardware address of its first network card.
    pub(super) mac: String,
    /// What starts its disk.
    pub(super) firmware: Firmware,
    /// The snapshot that its disk begins with.
    pub(super) snapshot: Snapshot,
    /// The size of its disk.
    pub(super) disk_bytes: u64,
}

impl Floor {
    /// Reads what the account says of an instance, and gives it what this machine has for it: its
    /// addresses, and what its user-data lacks.
    pub(super) fn wanted(&self, id: &str, addresses: Addresses) -> anyhow::Result<Wanted> {
        let file_system = self.file_system.as_ref().map(|(one, _)| one.id.as_str());
        with(&self.account, |account| {
            let (instance, _) = account.instance_mut(id).context("there is no such instance")?;
            let Addresses { private, public } = addresses;
            instance.private_ip = private;
            instance.public_ip = Some(public);
            let user_data = user_data::complete(&instance.user_data, &self.endpoint_url, file_system);
            instance.user_data = user_data;
            let (region, image, mac) =
                (instance.region.clone(), instance.image.clone(), instance.mac.clone());
            let volume_gib = instance.root_gib;
            let region_state = account.region(&region);
            let image = region_state.images.get(&image).context("its image is gone")?;
            let root = image.root().context("its image has no root disk")?;
            let snapshot = root.snapshot.as_ref().context("its root disk has no snapshot")?;
            let snapshot = region_state.snapshots.get(snapshot).context("its snapshot is gone")?;
            Ok(Wanted {
                region,
                mac,
                firmware: firmware(image),
                snapshot: snapshot.clone(),
                disk_bytes: volume_gib.max(snapshot.volume_gib) << 30,
            })
        })
    }

    /// The raw disk that the instance's layers lie on.
    pub(super) async fn disk_of(&self, wanted: &Wanted) -> anyhow::Result<PathBuf> {
        self.disks.of(&wanted.snapshot).await
    }

    /// The way of an instance to the file system.
    pub(super) fn passage(&self, instance: &str) -> Option<Passage> {
        let (_, export) = self.file_system.as_ref()?;
        Some(export.passage(instance, &Recorder::silent()))
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
        self.events.log(id, what);
    }
}

/// What starts the disk of an image, as instances of today do: UEFI where the image may be started
/// by it and this machine has it.
fn firmware(image: &Image) -> Firmware {
    match image.boot_mode.as_deref() {
        Some("uefi") => Firmware::Uefi,
        Some("uefi-preferred") if Firmware::Uefi.is_here() => Firmware::Uefi,
        _ => Firmware::Bios,
    }
}
