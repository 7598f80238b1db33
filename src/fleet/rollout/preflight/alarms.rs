//! Whether the alarms that are to be watched are there and silent, or one of the group's fires already.

use super::unseen;
use crate::aws::alarm::{Alarm, State};
use crate::doctor::{Finding, Verdict};
use crate::fleet::rollout::Ask;
use crate::fleet::rollout::survey::Survey;
use crate::sys::cmd::quote;

const ID: &str = "alarms.state";

pub(super) fn check(survey: &Survey, ask: &Ask) -> Vec<Finding> {
    let alarms = match &survey.alarms {
        Err(gap) => return vec![unseen(survey, ID, "whether an alarm fires", gap)],
        Ok(alarms) => alarms,
    };
    if ask.alarms.is_empty() {
        return vec![firing(survey, alarms)];
    }
    let mut all: Vec<_> = there(survey, ask, alarms).into_iter().collect();
    all.extend(state(survey, alarms));
    all
}

/// Of a group for which none is to be watched.
fn firing(survey: &Survey, alarms: &[Alarm]) -> Finding {
    if alarms.is_empty() {
        return Finding::new(
            ID,
            Verdict::Pass,
            "no alarm of the group, its hosts or its load balancer fires",
        );
    }
    let says = match alarms.len() {
        1 => "an alarm fires already: what it is about may not be the image's fault".to_owned(),
        many => {
            format!("{many} alarms fire already: what they are about may not be the image's fault")
        }
    };
    shown(Finding::new(ID, Verdict::Warn, says), alarms.iter())
        .mended_by(told(survey, alarms.iter()))
}

/// Those that are not there: AWS would watch nothing.
fn there(survey: &Survey, ask: &Ask, alarms: &[Alarm]) -> Option<Finding> {
    let missing = |name: &&String| alarms.iter().all(|alarm| alarm.name != **name);
    let missing: Vec<&str> = ask.alarms.iter().filter(missing).map(String::as_str).collect();
    let region = &survey.subject.region;
    let says = match missing.as_slice() {
        [] => return None,
        [one] => format!("there is no alarm {one} in {region}"),
        many => format!("there are no alarms {} in {region}", many.join(", ")),
    };
    Some(Finding::new("alarms.there", Verdict::Fail, says).mended_by(format!(
        "aws cloudwatch describe-alarms --alarm-types MetricAlarm CompositeAlarm --query \
         '[MetricAlarms,CompositeAlarms][].AlarmName' --region {region}"
    )))
}

fn state(survey: &Survey, alarms: &[Alarm]) -> Vec<Finding> {
    let of = |state: State| alarms.iter().filter(move |alarm| alarm.state == state);
    let mut all = Vec::new();
    if of(State::Alarm).next().is_some() {
        let says =
            "AWS would put the former version back at once: an alarm fires that it is to watch";
        let finding = shown(Finding::new(ID, Verdict::Fail, says), of(State::Alarm));
        all.push(finding.mended_by(told(survey, of(State::Alarm))).mended_by(
            "mend what it is about, or leave it out of --alarm: what fires already says nothing of \
             the new version",
        ));
    }
    if of(State::InsufficientData).next().is_some() {
        let says = "an alarm that AWS is to watch knows nothing: it may never fire, or fire for want \
                    of numbers while nobody serves";
        let finding = Finding::new("alarms.data", Verdict::Warn, says);
        let finding = shown(finding, of(State::InsufficientData));
        all.push(finding.mended_by(told(survey, of(State::InsufficientData))));
    }
    if all.is_empty() && !alarms.is_empty() {
        let names: Vec<_> = alarms.iter().map(|alarm| alarm.name.as_str()).collect();
        let says = format!("OK, and watched meanwhile: {}", names.join(", "));
        all.push(Finding::new(ID, Verdict::Pass, says));
    }
    all
}

fn shown<'a>(finding: Finding, alarms: impl Iterator<Item = &'a Alarm>) -> Finding {
    alarms.fold(finding, |finding, alarm| finding.shown_by(alarm.say()))
}

/// The command that tells more of them.
fn told<'a>(survey: &Survey, alarms: impl Iterator<Item = &'a Alarm>) -> String {
    let names: Vec<_> = alarms.map(|alarm| quote(&alarm.name)).collect();
    let (names, region) = (names.join(" "), &survey.subject.region);
    format!(
        "aws cloudwatch describe-alarms --alarm-types MetricAlarm CompositeAlarm --alarm-names {names} \
         --region {region}"
    )
}
