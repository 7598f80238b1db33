//! One QEMU: how it is started, asked, switched off.

use std::fmt::Write as _;
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::json;

use super::acceleration::Chosen;
use super::options::{Firmware, Forward};
use super::qmp::Qmp;
use super::run_dir::RunDir;
use crate::error::Fault;
use crate::sim::account::MOUNT_TARGET_IP;
use crate::sys::{Cmd, Process, Runner, Tool};

/// QEMU 7.2 panicked the Debian 13 cloud kernel in every third boot under emulation.
const OLDEST_QEMU: u32 = 8;
/// The machine's disk, at least: larger than the image, as a volume usually is larger than its
/// snapshot, so that growing the root file system is rehearsed too.
const DISK_BYTES: u64 = 8 << 30;
/// QEMU makes its control socket within a moment; a machine under load gets more.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(20);
/// A loaded guest under emulation needs most of it.
const POWER_DOWN_TIMEOUT: Duration = Duration::from_mins(1);
/// How long the power button is given before it is pressed again.
const PRESS_AGAIN: Duration = Duration::from_secs(10);
const QUIT_GRACE: Duration = Duration::from_secs(5);

/// Files of the run folder.
pub const CONSOLE: &str = "console";
/// The relay's socket for the metadata service.
pub const IMDS_SOCKET: &str = "imds";
/// The relay's socket for the file system.
pub const NFS_SOCKET: &str = "nfs";
/// The machine's own layer over the image.
pub const OVERLAY: &str = "disk";
/// QEMU's name for the one disk.
const DRIVE: &str = "virtio0";
const QMP_SOCKET: &str = "qmp";
const QEMU_LOG: &str = "qemu.log";

/// What a machine is built from.
#[derive(Clone, Debug)]
pub struct Build {
    /// How it runs.
    pub chosen: Chosen,
    /// What starts its disk.
    pub firmware: Firmware,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Processors.
    pub cpus: u8,
    /// The first network card's hardware address.
    pub mac: String,
    /// Ports of 127.0.0.1 that lead into it.
    pub forwards: Vec<Forward>,
    /// Addresses of its own on this machine, and what they lead to.
    pub doors: Vec<Door>,
    /// Whether there is anything at the file system's address.
    pub efs_reachable: bool,
}

/// A port of a loopback address that nobody else uses, and the port of the guest that it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Door {
    /// The address.
    pub address: Ipv4Addr,
    /// The port, on both sides.
    pub port: u16,
}

/// A machine that is on.
#[derive(Debug)]
pub struct Machine {
    /// QEMU.
    pub process: Process,
    qmp: Qmp,
    /// Where each forward really is: a chosen port is known by now.
    pub forwards: Vec<Forward>,
}

impl Machine {
    /// Puts a throwaway layer on `image` and switches on. No code runs before
    /// [`Machine::power_on`].
    pub async fn start(
        runner: &Runner,
        run_dir: &RunDir,
        image: &Path,
        build: &Build,
    ) -> anyhow::Result<Self> {
        check_version(runner).await?;
        check_ports(&build.forwards)?;
        lay_over(runner, image, &run_dir.argument(OVERLAY)?, DISK_BYTES).await?;
        Self::on_disk(runner, run_dir, OVERLAY, build).await
    }

    /// Switches on with a disk that is there already: a qcow2 file of the run folder. No code runs
    /// before [`Machine::power_on`].
    pub async fn on_disk(
        runner: &Runner,
        run_dir: &RunDir,
        disk: &str,
        build: &Build,
    ) -> anyhow::Result<Self> {
        let qemu = command(run_dir, disk, build)?;
        let log = camino::Utf8PathBuf::from(run_dir.argument(QEMU_LOG)?);
        let mut process = runner.spawn(&qemu, &log)?;
        let Some(mut qmp) = connect(&mut process, &run_dir.file(QMP_SOCKET)).await else {
            let said = said(run_dir);
            bail!(Fault::environment(format!("QEMU did not start: {said}")));
        };
        let table = qmp.monitor("info usernet").await?;
        let forwards = resolve(&build.forwards, &table)?;
        Ok(Self { process, qmp, forwards })
    }

    /// Lets the processors run.
    pub async fn power_on(&mut self) -> anyhow::Result<()> {
        self.qmp.execute("cont", json!({})).await.map(|_| ())
    }

    /// Holds the processors and the clock, as a hypervisor does that moves or starves a machine.
    /// [`Machine::power_on`] lets them run on.
    pub async fn pause(&mut self) -> anyhow::Result<()> {
        self.qmp.execute("stop", json!({})).await.map(|_| ())
    }

    /// Has what is written from now on go to a new layer, a file that must not be there yet. What
    /// the disk had at this moment stays in the layers below: as after a power cut, without what
    /// the guest has not written down.
    pub async fn freeze_disk(&mut self, next: &str) -> anyhow::Result<()> {
        let arguments = json!({ "device": DRIVE, "snapshot-file": next, "format": "qcow2" });
        self.qmp.execute("blockdev-snapshot-sync", arguments).await.map(|_| ())
    }

    /// The port here that leads to a port of the guest.
    pub fn port(&self, guest: u16) -> Option<u16> {
        self.forwards.iter().find(|forward| forward.guest == guest).map(|forward| forward.host)
    }

    /// Presses the power button and waits until the guest is off. False if it did not react and
    /// the plug was pulled.
    pub async fn power_down(&mut self) -> bool {
        let deadline = tokio::time::Instant::now() + POWER_DOWN_TIMEOUT;
        while tokio::time::Instant::now() < deadline {
            // A kernel that has just started misses the button: it is pressed again.
            let _ = self.qmp.execute("system_powerdown", json!({})).await;
            if tokio::time::timeout(PRESS_AGAIN, self.process.wait()).await.is_ok() {
                return true;
            }
        }
        self.unplug().await;
        false
    }

    /// Ends QEMU at once, and waits until it is gone.
    pub async fn unplug(&mut self) {
        if self.process.ended().is_none() {
            let _ = self.qmp.execute("quit", json!({})).await;
            if tokio::time::timeout(QUIT_GRACE, self.process.wait()).await.is_err() {
                self.process.kill().await;
            }
        }
    }
}

/// What QEMU itself complained about.
pub fn said(run_dir: &RunDir) -> String {
    let text = std::fs::read_to_string(run_dir.file(QEMU_LOG)).unwrap_or_default();
    let text = text.trim();
    if text.is_empty() { "it does not say why".to_owned() } else { text.to_owned() }
}

async fn connect(process: &mut Process, socket: &Path) -> Option<Qmp> {
    let work = async {
        loop {
            if let Ok(qmp) = Qmp::connect(socket).await {
                return Some(qmp);
            }
            if process.ended().is_some() {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(SOCKET_TIMEOUT, work).await.ok().flatten()
}

/// Whether QEMU is there and new enough.
pub async fn check_version(runner: &Runner) -> anyhow::Result<()> {
    let text = runner.run(&Cmd::new(Tool::Qemu).arg("--version")).await?.text();
    match major_version(&text) {
        Some(major) if major >= OLDEST_QEMU => Ok(()),
        Some(major) => Err(Fault::environment(format!(
            "QEMU {major} is too old: guests panic at random under its emulation"
        ))
        .hint(
            "Debian 12: add bookworm-backports to the apt sources, then \
             apt-get install -t bookworm-backports qemu-system-x86 qemu-utils",
        )
        .into()),
        None => bail!("`qemu-system-x86_64 --version` printed no version: {text}"),
    }
}

fn major_version(text: &str) -> Option<u32> {
    text.split_once("version ")?.1.split('.').next()?.parse().ok()
}

/// QEMU would say it, too, but not which port.
fn check_ports(forwards: &[Forward]) -> Result<(), Fault> {
    for forward in forwards.iter().filter(|forward| forward.host != 0) {
        if let Err(error) = std::net::TcpListener::bind(("127.0.0.1", forward.host)) {
            return Err(Fault::environment(format!(
                "port {} cannot be used: {error}",
                forward.host
            ))
            .hint("take another one, or 0 to let the system choose"));
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ImageInfo {
    format: String,
    virtual_size: u64,
}

/// Makes `overlay`, a layer of at least `bytes` over a bootable image.
pub async fn lay_over(
    runner: &Runner,
    image: &Path,
    overlay: &str,
    bytes: u64,
) -> anyhow::Result<()> {
    let no_image = || Fault::usage(format!("{} is not a bootable image", image.display()));
    let image = image.canonicalize().with_context(no_image)?;
    if !image.is_file() {
        return Err(no_image().hint("it is a raw or qcow2 file").into());
    }
    let path = image.to_str().context("the image's name is not UTF-8")?;
    let info = Cmd::new(Tool::QemuImg).args(["info", "--force-share", "--output=json", path]);
    let info = runner.run(&info).await.with_context(no_image)?;
    let info: ImageInfo =
        serde_json::from_slice(&info.stdout).context("reading qemu-img's JSON")?;
    if !["raw", "qcow2"].contains(&info.format.as_str()) {
        let text = format!("{} is a {} image; raw and qcow2 can be booted", path, info.format);
        return Err(Fault::usage(text).into());
    }
    if info.format == "raw" && !has_boot_sector(&image) {
        let hint = "a bootable disk has a boot sector, in GPT disks too";
        return Err(no_image().hint(hint).into());
    }
    let size = info.virtual_size.max(bytes).to_string();
    let create = Cmd::new(Tool::QemuImg)
        .args(["create", "-q", "-f", "qcow2", "-F", &info.format, "-b", path])
        .args([overlay.to_owned(), size]);
    runner.run(&create).await.context("laying a throwaway disk over the image")?;
    Ok(())
}

/// Whether the firmware would find something to start.
fn has_boot_sector(image: &Path) -> bool {
    let mut sector = [0; 512];
    let read = std::fs::File::open(image).and_then(|mut file| file.read_exact(&mut sector));
    read.is_ok() && sector.ends_with(&[0x55, 0xaa])
}

fn command(run_dir: &RunDir, disk: &str, build: &Build) -> anyhow::Result<Cmd> {
    let file = |name: &str| run_dir.argument(name).map(|path| quoted(&path));
    let relay = |socket: &str| -> anyhow::Result<String> {
        // Our own binary by way of /proc: also when its file was replaced, and never to be quoted.
        let command = format!(
            "/proc/{}/exe inner relay {}",
            std::process::id(),
            shell_word(&run_dir.argument(socket)?)
        );
        Ok(quoted(&command))
    };
    let mut main = "user,id=n0".to_owned();
    for forward in &build.forwards {
        let _ = write!(main, ",hostfwd=tcp:127.0.0.1:{}-:{}", forward.host, forward.guest);
    }
    for Door { address, port } in &build.doors {
        let _ = write!(main, ",hostfwd=tcp:{address}:{port}-:{port}");
    }
    if build.efs_reachable {
        let _ = write!(main, ",guestfwd=tcp:{MOUNT_TARGET_IP}:2049-cmd:{}", relay(NFS_SOCKET)?);
    }
    // restrict=on: its DHCP offers no way out, so the default route stays with the first card.
    let imds = format!(
        "user,id=imds,restrict=on,net=169.254.169.0/24,host=169.254.169.1,dns=169.254.169.3,\
         dhcpstart=169.254.169.20,guestfwd=tcp:169.254.169.254:80-cmd:{}",
        relay(IMDS_SOCKET)?
    );
    Ok(Cmd::new(Tool::Qemu)
        .args(["-name", "hostkit-vm", "-nodefaults", "-no-user-config", "-display", "none", "-S"])
        .args(["-machine", "pc"])
        .args(build.chosen.arguments())
        .args(super::firmware::arguments(build.firmware, run_dir)?)
        .args(["-smp".to_owned(), build.cpus.to_string()])
        .args(["-m".to_owned(), format!("{}M", build.memory_mib)])
        .arg("-drive")
        .arg(format!("file={},if=virtio,format=qcow2,cache=unsafe,discard=unmap", file(disk)?))
        .args(["-netdev", &main, "-device"])
        .arg(format!("virtio-net-pci,netdev=n0,mac={}", build.mac))
        .args(["-netdev", &imds, "-device", "virtio-net-pci,netdev=imds"])
        .args(["-device", "virtio-rng-pci"])
        .args(["-serial".to_owned(), format!("file:{}", run_dir.argument(CONSOLE)?)])
        .args(["-qmp".to_owned(), format!("unix:{},server=on,wait=off", file(QMP_SOCKET)?)]))
}

/// In QEMU's options a comma ends a value, and two are one.
pub(super) fn quoted(value: &str) -> String {
    value.replace(',', ",,")
}

/// QEMU splits a relay's command as a shell does.
fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Finds the chosen ports in the monitor's table of connections:
/// `  TCP[HOST_FORWARD]  12       127.0.0.1 40123       10.0.2.15    22     0     0`
fn resolve(wanted: &[Forward], table: &str) -> anyhow::Result<Vec<Forward>> {
    let rows = table.lines().filter(|line| line.contains("TCP[HOST_FORWARD]"));
    let mut open: Vec<Forward> = rows
        .filter_map(|row| {
            let columns: Vec<_> = row.split_whitespace().collect();
            // The others are doors.
            (*columns.get(2)? == "127.0.0.1").then_some(())?;
            Some(Forward {
                host: columns.get(3)?.parse().ok()?,
                guest: columns.get(5)?.parse().ok()?,
            })
        })
        .collect();
    // Given ports first, so that a chosen one to the same guest port finds its own row.
    let mut found = Vec::new();
    let (given, chosen): (Vec<Forward>, Vec<Forward>) =
        wanted.iter().partition(|forward| forward.host != 0);
    for forward in given.into_iter().chain(chosen) {
        let fits = |row: &Forward| {
            row.guest == forward.guest && (forward.host == 0 || row.host == forward.host)
        };
        let index = open
            .iter()
            .position(fits)
            .with_context(|| format!("QEMU does not list the forward to port {}", forward.guest))?;
        found.push(open.remove(index));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_version_and_the_ports_in_what_qemu_prints() {
        let text = "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)";
        assert_eq!(major_version(text), Some(10));
        let table = "Hub -1 (n0):\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n  \
             TCP[HOST_FORWARD]  13       127.0.0.1 40123       10.0.2.15    22     0     0\n  \
             TCP[HOST_FORWARD]  12       127.0.0.1  8080       10.0.2.15  8080     0     0\n";
        let wanted = [Forward { host: 0, guest: 22 }, Forward { host: 8080, guest: 8080 }];
        let mut found = resolve(&wanted, table).unwrap();
        found.sort_by_key(|forward| forward.guest);
        assert_eq!(found[0], Forward { host: 40123, guest: 22 });
        assert!(resolve(&[Forward { host: 0, guest: 443 }], table).is_err());
    }

    #[test]
    fn a_port_in_use_is_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let host = taken.local_addr().unwrap().port();
        let error = check_ports(&[Forward { host, guest: 22 }]).unwrap_err();
        assert!(error.to_string().contains(&host.to_string()), "{error}");
    }

    #[test]
    fn a_path_with_commas_and_quotes_stays_one_value() {
        assert_eq!(quoted("a,b"), "a,,b");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }
}
