//! A controller whose home is brought back: its files, its file system, and the real children.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::SdkConfig;
use camino::{Utf8Path, Utf8PathBuf};
use hostkit::aws::asg;
use hostkit::boot::inside as boot;
use hostkit::doctor::recover::{Ended, Prospect, Setting, Wish, carry_out, prepare};
use hostkit::event::Events;
use hostkit::host::LeasePolicy;
use hostkit::lease::memory::Memory;
use hostkit::lease::order::{self, Order};
use hostkit::lease::record::Holder;
use hostkit::sys::Runner;

use super::units::{Lease, script};
use crate::efs_recover::scene::{FS, RESTORE, home};
use crate::support::{lay, my_name, scratch};

pub(super) const GROUP: &str = "hostkit-vm";
pub(super) const BOOT_ID: &str = "boot-1";
const SECOND: Duration = Duration::from_millis(2);

/// What this machine is at.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own")]
pub(super) struct Machine {
    pub(super) jenkins: bool,
    pub(super) lease: bool,
    /// The state of the boot's unit, and how often it was started.
    pub(super) boot: (&'static str, u32),
    /// Another host has the home.
    pub(super) elsewhere: bool,
    /// The child of this number dies at this moment.
    pub(super) die: Option<(u32, u32)>,
    pub(super) children: u32,
    pub(super) died: bool,
}

/// A controller: its own files, and its file system.
pub(super) struct Host {
    _folders: [tempfile::TempDir; 2],
    pub(super) root: Utf8PathBuf,
    pub(super) mount: Utf8PathBuf,
    pub(super) order: Order,
    pub(super) machine: Arc<Mutex<Machine>>,
    runner: Runner,
    aws: Result<SdkConfig, String>,
}

fn utf8(folder: &tempfile::TempDir) -> Utf8PathBuf {
    Utf8Path::from_path(folder.path()).unwrap().to_owned()
}

/// Runs the real child.
#[expect(clippy::disallowed_methods, reason = "the program under test")]
pub(super) fn child(arguments: &[&str], input: &[u8]) -> Result<String, (i32, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostkit"));
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    if output.status.success() { Ok(text) } else { Err((137, "killed".to_owned())) }
}

impl Host {
    pub(super) fn new(aws: Result<SdkConfig, String>, instance: &str) -> Self {
        let folders = [scratch(), scratch()];
        let (root, mount) = (utf8(&folders[0]), utf8(&folders[1]));
        let me = Holder {
            fs_id: FS.to_owned(),
            region: "eu-west-1".to_owned(),
            account: "123456789012".to_owned(),
            instance_id: Some(instance.to_owned()),
            task: None,
            boot_id: BOOT_ID.to_owned(),
            launched: None,
            ami: None,
            hostkit: None,
            since: None,
        };
        let order = Order {
            me,
            mount_point: mount.clone(),
            policy: LeasePolicy::Wait,
            patience: 60,
            group: None,
            endpoint_url: None,
            imds: None,
        };
        fs::create_dir_all(root.join("run/hostkit/lease")).unwrap();
        fs::write(root.join(order::PATH), serde_json::to_vec(&order).unwrap()).unwrap();
        fs::write(root.join("run/hostkit/may-start"), "").unwrap();
        lay(mount.as_std_path(), ".hostkit/fs-id", &format!("{FS}\n"));
        home(mount.as_std_path(), "home/", "now");
        home(mount.as_std_path(), &format!("{RESTORE}/home/"), "then");
        let machine = Arc::new(Mutex::new(Machine { boot: ("active", 1), ..Machine::default() }));
        let runner = script(&root, &order, &machine).runner().0;
        let host = Self { _folders: folders, root, mount, order, machine, runner, aws };
        Lease::of(&host.root, &host.order).start(&mut host.machine.lock().unwrap());
        host
    }

    /// The next host of the group, on the same home.
    pub(super) fn followed_by(mut self, instance: &str) -> Self {
        self.order.me.instance_id = Some(instance.to_owned());
        self
    }

    pub(super) fn memory(&self) -> Memory {
        Memory::new(&self.root, BOOT_ID)
    }

    pub(super) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.mount.join(path)).unwrap_or_default()
    }

    pub(super) async fn look(&self, wish: &Wish) -> anyhow::Result<Prospect> {
        prepare(&self.setting(&Events::silent()), wish).await
    }

    pub(super) async fn run(&self, wish: &Wish) -> anyhow::Result<Ended> {
        let events = Events::silent();
        let setting = self.setting(&events);
        let prospect = prepare(&setting, wish).await?;
        carry_out(&setting, prospect, true).await
    }

    fn setting<'a>(&'a self, events: &'a Events) -> Setting<'a> {
        Setting {
            root: &self.root,
            runner: &self.runner,
            order: &self.order,
            user: Box::leak(my_name().into_boxed_str()),
            aws: self.aws.clone(),
            by: "alice",
            events,
            second: SECOND,
        }
    }

    /// What a boot makes of the home.
    pub(super) fn home_step(&self) -> boot::Answer {
        home_step(&self.mount)
    }

    pub(super) async fn suspended(&self) -> Vec<String> {
        let group = asg::describe(self.aws.as_ref().unwrap(), GROUP).await.unwrap().unwrap();
        let mut all = group.suspended;
        all.sort();
        all
    }

    pub(super) async fn suspended_by_nobody(&self, aws: &SdkConfig) -> bool {
        asg::describe(aws, GROUP).await.unwrap().unwrap().suspended.is_empty()
    }
}

pub(super) fn home_step(mount: &Utf8Path) -> boot::Answer {
    let request = boot::Request::Prepare {
        mount_point: mount.to_owned(),
        file_system: FS.to_owned(),
        user: my_name(),
        jenkins: None,
        allow_downgrade: false,
        image: "ami-1".to_owned(),
        former: boot::Former::Tell,
    };
    let json = serde_json::to_vec(&request).unwrap();
    serde_json::from_str(&child(&["inner", "home", "--anywhere"], &json).unwrap()).unwrap()
}
