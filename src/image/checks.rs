//! The tests of an image: what is asked of its finished tree, and of the machine that booted it.
//!
//! All tests of a place are one shell script, so that the same words are asked in a tree and over
//! SSH, and a tree is entered once. Nothing here knows how a machine is booted.

use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::plan::Test;
use crate::plan::test::{Check, On, TestState};
use crate::sys::cmd::quote;
use crate::sys::{Cmd, Runner, Tool};

/// How long one test may take, in seconds.
const TIMEOUT: u64 = 60;

/// How long a machine that has just booted is waited for to be as it should be, in seconds.
const PATIENCE: u64 = 60;

/// What begins the line of a result. A test's own output has a blank before each line.
const MARK: &str = "@@test";

/// How one test went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The test's name.
    pub name: String,
    /// What it asked.
    pub what: String,
    /// Where it is meant to run.
    pub on: On,
    /// Whether what it asks holds.
    pub passed: bool,
    /// What it said; of a test that passed only what it printed itself.
    pub said: String,
    /// How long it took, waiting included, in seconds.
    pub seconds: u64,
}

/// The script that runs `tests`, for `sh -s` as root.
pub fn script(tests: &[&Test], place: On) -> String {
    let mut text = format!(
        "t() {{\n\
         start=$(date +%s)\n\
         while :; do\n\
         if out=$(timeout {TIMEOUT} sh -eu -c \"$3\" 2>&1 </dev/null); then code=0; else code=$?; fi\n\
         took=$(($(date +%s) - start))\n\
         if [ $code = 0 ] || [ $took -ge \"$2\" ]; then break; fi\n\
         sleep 1\n\
         done\n\
         printf '{MARK} %s %s %s\\n' \"$1\" $code $took\n\
         printf '%s\\n' \"$out\" | tail -n 20 | sed 's/^/ /'\n\
         }}\n"
    );
    for (n, test) in tests.iter().enumerate() {
        let patience = if place == On::Boot && takes_time(&test.check) { PATIENCE } else { 0 };
        text += &format!("t {n} {patience} {}\n", quote(&question(&test.check)));
    }
    text
}

/// What the script printed, as results. A test without one was not reached.
pub fn results(tests: &[&Test], output: &str) -> Vec<Checked> {
    let mut all: Vec<_> = tests
        .iter()
        .map(|test| Checked {
            name: test.name.clone(),
            what: title(&test.check),
            on: test.on,
            passed: false,
            said: "it was not run".to_owned(),
            seconds: 0,
        })
        .collect();
    let mut current = None;
    for line in output.lines() {
        if let Some(head) = line.strip_prefix(MARK) {
            let numbers: Vec<u64> = head.split(' ').filter_map(|word| word.parse().ok()).collect();
            let [n, code, seconds] = numbers[..] else { continue };
            current = usize::try_from(n).ok().filter(|n| *n < all.len());
            if let Some(n) = current {
                let said = if code == 124 {
                    format!("it took more than {TIMEOUT} s")
                } else {
                    String::new()
                };
                all[n] = Checked { passed: code == 0, said, seconds, ..all[n].clone() };
            }
        } else if let (Some(n), Some(text)) = (current, line.strip_prefix(' ')) {
            let said = &mut all[n].said;
            if !said.is_empty() && !text.is_empty() {
                said.push('\n');
            }
            said.push_str(text);
        }
    }
    all
}

/// Runs the tests for the tree in it, and fails if one of them does. What they write is lost only
/// if the tree is a throw-away one.
pub async fn in_tree(tests: &[Test], runner: &Runner, events: &Events) -> anyhow::Result<()> {
    let tests: Vec<_> = tests.iter().filter(|test| test.on == On::Tree).collect();
    if tests.is_empty() {
        return Ok(());
    }
    let limit = Duration::from_secs(TIMEOUT * (tests.len() as u64 + 1));
    let cmd = Cmd::new(Tool::Shell).arg("-s").stdin(script(&tests, On::Tree)).timeout(limit);
    let output = runner.run(&cmd).await.context("running the tests in the tree")?;
    let checked = results(&tests, &output.text());
    tell(&checked, events);
    require(&checked)
}

/// Says how each test went.
pub fn tell(checked: &[Checked], events: &Events) {
    for one in checked {
        let id = format!("test:{}", one.name);
        let title = format!("testing {}: {}", one.name, one.what);
        events.started(&id, title);
        let failed = || Outcome::Failed(one.said.clone());
        let outcome = if one.passed { Outcome::Unchanged } else { failed() };
        events.finished(&id, outcome, Duration::from_secs(one.seconds));
    }
}

/// Fails where a test failed, and names each.
pub fn require(checked: &[Checked]) -> anyhow::Result<()> {
    let failed: Vec<_> = checked.iter().filter(|one| !one.passed).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let mut text = format!("{} of {} tests failed", failed.len(), checked.len());
    for Checked { name, what, said, .. } in failed {
        text += &format!("\n{name} ({what}): {}", said.replace('\n', "\n  "));
    }
    Err(Fault::step(text).into())
}

/// What a test asks, for people.
fn title(check: &Check) -> String {
    match check {
        Check::File { path, .. } => format!("file {path}"),
        Check::Package { name, .. } => format!("package {name}"),
        Check::Port(port) => format!("port {port}"),
        Check::Unit { name, state } => format!("unit {name} {}", word(*state)),
        Check::Command { .. } => "command".to_owned(),
    }
}

/// Whether it may become true some time after a boot.
const fn takes_time(check: &Check) -> bool {
    matches!(check, Check::Port(_) | Check::Unit { state: TestState::Active, .. })
}

const fn word(state: TestState) -> &'static str {
    match state {
        TestState::Active => "active",
        TestState::Inactive => "inactive",
        TestState::Failed => "failed",
        TestState::Enabled => "enabled",
        TestState::Disabled => "disabled",
        TestState::Masked => "masked",
    }
}

/// The shell's words for a check: they end with 0 if it holds, and else say why not.
fn question(check: &Check) -> String {
    match check {
        Check::File { path, mode, owner, contains } => {
            file(path, *mode, owner.as_deref(), contains.as_deref())
        }
        Check::Package { name, version } => package(name, version.as_deref().unwrap_or_default()),
        Check::Port(port) => format!(
            "for table in /proc/net/tcp /proc/net/tcp6; do\n\
             [ -r $table ] || continue\n\
             while read -r _ here _ state _; do\n\
             case \"$here $state\" in *:{port:04X}' 0A') exit 0 ;; esac\n\
             done <$table\n\
             done\n\
             echo 'nothing listens there'; exit 1\n"
        ),
        Check::Unit { name, state } => {
            let verb = match state {
                TestState::Active | TestState::Inactive | TestState::Failed => "is-active",
                TestState::Enabled | TestState::Disabled | TestState::Masked => "is-enabled",
            };
            format!(
                "now=$(systemctl {verb} {} 2>&1) || true\n\
                 [ \"$now\" = {} ] || {{ echo \"it is $now\"; exit 1; }}\n",
                quote(name),
                word(*state)
            )
        }
        Check::Command { run, output } => command(run, output.as_deref().unwrap_or_default()),
    }
}

fn file(path: &str, mode: Option<u32>, owner: Option<&str>, contains: Option<&str>) -> String {
    let mut text = format!(
        "path={}\n[ -e \"$path\" ] || [ -L \"$path\" ] || {{ echo 'it is not there'; exit 1; }}\n",
        quote(path)
    );
    let mut expect = |format: &str, wanted: &str, what: &str| {
        text += &format!(
            "now=$(stat -L -c {format} -- \"$path\")\n\
             [ \"$now\" = {} ] || {{ echo \"its {what} is $now, not \"{}; exit 1; }}\n",
            quote(wanted),
            quote(wanted)
        );
    };
    if let Some(mode) = mode {
        expect("%a", &format!("{mode:o}"), "mode");
    }
    if let Some(owner) = owner {
        expect("%U", owner, "owner");
    }
    if let Some(wanted) = contains {
        text += "now=$(cat -- \"$path\")\n";
        text += &holds(wanted, "it does not hold ");
    }
    text
}

fn package(name: &str, version: &str) -> String {
    let (name, version) = (quote(name), quote(version));
    format!(
        "if command -v dpkg-query >/dev/null; then\n\
         now=$(dpkg-query -W -f '${{db:Status-Status}} ${{Version}}' {name} 2>/dev/null) || now=\n\
         case $now in 'installed '*) now=${{now#* }} ;; *) now= ;; esac\n\
         else now=$(rpm -q --qf '%{{EVR}}' {name}) || now=; fi\n\
         [ -n \"$now\" ] || {{ echo 'it is not installed'; exit 1; }}\n\
         case $now in {version}*) ;; *) echo \"its version is $now, not \"{version}; exit 1 ;; esac\n"
    )
}

fn command(run: &str, output: &str) -> String {
    let mut text = format!(
        "if now=$(sh -eu -c {} 2>&1); then :; else code=$?; printf '%s\\n' \"$now\"\n\
         echo \"it ended with $code\"; exit 1; fi\n\
         printf '%s\\n' \"$now\"\n",
        quote(run)
    );
    if !output.is_empty() {
        text += &holds(output, "its output does not hold ");
    }
    text
}

/// Whether the variable `now` holds a text. The shell drops the line ends at its end.
fn holds(wanted: &str, otherwise: &str) -> String {
    let wanted = quote(wanted.trim_end_matches('\n'));
    let otherwise = quote(otherwise);
    format!("case $now in *{wanted}*) ;; *) echo {otherwise}{wanted}; exit 1 ;; esac\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn test(name: &str, check: Check) -> Test {
        Test { name: name.into(), on: On::Tree, check }
    }

    fn file(path: &str, mode: Option<u32>, contains: Option<&str>) -> Check {
        let contains = contains.map(str::to_owned);
        Check::File { path: path.into(), mode, owner: None, contains }
    }

    fn command(run: &str, output: Option<&str>) -> Check {
        Check::Command { run: run.into(), output: output.map(str::to_owned) }
    }

    /// As the runner would, which the unit tests cannot use: their binary is no hostkit.
    #[expect(clippy::disallowed_methods, reason = "the shell is what is tested")]
    fn run(tests: &[Test]) -> Vec<Checked> {
        use std::io::Write as _;
        use std::process::{Command, Stdio};
        let tests: Vec<_> = tests.iter().collect();
        let mut shell = Command::new("sh");
        let shell = shell.arg("-s").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let text = script(&tests, On::Tree);
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        results(&tests, &String::from_utf8(output.stdout).unwrap())
    }

    #[test]
    fn the_shell_answers_what_was_asked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it's here").display().to_string();
        std::fs::write(&path, "one\ntwo *\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let all = [
            (test("there", file(&path, Some(0o640), Some("one\ntwo *\n"))), true, ""),
            (test("mode", file(&path, Some(0o600), None)), false, "its mode is 640, not 600"),
            (test("text", file(&path, None, Some("o*"))), false, "it does not hold o*"),
            (test("gone", file("/no/such", None, None)), false, "it is not there"),
            (test("port", Check::Port(port)), true, ""),
            (test("no port", Check::Port(1)), false, "nothing listens there"),
            (test("says", command("echo a; echo 'b c'", Some("b c"))), true, "a\nb c"),
            (test("quiet", command("echo a", Some("b"))), false, "a\nits output does not hold b"),
            (test("fails", command("echo no; exit 7", None)), false, "no\nit ended with 7"),
            (test("forges", command("echo '@@test 0 1 1'", None)), true, "@@test 0 1 1"),
        ];
        let tests: Vec<_> = all.iter().map(|(test, ..)| test.clone()).collect();
        let checked = run(&tests);
        for ((test, passed, said), checked) in all.iter().zip(&checked) {
            assert_eq!((checked.passed, checked.said.as_str()), (*passed, *said), "{}", test.name);
        }
        let error = require(&checked).unwrap_err().to_string();
        assert!(error.starts_with("6 of 10 tests failed\nmode (file "), "{error}");
    }

    #[test]
    fn a_test_that_was_not_reached_did_not_pass() {
        let one = test("one", Check::Port(1));
        let checked = results(&[&one], "");
        assert!(!checked[0].passed);
        assert_eq!(checked[0].said, "it was not run");
    }
}
