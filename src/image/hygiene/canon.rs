//! The canon: what no image may hold, one line each, and why.
//!
//! Data only. A path that begins with `/` is anchored, and `*` stands for any part of one name;
//! `**/x` is anything called `x`, wherever it is. The order is the order of cleaning.

use crate::digest::sha256;

/// One thing that no image may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Where it is; see the module.
    pub path: &'static str,
    /// What is done about it.
    pub action: Action,
    /// Whose it is, which decides whether it is removed or refused.
    pub kind: Kind,
    /// Why it may not be there.
    pub why: &'static str,
}

/// What cleaning does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes, with all that is below it.
    Remove,
    /// What is in the directory goes.
    Empty,
    /// The files below the directory go; the directories stay, because services expect them.
    EmptyFiles,
    /// It becomes an empty file with this mode.
    Clear(u32),
}

/// Whose a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What programs leave behind. Always removed.
    Leftover,
    /// What comes from the machine that built the tree. Removed, unless the recipe puts it.
    Machine,
    /// What makes a host this host. Removed where packages made it; refused where the recipe did.
    Identity,
    /// What opens doors. No package makes it, so that it is there is a mistake: refused.
    Credential,
}

const fn rule(path: &'static str, action: Action, kind: Kind, why: &'static str) -> Rule {
    Rule { path, action, kind, why }
}

const fn leftover(path: &'static str, why: &'static str) -> Rule {
    rule(path, Action::Remove, Kind::Leftover, why)
}

const fn emptied(path: &'static str, why: &'static str) -> Rule {
    rule(path, Action::Empty, Kind::Leftover, why)
}

const fn machine(path: &'static str, why: &'static str) -> Rule {
    rule(path, Action::Remove, Kind::Machine, why)
}

const fn identity(path: &'static str, why: &'static str) -> Rule {
    rule(path, Action::Remove, Kind::Identity, why)
}

const fn credential(path: &'static str, why: &'static str) -> Rule {
    rule(path, Action::Remove, Kind::Credential, why)
}

const HOST_KEY: &str = "a host key: every instance would have the same";
const SAME_ID: &str = "an identity: every instance would have the same";
const LOGIN: &str = "it lets somebody log in to every instance";
const SEED: &str = "a random seed that every instance would share";
const CACHE: &str = "a cache of the build";
const LOCAL: &str = "it belongs to the machine that built the image";
const CLOUD_INIT: &str = "cloud-init would take the new instance for the one that was built on";
const LEASE: &str = "a network lease of the build";
const HISTORY: &str = "what somebody typed";
const STATE: &str = "state of the build";
const DUMP: &str = "the memory of a program";
const CREDENTIAL: &str = "a credential";
const CRONTAB: &str = "a job that nobody sees: `/etc/cron.d` and timers are the places for it";
const ENROLLED: &str = "a membership that every instance would share";
const JENKINS: &str = "a secret of a controller; its home is on the file system that it mounts";
const ECS: &str = "an instance that has it registers as the one that was built on";

/// All of it.
pub const CANON: &[Rule] = &[
    // Who a host is.
    identity("/etc/ssh/ssh_host_*", HOST_KEY),
    identity("/etc/dropbear/dropbear_*_host_key", HOST_KEY),
    // An empty file, never the word `uninitialized`: that makes systemd preset every unit at the
    // first boot, which would enable Jenkins. The file must be there for a read-only /etc.
    rule("/etc/machine-id", Action::Clear(0o444), Kind::Identity, SAME_ID),
    identity("/var/lib/dbus/machine-id", SAME_ID),
    identity("/etc/machine-info", SAME_ID),
    identity("/etc/hostid", SAME_ID),
    identity("/etc/iscsi/initiatorname.iscsi", SAME_ID),
    identity("/etc/nvme/hostid", SAME_ID),
    identity("/etc/nvme/hostnqn", SAME_ID),
    identity("/etc/ssl/private/ssl-cert-snakeoil.key", SAME_ID),
    identity("/etc/ssl/certs/ssl-cert-snakeoil.pem", SAME_ID),
    identity("/var/lib/systemd/random-seed", SEED),
    identity("/var/lib/urandom/random-seed", SEED),
    identity("/var/lib/misc/random-seed", SEED),
    identity("/boot/efi/loader/random-seed", SEED),
    identity("/efi/loader/random-seed", SEED),
    identity("/var/lib/systemd/credential.secret", SAME_ID),
    // Who may come in.
    identity("/root/.ssh/authorized_keys*", LOGIN),
    identity("/home/*/.ssh/authorized_keys*", LOGIN),
    identity("/var/lib/*/.ssh/authorized_keys*", LOGIN),
    identity("/opt/*/.ssh/authorized_keys*", LOGIN),
    identity("/srv/*/.ssh/authorized_keys*", LOGIN),
    identity("/etc/ssh/authorized_keys.d/*", LOGIN),
    identity("/etc/sudoers.d/90-cloud-init-users", LOGIN),
    // What opens doors elsewhere. Private keys are found by their content, wherever they are.
    credential("**/.netrc", CREDENTIAL),
    credential("**/.aws/credentials", CREDENTIAL),
    credential("**/.aws/sso", CREDENTIAL),
    credential("**/.boto", CREDENTIAL),
    credential("**/.docker/config.json", CREDENTIAL),
    credential("**/.dockercfg", CREDENTIAL),
    credential("**/containers/auth.json", CREDENTIAL),
    credential("**/.kube/config", CREDENTIAL),
    credential("**/.config/gcloud", CREDENTIAL),
    credential("**/.config/gh/hosts.yml", CREDENTIAL),
    credential("**/.azure", CREDENTIAL),
    credential("**/.git-credentials", CREDENTIAL),
    credential("**/.pgpass", CREDENTIAL),
    credential("**/.my.cnf", CREDENTIAL),
    credential("**/.pypirc", CREDENTIAL),
    credential("**/.vault-token", CREDENTIAL),
    credential("**/.gnupg/private-keys-v1.d/*", CREDENTIAL),
    credential("**/.terraform.d/credentials.tfrc.json", CREDENTIAL),
    credential("/root/.npmrc", CREDENTIAL),
    credential("/home/*/.npmrc", CREDENTIAL),
    credential("/etc/apt/auth.conf", CREDENTIAL),
    credential("/etc/apt/auth.conf.d/*", CREDENTIAL),
    credential("/etc/krb5.keytab", CREDENTIAL),
    // Of other homes than those above; packages make none there.
    credential("**/.ssh/authorized_keys*", LOGIN),
    credential("/var/spool/cron/crontabs/*", CRONTAB),
    credential("/var/spool/cron/root", CRONTAB),
    credential("/var/lib/amazon/ssm/Vault/Store/*", CREDENTIAL),
    // Membership.
    identity("/etc/pki/consumer/*", ENROLLED),
    identity("/etc/pki/entitlement/*", ENROLLED),
    identity("/etc/sysconfig/rhn/systemid", ENROLLED),
    identity("/var/lib/puppet/ssl", ENROLLED),
    identity("/etc/puppetlabs/puppet/ssl", ENROLLED),
    identity("/etc/chef/client.pem", ENROLLED),
    identity("/etc/salt/pki/minion", ENROLLED),
    identity("/etc/salt/minion_id", ENROLLED),
    identity("/var/lib/sss/db/*", ENROLLED),
    identity("/var/lib/samba/private/*", ENROLLED),
    identity("/var/lib/tailscale/*", ENROLLED),
    identity("/var/lib/amazon/ssm/*", ENROLLED),
    // Jenkins. The home itself is proven to be empty where the recipe has one.
    credential("**/secrets/master.key", JENKINS),
    credential("**/secrets/hudson.util.Secret", JENKINS),
    credential("**/secrets/initialAdminPassword", JENKINS),
    credential("**/secret.key", JENKINS),
    credential("**/identity.key.enc", JENKINS),
    leftover("**/secret.key.not-so-secret", JENKINS),
    leftover("**/.jenkins/cache", CACHE),
    leftover("**/remoting/jarCache", CACHE),
    // ECS and containers.
    emptied("/var/lib/ecs/data", ECS),
    identity("/var/lib/ecs/hostkit-instance", ECS),
    machine("/etc/ecs/ecs.config", "which cluster a host joins is decided at boot"),
    identity("/var/lib/docker/engine-id", SAME_ID),
    identity("/etc/docker/key.json", SAME_ID),
    leftover("/var/lib/docker/network/files/local-kv.db", STATE),
    // cloud-init.
    leftover("/var/lib/cloud/instance", CLOUD_INIT),
    leftover("/var/lib/cloud/instances", CLOUD_INIT),
    leftover("/var/lib/cloud/data", CLOUD_INIT),
    leftover("/var/lib/cloud/sem", CLOUD_INIT),
    leftover("/var/lib/cloud/handlers", CLOUD_INIT),
    leftover("/etc/ssh/sshd_config.d/50-cloud-init.conf", CLOUD_INIT),
    leftover("/etc/netplan/50-cloud-init.yaml", CLOUD_INIT),
    leftover("/etc/network/interfaces.d/50-cloud-init*", CLOUD_INIT),
    leftover("/etc/systemd/network/10-cloud-init-*", CLOUD_INIT),
    leftover("/etc/NetworkManager/system-connections/cloud-init-*", CLOUD_INIT),
    machine("/etc/cloud/cloud-init.disabled", "a marker of the build"),
    // Image Builder's own.
    leftover("/tmp/TOE*", STATE),
    leftover("/var/lib/awstoe", STATE),
    // The network of the machine that built.
    machine("/etc/hostname", LOCAL),
    // Not removed: while a tree is worked in, this machine's resolver file is laid over it.
    rule("/etc/resolv.conf", Action::Clear(0o644), Kind::Machine, LOCAL),
    leftover("/var/lib/dhcp/*", LEASE),
    leftover("/var/lib/dhclient/*", LEASE),
    leftover("/var/lib/dhcpcd/*.lease*", LEASE),
    leftover("/var/lib/NetworkManager/*.lease", LEASE),
    leftover("/var/lib/NetworkManager/internal-*", LEASE),
    identity("/var/lib/NetworkManager/secret_key", SAME_ID),
    leftover("/var/lib/NetworkManager/seen-bssids", STATE),
    leftover("/var/lib/NetworkManager/timestamps", STATE),
    leftover("/etc/udev/rules.d/70-persistent-net.rules", LOCAL),
    leftover("/etc/udev/rules.d/70-persistent-cd.rules", LOCAL),
    leftover("/etc/udev/rules.d/75-persistent-net-generator.rules", LOCAL),
    leftover("/var/lib/systemd/network/*", STATE),
    machine("**/.ssh/known_hosts*", LOCAL),
    // Logs and what was typed.
    emptied("/var/log/journal", "logs of the build"),
    rule("/var/log", Action::EmptyFiles, Kind::Leftover, "logs of the build"),
    leftover("**/.bash_history", HISTORY),
    leftover("**/.zsh_history", HISTORY),
    leftover("**/.ash_history", HISTORY),
    leftover("**/.python_history", HISTORY),
    leftover("**/.node_repl_history", HISTORY),
    leftover("**/.mysql_history", HISTORY),
    leftover("**/.psql_history", HISTORY),
    leftover("**/.sqlite_history", HISTORY),
    leftover("**/.lesshst", HISTORY),
    leftover("**/.viminfo", HISTORY),
    leftover("**/.wget-hsts", HISTORY),
    leftover("**/.sudo_as_admin_successful", HISTORY),
    // Temporary things, crashes, spools, swap.
    emptied("/tmp", STATE),
    emptied("/var/tmp", STATE),
    emptied("/run", STATE),
    emptied("/root/.cache", CACHE),
    leftover("/home/*/.cache/*", CACHE),
    leftover("/lost+found/*", STATE),
    emptied("/var/crash", DUMP),
    emptied("/var/lib/systemd/coredump", DUMP),
    emptied("/var/lib/systemd/pstore", DUMP),
    emptied("/var/lib/apport/coredump", DUMP),
    emptied("/var/spool/abrt", DUMP),
    emptied("/var/tmp/abrt", DUMP),
    emptied("/var/lib/kdump", DUMP),
    leftover("/var/mail/*", STATE),
    leftover("/var/spool/mail/*", STATE),
    leftover("/swapfile", "the swapped memory of the build"),
    leftover("/swap.img", "the swapped memory of the build"),
    leftover("/var/swapfile", "the swapped memory of the build"),
    // systemd's records of the build.
    leftover("/var/lib/systemd/timesync/clock", STATE),
    leftover("/var/lib/systemd/timers/stamp-*", STATE),
    leftover("/var/lib/systemd/rfkill/*", STATE),
    leftover("/var/lib/systemd/backlight/*", STATE),
    leftover("/var/lib/systemd/linger/*", STATE),
    leftover("/var/lib/private/systemd/*", STATE),
    leftover("/var/lib/logrotate/status", STATE),
    leftover("/var/lib/logrotate/logrotate.status", STATE),
    leftover("/var/lib/chrony/drift", STATE),
    leftover("/var/lib/ntp/ntp.drift", STATE),
    leftover("/var/lib/plymouth/boot-duration", STATE),
    // Packages: caches, lists, histories, the bake's own marks.
    emptied("/var/lib/apt/lists", CACHE),
    leftover("/var/lib/apt/periodic/*", STATE),
    leftover("/var/cache/apt/*.bin", CACHE),
    leftover("/var/cache/apt/archives/*.deb", CACHE),
    leftover("/var/cache/apt/archives/lock", CACHE),
    emptied("/var/cache/apt/archives/partial", CACHE),
    leftover("/var/cache/debconf/*-old", CACHE),
    leftover("/var/lib/dpkg/*-old", CACHE),
    leftover("/var/lib/dpkg/lock*", CACHE),
    leftover("/var/lib/dpkg/triggers/Lock", CACHE),
    leftover("/usr/sbin/policy-rc.d", "with it no service would start when it is installed"),
    emptied("/var/cache/dnf", CACHE),
    emptied("/var/cache/yum", CACHE),
    emptied("/var/cache/libdnf5", CACHE),
    leftover("/var/lib/dnf/history*", STATE),
    leftover("/var/lib/yum/history", STATE),
    leftover("/var/lib/yum/uuid", SAME_ID),
    leftover("/var/lib/rpm/__db*", CACHE),
    leftover("/var/lib/rpm/.rpm.lock", CACHE),
    leftover("/usr/lib/sysimage/rpm/.rpm.lock", CACHE),
    leftover("/var/cache/ldconfig/aux-cache", CACHE),
    leftover("/etc/.pwd.lock", "a lock of the build"),
    leftover("/etc/passwd-", "the account file before the last change"),
    leftover("/etc/group-", "the account file before the last change"),
    leftover("/etc/shadow-", "the account file before the last change"),
    leftover("/etc/gshadow-", "the account file before the last change"),
    leftover("/etc/subuid-", "the account file before the last change"),
    leftover("/etc/subgid-", "the account file before the last change"),
    leftover("/var/lib/hostkit-script*", STATE),
];

/// Names this canon: a tree that was cleaned by another one is cleaned again.
pub fn digest() -> String {
    sha256(format!("{CANON:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_there_once_and_can_be_applied() {
        for (n, rule) in CANON.iter().enumerate() {
            let again = CANON[..n].iter().any(|other| other.path == rule.path);
            assert!(!again, "{} is there twice", rule.path);
            assert!(!rule.why.is_empty(), "{} says why", rule.path);
            let name = rule.path.trim_start_matches("**");
            assert!(name.starts_with('/') && !name.ends_with('/'), "{}", rule.path);
            assert!(!name.contains("**"), "{}", rule.path);
            if rule.path.starts_with("**/") {
                // Who made it is known of anchored paths only, and only whole things are found.
                assert_ne!(rule.kind, Kind::Identity, "{}", rule.path);
                assert_eq!(rule.action, Action::Remove, "{}", rule.path);
            }
        }
    }
}
