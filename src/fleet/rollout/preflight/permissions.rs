//! What these credentials may not do, all of it in one list.

use crate::doctor::{Finding, Gap, Verdict};
use crate::fleet::rollout::Ask;
use crate::fleet::rollout::survey::Survey;
use crate::iam;

const ID: &str = "aws.permissions";

pub(super) fn check(survey: &Survey, ask: &Ask) -> Vec<Finding> {
    let gaps = gaps(survey, ask);
    let (denied, silent): (Vec<_>, Vec<_>) = gaps.into_iter().partition(|gap| gap.denied);
    vec![permissions(survey, &denied), answers(&silent)]
}

/// The actions that change something and that nobody can ask AWS for ahead: a denial shows when they
/// are done.
pub fn untried(survey: &Survey) -> Vec<&'static str> {
    // AWS asks for the role together with the launch.
    const BESIDE: &str = "iam:PassRole";
    let reads = |action: &str| {
        let verb = action.split_once(':').map_or(action, |(_, verb)| verb);
        ["Describe", "Get", "List"].iter().any(|it| verb.starts_with(it))
    };
    let quiets = survey.subject.is_controller();
    let needed = |action: &&str| quiets || !action.ends_with("Tags");
    let tried = |action: &str| survey.probes.iter().any(|probe| probe.action == action);
    let all = iam::actions(&[iam::Role::Upgrade], &iam::Scope::default());
    let all = all.into_iter().filter(|it| !reads(it) && *it != BESIDE && !tried(it));
    all.filter(needed).collect()
}

/// Everything that could not be read or would not be done.
fn gaps<'a>(survey: &'a Survey, ask: &Ask) -> Vec<&'a Gap> {
    let subject = &survey.subject;
    let read = [
        subject.hooks.as_ref().err(),
        subject.refreshes.as_ref().err(),
        subject.activities.as_ref().err(),
        subject.subnets.as_ref().err(),
        subject.targets.as_ref().err(),
        subject.template.as_ref().err(),
        subject.image.as_ref().err(),
        subject.standing.as_ref().err(),
        subject.home.as_ref().err(),
        subject.home.as_ref().ok().and_then(|it| it.as_ref()?.backed_up.as_ref().err()),
        survey.choice.as_ref().err(),
        survey.image.as_ref().err(),
        survey.types.as_ref().err(),
        survey.records.as_ref().err(),
        survey.channel.as_ref().err(),
        survey.kept.as_ref().err(),
        survey.relations.as_ref().err(),
    ];
    let probed = survey.probes.iter().filter_map(|probe| {
        // That an image does not fit is told by the check of the image, and better.
        probe.answer.as_ref().err().filter(|gap| gap.denied)
    });
    // Where none was named, alarms are looked at for good measure.
    let alarms = survey.alarms.as_ref().err().filter(|_| !ask.alarms.is_empty());
    read.into_iter().flatten().chain(alarms).chain(probed).collect()
}

fn permissions(survey: &Survey, denied: &[&Gap]) -> Finding {
    let mut actions: Vec<_> = denied.iter().map(|gap| gap.needs.as_str()).collect();
    actions.sort_unstable();
    actions.dedup();
    if actions.is_empty() {
        let asked: Vec<_> = survey.probes.iter().map(|probe| probe.action).collect();
        let says = "all reads are allowed, and so are the changes that can be asked for";
        let finding = Finding::new(ID, Verdict::Pass, says).shown_by(asked.join(", "));
        return finding.shown_by(format!("not to be tried ahead: {}", untried(survey).join(", ")));
    }
    let count = actions.len();
    let things = if count == 1 { "action is" } else { "actions are" };
    let says = format!("{count} {things} not allowed to {}", survey.identity.arn);
    let finding = Finding::new(ID, Verdict::Fail, says);
    let finding = actions.into_iter().fold(finding, Finding::shown_by);
    let (account, region) = (&survey.identity.account, &survey.subject.region);
    finding.mended_by(format!("hostkit iam upgrade --account {account} --region {region}"))
}

fn answers(silent: &[&Gap]) -> Finding {
    const ID: &str = "aws.answers";
    if silent.is_empty() {
        return Finding::new(ID, Verdict::Pass, "AWS answered everything");
    }
    let says = "AWS did not tell everything that must be known";
    let mut whys: Vec<_> = silent.iter().map(|gap| gap.why.clone()).collect();
    whys.sort_unstable();
    whys.dedup();
    let finding = Finding::new(ID, Verdict::Fail, says);
    whys.into_iter().fold(finding, Finding::shown_by).mended_by("the same command asks again")
}
