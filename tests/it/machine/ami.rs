//! The controller's image as an AMI: registered, launched by `RunInstances`, it serves Jenkins.

use std::process::Command;

use serde_json::Value;

use super::{Keys, alone, controller, file_system, folder, lease, run};
use crate::account::{Account, words};
use crate::ec2;
use crate::support::{is_root, scratch};

#[test]
fn the_registered_image_boots_as_an_instance_and_serves_jenkins() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let (efs, keys, scratch) = (file_system(), Keys::new(), scratch());
    let login = scratch.path().join("login");
    let keygen = ["-q", "-t", "ed25519", "-N", "", "-f"];
    assert!(run(Command::new("ssh-keygen").args(keygen).arg(&login)));
    let parameters = keys.file();
    let [parameters, efs_path] = [&parameters, efs.path()].map(|path| path.to_str().unwrap());
    let account = Account::with("", &["--machines", "--efs", efs_path, "--parameters", parameters]);
    let image = register(&account);
    if !ec2::run(&account, SCRIPT, &[image.as_ref(), &login]) {
        return;
    }
    assert!(
        efs.path().join("home/config.xml").is_file(),
        "Jenkins had its home on the file system"
    );
    lease::assert_released(efs.path());
}

/// The image that other tests boot from its file, as an AMI.
fn register(account: &Account) -> String {
    let package = controller::package_variable();
    // Its layers are in the cache then, and the lock beside it.
    let disk = controller::image();
    let output = disk.parent().unwrap().to_str().unwrap();
    let bake = ["bake", "jenkins-controller", "--var", &package, "--output", output];
    let ami = ["--target", "ami", "--format", "json"];
    let output = account.hostkit(&folder(), &[&bake[..], &ami].concat()).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let said = String::from_utf8(output.stdout).unwrap();
    let made: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    made["ami"]["image"].as_str().unwrap().to_owned()
}

/// Launches the image, and looks at what comes of it until it is gone.
const SCRIPT: &str = r"
image = sys.argv[1]
ec2.import_key_pair(KeyName='login', PublicKeyMaterial=open(sys.argv[2] + '.pub', 'rb').read())
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
    return subprocess.run([*ssh, command], capture_output=True, text=True).stdout.strip()
until(True, lambda: within('sudo hostkit status').startswith('ready in '), 240)
assert within('sudo cat /run/hostkit/identity.json').count(one) == 1
assert within('hostname') == 'ip-' + describe(one)['PrivateIpAddress'].replace('.', '-')
assert 'hostkit: this host is ready' in console(one), console(one)

# What it has written down since is in an image of it; a log is not many blocks.
made = available(ec2.create_image(InstanceId=one, Name='later', NoReboot=True)['ImageId'])
changed = ebs.list_changed_blocks(FirstSnapshotId=root(image), SecondSnapshotId=root(made))
assert 0 < len(changed['ChangedBlocks']) < 1000, len(changed['ChangedBlocks'])
ec2.terminate_instances(InstanceIds=[one])
becomes(one, 'terminated')
";
