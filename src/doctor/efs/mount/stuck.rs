//! Which processes wait for the file system and cannot be killed.
//!
//! Read are `stat`, `schedstat`, `wchan`, `stack` and `cgroup` of threads, which the kernel answers
//! by itself. `cmdline`, `environ` and `maps` need the memory of a process, and whoever asks for those
//! of one that hangs in a page of a dead mount hangs with it: they are never read. All is read on
//! threads of their own that are left alone when they take too long.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Those that wait and did not run meanwhile, those of Jenkins first.
    pub tasks: Vec<Task>,
    /// How many more there are.
    pub more: usize,
    /// How many threads were looked at.
    pub looked: usize,
    /// Whether that is all of them.
    pub whole: bool,
}

/// A thread that waits and cannot be killed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Its process.
    pub pid: u32,
    /// Itself.
    pub tid: u32,
    /// What it calls itself.
    pub name: String,
    /// The unit that it belongs to.
    pub unit: Option<String>,
    /// In which function of the kernel it waits.
    pub wchan: Option<String>,
    /// The functions of the kernel that led there, the innermost first.
    pub stack: Vec<String>,
}

/// Jenkins, as hostkit starts it.
const JENKINS: &str = "jenkins.service";

/// Whoever waits for a disk that is well has it by then.
const PAUSE: Duration = Duration::from_millis(400);
/// How long one look may take.
const PATIENCE: Duration = Duration::from_millis(700);

/// No host of this kind has more threads; what has them is looked at as far as this.
const MOST: usize = 50_000;
/// So many are told with their stacks.
const KEPT: usize = 24;
/// As deep as it is interesting.
const FRAMES: usize = 8;

/// What the functions are called that wait for a network file system.
const NETWORK: [&str; 4] = ["nfs", "rpc_", "xprt", "fuse_"];

impl Task {
    fn is_jenkins(&self) -> bool {
        self.unit.as_deref() == Some(JENKINS)
    }

    fn waits_for_network(&self) -> bool {
        let functions = self.wchan.iter().chain(&self.stack);
        functions.into_iter().any(|it| NETWORK.iter().any(|word| it.contains(word)))
    }

    fn shown(&self) -> String {
        let Self { pid, tid, name, unit, wchan, stack } = self;
        let unit = unit.as_deref().unwrap_or("no unit");
        let place = match (stack.is_empty(), wchan) {
            (false, _) => stack.join(" < "),
            (true, Some(wchan)) => wchan.clone(),
            (true, None) => "where is not told (not root?)".to_owned(),
        };
        format!("{unit} {pid}/{tid} {name}: {place}")
    }
}

/// Looks twice, with a pause between: many wait for a moment.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let proc = scene.path("/proc");
    let folder = proc.clone();
    let Some((first, _)) = apart(move || sample(&folder)).await else {
        return Ok(Seen::default());
    };
    tokio::time::sleep(PAUSE).await;
    let folder = proc.clone();
    let Some((second, looked)) = apart(move || sample(&folder)).await else {
        return Ok(Seen::default());
    };
    let still: Vec<Key> = second
        .iter()
        .filter(|(key, now)| first.get(key).is_some_and(|before| before.ran == now.ran))
        .map(|(key, _)| *key)
        .collect();
    let plain = |key: &Key| Task {
        pid: key.0,
        tid: key.1,
        name: second[key].name.clone(),
        ..Task::default()
    };
    let mut tasks: Vec<Task> = still.iter().map(plain).collect();
    let count = tasks.len();
    // Whose they are decides which are told, so that is read of all; the rest is more than enough.
    let bare = tasks.clone();
    if let Some(full) = apart(move || tasks_with_place(&proc, bare)).await {
        tasks = full;
    }
    tasks.sort_by_key(|task| (!task.is_jenkins(), !task.waits_for_network(), task.pid, task.tid));
    tasks.truncate(KEPT);
    Ok(Seen { more: count - tasks.len(), tasks, looked, whole: looked < MOST })
}

/// Works on a thread that nobody waits for: nothing comes of it if it takes too long.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (tell, told) = oneshot::channel();
    let thread = std::thread::Builder::new().name("looks-at-threads".to_owned());
    thread.spawn(move || drop(tell.send(work()))).ok()?;
    tokio::time::timeout(PATIENCE, told).await.ok()?.ok()
}

/// A process and a thread of it.
type Key = (u32, u32);

/// A thread that waits.
struct Waiting {
    name: String,
    /// How much it has run, if that is told.
    ran: Option<String>,
}

/// Those that wait now, and how many threads there are.
fn sample(proc: &Utf8Path) -> (BTreeMap<Key, Waiting>, usize) {
    let (mut waiting, mut looked) = (BTreeMap::new(), 0);
    for pid in numbers(proc) {
        for tid in numbers(&proc.join(format!("{pid}/task"))) {
            if looked == MOST {
                return (waiting, looked);
            }
            looked += 1;
            let folder = thread(proc, pid, tid);
            // It may have ended in this moment.
            let Ok(stat) = fs::read(folder.join("stat")) else { continue };
            if let Some((name, 'D')) = state(&String::from_utf8_lossy(&stat)) {
                let ran = fs::read_to_string(folder.join("schedstat")).ok();
                waiting.insert((pid, tid), Waiting { name, ran });
            }
        }
    }
    (waiting, looked)
}

fn thread(proc: &Utf8Path, pid: u32, tid: u32) -> Utf8PathBuf {
    proc.join(format!("{pid}/task/{tid}"))
}

fn numbers(folder: &Utf8Path) -> Vec<u32> {
    let entries = folder.read_dir_utf8().into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| entry.file_name().parse().ok()).collect()
}

/// The name and the state in a `stat`. A name may hold spaces, parentheses and whatever a program has
/// put there.
fn state(stat: &str) -> Option<(String, char)> {
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    let name = name.chars().filter(|c| !c.is_control()).take(64).collect();
    Some((name, rest.trim_start().chars().next()?))
}

fn tasks_with_place(proc: &Utf8Path, mut tasks: Vec<Task>) -> Vec<Task> {
    for task in &mut tasks {
        let folder = thread(proc, task.pid, task.tid);
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        task.unit = unit(&read("cgroup"));
        let wchan = read("wchan");
        // Who may not know it reads a zero.
        task.wchan = Some(wchan.trim().to_owned()).filter(|it| !it.is_empty() && it != "0");
    }
    tasks.sort_by_key(|task| (!task.is_jenkins(), !task.waits_for_network()));
    for task in tasks.iter_mut().take(KEPT) {
        let stack = fs::read_to_string(thread(proc, task.pid, task.tid).join("stack"));
        task.stack = frames(&stack.unwrap_or_default());
    }
    tasks
}

/// The unit of a control group: `0::/system.slice/jenkins.service`.
fn unit(cgroup: &str) -> Option<String> {
    let of_systemd = |line: &&str| line.starts_with("0::") || line.contains(":name=systemd:");
    let line = cgroup.lines().filter(of_systemd).max_by_key(|line| line.len())?;
    let path = line.splitn(3, ':').nth(2)?;
    let is_unit =
        |part: &&str| [".service", ".scope", ".mount"].iter().any(|end| part.ends_with(end));
    path.split('/').find(is_unit).map(str::to_owned)
}

/// `[<0>] rpc_wait_bit_killable+0x1e/0xa0 [sunrpc]`
fn frames(stack: &str) -> Vec<String> {
    let names = stack.lines().filter_map(|line| {
        let name =
            line.rsplit(']').find(|part| part.contains('+')).or_else(|| line.split("] ").nth(1))?;
        let name = name.trim().split(['+', ' ']).next()?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
        (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
    });
    names.take(FRAMES).collect()
}

/// Says what it means.
pub fn judge(seen: &Seen, _case: &Case<'_>) -> Finding {
    let finding = |verdict, says: String| Finding::new(Id::Stuck.name(), verdict, says);
    if seen.looked == 0 {
        return finding(
            Verdict::Skip,
            "the processes of this host could not be read in time".to_owned(),
        );
    }
    let looked = seen.looked;
    let Some(first) = seen.tasks.first() else {
        let all = if seen.whole { "" } else { "the first " };
        return finding(Verdict::Pass, format!("none of {all}{looked} threads hangs"));
    };
    let count = |which: fn(&Task) -> bool| seen.tasks.iter().filter(|it| which(it)).count();
    let more = if seen.more > 0 { " and more" } else { "" };
    let (verdict, says) = if first.is_jenkins() {
        let place = if first.waits_for_network() { "in the file system" } else { "in the kernel" };
        let jenkins = count(Task::is_jenkins);
        (
            Verdict::Fail,
            format!("threads of Jenkins hang {place}, and cannot be killed: {jenkins}{more}"),
        )
    } else if first.waits_for_network() {
        let all = count(Task::waits_for_network);
        (
            Verdict::Warn,
            format!("threads hang in a network file system, none of Jenkins': {all}{more}"),
        )
    } else {
        let all = seen.tasks.len();
        (Verdict::Warn, format!("threads wait for a disk or a device, not for NFS: {all}{more}"))
    };
    let found =
        seen.tasks.iter().fold(finding(verdict, says), |it, task| it.shown_by(task.shown()));
    let found =
        if seen.more > 0 { found.shown_by(format!("and {} more", seen.more)) } else { found };
    if first.is_jenkins() || first.waits_for_network() {
        return found.mended_by("hostkit efs recover hang");
    }
    found.mended_by("dmesg -T | tail -n 50   # a disk that fails says so there")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::doctor::efs::host::stage::{Stage, all};

    const STACK: &str = "[<0>] rpc_wait_bit_killable+0x1e/0xa0 [sunrpc]\n\
        [<0>] __rpc_execute+0x10f/0x4a0 [sunrpc]\n[<0>] nfs4_proc_getattr+0x6d/0x110 [nfsv4]\n\
        [<0>] __do_sys_newfstatat+0x3b/0x70\n";

    fn thread_of(stage: &Stage, pid: u32, tid: u32, state: &str, unit: &str) {
        let folder = format!("/proc/{pid}/task/{tid}");
        stage
            .write(&format!("{folder}/stat"), &format!("{tid} {state} 1 1 1 0 -1 4194560\n"))
            .write(&format!("{folder}/schedstat"), "1000 20 3\n")
            .write(&format!("{folder}/cgroup"), &format!("0::/system.slice/{unit}\n"))
            .write(&format!("/proc/{pid}/cmdline"), "never read");
    }

    async fn found(stage: &Stage) -> Finding {
        judge(&look(&stage.scene()).await.unwrap(), &stage.case())
    }

    #[tokio::test]
    async fn where_nothing_hangs_it_passes() {
        let stage = Stage::new();
        thread_of(&stage, 812, 812, "(java) S", JENKINS);
        thread_of(&stage, 812, 813, "(a D (b) D ) S", JENKINS);
        thread_of(&stage, 9, 9, "(odd", "x.service");
        stage.write("/proc/meminfo", "").folder("/proc/77/task/77");
        insta::assert_snapshot!(all(&[found(&stage).await, found(&Stage::new()).await]));
    }

    #[tokio::test]
    async fn who_hangs_is_told_with_the_place_in_the_kernel_and_jenkins_first() {
        let jenkins = Stage::new();
        thread_of(&jenkins, 400, 400, "(df) D", "sshd.service");
        jenkins.write("/proc/400/task/400/wchan", "nfs_wait_bit_killable");
        thread_of(&jenkins, 812, 830, "(Jetty (7) x) D", JENKINS);
        jenkins.write("/proc/812/task/830/wchan", "rpc_wait_bit_killable");
        jenkins.write("/proc/812/task/830/stack", STACK);
        thread_of(&jenkins, 812, 831, "(Timer) D", JENKINS);
        jenkins.write("/proc/812/task/831/wchan", "0");

        let others = Stage::new();
        thread_of(&others, 400, 400, "(df) D", "session-1.scope");
        others.write("/proc/400/task/400/stack", STACK);
        let disk = Stage::new();
        thread_of(&disk, 80, 80, "(jbd2/nvme0n1p1-) D", "x.slice");
        disk.write("/proc/80/task/80/wchan", "jbd2_journal_commit_transaction");
        let many = Stage::new();
        for tid in 0..200 {
            thread_of(&many, 812, 1000 + tid, "(java) D", JENKINS);
        }
        let mut last = found(&many).await;
        last.evidence.drain(2..KEPT);
        let findings = [found(&jenkins).await, found(&others).await, found(&disk).await, last];
        insta::assert_snapshot!(all(&findings));
    }

    #[tokio::test]
    async fn who_only_waits_for_a_moment_does_not_hang() {
        let stage = Stage::new();
        thread_of(&stage, 812, 812, "(java) D", JENKINS);
        let path = stage.path("/proc/812/task/812/schedstat");
        let runs = async {
            for time in 0..200 {
                fs::write(&path, format!("{time} 20 3\n")).unwrap();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = runs => panic!("it did not look"),
            finding = found(&stage) => assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}"),
        }
    }

    #[test]
    fn a_unit_is_found_in_both_kinds_of_control_groups() {
        let old = "12:pids:/system.slice/jenkins.service\n1:name=systemd:/system.slice/jenkins.service\n0::/\n";
        assert_eq!(unit(old).as_deref(), Some(JENKINS));
        let user = "0::/user.slice/user-0.slice/session-3.scope";
        assert_eq!(unit(user).as_deref(), Some("session-3.scope"));
        assert_eq!((unit("0::/"), unit("")), (None, None));
        assert_eq!(frames("[<0>] 0xffffffffc0a1\nrubbish\n"), ["0xffffffffc0a1"]);
    }

    proptest! {
        #[test]
        fn whatever_stands_in_proc_it_ends(text in "\\PC*") {
            unit(&text);
            frames(&text);
            if let Some((name, _)) = state(&text) {
                prop_assert!(name.chars().count() <= 64);
            }
        }

        /// A name may be anything, also what looks like the end of a name.
        #[test]
        fn a_name_does_not_hide_the_state(name in "[ -~]{0,15}") {
            let stat = format!("12 ({name}) D 1 2 3");
            prop_assert_eq!(state(&stat), Some((name, 'D')));
        }
    }

    /// On the machine that runs the tests: whatever is there, it ends and does not panic.
    #[tokio::test]
    async fn this_machine_can_be_looked_at() {
        let stage = Stage::at("/".into());
        let seen = look(&stage.scene()).await.unwrap();
        assert!(seen.looked > 0 && seen.tasks.len() <= KEPT);
    }
}
