//! `hostkit vm`: boots an image in the rehearsal account.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::sim::notice::Scheduled;
use crate::sim::timeline::Timeline;
use crate::sim::vm::options::{parse_duration, parse_memory};
use crate::sim::vm::{
    self, Acceleration, Because, Firmware, Forward, Goal, Options, Session, Trouble,
};
use crate::ui::{self, Format};

/// Boots an image in a simulated AWS account, on this machine.
///
/// The machine has its own metadata service at 169.254.169.254, a launch hook, a Parameter Store
/// and a file system, all on loopback. The image is not changed.
#[derive(Debug, Args)]
#[command(after_help = "Example: boot, wait for Jenkins, look at the host, switch off:\n  \
    hostkit vm out/jenkins-controller.raw --efs ./home --until ready \\\n    \
    --until http:8080/login -- sudo hostkit status")]
pub struct Vm {
    /// The image, raw or qcow2.
    image: PathBuf,
    #[command(flatten)]
    machine: Machine,
    /// Forward a port of 127.0.0.1 to the guest; HOST 0 chooses one.
    #[arg(long, value_name = "HOST:GUEST")]
    forward: Vec<Forward>,
    /// Wait for `ready` (launch hook: CONTINUE), `reboot` (it was asked to start again, and is up) or
    /// `http:PORT/PATH` (200), in the order given.
    #[arg(long, value_name = "GOAL")]
    until: Vec<Goal>,
    /// Something that goes wrong on purpose.
    #[arg(long, value_enum)]
    fault: Vec<VmFault>,
    /// Something that happens so long after power-on, or with + before the time so long after all that
    /// --until names: spot-interruption, rebalance, maintenance, terminate (its group lets it go),
    /// tag:KEY=VALUE. The machine then runs until it is off.
    #[arg(long, value_name = "TIME=EVENT")]
    at: Vec<Scheduled>,
    /// A command for the guest, run as `admin` once the waiting is over.
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

/// The machine that an image is booted in, and what stands around it.
#[derive(Debug, Args)]
pub struct Machine {
    /// A folder that is the EFS file system; a throwaway one by default.
    #[arg(long, value_name = "DIR")]
    efs: Option<PathBuf>,
    /// The instance's user-data, in the format of host.toml.
    #[arg(long, value_name = "FILE")]
    user_data: Option<PathBuf>,
    /// The Parameter Store's content (TOML); made up by default.
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// How long all waiting may take.
    #[arg(long, default_value = "10m", value_parser = parse_duration)]
    timeout: Duration,
    /// Show the console.
    #[arg(long)]
    console: bool,
    /// Keep the console's text in a file.
    #[arg(long, value_name = "FILE")]
    console_log: Option<PathBuf>,
    /// What starts the disk: a BIOS, or UEFI.
    #[arg(long, value_enum, default_value_t)]
    firmware: VmFirmware,
    /// Memory.
    #[arg(long, default_value = "2048M", value_parser = parse_memory)]
    memory: u64,
    /// Processors.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    cpus: u8,
    /// How the processors run.
    #[arg(long, value_enum, default_value_t)]
    accel: Accel,
}

/// How the processors run.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Accel {
    /// KVM where it works.
    #[default]
    Auto,
    /// KVM.
    Kvm,
    /// Emulation.
    Tcg,
}

impl Accel {
    /// As the rehearsal account calls it.
    pub const fn acceleration(self) -> Acceleration {
        match self {
            Self::Auto => Acceleration::Automatic,
            Self::Kvm => Acceleration::Kvm,
            Self::Tcg => Acceleration::Emulation,
        }
    }
}

/// What starts the disk.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum VmFirmware {
    /// A BIOS, as most instance types have.
    #[default]
    Bios,
    /// UEFI, as Graviton and newer ones have.
    Uefi,
}

/// Something that goes wrong on purpose.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum VmFault {
    /// The file system accepts connections and closes them.
    EfsDown,
    /// Nothing is at the file system's address.
    EfsUnreachable,
}

/// Runs it; the guest command's exit status becomes ours.
pub async fn run(args: Vm, format: Format) -> anyhow::Result<ExitCode> {
    let (events, printer) = ui::start(format);
    let options = args.options(format);
    let end = Box::pin(vm::run(&options, &events)).await;
    drop(events);
    printer.finish().await;
    let ended = end?;
    match format {
        Format::Json => ui::json(&ended),
        Format::Human => ui::text(&table(&ended.timeline, ended.because)),
    }
    let status = ended.command_status.unwrap_or(0);
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}

impl Vm {
    fn options(self, format: Format) -> Options {
        let trouble = |fault: &VmFault| match fault {
            VmFault::EfsDown => Trouble::EfsDown,
            VmFault::EfsUnreachable => Trouble::EfsUnreachable,
        };
        Options {
            faults: self.fault.iter().map(trouble).collect(),
            at: self.at,
            forwards: self.forward,
            until: self.until,
            session: match format {
                _ if self.command.is_empty() => Session::None,
                Format::Human => Session::Attached(self.command),
                Format::Json => Session::Followed(self.command),
            },
            ..self.machine.options(self.image)
        }
    }
}

impl Machine {
    /// What boots `image` in this machine and waits for nothing.
    pub fn options(self, image: PathBuf) -> Options {
        Options {
            efs: self.efs,
            user_data: self.user_data,
            parameters: self.parameters,
            timeout: self.timeout,
            console: self.console,
            console_log: self.console_log,
            acceleration: self.accel.acceleration(),
            firmware: match self.firmware {
                VmFirmware::Bios => Firmware::Bios,
                VmFirmware::Uefi => Firmware::Uefi,
            },
            memory_mib: self.memory,
            cpus: self.cpus,
            ..Options::new(image)
        }
    }
}

fn table(timeline: &Timeline, because: Because) -> String {
    let mut text = String::from("\nThe boot, in seconds since power-on:\n");
    for moment in &timeline.moments {
        let _ = writeln!(text, "{:>9.1}  {}", moment.at, moment.what);
    }
    text + match because {
        Because::Done => "",
        Because::PoweredOff => "The guest switched itself off.\n",
        Because::Terminated => "The launch hook was abandoned: the group terminated it.\n",
        Because::LetGo => "Its group has let it go, and it said that it may.\n",
        Because::TakenBack => "EC2 took the spot instance back: the plug was pulled.\n",
        Because::Stopped => "It was stopped.\n",
    }
}
