//! Every kind of step on a real tree: what it does, that a second time it changes nothing, and that
//! a check tells what differs and touches nothing.

mod dnf;
mod fetch;
mod live;
mod planted;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::engine::{gpg, run};
use crate::support::{hostkit, scratch};

/// What every recipe here begins with.
const DEBIAN: &str = "[recipe]\nname = 'mine'\n[base]\nos = 'debian:trixie'\n";

/// The system of a root.
const TRIXIE: &str = "ID=debian\nVERSION_CODENAME=trixie\n";

/// A project with a recipe, and the root that it is applied to.
struct Bench {
    folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
struct End {
    code: i32,
    /// The word for each step, by id.
    steps: BTreeMap<String, String>,
    /// Every line that was said, and the error.
    text: String,
}

impl End {
    /// How many steps ended with this word.
    fn count(&self, word: &str) -> usize {
        self.steps.values().filter(|other| *other == word).count()
    }

    #[track_caller]
    fn all(&self, word: &str) {
        assert_eq!(self.count(word), self.steps.len(), "{self:#?}");
        assert!(!self.steps.is_empty(), "{self:#?}");
    }

    #[track_caller]
    fn fails(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "{self:#?}");
        for words in says {
            assert!(self.text.contains(words), "`{words}` is missing: {self:#?}");
        }
    }
}

impl Bench {
    /// With a root that has nothing but what says which system it is.
    fn new() -> Self {
        let folder = scratch();
        fs::create_dir_all(folder.path().join("image-recipes")).unwrap();
        fs::create_dir_all(folder.path().join("root/etc")).unwrap();
        fs::write(folder.path().join("root/etc/os-release"), TRIXIE).unwrap();
        Self { folder }
    }

    /// With a Debian tree.
    fn debian() -> Self {
        let bench = Self::new();
        run(Command::new("tar").arg("-C").arg(bench.root()).arg("-xf").arg(debian()));
        bench
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A file of the root.
    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap()
    }

    /// A file beside the root.
    fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// Plans `recipe`, which is written below the head of all recipes.
    fn plan(&self, recipe: &str) -> PathBuf {
        self.plan_whole(&format!("{DEBIAN}{recipe}"))
    }

    fn plan_whole(&self, recipe: &str) -> PathBuf {
        self.write("image-recipes/mine.toml", recipe);
        let planned =
            hostkit().current_dir(&self.folder).args(["plan", "mine", "--format", "json"]).output();
        let planned = planned.unwrap();
        let said = String::from_utf8_lossy(&planned.stdout).into_owned();
        assert!(matches!(planned.status.code(), Some(0 | 10)), "{said}");
        self.write("plan.json", &said)
    }

    /// Applies the plan that was made last.
    fn apply(&self, args: &[&str]) -> End {
        let mut command = hostkit();
        command.arg("apply").arg(self.folder.path().join("plan.json")).args(args);
        end(command.arg("--root").arg(self.root()).env("HOSTKIT_VAR_token", TOKEN))
    }
}

/// The value of a secret variable.
const TOKEN: &str = "correct-horse-battery";

/// Runs `hostkit apply` to its end.
fn end(command: &mut assert_cmd::Command) -> End {
    let output = command.args(["--format", "json"]).output().unwrap();
    let mut text = String::from_utf8(output.stdout).unwrap();
    let mut steps = BTreeMap::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{text}"));
        let finished = &line["event"]["finished"];
        let outcome = &finished["outcome"];
        let word =
            outcome.as_str().or_else(|| outcome.as_object()?.keys().next().map(String::as_str));
        if let (Some(step), Some(word)) = (finished["step"].as_str(), word) {
            steps.insert(step.to_owned(), word.to_owned());
        }
    }
    text += &String::from_utf8_lossy(&output.stderr);
    End { code: output.status.code().unwrap_or(-1), steps, text }
}

/// The archive of a small Debian with systemd. It is kept: nothing of it is fetched in a test.
fn debian() -> &'static Path {
    static DEBIAN: OnceLock<PathBuf> = OnceLock::new();
    DEBIAN.get_or_init(|| {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("steps-trixie.tar");
        if !kept.exists() {
            let fresh = kept.with_extension(format!("{}.tar", std::process::id()));
            let mut command = Command::new("mmdebstrap");
            command.args(["--variant=minbase", "--quiet", "--include=systemd-sysv,procps"]);
            run(command.arg("trixie").arg(&fresh));
            fs::rename(fresh, &kept).unwrap();
        }
        kept
    })
}

/// A key of its own folder: its fingerprint, and its public half in `key.asc`.
pub(crate) fn make_key(folder: &Path, more: &[&str]) -> String {
    fs::create_dir_all(folder).unwrap();
    let who = "A Test <test@example.com>";
    let new = ["--passphrase", "", "--quick-gen-key", who, "rsa2048", "sign"];
    let expiry = if more.is_empty() { "never" } else { "1d" };
    run(gpg(folder).args(more).args(new).arg(expiry));
    run(gpg(folder).args(["--armor", "--output", "key.asc", "--export"]));
    let listing = String::from_utf8(run(gpg(folder).args(["--with-colons", "-k"]))).unwrap();
    let line = listing.lines().find(|line| line.starts_with("fpr:")).unwrap();
    line.split(':').nth(9).unwrap().to_owned()
}
