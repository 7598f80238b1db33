//! What speaks against an upgrade, as the binary says it to a person: groups and images of the
//! rehearsal account in every state that must not be begun with.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use hostkit::aws::asg::{self, refresh};
use hostkit::aws::image;
use hostkit::sim::account::{Account, REGION};
use hostkit::sim::alarm::{Alarm, State};
use hostkit::sim::cloud::{Cloud, Options};
use hostkit::sim::endpoint::with;
use hostkit::sim::group::process::Process;
use hostkit::sim::group::{Group, WarmPool};
use hostkit::sim::hosts::scenery::{Plan, Scenery};
use hostkit::sim::hosts::{self, Part, Players, Script};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::account::{recorded, validate, words};
use crate::support::{pause, scratch};

/// A controller that serves, and an image that shall.
struct Stage {
    cloud: Cloud,
    scenery: Scenery,
    folder: TempDir,
    _players: Players,
}

impl Stage {
    fn open() -> Self {
        Self::with_faults("")
    }

    fn with_faults(faults: &str) -> Self {
        let folder = scratch();
        let file = folder.path().join("faults.toml");
        std::fs::write(&file, faults).unwrap();
        let options = Options {
            speed: 300.0,
            faults: Some(file),
            record: Some(folder.path().join("record.jsonl")),
            ..Options::default()
        };
        let cloud = Cloud::open(options).unwrap();
        let scenery = with(&cloud.account, |account| {
            let scenery = Plan::controller("ci").furnish(account);
            let region = account.region(REGION);
            for (id, jenkins) in [(&scenery.old, "2.516.1"), (&scenery.new, "2.516.2")] {
                let tags = &mut region.images.get_mut(id).unwrap().tags;
                tags.insert("hostkit:jenkins".to_owned(), jenkins.to_owned());
            }
            scenery
        });
        let part = |image: &str, jenkins| Part::controller(jenkins).of_image(image);
        let script = Script::of([part(&scenery.new, "2.516.2"), part(&scenery.old, "2.516.1")]);
        let players = hosts::play(&cloud, script);
        let stage = Self { cloud, scenery, folder, _players: players };
        let deadline = Instant::now() + Duration::from_mins(1);
        while !stage.said().is_some_and(|said| said["state"] == "serving") || stage.host().is_none()
        {
            assert!(Instant::now() < deadline, "nobody serves");
            pause();
        }
        stage
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What the controller says of itself.
    fn said(&self) -> Option<Value> {
        let text = with(&self.cloud.account, |it| it.parameter(REGION, "/hostkit/asg/ci/host"));
        serde_json::from_str(&text?).ok()
    }

    /// Who is in service.
    fn host(&self) -> Option<String> {
        let config = self.config();
        let group = block_on(asg::describe(&config, "ci")).unwrap().unwrap();
        group.in_service().next().map(|member| member.id.clone())
    }

    fn config(&self) -> SdkConfig {
        let keys = &self.cloud.credentials;
        let keys = Credentials::new(&keys.access_key, &keys.secret_key, None, None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .endpoint_url(&self.cloud.url)
            .build()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Account, &Scenery) -> T) -> T {
        with(&self.cloud.account, |account| change(account, &self.scenery))
    }

    fn change_group(&self, change: impl FnOnce(&mut Group, &Scenery)) {
        self.change(|it, scenery| {
            change(it.region(REGION).groups.get_mut("ci").unwrap(), scenery);
        });
    }

    fn change_image(&self, change: impl FnOnce(&mut hostkit::sim::image::Image)) {
        self.change(|it, scenery| {
            change(it.region(REGION).images.get_mut(&scenery.new).unwrap());
        });
    }

    fn run(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostkit"));
        command.current_dir(self.path()).args(line.split_whitespace());
        command.envs(self.cloud.environment()).env("NO_COLOR", "1");
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        command.env_remove("HOSTKIT_FORMAT").env_remove("RUST_LOG");
        command.output().unwrap()
    }

    fn plan(&self, more: &str) -> Output {
        let new = &self.scenery.new;
        self.run(&format!("upgrade jenkins-controller --asg ci --image {new} --plan {more}"))
    }

    /// Every request so far is one that AWS's own client could have sent, and these were among them.
    fn validate(&self, expected: &str) {
        validate(&self.path().join("record.jsonl"), expected);
    }

    /// What it says, free of what differs from run to run, and how it ends.
    fn told(&self, output: &Output) -> String {
        let mut text = words(output);
        let Scenery { template, old, new, target_group, .. } = &self.scenery;
        let names = [(template, "lt-TEMPLATE"), (old, "ami-OLD"), (new, "ami-NEW")];
        for (name, instead) in names {
            text = text.replace(name.as_str(), instead);
        }
        if let Some(arn) = target_group {
            text = text.replace(arn.as_str(), "TARGET-GROUP");
        }
        let text = masked(&text, "i-", 17, "i-HOST");
        format!("{text}(ends with {})\n", output.status.code().unwrap())
    }

    /// All failures of a plan, free of what differs from run to run.
    fn failures(&self, output: &Output) -> String {
        let text = self.told(output);
        let mut lines = Vec::new();
        let mut wanted = false;
        for line in text.lines() {
            let begins = !line.starts_with(' ');
            wanted = if begins { line.starts_with("fail") } else { wanted };
            // Its id and its time are others in each run.
            if line.contains(" is InProgress, ") {
                continue;
            }
            if wanted || line.starts_with("(ends") || line.starts_with("error") {
                lines.push(line);
            }
        }
        lines.join("\n") + "\n"
    }
}

/// A word that begins with `prefix` and has so many hexadecimal digits after it becomes `instead`.
fn masked(text: &str, prefix: &str, digits: usize, instead: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(prefix) {
        let after = &rest[at + prefix.len()..];
        let count = after.bytes().take_while(u8::is_ascii_hexdigit).count();
        out += &rest[..at];
        if count == digits {
            out += instead;
            rest = &after[count..];
        } else {
            out += prefix;
            rest = after;
        }
    }
    out + rest
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn a_group_and_an_image_that_are_fit_are_planned_and_what_serves_is_nothing_to_do() {
    let stage = Stage::open();
    let output = stage.plan("");
    let told = stage.told(&output);
    assert_eq!(output.status.code(), Some(10), "{told}");
    assert!(told.contains("2.516.1 -> 2.516.2") && told.contains("terminate-first"), "{told}");

    let json = stage.plan("--format json");
    let value: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&value["version"], &value["outlook"]), (&1.into(), &"change".into()), "{value}");
    assert_eq!(value["plan"]["order"]["from"]["version"], 1, "{value}");
    assert!(value["plan"]["order"]["to"].get("version").is_none(), "it is not made yet");

    let old = stage.scenery.old.clone();
    let served = stage.run(&format!("upgrade --asg ci --image {old} --plan"));
    let told = stage.told(&served);
    assert!(told.contains("ci serves ami-OLD") && told.contains("nothing is to be done"), "{told}");
    assert!(told.ends_with("(ends with 0)\n"), "{told}");
    stage.change_group(|group, _| group.max = 4);
    let served = stage.run(&format!("upgrade --asg ci --image {old} --yes"));
    assert_eq!(served.status.code(), Some(0), "{}", words(&served));
    assert_eq!(stage.change(|it, it2| it.region(REGION).launch_templates[&it2.template].newest), 1);
}

/// An alarm of CloudWatch that stands so.
fn alarm(stage: &Stage, name: &str, state: State) {
    stage.change(|account, _| {
        let now = account.world();
        let mut alarm = Alarm::new(false, now);
        alarm.set(state, "Threshold Crossed: 1 datapoint [4.2] was greater than 2.0", now);
        let group = json!([{"Name": "AutoScalingGroupName", "Value": "ci"}]);
        alarm.said.insert("Dimensions".to_owned(), group);
        account.region(REGION).alarms.insert(name.to_owned(), alarm);
    });
}

#[test]
fn alarms_are_there_and_silent_or_nothing_is_begun() {
    let stage = Stage::open();
    alarm(&stage, "ci-slow", State::Ok);
    let output = stage.plan("--alarm ci-slow");
    let told = stage.told(&output);
    assert_eq!(output.status.code(), Some(10), "{told}");
    assert!(told.contains("ci-slow: if one fires before the image counts"), "{told}");
    let output = stage.plan("--alarm ci-slow --alarm ci-errors");
    assert_eq!(output.status.code(), Some(5), "{}", stage.told(&output));
    let mut texts = vec![format!("# one is not there\n{}", stage.failures(&output))];
    alarm(&stage, "ci-slow", State::Alarm);
    alarm(&stage, "ci-errors", State::InsufficientData);
    let output = stage.plan("--alarm ci-slow --alarm ci-errors");
    texts.push(format!("# one fires\n{}", stage.failures(&output)));
    insta::assert_snapshot!("alarms", texts.join("\n"));
    // One that fires and is not to be watched keeps nobody from anything.
    let output = stage.plan("");
    let told = stage.told(&output);
    assert_eq!(output.status.code(), Some(10), "{told}");
    assert!(told.contains("warn  alarms.state") && told.contains("ci-slow is ALARM"), "{told}");
    assert!(!told.contains("ci-errors"), "it does not fire: {told}");
    let eleven = (0..11).map(|number| format!("--alarm a{number} ")).collect::<String>();
    let output = stage.plan(&eleven);
    assert_eq!(output.status.code(), Some(2), "{}", stage.told(&output));
    stage.validate("cloudwatch:DescribeAlarms");
}

#[test]
fn a_quota_must_have_room_for_the_next_host() {
    let stage = Stage::open();
    let quota = |vcpus: f64| {
        stage.change(|account, _| {
            account.region(REGION).quotas.insert("L-1216C47A".to_owned(), vcpus);
        });
        let output = stage.plan("");
        (output.status.code(), stage.told(&output))
    };
    let (code, told) = quota(4.0);
    assert_eq!(code, Some(10), "{told}");
    assert!(!told.contains("quota"), "two run, and two more are needed: {told}");
    // The room that the old host gives back will do.
    let (code, told) = quota(3.0);
    assert_eq!(code, Some(10), "{told}");
    assert!(
        told.contains("warn  quota.vcpus") && told.contains("3 vCPUs at most, 2 run"),
        "{told}"
    );
    let (code, told) = quota(1.0);
    assert_eq!(code, Some(5), "{told}");
    let more = "request-service-quota-increase --service-code ec2 --quota-code L-1216C47A \
                --desired-value 4 --region eu-west-1";
    assert!(told.contains("may not run m5.large at all") && told.contains(more), "{told}");
    stage.validate("servicequotas:GetServiceQuota,cloudwatch:GetMetricData");
}

#[test]
fn who_may_not_look_at_quotas_and_alarms_is_warned() {
    let denied = |service: &str| format!("[[fault]]\nservice = \"{service}\"\ndoes = \"denied\"\n");
    let stage = Stage::with_faults(&[denied("servicequotas"), denied("cloudwatch")].concat());
    let output = stage.plan("");
    let told = stage.told(&output);
    assert_eq!(output.status.code(), Some(10), "{told}");
    for part in ["needs servicequotas:GetServiceQuota", "needs cloudwatch:DescribeAlarms"] {
        assert!(told.contains(part), "{told}");
    }
    let output = stage.plan("--alarm ci-slow");
    let told = stage.told(&output);
    assert_eq!(output.status.code(), Some(6), "whoever names one needs to know: {told}");
    assert!(told.contains("fail  aws.permissions"), "{told}");
}

type Meddle = fn(&Stage);

/// What is wrong, and how it gets so.
const CASES: [(&str, Meddle); 17] = [
    ("not 1/1/1", |it| it.change_group(|group, _| group.max = 2)),
    ("on $Latest", |it| {
        it.change_group(|group, scenery| {
            group.launches =
                Some(hostkit::sim::group::source::Source::of(&scenery.template, "$Latest"));
        });
    }),
    ("a refresh runs", |it| {
        let (config, image) = (it.config(), it.scenery.new.clone());
        let version = it.change(|account, scenery| scenery.version(account, &image));
        let wanted = refresh::Wanted {
            group: "ci",
            template: &it.scenery.template,
            version: i64::try_from(version).unwrap(),
            image: &image,
            manner: refresh::Manner::Rolling { least: 0, most: 100 },
            auto_rollback: true,
            protected: false,
            alarms: &[],
            warmup: None,
        };
        // At this moment the host must not be gone yet, so that nothing else is wrong.
        it.change_group(|group, _| {
            group.habits.suspended.insert(Process::Terminate);
        });
        block_on(refresh::start(&config, &wanted)).unwrap();
    }),
    ("launches suspended", |it| {
        it.change_group(|group, _| {
            group.habits.suspended.insert(Process::Launch);
        });
    }),
    ("in standby", |it| {
        let (config, host) = (it.config(), it.host().unwrap());
        let client = aws_sdk_autoscaling::Client::new(&config);
        it.change_group(|group, _| group.min = 0);
        let call = client.enter_standby().auto_scaling_group_name("ci").instance_ids(host);
        block_on(call.should_decrement_desired_capacity(true).send()).unwrap();
    }),
    ("protected", |it| {
        let (config, host) = (it.config(), it.host().unwrap());
        let client = aws_sdk_autoscaling::Client::new(&config);
        let call = client.set_instance_protection().auto_scaling_group_name("ci");
        let call = call.instance_ids(host).protected_from_scale_in(true);
        block_on(call.send()).unwrap();
    }),
    ("a warm pool", |it| {
        it.change_group(|group, _| group.warm_pool = Some(WarmPool::default()));
    }),
    ("another architecture", |it| it.change_image(|image| image.architecture = "arm64".into())),
    ("disabled", |it| {
        it.change_image(|image| image.state = hostkit::sim::image::State::Disabled);
    }),
    ("deprecated", |it| {
        let at = "2026-01-02T03:04:00Z".parse().unwrap();
        it.change_image(|image| image.deprecated = Some(at));
    }),
    ("none of hostkit's", |it| it.change_image(|image| image.tags.clear())),
    ("an older Jenkins", |it| {
        it.change_image(|image| {
            image.tags.insert("hostkit:jenkins".into(), "2.504.3".into());
        });
    }),
    ("not there", |it| {
        it.change(|account, scenery| {
            account.region(REGION).images.remove(&scenery.new);
        });
    }),
    ("no token", |it| {
        let mut said = it.said().unwrap();
        said["builds"] = Value::Null;
        said["why"] = "hostkit's token is refused by Jenkins".into();
        write(it, &said);
    }),
    ("somebody else", |it| {
        let lock = r#"{"form":1,"rollout":"r-0123","who":"arn:aws:iam::1:user/bob",
            "host":"laptop","pid":4711,"since":"2026-11-27T02:00:00Z"}"#;
        let config = it.config();
        block_on(hostkit::aws::ssm::write(&config, "/hostkit/asg/ci/lock", lock)).unwrap();
    }),
    // It names no group of theirs: what rolls them says whose they are.
    ("its agents are being changed", |it| {
        let lock = r#"{"form":1,"rollout":"r-0123","who":"arn:aws:iam::1:user/bob",
            "host":"laptop","pid":4711,"since":"2026-11-27T02:00:00Z"}"#;
        let journal = r#"{"form":1,"rollout":"r-0123","order":{"group":"linux","role":"agent",
            "crowd":{"bounds":[90,110],"controller":"ci"}}}"#;
        let config = it.config();
        for (name, text) in [("lock", lock), ("journal", journal)] {
            let name = format!("/hostkit/asg/linux/{name}");
            block_on(hostkit::aws::ssm::write(&config, &name, text)).unwrap();
        }
    }),
    ("a controller, rolling", |_| {}),
];

#[test]
fn whatever_group_or_image_must_not_be_begun_with_is_said() {
    let texts: Vec<_> = CASES
        .iter()
        .map(|(name, meddle)| {
            let stage = Stage::open();
            meddle(&stage);
            let more = if name.ends_with("rolling") { "--strategy rolling" } else { "" };
            let output = stage.plan(more);
            assert_eq!(output.status.code(), Some(5), "{name}: {}", words(&output));
            format!("# {name}\n{}", stage.failures(&output))
        })
        .collect();
    insta::assert_snapshot!("bad_input", texts.join("\n"));
}

fn write(stage: &Stage, said: &Value) {
    let config = stage.config();
    let text = said.to_string();
    block_on(hostkit::aws::ssm::write(&config, "/hostkit/asg/ci/host", &text)).unwrap();
}

#[test]
fn all_that_is_not_allowed_is_said_at_once_and_nothing_is_changed() {
    let denied = |service: &str, action: &str| {
        format!("[[fault]]\nservice = \"{service}\"\naction = \"{action}\"\ndoes = \"denied\"\n")
    };
    let faults = [
        denied("autoscaling", "DescribeLifecycleHooks"),
        denied("autoscaling", "DescribeInstanceRefreshes"),
        denied("ec2", "DescribeInstanceTypes"),
        denied("ec2", "CreateLaunchTemplateVersion"),
        denied("ssm", "GetParameterHistory"),
        denied("ssm", "GetParametersByPath"),
    ];
    let stage = Stage::with_faults(&faults.concat());
    let output = stage.plan("");
    insta::assert_snapshot!("permissions", stage.failures(&output));
    let requests = recorded(&stage.path().join("record.jsonl"));
    let wanted = |it: &Value| {
        let agent = it["headers"]["user-agent"].as_str().unwrap_or_default();
        agent.contains("hostkit") || agent.contains("aws-sdk-rust")
    };
    let asked: Vec<_> = requests.into_iter().filter(wanted).collect();
    crate::iam::covered(&[hostkit::iam::Role::Upgrade], &asked);
}

#[test]
fn a_group_is_checked_from_outside_for_people_and_for_programs() {
    let stage = Stage::open();
    let check = |more: &str| stage.run(&format!("asg check --asg ci {more}"));
    let good = check("");
    assert_eq!(good.status.code(), Some(0), "{}", stage.told(&good));
    let json: Value = serde_json::from_slice(&check("--format json").stdout).unwrap();
    let is = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    assert_eq!((is("group"), is("role")), ("ci".to_owned(), "controller".to_owned()), "{json}");
    assert!(json["findings"].as_array().unwrap().len() > 15, "{json}");
    stage.change_group(|group, _| {
        (group.max, group.maintenance) = (2, None);
        group.rebalances = true;
        group.retains = true;
    });
    let bad = check("");
    assert_eq!(bad.status.code(), Some(5), "{}", stage.told(&bad));
    insta::assert_snapshot!("check", stage.failures(&bad));
    let nobody = stage.run("asg check --asg nobody");
    assert_eq!(nobody.status.code(), Some(2), "{}", words(&nobody));
    assert!(words(&nobody).contains("there is no Auto Scaling group `nobody`"));
}

#[test]
fn an_image_that_cannot_be_described_is_told_by_its_id() {
    let stage = Stage::open();
    let config = stage.config();
    assert!(block_on(image::describe(&config, &stage.scenery.new)).unwrap().is_some());
    let nonsense = stage.run("upgrade --asg ci --image ami-nonsense --plan");
    assert_eq!(nonsense.status.code(), Some(5), "{}", words(&nonsense));
    assert!(words(&nonsense).contains("there is no image ami-nonsense"), "{}", words(&nonsense));
}
