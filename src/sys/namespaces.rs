//! Processes of their own: tethered to their parent, or inside a tree with namespaces of their own.
//!
//! These run in a fresh single-threaded hostkit process (`hostkit inner …`), before any runtime
//! exists. They never return on success.

use std::ffi::CString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use anyhow::Context as _;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{chdir, chroot, execvp, sethostname};

use super::tool::Tool;

/// Gives this process a mount namespace of its own: whatever it mounts from now on goes when it
/// ends, whatever ends it, and is seen by nobody but its children. For a process that has neither
/// threads nor a runtime yet. What others mount and unmount later is still followed.
pub fn own_mounts() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS).context("making a mount namespace (this needs root)")?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)
        .context("making mounts private")
}

/// Becomes `argv`, and dies when the process `parent` dies.
pub fn tether(parent: i32, argv: &[String]) -> anyhow::Result<std::convert::Infallible> {
    die_with(parent)?;
    become_program(argv)
}

/// Runs `argv` inside `root` as the only inhabitant of fresh mount, pid, uts and ipc namespaces,
/// and returns its exit code.
///
/// When this process or the one inside ends, the kernel kills whatever was started within and
/// takes down every mount: there is nothing to clean up.
pub fn enter(parent: i32, root: &Path, argv: &[String]) -> anyhow::Result<u8> {
    die_with(parent)?;
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC,
    )
    .context("making namespaces (this needs root)")?;
    first_process(|again| again.args(["inside", &me()]).arg(root), argv)
}

/// A pid namespace begins with the next child: that child mounts and becomes the program.
#[expect(clippy::disallowed_methods, reason = "the second half of one program start")]
fn first_process(
    half: impl FnOnce(&mut std::process::Command) -> &mut std::process::Command,
    argv: &[String],
) -> anyhow::Result<u8> {
    let mut again = std::process::Command::new(Tool::Hostkit.find()?);
    let status = half(again.arg("inner"))
        .arg("--")
        .args(argv)
        .status()
        .context("starting the first process of the namespace")?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(u8::try_from(code).unwrap_or(1))
}

/// Runs `argv` on this machine in fresh mount and pid namespaces, and returns its exit code.
pub fn contain(parent: i32, argv: &[String]) -> anyhow::Result<u8> {
    die_with(parent)?;
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)
        .context("making namespaces (this needs root)")?;
    first_process(|again| again.args(["contained", &me()]), argv)
}

/// The second half of [`contain`]: the first process inside.
pub fn contained(parent: i32, argv: &[String]) -> anyhow::Result<std::convert::Infallible> {
    die_with(parent)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("making mounts private")?;
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none).context("mounting /proc")?;
    become_program(argv)
}

/// The second half of [`enter`]: the first process inside. Mounts the kernel's file systems,
/// changes root and becomes `argv`.
pub fn inside(
    parent: i32,
    root: &Path,
    argv: &[String],
) -> anyhow::Result<std::convert::Infallible> {
    die_with(parent)?;
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
        .context("making mounts private")?;
    let safe = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let at = |path: &str| root.join(path);
    mount(Some("proc"), &at("proc"), Some("proc"), safe, none).context("mounting /proc")?;
    mount(Some("sysfs"), &at("sys"), Some("sysfs"), safe | MsFlags::MS_RDONLY, none)
        .context("mounting /sys")?;
    bind_devices(root)?;
    for (path, options) in [("run", "mode=0755"), ("tmp", "mode=1777")] {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
        mount(Some("tmpfs"), &at(path), Some("tmpfs"), flags, Some(options))
            .with_context(|| format!("mounting /{path}"))?;
    }
    bring_resolver(root)?;
    sethostname("hostkit-bake").context("setting the host name of the namespace")?;
    chroot(root).with_context(|| format!("changing root to {}", root.display()))?;
    chdir("/").context("entering the tree")?;
    become_program(argv)
}

/// A `/dev` with the six nodes that packages need, and none of the machine's disks.
fn bind_devices(root: &Path) -> anyhow::Result<()> {
    let none = None::<&str>;
    let dev = root.join("dev");
    mount(Some("tmpfs"), &dev, Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=0755"))
        .context("mounting /dev")?;
    for node in ["null", "zero", "full", "random", "urandom", "tty"] {
        let to = dev.join(node);
        std::fs::File::create(&to).with_context(|| format!("making /dev/{node}"))?;
        mount(Some(&Path::new("/dev").join(node)), &to, none, MsFlags::MS_BIND, none)
            .with_context(|| format!("binding /dev/{node}"))?;
    }
    std::fs::create_dir(dev.join("shm")).context("making /dev/shm")?;
    for (link, to) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        std::os::unix::fs::symlink(to, dev.join(link))
            .with_context(|| format!("linking /dev/{link}"))?;
    }
    Ok(())
}

/// Programs inside resolve names as this machine does. `/run` is fresh and goes with the
/// namespace, so the tree's own resolver file is covered only if it is a plain file.
fn bring_resolver(root: &Path) -> anyhow::Result<()> {
    let Ok(ours) = std::fs::read("/etc/resolv.conf") else { return Ok(()) };
    let directory = root.join("run/systemd/resolve");
    std::fs::create_dir_all(&directory).context("making /run/systemd/resolve")?;
    // Where systemd-resolved's link points, in a tree that has it.
    let stub = directory.join("stub-resolv.conf");
    std::fs::write(&stub, ours).context("writing the resolver file")?;
    let inside = root.join("etc/resolv.conf");
    if std::fs::symlink_metadata(&inside).is_ok_and(|meta| meta.is_file()) {
        let none = None::<&str>;
        mount(Some(&stub), &inside, none, MsFlags::MS_BIND, none)
            .context("binding /etc/resolv.conf")?;
    }
    Ok(())
}

fn me() -> String {
    std::process::id().to_string()
}

/// Ends with the process `parent`, also if that has ended already.
fn die_with(parent: i32) -> anyhow::Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("tying this process to its parent")?;
    // Had the parent ended before the line above, nobody would tell us. Inside a new pid namespace
    // every parent reads as 0; but `/proc` is still that of the outside, which has the number.
    let status = std::fs::read_to_string("/proc/self/status").context("looking for the parent")?;
    let now = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    let now = now.and_then(|number| number.trim().parse::<i32>().ok());
    anyhow::ensure!(now == Some(parent), "the parent has ended");
    Ok(())
}

fn become_program(argv: &[String]) -> anyhow::Result<std::convert::Infallible> {
    let argv = argv
        .iter()
        .map(|arg| CString::new(arg.as_str()).context("an argument holds a zero byte"))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let program = argv.first().context("no program was named")?;
    execvp(program, &argv).with_context(|| format!("starting {}", program.to_string_lossy()))
}
