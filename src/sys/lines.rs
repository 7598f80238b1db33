//! A program that writes lines without end: each is read when the reader wants it, so that a reader
//! who has no time makes the program wait, and nothing piles up.

use std::collections::VecDeque;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, ChildStdout};

use super::cmd::{Cmd, CmdError};
use super::runner::{Group, Runner};

/// What is longer is cut, in bytes.
const LONGEST: u64 = 1 << 20;

/// The lines of a running program. Dropping it kills the program.
#[derive(Debug)]
pub struct Lines(Origin);

#[derive(Debug)]
enum Origin {
    Program(Box<Program>),
    Scripted(VecDeque<String>),
}

#[derive(Debug)]
struct Program {
    output: BufReader<ChildStdout>,
    /// What was read of a line when the reader turned to something else.
    part: Vec<u8>,
    /// The rest of a line that is too long is passed over.
    skip: bool,
    _child: Child,
    _group: Group,
}

impl Runner {
    /// Starts a program and reads its lines. What it complains about goes where our own standard
    /// error goes; the deadline of `cmd` counts for nothing.
    pub fn follow(&self, cmd: &Cmd) -> Result<Lines, CmdError> {
        if let Self::Scripted(script) = self {
            let output = script.lock().expect("a script is never poisoned").play(cmd)?;
            return Ok(Lines(Origin::Scripted(output.text().lines().map(str::to_owned).collect())));
        }
        tracing::debug!(command = %cmd, "following");
        let io = |source| CmdError::Io { command: cmd.to_string(), source };
        let mut command = self.prepare(cmd, Stdio::piped(), Stdio::inherit())?;
        let mut child = command.process_group(0).spawn().map_err(io)?;
        let group = Group::of(&child);
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (part, skip) = (Vec::new(), false);
        let program = Program { output, part, skip, _child: child, _group: group };
        Ok(Lines(Origin::Program(Box::new(program))))
    }
}

impl Lines {
    /// The next line; none when the program has ended. A call that is dropped loses nothing. A
    /// scripted program never ends, as one that follows something.
    pub async fn next(&mut self) -> std::io::Result<Option<String>> {
        match &mut self.0 {
            Origin::Scripted(lines) => match lines.pop_front() {
                Some(line) => Ok(Some(line)),
                None => std::future::pending().await,
            },
            Origin::Program(program) => program.next().await,
        }
    }
}

impl Program {
    async fn next(&mut self) -> std::io::Result<Option<String>> {
        loop {
            let room = LONGEST.saturating_sub(self.part.len() as u64);
            let mut limited = (&mut self.output).take(room.max(1));
            let read = limited.read_until(b'\n', &mut self.part).await?;
            let whole = self.part.last() == Some(&b'\n');
            if read == 0 && !whole {
                return Ok(None);
            }
            if !whole && (self.part.len() as u64) < LONGEST {
                continue;
            }
            let was_rest = std::mem::replace(&mut self.skip, !whole);
            let line = std::mem::take(&mut self.part);
            if !was_rest {
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not through a runner: that starts the running program again, which is a test here.
    #[expect(clippy::disallowed_methods, reason = "a program for a test")]
    fn shell(script: &str) -> Lines {
        let mut command = tokio::process::Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped()).process_group(0).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let group = Group::of(&child);
        let output = BufReader::new(child.stdout.take().unwrap());
        let (part, skip) = (Vec::new(), false);
        let program = Program { output, part, skip, _child: child, _group: group };
        Lines(Origin::Program(Box::new(program)))
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_cut_and_the_next_one_is_whole() {
        let mut lines = shell("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo; echo two");
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            seen.push(line.len());
        }
        assert_eq!(seen, [1 << 20, 0, 3]);
    }

    #[tokio::test]
    async fn a_reader_that_turns_away_loses_nothing() {
        let mut lines = shell("printf one; sleep 0.3; echo ' more'; sleep 600");
        let soon = std::time::Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, lines.next()).await.is_err());
        assert_eq!(lines.next().await.unwrap().as_deref(), Some("one more"));
    }
}
