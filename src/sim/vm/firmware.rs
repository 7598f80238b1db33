//! What starts a machine's disk: the BIOS that QEMU has in it, or UEFI from files. Its variables
//! are a copy that goes with the run.

use std::path::Path;

use anyhow::Context as _;

use super::options::Firmware;
use super::run_dir::RunDir;
use crate::error::Fault;

/// Where distributions put UEFI for x86-64: its code and its variables.
const FILES: [(&str, &str); 2] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
];

/// The copy of the variables, in the run folder.
const VARIABLES: &str = "uefi";

impl Firmware {
    /// Whether this machine has it.
    pub(in crate::sim) fn is_here(self) -> bool {
        self == Self::Bios || files().is_some()
    }
}

fn files() -> Option<&'static (&'static str, &'static str)> {
    let is_there = |(code, variables): &&(&str, &str)| {
        Path::new(code).is_file() && Path::new(variables).is_file()
    };
    FILES.iter().find(is_there)
}

/// What QEMU is told.
pub(super) fn arguments(firmware: Firmware, run_dir: &RunDir) -> anyhow::Result<Vec<String>> {
    if firmware == Firmware::Bios {
        return Ok(Vec::new());
    }
    let (code, variables) = files().ok_or_else(|| {
        Fault::environment("there is no UEFI for virtual machines here")
            .hint("apt-get install ovmf")
    })?;
    let copy = run_dir.file(VARIABLES);
    // A machine that is started again keeps its own.
    if !copy.exists() {
        std::fs::copy(variables, &copy).context("copying the variables of UEFI")?;
    }
    let copy = super::machine::quoted(&run_dir.argument(VARIABLES)?);
    Ok(vec![
        "-drive".to_owned(),
        format!("if=pflash,format=raw,unit=0,readonly=on,file={code}"),
        "-drive".to_owned(),
        format!("if=pflash,format=raw,unit=1,file={copy}"),
    ])
}
