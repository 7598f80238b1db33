//! Groups of build agents and of container hosts, rolled by the binary in the rehearsal account: no
//! build and no task is lost, and a controller and its agents are never replaced at the same time.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use hostkit::sim::account::{Account, REGION};
use hostkit::sim::cloud::{Cloud, Options};
use hostkit::sim::cluster::{CLUSTER, CapacityProvider, Cluster};
use hostkit::sim::endpoint::with;
use hostkit::sim::hosts::scenery::{Plan, Scenery};
use hostkit::sim::hosts::script::Agents;
use hostkit::sim::hosts::{self, Does, Part, Players, Role, Script, Stage as At};
use hostkit::sim::parameter_store::ParameterStore;
use hostkit::sim::parameters::{Kind, Parameters};
use tempfile::TempDir;

use crate::account::words;
use crate::support::{pause, scratch};

/// A group of hosts that serve, and an image that shall.
struct Stage {
    cloud: Cloud,
    scenery: Scenery,
    size: usize,
    folder: TempDir,
    _players: Players,
}

impl Stage {
    /// `change` makes what else there is, before the first host is launched.
    fn open(plan: &Plan, parts: Vec<Part>, change: impl FnOnce(&mut Account)) -> Self {
        let folder = scratch();
        let record = Some(folder.path().join("record.jsonl"));
        let cloud = Cloud::open(Options { speed: 300.0, record, ..Options::default() }).unwrap();
        let scenery = with(&cloud.account, |account| {
            change(account);
            plan.furnish(account)
        });
        let players = hosts::play(&cloud, Script::of(parts));
        let size = usize::try_from(plan.size).unwrap();
        let stage = Self { cloud, scenery, size, folder, _players: players };
        stage.until("nobody serves", |stage| stage.serving(&stage.scenery.old) == size);
        // A host that serves has still to tell its group, and is in service a moment later.
        stage.until("nobody is in service", |stage| stage.in_service() == size);
        stage
    }

    fn until(&self, otherwise: &str, is_so: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_mins(2);
        while !is_so(self) {
            assert!(Instant::now() < deadline, "{otherwise}");
            pause();
        }
    }

    /// How many hosts of the group serve that have this image.
    fn serving(&self, image: &str) -> usize {
        with(&self.cloud.account, |account| {
            let hosts = account.hosts.hosts.values();
            let of = hosts.filter(|it| it.group == self.scenery.group && it.image == image);
            of.filter(|it| it.stage == At::Serving).count()
        })
    }

    /// How many instances of the group are in service, as the group has it.
    fn in_service(&self) -> usize {
        with(&self.cloud.account, |account| {
            let members = account.instances().iter().filter_map(|it| it.member.as_ref());
            let of = members.filter(|it| it.group == self.scenery.group);
            of.filter(|it| it.in_service.is_some()).count()
        })
    }

    /// The builds and tasks that were lost, and the builds that have ended.
    fn tally(&self) -> (u32, u32) {
        with(&self.cloud.account, |account| {
            let ended = account.hosts.hosts.values().map(|it| it.finished).sum();
            (account.hosts.lost(), ended)
        })
    }

    fn parameter(&self, what: &str) -> Option<String> {
        let name = format!("/hostkit/asg/{}/{what}", self.scenery.group);
        with(&self.cloud.account, |account| account.parameter(REGION, &name))
    }

    fn upgrade(&self, recipe: &str, more: &str) -> Output {
        let (group, new) = (&self.scenery.group, &self.scenery.new);
        let line = format!(
            "upgrade {recipe} --asg {group} --image {new} --yes --builds-patience 60s {more}"
        );
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostkit"));
        command.current_dir(self.folder.path()).args(line.split_whitespace());
        command.envs(self.cloud.environment()).env("NO_COLOR", "1");
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.env_remove("HOSTKIT_FORMAT").env_remove("RUST_LOG");
        command.output().unwrap()
    }
}

/// Agents of an image that build all the time, two builds at once.
fn agent(image: &str) -> Part {
    Part {
        role: Role::Agent,
        group: Some("ci-agents".to_owned()),
        boot_seconds: 20.0,
        builds: vec![150.0, 420.0],
        keeps_building: true,
        ..Part::default()
    }
    .of_image(image)
}

/// The ids of the images that a plan makes.
fn images(plan: &Plan) -> (String, String) {
    let scenery = plan.furnish(&mut Account::new(Parameters::default()));
    (scenery.old, scenery.new)
}

/// What it is told: `[jenkins.pools.linux] asg = "ci-agents"`.
const POOLS: &str = "W2plbmtpbnMucG9vbHMubGludXhdCmFzZyA9ICJjaS1hZ2VudHMiCg==";

/// A controller that knows its agents, beside them.
fn with_controller(account: &mut Account) {
    let scenery = Plan::controller("ci").furnish(account);
    let templates = &mut account.region(REGION).launch_templates;
    let template = templates.get_mut(&scenery.template).unwrap();
    template.versions.get_mut(&1).unwrap().data.user_data = Some(POOLS.to_owned());
}

fn controller() -> Part {
    let agents = Some(Agents { known: 3, online: 3 });
    Part { group: Some("ci".to_owned()), boot_seconds: 10.0, agents, ..Part::controller("2.516.1") }
}

#[test]
fn a_rolled_agents_group_loses_no_build_and_ends_with_the_new_image() {
    let plan = Plan::of("ci-agents", 3, "jenkins-agent");
    let (old, new) = images(&plan);
    let parts = vec![controller(), agent(&old), agent(&new)];
    let stage = Stage::open(&plan, parts, with_controller);
    // Whose agents they are is found out: their controller is told their group.
    let output = stage.upgrade("jenkins-agent", "--patience 60s");
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert!(!words(&output).contains("whose agents these are"), "{}", words(&output));
    assert!(stage.parameter("journal").is_some_and(|text| text.contains("\"controller\":\"ci\"")));
    assert_eq!((stage.serving(&new), stage.serving(&old)), (stage.size, 0));
    let (lost, ended) = stage.tally();
    assert_eq!(lost, 0, "{}", words(&output));
    assert!(ended >= 6, "each of the old ones has ended its two builds");
    assert!(stage.parameter("current").is_some_and(|text| text.contains(&new)));
    assert!(stage.parameter("previous").is_some_and(|text| text.contains(&old)));
    assert_eq!(stage.parameter("lock"), None);
    // A second time nothing is to be done.
    let again = stage.upgrade("jenkins-agent", "--controller-asg ci --patience 60s");
    assert_eq!(again.status.code(), Some(0), "{}", words(&again));
}

/// Each of them is asked for, and a group that warms up has so much longer a time for each lot.
#[test]
fn a_dozen_hosts_behind_a_load_balancer_that_warm_up_are_all_proven() {
    let plan = Plan { balanced: true, ..Plan::of("ci-agents", 12, "jenkins-agent") };
    let (old, new) = images(&plan);
    let part = |image: &str| Part { builds: Vec::new(), keeps_building: false, ..agent(image) };
    let stage = Stage::open(&plan, vec![controller(), part(&old), part(&new)], |account| {
        with_controller(account);
    });
    with(&stage.cloud.account, |account| {
        account.region(REGION).groups.get_mut("ci-agents").unwrap().warmup = Some(300);
    });
    let output = stage.upgrade("jenkins-agent", "--patience 10s");
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert_eq!((stage.serving(&new), stage.serving(&old)), (stage.size, 0));
    let said = words(&output);
    assert!(!said.contains("the load balancer"), "{said}");
}

#[test]
fn agents_that_never_serve_are_taken_back_and_no_build_is_lost() {
    let plan = Plan::of("ci-agents", 2, "jenkins-agent");
    let (old, new) = images(&plan);
    let bad = Part { gives_up_after: Some(60.0), ..agent(&new).that(Does::HookAbandon) };
    let stage = Stage::open(&plan, vec![controller(), agent(&old), bad], with_controller);
    let output = stage.upgrade("jenkins-agent", "--controller-asg ci --patience 10s");
    assert_eq!(output.status.code(), Some(5), "{}", words(&output));
    stage.until("the old ones serve again", |stage| stage.serving(&old) == stage.size);
    assert_eq!((stage.serving(&new), stage.tally().0), (0, 0), "{}", words(&output));
}

#[test]
fn a_controller_and_its_agents_are_never_replaced_in_one_step() {
    let plan = Plan::of("ci-agents", 1, "jenkins-agent");
    let (old, new) = images(&plan);
    let parts = vec![controller(), agent(&old), agent(&new)];
    let stage = Stage::open(&plan, parts, with_controller);
    let lock = r#"{"form":1,"rollout":"r-1","who":"arn:aws:iam::123456789012:user/ada",
        "host":"laptop","pid":4711,"since":"2026-11-27T03:00:00Z"}"#;
    with(&stage.cloud.account, |account| {
        let given = Parameters::default().with("/hostkit/asg/ci/lock", Kind::String, lock);
        let given = ParameterStore::of(&given);
        let (_, stored) = given.get("/hostkit/asg/ci/lock").unwrap();
        *account.region(REGION).parameters.place("/hostkit/asg/ci/lock") = stored.clone();
    });
    let output = stage.upgrade("jenkins-agent", "--controller-asg ci --patience 60s");
    let said = words(&output);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("ci is being changed") && said.contains("user/ada"), "{said}");
    assert_eq!((stage.serving(&old), stage.parameter("lock")), (1, None));
}

#[test]
fn container_hosts_that_ecs_protects_are_drained_and_replaced_one_after_the_other() {
    let plan = Plan::of("ci-ecs", 2, "ecs-node");
    let (old, new) = images(&plan);
    let part = |image: &str| {
        let part = Part {
            role: Role::Ecs,
            boot_seconds: 20.0,
            tasks: vec!["web".to_owned()],
            ..Part::default()
        };
        part.of_image(image)
    };
    let stage = Stage::open(&plan, vec![part(&old), part(&new)], |account| {
        let region = account.region(REGION);
        let provider = CapacityProvider {
            name: "nodes".to_owned(),
            group: "ci-ecs".to_owned(),
            managed_draining: false,
            termination_protection: true,
        };
        region.capacity_providers.insert(provider.name.clone(), provider);
        let mut cluster = Cluster::new(CLUSTER);
        cluster.providers = vec!["nodes".to_owned()];
        region.clusters.insert(CLUSTER.to_owned(), cluster);
    });
    with(&stage.cloud.account, |account| {
        account.region(REGION).groups.get_mut("ci-ecs").unwrap().protects = true;
        let ids: Vec<_> = account.instances().iter().map(|one| one.id.clone()).collect();
        for id in ids {
            let (instance, _) = account.instance_mut(&id).unwrap();
            if let Some(member) = &mut instance.member {
                member.protected = true;
            }
        }
    });
    let output = stage.upgrade("ecs-node", "--patience 60s");
    assert_eq!(output.status.code(), Some(0), "{}", words(&output));
    assert_eq!((stage.serving(&new), stage.serving(&old), stage.tally().0), (stage.size, 0, 0));
    let text = std::fs::read_to_string(stage.folder.path().join("record.jsonl")).unwrap();
    let start = text.lines().find(|line| line.contains("StartInstanceRefresh")).unwrap();
    assert!(start.contains("Preferences.ScaleInProtectedInstances"), "{start}");
}
