//! The way through a home: what is looked at, in which order, and how much of it.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use super::files::{content, names, xml};
use super::{Damage, Gravity, How, Intact};
use crate::doctor::efs::inside::Notebook;
use crate::sys::Root;

/// So many things of a home are looked at together: each costs some round trips.
const TOGETHER: usize = 8;

/// Of each kind so much damage is named.
const NAMED: usize = 20;

/// Jobs lie in each other at most so deep.
const DEEPEST: usize = 32;

/// Of each job so many builds are looked at, the newest.
const BUILDS: usize = 2;

/// So many users are looked at.
const USERS: usize = 2000;

/// The key of the secrets: so many hexadecimal digits.
const MASTER_KEY: usize = 256;

/// One look at a home.
#[derive(Debug)]
pub(super) struct Examination<'a> {
    root: &'a Root,
    home: &'a Utf8Path,
    until: Instant,
    notes: &'a Notebook,
    found: Mutex<Intact>,
}

impl<'a> Examination<'a> {
    pub(super) fn new(
        root: &'a Root,
        home: &'a Utf8Path,
        within: Duration,
        notes: &'a Notebook,
    ) -> Self {
        let found = Mutex::new(Intact { folder: home.to_string(), ..Intact::default() });
        Self { root, home, until: Instant::now() + within, notes, found }
    }

    /// All of it.
    pub(super) fn all(self) -> Intact {
        let Some(names) = self.top() else { return self.end() };
        self.secrets();
        self.configuration(&names);
        self.last();
        self.plugins();
        self.folders("nodes", usize::MAX, |found, count| found.nodes = count);
        self.users(&names);
        self.jobs();
        self.end()
    }

    /// The names at the top of the home; none where there is nothing to look at.
    fn top(&self) -> Option<Vec<String>> {
        self.notes.doing("listing the home");
        match names(self.root, self.home) {
            Ok(names) => {
                let mine = |name: &String| !name.starts_with(".hostkit");
                let names: Vec<_> = names.into_iter().filter(mine).collect();
                self.found(|found| found.fresh = names.is_empty());
                (!names.is_empty()).then_some(names)
            }
            Err(how) => {
                self.damage("", how, Gravity::Fatal);
                None
            }
        }
    }

    fn secrets(&self) {
        let master = self.content("secrets/master.key", 4096, Gravity::Fatal);
        if let Some(key) = master {
            let key = key.trim_ascii();
            if key.len() != MASTER_KEY || !key.iter().all(u8::is_ascii_hexdigit) {
                let how = How::Garbled(format!("it is not {MASTER_KEY} hexadecimal digits"));
                self.damage("secrets/master.key", how, Gravity::Fatal);
            }
        }
        let secret = self.content("secrets/hudson.util.Secret", 4096, Gravity::Fatal);
        if secret.is_some_and(|secret| secret.iter().all(|byte| *byte == 0)) {
            let how = How::Garbled("it is all zeros".to_owned());
            self.damage("secrets/hudson.util.Secret", how, Gravity::Fatal);
        }
    }

    /// The files of XML at the top.
    fn configuration(&self, names: &[String]) {
        match self.xml("config.xml") {
            Ok(element) if element == "hudson" => {}
            Ok(element) => self.damage("config.xml", How::Foreign(element), Gravity::Fatal),
            Err(how) => self.damage("config.xml", how, Gravity::Fatal),
        }
        let others = names.iter().filter(|name| name.ends_with(".xml") && *name != "config.xml");
        for name in others {
            let gravity = match name.as_str() {
                "credentials.xml" => Gravity::Fatal,
                // Jenkins starts with an empty queue.
                "queue.xml" => Gravity::Minor,
                _ => Gravity::Loss,
            };
            if let Err(how) = self.xml(name) {
                self.damage(name, how, gravity);
            }
        }
    }

    /// What Jenkins says of itself.
    fn last(&self) {
        const LAST: &str = "jenkins.install.InstallUtil.lastExecVersion";
        match self.read(LAST, 256) {
            Ok(text) => {
                let last = String::from_utf8_lossy(text.trim_ascii()).into_owned();
                self.found(|found| found.last = Some(last));
            }
            // Jenkins has not come up yet.
            Err(How::Missing) => {}
            Err(how) => self.damage(LAST, how, Gravity::Minor),
        }
        if let Ok(text) = self.read("failed-boot-attempts.txt", 64 << 10) {
            let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
            self.found(|found| found.failed_boots = lines as u64);
        }
        // Older ones are of text.
        if let Ok(text) = self.read(".owner", 1024) {
            let owner = String::from_utf8_lossy(text.trim_ascii()).into_owned();
            self.found(|found| found.owner = Some(owner));
        }
    }

    fn plugins(&self) {
        self.notes.doing("listing plugins");
        let all = match names(self.root, &self.home.join("plugins")) {
            Ok(all) => all,
            Err(how) => return self.damage("plugins", how, Gravity::Loss),
        };
        let is_plugin = |name: &String| name.ends_with(".jpi") || name.ends_with(".hpi");
        let all: Vec<_> = all.into_iter().filter(is_plugin).collect();
        self.found(|found| found.plugins = all.len() as u64);
        self.each(&all, "plugins", |name| {
            let path = format!("plugins/{name}");
            match self.read(&path, 4) {
                Ok(bytes) if bytes.starts_with(b"PK") => {}
                Ok(_) => self.damage(&path, How::Garbled("it is no archive".into()), Gravity::Loss),
                Err(how) => self.damage(&path, how, Gravity::Loss),
            }
        });
        let has_identity = all.iter().any(|name| name.starts_with("instance-identity."));
        match self.read("identity.key.enc", 16) {
            Ok(_) => {}
            Err(How::Missing) if !has_identity => {}
            Err(how) => self.damage("identity.key.enc", how, Gravity::Minor),
        }
    }

    fn users(&self, all: &[String]) {
        if all.iter().any(|name| name == "users") {
            match self.xml("users/users.xml") {
                // Those of a Jenkins before 2.138 have none.
                Ok(_) | Err(How::Missing) => {}
                Err(how) => self.damage("users/users.xml", how, Gravity::Loss),
            }
        }
        self.folders("users", USERS, |found, count| found.users = count);
    }

    /// The folders of a folder that each have a configuration.
    fn folders(&self, folder: &str, most: usize, count: fn(&mut Intact, u64)) {
        self.notes.doing(format!("listing {folder}"));
        let path = self.home.join(folder);
        let all = match names(self.root, &path) {
            Ok(all) => all,
            // There is none as long as there is nothing in it.
            Err(How::Missing) => return,
            Err(how) => return self.damage(folder, how, Gravity::Loss),
        };
        let mut all: Vec<_> = all.into_iter().filter(|name| !name.contains(".xml")).collect();
        self.found(|found| count(found, all.len() as u64));
        if all.len() > most {
            self.unreached(format!("{folder}: {} of them", all.len() - most));
            all.truncate(most);
        }
        self.each(&all, folder, |name| {
            match self.xml(&format!("{folder}/{name}/config.xml")) {
                Ok(_) => {}
                // A file beside the folders, or one who only has settings of a plugin.
                Err(How::OtherKind | How::Missing) if folder == "users" => {}
                Err(how) => {
                    self.damage(&format!("{folder}/{name}/config.xml"), how, Gravity::Loss);
                }
            }
        });
    }

    fn jobs(&self) {
        self.notes.doing("listing jobs");
        let mut level: Vec<String> = match names(self.root, &self.home.join("jobs")) {
            Ok(names) => names.into_iter().map(|name| format!("jobs/{name}")).collect(),
            Err(how) => return self.damage("jobs", how, Gravity::Loss),
        };
        for _ in 0..DEEPEST {
            let below = Mutex::new(Vec::new());
            self.each(&level, "jobs", |job| {
                let mut inside = self.job(job);
                below.lock().unwrap_or_else(PoisonError::into_inner).append(&mut inside);
            });
            level = below.into_inner().unwrap_or_else(PoisonError::into_inner);
            if level.is_empty() {
                return;
            }
        }
        self.unreached(format!("{} jobs that lie too deep in others", level.len()));
    }

    /// Looks at a job; returns those that lie in it.
    fn job(&self, job: &str) -> Vec<String> {
        match self.xml(&format!("{job}/config.xml")) {
            Ok(_) => {}
            // A file beside the jobs, or what a deleted job has left.
            Err(How::OtherKind) => return Vec::new(),
            Err(how) => self.damage(&format!("{job}/config.xml"), how, Gravity::Loss),
        }
        self.found(|found| found.jobs += 1);
        self.builds(job);
        let below = ["jobs", "branches"].iter().flat_map(|kind| {
            let folder = format!("{job}/{kind}");
            let names = names(self.root, &self.home.join(&folder)).unwrap_or_default();
            names.into_iter().map(move |name| format!("{folder}/{name}"))
        });
        below.collect()
    }

    fn builds(&self, job: &str) {
        let folder = format!("{job}/builds");
        self.notes.doing(format!("listing {folder}"));
        let all = names(self.root, &self.home.join(&folder)).unwrap_or_default();
        let mut numbers: Vec<u64> = all.iter().filter_map(|name| name.parse().ok()).collect();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        for number in numbers.into_iter().take(BUILDS) {
            let path = format!("{folder}/{number}/build.xml");
            self.found(|found| found.builds += 1);
            match self.read(&path, 1) {
                // One that runs has none yet.
                Ok(_) | Err(How::Missing) => {}
                Err(how) => self.damage(&path, how, Gravity::Minor),
            }
        }
    }

    /// Does it for each, several together, until time is up.
    fn each(&self, all: &[String], what: &str, work: impl Fn(&str) + Sync) {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..TOGETHER.min(all.len()) {
                scope.spawn(|| {
                    while Instant::now() < self.until {
                        let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) else {
                            break;
                        };
                        work(one);
                    }
                    self.notes.rests();
                });
            }
        });
        let done = next.into_inner().min(all.len());
        if done < all.len() {
            self.unreached(format!("{what}: {} of {}", all.len() - done, all.len()));
        }
    }

    fn read(&self, path: &str, most: u64) -> Result<Vec<u8>, How> {
        self.notes.doing(format!("reading {path}"));
        content(self.root, &self.path(path), most)
    }

    /// What is in a file that must be there.
    fn content(&self, path: &str, most: u64, gravity: Gravity) -> Option<Vec<u8>> {
        self.read(path, most).map_err(|how| self.damage(path, how, gravity)).ok()
    }

    fn xml(&self, path: &str) -> Result<String, How> {
        self.notes.doing(format!("reading {path}"));
        xml(self.root, &self.path(path))
    }

    fn path(&self, path: &str) -> Utf8PathBuf {
        self.home.join(path)
    }

    fn damage(&self, path: &str, how: How, gravity: Gravity) {
        self.found(|found| {
            let alike = found.damage.iter().filter(|damage| damage.gravity == gravity).count();
            if alike < NAMED {
                found.damage.push(Damage { path: path.to_owned(), how, gravity });
            } else {
                found.more += 1;
            }
        });
    }

    fn unreached(&self, what: String) {
        self.found(|found| found.unreached.push(what));
    }

    fn found(&self, change: impl FnOnce(&mut Intact)) {
        change(&mut self.found.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn end(self) -> Intact {
        self.notes.rests();
        let mut found = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        found.damage.sort_by(|a, b| (a.gravity, &a.path).cmp(&(b.gravity, &b.path)));
        found
    }
}
