//! A file system of FUSE, served by a test: a folder of this machine, seen through a server that can
//! be told to hang, to be slow, or to answer with an error.
//!
//! Whoever waits for an answer that does not come cannot be killed until the file system is gone:
//! worse than NFS, whose waiters at least die. Nothing is cached: every access asks the server.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};

use crate::support::tell;

/// What a client can ask for, by the kernel's numbers (linux/fuse.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Op {
    Lookup = 1,
    GetAttr = 3,
    SetAttr = 4,
    ReadLink = 5,
    MkDir = 9,
    Unlink = 10,
    RmDir = 11,
    Rename = 12,
    Open = 14,
    Read = 15,
    Write = 16,
    StatFs = 17,
    Release = 18,
    Fsync = 20,
    Flush = 25,
    Init = 26,
    OpenDir = 27,
    ReadDir = 28,
    ReleaseDir = 29,
    FsyncDir = 30,
    SetLock = 32,
    SetLockWait = 33,
    Create = 35,
    Rename2 = 45,
}

const ALL: &[Op] = &[
    Op::Lookup,
    Op::GetAttr,
    Op::SetAttr,
    Op::ReadLink,
    Op::MkDir,
    Op::Unlink,
    Op::RmDir,
    Op::Rename,
    Op::Open,
    Op::Read,
    Op::Write,
    Op::StatFs,
    Op::Release,
    Op::Fsync,
    Op::Flush,
    Op::Init,
    Op::OpenDir,
    Op::ReadDir,
    Op::ReleaseDir,
    Op::FsyncDir,
    Op::SetLock,
    Op::SetLockWait,
    Op::Create,
    Op::Rename2,
];
const FORGET: [u32; 3] = [2, 36, 42];

/// What the server does instead of its work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It never answers.
    Hang,
    /// It answers with this error of the kernel.
    Error(i32),
    /// It answers after a while.
    Slow(Duration),
}

/// Which requests go wrong: of these kinds (of all, where none is named), at this path or below it
/// (an empty one is the top).
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub ops: &'static [Op],
    pub path: &'static str,
    pub fault: Fault,
}

/// A mounted file system.
pub(crate) struct FileSystem {
    rules: Arc<Mutex<Vec<Rule>>>,
    /// How many requests were not answered.
    pub unanswered: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl FileSystem {
    /// Shows `backing` at `point`, in this thread's namespace; none where this kernel has no FUSE.
    pub(crate) fn mounted(point: &str, backing: &str) -> Option<Self> {
        let mut options = OpenOptions::new();
        let device = options.read(true).write(true).custom_flags(nix::libc::O_NONBLOCK);
        let Ok(device) = device.open("/dev/fuse") else {
            tell("SKIPPED: there is no /dev/fuse");
            return None;
        };
        let data = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
            device.as_raw_fd()
        );
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("test"), point, Some("fuse.test"), flags, Some(data.as_str())).unwrap();
        let (rules, unanswered) = (Arc::default(), Arc::default());
        let is_over = Arc::new(AtomicBool::new(false));
        let mut server = Server {
            device,
            backing: PathBuf::from(backing),
            nodes: HashMap::from([(1, PathBuf::new())]),
            files: HashMap::new(),
            last: 1,
            rules: Arc::clone(&rules),
            unanswered: Arc::clone(&unanswered),
        };
        let its = Arc::clone(&is_over);
        let server = std::thread::spawn(move || server.serve(&its));
        Some(Self { rules, unanswered, is_over, server: Some(server) })
    }

    /// From now on it does this, beside what it did already.
    pub(crate) fn rule(&self, ops: &'static [Op], path: &'static str, fault: Fault) {
        self.rules.lock().unwrap().push(Rule { ops, path, fault });
    }

    /// From now on it is well again. What was not answered stays so.
    pub(crate) fn heal(&self) {
        self.rules.lock().unwrap().clear();
    }

    /// From now on it answers nothing.
    pub(crate) fn die(&self) {
        self.rule(&[], "", Fault::Hang);
    }
}

impl Drop for FileSystem {
    /// Whoever still waits gets an error: with the last handle of the device the kernel gives up.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// Does something in a thread whose mounts are its own and go with it.
pub(crate) fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_FS | CloneFlags::CLONE_NEWNS).unwrap();
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
        work()
    });
    thread.join().unwrap()
}

struct Server {
    device: File,
    backing: PathBuf,
    nodes: HashMap<u64, PathBuf>,
    files: HashMap<u64, File>,
    last: u64,
    rules: Arc<Mutex<Vec<Rule>>>,
    unanswered: Arc<AtomicU64>,
}

/// A request: its node, and what comes after the header.
struct Request<'a> {
    op: Op,
    node: u64,
    uid: u32,
    gid: u32,
    body: &'a [u8],
}

impl Request<'_> {
    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.body[at..at + 4].try_into().unwrap())
    }

    fn long(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.body[at..at + 8].try_into().unwrap())
    }

    /// The names at its end.
    fn names(&self, from: usize) -> Vec<OsString> {
        let names = self.body[from..].split(|byte| *byte == 0);
        names.map(|name| OsStr::from_bytes(name).to_owned()).collect()
    }

    /// Where in the request the name of an entry begins, if it has one.
    fn name_at(&self) -> Option<usize> {
        match self.op {
            Op::Lookup | Op::Unlink | Op::RmDir => Some(0),
            Op::MkDir | Op::Rename => Some(8),
            Op::Create | Op::Rename2 => Some(16),
            _ => None,
        }
    }
}

impl Server {
    fn serve(&mut self, is_over: &AtomicBool) {
        let mut bytes = vec![0; 1 << 20];
        while !is_over.load(Ordering::SeqCst) {
            let mut ready = [PollFd::new(self.device.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut ready, PollTimeout::from(100_u8));
            let Ok(length) = self.device.read(&mut bytes) else { continue };
            let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
            let kind = word(4);
            if length < 40 || FORGET.contains(&kind) {
                continue;
            }
            let answer = match ALL.iter().find(|op| **op as u32 == kind) {
                Some(op) => {
                    let node = u64::from_le_bytes(bytes[16..24].try_into().unwrap());
                    let (uid, gid, body) = (word(24), word(28), &bytes[40..length]);
                    self.reply(&Request { op: *op, node, uid, gid, body })
                }
                None => Some(Err(nix::libc::ENOSYS)),
            };
            let Some(answer) = answer else {
                self.unanswered.fetch_add(1, Ordering::SeqCst);
                continue;
            };
            let (error, body) = answer.map_or_else(|errno| (-errno, Vec::new()), |body| (0, body));
            let size = u32::try_from(16 + body.len()).unwrap().to_le_bytes();
            let answer = [&size[..], &error.to_le_bytes(), &bytes[8..16], &body].concat();
            let _ = self.device.write(&answer);
        }
    }

    /// What is answered; none where nothing is.
    fn reply(&mut self, request: &Request<'_>) -> Option<Result<Vec<u8>, i32>> {
        match self.fault(request) {
            Some(Fault::Hang) => return None,
            Some(Fault::Error(errno)) => return Some(Err(errno)),
            Some(Fault::Slow(after)) => std::thread::sleep(after),
            None => {}
        }
        let end = self.work(request);
        Some(end.map_err(|error| error.raw_os_error().unwrap_or(nix::libc::EIO)))
    }

    fn fault(&self, request: &Request<'_>) -> Option<Fault> {
        let mut path = self.nodes.get(&request.node).cloned().unwrap_or_default();
        if let Some(name) = request.name_at().and_then(|at| request.names(at).into_iter().next()) {
            path.push(name);
        }
        let rules = self.rules.lock().unwrap();
        let fits = |rule: &&Rule| {
            (rule.ops.is_empty() || rule.ops.contains(&request.op)) && path.starts_with(rule.path)
        };
        rules.iter().find(fits).map(|rule| rule.fault)
    }

    fn work(&mut self, request: &Request<'_>) -> io::Result<Vec<u8>> {
        let path = self.real(request.node)?;
        match request.op {
            // Version 7.31, locks of files come here, the largest write; the rest is zero.
            Op::Init => Ok(words(&[7, 31, 0, 2, 0, 128 << 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            Op::GetAttr => Ok(attributes(&fs::symlink_metadata(path)?)),
            Op::StatFs => Ok(words(&[
                1 << 20,
                0,
                1 << 20,
                0,
                1 << 20,
                0,
                1 << 20,
                0,
                1 << 20,
                0,
                4096,
                255,
                4096,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
            ])),
            Op::ReadLink => Ok(fs::read_link(path)?.as_os_str().as_bytes().to_owned()),
            Op::Lookup => self.entry(request.node, &request.names(0)[0]),
            Op::SetAttr => set_attributes(request, &path),
            Op::MkDir => {
                let name = &request.names(8)[0];
                fs::DirBuilder::new().mode(request.word(0)).create(path.join(name))?;
                give(request, &path.join(name))?;
                self.entry(request.node, name)
            }
            Op::Create => self.create(request, &path),
            Op::Unlink => fs::remove_file(path.join(&request.names(0)[0])).map(|()| Vec::new()),
            Op::RmDir => fs::remove_dir(path.join(&request.names(0)[0])).map(|()| Vec::new()),
            Op::Rename | Op::Rename2 => self.rename(request),
            Op::Open => self.open(request, &path),
            Op::OpenDir => Ok(self.keep(File::open(path)?)),
            Op::Read => self.read(request),
            Op::ReadDir => Self::list(request, &path),
            Op::Write => {
                let (data, size) = (&request.body[40..], request.word(16));
                self.file(request)?.write_all_at(data, request.long(8))?;
                Ok(words(&[size, 0]))
            }
            Op::Release | Op::ReleaseDir => {
                self.files.remove(&request.long(0));
                Ok(Vec::new())
            }
            Op::Fsync => self.file(request)?.sync_all().map(|()| Vec::new()),
            Op::Flush | Op::FsyncDir | Op::SetLock | Op::SetLockWait => Ok(Vec::new()),
        }
    }

    fn real(&self, node: u64) -> io::Result<PathBuf> {
        if node == 0 {
            return Ok(self.backing.clone());
        }
        let path = self.nodes.get(&node);
        Ok(self.backing.join(path.ok_or_else(|| io::Error::from_raw_os_error(nix::libc::ESTALE))?))
    }

    fn file(&self, request: &Request<'_>) -> io::Result<&File> {
        let file = self.files.get(&request.long(0));
        file.ok_or_else(|| io::Error::from_raw_os_error(nix::libc::EBADF))
    }

    fn keep(&mut self, file: File) -> Vec<u8> {
        self.last += 1;
        self.files.insert(self.last, file);
        [&self.last.to_le_bytes()[..], &[0; 8]].concat()
    }

    /// The number of a path, and what is there.
    fn entry(&mut self, parent: u64, name: &OsStr) -> io::Result<Vec<u8>> {
        let path = self.nodes[&parent].join(name);
        let meta = fs::symlink_metadata(self.backing.join(&path))?;
        let known = self.nodes.iter().find(|(_, it)| **it == path).map(|(node, _)| *node);
        let node = known.unwrap_or_else(|| {
            self.last += 1;
            self.nodes.insert(self.last, path);
            self.last
        });
        // Known for no time.
        Ok([&node.to_le_bytes()[..], &[0; 32], &attribute(&meta)].concat())
    }

    fn create(&mut self, request: &Request<'_>, path: &Path) -> io::Result<Vec<u8>> {
        let name = &request.names(16)[0];
        let is_new = request.word(0) & 0o200 != 0;
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(request.word(4)).custom_flags(nix::libc::O_NOFOLLOW);
        let file =
            options.create(!is_new).create_new(is_new).truncate(false).open(path.join(name))?;
        give(request, &path.join(name))?;
        Ok([self.entry(request.node, name)?, self.keep(file)].concat())
    }

    fn open(&mut self, request: &Request<'_>, path: &Path) -> io::Result<Vec<u8>> {
        let access = request.word(0) & 3;
        let file = OpenOptions::new().read(access != 1).write(access != 0).open(path)?;
        Ok(self.keep(file))
    }

    fn read(&self, request: &Request<'_>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; request.word(16) as usize];
        let length = self.file(request)?.read_at(&mut bytes, request.long(8))?;
        bytes.truncate(length);
        Ok(bytes)
    }

    fn list(request: &Request<'_>, path: &Path) -> io::Result<Vec<u8>> {
        let (offset, most) = (request.long(8), request.word(16) as usize);
        let mut names: Vec<_> = fs::read_dir(path)?.flatten().collect();
        names.sort_by_key(fs::DirEntry::file_name);
        let mut bytes = Vec::new();
        for (number, entry) in names.iter().enumerate().skip(usize::try_from(offset).unwrap()) {
            let (name, meta) = (entry.file_name(), entry.metadata()?);
            let length = name.as_bytes().len();
            if bytes.len() + 24 + length.next_multiple_of(8) > most {
                break;
            }
            bytes.extend(meta.ino().to_le_bytes());
            bytes.extend((number as u64 + 1).to_le_bytes());
            bytes.extend(words(&[u32::try_from(length).unwrap(), meta.mode() >> 12]));
            bytes.extend(name.as_bytes());
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        Ok(bytes)
    }

    fn rename(&mut self, request: &Request<'_>) -> io::Result<Vec<u8>> {
        let names = request.names(if request.op == Op::Rename { 8 } else { 16 });
        let from = self.nodes[&request.node].join(&names[0]);
        let to = self.nodes[&request.long(0)].join(&names[1]);
        fs::rename(self.backing.join(&from), self.backing.join(&to))?;
        self.nodes.retain(|_, path| !path.starts_with(&to));
        for path in self.nodes.values_mut() {
            if let Ok(rest) = path.strip_prefix(&from) {
                *path = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
            }
        }
        Ok(Vec::new())
    }
}

/// What is made belongs to whoever asked for it.
fn give(request: &Request<'_>, path: &Path) -> io::Result<()> {
    std::os::unix::fs::lchown(path, Some(request.uid), Some(request.gid))
}

/// Size and mode; what else is asked for is taken for done.
fn set_attributes(request: &Request<'_>, path: &Path) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::PermissionsExt as _;

    let valid = request.word(0);
    if valid & 1 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(request.word(68) & 0o7777))?;
    }
    if valid & 8 != 0 {
        OpenOptions::new().write(true).open(path)?.set_len(request.long(16))?;
    }
    let owner = |bit: u32, at: usize| (valid & bit != 0).then(|| request.word(at));
    std::os::unix::fs::lchown(path, owner(2, 76), owner(4, 80))?;
    Ok(attributes(&fs::symlink_metadata(path)?))
}

fn attributes(meta: &Metadata) -> Vec<u8> {
    // Known for no time.
    [vec![0; 16], attribute(meta)].concat()
}

fn attribute(meta: &Metadata) -> Vec<u8> {
    let long = |value: i64| u64::try_from(value).unwrap_or_default();
    let longs = [
        meta.ino(),
        meta.size(),
        meta.blocks(),
        long(meta.atime()),
        long(meta.mtime()),
        long(meta.ctime()),
    ];
    let longs: Vec<u8> = longs.iter().flat_map(|value| value.to_le_bytes()).collect();
    let links = u32::try_from(meta.nlink()).unwrap_or(u32::MAX);
    let rest = [0, 0, 0, meta.mode(), links, meta.uid(), meta.gid(), 0, 4096, 0];
    [longs, words(&rest)].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
