use super::*;
use crate::aws::alarm::{Alarm, State};
use crate::aws::image::State as Made;
use crate::aws::launch_template::Version;
use crate::doctor::{Gap, render, worst};
use crate::fleet::rollout::lock::{Lock, Operator};
use crate::fleet::rollout::sample::{ask, before, image, survey};
use crate::fleet::rollout::survey::{Choice, Probe};
use crate::fleet::rollout::unfinished::Unfinished;
use crate::fleet::rollout::{Builds, Outlook, Prospect, Side};
use crate::host::Role;

/// What is wrong after a change of a survey that is sound.
fn wrong(change: impl FnOnce(&mut Survey, &mut Ask)) -> String {
    let (mut survey, mut ask) = (survey(), ask());
    change(&mut survey, &mut ask);
    let mut findings = check(&survey, &ask);
    findings.retain(|finding| finding.verdict != Verdict::Pass);
    render(&findings)
}

fn new(survey: &mut Survey) -> &mut crate::aws::image::Image {
    survey.image.as_mut().unwrap().as_mut().unwrap()
}

fn template(survey: &mut Survey) -> &mut (Version, crate::aws::launch_template::Data) {
    survey.subject.template.as_mut().unwrap().as_mut().unwrap()
}

fn standing(survey: &mut Survey) -> &mut crate::group::standing::Standing {
    survey.subject.standing.as_mut().unwrap().as_mut().unwrap()
}

fn side(number: u8, jenkins: &str) -> Side {
    Side {
        image: format!("ami-0000000000000000{number}"),
        name: String::new(),
        template: "lt-0123456789abcdef0".into(),
        version: Some(3),
        recipe: Some("jenkins-controller".into()),
        jenkins: Some(jenkins.into()),
    }
}

#[test]
fn what_is_sound_passes_everything() {
    let findings = check(&survey(), &ask());
    assert_eq!(worst(&findings), Verdict::Pass, "{}", render(&findings));
    insta::assert_snapshot!(render(&findings));
}

type Change = fn(&mut Survey, &mut Ask);

fn denied(needs: &str) -> Gap {
    Gap { needs: needs.to_owned(), denied: true, why: format!("{needs} was refused: AccessDenied") }
}

fn room(survey: &mut Survey) -> &mut crate::aws::quota::Quota {
    &mut survey.rooms.as_mut().unwrap()[0].quota
}

/// Hosts of another kind, in place of the controller.
fn agents(survey: &mut Survey, count: u32) {
    let subject = &mut survey.subject;
    subject.part.role = Role::Agent;
    (subject.group.desired, subject.group.max) = (count, count);
    let tags = &mut new(survey).tags;
    tags.insert("hostkit:recipe".into(), "jenkins-controller".into());
}

/// Alarms that are named, and stand so.
fn watched(survey: &mut Survey, ask: &mut Ask, alarms: &[(&str, State)]) {
    ask.alarms = alarms.iter().map(|(name, _)| (*name).to_owned()).collect();
    let alarm = |(name, state): &(&str, State)| Alarm {
        name: (*name).to_owned(),
        state: *state,
        reason: match state {
            State::Alarm => "Threshold Crossed: 1 datapoint [4.2] was greater than 2.0".to_owned(),
            State::Ok => String::new(),
            State::InsufficientData => "Unchecked: Initial alarm creation".to_owned(),
        },
        about: Vec::new(),
    };
    survey.alarms = Ok(alarms.iter().map(alarm).collect());
}

/// What is wrong, and how it gets so.
const CASES: [(&str, Change); 56] = [
    ("another architecture", |it, _| {
        new(it).architecture = "arm64".into();
    }),
    ("another firmware", |it, _| {
        new(it).boot_mode = Some("uefi".into());
        it.types.as_mut().unwrap()[0].boot_modes = vec!["legacy-bios".into()];
    }),
    ("no driver for the network", |it, _| new(it).ena = false),
    ("pending", |it, _| new(it).state = Made::Pending),
    ("disabled", |it, _| new(it).state = Made::Disabled),
    ("failed", |it, _| {
        new(it).state = Made::Broken("failed".into());
        new(it).reason = Some("Client.InternalError: no snapshot".into());
    }),
    ("deprecated", |it, _| new(it).deprecated = Some(it_now())),
    ("none of hostkit's", |it, _| new(it).tags.clear()),
    ("a build that is not done", |it, _| {
        new(it).tags.insert("hostkit:state".into(), "building".into());
    }),
    ("of another recipe", |it, _| {
        new(it).tags.insert("hostkit:recipe".into(), "jenkins-agent".into());
    }),
    ("of another account", |it, _| new(it).owner = "999999999999".into()),
    ("not there", |it, ask| {
        ask.image = Some("ami-0000000000000000f".into());
        (it.image, it.choice) = (Ok(None), Ok(Choice::Named("ami-0000000000000000f".into())));
    }),
    ("never published", |it, _| {
        let parameter = "/hostkit/jenkins-controller/amd64/latest".into();
        (it.image, it.choice) = (Ok(None), Ok(Choice::Pointer { parameter, image: None }));
    }),
    ("no recipe known", |it, _| (it.image, it.choice) = (Ok(None), Ok(Choice::Nothing))),
    ("an older Jenkins", |it, _| *new(it) = image(2, "2.541.3")),
    ("an older Jenkins, as somebody wants", |it, _| {
        *new(it) = image(2, "2.541.3");
        template(it).1.user_data = Some(b"[jenkins]\nallow_downgrade = true\n".to_vec());
    }),
    ("a Jenkins that nobody knows", |it, _| {
        new(it).tags.remove("hostkit:jenkins");
    }),
    ("no such version", |it, _| it.subject.template = Ok(None)),
    ("an image by a parameter", |it, _| {
        template(it).0.image = Some("resolve:ssm:/ci/image".into());
    }),
    ("the image that serves is gone", |it, _| it.subject.image = Ok(None)),
    ("a disk that is too small", |it, _| {
        template(it).1.disks = vec![("/dev/xvda".into(), Some(4))];
    }),
    ("a disk of another name", |it, _| {
        template(it).1.disks = vec![("/dev/xvda".into(), Some(20))];
        new(it).root_device = "/dev/sda1".into();
        new(it).disks[0].device = "/dev/sda1".into();
    }),
    ("tags that hosts are not told", |it, _| template(it).1.tags_in_metadata = false),
    ("a host that is not told its tags", |it, _| {
        it.channel.as_mut().unwrap().as_mut().unwrap().is_open = false;
    }),
    ("no token", |it, _| {
        standing(it).builds = None;
        standing(it).why = Some("Jenkins refuses hostkit's token".into());
    }),
    ("no token, and builds are worth nothing", |it, ask| {
        standing(it).builds = None;
        ask.builds = Builds::Force;
    }),
    ("a guard that cannot", |it, _| {
        standing(it).cannot = Some("hostkit's token cannot be read".into());
    }),
    ("no guard", |it, _| it.subject.standing = Ok(None)),
    ("somebody else", |it, _| {
        let operator = Operator {
            who: "arn:aws:iam::123456789012:user/bob".into(),
            host: "laptop".into(),
            pid: 4711,
            process: None,
        };
        let lock = Lock::new("r-0123", &operator, it_now());
        it.records.as_mut().unwrap().lock = Some(Ok(lock));
    }),
    ("no way back", |it, ask| {
        ask.rollback = true;
        (it.image, it.choice) = (Ok(None), Ok(Choice::Previous(None)));
    }),
    ("root volumes", |_, ask| ask.strategy = Some(Strategy::ReplaceRootVolume)),
    ("root volumes, and an alarm", |it, ask| {
        ask.strategy = Some(Strategy::ReplaceRootVolume);
        watched(it, ask, &[("ci slow", State::Ok)]);
    }),
    ("an alarm that is not there", |it, ask| {
        watched(it, ask, &[("ci slow", State::Ok)]);
        ask.alarms.push("ci-errors".into());
    }),
    ("an alarm that fires", |it, ask| {
        watched(it, ask, &[("ci slow", State::Alarm), ("ci-errors", State::Ok)]);
    }),
    ("an alarm that knows nothing, and one that fires", |it, ask| {
        watched(it, ask, &[("ci slow", State::InsufficientData), ("ci-errors", State::Alarm)]);
    }),
    ("alarms that fire and are not to be watched", |it, ask| {
        watched(it, ask, &[("ci slow", State::Alarm), ("ci-errors", State::Alarm)]);
        ask.alarms.clear();
    }),
    ("a quota that is smaller than a host", |it, _| room(it).limit = 1),
    ("a quota that has no room for a second controller", |it, _| room(it).used = Some(63)),
    ("the same, with agents", |it, _| {
        agents(it, 3);
        room(it).used = Some(63);
    }),
    ("a quota that has room for some", |it, _| {
        agents(it, 40);
        room(it).used = Some(60);
    }),
    ("a quota that has room for nobody, and hosts may go before", |it, _| {
        agents(it, 40);
        room(it).used = Some(64);
    }),
    ("a quota that is too small for one of two families", |it, _| {
        let mut other = it.rooms.as_ref().unwrap()[0].clone();
        (other.quota.code, other.quota.limit) = ("L-DB2E81BA".into(), 0);
        other.quota.name = "Running On-Demand G and VT instances".into();
        (other.smallest, other.largest) = (("g5.xlarge".into(), 4), ("g5.2xlarge".into(), 8));
        it.rooms.as_mut().unwrap().push(other);
    }),
    ("a quota whose use nobody knows", |it, _| room(it).used = None),
    ("quotas that may not be looked at", |it, _| {
        it.rooms = Err(denied("servicequotas:GetServiceQuota"));
    }),
    ("quotas of which nothing is heard", |it, _| {
        it.rooms = Err(Gap { denied: false, ..denied("servicequotas:GetServiceQuota") });
    }),
    ("alarms that may not be looked at", |it, _| {
        it.alarms = Err(denied("cloudwatch:DescribeAlarms"));
    }),
    ("no metadata service", |it, _| template(it).1.metadata_off = true),
    ("tokens that nobody had to have", |it, _| {
        it.subject.image.as_mut().unwrap().as_mut().unwrap().tokens = false;
    }),
    ("tokens that nobody has to have any more", |it, _| new(it).tokens = false),
    ("a home that is being deleted", |it, _| {
        it.subject.home.as_mut().unwrap().as_mut().unwrap().state = "deleting".into();
    }),
    ("an image of one kind's own", |it, _| {
        it.subject.group.mixed = true;
        it.subject.group.overrides = vec![crate::aws::asg::Override {
            instance_type: Some("m7g.large".into()),
            image: Some("ami-0000000000000000a".into()),
            ..Default::default()
        }];
    }),
    ("a controller, rolling", |_, ask| ask.strategy = Some(Strategy::Rolling)),
    ("agents, all at once", |it, ask| {
        agents_beside(it);
        ask.strategy = Some(Strategy::TerminateFirst);
    }),
    ("agents, by root volumes", |it, ask| {
        agents_beside(it);
        ask.strategy = Some(Strategy::ReplaceRootVolume);
    }),
    ("its agents are being changed", |it, _| {
        let relations = it.relations.as_mut().unwrap();
        relations.agents = vec!["linux".into(), "windows".into()];
        relations.locks.insert("windows".into(), "arn:aws:iam::123456789012:user/bob".into());
    }),
    ("agents of nobody are being changed", |it, _| {
        let relations = it.relations.as_mut().unwrap();
        relations.strays.insert("windows".into(), "arn:aws:iam::123456789012:user/bob".into());
    }),
];

/// As agents, beside their controller, which does not change.
fn agents_beside(survey: &mut Survey) {
    survey.subject.part.role = crate::host::Role::Agent;
    survey.relations.as_mut().unwrap().controller = Some("ci".into());
}

#[test]
fn bad_input_is_said_with_what_shows_it_and_what_mends_it() {
    let texts: Vec<_> =
        CASES.iter().map(|(name, change)| format!("# {name}\n{}", wrong(change))).collect();
    for (text, (name, _)) in texts.iter().zip(&CASES) {
        assert!(text.lines().count() > 1, "{name} is not seen");
    }
    insta::assert_snapshot!(texts.join("\n"));
}

#[test]
fn an_image_that_no_host_would_boot_from_is_refused() {
    let agents = |survey: &mut Survey, desired| {
        survey.subject.part.role = crate::host::Role::Agent;
        (survey.subject.group.min, survey.subject.group.desired) = (0, desired);
        survey.subject.group.max = 9;
    };
    let text = wrong(|it, _| agents(it, 0));
    assert!(text.contains("fail  host.none"), "{text}");
    assert!(
        text.contains("set-desired-capacity --auto-scaling-group-name ci-controller"),
        "{text}"
    );
    let text = wrong(|it, _| agents(it, 1));
    assert!(!text.contains("host.none"), "{text}");
}

fn it_now() -> jiff::Timestamp {
    "2026-11-27T02:00:00Z".parse().unwrap()
}

#[test]
fn everything_that_is_not_allowed_is_in_one_list() {
    let change = |it: &mut Survey, ask: &mut Ask| {
        it.subject.hooks = Err(denied("autoscaling:DescribeLifecycleHooks"));
        it.subject.home = Err(denied("elasticfilesystem:DescribeMountTargets"));
        it.types = Err(denied("ec2:DescribeInstanceTypes"));
        it.alarms = Err(denied("cloudwatch:DescribeAlarms"));
        ask.alarms.push("ci-slow".into());
        it.relations = Err(denied("ssm:GetParametersByPath"));
        it.kept = Err(denied("ec2:DescribeLaunchTemplateVersions"));
        let answer = Err(denied("ec2:RunInstances"));
        it.probes.push(Probe { action: "ec2:RunInstances", answer });
        // That it would fail for another reason is told by another check.
        let answer = Err(Gap { needs: "x".into(), denied: false, why: "no such image".into() });
        it.probes.push(Probe { action: "ec2:CreateTags", answer });
    };
    insta::assert_snapshot!(wrong(change));
    let (mut survey, mut ask) = (survey(), ask());
    change(&mut survey, &mut ask);
    let refused = Prospect::of(&survey, &ask).refusal().unwrap();
    assert_eq!(refused.blame(), crate::error::Blame::Aws);
}

#[test]
fn a_way_back_is_told_and_an_older_jenkins_is_refused_before_anything_happens() {
    let mut survey = survey();
    let ask = Ask { rollback: true, recipe: None, ..ask() };
    survey.choice = Ok(Choice::Previous(Some(side(2, "2.541.3"))));
    survey.image = Ok(Some(image(2, "2.541.3")));
    new(&mut survey).deprecated = Some(it_now());
    let findings = check(&survey, &ask);
    let failed: Vec<_> =
        findings.iter().filter(|it| it.verdict == Verdict::Fail).map(|it| it.id).collect();
    assert_eq!(failed, ["home.downgrade"], "{}", render(&findings));
    // The same Jenkins, and what served then is launched as it was then.
    survey.image = Ok(Some(image(2, "2.555.1")));
    survey.kept = before().kept;
    let prospect = Prospect::of(&survey, &ask);
    let order = prospect.order().unwrap();
    assert_eq!((order.from.version, order.to.version), (Some(4), Some(3)));
    assert!(prospect.text().starts_with("rollback of ci-controller"), "{}", prospect.text());
}

#[test]
fn a_way_back_is_checked_by_the_version_that_it_launches() {
    let ask = Ask { rollback: true, recipe: None, ..ask() };
    let mut survey = before();
    survey.records.as_mut().unwrap().current = Some(side(1, "2.555.1"));
    let all = Prospect::of(&survey, &ask);
    assert!(all.order().is_some(), "{}", all.text());
    // What is told of both, and what the other version says otherwise.
    insta::assert_snapshot!(all.text());
    // Now that one has another home, an older Jenkins, and hears no tags.
    let (_, then) = survey.kept.as_mut().unwrap().as_mut().unwrap();
    then.user_data = Some(b"[efs]\nid = \"fs-9\"\n[jenkins]\nallow_downgrade = true\n".to_vec());
    then.tags_in_metadata = false;
    survey.image = Ok(Some(image(2, "2.541.3")));
    let mut findings = check(&survey, &ask);
    findings.retain(|finding| finding.verdict >= Verdict::Warn);
    insta::assert_snapshot!("of_then", render(&findings));
}

#[test]
fn an_image_that_serves_already_is_nothing_to_do_whatever_else_is_wrong() {
    let mut survey = survey();
    survey.image = Ok(Some(image(1, "2.555.1")));
    survey.subject.group.suspended.push("Launch".into());
    let prospect = Prospect::of(&survey, &ask());
    assert!(matches!(prospect.outlook, Outlook::InService(_)), "{}", prospect.text());
    assert!(prospect.refusal().is_none() && prospect.order().is_none());
    assert_eq!(prospect.plan_exit_code(), 0);
    insta::assert_snapshot!(prospect.text());
    // Unless the hosts have yet to become what the group launches.
    let mut survey = super::tests::survey();
    survey.image = Ok(Some(image(1, "2.555.1")));
    survey.subject.group.members[0].template.as_mut().unwrap().version = "3".into();
    let prospect = Prospect::of(&survey, &ask());
    assert!(matches!(prospect.outlook, Outlook::Refused(_)), "{}", prospect.text());
}

/// The text of a journal, at this phase.
fn journal(phase: &str) -> String {
    let text = include_str!("../fixtures/journal-1.json");
    text.replace("\"refresh\",\"since", &format!("\"{phase}\",\"since"))
}

#[test]
fn a_rollout_that_is_not_over_refuses_another_one_with_and_without_its_lock() {
    let (mut survey, ask) = (survey(), ask());
    let failed = |survey: &Survey| -> Vec<&'static str> {
        let findings = check(survey, &ask);
        findings.iter().filter(|it| it.verdict == Verdict::Fail).map(|it| it.id).collect()
    };
    survey.records.as_mut().unwrap().unfinished = Unfinished::of(&journal("proof"));
    assert_eq!(failed(&survey), ["upgrade.unfinished"]);
    let prospect = Prospect::of(&survey, &ask);
    let refusal = prospect.refusal().unwrap();
    assert!(refusal.hint_text().unwrap().contains("--asg ci-controller --resume"), "{refusal:?}");
    let text = prospect.text();
    let forget = "aws ssm delete-parameters --names /hostkit/asg/ci-controller/lock \
                  /hostkit/asg/ci-controller/journal";
    assert!(text.contains("it is at `proof`") && text.contains(forget), "{text}");
    // Whoever holds its lock is told, and that is one thing.
    let operator = Operator::this("arn:aws:iam::123456789012:user/bob");
    let lock = |rollout: &str| Some(Ok(Lock::new(rollout, &operator, it_now())));
    survey.records.as_mut().unwrap().lock = lock("r-1");
    assert_eq!(failed(&survey), ["upgrade.lock"]);
    survey.records.as_mut().unwrap().lock = lock("r-2");
    assert_eq!(failed(&survey), ["upgrade.lock", "upgrade.unfinished"]);
    let records = survey.records.as_mut().unwrap();
    (records.lock, records.unfinished) = (None, Unfinished::of(&journal("recorded")));
    assert_eq!(failed(&survey), [""; 0]);
}

#[test]
fn an_image_that_serves_already_is_nothing_to_do_only_where_it_was_left_there_proven() {
    let ask = ask();
    let with = |change: &dyn Fn(&mut crate::fleet::rollout::survey::Records)| {
        let mut survey = survey();
        survey.image = Ok(Some(image(1, "2.555.1")));
        change(survey.records.as_mut().unwrap());
        Prospect::of(&survey, &ask)
    };
    let is_nothing = |prospect: &Prospect| matches!(prospect.outlook, Outlook::InService(_));
    assert!(is_nothing(&with(&|_| {})), "hostkit never brought anything there");
    assert!(is_nothing(&with(&|it| it.current = Some(side(1, "2.555.1")))));
    assert!(is_nothing(&with(&|it| it.unfinished = Unfinished::of(&journal("recorded")))));
    let held = |it: &mut crate::fleet::rollout::survey::Records| {
        it.lock = Some(Ok(Lock::new("r-1", &Operator::this("bob"), it_now())));
        it.unfinished = Unfinished::of(&journal("proof"));
    };
    for (left, id) in [
        (with(&held), "upgrade.lock"),
        (with(&|it| it.lock = Some(Err("{".into()))), "upgrade.lock"),
        (with(&|it| it.unfinished = Unfinished::of(&journal("proof"))), "upgrade.unfinished"),
        (with(&|it| it.current = Some(side(2, "2.568.2"))), "upgrade.recorded"),
    ] {
        assert_eq!(left.refusal().unwrap().blame(), crate::error::Blame::Step, "{id}");
        let text = left.text();
        assert!(text.contains(&format!("fail  {id}")) && !text.contains("nothing is"), "{text}");
        assert!(text.contains("hostkit upgrade --asg ci-controller"), "{text}");
    }
    // What cannot be told is not so.
    let mut survey = survey();
    survey.image = Ok(Some(image(1, "2.555.1")));
    survey.records =
        Err(Gap { needs: "ssm:GetParameters".into(), denied: true, why: "it was refused".into() });
    assert!(Prospect::of(&survey, &ask).refusal().is_some());
}

#[test]
fn everything_that_speaks_against_it_is_said_at_once() {
    let (mut survey, ask) = (survey(), ask());
    survey.subject.group.max = 2;
    survey.subject.group.suspended.push("Terminate".into());
    new(&mut survey).architecture = "arm64".into();
    let prospect = Prospect::of(&survey, &ask);
    assert_eq!(
        prospect.refusal().unwrap().to_string(),
        "the hosts of ci-controller are not replaced: 3 things speak against it"
    );
    let json = serde_json::to_value(prospect.line()).unwrap();
    assert_eq!((&json["outlook"], &json["verdict"]), (&"refused".into(), &"fail".into()));
    let text = prospect.text();
    for id in ["group.size", "group.suspended", "image.fits"] {
        assert!(text.contains(&format!("fail  {id}")), "{text}");
    }
}
