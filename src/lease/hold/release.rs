//! Gives the home up in order: nobody writes, everything is on the server, and only then is it said.

use tokio::time::Instant;

use super::{Ended, GOES_ON, STEP, Shell, jenkins};
use crate::lease::clerk::{Answer, Desk, Request};
use crate::lease::keep::{Keep, keep};
use crate::lease::memory::Phase;
use crate::lease::record::State;
use crate::lease::word::Guards;
use crate::sys::notify;

/// systemd stops Jenkins before it asks for this; somebody who asks by hand may be ahead of it. In
/// seconds.
const JENKINS_STOPS: u32 = 60;

/// A full cache may have to reach the server, in seconds.
const SYNC: u32 = 240;

/// Reading or writing the head, in seconds.
const WRITE: u32 = 30;

/// Gives the home up, if nobody of this host writes to it any more.
pub(super) async fn release(
    shell: &mut Shell,
    mut desk: Desk,
    generation: u64,
) -> anyhow::Result<Ended> {
    notify::stopping();
    let Some(silence) = silence(shell).await else {
        let why = "Jenkins, or a step of the boot, may still write: the home stays held";
        shell.tell(Phase::Held, Some(generation), why, Some("stop jenkins.service first"));
        return Ok(Ended::StillHeld);
    };
    // What was not read yet: nobody gives up what is another's by now.
    let head = shell.attended(desk.ask(&Request::Look, shell.seconds(WRITE))).await;
    if let Answer::Head(head) = head
        && let Keep::Stop(why) = keep(Guards::default(), &shell.order.me, generation, &head)
    {
        // The fence looks for itself whether anybody writes.
        drop(silence);
        return Err(jenkins::fence(shell, generation, &why).await);
    }
    // From here on this boot does not take it up again, whatever becomes of the rest.
    shell.memory.give_up()?;
    let record = shell.record(generation, State::Released);
    for (request, patience) in [(Request::Sync, SYNC), (Request::Replace(Box::new(record)), WRITE)]
    {
        let mut answer = shell.attended(desk.ask(&request, shell.seconds(patience))).await;
        if let Answer::Failed { why, .. } = &answer {
            // Once more, with another clerk: the next host waits for nothing else.
            shell.events.log(STEP, format!("{why}: tried again"));
            answer = shell.attended(desk.ask(&request, shell.seconds(patience))).await;
        }
        if let Answer::Failed { why, hint } = answer {
            let why = format!("the home stays held: {why}");
            shell.tell(Phase::Held, Some(generation), &why, Some(&hint));
            return Ok(Ended::StillHeld);
        }
    }
    drop(silence);
    let why = format!("this host has released the home (generation {generation})");
    shell.tell(Phase::Released, Some(generation), &why, None);
    Ok(Ended::Released)
}

/// Waits until nobody of this host writes to the home, and keeps it so.
async fn silence(shell: &mut Shell) -> Option<impl Drop + use<>> {
    let until = Instant::now() + shell.seconds(JENKINS_STOPS);
    loop {
        match jenkins::is_down(shell).await {
            Ok(true) => match shell.memory.silence() {
                Ok(Some(lock)) => return Some(lock),
                Ok(None) => {}
                Err(error) => shell.events.log(STEP, format!("the boot's lock: {error}")),
            },
            Ok(false) => {}
            Err(error) => shell.events.log(STEP, format!("how Jenkins is: {error:#}")),
        }
        if Instant::now() > until {
            return None;
        }
        notify::watchdog();
        notify::extend(GOES_ON);
        tokio::time::sleep(shell.place.second).await;
    }
}
