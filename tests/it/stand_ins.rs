//! hostkit's own calls against stand-ins for AWS that others have made: moto for Parameter Store and
//! load balancers, ministack for EFS and for the tokens of the metadata service. What the rehearsal
//! account and hostkit might both have wrong, these need not.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hostkit::aws::imds::Imds;
use hostkit::aws::rules::{self, Peer};
use hostkit::aws::{efs, efs_change, efs_replication, elb, kms, ssm};

use crate::rehearsal_group::config;
use crate::support::{pause, python, tell};

/// What it takes until such a server answers, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A server of somebody else's, on loopback.
struct StandIn {
    child: Child,
    url: String,
}

impl StandIn {
    /// Starts it and waits until it answers.
    fn start(make: impl FnOnce(u16) -> Command) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut command = make(port);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "{command:?} does not answer");
            pause();
        }
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }

    fn moto(python: &std::path::Path) -> Self {
        let program = python.with_file_name("moto_server");
        Self::start(|port| {
            let mut command = Command::new(program);
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            command
        })
    }

    /// It would listen on every address, and for MQTT too.
    fn ministack(program: PathBuf) -> Self {
        Self::start(|port| {
            let mut command = Command::new(program);
            command.env("GATEWAY_PORT", port.to_string()).env("BIND_HOST", "127.0.0.1");
            command.env("IOT_MTLS_ENABLED", "0").env("MINISTACK_IMDS_V2_REQUIRED", "1");
            command
        })
    }

    /// Runs a script that has boto3, with clients of this server by `at`.
    fn prepare(&self, python: &std::path::Path, script: &str) -> String {
        let head = "import boto3, sys\n\
                    def at(service): return boto3.client(service, endpoint_url=sys.argv[1],\n\
                        region_name='eu-west-1', aws_access_key_id='AKIATEST',\n\
                        aws_secret_access_key='s')\n";
        let output = Command::new(python)
            .args(["-c", &format!("{head}{script}"), &self.url])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// ministack, in an environment of its own: it wants another botocore. Says so where it is not there.
fn ministack() -> Option<PathBuf> {
    let program = std::env::var_os("HOSTKIT_TEST_MINISTACK")
        .map_or_else(|| "/var/cache/hostkit/ministack/bin/ministack".into(), PathBuf::from);
    if !program.exists() {
        tell("SKIPPED: ministack is not there (.ci/setup --test)");
    }
    program.exists().then_some(program)
}

#[tokio::test]
async fn moto_has_parameters_and_targets_that_are_understood() {
    let Some(python) = python() else { return };
    let moto = StandIn::moto(&python);
    let arn = moto.prepare(
        &python,
        "ssm, elb, ec2 = at('ssm'), at('elbv2'), at('ec2')\n\
         ssm.put_parameter(Name='/ci/key', Type='SecureString', Value='secret')\n\
         ssm.put_parameter(Name='/ci/key.pub', Type='String', Value='ssh-ed25519 AAAA')\n\
         vpc = ec2.describe_vpcs()['Vpcs'][0]['VpcId']\n\
         [tg] = elb.create_target_group(Name='ci', Protocol='HTTP', Port=8080, VpcId=vpc,\n\
             HealthCheckPath='/login')['TargetGroups']\n\
         print(tg['TargetGroupArn'])\n",
    );
    let aws = config(&moto.url, "AKIATEST", "s", None);
    let found = ssm::parameters(&aws, &["/ci/key", "/ci/key.pub", "/ci/none"]).await.unwrap();
    assert_eq!(found.values.get("/ci/key"), Some("secret"));
    assert_eq!(found.values.get("/ci/key.pub"), Some("ssh-ed25519 AAAA"));
    assert_eq!(found.missing, ["/ci/none"]);

    let [group] = &elb::target_groups(&aws, std::slice::from_ref(&arn)).await.unwrap()[..] else {
        panic!("there is one")
    };
    assert_eq!((group.name.as_str(), group.kind), ("ci", elb::Kind::Instance));
    assert_eq!(group.check, "HTTP 8080/login");
    let instance = "i-0123456789abcdef0";
    elb::register(&aws, &arn, instance).await.unwrap();
    // It never asks.
    assert!(elb::health(&aws, &arn, instance).await.unwrap().is_healthy());
    elb::deregister(&aws, &arn, instance).await.unwrap();
    let health = elb::health(&aws, &arn, instance).await.unwrap();
    assert_eq!((health.state.as_str(), health.is_healthy()), ("unused", false), "{health:?}");
    let gone = elb::target_groups(&aws, &[arn.replace("/ci/", "/other/")]).await.unwrap_err();
    assert_eq!(gone.code(), Some("TargetGroupNotFound"), "{gone}");
}

#[tokio::test]
async fn ministack_has_mount_targets_and_tokens_that_are_understood() {
    let (Some(python), Some(program)) = (python(), ministack()) else { return };
    let ministack = StandIn::ministack(program);
    let id = ministack.prepare(
        &python,
        "efs, ec2 = at('efs'), at('ec2')\n\
         id = efs.create_file_system(CreationToken='ci')['FileSystemId']\n\
         subnet = ec2.describe_subnets()['Subnets'][0]['SubnetId']\n\
         efs.create_mount_target(FileSystemId=id, SubnetId=subnet)\n\
         print(id)\n",
    );
    let aws = config(&ministack.url, "AKIATEST", "s", None);
    let targets = efs::mount_targets(&aws, &id).await.unwrap();
    assert_eq!(targets.len(), 1, "{targets:?}");
    assert_eq!(targets[0].state, efs::TargetState::Available);
    // AWS says `FileSystemNotFound`; this one has none of it, which is no error.
    assert_eq!(efs::mount_targets(&aws, "fs-0aaaaaaaaaaaaaaaa").await.unwrap(), []);

    // Without a token it answers 401, as an instance does that requires version 2.
    let status = |header: &[&str]| {
        let url = format!("{}/latest/meta-data/instance-id", ministack.url);
        let mut command = Command::new("curl");
        command.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]);
        let output = command.args(header).arg(url).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(status(&[]), "401");
    assert_eq!(status(&["--header", "X-aws-ec2-metadata-token: made-up"]), "401");
    let imds = Imds::new(Some(&ministack.url), Duration::from_secs(20)).unwrap();
    let told = imds.get("/latest/meta-data/instance-id", |_| {}).await.unwrap().unwrap();
    assert!(told.starts_with("i-"), "{told}");
    let absent = imds.get("/latest/meta-data/spot/instance-action", |_| {}).await.unwrap();
    assert_eq!(absent, None, "what is not there is no error");
}

/// What moto does of Auto Scaling it does as AWS; its refusals and activities it does not have.
#[test]
fn a_group_looks_the_same_in_moto_and_in_the_rehearsal_account() {
    let Some(python) = python() else { return };
    let moto = StandIn::moto(&python);
    let account = crate::account::Account::open("");
    let seen = |environment: Vec<(&str, String)>, url: &str| {
        let mut command = Command::new(&python);
        command.arg(crate::support::repository("tests/fixtures/group_observed.py")).arg(url);
        let output = command.envs(environment).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let ours = account.environment();
    let url = ours[0].1.clone();
    let theirs = [
        ("AWS_ACCESS_KEY_ID", "AKIATEST"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_DEFAULT_REGION", "eu-west-1"),
    ];
    let theirs = theirs.map(|(name, value)| (name, value.to_owned())).to_vec();
    assert_eq!(seen(ours, &url), seen(theirs, &moto.url));
}

#[tokio::test]
async fn moto_has_keys_that_are_understood() {
    let Some(python) = python() else { return };
    let moto = StandIn::moto(&python);
    let said = moto.prepare(
        &python,
        "kms = at('kms')\n\
         keys = [kms.create_key()['KeyMetadata']['Arn'] for _ in range(3)]\n\
         kms.disable_key(KeyId=keys[1].split('/')[1])\n\
         kms.schedule_key_deletion(KeyId=keys[2].split('/')[1], PendingWindowInDays=7)\n\
         print(*keys)\n",
    );
    let aws = config(&moto.url, "AKIATEST", "s", None);
    let mut states = Vec::new();
    for arn in said.split_whitespace() {
        let key = kms::key(&aws, arn).await.unwrap().unwrap();
        assert_eq!((key.arn.as_str(), key.by_aws), (arn, false));
        states.push((key.state, key.deleted_at.is_some()));
    }
    let state = |word: &str, deleted| (word.to_owned(), deleted);
    let wanted =
        [state("Enabled", false), state("Disabled", false), state("PendingDeletion", true)];
    assert_eq!(states, wanted);
    let none = said.split_whitespace().next().unwrap().replace("key/", "key/0");
    assert_eq!(kms::key(&aws, &none).await.unwrap(), None);
}

#[tokio::test]
async fn ministack_has_file_systems_that_are_changed() {
    let (Some(python), Some(program)) = (python(), ministack()) else { return };
    let ministack = StandIn::ministack(program);
    let id = ministack.prepare(
        &python,
        "efs = at('efs')\n\
         id = efs.create_file_system(CreationToken='ci')['FileSystemId']\n\
         print(id)\n",
    );
    let aws = config(&ministack.url, "AKIATEST", "s", None);
    efs_change::set_throughput(&aws, &id, efs_change::Mode::Provisioned(64.0)).await.unwrap();
    let found = efs::file_system(&aws, &id).await.unwrap();
    assert_eq!((found.throughput_mode.as_str(), found.provisioned), ("provisioned", Some(64.0)));
    assert_eq!(efs_replication::replication(&aws, &id).await.unwrap(), None);
    let copied = ministack.prepare(
        &python,
        &format!(
            "at('efs').create_replication_configuration(SourceFileSystemId='{id}',\n\
                 Destinations=[{{'Region': 'eu-central-1'}}])\n"
        ),
    );
    assert_eq!(copied, "");
    let replication = efs_replication::replication(&aws, &id).await.unwrap().unwrap();
    assert_eq!((replication.source.as_str(), replication.destinations.len()), (id.as_str(), 1));
    assert_eq!(replication.destinations[0].region, "eu-central-1");
}

#[tokio::test]
async fn ministack_has_file_systems_that_are_understood_with_whom_they_let_in() {
    let (Some(python), Some(program)) = (python(), ministack()) else { return };
    let ministack = StandIn::ministack(program);
    let ids = ministack.prepare(
        &python,
        "efs, ec2 = at('efs'), at('ec2')\n\
         id = efs.create_file_system(CreationToken='ci', Encrypted=True,\n\
             ThroughputMode='provisioned', ProvisionedThroughputInMibps=64.0,\n\
             Tags=[{'Key': 'Name', 'Value': 'ci-home'}])['FileSystemId']\n\
         subnet = ec2.describe_subnets()['Subnets'][0]\n\
         sg = ec2.create_security_group(GroupName='nfs', Description='nfs',\n\
             VpcId=subnet['VpcId'])['GroupId']\n\
         ec2.authorize_security_group_ingress(GroupId=sg, IpPermissions=[{'IpProtocol': 'tcp',\n\
             'FromPort': 2049, 'ToPort': 2049, 'UserIdGroupPairs': [{'GroupId': sg}]}])\n\
         efs.create_mount_target(FileSystemId=id, SubnetId=subnet['SubnetId'], SecurityGroups=[sg])\n\
         made = {'OwnerUid': 1000, 'OwnerGid': 50, 'Permissions': '0750'}\n\
         point = efs.create_access_point(FileSystemId=id, ClientToken='a',\n\
             PosixUser={'Uid': 1000, 'Gid': 1000},\n\
             RootDirectory={'Path': '/ci', 'CreationInfo': made})['AccessPointId']\n\
         print(id, sg, point)\n",
    );
    let [id, sg, point] = ids.split(' ').collect::<Vec<_>>()[..] else { panic!("{ids}") };
    let aws = config(&ministack.url, "AKIATEST", "s", None);

    let found = efs::found(&aws, id).await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), found.name.as_deref()), (id, Some("ci-home")));
    assert_eq!((found.state.as_str(), found.encrypted, found.targets), ("available", true, 1));
    assert_eq!((found.throughput_mode.as_str(), found.provisioned), ("provisioned", Some(64.0)));
    assert!(found.arn.ends_with(id) && !found.is_in_one_zone(), "{found:?}");
    assert_eq!(efs::found(&aws, "fs-0aaaaaaaaaaaaaaaa").await.unwrap(), None);

    let [target] = &efs::targets(&aws, id).await.unwrap()[..] else { panic!("there is one") };
    assert_eq!((target.zone.as_str(), target.zone_id.as_str()), ("eu-west-1a", "euw1-az1"));
    assert!(target.address.is_some() && target.network_interface.is_some(), "{target:?}");
    assert_eq!(efs::security_groups(&aws, &target.id).await.unwrap(), [sg]);
    let groups = rules::security_groups(&aws, &[sg.to_owned()]).await.unwrap();
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert!(groups[0].inward[0].is_about(2049) && groups[0].outward[0].is_about(2049));
    assert_eq!(groups[0].inward[0].peers, [Peer::Group(sg.to_owned())]);
    let gone = rules::prefix_list(&aws, "pl-1").await.unwrap_err();
    assert_eq!(gone.code(), Some("InvalidPrefixListID.NotFound"), "{gone}");

    assert_eq!(efs::policy(&aws, id).await.unwrap(), None);
    let script = format!(
        "at('efs').put_file_system_policy(FileSystemId='{id}', Policy='{{\"Statement\": [{{\"Effect\": \
         \"Allow\", \"Principal\": \"*\", \"Action\": \"*\"}}]}}')\n"
    );
    ministack.prepare(&python, &script);
    assert!(efs::policy(&aws, id).await.unwrap().unwrap().contains("Statement"));

    let found = efs::access_point(&aws, point).await.unwrap().unwrap();
    assert_eq!((found.file_system.as_str(), found.path.as_str()), (id, "/ci"));
    assert_eq!(found.user.map(|it| (it.uid, it.gid)), Some((1000, 1000)));
    assert_eq!(found.creation.map(|it| (it.gid, it.mode)), Some((50, "0750".to_owned())));
    // AWS says `AccessPointNotFound`; this one has none of it.
    assert_eq!(efs::access_point(&aws, "fsap-0aaaaaaaaaaaaaaaa").await.unwrap(), None);
    assert_eq!(efs::access_points(&aws, id).await.unwrap().len(), 1);
}
