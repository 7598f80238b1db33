//! A machine of folders: who uses a mount, and what is done to it.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::{Arc, Mutex};

use camino::{Utf8Path, Utf8PathBuf};

use super::*;
use crate::event::Events;
use crate::sys::Runner;
use crate::sys::runner::Script;

const HOME: &str = "/var/lib/jenkins";
const SECOND: std::time::Duration = std::time::Duration::from_millis(1);

struct Machine {
    _folder: tempfile::TempDir,
    root: Utf8PathBuf,
}

impl Machine {
    fn new(source: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        let machine = Self { _folder: folder, root };
        let line = source.map_or_else(String::new, |source| {
            format!("30 22 0:26 / {HOME} rw shared:15 - nfs4 {source} rw,vers=4.1\n")
        });
        machine.put("proc/self/mountinfo", &line);
        machine
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A process with these threads' states and these names open. Its command line is a trap.
    fn process(&self, pid: u32, parent: u32, name: &str, threads: &str, open: &[&str]) {
        let state = threads.chars().next().unwrap();
        self.put(&format!("proc/{pid}/stat"), &format!("{pid} ({name}) {state} {parent} 1 1"));
        fs::create_dir_all(self.root.join(format!("proc/{pid}/cmdline"))).unwrap();
        fs::create_dir_all(self.root.join(format!("proc/{pid}/fd"))).unwrap();
        for (at, state) in threads.chars().enumerate() {
            let tid = pid + u32::try_from(at).unwrap();
            let stat = format!("{tid} (thread) {state} 1");
            self.put(&format!("proc/{pid}/task/{tid}/stat"), &stat);
        }
        for (at, target) in open.iter().enumerate() {
            symlink(target, self.root.join(format!("proc/{pid}/fd/{at}"))).unwrap();
        }
    }

    fn busy(source: &str) -> Self {
        let machine = Self::new(Some(source));
        machine.process(1, 0, "systemd", "S", &[HOME]);
        machine.process(900_100, 1, "java", "SDDS", &["/var/lib/jenkins/home/x", "/tmp/y"]);
        machine.process(900_200, 900_100, "git) 7 (x", "D", &[]);
        machine.process(900_300, 1, "tar", "D", &["/var/lib/jenkins/home/y (deleted)"]);
        machine.process(900_400, 1, "cron", "S", &["/var/lib/jenkinsx/z", "/dev/null"]);
        machine.process(std::process::id(), 900_500, "hostkit", "R", &[]);
        machine.process(900_500, 1, "bash", "S", &[]);
        symlink("/var/lib/jenkins/home", machine.root.join("proc/900500/cwd")).unwrap();
        machine.put("proc/900600/stat", "garbage");
        machine.put(
            "sys/fs/cgroup/system.slice/jenkins.service/cgroup.procs",
            "900100\n900200\nnonsense\n",
        );
        machine
    }
}

#[test]
fn who_uses_a_mount_is_told_and_what_would_be_done() {
    let tunnel = Machine::busy("127.0.0.1:/");
    let plain = Machine::new(Some("10.0.1.100:/"));
    let none = Machine::new(None);
    let told = [tunnel, plain, none].map(|it| look(&it.root, HOME).unwrap().text());
    insta::assert_snapshot!(told.join("\n---\n\n"));
}

#[test]
fn what_cannot_be_read_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let error = look(Utf8Path::from_path(folder.path()).unwrap(), HOME).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

/// A machine whose mount answers after one of these commands, or goes with it.
fn machine(
    source: &str,
    answers_after: &str,
    goes_with: &str,
) -> (Machine, Runner, Arc<Mutex<Script>>) {
    let machine = Machine::new(Some(source));
    let answers = Arc::new(Mutex::new(answers_after.is_empty()));
    let (now, later) = (Arc::clone(&answers), answers);
    let table = machine.root.join("proc/self/mountinfo");
    let (after, with) = (answers_after.to_owned(), goes_with.to_owned());
    let (runner, script) = Script::default()
        .on("hostkit inner pulse", move |_| {
            let well = *now.lock().unwrap();
            Ok(if well { "{\"well\":812}\n" } else { "{\"ill\":\"it hangs\"}\n" }.to_owned())
        })
        .on("", move |command| {
            let command = command.to_string();
            if !after.is_empty() && command.starts_with(&after) {
                *later.lock().unwrap() = true;
            }
            if !with.is_empty() && command.starts_with(&with) {
                fs::write(&table, "").unwrap();
            }
            Ok(String::new())
        })
        .runner();
    (machine, runner, script)
}

async fn freed(
    source: &str,
    answers_after: &str,
    goes_with: &str,
    reboot: bool,
) -> (Result<Freed, String>, Vec<String>) {
    let (machine, runner, script) = machine(source, answers_after, goes_with);
    let events = Events::silent();
    let end = apply(&machine.root, &runner, HOME, reboot, SECOND, &events).await;
    let seen = script.lock().unwrap().seen();
    let seen = seen.into_iter().filter(|it| !it.starts_with("hostkit")).collect();
    (end.map_err(|error| error.to_string()), seen)
}

#[tokio::test]
async fn no_more_is_done_than_is_needed() {
    let (end, seen) = freed("10.0.1.100:/", "", "", true).await;
    assert_eq!((end, seen.len()), (Ok(Freed::Answers), 0));
    let (end, seen) = freed("127.0.0.1:/", "systemctl restart", "", true).await;
    assert_eq!(end, Ok(Freed::By(Step::Tunnel)));
    assert_eq!(seen, ["systemctl restart --no-block amazon-efs-mount-watchdog.service"]);
    let again = "systemctl restart --no-block hostkit-boot.service";
    let (end, seen) = freed("10.0.1.100:/", "never", "umount -f", false).await;
    assert_eq!(end, Ok(Freed::Again));
    assert_eq!(seen, ["umount -f /var/lib/jenkins", again]);
    let (end, seen) = freed("10.0.1.100:/", "never", "umount -l", false).await;
    assert_eq!(end, Ok(Freed::Again));
    assert_eq!(seen, ["umount -f /var/lib/jenkins", "umount -l /var/lib/jenkins", again]);
}

#[tokio::test]
async fn a_reboot_is_only_what_somebody_asked_for() {
    let (end, seen) = freed("10.0.1.100:/", "never", "never", false).await;
    assert_eq!(end, Err("/var/lib/jenkins is still mounted".to_owned()));
    assert!(!seen.iter().any(|it| it.contains("reboot")), "{seen:?}");
    let (end, seen) = freed("10.0.1.100:/", "never", "never", true).await;
    assert_eq!(end, Ok(Freed::Reboots));
    assert_eq!(seen.last().unwrap(), "systemctl reboot --force --no-wall");
}
