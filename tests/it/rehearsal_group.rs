//! The group and the load balancer of the rehearsal account: AWS's own client for Python reads and
//! changes them, and what hostkit asks of them is what that client could have asked.

use std::process::Command;
use std::sync::Arc;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use hostkit::aws::asg::{self, Transition, Verdict};
use hostkit::aws::elb;
use hostkit::sim::account::REGION;
use hostkit::sim::endpoint::with;
use hostkit::sim::record::Record;

use crate::rehearsal_account::Setting;
use crate::support::{python, repository, scratch};

/// How hostkit calls AWS at this address, with these keys.
pub(crate) fn config(url: &str, key: &str, secret: &str, session: Option<String>) -> SdkConfig {
    let credentials = Credentials::new(key, secret, session, None, "a test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .endpoint_url(url)
        .build()
}

#[tokio::test]
async fn boto3_reads_and_changes_the_group_and_its_load_balancer() {
    let Some(python) = python() else { return };
    let setting = Setting::new().await;
    let balanced = "
elb = client('elbv2')
group = 'hostkit-vm'
[tg] = elb.create_target_group(Name='ci', Protocol='HTTP', Port=8080, VpcId='vpc-0f00d000000000001',
    HealthCheckPath='/login', HealthCheckIntervalSeconds=5, HealthCheckTimeoutSeconds=4,
    HealthyThresholdCount=2)['TargetGroups']
arn = tg['TargetGroupArn']
assert tg['Matcher']['HttpCode'] == '200' and tg['LoadBalancerArns'] == [], tg
code, _ = refused(elb.create_target_group, Name='ci', Protocol='HTTP', Port=1)
assert code == 'DuplicateTargetGroupName', code
def health(target):
    [one] = elb.describe_target_health(TargetGroupArn=arn, Targets=[{'Id': target}])[
        'TargetHealthDescriptions']
    return one['TargetHealth']['State'], one['TargetHealth'].get('Reason')
assert health(first) == ('unused', 'Target.NotRegistered'), health(first)
elb.register_targets(TargetGroupArn=arn, Targets=[{'Id': second}])
assert health(second) == ('unused', 'Target.NotInUse'), health(second)
[lb] = elb.create_load_balancer(Name='ci', Type='application')['LoadBalancers']
elb.create_listener(LoadBalancerArn=lb['LoadBalancerArn'], Protocol='HTTP', Port=80,
    DefaultActions=[{'Type': 'forward', 'TargetGroupArn': arn}])
assert elb.describe_target_groups(LoadBalancerArn=lb['LoadBalancerArn'])['TargetGroups']
assert elb.describe_load_balancers(Names=['ci'])['LoadBalancers'][0]['State']['Code'] == 'active'
assert health(second)[0] == 'initial', health(second)
elb.deregister_targets(TargetGroupArn=arn, Targets=[{'Id': second}])
assert health(second) == ('draining', 'Target.DeregistrationInProgress'), health(second)
code, message = refused(elb.register_targets, TargetGroupArn=arn, Targets=[{'Id': 'i-0'}])
assert code == 'InvalidTarget' and 'not in a running state' in message, (code, message)
code, _ = refused(elb.describe_target_health, TargetGroupArn=arn + '0')
assert code == 'TargetGroupNotFound', code
code, _ = refused(elb.delete_target_group, TargetGroupArn=arn)
assert code == 'ResourceInUse', code

asg.attach_load_balancer_target_groups(AutoScalingGroupName=group, TargetGroupARNs=[arn])
[own] = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[group])['AutoScalingGroups']
assert own['TargetGroupARNs'] == [arn] and own['TrafficSources'][0]['Identifier'] == arn, own
assert own['SuspendedProcesses'] == [] and len(own['Instances']) == 2, own
assert asg.describe_load_balancer_target_groups(AutoScalingGroupName=group)[
    'LoadBalancerTargetGroups'][0]['LoadBalancerTargetGroupARN'] == arn
asg.complete_lifecycle_action(AutoScalingGroupName=group, LifecycleHookName='launch',
    InstanceId=first, LifecycleActionResult='CONTINUE')
assert health(first)[0] == 'initial', 'its group has registered it'
";
    setting.run(&python, balanced).await;

    let let_go = "
elb = client('elbv2')
group = 'hostkit-vm'
asg.put_lifecycle_hook(AutoScalingGroupName=group, LifecycleHookName='drain', HeartbeatTimeout=60,
    LifecycleTransition='autoscaling:EC2_INSTANCE_TERMINATING', DefaultResult='CONTINUE')
hooks = asg.describe_lifecycle_hooks(AutoScalingGroupName=group)['LifecycleHooks']
assert [one['LifecycleHookName'] for one in hooks] == ['launch', 'drain'], hooks
assert hooks[1]['GlobalTimeout'] == 6000, hooks
asg.suspend_processes(AutoScalingGroupName=group, ScalingProcesses=['ReplaceUnhealthy'])
asg.set_instance_health(InstanceId=first, HealthStatus='Unhealthy', ShouldRespectGracePeriod=False)
def member(instance):
    [one] = asg.describe_auto_scaling_instances(InstanceIds=[instance])['AutoScalingInstances']
    return one['LifecycleState'], one['HealthStatus']
assert member(first) == ('InService', 'UNHEALTHY'), member(first)
asg.resume_processes(AutoScalingGroupName=group, ScalingProcesses=['ReplaceUnhealthy'])
asg.set_instance_health(InstanceId=first, HealthStatus='Unhealthy')
assert member(first)[0] == 'Terminating:Wait' and state(first) == 'running', member(first)
asg.record_lifecycle_action_heartbeat(AutoScalingGroupName=group, LifecycleHookName='drain',
    InstanceId=first)
asg.complete_lifecycle_action(AutoScalingGroupName=group, LifecycleHookName='drain',
    InstanceId=first, LifecycleActionResult='CONTINUE')
assert member(first)[0] == 'Terminating:Proceed' and state(first) == 'shutting-down', member(first)
code, message = refused(asg.set_instance_health, InstanceId='i-0', HealthStatus='Unhealthy')
assert code == 'ValidationError' and 'i-0' in message, (code, message)
code, message = refused(asg.delete_lifecycle_hook, AutoScalingGroupName=group,
    LifecycleHookName='other')
assert code == 'ValidationError' and 'other' in message, (code, message)
asg.delete_lifecycle_hook(AutoScalingGroupName=group, LifecycleHookName='launch')
assert member(second)[0] == 'InService', 'nobody holds it any more'
asg.terminate_instance_in_auto_scaling_group(InstanceId=second,
    ShouldDecrementDesiredCapacity=False)
assert member(second)[0] == 'Terminating:Wait', member(second)
";
    setting.run(&python, let_go).await;
}

/// Every call that a host makes of its group and of its load balancer, made by hostkit's functions.
#[tokio::test]
async fn what_a_host_asks_of_its_group_is_what_botocore_knows() {
    let Some(python) = python() else { return };
    let setting = Setting::new().await;
    let folder = scratch();
    let record = folder.path().join("record.jsonl");
    let arn = with(&setting.account, |account| {
        account.record = Some(Arc::new(Record::open(&record).unwrap()));
        account.balance("ci", 8080, "/login")
    });
    let keys = &setting.keys;
    let aws = config(&setting.url, &keys.access_key, &keys.secret_key, keys.session.clone());
    let id = &setting.ids[0];

    let member = asg::membership(&aws, id).await.unwrap().unwrap();
    assert_eq!(member.state, "Pending:Wait");
    let group = asg::describe(&aws, &member.group).await.unwrap().unwrap();
    assert_eq!((group.target_groups, group.desired), (vec![arn.clone()], 1));
    let hooks = asg::hooks(&aws, &member.group, Transition::Launching).await.unwrap();
    assert_eq!(hooks[0].at_most, hooks[0].timeout * 100);
    let none = asg::hooks(&aws, &member.group, Transition::Terminating).await.unwrap();
    assert!(none.is_empty());
    asg::heartbeat(&aws, &hooks[0], id).await.unwrap();
    elb::register(&aws, &arn, id).await.unwrap();
    asg::complete(&aws, &hooks[0], id, Verdict::Continue).await.unwrap();
    let again = asg::complete(&aws, &hooks[0], id, Verdict::Continue).await.unwrap_err();
    assert!(again.message().contains("No active Lifecycle Action"), "{again}");
    let [ours] = &elb::target_groups(&aws, std::slice::from_ref(&arn)).await.unwrap()[..] else {
        panic!("there is one")
    };
    assert_eq!((ours.check.as_str(), ours.kind), ("HTTP 8080/login", elb::Kind::Instance));
    let health = elb::health(&aws, &arn, id).await.unwrap();
    assert_eq!(health.state, "initial");
    elb::deregister(&aws, &arn, id).await.unwrap();
    assert_eq!(
        elb::health(&aws, &arn, id).await.unwrap().reason,
        "Target.DeregistrationInProgress"
    );
    asg::set_unhealthy(&aws, id).await.unwrap();
    assert!(asg::membership(&aws, id).await.unwrap().unwrap().is_leaving());

    let expected = "autoscaling:CompleteLifecycleAction,autoscaling:DescribeAutoScalingGroups,\
                    autoscaling:DescribeLifecycleHooks,autoscaling:RecordLifecycleActionHeartbeat,\
                    autoscaling:SetInstanceHealth,elasticloadbalancing:DeregisterTargets,\
                    elasticloadbalancing:DescribeTargetGroups,\
                    elasticloadbalancing:DescribeTargetHealth,\
                    elasticloadbalancing:RegisterTargets";
    let mut command = Command::new(python);
    command.arg(repository("tests/fixtures/botocore_validate.py"));
    let output = command.arg(&record).args(["--expect", expected]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
