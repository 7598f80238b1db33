//! What a bake takes from the cache, what it writes into `hostkit.lock`, and what becomes of both.
//!
//! The bakes are real and small: container images of a base with one package. Each test works on
//! its own copy of a cache that is filled once, from Debian's mirror. The tests need root and say so
//! when they are skipped.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use assert_cmd::assert::Assert;
use hostkit::digest::sha256;
use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use tempfile::TempDir;

use crate::engine::gpg;
use crate::steps::make_key;
use crate::support::{hostkit, is_root, pause, scratch, send};

/// The recipe of these tests: a package, a file, a script.
fn recipe(content: &str, script: &str) -> String {
    format!(
        "[recipe]\nname = 'mine'\n[base]\nos = 'debian:trixie'\n[packages]\ninstall = ['less']\n\
         [[file]]\npath = '/etc/hello'\ncontent = '{content}'\n\
         [[script]]\nname = 'last'\nhook = 'late'\nrun = '{script}'\n"
    )
}

/// A project and a cache of its own that has the layers of [`recipe`].
struct Place {
    project: TempDir,
    cache: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { project: scratch(), cache: scratch() };
        fs::create_dir(place.project.path().join("image-recipes")).unwrap();
        place.write(&recipe("hello", "true"));
        let (from, to) = (filled().join("."), place.cache.path());
        assert!(run(Command::new("cp").arg("-a").arg(from).arg(to)));
        fs::copy(filled().join("../hostkit.lock"), place.lock()).unwrap();
        place
    }

    fn write(&self, recipe: &str) {
        fs::write(self.project.path().join("image-recipes/mine.toml"), recipe).unwrap();
    }

    fn lock(&self) -> PathBuf {
        self.project.path().join("hostkit.lock")
    }

    fn bake(&self, more: &[&str]) -> Assert {
        let mut command = hostkit();
        command.args(arguments(self.cache.path())).args(more);
        command.current_dir(self.project.path()).timeout(Duration::from_mins(10)).assert()
    }

    /// As [`Place::bake`], on a machine without a network.
    fn bake_offline(&self, more: &[&str]) -> Assert {
        let mut command = assert_cmd::Command::new("unshare");
        command.arg("--net").arg(env!("CARGO_BIN_EXE_hostkit")).args(arguments(self.cache.path()));
        command.args(more).env("NO_COLOR", "1").current_dir(self.project.path());
        command.timeout(Duration::from_mins(5)).assert()
    }

    fn start(&self, more: &[&str]) -> std::process::Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostkit"));
        command.args(arguments(self.cache.path())).args(more).current_dir(self.project.path());
        command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    }

    /// What names the bytes of the image.
    fn digest(&self) -> String {
        let text = fs::read(self.project.path().join("out/mine.oci.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
        manifest["oci"]["digest"].as_str().unwrap().to_owned()
    }

    /// The folder of the layer that is called `part`.
    fn layer(&self, part: &str) -> PathBuf {
        let layers = fs::read_dir(self.cache.path().join("layers")).unwrap();
        let mut folders = layers.map(|entry| entry.unwrap().path());
        let is = |folder: &PathBuf| {
            let text = fs::read(folder.join("layer.json")).unwrap();
            serde_json::from_slice::<serde_json::Value>(&text).unwrap()["part"] == part
        };
        folders.find(is).unwrap()
    }
}

fn arguments(cache: &Path) -> Vec<String> {
    let cache = cache.to_str().unwrap();
    ["bake", "mine", "--target", "oci", "--cache", cache].map(str::to_owned).into()
}

/// A cache with the layers of [`recipe`], and its lock beside it. Kept from run to run: what is too
/// old in it is built again.
fn filled() -> &'static Path {
    static CACHE: OnceLock<PathBuf> = OnceLock::new();
    CACHE.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engine");
        fs::create_dir_all(folder.join("image-recipes")).unwrap();
        fs::write(folder.join("image-recipes/mine.toml"), recipe("hello", "true")).unwrap();
        // Versions of an older run may be gone by now.
        let _ = fs::remove_file(folder.join("hostkit.lock"));
        let cache = folder.join("cache");
        let mut command = hostkit();
        command.args(arguments(&cache)).current_dir(&folder).timeout(Duration::from_mins(20));
        command.assert().success();
        cache
    })
}

fn run(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}

#[test]
fn a_bake_without_a_change_does_nothing_and_one_with_a_change_only_what_follows() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.bake_offline(&[]).success().stdout(contains("baked  mine"));
    let since = Instant::now();
    place.bake_offline(&["--locked"]).success().stdout(contains("unchanged  mine"));
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    let first = place.digest();

    place.write(&recipe("good bye", "true"));
    let from_cache = contains("base from the cache").and(contains("packages from the cache"));
    place
        .bake_offline(&[])
        .success()
        .stderr(from_cache.and(contains("writing /etc/hello")).and(contains("script last")));
    assert_ne!(place.digest(), first);

    // The way back is in the cache, too, and gives the same bytes.
    place.write(&recipe("hello", "true"));
    place.bake_offline(&[]).success().stderr(contains("files from the cache"));
    assert_eq!(place.digest(), first);
}

#[test]
fn the_bake_after_a_failed_step_carries_on_from_the_last_good_layer() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.write(&recipe("other", "false"));
    place.bake_offline(&[]).code(5).stderr(contains("the step `script:last` failed"));
    place.write(&recipe("other", "true"));
    place.bake_offline(&[]).success().stderr(contains("files from the cache"));
}

#[test]
fn a_corrupt_layer_is_found_and_built_again_with_the_same_bytes() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.bake_offline(&[]).success();
    let first = place.digest();
    let file = place.layer("packages").join("tree/usr/bin/less");
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, bytes).unwrap();
    place.write(&recipe("other", "true"));
    place.bake(&[]).success().stderr(
        contains("the cached layer `packages` is broken (its content has changed)")
            .and(contains("base from the cache"))
            .and(contains("installing 1 package")),
    );
    place.write(&recipe("hello", "true"));
    place.bake_offline(&[]).success();
    assert_eq!(place.digest(), first);
}

#[test]
fn what_is_locked_is_what_is_installed_or_an_error() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let right = fs::read_to_string(place.lock()).unwrap();
    let line = right.lines().find(|line| line.starts_with("less = ")).unwrap();
    let digest = line.split("sha256:").nth(1).unwrap();
    fs::write(place.lock(), right.replace(line, &format!("less = \"1-1 amd64 sha256:{digest}")))
        .unwrap();
    place.bake(&[]).code(3).stderr(
        contains("the repositories do not have what hostkit.lock names: less 1-1 is now")
            .and(contains("hint: ").and(contains("--update-lock"))),
    );
    assert_eq!(fs::read_dir(place.project.path().join("out")).unwrap().count(), 0);

    fs::write(place.lock(), "version = 9\n").unwrap();
    place.bake_offline(&[]).code(3).stderr(contains("hostkit.lock has form 9"));
    fs::remove_file(place.lock()).unwrap();
    place.bake_offline(&["--locked"]).code(3).stderr(contains("has no entry for mine"));
    place.bake_offline(&[]).success();
    assert_eq!(fs::read_to_string(place.lock()).unwrap(), right);
}

#[test]
fn a_signed_file_is_locked_until_the_lock_is_moved() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let served = place.project.path().join("served");
    let print = make_key(&served, &[]);
    let publish = |text: &str| {
        fs::write(served.join("tool"), text).unwrap();
        let sign = ["--yes", "--detach-sign", "--output", "tool.sig", "tool"];
        assert!(run(gpg(&served).args(sign)));
    };
    let at = served.display();
    place.write(&format!(
        "{}[[fetch]]\nurl = 'file://{at}/tool'\nsignature = 'file://{at}/tool.sig'\n\
         key = {{ url = 'file://{at}/key.asc', fingerprint = '{print}' }}\npath = '/opt/tool'\n",
        recipe("hello", "true")
    ));
    publish("one");
    place.bake(&["--locked"]).code(3);
    place.bake(&[]).success();
    let pin = format!("\"/opt/tool\" = \"signed file sha256:{}\"", sha256("one"));
    assert!(fs::read_to_string(place.lock()).unwrap().contains(&pin));
    publish("two");
    place.bake(&["--locked"]).success().stdout(contains("unchanged  mine"));
    let other = "what is fetched to /opt/tool is not what hostkit.lock names";
    place.bake(&["--no-cache", "--locked"]).code(3).stderr(contains(other));
    place.bake(&["--update-lock"]).success().stdout(contains("baked  mine"));
    assert!(fs::read_to_string(place.lock()).unwrap().contains(&sha256("two")));
}

#[test]
fn two_bakes_of_one_image_exclude_each_other_and_two_of_two_do_not() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    place.write(&recipe("hello", "sleep 600"));
    let mut first = place.start(&[]);
    let claim = place.project.path().join("out/.mine.oci.lock");
    await_text(&claim);
    let pid = first.id();
    place.bake_offline(&[]).code(4).stderr(
        contains(format!("process {pid} (`")).and(contains("is baking")).and(contains("hint:")),
    );
    place.write(&recipe("hello", "true"));
    place.bake_offline(&["--output", "other"]).success();
    // Whatever is removed meanwhile, a living bake keeps what it stands on.
    let prune = |what: &str| {
        hostkit().args(["cache", "prune", what, "--cache"]).arg(place.cache.path()).assert()
    };
    prune("--all").success();
    assert!(place.layer("base").is_dir(), "the base of a living bake is gone");
    send("KILL", pid);
    first.wait().unwrap();
    // The kernel has taken its mounts and its claim.
    place.bake_offline(&[]).success();
    prune("--all").success().stdout(contains("removed"));
    assert_eq!(fs::read_dir(place.cache.path().join("layers")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(place.cache.path().join("work")).unwrap().count(), 0);
}

#[test]
fn the_cache_is_listed_and_kept_small() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let list = |format: &str| {
        let mut command = hostkit();
        command.args(["cache", "ls", "--format", format, "--cache"]).arg(place.cache.path());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let lines = list("json");
    let items = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let layers: Vec<_> = items.filter(|item| item["kind"] == "layer").collect();
    // An earlier run may have left those of older packages, too.
    for section in ["base", "packages", "files", "late"] {
        let about = format!("{section} of mine");
        assert!(layers.iter().any(|layer| layer["about"] == *about), "{about}: {layers:?}");
    }
    assert!(list("human").contains("base of mine"));
    // Everything that this bake used is larger than that, and stays.
    place.bake_offline(&["--cache-size", "1M"]).success();
    assert!(place.layer("base").is_dir());
    let prune = ["cache", "prune", "--max-size", "1M", "--cache"];
    hostkit().args(prune).arg(place.cache.path()).assert().success();
    assert!(!list("human").contains("base of mine"));
    hostkit().args(["cache", "prune"]).assert().code(2).stderr(contains("--max-size"));
}

#[test]
fn a_snapshot_is_asked_for_by_its_date() {
    if !is_root() {
        return;
    }
    let (project, cache) = (scratch(), scratch());
    let (port, asked) = signpost();
    let recipe = format!(
        "[recipe]\nname = 'mine'\n[base]\nos = 'debian:trixie'\nsnapshot = '20261101T000000Z'\n\
         snapshot_mirror = 'http://127.0.0.1:{port}/archive'\n"
    );
    fs::create_dir(project.path().join("image-recipes")).unwrap();
    fs::write(project.path().join("image-recipes/mine.toml"), recipe).unwrap();
    hostkit().args(arguments(cache.path())).current_dir(project.path()).assert().code(5);
    let asked = asked.lock().unwrap();
    for (archive, suite) in [("debian", "trixie"), ("debian-security", "trixie-security")] {
        let path = format!("/archive/{archive}/20261101T000000Z/dists/{suite}/InRelease");
        assert!(asked.contains(&path), "{path} is not among {asked:#?}");
    }
    // apt asks for all the rest where the lists say, and nothing is taken from another day.
    assert!(asked.iter().any(|path| path.contains("/main/")), "{asked:#?}");
    assert!(asked.iter().all(|path| path.contains("/20261101T000000Z/")), "{asked:#?}");
}

/// A server that knows where the signed lists of a dated archive are, has nothing else, and writes
/// down what it is asked for.
fn signpost() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let all = Arc::clone(&all);
            std::thread::spawn(move || {
                let (mut reader, mut stream) =
                    (BufReader::new(stream.try_clone().unwrap()), stream);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
                    let request = line.strip_prefix("GET ").or(line.strip_prefix("HEAD "));
                    if let Some(path) = request.and_then(|rest| rest.split(' ').next()) {
                        all.lock().unwrap().push(path.to_owned());
                        let today = path.replace("/archive", "").replace("/20261101T000000Z", "");
                        let found = format!("302 Found\r\nLocation: http://deb.debian.org{today}");
                        let is_there = path.ends_with("InRelease");
                        let status = if is_there { found } else { "404 Not Found".to_owned() };
                        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                        if stream.write_all(answer.as_bytes()).is_err() {
                            break;
                        }
                    }
                    line.clear();
                }
            });
        }
    });
    (port, asked)
}

fn await_text(path: &Path) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while fs::read(path).unwrap_or_default().is_empty() {
        assert!(Instant::now() < deadline, "{} is not there", path.display());
        pause();
    }
}
