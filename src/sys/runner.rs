//! Where a program runs: here, inside a target tree, or (in tests) in a script of answers.
//!
//! Every child gets a closed environment, no standard input unless it is given one, and a
//! deadline. A child never outlives the hostkit process that started it.

use std::io::PipeWriter;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::cmd::{Cmd, CmdError, Output};
use super::dialogue::{Reply, Talk};
use super::process::Process;
use super::tool::{PATH, Tool};

/// How much is kept of the output that is handed on line by line, and of every standard error, in
/// bytes: its end.
const TAIL: usize = 256 << 10;

/// What is longer is handed on as several lines, in bytes.
const LONGEST_LINE: u64 = 64 << 10;

/// How long a killed program may take to be gone.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// A way to run programs.
#[derive(Clone, Debug)]
pub enum Runner {
    /// On this machine.
    Direct,
    /// On this machine, in mount and pid namespaces of its own: whatever it starts and mounts is
    /// gone when it ends. Needs root.
    Contained,
    /// Inside a tree: changed root, own mount, pid, uts and ipc namespaces. All mounts and all
    /// processes of a call are gone when it ends, whatever ends it.
    Chroot(Inside),
    /// Answers from a script, and a record of what was asked. For tests.
    Scripted(Arc<Mutex<Script>>),
}

/// The tree of [`Runner::Chroot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inside {
    /// Where it is.
    pub root: Utf8PathBuf,
    /// The time that every program writes instead of its own, if the tree is to come out the same
    /// whenever it is made: seconds since 1970, as `SOURCE_DATE_EPOCH`.
    pub epoch: Option<i64>,
}

/// What a scripted program does: standard output, or an exit status and a complaint.
type Answer = Box<dyn FnMut(&Cmd) -> Result<String, (i32, String)> + Send>;

/// What makes the scripted program of a dialogue, each time that it is started.
type Beginning = Box<dyn FnMut(&Cmd) -> Talk + Send>;

/// The answers of [`Runner::Scripted`], matched by the beginning of the call as printed.
#[derive(Default)]
pub struct Script {
    answers: Vec<(String, Answer)>,
    dialogues: Vec<(String, Beginning)>,
    hanging: Vec<String>,
    seen: Vec<Cmd>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Script").field("seen", &self.seen).finish_non_exhaustive()
    }
}

impl Script {
    /// Calls that print as `prefix…` succeed and write `stdout`.
    #[must_use]
    pub fn answer(self, prefix: &str, stdout: &str) -> Self {
        let stdout = stdout.to_owned();
        self.on(prefix, move |_| Ok(stdout.clone()))
    }

    /// Calls that print as `prefix…` end with `code` and complain with `stderr`.
    #[must_use]
    pub fn fail(self, prefix: &str, code: i32, stderr: &str) -> Self {
        let stderr = stderr.to_owned();
        self.on(prefix, move |_| Err((code, stderr.clone())))
    }

    /// Calls that print as `prefix…` do what `act` does: a program with an effect.
    #[must_use]
    pub fn on(
        mut self,
        prefix: &str,
        act: impl FnMut(&Cmd) -> Result<String, (i32, String)> + Send + 'static,
    ) -> Self {
        self.answers.push((prefix.to_owned(), Box::new(act)));
        self
    }

    /// Dialogues with programs that print as `prefix…` are held by what `begin` makes, anew at each
    /// start.
    #[must_use]
    pub fn converse(
        mut self,
        prefix: &str,
        begin: impl FnMut(&Cmd) -> Talk + Send + 'static,
    ) -> Self {
        self.dialogues.push((prefix.to_owned(), Box::new(begin)));
        self
    }

    /// From now on calls that print as `prefix…` do not end in their time.
    pub fn hang(&mut self, prefix: &str) {
        self.hanging.push(prefix.to_owned());
    }

    /// What was called so far, as printed.
    pub fn seen(&self) -> Vec<String> {
        self.seen.iter().map(ToString::to_string).collect()
    }

    /// A runner that follows this script; a call without an answer succeeds silently.
    pub fn runner(self) -> (Runner, Arc<Mutex<Self>>) {
        let script = Arc::new(Mutex::new(self));
        (Runner::Scripted(Arc::clone(&script)), script)
    }

    /// The program of a dialogue; one that nobody scripted ends at once.
    pub(super) fn begin(&mut self, cmd: &Cmd) -> Talk {
        let command = cmd.to_string();
        self.seen.push(cmd.clone());
        let begin = self.dialogues.iter_mut().find(|(prefix, _)| command.starts_with(prefix));
        begin.map_or_else(|| Box::new(|_: &str| Reply::Ended) as Talk, |(_, begin)| begin(cmd))
    }

    pub(super) fn play(&mut self, cmd: &Cmd) -> Result<Output, CmdError> {
        let command = cmd.to_string();
        self.seen.push(cmd.clone());
        if self.hanging.iter().any(|prefix| command.starts_with(prefix)) {
            return Err(CmdError::Timeout { command, timeout: cmd.timeout });
        }
        let answer = self.answers.iter_mut().find(|(prefix, _)| command.starts_with(prefix));
        match answer.map(|(_, act)| act(cmd)) {
            None => Ok(Output::default()),
            Some(Ok(stdout)) => Ok(Output { stdout: stdout.into_bytes() }),
            Some(Err((code, stderr))) => {
                Err(CmdError::Failed { command, code: Some(code), stderr })
            }
        }
    }
}

impl Runner {
    /// Runs `cmd` to its end. Standard output is returned, standard error goes into the error.
    pub async fn run(&self, cmd: &Cmd) -> Result<Output, CmdError> {
        self.watch(cmd, &mut |_| {}, usize::MAX).await
    }

    /// As [`Runner::run`], and hands on each line of standard output and error as it comes. Only
    /// the end of standard output is returned: a build may write without end.
    pub async fn run_with(
        &self,
        cmd: &Cmd,
        mut line: impl FnMut(&str),
    ) -> Result<Output, CmdError> {
        self.watch(cmd, &mut line, TAIL).await
    }

    async fn watch(
        &self,
        cmd: &Cmd,
        line: &mut impl FnMut(&str),
        kept: usize,
    ) -> Result<Output, CmdError> {
        if let Self::Scripted(script) = self {
            return script.lock().expect("a script is never poisoned").play(cmd);
        }
        tracing::debug!(command = %cmd, "running");
        let mut child = self.start(cmd, Stdio::piped(), Stdio::piped())?;
        Self::attend(&mut child, cmd, line, kept).await
    }

    /// As [`Runner::run`], and what the program reads is what `feed` writes, on a thread of its
    /// own. Where both fail, the program's failure is the cause and the other its consequence.
    pub async fn run_fed(
        &self,
        cmd: &Cmd,
        feed: impl FnOnce(PipeWriter) -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<Output> {
        if let Self::Scripted(script) = self {
            return Ok(script.lock().expect("a script is never poisoned").play(cmd)?);
        }
        tracing::debug!(command = %cmd, "running");
        let (reader, writer) = std::io::pipe()?;
        let mut command = self.prepare(cmd, Stdio::piped(), Stdio::piped())?;
        let io = |source| CmdError::Io { command: cmd.to_string(), source };
        let mut child = command.stdin(reader).process_group(0).spawn().map_err(io)?;
        // It holds the reading end, too: as long as it lives, the writer would wait for a reader.
        drop(command);
        let feeding = tokio::task::spawn_blocking(move || feed(writer));
        let end = Self::attend(&mut child, cmd, &mut |_| {}, usize::MAX).await?;
        feeding.await?.map(|()| end)
    }

    /// Stays with a child until it ends, or its deadline.
    async fn attend(
        child: &mut Child,
        cmd: &Cmd,
        line: &mut impl FnMut(&str),
        kept: usize,
    ) -> Result<Output, CmdError> {
        let io = |source| CmdError::Io { command: cmd.to_string(), source };
        let mut group = Group::of(child);
        let work = communicate(child, cmd.stdin.as_deref(), line, kept);
        match tokio::time::timeout(cmd.timeout, work).await {
            Err(_elapsed) => {
                group.kill();
                end(child).await;
                Err(CmdError::Timeout { command: cmd.to_string(), timeout: cmd.timeout })
            }
            Ok(Err(source)) => Err(io(source)),
            Ok(Ok(streams)) => {
                let status = child.wait().await.map_err(io)?;
                // What it left running on purpose stays.
                group.forget();
                if status.success() {
                    return Ok(Output { stdout: streams.stdout });
                }
                let stderr = String::from_utf8_lossy(&streams.stderr).into_owned();
                Err(CmdError::Failed { command: cmd.to_string(), code: status.code(), stderr })
            }
        }
    }

    /// Starts a program that lives on, with both its output streams in the file `log`.
    ///
    /// It ends with the returned [`Process`], and with this process even if that is killed.
    pub fn spawn(&self, cmd: &Cmd, log: &Utf8Path) -> Result<Process, CmdError> {
        let io = |source| CmdError::Io { command: cmd.to_string(), source };
        let file = std::fs::File::create(log).map_err(io)?;
        let again = file.try_clone().map_err(io)?;
        // A group of its own: Ctrl-C in the terminal is for us, and we end our programs in order.
        let child = self.prepare(cmd, file.into(), again.into())?.process_group(0).spawn();
        let child = child.map_err(io)?;
        Ok(Process::new(cmd.tool.name(), child))
    }

    /// Runs `cmd` on our own standard input and output, for programs that people use through us.
    /// Returns the exit status; none when a signal ended it.
    pub async fn attach(&self, cmd: &Cmd) -> Result<Option<i32>, CmdError> {
        let io = |source| CmdError::Io { command: cmd.to_string(), source };
        let mut command = self.prepare(cmd, Stdio::inherit(), Stdio::inherit())?;
        let mut child = command.stdin(Stdio::inherit()).spawn().map_err(io)?;
        match tokio::time::timeout(cmd.timeout, child.wait()).await {
            Ok(status) => Ok(status.map_err(io)?.code()),
            Err(_elapsed) => {
                let _ = child.kill().await;
                Err(CmdError::Timeout { command: cmd.to_string(), timeout: cmd.timeout })
            }
        }
    }

    fn start(&self, cmd: &Cmd, stdout: Stdio, stderr: Stdio) -> Result<Child, CmdError> {
        // A group of its own, so that all of it can be killed: not only the program itself.
        self.prepare(cmd, stdout, stderr)?
            .process_group(0)
            .spawn()
            .map_err(|source| CmdError::Io { command: cmd.to_string(), source })
    }

    pub(super) fn prepare(
        &self,
        cmd: &Cmd,
        stdout: Stdio,
        stderr: Stdio,
    ) -> Result<Command, CmdError> {
        let mut command = self.command(cmd)?;
        command
            .env_clear()
            .env("PATH", PATH)
            .env("LANG", "C.UTF-8")
            .env("HOME", "/root")
            .envs(self.epoch().map(|epoch| ("SOURCE_DATE_EPOCH", epoch.to_string())))
            .envs(cmd.env.iter().map(|(name, value)| (name, value)))
            .stdin(if cmd.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(stdout)
            .stderr(stderr)
            .kill_on_drop(true);
        Ok(command)
    }

    fn epoch(&self) -> Option<i64> {
        if let Self::Chroot(inside) = self { inside.epoch } else { None }
    }

    /// Both real ways go through hostkit's own hidden commands, because what they must do between
    /// fork and exec (die with the parent, enter namespaces) needs a process of its own.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that starts programs")]
    fn command(&self, cmd: &Cmd) -> Result<Command, CmdError> {
        let parent = std::process::id().to_string();
        let mut command = Command::new(Tool::Hostkit.find()?);
        match self {
            Self::Direct => {
                command.args(["inner", "tether", &parent, "--"]).arg(cmd.tool.find()?);
            }
            Self::Contained => {
                command.args(["inner", "contain", &parent, "--"]).arg(cmd.tool.find()?);
            }
            Self::Chroot(Inside { root, .. }) => {
                command.args(["inner", "enter", &parent, root.as_str(), "--", cmd.tool.name()]);
            }
            Self::Scripted(_) => unreachable!("a scripted runner starts nothing"),
        }
        command.args(&cmd.args);
        Ok(command)
    }
}

/// The process group of a program that has not ended. Dropping it kills all of it: a program that
/// was given up may have started others.
#[derive(Debug)]
pub(super) struct Group(Option<Pid>);

impl Group {
    pub(super) fn of(child: &Child) -> Self {
        Self(child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw))
    }

    pub(super) fn kill(&mut self) {
        if let Some(group) = self.0.take() {
            let _ = killpg(group, Signal::SIGKILL);
        }
    }

    const fn forget(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Kills a child and does not wait long for its end: one that the kernel holds on to, because a
/// file system does not answer, ends when that does.
async fn end(child: &mut Child) {
    let _ = child.start_kill();
    let _ = tokio::time::timeout(LAST_MOMENTS, child.wait()).await;
}

struct Streams {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Feeds and drains a child until both its output streams are closed.
async fn communicate(
    child: &mut Child,
    stdin: Option<&[u8]>,
    line: &mut impl FnMut(&str),
    kept: usize,
) -> std::io::Result<Streams> {
    let mut input = child.stdin.take();
    let feed = async {
        if let (Some(pipe), Some(bytes)) = (input.as_mut(), stdin) {
            // A child that does not read its input says so with its exit status.
            let _ = pipe.write_all(bytes).await;
        }
        drop(input.take());
    };
    // A mutex and not a cell: a run may be part of a task that moves between threads.
    let line = Mutex::new(line);
    let out = drain(child.stdout.take().expect("piped"), &line, kept);
    let err = drain(child.stderr.take().expect("piped"), &line, TAIL);
    let ((), stdout, stderr) = tokio::join!(feed, out, err);
    Ok(Streams { stdout: stdout?, stderr: stderr? })
}

/// Hands on each line, and returns as many bytes of the end as are to be kept.
async fn drain(
    stream: impl AsyncReadExt + Unpin,
    line: &Mutex<&mut impl FnMut(&str)>,
    kept: usize,
) -> std::io::Result<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut all = Vec::new();
    loop {
        let from = all.len();
        let read = (&mut reader).take(LONGEST_LINE).read_until(b'\n', &mut all).await?;
        let text = String::from_utf8_lossy(&all[from..]);
        if read > 0 {
            (line.lock().expect("nobody panics with this lock"))(text.trim_end());
        }
        // Not with every line: what stays is moved.
        if read == 0 || all.len() > kept.saturating_mul(2) {
            all.drain(..all.len().saturating_sub(kept));
        }
        if read == 0 {
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_what_is_handed_on_only_the_end_is_kept() {
        let mut text = "a line of a build without end\n".repeat(100_000);
        text += &"x".repeat(200_000);
        let mut lines = (0, 0);
        let mut count = |line: &str| lines = (lines.0 + 1, lines.1.max(line.len()));
        let line = Mutex::new(&mut count);
        let end = drain(text.as_bytes(), &line, TAIL).await.unwrap();
        assert_eq!(end, &text.as_bytes()[text.len() - TAIL..]);
        let all = drain(text.as_bytes(), &line, usize::MAX).await.unwrap();
        assert_eq!(all, text.as_bytes());
        assert_eq!(lines, (2 * 100_004, 64 << 10));
    }
}
