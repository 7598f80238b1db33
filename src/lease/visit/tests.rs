//! Visits to a lease on real files: the clerk's own work, in this process; AWS is scripted.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex};

use camino::{Utf8Path, Utf8PathBuf};

use super::*;
use crate::lease::claim::{Action, Claimant};
use crate::lease::clerk::Clerk;
use crate::lease::ground::Ground;
use crate::lease::keep::{Keep, keep};
use crate::lease::record::State;
use crate::lease::scene::{OLD, holder, order, record, says};
use crate::lease::status::Standing;
use crate::lease::witness::Testimony;
use crate::lease::word::{Guards, InstanceState};
use crate::sys::dialogue::Reply;
use crate::sys::runner::Script;

/// What the clerk's child does instead of its work, for a request.
type Hitch = Arc<Mutex<dyn FnMut(&str) -> Option<Reply> + Send>>;

/// A file system, and what AWS says of whoever is asked about.
struct World {
    _directory: tempfile::TempDir,
    root: Utf8PathBuf,
    word: Arc<Mutex<Word>>,
}

impl World {
    /// An empty file system.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap().to_owned();
        let word = Arc::new(Mutex::new(says(InstanceState::Running)));
        Self { _directory: directory, root, word }
    }

    /// One that `OLD` holds, with generation 1.
    fn held() -> Self {
        let world = Self::new();
        let mut clerk = world.clerk();
        let record = Box::new(record(1, State::Held, OLD));
        assert_eq!(clerk.answer(&Request::Claim(record)), Answer::Claimed);
        assert_eq!(clerk.answer(&Request::Announce), Answer::Done);
        world
    }

    fn order(&self) -> Order {
        Order { mount_point: self.root.clone(), ..order() }
    }

    fn clerk(&self) -> Clerk {
        let mut clerk = Clerk::new(Ground::Any);
        let (mount_point, fs_id) = (self.root.clone(), order().me.fs_id);
        assert_eq!(clerk.answer(&Request::Open { mount_point, fs_id }), Answer::Done);
        clerk
    }

    fn says(&self, word: Word) {
        *self.word.lock().unwrap() = word;
    }

    fn runner(&self) -> Runner {
        self.runner_with(Arc::new(Mutex::new(|_: &str| None)))
    }

    fn runner_with(&self, hitch: Hitch) -> Runner {
        let word = Arc::clone(&self.word);
        let script = Script::default()
            .converse("hostkit inner clerk", move |_| {
                let (mut clerk, hitch) = (Clerk::new(Ground::Any), Arc::clone(&hitch));
                Box::new(move |line| {
                    let hitch = (hitch.lock().unwrap())(line);
                    hitch.unwrap_or_else(|| Reply::Line(clerk.answer_line(line)))
                })
            })
            .on("hostkit inner witness", move |_| {
                let testimony = Testimony::Word(word.lock().unwrap().clone());
                Ok(serde_json::to_string(&testimony).unwrap())
            });
        script.runner().0
    }

    fn files(&self) -> Vec<String> {
        let folder = fs::read_dir(self.root.join(".hostkit/lease")).unwrap();
        let names = folder.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn head(&self) -> Record {
        match self.clerk().answer(&Request::Look) {
            Answer::Head(Head::Record(record)) => *record,
            other => panic!("{other:?}"),
        }
    }
}

fn wish(generation: u64, proof: Option<&str>) -> Wish {
    Wish {
        generation,
        reason: "zone b is down".parse().unwrap(),
        proof: proof.map(|text| text.parse().unwrap()),
        by: "alice on i-0bbbbbbbbbbbbbbbb".to_owned(),
    }
}

const SURE: Option<&str> = Some("I pulled the plug");

#[tokio::test]
async fn a_held_home_is_looked_at_and_left_as_it_was() {
    let world = World::held();
    let (order, runner, before) = (world.order(), world.runner(), world.files());
    let status = Visit::new(&order, runner.clone()).status().await.unwrap();
    assert_eq!((status.state, status.generation), (Standing::Held, Some(1)));
    assert!(status.announced && !status.is_holder, "{status:?}");
    assert_eq!(status.age, Some(0), "by the file server's clock");
    assert!(!status.evidence.unwrap().is_proof);
    assert_eq!(world.files(), before);

    let offline = Visit::new(&order, runner.clone()).offline(true).status().await.unwrap();
    assert!(offline.evidence.unwrap().says.contains("--offline"));
}

#[tokio::test]
async fn a_new_file_system_is_looked_at_and_stays_empty() {
    let world = World::new();
    let status = Visit::new(&world.order(), world.runner()).status().await.unwrap();
    assert_eq!((status.state, status.newcomer.generation), (Standing::Free, Some(1)));
    assert_eq!(fs::read_dir(&world.root).unwrap().count(), 0);
}

#[tokio::test]
async fn the_age_of_a_forgotten_holder_is_the_file_servers() {
    let world = World::held();
    world.says(Word::NotFound { age: None });
    let order = world.order();
    let (young, old) = (Visit::new(&order, world.runner()).status().await.unwrap(), {
        let claim = fs::File::open(world.root.join(".hostkit/lease/gen-000001.json")).unwrap();
        let then = std::time::SystemTime::now() - Duration::from_hours(3);
        claim.set_modified(then).unwrap();
        Visit::new(&order, world.runner()).status().await.unwrap()
    });
    assert!(!young.evidence.unwrap().is_proof);
    assert!(old.evidence.unwrap().is_proof);
    assert_eq!(old.newcomer.generation, Some(2));
}

#[tokio::test]
async fn without_proof_nothing_is_broken_and_nothing_is_written() {
    let world = World::held();
    let (order, runner, before) = (world.order(), world.runner(), world.files());
    let fault =
        Visit::new(&order, runner.clone()).in_a_hurry().break_it(&wish(1, None)).await.unwrap_err();
    assert!(fault.to_string().contains("is running"), "{fault}");
    let fault =
        Visit::new(&order, runner.clone()).in_a_hurry().break_it(&wish(2, SURE)).await.unwrap_err();
    assert!(fault.to_string().contains("it is 1 now"), "{fault}");
    assert_eq!((world.files(), world.head().generation), (before, 1));
}

/// The next host is this one: it gets in as after a clean release, and the old holder stops.
#[tokio::test]
async fn after_a_break_the_next_host_gets_in_and_the_old_one_stops() {
    let world = World::held();
    let (order, runner) = (world.order(), world.runner());
    let end =
        Visit::new(&order, runner.clone()).in_a_hurry().break_it(&wish(1, SURE)).await.unwrap();
    assert!(matches!(&end, End::Broken(_, Some(old)) if old.name() == OLD), "{end:?}");
    let inode =
        |name: &str| fs::metadata(world.root.join(".hostkit/lease").join(name)).unwrap().ino();
    assert_eq!(inode("head"), inode("gen-000002.json"), "the claim is the head");
    assert_eq!(world.files(), ["gen-000001.json", "gen-000002.json", "head"]);
    let head = world.head();
    assert_eq!((&head, head.state), (end.record(), State::Released));

    let head = Head::Record(Box::new(head));
    let told = keep(Guards::default(), &holder(OLD), 1, &head);
    assert!(matches!(&told, Keep::Stop(why) if why.contains("alice")), "{told:?}");
    let mut next = Claimant::new(order.me.clone(), order.manner(), None);
    let mut action = next.next(Observed::Head(head.clone()));
    while let Action::Wait(_) | Action::Look = action {
        let looks = action == Action::Look;
        let observed = if looks { Observed::Head(head.clone()) } else { Observed::Elapsed };
        action = next.next(observed);
    }
    assert_eq!(action, Action::Claim(3));

    let again =
        Visit::new(&order, runner.clone()).in_a_hurry().break_it(&wish(1, None)).await.unwrap();
    assert!(matches!(again, End::Nothing(_)), "{again:?}");
}

#[tokio::test]
async fn who_is_proven_dead_needs_nobodys_word() {
    let world = World::held();
    world.says(says(InstanceState::Terminated));
    let order = world.order();
    let end = Visit::new(&order, world.runner()).in_a_hurry().break_it(&wish(1, None)).await;
    let broken = end.unwrap().record().broken.clone().unwrap();
    assert_eq!((broken.proof, broken.evidence.contains("terminated")), (None, true));
}

#[tokio::test]
async fn a_generation_that_another_host_takes_meanwhile_is_left_to_it() {
    let world = World::held();
    let mut rival = world.clerk();
    let hitch: Hitch = Arc::new(Mutex::new(move |line: &str| {
        if line.contains("\"claim\"") {
            let claim = Box::new(record(2, State::Held, "i-0cccccccccccccccc"));
            rival.answer(&Request::Claim(claim));
            rival.answer(&Request::Announce);
        }
        None
    }));
    let order = world.order();
    let mut visit = Visit::new(&order, world.runner_with(hitch)).in_a_hurry();
    let fault = visit.break_it(&wish(1, SURE)).await.unwrap_err();
    assert!(fault.to_string().contains("by another host just now"), "{fault}");
    assert_eq!(world.head().holder.name(), "i-0cccccccccccccccc");
}

#[tokio::test]
async fn a_break_that_was_cut_off_is_finished_by_the_same_command() {
    let world = World::held();
    let order = world.order();
    let hitch: Hitch = Arc::new(Mutex::new(|line: &str| {
        let cut = line.contains("\"announce\"") || line.contains("\"replace\"");
        cut.then_some(Reply::Late)
    }));
    let mut visit = Visit::new(&order, world.runner_with(hitch)).in_a_hurry();
    let fault = visit.break_it(&wish(1, SURE)).await.unwrap_err();
    assert!(fault.to_string().contains("generation 2 is claimed"), "{fault}");
    assert!(fault.hint_text().unwrap().contains("same command"), "{fault:?}");
    assert_eq!(world.head().generation, 1);
    let mut visit = Visit::new(&order, world.runner()).in_a_hurry();
    assert!(!visit.status().await.unwrap().warnings.is_empty(), "what is between is said");
    let end = visit.break_it(&wish(1, None)).await.unwrap();
    assert!(matches!(end, End::Finished(_)), "{end:?}");
    assert_eq!(&world.head(), end.record());
}

#[tokio::test]
async fn a_clerk_that_dies_before_the_head_is_made_is_replaced_by_another() {
    let world = World::held();
    let order = world.order();
    let hitch: Hitch =
        Arc::new(Mutex::new(|line: &str| line.contains("\"announce\"").then_some(Reply::Ended)));
    let mut visit = Visit::new(&order, world.runner_with(hitch)).in_a_hurry();
    let end = visit.break_it(&wish(1, SURE)).await.unwrap();
    assert_eq!(&world.head(), end.record());
}

#[tokio::test]
async fn a_dead_mount_is_said() {
    let world = World::held();
    let hitch: Hitch = Arc::new(Mutex::new(|_: &str| Some(Reply::Late)));
    let order = world.order();
    let runner = world.runner_with(hitch);
    let fault = Visit::new(&order, runner.clone()).in_a_hurry().status().await.unwrap_err();
    assert!(fault.to_string().contains("did not answer"), "{fault}");
    assert!(fault.hint_text().unwrap().contains("TCP 2049"), "{fault:?}");
}

#[tokio::test]
async fn a_home_without_head_and_a_copy_get_a_new_record() {
    let gone = World::new();
    fs::create_dir_all(gone.root.join("home")).unwrap();
    fs::create_dir(gone.root.join(".hostkit")).unwrap();
    fs::write(gone.root.join(".hostkit/fs-id"), format!("{}\n", order().me.fs_id)).unwrap();
    let place = gone.order();
    let mut visit = Visit::new(&place, gone.runner()).in_a_hurry();
    assert_eq!(visit.status().await.unwrap().exit_code(), 5);
    let end = visit.break_it(&wish(0, SURE)).await.unwrap();
    assert_eq!((end.record().generation, visit.status().await.unwrap().exit_code()), (1, 0));

    // The same file system under another id: a restored backup.
    let mut copy = gone.order();
    copy.me.fs_id = "fs-0fedcba9876543210".to_owned();
    let mut visit = Visit::new(&copy, gone.runner()).in_a_hurry();
    let status = visit.status().await.unwrap();
    assert_eq!(status.exit_code(), 5);
    assert!(status.warnings.iter().any(|line| line.contains("fs-id")), "{status:?}");
    visit.break_it(&wish(1, None)).await.unwrap_err();
    let end = visit.break_it(&wish(1, SURE)).await.unwrap();
    assert_eq!(end.record().holder.fs_id, copy.me.fs_id);
    let after = visit.status().await.unwrap();
    assert_eq!((after.state, after.newcomer.generation), (Standing::Released, Some(3)));
}
