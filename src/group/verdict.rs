//! The last word to a hook: this host goes on, or does not.

use tokio::time::Instant;

use super::{Trouble, Us, insist, is_inactive, leaving};
use crate::aws::asg::{self, Hook, Membership, Transition, Verdict};
use crate::error::Fault;

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The hook heard it.
    Heard,
    /// It did not wait any more: the host is where the hook would have let it.
    Already,
}

/// Tells `hook`, again and again until it has heard it or until `until`.
pub async fn tell(us: &Us, hook: &Hook, verdict: Verdict, until: Instant) -> Result<Told, Fault> {
    insist(us, until, async || Box::pin(say(us, hook, verdict)).await).await
}

async fn say(us: &Us, hook: &Hook, verdict: Verdict) -> Result<Told, Trouble> {
    let failure = match asg::complete(&us.aws, hook, &us.instance_id, verdict).await {
        Ok(()) => return Ok(Told::Heard),
        Err(failure) => failure,
    };
    let inactive = is_inactive(&failure);
    // A hook that was deleted meanwhile is refused otherwise: what counts is where the host is.
    if !inactive && failure.code() != Some("ValidationError") {
        return Err(failure.into());
    }
    match (judge(hook.transition, us.membership().await?), inactive) {
        // Not that it waits too early: there is no such hook.
        (Err(Trouble::Passing(_)), false) => Err(unknown(hook, &failure)),
        (judged, _) => judged,
    }
}

/// The hook does not wait. Where the host is tells whether it does not yet, or not any more.
fn judge(transition: Transition, member: Option<Membership>) -> Result<Told, Trouble> {
    let Some(member) = member else {
        return match transition {
            Transition::Terminating => Ok(Told::Already),
            Transition::Launching => Err(Trouble::Final(
                Fault::aws("the hook is gone and this host is in no group any more")
                    .hint("somebody detached it, or the group was deleted"),
            )),
        };
    };
    let state = &member.state;
    // A boot may be faster than the group: the hook begins to wait in a moment.
    let early = || {
        let shown = if member.is_unknown() { "its state may not be seen" } else { state };
        let hint = if member.is_unknown() {
            "allow `autoscaling:DescribeAutoScalingInstances` in the policy of the instance role"
        } else {
            "look at the activities of the group"
        };
        Trouble::Passing(Fault::aws(format!("the hook is not active yet ({shown})")).hint(hint))
    };
    match transition {
        _ if member.is_unknown() => Err(early()),
        Transition::Launching if member.is_pending() => Err(early()),
        Transition::Launching if member.is_leaving() => Err(Trouble::Final(leaving(state))),
        // In service, in the warm pool, in standby.
        Transition::Launching => Ok(Told::Already),
        Transition::Terminating if state.ends_with("Proceed") || state == "Terminated" => {
            Ok(Told::Already)
        }
        Transition::Terminating if member.is_leaving() => Err(early()),
        Transition::Terminating => Err(Trouble::Final(Fault::aws(format!(
            "the group does not terminate this host: it is {state}"
        )))),
    }
}

fn unknown(hook: &Hook, failure: &crate::aws::Failure) -> Trouble {
    let (kind, name, group) = (hook.transition.name(), &hook.name, &hook.group);
    Trouble::Final(
        Fault::aws(format!(
            "the group {group} does not know the {kind} {name}: {}",
            failure.message()
        ))
        .hint("it was deleted or renamed while this host booted: make it again, or `asg.hook`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(transition: Transition, state: &str) -> String {
        let member = Membership { group: "ci".to_owned(), state: state.to_owned() };
        match judge(transition, Some(member)) {
            Ok(told) => format!("{told:?}"),
            Err(Trouble::Passing(fault)) => format!("passing: {fault}"),
            Err(Trouble::Final(fault)) => format!("final: {fault}"),
        }
    }

    #[test]
    fn a_hook_that_does_not_wait_is_judged_by_where_the_host_is() {
        use Transition::{Launching, Terminating};
        let states = [
            (Launching, "Pending"),
            (Launching, "Warmed:Pending:Wait"),
            (Launching, "Warmed:Stopped"),
            (Launching, "InService"),
            (Launching, "Terminating:Wait"),
            (Launching, ""),
            (Terminating, "Terminating"),
            (Terminating, "Terminating:Proceed"),
            (Terminating, "InService"),
        ];
        let seen = states.map(|(transition, state)| {
            format!("{} {state}: {}", transition.name(), judged(transition, state))
        });
        insta::assert_snapshot!(seen.join("\n"));
        assert!(matches!(judge(Terminating, None), Ok(Told::Already)));
        assert!(matches!(judge(Launching, None), Err(Trouble::Final(_))));
    }
}
