//! Conversations with the clerk, on real files.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use camino::{Utf8Path, Utf8PathBuf};

use super::*;
use crate::lease::ground::Ground;
use crate::lease::record::{self, Holder, State};
use crate::sys::Runner;
use crate::sys::dialogue::{Reply, Talk};
use crate::sys::runner::Script;

const FS: &str = "fs-0123456789abcdef0";

/// An empty file system.
struct World {
    _directory: tempfile::TempDir,
    root: Utf8PathBuf,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(directory.path()).unwrap().to_owned();
        Self { _directory: directory, root }
    }

    /// One that has been a home.
    fn marked(mark: &str) -> Self {
        let world = Self::new();
        world.put(".hostkit/fs-id", &format!("{mark}\n"));
        world
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        let folder = path.parent().unwrap();
        fs::create_dir_all(folder).unwrap();
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn open(&self) -> Request {
        Request::Open { mount_point: self.root.clone(), fs_id: FS.to_owned() }
    }

    fn clerk(&self) -> Clerk {
        let mut clerk = Clerk::new(Ground::Any);
        assert_eq!(clerk.answer(&self.open()), Answer::Done);
        clerk
    }

    fn lease(&self) -> Utf8PathBuf {
        self.root.join(".hostkit/lease")
    }

    /// What is in the lease's directory.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.lease()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn held(generation: u64, instance: &str) -> Record {
    let holder = Holder {
        fs_id: FS.to_owned(),
        region: "eu-west-1".to_owned(),
        account: "123456789012".to_owned(),
        instance_id: Some(instance.to_owned()),
        task: None,
        boot_id: "boot".to_owned(),
        launched: None,
        ami: None,
        hostkit: None,
        since: None,
    };
    Record { version: 1, generation, state: State::Held, holder, broken: None }
}

fn released(generation: u64, instance: &str) -> Record {
    Record { state: State::Released, ..held(generation, instance) }
}

fn claim(record: &Record) -> Request {
    Request::Claim(Box::new(record.clone()))
}

fn replace(record: &Record) -> Request {
    Request::Replace(Box::new(record.clone()))
}

fn head(record: Record) -> Answer {
    Answer::Head(Head::Record(Box::new(record)))
}

fn beat(count: u64) -> Request {
    let at = "2026-11-20T03:00:00Z".parse().unwrap();
    Request::Beat(Box::new(Beat { generation: 1, holder: "i-0a".to_owned(), count, at }))
}

/// Why it failed.
fn why(answer: Answer) -> String {
    let Answer::Failed { why, .. } = answer else { panic!("{answer:?}") };
    why
}

#[test]
fn a_home_goes_from_one_host_to_the_next() {
    let world = World::new();
    let (mut a, mut b) = (world.clerk(), world.clerk());
    assert_eq!(a.answer(&Request::Look), Answer::Head(Head::New));
    assert_eq!(fs::read_dir(&world.root).unwrap().count(), 0, "to look writes nothing");
    assert_eq!(a.answer(&claim(&held(1, "i-0a"))), Answer::Claimed);
    assert_eq!(b.answer(&Request::Look), Answer::Head(Head::New), "its head is still to come");
    assert_eq!(b.answer(&claim(&held(1, "i-0b"))), Answer::Taken);
    let first = Answer::Claim(Some(Head::Record(Box::new(held(1, "i-0a")))));
    assert_eq!(b.answer(&Request::ReadClaim(1)), first);
    assert_eq!(b.answer(&Request::ReadClaim(2)), Answer::Claim(None));

    assert_eq!(a.answer(&Request::Announce), Answer::Done);
    assert_eq!(b.answer(&Request::Look), head(held(1, "i-0a")));
    assert_eq!(a.answer(&beat(1)), Answer::Done);
    assert_eq!(a.answer(&Request::Sync), Answer::Done);
    assert_eq!(a.answer(&replace(&released(1, "i-0a"))), Answer::Done);
    assert_eq!(b.answer(&Request::Look), head(released(1, "i-0a")));
    assert_eq!(b.answer(&Request::ReadClaim(1)), first, "a claim is never changed");

    assert_eq!(b.answer(&claim(&held(2, "i-0b"))), Answer::Claimed);
    assert_eq!(b.answer(&Request::Announce), Answer::Done);
    assert_eq!(a.answer(&Request::Look), head(held(2, "i-0b")));
    assert_eq!(world.names(), ["gen-000001.json", "gen-000002.json", "head", "heartbeat"]);
    for name in world.names() {
        let mode = fs::metadata(world.lease().join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
    }
    assert_eq!(fs::metadata(world.lease()).unwrap().permissions().mode() & 0o7777, 0o700);
}

#[test]
fn only_what_was_claimed_is_announced_and_only_once() {
    let world = World::new();
    let mut clerk = world.clerk();
    assert_eq!(why(clerk.answer(&Request::Announce)), Trouble::NothingClaimed.to_string());
    clerk.answer(&claim(&held(1, "i-0a")));
    assert_eq!(world.clerk().answer(&claim(&held(1, "i-0b"))), Answer::Taken);
    clerk.answer(&Request::Announce);
    assert_eq!(why(clerk.answer(&Request::Announce)), Trouble::NothingClaimed.to_string());
    assert_eq!(clerk.answer(&Request::Look), head(held(1, "i-0a")));
}

#[test]
fn a_head_that_is_missing_is_told_by_what_else_there_is() {
    let look = |world: &World| world.clerk().answer(&Request::Look);
    assert_eq!(look(&World::marked(FS)), Answer::Head(Head::Gone));

    let other = World::marked("fs-0fedcba9876543210");
    assert!(why(look(&other)).contains("marked as fs-0fedcba9876543210"));
    assert!(why(other.clerk().answer(&claim(&held(1, "i-0a")))).contains("marked as"));
    assert!(!other.lease().exists(), "nothing is made on somebody else's");

    let used = World::new();
    used.put("config.xml", "<jenkins/>");
    assert_eq!(look(&used), Answer::Head(Head::Strange("config.xml".to_owned())));
    assert!(why(used.clerk().answer(&claim(&held(1, "i-0a")))).contains("config.xml"));
    assert_eq!(fs::read_dir(&used.root).unwrap().count(), 1);

    // The home of a Jenkins that ran without hostkit is claimed before it is taken over.
    let adopted = World::new();
    adopted.put("config.xml", "<hudson/>");
    assert_eq!(look(&adopted), Answer::Head(Head::New));
    assert_eq!(adopted.clerk().answer(&claim(&held(1, "i-0a"))), Answer::Claimed);

    let interrupted = World::new();
    fs::create_dir(interrupted.root.join("home")).unwrap();
    assert_eq!(look(&interrupted), Answer::Head(Head::New));

    // The first host has claimed it and is already at work, and this one does not see the head yet.
    let busy = World::new();
    busy.put(".hostkit/lease/gen-000001.json", &record::text(&held(1, "i-0a")));
    busy.put("home/config.xml", "<jenkins/>");
    assert_eq!(look(&busy), Answer::Head(Head::New));
}

#[test]
fn what_cannot_be_trusted_is_told_and_never_taken_for_a_record() {
    let world = World::marked(FS);
    let look = |text: &str| {
        world.put(".hostkit/lease/head", text);
        let Answer::Head(head) = world.clerk().answer(&Request::Look) else { panic!() };
        head
    };
    assert!(matches!(look(""), Head::Garbage(_)));
    assert!(matches!(look("{\"version\": 1, \"gener"), Head::Garbage(_)));
    assert!(matches!(look("{\"version\": 7, \"generation\": 3}"), Head::Newer { version: 7, .. }));
    let long = record::text(&held(1, "i-0a")) + &" ".repeat(70_000);
    assert_eq!(look(&long), Head::Garbage("it is larger than 64 KiB".to_owned()));
    fs::write(world.lease().join("head"), b"\xff\xfe{}").unwrap();
    let answer = world.clerk().answer(&Request::Look);
    assert_eq!(answer, Answer::Head(Head::Garbage("it is not text".to_owned())));
}

#[test]
fn what_others_made_or_may_change_is_refused() {
    let fresh = || {
        let world = World::marked(FS);
        world.put(".hostkit/lease/head", &record::text(&held(1, "i-0a")));
        world
    };
    let look = |world: &World| {
        let mut clerk = Clerk::new(Ground::Any);
        match clerk.answer(&world.open()) {
            Answer::Done => why(clerk.answer(&Request::Look)),
            refused => why(refused),
        }
    };
    for path in [".hostkit", ".hostkit/lease", ".hostkit/lease/head"] {
        let world = fresh();
        let mode = fs::Permissions::from_mode(0o722);
        fs::set_permissions(world.root.join(path), mode).unwrap();
        assert_eq!(
            look(&world),
            format!("{path} may be written by others than its owner (mode 0722)")
        );
        if nix::unistd::geteuid().is_root() {
            let world = fresh();
            std::os::unix::fs::chown(world.root.join(path), Some(1000), Some(1000)).unwrap();
            assert!(look(&world).starts_with(&format!("{path} belongs to user 1000")));
        }
    }
    for path in [".hostkit", ".hostkit/lease", ".hostkit/lease/head"] {
        let world = fresh();
        fs::rename(world.root.join(path), world.root.join("moved")).unwrap();
        symlink(world.root.join("moved"), world.root.join(path)).unwrap();
        let why = look(&world);
        assert!(why.contains("link") || why.contains("than a directory"), "{path}: {why}");
        fs::remove_file(world.root.join(path)).unwrap();
        nix::unistd::mkfifo(world.root.join(path).as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let why = look(&world);
        assert!(why.contains("than a directory") || why.contains("plain file"), "{path}: {why}");
    }
    let world = fresh();
    fs::remove_file(world.lease().join("head")).unwrap();
    fs::create_dir(world.lease().join("head")).unwrap();
    assert_eq!(look(&world), ".hostkit/lease/head is not a plain file");
}

#[test]
fn below_a_mount_point_without_a_network_file_system_nothing_is_looked_for() {
    let world = World::new();
    world.put(".hostkit/lease/head", &record::text(&held(1, "i-0a")));
    let mut clerk = Clerk::new(Ground::Nfs);
    let mounted = format!("no network file system is mounted at {}", world.root);
    assert_eq!(why(clerk.answer(&world.open())), mounted);
    assert_eq!(why(clerk.answer(&Request::Look)), Trouble::NotOpen.to_string());
    let lost = Request::Open { mount_point: "/nonexistent".into(), fs_id: FS.to_owned() };
    assert!(why(clerk.answer(&lost)).starts_with("opening /nonexistent: "));
}

#[test]
fn a_record_of_another_file_system_is_not_written() {
    let world = World::new();
    let mut theirs = held(1, "i-0a");
    theirs.holder.fs_id = "fs-0fedcba9876543210".to_owned();
    for request in [claim(&theirs), replace(&theirs)] {
        assert!(why(world.clerk().answer(&request)).contains("fs-0fedcba9876543210"));
    }
    assert_eq!(fs::read_dir(&world.root).unwrap().count(), 0);
}

#[test]
fn leftovers_of_this_host_are_removed_and_those_of_others_and_all_claims_stay() {
    let world = World::new();
    let mut clerk = world.clerk();
    clerk.answer(&claim(&held(1, "i-0a")));
    let lease = world.lease();
    // A clerk that was killed between the link and the head: its leftover is the claim itself.
    fs::hard_link(lease.join("gen-000001.json"), lease.join(".claim-i-0a-1-2-3")).unwrap();
    for name in [".head-i-0a-7-8-9", ".claim-i-0b-1-2-3", ".claim-i-0ab-1-2-3", ".age-1-2-3"] {
        world.put(&format!(".hostkit/lease/{name}"), "");
    }
    clerk.answer(&Request::Announce);
    assert_eq!(clerk.answer(&beat(1)), Answer::Done);
    let left = [".claim-i-0ab-1-2-3", ".claim-i-0b-1-2-3", "gen-000001.json", "head", "heartbeat"];
    assert_eq!(world.names(), left);
    assert_eq!(clerk.answer(&Request::ReadClaim(1)), {
        Answer::Claim(Some(Head::Record(Box::new(held(1, "i-0a")))))
    });
}

#[test]
fn a_claim_that_is_under_way_is_nobodys_leftover() {
    let world = World::new();
    let mut clerk = world.clerk();
    clerk.answer(&claim(&held(1, "i-0a")));
    assert_eq!(clerk.answer(&beat(1)), Answer::Done);
    assert_eq!(clerk.answer(&Request::Announce), Answer::Done);
}

#[test]
fn the_heartbeat_is_written_in_place() {
    let world = World::new();
    let mut clerk = world.clerk();
    for count in [u64::MAX, 1, 2] {
        assert_eq!(clerk.answer(&beat(count)), Answer::Done);
        let Answer::Shown(shown) = clerk.answer(&Request::Show) else { panic!() };
        // Its age needs the server's clock, and nothing was claimed here.
        assert_eq!(shown.beat, None);
        let text = fs::read_to_string(world.lease().join("heartbeat")).unwrap();
        let read: Beat = serde_json::from_str(&text).unwrap();
        assert_eq!(read.count, count);
    }
}

#[test]
fn ages_are_told_by_the_clock_of_the_file_system() {
    let world = World::new();
    let mut clerk = world.clerk();
    assert!(why(clerk.answer(&Request::Age(1))).contains("gen-000001.json"));
    clerk.answer(&claim(&held(1, "i-0a")));
    let Answer::Age(age) = clerk.answer(&Request::Age(1)) else { panic!() };
    assert!(age < Duration::from_mins(10), "{age:?}");
    let file = fs::File::open(world.lease().join("gen-000001.json")).unwrap();
    let now = std::time::SystemTime::now();
    file.set_modified(now - Duration::from_mins(181)).unwrap();
    let Answer::Age(age) = clerk.answer(&Request::Age(1)) else { panic!() };
    assert_eq!(age.as_secs() / 3600, 3);
    file.set_modified(now + Duration::from_hours(3)).unwrap();
    assert_eq!(clerk.answer(&Request::Age(1)), Answer::Age(Duration::ZERO));
    assert_eq!(world.names().len(), 2, "the probe is gone: {:?}", world.names());
}

#[test]
fn everything_is_shown_to_people() {
    let world = World::new();
    let mut clerk = world.clerk();
    let show = |clerk: &mut Clerk| match clerk.answer(&Request::Show) {
        Answer::Shown(shown) => *shown,
        other => panic!("{other:?}"),
    };
    let nothing = show(&mut clerk);
    assert_eq!((&nothing.head, nothing.highest, nothing.mark), (&Head::New, None, None));
    assert_eq!(fs::read_dir(&world.root).unwrap().count(), 0, "to show writes nothing new");
    for generation in 1..=2 {
        clerk.answer(&claim(&held(generation, "i-0a")));
        clerk.answer(&Request::Announce);
    }
    clerk.answer(&beat(5));
    let shown = show(&mut clerk);
    assert_eq!((shown.highest, shown.beyond), (Some(2), None));
    assert_eq!(shown.beat.unwrap().0.count, 5);
    assert!(shown.age.is_some());
    world.clerk().answer(&claim(&held(3, "i-0b")));
    let shown = show(&mut clerk);
    assert_eq!(shown.head, Head::Record(Box::new(held(2, "i-0a"))));
    assert_eq!(shown.beyond, Some(Head::Record(Box::new(held(3, "i-0b")))));
    fs::write(world.lease().join("heartbeat"), "half of").unwrap();
    assert_eq!(show(&mut clerk).beat, None);
}

#[test]
fn a_directory_that_was_moved_away_is_not_served_for_ever() {
    let world = World::new();
    let mut clerk = world.clerk();
    clerk.answer(&claim(&held(1, "i-0a")));
    clerk.answer(&Request::Announce);
    fs::rename(world.root.join(".hostkit"), world.root.join("moved")).unwrap();
    world.put(".hostkit/lease/head", &record::text(&held(9, "i-0b")));
    clerk.answer(&beat(1));
    assert_eq!(clerk.answer(&Request::Look), head(held(9, "i-0b")));
    fs::remove_dir_all(world.root.join(".hostkit")).unwrap();
    world.put(".hostkit/lease/head", &record::text(&held(10, "i-0c")));
    assert_eq!(clerk.answer(&Request::Look), head(held(10, "i-0c")), "as soon as it is missed");
}

#[test]
fn of_two_that_claim_the_same_generation_exactly_one_wins() {
    const GENERATIONS: u64 = 1000;
    let world = World::new();
    let race = |name: &'static str| {
        let (root, open) = (world.root.clone(), world.open());
        thread::spawn(move || {
            let mut clerk = Clerk::new(Ground::Any);
            assert_eq!(clerk.answer(&open), Answer::Done, "{root}");
            let mut won = Vec::new();
            for generation in 1..=GENERATIONS {
                match clerk.answer(&claim(&held(generation, name))) {
                    Answer::Claimed => {
                        won.push(generation);
                        assert_eq!(clerk.answer(&Request::Announce), Answer::Done);
                    }
                    Answer::Taken => {}
                    other => panic!("{other:?}"),
                }
                let seen = clerk.answer(&Request::Look);
                let whole = matches!(seen, Answer::Head(Head::Record(_) | Head::New));
                assert!(whole, "a torn head: {seen:?}");
            }
            won
        })
    };
    let racers = [race("i-0a"), race("i-0b")];
    let won = racers.map(|racer| racer.join().unwrap());
    let mut all: Vec<_> = won.concat();
    all.sort_unstable();
    assert_eq!(all, (1..=GENERATIONS).collect::<Vec<_>>());
    let mut clerk = world.clerk();
    for (name, won) in ["i-0a", "i-0b"].into_iter().zip(&won) {
        for generation in won {
            let claim = Answer::Claim(Some(Head::Record(Box::new(held(*generation, name)))));
            assert_eq!(clerk.answer(&Request::ReadClaim(*generation)), claim);
        }
    }
    assert!(world.names().iter().all(|name| !name.starts_with('.')), "{:?}", world.names());
}

/// Clerks as they are started on a host, but in this process.
fn clerks(mut disturb: impl FnMut(u32, &str) -> Option<Reply> + Send + 'static) -> Runner {
    let mut starts = 0;
    let disturb = Arc::new(std::sync::Mutex::new(move |start, line: &str| disturb(start, line)));
    let begin = move |_: &crate::sys::Cmd| {
        starts += 1;
        let (start, disturb) = (starts, Arc::clone(&disturb));
        let mut clerk = Clerk::new(Ground::Any);
        Box::new(move |line: &str| {
            let disturbed = (disturb.lock().unwrap())(start, line);
            disturbed.unwrap_or_else(|| Reply::Line(clerk.answer_line(line)))
        }) as Talk
    };
    Script::default().converse("hostkit inner clerk", begin).runner().0
}

const SOON: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_clerk_that_died_or_was_late_is_replaced() {
    let world = World::new();
    let runner = clerks(|start, line| match (start, line) {
        (1, "\"look\"") => Some(Reply::Ended),
        (2, "\"look\"") => Some(Reply::Late),
        (3, "\"look\"") => Some(Reply::Line("who is there?".to_owned())),
        _ => None,
    });
    let mut desk = Desk::new(runner, &world.root, FS);
    assert!(why(desk.ask(&Request::Look, SOON).await).contains("is gone"));
    assert!(
        why(desk.ask(&Request::Look, SOON).await).starts_with("the file system did not answer")
    );
    assert!(why(desk.ask(&Request::Look, SOON).await).contains("cannot be understood"));
    assert_eq!(desk.ask(&Request::Look, SOON).await, Answer::Head(Head::New));
    let claimed = desk.ask(&claim(&held(1, "i-0a")), SOON).await;
    assert_eq!(claimed, Answer::Claimed, "the fourth one knows where to work");
}

#[tokio::test]
async fn a_file_system_that_cannot_be_opened_is_tried_again_by_the_same_clerk() {
    let world = World::marked(FS);
    let lease = world.lease();
    fs::write(&lease, "in the way").unwrap();
    let starts = Arc::new(std::sync::Mutex::new(0));
    let seen = Arc::clone(&starts);
    let runner = clerks(move |start, _| {
        *seen.lock().unwrap() = start;
        None
    });
    let mut desk = Desk::new(runner, &world.root, FS);
    assert!(why(desk.ask(&Request::Look, SOON).await).contains("than a directory"));
    fs::remove_file(&lease).unwrap();
    assert_eq!(desk.ask(&Request::Look, SOON).await, Answer::Head(Head::Gone));
    assert_eq!(*starts.lock().unwrap(), 1);
}

#[tokio::test]
async fn no_more_clerks_are_started_than_can_hang() {
    let world = World::new();
    let thawed = Arc::new(AtomicBool::new(false));
    let held = Arc::clone(&thawed);
    let runner = clerks(move |_, _| {
        let hangs = !held.load(Ordering::Relaxed);
        hangs.then(|| Reply::Stuck(Arc::clone(&held)))
    });
    let mut desk = Desk::new(runner, &world.root, FS);
    for _ in 0..3 {
        assert!(why(desk.ask(&Request::Look, SOON).await).contains("did not answer"));
    }
    assert_eq!(why(desk.ask(&Request::Look, SOON).await), Trouble::Stuck(3).to_string());
    thawed.store(true, Ordering::Relaxed);
    assert_eq!(desk.ask(&Request::Look, SOON).await, Answer::Head(Head::New));
}

#[tokio::test]
async fn a_call_that_was_dropped_leaves_no_answer_behind() {
    let world = World::new();
    let runner = clerks(|start, line| (start == 1 && line == "\"look\"").then_some(Reply::Late));
    let mut desk = Desk::new(runner, &world.root, FS);
    let dropped = tokio::time::timeout(SOON, desk.ask(&Request::Look, Duration::from_hours(1)));
    assert!(dropped.await.is_err());
    assert_eq!(desk.ask(&Request::ReadClaim(1), SOON).await, Answer::Claim(None));
}
