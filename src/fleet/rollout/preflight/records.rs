//! What is recorded of the group: somebody else who is at it, and what it would go back to.

use crate::doctor::{Finding, Verdict};
use crate::fleet::rollout::plan::Plan;
use crate::fleet::rollout::survey::{Choice, Survey};
use crate::fleet::rollout::unfinished::Unfinished;
use crate::fleet::rollout::{Ask, journal, lock, record};

/// What must pass for an image that serves already to be nothing to do, whatever else speaks against a
/// replacement.
pub(super) const SETTLED: [&str; 3] = [LOCK, UNFINISHED, RECORDED];

const LOCK: &str = "upgrade.lock";
const UNFINISHED: &str = "upgrade.unfinished";
const RECORDED: &str = "upgrade.recorded";

pub(super) fn check(survey: &Survey, ask: &Ask) -> Vec<Finding> {
    let mut all = vec![lock(survey)];
    all.extend(unfinished(survey));
    all.extend(recorded(survey, ask));
    all.extend(previous(survey, ask));
    all.extend(current(survey, ask));
    all
}

/// A rollout that is not over and that nobody holds the lock for, or only somebody who has done nothing
/// else yet. Whoever holds the lock of the same one is told above.
fn unfinished(survey: &Survey) -> Option<Finding> {
    let group = &survey.subject.group.name;
    let records = survey.records.as_ref().ok()?;
    let Some(unfinished) = &records.unfinished else {
        return Some(Finding::new(UNFINISHED, Verdict::Pass, "no rollout is unfinished"));
    };
    if let Some(Ok(lock)) = &records.lock
        && unfinished.is(&lock.rollout)
    {
        return None;
    }
    let finding = Finding::new(UNFINISHED, Verdict::Fail, unfinished.says(group));
    let finding = finding.shown_by(journal::parameter(group));
    Some(Unfinished::ways_on(group).into_iter().fold(finding, Finding::mended_by))
}

/// Whether what serves already, so that nothing is to be done, is what was proven to serve: somebody
/// may have brought it there by hand, or have forgotten a rollout half-way.
fn recorded(survey: &Survey, ask: &Ask) -> Option<Finding> {
    let current = survey.records.as_ref().ok()?.current.as_ref()?;
    let plan = Plan::of(survey, ask).filter(|plan| plan.is_nothing(survey))?;
    let serves = &plan.order.from.image;
    if current.image == *serves {
        return Some(Finding::new(
            RECORDED,
            Verdict::Pass,
            format!("{serves} was proven to serve"),
        ));
    }
    let group = &survey.subject.group.name;
    let parameter = record::current(group);
    let says = format!(
        "the group has {serves} already, and nothing proves that it serves: what was last proven to is {}",
        current.image
    );
    Some(
        Finding::new(RECORDED, Verdict::Fail, says)
            .shown_by(parameter.clone())
            .mended_by(format!(
                "put what is recorded back: hostkit upgrade --asg {group} --image {}",
                current.image
            ))
            .mended_by(format!(
                "or, once it is certain that it serves, take it as it is: \
                 aws ssm delete-parameter --name {parameter}"
            )),
    )
}

fn lock(survey: &Survey) -> Finding {
    let group = &survey.subject.group.name;
    let held = match &survey.records {
        Err(gap) => return Finding::untold(LOCK, "whether somebody else is at it", gap),
        Ok(records) => records.lock.as_ref(),
    };
    let finding = match held {
        None => return Finding::new(LOCK, Verdict::Pass, "nobody else is at it"),
        Some(Ok(lock)) => Finding::new(LOCK, Verdict::Fail, lock.held(group).to_string()),
        Some(Err(text)) => {
            let says = "somebody holds the lock of the group, and it cannot be read who";
            Finding::new(LOCK, Verdict::Fail, says)
                .shown_by(text.chars().take(200).collect::<String>())
        }
    };
    finding
        .shown_by(lock::parameter(group))
        .mended_by("wait until it is over; if whoever began it is gone, carry it on:")
        .mended_by(format!("hostkit upgrade --asg {group} --resume"))
}

fn previous(survey: &Survey, ask: &Ask) -> Option<Finding> {
    const ID: &str = "rollback.previous";
    if !ask.rollback {
        return None;
    }
    let group = &survey.subject.group.name;
    let parameter = record::previous(group);
    match survey.choice.as_ref().ok()? {
        Choice::Previous(None) => {
            let says =
                "what served before is not recorded: hostkit has never replaced this group's hosts";
            Some(
                Finding::new(ID, Verdict::Fail, says)
                    .shown_by(parameter)
                    .mended_by("name the image: `hostkit images ls --aws` lists those there are")
                    .mended_by(format!("hostkit rollback --asg {group} --image ami-…")),
            )
        }
        Choice::Previous(Some(side)) => {
            let version = side.version.map(|it| format!(", version {it}")).unwrap_or_default();
            let says = format!("{} served before{version}", side.image);
            Some(Finding::new(ID, Verdict::Pass, says).shown_by(parameter))
        }
        _ => None,
    }
}

/// Whether what serves is what hostkit has put in service: what served before is that of then.
fn current(survey: &Survey, ask: &Ask) -> Option<Finding> {
    const ID: &str = "rollback.current";
    if !ask.rollback {
        return None;
    }
    let recorded = survey.records.as_ref().ok()?.current.as_ref()?;
    let (serving, _) = survey.subject.template.as_ref().ok()?.as_ref()?;
    if recorded.template == serving.template && recorded.version == Some(serving.number) {
        return None;
    }
    let group = &survey.subject.group.name;
    let number = recorded.version.unwrap_or_default();
    let says = format!(
        "somebody else has changed what the group launches: version {} serves, and hostkit put version \
         {number} in service last; this goes back to what served before that one",
        serving.number
    );
    let region = &survey.subject.region;
    let finding = Finding::new(ID, Verdict::Warn, says);
    let finding = finding.shown_by(format!("{} says {}", record::current(group), recorded.image));
    Some(finding.mended_by(format!(
        "if you mean the image of then: hostkit rollback --asg {group} --image {} --region {region}",
        recorded.image
    )))
}
