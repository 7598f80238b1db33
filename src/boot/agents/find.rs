//! Asks AWS for the agents of all pools: two calls for all of them together, and one for their keys.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;

use crate::aws::agents::{self, Found as Instance, Member};
use crate::aws::ssm;
use crate::error::Fault;
use crate::host::Pool;
use crate::jenkins::fleet::{self, Agent};

/// How many parameters one call may name.
const PARAMETERS: usize = 10;

/// What is known of the pools.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The pools whose host key is known, by name.
    pub(super) pools: BTreeMap<String, Known>,
    /// What is not as it should be, and what waits.
    pub(super) told: Vec<String>,
}

/// What is known of one pool.
#[derive(Debug)]
pub(super) struct Known {
    /// The kind and the key.
    pub(super) host_key: String,
    /// Sorted by their ids.
    pub(super) agents: Vec<Agent>,
}

/// The agents of all `pools`. `known` are the parameters with their host keys, where somebody has
/// asked for them already.
pub(super) async fn all(
    config: &SdkConfig,
    pools: &BTreeMap<String, Pool>,
    known: Option<&BTreeMap<String, String>>,
) -> Result<Found, Fault> {
    let keys = async {
        match known {
            Some(known) => Ok(known.clone()),
            None => keys(config, pools).await,
        }
    };
    let (keys, members, tagged) =
        futures::try_join!(keys, of_groups(config, pools), of_tags(config, pools))?;
    let mut found = Found::default();
    for (name, pool) in pools {
        let parameter = parameter(name, pool);
        let Some(host_key) = keys.get(&parameter).and_then(|text| fleet::host_key(text)) else {
            let why =
                if keys.contains_key(&parameter) { "holds no host key" } else { "is missing" };
            found.told.push(format!(
                "the agents of the pool `{name}` wait: the parameter `{parameter}` {why}, and no host \
                 is trusted without one; `hostkit keys generate --pool {name}` makes it"
            ));
            continue;
        };
        let instances = match &pool.asg {
            Some(group) => of_group(group, &members, &mut found.told),
            None => tagged.iter().filter(|it| it.pool.as_deref() == Some(name)).collect(),
        };
        let mut agents: Vec<_> =
            instances.into_iter().filter_map(|it| agent(it, &members, &mut found.told)).collect();
        agents.sort();
        agents.dedup_by(|a, b| a.id == b.id);
        found.pools.insert(name.clone(), Known { host_key, agents });
    }
    once_each(&mut found);
    Ok(found)
}

/// A node can be there once only, and two pools may have found the same instance.
fn once_each(found: &mut Found) {
    let mut seen = BTreeSet::new();
    for (name, known) in &mut found.pools {
        known.agents.retain(|agent| {
            let is_new = seen.insert(agent.id.clone());
            if !is_new {
                let id = &agent.id;
                found.told.push(format!("{id} is in another pool than `{name}` already"));
            }
            is_new
        });
    }
}

fn parameter(name: &str, pool: &Pool) -> String {
    pool.host_key.clone().unwrap_or_else(|| format!("/hostkit/pools/{name}/host_key.pub"))
}

/// The parameters that the host keys of `pools` are in.
pub(in crate::boot) fn parameters(pools: &BTreeMap<String, Pool>) -> Vec<String> {
    let names: BTreeSet<_> = pools.iter().map(|(name, pool)| parameter(name, pool)).collect();
    names.into_iter().collect()
}

/// The values of the parameters that there are.
async fn keys(
    config: &SdkConfig,
    pools: &BTreeMap<String, Pool>,
) -> Result<BTreeMap<String, String>, Fault> {
    let names = parameters(pools);
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut keys = BTreeMap::new();
    for names in names.chunks(PARAMETERS) {
        let found = ssm::parameters(config, names).await?;
        let value = |name: &&str| Some(((*name).to_owned(), found.values.get(name)?.to_owned()));
        keys.extend(names.iter().filter_map(value));
    }
    Ok(keys)
}

/// What the groups of the pools have.
#[derive(Debug, Default)]
struct Groups {
    members: BTreeMap<String, Vec<Member>>,
    instances: BTreeMap<String, Instance>,
}

async fn of_groups(config: &SdkConfig, pools: &BTreeMap<String, Pool>) -> Result<Groups, Fault> {
    let groups: BTreeSet<_> = pools.values().filter_map(|pool| pool.asg.as_deref()).collect();
    if groups.is_empty() {
        return Ok(Groups::default());
    }
    let groups: Vec<_> = groups.into_iter().collect();
    let members = agents::members(config, &groups).await?;
    let ids: Vec<_> = members.values().flatten().map(|member| member.id.clone()).collect();
    let instances = agents::running(config, &ids).await?;
    let instances = instances.into_iter().map(|it| (it.id.clone(), it)).collect();
    Ok(Groups { members, instances })
}

async fn of_tags(
    config: &SdkConfig,
    pools: &BTreeMap<String, Pool>,
) -> Result<Vec<Instance>, Fault> {
    let names = pools.iter().filter(|(_, pool)| pool.asg.is_none());
    let names: Vec<_> = names.map(|(name, _)| name.as_str()).collect();
    Ok(agents::tagged(config, &names).await?)
}

fn of_group<'a>(group: &str, groups: &'a Groups, told: &mut Vec<String>) -> Vec<&'a Instance> {
    let Some(members) = groups.members.get(group) else {
        told.push(format!("there is no Auto Scaling group `{group}` in this region"));
        return Vec::new();
    };
    members.iter().filter_map(|member| groups.instances.get(&member.id)).collect()
}

fn agent(instance: &Instance, groups: &Groups, told: &mut Vec<String>) -> Option<Agent> {
    let id = &instance.id;
    let Some(address) = instance.address else {
        told.push(format!("{id} waits: EC2 does not tell its address yet"));
        return None;
    };
    let mut members = groups.members.values().flatten();
    let is_leaving =
        instance.is_draining || members.any(|member| member.id == *id && member.is_leaving);
    let labels = instance.labels.as_deref().map(fleet::labels).unwrap_or_default();
    Some(Agent { id: id.clone(), address, labels, is_leaving })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_that_two_pools_have_found_is_one_node() {
        let agent = |id: &str| Agent {
            id: id.to_owned(),
            address: "10.0.0.1".parse().unwrap(),
            labels: Vec::new(),
            is_leaving: false,
        };
        let known = |ids: &[&str]| Known {
            host_key: String::new(),
            agents: ids.iter().map(|id| agent(id)).collect(),
        };
        let mut found = Found::default();
        found.pools.insert("a".into(), known(&["i-1", "i-2"]));
        found.pools.insert("b".into(), known(&["i-2", "i-3"]));
        once_each(&mut found);
        assert_eq!(found.pools["b"].agents, [agent("i-3")]);
        assert_eq!(found.told, ["i-2 is in another pool than `b` already"]);
    }
}
