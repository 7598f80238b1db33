//! What is mounted, read from the kernel's table: a mount itself is never touched, it could hang.

use std::io;

use camino::Utf8Path;

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The numbers of its device: `0:26`.
    pub device: String,
    /// Where.
    pub point: String,
    /// The file system's type.
    pub kind: String,
    /// What: a device, or `address:/path`.
    pub source: String,
    /// What part of the file system: `/` where it is all of it.
    pub part: String,
    /// The options of the mount and of its file system, as the kernel writes them.
    pub options: Vec<String>,
}

impl Mount {
    /// Whether it is a network file system of a kind that EFS is.
    pub fn is_nfs(&self) -> bool {
        self.kind.starts_with("nfs")
    }

    /// Whether nobody but another machine or a program can say what is there.
    pub fn may_hang(&self) -> bool {
        const DISTANT: [&str; 9] =
            ["nfs", "fuse", "cifs", "smb", "9p", "ceph", "lustre", "autofs", "efs"];
        DISTANT.iter().any(|kind| self.kind.starts_with(kind))
    }

    /// Whether it is mounted with this option, one without a value.
    pub fn is(&self, option: &str) -> bool {
        self.options.iter().any(|it| it == option)
    }

    /// The value of an option: of the last, where it is there twice.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find_map(|it| it.strip_prefix(name)?.strip_prefix('='))
    }
}

/// Everything that is mounted as the process whose `/proc` is below `root` sees it.
pub fn read(root: &Utf8Path) -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read_to_string(root.join("proc/self/mountinfo"))?))
}

/// The mount that is on top at exactly `point`.
pub fn at<'a>(mounts: &'a [Mount], point: &str) -> Option<&'a Mount> {
    mounts.iter().rev().find(|mount| mount.point == point)
}

/// The mount that `path` lies on.
pub fn containing<'a>(mounts: &'a [Mount], path: &str) -> Option<&'a Mount> {
    let path = Utf8Path::new(path);
    path.ancestors().find_map(|ancestor| at(mounts, ancestor.as_str()))
}

fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_line).collect()
}

/// `36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/root rw`, see proc(5).
fn parse_line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut right = right.split(' ');
    let mut left = left.split(' ').skip(2);
    let (device, part) = (left.next()?.to_owned(), unescape(left.next()?));
    let (point, own) = (unescape(left.next()?), left.next().unwrap_or_default());
    let (kind, source) = (right.next()?.to_owned(), unescape(right.next()?));
    let options = own.split(',').chain(right.next().unwrap_or_default().split(','));
    let options = options.filter(|option| !option.is_empty()).map(str::to_owned).collect();
    Some(Mount { device, point, kind, source, part, options })
}

/// The kernel writes space, tab, newline and backslash as three octal digits.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 259:3 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /var/lib/jenkins rw,relatime shared:15 master:3 - nfs4 10.0.2.100:/ rw,vers=4.1
31 22 0:27 / /mnt/a\\040b rw - tmpfs tmpfs rw
";

    #[test]
    fn finds_the_mount_that_a_path_lies_on() {
        let mounts = parse(TABLE);
        let home = containing(&mounts, "/var/lib/jenkins/home").unwrap();
        assert_eq!((home.kind.as_str(), home.source.as_str()), ("nfs4", "10.0.2.100:/"));
        assert_eq!((home.device.as_str(), home.is_nfs()), ("0:26", true));
        assert_eq!(containing(&mounts, "/var/lib/jenkins2").unwrap().kind, "ext4");
        assert_eq!(at(&mounts, "/mnt/a b").unwrap().kind, "tmpfs");
        assert_eq!(at(&mounts, "/var/lib/jenkins/home"), None);
    }

    #[test]
    fn options_are_those_of_the_mount_and_those_of_its_file_system() {
        let mounts = parse(TABLE);
        let home = at(&mounts, "/var/lib/jenkins").unwrap();
        assert_eq!(home.options, ["rw", "relatime", "rw", "vers=4.1"]);
        assert_eq!(
            (home.value("vers"), home.value("ver"), home.part.as_str()),
            (Some("4.1"), None, "/")
        );
        assert!(home.is("relatime") && !home.is("vers") && home.may_hang());
        // Lines that are cut off anywhere.
        for length in 0..TABLE.len() {
            assert!(parse(&TABLE[..length]).len() <= 3);
        }
    }

    #[test]
    fn the_last_mount_at_a_place_is_the_one_on_top() {
        let twice = format!("{TABLE}32 22 0:28 / /var/lib/jenkins rw - tmpfs tmpfs rw\n");
        assert_eq!(at(&parse(&twice), "/var/lib/jenkins").unwrap().kind, "tmpfs");
    }
}
