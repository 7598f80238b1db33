//! The further file systems of a host, as for the volumes of containers: each is mounted by itself,
//! and one that is optional does not keep the host from coming up.

use std::sync::Arc;

use futures::future::join_all;

use super::attempts;
use super::wanted::Wanted;
use crate::boot::context::Context;
use crate::error::Fault;
use crate::event::Outcome;

const STEP: &str = "mounts";

/// What the sandbox of hostkit's unit hides, or what others mount: nothing there would be seen.
const HIDDEN: [&str; 9] =
    ["/dev", "/home", "/proc", "/root", "/run/user", "/sys", "/tmp", "/var/tmp", crate::host::HOME];

pub(crate) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let all = Wanted::others(context.config());
    if all.is_empty() {
        return Ok(Outcome::Skipped("no [[mount]]".to_owned()));
    }
    let ends = in_order(&context, &all).await;
    let (mut changed, mut missing) = (false, Vec::new());
    for (wanted, end) in all.iter().zip(ends) {
        let point = &wanted.point;
        match end {
            Ok(outcome) => {
                changed |= outcome == Outcome::Changed;
                context.events.log(STEP, format!("{point}: {} is mounted", wanted.id));
            }
            Err(error) if wanted.optional => {
                context.events.log(STEP, format!("{point}: {error:#}; the host does without it"));
                missing.push(point.as_str());
            }
            Err(error) => return Err(error),
        }
    }
    match missing.as_slice() {
        [] => Ok(Outcome::changed(changed)),
        points => Ok(Outcome::Skipped(format!("without {}: optional", points.join(", ")))),
    }
}

/// Those at the same depth at the same time: no one of them lies below another.
async fn in_order(context: &Context, all: &[Wanted]) -> Vec<anyhow::Result<Outcome>> {
    let depth = |wanted: &Wanted| wanted.point.matches('/').count();
    let mut ends = Vec::with_capacity(all.len());
    for level in all.chunk_by(|one, other| depth(one) == depth(other)) {
        ends.extend(join_all(level.iter().map(|wanted| one(context, wanted))).await);
    }
    ends
}

async fn one(context: &Context, wanted: &Wanted) -> anyhow::Result<Outcome> {
    check(wanted)?;
    attempts::all(context, STEP, wanted).await
}

fn check(wanted: &Wanted) -> Result<(), Fault> {
    let point = &wanted.point;
    let lies_in = |folder: &str| {
        point.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    // What is left of `/` is nothing.
    let is_plain =
        point.starts_with('/') && !point.split('/').any(|part| [".", ".."].contains(&part));
    match HIDDEN.iter().find(|folder| lies_in(folder)) {
        None if is_plain => Ok(()),
        found => {
            let what = format!("`mount.path` cannot be `{}`", wanted.point.escape_debug());
            let why = found
                .map_or("wanted is an absolute path, as /srv/cache".to_owned(), |folder| {
                    format!("{folder} is not hostkit's to mount in; /srv and /mnt are")
                });
            Err(Fault::recipe(what).hint(why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::HostConfig;

    #[test]
    fn nothing_is_mounted_where_it_would_not_be_seen() {
        let of = |path: &str| {
            let text = format!("[[mount]]\nid = 'fs-1'\npath = '{path}'");
            check(&Wanted::others(&toml::from_str::<HostConfig>(&text).unwrap())[0])
        };
        for good in ["/srv/cache", "/mnt", "/homes", "/var/lib/docker-volumes", "/tmpfs"] {
            of(good).unwrap();
        }
        for bad in ["/home/x", "/tmp", "srv", "/srv/../etc", "/var/lib/jenkins/home", "/"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
