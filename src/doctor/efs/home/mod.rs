//! What is on the file system, seen by children that can be killed.

pub mod bloat;
pub mod identity;
pub mod intact;
pub mod lease;
pub mod leftovers;
pub mod lock;
pub mod owner;
#[cfg(test)]
pub(in crate::doctor::efs) mod sample;
pub mod speed;
pub mod write;

use camino::{Utf8Path, Utf8PathBuf};
use nix::unistd::Uid;

use super::inside::User;
use super::scene::{Case, Here, Scene};
use crate::doctor::{Gap, Look};
use crate::sys::cmd::quote;

/// The user that Jenkins runs as, of the accounts below the root; nothing where there is none.
fn account(scene: &Scene<'_>, name: &str) -> Option<User> {
    let text = std::fs::read_to_string(scene.path("etc/passwd")).unwrap_or_default();
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (its, uid, gid) = (fields.next()?, fields.nth(1)?, fields.next()?);
        Some(User { uid: uid.parse().ok()?, gid: gid.parse().ok()? }).filter(|_| its == name)
    })
}

/// The same, if a child can become that user.
///
/// # Errors
/// There is no such user, or this is not root.
fn tenant(scene: &Scene<'_>, here: &Here) -> Look<User> {
    let untold = |why: String| Gap { needs: String::new(), denied: false, why };
    let user = account(scene, &here.user)
        .ok_or_else(|| untold(format!("this machine has no user `{}`", here.user)))?;
    let own = Uid::effective();
    if own.is_root() || own.as_raw() == user.uid {
        return Ok(user);
    }
    Err(untold(format!("only root can become `{}`: sudo hostkit efs check", here.user)))
}

/// A path of the file system as it is on this host, ready for a command.
fn on_host(case: &Case<'_>, path: &str) -> String {
    let top = case.here().map_or_else(|| Utf8PathBuf::from("/"), |here| here.mount_point.clone());
    let path = Utf8Path::new(path);
    quote(if path.as_str().is_empty() { top } else { top.join(path) }.as_str())
}

/// A time that has passed, for people.
fn ago(case: &Case<'_>, at: i64) -> String {
    let seconds = u64::try_from(case.now.as_second() - at).unwrap_or_default();
    match seconds {
        0..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}
