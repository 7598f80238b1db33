//! What a user can do with files of the home, tried on files of our own: they have names that nobody
//! else uses, and are gone afterwards. What a killed child has left, the next one removes.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant, SystemTime};

use camino::Utf8Path;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use super::Trouble;
use super::notebook::{Notebook, Step};
use super::place::place;
use crate::sys::{Folder, Root};

/// How our files begin.
const PROBE: &str = ".hostkit-probe-";

/// What is older was left by a child that is gone.
const ABANDONED: Duration = Duration::from_mins(10);

/// So many files are made to see how fast that is.
const FILES: usize = 200;

/// What is written, in bytes: less than what EFS counts as one request.
const CONTENT: [u8; 4096] = [b'.'; 4096];

/// What was done with a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What was done, and how long each took.
    pub steps: Vec<Step>,
    /// As whom, by number.
    pub uid: u32,
    /// Whom the server says that the file belonged to.
    pub owner: u32,
    /// The device, as the kernel numbers it: major and minor.
    pub device: (u64, u64),
    /// How many files of earlier probes were removed.
    pub swept: u64,
}

/// How fast small files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Speed {
    /// How many files.
    pub files: u64,
    /// What was done with each, and how long it took.
    pub steps: Vec<Spread>,
}

/// How long something took that was done many times, in microseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// What.
    pub what: String,
    /// Half of the times it took no longer.
    pub p50: u64,
    /// Of a hundred times 99 took no longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

/// Creates, writes, renames, reads back and removes a file.
pub(super) fn write(root: &Root, notes: &Notebook) -> Result<Probe, Trouble> {
    let bench = Bench::new(root, notes)?;
    let (name, moved) = (Bench::name(""), Bench::name("-moved"));
    let end = bench.write(&name, &moved, notes);
    // Whatever went wrong: nothing stays.
    let _ = bench.folder.remove(&name);
    let _ = bench.folder.remove(&moved);
    end.map(|meta| bench.probe(&meta, notes))
}

/// Locks a file and gives it free.
pub(super) fn lock(root: &Root, notes: &Notebook) -> Result<Probe, Trouble> {
    let bench = Bench::new(root, notes)?;
    let name = Bench::name("-lock");
    let made = notes.step("create", || bench.folder.create_new(&name, 0o600));
    let end = made.and_then(|file| {
        notes.step("lock", || set_lock(&file, libc::F_WRLCK))?;
        notes.step("unlock", || set_lock(&file, libc::F_UNLCK))?;
        file.metadata().map_err(|error| Trouble::new("stat", &error))
    });
    let _ = bench.folder.remove(&name);
    end.map(|meta| bench.probe(&meta, notes))
}

/// Makes, finds, reads and removes many small files, as long as there is time.
pub(super) fn speed(root: &Root, within: Duration, notes: &Notebook) -> Result<Speed, Trouble> {
    let bench = Bench::new(root, notes)?;
    let name = Bench::name("-many");
    let what = "making a folder";
    let failed = |error: &io::Error| Trouble::new(what, error);
    notes.doing(what);
    bench.folder.make_folder(&name, 0o700).map_err(|error| failed(&error))?;
    let many = bench.folder.folder(&name).map_err(|error| failed(&error))?;
    let many = many.ok_or_else(|| failed(&io::ErrorKind::NotFound.into()))?;
    let end = many_files(&many, Instant::now() + within / 2, notes);
    empty(&many);
    let _ = bench.folder.remove_folder(&name);
    end
}

/// Where probes are made: the home.
#[derive(Debug)]
struct Bench {
    folder: Folder,
    swept: u64,
}

impl Bench {
    fn new(root: &Root, notes: &Notebook) -> Result<Self, Trouble> {
        let what = "opening the home";
        notes.doing(what);
        let failed = |error: io::Error| Trouble::new(what, &error);
        let folder = place(root).map_err(failed)?.map(|place| place.folder).unwrap_or_default();
        let folder = Folder::open(root, Utf8Path::new(&folder)).map_err(failed)?;
        let folder = folder.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let swept = sweep(&folder).map_err(failed)?;
        Ok(Self { folder, swept })
    }

    fn name(end: &str) -> String {
        format!("{PROBE}{}{end}", std::process::id())
    }

    fn write(&self, name: &str, moved: &str, notes: &Notebook) -> Result<Metadata, Trouble> {
        let folder = &self.folder;
        let mut file = notes.step("create", || folder.create_new(name, 0o600))?;
        notes.step("write", || file.write_all(&CONTENT))?;
        notes.step("fsync", || file.sync_all())?;
        let meta = file.metadata().map_err(|error| Trouble::new("stat", &error))?;
        // What is removed while it is open stays on NFS under another name until it is closed.
        drop(file);
        notes.step("rename", || folder.rename(name, moved))?;
        notes.step("read back", || read_back(folder, moved))?;
        notes.step("remove", || folder.remove(moved))?;
        Ok(meta)
    }

    fn probe(&self, meta: &Metadata, notes: &Notebook) -> Probe {
        let (owner, device) = (meta.uid(), meta.dev());
        Probe {
            steps: notes.done(),
            uid: Uid::effective().as_raw(),
            owner,
            device: (nix::sys::stat::major(device), nix::sys::stat::minor(device)),
            swept: self.swept,
        }
    }
}

fn read_back(folder: &Folder, name: &str) -> io::Result<()> {
    let mut bytes = Vec::new();
    let file = folder.read(name)?.ok_or(io::ErrorKind::NotFound)?;
    file.take(2 * CONTENT.len() as u64).read_to_end(&mut bytes)?;
    if bytes == CONTENT {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "what was read is not what was written"))
}

/// Removes what earlier probes have left that did not end, and only our own.
fn sweep(folder: &Folder) -> io::Result<u64> {
    let mut swept = 0;
    for name in folder.names()?.iter().filter(|name| name.starts_with(PROBE)) {
        // One that vanishes meanwhile, or is no file of ours, stays as it is.
        let Ok(Some(entry)) = folder.read(name) else { continue };
        let Ok(meta) = entry.metadata() else { continue };
        let age = meta.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if meta.uid() != Uid::effective().as_raw() || age.is_none_or(|age| age < ABANDONED) {
            continue;
        }
        let gone = if meta.is_dir() {
            folder.folder(name).ok().flatten().iter().for_each(empty);
            folder.remove_folder(name)
        } else {
            folder.remove(name)
        };
        swept += u64::from(gone.unwrap_or(false));
    }
    Ok(swept)
}

/// Removes our files from our folder.
fn empty(folder: &Folder) {
    for name in folder.names().unwrap_or_default() {
        if name.starts_with("small-") {
            let _ = folder.remove(&name);
        }
    }
}

/// Locks of an open file, as those of the JVM and of NFS 4 are: they do not wait.
fn set_lock(file: &File, kind: libc::c_int) -> io::Result<()> {
    let kind = libc::c_short::try_from(kind).expect("the kernel's numbers are small");
    let whence = libc::c_short::try_from(libc::SEEK_SET).expect("the kernel's numbers are small");
    let lock = libc::flock { l_type: kind, l_whence: whence, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock))?;
    Ok(())
}

fn many_files(folder: &Folder, until: Instant, notes: &Notebook) -> Result<Speed, Trouble> {
    let mut names = Vec::new();
    let mut rounds: [(&str, Vec<u64>); 4] = [
        ("create", Vec::new()),
        ("stat", Vec::new()),
        ("read", Vec::new()),
        ("remove", Vec::new()),
    ];
    let mut timed = |round: usize, work: &dyn Fn() -> io::Result<()>| {
        let (what, times) = &mut rounds[round];
        let began = Instant::now();
        work().map_err(|error| Trouble::new(what, &error))?;
        times.push(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
        Ok(())
    };
    for number in 0..FILES {
        // At least one, however slow it is.
        if number > 0 && Instant::now() > until {
            break;
        }
        let name = format!("small-{number}");
        notes.doing(format!("making small file {number}"));
        timed(0, &|| make_small(folder, &name))?;
        names.push(name);
    }
    notes.doing("finding and reading small files");
    for name in &names {
        timed(1, &|| folder.has(name).map(drop))?;
    }
    for name in &names {
        timed(2, &|| {
            let mut text = Vec::new();
            let file = folder.read(name)?.ok_or(io::ErrorKind::NotFound)?;
            file.take(CONTENT.len() as u64).read_to_end(&mut text).map(drop)
        })?;
    }
    notes.doing("removing small files");
    for name in &names {
        timed(3, &|| folder.remove(name).map(drop))?;
    }
    let steps = rounds.into_iter().map(|(what, times)| Spread::of(what, times)).collect();
    Ok(Speed { files: names.len() as u64, steps })
}

/// As Jenkins writes: with an fsync.
fn make_small(folder: &Folder, name: &str) -> io::Result<()> {
    let mut file = folder.create_new(name, 0o600)?;
    file.write_all(&CONTENT[..1024])?;
    file.sync_all()
}

impl Spread {
    fn of(what: &str, mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let at = |hundredths: usize| {
            let last = times.len().saturating_sub(1);
            times.get(last * hundredths / 100).copied().unwrap_or_default()
        };
        Self { what: what.to_owned(), p50: at(50), p99: at(99), max: at(100) }
    }
}
