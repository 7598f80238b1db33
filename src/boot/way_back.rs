//! Whether the home is put back as the Jenkins of this image had left it: where a rollout of the group
//! goes back to this image, or AWS takes its refresh back, and only then. Read from Parameter Store and
//! Auto Scaling; the home is not touched here.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::context::Context;
use super::inside::Former;
use super::lifecycle;
use crate::aws::asg::refresh;
use crate::aws::ssm;
use crate::group::way_back::{self, Begun, Permission};
use crate::group::{Trouble, Us, insist};

/// The step `home` waits no longer for Parameter Store, and no longer for Auto Scaling.
const PATIENCE: Duration = Duration::from_secs(20);

/// So many refreshes of the group are read; only the newest one counts.
const NEWEST: i32 = 2;

/// The other image whose hosts have served the home, and since when.
#[derive(Debug)]
pub(super) struct Served {
    /// `ami-…`
    pub(super) image: String,
    /// When they took it over, by the clock of the host that did.
    pub(super) since: Timestamp,
}

/// Who is asked: this host's group, about this image and the one that has served the home.
struct Asked<'a> {
    us: Us,
    group: String,
    image: &'a str,
    served: &'a Served,
    /// How long each call may take.
    limit: Duration,
}

/// Asks the journal of the group's rollout, and AWS what became of its refresh.
pub(super) async fn ask(context: &Context, served: &Served) -> Former {
    let permission = async { asked(context, served).await?.permission().await };
    match permission.await {
        Ok(rollout) => Former::PutBack(rollout),
        Err(why) => Former::Stay(why),
    }
}

async fn asked<'a>(context: &'a Context, served: &'a Served) -> Result<Asked<'a>, String> {
    let us = lifecycle::us(context, "home").await.map_err(|fault| fault.to_string())?;
    let member = us.membership().await.map_err(|trouble| match trouble {
        Trouble::Passing(fault) | Trouble::Final(fault) => {
            format!("the group of this host is not known: {fault}")
        }
    })?;
    let Some(member) = member else { return Err("this host is in no group".to_owned()) };
    let image = context.must_know().identity.image_id.as_str();
    let limit = context.machine.limit(PATIENCE);
    Ok(Asked { us, group: member.group, image, served, limit })
}

impl Asked<'_> {
    /// The id of the rollout that has the home put back.
    async fn permission(&self) -> Result<String, String> {
        let begun = match self.journal().await? {
            Permission::Given(rollout) => return Ok(rollout),
            Permission::OfRefresh(begun) => begun,
        };
        let why = match self.taken_back(begun).await {
            Ok(rollout) => return Ok(rollout),
            Err(why) => why,
        };
        // Somebody may have carried the rollout on in between: then the journal goes back.
        match self.journal().await {
            Ok(Permission::Given(rollout)) => Ok(rollout),
            _ => Err(why),
        }
    }

    async fn journal(&self) -> Result<Permission, String> {
        let name = way_back::parameter(&self.group);
        let found = ssm::patiently(&self.us.aws, &[&name], self.limit)
            .await
            .map_err(|failure| format!("{name} cannot be read: {failure}"))?;
        way_back::permission(found.values.get(&name), self.image, &self.served.image)
    }

    async fn taken_back(&self, begun: Begun) -> Result<String, String> {
        let until = Instant::now() + self.limit;
        let read = async || Ok(refresh::refreshes(&self.us.aws, &self.group, NEWEST).await?);
        let refreshes = insist(&self.us, until, read).await.map_err(|fault| {
            let rollout = &begun.rollout;
            format!("rollout {rollout} does not go back, and what AWS does is not known: {fault}")
        })?;
        begun.taken_back(&refreshes, self.served.since)
    }
}
