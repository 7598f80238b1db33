//! A home that somebody brings back just now: the boot waits until that is over.
//!
//! No other host could do more, so this is no failure, and `asg.on_failure` is not asked: a group that
//! launched host after host would only be in the way of whoever works on the home. The launch hook is
//! kept waiting as for every boot. Whoever carries the recovery out on this host has it boot again at
//! the end; where the journal is closed otherwise, the boot goes on by itself.

use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::time::{sleep, timeout};

use super::context::Context;
use super::home::{MOUNT_POINT, STEP, file_system};
use super::inside::{self, Answer, Request, Stale};
use super::policy;
use crate::error::Fault;
use crate::lease::barred::Barred;
use crate::sys::{console, notify};

/// So many pauses of the machine lie between two looks: ten seconds.
const PAUSES: u32 = 10;

/// systemd is more patient than any step, and this waits as long as a person works: how much longer it
/// is asked for, again and again.
const LONGER: Duration = Duration::from_mins(30);

/// A child that the kernel does not let go lives on after its deadline.
const PATIENCE: Duration = Duration::from_secs(inside::PATIENCE.as_secs() + 10);

/// Waits until no recovery is under way. `why` and `hint` tell which one is.
///
/// # Errors
/// The file system was replaced below its mount; or a person does this step by hand, and need not wait.
pub(super) async fn wait(context: &Context, why: String, hint: String) -> anyhow::Result<()> {
    if context.by_hand {
        return Err(Fault::step(why).hint(hint).into());
    }
    let root = &context.machine.root;
    let mut barred = Barred { why, hint, since: Timestamp::now() };
    tell(context, &barred);
    let (mut trouble, mut group) = (String::new(), None);
    let end = loop {
        // Again and again: whoever recovers must find it, also after something has removed it.
        barred.say(root).context("saying that this boot waits")?;
        context.holds(STEP);
        notify::extend(LONGER);
        sleep(context.machine.pause * PAUSES).await;
        // It may be known later than this.
        if let (None, Some(told)) = (&group, policy::keeps_waiting(context)) {
            console::say(root, &format!("hostkit: {told}\n"));
            context.events.log(STEP, &told);
            group = Some(told);
        }
        match look(context).await {
            Ok(None) => break Ok(()),
            Ok(Some((why, _))) if why == barred.why => {}
            Ok(Some((why, hint))) => {
                barred = Barred { why, hint, ..barred };
                context.events.log(STEP, format!("held: {}", barred.why));
            }
            Err(error) if error.chain().any(<dyn std::error::Error + 'static>::is::<Stale>) => {
                break Err(error);
            }
            // Whoever works on the file system may have it silent for a while.
            Err(error) => {
                let text = format!("the recovery cannot be looked at: {error:#}");
                if text != trouble {
                    context.events.log(STEP, &text);
                    trouble = text;
                }
            }
        }
    };
    // Before it is looked again: see `lease::barred`.
    Barred::end(root).context("taking back that this boot waits")?;
    context.holds(STEP);
    if end.is_ok() {
        let told = "no recovery is under way any more: this boot goes on";
        console::say(root, &format!("hostkit: {told}\n"));
        context.events.log(STEP, told);
    }
    end
}

/// Which recovery is under way, and what to do about it; none where none is.
async fn look(context: &Context) -> anyhow::Result<Option<(String, String)>> {
    let request = Request::Recovery {
        mount_point: context.machine.path(MOUNT_POINT),
        file_system: file_system(context).to_owned(),
    };
    match timeout(PATIENCE, inside::ask(&context.machine.runner, &request)).await {
        Ok(Ok(Answer::Barred { why, hint })) => Ok(Some((why, hint))),
        Ok(Ok(Answer::Done { .. })) => Ok(None),
        Ok(Ok(answer)) => anyhow::bail!("the child answered {answer:?}"),
        Ok(Err(error)) => Err(error),
        Err(_elapsed) => anyhow::bail!("the file system does not answer"),
    }
}

/// Nobody reads the journal of a host that does not come up.
fn tell(context: &Context, barred: &Barred) {
    let Barred { why, hint, .. } = barred;
    let screen = format!(
        "\n==== hostkit: this boot is held, and has not failed: a recovery is under way ====\n{why}\n\
         {hint}\n==== it goes on when that is over; more: hostkit status ====\n"
    );
    console::say(&context.machine.root, &screen);
    context.events.log(STEP, format!("held: {why}; {hint}"));
}
