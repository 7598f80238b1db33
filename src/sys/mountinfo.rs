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
}

impl Mount {
    /// Whether it is a network file system of a kind that EFS is.
    pub fn is_nfs(&self) -> bool {
        self.kind.starts_with("nfs")
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
    Some(Mount {
        device: left.next()?.to_owned(),
        point: unescape(left.nth(1)?),
        kind: right.next()?.to_owned(),
        source: unescape(right.next()?),
    })
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
    fn the_last_mount_at_a_place_is_the_one_on_top() {
        let twice = format!("{TABLE}32 22 0:28 / /var/lib/jenkins rw - tmpfs tmpfs rw\n");
        assert_eq!(at(&parse(&twice), "/var/lib/jenkins").unwrap().kind, "tmpfs");
    }
}
