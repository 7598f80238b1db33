//! Who uses a mount, without asking the mount.

use std::collections::BTreeSet;
use std::fs;

use camino::Utf8Path;
use serde::Serialize;

/// The control group of Jenkins.
const JENKINS: &str = "sys/fs/cgroup/system.slice/jenkins.service/cgroup.procs";

/// A process that uses the mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// Its number.
    pub pid: u32,
    /// What it is called.
    pub name: String,
    /// Its state, as the kernel has it: `D` waits for the server.
    pub state: char,
    /// How many of its threads wait for the server.
    pub waiting: usize,
    /// How many names of it lead into the mount: open files, and the folder that it is in.
    pub names: usize,
    /// Whether it belongs to Jenkins.
    pub is_jenkins: bool,
    /// Whether it is the one who looks, or who called that one.
    pub spared: bool,
}

impl User {
    /// How it uses the mount, for people.
    pub(super) fn told(&self) -> String {
        let mut parts = Vec::new();
        if self.is_jenkins {
            parts.push("Jenkins'".to_owned());
        }
        if self.names > 0 {
            parts.push(format!("has {} open there", self.names));
        }
        if self.waiting > 0 {
            parts.push(format!("{} threads hang", self.waiting));
        }
        if parts.is_empty() {
            parts.push(format!("state {}", self.state));
        }
        parts.join(", ")
    }
}

/// All that use what is mounted at `mount_point`.
pub(super) fn of(root: &Utf8Path, mount_point: &str) -> Vec<User> {
    let jenkins = fs::read_to_string(root.join(JENKINS)).unwrap_or_default();
    let jenkins: BTreeSet<u32> = jenkins.lines().filter_map(|line| line.parse().ok()).collect();
    let own = line_of(root, std::process::id());
    let mut all: Vec<_> = numbers(&root.join("proc"))
        .into_iter()
        .filter_map(|pid| user(root, pid, mount_point, &jenkins, &own))
        .collect();
    all.sort_by_key(|user| user.pid);
    all
}

fn user(
    root: &Utf8Path,
    pid: u32,
    mount_point: &str,
    jenkins: &BTreeSet<u32>,
    own: &BTreeSet<u32>,
) -> Option<User> {
    let folder = root.join("proc").join(pid.to_string());
    let Stat { name, state, .. } = stat(&folder)?;
    let is_jenkins = jenkins.contains(&pid);
    let names = names(&folder, mount_point);
    if names == 0 && !is_jenkins {
        return None;
    }
    let tasks = numbers(&folder.join("task"));
    let hangs = |tid: &u32| {
        stat(&folder.join("task").join(tid.to_string())).is_some_and(|stat| stat.state == 'D')
    };
    let waiting = tasks.iter().filter(|tid| hangs(tid)).count();
    let spared = pid == 1 || own.contains(&pid);
    Some(User { pid, name, state, waiting, names, is_jenkins, spared })
}

/// How many names of a process lead into the mount. A link of `/proc` is read, never followed.
fn names(folder: &Utf8Path, mount_point: &str) -> usize {
    let files = fs::read_dir(folder.join("fd")).into_iter().flatten().flatten();
    let mut links: Vec<_> = files.map(|entry| entry.path()).collect();
    links.extend(["cwd", "root"].map(|name| folder.join(name).into_std_path_buf()));
    let leads = |link: &std::path::PathBuf| {
        fs::read_link(link).is_ok_and(|target| target.starts_with(mount_point))
    };
    links.iter().filter(|link| leads(link)).count()
}

struct Stat {
    name: String,
    state: char,
    parent: u32,
}

/// `pid (name) state parent …`; the name may have anything in it, also brackets.
fn stat(folder: &Utf8Path) -> Option<Stat> {
    let text = fs::read(folder.join("stat")).ok()?;
    let text = String::from_utf8_lossy(&text);
    let (before, after) = text.rsplit_once(')')?;
    let name = before.split_once('(')?.1.chars().filter(|it| !it.is_control()).collect();
    let mut rest = after.split_whitespace();
    let state = rest.next()?.chars().next()?;
    Some(Stat { name, state, parent: rest.next()?.parse().ok()? })
}

/// A process and those that it was called by, up to the first.
fn line_of(root: &Utf8Path, pid: u32) -> BTreeSet<u32> {
    let mut line = BTreeSet::new();
    let mut next = pid;
    while next != 0 && line.insert(next) {
        next = stat(&root.join("proc").join(next.to_string())).map_or(0, |stat| stat.parent);
    }
    line
}

fn numbers(folder: &Utf8Path) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
