//! Whether the account may run the hosts that are there at the same time while they are replaced.

use super::unseen;
use crate::doctor::{Finding, Verdict};
use crate::fleet::rollout::Ask;
use crate::fleet::rollout::room::{Beside, Room, beside};
use crate::fleet::rollout::survey::Survey;

const ID: &str = "quota.vcpus";

pub(super) fn check(survey: &Survey, ask: &Ask) -> Vec<Finding> {
    let beside = beside(survey, ask);
    if beside.hosts == 0 {
        return Vec::new();
    }
    match &survey.rooms {
        Err(gap) => vec![unseen(survey, ID, "whether the quotas of EC2 suffice", gap)],
        Ok(rooms) => {
            let found: Vec<_> = rooms.iter().map(|room| suffices(survey, room, beside)).collect();
            // A group of several families launches one that it may.
            let is_all = found.iter().all(|it| it.verdict == Verdict::Fail);
            let warned = |it: Finding| Finding { verdict: it.verdict.min(Verdict::Warn), ..it };
            if is_all { found } else { found.into_iter().map(warned).collect() }
        }
    }
}

fn suffices(survey: &Survey, room: &Room, beside: Beside) -> Finding {
    let Room { quota, smallest: (smallest, least), largest: (largest, each) } = room;
    let (limit, needs) = (quota.limit, beside.hosts * each);
    let used =
        quota.used.map_or("how many run is not told".to_owned(), |used| format!("{used} run"));
    let numbers = format!(
        "{} ({}): {limit} vCPUs at most, {used}; {largest} has {each}, and {needs} more are needed \
         meanwhile",
        quota.name, quota.code
    );
    let found = |verdict, says: &str| Finding::new(ID, verdict, says).shown_by(numbers.clone());
    if *least > limit {
        let says = format!("the account may not run {smallest} at all");
        let wants = quota.used.unwrap_or(0) + each;
        return found(Verdict::Fail, &says).mended_by(raised(survey, room, wants));
    }
    let Some(used) = quota.used else {
        let says =
            "whether the quota of EC2 suffices is not known: CloudWatch has no numbers of its use";
        return found(Verdict::Skip, says);
    };
    let left = limit.saturating_sub(used);
    if left >= needs {
        let says = format!("{left} of {limit} vCPUs are free, and {needs} are needed meanwhile");
        return found(Verdict::Pass, &says);
    }
    let finding = if beside.first && left < *least {
        let says = "the quota of EC2 has no room for one host more, and none goes before the next one \
                    is there";
        found(Verdict::Fail, says)
    } else {
        let says = "the quota of EC2 has no room for all of it: the next host may come only once the \
                    vCPUs of a former one are given back";
        found(Verdict::Warn, says)
    };
    finding.mended_by(raised(survey, room, used + needs))
}

/// The command that asks for more.
fn raised(survey: &Survey, room: &Room, wants: u64) -> String {
    format!(
        "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {} \
         --desired-value {wants} --region {}",
        room.quota.code, survey.subject.region
    )
}
