//! Boots one image in the rehearsal account and sees it through: the library behind `hostkit vm`.
//!
//! [`run`] reads as what happens. The image is never changed; everything that is started ends
//! with the run, whatever ends the run; nothing listens beyond the loopback interface.

pub mod acceleration;
mod announcer;
pub mod command;
pub mod console;
mod firmware;
pub mod goal;
pub mod machine;
pub mod options;
pub mod qmp;
pub mod run_dir;
pub mod stage;
pub mod watch;

use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde::Serialize;

use self::command::Answer;
use self::machine::{Build, Machine};
pub use self::options::{Acceleration, Firmware, Forward, Goal, Options, Session, Trouble};
use self::run_dir::RunDir;
use self::stage::{Place, Stage};
use self::watch::{Hook, Watch};
use super::account::HEARTBEAT_TIMEOUT;
use super::endpoint::{Shared, with};
use super::group::hook::{Hook as LifecycleHook, Transition};
use super::instance::Ending;
use super::nfs::Export;
use super::notice::Since;
use super::timeline::{Milestone, Recorder, Timeline};
use crate::error::{self, Blame, Fault};
use crate::event::{Events, Outcome};
use crate::sys::{Runner, Tool};

/// The terminate hook of its group.
const DRAIN: &str = "drain";

/// How a rehearsal ended that did not fail.
#[derive(Clone, Debug, Serialize)]
pub struct Ended {
    /// The instance.
    pub instance: String,
    /// The file system.
    pub file_system: String,
    /// What was seen of it, and when.
    pub timeline: Timeline,
    /// The exit status of the command in the guest, if there was one.
    pub command_status: Option<i32>,
    /// What a [`Session::Script`] printed.
    #[serde(skip)]
    pub said: String,
    /// Why it ended.
    pub because: Because,
}

/// Why a machine is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// Everything that was waited for has come.
    Done,
    /// The guest switched itself off.
    PoweredOff,
    /// Its launch hook was abandoned: its group terminates it.
    Terminated,
    /// Its group has let it go, and its terminate hook was answered.
    LetGo,
    /// EC2 took the spot instance back.
    TakenBack,
    /// Somebody asked to stop a machine that nobody waited for.
    Stopped,
}

/// Boots, waits, runs the command, switches off.
///
/// # Errors
/// Something that was waited for did not come (with the console's last lines), the machine could
/// not be made, or somebody asked to stop.
pub async fn run(options: &Options, events: &Events) -> anyhow::Result<Ended> {
    require_tools(options)?;
    let mut watch = Watch::new(options.timeout)?;
    let run_dir = RunDir::create()?;
    let rehearsal = Rehearsal {
        options,
        events,
        run_dir: &run_dir,
        runner: Runner::Direct,
        recorder: Recorder::new(events.clone()),
    };
    let end = Box::pin(rehearsal.play(&mut watch)).await;
    keep_console(options, &run_dir, end)
}

/// What stands around the one machine.
struct Set {
    stage: Stage,
    place: Place,
    file_system: String,
    export: Option<Export>,
}

impl Set {
    /// The one instance.
    fn instance(&self) -> (&Shared, &str) {
        (&self.stage.account, &self.place.instance)
    }

    fn switched_on(&self) {
        with(&self.stage.account, |account| {
            if let Some((instance, now)) = account.instance_mut(&self.place.instance) {
                instance.switched_on(now);
            }
        });
    }
}

struct Rehearsal<'a> {
    options: &'a Options,
    events: &'a Events,
    run_dir: &'a RunDir,
    runner: Runner,
    recorder: Recorder,
}

impl Rehearsal<'_> {
    async fn play(&self, watch: &mut Watch) -> anyhow::Result<Ended> {
        let prepare = watch.over("the machine was there", self.prepare());
        let (set, mut machine) = self.step("prepare", "preparing the machine", prepare).await?;
        let log = self.run_dir.file(machine::CONSOLE);
        let events = self.options.console.then(|| self.events.clone());
        let console = tokio::spawn(console::follow(log, self.recorder.clone(), events));

        let end = Box::pin(self.see_through(watch, &set, &mut machine)).await;
        let switched_off = if end.is_ok() {
            self.switch_off(watch, &set, machine).await
        } else {
            machine.unplug().await;
            Ok(())
        };
        console.abort();
        if let Some(export) = set.export {
            export.stop().await;
        }
        let (because, answer) = end?;
        switched_off?;
        let timeline = self.recorder.timeline();
        let (command_status, said) =
            answer.map_or((None, String::new()), |Answer { status, said }| (Some(status), said));
        Ok(Ended {
            instance: set.place.instance,
            file_system: set.file_system,
            timeline,
            command_status,
            said,
            because,
        })
    }

    async fn prepare(&self) -> anyhow::Result<(Set, Machine)> {
        let say = |line: String| self.events.log("prepare", line);
        let forwards = options::all_forwards(self.options)?;
        let (chosen, why) =
            acceleration::choose(self.options.acceleration, &self.runner, self.run_dir).await?;
        say(format!("the processor: {why}"));
        let set = self.set().await?;
        let build = Build {
            firmware: self.options.firmware,
            chosen,
            memory_mib: self.options.memory_mib,
            cpus: self.options.cpus,
            mac: set.place.mac.clone(),
            forwards,
            doors: Vec::new(),
            efs_reachable: !self.options.faults.contains(&Trouble::EfsUnreachable),
        };
        let machine =
            Machine::start(&self.runner, self.run_dir, &self.options.image, &build).await?;
        say(format!("the instance is {}, its file system {}", set.place.instance, set.file_system));
        say(format!("its AWS is http://127.0.0.1:{}", set.stage.port));
        let (account, instance) = set.instance();
        with(account, |account| {
            if let Some((instance, _)) = account.instance_mut(instance) {
                let ports = machine.forwards.iter().map(|forward| (forward.guest, forward.host));
                instance.ports = ports.collect();
            }
        });
        for forward in &machine.forwards {
            say(format!("127.0.0.1:{} leads to its port {}", forward.host, forward.guest));
        }
        Ok((set, machine))
    }

    /// What stands around the one machine.
    async fn set(&self) -> anyhow::Result<Set> {
        let said = match &self.options.user_data {
            None => String::new(),
            Some(file) => std::fs::read_to_string(file)
                .with_context(|| Fault::usage(format!("reading {}", file.display())))?,
        };
        let parameters = self.options.parameters.as_deref();
        let stage = Stage::open(parameters, &self.runner, self.run_dir).await?;
        let folder = self.options.efs.clone().unwrap_or_else(|| self.run_dir.file("efs"));
        let (file_system, folder) = stage.file_system(&folder)?;
        let export = if self.options.faults.contains(&Trouble::EfsDown) {
            None
        } else {
            Some(Export::start(&self.runner, self.run_dir.path(), Path::new(&folder)).await?)
        };
        with(&stage.account, |account| {
            account.group.put(LifecycleHook::new(
                DRAIN,
                Transition::Terminating,
                HEARTBEAT_TIMEOUT,
            ));
        });
        let place =
            stage.launch(self.run_dir, &self.recorder, &said, &file_system, export.as_ref())?;
        Ok(Set { stage, place, file_system: file_system.id, export })
    }

    async fn see_through(
        &self,
        watch: &mut Watch,
        set: &Set,
        machine: &mut Machine,
    ) -> anyhow::Result<(Because, Option<Answer>)> {
        machine.power_on().await?;
        set.switched_on();
        self.recorder.power_on();
        let (account, instance) = set.instance();
        let announce = |since| announcer::start(account, instance, &self.options.at, since);
        let _announcer = announce(Since::PowerOn);
        let (goals, session) = (&self.options.until, &self.options.session);
        // Where nothing is waited for, both count from now.
        let _later = goals.is_empty().then(|| announce(Since::Goals));
        if goals.is_empty() && *session == Session::None {
            return self.run_until_off(watch, set, machine).await.map(|why| (why, None));
        }
        for goal in goals {
            Box::pin(self.wait_for(goal, watch, set, machine)).await?;
        }
        let _later = (!goals.is_empty()).then(|| announce(Since::Goals));
        if *session == Session::None && !self.options.at.is_empty() {
            return self.run_until_off(watch, set, machine).await.map(|why| (why, None));
        }
        if *session == Session::None {
            return Ok((Because::Done, None));
        }
        let answer = self.hold_session(session, watch, set, machine).await?;
        Ok((Because::Done, Some(answer)))
    }

    async fn wait_for(
        &self,
        goal: &Goal,
        watch: &mut Watch,
        set: &Set,
        machine: &mut Machine,
    ) -> anyhow::Result<()> {
        let what = format!("`{goal}`");
        let port = match goal {
            Goal::Ready => None,
            Goal::Reboot => machine.port(options::SSH_PORT),
            Goal::Http { port, .. } => machine.port(*port),
        };
        let work = async {
            match (goal, port) {
                (Goal::Http { port: guest, path }, Some(port)) => {
                    goal::http(port, path).await;
                    self.recorder.mark(Milestone::Answered(format!("{guest}{path}")));
                }
                (Goal::Reboot, Some(port)) => {
                    command::reboot(&self.runner, self.run_dir, port, &self.recorder).await?;
                }
                _ => goal::ready(&set.stage.account, &set.place.instance).await,
            }
            Ok(())
        };
        let wait = watch.over_machine(machine, set.instance(), Hook::Minds, &what, work);
        Box::pin(self.step(&format!("until-{goal}"), &format!("waiting for {what}"), wait)).await
    }

    async fn hold_session(
        &self,
        session: &Session,
        watch: &mut Watch,
        set: &Set,
        machine: &mut Machine,
    ) -> anyhow::Result<Answer> {
        let port = machine.port(options::SSH_PORT).context("the SSH port was not forwarded")?;
        let log_in = command::log_in(&self.runner, self.run_dir, port, &self.recorder);
        let what = "a login over ssh worked";
        let wait = watch.over_machine(machine, set.instance(), Hook::Ignored, what, log_in);
        self.step("login", "logging in over ssh", wait).await?;
        // No step while it runs: its own output has the screen.
        let work = command::run(&self.runner, self.run_dir, port, session, self.events);
        if *session == Session::Shell {
            // A person takes the time that they need. Ctrl-C goes to the guest.
            return tokio::select! {
                answer = work => answer,
                () = watch.stopped() => Err(Fault::interrupted().into()),
            };
        }
        let what = "the command ended";
        watch.over_machine(machine, set.instance(), Hook::Ignored, what, work).await
    }

    /// Nobody waits for anything: the machine runs until it or somebody has had enough.
    async fn run_until_off(
        &self,
        watch: &mut Watch,
        set: &Set,
        machine: &mut Machine,
    ) -> anyhow::Result<Because> {
        self.events.log("machine", "it runs until it switches itself off, or Ctrl-C");
        tokio::select! {
            end = machine.process.wait() => {
                let status = end.context("waiting for QEMU")?;
                if !status.success() {
                    let said = machine::said(self.run_dir);
                    return Err(Fault::step(format!("QEMU ended ({status}): {said}")).into());
                }
                Ok(Because::PoweredOff)
            }
            () = goal::abandoned(&set.stage.account, &set.place.instance) => Ok(self.why()),
            () = watch.stopped() => Ok(Because::Stopped),
        }
    }

    /// Why the instance is being terminated.
    fn why(&self) -> Because {
        let timeline = self.recorder.timeline();
        let has = |what| timeline.at(&what).is_some();
        if has(Milestone::TakenBack) {
            Because::TakenBack
        } else if has(Milestone::Leaving) {
            Because::LetGo
        } else {
            Because::Terminated
        }
    }

    /// The power button, and the plug for a guest that does not react or for who is in a hurry.
    async fn switch_off(
        &self,
        watch: &mut Watch,
        set: &Set,
        mut machine: Machine,
    ) -> anyhow::Result<()> {
        let (account, instance) = set.instance();
        let ending = with(account, |account| account.instance(instance).and_then(|it| it.ending));
        if ending == Some(Ending::SkipOsShutdown) {
            self.events.log("power-off", "it is taken back: the plug is pulled");
            machine.unplug().await;
        } else if machine.process.ended().is_none() {
            let off = async {
                tokio::select! {
                    clean = machine.power_down() => {
                        if !clean {
                            self.events.log("power-off", "no reaction: the plug was pulled");
                        }
                        Ok(())
                    }
                    () = watch.stopped() => Err(Fault::interrupted().into()),
                }
            };
            self.step("power-off", "switching the machine off", off).await?;
        }
        self.recorder.mark(Milestone::PowerOff);
        Ok(())
    }

    /// One step as the screen shows it.
    async fn step<T>(
        &self,
        id: &str,
        title: &str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        self.events.started(id, title);
        let end = work.await;
        let outcome = match &end {
            Ok(_) => Outcome::Changed,
            Err(error) => Outcome::Failed(error.to_string()),
        };
        self.events.finished(id, outcome, started.elapsed());
        end
    }
}

fn require_tools(options: &Options) -> Result<(), Fault> {
    let mut tools = vec![Tool::Qemu, Tool::QemuImg, Tool::SshKeygen];
    if !options.faults.contains(&Trouble::EfsDown) {
        tools.push(Tool::Ganesha);
    }
    if options.logs_in() {
        tools.push(Tool::Ssh);
    }
    Tool::require(&tools)
}

/// A step that failed is explained by the console: its last lines go into the error, the whole to
/// a file that outlives the run.
fn keep_console(
    options: &Options,
    run_dir: &RunDir,
    end: anyhow::Result<Ended>,
) -> anyhow::Result<Ended> {
    let console = run_dir.file(machine::CONSOLE);
    if !console.is_file() {
        return end;
    }
    let failed = end.as_ref().is_err_and(|error| error::blame(error) == Blame::Step);
    let kept = match &options.console_log {
        Some(path) => Some(path.clone()),
        None if failed => {
            let run = run_dir.path().file_name().unwrap_or_default().to_string_lossy();
            Some(std::env::temp_dir().join(format!("{run}.console.log")))
        }
        None => None,
    };
    if let Some(path) = &kept {
        std::fs::copy(&console, path).with_context(|| {
            Fault::environment(format!("writing the console's text to {}", path.display()))
        })?;
    }
    match (end, kept) {
        (Err(error), Some(path)) if failed => {
            let tail = match console::tail(&console) {
                tail if tail.is_empty() => "the console is empty".to_owned(),
                tail => format!("the console ends with:\n{tail}"),
            };
            let hint = format!("the whole console is in {}", path.display());
            let fault = Fault::step(error.to_string()).hint(hint);
            Err(anyhow::anyhow!(tail).context(fault))
        }
        (end, _) => end,
    }
}
