//! How a child is asked: with a deadline, and without waiting for one that hangs.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::notebook::{Hang, Left, Step};
use super::{Answer, Request, Task, Trouble, User};
use crate::doctor::efs::scene::{Case, Here, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};
use crate::host::Role;
use crate::lease::ground::Ground;
use crate::sys::dialogue::{Abandoned, NoAnswer};
use crate::sys::{Cmd, Tool};

/// A child that is alive says itself that its work hangs, and needs this long to start and to say it.
const GRACE: Duration = Duration::from_millis(1200);

/// How long a killed child may take to be gone.
const LAST_MOMENT: Duration = Duration::from_millis(200);

/// What was heard of a child.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Heard<T> {
    /// What it found.
    Said(T),
    /// It could not look.
    Failed(Trouble),
    /// It hangs, or hung.
    Hangs(Hang),
}

impl<T> Heard<T> {
    /// Judges what was found; that nothing could be is a failure of the check itself.
    pub fn judge(&self, id: Id, case: &Case<'_>, how: impl FnOnce(&T) -> Finding) -> Finding {
        match self {
            Self::Said(found) => how(found),
            Self::Failed(trouble) => {
                let finding = Finding::new(id.name(), Verdict::Fail, trouble.told());
                trouble.fix(case).into_iter().fold(finding, Finding::mended_by)
            }
            Self::Hangs(hang) => hang.judge(id),
        }
    }
}

impl Hang {
    /// What it says of the file system.
    pub fn judge(&self, id: Id) -> Finding {
        let doing = if self.doing.is_empty() { "the child that looks" } else { &self.doing };
        let says = format!("the file system hangs: {doing} did not end within {}", self.waited());
        let mut finding = Finding::new(id.name(), Verdict::Fail, says);
        if !self.done.is_empty() {
            finding = finding.shown_by(format!("before that: {}", Step::list(&self.done)));
        }
        if let Some(Left { pid, state }) = &self.left {
            finding = finding.shown_by(format!(
                "process {pid} (state {state}) was killed and is left to the kernel"
            ));
        }
        finding.mended_by("hostkit efs recover hang")
    }

    fn waited(&self) -> String {
        format!("{}.{} s", self.after / 1000, self.after % 1000 / 100)
    }
}

/// What this host is told, where it has a home at all.
///
/// # Errors
/// It has none: it is no controller.
pub fn controller<'a>(scene: &'a Scene<'_>) -> Look<&'a Here> {
    let untold = |why: &str| Gap { needs: String::new(), denied: false, why: why.to_owned() };
    match &scene.asked.host {
        None => Err(untold("only on the host that mounts it")),
        Some(here) if here.role != Role::Controller => {
            Err(untold("only a controller has a home on it"))
        }
        Some(here) => Ok(here),
    }
}

/// Asks a child, which may take so long, and becomes `user` before anything else where one is named.
/// Returns a moment after that at the latest, whatever hangs.
///
/// # Errors
/// There is no child: it could not be started, or ended.
pub async fn ask<T>(
    scene: &Scene<'_>,
    here: &Here,
    task: Task,
    user: Option<User>,
    patience: Duration,
) -> Look<Heard<T>>
where
    Heard<T>: TryFrom<Answer, Error = Answer>,
{
    let request = Request {
        mount_point: here.mount_point.clone(),
        task,
        patience: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
        user,
    };
    let line = serde_json::to_string(&request).expect("a request has only string keys");
    let anywhere = (scene.ground == Ground::Any).then_some("--anywhere");
    let command = Cmd::new(Tool::Hostkit).args(["inner", "efs"]).args(anywhere);
    let ended = |why: String| Gap { needs: String::new(), denied: false, why };
    let mut dialogue = scene.runner.converse(&command).map_err(|error| ended(error.to_string()))?;
    let told = dialogue.ask(&line, patience + GRACE).await;
    let child = dialogue.abandon();
    let hang = |after: Duration| Hang {
        doing: String::new(),
        done: Vec::new(),
        after: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
        left: None,
    };
    let answer = match told {
        Ok(line) => serde_json::from_str(&line)
            .map_err(|error| ended(format!("the child that looks said something else: {error}")))?,
        Err(NoAnswer::Late(after)) => Answer::Hangs(hang(after)),
        Err(error) => return Err(ended(format!("the child that looks did not: {error}"))),
    };
    let answer = match answer {
        Answer::Hangs(hang) => Answer::Hangs(Hang { left: left(child).await, ..hang }),
        answer => answer,
    };
    Heard::try_from(answer)
        .map_err(|other| ended(format!("the child that looks said something else: {other:?}")))
}

/// What is left of a child, if anything is.
async fn left(mut child: Abandoned) -> Option<Left> {
    tokio::time::sleep(LAST_MOMENT).await;
    child.left().map(|(pid, state)| Left { pid, state })
}
