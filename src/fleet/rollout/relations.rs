//! Who else is concerned when the hosts of a group are replaced: the agents of a controller, the
//! controller of agents, the cluster of container hosts. Read before anything is decided.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use serde::Deserialize;

use super::crowd::{self, Crowd};
use super::neighbours::{self, Neighbour};
use super::{Ask, controller, lock};
use crate::aws::ecs::{self, Provider};
use crate::aws::{Failure, ssm};
use crate::doctor::group::Subject;
use crate::host::{Layer, Role, section};

/// The cluster of container hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// The capacity provider that has the group.
    pub provider: Option<Provider>,
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relations {
    /// The group of the controller, of agents.
    pub controller: Option<String>,
    /// The groups of the agents, of a controller.
    pub agents: Vec<String>,
    /// The cluster, of container hosts.
    pub cluster: Option<Cluster>,
    /// Those of the groups above that are being changed, and by whom.
    pub locks: BTreeMap<String, String>,
    /// Groups of agents that are being changed, by whom, and nobody knows whose agents they are.
    pub strays: BTreeMap<String, String>,
}

impl Relations {
    /// Reads them.
    pub async fn read(config: &SdkConfig, ask: &Ask, subject: &Subject) -> Result<Self, Failure> {
        let mut found = match subject.part.role {
            Role::Controller => agents(config, subject).await?,
            Role::Agent => {
                let controller = match &ask.controller {
                    Some(said) => Some(said.clone()),
                    None => controller::of(config, &subject.group.name).await?,
                };
                Self { controller, ..Self::default() }
            }
            Role::Ecs => Self { cluster: cluster(config, subject).await?, ..Self::default() },
        };
        let groups: Vec<String> = found.apart().map(str::to_owned).collect();
        let names: Vec<String> = groups.iter().map(|group| lock::parameter(group)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        if !names.is_empty() {
            let held = ssm::parameters(config, &names).await?.values;
            for (group, name) in groups.into_iter().zip(names) {
                if let Some(text) = held.get(name) {
                    found.locks.insert(group, holder(text));
                }
            }
        }
        Ok(found)
    }

    /// The groups that are not changed at the same time.
    pub fn apart(&self) -> impl Iterator<Item = &str> {
        self.controller.iter().chain(&self.agents).map(String::as_str)
    }

    /// Whether ECS protects hosts with tasks from scale-in.
    pub fn protects(&self) -> bool {
        let provider = self.cluster.as_ref().and_then(|cluster| cluster.provider.as_ref());
        provider.is_some_and(|provider| provider.protects)
    }

    /// What follows for a group that wants so many hosts.
    pub fn crowd(&self, role: Role, desired: u32) -> Crowd {
        Crowd {
            bounds: (role != Role::Controller).then(|| crowd::bounds(desired)),
            protected: self.protects(),
            controller: self.controller.clone(),
            cluster: self.cluster.as_ref().map(|cluster| cluster.name.clone()),
            apart: self.apart().map(str::to_owned).collect(),
        }
    }
}

pub(super) fn holder(text: &str) -> String {
    let lock: Result<lock::Lock, _> = serde_json::from_str(text);
    lock.map_or_else(|_| "somebody".to_owned(), |lock| lock.operator.who)
}

/// The agents of a controller: the groups that its pools name, and those that were rolled as its own.
async fn agents(config: &SdkConfig, subject: &Subject) -> Result<Relations, Failure> {
    let own = subject.group.name.as_str();
    let mut agents = subject.user_data().map(pools).unwrap_or_default();
    let all = neighbours::all(config).await?;
    agents.extend(neighbours::rolled_as_agents(&all, own));
    agents.sort_unstable();
    agents.dedup();
    let nobodys = |name: &str, it: &Neighbour| {
        it.role == Some(Role::Agent)
            && it.controller.is_none()
            && !agents.iter().any(|agents| agents == name)
    };
    let strays = all.into_iter().filter(|(name, it)| name != own && nobodys(name, it));
    let strays = strays.filter_map(|(name, it)| Some((name, it.held?))).collect();
    Ok(Relations { agents, strays, ..Relations::default() })
}

/// The groups of the pools that the user-data of a controller names. One that names none has its
/// agents by a tag, which is of no group.
pub(super) fn pools(text: &str) -> Vec<String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Jenkins {
        pools: BTreeMap<String, Pool>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Pool {
        asg: Option<String>,
    }
    let jenkins: Jenkins = section(&[Layer { origin: "user-data", text }], "jenkins");
    jenkins.pools.into_values().filter_map(|pool| pool.asg).collect()
}

async fn cluster(config: &SdkConfig, subject: &Subject) -> Result<Option<Cluster>, Failure> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Ecs {
        cluster: Option<String>,
    }
    let said = subject.user_data().and_then(|text| {
        let ecs: Ecs = section(&[Layer { origin: "user-data", text }], "ecs");
        ecs.cluster
    });
    let name = match said {
        Some(name) => Some(name),
        None => match subject.group.in_service().next() {
            Some(member) => ecs::cluster_of(config, &member.id).await?,
            None => None,
        },
    };
    let Some(name) = name else { return Ok(None) };
    let provider = ecs::provider(config, &name, &subject.group.name).await?;
    Ok(Some(Cluster { name, provider }))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn no_pool_of_a_controller_is_left_out() {
        let mut text = String::from("[jenkins.pools.tagged]\ntag = \"ci\"\n");
        for number in 0..25 {
            let _ = write!(text, "[jenkins.pools.p{number}]\nasg = \"agents-{number}\"\n");
        }
        assert_eq!(pools(&text).len(), 25);
    }
}
