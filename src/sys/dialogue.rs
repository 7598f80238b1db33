//! A program that is asked one line and answers one line, again and again: for work that may hang
//! for ever, in a process that the asker can do without.
//!
//! An answer that is late is not waited for: the program is killed, and what the kernel holds on to
//! (a file system that does not answer) is left to it. Knows nothing of what is said.

use std::fmt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};

use super::cmd::{Cmd, CmdError};
use super::runner::{Group, Runner};

/// A longer answer is none, in bytes.
const LONGEST_ANSWER: u64 = 512 << 10;

/// A running program that answers lines. Dropping it kills it.
pub struct Dialogue {
    other: Other,
    /// Whether a question has been put and not been answered: its answer may still come, and would
    /// be taken for that to the next one.
    is_open: bool,
}

enum Other {
    Program(Box<Program>),
    Scripted(Talk, Option<Arc<AtomicBool>>),
}

struct Program {
    child: Child,
    group: Group,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Why there is no answer. There will be none any more: the program is to be abandoned.
#[derive(Debug, Error)]
pub enum NoAnswer {
    /// It did not come in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Late(Duration),
    /// The program has ended.
    #[error("the program ended")]
    Ended,
    /// A question before this one was given up without an answer.
    #[error("an earlier question has no answer yet")]
    OutOfStep,
    /// The pipe broke, or the answer is no text, or has no end.
    #[error("the answer could not be read")]
    Broken(#[source] std::io::Error),
}

/// What a scripted program makes of a line. For tests.
pub type Talk = Box<dyn FnMut(&str) -> Reply + Send>;

/// What a scripted program does when it is asked.
#[derive(Debug)]
pub enum Reply {
    /// It answers.
    Line(String),
    /// It does not answer in time; it dies when it is killed.
    Late,
    /// It does not answer, and the kernel holds on to it until this is true.
    Stuck(Arc<AtomicBool>),
    /// It ends.
    Ended,
}

/// A program that was killed and not waited for.
pub struct Abandoned(Remains);

enum Remains {
    Program(Child),
    Scripted(Option<Arc<AtomicBool>>),
}

impl fmt::Debug for Dialogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialogue").field("is_open", &self.is_open).finish_non_exhaustive()
    }
}

impl fmt::Debug for Abandoned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Abandoned").finish_non_exhaustive()
    }
}

impl Runner {
    /// Starts a program that answers lines. What it complains about goes where our own standard
    /// error goes; the deadline of `cmd` and its input count for nothing.
    pub fn converse(&self, cmd: &Cmd) -> Result<Dialogue, CmdError> {
        if let Self::Scripted(script) = self {
            let talk = script.lock().expect("a script is never poisoned").begin(cmd);
            return Ok(Dialogue { other: Other::Scripted(talk, None), is_open: false });
        }
        tracing::debug!(command = %cmd, "starting");
        let io = |source| CmdError::Io { command: cmd.to_string(), source };
        let mut command = self.prepare(cmd, Stdio::piped(), Stdio::inherit())?;
        let child = command.stdin(Stdio::piped()).process_group(0).spawn().map_err(io)?;
        Ok(Dialogue::with(child))
    }
}

impl Dialogue {
    /// With a program whose input and output are pipes.
    fn with(mut child: Child) -> Self {
        let group = Group::of(&child);
        let input = child.stdin.take().expect("piped");
        // Answers are small, and this process may have to be.
        let output = BufReader::with_capacity(4096, child.stdout.take().expect("piped"));
        let program = Box::new(Program { child, group, input, output });
        Self { other: Other::Program(program), is_open: false }
    }

    /// Puts a question, a line without its end, and waits for the answer, which comes without its
    /// end, too. A call that is dropped before it returns leaves the dialogue out of step: every
    /// further question fails.
    pub async fn ask(&mut self, line: &str, deadline: Duration) -> Result<String, NoAnswer> {
        if std::mem::replace(&mut self.is_open, true) {
            return Err(NoAnswer::OutOfStep);
        }
        let answer = match &mut self.other {
            Other::Program(program) => tokio::time::timeout(deadline, program.ask(line))
                .await
                .unwrap_or(Err(NoAnswer::Late(deadline)))?,
            Other::Scripted(talk, held) => match talk(line) {
                Reply::Line(answer) => answer,
                Reply::Ended => return Err(NoAnswer::Ended),
                Reply::Late => return Err(late(deadline).await),
                Reply::Stuck(thawed) => {
                    *held = Some(thawed);
                    return Err(late(deadline).await);
                }
            },
        };
        self.is_open = false;
        Ok(answer)
    }

    /// Whether another question can be put.
    pub fn is_ready(&mut self) -> bool {
        let lives = match &mut self.other {
            Other::Program(program) => matches!(program.child.try_wait(), Ok(None)),
            Other::Scripted(..) => true,
        };
        lives && !self.is_open
    }

    /// Kills the program and does not wait for its end.
    pub fn abandon(self) -> Abandoned {
        Abandoned(match self.other {
            Other::Program(mut program) => {
                program.group.kill();
                Remains::Program(program.child)
            }
            Other::Scripted(_, held) => Remains::Scripted(held),
        })
    }
}

impl Program {
    async fn ask(&mut self, line: &str) -> Result<String, NoAnswer> {
        // Whoever does not read any more has ended, which its output tells.
        let _ = self.input.write_all(line.as_bytes()).await;
        let _ = self.input.write_all(b"\n").await;
        let mut answer = Vec::new();
        let mut limited = (&mut self.output).take(LONGEST_ANSWER);
        limited.read_until(b'\n', &mut answer).await.map_err(NoAnswer::Broken)?;
        let invalid = |what: &str| {
            NoAnswer::Broken(std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned()))
        };
        match answer.pop() {
            Some(b'\n') => String::from_utf8(answer).map_err(|_| invalid("it is not text")),
            Some(_) if answer.len() as u64 + 1 >= LONGEST_ANSWER => Err(invalid("it has no end")),
            // What was said when it ended is not whole.
            _ => Err(NoAnswer::Ended),
        }
    }
}

async fn late(deadline: Duration) -> NoAnswer {
    tokio::time::sleep(deadline).await;
    NoAnswer::Late(deadline)
}

impl Abandoned {
    /// Whether the kernel has let go of it.
    pub fn is_gone(&mut self) -> bool {
        match &mut self.0 {
            Remains::Program(child) => !matches!(child.try_wait(), Ok(None)),
            Remains::Scripted(held) => {
                held.as_ref().is_none_or(|thawed| thawed.load(Ordering::Relaxed))
            }
        }
    }

    /// The process id of what is left of it and its state, as the kernel writes it; nothing where
    /// it is gone. Of its threads the one counts that the kernel holds on to (`D`).
    pub fn left(&mut self) -> Option<(u32, char)> {
        if self.is_gone() {
            return None;
        }
        let Remains::Program(child) = &self.0 else { return Some((0, 'D')) };
        let pid = child.id()?;
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let states = threads.filter_map(|thread| {
            let stat = std::fs::read_to_string(thread.ok()?.path().join("stat")).ok()?;
            // The name of a program may hold anything, also what comes after it here.
            stat.rsplit_once(") ")?.1.chars().next()
        });
        let state = states.min_by_key(|state| *state != 'D')?;
        Some((pid, state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(300);
    const LONG: Duration = Duration::from_secs(30);

    /// Not through a runner: that starts the running program again, which is a test here.
    #[expect(clippy::disallowed_methods, reason = "a program for a test")]
    fn shell(script: &str) -> Dialogue {
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        Dialogue::with(command.process_group(0).kill_on_drop(true).spawn().unwrap())
    }

    #[tokio::test]
    async fn a_line_is_answered_by_a_line() {
        let mut echo = shell("while read -r line; do echo \"<$line>\"; done");
        for line in ["one", "", "three words here", &"x".repeat(100_000)] {
            assert_eq!(echo.ask(line, LONG).await.unwrap(), format!("<{line}>"));
        }
        assert!(echo.is_ready());
    }

    #[tokio::test]
    async fn a_late_answer_is_never_taken_for_that_to_the_next_question() {
        let mut slow = shell("while read -r line; do sleep 1; echo \"$line\"; done");
        assert!(matches!(slow.ask("one", SOON).await, Err(NoAnswer::Late(SOON))));
        assert!(!slow.is_ready());
        assert!(matches!(slow.ask("two", LONG).await, Err(NoAnswer::OutOfStep)));

        let mut dropped = shell("while read -r line; do sleep 1; echo \"$line\"; done");
        assert!(tokio::time::timeout(SOON, dropped.ask("one", LONG)).await.is_err());
        assert!(matches!(dropped.ask("two", LONG).await, Err(NoAnswer::OutOfStep)));
    }

    #[tokio::test]
    async fn what_is_abandoned_is_dead_with_all_that_it_started() {
        let mut parent = shell("sleep 600 & read -r line; echo $!; read -r line");
        let sleeper = parent.ask("who", LONG).await.unwrap();
        let mut abandoned = parent.abandon();
        let proc = std::path::Path::new("/proc").join(sleeper);
        let state = || std::fs::read_to_string(proc.join("stat")).unwrap_or_default();
        let is_dead = || state().is_empty() || state().contains(") Z ");
        while !abandoned.is_gone() || !is_dead() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn the_end_of_the_program_is_no_answer() {
        for script in ["exit 0", "printf half; exit 0", "read -r line; printf half"] {
            assert!(
                matches!(shell(script).ask("one", LONG).await, Err(NoAnswer::Ended)),
                "{script}"
            );
        }
        let mut endless = shell("head -c 600000 /dev/zero | tr '\\0' x; sleep 600");
        assert!(matches!(endless.ask("one", LONG).await, Err(NoAnswer::Broken(_))));
    }
}
