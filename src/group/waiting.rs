//! Keeps a hook waiting: a heartbeat at a third of its time-out, up to the cap that Auto Scaling has.

use std::time::Duration;

use tokio::time::Instant;

use super::{Us, is_inactive};
use crate::aws::asg::{self, Hook, Transition};

/// Why a hook does not have to be kept waiting any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// It was told how it went, by this host or by somebody else; the host is in this state.
    Finished(String),
    /// The group takes the host away; it is in this state.
    Leaving(String),
}

/// Keeps `hook` waiting, which has waited for so long already. Ends when it does not wait any more.
///
/// What is lost is tried again sooner. That the hook will give up soon is said in time, and only
/// then: nothing can be done about its cap.
pub async fn keep_waiting(us: &Us, hook: &Hook, waited: Duration) -> Released {
    let began = Instant::now();
    let mut heard = began;
    let mut clock = Clock { hook, lost: false, warned: Warned::default() };
    loop {
        tokio::time::sleep(clock.pause().max(us.pause)).await;
        if let Some(warning) = clock.cap(waited + began.elapsed()) {
            us.log(warning);
        }
        match asg::heartbeat(&us.aws, hook, &us.instance_id).await {
            Ok(()) => {
                heard = Instant::now();
                clock.hears();
            }
            Err(failure) if is_inactive(&failure) => {
                if let Some(released) = standing(us, hook.transition).await {
                    return released;
                }
            }
            Err(failure) => {
                us.log(format!("a heartbeat was lost: {failure}"));
                if let Some(warning) = clock.loses(heard.elapsed()) {
                    us.log(warning);
                }
            }
        }
    }
}

/// The hook does not wait: not yet, or not any more.
async fn standing(us: &Us, transition: Transition) -> Option<Released> {
    let member = us.membership().await.ok()??;
    match transition {
        _ if member.is_unknown() => None,
        Transition::Launching if member.is_pending() => None,
        Transition::Launching if member.is_leaving() => Some(Released::Leaving(member.state)),
        Transition::Terminating if !member.state.ends_with("Proceed") => None,
        _ => Some(Released::Finished(member.state)),
    }
}

/// What was said already.
#[derive(Debug, Default)]
struct Warned {
    cap: bool,
    silence: bool,
}

/// When to beat, and when to warn.
#[derive(Debug)]
struct Clock<'a> {
    hook: &'a Hook,
    lost: bool,
    warned: Warned,
}

impl Clock<'_> {
    /// Two beats may be lost before the group loses its patience, and then some more.
    fn pause(&self) -> Duration {
        if self.lost { self.hook.timeout / 12 } else { self.hook.timeout / 3 }
    }

    fn hears(&mut self) {
        (self.lost, self.warned.silence) = (false, false);
    }

    /// The warning that a hook which hears nothing is about to give up.
    fn loses(&mut self, silent: Duration) -> Option<String> {
        self.lost = true;
        if silent < self.hook.timeout * 2 / 3 || std::mem::replace(&mut self.warned.silence, true) {
            return None;
        }
        let (kind, name) = (self.hook.transition.name(), &self.hook.name);
        let left = self.hook.timeout.saturating_sub(silent).as_secs();
        Some(format!(
            "the {kind} {name} has heard nothing for {} s and gives up in {left} s",
            silent.as_secs()
        ))
    }

    /// The warning that the hook gives up whatever it hears, once it is near.
    fn cap(&mut self, age: Duration) -> Option<String> {
        let left = self.hook.at_most.saturating_sub(age);
        let near = self.hook.timeout.max(self.hook.at_most / 20).min(self.hook.at_most / 2);
        if left > near || std::mem::replace(&mut self.warned.cap, true) {
            return None;
        }
        let (kind, name) = (self.hook.transition.name(), &self.hook.name);
        Some(format!(
            "the {kind} {name} gives up in {} s, whatever it hears: it waits {} s at most",
            left.as_secs(),
            self.hook.at_most.as_secs()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook(timeout: u64, at_most: u64) -> Hook {
        let [timeout, at_most] = [timeout, at_most].map(Duration::from_secs);
        let (group, name) = ("ci".to_owned(), "launch".to_owned());
        Hook { group, name, transition: Transition::Launching, timeout, at_most }
    }

    fn clock(hook: &Hook) -> Clock<'_> {
        Clock { hook, lost: false, warned: Warned::default() }
    }

    #[test]
    fn that_the_hook_gives_up_is_said_in_time_and_once() {
        let hook = hook(600, 60_000);
        let mut clock = clock(&hook);
        assert_eq!(clock.cap(Duration::from_secs(50_000)), None);
        let warning = clock.cap(Duration::from_secs(57_100)).unwrap();
        assert_eq!(
            warning,
            "the launch hook launch gives up in 2900 s, whatever it hears: it waits 60000 s at most"
        );
        assert_eq!(clock.cap(Duration::from_secs(59_000)), None);
    }

    #[test]
    fn what_was_lost_is_tried_sooner_and_long_silence_is_said() {
        let hook = hook(600, 60_000);
        let mut clock = clock(&hook);
        assert_eq!(clock.pause(), Duration::from_secs(200));
        assert_eq!(clock.loses(Duration::from_secs(200)), None);
        assert_eq!(clock.pause(), Duration::from_secs(50));
        assert_eq!(
            clock.loses(Duration::from_secs(450)).unwrap(),
            "the launch hook launch has heard nothing for 450 s and gives up in 150 s"
        );
        assert_eq!(clock.loses(Duration::from_secs(500)), None);
        clock.hears();
        assert_eq!(clock.pause(), Duration::from_secs(200));
    }
}
