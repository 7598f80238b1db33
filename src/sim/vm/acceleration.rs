//! Whether KVM is of use here.
//!
//! That `/dev/kvm` opens says little: on virtual machines that offer a KVM of their own it may
//! run code without paging (all of firmware and boot loader) instruction by instruction, so that
//! a stock image seems to hang; or QEMU may abort on it. So a boot sector that only counts is run
//! for a moment, with the same processor model as the image would get.

use std::time::Duration;

use anyhow::Context as _;

use super::options::Acceleration;
use super::run_dir::RunDir;
use crate::error::Fault;
use crate::sys::{Cmd, CmdError, Runner, Tool};

/// Firmware and boot sector take half a second where KVM works.
const PROBE_TIMEOUT: Duration = Duration::from_secs(4);
/// QEMU's exit status for the value that the boot sector writes: `0x10 << 1 | 1`.
const PROBE_STATUS: i32 = 33;

/// How the machine will run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// KVM.
    Kvm,
    /// Emulation by QEMU.
    Emulation,
}

impl Chosen {
    /// QEMU's arguments for it.
    pub fn arguments(self) -> [&'static str; 4] {
        match self {
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
            Self::Emulation => ["-accel", "tcg,thread=multi", "-cpu", "max"],
        }
    }
}

/// Decides, and tells why.
pub async fn choose(
    wanted: Acceleration,
    runner: &Runner,
    run_dir: &RunDir,
) -> anyhow::Result<(Chosen, String)> {
    let opens = std::fs::File::options().read(true).write(true).open("/dev/kvm");
    match (wanted, opens) {
        (Acceleration::Emulation, _) => Ok((Chosen::Emulation, "emulation, as asked".into())),
        (Acceleration::Kvm, Err(error)) => Err(error).context(
            Fault::environment("/dev/kvm cannot be opened")
                .hint("leave --accel out: it takes emulation where KVM does not work"),
        ),
        (Acceleration::Kvm, Ok(_)) => Ok((Chosen::Kvm, "KVM, as asked".into())),
        (Acceleration::Automatic, Err(error)) => {
            Ok((Chosen::Emulation, format!("emulation: /dev/kvm: {error}")))
        }
        (Acceleration::Automatic, Ok(_)) => {
            if probe(runner, run_dir).await? {
                return Ok((Chosen::Kvm, "KVM".into()));
            }
            let why = "emulation: KVM is there but did not run a boot sector in time";
            Ok((Chosen::Emulation, why.into()))
        }
    }
}

async fn probe(runner: &Runner, run_dir: &RunDir) -> anyhow::Result<bool> {
    std::fs::write(run_dir.file("probe.img"), boot_sector()).context("writing a boot sector")?;
    let drive = format!("file={},if=ide,format=raw", run_dir.argument("probe.img")?);
    let probe = Cmd::new(Tool::Qemu)
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-m", "64"])
        .args(Chosen::Kvm.arguments())
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-drive", &drive])
        .timeout(PROBE_TIMEOUT);
    match runner.run(&probe).await {
        Err(CmdError::Missing(fault)) => Err(fault.into()),
        end => Ok(end.is_err_and(|error| error.code() == Some(PROBE_STATUS))),
    }
}

/// Counts to two hundred million and tells QEMU to exit.
fn boot_sector() -> Vec<u8> {
    let [a, b, c, d] = 200_000_000_u32.to_le_bytes();
    let mut sector = vec![
        0xfa, // cli
        0x66, 0xb9, a, b, c, d, // mov ecx, 200000000
        0x66, 0x49, // dec ecx
        0x75, 0xfc, // jnz back to dec
        0xb0, 0x10, // mov al, 0x10
        0xe6, 0xf4, // out 0xf4, al
        0xf4, // hlt
        0xeb, 0xfd, // jmp back to hlt
    ];
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    sector.resize(64 * 1024, 0);
    sector
}
