//! How a host goes, decided without I/O: stage after stage, each with its time.
//!
//! It is told what is to be seen of the stage that it is at, and says what to do. Nothing of it is
//! remembered: a drain that was killed begins again at the first stage, sees what is done already,
//! and is where it was. A stage that does not succeed in its time is given up and the next one
//! comes, because the host goes anyway. Two things it never does: it never has the lease released
//! while Jenkins may write, and never tells the group that the host may go before the home is
//! released.

/// Seconds since the drain began.
pub type Moment = f64;

/// So often is done again what has not helped yet, in seconds.
const AGAIN: f64 = 10.0;

/// A part of a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// The load balancer sends nothing here any more.
    Targets,
    /// A boot that is still under way is stopped.
    Boot,
    /// Jenkins begins no further builds.
    Quiet,
    /// Builds that a restart would lose end.
    Builds,
    /// Builds that the controller runs on this agent end, and it lets the agent go.
    Sessions,
    /// Nobody connects to this agent any more.
    Door,
    /// Tasks are moved away.
    Tasks,
    /// What the host is for is stopped: Jenkins, or the ECS agent.
    Stop,
    /// The cluster forgets the host.
    Leave,
    /// What was written is on the file system, and the lease says that the home is free.
    Release,
    /// The home is unmounted.
    Unmount,
    /// The group is told that the host may go.
    Hook,
}

impl Stage {
    /// Its name, as in events and in what people read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Targets => "targets",
            Self::Boot => "boot",
            Self::Quiet => "quiet",
            Self::Builds => "builds",
            Self::Sessions => "sessions",
            Self::Door => "door",
            Self::Tasks => "tasks",
            Self::Stop => "stop",
            Self::Leave => "leave",
            Self::Release => "release",
            Self::Unmount => "unmount",
            Self::Hook => "hook",
        }
    }

    /// What it does, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Targets => "taking this host from the load balancer",
            Self::Boot => "stopping a boot that is under way",
            Self::Quiet => "having Jenkins begin no more builds",
            Self::Builds => "waiting for builds that a restart would lose",
            Self::Sessions => {
                "waiting for builds on this agent, and for its controller to let it go"
            }
            Self::Door => "letting nobody connect any more",
            Self::Tasks => "waiting for tasks to be moved away",
            Self::Stop => "stopping what this host is for",
            Self::Leave => "taking this host from its cluster",
            Self::Release => "writing everything back and releasing the home",
            Self::Unmount => "unmounting the home",
            Self::Hook => "telling the group that this host may go",
        }
    }

    /// Whether there is something to do, or only something to wait for.
    const fn acts(self) -> bool {
        !matches!(self, Self::Builds | Self::Sessions)
    }
}

/// What is done when the time of a stage is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Late {
    /// It is given up, and the next one comes.
    GoOn,
    /// It is done by force, which gets so many seconds more; then it is given up.
    Force(f64),
    /// It is told, and tried for as long as the host lives: nothing may come after it.
    Insist,
}

/// A stage and its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// The stage.
    pub stage: Stage,
    /// It ends so many seconds after it began at the latest,
    pub limit: f64,
    /// and then, whenever it began.
    pub until: Moment,
    /// What is done then.
    pub late: Late,
}

/// What is to be seen of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It is as it should be. Perhaps why there was nothing to do.
    Done(Option<String>),
    /// Something is left.
    Left(String),
    /// It cannot be told.
    Unclear(String),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The stage is done; look at the next one.
    Ended(Option<String>),
    /// The stage is given up, and why; look at the next one.
    GivenUp(String),
    /// Its time is over and nothing may come after it; it is told once, and tried on.
    Stuck(String),
    /// Do what it is about.
    Act,
    /// Do it by force.
    Force,
    /// Look again in a second.
    Wait,
}

/// A drain under way.
#[derive(Clone, Debug)]
pub struct Drain {
    rows: Vec<Row>,
    at: usize,
    /// When the stage began.
    began: Option<Moment>,
    /// When something was done for it.
    acted: Option<Moment>,
    /// When force was used.
    forced: Option<Moment>,
    told_stuck: bool,
    /// The stages that were given up.
    failed: Vec<Stage>,
}

impl Drain {
    /// Begins.
    pub const fn new(rows: Vec<Row>) -> Self {
        let (began, acted, forced) = (None, None, None);
        Self { rows, at: 0, began, acted, forced, told_stuck: false, failed: Vec::new() }
    }

    /// The stage that is to be looked at; `None` when there is no more.
    pub fn stage(&self) -> Option<Stage> {
        self.rows.get(self.at).map(|row| row.stage)
    }

    /// Whether it will not come further by itself.
    pub const fn is_stuck(&self) -> bool {
        self.told_stuck
    }

    /// The stages that were given up.
    pub fn failed(&self) -> &[Stage] {
        &self.failed
    }

    /// The same drain with other times, and a clock that begins anew: less is left than was thought.
    pub fn hurry(&mut self, rows: Vec<Row>) {
        let stage = self.stage();
        let at = rows.iter().position(|row| Some(row.stage) == stage);
        self.at = at.unwrap_or(if stage.is_none() { rows.len() } else { 0 });
        self.rows = rows;
        (self.began, self.acted, self.forced) = (None, None, None);
        self.told_stuck = false;
    }

    /// What to do about what is seen at `now`.
    pub fn hear(&mut self, now: Moment, seen: &Seen) -> Next {
        let Some(row) = self.rows.get(self.at).copied() else { return Next::Ended(None) };
        let began = *self.began.get_or_insert(now);
        let why = match seen {
            Seen::Done(note) => {
                self.go_on();
                return Next::Ended(note.clone());
            }
            Seen::Left(why) | Seen::Unclear(why) => why,
        };
        // Before force it is asked for once, however late it is.
        let is_late = now >= row.until.min(began + row.limit);
        let was_asked = self.acted.is_some() || !matches!(row.late, Late::Force(_));
        if is_late && was_asked {
            match (row.late, self.forced) {
                (Late::Insist, _) if !self.told_stuck => {
                    self.told_stuck = true;
                    return Next::Stuck(why.clone());
                }
                (Late::Insist, _) => {}
                (Late::Force(_), None) => {
                    self.forced = Some(now);
                    return Next::Force;
                }
                (Late::Force(grace), Some(then)) if now < then + grace => return Next::Wait,
                (Late::Force(_) | Late::GoOn, _) => {
                    self.failed.push(row.stage);
                    self.go_on();
                    return Next::GivenUp(why.clone());
                }
            }
        }
        let is_due = self.acted.is_none_or(|then| now >= then + AGAIN);
        if row.stage.acts() && is_due {
            self.acted = Some(now);
            return Next::Act;
        }
        Next::Wait
    }

    fn go_on(&mut self) {
        self.at += 1;
        (self.began, self.acted, self.forced) = (None, None, None);
        self.told_stuck = false;
    }
}
