//! How long the boot agent takes, beside cloud-init doing the same work in the same machine.
//!
//! `make bench-boot` runs it as root. It bakes a controller that also has cloud-init, boots it in a
//! virtual machine on a real NFS server, and reads from the agent's own report how long it was from its
//! start to the moment in which Jenkins may start, and how long the SSH host key took. Then the quiet
//! machine runs cloud-init with the same work: host name, SSH host key, a login key, one NFS mount and
//! two files. What only hostkit did in its time, while the rest of the machine was booting: two secrets
//! from Parameter Store, the launch hook, the lease on the home, the check of the home. cloud-init's
//! data lies on its disk, so it asks no metadata service.
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

/// Both in one machine.
fn machine() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "an NFS server needs root: run `sudo make bench-boot`"
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-boot");
    std::fs::create_dir_all(folder.join("image-recipes")).expect("a folder can be made");
    let image = image(&folder);
    println!("booting the controller …");
    let said = run(Command::new(env!("CARGO_BIN_EXE_hostkit")).arg("vm").arg(&image).args([
        "--timeout",
        "30m",
        "--until",
        "ready",
        "--",
        "sudo",
        "bash",
        "-c",
        GUEST,
    ]));
    let section = |name: &str| {
        let (_, rest) = said.split_once(&format!("@@ {name}\n")).expect("the guest says it");
        rest.split("@@ ").next().unwrap_or_default().to_owned()
    };
    let report: Value = serde_json::from_str(section("report").trim()).expect("a report is JSON");
    let agent = until_jenkins(&report);
    let keys: Vec<f64> =
        section("keys").split_whitespace().filter_map(|n| n.parse().ok()).collect();
    let keys = (keys[1] - keys[0]) / 1e6;
    let ours = agent + keys;
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("\nload {}", load.split(' ').next().unwrap_or("?"));
    println!(
        "hostkit, to \"Jenkins may start\"    {ours:6.1} s   agent {agent:.1}, SSH host key {keys:.1}"
    );
    for (name, what) in [("same", "same SSH host key"), ("default", "its own kinds of keys")] {
        let told = section(name);
        match told.split_once("took ").and_then(|(_, rest)| rest.split_once(" ms")) {
            Some((took, _)) => {
                let took = took.parse::<f64>().expect("a number of milliseconds") / 1000.0;
                println!(
                    "cloud-init, {what:<22} {took:6.1} s   hostkit takes 1/{:.1} (aim: 1/8)",
                    took / ours
                );
            }
            None => println!("cloud-init, {what}: {told}"),
        }
    }
    println!("\n{}", run(Command::new(env!("CARGO_BIN_EXE_hostkit")).arg("--version")).trim());
    for step in report["report"]["steps"].as_array().into_iter().flatten() {
        println!(
            "  {:<10} from {:6.2} s   {:6.2} s",
            step["step"].as_str().unwrap_or_default(),
            step["at"].as_f64().unwrap_or_default(),
            step["took"].as_f64().unwrap_or_default()
        );
    }
}

/// When the step that starts Jenkins began, in seconds after the agent's start.
fn until_jenkins(report: &Value) -> f64 {
    let steps = report["report"]["steps"].as_array().expect("a report has steps");
    let jenkins = steps.iter().find(|step| step["step"] == "jenkins").expect("a controller has it");
    jenkins["at"].as_f64().expect("a step has a time")
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

/// The controller's image, with the stand-in for Jenkins, and cloud-init.
fn image(folder: &Path) -> PathBuf {
    let package = folder.join("jenkins.deb");
    let build =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jenkins-package/build.sh");
    run(Command::new(build).arg(&package));
    let recipe = folder.join("image-recipes/bench-boot.toml");
    std::fs::write(recipe, include_str!("recipe.toml")).expect("a recipe can be written");
    println!("baking the controller …");
    run(Command::new(env!("CARGO_BIN_EXE_hostkit"))
        .current_dir(folder)
        .args(["bake", "bench-boot", "--var"])
        .arg(format!("jenkins_package={}", package.display()))
        .arg("--output")
        .arg(folder));
    folder.join("bench-boot.raw")
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{said}\n{complained}");
    said
}
