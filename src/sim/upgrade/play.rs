//! The evening: a host serves, the command is run, and what it came to.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::command::{self, End};
use super::log::Sight;
use super::spans::{self, Times};
use super::stage::{GROUP, Stage};
use super::{Check, Night, Options, Told, breaks};
use crate::event::Events;

/// The job that is in the home before the upgrade.
pub(super) const JOB: &str = "home/jobs/rehearsal/config.xml";
const JOB_CONTENT: &str = "<?xml version='1.1' encoding='UTF-8'?>\n<project>\n  \
    <description>what was there before the upgrade</description>\n</project>\n";
/// What tells the stand-in for Jenkins which builds run.
const BUILDS: &str = "home/running-builds";

/// One night.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) stage: Stage,
    pub(super) night: Night,
    pub(super) checks: Vec<Check>,
    /// The host that served at the beginning.
    pub(super) old: String,
    /// When the command was first run.
    pub(super) began: Duration,
    /// When it ended the last time.
    pub(super) ended: Duration,
    /// Its exit status.
    pub(super) code: Option<i32>,
    /// What it ended with, as it says it to programs.
    pub(super) said: Option<Value>,
    /// When the build ended that ran when it began.
    pub(super) build_over: Option<Duration>,
}

impl Play {
    /// Sets the stage.
    pub(super) async fn open(
        options: &Options,
        night: Night,
        events: &Events,
    ) -> anyhow::Result<Self> {
        let stage = Box::pin(Stage::open(options, events)).await?;
        Ok(Self {
            stage,
            night,
            checks: Vec::new(),
            old: String::new(),
            began: Duration::ZERO,
            ended: Duration::ZERO,
            code: None,
            said: None,
            build_over: None,
        })
    }

    /// All of it.
    pub(super) async fn all(&mut self) -> anyhow::Result<()> {
        self.prepare_home().await?;
        let serving = || self.stage.serving();
        let (old, _) = self.stage.until("the first host served", serving).await?;
        self.old = old;
        let quiet_can =
            |sight: &Sight| matches!(sight, Sight::Standing(state, _) if state == "serving");
        self.stage.sees("its guard said so", &self.old, Duration::ZERO, quiet_can).await?;
        self.furnish_home()?;
        self.upgrade().await?;
        let settled = self.stage.until("one host served again", || self.stage.serving()).await;
        self.came_to(settled.ok().as_ref());
        Ok(())
    }

    /// What changes later must be there before anybody has looked for it: an NFS client remembers for
    /// half a minute that a name is none.
    async fn prepare_home(&self) -> anyhow::Result<()> {
        let file = self.stage.folder.join(BUILDS);
        let home = file.parent().context("a file is in a folder")?;
        self.stage.until("the first host had a home", || home.is_dir().then_some(())).await?;
        std::fs::write(&file, "").context("preparing a build")
    }

    /// A job, and a build that runs.
    fn furnish_home(&mut self) -> anyhow::Result<()> {
        let job = self.stage.folder.join(JOB);
        let parent = job.parent().context("a file is in a folder")?;
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&job, JOB_CONTENT))
            .context("putting a job into the home")?;
        let seconds = self.stage.options.build.as_secs();
        if seconds == 0 {
            return Ok(());
        }
        let build =
            format!("Built-In+Node pipeline http://127.0.0.1:8080/job/rehearsal/1/ {seconds}\n");
        let file = self.stage.folder.join(BUILDS);
        std::fs::write(file, build).context("having a build run")?;
        self.build_over = Some(self.stage.now() + self.stage.options.build);
        self.stage
            .story
            .tell(&self.stage.story.called(&self.old), &format!("builds for {seconds} s"));
        Ok(())
    }

    /// Runs the command, and what goes wrong beside it.
    async fn upgrade(&mut self) -> anyhow::Result<()> {
        self.began = self.stage.now();
        let (stage, night, old) = (&self.stage, self.night, &self.old);
        let work = commands(stage);
        let mut broken = std::pin::pin!(breaks::play(stage, night, old));
        let mut work = std::pin::pin!(work);
        let mut over = false;
        let (code, said) = loop {
            tokio::select! {
                end = &mut work => break end?,
                end = &mut broken, if !over => {
                    over = true;
                    end?;
                }
            }
        };
        self.code = Some(code);
        self.said = said;
        self.ended = self.stage.now();
        Ok(())
    }

    /// Where the time went, if there was another host.
    pub(super) fn times(&self) -> Times {
        let moments = self.stage.log.all();
        // The last one that came to hold the home after the old one.
        let holds = moments.iter().rev().find(|one| {
            one.sight == Sight::Holds && one.instance != self.old && one.at >= self.began
        });
        holds.map_or_else(Times::default, |new| {
            let hosts = (self.old.as_str(), new.instance.as_str());
            spans::times(&moments, hosts, (self.began, self.ended))
        })
    }

    /// Something that must be so.
    pub(super) fn check(&mut self, what: impl Into<String>, holds: bool, seen: impl Into<String>) {
        let (what, seen) = (what.into(), seen.into());
        let word = if holds { "ok" } else { "WRONG" };
        let told = if holds { what.clone() } else { format!("{what}: {seen}") };
        self.stage.story.tell(word, &told);
        self.checks.push(Check { what, holds, seen });
    }

    /// What the night came to, and how many machines it took.
    pub(super) fn tell(mut self, failed: Option<String>) -> (Told, usize) {
        let verdicts = self.judge();
        let times = self.times();
        let boots = self.stage.launched();
        let told = Told {
            night: self.night,
            holds: failed.is_none() && self.checks.iter().all(|check| check.holds),
            checks: self.checks,
            code: self.code,
            said: self.said,
            times,
            verdicts,
            timeline: self.stage.story.since(0),
            failed,
        };
        (told, boots)
    }
}

/// Runs `hostkit upgrade`, and goes on with it as often as it is killed; its exit status, and what it
/// ended with.
async fn commands(stage: &Stage) -> anyhow::Result<(i32, Option<Value>)> {
    let patience = stage.options.patience.as_secs().to_string() + "s";
    let folders = [stage.old.folder(), stage.new.folder()];
    let mut first = vec!["upgrade".to_owned(), stage.new.recipe.clone()];
    first.extend(["--asg", GROUP, "--image", &stage.new.id].map(str::to_owned));
    first.extend(["--patience".to_owned(), patience]);
    for folder in folders {
        first.extend(["--manifests".to_owned(), folder.display().to_string()]);
    }
    let usual = ["--yes", "--format", "json"].map(str::to_owned);
    let again = ["upgrade", "--asg", GROUP, "--resume"].map(str::to_owned);
    let mut deaths = stage.options.kill_at.iter();
    let mut arguments = [first, usual.to_vec()].concat();
    loop {
        match command::run(stage, &arguments, deaths.next().map(String::as_str)).await? {
            End::Code(code, said) => return Ok((code, said)),
            End::Killed => arguments = [again.to_vec(), usual.to_vec()].concat(),
        }
    }
}

/// What the group's controller says of what serves now, as JSON text.
pub(super) fn image_of(text: &str) -> Option<String> {
    let side: Value = serde_json::from_str(text).unwrap_or_else(|_| json!({}));
    side["image"].as_str().map(str::to_owned)
}
