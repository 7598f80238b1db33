//! ECS without a machine: the rehearsal account's cluster, the package that stands in for the ECS
//! agent, the drain that a host asks for, and AWS's own client for Python.

use std::fs;
use std::net::TcpListener as Port;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ssm::config::{Credentials as SdkCredentials, SharedCredentialsProvider};
use hostkit::aws::ecs::{self, State, drain};
use hostkit::facts::ecs_agent;
use hostkit::sim::account::{Account, REGION};
use hostkit::sim::cluster::{CLUSTER, Cluster};
use hostkit::sim::endpoint::{self, Shared, with};
use hostkit::sim::http;
use hostkit::sim::instance::Credentials;
use hostkit::sim::parameters::Parameters;
use hostkit::sim::record::Record;
use hostkit::sim::timeline::Recorder;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::account::validate;
use crate::support::{python, repository, scratch};

/// An account with one instance, its metadata service, and a folder for its agent. Every request is
/// recorded.
struct Setting {
    account: Shared,
    instance: String,
    keys: Credentials,
    url: String,
    imds: String,
    port: u16,
    folder: TempDir,
    _servers: [http::Server; 2],
}

/// A running stand-in; it is killed when the test ends.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Setting {
    async fn new() -> Self {
        let folder = scratch();
        let mut account = Account::new(Parameters::default());
        account.conditions.speed = 100.0;
        account.record = Some(Arc::new(Record::open(&folder.path().join("record")).unwrap()));
        let now = account.now();
        let instance = account.launch(Recorder::silent());
        instance.switched_on(now);
        let (id, keys) = (instance.id.clone(), instance.credentials.clone());
        let account = Arc::new(Mutex::new(account));
        let serve = async |handler| {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}", listener.local_addr().unwrap());
            (url, http::serve_tcp(listener, handler))
        };
        let (url, services) = serve(endpoint::services(&account)).await;
        let (imds, metadata) = serve(endpoint::metadata(&account, &id)).await;
        let port = Port::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let servers = [services, metadata];
        Self { account, instance: id, keys, url, imds, port, folder, _servers: servers }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Starts the stand-in with what hostkit would render.
    fn agent(&self, cluster: &str) -> Agent {
        let config = format!(
            "ECS_CLUSTER={cluster}\nAWS_DEFAULT_REGION={REGION}\nECS_BACKEND_HOST={}\n\
             ECS_INSTANCE_ATTRIBUTES={{\"pool\":\"small\"}}\nECS_RESERVED_MEMORY=256\n\
             ECS_CONTAINER_INSTANCE_TAGS={{\"team\":\"build and test\"}}\n",
            self.url
        );
        fs::create_dir_all(self.path("etc/ecs")).unwrap();
        fs::write(self.path("etc/ecs/ecs.config"), config).unwrap();
        let program = "tests/fixtures/ecs-agent-package/root/usr/libexec/amazon-ecs-init";
        let mut command = Command::new("python3");
        command
            .arg(repository(program))
            .arg("start")
            .env("ECS_FIXTURE_ROOT", self.folder.path())
            .env("ECS_FIXTURE_IMDS", &self.imds)
            .env("ECS_FIXTURE_PORT", self.port.to_string())
            .stdin(Stdio::null());
        Agent(command.spawn().unwrap())
    }

    /// The ARN with which its agent says that it is registered.
    async fn registered(&self) -> String {
        loop {
            let said = ecs_agent::ask(([127, 0, 0, 1], self.port).into()).await;
            if let Ok(said) = said
                && let Some(arn) = said.place_in(CLUSTER).unwrap()
            {
                return arn.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn sdk(&self) -> SdkConfig {
        let keys = &self.keys;
        let session = keys.session.clone();
        let keys = SdkCredentials::new(&keys.access_key, &keys.secret_key, session, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(&self.url)
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .build()
    }

    /// Puts a task onto the host, of a service or of nobody.
    fn start_task(&self, arn: &str, definition: &str, service: Option<&str>) {
        with(&self.account, |account| {
            let world = account.world();
            let cluster = account.region(REGION).clusters.get_mut(CLUSTER).unwrap();
            cluster.start_task(arn.rsplit('/').next().unwrap(), definition, service, world);
        });
    }

    /// Every request so far is one that AWS's own client could have sent, and these were among them.
    fn validate(&self, expected: &str) {
        validate(&self.path("record"), expected);
    }
}

#[tokio::test]
async fn the_agent_registers_stays_the_same_and_is_drained() {
    let setting = Setting::new().await;
    let sdk = setting.sdk();
    let agent = setting.agent(CLUSTER);
    let arn = setting.registered().await;
    let host = ecs::look(&sdk, CLUSTER, &arn).await.unwrap().unwrap();
    assert_eq!((&host.state, host.connected, host.tasks), (&State::Active, true, 0));
    assert_eq!(host.attributes["pool"], "small");
    let found = ecs::find(&sdk, CLUSTER, &setting.instance).await.unwrap();
    assert_eq!(found.as_deref(), Some(arn.as_str()));
    assert_eq!(ecs::find(&sdk, CLUSTER, "i-0123456789abcdef0").await.unwrap(), None);
    // In whichever page of the account's clusters its own is.
    with(&setting.account, |account| {
        let clusters = &mut account.region(REGION).clusters;
        for number in 0..150 {
            let name = format!("a-{number:03}");
            clusters.insert(name.clone(), Cluster::new(&name));
        }
    });
    let cluster = ecs::cluster_of(&sdk, &setting.instance).await.unwrap();
    assert_eq!(cluster.as_deref(), Some(CLUSTER));

    drop(agent);
    let _agent = setting.agent(CLUSTER);
    assert_eq!(setting.registered().await, arn, "a restart changes nothing");
    let new = [("pool".to_owned(), "large".to_owned())].into();
    ecs::put_attributes(&sdk, CLUSTER, &arn, &new).await.unwrap();
    let host = ecs::look(&sdk, CLUSTER, &arn).await.unwrap().unwrap();
    assert_eq!(host.attributes["pool"], "large");

    assert!(drain::tasks_left(&sdk, CLUSTER, &arn).await.unwrap().is_empty());
    setting.start_task(&arn, "web:7", Some("web"));
    setting.start_task(&arn, "report:3", None);
    let address = ([127, 0, 0, 1], setting.port).into();
    let seen = ecs_agent::tasks(address).await.unwrap();
    assert_eq!(seen.iter().filter(|task| !task.has_stopped()).count(), 2);
    assert_eq!(drain::begin(&sdk, CLUSTER, &arn).await.unwrap(), drain::Begun::Asked);
    assert_eq!(drain::begin(&sdk, CLUSTER, &arn).await.unwrap(), drain::Begun::Before);
    loop {
        let left = drain::tasks_left(&sdk, CLUSTER, &arn).await.unwrap();
        assert_eq!(left.alone.len(), 1, "ECS does not stop it");
        if left.of_services.is_empty() {
            let line = "1 task that ECS does not stop, as no service has it (report:3)";
            assert_eq!(left.tell(), line);
            break;
        }
        assert!(left.of_services[0].stopping);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(drain::cancel(&sdk, CLUSTER, &arn).await.unwrap());
    assert!(!drain::cancel(&sdk, CLUSTER, &arn).await.unwrap());
    let gone = format!("{arn}0");
    assert_eq!(drain::begin(&sdk, CLUSTER, &gone).await.unwrap(), drain::Begun::Gone);
    setting.validate(
        "ecs:RegisterContainerInstance,ecs:ListClusters,ecs:DiscoverPollEndpoint,ecs:DescribeContainerInstances,\
         ecs:ListContainerInstances,ecs:PutAttributes,ecs:UpdateContainerInstancesState,\
         ecs:ListTasks,ecs:DescribeTasks",
    );
}

#[tokio::test]
async fn who_drains_a_host_is_known_from_the_capacity_provider_or_from_the_hook() {
    let setting = Setting::new().await;
    let sdk = setting.sdk();
    let drainer =
        async |hooks: &[String]| drain::drainer(&sdk, CLUSTER, "nodes", hooks).await.unwrap();
    assert_eq!(drainer(&[]).await, drain::Drainer::Host);
    let hook = [ecs::MANAGED_HOOK.to_owned()];
    assert!(matches!(drainer(&hook).await, drain::Drainer::Ecs(why) if why.contains("hook")));
    let change = |managed_draining| {
        with(&setting.account, |account| {
            let region = account.region(REGION);
            let provider = hostkit::sim::cluster::CapacityProvider {
                name: "nodes-provider".to_owned(),
                group: "nodes".to_owned(),
                managed_draining,
                termination_protection: false,
            };
            region.capacity_providers.insert(provider.name.clone(), provider);
            let cluster = region.clusters.get_mut(CLUSTER).unwrap();
            cluster.providers = vec!["FARGATE".to_owned(), "nodes-provider".to_owned()];
        });
    };
    change(false);
    assert_eq!(drainer(&[]).await, drain::Drainer::Host);
    change(true);
    let ecs = drain::Drainer::Ecs("the capacity provider nodes-provider".to_owned());
    assert_eq!(drainer(&[]).await, ecs);
    let other = drain::drainer(&sdk, CLUSTER, "other-nodes", &[]).await.unwrap();
    assert_eq!(other, drain::Drainer::Host);
    setting.validate("ecs:DescribeClusters,ecs:DescribeCapacityProviders");
}

/// Waits until a process has ended; its exit status.
async fn status(mut agent: Agent) -> Option<i32> {
    loop {
        if let Some(status) = agent.0.try_wait().unwrap() {
            return status.code();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn the_agent_gives_up_where_amazons_does() {
    let setting = Setting::new().await;
    assert_eq!(status(setting.agent("none-of-this-name")).await, Some(1), "it is tried again");
    let agent = setting.agent(CLUSTER);
    setting.registered().await;
    drop(agent);
    assert_eq!(status(setting.agent("default")).await, Some(5), "the state is of another cluster");
    let log = fs::read_to_string(setting.path("var/log/ecs/ecs-agent.log")).unwrap();
    assert!(log.contains("ClusterNotFoundException"), "{log}");
    assert!(
        log.contains("level=critical") && log.contains("saved cluster does not match"),
        "{log}"
    );
}

#[tokio::test]
async fn boto3_reads_what_becomes_of_a_host() {
    let Some(python) = python() else { return };
    let setting = Setting::new().await;
    let script = "
import boto3, botocore.exceptions, json, sys
url, key, secret, session, instance, cluster = sys.argv[1:]
ecs = boto3.client('ecs', endpoint_url=url, region_name='eu-west-1', aws_access_key_id=key,
                   aws_secret_access_key=secret, aws_session_token=session)
def refused(call, **asked):
    try:
        call(**asked)
    except botocore.exceptions.ClientError as error:
        return error.response['Error']['Code']
    raise AssertionError('it was not refused')
made = ecs.create_cluster(clusterName='builds', tags=[{'key': 'a', 'value': 'b'}])['cluster']
assert made['status'] == 'ACTIVE' and made['tags'] == [{'key': 'a', 'value': 'b'}], made
assert made['clusterArn'] in ecs.list_clusters()['clusterArns']
document = json.dumps({'instanceId': instance})
asked = dict(cluster='builds', instanceIdentityDocument=document, attributes=[
    {'name': 'pool', 'value': 'small'}, {'name': 'ecs.capability.x'}])
host = ecs.register_container_instance(**asked)['containerInstance']
assert host['ec2InstanceId'] == instance and host['registeredAt'].tzinfo is not None, host
arn = host['containerInstanceArn']
pages = ecs.get_paginator('list_container_instances').paginate(cluster='builds')
assert [one for page in pages for one in page['containerInstanceArns']] == [arn]
started = ecs.start_task(cluster='builds', containerInstances=[arn], taskDefinition='web',
                         group='service:web', startedBy='a test')['tasks']
tasks = ecs.list_tasks(cluster='builds', containerInstance=arn, startedBy='a test')['taskArns']
assert tasks == [started[0]['taskArn']], tasks
[drained] = ecs.update_container_instances_state(
    cluster='builds', containerInstances=[arn], status='DRAINING')['containerInstances']
assert drained['status'] == 'DRAINING', drained
ecs.get_waiter('tasks_stopped').wait(
    cluster='builds', tasks=tasks, WaiterConfig={'Delay': 1, 'MaxAttempts': 60})
[task] = ecs.describe_tasks(cluster='builds', tasks=tasks)['tasks']
assert task['stopCode'] == 'ServiceSchedulerInitiated' and task['group'] == 'service:web', task
group = 'arn:aws:autoscaling:eu-west-1:123456789012:autoScalingGroup:u:autoScalingGroupName/nodes'
ecs.create_capacity_provider(name='nodes', autoScalingGroupProvider={'autoScalingGroupArn': group})
ecs.put_cluster_capacity_providers(
    cluster='builds', capacityProviders=['nodes'], defaultCapacityProviderStrategy=[])
[provider] = ecs.describe_capacity_providers(capacityProviders=['nodes'])['capacityProviders']
assert provider['autoScalingGroupProvider']['managedDraining'] == 'ENABLED', provider
code = refused(ecs.describe_container_instances, cluster='none', containerInstances=[arn])
assert code == 'ClusterNotFoundException', code
code = refused(ecs.delete_cluster, cluster='builds')
assert code == 'ClusterContainsContainerInstancesException', code
gone = ecs.deregister_container_instance(cluster='builds', containerInstance=arn)
assert gone['containerInstance']['status'] == 'INACTIVE', gone
assert ecs.delete_cluster(cluster='builds')['cluster']['status'] == 'INACTIVE'
";
    let mut command = Command::new(python);
    command.args(["-c", script, &setting.url, &setting.keys.access_key]);
    command.args([&setting.keys.secret_key, setting.keys.session.as_ref().unwrap()]);
    command.args([&setting.instance, CLUSTER]).stderr(Stdio::piped());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    setting.validate("ecs:CreateCluster,ecs:StartTask,ecs:DeregisterContainerInstance");
}

fn build(output: &Path) {
    let script = repository("tests/fixtures/ecs-agent-package/build.sh");
    assert_cmd::Command::new(script).arg(output).assert().success();
}

#[test]
fn the_package_is_the_same_bytes_every_time() {
    let folder = scratch();
    let (one, two) = (folder.path().join("one.deb"), folder.path().join("two.deb"));
    build(&one);
    build(&two);
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "the packages differ");
}
