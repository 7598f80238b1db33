//! What is recorded of the group: somebody else who is at it, and what it would go back to.

use serde::Deserialize;

use crate::doctor::{Finding, Verdict};
use crate::fleet::rollout::Ask;
use crate::fleet::rollout::survey::{Choice, Survey};

/// What of a lock is told to people.
#[derive(Deserialize)]
struct Lock {
    #[serde(default, alias = "holder", alias = "by")]
    who: Option<String>,
    #[serde(default, alias = "at")]
    since: Option<String>,
}

pub(super) fn check(survey: &Survey, ask: &Ask) -> Vec<Finding> {
    let mut all = vec![lock(survey)];
    all.extend(previous(survey, ask));
    all
}

fn lock(survey: &Survey) -> Finding {
    const ID: &str = "upgrade.lock";
    let group = &survey.subject.group.name;
    let held = match &survey.records {
        Err(gap) => return Finding::untold(ID, "whether somebody else is at it", gap),
        Ok(records) => records.lock.as_deref(),
    };
    let Some(text) = held else {
        return Finding::new(ID, Verdict::Pass, "nobody else is at it");
    };
    let lock = serde_json::from_str::<Lock>(text).ok();
    let who = lock.as_ref().and_then(|lock| lock.who.as_deref()).unwrap_or("somebody");
    let since = lock.as_ref().and_then(|lock| lock.since.as_deref());
    let since = since.map(|since| format!(" since {since}")).unwrap_or_default();
    let says = format!("{who} holds the lock of the group{since}: one replacement at a time");
    Finding::new(ID, Verdict::Fail, says)
        .shown_by(format!("/hostkit/asg/{group}/lock"))
        .mended_by("wait until it is over; if whoever began it is gone, carry it on:")
        .mended_by(format!("hostkit upgrade --resume --asg {group}"))
}

fn previous(survey: &Survey, ask: &Ask) -> Option<Finding> {
    const ID: &str = "rollback.previous";
    if !ask.rollback {
        return None;
    }
    let group = &survey.subject.group.name;
    let parameter = format!("/hostkit/asg/{group}/previous");
    match survey.choice.as_ref().ok()? {
        Choice::Previous(None) => {
            let says = "what served before is not recorded: hostkit has never replaced this group's hosts";
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
