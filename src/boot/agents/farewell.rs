//! Agents that are about to go are taken offline in Jenkins, and let go when nothing runs there.
//!
//! The guard of such an agent waits until the controller has hung up: so nothing begins on a host that
//! has decided to go, and nothing dies on it that runs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::find::Found;
use super::refresh::STEP;
use crate::event::Events;
use crate::jenkins::offline::{Deed, Farewell, Node};
use crate::jenkins::{Client, Trouble};

/// So often Jenkins is looked at while agents leave, in pauses.
const LOOK: u32 = 3;

/// After so many looks AWS is asked again which agents there are.
const LOOKS: u32 = 7;

/// Who leaves and who stays, by the names of their nodes.
#[derive(Debug, Default)]
pub(super) struct Moving {
    leaving: BTreeSet<String>,
    staying: BTreeSet<String>,
}

impl Moving {
    pub(super) fn of(found: &Found) -> Self {
        let mut moving = Self::default();
        for agent in found.pools.values().flat_map(|known| &known.agents) {
            let side = if agent.is_leaving { &mut moving.leaving } else { &mut moving.staying };
            side.insert(agent.id.clone());
        }
        moving
    }

    /// Whether nobody leaves.
    pub(super) fn is_idle(&self) -> bool {
        self.leaving.is_empty()
    }
}

/// What is left when the looks are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// Nobody waits.
    Nobody,
    /// Agents wait for their builds.
    Some,
}

/// How it went.
#[derive(Debug)]
pub(super) struct Went {
    /// Whether anything was done.
    pub(super) changed: bool,
    /// Whether somebody still waits.
    pub(super) left: Left,
}

/// Looks at Jenkins until nobody waits any more, or AWS is to be asked again.
///
/// # Errors
/// Jenkins does not answer, or does not let hostkit do it.
pub(super) async fn watch(
    client: &Client,
    farewell: &mut Farewell,
    moving: &Moving,
    pause: Duration,
    events: &Events,
) -> Result<Went, Trouble> {
    let mut changed = false;
    for look in 0..LOOKS {
        let nodes = client.standings().await?;
        for deed in farewell.decide(&nodes, &moving.leaving, &moving.staying) {
            if let Err(trouble) = client.carry_out(&deed).await {
                farewell.undo(&deed);
                return Err(trouble);
            }
            events.log(STEP, tell(&deed, &nodes));
            changed = true;
        }
        if farewell.waiting(&nodes, &moving.leaving).next().is_none() {
            return Ok(Went { changed, left: Left::Nobody });
        }
        if look + 1 < LOOKS {
            tokio::time::sleep(pause * LOOK).await;
        }
    }
    Ok(Went { changed, left: Left::Some })
}

fn tell(deed: &Deed, nodes: &[Node]) -> String {
    match deed {
        Deed::TakeOffline(name) => {
            let busy = nodes.iter().any(|node| node.name == *name && node.is_busy);
            let builds = if busy { "; what it builds it finishes" } else { "" };
            format!("{name} is about to go: no build begins there any more{builds}")
        }
        Deed::LetGo(name) => format!("{name} builds nothing any more: it is let go"),
        Deed::GiveBack(name) => format!("{name} stays after all: it builds again"),
    }
}
