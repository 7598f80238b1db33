//! A program call as data: comparable, printable, and the same for every way to run it.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::tool::Tool;
use crate::error::Fault;

/// How long a program may take if nobody says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_mins(5);

/// How much of a program's standard error is kept for the error message, in bytes.
const STDERR_TAIL: usize = 2048;

/// One call of an outside program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cmd {
    /// The program.
    pub tool: Tool,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables added to the closed environment that every child gets.
    pub env: Vec<(String, String)>,
    /// What it reads on standard input; nothing if absent.
    pub stdin: Option<Vec<u8>>,
    /// After this long it is killed and the call fails.
    pub timeout: Duration,
}

impl Cmd {
    /// A call without arguments.
    pub fn new(tool: Tool) -> Self {
        Self { tool, args: Vec::new(), env: Vec::new(), stdin: None, timeout: DEFAULT_TIMEOUT }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Gives it something to read.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Sets the deadline.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

impl fmt::Display for Cmd {
    /// As a person would type it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tool.name())?;
        self.args.iter().try_for_each(|arg| write!(f, " {}", quote(arg)))
    }
}

/// One word of a shell's command line that comes out as `arg`.
pub fn quote(arg: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) {
        arg.to_owned()
    } else {
        format!("'{}'", arg.replace('\'', r"'\''"))
    }
}

/// What a program that ended with status 0 wrote on standard output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The bytes, as they came.
    pub stdout: Vec<u8>,
}

impl Output {
    /// The output as text, without the last line end.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end_matches('\n').to_owned()
    }
}

/// Why a call did not succeed.
#[derive(Debug, Error)]
pub enum CmdError {
    /// The program is not there.
    #[error(transparent)]
    Missing(#[from] Fault),
    /// It could not be started, or its streams broke.
    #[error("running `{command}`")]
    Io {
        /// The call.
        command: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It did not end in time and was killed.
    #[error("`{command}` did not end within {} s and was killed", timeout.as_secs())]
    Timeout {
        /// The call.
        command: String,
        /// Its deadline.
        timeout: Duration,
    },
    /// It ended with another status than 0.
    #[error("`{command}` {}{}", status(*code), tail(stderr))]
    Failed {
        /// The call.
        command: String,
        /// The exit status; absent when a signal ended it.
        code: Option<i32>,
        /// The end of what it wrote on standard error.
        stderr: String,
    },
}

impl CmdError {
    /// The exit status of a program that ran and failed.
    pub const fn code(&self) -> Option<i32> {
        if let Self::Failed { code, .. } = self { *code } else { None }
    }
}

fn status(code: Option<i32>) -> String {
    code.map_or_else(|| "was killed by a signal".to_owned(), |code| format!("ended with {code}"))
}

fn tail(stderr: &str) -> String {
    let text = stderr.trim();
    if text.is_empty() {
        return String::new();
    }
    let from = text.len().saturating_sub(STDERR_TAIL);
    let from = (from..text.len()).find(|&i| text.is_char_boundary(i)).unwrap_or(0);
    format!(":\n{}", &text[from..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_a_person_would_type_it() {
        let cmd = Cmd::new(Tool::Shell).args(["-c", "echo 'it is'", ""]);
        assert_eq!(cmd.to_string(), r"sh -c 'echo '\''it is'\''' ''");
    }

    #[test]
    fn keeps_only_the_end_of_a_long_complaint() {
        let stderr = "é".repeat(STDERR_TAIL) + "the cause";
        let error = CmdError::Failed { command: "x".into(), code: Some(1), stderr };
        let text = error.to_string();
        assert!(text.ends_with("the cause") && text.len() < STDERR_TAIL + 40, "{text}");
    }
}
