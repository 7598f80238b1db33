//! What a build agent does: it lets the controller in by SSH.

use std::time::Duration;

use futures::FutureExt as _;

use super::{CONFIG, HOOK, HOSTNAME, IDENTITY, LOGIN, MOUNTS, Step, lifecycle};
use crate::boot::{authorize, host_key, sshd};

/// What a build agent does.
pub(super) static TABLE: &[Step] = &[
    IDENTITY,
    HOSTNAME,
    CONFIG,
    LOGIN,
    HOOK,
    MOUNTS,
    Step {
        name: "keys",
        title: "letting the controller's keys in",
        after: &["config"],
        timeout: Duration::from_mins(3),
        required: true,
        run: |context| authorize::run(context).boxed_local(),
    },
    Step {
        name: "host-key",
        title: "taking the host key of the pool",
        after: &["keys"],
        timeout: Duration::from_mins(1),
        required: true,
        run: |context| host_key::run(context).boxed_local(),
    },
    Step {
        name: "sshd",
        title: "proving that SSH answers",
        after: &["host-key"],
        timeout: Duration::from_mins(3),
        required: true,
        run: |context| sshd::run(context).boxed_local(),
    },
    lifecycle(&["sshd", "mounts", "hook", "hostname"]),
];
