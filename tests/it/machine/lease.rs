//! The lease on a controller that serves: what crashes, freezes, is stopped or is lost, and what it
//! costs. What several hosts make of each other is in `failover`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::tell;

/// What is asked of a guest that serves, after all else. It ends with a home that is released.
///
/// Jenkins is stopped while is counted what the lease does to the file system: it writes, too.
pub(super) const QUESTIONS: &str = r#"
unit() { systemctl show --value --property "$1" "$2"; }
pids() { echo "$(unit MainPID hostkit-lease) $(unit MainPID jenkins)"; }
head() { tr -d ' \n",' </var/lib/jenkins/.hostkit/lease/head | grep -oE 'generation:[0-9]+state:(held|released)'; }
another() { for _ in $(seq 300); do
  [ "$(unit ActiveState hostkit-lease)" = active ] && [ "$(unit MainPID hostkit-lease)" != "$1" ] && return
  sleep 0.3; done; }
clerk() { pgrep --parent "$(unit MainPID hostkit-lease)"; }
# Calls of the home's mount: of one kind, or all.
calls() { sed -n '/ on \/var\/lib\/jenkins /,/^device/p' /proc/self/mountstats |
  awk -v kind="$1" '/per-op/ { on = 1; next } on && NF > 8 && (kind == "" || $1 == kind ":") { n += $2 } END { print n + 0 }'; }

echo "@@ lease holds"; head; hostkit lease status --format json
echo "@@ lease crashes"; pids; old=$(unit MainPID hostkit-lease); kill -KILL "$old"; another "$old"; pids; head
echo "@@ lease's clerk crashes"; pids; old=$(clerk); kill -KILL "$old"; sleep 5; pids; head
[ -n "$(clerk)" ] && [ "$(clerk)" != "$old" ] && echo "another clerk"
echo "@@ lease freezes"; pids; old=$(unit MainPID hostkit-lease); kill -STOP "$old"; another "$old"; pids; head
echo "@@ lease costs"; systemctl stop jenkins; sleep 12; before=$(calls WRITE); sleep 30
echo "writes $(($(calls WRITE) - before))"
for pid in $(unit MainPID hostkit-lease) $(clerk); do awk '/^Pss:/ { print "pss", $2 }' /proc/$pid/smaps_rollup; done
echo "@@ lease is claimed"; systemctl stop hostkit-lease; head; before=$(calls); writes=$(calls WRITE)
systemctl start hostkit-lease; echo "calls $(($(calls) - before))"; head
journalctl --unit hostkit-lease --output cat --no-pager | grep 'was taken within' | tail -n 1
systemctl start jenkins
echo "@@ lease is stopped"; since=$(date +%s); systemctl stop hostkit-lease; head
journalctl --unit hostkit-lease --unit jenkins --since "@$since" --output cat --no-pager | grep -E 'Stopped jenkins|has released'
echo "@@ lease is lost"; systemctl start jenkins; head; cd /var/lib/jenkins/.hostkit/lease
sed 's/"generation": [0-9]*/"generation": 900/; s/"instance_id": "[^"]*"/"instance_id": "i-0bbbbbbbbbbbbbbbb"/' head >theirs
cp theirs gen-000900.json; chmod 600 theirs; began=$(date +%s%N); mv theirs head
while [ "$(unit ActiveState jenkins)" = active ]; do sleep 0.1; done; echo "after $((($(date +%s%N) - began) / 1000000)) ms"
for _ in $(seq 100); do [ "$(unit ActiveState hostkit-lease)" = failed ] && break; sleep 0.3; done; sleep 10
echo "$(unit ActiveState hostkit-lease) $(unit ActiveState jenkins)"; ls /run/hostkit/may-start 2>&1
systemctl start jenkins 2>&1; echo "start: $?"; hostkit lease status
sed 's/"state": "held"/"state": "released"/' head >released; chmod 600 released; mv released head; head; cd /
"#;

/// What a claim may cost once the head was read as released, in NFS calls and in milliseconds.
const CALLS: u64 = 13;
const TAKES: u64 = 100;

/// What a new clerk needs before that, to open the directory and to read the head, and the first
/// heartbeat after it, in NFS calls. The exact number of a claim alone is counted in `failover`.
/// Here only the sum can be seen; a host that waits is counted alone in the night `drained`.
const OPENING: u64 = 16;

/// Jenkins is dead so soon after the home is lost, in milliseconds.
const FENCES: u64 = 5_000;

/// What the holder has for itself, in KiB; its clerk likewise.
const MEMORY: u64 = 8 << 10;

/// Time is measured on loaded machines that emulate: three times as long is no failure.
const SLACK: u64 = 3;

pub(super) fn it_outlives_its_processes(said: &HashMap<String, String>) {
    let status = said["lease holds"].split_once('\n').unwrap();
    assert_eq!(status.0, "generation:1state:held");
    let _: Value = serde_json::from_str(status.1).unwrap();
    for (what, same_holder) in
        [("lease crashes", false), ("lease's clerk crashes", true), ("lease freezes", false)]
    {
        let lines: Vec<_> = said[what].lines().collect();
        let pids = [lines[0], lines[1]].map(|line| line.split_once(' ').unwrap());
        assert_eq!(pids[0].0 == pids[1].0, same_holder, "{what}: {lines:?}");
        assert_eq!(pids[0].1, pids[1].1, "{what}: Jenkins goes on: {lines:?}");
        assert_ne!(pids[0].1, "0", "{what}: {lines:?}");
        assert_eq!(lines[2], "generation:1state:held", "{what}");
    }
    assert!(said["lease's clerk crashes"].ends_with("another clerk"));
}

pub(super) fn it_ends_in_order(said: &HashMap<String, String>) {
    let lines: Vec<_> = said["lease is stopped"].lines().collect();
    assert_eq!(lines[0], "generation:2state:released");
    assert!(lines[1].starts_with("Stopped jenkins.service"), "{lines:?}");
    assert_eq!(lines[2], "this host has released the home (generation 2)");

    let lost = &said["lease is lost"];
    assert!(lost.starts_with("generation:3state:held\n"), "{lost}");
    let took = number(lost, "after ");
    tell(&format!("lost: Jenkins was dead after {took} ms"));
    assert!(took <= SLACK * FENCES, "{lost}");
    assert!(lost.contains("failed inactive\n") || lost.contains("failed failed\n"), "{lost}");
    assert!(lost.contains("cannot access '/run/hostkit/may-start'"), "{lost}");
    assert!(!lost.contains("start: 0"), "{lost}");
    assert!(lost.contains("held by i-0bbbbbbbbbbbbbbbb"), "{lost}");
    assert!(lost.ends_with("generation:900state:released"), "{lost}");
}

pub(super) fn it_costs_little(said: &HashMap<String, String>) {
    let costs = &said["lease costs"];
    let memory: Vec<u64> =
        costs.lines().filter_map(|line| line.strip_prefix("pss ")?.parse().ok()).collect();
    let (writes, claim) = (number(costs, "writes "), &said["lease is claimed"]);
    assert!(claim.starts_with("generation:1state:released\n"), "{claim}");
    let (calls, took) = (number(claim, "calls "), number(claim, "was taken within "));
    tell(&format!(
        "the lease: {writes} writes in 30 s; {memory:?} KiB Pss of holder and clerk; {calls} calls, \
         {took} ms a claim"
    ));
    assert!((2..=3).contains(&writes), "{costs}");
    assert!(calls <= OPENING + CALLS, "{claim}");
    assert!(took <= SLACK * TAKES, "{claim}");
    assert_eq!(memory.len(), 2, "{costs}");
    assert!(memory.iter().all(|memory| (1..=MEMORY).contains(memory)), "{costs}");
}

/// The number behind `before`.
fn number(text: &str, before: &str) -> u64 {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {text}")).1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

/// A host that was switched off has released its home.
pub(super) fn assert_released(efs: &Path) {
    let head = fs::read(efs.join(".hostkit/lease/head")).unwrap();
    let head: Value = serde_json::from_slice(&head).unwrap();
    assert_eq!(head["state"], "released", "{head}");
}
