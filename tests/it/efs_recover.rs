//! A home that is brought back: the real child on real files, killed at every rename and at every
//! write of the journal, and then carried on or taken back.

pub(crate) mod scene;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use hostkit::doctor::recover::inside::{Answer, Chosen, Request, Survey, Task};
use hostkit::lease::recovery::{Found, Journal, Stage, VERSION, Way, Work};

use crate::support::{lay, my_name, scratch};
use scene::{CONFIG, FS, RESTORE, SCENES, Scene, census, home, things};

fn request(root: &Path, task: Task) -> Request {
    Request { mount_point: root.to_str().unwrap().into(), file_system: FS.to_owned(), task }
}

/// Asks the child, which dies at the given change.
#[expect(clippy::disallowed_methods, reason = "the program under test")]
fn ask(root: &Path, task: Task, die_at: Option<u32>) -> Option<Answer> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostkit"));
    command.args(["inner", "recover", "--anywhere"]);
    if let Some(moment) = die_at {
        command.args(["--die-at", &moment.to_string()]);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&serde_json::to_vec(&request(root, task)).unwrap()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).ok()
}

fn survey(root: &Path, from: Option<&str>) -> Survey {
    let task = Task::Survey { from: from.map(str::to_owned), user: my_name() };
    match ask(root, task, None) {
        Some(Answer::Surveyed(survey)) => *survey,
        other => panic!("{other:?}"),
    }
}

fn refused(root: &Path, from: &str) -> String {
    let task = Task::Survey { from: Some(from.to_owned()), user: my_name() };
    match ask(root, task, None) {
        Some(Answer::Refused { why, hint }) => {
            let text = format!("{why}\n  hint: {}", hint.replace('\n', "\n  "));
            text.replace(root.to_str().unwrap(), "/var/lib/jenkins")
        }
        other => panic!("{other:?}"),
    }
}

fn begun(chosen: &Chosen) -> Journal {
    Journal {
        version: VERSION,
        id: chosen.id.clone(),
        file_system: FS.to_owned(),
        begun: "2026-11-27T03:00:00Z".parse().unwrap(),
        by: "alice".to_owned(),
        host: "i-0aaaaaaaaaaaaaaaa".to_owned(),
        way: Way::Forward,
        stage: Stage::Move,
        from: chosen.from.clone(),
        aside: chosen.aside.clone(),
        work: chosen.work.clone(),
        generation: 7,
        group: None,
        ended: None,
    }
}

fn work(root: &Path, die_at: Option<u32>) -> Option<Answer> {
    ask(root, Task::Work, die_at)
}

#[expect(clippy::needless_pass_by_value, reason = "as it was answered")]
fn done(answer: Option<Answer>) {
    assert!(matches!(answer, Some(Answer::Done(_))), "{answer:?}");
}

fn note(root: &Path, journal: &Journal) {
    done(ask(root, Task::Note(Box::new(journal.clone())), None));
}

fn close(root: &Path, die_at: Option<u32>) -> Option<Answer> {
    ask(root, Task::Close { at: "2026-11-27T03:05:00Z".parse().unwrap() }, die_at)
}

/// Begins a recovery and does its moves, dying at one of the changes. False where there are not so
/// many.
fn until(root: &Path, scene: Scene, moment: u32) -> (Journal, bool) {
    scene.lay(root);
    let chosen = survey(root, Some(scene.name())).chosen.unwrap();
    let journal = begun(&chosen);
    note(root, &journal);
    let died = work(root, Some(moment)).is_none();
    (journal, died)
}

#[test]
fn a_child_that_is_killed_at_any_change_is_followed_by_one_that_goes_on() {
    for scene in SCENES {
        let mut moment = 0;
        loop {
            moment += 1;
            let folder = scratch();
            let root = folder.path();
            let (_, died) = until(root, scene, moment);
            let half = things(&census(root));
            done(work(root, None));
            scene.is_back(root);
            let after = census(root);
            assert_eq!(things(&after), half, "{scene:?} {moment}: nothing is lost");
            assert_eq!(work(root, None).map(|it| matches!(it, Answer::Done(_))), Some(true));
            assert_eq!(census(root), after, "{scene:?} {moment}: nothing is left to do");
            if !died {
                assert!(moment > 2, "{scene:?}: {moment}");
                break;
            }
        }
    }
}

#[test]
fn a_child_that_is_killed_at_any_change_is_followed_by_one_that_takes_it_back() {
    for scene in SCENES {
        let mut moment = 0;
        loop {
            moment += 1;
            let folder = scratch();
            let root = folder.path();
            let clean = scratch();
            scene.lay(clean.path());
            let expected: BTreeMap<_, _> =
                census(clean.path()).into_iter().map(|(name, (_, text))| (name, text)).collect();
            let (journal, died) = until(root, scene, moment);
            let half = things(&census(root));
            // As the journal is by now: the child writes to it, too.
            let Found::Journal(open) = survey(root, None).open else { panic!() };
            assert_eq!(open.id, journal.id);
            note(root, &Journal { way: Way::Back, ..*open });
            // And the way back is killed, too, at every third change of it.
            for second in (1..moment + 4).step_by(3) {
                if work(root, Some(second)).is_some() {
                    break;
                }
            }
            done(work(root, None));
            let after = census(root);
            assert_eq!(things(&after), half, "{scene:?} {moment}: nothing is lost");
            let texts: BTreeMap<_, _> = after
                .into_iter()
                .filter(|(name, _)| !name.starts_with(".hostkit/pre-restore-"))
                .map(|(name, (_, text))| (name, text))
                .collect();
            assert_eq!(texts, expected, "{scene:?} {moment}: all is where it was");
            if !died {
                assert!(moment > 2, "{scene:?}: {moment}");
                break;
            }
        }
    }
}

#[test]
fn the_journal_is_always_the_old_one_or_the_new_one() {
    let folder = scratch();
    let root = folder.path();
    Scene::Folder.lay(root);
    let chosen = survey(root, Some(RESTORE)).chosen.unwrap();
    let mut last = None;
    for (moment, stage) in [Stage::Prepare, Stage::Move, Stage::Lease, Stage::Start]
        .into_iter()
        .cycle()
        .take(16)
        .enumerate()
    {
        let journal = Journal { stage, generation: moment as u64, ..begun(&chosen) };
        let moment = u32::try_from(moment / 4).unwrap() + 1;
        let died = ask(root, Task::Note(Box::new(journal.clone())), Some(moment)).is_none();
        assert_eq!(died, moment < 4, "{moment}");
        match survey(root, None).open {
            Found::Nothing => assert_eq!(last, None),
            Found::Journal(now) => {
                assert!(*now == journal || Some(&*now) == last.as_ref(), "{moment}: {now:?}");
                last = Some(*now);
            }
            Found::Garbage(why) => panic!("{moment}: {why}"),
        }
    }
    assert!(last.is_some());
    // Closed, it is a record, whenever its child dies.
    for moment in 1..10 {
        let died = close(root, Some(moment)).is_none();
        let survey = survey(root, None);
        if survey.open == Found::Nothing {
            assert!(root.join(format!(".hostkit/recoveries/{}.json", chosen.id)).exists());
            assert!(survey.undo.is_none(), "{:?}", survey.undo);
            assert!(survey.final_.unwrap().contains("not there any more"), "nothing was moved");
            return;
        }
        assert!(died, "{moment}");
    }
    panic!("it is never closed");
}

#[test]
fn a_recovery_that_is_done_is_taken_back_with_what_jenkins_wrote_since() {
    for scene in SCENES {
        let folder = scratch();
        let root = folder.path();
        let (_, died) = until(root, scene, 1000);
        assert!(!died);
        done(close(root, None));
        // As Jenkins writes: another file in the place of the one.
        lay(root, "home/new", "since");
        fs::rename(root.join("home/new"), root.join("home/config.xml")).unwrap();
        lay(root, "home/jobs/job-9/config.xml", "since");
        let before = things(&census(root));
        let undo = survey(root, None).undo.expect("it can be taken back");
        note(root, &Journal { way: Way::Back, stage: Stage::Move, ended: None, ..*undo });
        done(work(root, None));
        assert_eq!(things(&census(root)), before, "{scene:?}: nothing is lost");
        let config = |top: &str| fs::read_to_string(root.join(format!("{top}config.xml")));
        match scene {
            Scene::BothAtTop => assert!(config("").unwrap().contains("now")),
            Scene::Destroyed => assert!(!root.join("home").exists()),
            _ => assert!(config("home/").unwrap().contains("now"), "{scene:?}"),
        }
        let went = match scene {
            Scene::Folder | Scene::Destroyed => format!("{RESTORE}/home/config.xml"),
            Scene::RestoredAtTop | Scene::BothAtTop => format!("{RESTORE}/config.xml"),
            Scene::Set => {
                let name = fs::read_dir(root.join(".hostkit")).unwrap().find_map(|entry| {
                    let name = entry.unwrap().file_name().into_string().unwrap();
                    name.starts_with("pre-restore-").then_some(name)
                });
                format!(".hostkit/{}/after/home/config.xml", name.unwrap())
            }
        };
        assert_eq!(fs::read_to_string(root.join(&went)).unwrap(), "since", "{scene:?} {went}");
        done(close(root, None));
        let survey = survey(root, None);
        assert!(survey.undo.is_none() && survey.final_.unwrap().contains("taken back already"));
    }
}

#[test]
fn the_folder_that_it_came_from_may_be_gone_when_it_is_taken_back() {
    let folder = scratch();
    let root = folder.path();
    let (journal, _) = until(root, Scene::Folder, 1000);
    done(close(root, None));
    fs::remove_dir_all(root.join(RESTORE)).unwrap();
    let undo = survey(root, None).undo.expect("it can be taken back");
    note(root, &Journal { way: Way::Back, stage: Stage::Move, ended: None, ..*undo });
    done(work(root, None));
    let then = format!(".hostkit/undone-{}/home/config.xml", journal.id);
    assert!(fs::read_to_string(root.join(then)).unwrap().contains("then"));
    assert!(fs::read_to_string(root.join("home/config.xml")).unwrap().contains("now"));
}

#[test]
fn what_is_called_by_no_name_or_by_a_wrong_one_is_refused() {
    let folder = scratch();
    let root = folder.path();
    Scene::Set.lay(root);
    Scene::Folder.lay(root);
    lay(root, "aws-backup-failed-restore_2026-11-27T01-00-00Z/x", "");
    lay(root, "two/a/config.xml", CONFIG);
    lay(root, "two/b/config.xml", CONFIG);
    lay(root, "none/x", "");
    lay(root, ".hostkit/before/2.400-20260101T000000Z/home/config.xml", "");
    std::os::unix::fs::symlink("/etc", root.join("link")).unwrap();
    let below = |name: &str| format!("{}/{name}", root.to_str().unwrap());
    let names = [
        "nothing".to_owned(),
        "../etc".to_owned(),
        String::new(),
        "aws-backup-restore_2020-01-01T00-00-00Z".to_owned(),
        "aws-backup-failed-restore_2026-11-27T01-00-00Z".to_owned(),
        "2.400-20260101T000000Z".to_owned(),
        "/srv/copy of home".to_owned(),
        below(""),
        below("home"),
        below("home/jobs"),
        below(".hostkit/lease"),
        below("two"),
        below("none"),
        below("link"),
    ];
    let told: Vec<_> = names
        .iter()
        .map(|name| {
            let shown = name.replace(root.to_str().unwrap(), "/var/lib/jenkins");
            format!("--from '{shown}'\n{}", refused(root, name))
        })
        .collect();
    insta::assert_snapshot!(told.join("\n\n"));
    // One that is right, by its path.
    let chosen = survey(root, Some(&below(&format!("{RESTORE}/home")))).chosen.unwrap();
    assert_eq!(chosen.from, format!("{RESTORE}/home"));
    let chosen = survey(root, Some(&below("two/a/"))).chosen.unwrap();
    assert!(matches!(chosen.work, Work::Home { gather: None, .. }), "{:?}", chosen.work);
}

#[test]
fn what_stands_in_the_way_is_told_and_nothing_is_changed() {
    let folder = scratch();
    let root = folder.path();
    Scene::Folder.lay(root);
    let chosen = survey(root, Some(RESTORE)).chosen.unwrap();
    let journal = begun(&chosen);
    // Another one's mark.
    lay(root, ".hostkit/fs-id", "fs-0fedcba9876543210\n");
    let mut told = vec![refused(root, RESTORE)];
    lay(root, ".hostkit/fs-id", FS);
    // Another one's recovery.
    note(root, &journal);
    let other = Journal { id: "20200101T000000Z".to_owned(), ..journal.clone() };
    let answer = ask(root, Task::Note(Box::new(other)), None);
    let Some(Answer::Refused { why, hint }) = answer else { panic!("{answer:?}") };
    told.push(format!("{why}\n  hint: {hint}"));
    // A home that somebody has put there meanwhile.
    fs::rename(root.join("home"), root.join("elsewhere")).unwrap();
    home(root, "home/", "another");
    let before = census(root);
    let answer = work(root, None);
    let Some(Answer::Refused { why, hint }) = answer else { panic!("{answer:?}") };
    told.push(format!("{why}\n  hint: {hint}"));
    // A journal that cannot be read.
    lay(root, ".hostkit/recover.json", "{");
    let answer = work(root, None);
    let Some(Answer::Refused { why, hint }) = answer else { panic!("{answer:?}") };
    told.push(format!("{why}\n  hint: {hint}"));
    assert_eq!(census(root), before);
    insta::assert_snapshot!(told.join("\n\n"));
}
