//! What is mounted already: the right file system, another one, or one that is not there any more.

use super::attempts::{Attempts, Problem};
use super::locate::is_target;
use super::unit;
use crate::boot::context::{Context, Machine};
use crate::boot::inside::{self, Answer, Request, Stale};
use crate::error::Fault;
use crate::sys::mountinfo::Mount;
use crate::sys::{atomic, systemd};

/// The tunnel of amazon-efs-utils is what its mounts are made from.
const TUNNEL: &str = "127.0.0.1";

/// Whether what is mounted is the right file system: by its own mark, and where it has none by its
/// address. A host that serves must not depend on what EFS says today.
pub(super) async fn recognise(
    context: &Context,
    step: &str,
    attempts: &mut Attempts<'_>,
    mount: &Mount,
) -> Result<(), Problem> {
    let wanted = attempts.wanted;
    if mount.is_nfs() {
        let mount_point = context.machine.path(&wanted.point);
        let request = Request::ReadMark { mount_point };
        let mark = match inside::ask(&context.machine.runner, &request).await {
            Ok(Answer::Mark(mark)) => mark,
            Ok(other) => return Err(Problem::last(anyhow::anyhow!("the child said {other:?}"))),
            Err(error) if error.chain().any(<dyn std::error::Error + 'static>::is::<Stale>) => {
                return Err(stale(context, step, attempts, error).await);
            }
            Err(error) => return Err(Problem::passing(error)),
        };
        if mark.as_deref() == Some(&wanted.id) {
            return Ok(());
        }
        let address = mount.source.split(':').next().unwrap_or_default();
        if address == TUNNEL
            && noted(&context.machine, &wanted.point).as_deref() == Some(&wanted.id)
        {
            return Ok(());
        }
        // What its mark says of it is the business of the step that looks into the home.
        if is_target(context, &wanted.id, address).await.map_err(Problem::passing)? {
            return Ok(());
        }
    }
    let point = &wanted.point;
    let (source, kind) = (&mount.source, &mount.kind);
    let what = format!("{point} has {source} ({kind}) mounted, and not {}", wanted.id);
    // Trying again would not cure it.
    let hint = format!("stop what uses it and run `umount {point}`");
    Err(Problem::last(Fault::step(what).hint(hint)))
}

/// The server does not know any more what was mounted: a mount target that was made anew. The mount
/// is taken away, and the next attempt makes another one.
async fn stale(
    context: &Context,
    step: &str,
    attempts: &mut Attempts<'_>,
    error: anyhow::Error,
) -> Problem {
    if attempts.remounted {
        return Problem::last(error);
    }
    attempts.remounted = true;
    let point = &attempts.wanted.point;
    let what = format!("the mount at {point} is stale: it is taken away and made again");
    context.events.log(step, &what);
    match unit::forget(&context.machine, point).await {
        Ok(()) => Problem::passing(error.context(what)),
        Err(failed) => {
            let hint = format!("umount -l {point}; systemctl restart hostkit-boot");
            let fault =
                Fault::step(format!("the mount at {point} is stale and cannot be taken away"));
            Problem::last(anyhow::Error::from(failed).context(fault.hint(hint)))
        }
    }
}

/// Remembers until the next start of the machine what was mounted where: a mount through a tunnel
/// does not say it.
pub(super) fn note(machine: &Machine, point: &str, id: &str) -> std::io::Result<()> {
    atomic::make_directory(&machine.run("mounts"), 0o755)?;
    atomic::write(&path(machine, point), format!("{id}\n").as_bytes(), 0o644).map(drop)
}

fn noted(machine: &Machine, point: &str) -> Option<String> {
    let text = std::fs::read_to_string(path(machine, point)).ok()?;
    Some(text.trim().to_owned())
}

fn path(machine: &Machine, point: &str) -> camino::Utf8PathBuf {
    machine.run("mounts").join(systemd::mount_unit(point))
}
