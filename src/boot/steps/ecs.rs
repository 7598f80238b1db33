//! What a container host does: it joins its cluster, and its containers stay containers.

use std::time::Duration;

use futures::FutureExt as _;

use super::{CONFIG, HOOK, HOSTNAME, IDENTITY, LOGIN, MOUNTS, Step, lifecycle};
use crate::boot::ecs;

/// What a container host does.
pub(super) static TABLE: &[Step] = &[
    IDENTITY,
    HOSTNAME,
    CONFIG,
    LOGIN,
    HOOK,
    MOUNTS,
    Step {
        name: "shield",
        title: "making sure that containers cannot ask the metadata service",
        after: &["config"],
        timeout: Duration::from_mins(1),
        required: true,
        run: |context| ecs::shield(context).boxed_local(),
    },
    Step {
        name: "render",
        title: "rendering the configuration of the ECS agent",
        // Whether it is in a warm pool is known from its group.
        after: &["config", "hook"],
        timeout: Duration::from_secs(30),
        required: true,
        run: |context| ecs::render(context).boxed_local(),
    },
    Step {
        name: "state",
        title: "removing what the ECS agent of another instance left",
        after: &["config"],
        timeout: Duration::from_mins(1),
        required: true,
        run: |context| ecs::state::run(context).boxed_local(),
    },
    Step {
        name: "docker",
        title: "starting Docker",
        // A container that runs before the shield is up has asked already, and one that runs before
        // its volume is mounted writes below it.
        after: &["shield", "mounts", "hostname"],
        timeout: Duration::from_mins(5),
        required: true,
        run: |context| ecs::docker(context).boxed_local(),
    },
    Step {
        name: "pool",
        title: "waiting in the warm pool, if there is one",
        after: &["docker", "render", "state"],
        // Until somebody needs it.
        timeout: Duration::from_hours(365 * 24),
        required: true,
        run: |context| ecs::pool::run(context).boxed_local(),
    },
    Step {
        name: "ecs",
        title: "starting the ECS agent",
        after: &["pool"],
        timeout: Duration::from_mins(10),
        required: true,
        run: |context| ecs::agent(context).boxed_local(),
    },
    Step {
        name: "joined",
        title: "proving that this host is in its cluster",
        after: &["ecs"],
        timeout: Duration::from_mins(5),
        required: true,
        run: |context| ecs::joined(context).boxed_local(),
    },
    Step {
        name: "active",
        title: "proving that ECS reaches this host",
        after: &["joined"],
        timeout: Duration::from_mins(5),
        required: true,
        run: |context| ecs::proof::run(context).boxed_local(),
    },
    lifecycle(&["active", "hook"]),
];
