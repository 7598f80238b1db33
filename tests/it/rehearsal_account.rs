//! AWS's own client for Python against the rehearsal account: what it does not parse, or parses
//! into something else, is not what AWS sends.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use hostkit::sim::account::{Account, FileSystem, REGION};
use hostkit::sim::disturbance::{Disturbance, Kind};
use hostkit::sim::efs::{AccessPoint, Target};
use hostkit::sim::endpoint::{self, Shared, with};
use hostkit::sim::http;
use hostkit::sim::instance::{Credentials, State};
use hostkit::sim::network;
use hostkit::sim::parameters::Parameters;
use hostkit::sim::service::Service;
use hostkit::sim::timeline::Recorder;
use tokio::net::TcpListener;

use crate::support::python;

/// What every script begins with.
const HEAD: &str = "
import boto3, botocore.exceptions, json, sys
from botocore.config import Config
def client(name):
    return boto3.client(name, endpoint_url=sys.argv[1], region_name='eu-west-1',
        aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3],
        aws_session_token=sys.argv[4], config=Config(retries={'max_attempts': 0}, read_timeout=20))
def refused(call, **asked):
    try:
        call(**asked)
    except botocore.exceptions.ClientError as error:
        return error.response['Error']['Code'], error.response['Error']['Message']
    except botocore.exceptions.HTTPClientError as error:
        return type(error).__name__, ''
    raise AssertionError('it was not refused')
ec2, asg = client('ec2'), client('autoscaling')
first, second = sys.argv[5:7]
def state(instance):
    found = ec2.describe_instances(InstanceIds=[instance])
    [found] = [one for group in found['Reservations'] for one in group['Instances']]
    return found['State']['Name']
";

/// An account with two instances that run, served on loopback.
pub(crate) struct Setting {
    pub(crate) account: Shared,
    pub(crate) ids: [String; 2],
    pub(crate) keys: Credentials,
    pub(crate) url: String,
    _server: http::Server,
}

impl Setting {
    pub(crate) async fn new() -> Self {
        let mut account = Account::new(Parameters::default());
        account.file_systems.push(FileSystem::of_folder("/srv/home"));
        let now = account.now();
        let mut launch = || {
            let instance = account.launch(Recorder::silent());
            instance.switched_on(now);
            (instance.id.clone(), instance.credentials.clone())
        };
        let ((first, keys), (second, _)) = (launch(), launch());
        let account = Arc::new(Mutex::new(account));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = http::serve_tcp(listener, endpoint::services(&account));
        Self { account, ids: [first, second], keys, url, _server: server }
    }

    fn disturb(&self, kind: Option<Kind>) {
        let all = kind.map(|kind| Disturbance::of(Service::Ec2, kind));
        with(&self.account, |account| account.disturbances = all.into_iter().collect());
    }

    /// Runs a script as the first instance.
    pub(crate) async fn run(&self, python: &PathBuf, script: &str) {
        let mut command = Command::new(python);
        command.arg("-c").arg(format!("{HEAD}{script}")).arg(&self.url);
        command.args([
            &self.keys.access_key,
            &self.keys.secret_key,
            self.keys.session.as_ref().unwrap(),
        ]);
        command.args(&self.ids).stderr(Stdio::piped());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn boto3_reads_what_becomes_of_instances() {
    let Some(python) = python() else { return };
    let setting = Setting::new().await;
    let described = "
all = ec2.describe_instances()['Reservations']
assert [one['Instances'][0]['InstanceId'] for one in all] == [first, second], all
one = all[0]['Instances'][0]
assert one['State'] == {'Code': 16, 'Name': 'running'}, one
assert one['HibernationOptions'] == {'Configured': False}, one
assert one['LaunchTime'].tzinfo is not None, one
assert {'Key': 'aws:autoscaling:groupName', 'Value': 'hostkit-vm'} in one['Tags'], one
running = [{'Name': 'instance-state-name', 'Values': ['pending', 'stopped']}]
assert ec2.describe_instances(Filters=running)['Reservations'] == []
unknown = 'i-0123456789abcdef0'
code, message = refused(ec2.describe_instances, InstanceIds=[first, unknown])
assert code == 'InvalidInstanceID.NotFound' and unknown in message, (code, message)
code, _ = refused(ec2.describe_instances, InstanceIds=['i-nonsense'])
assert code == 'InvalidInstanceID.Malformed', code
";
    setting.run(&python, described).await;

    let terminated = "
code, _ = refused(ec2.terminate_instances, InstanceIds=[second], DryRun=True)
assert code == 'DryRunOperation', code
ended = ec2.terminate_instances(InstanceIds=[second], Force=True, SkipOsShutdown=True)
[ended] = ended['TerminatingInstances']
assert ended['InstanceId'] == second and ended['PreviousState']['Name'] == 'running', ended
assert ended['CurrentState'] == {'Code': 32, 'Name': 'shutting-down'}, ended
assert state(second) == 'shutting-down'
both = asg.describe_auto_scaling_instances()['AutoScalingInstances']
assert [one['LifecycleState'] for one in both] == ['Pending:Wait', 'Terminating'], both
";
    setting.run(&python, terminated).await;
    with(&setting.account, |account| {
        let (second, now) = account.instance_mut(&setting.ids[1]).unwrap();
        assert_eq!(second.state(), State::ShuttingDown, "its machine is not gone yet");
        second.switched_off(now);
    });
    let gone = "
assert state(second) == 'terminated' and state(first) == 'running'
[one] = ec2.describe_instances(InstanceIds=[second])['Reservations']
one = one['Instances'][0]
assert one['StateReason']['Code'] == 'Client.UserInitiatedShutdown', one
assert 'PrivateIpAddress' not in one, one
[one] = asg.describe_auto_scaling_instances()['AutoScalingInstances']
assert one['InstanceId'] == first, one
";
    setting.run(&python, gone).await;
}

#[tokio::test]
async fn boto3_understands_what_goes_wrong_on_purpose() {
    let Some(python) = python() else { return };
    let setting = Setting::new().await;
    let cases = [
        (Kind::Closed, "code == 'ConnectionClosedError'"),
        (Kind::Unavailable, "code == 'Unavailable'"),
        (Kind::Throttled, "(code, message) == ('RequestLimitExceeded', 'Request limit exceeded.')"),
        (Kind::Denied, "code == 'UnauthorizedOperation' and first in message"),
    ];
    for (kind, expected) in cases {
        setting.disturb(Some(kind));
        let script = format!(
            "code, message = refused(ec2.describe_instances)\nassert {expected}, (code, message)\n"
        );
        setting.run(&python, &script).await;
    }
    setting.disturb(None);
    setting.run(&python, "assert state(first) == 'running'\n").await;
}

/// A file system in two zones, one target of which is not there yet, with a policy and an access point.
pub(crate) fn furnish(account: &mut Account) -> String {
    let subnets = network::subnets(REGION);
    let mut home = FileSystem::of_folder("/srv/furnished");
    home.key = Some("arn:aws:kms:eu-west-1:123456789012:key/0b1f".to_owned());
    home.region = Some(REGION.to_owned());
    home.targets = subnets[..2].iter().map(|subnet| Target::in_subnet(&home.id, subnet)).collect();
    "creating".clone_into(&mut home.targets[1].state);
    home.policy = Some(r#"{"Version":"2012-10-17","Statement":[]}"#.to_owned());
    home.access_points.push(AccessPoint {
        id: "fsap-0123456789abcdef0".to_owned(),
        state: "available".to_owned(),
        user: Some((1000, 1000)),
        path: "/ci".to_owned(),
        creation: Some((1000, 1000, "0755".to_owned())),
    });
    let id = home.id.clone();
    account.file_systems.push(home);
    id
}

#[tokio::test]
async fn boto3_reads_what_a_file_system_is_and_whom_it_lets_in() {
    let Some(python) = python() else { return };
    let setting = Setting::new().await;
    let id = with(&setting.account, furnish);
    with(&setting.account, |account| {
        let blocks = ["10.0.0.0/16", "10.9.0.0/16"].map(str::to_owned).to_vec();
        account.region(REGION).prefix_lists.insert("pl-0123456789abcdef0".to_owned(), blocks);
    });
    let script = "
efs = client('efs')
[home] = efs.describe_file_systems(FileSystemId=ID)['FileSystems']
assert home['FileSystemArn'].endswith('file-system/' + ID) and home['Encrypted'], home
assert home['KmsKeyId'].endswith('key/0b1f') and home['NumberOfMountTargets'] == 2, home
assert 'AvailabilityZoneName' not in home and home['SizeInBytes']['Value'] == 6144, home
assert len(efs.describe_file_systems()['FileSystems']) == 2
code, message = refused(efs.describe_file_systems, FileSystemId='fs-0123456789abcdef0')
assert code == 'FileSystemNotFound', (code, message)
near, far = efs.describe_mount_targets(FileSystemId=ID)['MountTargets']
assert near['LifeCycleState'] == 'available' and near['AvailabilityZoneId'] == 'euw1-az1', near
assert far['LifeCycleState'] == 'creating' and 'NetworkInterfaceId' not in far, far
point = 'fsap-0123456789abcdef0'
assert len(efs.describe_mount_targets(AccessPointId=point)['MountTargets']) == 2
groups = efs.describe_mount_target_security_groups(MountTargetId=near['MountTargetId'])
[group] = groups['SecurityGroups']
assert ec2.describe_security_groups(GroupIds=[group])['SecurityGroups'][0]['VpcId'] == near['VpcId']
call = efs.describe_mount_target_security_groups
code, _ = refused(call, MountTargetId=far['MountTargetId'])
assert code == 'IncorrectMountTargetState', code
code, _ = refused(call, MountTargetId='fsmt-0123456789abcdef0')
assert code == 'MountTargetNotFound', code
policy = efs.describe_file_system_policy(FileSystemId=ID)
assert json.loads(policy['Policy'])['Statement'] == [] and policy['FileSystemId'] == ID, policy
other = [one['FileSystemId'] for one in efs.describe_file_systems()['FileSystems']]
other.remove(ID)
code, _ = refused(efs.describe_file_system_policy, FileSystemId=other[0])
assert code == 'PolicyNotFound', code
[one] = efs.describe_access_points(FileSystemId=ID)['AccessPoints']
assert one['AccessPointId'] == point and one['PosixUser'] == {'Uid': 1000, 'Gid': 1000}, one
root = {'OwnerUid': 1000, 'OwnerGid': 1000, 'Permissions': '0755'}
assert one['RootDirectory'] == {'Path': '/ci', 'CreationInfo': root}, one
code, _ = refused(efs.describe_access_points, AccessPointId='fsap-00000000000000000')
assert code == 'AccessPointNotFound', code
entries = ec2.get_managed_prefix_list_entries(PrefixListId='pl-0123456789abcdef0')['Entries']
assert [one['Cidr'] for one in entries] == ['10.0.0.0/16', '10.9.0.0/16'], entries
code, _ = refused(ec2.get_managed_prefix_list_entries, PrefixListId='pl-1')
assert code == 'InvalidPrefixListID.NotFound', code
";
    setting.run(&python, &format!("ID = '{id}'\n{script}")).await;
}
