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
    Program {
        output: BufReader<ChildStdout>,
        /// What was read of a line when the reader turned to something else.
        part: Vec<u8>,
        /// The rest of a line that is too long is passed over.
        skip: bool,
        _child: Child,
        _group: Group,
    },
    Scripted(VecDeque<String>),
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
        Ok(Lines(Origin::Program { output, part, skip, _child: child, _group: group }))
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
            Origin::Program { output, part, skip, .. } => loop {
                let room = LONGEST.saturating_sub(part.len() as u64);
                let mut limited = (&mut *output).take(room.max(1));
                let read = limited.read_until(b'\n', part).await?;
                let whole = part.last() == Some(&b'\n');
                if read == 0 && !whole {
                    return Ok(None);
                }
                if !whole && (part.len() as u64) < LONGEST {
                    continue;
                }
                let was_rest = std::mem::replace(skip, !whole);
                let line = std::mem::take(part);
                if !was_rest {
                    return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
                }
            },
        }
    }
}
