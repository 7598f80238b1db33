//! A controller that goes: EC2 takes it back, or its group lets it go; and what its guard costs.

use std::collections::HashMap;

use super::controller::image;
use super::lease::assert_released;
use super::{alone, file_system, sections, vm_of};
use crate::support::{is_root, tell};

/// What is asked of a guest that serves, before and after it goes. It ends when the guard has drained
/// it, which is before the plug is pulled, or never.
const QUESTIONS: &str = r#"
unit() { systemctl show --value --property "$1" "$2"; }
guard=$(unit MainPID hostkit-guard)
echo "@@ before"; unit StatusText hostkit-guard; unit ActiveState jenkins
used=$(unit CPUUsageNSec hostkit-guard); began=$(date +%s%N); sleep "$MEASURED"
echo "@@ cost"; awk '/^Pss:/ { print "pss", $2 }' /proc/$guard/smaps_rollup
echo "cpu $(($(unit CPUUsageNSec hostkit-guard) - used)) of $(($(date +%s%N) - began))"
echo "@@ metrics"; cat /run/hostkit/metrics.prom
for _ in $(seq 900); do journalctl --unit hostkit-guard --output cat --no-pager | grep -q 'this host is drained' && break; sleep 0.3; done
echo "@@ after"; unit ActiveState jenkins; unit ActiveState hostkit-lease; unit ActiveState var-lib-jenkins.mount
unit StatusText hostkit-guard; grep -o '"phase":"[a-z]*"' /run/hostkit/lease/standing.json
echo "@@ journal"; journalctl --unit hostkit-guard --output cat --no-pager
echo "@@ end"
"#;

/// What the guard has for itself, in KiB.
const MEMORY: u64 = 15 << 10;

/// How much of a processor it may take while nothing happens, in thousandths.
const CPU: u64 = 1;

/// Time is measured on loaded machines that emulate: every instruction takes ten times as long, and
/// three times as long is no failure.
const SLACK: u64 = 30;

/// `event` comes so long after the host is ready that it can be asked before; what the guard costs is
/// measured for so many seconds.
fn played(event: &str, measured: u32) -> HashMap<String, String> {
    let efs = file_system();
    let questions = format!("MEASURED={measured}\n{QUESTIONS}");
    let output = vm_of(image())
        .arg("--efs")
        .arg(efs.path())
        .args(["--at", event, "--until", "ready"])
        .args(["--", "sudo", "bash", "-c", &questions])
        .assert()
        .success();
    assert_released(efs.path());
    let said = sections(&output.get_output().stdout);
    assert!(said.contains_key("end"), "{said:?}");
    assert_eq!(said["before"], "serving\nactive");
    let after: Vec<_> = said["after"].lines().collect();
    assert_eq!(after[..3], ["inactive", "inactive", "inactive"], "{said:?}");
    assert_eq!(after[3..], ["drained", "\"phase\":\"released\""], "{said:?}");
    said
}

#[test]
fn a_controller_goes_in_order_when_ec2_takes_it_back_and_when_its_group_lets_it_go() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let said = played("+90s=spot-interruption", 40);
    let journal = &said["journal"];
    assert!(journal.contains("because EC2 takes this spot instance back"), "{journal}");
    assert!(journal.contains("this host has released the home (generation 1)"), "{journal}");

    let number = |before: &str| -> u64 {
        let rest = said["cost"].split_once(before).unwrap().1;
        rest.split_whitespace().next().unwrap().parse().unwrap()
    };
    let (memory, used, of) = (number("pss "), number("cpu "), number(" of "));
    tell(&format!("the guard: {memory} KiB Pss, {} us of a second", used * 1_000_000 / of));
    assert!((1..=MEMORY).contains(&memory), "{}", said["cost"]);
    assert!(used * 1000 <= of * CPU * SLACK, "{}", said["cost"]);
    for line in ["hostkit_ready 1", "hostkit_lease_generation 1", "hostkit_mount_ok{"] {
        assert!(said["metrics"].contains(line), "{line}: {}", said["metrics"]);
    }

    let said = played("+40s=terminate", 1);
    let journal = &said["journal"];
    assert!(journal.contains("because the group terminates this host"), "{journal}");
    assert!(journal.contains("the hook drain lets this host go"), "{journal}");
}
