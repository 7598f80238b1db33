use super::power::{INSTANCE_INITIATED, NOT_STARTED};
use super::*;
use crate::sim::account::{HEARTBEAT_TIMEOUT, HOOK};
use crate::sim::group::habits::Habits;
use crate::sim::group::hook::Transition;
use crate::sim::notice::{Notice, SPOT_WARNING};
use crate::sim::timeline::Milestone;

fn launched(now: Instant) -> Instance {
    let group = Habits::of_the_guests();
    Instance::launch(now, &group.hooks(Transition::Launching), Recorder::silent())
}

fn running() -> (Instance, Instant) {
    let now = Instant::now();
    let mut instance = launched(now);
    instance.switched_on(now);
    (instance, now)
}

#[test]
fn heartbeats_keep_a_hook_waiting_but_not_for_ever() {
    let (mut instance, mut now) = running();
    for _ in 0..99 {
        now += HEARTBEAT_TIMEOUT.saturating_sub(Duration::from_secs(1));
        assert!(instance.heartbeat(now, HOOK));
    }
    now += HEARTBEAT_TIMEOUT;
    assert!(!instance.heartbeat(now, HOOK));
    assert_eq!(instance.lifecycle(now), Lifecycle::Terminating);
}

#[test]
fn a_hook_that_hears_nothing_abandons_the_instance() {
    let (mut instance, now) = running();
    assert_eq!(instance.lifecycle(now + HEARTBEAT_TIMEOUT), Lifecycle::Terminating);
    assert!(instance.recorder.timeline().at(&Milestone::HookTimeout).is_some());
    assert_eq!(instance.state(), State::ShuttingDown);
}

#[test]
fn a_hook_completes_once() {
    let (mut instance, now) = running();
    assert!(instance.complete(now, HOOK, true));
    assert!(!instance.complete(now, HOOK, false));
    assert_eq!(instance.lifecycle(now), Lifecycle::InService);
}

#[test]
fn it_is_terminated_only_once_its_machine_is_gone() {
    let (mut instance, now) = running();
    instance.terminate(now, Ending::Graceful);
    assert_eq!((instance.state(), instance.ending), (State::ShuttingDown, Some(Ending::Graceful)));
    instance.terminate(now, Ending::SkipOsShutdown);
    assert_eq!(instance.ending, Some(Ending::SkipOsShutdown));
    let gone = now + Duration::from_hours(3);
    assert_eq!(instance.state_at(gone), Some(State::ShuttingDown));
    instance.switched_off(gone);
    assert_eq!(instance.state_at(gone + TERMINATED_VISIBLE), Some(State::Terminated));
    assert_eq!(instance.state_at(gone + TERMINATED_VISIBLE + Duration::from_secs(1)), None);
}

#[test]
fn who_switches_itself_off_is_stopped_and_a_start_changes_the_launch_time() {
    let (mut instance, now) = running();
    let launched = instance.launched;
    instance.switched_off(now);
    assert_eq!(instance.state(), State::Stopped);
    assert_eq!(instance.reason, Some(INSTANCE_INITIATED));
    instance.start(now);
    instance.switched_on(now);
    assert_eq!(instance.state(), State::Running);
    assert!(instance.launched > launched);
    instance.stop(now);
    assert_eq!(instance.state(), State::Stopping);
    instance.switched_off(now);
    instance.terminate(now, Ending::Graceful);
    assert_eq!(instance.state(), State::Terminated, "there is no machine that could still run");
}

#[test]
fn what_does_not_start_is_what_it_was_before() {
    let now = Instant::now();
    let mut instance = launched(now);
    instance.not_started(now);
    assert_eq!((instance.state(), instance.reason), (State::Terminated, Some(NOT_STARTED)));
    let (mut instance, now) = running();
    instance.switched_off(now);
    instance.start(now);
    instance.not_started(now);
    assert_eq!((instance.state(), instance.reason), (State::Stopped, Some(NOT_STARTED)));
}

#[test]
fn an_answer_may_lag_behind() {
    let (mut instance, now) = running();
    let minute = Duration::from_mins(1);
    instance.terminate(now + minute, Ending::Graceful);
    assert_eq!(instance.state_at(now + minute), Some(State::ShuttingDown));
    assert_eq!(instance.state_at(now + minute / 2), Some(State::Running));
    let before = now.checked_sub(minute).unwrap();
    assert_eq!(instance.state_at(before), None, "not launched yet");
}

#[test]
fn of_several_hooks_all_must_go_on() {
    let now = Instant::now();
    let mut group = Habits::of_the_guests();
    group.put(Hook::new("dns", Transition::Launching, HEARTBEAT_TIMEOUT));
    let hooks = || group.hooks(Transition::Launching);
    let mut instance = Instance::launch(now, &hooks(), Recorder::silent());
    assert!(!instance.complete(now, "other", true));
    assert!(instance.complete(now, "dns", true));
    assert_eq!(instance.lifecycle(now), Lifecycle::Waiting);
    assert!(instance.complete(now, HOOK, true));
    assert_eq!(instance.lifecycle(now), Lifecycle::InService);
    let mut instance = Instance::launch(now, &hooks(), Recorder::silent());
    assert!(instance.complete(now, "dns", false));
    assert_eq!(instance.lifecycle(now), Lifecycle::Terminating);
    assert!(!instance.heartbeat(now, HOOK), "nobody waits any more");
    let without = Instance::launch(now, &[], Recorder::silent()).lifecycle(now);
    assert_eq!(without, Lifecycle::InService);
}

#[test]
fn a_terminate_hook_holds_the_machine_until_it_is_told_or_gives_up() {
    let (mut instance, now) = running();
    instance.complete(now, HOOK, true);
    let hook = Hook::new("drain", Transition::Terminating, HEARTBEAT_TIMEOUT);
    let mut other = instance.clone();
    instance.leave(now, std::slice::from_ref(&hook));
    assert_eq!(instance.lifecycle_word(now), "Terminating:Wait");
    assert_eq!(instance.state(), State::Running);
    assert!(instance.heartbeat(now, "drain"));
    assert!(instance.complete(now, "drain", true));
    assert_eq!(instance.lifecycle_word(now), "Terminating:Proceed");
    assert_eq!(instance.state(), State::ShuttingDown);
    other.leave(now, std::slice::from_ref(&hook));
    assert_eq!(other.lifecycle(now + HEARTBEAT_TIMEOUT), Lifecycle::Terminating);
    let (mut bare, now) = running();
    bare.complete(now, HOOK, true);
    bare.leave(now, &[]);
    assert_eq!(bare.state(), State::ShuttingDown);
}

#[test]
fn a_spot_instance_is_taken_back_at_the_time_that_was_announced() {
    let (mut instance, now) = running();
    instance.complete(now, HOOK, true);
    instance.notice(now, Timestamp::now(), &Notice::SpotInterruption);
    let early = SPOT_WARNING.saturating_sub(Duration::from_secs(1));
    assert_eq!(instance.lifecycle(now + early), Lifecycle::InService);
    assert_eq!(instance.lifecycle(now + SPOT_WARNING), Lifecycle::Terminating);
    assert_eq!(instance.ending, Some(Ending::SkipOsShutdown));
}

#[test]
fn a_tag_comes_and_goes() {
    let (mut instance, now) = running();
    let tag = |value: &str| Notice::Tag("hostkit:drain".to_owned(), value.to_owned());
    instance.notice(now, Timestamp::now(), &tag("quiet"));
    assert_eq!(instance.tags["hostkit:drain"], "quiet");
    instance.notice(now, Timestamp::now(), &tag(""));
    assert!(!instance.tags.contains_key("hostkit:drain"));
}
