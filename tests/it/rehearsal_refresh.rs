//! Instance refreshes of the rehearsal account, with hosts that have a script instead of a machine:
//! AWS's own client for Python starts, reads, cancels and undoes them.

use std::process::{Command, Stdio};

use hostkit::group::standing::{self, Standing};
use hostkit::sim::account::REGION;
use hostkit::sim::cloud::{Cloud, Options};
use hostkit::sim::endpoint::with;
use hostkit::sim::hosts::scenery::{Plan, Scenery};
use hostkit::sim::hosts::script::Agents;
use hostkit::sim::hosts::{self, Does, Part, Players, Role, Script};

use crate::support::{hostkit, python, scratch};

/// A cloud with one group, and what a script begins with.
struct Stage {
    cloud: Cloud,
    scenery: Scenery,
    _players: Players,
}

const HEAD: &str = "
import boto3, json, os, sys, time
from botocore.config import Config
def client(name):
    return boto3.client(name, config=Config(retries={'max_attempts': 0}, read_timeout=20))
def refused(error, call, **asked):
    try:
        call(**asked)
    except error as refusal:
        return refusal.response['Error']['Message']
    raise AssertionError('it was not refused')
asg, ec2, ssm, elb = (client(name) for name in ('autoscaling', 'ec2', 'ssm', 'elbv2'))
wrong = asg.exceptions.ClientError
group, template, old, new = sys.argv[1:5]
def until(check, seconds=60):
    ends = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < ends, refreshes()
        time.sleep(0.05)
    return found
def the_group():
    [found] = asg.describe_auto_scaling_groups(AutoScalingGroupNames=[group])['AutoScalingGroups']
    return found
def serving():
    return [one['InstanceId'] for one in the_group()['Instances']
        if one['LifecycleState'] == 'InService' and one['HealthStatus'] == 'Healthy']
def image(instance):
    [found] = ec2.describe_instances(InstanceIds=[instance])['Reservations']
    return found['Instances'][0]['ImageId']
def refreshes(**asked):
    return asg.describe_instance_refreshes(AutoScalingGroupName=group, **asked)['InstanceRefreshes']
def status():
    return refreshes()[0]['Status']
def is_over():
    return status() in ('Successful', 'Failed', 'Cancelled', 'RollbackSuccessful', 'RollbackFailed')
def start(**preferences):
    preferences = {'MinHealthyPercentage': 0, 'MaxHealthyPercentage': 100, 'SkipMatching': True,
        **preferences}
    return asg.start_instance_refresh(AutoScalingGroupName=group, Strategy='Rolling',
        DesiredConfiguration={'LaunchTemplate': {'LaunchTemplateId': template, 'Version': '2'}},
        Preferences=preferences)['InstanceRefreshId']
def standing():
    return json.loads(ssm.get_parameter(Name=f'/hostkit/asg/{group}/host')['Parameter']['Value'])
ec2.create_launch_template_version(LaunchTemplateId=template, SourceVersion='1',
    VersionDescription='hostkit', LaunchTemplateData={'ImageId': new}, ClientToken='once')
[first] = until(lambda: len(serving()) == the_group()['DesiredCapacity'] and serving())[:1]
";

impl Stage {
    fn open(speed: f64, plan: &Plan, script: impl FnOnce(&Scenery) -> Script) -> Self {
        let cloud = Cloud::open(Options { speed, ..Options::default() }).unwrap();
        let scenery = with(&cloud.account, |account| plan.furnish(account));
        let players = hosts::play(&cloud, script(&scenery));
        Self { cloud, scenery, _players: players }
    }

    /// A controller whose new image does something.
    fn controller(speed: f64, does: Does) -> Self {
        Self::open(speed, &Plan::controller("ci"), |scenery| {
            let agents = Some(Agents { known: 2, online: 2 });
            Script::of([
                Part::controller("2.516.1").of_image(&scenery.new).that(does),
                Part { builds: vec![90.0], agents, ..Part::controller("2.516.1") },
            ])
        })
    }

    /// Runs a script; says whether there was a client for it.
    fn run(&self, script: &str) -> bool {
        let Some(python) = python() else { return false };
        let Scenery { group, template, old, new, .. } = &self.scenery;
        let mut command = Command::new(python);
        command.arg("-c").arg(format!("{HEAD}{script}")).args([group, template, old, new]);
        command.envs(self.cloud.environment()).stderr(Stdio::piped());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        true
    }

    fn violations(&self) -> Vec<String> {
        with(&self.cloud.account, |account| account.hosts.violations())
    }

    /// Who held the home, one after the other.
    fn holders(&self) -> usize {
        with(&self.cloud.account, |account| {
            account.hosts.homes.values().map(|home| home.holders().len()).sum()
        })
    }
}

#[test]
fn boto3_has_a_controller_replaced() {
    let stage = Stage::controller(200.0, Does::Healthy);
    let ran = stage.run(
        "
assert standing()['state'] == 'serving' and standing()['builds'] in (0, 1), standing()
assert standing()['proof']['agents'] == {'known': 2, 'online': 2}, standing()
ident = start(AutoRollback=True, BakeTime=60, InstanceWarmup=0)
message = refused(asg.exceptions.InstanceRefreshInProgressFault, start)
assert 'already in progress' in message, message
[one] = refreshes(InstanceRefreshIds=[ident])
assert one['DesiredConfiguration']['LaunchTemplate'] == {'LaunchTemplateId': template,
    'LaunchTemplateName': group, 'Version': '2'}, one
assert one['Preferences']['BakeTime'] == 60 and one['Preferences']['AutoRollback'] is True, one
assert one['Strategy'] == 'Rolling' and one['StartTime'].tzinfo is not None, one
seen = set()
until(lambda: (seen.add(status()), is_over())[1])
assert status() == 'Successful' and 'Baking' in seen, (refreshes(), seen)
one = refreshes()[0]
assert one['PercentageComplete'] == 100 and one['InstancesToUpdate'] == 0, one
assert one['EndTime'] > one['StartTime'], one
assert the_group()['LaunchTemplate']['Version'] == '2', the_group()
[second] = serving()
assert second != first and image(second) == new
said = standing()
assert said['instance'] == second and said['proof']['jenkins'] == '2.516.1', said
assert said['proof']['generation'] == 2 and said['proof']['image'] == new, said
[arn] = the_group()['TargetGroupARNs']
health = elb.describe_target_health(TargetGroupArn=arn, Targets=[{'Id': second}])
assert health['TargetHealthDescriptions'][0]['TargetHealth']['State'] == 'healthy', health
old_one = refused(asg.exceptions.ActiveInstanceRefreshNotFoundFault, asg.cancel_instance_refresh,
    AutoScalingGroupName=group)
assert 'No in progress' in old_one, old_one
",
    );
    if ran {
        assert_eq!((stage.violations(), stage.holders()), (Vec::new(), 2));
        with(&stage.cloud.account, |account| {
            assert_eq!(account.hosts.lost(), 0, "the build was waited for");
        });
    }
}

#[test]
fn boto3_sees_what_is_never_ready_go_back_by_itself() {
    let stage = Stage::controller(600.0, Does::NeverReady);
    let ran = stage.run(
        "
start(AutoRollback=True)
seen = set()
until(lambda: (seen.add(status()), is_over())[1], 90)
assert status() == 'RollbackSuccessful' and 'RollbackInProgress' in seen, (refreshes(), seen)
details = refreshes()[0]['RollbackDetails']
assert 'automatic rollback' in details['RollbackReason'], details
assert details['PercentageCompleteOnRollback'] == 0, details
assert the_group()['LaunchTemplate']['Version'] == '1', the_group()
[third] = until(serving)
assert third != first and image(third) == old
until(lambda: standing()['instance'] == third)
assert standing()['proof']['jenkins'] == '2.516.1', standing()
",
    );
    if ran {
        assert_eq!(stage.violations(), Vec::<String>::new());
    }
}

#[test]
fn boto3_hears_every_refusal_and_ends_what_is_under_way() {
    let stage = Stage::controller(200.0, Does::Healthy);
    stage.run(
        "
only = dict(AutoScalingGroupName=group)
none = asg.exceptions.ActiveInstanceRefreshNotFoundFault
refused(none, asg.rollback_instance_refresh, **only)
message = refused(wrong, asg.start_instance_refresh, Preferences={'AutoRollback': True}, **only)
assert 'cannot be set to true when the DesiredConfiguration parameter is empty' in message, message
def desired(version):
    return {'LaunchTemplate': {'LaunchTemplateId': template, 'Version': version}}
for word in ('$Latest', '$Default'):
    message = refused(wrong, asg.start_instance_refresh, DesiredConfiguration=desired(word),
        Preferences={'AutoRollback': True}, **only)
    assert '$Latest or $Default' in message, message
message = refused(wrong, asg.start_instance_refresh, Strategy='ReplaceRootVolume', **only)
assert 'not modelled' in message, message
refused(wrong, asg.start_instance_refresh, DesiredConfiguration=desired('7'), **only)
refused(wrong, asg.start_instance_refresh, AutoScalingGroupName='other')
start(AlarmSpecification={'Alarms': ['unwell']}, ScaleInProtectedInstances='Refresh',
    StandbyInstances='Terminate', CheckpointPercentages=[50, 100], CheckpointDelay=60)
told = refreshes()[0]['Preferences']
assert told['AlarmSpecification'] == {'Alarms': ['unwell']}, told
assert told['CheckpointPercentages'] == [50, 100] and told['StandbyInstances'] == 'Terminate', told
message = refused(wrong, asg.update_auto_scaling_group, LaunchTemplate=desired('2')['LaunchTemplate'],
    **only)
assert 'An active instance refresh' in message, message
asg.cancel_instance_refresh(WaitForTransitioningInstances=True, **only)
until(is_over)
assert status() == 'Cancelled', refreshes()
assert the_group()['LaunchTemplate']['Version'] == '1', the_group()

until(lambda: len(serving()) == 1)
asg.start_instance_refresh(**only)
refused(asg.exceptions.IrreversibleInstanceRefreshFault, asg.rollback_instance_refresh, **only)
asg.cancel_instance_refresh(WaitForTransitioningInstances=False, **only)
assert status() == 'Cancelled', refreshes()
until(lambda: len(serving()) == 1)

start(SkipMatching=False)
asg.rollback_instance_refresh(**only)
until(is_over)
assert status() == 'RollbackSuccessful', refreshes()
assert image(serving()[0]) == old
page = asg.describe_instance_refreshes(MaxRecords=2, **only)
assert len(page['InstanceRefreshes']) == 2 and page['NextToken'], page
rest = asg.describe_instance_refreshes(NextToken=page['NextToken'], **only)
assert len(rest['InstanceRefreshes']) == 1 and 'NextToken' not in rest, rest
begun = [one['StartTime'] for one in refreshes()]
assert begun == sorted(begun, reverse=True), begun
",
    );
    assert_eq!(stage.violations(), Vec::<String>::new());
}

#[test]
fn agents_are_rolled_and_no_build_is_lost() {
    let plan = Plan::of("agents", 4, "jenkins-agent");
    let stage = Stage::open(200.0, &plan, |_| {
        let builds = vec![30.0, 200.0];
        let part = Part { role: Role::Agent, builds, keeps_building: true, ..Part::default() };
        Script::of([part])
    });
    let ran = stage.run(
        "
before = set(serving())
ident = asg.start_instance_refresh(AutoScalingGroupName=group,
    DesiredConfiguration={'LaunchTemplate': {'LaunchTemplateId': template, 'Version': '2'}},
    Preferences={'MinHealthyPercentage': 75, 'MaxHealthyPercentage': 125})
least = []
until(lambda: (least.append(len(serving())), is_over())[1])
assert status() == 'Successful', refreshes()
assert min(least) >= 3, least
assert not before & set(serving()) and len(serving()) == 4
",
    );
    if ran {
        with(&stage.cloud.account, |account| assert_eq!(account.hosts.lost(), 0));
    }
}

#[test]
fn boto3_sees_an_alarm_end_a_refresh() {
    let stage = Stage::controller(200.0, Does::Healthy);
    let ran = stage.run(
        "
cw = client('cloudwatch')
unknown = cw.exceptions.ResourceNotFound
refused(unknown, cw.set_alarm_state, AlarmName='slow', StateValue='OK', StateReason='none')
cw.put_metric_alarm(AlarmName='slow', Namespace='AWS/ApplicationELB', Statistic='Average',
    MetricName='TargetResponseTime', Period=60, EvaluationPeriods=1, Threshold=2.5,
    ComparisonOperator='GreaterThanThreshold',
    Dimensions=[{'Name': 'TargetGroup', 'Value': 'targetgroup/ci/1'}])
cw.put_composite_alarm(AlarmName='any', AlarmRule='ALARM(slow)')
[alarm] = cw.describe_alarms()['MetricAlarms']
assert alarm['StateValue'] == 'INSUFFICIENT_DATA' and alarm['Threshold'] == 2.5, alarm
assert alarm['Dimensions'] == [{'Name': 'TargetGroup', 'Value': 'targetgroup/ci/1'}], alarm
assert alarm['AlarmArn'].endswith(':alarm:slow') and alarm['StateUpdatedTimestamp'].tzinfo, alarm
both = cw.describe_alarms(AlarmTypes=['MetricAlarm', 'CompositeAlarm'], AlarmNames=['slow', 'any'])
assert both['CompositeAlarms'][0]['AlarmRule'] == 'ALARM(slow)', both
for name in ('slow', 'any'):
    cw.set_alarm_state(AlarmName=name, StateValue='OK', StateReason='tried')
start(AutoRollback=True, AlarmSpecification={'Alarms': ['slow', 'any']})
until(lambda: first not in serving())
assert status() == 'InProgress', refreshes()
cw.set_alarm_state(AlarmName='any', StateValue='ALARM', StateReason='tried')
assert cw.describe_alarms(StateValue='ALARM')['MetricAlarms'] == []
until(is_over)
assert status() == 'RollbackSuccessful', refreshes()
reason = refreshes()[0]['RollbackDetails']['RollbackReason']
assert 'automatic rollback' in reason and 'any' in reason and 'slow' not in reason, reason
assert the_group()['LaunchTemplate']['Version'] == '1', the_group()
[third] = until(serving)
assert image(third) == old
quotas = client('service-quotas')
quota = quotas.get_service_quota(ServiceCode='ec2', QuotaCode='L-1216C47A')['Quota']
metric = quota['UsageMetric']
of = [{'Name': name, 'Value': value} for name, value in metric['MetricDimensions'].items()]
now = time.time()
[used] = cw.get_metric_data(StartTime=now - 600, EndTime=now + 60, MetricDataQueries=[{'Id': 'm1',
    'MetricStat': {'Stat': metric['MetricStatisticRecommendation'], 'Period': 300, 'Metric': {
        'Namespace': metric['MetricNamespace'], 'MetricName': metric['MetricName'],
        'Dimensions': of}}}])['MetricDataResults']
assert quota['Value'] == 1152 and used['Values'][0] == 2, (quota, used)
refused(quotas.exceptions.NoSuchResourceException, quotas.get_service_quota, ServiceCode='ec2',
    QuotaCode='L-00000000')
cw.delete_alarms(AlarmNames=['slow', 'any', 'gone'])
assert cw.describe_alarms()['MetricAlarms'] == []
",
    );
    if ran {
        assert_eq!(stage.violations(), Vec::<String>::new());
    }
}

/// Two wrote it: the guard, and the hosts of the simulation, which know nothing of each other.
#[test]
fn a_scripted_host_says_what_a_guard_would_say() {
    let stage = Stage::controller(500.0, Does::Healthy);
    let name = standing::parameter(&stage.scenery.group);
    let told = || with(&stage.cloud.account, |account| account.parameter(REGION, &name));
    let text = loop {
        match told() {
            Some(text) => break text,
            None => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    };
    let standing: Standing = serde_json::from_str(&text).unwrap();
    let proof = standing.proof.clone().unwrap();
    assert!(proof.ready && proof.agents.is_some() && proof.generation == Some(1), "{proof:?}");
    assert_eq!(proof.image.as_ref(), Some(&stage.scenery.old));
    let ours: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_value(&standing).unwrap(), ours, "nothing more, nothing less");
}

#[test]
fn hostkit_sim_plays_hosts_and_refuses_what_is_no_script() {
    let folder = scratch();
    let file = folder.path().join("hosts.toml");
    std::fs::write(&file, "[[host]]\njenkins = '2.516.1'\nbuilds = [60]\n").unwrap();
    let run = || {
        let mut command = hostkit();
        command.args(["sim", "--hosts"]).arg(&file).args(["--", "true"]);
        command.output().unwrap()
    };
    assert!(run().status.success());
    std::fs::write(&file, "[[host]]\ndoes = 'sleep'\n").unwrap();
    let refused = run();
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(3), "{text}");
    assert!(text.contains("never-ready"), "it names what there is: {text}");
}
