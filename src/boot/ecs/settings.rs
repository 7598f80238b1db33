//! What the ECS agent is told: `/etc/ecs/ecs.config`. Pure.
//!
//! systemd and Docker both read it, each by its own rules of quoting, so nothing is quoted: the
//! types of `host.toml` let in only what needs no quotes.

use std::fmt::Write as _;

use crate::host::Ecs;

/// What ECS calls the cluster of a host that names none.
pub(super) const DEFAULT_CLUSTER: &str = "default";

pub(super) fn render(ecs: &Ecs, region: &str) -> String {
    let mut out =
        "# Rendered by hostkit at boot; what is changed here is lost at the next one.\n".to_owned();
    let mut say = |name: &str, value: &str| {
        writeln!(out, "{name}={value}").expect("a string takes everything");
    };
    say("ECS_CLUSTER", ecs.cluster.as_deref().unwrap_or(DEFAULT_CLUSTER));
    say("AWS_DEFAULT_REGION", region);
    // Tasks with a network card of their own; the shield keeps away all others.
    say("ECS_AWSVPC_BLOCK_IMDS", "true");
    say("ECS_ENABLE_SPOT_INSTANCE_DRAINING", if ecs.spot_draining { "true" } else { "false" });
    if !ecs.attributes.is_empty() {
        let json = serde_json::to_string(&ecs.attributes).expect("a map of text is plain data");
        say("ECS_INSTANCE_ATTRIBUTES", &json);
    }
    if let Some(mib) = ecs.reserved_memory {
        say("ECS_RESERVED_MEMORY", &mib.to_string());
    }
    for (name, value) in &ecs.settings {
        say(name, value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agents_configuration_reads_like_this() {
        let ecs: Ecs = toml::from_str(
            "cluster = 'builds'\nreserved_memory = 256\n[attributes]\npool = 'large'\n\
             [settings]\nECS_IMAGE_PULL_BEHAVIOR = 'once'\n",
        )
        .unwrap();
        insta::assert_snapshot!(render(&ecs, "eu-west-1"));
    }
}
