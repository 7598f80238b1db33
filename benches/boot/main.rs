//! How long the boot agent takes, beside cloud-init doing the same work in the same machine.
//!
//! `make bench-boot` runs it as root. It bakes a controller twice, boots each in a virtual machine on a
//! real NFS server, and compares while the machine boots, and once more on the quiet machine of the
//! first: for hostkit it is the agent's own report, from its start to the moment in which Jenkins may
//! start, and the making of the SSH host key, one after the other; for cloud-init it is its units, from
//! the first to the last. Both set a host name, make an SSH host key, let a login key in, mount the home
//! by NFS and write two files. What only hostkit does in its time: it asks the metadata service, gets
//! two secrets from Parameter Store, keeps the launch hook, takes the lease on the home and checks it.
//! cloud-init's data lies on its disk.
//!
//! The second table has no machine: the real agent's code fifty times, with a metadata service that
//! takes 1 ms over each answer and AWS 5 ms, on loopback; systemd is scripted and Jenkins is there at
//! once. `cargo bench --bench boot -- local` runs that alone.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::disallowed_methods, reason = "programs are started as people start them")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// What is done in the guest.
const GUEST: &str = include_str!("guest.sh");

fn main() {
    let picked: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |row: &str| picked.is_empty() || picked.iter().any(|name| name == row);
    if wanted("machine") {
        machine();
    }
    if wanted("local") {
        local();
    }
}

/// Both, in machines.
fn machine() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "an NFS server needs root: run `sudo make bench-boot`"
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-boot");
    std::fs::create_dir_all(folder.join("image-recipes")).expect("a folder can be made");
    let ours = image(&folder, "bench-hostkit", include_str!("hostkit.toml"));
    let theirs = image(&folder, "bench-cloud-init", include_str!("cloud-init.toml"));
    println!("booting with hostkit …");
    let said = run(vm(&ours).args(["--until", "ready", "--", "sudo", "bash", "-c", GUEST]));
    let booted = Agent::read(&said, "boot");
    let quiet = Agent::read(&said, "quiet");
    println!("booting with cloud-init …");
    let console = folder.join("console.log");
    run(vm(&theirs).arg("--console-log").arg(&console).args(["--until", "http:8080/done"]));
    let console = std::fs::read_to_string(console).expect("the console was kept");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("\nload {}", load.split(' ').next().unwrap_or("?"));
    let at_boot = console.lines().find_map(|line| {
        let (from, to) = line.split_once("bench: from ")?.1.trim().split_once(" to ")?;
        Some((number(to)? - number(from)?) / 1e6)
    });
    row("while the machine boots", &booted, at_boot);
    let took = section(&said, "quiet cloud-init");
    let took = took.strip_prefix("took ").and_then(number).map(|took| took / 1000.0);
    row("on a quiet machine", &quiet, took);
    println!("\nhostkit's steps while the machine boots:");
    for (step, at, took) in &booted.steps {
        println!("  {step:<10} from {at:6.2} s   {took:6.2} s");
    }
    println!("\ncloud-init's:");
    for line in console.lines().filter_map(|line| line.split_once("bench: ")) {
        println!("  {}", line.1);
    }
}

fn row(what: &str, ours: &Agent, theirs: Option<f64>) {
    let (agent, keys) = (ours.until_jenkins, ours.keys);
    let sum = agent + keys;
    let theirs = theirs.map_or("did not do the work".to_owned(), |took| {
        format!("{took:5.1} s, hostkit takes 1/{:.1}   aim: 1/8", took / sum)
    });
    println!(
        "{what:<24} hostkit {sum:5.2} s (agent {agent:.2}, SSH host key {keys:.2})   cloud-init {theirs}"
    );
}

/// What the agent says of a boot.
struct Agent {
    /// When the step that starts Jenkins began, in seconds after the agent's start.
    until_jenkins: f64,
    /// How long the SSH host key took, in seconds.
    keys: f64,
    /// Every step, when it began, and how long it took.
    steps: Vec<(String, f64, f64)>,
}

impl Agent {
    fn read(said: &str, name: &str) -> Self {
        let report: Value = serde_json::from_str(&section(said, name)).expect("a report is JSON");
        let steps = report["report"]["steps"].as_array().or(report["steps"].as_array());
        let seconds = |step: &Value, key: &str| step[key].as_f64().unwrap_or_default();
        let steps = steps.expect("a report has steps").iter().map(|step| {
            let name = step["step"].as_str().unwrap_or_default().to_owned();
            (name, seconds(step, "at"), seconds(step, "took"))
        });
        let steps: Vec<_> = steps.collect();
        let jenkins = steps.iter().find(|(name, ..)| name == "jenkins");
        let keys = section(said, &format!("{name} keys"));
        let (from, to) = keys.split_once(' ').expect("two times");
        let time = |text| number(text).expect("a time in microseconds");
        Self {
            until_jenkins: jenkins.expect("a controller starts Jenkins").1,
            keys: (time(to) - time(from)) / 1e6,
            steps,
        }
    }
}

fn section(said: &str, name: &str) -> String {
    let (_, rest) = said.split_once(&format!("@@ {name}\n")).expect("the guest says it");
    rest.split("@@ ").next().unwrap_or_default().trim().to_owned()
}

fn number(text: &str) -> Option<f64> {
    let digits: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    digits.parse().ok()
}

fn vm(image: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostkit"));
    command.arg("vm").arg(image).args(["--timeout", "30m"]);
    command
}

/// The agent's code against servers on loopback.
fn local() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let said = run(Command::new(cargo)
        .args([
            "test",
            "--locked",
            "--release",
            "--lib",
            "--",
            "--ignored",
            "--exact",
            "--nocapture",
        ])
        .arg("boot::tests::speed::fifty_boots_with_the_latencies_of_ec2"));
    for line in said.lines().filter_map(|line| line.strip_prefix("bench: ")) {
        println!("{line}");
    }
}

/// A controller's image, with the stand-in for Jenkins, and cloud-init.
fn image(folder: &Path, name: &str, recipe: &str) -> PathBuf {
    let package = folder.join("jenkins.deb");
    let build =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jenkins-package/build.sh");
    run(Command::new(build).arg(&package));
    let path = folder.join("image-recipes").join(name).with_extension("toml");
    std::fs::write(path, recipe).expect("a recipe can be written");
    println!("baking {name} …");
    run(Command::new(env!("CARGO_BIN_EXE_hostkit"))
        .current_dir(folder)
        .args(["bake", name, "--var"])
        .arg(format!("jenkins_package={}", package.display()))
        .arg("--output")
        .arg(folder));
    folder.join(name).with_extension("raw")
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{said}\n{complained}");
    said
}
