//! An AMI by way of an instance, for real: a virtual machine that boots an image which was registered,
//! is reached by SSH with its host key checked, has the plan applied, is cleaned, stopped and made an
//! image of. That image is then looked into, and booted.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{alone, bake, run};
use crate::account::Account;
use crate::ec2;
use crate::support::{is_root, scratch};

const SECRET: &str = "correct-horse-battery-staple-0815";

const RECIPE: &str = r#"
[recipe]
name = "built"
version = "1.0"
[vars.token]
secret = true
description = "what a script is given"
[base]
os = "debian:trixie"
[base.ami]
name = "base-*"
owner = "self"
[packages]
install = ["./hello-builder.deb"]
[[file]]
path = "/etc/built"
content = "on an instance\n"
[[script]]
name = "with a secret"
hook = "late"
env = { TOKEN = "{{ token }}" }
run = "test -n \"$TOKEN\"; echo \"the token is $TOKEN\"; touch /etc/script-ran"
[[test]]
name = "the package is there"
package = "hello-builder"
version = "1.2"
"#;

const SCRIPT: &str = r#"
hostkit, disk, project, secret = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4]
base = register(disk, 'base-1')
def bake(*more):
    words = [hostkit, 'bake', 'built', '--target', 'ami', '--via', 'instance',
        '--instance-type', 'm5.large', '--ssh-from', '127.0.0.0/8', *more]
    environment = {**os.environ, 'HOSTKIT_VAR_token': secret, 'XDG_STATE_HOME': project + '/state'}
    ended = subprocess.run(words, cwd=project, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    assert ended.returncode == 0, ended.stdout
    assert secret not in ended.stdout, ended.stdout
    return ended.stdout
said = bake()
assert 'the token is [secret]' in said and 'testing the package is there' in said, said

# Nothing is left but the image, and that says whose it is.
states = [one['State']['Name'] for group in ec2.describe_instances()['Reservations']
          for one in group['Instances']]
assert states == ['terminated'], states
assert ec2.describe_key_pairs()['KeyPairs'] == []
assert [group['GroupName'] for group in ec2.describe_security_groups()['SecurityGroups']] == ['default']
[image] = [one for one in ec2.describe_images(Owners=['self'])['Images'] if one['ImageId'] != base]
[mapping] = image['BlockDeviceMappings']
assert mapping['Ebs']['DeleteOnTermination'] and mapping['Ebs']['VolumeType'] == 'gp3', mapping
snapshot = mapping['Ebs']['SnapshotId']
[described] = ec2.describe_snapshots(SnapshotIds=[snapshot])['Snapshots']
for thing in (image, described):
    tags = {tag['Key']: tag['Value'] for tag in thing['Tags']}
    assert tags['hostkit:state'] == 'kept' and tags['hostkit:recipe'] == 'built', tags
    assert image['Name'].endswith(tags['hostkit:digest'][:8]), (image['Name'], tags)
lock = open(project + '/hostkit.lock').read()
assert base in lock and 'base-1' in lock, lock
manifest = json.load(open(project + '/out/built.json'))
assert manifest['packages']['hello-builder'] == '1.2-3', manifest['packages']
assert any(part['name'] == 'hello-builder'
           for part in json.load(open(project + '/out/built.cdx.json'))['components'])

# The same again is nothing.
assert 'unchanged' in bake() and image['ImageId'] in bake('--locked')

# What is in it.
raw = project + '/made.raw'
with open(raw, 'wb') as out:
    out.truncate(mapping['Ebs']['VolumeSize'] << 30)
    more = {}
    while True:
        page = ebs.list_snapshot_blocks(SnapshotId=snapshot, **more)
        for block in page['Blocks']:
            body = ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=block['BlockIndex'],
                BlockToken=block['BlockToken'])['BlockData'].read()
            assert secret.encode() not in body, block
            out.seek(block['BlockIndex'] * BLOCK)
            out.write(body)
        if not page.get('NextToken'):
            break
        more = {'NextToken': page['NextToken']}
table = json.loads(subprocess.run(['sfdisk', '--json', raw], capture_output=True, check=True).stdout)
largest = max(table['partitiontable']['partitions'], key=lambda one: one['size'])
def look(command):
    place = f'{raw}?offset={largest["start"] * 512}'
    return subprocess.run(['debugfs', '-R', command, place], capture_output=True, text=True).stdout
def names(folder):
    rows = [row.split('/') for row in look(f'ls -p {folder}').splitlines() if row.startswith('/')]
    return {row[5] for row in rows if row[5] not in ('.', '..')}
assert look('cat /etc/built') == 'on an instance\n'
assert 'script-ran' in names('/etc') and 'text' in names('/usr/share/hello-builder')
assert not [name for name in names('/etc/ssh') if name.startswith('ssh_host')], names('/etc/ssh')
assert names('/etc/ssh/authorized_keys.d') == set(), names('/etc/ssh/authorized_keys.d')
assert look('cat /etc/machine-id') == '' and 'machine-id' in names('/etc')
assert 'hostkit-build' not in names('/var/lib'), names('/var/lib')
assert names('/var/log/journal') == set() and names('/tmp') == set() and names('/run') == set()

# And that it boots, lets somebody else in, and is another host.
subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', project + '/login'], check=True)
ec2.import_key_pair(KeyName='mine', PublicKeyMaterial=open(project + '/login.pub').read())
[one] = run(image['ImageId'], KeyName='mine')
becomes(one, 'running')
address = describe(one)['PublicIpAddress']
def within(command):
    ssh = ['ssh', '-F', 'none', '-q', '-i', project + '/login', '-o', 'BatchMode=yes',
        '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', f'admin@{address}']
    return subprocess.run([*ssh, command], capture_output=True, text=True, timeout=120).stdout
until('on an instance\n', lambda: within('cat /etc/built'), 480)
assert within('dpkg-query -W hello-builder').split() == ['hello-builder', '1.2-3']
ec2.terminate_instances(InstanceIds=[one])
becomes(one, 'terminated')
"#;

#[test]
fn a_builder_becomes_an_image_that_has_what_the_recipe_says_and_nothing_of_the_build() {
    if !is_root() {
        return;
    }
    let _alone = alone();
    let disk = bake("base", &[]);
    let folder = scratch();
    fs::create_dir(folder.path().join("image-recipes")).unwrap();
    fs::write(folder.path().join("image-recipes/built.toml"), RECIPE).unwrap();
    package(folder.path());
    let hostkit = Path::new(env!("CARGO_BIN_EXE_hostkit"));
    let arguments = [hostkit, &disk, folder.path(), Path::new(SECRET)];
    let account = Account::with("", &["--machines"]);
    if ec2::run(&account, SCRIPT, &arguments) {
        account.validate("CreateImage");
    }
}

/// A package of one file.
fn package(folder: &Path) {
    let tree = folder.join("tree");
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs::create_dir_all(tree.join("usr/share/hello-builder")).unwrap();
    fs::write(tree.join("usr/share/hello-builder/text"), "hello\n").unwrap();
    let control = "Package: hello-builder\nVersion: 1.2-3\nArchitecture: all\n\
        Maintainer: nobody <nobody@example.com>\nDescription: a package for a test\n";
    fs::write(tree.join("DEBIAN/control"), control).unwrap();
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", "--build"]).arg(&tree);
    assert!(run(build.arg(folder.join("hello-builder.deb"))));
}
