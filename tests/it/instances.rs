//! Instances of the rehearsal account as machines: AWS's own client for Python launches, stops,
//! starts, images and terminates them.
//!
//! Their disk has no system but a boot sector, so that a boot takes a second: it counts its boots in
//! a sector of the disk, writes `boot N` to the serial port, and halts or switches off. What a
//! system does with it, `machine/ami.rs` shows.

use std::fs;
use std::path::Path;

use crate::account::Account;
use crate::ec2;
use crate::support::{await_gone, is_root, scratch, send};

/// What a disk's boot sector does once it has counted.
#[derive(Clone, Copy)]
enum Then {
    Halt,
    SwitchOff,
}

/// Where the count is: the third block of a snapshot.
const COUNT_SECTOR: u64 = (1 << 20) / 512;

/// A disk of 2 MiB whose boot sector counts its boots.
fn disk(then: Then) -> Vec<u8> {
    let end: &[u8] = match then {
        Then::Halt => &[],
        // mov dx, 0x604; mov ax, 0x2000; out dx, ax: ACPI's way to say it.
        Then::SwitchOff => &[0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef],
    };
    let (packet, text) = (0x7d00_u16.to_le_bytes(), 0x7d10_u16.to_le_bytes());
    let mut code = vec![
        0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, // ds, es, ss: 0
        0xbc, 0x00, 0x7c, // mov sp, 0x7c00
        0xb4, 0x42, 0xbe, packet[0], packet[1], 0xb2, 0x80, 0xcd, 0x13, // read the sector
        0xfe, 0x06, 0x00, 0x80, // inc byte [0x8000]
        0xb8, 0x00, 0x43, 0xbe, packet[0], packet[1], 0xb2, 0x80, 0xcd, 0x13, // write it
        0xbe, text[0], text[1], 0xba, 0xf8,
        0x03, // mov si, text; mov dx, 0x3f8: the serial port
        0xac, 0x84, 0xc0, 0x74, 0x03, // lodsb; test al, al; jz +3
        0xee, 0xeb, 0xf8, // out dx, al; jmp back
        0xa0, 0x00, 0x80, 0x04, b'0', 0xee, // the count
        0xb0, b'\n', 0xee,
    ];
    code.extend(end);
    code.extend([0xf4, 0xeb, 0xfd]); // hlt; jmp to it
    let mut disk = code;
    disk.resize(0x100, 0);
    // One sector, to 0000:8000.
    disk.extend([0x10, 0, 1, 0, 0x00, 0x80, 0, 0]);
    disk.extend(COUNT_SECTOR.to_le_bytes());
    disk.extend(b"boot \0");
    disk.resize(510, 0);
    disk.extend([0x55, 0xaa]);
    disk.resize(2 << 20, 0);
    disk
}

/// What the scripts here have in common.
const LINES: &str = "
def lines(instance):
    return [line for line in console(instance).splitlines() if line.startswith('boot ')]
def shows(instance, line):
    until([line], lambda: lines(instance))
";

/// An account whose instances are emulated machines.
fn account() -> Account {
    Account::with("", &["--machines", "--accel", "tcg"])
}

/// Runs a script in an account; says whether there was a client for it.
fn run(account: &Account, script: &str, disks: &[&Path]) -> bool {
    ec2::run(account, &format!("{LINES}{script}"), disks)
}

#[test]
fn an_instance_runs_stops_keeps_its_disk_becomes_an_image_and_ends() {
    if !is_root() {
        return;
    }
    let folder = scratch();
    let path = folder.path().join("counter.raw");
    fs::write(&path, disk(Then::Halt)).unwrap();
    let script = "
image = register(sys.argv[1], 'counter')
first, second = run(image, 2)
for one in (first, second):
    becomes(one, 'running')
    shows(one, 'boot 1')
addresses = [describe(one)[kind] for one in (first, second)
             for kind in ('PrivateIpAddress', 'PublicIpAddress')]
assert len(set(addresses)) == 4, addresses
assert all(address.startswith('127.77.') for address in addresses), addresses

# Of a running one as it is, without a reboot.
live = ec2.create_image(InstanceId=second, Name='live', NoReboot=True)['ImageId']
assert describe(second)['State']['Name'] == 'running'

ec2.stop_instances(InstanceIds=[first], SkipOsShutdown=True)
becomes(first, 'stopped')
assert describe(first)['StateReason']['Code'] == 'Client.UserInitiatedShutdown'
off = available(ec2.create_image(InstanceId=first, Name='off')['ImageId'])
changed = ebs.list_changed_blocks(FirstSnapshotId=root(image), SecondSnapshotId=root(off))
assert [one['BlockIndex'] for one in changed['ChangedBlocks']] == [2], changed
blocks = ebs.list_snapshot_blocks(SnapshotId=root(off))['Blocks']
assert [one['BlockIndex'] for one in blocks] == [0, 2], blocks
launched = describe(first)['LaunchTime']
time.sleep(1)
ec2.start_instances(InstanceIds=[first])
becomes(first, 'running')
shows(first, 'boot 2')
assert describe(first)['LaunchTime'] > launched

# What was made of them goes on where they were.
for made in (off, available(live)):
    [third] = run(made)
    becomes(third, 'running')
    shows(third, 'boot 2')
everybody = [one['InstanceId'] for group in ec2.describe_instances()['Reservations']
             for one in group['Instances']]
ec2.terminate_instances(InstanceIds=everybody, SkipOsShutdown=True)
for one in everybody:
    becomes(one, 'terminated')
    assert 'PrivateIpAddress' not in describe(one)
";
    run(&account(), script, &[&path]);
}

#[test]
fn the_instances_of_a_group_are_machines_and_so_is_a_replacement() {
    if !is_root() {
        return;
    }
    let folder = scratch();
    let path = folder.path().join("counter.raw");
    fs::write(&path, disk(Then::Halt)).unwrap();
    let script = "
asg = boto3.client('autoscaling')
image = register(sys.argv[1], 'counter')
ec2.create_launch_template(LaunchTemplateName='template', LaunchTemplateData={
    'ImageId': image, 'InstanceType': 'm5.large'})
asg.create_auto_scaling_group(AutoScalingGroupName='ci', MinSize=1, MaxSize=1,
    AvailabilityZones=['eu-west-1b'], LaunchTemplate={'LaunchTemplateName': 'template'},
    LifecycleHookSpecificationList=[{'LifecycleHookName': 'boot', 'HeartbeatTimeout': 7200,
        'LifecycleTransition': 'autoscaling:EC2_INSTANCE_LAUNCHING'}])
def members(state):
    [group] = asg.describe_auto_scaling_groups(AutoScalingGroupNames=['ci'])['AutoScalingGroups']
    return [one['InstanceId'] for one in group['Instances'] if one['LifecycleState'] == state]
def held():
    until(1, lambda: len(members('Pending:Wait')))
    [one] = members('Pending:Wait')
    shows(one, 'boot 1')
    assert describe(one)['Placement']['AvailabilityZone'] == 'eu-west-1b', describe(one)
    asg.complete_lifecycle_action(AutoScalingGroupName='ci', LifecycleHookName='boot',
        InstanceId=one, LifecycleActionResult='CONTINUE')
    until([one], lambda: members('InService'))
    return one
first = held()
ec2.terminate_instances(InstanceIds=[first], SkipOsShutdown=True)
second = held()
assert second != first
becomes(first, 'terminated')
";
    run(&account(), script, &[&path]);
}

#[test]
fn who_switches_itself_off_is_stopped_or_terminated_and_what_does_not_start_ends() {
    if !is_root() {
        return;
    }
    let folder = scratch();
    let [off, nothing] = ["off.raw", "nothing.raw"].map(|name| folder.path().join(name));
    fs::write(&off, disk(Then::SwitchOff)).unwrap();
    fs::write(&nothing, vec![1; 1 << 20]).unwrap();
    let script = "
image = register(sys.argv[1], 'off')
[stops] = run(image)
[ends] = run(image, InstanceInitiatedShutdownBehavior='terminate')
becomes(stops, 'stopped')
becomes(ends, 'terminated')
for one in (stops, ends):
    code = describe(one)['StateReason']['Code']
    assert code == 'Client.InstanceInitiatedShutdown', code
    assert lines(one) == ['boot 1'], console(one)
ec2.start_instances(InstanceIds=[stops])
shows(stops, 'boot 2')
becomes(stops, 'stopped')
ec2.terminate_instances(InstanceIds=[stops])
becomes(stops, 'terminated')

[never] = run(register(sys.argv[2], 'nothing'))
becomes(never, 'terminated')
assert describe(never)['StateReason']['Code'] == 'Server.InternalError', describe(never)
";
    run(&account(), script, &[&off, &nothing]);
}

#[test]
fn an_instance_whose_machine_dies_is_stopped_and_starts_again() {
    if !is_root() {
        return;
    }
    let (folder, account) = (scratch(), account());
    let path = folder.path().join("counter.raw");
    fs::write(&path, disk(Then::Halt)).unwrap();
    let script = "
[one] = run(register(sys.argv[1], 'counter'))
shows(one, 'boot 1')
";
    if !run(&account, script, &[&path]) {
        return;
    }
    for machine in children(account.pid(), "qemu-system") {
        send("KILL", machine.trim_start_matches("/proc/").parse().unwrap());
    }
    let script = "
[one] = [one['InstanceId'] for group in ec2.describe_instances()['Reservations']
         for one in group['Instances']]
becomes(one, 'stopped')
assert describe(one)['StateReason']['Code'] == 'Server.InternalError', describe(one)
ec2.start_instances(InstanceIds=[one])
becomes(one, 'running')
# What it had not flushed to its disk may be lost: both are right.
until(True, lambda: lines(one) in (['boot 1'], ['boot 2']))
ec2.terminate_instances(InstanceIds=[one], SkipOsShutdown=True)
becomes(one, 'terminated')
";
    run(&account, script, &[]);
}

#[test]
fn killed_it_takes_its_machines_along() {
    if !is_root() {
        return;
    }
    let (folder, account) = (scratch(), account());
    let path = folder.path().join("counter.raw");
    fs::write(&path, disk(Then::Halt)).unwrap();
    let script = "
[one] = run(register(sys.argv[1], 'counter'))
shows(one, 'boot 1')
";
    if !run(&account, script, &[&path]) {
        return;
    }
    let machines = children(account.pid(), "qemu-system");
    assert_eq!(machines.len(), 1);
    send("KILL", account.pid());
    for machine in machines {
        await_gone(&machine);
    }
}

/// The children of a process that run a program, as folders of `/proc`.
fn children(parent: u32, program: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{parent}/task")).unwrap().flatten();
    let children = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let all = children.collect::<Vec<_>>().join(" ");
    let all = all.split_whitespace().map(|pid| format!("/proc/{pid}"));
    let runs = |process: &String| {
        fs::read_to_string(format!("{process}/comm")).is_ok_and(|name| name.starts_with(program))
    };
    all.filter(runs).collect()
}
