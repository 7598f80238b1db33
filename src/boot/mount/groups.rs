//! The security groups of both sides, for the one message in which they are the cure: packets that
//! are dropped.

use std::time::Duration;

use crate::aws::efs;
use crate::boot::context::Context;

/// Nobody waits longer for a better hint.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ids of security groups; none where they could not be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Groups {
    /// This host's.
    ours: Vec<String>,
    /// The mount target's.
    theirs: Vec<String>,
}

impl Groups {
    /// Asks the metadata service for those of this host, and EFS for those of `target`.
    pub(super) async fn ask(context: &Context, target: Option<&str>) -> Self {
        let ours = async { ours(context).await.unwrap_or_default() };
        let theirs = async { theirs(context, target).await.unwrap_or_default() };
        let both = async { tokio::join!(ours, theirs) };
        let (ours, theirs) = tokio::time::timeout(PATIENCE, both).await.unwrap_or_default();
        Self { ours, theirs }
    }

    /// What must be allowed.
    pub(super) fn hint(&self) -> String {
        let name = |ids: &[String], whose: &str| match ids {
            [] => format!("{whose} security group"),
            [id] => format!("{whose} security group {id}"),
            all => format!("{whose} security groups {}", all.join(", ")),
        };
        format!(
            "packets are dropped: let {} allow TCP 2049 from {}, and look at the network ACLs of \
             both subnets",
            name(&self.theirs, "the mount target's"),
            name(&self.ours, "this host's"),
        )
    }
}

async fn ours(context: &Context) -> Option<Vec<String>> {
    let imds = &context.must_know().imds;
    let mac = imds.get("/latest/meta-data/mac", |_| {}).await.ok()??;
    let path =
        format!("/latest/meta-data/network/interfaces/macs/{}/security-group-ids", mac.trim());
    let list = imds.get(&path, |_| {}).await.ok()??;
    // They end up in a message: nothing but ids.
    let is_id = |id: &&str| id.starts_with("sg-") && id.bytes().all(is_part);
    Some(list.lines().map(str::trim).filter(is_id).map(str::to_owned).collect())
}

const fn is_part(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

async fn theirs(context: &Context, target: Option<&str>) -> Option<Vec<String>> {
    efs::security_groups(context.aws().await.ok()?, target?).await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_names_what_is_known() {
        let groups = |ours: &[&str], theirs: &[&str]| {
            let own = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
            Groups { ours: own(ours), theirs: own(theirs) }.hint()
        };
        assert!(groups(&[], &[]).contains("let the mount target's security group allow TCP 2049"));
        let known = groups(&["sg-a", "sg-b"], &["sg-c"]);
        assert!(known.contains("security group sg-c allow TCP 2049 from"), "{known}");
        assert!(known.contains("this host's security groups sg-a, sg-b"), "{known}");
    }
}
