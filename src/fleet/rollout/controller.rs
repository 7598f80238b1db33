//! Whose agents a group has, found out: the controller whose user-data names the group in one of its
//! pools. Changes nothing.
//!
//! Controllers are found by what their guards say of themselves in Parameter Store. One whose pools are
//! named by a tag, and not by a group, is not found: then somebody has to say it.

use aws_config::SdkConfig;
use futures::future::join_all;

use super::relations::pools;
use crate::aws::{Failure, inventory};
use crate::doctor::group::user_data;

/// Below it every group has its parameters.
const GROUPS: &str = "/hostkit/asg";
/// What guards say of their hosts.
const HOST: &str = "/host";
/// So many controllers are asked for what they are told.
const MOST: usize = 20;

/// The controller of a group of agents. None where none names it, several do, or it may not be looked.
pub(super) async fn of(config: &SdkConfig, agents: &str) -> Result<Option<String>, Failure> {
    let found = match inventory::below(config, GROUPS).await {
        Err(failure) if failure.is_denied() => return Ok(None),
        found => found?,
    };
    let names = found.iter().filter_map(|parameter| group(&parameter.name)).take(MOST);
    let told = names.map(async |name| {
        let told = user_data(config, name).await?;
        let its = told.as_deref().map(pools).unwrap_or_default();
        Ok(its.iter().any(|pool| pool == agents).then(|| name.to_owned()))
    });
    let told: Result<Vec<_>, Failure> = join_all(told).await.into_iter().collect();
    let mut all = told?.into_iter().flatten();
    // Two that have the same agents: one of them is a mistake, and nobody knows which.
    Ok(all.next().filter(|_| all.next().is_none()))
}

/// The group whose guard has spoken here.
fn group(parameter: &str) -> Option<&str> {
    let group = parameter.strip_prefix(GROUPS)?.strip_prefix('/')?.strip_suffix(HOST)?;
    (!group.contains('/')).then_some(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_guard_says_names_a_controller() {
        assert_eq!(group("/hostkit/asg/ci/host"), Some("ci"));
        for other in ["/hostkit/asg/ci/lock", "/hostkit/asg/host", "/hostkit/asg/a/b/host", "/x"] {
            assert_eq!(group(other), None, "{other}");
        }
    }
}
