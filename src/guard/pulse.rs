//! Whether a mounted file system answers, and how fast: asked by a child, because a dead server hangs
//! whoever asks, for ever.

use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use nix::sys::statvfs::statvfs;
use serde::{Deserialize, Serialize};

use crate::lease::ground::{Ground, MARK};
use crate::sys::dialogue::{Abandoned, NoAnswer};
use crate::sys::{Cmd, Dialogue, Root, Runner, Tool};

/// A healthy file system answers in milliseconds, a throttled one in seconds.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the child is asked: whether the file system at this path answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Where it is mounted.
    pub mount_point: Utf8PathBuf,
}

/// What the child answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It answers, after so many microseconds.
    Well(u64),
    /// It does not, or is another one.
    Ill(String),
}

/// Asks about mounts. A child that hangs is not followed by another one before it is gone.
#[derive(Debug)]
pub(super) struct Pulse {
    runner: Runner,
    patience: Duration,
    hanging: Option<Abandoned>,
}

impl Pulse {
    pub(super) const fn new(runner: Runner) -> Self {
        Self { runner, patience: PATIENCE, hanging: None }
    }

    /// How long each file system took to answer, or what is wrong with it.
    pub(super) async fn feel(&mut self, mounts: &[Utf8PathBuf]) -> Vec<Result<Duration, String>> {
        let all = |why: String| mounts.iter().map(|_| Err(why.clone())).collect();
        if self.hanging.as_mut().is_some_and(|child| !child.is_gone()) {
            return all("a file system does not answer: who asked it hangs".to_owned());
        }
        self.hanging = None;
        let command = Cmd::new(Tool::Hostkit).args(["inner", "pulse"]);
        let mut dialogue = match self.runner.converse(&command) {
            Ok(dialogue) => dialogue,
            Err(error) => return all(error.to_string()),
        };
        let mut felt = Vec::new();
        for mount_point in mounts {
            let question = Question { mount_point: mount_point.clone() };
            let line = serde_json::to_string(&question).expect("a question has only string keys");
            felt.push(match self.ask(&mut dialogue, &line).await {
                Ok(Answer::Well(micros)) => Ok(Duration::from_micros(micros)),
                Ok(Answer::Ill(why)) => Err(format!("{mount_point}: {why}")),
                Err(NoAnswer::Late(after)) => {
                    Err(format!("{mount_point} did not answer within {} s", after.as_secs()))
                }
                Err(NoAnswer::OutOfStep) => Err(format!("{mount_point} was not asked")),
                Err(error) => Err(format!("{mount_point}: who asked it ended: {error}")),
            });
        }
        // Whether it has answered or hangs: it is needed no more.
        self.hanging = Some(dialogue.abandon());
        felt
    }

    async fn ask(&self, dialogue: &mut Dialogue, line: &str) -> Result<Answer, NoAnswer> {
        let answer = dialogue.ask(line, self.patience).await?;
        serde_json::from_str(&answer).map_err(|error| NoAnswer::Broken(error.into()))
    }
}

/// What the child does with a line: it opens the root of the file system and reads what is there.
pub fn answer(line: &str, ground: Ground) -> Answer {
    let work = || -> anyhow::Result<()> {
        let question: Question = serde_json::from_str(line)?;
        let root = Root::strict(&question.mount_point)?;
        anyhow::ensure!(ground.bears(&root)?, "no network file system is mounted there");
        // An error of the server comes with the first that is asked of it.
        let _ = root.read_text(MARK)?;
        statvfs(question.mount_point.as_std_path())?;
        Ok(())
    };
    let began = Instant::now();
    match work() {
        Ok(()) => Answer::Well(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX)),
        Err(error) => Answer::Ill(format!("{error:#}")),
    }
}
