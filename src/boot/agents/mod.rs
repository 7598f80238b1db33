//! The build agents of the pools: found in AWS, and told to Jenkins, at boot and whenever they change.
//!
//! An agent that is gone disappears, and one whose address is not known yet waits. Where AWS cannot be
//! asked, what Jenkins knows stays as it is. One that is about to go is taken offline, and let go when
//! nothing runs there.

mod farewell;
mod find;
mod refresh;

use std::net::IpAddr;
use std::time::Duration;

use super::context::Context;
use super::render::{FOLDER, STEP};
use crate::error::Fault;
use crate::host::HostConfig;
use crate::jenkins::casc;
use crate::jenkins::fleet::{self, Members, Place};

use find::Found;
pub(super) use find::parameters;
pub use refresh::refresh;

/// A controller can serve without agents, so its boot does not wait long for them.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is rendered of the agents.
pub(super) struct Agents {
    /// The file for Jenkins.
    pub(super) text: String,
    /// Why it may not be what there is now.
    pub(super) trouble: Option<String>,
}

/// The agents, for a boot: never an error.
pub(super) async fn find_all(context: &Context) -> Agents {
    let config = context.config();
    let place = place(context);
    if config.jenkins.pools.is_empty() {
        return Agents { text: render(config, None, &place), trouble: None };
    }
    let known = context.pool_keys.get();
    let work = async { find::all(context.aws().await?, &config.jenkins.pools, known).await };
    let found = match tokio::time::timeout(PATIENCE, work).await {
        Ok(found) => found,
        Err(_elapsed) => {
            Err(Fault::aws(format!("AWS did not name them within {} s", PATIENCE.as_secs())))
        }
    };
    match found {
        Ok(found) => {
            found.told.iter().for_each(|line| context.events.log(STEP, line));
            Agents { text: render(config, Some(&found), &place), trouble: None }
        }
        Err(fault) => {
            let path = context.machine.run(FOLDER).join(casc::FLEET);
            // Of an earlier run in this boot; else the nodes that Jenkins has in its home stay.
            let last = std::fs::read_to_string(path).ok();
            let text = last.unwrap_or_else(|| render(config, None, &place));
            let trouble = format!("the build agents are those of before: {fault}");
            context.events.log(STEP, &trouble);
            Agents { text, trouble: Some(trouble) }
        }
    }
}

fn place(context: &Context) -> Place<'_> {
    let identity = &context.must_know().identity;
    let region = context.config().aws.region.as_deref().unwrap_or(&identity.region);
    Place { region, account: &identity.account_id, address: IpAddr::V4(identity.private_ip) }
}

fn render(config: &HostConfig, found: Option<&Found>, place: &Place<'_>) -> String {
    let pools = &config.jenkins.pools;
    let members = found.map(|found| {
        let known = pools.iter().filter_map(|(name, pool)| {
            let known = found.pools.get(name)?;
            Some(Members { name, pool, host_key: &known.host_key, agents: &known.agents })
        });
        known.collect::<Vec<_>>()
    });
    fleet::fleet(members.as_deref(), &config.jenkins.clouds, place)
}
