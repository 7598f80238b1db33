//! How long each stage of a drain may take: by what the host is for, and why it goes. Pure.

use super::drain::{Late, Moment, Row, Stage};
use crate::host::Role;

/// A spot instance is told two minutes ahead, and a clock may be wrong.
pub const SPOT_NOTICE: f64 = 120.0;

/// Builds get this much of it at most.
const SPOT_BUILDS: f64 = 60.0;
/// So long before the end Jenkins has ended, whatever it takes.
const SPOT_STOPPED: f64 = 45.0;
/// Jenkins gets so long to end by itself before that.
const SPOT_STOPPING: f64 = 15.0;
/// So long before the end the home is released.
const SPOT_RELEASED: f64 = 10.0;
/// So long before the end it is unmounted.
const SPOT_UNMOUNTED: f64 = 5.0;

/// How long a call to AWS may be tried that nobody waits for.
const CALL: f64 = 30.0;
/// How long a boot gets to end.
const BOOT: f64 = 30.0;
/// How long Jenkins may take to begin no more builds; one that does not answer is stopped all the same.
const QUIET: f64 = 30.0;
/// How long Jenkins may take to end. Its unit gives it as long.
const STOP: f64 = 150.0;
/// What was killed and is not gone by then hangs in the kernel.
const KILLED: f64 = 30.0;
/// How long the lease may take: a full cache has to reach the server.
const RELEASE: f64 = 330.0;
/// How long an unmount may take.
const UNMOUNT: f64 = 30.0;
/// How long the group may take to hear it.
const HOOK: f64 = 300.0;

/// What decides how long a drain may take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// What the host is for.
    pub role: Role,
    /// How long builds or tasks may go on, in seconds.
    pub patience: f64,
    /// When the host is gone whatever it does; `None`: when it says so.
    pub gone: Option<Moment>,
    /// Whether hostkit has registered the host with the load balancer.
    pub explicit: bool,
}

impl Budget {
    /// The stages in their order.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let mut put = |stage, limit: f64, until: Moment, late| {
            rows.push(Row { stage, limit, until, late });
        };
        let never = f64::INFINITY;
        // So long before the end, or never.
        let before = |seconds: f64| self.gone.map_or(never, |gone| (gone - seconds).max(0.0));
        let hurry = |usual: f64, spot: f64| if self.gone.is_some() { spot } else { usual };
        if self.explicit {
            put(Stage::Targets, hurry(CALL, 5.0), never, Late::GoOn);
        }
        put(Stage::Boot, hurry(BOOT, 5.0), never, Late::Force(5.0));
        match self.role {
            Role::Controller => {
                let builds = self.gone.map_or(self.patience, |_| {
                    before(SPOT_STOPPED + SPOT_STOPPING).min(SPOT_BUILDS).min(self.patience)
                });
                put(Stage::Quiet, hurry(QUIET, 10.0), builds.max(5.0), Late::GoOn);
                put(Stage::Builds, never, builds, Late::GoOn);
                // One that was noticed late gets some seconds all the same, if there are any.
                let some = (builds + SPOT_STOPPING).min(before(SPOT_RELEASED + SPOT_STOPPING));
                let stopped = before(SPOT_STOPPED).max(some);
                put(Stage::Stop, STOP, stopped, Late::Force(hurry(KILLED, 5.0)));
                put(Stage::Release, RELEASE, before(SPOT_RELEASED), Late::Insist);
                put(Stage::Unmount, UNMOUNT, before(SPOT_UNMOUNTED), Late::GoOn);
            }
            Role::Agent => {
                put(Stage::Sessions, never, self.patience.min(before(15.0)), Late::GoOn);
                put(Stage::Door, hurry(CALL, 5.0), before(5.0), Late::GoOn);
            }
            Role::Ecs => {
                put(Stage::Tasks, never, self.patience.min(before(20.0)), Late::GoOn);
                put(Stage::Stop, 60.0, before(10.0), Late::Force(5.0));
                put(Stage::Leave, hurry(CALL, 5.0), before(3.0), Late::GoOn);
            }
        }
        put(Stage::Hook, HOOK, never, Late::GoOn);
        rows
    }
}

/// Whether a hook is to be asked for more time at `now`, in seconds since the drain began. `last` is
/// when it was asked, or when it began to wait. It is asked three times as often as needed, so that
/// two may be lost; and not for ever.
pub fn beat_is_due(now: Moment, last: Moment, timeout: f64, at_most: f64) -> bool {
    now < at_most && now - last >= (timeout / 3.0).max(1.0)
}
