//! Several machines in one rehearsal account, on file systems that they share.
//!
//! [`Fleet`] sets the stage and launches hosts; a [`Host`] is waited for, asked, paused, killed;
//! [`Story`] keeps what happened on one clock. What a guest does to the account happens: an
//! instance that is terminated loses its machine, and EC2 says `terminated` only after that.
//! Everything that is started ends when the fleet and its hosts are dropped, and with this process
//! even if that is killed.

pub mod head;
pub mod host;
pub mod observer;
pub mod story;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use self::head::{Head, HeadWatch};
pub use self::host::{Crash, Ground, Host};
pub use self::story::{Line, Story};
use super::account::FileSystem;
use super::disturbance::Disturbance;
use super::endpoint::with;
use super::nfs::interleave::HEAD;
use super::nfs::{Export, Record};
use super::timeline::Recorder;
use super::vm::acceleration::{self, Chosen};
use super::vm::machine::{Build, Machine};
use super::vm::options::{Acceleration, Firmware, Forward, SSH_PORT};
use super::vm::run_dir::RunDir;
use super::vm::stage::Stage;
use crate::event::Events;
use crate::sys::{Runner, Tool};

/// What all machines of a fleet have in common.
#[derive(Clone, Debug)]
pub struct Options {
    /// The image: raw or qcow2. It is never changed.
    pub image: PathBuf,
    /// How machines are made to run.
    pub acceleration: Acceleration,
    /// What each has of memory, in MiB.
    pub memory_mib: u64,
    /// What each has of processors.
    pub cpus: u8,
    /// How long anything that is waited for may take.
    pub timeout: Duration,
    /// Where consoles and records are kept; nowhere if absent.
    pub keep: Option<PathBuf>,
}

/// How long the launch hook waits for a heartbeat: short, so that a host that waits through a night
/// needs one (it comes after a third of that), and several times what an emulated boot takes.
const HOOK_TIMEOUT: Duration = Duration::from_mins(5);

/// A stage with several machines.
#[derive(Debug)]
pub struct Fleet {
    /// What hosts stand on.
    pub ground: Arc<Ground>,
    stage: Stage,
    options: Options,
    chosen: Chosen,
    launched: usize,
    volumes: usize,
}

/// A file system, and who holds the home on it.
#[derive(Debug)]
pub struct Volume {
    /// The file system.
    pub file_system: FileSystem,
    /// What it is called in the story.
    pub name: String,
    /// The folder that it is.
    pub folder: PathBuf,
    /// The record of the home's holder.
    pub head: HeadWatch,
    export: Export,
}

impl Fleet {
    /// Makes the account and serves it.
    pub async fn open(options: Options, events: &Events) -> anyhow::Result<Self> {
        Tool::require(&[Tool::Qemu, Tool::QemuImg, Tool::SshKeygen, Tool::Ssh, Tool::Ganesha])?;
        let (run_dir, runner) = (RunDir::create()?, Runner::Direct);
        let (chosen, why) = acceleration::choose(options.acceleration, &runner, &run_dir).await?;
        events.log("prepare", format!("the processors: {why}"));
        let stage = Stage::open(None, &runner, &run_dir).await?;
        with(&stage.account, |account| account.group.hold_for(HOOK_TIMEOUT));
        let ground = Arc::new(Ground {
            run_dir,
            runner,
            account: Arc::clone(&stage.account),
            story: Story::new(events.clone()),
            timeout: options.timeout,
            keep: options.keep.clone(),
        });
        Ok(Self { ground, stage, options, chosen, launched: 0, volumes: 0 })
    }

    /// An empty file system, or one with what `fill` puts into its folder.
    pub async fn file_system(
        &mut self,
        fill: impl FnOnce(&Path) -> anyhow::Result<()>,
    ) -> anyhow::Result<Volume> {
        self.volumes += 1;
        let name = match self.volumes {
            1 => "EFS".to_owned(),
            number => format!("EFS{number}"),
        };
        let work = self.ground.run_dir.below(&format!("v{}", self.volumes))?;
        let folder = work.file("efs");
        let (file_system, _) = self.stage.file_system(&folder)?;
        // As the root of an EFS is: others may enter it.
        std::fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        fill(&folder)?;
        let mut export = Export::start(&self.ground.runner, work.path(), &folder).await?;
        // All times of a rehearsal are on one clock.
        export.record = Record::since(self.ground.story.began());
        export.record.watch(HEAD, folder.join(HEAD));
        if let Some(keep) = &self.ground.keep {
            std::fs::create_dir_all(keep)?;
            export.record.keep_lines(File::create(keep.join(format!("{name}.changes.jsonl")))?);
        }
        let head = HeadWatch::start(&folder, &name, self.ground.story.clone());
        Ok(Volume { file_system, name, folder, head, export })
    }

    /// Launches the next host and switches it on. `user_data` is in the format of `host.toml`.
    pub async fn launch(&mut self, volume: &Volume, user_data: &str) -> anyhow::Result<Host> {
        let letter = char::from(b'A' + u8::try_from(self.launched % 26)?);
        self.launched += 1;
        let name = letter.to_string();
        let run_dir = self.ground.run_dir.below(&letter.to_ascii_lowercase().to_string())?;
        let recorder = Recorder::silent();
        let (file_system, export) = (&volume.file_system, Some(&volume.export));
        let place = self.stage.launch(&run_dir, &recorder, user_data, file_system, export)?;
        let build = Build {
            chosen: self.chosen,
            firmware: Firmware::Bios,
            memory_mib: self.options.memory_mib,
            cpus: self.options.cpus,
            mac: place.mac.clone(),
            forwards: vec![Forward { host: 0, guest: SSH_PORT }],
            doors: Vec::new(),
            efs_reachable: true,
        };
        self.ground.story.tell(&name, &format!("launched: {} on {}", place.instance, volume.name));
        self.ground.story.name(&place.instance, &name);
        let machine =
            Machine::start(&self.ground.runner, &run_dir, &self.options.image, &build).await?;
        Host::switch_on(&self.ground, &name, run_dir, place, machine, recorder).await
    }

    /// From now on this goes wrong, and nothing else.
    pub fn disturb(&self, disturbances: Vec<Disturbance>) {
        with(&self.stage.account, |account| account.disturbances = disturbances);
    }
}

impl Volume {
    /// What hosts did to it.
    pub fn record(&self) -> Record {
        self.export.record.clone()
    }

    /// Ends its server.
    pub async fn end(self) {
        self.export.stop().await;
    }
}
