//! What is recorded of the group: somebody else who is at it, and what it would go back to.

use crate::doctor::{Finding, Verdict};
use crate::fleet::rollout::survey::{Choice, Survey};
use crate::fleet::rollout::{Ask, lock, record};

pub(super) fn check(survey: &Survey, ask: &Ask) -> Vec<Finding> {
    let mut all = vec![lock(survey)];
    all.extend(previous(survey, ask));
    all.extend(current(survey, ask));
    all
}

fn lock(survey: &Survey) -> Finding {
    const ID: &str = "upgrade.lock";
    let group = &survey.subject.group.name;
    let held = match &survey.records {
        Err(gap) => return Finding::untold(ID, "whether somebody else is at it", gap),
        Ok(records) => records.lock.as_ref(),
    };
    let finding = match held {
        None => return Finding::new(ID, Verdict::Pass, "nobody else is at it"),
        Some(Ok(lock)) => Finding::new(ID, Verdict::Fail, lock.held(group).to_string()),
        Some(Err(text)) => {
            let says = "somebody holds the lock of the group, and it cannot be read who";
            Finding::new(ID, Verdict::Fail, says)
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
