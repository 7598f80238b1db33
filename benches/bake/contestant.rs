//! Who is timed: hostkit and its peers, each started as a person would start it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often the memory of a contestant is looked at.
const SAMPLE: Duration = Duration::from_millis(20);

/// One timed run.
pub(crate) struct Run {
    /// From start to end.
    pub(crate) took: Duration,
    /// The most memory that all its processes had at one time, in bytes.
    pub(crate) peak: u64,
    status: std::process::ExitStatus,
    log: PathBuf,
}

impl Run {
    pub(crate) fn expect_success(&self, what: &str) {
        if !self.status.success() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            panic!("{what} failed ({}):\n{log}", self.status);
        }
    }
}

/// Runs a command with its output in a file, and watches its memory.
fn run(command: &mut Command, log: &Path) -> Run {
    let file = std::fs::File::create(log).expect("a log can be written");
    let again = file.try_clone().expect("a file can be opened twice");
    command.stdin(Stdio::null()).stdout(file).stderr(again);
    let started = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (status, peak) = watch(&mut child);
    Run { took: started.elapsed(), peak, status, log: log.to_owned() }
}

fn watch(child: &mut Child) -> (std::process::ExitStatus, u64) {
    let mut peak = 0;
    loop {
        peak = peak.max(resident(child.id()));
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return (status, peak);
        }
        std::thread::sleep(SAMPLE);
    }
}

/// The resident memory of a process and all below it, in bytes.
fn resident(top: u32) -> u64 {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let mut pages: HashMap<u32, u64> = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        // The name may hold blanks and brackets; everything after it is numbers.
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |n: usize| fields.get(n).and_then(|field| field.parse::<u64>().ok());
        let (Some(parent), Some(resident)) = (number(1), number(21)) else { continue };
        children.entry(u32::try_from(parent).unwrap_or_default()).or_default().push(pid);
        pages.insert(pid, resident);
    }
    let mut todo = vec![top];
    let mut sum = 0;
    while let Some(pid) = todo.pop() {
        sum += pages.get(&pid).copied().unwrap_or_default() * 4096;
        todo.extend(children.remove(&pid).unwrap_or_default());
    }
    sum
}

/// hostkit with a cache and a project of its own.
pub(crate) struct Hostkit {
    work: PathBuf,
    mirror: String,
}

impl Hostkit {
    pub(crate) fn new(work: &Path, mirror: &str) -> Self {
        let project = work.join("project");
        std::fs::create_dir_all(project.join("image-recipes")).expect("a project can be made");
        let recipe = include_str!("recipe.toml");
        std::fs::write(project.join("image-recipes/bench.toml"), recipe).expect("a recipe");
        std::fs::write(project.join("motd.tera"), include_str!("motd.tera")).expect("a template");
        Self { work: work.to_owned(), mirror: mirror.to_owned() }
    }

    fn command(&self, verb: &str, greeting: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostkit"));
        command.current_dir(self.work.join("project")).args([verb, "bench"]);
        command.arg(format!("--var=mirror={}", self.mirror));
        command.arg(format!("--var=greeting={greeting}"));
        command
    }

    pub(crate) fn bake(&self, greeting: &str) -> Run {
        let mut command = self.command("bake", greeting);
        command.arg("--cache").arg(self.work.join("cache"));
        command.arg("--output").arg(self.work.join("out"));
        run(&mut command, &self.work.join("hostkit.log"))
    }

    /// The packages that the recipe installs, for its peers.
    pub(crate) fn packages(&self) -> Vec<String> {
        let mut command = self.command("plan", "one");
        let output = command.args(["--format", "json"]).output().expect("hostkit runs");
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a plan");
        let mut found = Vec::new();
        collect(&plan, &mut found);
        assert!(found.len() > 10, "the plan names its packages");
        found
    }
}

/// Every `install` list in a plan.
fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                match value.as_array().filter(|_| key == "install") {
                    Some(list) => {
                        found.extend(list.iter().filter_map(|p| Some(p.as_str()?.to_owned())))
                    }
                    None => collect(value, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// mkosi with its increments.
pub(crate) struct Mkosi {
    folder: PathBuf,
}

impl Mkosi {
    pub(crate) fn new(work: &Path, mirror: &str, packages: &[String]) -> Self {
        let folder = work.join("mkosi");
        std::fs::create_dir_all(folder.join("mkosi.extra/etc")).expect("a folder can be made");
        let list = packages.join("\n         ");
        // GRUB is hostkit's; mkosi boots its disk with systemd-boot.
        let config = format!(
            "[Distribution]\nDistribution=debian\nRelease=trixie\nMirror={mirror}/debian\n\n\
             [Output]\nFormat=disk\nOutputDirectory=out\nCacheDirectory=cache\n\n\
             [Content]\nBootable=yes\nBootloader=systemd-boot\nUnifiedKernelImages=no\n\
             WithRecommends=no\nWithDocs=yes\nPackages={list}\n         systemd-boot\n"
        );
        std::fs::write(folder.join("mkosi.conf"), config).expect("a configuration");
        // Its own list of sources has an archive of debugging symbols that not every mirror has.
        let sources = folder.join("mkosi.pkgmngr/etc/apt/sources.list.d");
        std::fs::create_dir_all(&sources).expect("a folder can be made");
        let signed = "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg";
        let list = format!(
            "Types: deb\nURIs: {mirror}/debian\nSuites: trixie trixie-updates\nComponents: main\n{signed}\n\n\
             Types: deb\nURIs: {mirror}/debian-security\nSuites: trixie-security\nComponents: main\n{signed}\n"
        );
        std::fs::write(sources.join("mkosi.sources"), list).expect("a list of sources");
        for name in ["out", "cache"] {
            std::fs::create_dir_all(folder.join(name)).expect("a folder can be made");
        }
        Self { folder }
    }

    pub(crate) fn available(&self) -> bool {
        let there =
            Command::new("mkosi").arg("--version").output().is_ok_and(|o| o.status.success());
        if !there {
            println!(
                "SKIPPED: mkosi is not installed (apt-get install -t bookworm-backports mkosi)"
            );
        }
        there
    }

    pub(crate) fn build(&self, greeting: &str) -> Run {
        let motd = self.folder.join("mkosi.extra/etc/motd");
        std::fs::write(motd, format!("Greetings: {greeting}\n")).expect("the file that changes");
        let mut command = Command::new("mkosi");
        command.args(["--incremental=yes", "--force", "build"]).current_dir(&self.folder);
        run(&mut command, &self.folder.join("log"))
    }
}

/// The two commands that people write scripts around.
pub(crate) struct Mmdebstrap {
    folder: PathBuf,
    mirror: String,
    packages: Vec<String>,
}

impl Mmdebstrap {
    pub(crate) fn new(folder: &Path, mirror: &str, packages: &[String]) -> Self {
        Self { folder: folder.to_owned(), mirror: mirror.to_owned(), packages: packages.to_owned() }
    }

    pub(crate) fn build(&self) -> Run {
        let Self { folder, mirror, packages } = self;
        let script = format!(
            "set -eu\n\
             mmdebstrap --variant=minbase --mode=root --quiet --include={} trixie tree \
             'deb {mirror}/debian trixie main' 'deb {mirror}/debian trixie-updates main' \
             'deb {mirror}/debian-security trixie-security main'\n\
             truncate --size=3G disk.raw\n\
             mkfs.ext4 -q -F -d tree disk.raw\n",
            packages.join(",")
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(folder);
        run(&mut command, &folder.join("log"))
    }
}
