//! What follows from what.

use crate::doctor::efs::api::throughput;
use crate::doctor::efs::inside::Heard;
use crate::doctor::efs::scene::Case;
use crate::doctor::efs::table::Id;
use crate::efs::reach::Barrier;

/// Something that goes wrong where something else is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effect {
    /// What is wrong first.
    pub of: Id,
    /// What follows.
    pub on: &'static [Id],
    /// Whether it follows from what was seen.
    pub holds: fn(&Case<'_>) -> bool,
    /// Why, in a sentence that begins in the middle.
    pub because: &'static str,
}

/// What follows from one thing directly.
pub(super) fn effects(of: Id) -> impl Iterator<Item = &'static Effect> {
    EFFECTS.iter().filter(move |effect| effect.of == of)
}

fn always(_case: &Case<'_>) -> bool {
    true
}

macro_rules! effects {
    ($($of:ident { $($($on:ident),+ $(if $holds:ident)? => $because:literal;)+ })+) => {
        /// All there are. Nothing follows from itself, on whatever way.
        pub(super) const EFFECTS: &[Effect] = &[$($(Effect {
            of: Id::$of,
            on: &[$(Id::$on),+],
            holds: [$($holds,)? always][0],
            because: $because,
        }),+),+];
    };
}

effects! {
    Kernel {
        There => "a kernel without an NFS 4.1 client mounts nothing";
        Options => "what this kernel does not know it cannot be told";
    }
    Config {
        Exists, There => "what host.toml says cannot be";
        AccessPoint => "what host.toml says cannot be";
    }
    Role {
        There, Tunnel if by_role => "without the credentials of a role there is no mount with `iam`";
        Client => "without the metadata service the host does not know its own name";
    }
    Clock {
        Tls => "by a wrong clock a good certificate is out of date";
        There, Tunnel if by_role => "signatures of another time are refused";
    }
    Client {
        ServerLease => "two clients of one name end each other's lease";
        Lock => "two clients of one name lose each other's locks";
    }
    Hygiene {
        Tunnel => "a key that several hosts have is no proof of who they are";
    }
    Exists {
        Key, Targets, Policy, AccessPoint, Replication, Backup => "there is no such file system";
        Names => "a file system that is not there has no name";
        Port, Nfs => "a file system that is not there has no mount target";
        There => "what is not there cannot be mounted";
        Alive => "the server of the mount is gone";
    }
    Key {
        Alive => "EFS cannot decrypt it, and answers every call with an I/O error";
        Write, Lock => "EFS cannot encrypt what is written";
        Identity, Owner, Lease, Leftovers, Intact => "EFS cannot decrypt what is read";
        Rpc, Stuck => "calls wait for what EFS cannot decrypt";
        Nfs, There => "EFS does not serve what it cannot decrypt";
    }
    Targets {
        Names => "the name of a file system leads only to a target in the host's own zone";
        Port, Nfs => "there is no address to reach it at";
        Groups => "without a mount target nobody can be let in";
        There => "there is no address to mount it from";
        Alive => "the mount target that it was mounted from is gone";
        Tunnel => "the tunnel has nowhere to go";
    }
    State {
        Names => "a mount target gets its name when it is available";
        Port, Nfs, Route => "a mount target answers when it is available";
        There => "it cannot be mounted from a target that is not available";
        Alive, Tunnel => "the target that it is mounted from is not available";
    }
    Policy {
        There => "the server answers `access denied by server` to who does not keep the policy";
        Nfs, Tunnel => "the server turns away who does not keep the policy";
        Write, Lock => "the policy lets this host read and not write";
        Owner, Lease => "without ClientRootAccess root is nobody";
        Alive => "the policy does not let this host in any more";
    }
    AccessPoint {
        There, Tunnel => "there is no mount through an access point that is not there";
        Identity => "through another access point another folder is the top";
        Owner, Write => "the access point makes every file its own user's";
        Leftovers => "through an access point the top of the file system is not seen";
    }
    Throughput {
        Alive, Rpc if spent => "without credits EFS serves slowly, as its size allows";
        Write, Lock, Speed if spent => "without credits writes wait their turn";
        Stuck if spent => "without credits processes wait for EFS for long";
        Lease if others => "another client has it mounted, and may be the other holder";
    }
    Replication {
        Write, Lock if is_copy => "the destination of a replication is read-only";
        Lease if is_copy => "on a read-only file system no lease can be written";
        There, Targets if is_copy => "a destination has no mount targets of its own accord";
        Alive if is_copy => "the destination of a replication is read-only";
    }
    Names {
        There, Tunnel => "what has no address cannot be mounted by name";
        Route, Port if nameless => "what has another address is not the mount target";
    }
    Route {
        Port => "packets do not find the way to the mount target";
        There, Tunnel => "packets do not find the way to the mount target";
        Alive, Rpc, ServerLease, Stuck => "packets do not find the way to the mount target any more";
    }
    Groups {
        Port if unanswered => "the security group drops the packets, so nothing answers";
        There, Tunnel => "the security group drops the packets, so the mount times out";
        Alive, Rpc, ServerLease, Stuck => "the security group drops the packets, so every call waits";
    }
    Port {
        Tls, Nfs => "without a connection nobody answers";
        There, Tunnel => "without a connection there is no mount";
        Alive, Rpc, ServerLease, Stuck => "without a connection every call waits";
    }
    Tls {
        There, Tunnel if encrypted => "a mount with `tls` needs a good certificate";
        Alive if encrypted => "the tunnel under the mount cannot be made again";
    }
    Nfs {
        There => "a server that does not speak NFS 4.1 cannot be mounted";
        Tunnel => "behind the tunnel nobody speaks NFS";
        Alive, Rpc, ServerLease, Stuck => "the server does not answer NFS any more";
    }
    There {
        Options => "it is not the mount that host.toml asks for";
        Identity, Owner, Leftovers, Intact => "what is seen is not the file system of host.toml";
        Write, Lock, Lease => "what is written does not get to the file system of host.toml";
    }
    Watchdog {
        Tunnel => "nobody starts a tunnel again that has ended, or renews its certificate";
        Alive => "nobody starts a tunnel again that has ended, or renews its certificate";
    }
    Tunnel {
        Alive, Rpc, ServerLease, Stuck => "the mount goes through a tunnel that is not up";
    }
    Options {
        Alive, Stuck => "with these options a mount does not come back after a break";
        Write => "with these options a write is lost when the server is slow";
    }
    Alive {
        ServerLease => "who does not answer lets no lease be renewed";
        Rpc => "calls that nobody answers are sent again and again";
        Stuck => "processes wait for a file system that does not answer";
        Identity, Owner, Write, Lock, Lease, Leftovers, Intact, Bloat =>
            "what does not answer cannot be read or written";
    }
    ServerLease {
        Lock => "with the lease all locks went";
        Rpc, Stuck => "after a lease that ran out every file must be opened again";
        Lease => "the holder could not write its heartbeat";
    }
    Rpc {
        Stuck => "processes wait for calls that take long";
    }
    Identity {
        Owner, Intact, Leftovers => "it is another file system, or another folder of it";
        Lease => "the lease of this home is on another file system";
        Write => "it is another file system, or another folder of it";
    }
    Owner {
        Write => "the user of Jenkins may not write what is somebody else's: EACCES";
        Lock => "the user of Jenkins may not open what is somebody else's: EACCES";
        Intact => "the user of Jenkins may not read what is somebody else's";
    }
    Leftovers {
        Intact if torn => "a restore that did not end left the home in parts";
        Bloat => "what a restore left is large";
    }
    Write {
        Lock => "where nothing can be made there is nothing to lock";
        Lease => "the holder cannot write its heartbeat";
    }
    Bloat {
        Speed => "folders that large are read slowly";
    }
}

/// Whose warning may be a cause; of all others only a failure is.
pub(super) const HINTS: &[Id] = &[
    Id::Clock,
    Id::Client,
    Id::Hygiene,
    Id::Policy,
    Id::Throughput,
    Id::Replication,
    Id::Watchdog,
    Id::Tunnel,
    Id::Options,
    Id::Leftovers,
];

/// Whether the host proves who it is by its role.
fn by_role(case: &Case<'_>) -> bool {
    case.here().is_some_and(|here| here.efs.iam)
}

/// Whether the mount is encrypted.
fn encrypted(case: &Case<'_>) -> bool {
    case.here().is_some_and(|here| here.efs.tls || here.efs.iam || here.efs.access_point.is_some())
}

/// Whether names alone tell where the file system is.
fn nameless(case: &Case<'_>) -> bool {
    case.observed.targets.seen().is_none_or(|seen| seen.targets.is_empty())
}

/// Whether nothing answered a connection: neither yes nor no.
fn unanswered(case: &Case<'_>) -> bool {
    case.observed.port.seen().is_none_or(|seen| {
        seen.attempts.iter().any(|attempt| matches!(attempt.end, Err(Barrier::Dropped(_))))
    })
}

/// Whether more clients than this host have it mounted.
fn others(case: &Case<'_>) -> bool {
    case.observed.throughput.seen().is_some_and(throughput::is_shared)
}

/// Whether the credits are used up, or all is used that is permitted.
fn spent(case: &Case<'_>) -> bool {
    case.observed.throughput.seen().is_some_and(throughput::is_slow)
}

/// Whether it is the read-only copy of another one.
fn is_copy(case: &Case<'_>) -> bool {
    let id = &case.asked.file_system;
    case.observed.replication.seen().is_some_and(|seen| {
        let of =
            seen.replication.as_ref().is_some_and(|it| it.source != *id && it.copy(id).is_some());
        of || seen.protection.as_deref() == Some("REPLICATING")
    })
}

/// Whether a restore did not end, or a recovery.
fn torn(case: &Case<'_>) -> bool {
    match case.observed.leftovers.seen() {
        Some(Heard::Said(top)) => !top.failed.is_empty() || top.open.is_some(),
        _ => false,
    }
}
