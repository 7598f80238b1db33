//! What the account saw of a boot, and when: seconds since power-on.
//!
//! The guest is not asked: everything here is seen from outside, so it is there for a boot that
//! hangs, too.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::event::Events;

/// Something worth knowing about a boot. Each is recorded the first time only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Milestone {
    /// QEMU runs.
    PowerOn,
    /// The boot loader has handed over to the kernel.
    Kernel,
    /// The instance has a metadata token.
    MetadataToken,
    /// It has read its user-data.
    UserData,
    /// It asked the Parameter Store.
    Parameters,
    /// It asked where its file system is mounted.
    MountTarget,
    /// It connected to the file system.
    FileSystem,
    /// It said that it is still at work.
    Heartbeat,
    /// Its launch hook got CONTINUE.
    Continue,
    /// Its launch hook got ABANDON.
    Abandon,
    /// Its launch hook waited longer than its heartbeat time-out.
    HookTimeout,
    /// Something was announced to it.
    Notice(String),
    /// Its group lets it go: its terminate hooks wait.
    Leaving,
    /// Its terminate hook got an answer.
    Drained,
    /// A spot instance was taken back.
    TakenBack,
    /// A forwarded port answered 200 to a GET of this `port/path`.
    Answered(String),
    /// It let somebody in over SSH.
    Login,
    /// It has started again, because somebody asked it to.
    Rebooted,
    /// It is off.
    PowerOff,
}

impl fmt::Display for Milestone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PowerOn => "power on",
            Self::Kernel => "the kernel starts",
            Self::MetadataToken => "first metadata token",
            Self::UserData => "user-data read",
            Self::Parameters => "parameters read",
            Self::MountTarget => "mount target looked up",
            Self::FileSystem => "first NFS connection",
            Self::Heartbeat => "first heartbeat of the launch hook",
            Self::Continue => "launch hook: CONTINUE",
            Self::Abandon => "launch hook: ABANDON",
            Self::HookTimeout => "launch hook timed out",
            Self::Notice(what) => return write!(f, "announced: {what}"),
            Self::Leaving => "its group lets it go",
            Self::Drained => "terminate hook: answered",
            Self::TakenBack => "taken back",
            Self::Answered(what) => return write!(f, "http 200 from guest port {what}"),
            Self::Login => "first login over ssh",
            Self::Rebooted => "up again after a reboot",
            Self::PowerOff => "power off",
        })
    }
}

/// One line of a timeline.
#[derive(Clone, Debug, Serialize)]
pub struct Moment {
    /// Seconds since power-on.
    pub at: f64,
    /// What happened.
    pub what: Milestone,
}

/// What happened, in order.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Timeline {
    /// The moments.
    pub moments: Vec<Moment>,
}

impl Timeline {
    /// When something happened, if it has.
    pub fn at(&self, what: &Milestone) -> Option<f64> {
        self.moments.iter().find(|moment| &moment.what == what).map(|moment| moment.at)
    }
}

/// Writes a timeline. Cheap to clone; everything that watches a boot has one.
#[derive(Clone, Debug)]
pub struct Recorder {
    events: Events,
    inner: Arc<Mutex<(Instant, Timeline)>>,
}

impl Recorder {
    /// The clock starts now, and again at [`Recorder::power_on`].
    pub fn new(events: Events) -> Self {
        Self { events, inner: Arc::new(Mutex::new((Instant::now(), Timeline::default()))) }
    }

    /// A recorder that nobody hears.
    pub fn silent() -> Self {
        Self::new(Events::silent())
    }

    /// The moment from which times count.
    pub fn power_on(&self) {
        self.lock().0 = Instant::now();
        self.mark(Milestone::PowerOn);
    }

    /// Records the first time that something happens, and says so.
    pub fn mark(&self, what: Milestone) {
        let mut inner = self.lock();
        if inner.1.at(&what).is_some() {
            return;
        }
        let at = (inner.0.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        self.events.log("timeline", format!("{at:6.1} s  {what}"));
        inner.1.moments.push(Moment { at, what });
    }

    /// Time since power-on.
    pub fn elapsed(&self) -> Duration {
        self.lock().0.elapsed()
    }

    /// What was recorded so far.
    pub fn timeline(&self) -> Timeline {
        self.lock().1.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Instant, Timeline)> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_time_counts() {
        let recorder = Recorder::silent();
        recorder.power_on();
        recorder.mark(Milestone::Heartbeat);
        recorder.mark(Milestone::Answered("8080/login".into()));
        recorder.mark(Milestone::Heartbeat);
        let timeline = recorder.timeline();
        assert_eq!(timeline.moments.len(), 3);
        assert!(timeline.at(&Milestone::Heartbeat).is_some());
        assert!(timeline.at(&Milestone::Answered("8080/".into())).is_none());
    }
}
