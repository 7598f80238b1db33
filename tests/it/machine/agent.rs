//! The build agent: it lets the controller in and nobody else, and builds may use Docker.

use std::fs;
use std::time::Duration;

use super::{Keys, alone, bake, sections, vm_of, vm_within};
use crate::support::{is_root, scratch, tell};

/// What is tried inside, with the controller's key in `/tmp/controller`. Every `@@` line begins a
/// section.
const ATTEMPTS: &str = r#"
cd /tmp
ssh-keygen -q -t ed25519 -N "" -f other
options='-o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
    -o LogLevel=ERROR'
# Each from an address of its own: sshd makes one that has failed some times wait.
attempt() { # ADDRESS KEY USER COMMAND
    ssh -n -b "127.0.1.$1" -o BatchMode=yes $options -i "$2" "$3@127.0.0.1" "$4" 2>&1
    echo "exit $?"
}
echo "@@ status"; hostkit status
echo "@@ let in"; sudo cat /etc/ssh/authorized_keys.d/jenkins
echo "@@ controller"; attempt 1 controller jenkins 'id; pwd; java -version 2>&1 | head -n 1; git --version'
echo "@@ docker"; attempt 2 controller jenkins 'docker version --format "server {{.Server.Os}}"'
echo "@@ files"; echo 'put other.pub copied' |
    sftp -q -b - $options -i controller jenkins@127.0.0.1 >/dev/null && echo copied
echo "@@ other key"; attempt 3 other jenkins true
echo "@@ planted key"
sudo -u jenkins sh -c 'mkdir -p -m 0700 ~jenkins/.ssh; cat >~jenkins/.ssh/authorized_keys' <other.pub
attempt 4 other jenkins true
echo "@@ controller as root"; attempt 5 controller root true
echo "@@ controller as admin"; attempt 6 controller admin true
echo "@@ password"; echo 'jenkins:a-password-4711' | sudo chpasswd
ssh -n -b 127.0.1.9 $options -o PreferredAuthentications=password,keyboard-interactive \
    jenkins@127.0.0.1 true 2>&1
echo "exit $?"
echo "@@ failed units"; systemctl --failed --no-legend --plain
echo "@@ end"
"#;

#[test]
fn an_agent_lets_the_controller_in_and_nobody_else() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let image = bake("jenkins-agent", &[]);
    let keys = Keys::new();
    keys.assert_not_in_file(&image);

    let script =
        format!("umask 077; cat >/tmp/controller <<'KEY'\n{}KEY\n{ATTEMPTS}", keys.private);
    let output = vm_of(&image)
        .arg("--parameters")
        .arg(keys.file())
        .args(["--until", "ready", "--", "bash", "-c"])
        .arg(script)
        .assert()
        .success();
    let output = &output.get_output().stdout;
    let said = sections(output);
    assert!(said.contains_key("end"), "{}", String::from_utf8_lossy(output));

    assert!(said["status"].starts_with("ready in "), "{}", said["status"]);
    assert!(said["let in"].starts_with("restrict ssh-ed25519 AAAA"), "{}", said["let in"]);
    assert_eq!(said["let in"].lines().count(), 1);
    let controller = &said["controller"];
    for wanted in
        ["uid=650(jenkins)", "660(docker)", "/var/lib/jenkins-agent", "\"21.", "git version"]
    {
        assert!(controller.contains(wanted), "{wanted}: {controller}");
    }
    assert_eq!(said["docker"], "server linux\nexit 0");
    assert_eq!(said["files"], "copied");
    for refused in
        ["other key", "planted key", "controller as root", "controller as admin", "password"]
    {
        let told = &said[refused];
        assert!(told.contains("Permission denied (publickey)"), "{refused}: {told}");
        assert!(told.ends_with("exit 255"), "{refused}: {told}");
    }
    assert_eq!(said["failed units"], "");
}

/// A rotation, while somebody logs in on this agent all the time. The controller is the same program in
/// a namespace of its own, with a `/run/hostkit` of its own, that reads its keys again before every
/// third login; the agent reads its list by its timer. Every `@@` line begins a section.
const ROTATION: &str = r#"
export AWS_REGION=eu-west-1 AWS_ENDPOINT_URL=$(sed -n 's/^endpoint_url = "\(.*\)"/\1/p' /run/hostkit/host.toml)
identity=$(cat /run/hostkit/identity.json)
mount -t tmpfs -o mode=755 tmpfs /run/hostkit; mkdir -m 700 /run/hostkit/secrets
echo "$identity" >/run/hostkit/identity.json
cat >/run/hostkit/host.toml <<TOML
role = "controller"
[efs]
id = "fs-0123456789abcdef0"
[jenkins.security]
mode = "casc"
[aws]
endpoint_url = "$AWS_ENDPOINT_URL"
TOML
list=/etc/ssh/authorized_keys.d/jenkins key=/run/hostkit/secrets/agent_key
options='-F none -o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no
    -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR'
login() { ssh -n $options -i "$1" jenkins@127.0.0.1 "$2"; }
hostkit keys refresh 2>&1; cp -p $key /root/old
echo "@@ before"; login $key 'echo in'; wc -l <$list
rm -f /root/stop /root/rotated
login $key 'while [ ! -e /tmp/stop ]; do sleep 1; done; echo still in' >/root/session 2>&1 &
(hostkit keys rotate --refresh 60 --yes >/root/rotation 2>&1; echo "exit $?" >/root/rotated) &
logins=0 lost=0 both=0
until [ -e /root/rotated ]; do
  [ $((logins % 3)) != 0 ] || hostkit keys refresh >/dev/null 2>&1 || echo "refresh: $?"
  login $key true || { lost=$((lost + 1)); echo "lost: login $logins, $(date +%T)"; }
  logins=$((logins + 1)); [ "$(wc -l <$list)" != 2 ] || both=$((both + 1))
done 2>&1 >/root/loop
touch /tmp/stop; wait
echo "@@ rotation"; cat /root/rotated /root/rotation
echo "@@ logins"; echo "$lost of $logins lost, $both while two keys were let in"; tail -n 20 /root/loop
echo "@@ session"; cat /root/session
for _ in $(seq 90); do [ "$(wc -l <$list)" = 1 ] && break; sleep 1; done
hostkit keys refresh >/dev/null 2>&1
echo "@@ after"; login $key 'echo in'; cmp -s $key /root/old || echo "another key"
login /root/old 'echo in' 2>&1; echo "exit $?"
echo "@@ timer"; systemctl show --value --property Result,NRestarts hostkit-keys.service
journalctl --unit hostkit-keys --output cat --no-pager | grep -c Finished
echo "@@ end"
"#;

#[test]
fn a_rotation_loses_no_login_on_an_agent() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let image = bake("jenkins-agent", &[]);
    let (keys, folder) = (Keys::new(), scratch());
    let user_data = folder.path().join("user-data.toml");
    fs::write(&user_data, "[keys]\nrefresh = 60\n").unwrap();
    let output = vm_within(&image, "25m", Duration::from_mins(30))
        .arg("--parameters")
        .arg(keys.file())
        .arg("--user-data")
        .arg(&user_data)
        .args(["--until", "ready", "--", "sudo", "unshare", "--mount", "bash", "-c", ROTATION])
        .assert();
    let said = sections(&output.get_output().stdout);
    for name in ["before", "rotation", "logins", "session", "after", "timer"] {
        tell(&format!("@@ {name}\n{}", said.get(name).map_or("", String::as_str)));
    }
    output.success();
    assert!(said.contains_key("end"), "{said:?}");
    assert_eq!(said["before"], "in\n1");
    assert!(said["rotation"].starts_with("exit 0\n"), "{}", said["rotation"]);
    let logins = &said["logins"];
    assert!(logins.starts_with("0 of "), "{logins}");
    assert!(!logins.contains(", 0 while"), "{logins}");
    assert_eq!(said["session"], "still in", "a session that was open stays open");
    assert!(said["after"].starts_with("in\nanother key\n"), "{}", said["after"]);
    assert!(said["after"].contains("Permission denied"), "{}", said["after"]);
}
