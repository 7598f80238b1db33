//! Groups of the rehearsal account that launch: AWS's own client for Python makes them, has hooks
//! hold their instances, sees them replaced, and reads what they have done. Nobody plays machines:
//! instances come and go by time.

use crate::account::Account;
use crate::ec2;
use crate::support::scratch;

/// What the scripts here have in common: an image, a launch template, and a group `ci` to look at.
const GROUPS: &str = "
import botocore.exceptions
asg, elb = boto3.client('autoscaling'), boto3.client('elbv2')
image = register(sys.argv[1], 'base')
template = ec2.create_launch_template(LaunchTemplateName='template', LaunchTemplateData={
    'ImageId': image, 'InstanceType': 't3.micro',
    'TagSpecifications': [{'ResourceType': 'instance', 'Tags': [{'Key': 'Name', 'Value': 'lt'}]}],
})['LaunchTemplate']['LaunchTemplateId']
launches = {'LaunchTemplateId': template, 'Version': '1'}
def make(name='ci', size=1, most=4, **more):
    wanted = dict(AutoScalingGroupName=name, MinSize=0, MaxSize=most, DesiredCapacity=size,
        AvailabilityZones=['eu-west-1a', 'eu-west-1b'], LaunchTemplate=launches)
    asg.create_auto_scaling_group(**{**wanted, **more})
def refused(call, **asked):
    try:
        call(**asked)
    except botocore.exceptions.ClientError as error:
        return error.response['Error']['Code'], error.response['Error']['Message']
    raise AssertionError('it was not refused')
def group(name='ci'):
    return asg.describe_auto_scaling_groups(AutoScalingGroupNames=[name])['AutoScalingGroups'][0]
def states(name='ci'):
    return sorted(one['LifecycleState'] for one in group(name)['Instances'])
def ids(state='InService', name='ci'):
    return [one['InstanceId'] for one in group(name)['Instances'] if one['LifecycleState'] == state]
def activities(name='ci'):
    return asg.describe_scaling_activities(AutoScalingGroupName=name)['Activities']
def of(instance, name='ci'):
    return [one for one in activities(name) if one['Description'].endswith(instance)]
def member(instance):
    [one] = asg.describe_auto_scaling_instances(InstanceIds=[instance])['AutoScalingInstances']
    return one
";

/// Runs a script in an account where these things go wrong.
fn run(faults: &str, script: &str) -> Option<Account> {
    let account = Account::open(faults);
    let folder = scratch();
    let disk = folder.path().join("disk.raw");
    std::fs::write(&disk, vec![7_u8; 512 << 10]).unwrap();
    ec2::run(&account, &format!("{GROUPS}{script}"), &[&disk]).then_some(account)
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in Python")]
fn a_group_launches_holds_and_replaces() {
    let script = "
for wrong, says in [
    (dict(LaunchTemplate={'LaunchTemplateId': template, 'Version': '7'}), 'version 7'),
    (dict(LaunchTemplate={'LaunchTemplateName': 'none'}), 'does not exist'),
    (dict(AvailabilityZones=[]), 'At least one Availability Zone'),
    (dict(VPCZoneIdentifier='subnet-0'), \"'subnet-0' does not exist\"),
    (dict(DesiredCapacity=9), 'Desired capacity:9 must be between'),
    (dict(MinSize=5), 'Max bound, 4, must be greater than or equal to min bound, 5'),
    (dict(TargetGroupARNs=['arn:x']), 'Target Groups'),
    (dict(HealthCheckType='PING'), 'Health Check Types'),
]:
    code, message = refused(make, **wrong)
    assert code == 'ValidationError' and says in message, (code, message)
hook = dict(LifecycleHookName='boot', LifecycleTransition='autoscaling:EC2_INSTANCE_LAUNCHING',
    HeartbeatTimeout=7200, DefaultResult='ABANDON')
make(LifecycleHookSpecificationList=[hook], HealthCheckGracePeriod=300, DefaultInstanceWarmup=30,
    InstanceMaintenancePolicy={'MinHealthyPercentage': 0, 'MaxHealthyPercentage': 100},
    Tags=[{'Key': 'team', 'Value': 'ci', 'PropagateAtLaunch': True},
          {'Key': 'own', 'Value': 'x', 'PropagateAtLaunch': False}])
assert refused(make)[0] == 'AlreadyExists'
until(['Pending:Wait'], states)
[first] = ids('Pending:Wait')
tags = {tag['Key']: tag['Value'] for tag in describe(first)['Tags']}
assert tags['aws:autoscaling:groupName'] == 'ci' and tags['team'] == 'ci', tags
assert tags['Name'] == 'lt' and 'own' not in tags, tags
assert tags['aws:ec2launchtemplate:version'] == '1', tags
assert describe(first)['State']['Name'] == 'running'
own = group()
assert own['InstanceMaintenancePolicy'] == {'MinHealthyPercentage': 0, 'MaxHealthyPercentage': 100}
assert (own['DefaultInstanceWarmup'], own['HealthCheckGracePeriod']) == (30, 300), own
assert own['LaunchTemplate'] == {**launches, 'LaunchTemplateName': 'template'}, own
assert own['Instances'][0]['LaunchTemplate']['Version'] == '1' and own['EnabledMetrics'] == [], own
assert {tag['Key'] for tag in own['Tags']} == {'team', 'own'}, own
[comes] = of(first)
assert comes['StatusCode'] == 'MidLifecycleAction' and comes['Progress'] == 60, comes
assert 'a user request created an AutoScalingGroup changing the desired capacity from 0 to 1' in comes[
    'Cause'] and 'increasing the capacity from 0 to 1' in comes['Cause'], comes
assert json.loads(comes['Details'])['Availability Zone'] == 'eu-west-1a', comes

# Abandoned: terminated, and another one comes.
answer = dict(AutoScalingGroupName='ci', LifecycleHookName='boot')
asg.complete_lifecycle_action(**answer, InstanceId=first, LifecycleActionResult='ABANDON')
until('Cancelled', lambda: of(first)[-1]['StatusCode'])
assert 'ABANDON Result' in of(first)[-1]['StatusMessage'], of(first)
until(1, lambda: len(ids('Pending:Wait')))
[second] = ids('Pending:Wait')
assert second != first
asg.record_lifecycle_action_heartbeat(**answer, InstanceId=second)
asg.complete_lifecycle_action(**answer, InstanceId=second, LifecycleActionResult='CONTINUE')
assert member(second)['LifecycleState'] == 'InService', member(second)
until('Successful', lambda: of(second)[0]['StatusCode'])
code, message = refused(asg.complete_lifecycle_action, **answer, InstanceId=second,
    LifecycleActionResult='CONTINUE')
assert code == 'ValidationError' and 'No active Lifecycle Action' in message, (code, message)

# Unhealthy: let go and replaced; its terminate hook holds it meanwhile.
asg.delete_lifecycle_hook(AutoScalingGroupName='ci', LifecycleHookName='boot')
asg.put_lifecycle_hook(AutoScalingGroupName='ci', LifecycleHookName='drain', HeartbeatTimeout=7200,
    LifecycleTransition='autoscaling:EC2_INSTANCE_TERMINATING', DefaultResult='CONTINUE')
asg.set_instance_health(InstanceId=second, HealthStatus='Unhealthy')
time.sleep(0.2)
asg.set_instance_health(InstanceId=second, HealthStatus='Unhealthy', ShouldRespectGracePeriod=False)
assert member(second)['LifecycleState'] == 'Terminating:Wait', member(second)
assert member(second)['HealthStatus'] == 'UNHEALTHY', member(second)
until(['InService', 'Terminating:Wait'], states)
[third] = ids()
assert 'in response to a user health-check' in of(second)[0]['Cause'], of(second)
assert 'unhealthy instance needing to be replaced' in of(third)[0]['Cause'], of(third)
assert describe(second)['State']['Name'] == 'running'
asg.complete_lifecycle_action(AutoScalingGroupName='ci', LifecycleHookName='drain',
    InstanceId=second, LifecycleActionResult='CONTINUE')
until(['InService'], states)
until('Successful', lambda: of(second)[0]['StatusCode'])

# Terminated outside: noticed, and replaced.
ec2.terminate_instances(InstanceIds=[third])
until(True, lambda: ids() not in ([], [third]))
assert 'EC2 health check indicating it has been terminated' in of(third)[0]['Cause'], of(third)
[fourth] = ids()
assert 'unhealthy instance needing to be replaced' in of(fourth)[0]['Cause'], of(fourth)

# More, fewer, and no more than is allowed.
asg.delete_lifecycle_hook(AutoScalingGroupName='ci', LifecycleHookName='drain')
asg.set_desired_capacity(AutoScalingGroupName='ci', DesiredCapacity=3)
until(3, lambda: len(ids()))
zones = sorted(one['AvailabilityZone'] for one in group()['Instances'])
assert zones in (['eu-west-1a', 'eu-west-1a', 'eu-west-1b'],
    ['eu-west-1a', 'eu-west-1b', 'eu-west-1b']), zones
code, message = refused(asg.set_desired_capacity, AutoScalingGroupName='ci', DesiredCapacity=5)
assert message == 'New SetDesiredCapacity value 5 is above max value 4 for the AutoScalingGroup.'
gone = asg.terminate_instance_in_auto_scaling_group(InstanceId=fourth,
    ShouldDecrementDesiredCapacity=True)['Activity']
assert gone['StatusCode'] in ('InProgress', 'Successful'), gone
assert 'user request, shrinking the capacity from 3 to 2' in gone['Cause'], gone
until(2, lambda: len(group()['Instances']))
asg.update_auto_scaling_group(AutoScalingGroupName='ci', MaxSize=1)
until(1, lambda: len(group()['Instances']))
assert (group()['DesiredCapacity'], group()['MaxSize']) == (1, 1)

code, _ = refused(asg.delete_auto_scaling_group, AutoScalingGroupName='ci')
assert code == 'ResourceInUse', code
asg.delete_auto_scaling_group(AutoScalingGroupName='ci', ForceDelete=True)
until([], lambda: asg.describe_auto_scaling_groups()['AutoScalingGroups'])
code, message = refused(asg.delete_auto_scaling_group, AutoScalingGroupName='ci')
assert code == 'ValidationError' and 'name not found' in message, (code, message)
";
    let Some(account) = run("", script) else { return };
    account.validate("autoscaling:CreateAutoScalingGroup,autoscaling:DescribeScalingActivities");
}

#[test]
fn standby_protection_suspension_and_a_warm_pool() {
    let script = "
make(size=2, NewInstancesProtectedFromScaleIn=True)
until(2, lambda: len(ids()))
one, other = ids()
assert member(one)['ProtectedFromScaleIn'] is True
asg.set_desired_capacity(AutoScalingGroupName='ci', DesiredCapacity=1)
time.sleep(0.3)
assert len(ids()) == 2, 'both are protected'
asg.set_instance_protection(AutoScalingGroupName='ci', InstanceIds=[other],
    ProtectedFromScaleIn=False)
until(['InService'], states)
assert ids() == [one], ids()
code, message = refused(asg.set_instance_protection, AutoScalingGroupName='ci',
    InstanceIds=['i-0123456789abcdef0'], ProtectedFromScaleIn=False)
assert code == 'ValidationError' and 'is not part of Auto Scaling group ci' in message, message

# Out of service for a while: another one comes, or none.
[moved] = asg.enter_standby(AutoScalingGroupName='ci', InstanceIds=[one],
    ShouldDecrementDesiredCapacity=True)['Activities']
assert moved['Description'] == 'Moving EC2 instance to Standby: ' + one, moved
assert 'shrinking the capacity from 1 to 0' in moved['Cause'], moved
assert (states(), group()['DesiredCapacity']) == (['Standby'], 0), states()
asg.exit_standby(AutoScalingGroupName='ci', InstanceIds=[one])
assert (ids(), group()['DesiredCapacity']) == ([one], 1), states()
asg.enter_standby(AutoScalingGroupName='ci', InstanceIds=[one],
    ShouldDecrementDesiredCapacity=False)
until(['InService', 'Standby'], states)
asg.set_instance_health(InstanceId=one, HealthStatus='Unhealthy', ShouldRespectGracePeriod=False)
asg.exit_standby(AutoScalingGroupName='ci', InstanceIds=[one])
until(True, lambda: one not in ids() and len(ids()) == 2)
code, message = refused(asg.exit_standby, AutoScalingGroupName='ci', InstanceIds=[ids()[0]])
assert code == 'ValidationError', message

# What is suspended is not done.
asg.suspend_processes(AutoScalingGroupName='ci', ScalingProcesses=['Launch', 'HealthCheck'])
assert {one['ProcessName'] for one in group()['SuspendedProcesses']} == {'Launch', 'HealthCheck'}
code, message = refused(asg.suspend_processes, AutoScalingGroupName='ci', ScalingProcesses=['X'])
assert code == 'ValidationError', message
lost = ids()[0]
ec2.terminate_instances(InstanceIds=[lost])
until('terminated', lambda: describe(lost)['State']['Name'])
time.sleep(0.2)
assert lost in ids() and len(ids()) == 2, 'nobody looks'
asg.resume_processes(AutoScalingGroupName='ci', ScalingProcesses=['HealthCheck'])
until(1, lambda: len(ids()))
time.sleep(0.2)
assert len(states()) == 1, 'nobody launches'
asg.resume_processes(AutoScalingGroupName='ci')
until(2, lambda: len(ids()))

# A warm pool: filled, asleep, drawn from, gone.
asg.update_auto_scaling_group(AutoScalingGroupName='ci', DesiredCapacity=1,
    NewInstancesProtectedFromScaleIn=False)
for instance in ids():
    asg.set_instance_protection(AutoScalingGroupName='ci', InstanceIds=[instance],
        ProtectedFromScaleIn=False)
until(1, lambda: len(group()['Instances']))
asg.put_warm_pool(AutoScalingGroupName='ci', MaxGroupPreparedCapacity=2, PoolState='Stopped')
def warm():
    return [one['LifecycleState'] for one in asg.describe_warm_pool(AutoScalingGroupName='ci')[
        'Instances']]
until(['Warmed:Stopped'], warm)
assert group()['WarmPoolConfiguration']['PoolState'] == 'Stopped' and group()['WarmPoolSize'] == 1
[cold] = [one['InstanceId'] for one in asg.describe_warm_pool(AutoScalingGroupName='ci')['Instances']]
assert describe(cold)['State']['Name'] == 'stopped'
assert 'warm pool' in of(cold)[0]['Description'], of(cold)
asg.set_desired_capacity(AutoScalingGroupName='ci', DesiredCapacity=2)
until(True, lambda: cold in ids())
assert 'from warm pool' in of(cold)[0]['Description'], of(cold)
asg.set_desired_capacity(AutoScalingGroupName='ci', DesiredCapacity=1)
until(['Warmed:Stopped'], warm)
asg.delete_warm_pool(AutoScalingGroupName='ci')
until(False, lambda: 'WarmPoolConfiguration' in group())
code, _ = refused(asg.delete_warm_pool, AutoScalingGroupName='ci')
assert code == 'ValidationError', code

asg.create_or_update_tags(Tags=[{'ResourceId': 'ci', 'ResourceType': 'auto-scaling-group',
    'Key': 'a', 'Value': 'b', 'PropagateAtLaunch': True}])
[tag] = asg.describe_tags(Filters=[{'Name': 'key', 'Values': ['a']}])['Tags']
assert (tag['ResourceId'], tag['Value'], tag['PropagateAtLaunch']) == ('ci', 'b', True), tag
asg.delete_tags(Tags=[{'ResourceId': 'ci', 'ResourceType': 'auto-scaling-group', 'Key': 'a'}])
assert asg.describe_tags()['Tags'] == []
";
    run("", script);
}

#[test]
fn launches_that_fail_are_activities_that_say_why() {
    let faults = "
[[shortage]]
instance-type = 't3.micro'
next = 1
[[shortage]]
instance-type = 't3.large'
[[fault]]
service = 'ec2'
action = 'RunInstances'
caller = 'autoscaling'
does = 'throttled'
from = 5
[[fault]]
service = 'autoscaling'
action = 'DescribeTags'
does = 'throttled'
";
    let script = "
make()
until(1, lambda: len(ids()))
[came, failed] = activities()
assert failed['StatusCode'] == 'Failed' and failed['Progress'] == 100, failed
assert failed['Description'].startswith('Launching a new EC2 instance.  Status Reason: We currently')
assert 'do not have sufficient t3.micro capacity' in failed['StatusMessage'], failed
assert failed['StatusMessage'].endswith('Launching EC2 instance failed.'), failed
assert json.loads(came['Details'])['Availability Zone'] == 'eu-west-1b', 'it tries elsewhere'

# The first type that can be had.
mixed = {'LaunchTemplate': {'LaunchTemplateSpecification': launches,
    'Overrides': [{'InstanceType': 't3.large'}, {'InstanceType': 't3.small'}]}}
wanted = dict(MinSize=0, MaxSize=1, DesiredCapacity=1, AvailabilityZones=['eu-west-1a'])
asg.create_auto_scaling_group(AutoScalingGroupName='mixed', MixedInstancesPolicy=mixed, **wanted)
until(1, lambda: len(ids(name='mixed')))
assert group('mixed')['Instances'][0]['InstanceType'] == 't3.small', group('mixed')
told = group('mixed')['MixedInstancesPolicy']['LaunchTemplate']
assert [one['InstanceType'] for one in told['Overrides']] == ['t3.large', 't3.small'], told

code, message = refused(asg.describe_tags)
assert code == 'Throttling', (code, message)

# Throttled, then an image that is gone.
make('late')
until(True, lambda: len(activities('late')) > 0)
assert activities('late')[0]['StatusMessage'].startswith('Request limit exceeded.'), activities('late')
";
    run(faults, script);
    let gone = "
make(size=0)
ec2.deregister_image(ImageId=image)
asg.set_desired_capacity(AutoScalingGroupName='ci', DesiredCapacity=1)
until(True, lambda: len(activities()) > 0)
assert image in activities()[0]['StatusMessage'], activities()
assert 'does not exist' in activities()[0]['StatusMessage'], activities()
assert activities()[0]['StatusCode'] == 'Failed'
";
    run("", gone);
}

#[test]
fn a_load_balancer_that_finds_an_instance_unhealthy_has_it_replaced() {
    let script = "
[tg] = elb.create_target_group(Name='ci', Protocol='HTTP', Port=8080, VpcId='vpc-0f00d000000000001',
    HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=2, UnhealthyThresholdCount=2)['TargetGroups']
arn = tg['TargetGroupArn']
[lb] = elb.create_load_balancer(Name='ci', Type='application')['LoadBalancers']
elb.create_listener(LoadBalancerArn=lb['LoadBalancerArn'], Protocol='HTTP', Port=80,
    DefaultActions=[{'Type': 'forward', 'TargetGroupArn': arn}])
# Nobody serves on its port: after the grace period it is replaced.
make(HealthCheckType='ELB', HealthCheckGracePeriod=30, TargetGroupARNs=[arn])
until(1, lambda: len(ids()))
[first] = ids()
assert group()['TrafficSources'][0]['Identifier'] == arn
until(True, lambda: first not in ids())
assert 'ELB system health check failure' in of(first)[0]['Cause'], of(first)
health = elb.describe_target_health(TargetGroupArn=arn)['TargetHealthDescriptions']
gone = [one for one in health if one['Target']['Id'] == first]
assert all(one['TargetHealth']['State'] == 'draining' for one in gone), health
";
    run("", script);
}
