//! `StartInstances`, `StopInstances`, `RebootInstances`, `TerminateInstances`,
//! `ModifyInstanceAttribute`. All or none: one id that is wrong spares the others, too.

use super::plan::capacity;
use super::shape::state_of;
use super::types::Type;
use super::{incorrect, named, settle};
use crate::sim::ec2::Call;
use crate::sim::ec2::launch::{Launch, Shutdown};
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{self, set};
use crate::sim::instance::{Ending, Instance, State};
use crate::sim::xml::{leaf, node};

/// Does something with each instance, and shows its state before and after.
fn each(
    call: &mut Call<'_>,
    ids: &[String],
    act: impl Fn(&mut Instance, std::time::Instant),
) -> String {
    let mut items = Vec::new();
    for id in ids {
        let Some((instance, now)) = call.account.instance_mut(id) else { continue };
        let previous = instance.state();
        act(instance, now);
        items.push(
            leaf("instanceId", id)
                + &node("currentState", &state_of(instance.state()))
                + &node("previousState", &state_of(previous)),
        );
    }
    set("instancesSet", items)
}

fn instances<'a>(call: &'a Call<'_>, ids: &[String]) -> impl Iterator<Item = &'a Instance> {
    ids.iter().filter_map(|id| call.account.instance(id))
}

/// `TerminateInstances`.
pub fn terminate(call: &mut Call<'_>, mut query: Query) -> Answer {
    settle(call);
    // It would do the operating system's shutdown as far as possible; `Force` changes only what
    // becomes of one that hangs, which is pulled out in any case here.
    let _force = query.flag("Force")?;
    let skip = query.flag("SkipOsShutdown")?.unwrap_or_default();
    let ids = named(call, &mut query)?;
    let dry_run = query.finish()?;
    let protects = |launch: &Launch| launch.disable_termination;
    let protected = |one: &&Instance| one.launch.as_deref().is_some_and(protects);
    if let Some(one) = instances(call, &ids).find(protected) {
        let message = format!(
            "The instance '{}' may not be terminated. Modify its 'disableApiTermination' instance \
             attribute and try again.",
            one.id
        );
        return Err(Refusal::new("OperationNotPermitted", message));
    }
    dry_run.end()?;
    let ending = if skip { Ending::SkipOsShutdown } else { Ending::Graceful };
    Ok(each(call, &ids, |instance, now| instance.terminate(now, ending)))
}

/// `StopInstances`.
pub fn stop(call: &mut Call<'_>, mut query: Query) -> Answer {
    settle(call);
    let _force = query.flag("Force")?;
    let hibernate = query.flag("Hibernate")?.unwrap_or_default();
    let skip = query.flag("SkipOsShutdown")?.unwrap_or_default();
    let ids = named(call, &mut query)?;
    let dry_run = query.finish()?;
    for instance in instances(call, &ids) {
        check_stop(instance, hibernate)?;
    }
    dry_run.end()?;
    Ok(each(call, &ids, |instance, now| {
        instance.stop(now);
        if skip && instance.state() == State::Stopping {
            instance.ending = Some(Ending::SkipOsShutdown);
        }
    }))
}

fn check_stop(instance: &Instance, hibernate: bool) -> Answer<()> {
    let id = &instance.id;
    if !matches!(instance.state(), State::Running | State::Stopping | State::Stopped) {
        return Err(incorrect(format!(
            "The instance '{id}' is not in a state from which it can be stopped."
        )));
    }
    let launch = instance.launch.as_deref();
    if let Some((request, true)) = launch.and_then(|launch| launch.spot.as_ref()) {
        return Err(Refusal::new(
            "UnsupportedOperation",
            format!(
                "You can't stop the Spot Instance '{id}' because it is associated with a one-time \
                 Spot Instance request ({request}). You can only stop Spot Instances associated \
                 with persistent Spot Instance requests."
            ),
        ));
    }
    if launch.is_some_and(|launch| launch.disable_stop) {
        return Err(Refusal::new(
            "OperationNotPermitted",
            format!(
                "The instance '{id}' may not be stopped. Modify its 'disableApiStop' instance \
                 attribute and try again."
            ),
        ));
    }
    if hibernate && !instance.hibernation {
        let message = "Hibernation is not configured for this instance.";
        return Err(Refusal::new("UnsupportedHibernationConfiguration", message));
    }
    Ok(())
}

/// `StartInstances`. For that, too, there must be capacity.
pub fn start(call: &mut Call<'_>, mut query: Query) -> Answer {
    settle(call);
    let ids = named(call, &mut query)?;
    let dry_run = query.finish()?;
    let mut wanted = Vec::new();
    for instance in instances(call, &ids) {
        match instance.state() {
            State::Stopped => wanted.extend(instance.launch.clone()),
            State::Pending | State::Running => {}
            _ => {
                return Err(incorrect(format!(
                    "The instance '{}' is not in a state from which it can be started.",
                    instance.id
                )));
            }
        }
    }
    for launch in wanted {
        let subnet = call.here().subnets.get(&launch.subnet).cloned();
        if let (Some(kind), Some(subnet)) = (Type::of(&launch.instance_type), subnet) {
            capacity(call.account, &kind, &subnet, launch.spot.is_some())?;
        }
    }
    dry_run.end()?;
    Ok(each(call, &ids, Instance::start))
}

/// `RebootInstances`: whoever plays the machine sees the wish.
pub fn reboot(call: &mut Call<'_>, mut query: Query) -> Answer {
    settle(call);
    let ids = named(call, &mut query)?;
    let dry_run = query.finish()?;
    if let Some(one) = instances(call, &ids).find(|one| one.state() != State::Running) {
        let message = format!("The instance '{}' is not in the 'running' state.", one.id);
        return Err(incorrect(message));
    }
    dry_run.end()?;
    each(call, &ids, |instance, _| {
        if let Some(launch) = &mut instance.launch {
            launch.reboot = true;
        }
    });
    Ok(shape::done())
}

/// `ModifyInstanceAttribute`: what becomes of it when it switches itself off, and what protects it.
pub fn modify(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = query.required("InstanceId")?;
    let mut value = |field: &str, allowed: &[&'static str]| {
        let Some(mut structure) = query.structure(field) else { return Ok(None) };
        let word = structure.word("Value", allowed)?;
        structure.done()?;
        Ok(word)
    };
    let switches = ["true", "false"];
    let shutdown = value("InstanceInitiatedShutdownBehavior", &["stop", "terminate"])?;
    let disable_termination = value("DisableApiTermination", &switches)?;
    let disable_stop = value("DisableApiStop", &switches)?;
    let dry_run = query.finish()?;
    super::check(call, std::slice::from_ref(&id))?;
    let instance = call.account.instance_mut(&id).map(|(instance, _)| instance);
    let Some(launch) = instance.and_then(|instance| instance.launch.as_mut()) else {
        let message = "The instance of an Auto Scaling group here cannot be modified";
        return Err(Refusal::new("UnsupportedOperation", message));
    };
    dry_run.end()?;
    if let Some(word) = shutdown {
        launch.shutdown = if word == "stop" { Shutdown::Stop } else { Shutdown::Terminate };
    }
    for (switch, word) in [
        (&mut launch.disable_termination, disable_termination),
        (&mut launch.disable_stop, disable_stop),
    ] {
        *switch = word.map_or(*switch, |word| word == "true");
    }
    Ok(shape::done())
}
