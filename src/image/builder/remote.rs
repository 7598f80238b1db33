//! A builder that lets us in: scripts run as root there, and files put there. Connections may be
//! lost at any time, and what may be said twice is.

use std::fs::File;
use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8Path;
use tokio::time::Instant;

use super::launch::Instance;
use crate::digest::sha256_of;
use crate::error::Fault;
use crate::event::Events;
use crate::sys::cmd::quote;
use crate::sys::ssh::{Login, Refusal};
use crate::sys::{Cmd, CmdError, Output, Runner, Tool};

/// The folder of all that is hostkit's on a builder. It goes before the image is made.
pub(super) const FOLDER: &str = "/var/lib/hostkit-build";

/// How long one short script may take.
const SHORT: Duration = Duration::from_mins(2);
/// How long a file may take.
const FILE: Duration = Duration::from_mins(30);
/// How long a lost connection is tried to be had again.
pub(super) const PATIENCE: Duration = Duration::from_mins(10);
const PAUSE: Duration = Duration::from_secs(3);
/// A shell for a person has no deadline.
const ENDLESS: Duration = Duration::from_hours(24);

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Remote {
    login: Login,
    /// The machine.
    pub instance: Instance,
    runner: Runner,
}

impl Remote {
    pub(super) const fn new(login: Login, instance: Instance) -> Self {
        Self { login, instance, runner: Runner::Direct }
    }

    /// Who is asked, where.
    pub(super) fn address(&self) -> String {
        format!("{}@{}", self.login.user, self.login.host)
    }

    /// Whether it lets us in, as somebody who may become root.
    pub(super) async fn greet(&self) -> Result<(), CmdError> {
        self.script("true", Duration::from_mins(1)).await.map(drop)
    }

    /// Runs a script for `sh` as root. It stands in no list of processes.
    pub(super) async fn script(&self, text: &str, limit: Duration) -> Result<Output, CmdError> {
        self.runner.run(&self.as_root(text, limit)).await
    }

    /// Runs a short script that may be said twice, as often as the connection is lost.
    pub(super) async fn patiently(&self, text: &str) -> Result<Output, CmdError> {
        self.until(text, SHORT, PATIENCE).await
    }

    /// As [`Remote::patiently`], with other deadlines: of one attempt, and of all.
    pub(super) async fn until(
        &self,
        text: &str,
        limit: Duration,
        patience: Duration,
    ) -> Result<Output, CmdError> {
        let deadline = Instant::now() + patience;
        loop {
            match self.script(text, limit).await {
                Err(error) if Refusal::of(&error).is_some() && Instant::now() < deadline => {
                    tracing::debug!(%error, "the connection is lost");
                    tokio::time::sleep(PAUSE).await;
                }
                end => return end,
            }
        }
    }

    /// Runs a script, and hands on each line that it prints.
    pub(super) async fn follow(
        &self,
        text: &str,
        line: impl FnMut(&str),
    ) -> Result<Output, CmdError> {
        self.runner.run_with(&self.as_root(text, ENDLESS), line).await
    }

    /// Puts a file into [`FOLDER`], whole or not at all. One that is there is not sent again.
    pub(super) async fn put(&self, from: &Utf8Path, name: &str, mode: &str) -> anyhow::Result<()> {
        let sha256 = sha256_of(from).with_context(|| format!("reading {from}"))?;
        let place = format!("{FOLDER}/{name}");
        let check = format!("echo '{sha256}  {place}' | sha256sum --check --status");
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.patiently(&check).await {
                Ok(_) => return Ok(()),
                Err(CmdError::Failed { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let sent = self.send(from, &place, mode).await;
            match sent {
                Ok(()) if Instant::now() < deadline => {}
                Ok(()) => {
                    return Err(Fault::environment(format!("{name} does not arrive whole")).into());
                }
                Err(error) => {
                    let lost = error.downcast_ref().and_then(Refusal::of).is_some();
                    if !lost || Instant::now() > deadline {
                        return Err(error.context(format!("sending {name}")));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn send(&self, from: &Utf8Path, place: &str, mode: &str) -> anyhow::Result<()> {
        let part = format!("{place}.part");
        let script = format!(
            "umask 077; mkdir -p {FOLDER} && cat >{part} && chmod {mode} {part} && mv {part} {place}"
        );
        let words = self.root_words(&format!("sh -c {}", quote(&script)));
        let cmd = self.login.command(FILE).arg(words);
        let mut file = File::open(from)?;
        let feed = move |mut pipe| Ok(std::io::copy(&mut file, &mut pipe).map(drop)?);
        self.runner.run_fed(&cmd, feed).await.map(drop)
    }

    /// A shell for a person who wants to look.
    pub(super) async fn shell(&self, events: &Events) {
        events.log("shell", format!("a shell on {}; the bake fails when it ends", self.address()));
        // Not a script: it needs a terminal, and says why it does not come.
        let mut command = self.login.command(ENDLESS);
        command.args.retain(|word| word != "-T" && word != "--");
        command.args.insert(0, "-t".to_owned());
        if let Err(error) = self.runner.attach(&command).await {
            events.log("shell", error.to_string());
        }
    }

    fn as_root(&self, script: &str, limit: Duration) -> Cmd {
        self.login.command(limit).arg(self.root_words("sh -s")).stdin(script)
    }

    fn root_words(&self, words: &str) -> String {
        if self.login.user == "root" { words.to_owned() } else { format!("sudo -n {words}") }
    }

    /// What this needs of the machine that bakes.
    pub(super) const TOOLS: &'static [Tool] = &[Tool::Ssh, Tool::SshKeygen];
}
