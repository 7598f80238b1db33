//! The home of a Jenkins on a good day, as the children see it.

use crate::doctor::Gap;
use crate::doctor::efs::home::{identity, lease, lock, owner, write};
use crate::doctor::efs::inside::{
    Alive, Hang, Heard, Intact, Leftover, Owned, Owners, Place, Probe, Scan, Step, Top, Trouble,
    User, Whole, Whose,
};
use crate::doctor::efs::observed::Cell;
use crate::doctor::efs::table::Observed;

/// The number of the user that Jenkins runs as.
const JENKINS: u32 = 498;

/// All of it.
pub(super) fn home(observed: &mut Observed) {
    observed.alive = Cell::of(Heard::Said(answers(900)));
    observed.identity = Cell::of(whose());
    observed.owner = Cell::of(owner::Seen { user: user(), heard: Heard::Said(owners(JENKINS)) });
    observed.write = Cell::of(write::Seen { user: user(), heard: Heard::Said(probe(3_000)) });
    observed.lock = Cell::of(lock::Seen { heard: Heard::Said(probe(900)), locks: Some(0) });
    observed.lease = Cell::of(held(true));
    let why = "it is only done when it is asked for: hostkit efs check --benchmark".to_owned();
    observed.speed = Cell::untold(Gap { needs: String::new(), denied: false, why });
    observed.bloat = Cell::of(Heard::Said(Scan {
        files: 41_000,
        folders: 5_200,
        took: 1_400,
        ..Scan::default()
    }));
    observed.leftovers = Cell::of(Heard::Said(Top::default()));
    observed.intact = Cell::of(Heard::Said(whole()));
}

const fn user() -> User {
    User { uid: JENKINS, gid: JENKINS }
}

/// It answers, each question in so many microseconds.
pub(super) fn answers(micros: u64) -> Alive {
    let step = |what: &str| Step { what: what.to_owned(), micros };
    Alive { steps: vec![step("open"), step("statfs"), step("stat")], marked: true }
}

/// Nobody can write, because of this.
pub(super) fn unwritable(observed: &mut Observed, errno: i32, why: &str) {
    let trouble = Trouble { doing: "create".to_owned(), errno: Some(errno), why: why.to_owned() };
    observed.write = Cell::of(write::Seen { user: user(), heard: Heard::Failed(trouble.clone()) });
    observed.lock = Cell::of(lock::Seen { heard: Heard::Failed(trouble), locks: Some(0) });
}

/// The mounted file system does not answer.
pub(super) fn hung() -> Heard<Alive> {
    let left = crate::doctor::efs::inside::Left { pid: 4711, state: 'D' };
    Heard::Hangs(Hang {
        doing: "statfs".to_owned(),
        done: Vec::new(),
        after: 10_000,
        left: Some(left),
    })
}

fn whose() -> identity::Seen {
    Heard::Said(Whose {
        mark: Some("fs-0123456789abcdef0".to_owned()),
        place: Some(place()),
        entries: 61,
        missing: Vec::new(),
        others: Vec::new(),
        moving: false,
    })
}

fn place() -> Place {
    let signs = ["config.xml", "secrets", "jobs", "users", "plugins"];
    Place { folder: "home".to_owned(), signs: signs.map(str::to_owned).to_vec() }
}

/// What in the home tells whose it is: this number's.
pub(super) fn owners(uid: u32) -> Owners {
    let owned = |path: &str, mode: u32, folder: bool| Owned {
        path: path.to_owned(),
        uid,
        gid: uid,
        mode,
        folder,
    };
    let top = Owned { uid: 0, gid: 0, ..owned("", 0o755, true) };
    Owners {
        folder: Some("home".to_owned()),
        telling: vec![
            top,
            owned("home", 0o755, true),
            owned("home/config.xml", 0o644, false),
            owned("home/secrets", 0o700, true),
        ],
        others: Vec::new(),
        more: 0,
        looked: 212,
    }
}

/// The home, as another user's.
pub(super) fn of_another(observed: &mut Observed, uid: u32) {
    observed.owner = Cell::of(owner::Seen { user: user(), heard: Heard::Said(owners(uid)) });
}

/// What a probe did, each step in so many microseconds.
pub(super) fn probe(micros: u64) -> Probe {
    let step = |what: &str| Step { what: what.to_owned(), micros };
    let steps = ["create", "write", "fsync", "rename", "read", "unlink"];
    Probe {
        steps: steps.map(step).to_vec(),
        uid: JENKINS,
        owner: JENKINS,
        device: (0, 26),
        swept: 0,
    }
}

/// Writing takes so long, each step in microseconds.
pub(super) fn slow(observed: &mut Observed, micros: u64) {
    observed.alive = Cell::of(Heard::Said(answers(micros)));
    observed.write = Cell::of(write::Seen { user: user(), heard: Heard::Said(probe(micros)) });
}

/// Who holds the home: this host, or another one that lives.
pub(super) fn held(mine: bool) -> lease::Seen {
    let (this, other) = ("i-0aaaaaaaaaaaaaaaa", "i-0bbbbbbbbbbbbbbbb");
    lease::Seen::Stands(Box::new(lease::Stands {
        held: true,
        unclear: None,
        host: this.to_owned(),
        mine,
        generation: Some(12),
        announced: true,
        holder: Some(if mine { this } else { other }.to_owned()),
        age: Some(10_700),
        beat: Some((12, 8)),
        word: (!mine).then(|| (format!("{other} is running"), false)),
        newcomer: "wait: the holder lives".to_owned(),
        advice: None,
        warnings: Vec::new(),
    }))
}

/// A home that is whole.
pub(super) fn whole() -> Whole {
    Whole {
        place: Some(place()),
        intact: Intact {
            folder: "home".to_owned(),
            last: Some("2.528.3".to_owned()),
            jobs: 118,
            builds: 118,
            users: 24,
            nodes: 6,
            plugins: 93,
            ..Intact::default()
        },
        sets: Vec::new(),
        copies: Vec::new(),
        restores: Vec::new(),
    }
}

/// What a restore of AWS Backup left that did not end.
pub(super) fn failed_restore() -> Top {
    Top {
        failed: vec![Leftover {
            path: "aws-backup-failed-restore_2026-11-26T22-10-00".to_owned(),
            at: 1_795_730_000,
            entries: 11,
        }],
        ..Top::default()
    }
}
