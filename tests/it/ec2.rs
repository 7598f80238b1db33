//! What scripts for AWS's own client for Python have in common that drive instances of
//! `hostkit sim`.

use std::path::Path;
use std::process::Command;

use crate::account::{Account, words};
use crate::support::python;

/// What every script begins with. Only blocks with data are uploaded.
pub(crate) const HEAD: &str = "
import base64, boto3, hashlib, json, os, subprocess, sys, time, urllib.request
from concurrent.futures import ThreadPoolExecutor
from botocore.config import Config
config = Config(max_pool_connections=8, retries={'mode': 'adaptive', 'max_attempts': 10})
ec2, ebs = boto3.client('ec2'), boto3.client('ebs', config=config)
BLOCK = 512 << 10
def indices(path):
    with open(path, 'rb') as disk:
        end, at = os.fstat(disk.fileno()).st_size, 0
        while at < end:
            try:
                at = os.lseek(disk.fileno(), at, os.SEEK_DATA)
            except OSError:
                return
            yield at // BLOCK
            at = (at // BLOCK + 1) * BLOCK
def upload(path):
    size = max(1, -(-os.stat(path).st_size // (1 << 30)))
    snapshot = ebs.start_snapshot(VolumeSize=size)['SnapshotId']
    time.sleep(1)
    disk = os.open(path, os.O_RDONLY)
    def put(index):
        block = os.pread(disk, BLOCK, index * BLOCK).ljust(BLOCK, b'\\0')
        if not block.strip(b'\\0'):
            return 0
        digest = base64.b64encode(hashlib.sha256(block).digest()).decode()
        ebs.put_snapshot_block(SnapshotId=snapshot, BlockIndex=index, BlockData=block,
            DataLength=BLOCK, Checksum=digest, ChecksumAlgorithm='SHA256')
        return 1
    with ThreadPoolExecutor(4) as pool:
        count = sum(pool.map(put, indices(path)))
    ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=count)
    def state():
        return ec2.describe_snapshots(SnapshotIds=[snapshot])['Snapshots'][0]['State']
    until('completed', state)
    return snapshot
def register(path, name, **more):
    mapping = {'DeviceName': '/dev/xvda', 'Ebs': {'SnapshotId': upload(path)}}
    image = ec2.register_image(Name=name, RootDeviceName='/dev/xvda', VirtualizationType='hvm',
        Architecture='x86_64', EnaSupport=True, BlockDeviceMappings=[mapping], **more)['ImageId']
    return available(image)
def until(wanted, ask, seconds=60):
    deadline = time.monotonic() + seconds
    while (seen := ask()) != wanted:
        assert time.monotonic() < deadline, (wanted, seen)
        time.sleep(0.1)
def available(image):
    until('available', lambda: ec2.describe_images(ImageIds=[image])['Images'][0]['State'])
    return image
def describe(instance):
    found = ec2.describe_instances(InstanceIds=[instance])
    return found['Reservations'][0]['Instances'][0]
def becomes(instance, state):
    until(state, lambda: describe(instance)['State']['Name'], 120)
def console(instance):
    return ec2.get_console_output(InstanceId=instance).get('Output', '')
def run(image, count=1, **more):
    made = ec2.run_instances(ImageId=image, InstanceType='m5.large', MinCount=count,
        MaxCount=count, **more)['Instances']
    return [one['InstanceId'] for one in made]
def root(image):
    image = ec2.describe_images(ImageIds=[image])['Images'][0]
    return image['BlockDeviceMappings'][0]['Ebs']['SnapshotId']
";

/// Runs a script in an account; says whether there was a client for it.
pub(crate) fn run(account: &Account, script: &str, arguments: &[&Path]) -> bool {
    let Some(python) = python() else { return false };
    let mut command = Command::new(python);
    command.args(["-c", &format!("{HEAD}{script}")]).args(arguments);
    let output = command.envs(account.environment()).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    true
}
