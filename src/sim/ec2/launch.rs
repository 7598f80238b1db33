//! What was said of an instance when it was launched, and what EC2 chose for it: all that whoever
//! plays its machine needs to know.

use super::specification::Metadata;
use crate::sim::instance::Instance;
use crate::sim::region::Region;
use crate::sim::snapshot::Snapshot;
use crate::sim::volume::Volume;

/// What becomes of an instance that switches itself off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shutdown {
    /// It is stopped.
    #[default]
    Stop,
    /// It is terminated.
    Terminate,
}

impl Shutdown {
    /// AWS's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Terminate => "terminate",
        }
    }
}

/// See the module. The image is [`Instance::image`]; [`Instance::user_data`] and
/// [`Instance::public_key`] are what the metadata service tells; its tags are there, too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "as many switches as AWS has, all independent")]
pub struct Launch {
    /// The region.
    pub region: String,
    /// `r-…`: all instances of one request have the same.
    pub reservation: String,
    /// Its number in the request, from 0.
    pub index: u64,
    /// `t3.micro`
    pub instance_type: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// `uefi-preferred`, …; none is `legacy-bios` on `x86_64` and `uefi` on `arm64`.
    pub boot_mode: Option<String>,
    /// `v2.0`, where it has a trusted platform module.
    pub tpm_support: Option<String>,
    /// `/dev/xvda`
    pub root_device: String,
    /// Its disks: `vol-…`, the root first.
    pub volumes: Vec<String>,
    /// The name of its key pair.
    pub key_name: Option<String>,
    /// `sg-…`
    pub groups: Vec<String>,
    /// Its network.
    pub vpc: String,
    /// Its subnet.
    pub subnet: String,
    /// Its availability zone.
    pub zone: String,
    /// Its network card.
    pub interface: String,
    /// Its address in its network. Whoever plays the machine may choose another.
    pub private_ip: String,
    /// Its address in the world, while it runs. Whoever plays the machine may choose another.
    pub public_ip: Option<String>,
    /// How its metadata service is, all decided.
    pub metadata: Metadata,
    /// What becomes of it when it switches itself off.
    pub shutdown: Shutdown,
    /// The request for it and whether that is for one time only, where it is a spot instance.
    pub spot: Option<(String, bool)>,
    /// The ARN of its role's profile.
    pub profile: Option<String>,
    /// The template that it was launched from: id and version. EC2 tags the instance with them.
    pub template: Option<(String, u64)>,
    /// The client's token.
    pub client_token: Option<String>,
    /// Whether it has bandwidth of its own for volumes.
    pub ebs_optimized: bool,
    /// Whether it is monitored in detail.
    pub monitoring: bool,
    /// Whether it is protected from being terminated.
    pub disable_termination: bool,
    /// Whether it is protected from being stopped.
    pub disable_stop: bool,
    /// What it has written on its console. Whoever plays the machine keeps it up to date.
    pub console: String,
    /// Somebody wants it to be restarted. Whoever plays the machine does it and takes the wish
    /// away.
    pub reboot: bool,
}

impl Launch {
    /// The volume that it boots from.
    pub fn root<'a>(&self, region: &'a Region) -> Option<&'a Volume> {
        region.volumes.get(self.volumes.first()?)
    }
}

/// Snapshots that wait for the content of an instance's disks: those that `CreateImage` and
/// `CreateSnapshot` have made, each with its volume. Whoever plays the machine fills them and sets
/// their state to be completed.
pub fn to_be_filled<'a>(
    region: &'a mut Region,
    instance: &'a Instance,
) -> impl Iterator<Item = (&'a mut Snapshot, &'a Volume)> {
    let volumes = &region.volumes;
    region.snapshots.values_mut().filter_map(move |snapshot| {
        let volume = volumes.get(snapshot.volume.as_ref()?)?;
        let waits = matches!(snapshot.state, crate::sim::snapshot::State::Pending(None));
        (waits && volume.instance == instance.id).then_some((snapshot, volume))
    })
}
