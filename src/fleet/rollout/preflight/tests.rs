use super::*;
use crate::aws::image::State;
use crate::aws::launch_template::Version;
use crate::doctor::{Gap, render, worst};
use crate::fleet::rollout::lock::{Lock, Operator};
use crate::fleet::rollout::sample::{ask, before, image, survey};
use crate::fleet::rollout::survey::{Choice, Probe};
use crate::fleet::rollout::{Builds, Outlook, Prospect, Side};

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

/// What is wrong, and how it gets so.
const CASES: [(&str, Change); 41] = [
    ("another architecture", |it, _| {
        new(it).architecture = "arm64".into();
    }),
    ("another firmware", |it, _| {
        new(it).boot_mode = Some("uefi".into());
        it.types.as_mut().unwrap()[0].boot_modes = vec!["legacy-bios".into()];
    }),
    ("no driver for the network", |it, _| new(it).ena = false),
    ("pending", |it, _| new(it).state = State::Pending),
    ("disabled", |it, _| new(it).state = State::Disabled),
    ("failed", |it, _| {
        new(it).state = State::Broken("failed".into());
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
        };
        let lock = Lock::new("r-0123", &operator, it_now());
        it.records.as_mut().unwrap().lock = Some(Ok(lock));
    }),
    ("no way back", |it, ask| {
        ask.rollback = true;
        (it.image, it.choice) = (Ok(None), Ok(Choice::Previous(None)));
    }),
    ("root volumes", |_, ask| ask.strategy = Some(Strategy::ReplaceRootVolume)),
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
        agents(it);
        ask.strategy = Some(Strategy::TerminateFirst);
    }),
    ("agents, by root volumes", |it, ask| {
        agents(it);
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
fn agents(survey: &mut Survey) {
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

fn it_now() -> jiff::Timestamp {
    "2026-11-27T02:00:00Z".parse().unwrap()
}

#[test]
fn everything_that_is_not_allowed_is_in_one_list() {
    let denied = |needs: &str| Gap {
        needs: needs.to_owned(),
        denied: true,
        why: format!("{needs} was refused: AccessDenied"),
    };
    let change = |it: &mut Survey, _: &mut Ask| {
        it.subject.hooks = Err(denied("autoscaling:DescribeLifecycleHooks"));
        it.subject.home = Err(denied("elasticfilesystem:DescribeMountTargets"));
        it.types = Err(denied("ec2:DescribeInstanceTypes"));
        it.relations = Err(denied("ssm:GetParametersByPath"));
        it.kept = Err(denied("ec2:DescribeLaunchTemplateVersions"));
        let answer = Err(denied("ec2:RunInstances"));
        it.probes.push(Probe { action: "ec2:RunInstances", answer });
        // That it would fail for another reason is told by another check.
        let answer = Err(Gap { needs: "x".into(), denied: false, why: "no such image".into() });
        it.probes.push(Probe { action: "ec2:CreateTags", answer });
    };
    insta::assert_snapshot!(wrong(change));
    let (mut survey, ask) = (survey(), ask());
    change(&mut survey, &mut ask.clone());
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
