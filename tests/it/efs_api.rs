//! What AWS says of a file system, looked at by hostkit's own calls in the rehearsal account: every
//! check of `efs.*` and of security groups, as it should be and as it should not.

use std::net::SocketAddr;
use std::process::Command;

use aws_config::SdkConfig;
use camino::Utf8Path;
use hostkit::doctor::efs::engine::{self, Done};
use hostkit::doctor::efs::host::role::{self, Identity};
use hostkit::doctor::efs::observed::Cell;
use hostkit::doctor::efs::scene::{Asked, Here, Scene};
use hostkit::doctor::efs::table::{Id, Observed};
use hostkit::doctor::{Finding, Look, Verdict};
use hostkit::host::{Efs, Role};
use hostkit::lease::ground::Ground;
use hostkit::sim::account::{Account, FileSystem, REGION};
use hostkit::sim::disturbance::{Disturbance, Kind};
use hostkit::sim::endpoint::{act, with};
use hostkit::sim::network;
use hostkit::sim::security_group::{Peer, Rule, SecurityGroup};
use hostkit::sim::service::Service;
use hostkit::sys::Runner;

use crate::rehearsal_account::{Setting, furnish};
use crate::rehearsal_group::config;
use crate::support::python;

/// What is looked at here.
const CHECKS: [Id; 6] =
    [Id::Exists, Id::Targets, Id::State, Id::Policy, Id::AccessPoint, Id::Groups];

/// A file system with all that there can be, and a controller in the zone of its first target.
struct Stage {
    setting: Setting,
    aws: Look<SdkConfig>,
    asked: Asked,
    identity: Identity,
}

impl Stage {
    async fn new() -> Self {
        let setting = Setting::new().await;
        let id = with(&setting.account, furnish);
        let (vpc, group) = with(&setting.account, |account| {
            let region = account.region(REGION);
            let vpc = region.vpcs.keys().next().unwrap().clone();
            let group = SecurityGroup::default_of(&vpc).id;
            (vpc, group)
        });
        let keys = setting.keys.clone();
        let aws = config(&setting.url, &keys.access_key, &keys.secret_key, keys.session);
        let identity = Identity {
            instance_id: setting.ids[0].clone(),
            account: "123456789012".to_owned(),
            region: REGION.to_owned(),
            zone: "eu-west-1a".to_owned(),
            zone_id: Some("euw1-az1".to_owned()),
            role: Some("hostkit-vm".to_owned()),
            role_trouble: None,
            private_ip: [172, 31, 0, 15].into(),
            private_name: None,
            mac: None,
            vpc: Some(vpc),
            subnet: Some(network::subnets(REGION)[0].id.clone()),
            security_groups: vec![group],
            group: None,
        };
        let efs = Efs { id: Some(id.clone()), ..Efs::default() };
        let here = Here {
            role: Role::Controller,
            mount_point: "/var/lib/jenkins".into(),
            efs,
            user: "jenkins".to_owned(),
            jenkins: None,
        };
        let asked = Asked {
            file_system: id,
            region: REGION.to_owned(),
            host: Some(here),
            benchmark: false,
        };
        let stage = Self { setting, aws: Ok(aws), asked, identity };
        stage.change(|home| {
            home.policy = None;
            "available".clone_into(&mut home.targets[1].state);
        });
        stage
    }

    fn change(&self, how: impl FnOnce(&mut FileSystem)) {
        with(&self.setting.account, |account| how(&mut account.file_systems[1]));
    }

    fn account<T>(&self, how: impl FnOnce(&mut Account) -> T) -> T {
        with(&self.setting.account, how)
    }

    fn efs(&mut self) -> &mut Efs {
        &mut self.asked.host.as_mut().unwrap().efs
    }

    async fn look(&self) -> Vec<Done> {
        let folder = tempfile::tempdir().unwrap();
        let nobody: SocketAddr = "127.0.0.1:9".parse().unwrap();
        let role = Cell::of(role::Seen::Told(Box::new(self.identity.clone())));
        let observed = Observed { role, ..Observed::default() };
        let scene = Scene {
            asked: &self.asked,
            observed: &observed,
            root: Utf8Path::from_path(folder.path()).unwrap(),
            runner: &Runner::Direct,
            aws: &self.aws,
            imds: None,
            nfs_port: 9,
            resolver: nobody,
            ground: Ground::Any,
        };
        engine::run(&scene, &CHECKS, |_| {}).await
    }

    /// How one of them ended.
    async fn finding(&self, id: Id) -> Finding {
        let done = self.look().await;
        done.into_iter().find(|it| it.id == id).unwrap().finding
    }
}

fn text(finding: &Finding) -> String {
    hostkit::doctor::render(std::slice::from_ref(finding))
}

#[tokio::test]
async fn a_file_system_as_it_should_be_passes_everything() {
    let mut stage = Stage::new().await;
    let done = stage.look().await;
    for one in done.iter().filter(|one| CHECKS.contains(&one.id)) {
        assert_eq!(one.finding.verdict, Verdict::Pass, "{:?}", one.finding);
    }
    // And from outside, where nobody is told anything.
    stage.asked.host = None;
    for one in stage.look().await.iter().filter(|one| CHECKS.contains(&one.id)) {
        assert_eq!(one.finding.verdict, Verdict::Pass, "{:?}", one.finding);
    }
}

#[tokio::test]
async fn one_that_is_not_there_or_not_available_fails() {
    let mut stage = Stage::new().await;
    for (state, verdict) in
        [("updating", Verdict::Warn), ("creating", Verdict::Fail), ("error", Verdict::Fail)]
    {
        stage.change(|home| state.clone_into(&mut home.state));
        let found = stage.finding(Id::Exists).await;
        assert_eq!(found.verdict, verdict, "{found:?}");
    }
    stage.change(|home| home.region = Some("us-east-1".to_owned()));
    let found = stage.finding(Id::Exists).await;
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(text(&found).contains("--region us-east-1"), "{found:?}");
    assert!(found.evidence[0].contains("(hostkit-vm)"), "the other of this account: {found:?}");
    // What rests on it is not looked at.
    let rest = stage.finding(Id::Policy).await;
    assert_eq!((rest.verdict, rest.says.as_str()), (Verdict::Skip, "efs.exists failed"));
    stage.asked.file_system = "fs-0404040404040404a".to_owned();
    assert_eq!(stage.finding(Id::Exists).await.verdict, Verdict::Fail);
}

#[tokio::test]
async fn a_zone_without_a_mount_target_fails_and_is_mended_by_what_is_said() {
    let mut stage = Stage::new().await;
    stage.change(|home| drop(home.targets.remove(0)));
    let found = stage.finding(Id::Targets).await;
    assert_eq!(found.verdict, Verdict::Fail, "{found:?}");
    let subnet = stage.identity.subnet.clone().unwrap();
    let group = stage.identity.security_groups[0].clone();
    let line = format!("--subnet-id {subnet} --security-groups {group} --region {REGION}");
    assert!(found.fix[0].ends_with(&line), "{found:?}");

    stage.efs().cross_az = true;
    assert_eq!(stage.finding(Id::Targets).await.verdict, Verdict::Warn);
    stage.efs().cross_az = false;
    stage.change(|home| home.zone = Some(("eu-west-1b".to_owned(), "euw1-az2".to_owned())));
    let found = stage.finding(Id::Targets).await;
    assert_eq!(found.verdict, Verdict::Warn);
    assert!(found.says.contains("is in eu-west-1b only"), "{found:?}");
    stage.change(|home| home.targets.clear());
    assert_eq!(stage.finding(Id::Targets).await.verdict, Verdict::Fail);
}

#[tokio::test]
async fn a_mount_target_that_is_not_available_fails_where_it_is_this_zones() {
    let stage = Stage::new().await;
    for (state, verdict) in
        [("creating", Verdict::Fail), ("updating", Verdict::Warn), ("error", Verdict::Fail)]
    {
        stage.change(|home| state.clone_into(&mut home.targets[0].state));
        let found = stage.finding(Id::State).await;
        assert_eq!(found.verdict, verdict, "{found:?}");
    }
    stage.change(|home| {
        "available".clone_into(&mut home.targets[0].state);
        "deleting".clone_into(&mut home.targets[1].state);
    });
    assert_eq!(stage.finding(Id::State).await.verdict, Verdict::Warn);
}

#[tokio::test]
async fn a_policy_that_demands_more_than_host_toml_has_fails() {
    let mut stage = Stage::new().await;
    let tls = include_str!("../fixtures/policies/enforce-tls.json");
    let id = stage.asked.file_system.clone();
    stage.change(|home| home.policy = Some(tls.replace("fs-0123456789abcdef0", &id)));
    let found = stage.finding(Id::Policy).await;
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(text(&found).contains("[efs] tls = true"), "{found:?}");
    stage.efs().tls = true;
    assert_eq!(stage.finding(Id::Policy).await.verdict, Verdict::Pass);

    let role = include_str!("../fixtures/policies/role-read-only.json");
    let role = role.replace("fs-0123456789abcdef0", &id).replace("ci-controller", "hostkit-vm");
    stage.change(|home| home.policy = Some(role.replace("\"Allow\"", "\"Deny\"")));
    stage.efs().iam = true;
    let found = stage.finding(Id::Policy).await;
    assert_eq!(found.verdict, Verdict::Fail, "{found:?}");
}

#[tokio::test]
async fn an_access_point_is_looked_up_where_one_is_asked_for() {
    let mut stage = Stage::new().await;
    stage.efs().access_point = Some("fsap-0123456789abcdef0".to_owned());
    let found = stage.finding(Id::AccessPoint).await;
    assert_eq!(found.verdict, Verdict::Warn, "it leads to /ci: {found:?}");
    stage.change(|home| "/".clone_into(&mut home.access_points[0].path));
    assert_eq!(stage.finding(Id::AccessPoint).await.verdict, Verdict::Pass);
    stage.change(|home| "deleting".clone_into(&mut home.access_points[0].state));
    assert_eq!(stage.finding(Id::AccessPoint).await.verdict, Verdict::Fail);
    stage.account(|account| {
        let point = account.file_systems[1].access_points.remove(0);
        account.file_systems[0].access_points.push(point);
    });
    let found = stage.finding(Id::AccessPoint).await;
    assert!(found.says.contains("is an access point of fs-"), "{found:?}");
    stage.efs().access_point = Some("fsap-0404040404040404a".to_owned());
    assert_eq!(stage.finding(Id::AccessPoint).await.verdict, Verdict::Fail);
}

/// What is let in and out, as [`Rule`] has it.
fn rule(egress: bool, port: i32, peer: Peer) -> Rule {
    Rule {
        egress,
        protocol: "tcp".to_owned(),
        from: Some(port),
        to: Some(port),
        peer,
        ..Rule::all_out()
    }
}

#[tokio::test]
async fn a_closed_security_group_fails_and_the_line_that_is_said_opens_it() {
    let mut stage = Stage::new().await;
    let hosts = act(
        &stage.setting.account,
        Service::Ec2,
        &[
            ("Action", "CreateSecurityGroup"),
            ("Version", "2016-11-15"),
            ("GroupName", "hosts"),
            ("GroupDescription", "hosts"),
        ],
    )
    .unwrap();
    let hosts = hosts.split("<groupId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let targets = stage.identity.security_groups[0].clone();
    stage.identity.security_groups = vec![hosts.clone()];
    let found = stage.finding(Id::Groups).await;
    assert_eq!(found.verdict, Verdict::Fail, "{found:?}");
    let line = format!(
        "aws ec2 authorize-security-group-ingress --group-id {targets} --protocol tcp --port 2049 \
         --source-group {hosts} --region {REGION}"
    );
    assert_eq!(found.fix, [line]);

    let allow = |group: &str, rule: Rule| {
        stage.account(|account| {
            account.region(REGION).security_groups.get_mut(group).unwrap().rules.push(rule);
        });
    };
    allow(&targets, rule(false, 22, Peer::Group(hosts.clone())));
    assert_eq!(stage.finding(Id::Groups).await.verdict, Verdict::Fail);
    allow(&targets, rule(false, 2049, Peer::PrefixList("pl-1".to_owned())));
    let found = stage.finding(Id::Groups).await;
    assert_eq!(found.verdict, Verdict::Skip, "the list is not there: {found:?}");
    stage.account(|account| {
        let blocks = vec!["172.31.0.0/20".to_owned()];
        account.region(REGION).prefix_lists.insert("pl-1".to_owned(), blocks);
    });
    let found = stage.finding(Id::Groups).await;
    assert_eq!(found.verdict, Verdict::Pass, "{found:?}");
    stage.account(|account| account.region(REGION).prefix_lists.clear());
    allow(&targets, rule(false, 2049, Peer::Group(hosts.clone())));
    assert_eq!(stage.finding(Id::Groups).await.verdict, Verdict::Pass);

    stage.account(|account| {
        account.region(REGION).security_groups.get_mut(&hosts).unwrap().rules.clear();
    });
    let found = stage.finding(Id::Groups).await;
    assert!(found.says.contains("lets it out"), "{found:?}");
    assert!(found.fix[0].contains("authorize-security-group-egress"), "{found:?}");
}

#[tokio::test]
async fn what_may_not_be_read_is_skipped_with_what_it_needs() {
    let mut stage = Stage::new().await;
    stage.efs().access_point = Some("fsap-0123456789abcdef0".to_owned());
    for (id, service, action) in [
        (Id::Exists, Service::Efs, "DescribeFileSystems"),
        (Id::Targets, Service::Efs, "DescribeMountTargets"),
        (Id::Policy, Service::Efs, "DescribeFileSystemPolicy"),
        (Id::AccessPoint, Service::Efs, "DescribeAccessPoints"),
        (Id::Groups, Service::Efs, "DescribeMountTargetSecurityGroups"),
        (Id::Groups, Service::Ec2, "DescribeSecurityGroups"),
    ] {
        let denied = Disturbance {
            action: Some(action.to_owned()),
            ..Disturbance::of(service, Kind::Denied)
        };
        stage.account(|account| account.disturbances = vec![denied]);
        let found = stage.finding(id).await;
        assert_eq!(found.verdict, Verdict::Skip, "{found:?}");
        let needs = format!("needs {}:{action}", service.prefix());
        assert!(found.says.contains(&needs), "{needs}: {found:?}");
        stage.account(|account| account.disturbances.clear());
    }
}

#[tokio::test]
async fn what_is_said_to_mend_it_is_typed_and_mends_it() {
    let Some(aws) = python().map(|python| python.with_file_name("aws")).filter(|it| it.exists())
    else {
        return;
    };
    let mut stage = Stage::new().await;
    let (url, keys) = (stage.setting.url.clone(), stage.setting.keys.clone());
    let typed = async |line: String| {
        let folder = aws.parent().unwrap().display().to_string();
        let mut command = Command::new("sh");
        command.args(["-c", &line]).env("PATH", format!("{folder}:/usr/bin:/bin"));
        command.env("AWS_ENDPOINT_URL", &url).env("AWS_ACCESS_KEY_ID", &keys.access_key);
        command.env("AWS_SECRET_ACCESS_KEY", &keys.secret_key);
        command.env("AWS_SESSION_TOKEN", keys.session.as_ref().unwrap());
        let ended = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        assert!(ended.status.success(), "{line}: {}", String::from_utf8_lossy(&ended.stderr));
    };

    stage.change(|home| drop(home.targets.remove(0)));
    let found = stage.finding(Id::Targets).await;
    assert_eq!(found.verdict, Verdict::Fail, "{found:?}");
    typed(found.fix[0].clone()).await;
    let found = stage.finding(Id::Targets).await;
    assert_eq!(found.verdict, Verdict::Pass, "{found:?}");
    // One that is being made has no network interface yet, and so no groups.
    stage.change(|home| {
        home.targets.iter_mut().for_each(|it| "available".clone_into(&mut it.state));
    });

    // A group of the host's own, with nothing in or out.
    let (hosts, vpc) = ("sg-0bbbbbbbbbbbbbbbb", stage.identity.vpc.clone().unwrap());
    stage.account(|account| {
        let mut group = SecurityGroup::default_of(&vpc);
        (group.id, group.name, group.rules) = (hosts.to_owned(), "hosts".to_owned(), Vec::new());
        account.region(REGION).security_groups.insert(hosts.to_owned(), group);
    });
    stage.identity.security_groups = vec![hosts.to_owned()];
    for missing in ["authorize-security-group-ingress", "authorize-security-group-egress"] {
        let found = stage.finding(Id::Groups).await;
        assert_eq!(found.verdict, Verdict::Fail, "{found:?}");
        assert!(found.fix[0].contains(missing), "{found:?}");
        typed(found.fix[0].clone()).await;
    }
    let found = stage.finding(Id::Groups).await;
    assert_eq!(found.verdict, Verdict::Pass, "{found:?}");
}
