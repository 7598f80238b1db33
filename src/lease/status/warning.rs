//! What is odd about a lease, for people. Nothing decides on it.

use std::time::Duration;

use jiff::Timestamp;

use super::render::span;
use crate::lease::clerk::Shown;
use crate::lease::order::Order;
use crate::lease::record::{Record, claim_file};
use crate::lease::stand::Stand;

/// Heartbeats come every ten seconds; a file system that is throttled makes them late.
const LATE: Duration = Duration::from_mins(1);

/// Clocks that differ by more than this are wrong: EC2's are kept to milliseconds.
const OFF: i64 = 30;

/// All that is odd.
pub(super) fn all(stand: &Stand, order: &Order, shown: &Shown, now: Timestamp) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(server) = shown.clock {
        let off = now.as_second() - server.as_second();
        all.extend(clock("this host's clock", off).map(|text| {
            text + ": AWS refuses calls that are signed by a clock that is 5 minutes off"
        }));
    }
    if let Some(mark) = shown.mark.as_ref().filter(|mark| **mark != order.me.fs_id) {
        let Order { mount_point, me, .. } = order;
        all.push(format!(
            "{mount_point}/.hostkit/fs-id says {mark}, and this is {}: the boot stops at `home`",
            me.fs_id
        ));
    }
    if let Some(last) = stand.last() {
        let is_lost = matches!(stand, Stand::Lost { .. });
        if !is_lost && !super::is_announced(shown, last.generation) {
            all.push(format!(
                "{} is there, and the head does not say so: its host is between both, or died there",
                claim_file(last.generation)
            ));
        }
        if shown.highest.is_none_or(|highest| highest < last.generation) {
            all.push(format!(
                "{} is not there: somebody has removed files of the lease, which nobody may do",
                claim_file(last.generation)
            ));
        }
        if stand.is_held() {
            all.extend(of_holder(last, shown));
        }
    }
    all
}

/// What is odd about the holder.
fn of_holder(last: &Record, shown: &Shown) -> Vec<String> {
    let name = last.holder.name();
    let mut all = Vec::new();
    let age = shown.age.unwrap_or_default();
    let silence = "it may be paused, cut off or dead; that alone lets nobody in";
    let beat = shown.beat.as_ref().filter(|(beat, _)| beat.generation == last.generation);
    match beat {
        Some((_, age)) if *age > LATE => {
            all.push(format!("{name} has sent no heartbeat for {}: {silence}", span(*age)));
        }
        None if age > LATE => {
            all.push(format!("generation {} has sent no heartbeat: {silence}", last.generation));
        }
        Some(_) | None => {}
    }
    // Both moments were noted by both clocks: the holder's, and the file server's.
    let seen = |at: Timestamp, age: Duration| {
        let age = i64::try_from(age.as_secs()).ok()?;
        Some(at.as_second() - (shown.clock?.as_second() - age))
    };
    let by_beat = beat.and_then(|(beat, age)| seen(beat.at, *age));
    let by_claim = last.holder.since.zip(shown.age).and_then(|(since, age)| seen(since, age));
    all.extend(by_beat.or(by_claim).and_then(|off| clock(&format!("the clock of {name}"), off)));
    all
}

/// What is said of a clock that is `off` seconds ahead of the file server's.
fn clock(whose: &str, off: i64) -> Option<String> {
    let way = if off > 0 { "ahead of" } else { "behind" };
    let by = span(Duration::from_secs(off.unsigned_abs()));
    (off.abs() > OFF).then(|| format!("{whose} is {by} {way} the file server's"))
}
