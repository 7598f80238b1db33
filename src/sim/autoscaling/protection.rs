//! `SetInstanceProtection`.

use super::{Asked, flag, group, list, members, named, validation};
use crate::sim::account::Account;
use crate::sim::http::Reply;

/// Protects instances from being chosen when their group shrinks, or does not any more.
pub(super) fn set(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    let name = named(asked)?;
    group(account, region, name)?;
    let protected = flag(asked, "ProtectedFromScaleIn")?
        .ok_or_else(|| validation("ProtectedFromScaleIn must be specified"))?;
    let ids = list(asked, "InstanceIds");
    let serving = members::serving(account, region, name, &ids)?;
    for id in serving {
        let found = account.instance_mut(&id).and_then(|(instance, _)| instance.member.as_mut());
        if let Some(member) = found {
            member.protected = protected;
        }
    }
    Ok(String::new())
}
