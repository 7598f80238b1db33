//! The controller's image as an AMI: registered, launched by `RunInstances`, it serves Jenkins.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Keys, alone, controller, file_system, lease, run};
use crate::ec2::rehearse;
use crate::support::{is_root, scratch};

/// Three times what upload, boot and end take under emulation on a busy machine.
const TIMEOUT: Duration = Duration::from_mins(15);

#[test]
fn the_registered_image_boots_as_an_instance_and_serves_jenkins() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let (efs, keys, folder) = (file_system(), Keys::new(), scratch());
    let login = folder.path().join("login");
    let keygen = ["-q", "-t", "ed25519", "-N", "", "-f"];
    assert!(run(Command::new("ssh-keygen").args(keygen).arg(&login)));
    let [parameters, efs_path] = [&keys.file(), efs.path()].map(|path| path.to_str().unwrap());
    let options = ["--efs", efs_path, "--parameters", parameters];
    let script = r"
image = register(sys.argv[1], 'jenkins-controller', BootMode='uefi-preferred', ImdsSupport='v2.0')
ec2.import_key_pair(KeyName='login', PublicKeyMaterial=open(sys.argv[2] + '.pub').read())
tags = [{'Key': 'hostkit:pool', 'Value': 'blue'}]
[one] = run(image, KeyName='login', IamInstanceProfile={'Name': 'ci-controller'},
    MetadataOptions={'HttpTokens': 'required', 'InstanceMetadataTags': 'enabled'},
    TagSpecifications=[{'ResourceType': 'instance', 'Tags': tags}])
becomes(one, 'running')
address = describe(one)['PublicIpAddress']
def served():
    try:
        return urllib.request.urlopen(f'http://{address}:8080/login', timeout=10).status
    except OSError:
        return None
until(200, served, 480)

def within(command):
    ssh = ['ssh', '-F', 'none', '-q', '-i', sys.argv[2], '-o', 'BatchMode=yes',
        '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', f'admin@{address}']
    ended = subprocess.run([*ssh, command], capture_output=True, text=True, timeout=120)
    return ended.stdout.strip()
until(True, lambda: within('sudo hostkit status').startswith('ready in '), 240)
assert within('sudo cat /run/hostkit/identity.json').count(one) == 1
assert within('hostname') == 'ip-' + describe(one)['PrivateIpAddress'].replace('.', '-')
assert 'Linux version' in console(one), console(one)

# What it has written down since is in an image of it; a log is not many blocks.
made = available(ec2.create_image(InstanceId=one, Name='later', NoReboot=True)['ImageId'])
changed = ebs.list_changed_blocks(FirstSnapshotId=root(image), SecondSnapshotId=root(made))
assert 0 < len(changed['ChangedBlocks']) < 1000, len(changed['ChangedBlocks'])
ec2.terminate_instances(InstanceIds=[one])
becomes(one, 'terminated')
";
    let paths: [&Path; 2] = [controller::image(), &login];
    if rehearse(&options, script, &paths, TIMEOUT).is_none() {
        return;
    }
    assert!(
        efs.path().join("home/config.xml").is_file(),
        "Jenkins had its home on the file system"
    );
    lease::assert_released(efs.path());
}
