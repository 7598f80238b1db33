//! Every check there is, as data: its id, where it can run, what it comes after, and what it does in
//! a sentence. The rows are in the order in which one thing rests on another.

#![expect(clippy::doc_markdown, reason = "what a check does is told to people, too")]

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::observed::Cell;
use super::scene::{Case, Scene};
use super::{api, home, host, mount, net};
use crate::doctor::{Finding, Gap};

/// Where a check can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// On the host that mounts the file system, and nowhere else.
    Host,
    /// On the host, and from outside with an operator's credentials.
    Both,
}

/// A check.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Which one.
    pub id: Id,
    /// Where it can run.
    pub side: Side,
    /// If one of these fails or is not run for such a reason, there is nothing to look at.
    pub needs: &'static [Id],
    /// What these have seen it looks at, however they end: they come first.
    pub after: &'static [Id],
    /// It is given up after this long.
    pub deadline: Duration,
    /// What it looks at, in a sentence that begins in the middle.
    pub does: &'static str,
}

macro_rules! checks {
    ($($variant:ident $field:ident = $name:literal in $room:ident::$file:ident on $side:ident
       needs [$($need:ident),*] after [$($after:ident),*] within $seconds:literal:
       $does:literal,)+) => {
        /// A check, by its name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Id { $(#[doc = $does] $variant,)+ }

        /// Every check, each after those that it needs or comes after.
        pub const CHECKS: &[Check] = &[$(Check {
            id: Id::$variant,
            side: Side::$side,
            needs: &[$(Id::$need),*],
            after: &[$(Id::$after),*],
            deadline: Duration::from_secs($seconds),
            does: $does,
        }),+];

        impl Id {
            /// Its name, the same for ever.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }

        /// What the checks have seen: what a bundle holds, and all that is judged.
        #[derive(Debug, Default, Serialize, Deserialize)]
        #[serde(default)]
        pub struct Observed {
            $(#[doc = $does] pub $field: Cell<$room::$file::Seen>,)+
        }

        impl Observed {
            /// Looks, for so long at most, and keeps what was seen. What is known is not looked at.
            pub(super) async fn look(&self, id: Id, within: Duration, scene: &Scene<'_>) {
                match id {
                    $(Id::$variant => self.$field.fill(within, $room::$file::look(scene)).await,)+
                }
            }

            /// Why a check could not look, if it could not.
            pub(super) fn gap(&self, id: Id) -> Option<&Gap> {
                match id { $(Id::$variant => self.$field.looked()?.as_ref().err(),)+ }
            }

            /// That a check cannot look, said before it tries.
            pub(super) fn refuse(&self, id: Id, gap: Gap) {
                match id { $(Id::$variant => self.$field.refuse(gap),)+ }
            }
        }

        /// What a check says to what was seen.
        pub(super) fn judge(id: Id, case: &Case<'_>) -> Finding {
            match id {
                $(Id::$variant => {
                    case.observed.$field.judge(id, |seen| $room::$file::judge(seen, case))
                })+
            }
        }
    };
}

checks! {
    Kernel kernel = "host.kernel" in host::kernel on Host needs [] after [] within 2:
        "whether this kernel has an NFS 4.1 client, and mount.nfs4 is there",
    Config config = "host.config" in host::config on Host needs [] after [] within 2:
        "whether what host.toml says of file systems can be: ids, mount point, options",
    Role role = "host.role" in host::role on Host needs [] after [] within 6:
        "whether the metadata service answers, with an identity and a role",
    Clock clock = "host.clock" in host::clock on Both needs [] after [] within 6:
        "how far this clock is off AWS's",
    Client client = "host.client" in host::client on Host needs [] after [Role] within 2:
        "whether this host names itself to NFS servers by a name that no other has",
    Hygiene hygiene = "host.hygiene" in host::hygiene on Host needs [] after [] within 2:
        "whether the image brought a key of amazon-efs-utils, or a mount in fstab, from another host",
    Exists exists = "efs.exists" in api::exists on Both needs [] after [] within 6:
        "whether the file system is there and available",
    Key key = "efs.key" in api::key on Both needs [Exists] after [] within 6:
        "whether the key that encrypts it can be used",
    Targets targets = "efs.targets" in api::targets on Both needs [Exists] after [Role] within 6:
        "which mount targets there are, and whether this zone has one",
    State state = "efs.target-state" in api::state on Both needs [Targets] after [] within 2:
        "whether the mount targets are available",
    Policy policy = "efs.policy" in api::policy on Both needs [Exists] after [Role] within 6:
        "what the policy of the file system demands of this host",
    AccessPoint access_point = "efs.access-point" in api::access_point on Both needs [Exists] after [] within 6:
        "whether the access point is there, and whose files it makes",
    Throughput throughput = "efs.throughput" in api::throughput on Both needs [Exists] after [Targets] within 8:
        "credits, limits and the number of clients of the last hour",
    Backup backup = "efs.backup" in api::backup on Both needs [Exists] after [] within 8:
        "whether it is backed up, and how old the newest backup is",
    Replication replication = "efs.replication" in api::replication on Both needs [Exists] after [] within 6:
        "whether it is replicated, or is itself the read-only copy",
    Names names = "net.names" in net::names on Host needs [] after [Targets, Role] within 6:
        "what its names resolve to, by the resolver of the VPC and by the system's",
    Route route = "net.route" in net::route on Host needs [] after [Targets, Names] within 4:
        "by which way packets to the mount target leave",
    Groups groups = "net.groups" in net::groups on Both needs [Targets] after [Role] within 6:
        "whether a security group of the mount target lets this host's in on TCP 2049",
    Port port = "net.port" in net::port on Host needs [] after [Targets, Names] within 7:
        "whether the mount target takes connections on TCP 2049, and in which way it does not",
    Tls tls = "net.tls" in net::tls on Host needs [Port] after [Targets, Names] within 6:
        "whether the connection can be encrypted: chain, name, days that are left",
    Nfs nfs = "net.nfs" in net::nfs on Host needs [Port] after [Targets, Names] within 6:
        "whether NFSv4.1 answers there: NULL and EXCHANGE_ID over the wire",
    There there = "mount.there" in mount::there on Host needs [] after [Targets] within 2:
        "whether what is mounted is what host.toml says",
    Tunnel tunnel = "mount.tunnel" in mount::tunnel on Host needs [] after [There] within 3:
        "whether the tunnel of amazon-efs-utils listens, and its connection is up",
    Watchdog watchdog = "mount.watchdog" in mount::watchdog on Host needs [] after [There] within 3:
        "whether amazon-efs-mount-watchdog runs and has said something of late",
    Options options = "mount.options" in mount::options on Host needs [There] after [] within 2:
        "whether it is mounted with the right options",
    Alive alive = "mount.alive" in mount::alive on Host needs [There] after [] within 12:
        "whether the mounted file system answers, and how fast",
    ServerLease server_lease = "mount.lease" in mount::server_lease on Host needs [There] after [] within 2:
        "whether the lease of this client with the server has run out",
    Rpc rpc = "mount.rpc" in mount::rpc on Host needs [There] after [] within 2:
        "how NFS calls went: retransmissions, time-outs, time each took",
    Stuck stuck = "mount.stuck" in mount::stuck on Host needs [] after [There] within 3:
        "which processes wait for the file system and cannot be killed",
    Identity identity = "home.identity" in home::identity on Host needs [Alive] after [] within 6:
        "whether the home is the right one, and one at all",
    Owner owner = "home.owner" in home::owner on Host needs [Alive] after [] within 6:
        "whether the home belongs to the user that Jenkins runs as",
    Write write = "home.write" in home::write on Host needs [Alive] after [] within 8:
        "whether that user can create, write, rename, read back and remove a file",
    Lock lock = "home.lock" in home::lock on Host needs [Alive] after [] within 8:
        "whether files can be locked",
    Lease lease = "home.lease" in home::lease on Host needs [Alive] after [Role] within 25:
        "who holds the home, since when, and whether that host lives",
    Speed speed = "home.speed" in home::speed on Host needs [Alive] after [] within 60:
        "how fast small files are made, found and read (only when asked for)",
    Bloat bloat = "home.bloat" in home::bloat on Host needs [Alive] after [] within 60:
        "what makes the home large and slow: workspaces, huge folders, leftovers of git",
    Leftovers leftovers = "home.leftovers" in home::leftovers on Host needs [Alive] after [] within 6:
        "whether a restore or a replication left something at the top of the file system",
    Intact intact = "home.intact" in home::intact on Host needs [Alive] after [] within 30:
        "whether the files that Jenkins cannot do without are there and can be read",
}

impl Id {
    /// The check of this name.
    pub fn find(name: &str) -> Option<Self> {
        CHECKS.iter().map(|check| check.id).find(|id| id.name() == name)
    }

    /// Its row.
    pub fn check(self) -> &'static Check {
        CHECKS.iter().find(|check| check.id == self).expect("every check has a row")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_comes_after_what_it_rests_on() {
        assert_eq!(CHECKS.len(), 38);
        for (index, check) in CHECKS.iter().enumerate() {
            let before = |id: &Id| CHECKS[..index].iter().any(|earlier| earlier.id == *id);
            assert!(check.needs.iter().chain(check.after).all(before), "{}", check.id.name());
            assert_eq!(Id::find(check.id.name()), Some(check.id));
        }
    }
}
