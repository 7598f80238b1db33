//! Images of the rehearsal account as AWS's own client for Python sees them: each operation's happy
//! way, and what it refuses.

use crate::account::Account;

/// What the scripts here have in common.
const HEAD: &str = "
import json, time
from botocore.exceptions import ClientError
def refused(call, **asked):
    try:
        call(**asked)
    except ClientError as error:
        return error.response['Error']['Code']
    raise AssertionError('it was not refused')
def snapshot():
    made = ebs.start_snapshot(VolumeSize=1)['SnapshotId']
    ebs.complete_snapshot(SnapshotId=made, ChangedBlocksCount=0)
    ec2.get_waiter('snapshot_completed').wait(SnapshotIds=[made], WaiterConfig={'Delay': 1})
    return made
def register(name, snapshot, **more):
    mapping = {'DeviceName': '/dev/xvda', 'Ebs': {'SnapshotId': snapshot, 'VolumeType': 'gp3'}}
    asked = {'Name': name, 'Architecture': 'x86_64', 'RootDeviceName': '/dev/xvda',
        'VirtualizationType': 'hvm', 'EnaSupport': True, 'BlockDeviceMappings': [mapping]}
    return ec2.register_image(**(asked | more))['ImageId']
def available(image, client=None):
    waiter = (client or ec2).get_waiter('image_available')
    waiter.wait(ImageIds=[image], WaiterConfig={'Delay': 1})
    [image] = (client or ec2).describe_images(ImageIds=[image])['Images']
    return image
";

fn rehearse(script: &str) {
    let account = Account::open("");
    let done = account.python(&format!("{HEAD}{script}\nprint(json.dumps('done'))"));
    assert!(done.is_none_or(|done| done == "done"));
}

#[test]
fn boto3_registers_describes_and_takes_away_images() {
    rehearse(
        "
snap = snapshot()
tags = [{'ResourceType': 'image', 'Tags': [{'Key': 'hostkit:build', 'Value': '1'}]}]
image = register('first', snap, BootMode='uefi-preferred', ImdsSupport='v2.0',
    TagSpecifications=tags)
one = available(image)
assert one['BootMode'] == 'uefi-preferred' and one['ImdsSupport'] == 'v2.0', one
assert one['Tags'] == [{'Key': 'hostkit:build', 'Value': '1'}], one
assert one['BlockDeviceMappings'][0]['Ebs']['SnapshotId'] == snap, one
assert refused(register, name='first', snapshot=snap) == 'InvalidAMIName.Duplicate'
assert refused(register, name='other', snapshot='snap-0123456789abcdef0') == 'InvalidSnapshot.NotFound'
assert refused(register, name='other', snapshot=snap, DryRun=True) == 'DryRunOperation'
assert refused(ec2.delete_snapshot, SnapshotId=snap) == 'InvalidSnapshot.InUse'
names = [{'Name': 'name', 'Values': ['fir*']}, {'Name': 'tag:hostkit:build', 'Values': ['1']}]
[found] = ec2.describe_images(Owners=['self'], Filters=names)['Images']
assert found['ImageId'] == image, found
unknown = [{'Name': 'colour', 'Values': ['red']}]
assert refused(ec2.describe_images, Filters=unknown) == 'InvalidParameterValue'
gone = ec2.deregister_image(ImageId=image, DeleteAssociatedSnapshots=True)
assert gone['DeleteSnapshotResults'] == [{'SnapshotId': snap, 'ReturnCode': 'success'}], gone
assert refused(ec2.describe_images, ImageIds=[image]) == 'InvalidAMIID.NotFound'
assert refused(ec2.describe_snapshots, SnapshotIds=[snap]) == 'InvalidSnapshot.NotFound'
",
    );
}

#[test]
fn boto3_copies_shares_and_protects_an_image() {
    rehearse(
        "
image = register('first', snapshot())
available(image)
west = at('ec2', 'us-west-2')
asked = {'Name': 'copy', 'SourceRegion': 'eu-west-1', 'SourceImageId': image, 'ClientToken': 't'}
copy = west.copy_image(Encrypted=True, **asked)['ImageId']
assert west.copy_image(Encrypted=True, **asked)['ImageId'] == copy
assert refused(west.copy_image, **asked) == 'IdempotentParameterMismatch'
there = available(copy, west)
assert there['SourceImageId'] == image and there['BlockDeviceMappings'][0]['Ebs']['Encrypted'], there
ancestry = west.get_image_ancestry(ImageId=copy)['ImageAncestryEntries']
assert [one['ImageId'] for one in ancestry] == [copy, image], ancestry
share = {'Add': [{'UserId': '111122223333'}, {'Group': 'all'}]}
ec2.modify_image_attribute(ImageId=image, LaunchPermission=share)
said = ec2.describe_image_attribute(ImageId=image, Attribute='launchPermission')
assert len(said['LaunchPermissions']) == 2, said
ec2.enable_image_deregistration_protection(ImageId=image)
assert refused(ec2.deregister_image, ImageId=image) == 'OperationNotPermitted'
ec2.disable_image_deregistration_protection(ImageId=image)
ec2.disable_image(ImageId=image)
assert not ec2.describe_images(Owners=['self'])['Images']
ec2.enable_image(ImageId=image)
ec2.deregister_image(ImageId=image)
",
    );
}

#[test]
fn boto3_finds_public_images_by_owner_filter_and_parameter() {
    rehearse(
        "
ubuntu = ec2.describe_images(Owners=['099720109477'], Filters=[
    {'Name': 'name', 'Values': ['ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-*']}])['Images']
newest = max(ubuntu, key=lambda image: image['CreationDate'])
name = '/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id'
assert len(ubuntu) == 2 and newest['Public'], ubuntu
assert ssm.get_parameter(Name=name)['Parameter']['Value'] == newest['ImageId']
amazon = ec2.describe_images(Owners=['amazon'], IncludeDeprecated=True)['Images']
assert all(image['ImageOwnerAlias'] == 'amazon' for image in amazon) and len(amazon) == 3, amazon
assert len(ec2.describe_images(Owners=['amazon'])['Images']) == 2
assert refused(ec2.deregister_image, ImageId=newest['ImageId']) == 'AuthFailure'
assert not ssm.describe_parameters()['Parameters']
",
    );
}

#[test]
fn boto3_pages_through_images_and_encrypts_by_default() {
    rehearse(
        "
snap = snapshot()
made = {register(f'image-{number}', snap) for number in range(25)}
pages = ec2.get_paginator('describe_images').paginate(Owners=['self'],
    PaginationConfig={'PageSize': 10})
pages = [[image['ImageId'] for image in page['Images']] for page in pages]
assert [len(page) for page in pages] == [10, 10, 5], pages
assert {image for page in pages for image in page} == made
assert refused(ec2.describe_images, NextToken='x') == 'InvalidNextToken'
assert ec2.get_ebs_encryption_by_default()['EbsEncryptionByDefault'] is False
ec2.enable_ebs_encryption_by_default()
assert ec2.get_ebs_encryption_by_default()['EbsEncryptionByDefault'] is True
[snap] = ec2.describe_snapshots(SnapshotIds=[snapshot()])['Snapshots']
assert snap['Encrypted'], snap
",
    );
}
