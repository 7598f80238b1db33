//! A group of container hosts: who drains them, and whether the cluster has the new ones. Pure.

use super::Ask;
use super::survey::Survey;
use crate::aws::ecs::Container;
use crate::doctor::{Finding, Verdict};
use crate::host::Role;

const DRAINING: &str = "ecs.draining";
const PROTECTED: &str = "group.protected";

/// Who drains the hosts, and whether a refresh would wait for those that ECS protects.
pub fn check(survey: &Survey, _: &Ask) -> Vec<Finding> {
    if survey.subject.part.role != Role::Ecs {
        return Vec::new();
    }
    let relations = match &survey.relations {
        Err(gap) => return vec![Finding::untold(DRAINING, "who drains container hosts", gap)],
        Ok(relations) => relations,
    };
    let Some(cluster) = &relations.cluster else {
        let says = "which cluster these hosts are in is not known: whether it has the new ones is not \
                    looked at";
        let finding = Finding::new(DRAINING, Verdict::Warn, says);
        return vec![
            finding.mended_by("say [ecs] cluster in the user-data of the launch template"),
        ];
    };
    let name = &cluster.name;
    let finding = match &cluster.provider {
        None => {
            let says =
                format!("the hosts of {name} drain themselves: no capacity provider has them");
            Finding::new(DRAINING, Verdict::Pass, says)
        }
        Some(provider) if provider.drains => {
            let says = format!(
                "ECS drains the hosts of {name}, by the capacity provider {}",
                provider.name
            );
            Finding::new(DRAINING, Verdict::Pass, says)
        }
        Some(provider) => {
            let says = format!(
                "the hosts of {name} drain themselves: managed draining of the capacity provider {} is \
                 off",
                provider.name
            );
            Finding::new(DRAINING, Verdict::Pass, says)
        }
    };
    vec![finding]
}

/// Hosts that ECS itself protects are no obstacle: they are replaced, and drained before.
pub fn forgive(survey: &Survey, findings: &mut [Finding]) {
    let Ok(relations) = &survey.relations else { return };
    if !relations.protects() {
        return;
    }
    for finding in findings.iter_mut().filter(|it| it.id == PROTECTED) {
        let says = "ECS protects hosts with tasks from scale-in: they are replaced all the same, and \
                    drained before they go";
        *finding = Finding::new(PROTECTED, Verdict::Pass, says);
    }
}

/// What the cluster still lacks of its new hosts, or has of `former` ones; none when it has each new
/// one, takes tasks there and is in touch with its agent.
pub fn missing(cluster: &[Container], new: &[&str], former: &[String]) -> Option<String> {
    let of = |id: &str| cluster.iter().find(|it| it.instance == id);
    for id in new {
        match of(id) {
            None => return Some(format!("the cluster does not have {id} yet")),
            Some(it) if it.state != "ACTIVE" => {
                return Some(format!("{id} is {} in its cluster", it.state));
            }
            Some(it) if !it.connected => {
                return Some(format!("ECS is not in touch with the agent of {id}"));
            }
            Some(_) => {}
        }
    }
    let left = former.iter().filter(|id| !new.contains(&id.as_str())).find(|id| of(id).is_some());
    left.map(|id| format!("the cluster still has {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(instance: &str, state: &str, connected: bool) -> Container {
        Container { instance: instance.to_owned(), state: state.to_owned(), connected }
    }

    #[test]
    fn the_cluster_has_each_new_host_and_none_of_the_old_ones() {
        let former = ["i-1".to_owned(), "i-2".to_owned()];
        let all = |cluster: &[Container]| missing(cluster, &["i-3", "i-4"], &former);
        let good = [host("i-3", "ACTIVE", true), host("i-4", "ACTIVE", true)];
        assert_eq!(all(&good), None);
        assert_eq!(all(&good[..1]).unwrap(), "the cluster does not have i-4 yet");
        let mut draining = good.clone();
        draining[1] = host("i-4", "DRAINING", true);
        assert_eq!(all(&draining).unwrap(), "i-4 is DRAINING in its cluster");
        let mut silent = good.clone();
        silent[0] = host("i-3", "ACTIVE", false);
        assert_eq!(all(&silent).unwrap(), "ECS is not in touch with the agent of i-3");
        let mut old = good.to_vec();
        old.push(host("i-2", "ACTIVE", false));
        assert_eq!(all(&old).unwrap(), "the cluster still has i-2");
        // Of other groups nothing is known.
        old[2] = host("i-9", "ACTIVE", false);
        assert_eq!(all(&old), None);
    }
}
