//! Whose agents a group has, found out: the controller whose user-data names the group in one of its
//! pools. Changes nothing.
//!
//! Controllers are found by what their guards say of themselves in Parameter Store. One whose pools are
//! named by a tag, and not by a group, is not found: then somebody has to say it.

use aws_config::SdkConfig;
use futures::future::join_all;

use super::neighbours;
use super::relations::pools;
use crate::aws::Failure;
use crate::doctor::group::user_data;

/// So many controllers are asked at once for what they are told.
const AT_ONCE: usize = 20;

/// The controller of a group of agents. None where none names it, or several do.
pub(super) async fn of(config: &SdkConfig, agents: &str) -> Result<Option<String>, Failure> {
    let all = neighbours::all(config).await?;
    let speaking = all.into_iter().filter(|(_, it)| it.speaks).map(|(name, _)| name);
    let names: Vec<String> = speaking.collect();
    let mut found = Vec::new();
    for some in names.chunks(AT_ONCE) {
        let told = some.iter().map(async |name| {
            let told = user_data(config, name).await?;
            let its = told.as_deref().map(pools).unwrap_or_default();
            Ok(its.iter().any(|pool| pool == agents).then(|| name.clone()))
        });
        let told: Result<Vec<_>, Failure> = join_all(told).await.into_iter().collect();
        found.extend(told?.into_iter().flatten());
    }
    // Two that have the same agents: one of them is a mistake, and nobody knows which.
    Ok(if found.len() == 1 { found.pop() } else { None })
}
