//! The child that looks at a mounted file system, on file systems that hang, are slow, and refuse: the
//! real binary, on FUSE.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use hostkit::doctor::efs::inside::{Answer, Hang, Request, Task, Trouble, User};
use nix::libc;
use nix::mount::{MsFlags, mount};

use crate::fuse::{Fault, FileSystem, Op, apart};
use crate::support::{is_root, pause};

const POINT: &str = "/run/home";
const BACKING: &str = "/run/backing";
const FS_ID: &str = "fs-0123456789abcdef0";

/// A user that is not root.
const JENKINS: User = User { uid: 1000, gid: 1000 };

/// A file system with a home on it, seen through a server; none where there is no FUSE.
fn stage() -> Option<FileSystem> {
    mount(Some("tmpfs"), "/run", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    let put = |path: &str, text: &str| {
        let path = Path::new(BACKING).join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put(".hostkit/fs-id", &format!("{FS_ID}\n"));
    put("home/config.xml", "<?xml version='1.1'?>\n<hudson>\n</hudson>\n");
    put("home/secrets/master.key", &"0af9".repeat(64));
    put("home/secrets/hudson.util.Secret", "secret");
    put("home/plugins/git.jpi", "PK");
    for number in 0..20 {
        put(&format!("home/jobs/job-{number}/config.xml"), "<project/>");
    }
    std::os::unix::fs::chown(format!("{BACKING}/home"), Some(1000), Some(1000)).unwrap();
    fs::create_dir(POINT).unwrap();
    FileSystem::mounted(POINT, BACKING)
}

/// A child that was asked.
struct Asked {
    child: Child,
    answer: mpsc::Receiver<Answer>,
}

/// Asks a child.
fn ask(task: Task, user: Option<User>, patience: u64) -> Asked {
    let request = Request { mount_point: POINT.into(), task, patience, user };
    let mut child = Command::new(env!("CARGO_BIN_EXE_hostkit"))
        .args(["inner", "efs", "--anywhere"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = serde_json::to_string(&request).unwrap();
    writeln!(child.stdin.take().unwrap(), "{line}").unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let (sender, answer) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = output.read_line(&mut line);
        let _ = sender.send(serde_json::from_str(&line).expect(&line));
    });
    Asked { child, answer }
}

impl Asked {
    /// Its answer, which must come in time: three times what is needed.
    fn answered(mut self, within: Duration) -> Answer {
        let answer = self.answer.recv_timeout(within * 3).expect("it answers in time");
        // Not waited for: it may be one that the kernel holds on to.
        let _ = self.child.kill();
        answer
    }
}

fn answer(task: Task) -> Answer {
    ask(task, None, 8000).answered(Duration::from_secs(9))
}

fn hang(task: Task, patience: u64) -> Hang {
    let answer = ask(task, None, patience).answered(Duration::from_millis(patience + 1000));
    match answer {
        Answer::Hangs(hang) => hang,
        other => panic!("{other:?}"),
    }
}

fn failed(task: Task, user: Option<User>) -> (String, Option<i32>) {
    match ask(task, user, 8000).answered(Duration::from_secs(9)) {
        Answer::Failed(Trouble { doing, errno, .. }) => (doing, errno),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_hangs_is_named_and_nobody_waits_for_it() {
    if !is_root() {
        return;
    }
    apart(|| {
        let Some(file_system) = stage() else { return };
        let Answer::Alive(alive) = answer(Task::Alive) else { panic!("it does not answer") };
        assert!(alive.marked && alive.steps.len() == 3);
        let cases: &[(&'static [Op], &'static str, Task, &str)] = &[
            (&[Op::StatFs], "", Task::Alive, "statfs"),
            (&[Op::GetAttr], "", Task::Alive, "stat of the top"),
            (&[Op::Lookup], ".hostkit", Task::Alive, "stat of the mark"),
            (&[], "", Task::Whose, "opening the top of the file system"),
            (&[Op::Open], "home/secrets/master.key", Task::Whole, "reading secrets/master.key"),
            (&[Op::Lookup], "home/config.xml", Task::Owners(0), "stat of home/config.xml"),
        ];
        for (ops, path, task, doing) in cases {
            file_system.rule(ops, path, Fault::Hang);
            let hang = hang(task.clone(), 2000);
            assert_eq!((hang.doing.as_str(), hang.after), (*doing, 2000), "{task:?}");
            file_system.heal();
        }
        assert!(file_system.unanswered.load(std::sync::atomic::Ordering::SeqCst) >= 6);
    });
}

#[test]
fn a_child_that_hangs_is_killed_or_left_to_the_kernel() {
    if !is_root() {
        return;
    }
    apart(|| {
        let Some(file_system) = stage() else { return };
        file_system.die();
        let mut asked = ask(Task::Alive, None, 1000);
        let answer = asked.answer.recv_timeout(Duration::from_secs(9)).unwrap();
        assert!(matches!(answer, Answer::Hangs(_)), "{answer:?}");
        asked.child.kill().unwrap();
        let tasks = format!("/proc/{}/task", asked.child.id());
        let began = Instant::now();
        let is_held = || {
            let stat = |task: fs::DirEntry| fs::read_to_string(task.path().join("stat"));
            let states = fs::read_dir(&tasks).unwrap().flatten().filter_map(|it| stat(it).ok());
            states.into_iter().any(|stat| stat.contains(") D "))
        };
        // Whether the kernel lets go is its own affair, and nobody who asks waits for it.
        while !is_held() && asked.child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < Duration::from_secs(10), "it is gone, or in state D");
            pause();
        }
        drop(file_system);
        asked.child.wait().unwrap();
    });
}

#[test]
fn a_slow_server_is_measured() {
    if !is_root() {
        return;
    }
    apart(|| {
        let Some(file_system) = stage() else { return };
        file_system.rule(&[Op::StatFs], "", Fault::Slow(Duration::from_secs(3)));
        let Answer::Alive(alive) = answer(Task::Alive) else { panic!("it does not answer") };
        assert!(alive.steps[0].micros >= 3_000_000, "{alive:?}");
    });
}

#[test]
fn each_error_of_the_server_is_told_with_what_was_done() {
    if !is_root() {
        return;
    }
    apart(|| {
        let Some(file_system) = stage() else { return };
        let Answer::Probe(probe) =
            ask(Task::Write, Some(JENKINS), 8000).answered(Duration::from_secs(9))
        else {
            panic!("it cannot be written")
        };
        assert_eq!((probe.uid, probe.owner, probe.steps.len()), (1000, 1000, 6));
        let Answer::Probe(probe) =
            ask(Task::Lock, Some(JENKINS), 8000).answered(Duration::from_secs(9))
        else {
            panic!("it cannot be locked")
        };
        assert_eq!(probe.steps.len(), 3);
        let cases: &[(&'static [Op], &'static str, Task, &str, i32)] = &[
            (&[Op::StatFs], "", Task::Alive, "statfs", libc::ESTALE),
            (&[Op::StatFs], "", Task::Alive, "statfs", libc::ENOTCONN),
            (&[Op::GetAttr], "", Task::Alive, "stat of the top", libc::EIO),
            (&[Op::Create], "home", Task::Write, "create", libc::EROFS),
            (&[Op::Create], "home", Task::Write, "create", libc::EDQUOT),
            (&[Op::Write], "home", Task::Write, "write", libc::ENOSPC),
            (&[Op::Fsync], "home", Task::Write, "fsync", libc::ESTALE),
            (&[Op::Rename, Op::Rename2], "home", Task::Write, "rename", libc::EACCES),
            (&[Op::SetLock], "home", Task::Lock, "lock", libc::ENOLCK),
            (&[Op::SetLock], "home", Task::Lock, "lock", libc::EDQUOT),
        ];
        for (ops, path, task, doing, errno) in cases {
            file_system.rule(ops, path, Fault::Error(*errno));
            let told = failed(task.clone(), Some(JENKINS).filter(|_| *task != Task::Alive));
            assert_eq!((told.0.as_str(), told.1), (*doing, Some(*errno)), "{task:?}");
            file_system.heal();
            let names = fs::read_dir(format!("{BACKING}/home")).unwrap();
            let left =
                names.flatten().filter(|it| it.path().display().to_string().contains("probe"));
            assert_eq!(left.count(), 0, "{task:?} leaves nothing");
        }
    });
}

#[test]
fn a_part_that_hangs_does_not_hide_the_rest_of_a_home() {
    if !is_root() {
        return;
    }
    apart(|| {
        let Some(file_system) = stage() else { return };
        file_system.rule(&[Op::ReadDir], "home/jobs/job-7", Fault::Hang);
        let answer = ask(Task::Scan, None, 20_000).answered(Duration::from_secs(21));
        let Answer::Scan(scan) = answer else { panic!("{answer:?}") };
        assert_eq!(scan.hanging, ["listing jobs/job-7"]);
        assert_eq!((scan.files, scan.folders), (4 + 19, 3 + 20));
    });
}
