//! What lives as long as the host: watches what AWS says of it and how it is, and takes it down in
//! order when it goes.
//!
//! `hostkit guard` is all that `hostkit-guard.service` runs. Its process is small: it speaks to the
//! metadata service and to Jenkins itself, and to AWS through a child ([`envoy`]). It never touches a
//! network file system ([`pulse`] does, in a child), and needs none of root's capabilities: systemd
//! stops and unmounts what it is asked to.
//!
//! What is decided is decided without I/O: what is wanted of the host ([`wish`]), how it goes
//! ([`drain`], with the times of [`budget`]), whether it is well ([`health`]), what is answered
//! ([`answer`]). [`watch`] is the loop, [`going`] a drain under way, [`world`] what of it is to be seen
//! and done; [`byhand`] is the same drain for a person. Whatever is killed carries on where it was,
//! because that is to be seen of the world; [`notes`] has the little that is not.

mod agent;
pub mod answer;
pub mod budget;
pub mod byhand;
pub mod drain;
pub mod envoy;
mod going;
pub mod health;
mod jenkins;
pub mod metrics;
mod notes;
mod post;
#[cfg(test)]
mod properties;
pub mod pulse;
pub mod resources;
mod senses;
mod sessions;
#[cfg(test)]
mod tests;
mod watch;
pub mod wish;
mod world;

use std::time::{Duration, SystemTime};

use tokio::signal::unix::{SignalKind, signal};

pub use post::Post;

use crate::aws::imds::Imds;
use crate::error::Fault;
use crate::event::Events;
use crate::host;
use crate::sys::{journal, notify, secrets};
use post::Watched;
use watch::{STEP, Watch};

/// So often it is looked whether the boot has come far enough, in seconds.
const BOOT: f64 = 4.0;

/// A question to the metadata service may take so long, and is asked again soon.
const METADATA: Duration = Duration::from_secs(2);

/// So often systemd is told that this process is alive while something takes its time.
const ALIVE: Duration = Duration::from_secs(15);

/// A round may take so long at most: every part of it has a deadline of its own.
const ROUND: Duration = Duration::from_mins(10);

/// Watches this host until it is asked to end.
///
/// # Errors
/// Signals cannot be listened for, or the metadata service has no address.
pub async fn guard(post: Post, events: Events) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| Fault::environment(format!("signals cannot be listened for: {error}")))?;
    let mut interrupt = signal(SignalKind::interrupt())
        .map_err(|error| Fault::environment(format!("signals cannot be listened for: {error}")))?;
    // What it says and answers has none of them.
    secrets::learn(&post.root);
    notify::ready();
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        end = watch_for_ever(&post, &events) => return end,
    }
    notify::stopping();
    Ok(())
}

/// Watches, and begins anew where a boot has told this host to be something else.
async fn watch_for_ever(post: &Post, events: &Events) -> anyhow::Result<()> {
    loop {
        let host = boot_of(post, events).await;
        let told = told(post);
        let metadata = Imds::lasting(post.imds.as_deref(), METADATA)?;
        journal::name_instance(&host.identity.instance_id);
        events.log(STEP, format!("watching {}", host.identity.instance_id));
        let mut watch = Watch::new(host, metadata);
        while watch.is_draining() || self::told(post) == told {
            let pause = attended(watch.round()).await;
            tokio::time::sleep(pause).await;
        }
    }
}

/// When a boot last said what this host is.
fn told(post: &Post) -> Option<SystemTime> {
    post.path(host::EFFECTIVE).metadata().and_then(|meta| meta.modified()).ok()
}

/// Waits until the boot knows who and what this host is.
async fn boot_of(post: &Post, events: &Events) -> Watched {
    let mut last = String::new();
    loop {
        let error = match Watched::read(post, events.clone()) {
            Ok(host) => return host,
            Err(error) => format!("waiting for the boot: {error:#}"),
        };
        if error != last {
            events.log(STEP, &error);
            notify::status(&error);
            last = error;
        }
        notify::watchdog();
        tokio::time::sleep(post.seconds(BOOT)).await;
    }
}

/// Does `work` and tells systemd meanwhile that this process is alive; but not for ever.
async fn attended<T>(work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let began = tokio::time::Instant::now();
    loop {
        tokio::select! {
            end = &mut work => return end,
            () = tokio::time::sleep(ALIVE) => {
                if began.elapsed() < ROUND {
                    notify::watchdog();
                }
            }
        }
    }
}
