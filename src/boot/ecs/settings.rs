//! What the ECS agent is told: `/etc/ecs/ecs.config`. Pure.
//!
//! systemd and Docker both read it, each by its own rules of quoting, so nothing is quoted: the
//! types of `host.toml` let in only what needs no quotes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::host::Ecs;

/// What ECS calls the cluster of a host that names none.
pub(super) const DEFAULT_CLUSTER: &str = "default";

/// What the system, Docker and the ECS agent need beside the tasks, in MiB: never less, …
const RESERVED_LEAST: u64 = 256;
/// … never more, …
const RESERVED_MOST: u64 = 2048;
/// … between them this part of the memory, …
const RESERVED_PART: u64 = 32;
/// … and on the smallest hosts no more than this part.
const RESERVED_LARGEST_PART: u64 = 4;

/// What is known of a host beside what it is told to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// Its region.
    pub(super) region: &'a str,
    /// Where AWS is, if that is not in the region.
    pub(super) endpoint: Option<&'a str>,
    /// Its memory, in bytes.
    pub(super) memory: u64,
    /// Whether it is in a warm pool.
    pub(super) warm: bool,
}

pub(super) fn render(ecs: &Ecs, place: Place<'_>) -> String {
    let mut out =
        "# Rendered by hostkit at boot; what is changed here is lost at the next one.\n".to_owned();
    let mut say = |name: &str, value: &str| {
        writeln!(out, "{name}={value}").expect("a string takes everything");
    };
    say("ECS_CLUSTER", ecs.cluster.as_deref().unwrap_or(DEFAULT_CLUSTER));
    say("AWS_DEFAULT_REGION", place.region);
    if let Some(url) = place.endpoint {
        say("ECS_BACKEND_HOST", url);
    }
    // Tasks with a network card of their own; the shield keeps away all others.
    say("ECS_AWSVPC_BLOCK_IMDS", "true");
    say("ECS_ENABLE_SPOT_INSTANCE_DRAINING", if ecs.spot_draining { "true" } else { "false" });
    // Tasks have roles of their own: that of the host is out of their reach.
    for name in ["ECS_ENABLE_TASK_IAM_ROLE", "ECS_ENABLE_TASK_IAM_ROLE_NETWORK_HOST"] {
        if !ecs.settings.contains_key(name) {
            say(name, "true");
        }
    }
    if place.warm {
        say("ECS_WARM_POOLS_CHECK", "true");
    }
    if !ecs.attributes.is_empty() {
        say("ECS_INSTANCE_ATTRIBUTES", &json(&ecs.attributes));
    }
    if !ecs.tags.is_empty() {
        say("ECS_CONTAINER_INSTANCE_TAGS", &json(&ecs.tags));
    }
    if ecs.propagate_tags {
        say("ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM", "ec2_instance");
    }
    let reserved = ecs.reserved_memory.map_or_else(|| reserved(place.memory), u64::from);
    say("ECS_RESERVED_MEMORY", &reserved.to_string());
    for (name, value) in &ecs.settings {
        say(name, value);
    }
    out
}

fn json(map: &BTreeMap<String, String>) -> String {
    serde_json::to_string(map).expect("a map of text is plain data")
}

/// How much of the memory, in bytes, is kept from tasks where nothing else is said: in MiB.
fn reserved(memory: u64) -> u64 {
    let mib = memory >> 20;
    (mib / RESERVED_PART).clamp(RESERVED_LEAST, RESERVED_MOST).min(mib / RESERVED_LARGEST_PART)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(text: &str, warm: bool) -> String {
        let ecs: Ecs = toml::from_str(text).unwrap();
        render(&ecs, Place { region: "eu-west-1", endpoint: None, memory: 16 << 30, warm })
    }

    #[test]
    fn the_agents_configuration_reads_like_this() {
        insta::assert_snapshot!(rendered(
            "cluster = 'builds'\npropagate_tags = true\nspot_draining = false\n\
             [attributes]\npool = 'large'\n[tags]\nteam = 'build and test'\n\
             [settings]\nECS_IMAGE_PULL_BEHAVIOR = 'once'\nECS_ENABLE_TASK_IAM_ROLE = 'false'\n",
            true
        ));
    }

    #[test]
    fn what_is_said_of_the_memory_wins() {
        assert!(rendered("reserved_memory = 100", false).contains("\nECS_RESERVED_MEMORY=100\n"));
        let unsaid = rendered("", false);
        assert!(unsaid.contains("\nECS_RESERVED_MEMORY=512\n"), "{unsaid}");
        assert!(!unsaid.contains("WARM_POOLS"), "{unsaid}");
    }

    #[test]
    fn the_host_keeps_a_part_of_its_memory() {
        let of_gib = |gib: u64| reserved(gib << 30);
        assert_eq!([1, 4, 8, 16, 64, 384].map(of_gib), [256, 256, 256, 512, 2048, 2048]);
        assert_eq!(reserved(512 << 20), 128);
    }
}
