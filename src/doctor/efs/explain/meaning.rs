//! What the failure of each check means, and what mends it.

use crate::doctor::efs::table::Id;

/// What a failure means, and what mends it: two parts of sentences that begin in the middle.
#[expect(clippy::too_many_lines, reason = "a row for each check")]
pub(super) const fn meaning(id: Id) -> (&'static str, &'static str) {
    match id {
        Id::Kernel => (
            "this machine cannot mount NFS 4.1 at all",
            "install nfs-common (Debian, Ubuntu) or nfs-utils (Amazon Linux) in the image",
        ),
        Id::Config => (
            "what host.toml says of file systems cannot be, so nothing is mounted, or elsewhere",
            "`hostkit check --host FILE` says what is wrong and where; correct it in the recipe or in \
             user-data",
        ),
        Id::Role => (
            "the host has no identity and no credentials: neither the boot nor this check can ask AWS",
            "enable the metadata service (HttpEndpoint, HttpTokens) and attach an instance profile",
        ),
        Id::Clock => (
            "signatures and certificates of another time are refused by AWS",
            "`timedatectl` and `chronyc sources`; 169.254.169.123 is the time server of EC2",
        ),
        Id::Client => (
            "two hosts name themselves alike to the server, which takes one for the other after a \
             restart, and ends its locks",
            "hostkit gives the name of the instance to the NFS client at boot; mount again after that",
        ),
        Id::Hygiene => (
            "the image carries a private key or a mount that belongs to another host",
            "remove it from the image (a bake of hostkit does) and from this host",
        ),
        Id::Exists => (
            "the id or the region is wrong, or the file system was deleted",
            "correct `efs.id`; a deleted file system comes back only from a backup: docs/recovery.md",
        ),
        Id::Key => (
            "the KMS key is disabled or to be deleted, so that every read and write fails with EIO",
            "`aws kms enable-key`, or `aws kms cancel-key-deletion` and then `aws kms enable-key`",
        ),
        Id::Targets => (
            "there is no mount target that this host may use: its name does not even resolve",
            "`aws efs create-mount-target` in a subnet of this zone, or `efs.cross_az = true`",
        ),
        Id::State => (
            "the mount target is being made, changed or deleted, or could not be made",
            "wait while it is creating or updating; delete and create one that is in error",
        ),
        Id::Policy => (
            "the policy turns this host away: it wants TLS, a role or an access point, or denies it",
            "mount as the policy asks (`efs.tls`, `efs.iam`), or add a statement for the role",
        ),
        Id::AccessPoint => (
            "the access point is gone, not available yet, or of another file system or user",
            "correct `efs.access_point`, or create it again with the same path, user and group",
        ),
        Id::Throughput => (
            "the credits are used up or a limit is reached, so that everything is very slow",
            "`hostkit efs recover throughput`: Elastic or Provisioned; once in 24 hours",
        ),
        Id::Backup => (
            "there is nothing young to come back to",
            "`aws efs put-backup-policy`, or `hostkit efs backup start` for one now",
        ),
        Id::Replication => (
            "it is the read-only destination of a replication, or the replication stands still",
            "`hostkit efs recover failover` prints how the copy becomes writable",
        ),
        Id::Names => (
            "the names do not resolve, or to something that is no mount target",
            "turn on DNS support and DNS hostnames of the VPC; use its own resolver",
        ),
        Id::Route => (
            "packets to the mount target leave by a way that does not lead there",
            "the route table of the subnet, peering, and what a VPN or a container network adds",
        ),
        Id::Groups => (
            "no security group of the mount target lets this host in, so that packets are dropped",
            "the line that is printed: `aws ec2 authorize-security-group-ingress`",
        ),
        Id::Port => (
            "no connection: a time-out is a security group or a network ACL, a refusal a wrong \
             address, unreachable a route",
            "what the kind of failure points to; `net.groups` and `net.route` say which",
        ),
        Id::Tls => (
            "the certificate is of another name, of an authority that is not known, or out of date",
            "update the certificates of the system (ca-certificates), or whoever stands in between",
        ),
        Id::Nfs => (
            "something takes the connection and does not speak NFS 4.1",
            "the address is another service's, or EFS is ill: try another zone with `efs.cross_az`",
        ),
        Id::Tunnel => (
            "the tunnel of amazon-efs-utils is gone or its connection is dead: the mount hangs",
            "`systemctl restart amazon-efs-mount-watchdog`; then `hostkit efs recover hang`",
        ),
        Id::Watchdog => (
            "nobody renews the certificate of the tunnel or starts it again",
            "`systemctl enable --now amazon-efs-mount-watchdog`",
        ),
        Id::There => (
            "nothing is mounted, or something else is: Jenkins would write to the root disk",
            "`systemctl restart hostkit-boot` mounts it; its journal says why it could not",
        ),
        Id::Options => (
            "an option loses writes, hangs for ever after a break, or makes it slow",
            "what hostkit mounts has the right ones: remove what fstab or a unit of yours says",
        ),
        Id::Alive => (
            "the mounted file system does not answer, or answers with errors",
            "what is found before it; then `hostkit efs recover hang`",
        ),
        Id::ServerLease => (
            "the server has forgotten this client: locks and open files are lost",
            "restart Jenkins; look for what cut the network, or for a second client of that name",
        ),
        Id::Rpc => (
            "calls are sent again or take long: the network or EFS is slow",
            "`efs.throughput` tells about credits; else the network of the host",
        ),
        Id::Stuck => (
            "processes wait for the file system and cannot be killed",
            "let the mount answer again, or `hostkit efs recover hang`; a reboot ends them",
        ),
        Id::Identity => (
            "what is mounted is another file system, another folder, or no home of a Jenkins",
            "correct `efs.id` or `efs.access_point`; never start Jenkins on it before",
        ),
        Id::Owner => (
            "the files belong to another number than the user that Jenkins runs as",
            "give the user of the image the number of the files; never `chown -R` a home",
        ),
        Id::Write => (
            "the user of Jenkins cannot write: read-only, not its own, full, or denied",
            "what the error points to: the policy, the owner, the replication, a quota",
        ),
        Id::Lock => (
            "files cannot be locked: a quota of locks, or a lease that was lost",
            "end what holds many locks; mount again after a lost lease",
        ),
        Id::Lease => (
            "another host holds the home, or nobody does though Jenkins runs",
            "`hostkit lease status` says who and what would be done",
        ),
        Id::Speed => (
            "small files take far longer than EFS needs",
            "Elastic throughput; the same zone; what `efs.throughput` and `home.bloat` find",
        ),
        Id::Bloat => (
            "folders are so large that Jenkins reads them for minutes, or builds work on the home",
            "discard old builds, let agents do the builds, `git gc` where it is said",
        ),
        Id::Leftovers => (
            "a restore or a replication left something at the top, perhaps in the place of the home",
            "`hostkit efs recover --from NAME` puts a whole one in place; keep the rest until then",
        ),
        Id::Intact => (
            "files are missing, empty or broken without which Jenkins does not start, or loses \
             its secrets",
            "`hostkit efs recover --from …`, from a backup or a set that was kept: docs/recovery.md",
        ),
    }
}
