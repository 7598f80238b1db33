//! A controller over more than a boot: what the user told it, its timers, a reboot, a file system that
//! dies under it; and hosts that are held or start again because they cannot be brought up.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::controller::image;
use super::lease::assert_released;
use super::{Keys, alone, file_system, sections, vm_within};
use crate::support::{is_root, scratch, tell};

/// What a person tells this controller beside what its image says.
const USER_DATA: &str = r#"
[secrets]
SMTP_PASSWORD = "/ci/smtp/password"
[keys]
refresh = 60
[jenkins]
start_timeout = 1200
[jenkins.pools.linux]
executors = 2
[drain]
patience = 20
"#;

const SMTP_PASSWORD: &str = "smtp-password-4711-tortoise";

/// What is asked of a guest that serves again after a reboot. Every `@@` line begins a section. At the
/// end its file system goes away, and comes back.
const QUESTIONS: &str = r#"
unit() { systemctl show --value --property "$1" "$2"; }
ran() { # UNIT
  systemctl start "$1"; echo "$(unit Result "$1") $(unit ExecMainStatus "$1")"
  journalctl --unit "$1" --output cat --no-pager --lines 4
}
head() { tr -d ' \n",' </var/lib/jenkins/.hostkit/lease/head | grep -oE 'generation:[0-9]+state:(held|released)'; }
for _ in $(seq 300); do hostkit status >/dev/null && break; sleep 1; done
echo "@@ status"; hostkit status
echo "@@ lease"; head; hostkit lease status --offline
echo "@@ boots"; hostkit history --format json
echo "@@ start"; unit TimeoutStartUSec jenkins; unit DropInPaths jenkins
echo "@@ credentials"; ls /run/credentials/jenkins.service
sha256sum </run/credentials/jenkins.service/SMTP_PASSWORD
echo "@@ timers"; for timer in keys agents; do unit ActiveState hostkit-$timer.timer; done
unit TimersMonotonic hostkit-keys.timer
echo "@@ keys"; ran hostkit-keys.service
echo "@@ agents"; ran hostkit-agents.service
echo "@@ exposure"; for name in boot lease guard keys agents; do
  echo "$name $(systemd-analyze security --no-pager hostkit-$name.service | tail -n 1 | grep -oE '[0-9]+\.[0-9]')"
done
echo "@@ failed units"; systemctl --failed --no-legend --plain

# The way to the file system leads to a neighbour who is not there. The commands that people type then, and how long
# each of them took.
timed() { # SECONDS COMMAND...
  began=$(date +%s); most=$1; shift
  timeout --kill-after=5 "$most" "$@" >/tmp/said 2>&1; code=$?
  echo "$code after $(($(date +%s) - began)) s: $*"; tail -n 4 /tmp/said | sed 's/^/  /'
}
card=$(ip -o route get 10.0.2.100 | sed 's/.* dev \([^ ]*\).*/\1/')
echo "@@ dead"; ip route add 10.0.2.100/32 via 10.0.2.99 dev "$card"
timed 20 stat --file-system /var/lib/jenkins
timed 60 hostkit status
timed 60 hostkit analyze
timed 150 hostkit history
timed 150 hostkit lease status --offline
timed 150 hostkit lease status
timed 60 hostkit drain --plan
timed 120 hostkit boot --plan
timed 300 hostkit support-bundle -o /root/bundle.tar.gz
timed 120 hostkit keys refresh
timed 120 hostkit agents refresh
timed 300 hostkit boot --only home
echo "@@ guard"; for _ in $(seq 100); do unit StatusText hostkit-guard | grep -q jenkins && break; sleep 1; done
unit StatusText hostkit-guard
echo "@@ releases"; timed 900 hostkit drain --force >/tmp/drain 2>&1 &
releases='writing everything back and releasing the home'
for _ in $(seq 300); do journalctl --unit hostkit-guard --output cat --no-pager | grep -q "$releases" && break; sleep 1; done
sleep 20; grep -o '"phase":"[a-z]*"' /run/hostkit/lease/standing.json
echo "@@ back"; ip route del 10.0.2.100/32 via 10.0.2.99 dev "$card"
for _ in $(seq 300); do grep -q '"phase":"released"' /run/hostkit/lease/standing.json && break; sleep 1; done
grep -o '"phase":"[a-z]*"' /run/hostkit/lease/standing.json; unit StatusText hostkit-guard
journalctl --unit hostkit-guard --output cat --no-pager --lines 30
echo "@@ drain"; wait; cat /tmp/drain
echo "@@ journal"; journalctl --no-pager --output export | base64 -w0; echo
echo "@@ end"
"#;

/// The parameters of `keys`, and what `USER_DATA` needs beside them.
fn parameters(folder: &TempDir, keys: &Keys) -> PathBuf {
    let mut text = fs::read_to_string(keys.file()).unwrap();
    text += &format!(
        "\"/ci/smtp/password\" = {{ value = '{SMTP_PASSWORD}', type = 'SecureString' }}\n\
         \"/hostkit/pools/linux/host_key.pub\" = {{ value = '{}' }}\n",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqfJ5Q3Y6xYzK0b2Qe1J8m1dQ3o7zv7m1h4Wk0mYt3x"
    );
    let path = folder.path().join("parameters.toml");
    fs::write(&path, text).unwrap();
    path
}

fn written(folder: &TempDir, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_controller_reboots_keeps_its_home_and_hangs_nobody_when_its_file_system_dies() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let (efs, keys, folder) = (file_system(), Keys::new(), scratch());
    let output = vm_within(image(), "55m", Duration::from_hours(1))
        .arg("--efs")
        .arg(efs.path())
        .arg("--user-data")
        .arg(written(&folder, "user-data.toml", USER_DATA))
        .arg("--parameters")
        .arg(parameters(&folder, &keys))
        // Of an option that is said twice the last counts.
        .args(["--until", "ready", "--until", "reboot", "--until", "http:8080/login"])
        .args(["--", "sudo", "bash", "-c", QUESTIONS])
        .assert();
    let output = output.get_output();
    let said = sections(&output.stdout);
    for name in [
        "status", "lease", "keys", "agents", "exposure", "dead", "guard", "releases", "back",
        "drain",
    ] {
        tell(&format!("@@ {name}\n{}", said.get(name).map_or("", String::as_str)));
    }
    assert!(output.status.success() && said.contains_key("end"), "{said:?}");

    it_came_back_as_the_same_holder(&said);
    it_does_what_it_was_told(&said);
    nobody_hangs(&said);
    // How long a drain waits for a dead file system is tried without a machine, by the guard's tests.
    assert_eq!(said["releases"], "\"phase\":\"held\"", "it is released while nobody answers");
    assert!(said["back"].starts_with("\"phase\":\"released\""), "{}", said["back"]);
    assert_released(efs.path());
    let journal = super::base64(&said["journal"]);
    keys.assert_not_in("the journal of both boots", &journal);
    let found = journal.windows(SMTP_PASSWORD.len()).any(|it| it == SMTP_PASSWORD.as_bytes());
    assert!(!found, "a secret of the user's is in the journal");
}

fn it_came_back_as_the_same_holder(said: &HashMap<String, String>) {
    assert!(said["status"].starts_with("ready in "), "{}", said["status"]);
    assert!(said["lease"].starts_with("generation:2state:held\n"), "{}", said["lease"]);
    let boots: Vec<Value> =
        said["boots"].lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(boots.len(), 2, "{boots:?}");
    assert_eq!(boots[0]["instance_id"], boots[1]["instance_id"]);
    assert!(boots.iter().all(|boot| boot["state"] == "ready"), "{boots:?}");
}

fn it_does_what_it_was_told(said: &HashMap<String, String>) {
    assert!(said["start"].starts_with("20min\n"), "{}", said["start"]);
    for drop_in in ["10-hostkit.conf", "30-start.conf", "50-hostkit-secrets.conf"] {
        assert!(said["start"].contains(drop_in), "{drop_in}: {}", said["start"]);
    }
    assert!(said["credentials"].lines().any(|it| it == "SMTP_PASSWORD"), "{}", said["credentials"]);
    let digest = hostkit::digest::sha256(SMTP_PASSWORD);
    assert!(said["credentials"].contains(&digest), "{}", said["credentials"]);
    assert!(said["timers"].starts_with("active\nactive\n"), "{}", said["timers"]);
    assert!(said["timers"].contains("OnUnitInactiveUSec=54s"), "{}", said["timers"]);
    for unit in ["keys", "agents"] {
        assert!(said[unit].starts_with("success 0"), "{unit}: {}", said[unit]);
    }
    for line in said["exposure"].lines() {
        let (unit, exposure) = line.split_once(' ').unwrap();
        let most = if unit == "boot" { 3.0 } else { 2.0 };
        assert!(exposure.parse::<f64>().unwrap() <= most, "{line}");
    }
    assert_eq!(said["failed units"], "");
}

/// Each ends by itself: 124 and 137 are those of `timeout`.
fn nobody_hangs(said: &HashMap<String, String>) {
    let ended = |section: &str| -> Vec<(String, String)> {
        let lines = said[section].lines().filter(|line| !line.starts_with(' '));
        lines
            .filter_map(|line| {
                let (code, rest) = line.split_once(" after ")?;
                Some((code.to_owned(), rest.split_once(": ")?.1.to_owned()))
            })
            .collect()
    };
    let dead = ended("dead");
    assert!(["124", "137"].contains(&dead[0].0.as_str()), "the file system answers: {dead:?}");
    assert_eq!(dead.len(), 12, "{dead:?}");
    for (code, command) in dead.iter().skip(1).chain(&ended("drain")) {
        assert!(!["124", "137"].contains(&code.as_str()), "{command} hung");
    }
    let code = |command: &str| &dead.iter().find(|(_, line)| line == command).unwrap().0;
    for command in ["status", "analyze", "history", "drain --plan"] {
        assert_eq!(code(&format!("hostkit {command}")), "0", "{dead:?}");
    }
    assert_eq!(code("hostkit lease status"), "5");
}

/// What a guest is asked that cannot be brought up and is held.
const HELD: &str = r#"
unit() { systemctl show --value --property "$1" "$2"; }
for _ in $(seq 600); do hostkit status >/dev/null; [ $? = 5 ] && break; sleep 1; done; sleep 10
echo "@@ status"; hostkit status
echo "@@ unit"; unit ActiveState hostkit-boot; unit StatusText hostkit-boot; ls /run/hostkit/may-start 2>&1
echo "@@ end"
"#;

#[test]
fn a_host_that_cannot_be_brought_up_is_held_or_starts_again() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let (efs, folder) = (file_system(), scratch());
    let vm = |policy: &str| {
        let mut command = vm_within(image(), "25m", Duration::from_mins(30));
        // What no retry mends: it is found out at once.
        let text = format!(
            "[asg]\non_failure = \"{policy}\"\n[secrets]\nSMTP_PASSWORD = \"/ci/not-there\"\n"
        );
        command.env("TMPDIR", folder.path()).arg("--efs").arg(efs.path());
        command.arg("--user-data").arg(written(&folder, policy, &text));
        command
    };
    let output = vm("hold").args(["--", "sudo", "bash", "-c", HELD]).assert().success();
    let said = sections(&output.get_output().stdout);
    assert!(said.contains_key("end"), "{said:?}");
    assert!(said["status"].starts_with("failed"), "{}", said["status"]);
    assert!(said["unit"].starts_with("activating\n"), "{}", said["unit"]);
    assert!(said["unit"].contains("No such file"), "it may not start: {}", said["unit"]);

    let console = folder.path().join("console.log");
    vm("reboot")
        .args(["--until", "ready", "--console-log"])
        .arg(&console)
        .assert()
        .code(5)
        .stderr(predicates::str::contains("launch hook: ABANDON"));
    let console = String::from_utf8_lossy(&fs::read(&console).unwrap()).into_owned();
    for line in ["starts again (1 of 2)", "starts again (2 of 2)"] {
        assert!(console.contains(line), "{line} is not on the console");
    }
}
