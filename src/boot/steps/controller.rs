//! What a controller does: its home is mounted, proven to be free, and served by Jenkins.

use std::time::Duration;

use futures::FutureExt as _;

use super::{CONFIG, HOOK, HOSTNAME, IDENTITY, LOGIN, MOUNTS, Step, lifecycle};
use crate::boot::{home, jenkins, keys, lease, mount, plugins, ready, render, target};

/// What a controller does.
pub(super) static TABLE: &[Step] = &[
    IDENTITY,
    HOSTNAME,
    CONFIG,
    LOGIN,
    HOOK,
    MOUNTS,
    Step {
        name: "keys",
        title: "getting keys from Parameter Store",
        after: &["config"],
        timeout: Duration::from_mins(3),
        required: true,
        run: |context| keys::run(context).boxed_local(),
    },
    Step {
        name: "efs",
        title: "mounting the home",
        after: &["config"],
        timeout: Duration::from_mins(5),
        required: true,
        run: |context| mount::run(context).boxed_local(),
    },
    Step {
        name: "lease",
        title: "making sure that nobody else holds the home",
        after: &["efs"],
        // As long as another controller may be alive. A replacement would find the same and could
        // only wait, too.
        timeout: Duration::from_hours(12),
        required: true,
        run: |context| lease::run(context).boxed_local(),
    },
    Step {
        name: "home",
        title: "preparing the home",
        after: &["lease"],
        timeout: Duration::from_mins(2),
        required: true,
        run: |context| home::run(context).boxed_local(),
    },
    Step {
        name: "plugins",
        title: "putting the plugins of the image into the home",
        after: &["home"],
        timeout: Duration::from_mins(21),
        required: true,
        run: |context| plugins::run(context).boxed_local(),
    },
    Step {
        name: "render",
        title: "rendering the configuration of Jenkins",
        after: &["home", "keys"],
        timeout: Duration::from_mins(1),
        required: true,
        run: |context| render::run(context).boxed_local(),
    },
    Step {
        name: "jenkins",
        title: "starting Jenkins",
        after: &["render", "plugins", "mounts", "hostname"],
        // `jenkins.start_timeout` ends it earlier.
        timeout: Duration::from_mins(140),
        required: true,
        run: |context| jenkins::run(context).boxed_local(),
    },
    Step {
        name: "ready",
        title: "proving that Jenkins serves from the home",
        after: &["jenkins"],
        timeout: Duration::from_mins(3),
        required: true,
        run: |context| ready::run(context).boxed_local(),
    },
    Step {
        name: "target",
        title: "becoming a healthy target of the load balancer",
        after: &["ready", "hook"],
        timeout: Duration::from_mins(16),
        required: true,
        run: |context| target::run(context).boxed_local(),
    },
    lifecycle(&["target", "hook"]),
    Step {
        name: "traffic",
        title: "watching the load balancer find this host healthy",
        after: &["lifecycle"],
        timeout: Duration::from_mins(16),
        // It serves. Why nobody reaches it is often not the fault of the host.
        required: false,
        run: |context| target::watch(context).boxed_local(),
    },
];
