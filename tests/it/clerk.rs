//! The clerk of the lease as a process of its own: killed at any moment, and on file systems that
//! are full or read-only.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use hostkit::lease::claim::Head;
use hostkit::lease::clerk::{Answer, Beat, Request};
use hostkit::lease::record::{self, Holder, Reading, Record, State};

use crate::support::{is_root, scratch};

const FS: &str = "fs-0123456789abcdef0";
const INSTANCE: &str = "i-0aaaaaaaaaaaaaaaa";

/// A running clerk.
struct Clerk {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Clerk {
    /// Started by `command`, which ends with the clerk.
    #[expect(clippy::disallowed_methods, reason = "the program under test")]
    fn start(command: &[&str], mount_point: &Path) -> Self {
        let hostkit = env!("CARGO_BIN_EXE_hostkit");
        let argv: Vec<_> = [command, &[hostkit, "inner", "clerk", "--anywhere"]].concat();
        let mut child = Command::new(argv[0])
            .args(&argv[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut clerk = Self { child, input, output };
        let mount_point = mount_point.to_str().unwrap().into();
        let open = Request::Open { mount_point, fs_id: FS.to_owned() };
        assert_eq!(clerk.ask(&open), Some(Answer::Done));
        clerk
    }

    /// None where it is dead.
    fn ask(&mut self, request: &Request) -> Option<Answer> {
        let line = serde_json::to_string(request).unwrap() + "\n";
        self.input.write_all(line.as_bytes()).ok()?;
        let mut answer = String::new();
        self.output.read_line(&mut answer).ok()?;
        serde_json::from_str(&answer).ok()
    }

    fn why(&mut self, request: &Request) -> String {
        match self.ask(request) {
            Some(Answer::Failed { why, hint }) => format!("{why}\n  hint: {hint}\n"),
            other => panic!("{other:?}"),
        }
    }
}

fn record(generation: u64, state: State) -> Box<Record> {
    let holder = Holder {
        fs_id: FS.to_owned(),
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        instance_id: Some(INSTANCE.to_owned()),
        task: None,
        boot_id: "boot".to_owned(),
        launched: None,
        ami: Some("ami-0123456789abcdef0".to_owned()),
        hostkit: None,
        since: None,
    };
    Box::new(Record { version: 1, generation, state, holder, broken: None })
}

fn beat() -> Request {
    let at = "2026-11-20T03:00:00Z".parse().unwrap();
    Request::Beat(Box::new(Beat { generation: 1, holder: INSTANCE.to_owned(), count: 1, at }))
}

fn lease(mount_point: &Path) -> PathBuf {
    mount_point.join(".hostkit/lease")
}

/// The generation that a file says, if it is there. It is whole or it is not there.
fn generation(file: &Path) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    match record::read(&text) {
        Reading::Record(record) => Some(record.generation),
        torn => panic!("{} is torn: {torn:?}: {text}", file.display()),
    }
}

#[test]
fn a_clerk_that_is_killed_at_any_moment_leaves_whole_files() {
    const KILLS: u32 = 120;
    let folder = scratch();
    let mut highest = 0;
    for kill in 0..KILLS {
        let mut clerk = Clerk::start(&[], folder.path());
        let pid = nix::unistd::Pid::from_raw(i32::try_from(clerk.child.id()).unwrap());
        // Different moments, and the same in every run as far as the machine allows.
        let life = Duration::from_micros(u64::from(kill.wrapping_mul(2_654_435_761) % 9000));
        let killer = std::thread::spawn(move || {
            let until = Instant::now() + life;
            while Instant::now() < until {
                std::hint::spin_loop();
            }
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        });
        let mut next = highest + 1;
        let mut promised = highest;
        loop {
            match clerk.ask(&Request::Claim(record(next, State::Held))) {
                Some(Answer::Claimed) => promised = next,
                // The killed one has come further than it could say.
                Some(Answer::Taken) => {}
                None => break,
                other => panic!("{other:?}"),
            }
            let steps = [Request::Announce, Request::Replace(record(next, State::Released))];
            let alive = steps.iter().all(|step| clerk.ask(step).is_some());
            next += 1;
            if !alive {
                break;
            }
        }
        killer.join().unwrap();
        clerk.child.wait().unwrap();
        let files = fs::read_dir(lease(folder.path())).into_iter().flatten();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let claims: Vec<_> = names.filter(|name| record::generation_of(name).is_some()).collect();
        for name in &claims {
            let told = generation(&lease(folder.path()).join(name));
            assert_eq!(told, record::generation_of(name), "kill {kill}");
        }
        highest = claims.len() as u64;
        assert!(highest >= promised, "what was said to be claimed is: {highest}, {promised}");
        let head = generation(&lease(folder.path()).join("head"));
        assert!(head.unwrap_or(0) <= highest, "no head without its claim: {head:?}");
    }
    assert!(highest > 0, "no claim was ever made in {KILLS} lives");
    let mut last = Clerk::start(&[], folder.path());
    assert_eq!(last.ask(&beat()), Some(Answer::Done));
    let files = fs::read_dir(lease(folder.path())).unwrap();
    let left =
        files.filter(|file| file.as_ref().unwrap().file_name().to_str().unwrap().starts_with('.'));
    assert_eq!(left.count(), 0, "what the killed ones left is gone");
    println!("{KILLS} kills, {highest} claims");
}

/// A clerk in a mount namespace of its own, after `mount`, a shell line that may use $1.
fn clerk_where(mount: &str, folder: &Path) -> Clerk {
    let script = format!("{mount}; shift; exec \"$@\"");
    let path = folder.to_str().unwrap();
    Clerk::start(&["unshare", "--mount", "sh", "-ec", &script, "sh", path], folder)
}

/// A home that was held before.
fn home() -> tempfile::TempDir {
    let folder = scratch();
    let mut clerk = Clerk::start(&[], folder.path());
    for request in [Request::Claim(record(1, State::Held)), Request::Announce, beat()] {
        let answer = clerk.ask(&request);
        assert!(matches!(answer, Some(Answer::Claimed | Answer::Done)), "{answer:?}");
    }
    drop(clerk.input);
    clerk.child.wait().unwrap();
    folder
}

#[test]
fn a_read_only_file_system_is_read_and_its_refusals_are_told() {
    if !is_root() {
        return;
    }
    let folder = home();
    let mut clerk =
        clerk_where("mount --bind \"$1\" \"$1\"; mount -o remount,bind,ro \"$1\"", folder.path());
    let head = Answer::Head(Head::Record(record(1, State::Held)));
    assert_eq!(clerk.ask(&Request::Look), Some(head));
    let Some(Answer::Shown(shown)) = clerk.ask(&Request::Show) else { panic!() };
    assert_eq!((shown.highest, shown.age), (Some(1), None), "nobody knows the time there");
    let told = [
        Request::Claim(record(2, State::Held)),
        Request::Replace(record(1, State::Released)),
        beat(),
        Request::Age(1),
    ];
    let told = told.iter().map(|request| clerk.why(request)).collect::<String>();
    insta::assert_snapshot!(told);
}

#[test]
fn a_full_file_system_keeps_the_head_that_it_has() {
    if !is_root() {
        return;
    }
    let folder = home();
    let fill = "cp -a \"$1\" \"$1.copy\"; mount -t tmpfs -o size=64k,mode=700 tmpfs \"$1\"; \
                cp -a \"$1.copy/.\" \"$1\"; rm -r \"$1.copy\"; \
                head -c 100000 /dev/zero > \"$1/.hostkit/zeros\" 2> /dev/null || :";
    let mut clerk = clerk_where(fill, folder.path());
    let told =
        [Request::Claim(record(2, State::Held)), Request::Replace(record(1, State::Released))];
    let told = told.iter().map(|request| clerk.why(request)).collect::<String>();
    insta::assert_snapshot!(told);
    let head = Answer::Head(Head::Record(record(1, State::Held)));
    assert_eq!(clerk.ask(&Request::Look), Some(head));
    assert_eq!(clerk.ask(&Request::ReadClaim(2)), Some(Answer::Claim(None)));
    let Some(Answer::Shown(shown)) = clerk.ask(&Request::Show) else { panic!() };
    assert_eq!(shown.highest, Some(1));
}
