//! `hostkit bake --via instance` against an account whose instances are no machines: what is refused
//! before or while one is launched, and that nothing is left of it. What happens on one,
//! `machine/builder.rs` shows.

use std::path::Path;

use crate::account::Account;
use crate::ec2;
use crate::support::scratch;

/// What the scripts here have in common. `bake` gives the exit status and what was said.
const BAKES: &str = r#"
folder = sys.argv[1]
def base(name, architecture='x86_64', **more):
    open('empty.raw', 'wb').truncate(1 << 20)
    mapping = {'DeviceName': '/dev/xvda', 'Ebs': {'SnapshotId': upload('empty.raw')}}
    image = ec2.register_image(Name=name, RootDeviceName='/dev/xvda', VirtualizationType='hvm',
        Architecture=architecture, EnaSupport=True, BlockDeviceMappings=[mapping])['ImageId']
    return available(image)
def bake(base, *more):
    recipe = "[recipe]\nname='small'\nversion='1'\n[base]\nos='debian:trixie'\n[base.ami]\n"
    open('image-recipes/small.toml', 'w').write(recipe + base + "\n")
    words = [sys.argv[2], 'bake', 'small', '--target', 'ami', '--via', 'instance', *more]
    if '--ssh-from' not in more and '--proxy-command' not in more:
        words += ['--ssh-from', '127.0.0.1/32']
    environment = {**os.environ, 'XDG_STATE_HOME': folder + '/state', 'NO_COLOR': '1'}
    ended = subprocess.run(words, env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    nothing_is_left()
    return ended.returncode, ended.stdout
def nothing_is_left():
    groups = ec2.describe_instances()['Reservations']
    states = [one['State']['Name'] for group in groups for one in group['Instances']]
    assert set(states) <= {'terminated', 'shutting-down'}, states
    assert ec2.describe_key_pairs()['KeyPairs'] == []
    ours = [group for group in ec2.describe_security_groups()['SecurityGroups']
            if group['GroupName'] != 'default']
    assert ours == [], ours
def refused(base, status, *words, more=()):
    code, said = bake(base, *more)
    assert code == status, (code, said)
    for word in words:
        assert word in said, (word, said)
    return said
os.chdir(folder)
os.mkdir('image-recipes')
"#;

/// Runs a script against a fresh account in which this goes wrong. All that hostkit sends must be
/// what AWS's own client could have sent.
fn rehearse(faults: &str, script: &str, expected: &str) {
    let (account, folder) = (Account::open(faults), scratch());
    let hostkit = Path::new(env!("CARGO_BIN_EXE_hostkit"));
    if ec2::run(&account, &format!("{BAKES}{script}"), &[folder.path(), hostkit]) {
        account.validate(expected);
    }
}

#[test]
fn a_base_that_cannot_be_begun_with_is_refused_before_anything_is_made() {
    let script = r#"
amd64, arm64 = base('mine-1'), base('other-1', 'arm64')
refused("name='mine-*'", 3, 'needs the `owner`')
refused("name='no-*'\nowner='self'", 3, 'self has no AMI whose name fits `no-*`')
refused("name='other-*'\nowner='self'", 3, 'are for arm64, and the plan is for x86_64')
refused(f"id='{arm64}'", 3, f'{arm64} is for arm64, the plan for x86_64')
refused("id='ami-0123456789abcdef0'", 3, 'there is no AMI ami-0123456789abcdef0')
refused("ssm='/no/such'", 3, 'there is no parameter /no/such')
boto3.client('ssm').put_parameter(Name='/base', Value='nonsense', Type='String')
refused("ssm='/base'", 3, 'the parameter /base holds no id of an AMI')
refused(f"id='{amd64}'", 3, 'hostkit.lock', more=['--locked'])
refused(f"id='{amd64}'", 2, 'is not opened to all of 0.0.0.0/0', more=['--ssh-from', '0.0.0.0/0'])
"#;
    rehearse("", script, "ec2:DescribeImages");
}

#[test]
fn types_and_subnets_are_walked_where_there_is_no_capacity_and_quotas_are_told() {
    let faults = "
[[shortage]]
instance-type = 'm5.large'
[[shortage]]
instance-type = 'm6i.large'
lack = 'quota'
[[shortage]]
instance-type = 't3.large'
spot = true
lack = 'spot-price'
[[shortage]]
instance-type = 't3.large'
spot = false
lack = 'quota'
";
    let script = r#"
image = base('mine-1')
zones = len(ec2.describe_subnets(Filters=[{'Name': 'default-for-az', 'Values': ['true']}])['Subnets'])
said = refused(f"id='{image}'", 6, 'no builder is to be had', more=['--spot',
    '--instance-type', 'm5.large', '--instance-type', 'm6i.large', '--instance-type', 't3.large'])
tried = [line.strip() for line in said.splitlines() if 'not to be had:' in line]
assert len([line for line in tried if 'InsufficientInstanceCapacity' in line]) == 2 * zones, tried
# The quota is the same in every subnet, and another one for spot instances.
assert len([line for line in tried if 'VcpuLimitExceeded' in line]) == 3, tried
assert len([line for line in tried if 'SpotMaxPriceTooLow' in line]) == zones, tried
assert 'spot m5.large' in tried[0] and 'spot' not in tried[-1].split('VcpuLimit')[0], tried

said = refused(f"id='{image}'", 6, 'Service Quotas', more=['--instance-type', 't3.large'])
"#;
    rehearse(faults, script, "ec2:RunInstances");
}

#[test]
fn a_builder_that_does_not_let_us_in_is_told_with_its_reason_and_removed() {
    let script = r#"
image = base('mine-1')
said = refused(f"name='mine-*'\nowner='self'", 4, 'did not let us in', 'the end of its console',
    more=['--instance-type', 'm5.large', '--login-patience', '4s'])
said = refused(f"id='{image}'", 4, 'the proxy command does not work',
    more=['--instance-type', 'm5.large', '--login-patience', '4s',
        '--proxy-command', 'no-such-program %n %h %p'])
# With a proxy nobody is let in from outside.
assert 'SSH is let in' not in said, said
"#;
    rehearse("", script, "ec2:GetConsoleOutput");
}

#[test]
fn whenever_it_is_killed_gc_finds_the_builder_and_all_that_came_with_it() {
    let slow = "[[fault]]\nservice = 'ec2'\ndoes = 'slow'\nafter = '150ms'\n";
    let script = r#"
import shutil
image = base('mine-1')
recipe = "[recipe]\nname='small'\nversion='1'\n[base]\nos='debian:trixie'\n[base.ami]\n"
open('image-recipes/small.toml', 'w').write(recipe + f"id='{image}'\n")
environment = {**os.environ, 'XDG_STATE_HOME': folder + '/state', 'NO_COLOR': '1'}
for moment in range(10):
    bake = subprocess.Popen([sys.argv[2], 'bake', 'small', '--target', 'ami', '--via', 'instance',
        '--ssh-from', '127.0.0.1/32', '--instance-type', 'm5.large'], env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(0.4 + 0.25 * moment)
    bake.kill()
    bake.wait()
    # Not even the journals are needed.
    shutil.rmtree('state', ignore_errors=True)
groups = ec2.describe_instances()['Reservations']
assert len(ec2.describe_key_pairs()['KeyPairs']) > 2 and len(groups) > 0, groups
gc = [sys.argv[2], 'gc', '--older-than', '0h', '--yes']
subprocess.run(gc, env=environment, check=True, stdout=subprocess.DEVNULL)
nothing_is_left()
"#;
    rehearse(slow, script, "ec2:RunInstances,ec2:TerminateInstances,ec2:DeleteKeyPair");
}
