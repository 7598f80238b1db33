//! Whether the home is put back as the Jenkins of this image had left it: where a rollout of the group
//! goes back to this image, and only then. Read from Parameter Store; the home is not touched here.

use std::time::Duration;

use super::context::Context;
use super::inside::Former;
use super::lifecycle;
use crate::aws::ssm;
use crate::group::{Trouble, way_back};

/// The step `home` waits no longer for Parameter Store.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks the journal of the group's rollout. `served` is the image whose hosts have served the home since.
pub(super) async fn ask(context: &Context, served: &str) -> Former {
    match permission(context, served).await {
        Ok(rollout) => Former::PutBack(rollout),
        Err(why) => Former::Stay(why),
    }
}

async fn permission(context: &Context, served: &str) -> Result<String, String> {
    let us = lifecycle::us(context, "home").await.map_err(|fault| fault.to_string())?;
    let member = us.membership().await.map_err(|trouble| match trouble {
        Trouble::Passing(fault) | Trouble::Final(fault) => {
            format!("the group of this host is not known: {fault}")
        }
    })?;
    let Some(member) = member else { return Err("this host is in no group".to_owned()) };
    let name = way_back::parameter(&member.group);
    let limit = context.machine.limit(PATIENCE);
    let found = ssm::patiently(&us.aws, &[&name], limit)
        .await
        .map_err(|failure| format!("{name} cannot be read: {failure}"))?;
    let image = &context.must_know().identity.image_id;
    way_back::permitted(found.values.get(&name), image, served)
}
