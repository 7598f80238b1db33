//! A group of build agents: its controller must not be replaced at the same time, and has the last
//! word on whether the new agents are there. Pure.

use super::Ask;
use super::relations::Relations;
use super::survey::Survey;
use crate::doctor::{Finding, Verdict};
use crate::group::standing::{Standing, State};
use crate::host::Role;

const APART: &str = "upgrade.apart";

/// Whether somebody changes the other half at the same time: agents that are replaced while their
/// controller is lose the builds that this one would find again.
pub fn check(survey: &Survey, _: &Ask) -> Vec<Finding> {
    let relations = match &survey.relations {
        Err(gap) => {
            let what = "whether the controller and its agents are changed at the same time";
            return vec![Finding::untold(APART, what, gap)];
        }
        Ok(relations) => relations,
    };
    let role = survey.subject.part.role;
    let strays = relations.strays.iter().map(|(group, who)| stray(survey, group, who));
    apart(survey, role, relations).into_iter().chain(strays).collect()
}

/// Agents that are being changed, and may be this controller's.
fn stray(survey: &Survey, group: &str, who: &str) -> Finding {
    let says = format!(
        "{group} is being changed, and whose agents these are is not known: if this controller's, builds \
         lose both at once"
    );
    let own = &survey.subject.group.name;
    Finding::new(APART, Verdict::Warn, says)
        .shown_by(format!("{who} holds /hostkit/asg/{group}/lock"))
        .mended_by(format!(
            "if they are, wait until they serve again; the next time: hostkit upgrade --asg {group} \
             --controller-asg {own}"
        ))
}

fn apart(survey: &Survey, role: Role, relations: &Relations) -> Vec<Finding> {
    let unknown = role == Role::Agent && relations.controller.is_none();
    if unknown {
        let says = "whose agents these are is not known: whether their controller is being replaced, \
                    and whether the new ones come online there, is not looked at";
        let finding = Finding::new(APART, Verdict::Warn, says);
        return vec![finding.mended_by("name the controller's group: --controller-asg GROUP; it is found where its user-data names this \
             group in a pool (`[jenkins.pools.NAME] asg = \"GROUP\"`)")];
    }
    let held: Vec<_> = relations.locks.iter().collect();
    if held.is_empty() {
        let others: Vec<_> = relations.apart().collect();
        if others.is_empty() {
            return Vec::new();
        }
        let says = format!("{} is not being changed", others.join(", "));
        return vec![Finding::new(APART, Verdict::Pass, says)];
    }
    let other = if role == Role::Controller { "its agents" } else { "their controller" };
    held.into_iter()
        .map(|(group, who)| {
            let says = format!(
                "{group} is being changed, and a controller and its agents are never replaced in \
                 one step: builds would lose both at once"
            );
            Finding::new(APART, Verdict::Fail, says)
                .shown_by(format!("{who} holds /hostkit/asg/{group}/lock"))
                .mended_by(format!(
                    "wait until {other} serve again; or, if nobody is at work there:"
                ))
                .mended_by(format!(
                    "hostkit upgrade --asg {group} --resume --region {}",
                    survey.subject.region
                ))
        })
        .collect()
}

/// What the controller still has to say of its `new` agents; none when it knows them and is connected
/// to all that it knows. Those that went it forgets when they are gone.
pub fn missing(standing: Option<&Standing>, new: usize) -> Option<String> {
    let Some(standing) = standing else {
        return Some("their controller says nothing of itself".to_owned());
    };
    if matches!(standing.state, State::Draining | State::Drained) {
        return Some("their controller goes".to_owned());
    }
    let Some(agents) = standing.proof.as_ref().and_then(|proof| proof.agents) else {
        return Some("their controller does not say how many agents it has".to_owned());
    };
    let known = usize::try_from(agents.known).unwrap_or(usize::MAX);
    if known < new {
        return Some(format!("their controller knows {known} agents, and there are {new}"));
    }
    let off = agents.known.saturating_sub(agents.online);
    (off > 0).then(|| format!("{off} of {known} agents of their controller are not online"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::standing::{Agents, Proof};

    fn standing(known: u32, online: u32) -> Standing {
        let agents = Some(Agents { known, online });
        let text = r#"{"version":1,"instance":"i-0c","state":"serving","builds":0,
            "since":"2026-11-27T03:00:00Z","why":null}"#;
        let bare: Standing = serde_json::from_str(text).unwrap();
        Standing { proof: Some(Proof { agents, ..Proof::default() }), ..bare }
    }

    #[test]
    fn agents_are_there_when_their_controller_knows_and_reaches_all() {
        assert_eq!(missing(Some(&standing(3, 3)), 3), None);
        assert_eq!(missing(Some(&standing(5, 5)), 3), None, "another pool is nobody's business");
        let told = |standing: Option<&Standing>| missing(standing, 3).unwrap();
        assert_eq!(told(None), "their controller says nothing of itself");
        let few = "their controller knows 2 agents, and there are 3";
        assert_eq!(told(Some(&standing(2, 2))), few);
        let off = "1 of 4 agents of their controller are not online";
        assert_eq!(told(Some(&standing(4, 3))), off);
        let going = Standing { state: State::Draining, ..standing(3, 3) };
        assert_eq!(told(Some(&going)), "their controller goes");
        let silent = Standing { proof: None, ..standing(3, 3) };
        assert!(told(Some(&silent)).contains("does not say"));
    }
}
