//! The whole process on real files, with a clerk that works here, a systemd and a witness that follow
//! a script. A second is a hundredth of one.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::error;
use crate::lease::claim::Head;
use crate::lease::clerk::Clerk;
use crate::lease::ground::Ground;
use crate::lease::record::{Broken, Holder, Reading, claim_file, read, text};
use crate::lease::scene::{at, holder, order};
use crate::lease::witness::Testimony;
use crate::lease::word::{Instance, InstanceState, Word};
use crate::sys::dialogue::Reply;
use crate::sys::runner::Script;

const SECOND: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_secs(20);
const A: &str = "i-0aaaaaaaaaaaaaaaa";
const B: &str = "i-0bbbbbbbbbbbbbbbb";

/// A file system that several hosts mount.
struct Export {
    _folder: tempfile::TempDir,
    path: Utf8PathBuf,
    /// What EC2 says of every instance.
    word: Arc<Mutex<Word>>,
}

impl Export {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        let word = Arc::new(Mutex::new(says(InstanceState::Running)));
        Self { _folder: folder, path, word }
    }

    fn head(&self) -> Record {
        let text = fs::read_to_string(self.path.join(".hostkit/lease/head")).unwrap();
        let Reading::Record(record) = read(&text) else { panic!("{text}") };
        *record
    }

    fn has(&self, generation: u64) -> bool {
        self.path.join(".hostkit/lease").join(claim_file(generation)).exists()
    }

    /// Writes a claim and the head, as another host would.
    fn plant(&self, record: &Record) {
        let folder = self.path.join(".hostkit/lease");
        fs::write(folder.join(claim_file(record.generation)), text(record)).unwrap();
        fs::write(folder.join("new"), text(record)).unwrap();
        fs::rename(folder.join("new"), folder.join("head")).unwrap();
    }
}

fn says(state: InstanceState) -> Word {
    Word::Instance(Instance {
        state,
        hibernates: false,
        launched: Some(at("2026-11-20T02:58:10Z")),
        group: Some("ci".to_owned()),
        lifecycle: None,
    })
}

/// One host and its lease's process.
struct Host {
    _folder: tempfile::TempDir,
    root: Utf8PathBuf,
    memory: Memory,
    script: Arc<Mutex<Script>>,
    runner: Runner,
    /// Whether Jenkins runs.
    jenkins: Arc<AtomicBool>,
    /// Whether the file system answers.
    answers: Arc<AtomicBool>,
}

type Running = (oneshot::Sender<()>, JoinHandle<anyhow::Result<Ended>>);

impl Host {
    fn new(export: &Export, instance: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        let me = Holder { since: None, ..holder(instance) };
        let order = Order { me, mount_point: export.path.clone(), ..order() };
        fs::create_dir_all(root.join("run/hostkit/lease")).unwrap();
        fs::write(root.join(super::super::order::PATH), serde_json::to_vec(&order).unwrap())
            .unwrap();
        fs::write(root.join("run/hostkit/may-start"), "").unwrap();
        let (jenkins, answers) =
            (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        let (runner, script) = machine(export, &jenkins, &answers).runner();
        let memory = Memory::new(&root, &order.me.boot_id);
        Self { _folder: folder, root, memory, script, runner, jenkins, answers }
    }

    fn start(&self) -> Running {
        let (root, runner) = (self.root.clone(), self.runner.clone());
        let place = Place { root, runner, second: SECOND };
        let (end, ended) = oneshot::channel();
        let asked = async move { ended.await.unwrap_or(()) }.boxed().shared();
        (end, tokio::task::spawn_local(hold_until(place, Events::silent(), asked)))
    }

    async fn until(&self, phase: Phase) {
        self.until_it_says(phase, "").await;
    }

    async fn until_it_says(&self, phase: Phase, what: &str) {
        let there = async {
            loop {
                let standing = self.memory.standing();
                if standing.is_some_and(|now| now.phase == phase && now.why.contains(what)) {
                    return;
                }
                tokio::time::sleep(SECOND).await;
            }
        };
        let end = tokio::time::timeout(LONG, there).await;
        end.unwrap_or_else(|_| panic!("{phase:?} {what}: {:?}", self.memory.standing()));
    }

    fn was_run(&self, prefix: &str) -> bool {
        self.script.lock().unwrap().seen().iter().any(|call| call.starts_with(prefix))
    }
}

fn machine(export: &Export, jenkins: &Arc<AtomicBool>, answers: &Arc<AtomicBool>) -> Script {
    let [shown, killed] = [(); 2].map(|()| Arc::clone(jenkins));
    let (word, answers) = (Arc::clone(&export.word), Arc::clone(answers));
    Script::default()
        .on("systemctl show jenkins.service", move |_| {
            let state = if shown.load(Ordering::Relaxed) { "active" } else { "inactive" };
            Ok(format!("LoadState=loaded\nActiveState={state}\nControlGroup=\n"))
        })
        .on("systemctl kill --signal=SIGKILL jenkins.service", move |_| {
            killed.store(false, Ordering::Relaxed);
            Ok(String::new())
        })
        .on("hostkit inner witness", move |_| {
            let testimony = Testimony::Word(word.lock().unwrap().clone());
            Ok(serde_json::to_string(&testimony).unwrap())
        })
        .converse("hostkit inner clerk", move |_| {
            let mut clerk = Clerk::new(Ground::Any);
            let answers = Arc::clone(&answers);
            Box::new(move |line| {
                let answers = answers.load(Ordering::Relaxed);
                if answers { Reply::Line(clerk.answer_line(line)) } else { Reply::Late }
            })
        })
}

/// Runs a test whose processes are tasks of this thread, as the real one is.
fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

async fn ended(running: Running) -> anyhow::Result<Ended> {
    let _ = running.0.send(());
    tokio::time::timeout(LONG, running.1).await.expect("it ends").unwrap()
}

#[test]
fn a_home_is_taken_held_and_given_up_in_order() {
    local(async {
        let export = Export::new();
        let a = Host::new(&export, A);
        let running = a.start();
        a.until(Phase::Held).await;
        let head = export.head();
        assert_eq!((head.generation, head.state, head.holder.name()), (1, State::Held, A));
        assert_eq!(a.memory.mine(), Some(1));
        assert_eq!(ended(running).await.unwrap(), Ended::Released);
        assert_eq!(export.head().state, State::Released);
        assert_eq!(a.memory.mine(), None);
        assert_eq!(a.memory.standing().unwrap().phase, Phase::Released);

        let running = a.start();
        a.until(Phase::Held).await;
        assert_eq!(export.head().generation, 2, "what was given up is not taken up again");
        ended(running).await.unwrap();
    });
}

#[test]
fn a_newcomer_waits_for_a_holder_that_may_live_and_is_in_once_it_has_released() {
    local(async {
        let export = Export::new();
        let (a, b) = (Host::new(&export, A), Host::new(&export, B));
        let first = a.start();
        a.until(Phase::Held).await;
        let second = b.start();
        b.until_it_says(Phase::Waiting, "EC2 says that i-0aaaaaaaaaaaaaaaa is running").await;
        assert!(!export.has(2));
        ended(first).await.unwrap();
        b.until(Phase::Held).await;
        assert_eq!((export.head().generation, export.head().holder.name()), (2, B));
        ended(second).await.unwrap();
    });
}

#[test]
fn a_newcomer_is_in_once_the_holder_is_proven_dead_and_not_before() {
    local(async {
        let export = Export::new();
        let (a, b) = (Host::new(&export, A), Host::new(&export, B));
        let (_end, first) = a.start();
        a.until(Phase::Held).await;
        first.abort();
        *export.word.lock().unwrap() = Word::Silent("no route".to_owned());
        let second = b.start();
        b.until_it_says(Phase::Waiting, "EC2 could not be asked: no route").await;
        *export.word.lock().unwrap() = says(InstanceState::ShuttingDown);
        b.until_it_says(Phase::Waiting, "shutting-down").await;
        assert!(!export.has(2));
        *export.word.lock().unwrap() = says(InstanceState::Terminated);
        b.until(Phase::Held).await;
        assert_eq!(export.head().holder.name(), B);
        ended(second).await.unwrap();
    });
}

#[test]
fn a_process_that_crashed_takes_up_its_own_generation() {
    local(async {
        let export = Export::new();
        let a = Host::new(&export, A);
        let (_end, running) = a.start();
        a.until(Phase::Held).await;
        running.abort();
        let running = a.start();
        a.until(Phase::Held).await;
        tokio::time::sleep(SECOND * 10).await;
        assert!(!export.has(2));
        assert_eq!(ended(running).await.unwrap(), Ended::Released);
    });
}

#[test]
fn a_holder_that_reads_a_higher_generation_kills_jenkins() {
    local(async {
        let export = Export::new();
        let a = Host::new(&export, A);
        let (_end, running) = a.start();
        a.until(Phase::Held).await;
        a.jenkins.store(true, Ordering::Relaxed);
        let broken = Broken {
            generation: 1,
            reason: "it burns".to_owned(),
            proof: None,
            by: "ops".to_owned(),
            evidence: "EC2 says that it is running".to_owned(),
            at: at("2026-11-20T05:00:00Z"),
        };
        let (state, holder) = (State::Released, holder(B));
        export.plant(&Record { version: 1, generation: 2, state, holder, broken: Some(broken) });
        let error = tokio::time::timeout(LONG, running).await.unwrap().unwrap().unwrap_err();
        assert_eq!(error::blame(&error).exit_code(), 5);
        assert!(error.to_string().contains("broken by ops: it burns"), "{error}");
        assert!(!a.jenkins.load(Ordering::Relaxed), "Jenkins is dead");
        assert!(!a.root.join("run/hostkit/may-start").exists(), "and nobody starts it again");
        assert!(a.was_run("systemctl stop --no-block jenkins.service"));
        assert_eq!((export.head().generation, a.memory.mine()), (2, None));
        assert_eq!(a.memory.standing().unwrap().phase, Phase::Lost);
    });
}

#[test]
fn a_file_system_that_does_not_answer_costs_nobody_the_home() {
    local(async {
        let export = Export::new();
        let a = Host::new(&export, A);
        let running = a.start();
        a.until(Phase::Held).await;
        a.jenkins.store(true, Ordering::Relaxed);
        a.answers.store(false, Ordering::Relaxed);
        a.until_it_says(Phase::Held, "not answer").await;
        assert!(a.jenkins.load(Ordering::Relaxed) && !running.1.is_finished());
        a.answers.store(true, Ordering::Relaxed);
        let fine = "this host holds the home (generation 1)";
        let there = async {
            while a.memory.standing().unwrap().why != fine {
                tokio::time::sleep(SECOND).await;
            }
        };
        tokio::time::timeout(LONG, there).await.unwrap();
        a.jenkins.store(false, Ordering::Relaxed);
        assert_eq!(ended(running).await.unwrap(), Ended::Released);
    });
}

#[test]
fn a_home_that_somebody_may_still_write_to_is_not_released() {
    local(async {
        let export = Export::new();
        let a = Host::new(&export, A);
        let running = a.start();
        a.until(Phase::Held).await;
        a.jenkins.store(true, Ordering::Relaxed);
        assert_eq!(ended(running).await.unwrap(), Ended::StillHeld);
        assert_eq!(export.head().state, State::Held);

        let running = a.start();
        a.until(Phase::Held).await;
        a.jenkins.store(false, Ordering::Relaxed);
        let writer = a.memory.writing().unwrap().expect("it is held");
        assert_eq!(ended(running).await.unwrap(), Ended::StillHeld);
        assert_eq!(export.head().state, State::Held);
        drop(writer);
    });
}

#[test]
fn a_head_that_was_lost_spoilt_or_set_back_is_written_again() {
    local(async {
        let export = Export::new();
        let (a, b) = (Host::new(&export, A), Host::new(&export, B));
        ended(b.start_and_hold().await).await.unwrap();
        let running = a.start_and_hold().await;
        let old = record_of(1, B);
        let head = export.path.join(".hostkit/lease/head");
        let spoil: [&dyn Fn(); 3] = [
            &|| fs::remove_file(&head).unwrap(),
            &|| fs::write(&head, "{\"version\":").unwrap(),
            &|| fs::write(&head, text(&old)).unwrap(),
        ];
        for spoil in spoil {
            spoil();
            let right = || {
                let text = fs::read_to_string(&head).unwrap_or_default();
                matches!(read(&text), Reading::Record(record) if record.generation == 2)
            };
            let there = async {
                while !right() {
                    tokio::time::sleep(SECOND).await;
                }
            };
            tokio::time::timeout(LONG, there).await.expect("the holder puts it right");
        }
        assert_eq!(ended(running).await.unwrap(), Ended::Released);
    });
}

#[test]
fn what_only_a_person_can_judge_is_refused_until_that_person_has() {
    local(async {
        let export = Export::new();
        let (a, b) = (Host::new(&export, A), Host::new(&export, B));
        ended(a.start_and_hold().await).await.unwrap();
        fs::write(export.path.join(".hostkit/lease/head"), "garbage").unwrap();
        let running = b.start();
        b.until_it_says(Phase::Refused, "lease/head cannot be trusted").await;
        let standing = b.memory.standing().unwrap();
        assert!(standing.hint.unwrap().contains("hostkit lease break"));
        let (state, holder) = (State::Released, holder(B));
        export.plant(&Record { version: 1, generation: 2, state, holder, broken: None });
        b.until(Phase::Held).await;
        assert_eq!(export.head().generation, 3);
        ended(running).await.unwrap();
    });
}

fn record_of(generation: u64, instance: &str) -> Record {
    let (state, holder) = (State::Held, holder(instance));
    Record { version: 1, generation, state, holder, broken: None }
}

impl Host {
    async fn start_and_hold(&self) -> Running {
        let running = self.start();
        self.until(Phase::Held).await;
        running
    }
}

#[test]
fn what_stands_beyond_the_own_generation_is_somebody_else() {
    let theirs = Head::Record(Box::new(record_of(8, B)));
    assert!(matches!(holder::beyond(8, Some(&theirs)), crate::lease::keep::Keep::Stop(_)));
    let newer = Head::Newer { version: 9, generation: None };
    assert!(matches!(holder::beyond(8, Some(&newer)), crate::lease::keep::Keep::Stop(_)));
    assert_eq!(holder::beyond(8, None), crate::lease::keep::Keep::On);
}

#[test]
fn nobody_gives_up_what_is_anothers_by_now() {
    local(async {
        let export = Export::new();
        let a = Host::new(&export, A);
        let running = a.start_and_hold().await;
        // It has not looked since: both happen before this test waits for anything.
        export.plant(&record_of(3, B));
        ended(running).await.unwrap_err();
        assert!(!a.was_run("systemctl reboot"), "nobody writes, and it sees that");
        assert_eq!((export.head().generation, export.head().state), (3, State::Held));
    });
}

#[test]
fn the_head_of_a_holder_is_a_file_of_its_own() {
    local(async {
        use std::os::unix::fs::MetadataExt as _;
        let export = Export::new();
        let a = Host::new(&export, A);
        let running = a.start_and_hold().await;
        let head = export.path.join(".hostkit/lease/head");
        let there = async {
            while fs::metadata(&head).unwrap().nlink() > 1 {
                tokio::time::sleep(SECOND).await;
            }
        };
        tokio::time::timeout(LONG, there).await.expect("it is written once more");
        assert_eq!((export.head().generation, export.head().state), (1, State::Held));
        ended(running).await.unwrap();
    });
}

#[test]
fn a_process_that_starts_again_where_the_home_was_lost_kills_jenkins() {
    local(async {
        let export = Export::new();
        let a = Host::new(&export, A);
        let (_end, running) = a.start_and_hold().await;
        a.jenkins.store(true, Ordering::Relaxed);
        running.abort();
        export.plant(&record_of(3, B));
        let running = a.start();
        let error = tokio::time::timeout(LONG, running.1).await.unwrap().unwrap().unwrap_err();
        assert!(error.to_string().contains("generation 3 is held by"), "{error}");
        assert!(!a.jenkins.load(Ordering::Relaxed), "Jenkins is dead");
        assert_eq!(a.memory.mine(), None);
    });
}

#[test]
fn a_process_that_starts_again_and_cannot_look_stops_nothing_and_is_not_up() {
    local(async {
        let export = Export::new();
        let a = Host::new(&export, A);
        let (_end, running) = a.start_and_hold().await;
        a.jenkins.store(true, Ordering::Relaxed);
        running.abort();
        a.answers.store(false, Ordering::Relaxed);
        let running = a.start();
        a.until_it_says(Phase::Held, "looks again").await;
        assert!(a.jenkins.load(Ordering::Relaxed) && !running.1.is_finished());
        fs::remove_file(export.path.join(".hostkit/lease/head")).unwrap();
        a.answers.store(true, Ordering::Relaxed);
        a.until_it_says(Phase::Held, "this host holds the home (generation 1)").await;
        a.jenkins.store(false, Ordering::Relaxed);
        assert_eq!(ended(running).await.unwrap(), Ended::Released);
        assert_eq!((export.head().generation, export.head().state), (1, State::Released));
    });
}

#[test]
fn a_generation_that_jumps_lets_nobody_in_before_a_person_has_looked() {
    local(async {
        let export = Export::new();
        let (a, b) = (Host::new(&export, A), Host::new(&export, B));
        ended(a.start_and_hold().await).await.unwrap();
        let jumped = Record { state: State::Released, ..record_of(900, A) };
        fs::write(export.path.join(".hostkit/lease/head"), text(&jumped)).unwrap();
        let running = b.start();
        b.until_it_says(Phase::Waiting, "generation 900, and nobody ever claimed that").await;
        assert!(b.memory.standing().unwrap().why.contains("hostkit lease break"));
        assert!(!export.has(901));
        let (state, holder) = (State::Released, holder(B));
        export.plant(&Record { version: 1, generation: 901, state, holder, broken: None });
        b.until(Phase::Held).await;
        assert_eq!(export.head().generation, 902);
        ended(running).await.unwrap();
    });
}
