//! The build agent: it lets the controller in and nobody else, and builds may use Docker.

use std::fs;

use super::{Keys, alone, bake, sections, vm_of};
use crate::support::{is_root, scratch};

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

#[test]
fn an_agent_whose_parameter_holds_no_key_is_abandoned() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let image = bake("jenkins-agent", &[]);
    let folder = scratch();
    let parameters = folder.path().join("parameters.toml");
    fs::write(&parameters, "\"/devops-tools/jenkins/id_rsa.pub\" = { value = '<html>' }\n")
        .unwrap();
    vm_of(&image)
        .env("TMPDIR", folder.path()) // where the console of a failure stays
        .arg("--parameters")
        .arg(&parameters)
        .args(["--until", "ready"])
        .assert()
        .code(5)
        .stderr(predicates::str::contains("holds no public key"));
}
