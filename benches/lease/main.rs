//! What the lease costs a controller: in a virtual machine, on a real NFS server.
//!
//! `make bench-lease` runs it as root. It bakes the controller with the package that stands in for
//! Jenkins, boots it, and takes the home a few times after a clean release: how long that took by the
//! holder's own clock, from the look that found it released; and how many calls of the NFS client.
//! Then it counts what the holder and its clerk write while nothing happens, and the memory that they
//! have for themselves (proportional set size: what is shared counts in parts).
//!
//! Nothing else does the same work, so there is no peer. The machine is emulated where KVM does not
//! work, which makes every call several times as long as on EC2.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]
#![expect(clippy::disallowed_methods, reason = "hostkit is started as people start it")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// How often the home is taken; the median counts.
const ROUNDS: usize = 7;

/// For how long the writes are counted, in seconds.
const QUIET: u32 = 60;

/// What the guest is asked.
const QUESTIONS: &str = r#"
unit() { systemctl show --value --property "$1" "$2"; }
calls() { sed -n '/ on \/var\/lib\/jenkins /,/^device/p' /proc/self/mountstats |
  awk -v kind="$1" '/per-op/ { on = 1; next } on && NF > 8 && (kind == "" || $1 == kind ":") { n += $2 } END { print n + 0 }'; }
systemctl stop jenkins
for round in $(seq ROUNDS); do
  systemctl stop hostkit-lease; before=$(calls); systemctl start hostkit-lease; echo "calls $(($(calls) - before))"
  journalctl --unit hostkit-lease --output cat --no-pager | grep -oE 'was taken within [0-9]+ ms' | tail -n 1
  sleep 8
done
before=$(calls WRITE); sleep QUIET; echo "writes $(($(calls WRITE) - before))"
holder=$(unit MainPID hostkit-lease)
for pid in $holder $(pgrep --parent "$holder"); do awk '/^Pss:/ { print "pss", $2 }' /proc/$pid/smaps_rollup; done
"#;

fn main() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "an NFS server needs root: run `sudo make bench-lease`"
    );
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench-lease");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let image = image(&folder);
    let questions =
        QUESTIONS.replace("ROUNDS", &ROUNDS.to_string()).replace("QUIET", &QUIET.to_string());
    println!("booting the controller …");
    let said = run(Command::new(env!("CARGO_BIN_EXE_hostkit"))
        .arg("vm")
        .arg(&image)
        .args(["--timeout", "20m", "--until", "ready", "--", "sudo", "bash", "-c"])
        .arg(questions));
    let all = |before: &str| {
        let mut found: Vec<u64> =
            said.lines().filter_map(|line| number(line.split_once(before)?.1)).collect();
        found.sort_unstable();
        found
    };
    let median = |found: &[u64]| found.get(found.len() / 2).copied().unwrap_or_default();
    let (took, calls) = (all("was taken within "), all("calls "));
    assert_eq!(took.len(), ROUNDS, "the home was not taken each time:\n{said}");
    let (first, last) = (took[0], took[ROUNDS - 1]);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("\nload {}", load.split(' ').next().unwrap_or("?"));
    println!("claim after a clean release  {} ms ({first} to {last})   < 100 ms", median(&took));
    println!(
        "NFS calls of unit's start    {}   ≤ 13 from the head read as released",
        median(&calls)
    );
    println!("writes in {QUIET} s              {}   one in 10 s", all("writes ")[0]);
    println!("memory, Pss                  {} KiB   ≤ 8192 KiB", all("pss ").iter().sum::<u64>());
}

/// The controller's image, with the stand-in for Jenkins.
fn image(folder: &Path) -> PathBuf {
    let package = folder.join("jenkins.deb");
    let build =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jenkins-package/build.sh");
    run(Command::new(build).arg(&package));
    println!("baking the controller …");
    run(Command::new(env!("CARGO_BIN_EXE_hostkit"))
        .current_dir(folder)
        .args(["bake", "jenkins-controller", "--var"])
        .arg(format!("jenkins_package={}", package.display()))
        .arg("--output")
        .arg(folder));
    folder.join("jenkins-controller.raw")
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("it can be started");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}:\n{said}\n{complained}");
    said
}

fn number(text: &str) -> Option<u64> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
