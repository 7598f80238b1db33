//! `[ecs]`.

use super::jenkins::is_cluster;
use super::words::made_of;
use super::{Look, key, named};
use crate::host::Ecs;

/// Variables of the ECS agent that have a key of their own, or that hostkit decides.
const OWN_VARIABLES: &[&str] = &[
    "ECS_AWSVPC_BLOCK_IMDS",
    "ECS_BACKEND_HOST",
    "ECS_CLUSTER",
    "ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM",
    "ECS_CONTAINER_INSTANCE_TAGS",
    "ECS_ENABLE_SPOT_INSTANCE_DRAINING",
    "ECS_INSTANCE_ATTRIBUTES",
    "ECS_RESERVED_MEMORY",
    "ECS_WARM_POOLS_CHECK",
];

/// More than any instance has, in MiB.
const MEMORY: u32 = 32 << 20;

impl Look {
    pub(super) fn ecs(&mut self, ecs: &Ecs) {
        if let Some(cluster) = &ecs.cluster {
            let hint = "wanted is the cluster's name or its ARN";
            self.require(is_cluster(cluster), key("ecs.cluster"), cluster, hint);
        }
        for (name, value) in &ecs.attributes {
            let part = |c: char| c.is_ascii_alphanumeric() || "-_./@ ".contains(c);
            for text in [name, value] {
                let hint = "wanted are 1 to 128 letters, digits, spaces and `- _ . / @`";
                self.require(made_of(text, 128, part), named("ecs.attributes", name), text, hint);
            }
        }
        self.tags(ecs);
        if let Some(memory) = ecs.reserved_memory {
            let hint = "wanted is memory in MiB, less than the machine has";
            self.require(memory < MEMORY, key("ecs.reserved_memory"), memory, hint);
        }
        for (name, value) in &ecs.settings {
            let part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            let good = name.starts_with("ECS_") && made_of(name, 128, part);
            let hint = "wanted is the name of a variable of the ECS agent, as ECS_LOGLEVEL";
            self.require(good, named("ecs.settings", name), name, hint);
            let own = OWN_VARIABLES.contains(&name.as_str());
            let hint = "hostkit sets this one, from the other keys of [ecs]";
            self.require(!own, named("ecs.settings", name), name, hint);
            // systemd and Docker read the file, each by its own rules of quoting: these need none.
            let plain = |c: char| (c.is_ascii_graphic() || c == ' ') && c != '\\';
            let good = !value.starts_with(['"', '\'']) && value.trim() == value;
            let good = good && value.chars().all(plain);
            let hint =
                "wanted is one line of plain ASCII without `\\`, and without quotes around it";
            // A value may be a password: only its name is told.
            self.require(good, named("ecs.settings", name), name, hint);
        }
    }

    fn tags(&mut self, ecs: &Ecs) {
        let part = |c: char| c.is_alphanumeric() || " +-=._:/@".contains(c);
        for (name, value) in &ecs.tags {
            let at = || named("ecs.tags", name);
            let good = made_of(name, 128, part) && !name.to_lowercase().starts_with("aws:");
            let hint = "a tag's name is made of 1 to 128 letters, digits, spaces and `+ - = . _ : / @`, \
                        and does not begin with aws:";
            self.require(good, at(), name, hint);
            let good = value.is_empty() || made_of(value, 256, part);
            let hint = "a tag's value is made of at most 256 letters, digits, spaces and \
                        `+ - = . _ : / @`";
            self.require(good, at(), value, hint);
        }
        let hint = "a container instance has at most 50 tags";
        self.require(ecs.tags.len() <= 50, key("ecs.tags"), ecs.tags.len(), hint);
    }
}
