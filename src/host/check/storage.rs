//! `[efs]` and `[[mount]]`.

use super::words::{is_id, is_path, made_of};
use super::{Look, Part, key};
use crate::host::{Efs, HOME, HostConfig, Mount};

/// What a machine has of its own: a file system that is mounted there, or above, takes it away.
const OWN: &[&str] = &[
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/proc", "/root", "/run", "/sbin",
    "/sys", "/tmp", "/usr", "/var/tmp",
];

const ID: &str = "wanted is the id of a file system, as \"fs-0123456789abcdef0\"";
const POINT: &str = "wanted is the id of an access point, as \"fsap-0123456789abcdef0\"";
const NEEDS_TLS: &str = "this goes with `tls = true`, which needs amazon-efs-utils in the image";
const READ_AHEAD: u32 = 65536;

impl Look {
    pub(super) fn storage(&mut self, config: &HostConfig) {
        self.efs(&config.efs);
        for (index, mount) in config.mount.iter().enumerate() {
            self.mount(&config.mount[..index], mount);
        }
    }

    fn efs(&mut self, efs: &Efs) {
        if let Some(id) = &efs.id {
            self.require(is_id(id, "fs-"), key("efs.id"), id, ID);
        }
        self.require(efs.tls || !efs.iam, key("efs.iam"), efs.iam, NEEDS_TLS);
        if let Some(point) = &efs.access_point {
            self.require(is_id(point, "fsap-"), key("efs.access_point"), point, POINT);
            self.require(efs.tls, key("efs.access_point"), point, NEEDS_TLS);
        }
        for zone in efs.addresses.keys() {
            let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let good = made_of(zone, 20, part) && zone.contains("-az");
            let hint = "wanted is the id of an availability zone, as euw1-az1: \
                        `aws ec2 describe-availability-zones` has it as ZoneId";
            self.require(good, key("efs.addresses"), zone, hint);
        }
        if let Some(size) = efs.read_ahead {
            let hint = "wanted are 0 to 65536 KiB; 15000 is what Amazon's own mount helper takes";
            self.require(size <= READ_AHEAD, key("efs.read_ahead"), size, hint);
        }
    }

    /// One of several; `before` are those that were looked at.
    fn mount(&mut self, before: &[Mount], mount: &Mount) {
        let at = |name: &str| {
            let name = Part::Name(name.to_owned());
            vec![Part::Name("mount".to_owned()), Part::Index(before.len()), name]
        };
        let Mount { id, path, .. } = mount;
        self.require(is_id(id, "fs-"), at("id"), id, ID);
        self.require(mount.tls || !mount.iam, at("iam"), mount.iam, NEEDS_TLS);
        if let Some(point) = &mount.access_point {
            self.require(is_id(point, "fsap-"), at("access_point"), point, POINT);
            self.require(mount.tls, at("access_point"), point, NEEDS_TLS);
        }
        let hint = "wanted is an absolute path without `.` at the beginning of a part, as \
                    \"/srv/shared\"";
        if !is_path(path) {
            return self.require(false, at("path"), path, hint);
        }
        let covers = |above: &str, below: &str| {
            above == below || below.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
        };
        let home = !covers(path, HOME) && !covers(HOME, path);
        let hint = "this is where the home of a controller is, or above: take another path, as \
                    \"/srv/shared\"";
        self.require(home, at("path"), path, hint);
        let own = |own: &&str| covers(own, path) || covers(path, own);
        let hint = "the machine's own files are there: take another path, as \"/srv/shared\"";
        self.require(!OWN.iter().any(own), at("path"), path, hint);
        let meets = |other: &&Mount| covers(&other.path, path) || covers(path, &other.path);
        if let Some(other) = before.iter().find(meets) {
            let hint = format!("it meets another [[mount]], of {} at {}", other.id, other.path);
            self.require(false, at("path"), path, &hint);
        }
    }
}
