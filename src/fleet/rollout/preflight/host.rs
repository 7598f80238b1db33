//! The hosts that serve: whether there are any, and whether a controller can be made quiet and builds be
//! waited for.

use crate::doctor::{Finding, Verdict};
use crate::fleet::rollout::survey::Survey;
use crate::fleet::rollout::{Ask, Builds};
use crate::group::standing::State;

pub(super) fn check(survey: &Survey, ask: &Ask) -> Vec<Finding> {
    if !survey.subject.is_controller() {
        return nobody(survey).into_iter().collect();
    }
    // Who does not wait for builds needs no answer.
    let verdict = if ask.builds == Builds::Force { Verdict::Warn } else { Verdict::Fail };
    channel(survey, verdict).into_iter().chain(guard(survey, verdict)).collect()
}

/// A group of no hosts: an image that none of them boots from proves nothing.
fn nobody(survey: &Survey) -> Option<Finding> {
    let group = &survey.subject.group;
    if group.desired > 0 {
        return None;
    }
    let says = "the group wants no host: the image would become the one that serves, and would never \
                have booted";
    let raise = format!(
        "aws autoscaling set-desired-capacity --auto-scaling-group-name {} --desired-capacity 1 \
         --region {}",
        group.name, survey.subject.region
    );
    Some(Finding::new("host.none", Verdict::Fail, says).mended_by(raise))
}

fn channel(survey: &Survey, verdict: Verdict) -> Option<Finding> {
    const ID: &str = "host.channel";
    let channel = match &survey.channel {
        Err(gap) => return Some(Finding::untold(ID, "whether the host hears its tags", gap)),
        Ok(channel) => channel.as_ref()?,
    };
    if channel.is_open {
        return Some(Finding::new(ID, Verdict::Pass, "the host is told its tags"));
    }
    let host = survey.subject.group.in_service().next().map_or("INSTANCE", |it| it.id.as_str());
    let says = format!("{host} is not told its tags: Jenkins cannot be made quiet by one");
    Some(Finding::new(ID, verdict, says).mended_by(format!(
        "aws ec2 modify-instance-metadata-options --instance-id {host} --instance-metadata-tags enabled \
         --region {}",
        survey.subject.region
    )))
}

fn guard(survey: &Survey, verdict: Verdict) -> Option<Finding> {
    const ID: &str = "host.quiet";
    let standing = survey.subject.standing.as_ref().ok()?;
    let here = |id: &str| survey.subject.group.members.iter().any(|member| member.id == id);
    let Some(standing) = standing.as_ref().filter(|it| here(&it.instance)) else {
        let says = "the controller that serves says nothing of itself: nobody would answer that Jenkins \
                    is quiet";
        return Some(
            Finding::new(ID, verdict, says)
                .shown_by(crate::group::standing::parameter(&survey.subject.group.name))
                .mended_by("`systemctl status hostkit-guard` on the host says why")
                .mended_by("hostkit iam controller"),
        );
    };
    if let Some(why) = &standing.cannot {
        let says = format!("{} cannot make its Jenkins quiet", standing.instance);
        return Some(Finding::new(ID, verdict, says).shown_by(why.clone()).mended_by(TOKEN));
    }
    match (standing.state, standing.builds) {
        (State::Draining | State::Drained, _) => None,
        (State::Serving | State::Quiet, None) => {
            let says = format!(
                "{} cannot ask its Jenkins which builds run: it has no token that Jenkins takes, or \
                 Jenkins does not answer",
                standing.instance
            );
            let finding = Finding::new(ID, verdict, says);
            let finding = standing.why.iter().fold(finding, |it, why| it.shown_by(why.clone()));
            Some(finding.mended_by(TOKEN))
        }
        (State::Serving | State::Quiet, Some(builds)) => {
            let says = match builds {
                0 => "no build runs".to_owned(),
                1 => "one build runs".to_owned(),
                many => format!("{many} builds run"),
            };
            Some(Finding::new(ID, Verdict::Pass, says))
        }
    }
}

/// How a host gets its token again.
const TOKEN: &str = "on the host: `sudo hostkit boot --only render` writes the token again, and Jenkins takes \
                     it when it is started; to go on without waiting for builds: --builds force";
