//! A home is destroyed under a controller, found to be so, and brought back from a restore; then the
//! file system dies. All on one virtual machine.
//!
//! What AWS Backup would have put there is a copy that the guest makes before; its NFS server is
//! ganesha, which is killed at the end.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::controller::{await_programs, image};
use super::{Keys, alone, file_system, sections};
use crate::support::{is_root, pause, send, tell};

/// What the guest writes to its file system when the server is to be killed.
const NOW: &str = "kill-the-server";

/// What is done in the guest. Every `@@` line begins a section.
const NIGHT: &str = r#"
cd /
timed() { # COMMAND...
  began=$(date +%s%N); timeout --kill-after=5 300 "$@" 2>&1
  echo "exit $? after $((($(date +%s%N) - began) / 1000000)) ms"
}
jobs_served() {
  token=$(printf 'hostkit:%s' "$(cat /run/hostkit/secrets/hostkit_token)" | base64 -w0)
  exec 3<>/dev/tcp/127.0.0.1/8080
  printf 'GET /api/json HTTP/1.1\r\nHost: x\r\nAuthorization: Basic %s\r\nConnection: close\r\n\r\n' "$token" >&3
  grep -o '"name":"[^"]*"' <&3
}
# The resolver of the VPC, which this account has not: it knows the file system alone. A unit of its
# own, because what this shell leaves behind would hold its session open.
ip address add 169.254.169.253/32 dev lo
cat >/root/resolver.pl <<'RESOLVER'
use IO::Socket::INET;
my $udp = IO::Socket::INET->new(LocalAddr => "169.254.169.253", LocalPort => 53, Proto => "udp") or die $!;
while ($udp->recv(my $asked, 512)) {
  my ($question) = substr($asked, 12) =~ /^(.*?\0....)/s;
  my $answers = $asked =~ /fs-/ && substr($question, -4) eq "\0\1\0\1";
  $udp->send(substr($asked, 0, 2) . pack("n5", 0x8180, 1, $answers, 0, 0) . $question
    . ($answers ? pack("n3Nn", 0xc00c, 1, 1, 60, 4) . pack("C4", 10, 0, 2, 100) : ""));
}
RESOLVER
systemd-run --quiet --unit resolver perl /root/resolver.pl
card=$(ip -o route get 10.0.2.100 | sed 's/.* dev \([^ ]*\).*/\1/')
resolvectl dns "$card" 169.254.169.253; resolvectl domain "$card" "~."
efs=/var/lib/jenkins; home=$efs/home
for job in app nightly; do
  install -d -o jenkins -g jenkins $home/jobs/$job
  printf "<?xml version='1.1' encoding='UTF-8'?>\n<project>\n</project>\n" >$home/jobs/$job/config.xml
  chown jenkins:jenkins $home/jobs/$job/config.xml
done
echo "@@ healthy"; timed hostkit efs check
echo "@@ again"; timed hostkit efs check

# What a restore of the whole file system leaves: all of the day before, hostkit's own folder, too.
restored=$efs/aws-backup-restore_2026-11-26T03-00-00-000Z
mkdir $restored; cp -a $home $restored/; cp -a $efs/.hostkit $restored/
# The night: somebody removes what Jenkins cannot do without, and the jobs.
rm -rf $home/jobs $home/secrets; : >$home/config.xml
echo "@@ damaged"; timed hostkit efs check

echo "@@ plan"; timed hostkit efs recover --from ${restored##*/} --stop-jenkins --dry-run
echo "@@ recover"; timed hostkit efs recover --from ${restored##*/} --stop-jenkins --yes
for _ in $(seq 300); do hostkit status >/dev/null && break; sleep 1; done
echo "@@ status"; hostkit status
echo "@@ jobs"; jobs_served
echo "@@ lease"; hostkit lease status
echo "@@ recovered"; timed hostkit efs check
echo "@@ top"; ls -A $efs $efs/.hostkit

echo "@@ killed"; touch $efs/kill-the-server
for _ in $(seq 100); do timeout 5 stat -f $efs >/dev/null 2>&1 || break; sleep 1; done
timed hostkit efs check
echo "@@ end"
"#;

#[test]
fn a_destroyed_home_is_brought_back_and_a_dead_server_is_told() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let (efs, keys) = (file_system(), Keys::new());
    let mut guest = Command::new(env!("CARGO_BIN_EXE_hostkit"))
        .arg("vm")
        .arg(image())
        .arg("--efs")
        .arg(efs.path())
        .arg("--parameters")
        .arg(keys.file())
        .args(["--timeout", "20m", "--until", "ready", "--until", "http:8080/login"])
        .args(["--", "sudo", "bash", "-c", NIGHT])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let [_, server] = await_programs(&guest);
    let deadline = Instant::now() + Duration::from_mins(20);
    while !efs.path().join(NOW).exists() && Instant::now() < deadline {
        if guest.try_wait().unwrap().is_some() {
            break;
        }
        pause();
    }
    let pid = server.trim_start_matches("/proc/").parse().unwrap();
    send("KILL", pid);
    let output = guest.wait_with_output().unwrap();
    let said = sections(&output.stdout);
    for name in
        ["healthy", "again", "damaged", "plan", "recover", "boot", "status", "jobs", "lease"]
            .into_iter()
            .chain(["recovered", "top", "killed"])
    {
        tell(&format!("@@ {name}\n{}", said.get(name).map_or("", String::as_str)));
    }
    assert!(said.contains_key("end"), "{}", String::from_utf8_lossy(&output.stdout));

    it_is_well_and_soon_told(&said);
    the_damage_is_named(&said);
    the_jobs_are_served_again(&said);
    assert!(efs.path().join("home/jobs/app/config.xml").exists());
    a_dead_server_is_told_in_time(&said);
}

/// How a command ended, and after how many milliseconds.
fn ended(section: &str) -> (u32, u64) {
    let last = section.lines().last().unwrap_or_default();
    let mut words = last.split(' ');
    let mut number = |after: &str| words.find(|word| *word == after).and_then(|_| words.next());
    let code = number("exit").and_then(|word| word.parse().ok());
    let took = number("after").and_then(|word| word.parse().ok());
    (code.unwrap_or_else(|| panic!("{section}")), took.unwrap())
}

fn it_is_well_and_soon_told(said: &HashMap<String, String>) {
    for name in ["healthy", "again"] {
        let (code, took) = ended(&said[name]);
        assert_eq!(code, 0, "{}", said[name]);
        // Two seconds are promised.
        assert!(took < 6000, "{took} ms");
    }
}

fn the_damage_is_named(said: &HashMap<String, String>) {
    let damaged = &said["damaged"];
    assert_eq!(ended(damaged).0, 5, "{damaged}");
    assert!(damaged.contains("home.intact") && damaged.contains("config.xml"), "{damaged}");
    assert!(damaged.contains("hostkit efs recover --from"), "{damaged}");
}

fn the_jobs_are_served_again(said: &HashMap<String, String>) {
    assert_eq!(ended(&said["plan"]).0, 0, "{}", said["plan"]);
    assert_eq!(ended(&said["recover"]).0, 0, "{}", said["recover"]);
    assert!(said["status"].starts_with("ready in "), "{}", said["status"]);
    assert_eq!(said["jobs"], "\"name\":\"app\"\n\"name\":\"nightly\"");
    assert_eq!(ended(&said["recovered"]).0, 0, "{}", said["recovered"]);
}

fn a_dead_server_is_told_in_time(said: &HashMap<String, String>) {
    let killed = &said["killed"];
    let (code, took) = ended(killed);
    assert_eq!(code, 5, "{killed}");
    assert!(killed.contains("mount.alive"), "{killed}");
    // Fifteen seconds are promised.
    assert!(took < 45_000, "{took} ms");
}
